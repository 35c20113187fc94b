//! The rate at which attempts start: GCRA, with one atomic for all slots of a job.
//!
//! Each start has a nominal time, one interval after the previous one. A slot reserves the next one by compare-and-swap
//! and waits for it, so that slots never wait for each other, and several that become due within one tick of the timer
//! start together. At a slow rate, many slots would reserve minutes ahead, and a start that is lost on the way, or has no
//! task any more, would be missed: so there one slot at a time waits for the next start, and takes it when it has come.
//! Source: ITU-T I.371, the generic cell rate algorithm in its virtual scheduling form.
//!
//! The promise: in any ten seconds, at most rate * 10 + burst starts. Timers are late, and a late start moves closer to
//! the ones after it. So nominal times are spaced a little wider than requested (by [`SLACK`]), and a start that is
//! later than that allows gives up its time and reserves another one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::job::Pace;
use crate::task::{Cancel, Moment, clock};

/// How much slower than requested, so that starts can be 50 ms late: 0.5 % of the ten seconds.
pub(super) const SLACK: f64 = 1.005;

/// A start that is later than this gives up its time. The rest of the 50 ms is for starting a process.
const LATEST: Duration = Duration::from_millis(40);

/// How far the nominal times may lag behind the clock, so that a single slot, which cannot reserve ahead, makes up for
/// the lateness of its timer; less if starts are rare, since then it would show as two starts at once.
const LAG: Duration = Duration::from_millis(20);

/// The lower limit of the lag: a tick of the timer and the time to wake up.
const LEAST_LAG: Duration = Duration::from_millis(4);

/// From this interval on a rate is slow.
const SLOW: Duration = Duration::from_millis(10);

/// The rate limiter of a stage, shared by all of its slots.
#[derive(Debug)]
pub struct RateLimiter {
    /// The moment from which times are counted, in nanoseconds.
    origin: Moment,
    /// The nominal time of the next start.
    next: AtomicU64,
    interval: u64,
    /// How long before its nominal time a start may be, which allows a burst.
    tolerance: u64,
    lag: u64,
    /// Notified when a turn is given back, for the one who waits for the turn after it.
    returned: Notify,
}

/// A start that has been taken; its value is the nominal time of the one after it.
#[derive(Clone, Copy, Debug)]
pub struct Turn(u64);

/// A start that has been reserved.
#[derive(Clone, Copy, Debug)]
struct Reserved {
    nominal: u64,
    start: u64,
}

impl RateLimiter {
    /// A limiter whose first start may be now, unless what came before it has used the burst.
    pub fn new(pace: Pace) -> Self {
        let interval = pace.rate.interval();
        let nanos = interval.mul_f64(SLACK).as_nanos() as u64;
        let used = if pace.is_charged { u64::from(pace.burst) } else { 0 };
        Self {
            origin: Moment::now(),
            next: AtomicU64::new(nanos.saturating_mul(used)),
            interval: nanos,
            tolerance: nanos.saturating_mul(u64::from(pace.burst) - 1),
            lag: LAG.saturating_sub(interval).max(LEAST_LAG).as_nanos() as u64,
            returned: Notify::new(),
        }
    }

    /// Waits until the next attempt may start. Returns false if the job is being stopped, so that nothing starts any
    /// more.
    pub async fn acquire(&self, cancel: &Cancel) -> bool {
        loop {
            let now = self.now();
            let reserved = self.reserve(now);
            if reserved.start > now {
                tokio::select! {
                    biased;
                    () = cancel.draining() => return false,
                    () = clock::sleep_until(self.origin + Duration::from_nanos(reserved.start)) => {}
                }
            }
            if !reserved.is_stale(self.now()) {
                return true;
            }
        }
    }

    /// Waits until an attempt might start, and leaves its turn where it is. Returns false if the job is being stopped.
    pub async fn ready(&self, cancel: &Cancel) -> bool {
        loop {
            let now = self.now();
            let start = self.after(self.next.load(Ordering::Relaxed), now).start;
            if start <= now {
                return true;
            }
            tokio::select! {
                biased;
                () = cancel.draining() => return false,
                () = self.returned.notified() => {}
                () = clock::sleep_until(self.origin + Duration::from_nanos(start)) => {}
            }
        }
    }

