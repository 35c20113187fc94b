//! `runner`: job files become tasks, tasks run in bounded pools, and every task becomes a row of a CSV report.
//!
//! The way through, forward only:
//! `jobs/*.toml` -> [`job::Job`] -> [`engine`] feed -> slot -> record -> [`report`].

pub mod batch;
pub mod cli;
pub mod compare;
pub mod diagnostic;
pub mod engine;
pub mod exit;
#[doc(hidden)]
pub mod fuzz;
pub mod host;
pub mod job;
pub mod json;
pub mod model;
pub mod report;
mod sys;
pub mod workload;
