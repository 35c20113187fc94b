//! A job file becomes a [`Job`]: a raw mirror of the file, then a plan with nothing left to settle.
//!
//! Reading does no I/O but on the files that it was given, and reports all mistakes of all files together.

mod columns;
mod document;
mod fields;
mod identity;
mod inputs;
mod limits;
mod name;
mod overrides;
mod plan;
mod planner;
mod read;
mod report;
mod setting;
mod size;
mod syntax;
mod table;
mod template;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

pub use columns::Column;
pub use fields::Fields;
pub use inputs::{InputError, InputReader, Inputs};
pub use limits::{Concurrency, Period, RawModel, Timeout};
pub use name::JobName;
pub use overrides::Overrides;
pub use planner::Planner;
pub use read::read;
pub use report::{Dialect, Order, ReportSettings};
pub use size::ByteSize;
pub use table::Table;
pub use template::{Scope, Template, TemplateError, Values};

use crate::model::Model;
use crate::workload::Workload;

/// A job, planned: what to do, to which inputs, how, and what comes out.
#[derive(Debug)]
pub struct Job {
    /// Names the report; letters, digits, `_`, `-`.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The job file as it was named on the command line, for messages.
    pub file: PathBuf,
    /// The folder of the job file, absolute: relative paths start here.
    pub folder: PathBuf,
    /// The names of the inputs' fields, in order.
    pub fields: Vec<String>,
    /// Where the tasks come from.
    pub inputs: Inputs,
    /// What is done to each.
    pub stage: Stage,
    /// How the report is written.
    pub report: ReportSettings,
    /// What the workload and the columns come to: another one is another job to `--resume`.
    pub identity: [u8; 32],
}

/// One workload, the model that it runs under, and its limits.
#[derive(Debug)]
pub struct Stage {
    /// Who runs the slots.
    pub model: Model,
    /// Why this model: the summary's `reason`.
    pub reason: String,
    /// How many slots, above 0.
    pub concurrency: usize,
    /// How long an attempt may run.
    pub timeout: Option<Duration>,
    /// From TERM to KILL.
    pub grace: Duration,
    /// What one task does.
    pub workload: Workload,
    /// Report columns that are taken from the output.
    pub columns: Vec<Column>,
}
