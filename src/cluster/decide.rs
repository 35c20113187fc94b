//! What is done about a shard, from what its files and the scheduler say of it. Pure: a table, and nothing else.
//!
//! Files come first: a shard that is linked is done, whatever the scheduler says. The scheduler only decides whether one
//! that is not linked is started again.

use std::time::Duration;

use crate::cluster::engine::{Found, How};
use crate::cluster::reason::Outlook;

/// The exit code of a shard that was stopped, and whose other tasks can run later.
pub const EXIT_LATER: u8 = 75;

/// The exit code of a shard whose rows cannot be written.
pub const EXIT_DISK: u8 = 6;

/// The exit code of a shard whose job cannot run as it stands.
pub const EXIT_USAGE: u8 = 2;

/// The exit code of a shard that has reached the job's deadline.
pub const EXIT_DEADLINE: u8 = 124;

/// The exit code of a shard whose job has stopped by a rule of its own; its end note says which.
pub const EXIT_STOPPED: u8 = 76;

/// Exit codes of a program that is not there, that cannot be executed, or that the processor does not understand.
const CANNOT_RUN: [u8; 3] = [126, 127, 132];

/// How long a file may be late on a shared file system.
pub const LATE: Duration = Duration::from_mins(2);

/// A start that was shorter than this is not repeated at once.
const SHORT: Duration = Duration::from_secs(10);

/// What is known of the last start of a shard.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// Whether its folder is there.
    pub has_begun: bool,
    /// How many tasks of the shard have rows now, in whichever start.
    pub rows: u64,
    /// How many had when it was submitted.
    pub rows_before: u64,
    /// How many starts before it, in a row, have brought no new row.
    pub in_vain: u32,
    /// How long it has been seen to run.
    pub ran: Duration,
    /// How long the scheduler has said that it runs.
    pub said_to_run: Duration,
    /// How long ago it was first seen to have ended.
    pub ended: Duration,
    /// Whether its end note says that a rule of the job has stopped it.
    pub is_stopped: bool,
}

/// What holds for the whole run.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How many starts in a row may bring no new row.
    pub tries: u32,
    /// Whether any task of any shard has a row.
    pub has_rows: bool,
    /// How long a start waits after a short one; twice as long after each in vain.
    pub pause: Duration,
    /// Whether the user has stopped the run: nothing is started again.
    pub is_stopping: bool,
    /// Whether this is the first look of a driver that goes on with a run: somebody has said `--resume`, so that what was
    /// cancelled, or failed for the disk, before that has its next chance.
    pub resumes: bool,
    /// How long it may take from the start of an element to its folder.
    pub setup: Duration,
}

/// What is done about a shard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Nothing yet.
    Wait,
    /// Its rows are collected.
    Collect,
    /// It is started again after this time, for this reason.
    Again(Duration, String),
    /// Its element is taken away first, and it is started again then.
    TakeAway(String),
    /// It is not started again: it has brought no new row too often.
    GiveUp(String),
    /// It is not started again: somebody has taken it away, or the run is being stopped.
    Withdrawn(String),
    /// The whole run stops.
    StopRun(Fatal),
}

/// Why the whole run stops.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fatal {
    /// Rows cannot be written.
    Disk,
    /// The job cannot run as it stands; the shard's log says why.
    Usage,
    /// The node cannot run the runner; the exit code says how.
    CannotRun(u8),
    /// The job has reached its deadline.
    Deadline,
    /// A rule of the job stops it; the end note of the start says which.
    Rule,
    /// The node does not see the folder of the results.
    Unseen,
}

/// What is done about a shard whose last start is `history` and whose element is `found`; `is_linked` says whether it is
/// done.
pub fn decide(is_linked: bool, found: &Found, history: &History, terms: &Terms) -> Decision {
    if is_linked {
        return Decision::Collect;
    }
    if history.is_stopped {
        return Decision::StopRun(Fatal::Rule); // the scheduler may have forgotten the exit code that says so
    }
    let (how, code) = match found {
        Found::Waiting { outlook: Outlook::Held, reason } => {
            if terms.is_stopping {
                return Decision::Wait; // it is being cancelled
            }
            return Decision::TakeAway(reason.clone());
        }
        Found::Running { .. }
            if !history.has_begun && !terms.has_rows && history.said_to_run > terms.setup =>
        {
            return Decision::StopRun(Fatal::Unseen);
        }
        Found::Waiting { .. } | Found::Running { .. } => return Decision::Wait,
        Found::Ended { how, code, .. } => (*how, *code),
        Found::Absent if !history.has_begun && !terms.resumes => {
            return Decision::Withdrawn("its element was cancelled while it waited".into());
        }
        Found::Absent if !history.has_begun => (How::Cancelled, 0),
        Found::Absent | Found::Forgotten => (How::Failed, EXIT_LATER),
    };
    match (how, code) {
        (How::Completed, _) if history.ended < LATE => Decision::Wait,
        (How::Failed, EXIT_DEADLINE) => Decision::StopRun(Fatal::Deadline),
        (How::Failed, EXIT_STOPPED) => Decision::StopRun(Fatal::Rule),
        _ if terms.resumes && !terms.is_stopping => {
            Decision::Again(Duration::ZERO, reason(how, code))
        }
        (How::Failed, EXIT_DISK) => Decision::StopRun(Fatal::Disk),
        (How::Failed, EXIT_USAGE) if !terms.has_rows => Decision::StopRun(Fatal::Usage),
        (How::Failed, code) if CANNOT_RUN.contains(&code) && !terms.has_rows => {
            Decision::StopRun(Fatal::CannotRun(code))
        }
        (How::Cancelled, _) => Decision::Withdrawn("its element was cancelled".into()),
        _ if terms.is_stopping => Decision::Withdrawn("the run was stopped".into()),
        _ => again(how, code, history, terms),
    }
}

fn again(how: How, code: u8, history: &History, terms: &Terms) -> Decision {
    let reason = reason(how, code);
    let in_vain = if history.rows > history.rows_before { 0 } else { history.in_vain + 1 };
    if in_vain >= terms.tries {
        let starts = if in_vain == 1 { "1 start" } else { &format!("{in_vain} starts in a row") };
        return Decision::GiveUp(format!("{starts} without a new row, the last one: {reason}"));
    }
    let is_drained = how == How::Failed && code == EXIT_LATER;
    let pause = if history.ran >= SHORT || is_drained && in_vain == 0 {
        Duration::ZERO
    } else {
        terms.pause * (1 << in_vain.min(6))
    };
    Decision::Again(pause, reason)
}

/// How a start has ended, in words.
fn reason(how: How, code: u8) -> String {
    match (how, code) {
        (How::Completed, _) => "it ended without an error, but left no whole result".into(),
        (How::Failed, EXIT_LATER) => "it was stopped before its end".into(),
        (How::Failed, code) if code > 128 => format!("signal {}", code - 128),
        (How::Failed, code) => format!("exit code {code}"),
        (How::Cancelled, _) => "cancelled".into(),
        (How::NodeLost, _) => "its node was lost".into(),
        (How::TimeLimit, _) => "the time limit".into(),
        (How::Preempted, _) => "it had to make room (preempted)".into(),
        (How::OutOfMemory, _) => "out of memory".into(),
        (How::NotStarted, _) => "the scheduler could not start it".into(),
        (How::Deadline, _) => "a deadline of the scheduler".into(),
    }
}

#[cfg(test)]
mod tests;
