//! Records become files: one CSV report per job, one summary over all of them, and what the terminal shows.
//!
//! Rows go to `results/<job>.csv.partial` while the job runs; the finished report replaces the old one atomically. What
//! resuming needs stands beside it in `results/.<job>.state`.

mod error;
mod layout;
pub(crate) mod publish;
mod resume;
mod stats;
mod store;
mod summary;
mod summary_file;
pub mod terminal;
mod write;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use error::ReportError;
pub use resume::kept_rows::Kept;
pub use resume::start::{Begin, Changes, Rerun, Resume};
pub use stats::{Counts, Spread, Totals};
pub use summary::Summary;
pub use summary_file::skip;
pub use write::buffer::{Failure, RowBuffer};

use crate::config::ReportSettings;
use crate::csv;
use crate::job::Job;
use crate::sys::CpuTime;
use crate::task::{Calendar, Cancel, Moment};
use crate::worker::{Earlier, Log};
use layout::Layout;
use publish::Publish;
use resume::start::{Begun, Origin};
use store::state::Identify;
use terminal::task_output::Printer;
use write::attempts::Attempts;
use write::buffer::{Remarks, Shared, Wakeup, lock};
use write::recorder::Recorder;

/// The model of a job with `[[stages]]`, each of which has one of its own.
pub const STAGED: &str = "staged";

/// So many rows fit into a sheet, the header included.
const SHEET_ROWS: u64 = 1_048_576;

/// What a run wants of its reports.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the reports; made if it is missing.
    pub results: PathBuf,
    /// What becomes of what an earlier run has left.
    pub begin: Begin,
    /// Whether each task's output is printed as it ends.
    pub output: bool,
    /// What is shown while a job runs.
    pub progress: terminal::progress::Mode,
}

/// What the report cannot know by itself.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// When the user began to wait for this job.
    pub started: Moment,
    /// From then until the pool was ready.
    pub startup: Duration,
    /// What services took of it: to be ready, and to end.
    pub services: ServiceTimes,
    /// How long computations have held an event loop that others shared.
    pub held: Duration,
    /// The job's calendar.
    pub calendar: Calendar,
    /// The word for who ran the slots: a model's, or [`STAGED`].
    pub model: &'static str,
    /// How many slots, of all stages.
    pub concurrency: usize,
    /// Why this model.
    pub reason: String,
    /// The processor time of the runner for this job: counts where no task was measured by itself.
    pub cpu: Option<CpuTime>,
    /// The peak memory of the runner, in bytes: counts where no task was measured by itself.
    pub peak_rss: Option<u64>,
    /// What else the person at the terminal should know.
    pub notes: Vec<String>,
    /// Which of `[[stages]]` is the bottleneck, and how busy each was; `None` in a job without.
    pub busy: Option<String>,
}

/// How long a job waited for its services; nothing if it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceTimes {
    /// Until all were ready: a part of its start-up.
    pub start: Duration,
    /// From the last task until all had ended.
    pub end: Duration,
}

/// The report of a job that is running.
#[derive(Debug)]
pub struct Report {
    job: JobFacts,
    shared: Arc<Shared>,
    counts: Arc<Counts>,
    kept: Option<Arc<Kept>>,
    origin: Origin,
    note: Option<String>,
    /// `None` when it has been finished.
    recorder: Option<JoinHandle<Recorder>>,
}

/// What the summary says about the job itself.
#[derive(Debug)]
struct JobFacts {
    name: String,
    results: PathBuf,
    settings: ReportSettings,
    /// Whether every attempt has a row.
    has_attempts: bool,
    /// See `job::identity`.
    workload: [u8; 32],
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

    fn state(&self) -> PathBuf {
        self.results.join(format!(".{}.state", self.name))
    }
}

