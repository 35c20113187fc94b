//! The vocabulary of a run: tasks go in, outcomes and records come out.

mod attempt;
pub mod cancel;
pub mod clock;
pub mod eviction;
mod exit;
mod fields;
pub mod live;
mod making;
pub mod meter;
pub mod payload;
mod tally;
mod values;

pub use attempt::{Attempt, Stop};
pub use cancel::{Cancel, Cause, Level, ServiceFailure};
pub use clock::{Calendar, Moment};
pub use exit::Exit;
pub use fields::{Fields, Kind, Value};
pub use making::{FileStamp, MadeFile, Making, SeenFile};
pub use meter::Meter;
pub use payload::{NoPayload, Payload, PayloadKind};
pub use tally::Tally;
pub use values::Values;

use std::any::Any;
use std::fs::File;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::base::mask;
use crate::sys::CpuTime;

/// One unit of work: an input of the job, numbered.
#[derive(Clone, Debug)]
pub struct Task {
    /// From 1, in input order.
    pub number: u64,
    /// The input's values, followed by those of `[columns]` of the stages that it has passed.
    pub fields: Fields,
    /// When the task was taken from the inputs, or ended in the stage before.
    pub taken: Moment,
    /// The attempts charged to it so far in this stage.
    pub attempts: u32,
    /// How often its host has refused it while the limit of requests was being found: that is not charged.
    pub refusals: u8,
    /// Whether a worker died while running this task among others, so that it may be the cause: it runs alone from now
    /// on.
    pub is_suspect: bool,
    /// The result of the last of them, if there was one. Boxed, since most tasks are attempted once.
    pub earlier: Option<Box<Earlier>>,
    /// The stages that it has passed, if there were any.
    pub passed: Option<Box<Passed>>,
    /// What it is to make, in a job with `creates`.
    pub making: Option<Box<Making>>,
}

impl Task {
    /// A task that has just been taken from the inputs.
    pub fn new(number: u64, fields: Fields) -> Self {
        Self::taken_at(Moment::now(), number, fields)
    }

    /// A task that was taken from the inputs at this moment.
    #[inline]
    pub fn taken_at(taken: Moment, number: u64, mut fields: Fields) -> Self {
        // What the input hands to the first stage is like what a stage hands on.
        let passed = fields
            .take_payload()
            .map(|payload| Box::new(Passed { payload: Some(payload), ..Passed::default() }));
        Self {
            number,
            fields,
            taken,
            attempts: 0,
            refusals: 0,
            is_suspect: false,
            earlier: None,
            passed,
            making: None,
        }
    }

    /// The payload from the previous stage; `None` in the first one.
    pub fn payload(&self) -> Option<&Payload> {
        self.passed.as_ref()?.payload.as_deref()
    }

    /// The payload, for loading and unloading.
    pub fn payload_mut(&mut self) -> Option<&mut Payload> {
        self.passed.as_mut()?.payload.as_mut().and_then(Arc::get_mut)
    }

    /// The stage that it is in, from 0.
    pub fn stage(&self) -> usize {
        self.passed.as_ref().map_or(0, |passed| passed.stages.len())
    }
}

/// The earlier attempts of a task that is to be attempted again: they make its row if there is no further attempt.
#[derive(Clone, Debug)]
pub struct Earlier {
    /// When the first one started.
    pub first_started: Moment,
    /// From being taken to the first start.
    pub queued: Duration,
    /// The slot of the last one.
    pub slot: Option<usize>,
    /// The outcome of the last one.
    pub outcome: Outcome,
    /// What `[columns]` found in its output.
    pub columns: Vec<Option<Vec<u8>>>,
}

