//! What a run tells its report: how it is to be written, and what the report cannot know by itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::resume::start::Begin;
use super::terminal::progress;
use super::terminal::task_output::Printing;
use crate::sys::CpuTime;
use crate::task::{Calendar, Moment};
use crate::workload::claims::Claims;
use crate::workload::written::WrittenFiles;

/// The options of a run for its reports.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the reports; created if missing.
    pub results: PathBuf,
    /// What to do with the report of an earlier run.
    pub begin: Begin,
    /// How each task's output is printed, if it is.
    pub output: Option<Printing>,
    /// How progress is shown.
    pub progress: progress::Mode,
    /// The files that tasks of this call write.
    pub claims: Arc<Claims>,
    /// What becomes of tasks whose files are there.
    pub standing: Standing,
    /// In a comparison, what becomes known of the files that tasks write; they are not kept.
    pub written: Option<Arc<WrittenFiles>>,
    /// How a new report makes the identities of inputs; by chance if it is not given.
    pub identities: Option<Identities>,
}

/// How a report makes the identities of inputs, by which `--resume` finds their rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identities {
    /// The seed of the hash.
    pub seed: u64,
    /// Whether it tells a number from the text that is written like it: a report of an older runner does not.
    pub tells_kinds: bool,
}

/// What becomes of a task that is up to date, in a job with `creates`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It is skipped.
    #[default]
    Kept,
    /// It runs.
    Forced,
    /// It runs, and what it makes goes elsewhere and is deleted.
    Compared,
}

/// Facts about a run that the report cannot know by itself.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// When the user started to wait for this job.
    pub started: Moment,
    /// What a driver before this one has done of the run.
    pub before: Before,
    /// From then until the pool was ready.
    pub startup: Duration,
    /// The part of it that services took to be ready, and to end.
    pub services: ServiceTimes,
    /// How long computations held an event loop that other tasks shared.
    pub held: Duration,
    /// The job's calendar.
    pub calendar: Calendar,
    /// The name of the model that ran the slots, or [`STAGED`].
    pub model: &'static str,
    /// The number of slots of all stages.
    pub concurrency: usize,
    /// Why this model.
    pub reason: String,
    /// The runner's processor time for this job, used if no task was measured by itself.
    pub cpu: Option<CpuTime>,
    /// The peak memory of the biggest worker process, in bytes. What a task in it says of itself may be a part only.
    pub worker_peak: Option<u64>,
    /// The runner's peak memory in bytes, used if nothing else was measured.
    pub own_peak: Option<u64>,
    /// The 99th percentile of run times that count from when the tasks were due, where there is a rate.
    pub due_p99: Option<Duration>,
    /// Further notes for the terminal.
    pub notes: Vec<String>,
    /// Whether the inputs were not read to their end, since one of them was bad.
    pub saw_a_part: bool,
    /// Whether the job was stopped because enough of its tasks are ok.
    pub is_enough: bool,
    /// Which of `[[stages]]` is the bottleneck, and how busy each was; `None` for a job without stages.
    pub busy: Option<String>,
}

/// What earlier drivers have done of a run that goes on without them; nothing on this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// How long the run had been going on.
    pub wall: Duration,
    /// How many of the kept rows are of this run.
    pub rows: u64,
}

/// How long a job waited for its services; zero if it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceTimes {
    /// Until all were ready: a part of its start-up.
    pub start: Duration,
    /// From the end of the last task until all had ended.
    pub end: Duration,
}