impl Report {
    /// The job's log, gone on with where the report is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open_log(&self) -> Result<Log, ReportError> {
        let earlier = match self.origin {
            Origin::Nothing => Earlier::Emptied,
            Origin::Partial | Origin::Report => Earlier::Kept,
        };
        let path = self.job.results.join(format!("{}.log", self.job.name));
        Log::open(&path, earlier).map_err(|error| ReportError::writing(&path, &error))
    }

    /// Starts the report of `job`: takes the partial, with what an earlier run has finished if that is to be gone on
    /// with, and starts the recorder.
    ///
    /// # Errors
    /// A refusal if a partial is there already, in use, or cannot be gone on with; else why the folder or the file cannot be written.
    pub fn create(job: &Job, options: &Options, cancel: Arc<Cancel>) -> Result<Self, ReportError> {
        let facts = JobFacts {
            name: job.name.clone(),
            results: options.results.clone(),
            settings: job.report,
            has_attempts: job.stages.iter().any(|stage| stage.retry.is_some()),
            workload: job.identity,
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
        let mut begun = Begun::new(&job, &layout.header(), options.begin)?;
        let attempts =
            job.has_attempts.then(|| open_attempts(&job, &layout, begun.origin)).transpose();
        let attempts = attempts.inspect_err(|_| begun.abandon(0))?;
        let (origin, note) = (begun.origin, begun.note.take());
        let seed = begun.state.header.seed;
        let counts = Arc::<Counts>::default();
        let kept = begun.finished.take().map(|finished| {
            let index = Arc::clone(&begun.index);
            Arc::new(Kept::new(finished, Identify::new(seed), index, Arc::clone(&counts)))
        });

        let layout = Arc::new(layout);
        let shared = Arc::new(Shared {
            calendar: Calendar::now(),
            seed,
            buffers: std::sync::Mutex::default(),
            full: AtomicUsize::new(0),
            wakeup: Wakeup::default(),
            remarks: Remarks::new(&layout),
            printer,
            layout,
        });
        let order = job.settings.order;
        let recorder =
            Recorder::new(Arc::clone(&shared), Arc::clone(&counts), cancel, begun, attempts, order);
        let recorder =
            thread::Builder::new().name("recorder".into()).spawn(|| recorder.run()).map_err(
                |error| ReportError::internal(format!("failed to start the recorder: {error}")),
            )?;
        Ok(Self { job, shared, counts, kept, origin, note, recorder: Some(recorder) })
    }

    /// Where a loop leaves its records; any number of them.
    pub fn buffer(&self) -> RowBuffer {
        RowBuffer::new(Arc::clone(&self.shared))
    }

    /// What an earlier run has finished, if that is gone on with: every input is to be asked about.
    pub fn kept(&self) -> Option<Arc<Kept>> {
        self.kept.clone()
    }

    /// How many tasks have been recorded, at most 100 ms late.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Takes the last rows, puts all into order, replaces the old report and the job's row in `summary.csv`.
    ///
    /// To be called when no buffer is used any more.
    ///
    /// # Errors
    /// If something could not be written. Every row that was written is kept, and the message says where.
    pub fn finish(mut self, facts: RunFacts) -> Result<Summary, ReportError> {
        let mut recorder = self
            .close()
            .ok_or_else(|| ReportError::internal("the recorder failed: a bug".into()))?;
        let gone = self.kept.as_ref().map(|kept| kept.close());
        let path = self.job.report();
        let is_empty = self.kept.is_none() && lock(&recorder.index).rows() == 0;
        if is_empty && path.exists() {
            recorder.partial.remove(); // empty inputs are a slip more often than not, and a report is work
        } else {
            self.publish(&mut recorder, &path, facts.started.elapsed())?;
        }
        let rows = lock(&recorder.index).rows();
        let attempts_broken =
            recorder.attempts.as_ref().and_then(|attempts| attempts.broken.clone());
        let mut summary = Summary::of(&self.job, facts, recorder);
        if let Some(gone) = gone {
            self.tell_resumed(&mut summary, rows, gone);
        }
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
        let unprinted = self.shared.printer.as_ref().and_then(Printer::finish);
        if let Some(message) = attempts_broken.or(unprinted) {
            let report = path.display();
            return Err(ReportError::write(format!(
                "{message}; the tasks that ran are in `{report}`"
            )));
        }
        Ok(summary)
    }

    /// Makes the report, and adds what its kept rows tell to the figures.
    fn publish(
        &self,
        recorder: &mut Recorder,
        path: &Path,
        took: Duration,
    ) -> Result<(), ReportError> {
        let layout = &self.shared.layout;
        let publish =
            Publish { order: self.job.settings.order, path, delimiter: layout.csv.delimiter, took };
        let mut totals = std::mem::take(&mut recorder.totals);
        let mut queue = std::mem::take(&mut recorder.queue);
        let mut run = std::mem::take(&mut recorder.run);
        let published = publish.publish(recorder, |status, row| {
            resume::kept_figures::add_figures(
                row,
                status,
                layout,
                &mut totals,
                (&mut queue, &mut run),
            );
        });
        (recorder.totals, recorder.queue, recorder.run) = (totals, queue, run);
        published
    }

    fn tell_resumed(&self, summary: &mut Summary, rows: u64, gone: u64) {
        let kept = self.counts.kept();
        summary.kept = kept;
        summary.reason = format!("{}; resumed: {kept} of {rows} kept", summary.reason);
        summary.notes.extend(self.note.clone());
        if gone > 0 {
            summary.notes.push(match gone {
                1 => "1 finished row is left out: its input is no longer there".into(),
                _ => format!("{gone} finished rows are left out: their inputs are no longer there"),
            });
        }
    }

    /// Waits for the last rows.
    fn close(&mut self) -> Option<Recorder> {
        self.shared.wakeup.wake(Wakeup::CLOSING);
        self.recorder.take()?.join().ok()
    }
}

