//! Why a job failed as a whole, and the exit code that it leads to.

use std::{fmt, io};

use crate::job::InputError;
use crate::report::{ReportError, Summary};
use crate::task::{Cause, Exit, ServiceFailure};

/// Why a job failed as a whole. After a bad input or a dead worker there still is a report.
#[derive(Debug)]
pub enum RunError {
    /// The job was ended early, for this cause; the summary has what was done by then.
    Ended(Cause, Box<Summary>),
    /// The inputs could not be opened.
    Inputs(InputError),
    /// A secret is not there; in words.
    Secret(String),
    /// What it has made before cannot be known; in words.
    Made(String),
    /// The limit of open files is too low for it.
    OpenFiles(String),
    /// The report could not be written.
    Report(ReportError),
    /// The system cannot start threads.
    Threads(io::Error),
    /// It could not run on a cluster; in words, and the exit code.
    Elsewhere(String, Exit),
    /// A bug in the runner.
    Panic,
}

impl RunError {
    /// The exit code that it leads to.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Ended(cause, _) => match cause {
                Cause::Input(_) | Cause::Unfit(_) | Cause::Service(ServiceFailure::NotReady(_)) => {
                    Exit::Usage
                }
                Cause::Service(ServiceFailure::Ended(_))
                | Cause::Failures(_)
                | Cause::OutputClosed => Exit::NotOk,
                Cause::Enough(_) => Exit::Ok,
                Cause::Deadline => Exit::Deadline,
                Cause::Signal(signal) => Exit::Signal(*signal),
                Cause::Report(_) => Exit::NotWritten,
                Cause::Worker(_) => Exit::Internal,
            },
            Self::Inputs(_) | Self::Secret(_) | Self::OpenFiles(_) => Exit::Usage,
            Self::Report(error) if error.is_refusal() => Exit::Usage,
            Self::Report(error) if error.is_write() => Exit::NotWritten,
            Self::Made(_) => Exit::NotWritten,
            Self::Elsewhere(_, exit) => *exit,
            Self::Report(_) | Self::Threads(_) | Self::Panic => Exit::Internal,
        }
    }

    /// The summary of what was done nevertheless.
    pub fn into_summary(self) -> Option<Summary> {
        match self {
            Self::Ended(_, summary) => Some(*summary),
            _ => None,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(cause, _) => cause.fmt(f),
            Self::Inputs(error) => error.fmt(f),
            Self::Secret(message)
            | Self::OpenFiles(message)
            | Self::Made(message)
            | Self::Elsewhere(message, _) => f.write_str(message),
            Self::Report(error) => error.fmt(f),
            Self::Threads(error) => write!(f, "failed to start threads: {error}"),
            Self::Panic => {
                f.write_str("the runner failed, which is a bug; finished tasks are in the report")
            }
        }
    }
}

impl From<ReportError> for RunError {
    fn from(error: ReportError) -> Self {
        Self::Report(error)
    }
}
