//! Records become files: one CSV report per job, one summary of all jobs, and the output on the terminal.
//!
//! Rows go to `results/<job>.csv.partial` while the job runs; the finished report replaces the old one atomically. What
//! resuming needs is in `results/.<job>.state`.

mod error;
mod facts;
mod finish;
mod job_facts;
mod layout;
mod logs;
mod own_files;
pub mod parts;
pub(crate) mod publish;
mod resume;
mod stats;
pub mod status;
mod store;
mod summary;
mod summary_file;
pub mod terminal;
mod write;

use std::collections::HashMap;
use std::fs::{self, File};
use std::mem;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

pub use error::ReportError;
pub use facts::{Before, Identities, Options, RunFacts, ServiceTimes, Standing};
pub use layout::node_name;
pub use logs::task_of_output;
pub use own_files::own_files;
pub use resume::earlier_rows::EarlierRows;
pub use resume::kept_figures::Spent;
pub use resume::kept_rows::KeptRows;
pub use resume::start::{Begin, Changes, Rerun, Rest, Resume};
pub use stats::{Counts, Distribution, Spread, Totals};
pub use store::originals::originals;
pub use store::replaced_rows::ReplacedRows;
pub use store::spending::Spending;
pub use store::state::is_bare;
pub use summary::{ENOUGH, Summary};
pub use summary_file::{rows as summary_rows, skip};
pub use write::buffer::RowBuffer;
pub use write::remarks::Failure;

use crate::base::lock;
use crate::config::{Logs, Order, Template};
use crate::csv;
use crate::job::Job;
use crate::task::live::LiveOutput;
use crate::task::{Calendar, Cancel};
use crate::worker::{Earlier, Log};
use job_facts::JobFacts;
use layout::Layout;
use logs::LogFolder;
use resume::attempt_numbers::AttemptNumbers;
use resume::kept_figures::KeptSpent;
use resume::row_numbers::RowNumbers;
use resume::start::{Begun, Origin};
use store::identify::Identify;
use terminal::progress;
use terminal::task_output::{Printer, Printing};
use write::attempts::Attempts;
use write::buffer::Shared;
use write::recorder::Recorder;
use write::remarks::Remarks;
use write::wakeup::Wakeup;

/// The model in the reports of a job with `[[stages]]`, each of which has a model of its own.
pub const STAGED: &str = "staged";

/// The number of rows that fit into a sheet, including the header.
const SHEET_ROWS: u64 = 1_048_576;

/// The report of a job that is running.
#[derive(Debug)]
pub struct Report {
    job: JobFacts,
    shared: Arc<Shared>,
    counts: Arc<Counts>,
    kept: Option<Arc<KeptRows>>,
    earlier: Option<EarlierRows>,
    origin: Origin,
    /// What is to become of the attempts of an earlier run, if there are any.
    attempt_numbers: Option<AttemptNumbers>,
    /// Where the whole outputs of tasks go, if they are kept.
    logs: Option<LogFolder>,
    /// Whether an earlier report may be replaced by whatever comes.
    is_fresh: bool,
    /// Whether that holds for a run without inputs, too.
    may_be_empty: bool,
    /// Whether it is a part of a report, which is not published.
    is_part: bool,
    /// How many rows it began with.
    began_with: u64,
    note: Option<String>,
    /// What the rows of an earlier run have used, of each column with a budget.
    spent: KeptSpent,
    /// The same, as it was noted when the attempts ended, which goes before.
    noted: HashMap<String, Spent>,
    /// Where this run notes what it uses, once it does.
    spending: OnceLock<Option<Arc<Spending>>>,
    /// `None` once it has been finished.
    recorder: Option<JoinHandle<Recorder>>,
}

impl Report {
    /// The folder for the whole outputs of tasks, absolute, if they are kept.
    pub fn logs(&self) -> Option<&Path> {
        let are_kept = self.job.settings.logs != Logs::None;
        self.logs.as_ref().filter(|_| are_kept).map(LogFolder::path)
    }

