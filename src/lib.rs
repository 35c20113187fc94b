//! `runner`: job files become tasks, tasks run in bounded pools, and every task becomes a row of a CSV report.
//!
//! The modules stand in layers, and each imports only from those above it in this list; `tests/it/layers.rs` holds the
//! order. `docs/architecture.md` has the glossary and follows one task through the modules.
//!
//! | module | what it owns |
//! |---|---|
//! | `sys` | system calls, `/proc`, mappings: all unsafe code |
//! | [`base`] | diagnostics, JSON, text, sizes, durations |
//! | [`task`] | the vocabulary: tasks, attempts, outcomes, records, payloads, stopping, the clock |
//! | [`csv`] | dialects, cells, numbers and timestamps, written and read back |
//! | [`model`] | the models, the decision guide, the pilot |
//! | [`config`] | TOML with places, templates, the small types of settings |
//! | [`launcher`] | starts children, and sees to it that none outlives the runner |
//! | [`workload`] | what one task does: one file or folder per kind |
//! | [`job`] | inputs, stages, services, needs: a job file becomes a [`job::Job`] |
//! | [`worker`] | processes that do tasks, and the protocols that they speak |
//! | [`report`] | rows, the files of a report, resuming, the summary, the terminal |
//! | [`view`] | reports for people: pages and workbooks, from the report files |
//! | [`engine`] | feed, slots, limits, services: a job runs |
//! | [`compare`] | a job under several models, measured |
//! | [`cluster`] | a job on the scheduler of a cluster: shares, submissions, their rows in one report |
//! | [`batch`] | the order of several jobs |
//! | [`cli`] | the command line, and plans in words |

pub mod base;
pub mod batch;
pub mod cli;
pub mod cluster;
pub mod compare;
pub mod config;
pub mod csv;
pub mod engine;
#[doc(hidden)]
pub mod fuzz;
pub mod job;
pub mod launcher;
pub mod model;
pub mod report;
mod sys;
pub mod task;
pub mod view;
pub mod worker;
pub mod workload;
