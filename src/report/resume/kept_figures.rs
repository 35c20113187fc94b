//! The figures of the kept rows of an earlier run.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::base::number::Sum;
use crate::csv::cells;
use crate::csv::number::parse_seconds;
use crate::report::layout::Layout;
use crate::report::resume::start::Begun;
use crate::report::resume::verify;
use crate::report::stats::{Distribution, Totals};
use crate::sys::CpuTime;
use crate::task::Status;

/// What the rows that a report begins with have used, of each column with a budget.
pub(in crate::report) fn spent(begun: &Begun, layout: &Layout) -> Vec<Sum> {
    let mut sums = Vec::new();
    if layout.budgets.is_empty() || begun.kept == 0 {
        return sums;
    }
    let mut row = Vec::new();
    // A row that cannot be read now fails the run where it is copied.
    let _ = verify::entries(begun.state.file(), begun.kept, |entry| {
        row.resize(entry.length as usize, 0);
        if begun.partial.file().read_exact_at(&mut row, entry.offset).is_ok() {
            layout.add(&row, &layout.budgets, &mut sums);
        }
        true
    });
    sums
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
    if let Some((queued, ran)) = figures.times {
        queue.add(queued);
        run.add(ran);
    }
    totals.add_row(status, figures.cpu, figures.peak, figures.output);
}

/// What a row says of what its task took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// How long it was queued and how long it ran, if it was started.
    pub(crate) times: Option<(Duration, Duration)>,
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
    Figures { times: times.0.zip(times.1), cpu, peak, output }
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
