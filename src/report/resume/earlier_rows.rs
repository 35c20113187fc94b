//! The rows of the reports before, for tasks that are skipped: what they said then is said again.
//!
//! A run that is interrupted leaves a report without the rows of what it did not start. Until a run has as many rows as they,
//! the reports before it stay beside it: `results/.<job>.earlier<N>`, each with its state.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::base::lock;
use crate::config::ReportSettings;
use crate::csv::{ReportReader, Writer, cells};
use crate::report::JobFacts;
use crate::report::layout::Layout;
use crate::report::resume::numbered_rows::{NumberedRows, Place};
use crate::report::resume::row_numbers::number_of;
use crate::report::resume::start::Begun;
use crate::report::resume::verify;
use crate::report::store::identify::Identify;
use crate::report::store::state::State;
use crate::task::{Fields, Status};

/// How many reports are kept aside at most.
const MOST: usize = 8;

/// The rows of tasks that were ok, or were skipped since they had been ok before.
#[derive(Debug)]
pub struct EarlierRows {
    /// The newest comes first.
    reports: Vec<Earlier>,
    /// Writes the cells of this report.
    csv: Writer,
    /// How texts were written where `formula_safe` was something else than it is now.
    otherwise: ReportReader,
    /// How many cells come before those that are kept.
    before: usize,
    aside: Aside,
}

impl EarlierRows {
    /// The rows of the report that is about to be replaced, which is kept aside for a run after this one, and of those that
    /// have been kept aside; `None` if no task can be skipped, or if there are none that have the same columns and are as the
    /// runner wrote them.
    pub(in crate::report) fn open(job: &JobFacts, layout: &Layout, begun: &Begun) -> Option<Self> {
        if !job.has_creates {
            return None;
        }
        let aside = Aside::of(&job.results, &job.name);
        let header = layout.header();
        let open = |report: &Path, state: &File| {
            Earlier::open(report, state, &header, job.own_fields)
                .filter(|earlier| earlier.count > 0)
        };
        let mut reports = Vec::new();
        for (report, state) in aside.files() {
            let Ok(state) = File::open(state) else { continue };
            reports.extend(open(&report, &state));
        }
        if !begun.origin.has_rows()
            && let Some(last) = open(&job.report(), begun.state.file())
        {
            reports.insert(0, last);
            // Without it, only a run that is interrupted says less than it could.
            let _ = aside.keep(&job.report(), begun.state.path());
        }
        let before = 1 + layout.fields + 1;
        let ReportSettings { dialect, formula_safe, .. } = job.settings;
        let csv = Writer::new(dialect, formula_safe);
        let otherwise = ReportReader::new(Vec::new(), &Writer::new(dialect, !formula_safe));
        (!reports.is_empty()).then_some(Self { reports, csv, otherwise, before, aside })
    }

    /// What stands after the status in the row of the task with this number and input, with the line end; `None` if it has
    /// none. With equal inputs the row is that of the number; one that has another number now has one that is left.
    pub fn after_status(&self, number: u64, fields: &Fields) -> Option<Vec<u8>> {
        let mut reports = self.reports.iter();
        let own = reports.find_map(|earlier| Some((earlier.own(number, fields)?, earlier.is_bare)));
        let any = || {
            let earlier = self.reports.iter().find(|earlier| earlier.has(fields))?;
            Some((earlier.any(fields)?, earlier.is_bare))
        };
        let (row, is_bare) = own.or_else(any)?;
        let rest = self.cut(row)?;
        // A text with a `'` that protects it is another one where nothing is protected, and a bare one is not safe.
        Some(if is_bare == self.csv.formula_safe { self.rewritten(&rest) } else { rest })
    }

    fn cut(&self, mut row: Vec<u8>) -> Option<Vec<u8>> {
        let cut: usize =
            cells(&row, self.csv.delimiter).take(self.before).map(|cell| cell.len() + 1).sum();
        (cut <= row.len()).then(|| row.split_off(cut - 1))
    }

    /// The end of a row as it is written with the `formula_safe` of now.
    fn rewritten(&self, rest: &[u8]) -> Vec<u8> {
        let end = self.csv.terminator;
        let text = rest.strip_suffix(end).unwrap_or(rest);
        let mut out = Vec::with_capacity(rest.len());
        for (index, cell) in cells(text, self.csv.delimiter).enumerate() {
            if index > 0 {
                out.push(self.csv.delimiter);
            }
            self.csv.push_text(&mut out, &self.otherwise.of_written(cell));
        }
        out.extend_from_slice(end);
        out
    }

