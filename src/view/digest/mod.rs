//! What a page says of a report, gathered row by row in bounded memory.

pub mod axis;
pub mod causes;
pub mod groups;
pub mod histogram;
pub mod tasks;
pub mod times;
pub mod top;

use std::fmt::Write;

use causes::{Causes, NotOk, of_last_stage};
use groups::Groups;
use histogram::Fine;
use tasks::Numbers;
use times::{Drift, Label, Span, Times};
use top::{Entry, Top};

use crate::csv::TimestampReader;
use crate::report::Distribution;
use crate::task::{Status, Tally};
use crate::view::read::columns::Columns;
use crate::view::read::figures;
use crate::view::read::period::Period;
use crate::view::read::rows::Row;
use crate::view::text;

/// How many tasks are listed as the slowest, and as those with the largest memory.
const LISTED: usize = 20;

/// How many tasks that are not ok are listed.
const NOT_OK: usize = 300;

/// Of how many fields the values are looked at.
const FIELDS: usize = 12;

/// The most characters of an input that are shown.
const INPUT: usize = 160;

/// The most characters of an error that are shown, from its start and from its end each.
const ERROR: usize = 320;

/// Of how many stages the run times are drawn.
const STAGES: usize = 12;

/// Reads a figure.
type Read = fn(&[u8]) -> Option<u64>;

/// What a page says of a report.
#[derive(Debug)]
pub struct Digest {
    /// How many tasks ended in which way.
    pub tally: Tally,
    /// The numbers of the tasks.
    pub numbers: Numbers,
    /// All attempts.
    pub attempts: u64,
    /// How many tasks were attempted more than once.
    pub retried: u64,
    /// The run times: the figures that the summary has.
    pub run: Distribution,
    /// The queue times.
    pub queue: Distribution,
    /// The run times, as they are drawn.
    pub runs: Fine,
    /// The run times of each stage.
    pub stages: Vec<Fine>,
    /// The sums of `cpu_user_s` and `cpu_sys_s`, in nanoseconds.
    pub cpu: Option<(u64, u64)>,
    /// The highest `peak_rss_bytes`.
    pub peak: Option<u64>,
    /// The sum of `output_bytes`.
    pub output: Option<u64>,
    /// The sum of run times, in nanoseconds.
    pub run_total: u128,
    /// What happened when, by the rows: of a task with several attempts, the first start is known.
    pub times: Times,
    /// How run times changed.
    pub drift: Drift,
    /// Why tasks are not ok.
    pub causes: Causes,
    /// The first tasks that are not ok.
    pub not_ok: Vec<NotOk>,
    /// The tasks that ran the longest.
    pub slowest: Top,
    /// The tasks with the largest memory.
    pub largest: Top,
    /// By the values of fields.
    pub groups: Vec<Groups>,
    /// How many tasks were done by an earlier run: they are in no figure over time.
    pub earlier: u64,
    /// Of these, how many seem to have started after this run, by a clock that was set back.
    pub later: u64,
    /// Of those, how many are ok.
    pub later_ok: u64,
    /// How many tasks have no start that can be read.
    pub without_start: u64,
    /// The attempts of the tasks that are in figures over time.
    pub placed: u64,
    /// Of each column, how many of its figures cannot be read.
    pub unreadable: Vec<u64>,
    /// When the run was that the figures over time are of.
    period: Period,
    stamps: TimestampReader,
}

/// The input of a row, as people read it.
#[derive(Debug)]
pub struct RowLabel<'a>(pub &'a Row<'a>, pub &'a Columns);

impl Label for RowLabel<'_> {
    fn text(&self, limit: usize) -> String {
        let RowLabel(row, columns) = self;
        let fields = columns.fields.clone();
        if fields.len() <= 1 {
            return fields.map(|index| text::line(&row.text(index), limit)).collect();
        }
        let mut out = String::new();
        for index in fields {
            if !out.is_empty() {
                out.push_str(", ");
            }
            if out.len() > 4 * limit {
                break;
            }
            let value = text::line(&row.text(index), limit);
            let _ = write!(out, "{}={value}", columns.names[index]);
        }
        text::line(out.as_bytes(), limit)
    }
}

/// The status with this name.
pub fn status_of(word: &[u8]) -> Option<Status> {
    Status::ALL.into_iter().find(|status| status.name().as_bytes() == word)
}

/// Why a row with as many cells as there are columns is none of a task.
pub fn flaw(row: &Row<'_>, columns: &Columns) -> String {
    let shown = |at: usize| text::line(row.word(at), 20);
    if figures::integer(row.word(0)).is_none() {
        format!("its task is `{}`, which is no number", shown(0))
    } else {
        format!("its status is `{}`, which there is not", shown(columns.status))
    }
}

