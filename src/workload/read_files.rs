//! The files that tasks must not write over: what a task is made from, and what its job reads.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::target::Target;
use crate::config::{FoundFiles, Planner};
use crate::task::Values;

/// The longest path, in bytes.
const MAX_PATH: usize = 4095;

/// What a job and its tasks read.
#[derive(Clone, Debug, Default)]
pub struct ReadFiles {
    /// Where relative paths start.
    folder: PathBuf,
    /// The job file, its inputs, its settings and what they name.
    of_job: Vec<PathBuf>,
    /// How many of the first fields may be paths of files that the task reads.
    fields: usize,
    /// The inputs, where a pattern finds them.
    found: Option<FoundFiles>,
}

impl ReadFiles {
    /// Those of a job whose tasks may read whatever a field of their inputs names, as programs do.
    pub fn new(plan: &Planner<'_>) -> Self {
        let of_job = plan.sources().to_vec();
        let (fields, found) = (plan.own_fields(), plan.found_files().cloned());
        Self { folder: plan.folder().to_owned(), of_job, fields, found }
    }

    /// Those of a job whose tasks read what a pattern of the inputs has found; other fields are only texts.
    pub fn of_found(plan: &Planner<'_>) -> Self {
        let mut files = Self::new(plan);
        if plan.input_folders().is_empty() {
            files.fields = 0;
        }
        files
    }

    /// These as well.
    #[must_use]
    pub fn and(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.of_job.extend(files);
        self
    }

    /// Whether a task may write `target`. `own` are further files that it reads, asked for only if `target` is there.
    ///
    /// # Errors
    /// In words, if it is read.
    pub fn check(
        &self,
        target: &Target,
        values: &Values<'_>,
        own: impl FnOnce() -> Vec<PathBuf>,
    ) -> Result<(), String> {
        if target.is_device || !target.path.exists() {
            return Ok(());
        }
        let is_named = |value: &[u8]| {
            let may_be_a_path = (1..=MAX_PATH).contains(&value.len()) && !value.contains(&0);
            may_be_a_path && target.is(&self.folder.join(Path::new(OsStr::from_bytes(value))))
        };
        if own().iter().any(|path| target.is(path))
            || values.fields.iter().take(self.fields).any(is_named)
        {
            return Err(format!("cannot write `{}`: it is the task's own input", target.shown));
        }
        if self.of_job.iter().any(|path| target.is(path)) {
            return Err(format!("cannot write `{}`: the job reads it", target.shown));
        }
        if self.found.as_ref().is_some_and(|found| found.has(&target.real)) {
            return Err(format!("cannot write `{}`: it is one of the inputs", target.shown));
        }
        Ok(())
    }
}
