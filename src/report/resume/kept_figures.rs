//! The figures of the kept rows of an earlier run.

use std::cmp::Reverse;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::number::Sum;
use crate::csv::number::parse_seconds;
use crate::csv::{TimestampReader, cells};
use crate::report::layout::Layout;
use crate::report::resume::start::Begun;
use crate::report::resume::verify;
use crate::report::stats::{Distribution, Totals};
use crate::sys::CpuTime;
use crate::task::Status;

/// What an earlier run has used of a column, in units of 10^-12.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    /// In all.
    pub all: i128,
    /// By the attempts that may have started within the longest time of a budget: how long ago, and what each used. The
    /// oldest comes first.
    pub lately: Vec<(Duration, i128)>,
}

/// What the rows that a report begins with have used, of each column with a budget.
#[derive(Debug, Default)]
pub(in crate::report) struct KeptSpent {
    sums: Vec<Sum>,
    /// Of the rows of late, how long ago their attempt started, and what they say.
    lately: Vec<(Duration, Vec<Sum>)>,
}

impl KeptSpent {
    /// Of the column at this place among those with a budget.
    pub(in crate::report) fn of(&self, at: usize) -> Spent {
        let units = |sums: &[Sum]| sums.get(at).map_or(0, |sum| sum.units().max(0));
        let lately = self.lately.iter().map(|(age, sums)| (*age, units(sums)));
        let mut spent = Spent { all: units(&self.sums), lately: lately.collect() };
        spent.lately.sort_by_key(|(age, _)| Reverse(*age));
        spent
    }
}

/// When rows were written, for those that do not say when their last attempt started.
struct Ages {
    now: SystemTime,
    /// The earlier run cannot have gone on for longer.
    end: SystemTime,
    timestamps: TimestampReader,
}

impl Ages {
    fn of(partial: &File) -> Self {
        let now = SystemTime::now();
        let end = partial.metadata().and_then(|data| data.modified()).unwrap_or(now);
        Self { now, end: end.min(now), timestamps: TimestampReader::default() }
    }

    /// How long ago the attempt that `row` is about has started, at least. Of one that was not the first, or of a later
    /// stage, the row does not say it.
    fn of_row(&mut self, row: &[u8], layout: &Layout) -> Option<Duration> {
        let mut cells = cells(row, layout.csv.delimiter).skip(1 + layout.fields + 1);
        let is_staged = !layout.stages.is_empty();
        let attempts = cells.nth(usize::from(is_staged))?;
        let started = self.timestamps.micros(cells.next()?)?;
        let started = UNIX_EPOCH + Duration::from_micros(u64::try_from(started).ok()?);
        let is_exact = attempts == b"1" && !is_staged;
        let latest = if is_exact { started } else { self.end.max(started) };
        Some(self.now.duration_since(latest).unwrap_or_default())
    }
}

/// What the rows that a report begins with have used.
pub(in crate::report) fn spent(begun: &Begun, layout: &Layout) -> KeptSpent {
    let mut spent = KeptSpent::default();
    if layout.budgets.is_empty() || begun.kept == 0 {
        return spent;
    }
    let mut row = Vec::new();
    let mut ages = Ages::of(begun.partial.file());
    // A row that cannot be read now fails the run where it is copied.
    let _ = verify::entries(begun.state.file(), begun.kept, |entry| {
        row.resize(entry.length as usize, 0);
        if begun.partial.file().read_exact_at(&mut row, entry.offset).is_ok() {
            layout.add(&row, &layout.budgets, &mut spent.sums);
            let age = layout.longest_budget.and_then(|_| ages.of_row(&row, layout));
            if let Some(age) = age.filter(|age| layout.longest_budget.is_some_and(|per| *age < per))
            {
                let mut sums = Vec::new();
                layout.add(&row, &layout.budgets, &mut sums);
                spent.lately.push((age, sums));
            }
        }
        true
    });
    spent
}

/// Adds the figures of a kept row to those of its job.
pub(crate) fn add_figures(
    row: &[u8],
    status: Status,
    layout: &Layout,
    totals: &mut Totals,
    (queue, run): (&mut Distribution, &mut Distribution),
) {
    let figures = Figures::of(row, status, layout);
    figures.times.0.into_iter().for_each(|queued| queue.add(queued));
    figures.times.1.into_iter().for_each(|ran| run.add(ran));
    totals.add_row(status, figures.cpu, figures.peak, figures.output);
}

/// What a row says of what its task took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// How long it was queued and how long it ran, where the row says so.
    pub(crate) times: (Option<Duration>, Option<Duration>),
    cpu: Option<CpuTime>,
    peak: Option<u64>,
    output: Option<u64>,
}

impl Figures {
    /// The figures in `row`, whose task has ended as `status`.
    pub(crate) fn of(row: &[u8], status: Status, layout: &Layout) -> Self {
        match status {
            Status::Skipped => Self::default(), // its figures are of a run before that
            _ => read(row, layout),
        }
    }

    /// The totals of this row alone.
    pub(crate) fn into_totals(self, status: Status) -> Totals {
        let mut totals = Totals::default();
        totals.add_row(status, self.cpu, self.peak, self.output);
        totals
    }
}

fn read(row: &[u8], layout: &Layout) -> Figures {
    // `task`, the fields, `status`, in stages `stage`, `attempts`, `started_utc`; then those below.
    let stages = layout.stages.len();
    let before = 1 + layout.fields + 3 + usize::from(stages > 0);
    let mut cells = cells(row, layout.csv.delimiter).skip(before);
    let times = times(&mut cells, layout);
    let mut seconds = || parse_seconds(cells.next()?, layout.csv.point);
    let cpu: (Option<Duration>, Option<Duration>) = (seconds(), seconds());
    let mut integer = |skip: usize| std::str::from_utf8(cells.nth(skip)?).ok()?.parse().ok();
    let peak = integer(0);
    // After `slot`, perhaps `host`, `code` and `result`.
    let output = integer(3 + usize::from(layout.host.is_some()));
    let cpu = cpu.0.zip(cpu.1).map(|(user, system)| CpuTime { user, system });
    Figures { times, cpu, peak, output }
}

/// How long a task was queued and how long it ran, in all stages together.
fn times<'r>(
    cells: &mut impl Iterator<Item = &'r [u8]>,
    layout: &Layout,
) -> (Option<Duration>, Option<Duration>) {
    let mut seconds = || parse_seconds(cells.next()?, layout.csv.point);
    if layout.stages.is_empty() {
        return (seconds(), seconds());
    }
    let mut sum: (Option<Duration>, Option<Duration>) = (None, None);
    for _ in &layout.stages {
        let add = |sum: &mut Option<Duration>, more: Option<Duration>| {
            if let Some(more) = more {
                *sum.get_or_insert_default() += more;
            }
        };
        add(&mut sum.0, seconds());
        add(&mut sum.1, seconds());
        seconds(); // the attempts
    }
    sum
}
