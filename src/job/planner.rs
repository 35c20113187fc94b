//! What a workload has to know of its job to read its own table.

use std::ops::Range;
use std::path::{Path, PathBuf};

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

    /// What templates may refer to.
    pub fn scope(&self) -> Scope<'_> {
        Scope { job: &self.job, fields: self.fields.as_deref() }
    }
}
