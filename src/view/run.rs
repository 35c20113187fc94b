//! A run's report, read once from its first row to its last one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::base::diagnostic::reason;
use crate::csv::TimestampReader;
use crate::report::is_bare;
use crate::task::Status;
use crate::view::digest::times::{Label, Span, Times};
use crate::view::digest::{Digest, flaw, status_of};
use crate::view::read::columns::Columns;
use crate::view::read::figures;
use crate::view::read::files::{Files, Kind};
use crate::view::read::period::{Period, SoFar};
use crate::view::read::replaced::{Replaced, Text};
use crate::view::read::rows::{End, Row, Rows};
use crate::view::read::summary::SummaryRow;

/// What is known of a run.
#[derive(Debug)]
pub struct RunReport {
    /// Its files.
    pub files: Files,
    /// The columns of its report.
    pub columns: Columns,
    /// What its rows come to.
    pub digest: Digest,
    /// What happened when, by the file of attempts, if there is one that belongs to these rows.
    pub attempts: Option<Times>,
    /// Its row of the summary, if that is of this run.
    pub summary: Option<SummaryRow>,
    /// When it was, as far as that is known.
    pub period: Period,
    /// What it has last said of itself, if it has not ended.
    pub so_far: Option<SoFar>,
    /// Why the report is not whole; empty if it is.
    pub cuts: Vec<String>,
    /// What else is odd about it.
    pub notes: Vec<String>,
}

/// Takes rows while a report is read.
pub trait Sink {
    /// Takes a row that is whole.
    ///
    /// # Errors
    /// If it cannot be written.
    fn row(&mut self, row: &Row<'_>) -> io::Result<()>;
}

/// Why a report was not read.
#[derive(Debug)]
pub enum Trouble {
    /// It is not a report, or cannot be read.
    Unusable(String),
    /// What takes the rows failed.
    Sink(io::Error),
}

impl RunReport {
    /// Reads the report in `files`, and hands each row that is whole to what `sink` makes for its columns.
    ///
    /// # Errors
    /// If there is nothing to read, or a row could not be taken.
    pub fn read<S: Sink>(
        files: Files,
        sink: impl FnOnce(&Columns) -> io::Result<S>,
    ) -> Result<(Self, S), Trouble> {
        let shown = files.main.display().to_string();
        let cannot = |error: &io::Error| {
            Trouble::Unusable(format!("failed to read `{shown}`: {}", reason(error)))
        };
        let not_one = |why: &str| Trouble::Unusable(format!("`{shown}` is not a report: {why}"));
        let file = File::open(&files.main).map_err(|error| cannot(&error))?;
        let is_safe = !is_bare(&file, &files.beside(&format!(".{}.state", files.job)));
        let modified = file.metadata().and_then(|meta| meta.modified()).ok();
        let text = Text::of(&file, files.kind).map_err(|error| cannot(&error))?;
        let open = || Rows::open_as(text.reader()?, is_safe);
        let rows = open().map_err(|error| cannot(&error))?;
        let Some(rows) = rows else {
            return Err(not_one(match files.kind {
                Kind::Running => "it is empty; its run has only just begun",
                _ => "it is empty",
            }));
        };
        let columns = Columns::of(rows.names()).map_err(|why| not_one(&why))?;
        let mut summary = match files.kind {
            Kind::Run => SummaryRow::read(&files.beside("summary.csv"), &files.job),
            _ => None,
        };
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(i64::MAX, |since| since.as_micros() as i64);
        summary = summary.filter(|row| !is_of_later_run(row, modified, &files.main));
        let so_far = match files.kind {
            Kind::Running | Kind::Killed => SoFar::read(&files.folder, &files.job),
            _ => None,
        };
        let period = match &summary {
            Some(row) => Period::of(row),
            None => Period::from(so_far.map(|so_far| so_far.started)),
        };
        let mut sink = sink(&columns).map_err(Trouble::Sink)?;
        let mut report = Self {
            digest: Digest::new(&columns, period),
            period,
            so_far,
            files,
            columns,
            attempts: None,
            summary,
            cuts: Vec::new(),
            notes: Vec::new(),
        };
        let again = || open().ok().flatten();
        let replaced = Replaced::of(&report.files, &file, &report.columns, again);
        report.take(rows, &replaced, &mut sink)?;
        report.check_numbers();
        report.check_summary();
        report.read_attempts();
        report.note_gaps();
        Ok((report, sink))
    }

