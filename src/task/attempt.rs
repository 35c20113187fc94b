//! One attempt at a task, as its worker sees it: its number, its slot, and when it must stop.

use std::time::Duration;

use crate::base::used_of;
use crate::task::{Cancel, Level, Limit, MedianLimit, Moment, Status, Task, Values, clock};

/// Why an attempt must end before it has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It has run for longer than `limits.timeout`.
    Timeout,
    /// The job is being killed.
    Killed,
    /// It must make room for others; it will run again, and this attempt is not charged.
    Evicted,
    /// It has used more memory than it may, in bytes.
    Memory {
        /// What it used.
        used: u64,
        /// What it may use.
        most: u64,
    },
}

impl Stop {
    /// The status of an attempt that was ended for this reason.
    pub fn status(self) -> Status {
        match self {
            Stop::Timeout => Status::Timeout,
            Stop::Killed | Stop::Evicted => Status::Cancelled,
            Stop::Memory { .. } => Status::Failed,
        }
    }
}

impl Stop {
    /// What the report says about an attempt that was ended for this reason.
    pub fn words(self, limit: Option<Limit>) -> String {
        match (self, limit) {
            (Stop::Killed, _) => "cancelled".into(),
            (Stop::Evicted, _) => "ended to free memory".into(),
            (Stop::Timeout, None) => "timed out".into(),
            (Stop::Timeout, Some(limit)) => format!("timed out after {limit}"),
            (Stop::Memory { used, most }, _) => used_of(used, most),
        }
    }
}

/// What a worker is told in addition to the task.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// From 1.
    pub number: u32,
    /// The slot that it runs in, from 1.
    pub slot: usize,
    /// Its slot counted through all stages, from 1: the number by which attempts are evicted.
    pub global_slot: usize,
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// How long it may run by what is usual.
    pub median: Option<&'a MedianLimit>,
    /// How much memory it may use, in bytes.
    pub memory: Option<u64>,
    /// How long a child has between TERM and KILL.
    pub grace: Duration,
    /// How the job is stopped.
    pub cancel: &'a Cancel,
}

impl<'a> Attempt<'a> {
    /// The values for templates in this attempt.
    pub fn values<'t>(&self, task: &'t Task) -> Values<'t> {
        Values {
            fields: &task.fields,
            task: task.number,
            attempt: self.number,
            slot: self.slot,
            payload: task.payload(),
        }
    }

    /// The same for another task in the same slot.
    #[must_use]
    pub fn of(&self, task: &Task) -> Attempt<'a> {
        Attempt { number: task.attempts + 1, ..*self }
    }

    /// Whether it has a limit of time, or will have one.
    pub fn may_time_out(&self) -> bool {
        self.timeout.is_some() || self.median.is_some()
    }

    /// How long it may run, as far as that is known now.
    pub fn limit(&self) -> Option<Limit> {
        let fixed = self.timeout.map(|after| Limit { after, percent: None });
        let usual = self.median.and_then(MedianLimit::current);
        fixed.into_iter().chain(usual).min_by_key(|limit| limit.after)
    }

    /// Ready as soon as an attempt that started at `started` must end.
    pub async fn stopped(&self, started: Moment) -> Stop {
        let timeout = async {
            match (self.median, self.timeout) {
                (Some(median), fixed) => Box::pin(median.passed(started, fixed)).await,
                (None, Some(timeout)) => clock::sleep_until(started + timeout).await,
                (None, None) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.killing() => Stop::Killed,
            () = self.cancel.evicted(self.global_slot) => Stop::Evicted,
            () = timeout => Stop::Timeout,
        }
    }

    /// For computations, which poll: whether an attempt that started at `started` must end now. Costs a clock read if
    /// there is a timeout, so call it about every millisecond, not in every iteration of a loop.
    pub fn must_stop(&self, started: Moment) -> Option<Stop> {
        if self.cancel.level() == Level::Kill {
            return Some(Stop::Killed);
        }
        if self.cancel.is_evicted(self.global_slot) {
            return Some(Stop::Evicted);
        }
        self.limit().filter(|limit| started.elapsed() > limit.after).map(|_| Stop::Timeout)
    }
}
