//! Why a report could not be started or finished.

use std::path::Path;
use std::{fmt, io};

use crate::base::diagnostic::reason;

/// Why a report could not be started or finished.
#[derive(Debug)]
pub struct ReportError {
    kind: Kind,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The user has to decide first.
    Refused,
    /// A file or folder could not be written.
    Write,
    /// A bug, or the system did not provide what the runner needs.
    Internal,
}

impl ReportError {
    pub(super) fn refused(message: String) -> Self {
        Self { kind: Kind::Refused, message }
    }

    pub(super) fn write(message: String) -> Self {
        Self { kind: Kind::Write, message }
    }

    pub(super) fn writing(path: &Path, error: &io::Error) -> Self {
        Self::write(format!("failed to write `{}`: {}", path.display(), reason(error)))
    }

    pub(super) fn internal(message: String) -> Self {
        Self { kind: Kind::Internal, message }
    }

    /// Whether nothing was attempted because of an obstacle (exit code 2).
    pub fn is_refusal(&self) -> bool {
        self.kind == Kind::Refused
    }

    /// Whether a file or folder could not be written (exit code 6).
    pub fn is_write(&self) -> bool {
        self.kind == Kind::Write
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReportError {}
