//! A report that is made in parts: each part is the rows of some of the tasks, written in a folder of its own by another
//! process, as a partial and its state. A part is never published; its rows are carried on by the next start of the same
//! part, and in the end put into the report.

mod carry;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::base::number::Sum;
use crate::csv::cells;
use crate::job::Job;
use crate::report::layout::Layout;
use crate::report::resume::kept_figures::Figures;
use crate::report::resume::verify::{self, Misfit};
use crate::report::store::partial::Partial;
use crate::report::store::state::{Entry, State};
use crate::report::store::{originals, state};
use crate::report::write::buffer::{MadeRow, PendingRows, Shared};
use crate::report::write::recorder::Recorder;
use crate::report::write::{attempts, disk_sync};
use crate::report::{Identities, JobFacts, Report, ReportError, RunFacts, Summary};
use crate::task::Status;

pub use carry::carry_on;

/// The files of one start of a part.
#[derive(Clone, Debug)]
pub struct PartFiles {
    folder: PathBuf,
    job: String,
}

/// A row of a part.
#[derive(Clone, Copy, Debug)]
pub struct PartRow<'a> {
    /// The number of its task.
    pub task: u64,
    /// How the task ended.
    pub status: Status,
    identity: u128,
    bytes: &'a [u8],
}

impl PartFiles {
    /// The files of the job called `job` in `folder`.
    pub fn new(folder: &Path, job: &str) -> Self {
        Self { folder: folder.to_owned(), job: job.to_owned() }
    }

    fn partial(&self) -> PathBuf {
        self.folder.join(format!("{}.csv.partial", self.job))
    }

    fn state(&self) -> PathBuf {
        self.folder.join(format!(".{}.state", self.job))
    }

    fn originals(&self) -> PathBuf {
        self.folder.join(format!(".{}.inputs", self.job))
    }

    fn attempts(&self) -> PathBuf {
        self.folder.join(format!("{}.attempts.csv", self.job))
    }

    /// How many rows there are, at most, from the length of one file; none if it is not there.
    pub fn about_rows(&self) -> u64 {
        let length = fs::metadata(self.state()).map_or(0, |meta| meta.len());
        length.saturating_sub(state::HEADER as u64) / state::ENTRY as u64
    }

    /// When the last row was written, as far as the file system knows.
    pub fn written(&self) -> Option<SystemTime> {
        fs::metadata(self.state()).ok()?.modified().ok()
    }

    /// How many tasks have ended in each way so far, from the state alone: rows that a kill has torn may count. One whose
    /// task has another row by now, or runs again, does not.
    pub fn about_statuses(&self) -> [u64; Status::ALL.len()] {
        let mut counts = [0; Status::ALL.len()];
        if let Ok(file) = File::open(self.state()) {
            // What cannot be read now is counted the next time.
            let _ = verify::entries(&file, u64::MAX, |entry| {
                counts[entry.status as usize] += u64::from(!entry.is_replaced);
                true
            });
        }
        counts
    }

