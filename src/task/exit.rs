//! Exit codes, and the one for a run of several jobs.

use std::process::ExitCode;

use crate::task::Tally;

/// How a job, or the whole run, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Every task is ok.
    Ok,
    /// A bug in the runner, or the system did not provide what it needs.
    Internal,
    /// Bad usage, job file or input.
    Usage,
    /// Some tasks are not ok.
    NotOk,
    /// There was no task to run.
    Nothing,
    /// Not all results could be written.
    NotWritten,
    /// A job reached its deadline.
    Deadline,
    /// This signal ended the run.
    Signal(i32),
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Internal => 1,
            Exit::Usage => 2,
            Exit::NotOk => 3,
            Exit::Nothing => 4,
            Exit::NotWritten => 6,
            Exit::Deadline => 124,
            Exit::Signal(signal) => 128_u8.saturating_add(signal as u8),
        }
    }

    /// The exit of a job whose report is complete.
    pub fn of_tasks(tally: &Tally) -> Exit {
        match tally.total() {
            0 => Exit::Nothing,
            _ if tally.all_ok() => Exit::Ok,
            _ => Exit::NotOk,
        }
    }

    /// The exit of a whole run, from those of its jobs: the first that applies of a signal, 1, 6, 124, 2, 3, then 4
    /// only if no job had a task.
    pub fn of_jobs(jobs: &[Exit]) -> Exit {
        let order =
            [Exit::Internal, Exit::NotWritten, Exit::Deadline, Exit::Usage, Exit::NotOk, Exit::Ok];
        let signal = jobs.iter().copied().find(|exit| matches!(exit, Exit::Signal(_)));
        signal
            .or_else(|| order.into_iter().find(|exit| jobs.contains(exit)))
            .unwrap_or(Exit::Nothing)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_counts() {
        use Exit::{Deadline, Internal, NotOk, NotWritten, Nothing, Ok, Signal, Usage};
        for (jobs, whole) in [
            (vec![Ok, Ok], Ok),
            (vec![Ok, Nothing], Ok),
            (vec![Nothing, Nothing], Nothing),
            (vec![Nothing, NotOk], NotOk),
            (vec![NotOk, Usage], Usage),
            (vec![Usage, Deadline], Deadline),
            (vec![Deadline, NotWritten], NotWritten),
            (vec![NotWritten, Internal], Internal),
            (vec![Internal, Signal(15)], Signal(15)),
        ] {
            assert_eq!(Exit::of_jobs(&jobs), whole, "{jobs:?}");
        }
        assert_eq!((Signal(2).code(), Deadline.code()), (130, 124));
    }
}
