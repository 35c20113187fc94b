//! `runner`: job files become tasks, tasks run in bounded pools, and every task becomes a row of a CSV report.
//!
//! The way through, forward only:
//! `jobs/*.toml` -> [`job::Job`] -> [`engine`] feed -> slot -> record -> [`report`].

pub mod batch;
pub mod cli;
pub mod compare;
pub mod engine;
#[doc(hidden)]
pub mod fuzz;
pub mod job;
pub mod model;
pub mod report;
mod sys;
pub mod worker;
pub mod workload;
