//! Records become files: one CSV report per job, one summary over all of them, and what the terminal shows.
//!
//! Rows go to `results/<job>.csv.partial` while the job runs; the finished report replaces the old one atomically.

mod attempts;
mod error;
mod layout;
mod number;
mod order;
mod outbox;
mod output;
mod partial;
pub mod plan;
pub mod progress;
mod publish;
mod recorder;
mod row;
mod stamp;
mod stats;
mod summary;
mod summary_file;
pub mod terminal;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use error::ReportError;
pub use layout::{COLUMNS_AFTER, COLUMNS_BEFORE, COLUMNS_LAST, is_report_column};
pub use outbox::{Failure, Outbox};
pub use stats::{Counts, Spread, Tally, Totals};
pub use summary::Summary;

use crate::engine::cancel::Cancel;
use crate::engine::clock::{Calendar, Moment};
use crate::engine::task::CpuTime;
use crate::job::{Job, ReportSettings};
use crate::model::Model;
use attempts::Attempts;
use layout::Layout;
use outbox::{Bell, Remarks, Shared};
use output::Printer;
use partial::Partial;
use recorder::Recorder;

/// So many rows fit into a sheet, the header included.
const SHEET_ROWS: u64 = 1_048_576;

/// What a run wants of its reports.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the reports; made if it is missing.
    pub results: PathBuf,
    /// Whether the rows that an earlier run has left in the partial are discarded.
    pub fresh: bool,
    /// Whether each task's output is printed as it ends.
    pub output: bool,
    /// What is shown while a job runs.
    pub progress: progress::Mode,
}

/// What the report cannot know by itself.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// When the user began to wait for this job.
    pub started: Moment,
    /// From then until the pool was ready.
    pub startup: Duration,
    /// The job's calendar.
    pub calendar: Calendar,
    /// Why this model.
    pub reason: String,
    /// The processor time of the runner for this job: counts where no task was measured by itself.
    pub cpu: Option<CpuTime>,
    /// The peak memory of the runner, in bytes: counts where no task was measured by itself.
    pub peak_rss: Option<u64>,
    /// What else the person at the terminal should know.
    pub notes: Vec<String>,
}

/// The report of a job that is running.
#[derive(Debug)]
pub struct Report {
    job: JobFacts,
    shared: Arc<Shared>,
    counts: Arc<Counts>,
    /// `None` when it has been finished.
    recorder: Option<JoinHandle<Recorder>>,
}

/// What the summary says about the job itself.
#[derive(Debug)]
struct JobFacts {
    name: String,
    results: PathBuf,
    model: Model,
    concurrency: usize,
    settings: ReportSettings,
    /// Whether every attempt has a row.
    has_attempts: bool,
}

impl JobFacts {
    fn report(&self) -> PathBuf {
        self.results.join(format!("{}.csv", self.name))
    }

    fn partial(&self) -> PathBuf {
        self.results.join(format!("{}.csv.partial", self.name))
    }

    fn attempts(&self) -> PathBuf {
        self.results.join(format!("{}.attempts.csv", self.name))
    }
}

impl Report {
    /// Starts the report of `job`: takes the partial, writes its header and starts the recorder.
    ///
    /// # Errors
    /// A refusal if a partial is there already or in use; else why the folder or the file cannot be written.
    pub fn create(job: &Job, options: &Options, cancel: Arc<Cancel>) -> Result<Self, ReportError> {
        let facts = JobFacts {
            name: job.name.clone(),
            results: options.results.clone(),
            model: job.stage.model,
            concurrency: job.stage.concurrency,
            settings: job.report,
            has_attempts: job.stage.retry.is_some(),
        };
        Self::start(facts, Layout::of(job), options, cancel)
    }

