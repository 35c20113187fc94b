//! What a report has to know of its job, and where its files are.

use std::path::PathBuf;

use super::Options;
use crate::config::ReportSettings;
use crate::csv::Dialect;
use crate::job::{Job, Stage};

/// Facts about the job for its report and its summary.
#[derive(Debug)]
pub(super) struct JobFacts {
    pub name: String,
    /// The folder that its relative paths start from.
    pub folder: PathBuf,
    pub results: PathBuf,
    pub settings: ReportSettings,
    /// The dialect of `summary.csv`.
    pub shared_dialect: Dialect,
    /// Whether there is a file with a row for every attempt.
    pub has_attempts: bool,
    /// See `job::identity`.
    pub identity: [u8; 32],
    /// How many of the fields are the source's own.
    pub own_fields: usize,
    /// Whether tasks may be skipped, which keep what their rows said.
    pub has_creates: bool,
    /// Whether files are called by the numbers of tasks.
    pub names_by_number: bool,
}

impl JobFacts {
    /// Those of `job`, in a run with these options.
    pub fn of(job: &Job, options: &Options) -> Self {
        Self {
            name: job.name.clone(),
            folder: job.folder.clone(),
            results: options.results.clone(),
            settings: job.report,
            shared_dialect: job.shared_dialect(),
            has_attempts: job.stages.iter().any(Stage::has_attempts),
            identity: job.identity,
            own_fields: job.own_fields,
            has_creates: job.creates.is_some(),
            names_by_number: job.names_files_by_number(),
        }
    }

    pub fn report(&self) -> PathBuf {
        self.results.join(format!("{}.csv", self.name))
    }

    pub fn partial(&self) -> PathBuf {
        self.results.join(format!("{}.csv.partial", self.name))
    }

    pub fn attempts(&self) -> PathBuf {
        self.results.join(format!("{}.attempts.csv", self.name))
    }

    /// What is noted of the rows in the file of attempts.
    pub fn attempt_note(&self) -> PathBuf {
        self.results.join(format!(".{}.attempts", self.name))
    }

    pub fn state(&self) -> PathBuf {
        self.results.join(format!(".{}.state", self.name))
    }

    /// What attempts have used of columns with a budget.
    pub fn used(&self) -> PathBuf {
        self.results.join(format!(".{}.used", self.name))
    }

    pub fn logs(&self) -> PathBuf {
        self.results.join(format!("{}.logs", self.name))
    }
}
