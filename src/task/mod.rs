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
mod outcome;
pub mod payload;
mod record;
mod tally;
mod time_limit;
mod values;

pub use attempt::{Attempt, Stop};
pub use cancel::{Cancel, Cause, Level, ServiceFailure};
pub use clock::{Calendar, Moment};
pub use exit::Exit;
pub use fields::{Fields, Kind, Value, packed};
pub use making::{FileStamp, MadeFile, Making, SeenFile, own_name, own_path, temporary_start};
pub use meter::Meter;
pub use outcome::{Outcome, RareParts, Status};
pub use payload::{NoPayload, Payload, PayloadKind, Slice};
pub use record::Record;
pub use tally::Tally;
pub use time_limit::{Limit, MedianLimit};
pub use values::Values;

use std::sync::Arc;
use std::time::Duration;

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
    /// Whether it has waited since its host was left alone.
    pub was_put_off: bool,
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
            was_put_off: false,
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
    /// What their rows would say, each with the name of its stage: a task that goes on is ok, but something may be worth saying.
    pub notes: Vec<String>,
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
