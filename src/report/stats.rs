//! The figures of a job: counts, sums, and the distribution of its run times.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::lock;
use crate::base::number::Sum;
use crate::sys::CpuTime;
use crate::task::Tally;
use crate::task::{Moment, Outcome, Status};

/// How many tasks of this run ended in which way; read by the progress bar while the job runs.
#[derive(Debug, Default)]
pub struct Counts {
    ended: [AtomicU64; Status::ALL.len()],
    kept: AtomicU64,
    kept_failed: AtomicU64,
    /// A host that has refused, and until when it is left alone.
    waits: Mutex<Option<(String, Moment)>>,
}

impl Counts {
    /// How many tasks ended as `status`.
    pub fn get(&self, status: Status) -> u64 {
        self.ended[status as usize].load(Ordering::Relaxed)
    }

    /// How many tasks ended, however.
    pub fn ended(&self) -> u64 {
        self.ended.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// How many tasks failed, timed out or crashed.
    pub fn failed(&self) -> u64 {
        [Status::Failed, Status::Timeout, Status::Crashed]
            .map(|status| self.get(status))
            .iter()
            .sum()
    }

    /// How many tasks kept their rows from an earlier run. They count neither as ended nor as failed.
    pub fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    /// How many of these have failed.
    pub fn kept_failed(&self) -> u64 {
        self.kept_failed.load(Ordering::Relaxed)
    }

    pub(super) fn keep(&self, has_failed: bool) {
        self.kept.fetch_add(1, Ordering::Relaxed);
        self.kept_failed.fetch_add(u64::from(has_failed), Ordering::Relaxed);
    }

    /// A host has refused, and is left alone until then.
    pub fn wait(&self, host: String, until: Moment) {
        *lock(&self.waits) = Some((host, until));
    }

    /// The host that is left alone now, and for how long.
    pub fn waits(&self) -> Option<(String, Duration)> {
        let now = Moment::now();
        let waits = lock(&self.waits).clone()?;
        (waits.1 > now).then(|| (waits.0, waits.1.since(now)))
    }

    pub(super) fn add(&self, tally: &Tally) {
        for (count, status) in self.ended.iter().zip(Status::ALL) {
            count.fetch_add(tally.get(status), Ordering::Relaxed);
        }
    }
}

/// Counts and sums over tasks. What was not measured is `None`.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// By status.
    pub tally: Tally,
    /// Total processor time.
    pub cpu: Option<CpuTime>,
    /// The highest peak memory, in bytes.
    pub peak_rss: Option<u64>,
    /// Total bytes of output.
    pub output_bytes: Option<u64>,
    /// The sums of the columns that have a total, in their order; empty if there are none.
    pub sums: Vec<Sum>,
}

impl Totals {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        self.add_row(outcome.status, outcome.cpu, outcome.peak_rss, outcome.output_bytes);
    }

    /// Adds a task with the figures of its row.
    pub(super) fn add_row(
        &mut self,
        status: Status,
        cpu: Option<CpuTime>,
        peak: Option<u64>,
        output: Option<u64>,
    ) {
        self.tally.add(status);
        self.add_measured(cpu, peak, output);
    }

    pub(super) fn merge(&mut self, other: &Totals) {
        self.tally.merge(&other.tally);
        self.add_measured(other.cpu, other.peak_rss, other.output_bytes);
        if !other.sums.is_empty() {
            self.sums.resize(other.sums.len(), Sum::default());
            self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| sum.merge(more));
        }
    }

    fn add_measured(&mut self, cpu: Option<CpuTime>, peak: Option<u64>, output: Option<u64>) {
        if let Some(more) = cpu {
            let sum = self.cpu.get_or_insert_default();
            sum.user += more.user;
            sum.system += more.system;
        }
        self.peak_rss = self.peak_rss.max(peak);
        if let Some(more) = output {
            *self.output_bytes.get_or_insert_default() += more;
        }
    }
}

/// The number of samples up to which all of them are stored.
const EXACT: usize = 65_536;

/// Percentiles by nearest rank: exact up to 65,536 samples, beyond that from a histogram of four significant digits,
/// which is at most 0.01 % off and takes at most 2 MiB. Its counts have 32 bits, like the number of a report's rows.
#[derive(Debug)]
enum Ranks {
    Exact(Vec<u64>),
    Histogram(Box<Histogram<u32>>),
}

impl Ranks {
    fn add(&mut self, sample: u64) {
        match self {
            Ranks::Exact(samples) if samples.len() < EXACT => samples.push(sample),
            Ranks::Exact(samples) => {
                let mut histogram = Histogram::new(4).expect("four digits are within its range");
                for &sample in samples.iter().chain([&sample]) {
                    record(&mut histogram, sample);
                }
                *self = Ranks::Histogram(Box::new(histogram));
            }
            Ranks::Histogram(histogram) => record(histogram, sample),
        }
    }

    /// The smallest sample such that at least `percent` of all samples are not above it. There must be a sample.
    fn percentile(&mut self, percent: u32) -> u64 {
        match self {
            Ranks::Exact(samples) => {
                let rank = (samples.len() * percent as usize).div_ceil(100).max(1);
                *samples.select_nth_unstable(rank - 1).1
            }
            Ranks::Histogram(histogram) => histogram.value_at_quantile(f64::from(percent) / 100.0),
        }
    }
}

