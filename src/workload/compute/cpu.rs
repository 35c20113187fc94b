//! Processor time of a computation: what its thread used between its start and its end.
//!
//! The kernel takes longer to answer than a trivial task takes to run (0.9 us), so it is not asked for one: a run that
//! is shorter than a time slice was not interrupted, and used the processor for as long as it took. For all others it
//! is asked at the end, and at the start unless it has just been asked.

use std::cell::Cell;
use std::time::Duration;

use crate::sys::{CpuTime, thread_cpu};
use crate::task::Moment;

/// Runs below this are not measured, but counted as what they took, in user mode.
const SHORT: Duration = Duration::from_micros(10);

/// A reading this old no longer serves as a start. What the thread did in between is in the next run's figure, as far
/// as that run waited for a processor.
const FRESH: Duration = Duration::from_micros(100);

thread_local! {
    /// The thread's last reading.
    static LAST: Cell<Option<(Moment, CpuTime)>> = const { Cell::new(None) };
}

/// Whether what is measured calls the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SystemCalls {
    /// It only computes: a run that is too short to have been interrupted is all user time.
    None,
    /// It does, so that only the kernel knows the shares.
    Some,
}

/// Processor time since a start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(CpuTime);

impl Clock {
    /// Starts now, which is `started`.
    pub(super) fn start(started: Moment) -> Self {
        if let Some((read, cpu)) = LAST.get()
            && started.since(read) < FRESH
        {
            return Self(cpu);
        }
        let cpu = thread_cpu();
        LAST.set(Some((started, cpu)));
        Self(cpu)
    }

    /// What was used by now, which is `ended`. A thread cannot use more than the time that has passed: what is above
    /// that, it used before `started`.
    pub(super) fn stop(self, started: Moment, ended: Moment, calls: SystemCalls) -> CpuTime {
        let run = ended.since(started);
        if run < SHORT && calls == SystemCalls::None {
            return CpuTime { user: run, system: Duration::ZERO };
        }
        let now = thread_cpu();
        LAST.set(Some((ended, now)));
        let user = now.user.saturating_sub(self.0.user).min(run);
        let system = now.system.saturating_sub(self.0.system);
        CpuTime { user, system: system.min(run.saturating_sub(user)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen_and_waiting_is_not() {
        let started = Moment::now();
        let clock = Clock::start(started);
        while started.elapsed() < Duration::from_millis(30) {}
        std::thread::sleep(Duration::from_millis(50));
        let cpu = clock.stop(started, Moment::now(), SystemCalls::None);
        let used = cpu.user + cpu.system;
        assert!(used > Duration::ZERO && used < Duration::from_millis(50), "{used:?}");
    }

    #[test]
    fn a_run_below_a_tick_is_seen() {
        let started = Moment::now();
        let clock = Clock::start(started);
        while started.elapsed() < Duration::from_micros(500) {}
        let cpu = clock.stop(started, Moment::now(), SystemCalls::None);
        assert!(cpu.user + cpu.system > Duration::ZERO);
    }

    #[test]
    fn time_before_the_start_is_not_counted() {
        let first = Moment::now();
        Clock::start(first).stop(first, Moment::now(), SystemCalls::Some);
        let busy = Moment::now();
        while busy.elapsed() < Duration::from_millis(5) {}
        let started = Moment::now();
        let cpu = Clock::start(started).stop(started, Moment::now(), SystemCalls::Some);
        assert!(cpu.user + cpu.system < Duration::from_millis(1));
    }
}
