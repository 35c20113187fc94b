//! The one clock. Everything that is timed uses it, so that pauses (Ctrl-Z) are left out in one place.
//!
//! A [`Moment`] counts the time in which the runner was not paused. The launcher and the workers are other processes:
//! they know nothing about pauses and send readings of `CLOCK_MONOTONIC`, which [`Moment::from_nanos`] converts. During
//! a pause the clock stands still, also for threads that wake before the end of the pause has been recorded.
//!
//! The runner pauses when it gets SIGTSTP. A SIGSTOP cannot be caught: the runner's children keep running then, and so
//! does the clock.

use std::ops::Add;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::base::lock;

/// The sum of all pauses that have ended, in nanoseconds.
static PAUSED: AtomicU64 = AtomicU64::new(0);
/// The reading of the clock during a pause; 0 while it runs.
static FROZEN: AtomicU64 = AtomicU64::new(0);
/// Each pause in terms of `CLOCK_MONOTONIC`, in order; a current one has no end yet.
static PAUSES: Mutex<Vec<Pause>> = Mutex::new(Vec::new());

/// Its start and end, in nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pause {
    start: u64,
    end: u64,
}

/// A moment on this machine's monotonic clock minus the pauses before it, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        loop {
            let paused = PAUSED.load(Acquire);
            let nanos = monotonic();
            match FROZEN.load(Acquire) {
                // Unless a whole pause lies between the first line and here, during which this thread was stopped.
                0 if PAUSED.load(Relaxed) == paused => return Self(nanos - paused),
                0 => {}
                frozen => return Self(frozen),
            }
        }
    }

    /// A moment that another process has read from `CLOCK_MONOTONIC`, in nanoseconds.
    pub fn from_nanos(nanos: u64) -> Self {
        Self(if has_paused() { without(&pauses(), nanos) } else { nanos })
    }

    /// Nanoseconds of `CLOCK_MONOTONIC`, for other processes.
    pub fn as_nanos(self) -> u64 {
        if has_paused() { with(&pauses(), self.0) } else { self.0 }
    }

    /// The time from `earlier` to this moment; zero if it is later.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time from this moment to now.
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Stops the clock until [`resume`]. For the control thread, the only one that pauses.
pub(crate) fn pause() {
    let start = monotonic();
    // Before the clock is frozen, so that any thread that finds it frozen finds the pause.
    pauses().push(Pause { start, end: u64::MAX });
    FROZEN.store(start - PAUSED.load(Relaxed), Release);
}

/// Lets the clock run again.
pub(crate) fn resume() {
    let mut pauses = pauses();
    let Some(pause) = pauses.last_mut().filter(|pause| pause.end == u64::MAX) else { return };
    pause.end = monotonic();
    PAUSED.fetch_add(pause.end - pause.start, Release);
    FROZEN.store(0, Release);
}

fn monotonic() -> u64 {
    nanos(ClockId::Monotonic)
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A reading of `CLOCK_MONOTONIC` that is up to a few milliseconds old, for comparison with others like it. Costs a
/// quarter of an exact one.
pub(crate) fn roughly() -> u64 {
    nanos(ClockId::MonotonicCoarse)
}

/// Whether there was a pause. Most runs are never paused, and need not take the lock.
fn has_paused() -> bool {
    PAUSED.load(Acquire) != 0 || FROZEN.load(Acquire) != 0
}

fn pauses() -> std::sync::MutexGuard<'static, Vec<Pause>> {
    lock(&PAUSES)
}

/// A reading of `CLOCK_MONOTONIC` minus the pauses before it.
fn without(pauses: &[Pause], nanos: u64) -> u64 {
    let before = pauses.iter().take_while(|pause| pause.start < nanos);
    nanos - before.map(|pause| pause.end.min(nanos) - pause.start).sum::<u64>()
}

/// The inverse of [`without`]. A pause starts and ends at the same moment; the result is its start.
fn with(pauses: &[Pause], moment: u64) -> u64 {
    pauses.iter().fold(moment, |nanos, pause| {
        if pause.start < nanos && pause.end < u64::MAX {
            nanos + (pause.end - pause.start)
        } else {
            nanos
        }
    })
}

/// Sleeps until `deadline`; must run on a tokio runtime with a timer.
pub async fn sleep_until(deadline: Moment) {
    loop {
        let left = deadline.since(Moment::now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

/// Converts moments to calendar time. Created once at the start of a job, so that rows agree with one another even if
/// the system clock is set meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Calendar {
    /// Of `CLOCK_MONOTONIC`: calendar time does not stand still during a pause.
    nanos: u64,
    time: SystemTime,
}

impl Calendar {
    /// Pairs the current moment with the calendar time.
    pub fn now() -> Self {
        Self { nanos: monotonic(), time: SystemTime::now() }
    }

    /// The calendar time of `moment`.
    pub fn time(&self, moment: Moment) -> SystemTime {
        let nanos = moment.as_nanos();
        if nanos >= self.nanos {
            self.time + Duration::from_nanos(nanos - self.nanos)
        } else {
            self.time - Duration::from_nanos(self.nanos - nanos)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_left_out_and_put_back() {
        let pauses = [Pause { start: 100, end: 150 }, Pause { start: 200, end: u64::MAX }];
        for (nanos, moment) in
            [(99, 99), (100, 100), (120, 100), (150, 100), (160, 110), (200, 150)]
        {
            assert_eq!(without(&pauses, nanos), moment, "{nanos}");
        }
        // In a pause that is on.
        assert_eq!((without(&pauses, 900), with(&pauses, 150)), (150, 200));
        for nanos in [99, 100, 151, 160, 200] {
            assert_eq!(with(&pauses, without(&pauses, nanos)), nanos);
        }
    }

    #[test]
    fn moments_go_forward() {
        let first = Moment::now();
        assert!(Moment::now() >= first);
        assert_eq!(Moment::from_nanos(first.as_nanos()), first);
    }
}
