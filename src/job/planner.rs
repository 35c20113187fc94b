//! What a workload has to know of its job to read its own table.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::job::document::Document;
use crate::job::template::Scope;

/// The job that is being planned.
#[derive(Debug)]
pub struct Planner<'a> {
    pub(super) document: &'a Document,
    pub(super) job: String,
    pub(super) folder: PathBuf,
    /// `None` if the inputs are wrong, or do not say.
    pub(super) fields: Option<Vec<String>>,
    pub(super) absent: Absent,
}

/// What becomes of a file or program that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// It is a mistake.
    Mistake,
    /// A needed job may make it.
    ToCome,
}

impl Absent {
    /// Notes that something is missing.
    pub fn note(self, document: &Document, absence: Diagnostic) {
        match self {
            Self::Mistake => document.report(absence),
            Self::ToCome => document.report_absent(absence),
        }
    }
}

impl Planner<'_> {
    /// The job's name.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The folder of the job file, absolute.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of the inputs' fields.
    pub fn fields(&self) -> &[String] {
        self.fields.as_deref().unwrap_or_default()
    }

    /// Notes a mistake at its place.
    pub fn error(&self, span: Range<usize>, message: impl Into<String>) {
        self.document.error(&span, message);
    }

    /// Notes a mistake at its place, and the way out.
    pub fn error_with_help(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.document.error_with_help(&span, message, help);
    }

    /// Notes that something is not there that the job will need. A mistake, unless one of the jobs that this one needs
    /// may make it: then it is looked for again when the job's turn comes.
    pub fn absent(&self, span: Range<usize>, message: impl Into<String>, help: Option<String>) {
        let absence = Diagnostic::new(message).at(self.document.place(&span));
        let absence = match help {
            Some(help) => absence.help(help),
            None => absence,
        };
        self.absent.note(self.document, absence);
    }

    /// Whether what stands at `span` was said of every job, and need not suit this one.
    pub(super) fn is_default(&self, span: &Range<usize>) -> bool {
        self.document.is_default(span)
    }

    /// What templates may refer to.
    pub fn scope(&self) -> Scope<'_> {
        Scope { job: &self.job, fields: self.fields.as_deref() }
    }
}