/// The stages that a task has passed, without the one that it is in.
#[derive(Clone, Debug, Default)]
pub struct Passed {
    /// When the first attempt of the first stage started.
    pub first_started: Option<Moment>,
    /// The times and attempts of each stage, in their order.
    pub stages: Vec<StageRecord>,
    /// Processor time, summed over the stages where it was measured.
    pub cpu: Option<CpuTime>,
    /// The biggest peak of resident memory, in bytes.
    pub peak_rss: Option<u64>,
    /// The values of the stages' `[columns]`, in their order.
    pub columns: Vec<Option<Vec<u8>>>,
    /// The payload from the last of them.
    pub payload: Option<Arc<Payload>>,
}

/// The times and attempts of a task in one stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageRecord {
    /// From being taken, or from its end in the stage before, to the first start; `None` if it never started.
    pub queued: Option<Duration>,
    /// How long the last attempt took; `None` if it never started.
    pub run: Option<Duration>,
    /// Attempts that were charged.
    pub attempts: u32,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It succeeded.
    Ok,
    /// It ended by itself and reported a failure, or did not meet what the job expects.
    Failed,
    /// It took longer than `limits.timeout` and was ended.
    Timeout,
    /// It was ended by a signal that the runner did not send, or its worker died.
    Crashed,
    /// It was ended, or never started, because the job was stopped.
    Cancelled,
    /// It did not have to run: what it creates is there.
    Skipped,
}

impl Status {
    /// Every status, in the order of the summary's columns.
    pub const ALL: [Status; 6] = [
        Status::Ok,
        Status::Failed,
        Status::Timeout,
        Status::Crashed,
        Status::Cancelled,
        Status::Skipped,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Failed => "failed",
            Status::Timeout => "timeout",
            Status::Crashed => "crashed",
            Status::Cancelled => "cancelled",
            Status::Skipped => "skipped",
        }
    }
}

/// The outcome of an attempt. What was not measured is `None` and becomes an empty cell.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Whether the work itself started at all. If not, its times mean nothing.
    pub has_run: bool,
    /// When the work itself started.
    pub started: Moment,
    /// How long the work itself took.
    pub run: Duration,
    /// Processor time of this attempt alone.
    pub cpu: Option<CpuTime>,
    /// Peak resident memory of this attempt alone, in bytes.
    pub peak_rss: Option<u64>,
    /// Exit code (or HTTP status).
    pub code: Option<i32>,
    /// The cell `result`, before the report makes it safe.
    pub result: Vec<u8>,
    /// Whether `result` is text or the JSON of a value, for which it is empty if the value is null.
    pub result_kind: PayloadKind,
    /// The captured output, which `[columns]` read. Empty if it is the same as `result`.
    pub output: Vec<u8>,
    /// What it hands on to the next stage, if there is one; if it is `None`, that is `result`.
    pub payload: Option<Arc<Payload>>,
    /// The size of the whole output, captured or not.
    pub output_bytes: Option<u64>,
    /// The cause of a failure, then the end of standard error. Empty if there is nothing to report.
    pub error: String,
    /// How many worker processes it has killed, in this attempt and earlier ones.
    pub workers_lost: u32,
    /// `None` if all of it is empty. Boxed, since an outcome is moved several times on its way to the report.
    pub rare: Option<Box<RareParts>>,
}

/// The parts of an outcome that most outcomes lack.
#[derive(Clone, Debug, Default)]
pub struct RareParts {
    /// The output as UTF-8 for `[columns]`, where that differs from `output`.
    pub text: Option<Vec<u8>>,
    /// The values of `[columns]`, if the workload has found them itself; else they are found in the output.
    pub columns: Option<Vec<Option<Vec<u8>>>>,
    /// The response headers that `[columns]` read. Empty except for http.
    pub headers: Box<[(String, Vec<u8>)]>,
    /// The whole output, if it is to be printed and is longer than `output`.
    pub whole_output: Option<Arc<File>>,
    /// Whether its output has been printed while it ran.
    pub is_printed: bool,
    /// What is to be said of its result, once for all like it.
    pub note: Option<Box<str>>,
    /// How long to wait before the next attempt, if a server has asked for that.
    pub retry_after: Option<Duration>,
    /// What the next attempt can continue from; only its workload knows what it is.
    pub left: Option<Arc<dyn Any + Send + Sync>>,
}