impl Digest {
    /// Without a row. Figures over time are of what started in `period`.
    pub fn new(columns: &Columns, period: Period) -> Self {
        Self {
            tally: Tally::default(),
            numbers: Numbers::default(),
            attempts: 0,
            retried: 0,
            run: Distribution::new(),
            queue: Distribution::new(),
            runs: Fine::default(),
            stages: vec![Fine::default(); columns.stages.len().min(STAGES)],
            cpu: None,
            peak: None,
            output: None,
            run_total: 0,
            times: Times::new(),
            drift: Drift::new(),
            causes: Causes::default(),
            not_ok: Vec::new(),
            slowest: Top::new(LISTED),
            largest: Top::new(LISTED),
            groups: columns.field_names().iter().take(FIELDS).cloned().map(Groups::new).collect(),
            earlier: 0,
            later: 0,
            later_ok: 0,
            without_start: 0,
            placed: 0,
            unreadable: vec![0; columns.names.len()],
            period,
            stamps: TimestampReader::default(),
        }
    }

    /// Adds a row; false if it has no number or no status of a task.
    pub fn add(&mut self, row: &Row<'_>, columns: &Columns) -> bool {
        let (Some(task), Some(status)) =
            (figures::integer(row.word(0)), status_of(row.word(columns.status)))
        else {
            return false;
        };
        self.tally.add(status);
        self.numbers.add(task);
        if status == Status::Skipped {
            return true; // its figures are of a run before that
        }
        let attempts = self.integer(row, columns.attempts);
        self.attempts += attempts.unwrap_or(1);
        let is_retried = is_retried(row, columns, attempts);
        self.retried += u64::from(is_retried);
        let run = self.add_figures(row, columns);
        if self.add_times(row, columns, (task, status), run) {
            self.placed += attempts.unwrap_or(1);
        }
        for (groups, field) in self.groups.iter_mut().zip(columns.fields.clone()) {
            if groups.is_open() {
                groups.add(&row.text(field), status == Status::Ok, run);
            }
        }
        let input = || RowLabel(row, columns).text(INPUT);
        let attempts = attempts.filter(|_| is_retried).unwrap_or(1);
        let entry = |value| Entry { task, input: input(), status, value, attempts };
        if let Some(run) = run {
            self.slowest.add(run, task, || entry(run));
        }
        if let Some(peak) = self.integer(row, columns.peak) {
            self.peak = self.peak.max(Some(peak));
            self.largest.add(peak, task, || entry(peak));
        }
        if status != Status::Ok {
            self.add_not_ok(row, columns, (task, status, attempts));
        }
        true
    }

    /// The figure in a cell; one that cannot be read is counted.
    fn figure(&mut self, row: &Row<'_>, at: Option<usize>, read: Read) -> Option<u64> {
        let (at, word) = (at?, row.word(at?));
        if word.is_empty() {
            return None;
        }
        let figure = read(word);
        if figure.is_none()
            && let Some(count) = self.unreadable.get_mut(at)
        {
            *count += 1;
        }
        figure
    }

    fn nanos(&mut self, row: &Row<'_>, at: Option<usize>) -> Option<u64> {
        self.figure(row, at, figures::nanos)
    }

    fn integer(&mut self, row: &Row<'_>, at: Option<usize>) -> Option<u64> {
        self.figure(row, at, figures::integer)
    }

    /// Adds the figures of a row, and returns how long the task ran, in nanoseconds.
    fn add_figures(&mut self, row: &Row<'_>, columns: &Columns) -> Option<u64> {
        let duration = std::time::Duration::from_nanos;
        let (queue, run) = if columns.stages.is_empty() {
            (self.nanos(row, columns.queue), self.nanos(row, columns.run))
        } else {
            self.add_stages(row, columns)
        };
        if let Some(queue) = queue {
            self.queue.add(duration(queue));
        }
        if let Some(run) = run {
            self.run.add(duration(run));
            self.runs.add(run);
            self.run_total += u128::from(run);
        }
        let (user, system) = (self.nanos(row, columns.cpu_user), self.nanos(row, columns.cpu_sys));
        if let Some((user, system)) = user.zip(system) {
            let sum = self.cpu.get_or_insert_default();
            *sum = (sum.0.saturating_add(user), sum.1.saturating_add(system));
        }
        if let Some(output) = self.integer(row, columns.output) {
            let sum = self.output.get_or_insert_default();
            *sum = sum.saturating_add(output);
        }
        run
    }

