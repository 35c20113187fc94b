//! What is observed of a stage besides the records of its tasks.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::task::Moment;

/// What is observed of a stage besides records.
pub struct Watch {
    started: Moment,
    ready_nanos: AtomicU64,
    held_nanos: AtomicU64,
    longest_nanos: AtomicU64,
    worker_peak_bytes: AtomicU64,
    about: OnceLock<Option<String>>,
}

/// How long the tasks of a slot have held its loop. Each slot keeps its own account: a line of memory that is written
/// from many threads costs as much as a short task.
#[derive(Debug, Default)]
pub struct Held {
    sum: Duration,
    longest: Duration,
}

impl Held {
    /// A task that computes has run for so long.
    pub fn add(&mut self, run: Duration) {
        self.sum += run;
        self.longest = self.longest.max(run);
    }
}

impl Watch {
    /// For a job that the user has waited for since `started`.
    pub(super) fn new(started: Moment) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            started,
            ready_nanos: zero(),
            held_nanos: zero(),
            longest_nanos: zero(),
            worker_peak_bytes: zero(),
            about: OnceLock::new(),
        }
    }

    /// A slot is ready for its first task.
    pub fn ready(&self) {
        let nanos = self.started.elapsed().as_nanos() as u64;
        self.ready_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    /// What is worth saying of the program that does the work; the first one to be asked speaks for all.
    pub fn learn(&self, about: impl FnOnce() -> Option<String>) {
        self.about.get_or_init(about);
    }

    /// What has been learnt.
    pub fn about(&self) -> Option<&str> {
        self.about.get().and_then(Option::as_deref)
    }

    /// The tasks of a slot have held its loop for so long.
    pub fn held(&self, held: &Held) {
        self.held_nanos.fetch_add(held.sum.as_nanos() as u64, Ordering::Relaxed);
        self.longest_nanos.fetch_max(held.longest.as_nanos() as u64, Ordering::Relaxed);
    }

    /// A worker process has used this much memory at its peak, in bytes.
    pub fn worker_peak(&self, bytes: u64) {
        self.worker_peak_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// The peak memory of its biggest worker process, in bytes; `None` if it had none.
    pub(super) fn biggest_worker(&self) -> Option<u64> {
        Some(self.worker_peak_bytes.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
    }

    /// From the start until its last slot was ready.
    pub(super) fn startup(&self) -> Duration {
        Duration::from_nanos(self.ready_nanos.load(Ordering::Relaxed))
    }

    /// How long tasks that compute have held their loop.
    pub(super) fn held_for(&self) -> Duration {
        Duration::from_nanos(self.held_nanos.load(Ordering::Relaxed))
    }

    /// What is to be said about loops that were held.
    pub(super) fn held_note(&self) -> Option<String> {
        /// What nobody notices is not said.
        const WORTH_SAYING: Duration = Duration::from_millis(1);
        let held = self.held_for();
        let longest = Duration::from_nanos(self.longest_nanos.load(Ordering::Relaxed));
        (held >= WORTH_SAYING).then(|| {
            format!(
                "tasks held the event loop for {:.3} s, {:.3} s at the longest",
                held.as_secs_f64(),
                longest.as_secs_f64()
            )
        })
    }
}
