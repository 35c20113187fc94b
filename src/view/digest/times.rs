//! What happened when: throughput, tasks in flight, what each slot did, and how run times drifted.

use crate::task::Status;
use crate::view::digest::axis::{Axis, Merge};
use crate::view::digest::histogram::Coarse;

/// In how many buckets time is divided, at most.
const BUCKETS: usize = 480;

/// In how many buckets time is divided where each holds a histogram.
const COLUMNS: usize = 96;

/// Up to so many slots are told apart.
pub const SLOTS: usize = 64;

/// Up to so many attempts are drawn one by one.
const BARS: usize = 600;

/// An attempt, or what a stage did to a task.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// When it started, in microseconds since 1970.
    pub start: i64,
    /// When it ended.
    pub end: i64,
    /// How many nanoseconds more it ran, less than a microsecond: of short tasks they are all there is.
    pub rest: u64,
    /// How it ended; `None` if the task went on.
    pub status: Option<Status>,
    /// The slot, from 1.
    pub slot: Option<u64>,
    /// The index of the stage.
    pub stage: Option<usize>,
    /// The task.
    pub task: u64,
    /// What the task was made from.
    pub label: &'a dyn Label,
}

/// The text for a task, which is only made where it is shown.
pub trait Label: std::fmt::Debug {
    /// Its text, with at most so many characters.
    fn text(&self, limit: usize) -> String;
}

/// An attempt that is drawn by itself.
#[derive(Clone, Debug)]
pub struct Bar {
    /// The slot, from 1.
    pub slot: u64,
    /// When it started, in microseconds since 1970.
    pub start: i64,
    /// When it ended.
    pub end: i64,
    /// How it ended.
    pub status: Status,
    /// The task.
    pub task: u64,
    /// What it was made from.
    pub label: String,
}

/// What a slot did in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlotFigures {
    /// How many attempts.
    pub attempts: u64,
    /// For how long, in nanoseconds.
    pub busy: u64,
}

/// What happened when.
#[derive(Debug)]
pub struct Times {
    /// The buckets of all series but `drift`.
    pub axis: Axis,
    /// How many ended ok in each bucket.
    pub ok: Vec<f64>,
    /// How many ended otherwise.
    pub not_ok: Vec<f64>,
    /// For how long, in microseconds, something ran in each bucket, summed over all that ran.
    pub busy: Vec<f64>,
    /// The same for each stage, or each slot if there are few.
    pub tracks: Vec<Vec<f64>>,
    /// What each slot did; empty if there are more than [`SLOTS`].
    pub slots: Vec<SlotFigures>,
    /// Single attempts; `None` if there are too many.
    pub bars: Option<Vec<Bar>>,
    /// The first start and the last end.
    pub range: Option<(i64, i64)>,
    /// The last start.
    pub last_start: Option<i64>,
    /// How many attempts there are.
    pub attempts: u64,
    /// The highest number of a slot.
    pub highest_slot: u64,
}

impl Times {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        let series = || vec![0.0; BUCKETS];
        Self {
            axis: Axis::new(BUCKETS),
            ok: series(),
            not_ok: series(),
            busy: series(),
            tracks: Vec::new(),
            slots: Vec::new(),
            bars: Some(Vec::new()),
            range: None,
            last_start: None,
            attempts: 0,
            highest_slot: 0,
        }
    }

    /// Adds an attempt.
    pub fn add(&mut self, span: Span<'_>) {
        let (start, end) = (span.start, span.end.max(span.start));
        for change in self.axis.cover(start, end) {
            let series = [&mut self.ok, &mut self.not_ok, &mut self.busy];
            series.into_iter().chain(&mut self.tracks).for_each(|series| change.apply(series));
        }
        let (first, last) = self.range.unwrap_or((start, end));
        self.range = Some((first.min(start), last.max(end)));
        self.last_start = self.last_start.max(Some(start));
        self.attempts += 1;
        if let Some(status) = span.status {
            let at = self.axis.index(end);
            match status {
                Status::Ok => self.ok[at] += 1.0,
                _ => self.not_ok[at] += 1.0,
            }
        }
        add_busy(&self.axis, &mut self.busy, (start, end, span.rest));
        if let Some(stage) = span.stage {
            self.bars = None;
            let track = track(&mut self.tracks, stage);
            add_busy(&self.axis, track, (start, end, span.rest));
        } else if let Some(slot) = span.slot {
            self.add_to_slot(slot, &span, (start, end));
        }
    }

    fn add_to_slot(&mut self, slot: u64, span: &Span<'_>, (start, end): (i64, i64)) {
        self.highest_slot = self.highest_slot.max(slot);
        if self.highest_slot > SLOTS as u64 || slot == 0 {
            self.slots.clear();
            self.tracks.clear();
            self.bars = None;
            return;
        }
        let index = slot as usize - 1;
        add_busy(&self.axis, track(&mut self.tracks, index), (start, end, span.rest));
        if index >= self.slots.len() {
            self.slots.resize(index + 1, SlotFigures::default());
        }
        self.slots[index].attempts += 1;
        self.slots[index].busy += (end - start) as u64 * 1000 + span.rest;
        let Some(bars) = &mut self.bars else { return };
        if bars.len() == BARS {
            self.bars = None;
            return;
        }
        let label = span.label.text(40);
        let status = span.status.unwrap_or(Status::Ok);
        bars.push(Bar { slot, start, end, status, task: span.task, label });
    }
}

