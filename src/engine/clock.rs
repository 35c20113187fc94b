//! The one clock. Everything that is timed goes through here, so that pauses can be left out in one place.

use std::ops::Add;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// A moment on the monotonic clock of this machine, in nanoseconds; other processes read the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// This moment.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        Self(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    /// A moment that another process has read from `CLOCK_MONOTONIC`, in nanoseconds.
    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub fn as_nanos(self) -> u64 {
        self.0
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

/// Turns moments into calendar time. Read once at the start of a job, so that rows agree with one another even when
/// somebody sets the clock.
#[derive(Clone, Copy, Debug)]
pub struct Calendar {
    moment: Moment,
    time: SystemTime,
}

impl Calendar {
    /// Ties this moment to the calendar.
    pub fn now() -> Self {
        Self { moment: Moment::now(), time: SystemTime::now() }
    }

    /// The calendar time of `moment`.
    pub fn time(&self, moment: Moment) -> SystemTime {
        if moment >= self.moment {
            self.time + moment.since(self.moment)
        } else {
            self.time - self.moment.since(moment)
        }
    }
}
