//! Stopping: whether the job runs, drains or is being killed, and why; and which attempt must make room for others.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

use crate::task::eviction::Evictions;

/// How far the job has been stopped. The level never goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is stopped.
    Run,
    /// No new task starts; running ones finish.
    Drain,
    /// Running tasks are ended too.
    Kill,
}

/// Why a job was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The runner got this signal.
    Signal(i32),
    /// An input turned out to be bad during the run; the message says where.
    Input(String),
    /// The report could not be written; the message says why.
    Report(String),
    /// A worker could not be started; the message says why.
    Worker(String),
    /// The program or function to run cannot work; the message says why.
    Unfit(String),
    /// The job has reached its deadline.
    Deadline,
    /// Too many tasks have failed; the message says how many.
    Failures(String),
    /// Nobody reads the output of the tasks any more.
    OutputClosed,
    /// Enough tasks are ok; the message says how many.
    Enough(String),
    /// A service was never ready, or ended early.
    Service(ServiceFailure),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(message)
            | Self::Report(message)
            | Self::Worker(message)
            | Self::Unfit(message)
            | Self::Failures(message)
            | Self::Enough(message) => f.write_str(message),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::OutputClosed => f.write_str(
                "stopped, since standard output was closed; --resume continues from here",
            ),
            Self::Deadline => f.write_str("ended at the deadline (`limits.deadline`)"),
            Self::Service(failure) => failure.fmt(f),
        }
    }
}

/// Why a job cannot continue: one of its services failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceFailure {
    /// It was never ready; no task has run.
    NotReady(String),
    /// It ended while tasks were running.
    Ended(String),
}

impl fmt::Display for ServiceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotReady(message) | Self::Ended(message)) = self;
        f.write_str(message)
    }
}

/// The stop state of one job, shared by all threads that run it.
#[derive(Debug, Default)]
pub struct Cancel {
    level: AtomicU8,
    cause: OnceLock<Cause>,
    draining: CancellationToken,
    killing: CancellationToken,
    /// Only where an attempt may be ended to make room for others.
    evictions: Option<Evictions>,
}

impl Cancel {
    /// The state of a job in which single attempts may be evicted from these slots.
    pub fn with_evictions(evictions: Evictions) -> Self {
        Self { evictions: Some(evictions), ..Self::default() }
    }

    /// The evictions of single attempts, if the job has any.
    pub fn evictions(&self) -> Option<&Evictions> {
        self.evictions.as_ref()
    }

    /// Stops the job at least as far as `level`. The first cause is the one that is reported.
    pub fn raise(&self, level: Level, cause: Cause) {
        let _ = self.cause.set(cause);
        self.level.fetch_max(level as u8, Ordering::SeqCst);
        if level >= Level::Drain {
            self.draining.cancel();
        }
        if level >= Level::Kill {
            self.killing.cancel();
        }
    }

    /// How far the job has been stopped.
    pub fn level(&self) -> Level {
        match self.level.load(Ordering::Relaxed) {
            0 => Level::Run,
            1 => Level::Drain,
            _ => Level::Kill,
        }
    }

    /// Why the job was stopped, if it was.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.get()
    }

    /// Ready as soon as no new task may start.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Ready as soon as running tasks must end.
    pub async fn killing(&self) {
        self.killing.cancelled().await;
    }

    /// Ready as soon as the attempt in this slot, counted through all stages, must make room.
    pub async fn evicted(&self, slot: usize) {
        match &self.evictions {
            Some(evictions) => evictions.evicted(slot).await,
            None => std::future::pending().await,
        }
    }

    /// Whether the attempt in this slot, counted through all stages, must make room.
    pub fn is_evicted(&self, slot: usize) -> bool {
        self.evictions.as_ref().is_some_and(|evictions| evictions.is_evicted(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_only_ever_stopped_further() {
        let cancel = Cancel::default();
        assert_eq!(cancel.level(), Level::Run);
        cancel.raise(Level::Kill, Cause::Signal(2));
        cancel.raise(Level::Drain, Cause::Signal(15));
        assert_eq!(cancel.level(), Level::Kill);
        assert_eq!(cancel.cause(), Some(&Cause::Signal(2)));
    }
}