    fn start(
        job: JobFacts,
        layout: Layout,
        options: &Options,
        cancel: Arc<Cancel>,
    ) -> Result<Self, ReportError> {
        fs::create_dir_all(&job.results)
            .map_err(|error| ReportError::writing(&job.results, &error))?;
        if job.report().is_dir() {
            let message = format!("`{}` is in the way: it is a folder", job.report().display());
            return Err(ReportError::refused(message));
        }
        // Before the partial, which must not be left behind when something else fails.
        let printer = options.output.then(Printer::start).transpose()?;
        let mut partial = Partial::take(&job.partial(), options.fresh)?;
        let header = layout.header();
        if let Err((_, error)) = partial.append(&header) {
            partial.remove();
            return Err(ReportError::writing(partial.path(), &error));
        }
        let attempts = if job.has_attempts {
            let header = Layout::attempts(job.settings).header();
            let created = Attempts::create(&job.attempts(), &header);
            Some(created.inspect_err(|_| partial.remove())?)
        } else {
            None
        };

        let layout = Arc::new(layout);
        let shared = Arc::new(Shared {
            calendar: Calendar::now(),
            trays: std::sync::Mutex::default(),
            bell: Bell::default(),
            remarks: Remarks::new(&layout),
            printer,
            layout,
        });
        let counts = Arc::<Counts>::default();
        let recorder = Recorder::new(
            Arc::clone(&shared),
            Arc::clone(&counts),
            cancel,
            partial,
            attempts,
            header.len() as u64,
        );
        let recorder =
            thread::Builder::new().name("recorder".into()).spawn(|| recorder.run()).map_err(
                |error| ReportError::internal(format!("failed to start the recorder: {error}")),
            )?;
        Ok(Self { job, shared, counts, recorder: Some(recorder) })
    }

    /// Where a loop leaves its records; any number of them.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(Arc::clone(&self.shared))
    }

    /// How many tasks have been recorded, at most 100 ms late.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Takes the last rows, puts all into order, replaces the old report and the job's row in `summary.csv`.
    ///
    /// To be called when no outbox is used any more.
    ///
    /// # Errors
    /// If something could not be written. Every row that was written is kept, and the message says where.
    pub fn finish(mut self, facts: RunFacts) -> Result<Summary, ReportError> {
        let recorder = self
            .close()
            .ok_or_else(|| ReportError::internal("the recorder failed: a bug".into()))?;
        let path = self.job.report();
        publish::publish(&recorder, self.job.settings.order, &path)?;
        let rows = recorder.index.rows();
        let attempts_broken =
            recorder.attempts.as_ref().and_then(|attempts| attempts.broken.clone());
        let mut summary = Summary::of(&self.job, facts, recorder);
        summary.failures = self.shared.remarks.failures();
        summary.warnings.extend(self.shared.remarks.warning());
        if rows >= SHEET_ROWS {
            summary.warnings.push(format!(
                "`{}` has {rows} rows: a spreadsheet shows only the first {}",
                path.display(),
                SHEET_ROWS - 1
            ));
        }
        summary.warnings.extend(summary_file::replace_row(&self.job.results, &summary)?);
        if let Some(message) = attempts_broken {
            let report = path.display();
            return Err(ReportError::write(format!(
                "{message}; the tasks that ran are in `{report}`"
            )));
        }
        Ok(summary)
    }

    /// Waits for the last rows.
    fn close(&mut self) -> Option<Recorder> {
        self.shared.bell.ring(Bell::CLOSING);
        self.recorder.take()?.join().ok()
    }
}

impl Drop for Report {
    /// A job that could not be started leaves no partial, since it would be in the way of the next run. Printing ends
    /// last: a reader that has stopped reading must not keep the report from being finished.
    fn drop(&mut self) {
        if self.recorder.is_some()
            && let Some(recorder) = self.close()
            && recorder.index.rows() == 0
        {
            recorder.partial.remove();
        }
        if let Some(printer) = &self.shared.printer {
            printer.close();
        }
    }
}

#[cfg(test)]
mod tests;