    /// There is a report of this many rows now: what was kept aside has served, unless it has more.
    pub(in crate::report) fn replaced_by(&self, rows: u64) {
        if self.reports.iter().all(|earlier| earlier.count <= rows) {
            self.aside.remove();
        }
    }
}

/// One report.
#[derive(Debug)]
struct Earlier {
    report: File,
    rows: Mutex<NumberedRows>,
    count: u64,
    identify: Identify,
    /// Whether its texts are as they came, though a spreadsheet calculates some.
    is_bare: bool,
}

impl Earlier {
    fn open(report: &Path, state: &File, header: &[u8], own_fields: usize) -> Option<Self> {
        let report = File::open(report).ok()?;
        let found = State::header_of(state)?;
        let mut start = vec![0; header.len()];
        report.read_exact_at(&mut start, 0).ok()?;
        if start != header || !found.fits(header) {
            return None;
        }
        let mut rows = NumberedRows::default();
        // Rows before one that is another one are as they were written.
        let _ = verify::agree_on_rows(&report, header.len() as u64, state, |entry, row| {
            if !entry.is_replaced
                && matches!(entry.status, Status::Ok | Status::Skipped)
                && let Some(number) = number_of(row)
            {
                rows.push(entry.identity, number, (entry.offset, entry.length));
            }
        });
        rows.sort();
        let (count, identify) = (rows.len() as u64, Identify::new(found.identities(), own_fields));
        let is_bare = found.is_bare;
        Some(Self { report, rows: Mutex::new(rows), count, identify, is_bare })
    }

    /// The row of the task with this number and input.
    fn own(&self, number: u64, fields: &Fields) -> Option<Vec<u8>> {
        let identity = self.identify.clone().of(fields);
        let place = lock(&self.rows).take(identity, number)?;
        self.read(place)
    }

    /// Whether a task had this input.
    fn has(&self, fields: &Fields) -> bool {
        let identity = self.identify.clone().of(fields);
        lock(&self.rows).has(identity)
    }

    /// The row of a task with this input, the first that nobody has been given.
    fn any(&self, fields: &Fields) -> Option<Vec<u8>> {
        let identity = self.identify.clone().of(fields);
        let place = lock(&self.rows).take_any(identity)?;
        self.read(place)
    }

    fn read(&self, (offset, length): Place) -> Option<Vec<u8>> {
        let mut row = vec![0; length as usize];
        self.report.read_exact_at(&mut row, offset).ok()?;
        Some(row)
    }
}

/// The reports that are kept aside.
#[derive(Debug)]
struct Aside {
    results: PathBuf,
    job: String,
}

impl Aside {
    fn of(results: &Path, job: &str) -> Self {
        Self { results: results.to_owned(), job: job.to_owned() }
    }

    /// The files that there may be, the newest first.
    fn files(&self) -> Vec<(PathBuf, PathBuf)> {
        let at = |name: &str| self.results.join(name);
        (1..=MOST).map(|number| names(&self.job, number).map(|name| at(&name)).into()).collect()
    }

    /// Keeps this report, by a second name, and a copy of its state, which will describe another one.
    fn keep(&self, report: &Path, state: &Path) -> io::Result<()> {
        let files = self.files();
        for pair in files.windows(2).rev() {
            let [(old_report, old_state), (report, state)] = pair else { continue };
            if old_report.exists() {
                fs::rename(old_report, report)?;
                fs::rename(old_state, state)?;
            }
        }
        let (kept_report, kept_state) = &files[0];
        let linked = fs::hard_link(report, kept_report);
        linked.or_else(|_| fs::copy(report, kept_report).map(drop))?;
        fs::copy(state, kept_state).map(drop)
    }

    fn remove(&self) {
        for (report, state) in self.files() {
            let _ = fs::remove_file(report); // most are not there
            let _ = fs::remove_file(state);
        }
    }
}

/// The names of the files of the one with this number.
fn names(job: &str, number: usize) -> [String; 2] {
    [format!(".{job}.earlier{number}"), format!(".{job}.earlier{number}-state")]
}

/// The names of all files that may be there.
pub(in crate::report) fn all_names(job: &str) -> impl Iterator<Item = String> {
    (1..=MOST).flat_map(move |number| names(job, number))
}
