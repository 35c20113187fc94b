//! Integration tests: each drives the real `runner`, in a folder of its own.

mod support;

mod command_line;
mod commands;
mod crash;
mod fuzz_smoke;
mod http;
mod inputs;
mod job_files;
mod limits;
mod models;
mod orphans;
mod pausing;
mod reports;
mod resume;
mod retries;
mod services;
mod stages;
mod stopping;
mod tidy;
mod worker;