/// The series with this index.
fn track(tracks: &mut Vec<Vec<f64>>, index: usize) -> &mut Vec<f64> {
    while tracks.len() <= index {
        tracks.push(vec![0.0; BUCKETS]);
    }
    &mut tracks[index]
}

/// Adds the time from `start` to `end`, and so many nanoseconds more, to the buckets that it lies in. Slots do one thing at
/// a time, so all calls together touch about as many buckets as there are, once for each slot.
fn add_busy(axis: &Axis, series: &mut [f64], (start, end, rest): (i64, i64, u64)) {
    let (first, last) = (axis.index(start), axis.index(end));
    series[last] += rest as f64 / 1e3;
    if first == last {
        series[first] += (end - start) as f64;
        return;
    }
    series[first] += (axis.start(first + 1) - start) as f64;
    series[first + 1..last].iter_mut().for_each(|busy| *busy += axis.width() as f64);
    series[last] += (end - axis.start(last)) as f64;
}

impl Merge for Coarse {
    fn merge(&mut self, other: Self) {
        if self.total() == 0 {
            *self = other;
        } else {
            Coarse::merge(self, &other);
        }
    }
}

/// How run times changed while the job ran.
#[derive(Debug)]
pub struct Drift {
    /// The buckets.
    pub axis: Axis,
    /// The run times of what started in each of them.
    pub runs: Vec<Coarse>,
}

impl Drift {
    /// Nothing has run yet.
    pub fn new() -> Self {
        let mut runs = Vec::new();
        runs.resize_with(COLUMNS, Coarse::default);
        Self { axis: Axis::new(COLUMNS), runs }
    }

    /// Adds a task that started then, in microseconds since 1970, and ran so many nanoseconds.
    pub fn add(&mut self, start: i64, run: u64) {
        for change in self.axis.cover(start, start) {
            change.apply(&mut self.runs);
        }
        self.runs[self.axis.index(start)].add(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct No;

    impl Label for No {
        fn text(&self, _: usize) -> String {
            String::new()
        }
    }

    fn span(slot: u64, start: i64, end: i64) -> Span<'static> {
        let status = Some(Status::Ok);
        Span { start, end, rest: 0, status, slot: Some(slot), stage: None, task: 1, label: &No }
    }

    #[test]
    fn what_ran_is_shared_out_to_its_buckets() {
        let mut times = Times::new();
        times.add(span(1, 500, 3500));
        times.add(span(2, 1000, 1200));
        assert_eq!(times.busy[..4], [500.0, 1200.0, 1000.0, 500.0]);
        assert_eq!(times.tracks[0][..4], [500.0, 1000.0, 1000.0, 500.0]);
        assert_eq!((times.ok[1], times.ok[3]), (1.0, 1.0));
        assert_eq!(times.bars.as_ref().map(Vec::len), Some(2));
        // A year later nothing has been lost.
        let year = 365 * 86_400 * 1_000_000;
        times.add(span(1, year, 2 * year));
        let total: f64 = times.busy.iter().sum();
        assert!((total - (3200 + year) as f64).abs() < 1.0, "{total}");
        assert!(times.axis.len() <= BUCKETS && times.axis.len() > BUCKETS / 2 - 2);
    }

    #[test]
    fn what_takes_less_than_a_microsecond_adds_up() {
        let mut times = Times::new();
        (0..1000).for_each(|at| times.add(Span { rest: 900, ..span(1, 3 * at, 3 * at + 1) }));
        assert_eq!((times.slots[0].attempts, times.slots[0].busy), (1000, 1_900_000));
        let total: f64 = times.busy.iter().sum();
        assert!((total - 1900.0).abs() < 1e-6, "{total}");
    }

    #[test]
    fn many_slots_are_not_told_apart() {
        let mut times = Times::new();
        (1..=1000).for_each(|slot| times.add(span(slot, 0, 1000)));
        times.add(span(1, 0, 1000));
        assert!(times.slots.is_empty() && times.tracks.is_empty() && times.bars.is_none());
        assert_eq!((times.highest_slot, times.attempts), (1000, 1001));
    }
}
