//! Processor time.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

impl CpuTime {
    /// The sum of what was measured.
    pub fn sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let add = |a: Self, b: Self| Self { user: a.user + b.user, system: a.system + b.system };
        match (one, other) {
            (Some(one), Some(other)) => Some(add(one, other)),
            (one, other) => one.or(other),
        }
    }
}

/// Processor time that this thread has used so far, to the microsecond. Its split into user and kernel mode is only
/// sampled by the kernel, at its ticks.
pub fn thread_cpu() -> CpuTime {
    // Brings the thread's accounting up to date: `getrusage` alone lags by up to a tick, which is 4 ms.
    let _ = clock_gettime(ClockId::ThreadCPUTime);
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