    fn take(
        &mut self,
        mut rows: Rows<impl Read>,
        replaced: &Replaced,
        sink: &mut impl Sink,
    ) -> Result<(), Trouble> {
        let width = self.columns.names.len();
        let (mut number, mut bad, mut first_bad) = (0_u64, 0_u64, None);
        loop {
            let offset = rows.offset();
            let (row, end) = match rows.next() {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(error) => {
                    let done = self.digest.tally.total();
                    self.cuts.push(format!(
                        "reading ended at byte {offset}, after {done} rows: {}",
                        reason(&error)
                    ));
                    break;
                }
            };
            if row.is_blank() {
                continue;
            }
            number += 1;
            if end == End::Cut && self.files.kind != Kind::Running {
                self.cuts.push(format!(
                    "the file is cut: its last row, which starts at byte {offset}, has no end; {} rows before it were read",
                    self.digest.tally.total()
                ));
            }
            if end == End::Cut && (row.len() < width || self.files.kind != Kind::Run) {
                break; // a row that is being written, or was
            }
            if replaced.has(offset, &row, &self.columns) {
                continue;
            }
            let is_read = row.len() == width && self.digest.add(&row, &self.columns);
            if is_read {
                sink.row(&row).map_err(Trouble::Sink)?;
            } else {
                bad += 1;
                first_bad.get_or_insert_with(|| {
                    let cells = row.len();
                    let is_whole = cells == width;
                    let why = is_whole.then(|| flaw(&row, &self.columns));
                    (number, why.unwrap_or_else(|| format!("{cells} cells, {width} columns")))
                });
            }
        }
        if let Some((number, why)) = first_bad {
            let one = if bad == 1 { "1 row is".to_owned() } else { format!("{bad} rows are") };
            self.cuts.push(format!(
                "{one} not as the runner wrote it and left out; the first is row {number} ({why})"
            ));
        }
        Ok(())
    }

    /// Compares the rows with what the summary says of them.
    fn check_summary(&mut self) {
        let Some(summary) = self.summary.as_ref().filter(|row| row.integer("skipped") != Some(1))
        else {
            self.summary = None; // the job has not run since: its report is of a run before
            return;
        };
        let rows = self.digest.tally.total();
        let tasks = summary.integer("tasks").unwrap_or(rows);
        let is_of_these = self.is_of_these_rows(summary);
        if tasks == rows && is_of_these && self.differing(summary).is_empty() {
            return;
        }
        if self.cuts.is_empty() {
            self.cuts.push(if tasks == rows && !is_of_these {
                "the times in `summary.csv` are not those of the rows: the two are of different runs".into()
            } else if tasks == rows {
                format!(
                    "`summary.csv` says of the tasks: {}: rows have been changed, or the two are of different runs",
                    self.differing(summary).join(", ")
                )
            } else {
                let fault = if tasks > rows { "some are missing" } else { "some are too many" };
                format!(
                    "`summary.csv` says that the job has {tasks} tasks, and the report has {rows} rows: {fault}, or the \
                     two are of different runs"
                )
            });
        }
        self.summary = None;
    }

    /// Whether rows lie in the time that the summary says: all of them, unless it is of a run that has been resumed. The
    /// clocks of other machines tell nothing.
    fn is_of_these_rows(&self, summary: &SummaryRow) -> bool {
        let digest = &self.digest;
        if self.is_shared_out() {
            return true;
        }
        let Some(kept) = summary.kept() else {
            let last = digest.times.last_start;
            let end = summary.micros("finished_utc");
            return digest.earlier == 0 && end.zip(last).is_none_or(|(end, last)| last <= end);
        };
        // The clock may have been set back between the two runs, so that kept rows are of a time to come. There are not
        // more of them than were kept, and of the others there is one, unless none was left.
        let has_run = digest.times.attempts > 0 || kept >= digest.tally.total();
        digest.later == 0 || digest.later_ok <= kept && has_run
    }

    /// Where the summary has other counts than the rows, in words.
    fn differing(&self, summary: &SummaryRow) -> Vec<String> {
        let column = |status| match status {
            Status::Skipped => "up_to_date",
            _ => status.name(),
        };
        let differs = |status: Status| {
            let (said, found) = (summary.integer(column(status))?, self.digest.tally.get(status));
            let name = status.name();
            (said != found).then(|| format!("{said} {name}, where the report has {found}"))
        };
        Status::ALL.into_iter().filter_map(differs).collect()
    }

    /// Each task of a run that has ended has one row.
    fn check_numbers(&mut self) {
        if self.files.kind != Kind::Run {
            return; // rows of an earlier run keep their numbers until the report is there
        }
        if let Some((rows, task)) = self.digest.numbers.repeated() {
            let more = if rows == 1 { "1 row has".to_owned() } else { format!("{rows} rows have") };
            self.cuts.push(format!(
                "{more} the number of a task that has a row already, such as task {task}: another program has added them"
            ));
        }
    }

    /// Reads the file of attempts, which knows when each attempt of a task ran.
    fn read_attempts(&mut self) {
        if self.digest.retried == 0 {
            return;
        }
        let path = self.files.beside(&format!("{}.attempts.csv", self.files.job));
        let attempts = self.attempts_of(&path).filter(|times| {
            let starts = |times: &Times| times.range.map(|(from, _)| from / 1000);
            let counted = match self.files.kind {
                Kind::Run => times.attempts == self.digest.placed,
                _ => times.attempts >= self.digest.times.attempts,
            };
            counted && starts(times) >= starts(&self.digest.times)
        });
        if attempts.is_none() {
            let tasks = match self.digest.retried {
                1 => "1 task was".to_owned(),
                count => format!("{count} tasks were"),
            };
            self.notes.push(format!(
                "{tasks} attempted more than once, and there is no file that says when: over time, each counts with its \
                 first start and its last attempt"
            ));
        }
        self.attempts = attempts;
    }