/// Counts a sample. One beyond the range of the histogram, which is centuries, goes into its last bucket.
fn record(histogram: &mut Histogram<u32>, sample: u64) {
    if histogram.record(sample).is_err() {
        histogram.saturating_record(sample);
    }
}

/// The distribution of samples, collected one by one.
#[derive(Debug)]
pub struct Distribution {
    ranks: Ranks,
    count: u64,
    mean: f64,
    /// The sum of squared differences from the mean.
    squares: f64,
    min: u64,
    max: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self::new()
    }
}

impl Distribution {
    /// Without a sample.
    pub fn new() -> Self {
        Self {
            ranks: Ranks::Exact(Vec::new()),
            count: 0,
            mean: 0.0,
            squares: 0.0,
            min: u64::MAX,
            max: 0,
        }
    }

    /// Adds a sample. Welford's method (Technometrics 4, 1962) keeps mean and deviation numerically stable.
    pub fn add(&mut self, sample: Duration) {
        let nanos = u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX);
        self.ranks.add(nanos);
        self.count += 1;
        let from_old_mean = nanos as f64 - self.mean;
        self.mean += from_old_mean / self.count as f64;
        self.squares += from_old_mean * (nanos as f64 - self.mean);
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
    }

    /// `None` without a sample.
    pub fn spread(mut self) -> Option<Spread> {
        if self.count == 0 {
            return None;
        }
        let rounded = |nanos: f64| Duration::from_nanos(nanos.round() as u64);
        let mut percentile = |percent| {
            let nanos = self.ranks.percentile(percent);
            Duration::from_nanos(nanos.clamp(self.min, self.max)) // a bucket may reach beyond the samples
        };
        Some(Spread {
            p50: percentile(50),
            p90: percentile(90),
            p99: percentile(99),
            mean: rounded(self.mean),
            stddev: (self.count > 1)
                .then(|| rounded((self.squares / (self.count - 1) as f64).sqrt())),
            min: Duration::from_nanos(self.min),
            max: Duration::from_nanos(self.max),
        })
    }
}

/// The spread of samples. Percentiles are by nearest rank: each is one of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    pub mean: Duration,
    /// The sample standard deviation; `None` for a single sample.
    pub stddev: Option<Duration>,
    pub min: Duration,
    pub p50: Duration,
    pub p90: Duration,
    pub p99: Duration,
    pub max: Duration,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spread(nanos: &[u64]) -> Option<Spread> {
        let mut distribution = Distribution::new();
        for &nanos in nanos {
            distribution.add(Duration::from_nanos(nanos));
        }
        distribution.spread()
    }

    #[test]
    fn nothing_has_no_spread_and_one_no_deviation() {
        assert_eq!(spread(&[]), None);
        let one = spread(&[7]).unwrap();
        assert_eq!((one.mean, one.stddev), (Duration::from_nanos(7), None));
        assert_eq!((one.min, one.p50, one.p99, one.max), (one.mean, one.mean, one.mean, one.mean));
    }

    #[test]
    fn the_deviation_is_the_samples() {
        let four = spread(&[2, 4, 4, 6]).unwrap();
        assert_eq!(four.mean, Duration::from_nanos(4));
        assert_eq!(four.stddev, Some(Duration::from_nanos(2))); // sqrt(8 / 3) = 1.63
    }

    #[test]
    fn many_samples_are_ranked_within_four_digits() {
        let nanos: Vec<u64> = (1..=200_000).rev().map(|n| n * 1_000_000).collect();
        let spread = spread(&nanos).unwrap();
        for (found, rank) in [(spread.p50, 100_000), (spread.p90, 180_000), (spread.p99, 198_000)] {
            let exact = f64::from(rank) * 1e6;
            assert!(
                (found.as_nanos() as f64 - exact).abs() <= exact * 1e-4,
                "{found:?} for {exact}"
            );
        }
        assert_eq!(spread.max, Duration::from_secs(200));
    }

    #[test]
    fn what_was_not_measured_stays_absent() {
        let mut totals = Totals::default();
        let outcome = Outcome::new(Status::Ok, Moment::now(), Duration::ZERO);
        totals.add(&outcome);
        assert_eq!((totals.cpu, totals.peak_rss, totals.output_bytes), (None, None, None));
        totals.add(&Outcome { peak_rss: Some(5), output_bytes: Some(0), ..outcome.clone() });
        totals.add(&Outcome { peak_rss: Some(3), output_bytes: Some(9), ..outcome });
        assert_eq!((totals.cpu, totals.peak_rss, totals.output_bytes), (None, Some(5), Some(9)));
        assert_eq!(totals.tally.get(Status::Ok), 3);
    }

    proptest! {
        #[test]
        fn percentiles_are_by_nearest_rank(nanos in prop::collection::vec(0..10_000_u64, 1..300)) {
            let spread = spread(&nanos).unwrap();
            let mut sorted = nanos.clone();
            sorted.sort_unstable();
            for (percent, found) in [(50.0, spread.p50), (90.0, spread.p90), (99.0, spread.p99)] {
                let rank = (percent / 100.0 * sorted.len() as f64 - 1e-9).ceil().max(1.0) as usize;
                prop_assert_eq!(found, Duration::from_nanos(sorted[rank - 1]));
            }
            prop_assert_eq!(spread.min, Duration::from_nanos(sorted[0]));
        }
    }
}
