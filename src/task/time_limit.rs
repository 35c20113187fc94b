//! How long an attempt may run, and a limit that is a share of the usual run time.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;

use crate::base::lock;
use crate::task::{Moment, clock};

/// The limit that counts for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How long it may run.
    pub after: Duration,
    /// If that is a share of the usual time: so many per cent.
    pub percent: Option<u32>,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(percent) = self.percent else {
            return humantime::format_duration(self.after).fmt(f);
        };
        let millis = Duration::from_millis(self.after.as_millis() as u64);
        write!(f, "{} ({percent}% of the median)", humantime::format_duration(millis))
    }
}

/// A limit that is a share of the median of the run times of tasks that were ok, once there are enough of them.
#[derive(Debug)]
pub struct MedianLimit {
    percent: u32,
    times: Mutex<Times>,
    /// `None` until there are enough.
    limit: watch::Sender<Option<Duration>>,
}

impl MedianLimit {
    /// So many tasks tell what is usual.
    const ENOUGH: u64 = 10;

    /// No attempt is ended earlier.
    const LEAST: Duration = Duration::from_secs(1);

    /// A limit of so many per cent of the median.
    pub fn new(percent: u32) -> Self {
        Self { percent, times: Mutex::default(), limit: watch::Sender::new(None) }
    }

    /// Adds the run time of a task that was ok.
    pub fn add(&self, run: Duration) {
        let mut times = lock(&self.times);
        times.add(run);
        if times.count < Self::ENOUGH || times.count < times.next {
            return;
        }
        times.next = times.count + times.count / 64;
        let median = times.median();
        let limit = median.saturating_mul(self.percent) / 100;
        let limit = limit.max(Self::LEAST);
        // Every attempt that runs is woken: not for nothing.
        self.limit.send_if_modified(|known| {
            let is_new = known.is_none_or(|known| known.abs_diff(limit) > known / 100);
            if is_new {
                *known = Some(limit);
            }
            is_new
        });
    }

    /// The limit now, if there is one yet.
    pub fn current(&self) -> Option<Limit> {
        let after = *self.limit.borrow();
        after.map(|after| Limit { after, percent: Some(self.percent) })
    }

    /// Ready when an attempt that started at `started` has run for longer than it may, by this limit or by the one that
    /// is `fixed`.
    pub async fn passed(&self, started: Moment, fixed: Option<Duration>) {
        let mut limits = self.limit.subscribe();
        loop {
            let limit = *limits.borrow_and_update();
            let limit = limit.into_iter().chain(fixed).min();
            let end = async {
                match limit {
                    Some(limit) => clock::sleep_until(started + limit).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = end => return,
                // The sender lives as long as the borrow of `self`.
                _ = limits.changed() => {}
            }
        }
    }
}

/// How often there was which run time, to less than one per cent.
#[derive(Debug, Default)]
struct Times {
    counts: Vec<u32>,
    count: u64,
    /// When the median is looked for next.
    next: u64,
}

/// Every power of two has this many steps.
const STEPS_BITS: u32 = 7;
const STEPS: u64 = 1 << STEPS_BITS;

impl Times {
    fn add(&mut self, run: Duration) {
        let place = place(run.as_nanos() as u64);
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] = self.counts[place].saturating_add(1);
        self.count += 1;
    }

    fn median(&self) -> Duration {
        let middle = self.count.div_ceil(2);
        let mut seen = 0;
        let place = self.counts.iter().position(|&count| {
            seen += u64::from(count);
            seen >= middle
        });
        Duration::from_nanos(place.map_or(0, value))
    }
}

/// Where a number is counted.
fn place(number: u64) -> usize {
    if number < STEPS {
        return number as usize;
    }
    let shift = number.ilog2() - STEPS_BITS;
    (u64::from(shift + 1) * STEPS + (number >> shift) - STEPS) as usize
}

/// The middle of the numbers that are counted there.
fn value(place: usize) -> u64 {
    let place = place as u64;
    if place < STEPS {
        return place;
    }
    let shift = place / STEPS - 1;
    ((place % STEPS + STEPS) << shift) + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_again() {
        for number in [0, 1, 127, 128, 129, 1000, 123_456, 1 << 40, 3_000_000_001] {
            let found = value(place(number));
            assert!(found.abs_diff(number) <= number / 128, "{number}: {found}");
        }
    }

    #[test]
    fn ten_tell_what_is_usual() {
        let limit = MedianLimit::new(300);
        let seconds = |limit: &MedianLimit| limit.current().map(|limit| limit.after.as_secs_f64());
        for second in 1..=9 {
            limit.add(Duration::from_secs(second));
        }
        assert_eq!(seconds(&limit), None);
        limit.add(Duration::from_secs(1000));
        let after = seconds(&limit).unwrap();
        assert!((14.8..15.2).contains(&after), "{after}");
        let short = MedianLimit::new(200);
        (0..10).for_each(|_| short.add(Duration::from_millis(3)));
        assert_eq!(seconds(&short), Some(1.0));
        assert_eq!(short.current().unwrap().to_string(), "1s (200% of the median)");
    }

    #[test]
    fn a_limit_that_comes_later_counts_for_what_runs() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let limit = MedianLimit::new(200);
            let started = Moment::now();
            let tell = async {
                tokio::task::yield_now().await;
                (0..10).for_each(|_| limit.add(Duration::from_millis(3)));
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = limit.passed(started, None) => {}
                () = tell => {}
            }
            assert!(started.elapsed() >= Duration::from_secs(1));
        });
    }
}