    /// Opens the job's log, which is resumed if the report is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open_log(&self) -> Result<Log, ReportError> {
        let earlier = match self.origin {
            Origin::Nothing | Origin::HeaderOnly => Earlier::Emptied,
            Origin::Partial | Origin::Report => Earlier::Kept,
        };
        let path = self.job.results.join(format!("{}.log", self.job.name));
        Log::open(&path, earlier).map_err(|error| ReportError::writing(&path, &error))
    }

    /// Starts the report of `job`: takes the partial, with the finished rows of an earlier run if it is resumed, and
    /// starts the recorder.
    ///
    /// # Errors
    /// A refusal if there is a partial already, or if it is in use or cannot be resumed; else why the folder or the
    /// file cannot be written.
    pub fn create(job: &Job, options: &Options, cancel: Arc<Cancel>) -> Result<Self, ReportError> {
        let tag = options.output.as_ref().map(|output| output.tag(job)).transpose();
        let tag = tag.map_err(ReportError::refused)?.flatten();
        let mut report =
            Self::start(JobFacts::of(job, options), Layout::of(job), options, tag, cancel)?;
        report.may_be_empty = job.inputs.may_be_empty();
        Ok(report)
    }

    fn start(
        job: JobFacts,
        layout: Layout,
        options: &Options,
        tag: Option<Template>,
        cancel: Arc<Cancel>,
    ) -> Result<Self, ReportError> {
        fs::create_dir_all(&job.results)
            .map_err(|error| ReportError::writing(&job.results, &error))?;
        if job.report().is_dir() {
            let message = format!("cannot write `{}`: it is a folder", job.report().display());
            return Err(ReportError::refused(message));
        }
        // Before the partial, which must not be left if something else fails.
        let has_bars = options.progress != progress::Mode::Off;
        let start =
            |output: &Printing| Printer::start(output.order, tag, has_bars, Arc::clone(&cancel));
        let printer = options.output.as_ref().map(start).transpose()?.map(Arc::new);
        let is_fresh = options.begin == Begin::Fresh;
        let is_part = options.begin == Begin::Part;
        let mut begun = Begun::new(&job, &layout.header(), (options.begin, options.identities))?;
        let earlier = EarlierRows::open(&job, &layout, &begun);
        let attempts = open_attempts(&job, &layout, &begun, is_part);
        let (attempts, attempt_numbers) = attempts.inspect_err(|_| begun.abandon(0))?;
        let logs = LogFolder::begin(&job, &begun).inspect_err(|_| begun.abandon(0))?;
        let (origin, note) = (begun.origin, begun.note.take());
        let spent = resume::kept_figures::spent(&begun, &layout);
        let identities = begun.state.header.identities();
        let seed = begun.state.header.seed;
        let goes_on = begun.origin.has_rows() && !is_part && !layout.budgets.is_empty();
        let noted =
            goes_on.then(|| store::spending::read(&job.used(), seed, layout.longest_budget));
        let counts = Arc::<Counts>::default();
        let rest = match options.begin {
            // Rows that are kept aside get other numbers, and their files do not.
            Begin::Resume(resume) if !job.names_by_number => resume.rest,
            _ => Rest::Dropped,
        };
        let numbers = job.names_by_number.then(|| RowNumbers::new(&begun)).transpose();
        let numbers = numbers.map_err(|error| ReportError::internal(error.to_string()))?;
        let state = begun.state.file().try_clone();
        let state = state.map_err(|error| ReportError::internal(error.to_string()))?;
        let kept = begun.finished.take().map(|finished| {
            let index = Arc::clone(&begun.index);
            Arc::new(KeptRows::new(
                (finished, mem::take(&mut begun.unfinished), numbers),
                state,
                rest,
                Identify::new(identities, job.own_fields),
                index,
                Arc::clone(&counts),
                printer.as_ref().and_then(|printer| printer.passes()),
            ))
        });
        let layout = Arc::new(layout);
        let shared = Arc::new(Shared {
            calendar: Calendar::now(),
            identities,
            own_fields: job.own_fields,
            buffers: std::sync::Mutex::default(),
            full: AtomicUsize::new(0),
            wakeup: Wakeup::default(),
            remarks: Remarks::new(&layout),
            kept: kept.clone(),
            printer,
            layout,
        });
        let order = if is_part { Order::Completion } else { job.settings.order };
        let began_with = begun.kept;
        if is_part {
            lock(&begun.index).count_only();
        }
        let recorder =
            Recorder::new(Arc::clone(&shared), Arc::clone(&counts), cancel, begun, attempts, order);
        let recorder =
            thread::Builder::new().name("recorder".into()).spawn(|| recorder.run()).map_err(
                |error| ReportError::internal(format!("failed to start the recorder: {error}")),
            )?;
        Ok(Self {
            job,
            shared,
            counts,
            kept,
            earlier,
            origin,
            attempt_numbers,
            logs,
            note,
            is_fresh,
            may_be_empty: false,
            is_part,
            began_with,
            spent,
            noted: noted.unwrap_or_default(),
            spending: OnceLock::new(),
            recorder: Some(recorder),
        })
    }

    /// A new buffer for the records of an event loop; there may be any number of them.
    pub fn buffer(&self) -> RowBuffer {
        RowBuffer::new(Arc::clone(&self.shared))
    }

    /// Where commands print their lines as they come, if they do.
    pub fn live(&self) -> Option<Arc<dyn LiveOutput>> {
        let printer = self.shared.printer.as_ref().filter(|printer| printer.is_live())?;
        Some(Arc::clone(printer) as Arc<dyn LiveOutput>)
    }

    /// The finished rows of an earlier run, if it is resumed: every input must be looked up there.
    pub fn kept(&self) -> Option<Arc<KeptRows>> {
        self.kept.clone()
    }

    /// What the rows of an earlier run say of tasks that are skipped now.
    pub fn earlier(&self) -> Option<&EarlierRows> {
        self.earlier.as_ref()
    }

    /// How many tasks have been recorded, with a delay of at most 100 ms.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// What earlier runs have used of a column that has a budget: as they noted it, or else what the rows say that this
    /// report began with.
    pub fn spent(&self, column: &str) -> Spent {
        if let Some(noted) = self.noted.get(&store::spending::written(column)) {
            return noted.clone();
        }
        let layout = &self.shared.layout;
        let at = layout.budgets.iter().position(|&index| layout.column(index) == column);
        at.map_or_else(Spent::default, |at| self.spent.of(at))
    }

    /// Where what attempts use of columns with a budget is noted, for a run that resumes this one. None for a part of a
    /// report, or if it cannot be written: then the rows have to do.
    pub fn spending(&self) -> Option<Arc<Spending>> {
        let begin = || {
            let layout = &self.shared.layout;
            let columns = layout.budgets.iter().map(|&index| layout.column(index));
            let before: Vec<_> = columns.map(|column| (column, self.spent(column))).collect();
            Spending::begin(
                &self.job.used(),
                self.shared.identities.seed,
                self.shared.calendar,
                &before,
            )
        };
        let spending = self.spending.get_or_init(|| (!self.is_part).then(begin)?.map(Arc::new));
        spending.clone()
    }

    /// Forgets what was noted of budgets: from here on attempts use something without a note, and then rows say more.
    pub fn forget_spending(&self) {
        if !self.is_part {
            let _ = fs::remove_file(self.job.used()); // most jobs have none
        }
    }

    /// Waits for the last rows.
    fn close(&mut self) -> Option<Recorder> {
        self.shared.wakeup.wake(Wakeup::CLOSING);
        self.recorder.take()?.join().ok()
    }
}