    /// Calls `visit` with each whole row of this part of the report of `job`, in the order in which they were written. A
    /// part that is still written has a torn row at its end, which does not count.
    ///
    /// # Errors
    /// If the files are of another run (which `seed` tells), or have been changed.
    fn rows(
        &self,
        (layout, delimiter): (&[u8], u8),
        seed: u64,
        mut visit: impl FnMut(&PartRow<'_>) -> io::Result<()>,
    ) -> Result<(), Misfit> {
        let (partial, state) = (self.partial(), self.state());
        let (Some(partial), Some(state)) = (open(&partial)?, open(&state)?) else { return Ok(()) };
        // Until there is a row, the state is that of the report before.
        if partial.metadata()?.len() <= layout.len() as u64 {
            return Ok(());
        }
        let Some(header) = State::header_of(&state) else { return Ok(()) };
        let mut start = vec![0; layout.len()];
        if partial.read_exact_at(&mut start, 0).is_err() {
            return Ok(());
        }
        if header.seed != seed || start != layout || !header.fits(layout) {
            return Err(io::Error::other("it belongs to another run").into());
        }
        let mut failure = None;
        verify::agree_on_rows(&partial, layout.len() as u64, &state, |entry, bytes| {
            let number = cells(bytes, delimiter)
                .next()
                .and_then(|cell| std::str::from_utf8(cell).ok()?.parse().ok());
            let Some(task) = number else {
                failure.get_or_insert_with(|| io::Error::other("a row has no number"));
                return;
            };
            let row = PartRow { task, status: entry.status, identity: entry.identity, bytes };
            if failure.is_none() {
                failure = visit(&row).err();
            }
        })?;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a row of this status is the task's row, when another start of the part goes on: one that was cancelled is
/// not.
fn is_final(status: Status) -> bool {
    status != Status::Cancelled
}

/// The header of the report of `job`: parts with another one cannot be put into it.
pub fn header(job: &Job) -> String {
    String::from_utf8_lossy(&Layout::of(job).header()).into_owned()
}

/// Refuses if another runner writes the report of `job` in the folder `results`, which only its driver does.
///
/// # Errors
/// That it does.
pub fn refuse_while_written(results: &Path, job: &str) -> Result<(), ReportError> {
    Partial::refuse_while_locked(&results.join(format!("{job}.csv.partial")))
}

/// The tasks that have a row in `part`.
///
/// # Errors
/// If it is of another run, or has been changed.
pub fn finished(part: &PartFiles, job: &Job, seed: u64) -> Result<HashSet<u64>, ReportError> {
    let layout = Layout::of(job);
    let mut tasks = HashSet::new();
    let rows = part.rows((&layout.header(), layout.csv.delimiter), seed, |row| {
        if is_final(row.status) {
            tasks.insert(row.task);
        }
        Ok(())
    });
    rows.map_err(|misfit| unusable(&part.folder, &misfit))?;
    Ok(tasks)
}

/// What the rows in `part` say of the columns with a budget, in the order of the job.
///
/// # Errors
/// If it is of another run, or has been changed.
pub fn spent(part: &PartFiles, job: &Job, seed: u64) -> Result<Vec<Sum>, ReportError> {
    let layout = Layout::of(job);
    let mut sums = Vec::new();
    let rows = part.rows((&layout.header(), layout.csv.delimiter), seed, |row| {
        layout.add(row.bytes, &layout.budgets, &mut sums);
        Ok(())
    });
    rows.map_err(|misfit| unusable(&part.folder, &misfit))?;
    Ok(sums)
}

/// Calls `visit` with the number of each task that has a row in `part`, and how it ended, but for its first `since` rows.
///
/// # Errors
/// If it is of another run, or has been changed.
pub fn rows_since(
    part: &PartFiles,
    job: &Job,
    seed: u64,
    since: u64,
    mut visit: impl FnMut(u64, Status),
) -> Result<(), ReportError> {
    let (layout, mut ordinal) = (Layout::of(job), 0);
    let rows = part.rows((&layout.header(), layout.csv.delimiter), seed, |row| {
        if ordinal >= since && is_final(row.status) {
            visit(row.task, row.status);
        }
        ordinal += 1;
        Ok(())
    });
    rows.map_err(|misfit| unusable(&part.folder, &misfit))
}

fn unusable(folder: &Path, misfit: &Misfit) -> ReportError {
    let folder = folder.display();
    ReportError::refused(match misfit {
        Misfit::Io(error) => format!("the rows in `{folder}` cannot be used: {error}"),
        Misfit::Changed(row) => {
            format!("the rows in `{folder}` cannot be used: row {row} is not what the runner wrote")
        }
        Misfit::TooMany => format!("the rows in `{folder}` cannot be used: there are too many"),
    })
}

/// Puts the rows of parts into the report of the whole.
#[derive(Debug)]
pub struct PartIntake {
    shared: Arc<Shared>,
    rows: Arc<PendingRows>,
    layout: Arc<Layout>,
    header: Vec<u8>,
    spent: Vec<Sum>,
}

impl PartIntake {
    /// Puts the rows of `part` into the report, those of tasks that are `wanted`, and tells `took` of each.
    ///
    /// # Errors
    /// If the part is of another run, or has been changed. What was put by then is in the report.
    pub fn put(
        &mut self,
        part: &PartFiles,
        seed: u64,
        wanted: impl Fn(u64) -> bool,
        mut took: impl FnMut(u64, Status),
    ) -> Result<(), ReportError> {
        let delimiter = self.layout.csv.delimiter;
        let header = std::mem::take(&mut self.header);
        let mut looked = Ok(());
        // Before the rows: who goes on after a kill takes a task that has its row for one that has all of it, and leaves out
        // the attempts of one that has none. Most parts have no such notes, and are read once.
        if part.originals().exists() || part.attempts().exists() {
            let mut noted = HashSet::new();
            looked = part.rows((&header, delimiter), seed, |row| {
                if is_final(row.status) && wanted(row.task) {
                    noted.insert(row.task);
                }
                Ok(())
            });
            if !noted.is_empty() {
                let originals = originals::whole(&part.originals(), seed).unwrap_or_default();
                let attempts =
                    attempts::of_tasks(&part.attempts(), delimiter, |task| noted.contains(&task));
                self.rows.push_notes(&attempts.unwrap_or_default(), &originals);
            }
        }
        let mut put = HashSet::new();
        let rows = part.rows((&header, delimiter), seed, |row| {
            if is_final(row.status) && wanted(row.task) && put.insert(row.task) {
                self.put_row(row);
                took(row.task, row.status);
            }
            Ok(())
        });
        self.shared.wakeup_now();
        self.header = header;
        looked.and(rows).map_err(|misfit| unusable(&part.folder, &misfit))
    }

    /// What the rows that were put say of the columns with a budget, in the order of the job.
    pub fn spent(&self) -> &[Sum] {
        &self.spent
    }

    fn put_row(&mut self, row: &PartRow<'_>) {
        let layout = &self.layout;
        let figures = Figures::of(row.bytes, row.status, layout);
        let mut totals = figures.into_totals(row.status);
        if !layout.totals.is_empty() {
            layout.add(row.bytes, &layout.totals, &mut totals.sums);
        }
        if !layout.budgets.is_empty() {
            layout.add(row.bytes, &layout.budgets, &mut self.spent);
        }
        let made = MadeRow {
            task: row.task,
            status: row.status,
            identity: row.identity,
            bytes: row.bytes,
            times: figures.times,
            totals,
        };
        self.shared.note_made(&made);
        if let Some(kept) = &self.shared.kept {
            kept.replace(row.task);
        }
        while self.rows.is_full(self.shared.full()) {
            std::thread::sleep(std::time::Duration::from_millis(1)); // until the recorder has caught up
        }
        let bytes = self.rows.push_made(&made);
        self.shared.wake(bytes);
    }
}

impl Report {
    /// A way into the report for the rows of its parts.
    pub fn intake(&self) -> PartIntake {
        let shared = Arc::clone(&self.shared);
        let rows = shared.new_rows();
        let layout = Arc::clone(&shared.layout);
        PartIntake { rows, header: layout.header(), layout, shared, spent: Vec::new() }
    }

    /// How it makes the identities of inputs.
    pub fn identities(&self) -> Identities {
        self.shared.identities
    }

    /// How many rows it began with.
    pub fn began_with(&self) -> u64 {
        self.began_with
    }

    /// Whether this number of rows has been written since it began; then they are on the disk, too.
    ///
    /// # Errors
    /// If they cannot be brought there.
    pub fn is_on_disk(&self, rows: u64) -> io::Result<bool> {
        let files = PartFiles::new(&self.job.results, &self.job.name);
        if files.about_rows() < self.began_with + rows {
            return Ok(false);
        }
        disk_sync::data(&File::open(files.state())?)?;
        disk_sync::data(&File::open(files.partial())?)?;
        // The row is written after its entry.
        let length = |path| fs::metadata(path).map(|meta| meta.len());
        let last = last_end(&File::open(files.state())?)?;
        Ok(length(files.partial())? >= last)
    }

    /// Ends a part, or a report that somebody else goes on with: all rows are on the disk, and stay where they are.
    ///
    /// # Errors
    /// If they could not be written.
    pub fn leave(mut self) -> Result<(), ReportError> {
        let recorder = self
            .close()
            .ok_or_else(|| ReportError::internal("the recorder failed: a bug".into()))?;
        brought_to_disk(&recorder)
    }
}

fn brought_to_disk(recorder: &Recorder) -> Result<(), ReportError> {
    if let Some(message) = &recorder.broken {
        return Err(ReportError::write(message.clone()));
    }
    let done = disk_sync::data(recorder.state.file())
        .and_then(|()| disk_sync::data(recorder.partial.file()));
    done.map_err(|error| ReportError::writing(recorder.partial.path(), &error))
}

/// Ends a part: its rows stay where they are.
pub(super) fn end(
    recorder: Recorder,
    job: &JobFacts,
    facts: RunFacts,
) -> Result<Summary, ReportError> {
    brought_to_disk(&recorder)?;
    Ok(Summary::of(job, facts, recorder))
}

/// Whether the partial of `job` in `results` has rows.
pub fn has_rows(results: &Path, job: &str) -> bool {
    let partial = File::open(PartFiles::new(results, job).partial());
    partial.is_ok_and(|partial| verify::end_of_header(&partial).is_ok_and(|end| end.is_some()))
}

/// Where the row of the last entry ends.
fn last_end(state: &File) -> io::Result<u64> {
    let length = state.metadata()?.len();
    let entries = length.saturating_sub(state::HEADER as u64) / state::ENTRY as u64;
    let Some(last) = entries.checked_sub(1) else { return Ok(0) };
    let mut bytes = [0; state::ENTRY];
    state.read_exact_at(&mut bytes, state::entries_end(last))?;
    Ok(Entry::read(&bytes).map_or(0, |entry| entry.offset + u64::from(entry.length)))
}
