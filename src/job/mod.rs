//! A job file becomes a [`RawJob`], which is its parsed text, and that becomes a [`Job`], in which nothing is left to
//! settle: at once, again when the jobs that it needs have ended, and for each model that it is compared under.
//!
//! Reading looks at the job files, at the files that they name, and at the headers of their inputs; all mistakes of all
//! files are reported together.

mod cluster;
mod group;
mod groups;
mod identity;
mod inputs;
mod needs;
mod plan;
mod read;
mod services;
mod stages;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use cluster::ClusterSettings;
pub use group::{Group, GroupPermit};
pub use inputs::{
    Dealt, DealtFacts, InputError, InputReader, Inputs, NumberedReader, Reported, Stop,
};
pub use read::{Elsewhere, PlannedJob, RawJob, read, read_batch, read_elsewhere};
pub use services::{Address, Ready, Service};

use crate::base::diagnostic::{Diagnostic, Source};
use crate::base::{ByteSize, Count};
use crate::config::{
    Bounds, ColumnBudget, Demand, Enough, Load, Rate, ReportSettings, Retry, RetryOn, Running,
    Secret, StopAfter, Template,
};
use crate::csv::Dialect;
use crate::csv::columns::column_names;
use crate::model::{Model, pilot};
use crate::workload::creates::Creates;
use crate::workload::{Column, Workload};

/// TERM to KILL, unless the file says otherwise.
const GRACE: Duration = Duration::from_secs(10);

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
    /// How many of them are the source's own: by those a task is known to `--resume`.
    pub own_fields: usize,
    /// What is probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// What is fine, and worth knowing before it runs.
    pub remarks: Vec<Diagnostic>,
    /// The inputs of its tasks.
    pub inputs: Inputs,
    /// The services that run meanwhile, in the order in which they are started.
    pub services: Vec<Service>,
    /// What is used and never shown.
    pub secrets: Vec<Arc<Secret>>,
    /// What is done to each, in this order; at least one.
    pub stages: Vec<Stage>,
    /// What each task makes; those whose files are there do not run.
    pub creates: Option<Creates>,
    /// The limits that end the job early or pause it as a whole.
    pub limits: JobLimits,
    /// How the report is written.
    pub report: ReportSettings,
    /// The folder that it is written to, as the user gave it; from the current folder if it is relative.
    pub results: PathBuf,
    /// The identity of the workload and the columns: with a different one, it is a different job to `--resume`.
    pub identity: [u8; 32],
    /// What it asks of a cluster, where it runs on one.
    pub cluster: ClusterSettings,
    /// What it was read from: the text of its file, and that of the `runner.toml` beside it.
    pub texts: Texts,
}

/// What a job was read from.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// The job file.
    pub job: Option<Arc<Source>>,
    /// The `runner.toml` beside it.
    pub settings: Option<Arc<Source>>,
}

impl Job {
    /// Whether its job file came from standard input.
    pub fn is_from_stdin(&self) -> bool {
        crate::config::raw::is_stdin(&self.file)
    }

    /// Whether a task's files are called by its number.
    pub fn names_files_by_number(&self) -> bool {
        // What is known of a block is its content, and its fields say where it lies.
        let is_of_blocks = self.inputs.are_blocks();
        let by_number = |path: &Template| path.has_task() || (is_of_blocks && path.is_per_task());
        let names = |stage: &Stage| match &stage.workload {
            Workload::Command(spec) => spec.outputs().any(|(_, path)| by_number(path.template())),
            Workload::Http(spec) => spec.save().is_some_and(by_number),
            _ => false,
        };
        self.stages.iter().any(names)
            || self.creates.as_ref().is_some_and(|creates| creates.templates().any(by_number))
    }

    /// A job that does this once, in `folder`, and that no file has.
    pub fn once(name: &str, workload: Workload, folder: &Path, results: &Path) -> Self {
        Self {
            name: name.to_owned(),
            description: None,
            file: PathBuf::new(),
            folder: folder.to_owned(),
            fields: Vec::new(),
            own_fields: 0,
            warnings: Vec::new(),
            remarks: Vec::new(),
            inputs: Inputs::once(),
            services: Vec::new(),
            secrets: Vec::new(),
            stages: vec![Stage::once(workload)],
            creates: None,
            limits: JobLimits::default(),
            report: ReportSettings::default(),
            results: results.to_owned(),
            identity: [0; 32],
            cluster: ClusterSettings::default(),
            texts: Texts::default(),
        }
    }

    /// The dialect of the tables that it shares with other jobs, or that are of several runs: `[defaults.report]` of the
    /// `runner.toml` beside it says it.
    pub fn shared_dialect(&self) -> Dialect {
        let settings = self.texts.settings.as_ref();
        let settings = settings.and_then(|source| source.text.parse::<toml::Table>().ok());
        let of = |settings: &toml::Table| {
            settings.get("defaults")?.get("report")?.get("dialect")?.as_str()?.parse().ok()
        };
        settings.as_ref().and_then(of).unwrap_or(Dialect::Csv)
    }

    /// How many fields a task has before the first stage adds its columns.
    pub fn task_fields(&self) -> usize {
        self.creates
            .as_ref()
            .map_or(self.fields.len(), |creates| creates.fields() + creates.count())
    }

    /// How many tasks run at once, in all stages together.
    pub fn concurrency(&self) -> usize {
        self.stages.iter().map(|stage| stage.concurrency).sum()
    }

    /// Whether it has `[[stages]]`: then its report says so much of each.
    pub fn is_staged(&self) -> bool {
        self.stages.iter().any(|stage| stage.name.is_some())
    }

