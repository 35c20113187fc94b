//! Why a job failed as a whole, and the exit code that it leads to.

use std::{fmt, io};

use crate::report::{ReportError, Summary};
use crate::task::Exit;
use crate::task::ServiceFailure;

/// Why a job failed as a whole. After a bad input or a dead worker there still is a report.
#[derive(Debug)]
pub enum RunError {
    /// An input turned out to be bad; the message says where.
    BadInput(String, Option<Box<Summary>>),
    /// The limit of open files is too low for the job.
    OpenFiles(String),
    /// The program or function to run cannot work.
    Unfit(String, Box<Summary>),
    /// A worker could not be started.
    Worker(String, Box<Summary>),
    /// The job was killed at its deadline.
    Deadline(Box<Summary>),
    /// A service was never ready, or ended early.
    Service(ServiceFailure, Box<Summary>),
    /// The report could not be written.
    Report(ReportError),
    /// The system cannot start threads.
    Threads(io::Error),
    /// A bug in the runner.
    Panic,
}

impl RunError {
    /// The exit code that it leads to.
    pub fn exit(&self) -> Exit {
        match self {
            Self::BadInput(..)
            | Self::OpenFiles(_)
            | Self::Unfit(..)
            | Self::Service(ServiceFailure::NotReady(_), _) => Exit::Usage,
            Self::Service(ServiceFailure::Ended(_), _) => Exit::NotOk,
            Self::Report(error) if error.is_refusal() => Exit::Usage,
            Self::Report(error) if error.is_write() => Exit::NotWritten,
            Self::Deadline(_) => Exit::Deadline,
            Self::Worker(..) | Self::Report(_) | Self::Threads(_) | Self::Panic => Exit::Internal,
        }
    }

    /// The summary of what was done nevertheless.
    pub fn into_summary(self) -> Option<Summary> {
        match self {
            Self::BadInput(_, summary) => summary.map(|summary| *summary),
            Self::Unfit(_, summary)
            | Self::Worker(_, summary)
            | Self::Service(_, summary)
            | Self::Deadline(summary) => Some(*summary),
            Self::OpenFiles(_) | Self::Report(_) | Self::Threads(_) | Self::Panic => None,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadInput(message, _)
            | Self::OpenFiles(message)
            | Self::Unfit(message, _)
            | Self::Worker(message, _) => f.write_str(message),
            Self::Deadline(_) => f.write_str("ended at the deadline (`limits.deadline`)"),
            Self::Service(failure, _) => failure.fmt(f),
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