/// Single attempts go on where the report does.
fn open_attempts(job: &JobFacts, layout: &Layout, origin: Origin) -> Result<Attempts, ReportError> {
    let header = Layout::attempts(job.settings, !layout.stages.is_empty()).header();
    match origin {
        Origin::Nothing => Attempts::create(&job.attempts(), &header),
        Origin::Partial | Origin::Report => Attempts::go_on(&job.attempts(), &header),
    }
}

/// Reads a partial and its state as resuming does; for the fuzzer.
///
/// # Panics
/// If a row that they agree on is not there.
pub(crate) fn read_back(partial: &File, state: &File) {
    let Ok(Some(header)) = resume::verify::end_of_header(partial) else { return };
    if let Ok((agreed, finished)) = resume::start::read(partial, header, state, Rerun::Failed) {
        let rows = finished.unclaimed();
        assert!(rows.iter().all(|&row| row < agreed.rows));
        let _ = resume::verify::entries(state, agreed.rows, |entry| {
            let mut row = vec![0; entry.length as usize];
            partial.read_exact_at(&mut row, entry.offset).expect("both agree on it");
            let columns = csv::cells(&row, b',').count();
            assert!(columns > 0 && entry.offset + u64::from(entry.length) <= agreed.end);
            true
        });
    }
}

impl Drop for Report {
    /// A job that could not be started leaves no partial, since it would be in the way of the next run. Printing ends
    /// last: a reader that has stopped reading must not keep the report from being finished.
    fn drop(&mut self) {
        if self.recorder.is_some()
            && let Some(recorder) = self.close()
        {
            resume::start::abandon(
                &recorder.partial,
                &recorder.state,
                self.origin,
                recorder.written(),
            );
            if let Some(attempts) = &recorder.attempts {
                attempts.remove_if_empty();
            }
        }
        if let Some(printer) = &self.shared.printer {
            let _ = printer.finish(); // who finishes the report says what it says
        }
    }
}

#[cfg(test)]
mod tests;