    fn attempts_of(&self, path: &Path) -> Option<Times> {
        let mut rows = Rows::open(File::open(path).ok()?).ok()??;
        let names = rows.names().to_vec();
        let at = |name: &str| names.iter().position(|column| column == name);
        let (task, number, status) = (at("task")?, at("attempt")?, at("status")?);
        let (started, run, stage, slot) =
            (at("started_utc")?, at("run_s")?, at("stage"), at("slot"));
        if !self.columns.stages.is_empty() && stage.is_none() {
            return None;
        }
        let (mut times, mut stamps) = (Times::new(), TimestampReader::default());
        while let Ok(Some((row, End::Whole))) = rows.next() {
            let Some(start) = stamps.micros(row.word(started)) else { continue };
            if !self.period.has(start) {
                continue;
            }
            let nanos = figures::nanos(row.word(run)).unwrap_or(0);
            let stage_of = |at: usize| {
                let name = row.text(at);
                self.columns.stages.iter().position(|stage| stage.name.as_bytes() == &*name)
            };
            times.add(Span {
                start,
                end: start.saturating_add((nanos / 1000) as i64),
                rest: nanos % 1000,
                status: Some(status_of(row.word(status))?),
                slot: slot.and_then(|at| figures::integer(row.word(at))),
                stage: stage.and_then(stage_of),
                task: figures::integer(row.word(task))?,
                label: &Attempt(figures::integer(row.word(number))?),
            });
        }
        Some(times)
    }

    fn note_gaps(&mut self) {
        let digest = &self.digest;
        if digest.earlier > 0 {
            self.notes.push(match digest.earlier {
                1 => "1 task was done by an earlier run: it counts in all figures but those over time"
                    .into(),
                earlier => format!(
                    "{earlier} tasks were done by an earlier run: they count in all figures but those over time"
                ),
            });
        }
        if digest.without_start > 0 {
            let (tasks, are) = match digest.without_start {
                1 => ("1 task has".to_owned(), "it is"),
                count => (format!("{count} tasks have"), "they are"),
            };
            self.cuts.push(format!(
                "{tasks} a `started_utc` that cannot be read (a spreadsheet may have changed it): {are} missing in the \
                 figures over time"
            ));
        }
        for (name, &count) in self.columns.names.iter().zip(&digest.unreadable) {
            if count > 0 {
                let cells = if count == 1 { "1 cell".to_owned() } else { format!("{count} cells") };
                self.cuts.push(format!(
                    "{cells} of `{name}` cannot be read as a number (another program may have changed them): they are \
                     missing in the figures"
                ));
            }
        }
        if !self.columns.missing.is_empty() {
            self.notes.push(format!(
                "the report has no column `{}`: what it would show is left out",
                self.columns.missing.join("`, `")
            ));
        }
        if let Some(partial) = self.files.newer_partial() {
            let age = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
            if age(&partial) > age(&self.files.main) {
                self.notes.push(format!(
                    "there is a later run that has not ended: see `{}`",
                    partial.display()
                ));
            }
        }
    }

    /// What happened when: by attempts where they are known, else by tasks.
    pub fn times(&self) -> &Times {
        self.attempts.as_ref().unwrap_or(&self.digest.times)
    }

    /// Whether it was shared out: each shard numbers its slots from 1, so that a number is no slot of its own.
    pub fn is_shared_out(&self) -> bool {
        self.files.kind == Kind::Left || self.summary.as_ref().is_some_and(SummaryRow::is_of_shards)
    }

    /// Where the slots are told apart.
    pub fn slot_times(&self) -> &Times {
        let attempts = self.attempts.as_ref().filter(|times| times.highest_slot > 0);
        attempts.unwrap_or(&self.digest.times)
    }
}

/// Whether `summary` is of a later run than the report at `path`, which was last written at `modified`: then it says
/// nothing of it. The clock of the file system may be behind, so the rows tell: none has started since that run began.
fn is_of_later_run(summary: &SummaryRow, modified: i64, path: &Path) -> bool {
    let Some(began) = summary.micros("started_utc").filter(|began| *began > modified) else {
        return false;
    };
    let has_started_since = || -> Option<bool> {
        let mut rows = Rows::open(File::open(path).ok()?).ok()??;
        let started = Columns::of(rows.names()).ok()?.started?;
        let mut stamps = TimestampReader::default();
        while let Some((row, End::Whole)) = rows.next().ok()? {
            if stamps.micros(row.word(started)).is_some_and(|start| start >= began) {
                return Some(true);
            }
        }
        Some(false)
    };
    !has_started_since().unwrap_or(false)
}

/// The label of an attempt.
#[derive(Debug)]
struct Attempt(u64);

impl Label for Attempt {
    fn text(&self, _: usize) -> String {
        format!("attempt {}", self.0)
    }
}

impl<S: Sink> Sink for Option<S> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.as_mut().map_or(Ok(()), |sink| sink.row(row))
    }
}