impl Outcome {
    /// An outcome with nothing measured beyond its times.
    pub fn new(status: Status, started: Moment, run: Duration) -> Self {
        Self {
            status,
            started,
            has_run: true,
            run,
            cpu: None,
            peak_rss: None,
            code: None,
            result: Vec::new(),
            result_kind: PayloadKind::Bytes,
            output: Vec::new(),
            payload: None,
            output_bytes: None,
            error: String::new(),
            workers_lost: 0,
            rare: None,
        }
    }

    /// The parts that most outcomes lack.
    pub fn rare(&self) -> &RareParts {
        static NONE: LazyLock<RareParts> = LazyLock::new(RareParts::default);
        self.rare.as_deref().unwrap_or_else(|| &NONE)
    }

    /// The same, to be set.
    pub fn rare_mut(&mut self) -> &mut RareParts {
        self.rare.get_or_insert_default()
    }

    /// The same, taken out.
    pub fn take_rare(&mut self) -> RareParts {
        self.rare.take().map(|parts| *parts).unwrap_or_default()
    }

    /// What `[columns]` and rules read: the output as text.
    pub fn readable(&self) -> &[u8] {
        let kept = if self.output.is_empty() { &self.result } else { &self.output };
        self.rare().text.as_ref().unwrap_or(kept)
    }

    /// Keeps secrets out of everything that is written down.
    pub fn mask(&mut self) {
        if !mask::is_in_use() {
            return;
        }
        mask::apply_to_string(&mut self.error);
        mask::apply_to(&mut self.result);
        mask::apply_to(&mut self.output);
    }

    /// Turns it into a failure because there is no payload for the next stage.
    pub fn withhold(&mut self, why: &NoPayload) {
        if self.status == Status::Ok {
            self.status = Status::Failed;
            self.error = why.to_string();
        }
        self.payload = None;
    }

    /// Makes it a failure for this reason; if it is one already, the reason is noted.
    pub fn fail(&mut self, reason: &str) {
        if self.status == Status::Ok {
            self.status = Status::Failed;
        }
        self.note(reason);
    }

    /// Adds to the end of what there is to say.
    pub fn append(&mut self, note: &str) {
        if !self.error.is_empty() {
            self.error.push_str("; ");
        }
        self.error.push_str(note);
    }

    /// Adds to the start of what there is to say.
    pub fn note(&mut self, note: &str) {
        if !self.error.is_empty() {
            self.error.insert_str(0, "; ");
        }
        self.error.insert_str(0, note);
    }

    /// A failure that happened before the work could start.
    pub fn not_started(error: impl Into<String>) -> Self {
        let error = error.into();
        Self { error, has_run: false, ..Self::new(Status::Failed, Moment::now(), Duration::ZERO) }
    }
}

/// One finished task, on its way to the report.
#[derive(Clone, Debug)]
pub struct Record {
    /// The task; its `attempts` count those that were charged.
    pub task: Task,
    /// From 1; `None` if the task never started.
    pub slot: Option<usize>,
    /// From being taken to the first start; `None` if it never started.
    pub queued: Option<Duration>,
    /// When the first attempt started; `None` if the task never started.
    pub first_started: Option<Moment>,
    /// The last attempt's outcome.
    pub outcome: Outcome,
    /// The values of `[columns]`, in their order; `None` where the output had none.
    pub columns: Vec<Option<Vec<u8>>>,
}

impl Record {
    /// How long it was queued and how long it ran, in all stages together; `None` if it never started.
    pub fn times(&self) -> Option<(Duration, Duration)> {
        self.first_started?;
        Some(match &self.task.passed {
            Some(passed) if !passed.stages.is_empty() => (
                passed.stages.iter().filter_map(|stage| stage.queued).sum(),
                passed.stages.iter().filter_map(|stage| stage.run).sum(),
            ),
            _ => (self.queued.unwrap_or_default(), self.outcome.run),
        })
    }