    /// Adds the times of each stage, and returns the sums of the queue times and of the run times.
    fn add_stages(&mut self, row: &Row<'_>, columns: &Columns) -> (Option<u64>, Option<u64>) {
        let mut sums: (Option<u64>, Option<u64>) = (None, None);
        let add =
            |sum: &mut Option<u64>, more: u64| *sum = Some(sum.unwrap_or(0).saturating_add(more));
        for (index, stage) in columns.stages.iter().enumerate() {
            if let Some(queue) = self.nanos(row, stage.queue) {
                add(&mut sums.0, queue);
            }
            if let Some(run) = self.nanos(row, Some(stage.run)) {
                add(&mut sums.1, run);
                if let Some(runs) = self.stages.get_mut(index) {
                    runs.add(run);
                }
            }
        }
        sums
    }

    /// Adds a row to what happened when; false if it has no place there.
    fn add_times(
        &mut self,
        row: &Row<'_>,
        columns: &Columns,
        (task, status): (u64, Status),
        run: Option<u64>,
    ) -> bool {
        let Some(cell) = columns.started.map(|at| row.word(at)) else { return false };
        if cell.is_empty() {
            return false; // it never started
        }
        let Some(start) = self.stamps.micros(cell) else {
            self.without_start += 1;
            return false;
        };
        if !self.period.has(start) {
            let is_later = self.period.is_over(start);
            self.earlier += 1;
            self.later += u64::from(is_later);
            self.later_ok += u64::from(is_later && status == Status::Ok);
            return false;
        }
        if let Some(run) = run {
            self.drift.add(start, run);
        }
        let label = RowLabel(row, columns);
        let slot = columns.slot.and_then(|at| figures::integer(row.word(at)));
        let span = Span {
            start,
            end: later(start, run),
            rest: rest(run),
            status: Some(status),
            slot,
            stage: None,
            task,
            label: &label,
        };
        if columns.stages.is_empty() {
            self.times.add(span);
        } else {
            self.add_stage_times(row, columns, span);
        }
        true
    }

    /// Adds what each stage did to a task: each waits for `queue_s` after the one before.
    fn add_stage_times(&mut self, row: &Row<'_>, columns: &Columns, task: Span<'_>) {
        let mut start = task.start;
        let ran = |stage: usize| figures::nanos(row.word(columns.stages[stage].run));
        let last = (0..columns.stages.len()).rev().find(|&stage| ran(stage).is_some());
        for (index, stage) in columns.stages.iter().enumerate() {
            let Some(run) = ran(index) else { continue };
            if index > 0 {
                start = later(start, stage.queue.and_then(|at| figures::nanos(row.word(at))));
            }
            let end = later(start, Some(run));
            let status = task.status.filter(|_| Some(index) == last);
            let rest = rest(Some(run));
            self.times.add(Span { start, end, rest, status, stage: Some(index), ..task });
            start = end;
        }
    }

    fn add_not_ok(
        &mut self,
        row: &Row<'_>,
        columns: &Columns,
        (task, status, attempts): (u64, Status, u64),
    ) {
        let error = columns.error.map(|at| row.text(at)).unwrap_or_default();
        let code = columns.code.map_or(&[][..], |at| row.word(at));
        let describe = || NotOk {
            task,
            input: RowLabel(row, columns).text(INPUT),
            status,
            code: text::line(code, 20),
            attempts,
            error: text::visible(text::ends(&error, ERROR).trim()),
        };
        let fields: Vec<_> = columns.fields.clone().take(FIELDS).map(|at| row.text(at)).collect();
        let fields: Vec<&[u8]> = fields.iter().map(|field| &**field).collect();
        let said = String::from_utf8_lossy(&error);
        let stages = columns.stages.iter().map(|stage| stage.name.as_str());
        self.causes.add((status, code), of_last_stage(&said, stages), &fields, describe);
        if self.not_ok.len() < NOT_OK {
            self.not_ok.push(describe());
        }
    }
}

/// Whether a task was attempted more than once in one of its stages. An attempt that could not start has no run time, and
/// counts; so the run times tell only in a report that does not say how often each stage was attempted.
fn is_retried(row: &Row<'_>, columns: &Columns, attempts: Option<u64>) -> bool {
    let of_stage = |at: Option<usize>| figures::integer(row.word(at?));
    let stages = &columns.stages;
    if !stages.is_empty() && stages.iter().all(|stage| stage.attempts.is_some()) {
        return stages.iter().any(|stage| of_stage(stage.attempts) > Some(1));
    }
    // Each stage that a task reached takes one attempt at least.
    let reached = stages.iter().filter(|stage| !row.word(stage.run).is_empty()).count();
    attempts > Some(reached.max(1) as u64)
}

/// The time that many nanoseconds after `start`, in microseconds.
fn later(start: i64, nanos: Option<u64>) -> i64 {
    start.saturating_add((nanos.unwrap_or(0) / 1000) as i64)
}

/// What [`later`] leaves out, in nanoseconds.
fn rest(nanos: Option<u64>) -> u64 {
    nanos.unwrap_or(0) % 1000
}

#[cfg(test)]
mod tests;