    /// Takes the next turn if an attempt may start now.
    pub fn try_acquire(&self) -> Option<Turn> {
        let now = self.now();
        let mut before = self.next.load(Ordering::Relaxed);
        loop {
            let Reserved { nominal, start } = self.after(before, now);
            if start > now {
                return None;
            }
            let next = nominal.saturating_add(self.interval);
            let order = Ordering::Relaxed;
            match self.next.compare_exchange_weak(before, next, order, order) {
                Ok(_) => return Some(Turn(next)),
                Err(other) => before = other,
            }
        }
    }

    /// Puts a turn back that nothing has started in, unless another one has been taken since.
    pub fn give_back(&self, turn: Turn) {
        let before = turn.0.saturating_sub(self.interval);
        let order = Ordering::Relaxed;
        if self.next.compare_exchange(turn.0, before, order, order).is_ok() {
            self.returned.notify_one();
        }
    }

    /// Whether slots take their turns one after the other, when they have come.
    pub fn is_slow(&self) -> bool {
        self.interval >= SLOW.as_nanos() as u64
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    fn reserve(&self, now: u64) -> Reserved {
        let advance = |next| Some(self.after(next, now).nominal.saturating_add(self.interval));
        let before = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance);
        self.after(before.unwrap_or_else(|next| next), now)
    }

    /// The next start, where `next` is the nominal time that follows the last one.
    fn after(&self, next: u64, now: u64) -> Reserved {
        let nominal = next.max(now.saturating_sub(self.lag));
        Reserved { nominal, start: nominal.saturating_sub(self.tolerance) }
    }
}

impl Reserved {
    fn is_stale(self, now: u64) -> bool {
        now.saturating_sub(self.nominal) > LATEST.as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use proptest::prelude::*;

    use super::*;
    use crate::config::Rate;

    const SECOND: u64 = 1_000_000_000;
    const MILLI: u64 = 1_000_000;

    fn limiter(rate: Rate, burst: u32) -> RateLimiter {
        RateLimiter::new(Pace { rate, burst, is_charged: false })
    }

    /// The next step of a slot in the simulation.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Step {
        Reserve,
        /// At this nominal time.
        Wake(u64),
    }

    /// The starts of `slots` slots within `seconds` of simulated time. `work` is how long an attempt takes, `late` how
    /// much later than requested a slot wakes up; both in nanoseconds.
    fn simulate(
        limiter: &RateLimiter,
        slots: usize,
        seconds: u64,
        mut work: impl FnMut() -> u64,
        mut late: impl FnMut() -> u64,
    ) -> Vec<u64> {
        let mut events: BinaryHeap<_> =
            (0..slots).map(|slot| Reverse((SECOND, Step::Reserve, slot))).collect();
        let mut starts = Vec::new();
        while let Some(Reverse((now, step, slot))) = events.pop() {
            if now > (seconds + 1) * SECOND {
                break;
            }
            let nominal = match step {
                Step::Reserve => {
                    let reserved = limiter.reserve(now);
                    if reserved.start > now {
                        events.push(Reverse((
                            reserved.start + late(),
                            Step::Wake(reserved.nominal),
                            slot,
                        )));
                        continue;
                    }
                    reserved.nominal
                }
                Step::Wake(nominal) => nominal,
            };
            if (Reserved { nominal, start: nominal }).is_stale(now) {
                events.push(Reverse((now, Step::Reserve, slot)));
            } else {
                starts.push(now);
                events.push(Reverse((now + work(), Step::Reserve, slot)));
            }
        }
        starts
    }

    fn most_within(starts: &[u64], window: u64) -> usize {
        let mut first = 0;
        let most = starts.iter().enumerate().map(|(index, &start)| {
            while starts[first] + window < start {
                first += 1;
            }
            index - first + 1
        });
        most.max().unwrap_or(0)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_ten_seconds_have_more_than_was_promised(
            rate in prop::sample::select(vec!["0.3/s", "1/s", "7/s", "50/s", "333/s", "2000/s", "90/m"]),
            burst in 1_u32..40,
            slots in 1_usize..60,
            longest_work in 1_u64..300,
            latest in 1_u64..80,
            seed in any::<u64>(),
        ) {
            let rate: Rate = rate.parse().unwrap();
            let mut random = fastrand::Rng::with_seed(seed);
            let mut lateness = random.fork();
            let starts = simulate(
                &limiter(rate, burst),
                slots,
                25,
                || if random.u8(..) == 0 { 3 * SECOND } else { random.u64(..longest_work * MILLI) },
                || if lateness.u8(..) < 8 { lateness.u64(..latest * MILLI) } else { lateness.u64(..2 * MILLI) },
            );
            let most = most_within(&starts, 10 * SECOND) as f64;
            prop_assert!(most <= rate.per_second() * 10.0 + f64::from(burst), "{most} starts");
        }
    }