    /// Attempts that were charged, in all stages together.
    pub fn attempts(&self) -> u32 {
        match &self.task.passed {
            Some(passed) if !passed.stages.is_empty() => {
                passed.stages.iter().map(|stage| stage.attempts).sum()
            }
            _ => self.task.attempts,
        }
    }

    /// Keeps secrets out of the columns; the outcome has been masked before.
    pub fn mask_columns(&mut self) {
        if mask::is_in_use() {
            self.columns.iter_mut().flatten().for_each(mask::apply_to);
        }
    }

    /// Its times and attempts in its stage.
    fn stage_record(&self) -> StageRecord {
        let started = self.queued.is_some() && self.outcome.has_run;
        StageRecord {
            queued: self.queued,
            run: started.then_some(self.outcome.run),
            attempts: self.task.attempts,
        }
    }

    /// Turns it into the record of all stages that the task has been in. The inputs have `fields` fields.
    pub fn in_all_stages(&mut self, fields: usize) {
        let stage = self.stage_record();
        let passed = self.task.passed.get_or_insert_default();
        passed.stages.push(stage);
        passed.payload = None;
        self.first_started = passed.first_started.or(self.first_started);
        self.outcome.cpu = CpuTime::sum(passed.cpu, self.outcome.cpu);
        self.outcome.peak_rss = passed.peak_rss.max(self.outcome.peak_rss);
        let columns = std::mem::take(&mut passed.columns);
        self.columns.splice(0..0, columns);
        self.task.fields.truncate(fields);
    }

    /// The task as it enters the next stage. The inputs have `fields` fields.
    pub fn into_next_stage(self, fields: usize, payload: Arc<Payload>) -> Task {
        let stage = self.stage_record();
        let Self { mut task, first_started, outcome, columns, .. } = self;
        let mut passed = task.passed.take().unwrap_or_default();
        passed.stages.push(stage);
        passed.first_started = passed.first_started.or(first_started);
        passed.cpu = CpuTime::sum(passed.cpu, outcome.cpu);
        passed.peak_rss = passed.peak_rss.max(outcome.peak_rss);
        passed.payload = Some(payload);
        task.fields.pad(fields + passed.columns.len());
        for column in &columns {
            task.fields.push(column.as_deref().unwrap_or_default());
        }
        passed.columns.extend(columns);
        task.taken = outcome.started + outcome.run;
        task.attempts = 0;
        task.passed = Some(passed);
        task
    }

    /// The record of a task whose input cannot be used: it fails, and no attempt is charged.
    pub fn unusable(task: Task, columns: usize) -> Self {
        let cause = task.fields.cause().unwrap_or_default().to_owned();
        let outcome = Outcome { error: cause, ..Outcome::not_started("") };
        let columns = vec![None; columns];
        Self { task, slot: None, queued: None, first_started: None, outcome, columns }
    }

    /// The record of a task that did not have to run.
    pub fn skipped(task: Task, columns: usize) -> Self {
        let outcome = Outcome { status: Status::Skipped, ..Outcome::not_started("") };
        let columns = vec![None; columns];
        Self { task, slot: None, queued: None, first_started: None, outcome, columns }
    }

    /// The record of a task that does not run, or not again: it ends like its last attempt, or as cancelled.
    pub fn unrun(mut task: Task, columns: usize) -> Self {
        if let Some(earlier) = task.earlier.take() {
            return earlier.into_record(task);
        }
        if task.fields.cause().is_some() {
            return Self::unusable(task, columns);
        }
        let outcome = Outcome::new(Status::Cancelled, task.taken, Duration::ZERO);
        let columns = vec![None; columns];
        Self { task, slot: None, queued: None, first_started: None, outcome, columns }
    }
}

impl Earlier {
    fn into_record(self, task: Task) -> Record {
        Record {
            task,
            slot: self.slot,
            queued: Some(self.queued),
            first_started: Some(self.first_started),
            outcome: self.outcome,
            columns: self.columns,
        }
    }
}