/// Opens the file of attempts, which is resumed if the report is; none if there are no attempts.
fn open_attempts(
    job: &JobFacts,
    layout: &Layout,
    begun: &Begun,
    is_part: bool,
) -> Result<(Option<Attempts>, Option<AttemptNumbers>), ReportError> {
    let (path, note) = (job.attempts(), job.attempt_note());
    let is_resumed = begun.origin.has_rows();
    // Those of kept rows stay, also if there are no further ones.
    let are_left = is_resumed && !is_part && path.is_file();
    if !job.has_attempts && !are_left {
        return Ok((None, None));
    }
    let header = Layout::attempts(job.settings, !layout.stages.is_empty()).header();
    let attempts = if is_resumed && !AttemptNumbers::is_torn(&note) {
        Attempts::resume(&path, &header)?
    } else {
        Attempts::create(&path, &header)?
    };
    if is_part {
        return Ok((Some(attempts), None));
    }
    let (end, is_new) = attempts.end();
    let forgotten = if is_new { AttemptNumbers::forget(&note) } else { Ok(()) };
    let noted = || {
        let lengths = (header.len() as u64, end);
        is_resumed.then(|| AttemptNumbers::begin(&path, &note, lengths, begun.kept)).transpose()
    };
    let numbers = forgotten.and_then(|()| noted());
    let numbers = numbers.map_err(|error| ReportError::writing(&note, &error));
    Ok((Some(attempts), numbers?))
}

/// Reads a partial and its state as resuming does, for the fuzzer.
///
/// # Panics
/// If a row that they agree on is not there.
pub(crate) fn read_back(partial: &File, state: &File) {
    let Ok(Some(header)) = resume::verify::end_of_header(partial) else { return };
    if let Ok((agreed, finished, _)) = resume::start::read(partial, header, state, Rerun::Failed) {
        let rows = finished.remaining();
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
    /// A job that could not be started leaves no partial, since that would block the next run. Printing ends last: a
    /// reader that has stopped reading must not prevent the report from being finished.
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
            let _ = printer.finish(); // `finish` has reported its failure
        }
    }
}

#[cfg(test)]
mod tests;
