//! Processor time of a computation: what its thread used between its start and its end.
//!
//! The kernel's answer costs about as much as everything else that a trivial task costs, so it is asked once a task:
//! the reading at the end of one serves as the start of the next if that starts at once.

use std::cell::Cell;
use std::time::Duration;

use crate::engine::clock::Moment;
use crate::engine::task::CpuTime;

/// A reading this old no longer serves as a start. It bounds the error: what the slot did in between.
const FRESH: Duration = Duration::from_micros(10);

thread_local! {
    /// The thread's last reading.
    static LAST: Cell<Option<(Moment, CpuTime)>> = const { Cell::new(None) };
}

/// Processor time that this thread has used so far.
pub fn thread_cpu() -> CpuTime {
    // SAFETY: an all-zero `rusage` is a valid value, and the kernel writes to nothing but the one it is pointed to.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage);
        usage
    };
    let duration =
        |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
    CpuTime { user: duration(usage.ru_utime), system: duration(usage.ru_stime) }
}

/// Processor time since a start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(CpuTime);

impl Clock {
    /// Starts now, which is `moment`.
    pub(super) fn start(moment: Moment) -> Self {
        match LAST.get() {
            Some((read, cpu)) if moment.since(read) < FRESH => Self(cpu),
            _ => Self(thread_cpu()),
        }
    }

    /// What was used by now, which is `ended`. A thread cannot use more than the time that has passed: what is above
    /// is the rounding of the kernel's microseconds and what the slot did before `started`.
    pub(super) fn stop(self, started: Moment, ended: Moment) -> Option<CpuTime> {
        let now = thread_cpu();
        LAST.set(Some((ended, now)));
        let user = now.user.saturating_sub(self.0.user);
        let system = now.system.saturating_sub(self.0.system);
        let run = ended.since(started);
        let user = user.min(run);
        Some(CpuTime { user, system: system.min(run - user) })
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
        let cpu = clock.stop(started, Moment::now()).unwrap();
        let used = cpu.user + cpu.system;
        assert!(used > Duration::ZERO && used < Duration::from_millis(50), "{used:?}");
    }

    #[test]
    fn time_before_the_start_is_not_counted() {
        let first = Moment::now();
        Clock::start(first).stop(first, Moment::now());
        let busy = Moment::now();
        while busy.elapsed() < Duration::from_millis(5) {}
        let started = Moment::now();
        let cpu = Clock::start(started).stop(started, Moment::now()).unwrap();
        assert!(cpu.user + cpu.system < Duration::from_millis(1));
    }
}
