//! Integration tests: each drives the real `runner`, in a folder of its own.

mod support;
mod tables;

mod auto;
mod batches;
mod campaigns;
mod columns;
mod command_line;
mod commands;
mod compare;
mod crash;
mod disk;
mod fuzz_smoke;
mod http;
mod inputs;
mod job_files;
mod layers;
mod limits;
mod live;
mod made;
mod models;
mod orphans;
mod outputs;
mod pausing;
mod printing;
mod python;
mod reports;
mod resume;
mod retries;
mod schema;
mod services;
mod slots;
mod stages;
mod stopping;
mod tidy;
mod worker;
