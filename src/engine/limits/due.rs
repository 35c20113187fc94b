//! When attempts were due at the rate. A server that stands still holds the slots, and with them every start after: times
//! that count from a start show one slow answer where many users would have waited, so these count from when the rate
//! asked for it.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::base::lock;
use crate::config::Rate;
use crate::engine::limits::rate::SLACK;
use crate::job::Pace;
use crate::report::terminal::human_duration;
use crate::report::{Distribution, Spread};
use crate::task::Moment;

/// A start that a slot was waiting for is so much late at most because of timers, and not because it was missed.
const TIMER: Duration = Duration::from_millis(50);

/// A smaller part of the time that was missed is not said.
const WORTH_SAYING: f64 = 0.03;

/// Nor is a shorter time: a short run has only a few starts, each of which may be a little late.
const LATE: Duration = Duration::from_millis(100);

/// What a start may have waited for besides a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// `min_free_memory`.
    Memory,
    /// A budget.
    Budget,
    /// `max_load`.
    Load,
    /// A place in the group.
    Group,
    /// Its program or interpreter, which was being started again.
    Worker,
}

/// The starts of a stage that has a rate.
#[derive(Debug)]
pub struct DueTimes {
    rate: Rate,
    interval: Duration,
    /// How long before its nominal time a start may be, which allows a burst.
    tolerance: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The first start, from which times count, and the last one.
    first: Option<Moment>,
    last: Duration,
    /// The nominal time of the next start.
    next: Duration,
    /// How late the last start was, and how late the latest.
    late: Duration,
    latest: Duration,
    /// Run times, counted from when the tasks were due.
    runs: Distribution,
    /// How long starts have waited in all for what else there is, in the order of [`WaitsFor`].
    waits: [Duration; 5],
}

impl State {
    /// Why starts were late.
    fn cause(&self) -> &'static str {
        let longest = self.waits.iter().max().copied().unwrap_or_default();
        // What was waited for shortly, as at each start, is not what held them up.
        if longest * 2 < self.latest {
            return "every slot was busy";
        }
        match self.waits.iter().position(|wait| *wait == longest) {
            Some(0) => "memory was short",
            Some(1) => "a budget was used up for the time",
            Some(2) => "the machine was busy",
            Some(3) => "the group was full",
            _ => "the workers were not ready",
        }
    }
}

impl DueTimes {
    /// The starts of a stage that has this pace.
    pub fn new(pace: Pace) -> Self {
        let interval = pace.rate.interval().mul_f64(SLACK);
        Self {
            rate: pace.rate,
            interval,
            tolerance: interval.saturating_mul(pace.burst - 1),
            state: Mutex::default(),
        }
    }

    /// An attempt starts `now`, for which a slot has waited since `asked`. How late that is. Nothing could start before
    /// `available`, if that is known.
    pub fn start(&self, asked: Moment, now: Moment, available: Option<Moment>) -> Duration {
        let mut state = self.state();
        let first = *state.first.get_or_insert(now);
        let (asked, now) = (asked.since(first), now.since(first));
        let available = available.map_or(Duration::ZERO, |moment| moment.since(first));
        let due = state.next.saturating_sub(self.tolerance).max(available);
        let mut late = now.saturating_sub(due);
        let mut nominal = state.next.max(available);
        if asked <= due && late <= TIMER {
            nominal += late; // the timer's doing, which the limiter does not make up for either
            late = Duration::ZERO;
        }
        state.next = nominal.saturating_add(self.interval);
        (state.last, state.late, state.latest) = (now, late, state.latest.max(late));
        late
    }

    /// A start has waited so long for this.
    pub fn waited(&self, what: WaitsFor, took: Duration) {
        self.state().waits[what as usize] += took;
    }

    /// A task has ended, this long after it was due.
    pub fn ended(&self, since_due: Duration) {
        self.state().runs.add(since_due);
    }

    /// How run times are spread that count from when the tasks were due.
    pub fn spread(&self) -> Option<Spread> {
        std::mem::take(&mut self.state().runs).spread()
    }

    /// What is said of a rate that was missed.
    pub fn missed(&self) -> Option<String> {
        let state = self.state();
        let part = state.late.as_secs_f64() / state.last.as_secs_f64();
        (state.late > LATE && part > WORTH_SAYING).then(|| {
            format!(
                "the rate of {} was missed by {:.0} %: starts were up to {} late, since {}; `due_p99_s` counts from when \
                 tasks were due",
                self.rate,
                (part * 100.0).min(100.0),
                human_duration(state.latest),
                state.cause()
            )
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: u64 = 10_050; // 100/s with the limiter's slack, in microseconds

    fn moment(micros: u64) -> Moment {
        Moment::from_nanos(0) + Duration::from_secs(1) + Duration::from_micros(micros)
    }

    fn due_times(burst: u32) -> DueTimes {
        DueTimes::new(Pace { rate: "100/s".parse().unwrap(), burst, is_charged: false })
    }

    /// How late a start is, in microseconds.
    fn late(due: &DueTimes, asked: u64, now: u64, available: Option<u64>) -> u128 {
        due.start(moment(asked), moment(now), available.map(moment)).as_micros()
    }

    #[test]
    fn starts_that_were_waited_for_are_not_late() {
        let due = due_times(1);
        for start in 0..1000 {
            let timer = start % 7 * 1000;
            assert_eq!(late(&due, start * STEP, start * (STEP + 7000) + timer, None), 0);
        }
        assert_eq!(due.missed(), None);
    }

    #[test]
    fn a_server_that_stood_still_makes_all_later_starts_late() {
        let due = due_times(1);
        assert_eq!(late(&due, 0, 0, None), 0);
        for start in 1..=100 {
            let now = 2_000_000 + start * STEP;
            assert_eq!(late(&due, now, now, None), 2_000_000);
        }
        let said = due.missed().unwrap();
        assert!(
            said.starts_with("the rate of 100/s was missed by 67 %: starts were up to 2 s late"),
            "{said}"
        );
    }

    #[test]
    fn what_starts_have_waited_for_is_named() {
        let due = due_times(1);
        due.start(moment(0), moment(0), None);
        due.start(moment(4_000_000), moment(4_000_000), None);
        let said = || due.missed().unwrap();
        assert!(said().contains("since every slot was busy"), "{}", said());
        due.waited(WaitsFor::Group, Duration::from_millis(900));
        due.waited(WaitsFor::Budget, Duration::from_secs(1));
        assert!(said().contains("since every slot was busy"), "{}", said());
        due.waited(WaitsFor::Group, Duration::from_millis(1200));
        assert!(said().contains("since the group was full"), "{}", said());
    }

    #[test]
    fn what_came_late_was_due_when_it_came() {
        let due = due_times(1);
        assert_eq!(late(&due, 0, 0, None), 0);
        assert_eq!(late(&due, 100, 5_000_000, Some(5_000_000)), 0);
        assert_eq!(late(&due, 5_500_000, 5_500_000, Some(5_200_000)), 300_000);
    }

    #[test]
    fn a_burst_is_due_at_once() {
        let due = due_times(3);
        assert_eq!([0, 1, 2].map(|_| late(&due, 0, 0, None)), [0, 0, 0]);
        assert_eq!(late(&due, 0, STEP, None), 0);
        assert_eq!(late(&due, 3 * STEP, 3 * STEP, None), u128::from(STEP));
    }
}