    #[test]
    fn the_rate_is_reached_in_spite_of_a_coarse_timer() {
        for (rate, slots) in
            [("5/s", 1), ("50/s", 1), ("300/s", 4), ("2000/s", 1), ("2000/s", 64), ("20000/s", 8)]
        {
            let rate: Rate = rate.parse().unwrap();
            let mut random = fastrand::Rng::with_seed(7);
            let late = || MILLI / 5 + random.u64(..MILLI);
            let starts = simulate(&limiter(rate, 1), slots, 20, || 10_000, late);
            let wanted = rate.per_second() * 20.0;
            assert!(
                starts.len() as f64 >= wanted * 0.99,
                "{rate} {slots}: {} of {wanted}",
                starts.len()
            );
        }
    }

    #[test]
    fn a_burst_comes_at_once_and_the_rest_at_the_rate() {
        let limiter = limiter("10/s".parse().unwrap(), 5);
        let starts = simulate(&limiter, 20, 2, || 10_000, || 0);
        assert_eq!(starts.iter().filter(|&&start| start < SECOND + MILLI).count(), 5);
        assert!((20..=25).contains(&starts.len()), "{}", starts.len());
    }

    #[test]
    fn a_turn_that_is_looked_at_is_still_there() {
        let cancel = Cancel::default();
        let limiter = limiter("1/h".parse().unwrap(), 2);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for _ in 0..2 {
            assert!(
                runtime.block_on(limiter.ready(&cancel))
                    && runtime.block_on(limiter.ready(&cancel))
            );
            assert!(limiter.try_acquire().is_some());
        }
        assert!(limiter.try_acquire().is_none() && limiter.try_acquire().is_none());
    }

    #[test]
    fn a_turn_that_is_given_back_is_the_next_ones() {
        let limiter = limiter("1/h".parse().unwrap(), 2);
        let turn = limiter.try_acquire().unwrap();
        limiter.give_back(turn);
        let (first, second) = (limiter.try_acquire().unwrap(), limiter.try_acquire().unwrap());
        limiter.give_back(first); // no longer the last one: what has started since counts from it
        assert!(limiter.try_acquire().is_none());
        limiter.give_back(second);
        assert!(limiter.try_acquire().is_some() && limiter.try_acquire().is_none());
    }

    #[test]
    fn who_waits_for_the_next_turn_gets_the_one_that_is_given_back() {
        let cancel = Cancel::default();
        let limiter = limiter("1/h".parse().unwrap(), 1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let turn = limiter.try_acquire().unwrap();
        let is_ready = runtime.block_on(async {
            let give_back = async {
                tokio::task::yield_now().await; // the other one waits by then
                limiter.give_back(turn);
            };
            tokio::join!(limiter.ready(&cancel), give_back).0
        });
        assert!(is_ready && limiter.try_acquire().is_some());
    }

    #[test]
    fn one_that_is_charged_starts_an_interval_later_and_without_its_burst() {
        let pace = Pace { rate: "1/s".parse().unwrap(), burst: 3, is_charged: true };
        let limiter = RateLimiter::new(pace);
        let starts: Vec<_> = (0..3).map(|_| limiter.reserve(0).start).collect();
        assert_eq!(starts, [1, 2, 3].map(|place| place * limiter.interval));
        // What it has not used by then is there, as without that.
        let limiter = RateLimiter::new(pace);
        let starts = simulate(&limiter, 20, 9, || 10_000, || 0);
        assert!((9..=12).contains(&starts.len()), "{}", starts.len());
    }

    #[test]
    fn a_wait_for_a_start_ends_with_the_job() {
        use crate::task::{Cause, Level};
        let cancel = Cancel::default();
        let limiter =
            RateLimiter::new(Pace { rate: "1/h".parse().unwrap(), burst: 1, is_charged: false });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert!(runtime.block_on(limiter.acquire(&cancel)));
        let waiting = async {
            tokio::join!(limiter.acquire(&cancel), async {
                cancel.raise(Level::Drain, Cause::Signal(2));
            })
            .0
        };
        assert!(!runtime.block_on(waiting));
    }
}
