//! What is observed of a stage in addition to the records of its tasks.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::base::lock;
use crate::base::mask;
use crate::task::Moment;

/// What is observed of a stage in addition to records.
pub struct Watch {
    started: Moment,
    ready_nanos: AtomicU64,
    held_nanos: AtomicU64,
    longest_nanos: AtomicU64,
    worker_peak_bytes: AtomicU64,
    about: OnceLock<Option<String>>,
    /// Until when a host is left alone of which that has been said, in nanoseconds of the clock.
    told_nanos: AtomicU64,
    /// Classes of results that have no form of their own.
    formless: Mutex<BTreeSet<String>>,
    /// What has gone wrong at the end of interpreters.
    endings: Mutex<BTreeSet<String>>,
}

/// How long the tasks of a slot have held its event loop. Each slot counts for itself: a cache line that many threads
/// write to costs as much as a short task.
#[derive(Debug, Default)]
pub struct Held {
    sum: Duration,
    longest: Duration,
}

impl Held {
    /// Adds the run time of a task that computes.
    pub fn add(&mut self, run: Duration) {
        self.sum += run;
        self.longest = self.longest.max(run);
    }
}

impl Watch {
    /// The observations of a job that the user has waited for since `started`.
    pub(super) fn new(started: Moment) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            started,
            ready_nanos: zero(),
            held_nanos: zero(),
            longest_nanos: zero(),
            worker_peak_bytes: zero(),
            about: OnceLock::new(),
            told_nanos: zero(),
            formless: Mutex::default(),
            endings: Mutex::default(),
        }
    }

    /// Records that a slot is ready for its first task.
    pub fn ready(&self) {
        let nanos = self.started.elapsed().as_nanos() as u64;
        self.ready_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    /// Records facts about the program that does the work; those of the first slot count for all.
    pub fn learn(&self, about: impl FnOnce() -> Option<String>) {
        self.about.get_or_init(about);
    }

    /// The recorded facts.
    pub fn about(&self) -> Option<&str> {
        self.about.get().and_then(Option::as_deref)
    }

    /// A host is left alone until then: whether that is long enough to be said, and has not been.
    pub fn is_news(&self, until: Moment) -> bool {
        /// So much longer than what was said.
        const MORE: Duration = Duration::from_secs(5);
        let known = self.told_nanos.load(Ordering::Relaxed);
        let known = Moment::from_nanos(known).max(Moment::now());
        until.since(known) >= MORE
            && self.told_nanos.fetch_max(until.as_nanos(), Ordering::Relaxed) < until.as_nanos()
    }

    /// A result was of these classes, which have no form in a report.
    pub fn note(&self, classes: &str) {
        let mut formless = lock(&self.formless);
        formless.extend(classes.split(", ").map(str::to_owned));
    }

    /// What is to be said about results that have no form.
    pub(super) fn formless_note(&self) -> Option<String> {
        let formless = lock(&self.formless);
        let classes: Vec<_> = formless.iter().map(|class| format!("`{class}`")).collect();
        (!classes.is_empty()).then(|| {
            let word = if classes.len() == 1 { "class" } else { "classes" };
            format!(
                "results of the {word} {} have no form in a report, which has their `repr`: return what JSON has, a dataclass or a dict",
                classes.join(", ")
            )
        })
    }

    /// This has gone wrong at the end of an interpreter. It is said once, for however many.
    pub fn note_ending(&self, mut words: String) {
        mask::apply_to_string(&mut words);
        lock(&self.endings).insert(words);
    }

    /// What has gone wrong at the end of interpreters.
    pub(super) fn endings(&self) -> Vec<String> {
        let endings = lock(&self.endings);
        endings.iter().cloned().collect()
    }

    /// The tasks of a slot have held its loop for so long.
    pub fn held(&self, held: &Held) {
        self.held_nanos.fetch_add(held.sum.as_nanos() as u64, Ordering::Relaxed);
        self.longest_nanos.fetch_max(held.longest.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Records the peak memory of a worker process, in bytes.
    pub fn worker_peak(&self, bytes: u64) {
        self.worker_peak_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// The peak memory of its biggest worker process, in bytes; `None` if it had none.
    pub(super) fn biggest_worker(&self) -> Option<u64> {
        Some(self.worker_peak_bytes.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
    }

    /// The time from the start until the last slot was ready.
    pub(super) fn startup(&self) -> Duration {
        Duration::from_nanos(self.ready_nanos.load(Ordering::Relaxed))
    }

    /// How long tasks that compute have held their event loop.
    pub(super) fn held_for(&self) -> Duration {
        Duration::from_nanos(self.held_nanos.load(Ordering::Relaxed))
    }

    /// The note about event loops that were held.
    pub(super) fn held_note(&self) -> Option<String> {
        /// Less than this is not worth a note.
        const WORTH_SAYING: Duration = Duration::from_millis(1);
        let held = self.held_for();
        let longest = Duration::from_nanos(self.longest_nanos.load(Ordering::Relaxed));
        (held >= WORTH_SAYING).then(|| {
            format!(
                "tasks held the event loop for {:.3} s, at most {:.3} s at a time",
                held.as_secs_f64(),
                longest.as_secs_f64()
            )
        })
    }
}
