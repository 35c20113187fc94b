//! Integration tests: each drives the real `runner`, in a folder of its own.

mod support;

mod command_line;
mod commands;
mod crash;
mod fuzz_smoke;
mod inputs;
mod job_files;
mod models;
mod reports;
mod resume;
mod stopping;
mod tidy;