    /// The names of `[[stages]]`; none in a job without.
    pub fn stage_names(&self) -> Vec<String> {
        self.stages.iter().filter_map(|stage| stage.name.clone()).collect()
    }

    /// The names of all columns of its report.
    pub fn report_columns(&self) -> Vec<String> {
        column_names(&self.fields, &self.output_columns(), &self.stage_names(), self.report.host)
    }

    /// The names of `[columns]`, of all stages.
    pub fn output_columns(&self) -> Vec<&str> {
        let columns = self.stages.iter().flat_map(|stage| &stage.columns);
        columns.map(|column| column.name.as_str()).collect()
    }

    /// The longest grace of its stages.
    pub fn grace(&self) -> Duration {
        self.stages.iter().map(|stage| stage.limits.grace).max().unwrap_or_default()
    }
}

/// The limits of a whole job.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JobLimits {
    /// How long the job may take; then it is killed.
    pub deadline: Option<Duration>,
    /// How many failures end it.
    pub stop_after: StopAfter,
    /// How many successes end it.
    pub enough: Option<Enough>,
    /// What happens to the running tasks when a task ends like `stop_on` says.
    pub on_stop: Running,
    /// Below this much available memory, nothing starts.
    pub min_free_memory: Option<ByteSize>,
    /// While the machine is as busy as this, nothing starts.
    pub max_load: Option<Load>,
}

/// How fast attempts may start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// In the long run.
    pub rate: Rate,
    /// How many may start at once after a time without starts; above 0.
    pub burst: u32,
    /// Whether what happened before may have used all of the burst: then the first start is one interval away.
    pub is_charged: bool,
}

/// Where a task that is ok goes at the end of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It has ended: this is the last stage.
    End,
    /// To the next stage, with its output if that is no longer than this.
    Stage {
        /// `max_payload`.
        max_payload: ByteSize,
    },
}

impl Next {
    /// How long a payload may be; `None` if nobody takes one.
    pub fn max_payload(self) -> Option<ByteSize> {
        match self {
            Self::End => None,
            Self::Stage { max_payload } => Some(max_payload),
        }
    }
}

/// What holds the attempts of a stage in bounds.
#[derive(Debug)]
pub struct StageLimits {
    /// How long an attempt may run.
    pub timeout: Option<Duration>,
    /// How long it may run in per cent of the median.
    pub median_timeout: Option<u32>,
    /// How many cores a task takes.
    pub cores: Option<Count>,
    /// How much memory a task may use.
    pub memory: Option<ByteSize>,
    /// From TERM to KILL.
    pub grace: Duration,
    /// How fast attempts may start.
    pub pace: Option<Pace>,
    /// How many attempts may run at once against one host; above 0.
    pub per_host: Option<usize>,
    /// If the number of requests at once finds itself, for each host: its range.
    pub adaptive: Option<Bounds>,
    /// With whom it shares a limit of attempts at once.
    pub group: Option<Group>,
    /// How much its attempts may use of what columns count.
    pub budgets: Vec<ColumnBudget>,
    /// The outcomes that stop the job.
    pub stop_on: Vec<RetryOn>,
}

impl Default for StageLimits {
    fn default() -> Self {
        Self {
            timeout: None,
            median_timeout: None,
            cores: None,
            memory: None,
            grace: GRACE,
            pace: None,
            per_host: None,
            adaptive: None,
            group: None,
            budgets: Vec::new(),
            stop_on: Vec::new(),
        }
    }
}

/// Whether a rule looks into what a failed task has answered.
fn read_answers(limits: &StageLimits, retry: Option<&Retry>) -> bool {
    limits.stop_on.iter().any(RetryOn::reads_answers) || retry.is_some_and(Retry::reads_answers)
}

/// One workload, the model that it runs under, and its limits.
#[derive(Debug)]
pub struct Stage {
    /// Its name in `[[stages]]`; `None` in a job without stages, which is a pipeline of one.
    pub name: Option<String>,
    /// The model that runs the slots.
    pub model: Model,
    /// Why this model: the summary's `reason`.
    pub reason: String,
    /// How many slots, above 0; with a pilot, how many it may grow to.
    pub concurrency: usize,
    /// If the first tasks decide what runs the others: `model` is the one that a pilot begins under.
    pub pilot: Option<pilot::Plan>,
    /// What holds its attempts in bounds.
    pub limits: StageLimits,
    /// Which tasks are attempted again; `None`: none.
    pub retry: Option<Retry>,
    /// The work of one task.
    pub workload: Workload,
    /// Report columns that are taken from the output.
    pub columns: Vec<Column>,
    /// Where the task goes when it has ended.
    pub next: Next,
    /// What its templates need of fields: a task whose fields are something else fails.
    pub demands: Vec<Demand>,
    /// Whether what it is handed has to be in memory as a whole: a template or an argument has it.
    pub loads_payload: bool,
}

impl Stage {
    /// Whether a rule looks into what a failed task has answered.
    pub fn reads_answers(&self) -> bool {
        read_answers(&self.limits, self.retry.as_ref())
    }

    /// Whether its tasks may be attempted more than once.
    pub fn has_attempts(&self) -> bool {
        self.retry.as_ref().is_some_and(Retry::repeats)
    }

    /// A stage of one slot that does this, without limits.
    fn once(workload: Workload) -> Self {
        Self {
            name: None,
            model: Model::Sequential,
            reason: String::new(),
            concurrency: 1,
            pilot: None,
            limits: StageLimits::default(),
            retry: None,
            workload,
            columns: Vec::new(),
            next: Next::End,
            demands: Vec::new(),
            loads_payload: false,
        }
    }
}
