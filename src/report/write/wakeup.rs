//! Waking the recorder.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a row may stay in a buffer: half of what users are promised, since writing takes time as well.
const PATIENCE: Duration = Duration::from_millis(50);

/// Wakes the recorder: an idle job costs nothing, a busy one a wake-up per batch, never one per row.
#[derive(Debug, Default)]
pub(in crate::report) struct Wakeup {
    level: AtomicU8,
    sleeper: OnceLock<Thread>,
}

impl Wakeup {
    /// There is nothing to do.
    const QUIET: u8 = 0;
    /// There are rows.
    pub(in crate::report) const SOON: u8 = 1;
    /// There are enough rows to take them at once.
    pub(in crate::report) const NOW: u8 = 2;
    /// There will be no more rows.
    pub(in crate::report) const CLOSING: u8 = 3;

    pub(in crate::report) fn wake(&self, level: u8) {
        // Sequentially consistent with the sizes of the buffers: either the recorder sees the rows, or this sees that
        // it is quiet.
        if self.level.load(Ordering::SeqCst) < level
            && self.level.fetch_max(level, Ordering::SeqCst) < level
            && let Some(sleeper) = self.sleeper.get()
        {
            sleeper.unpark();
        }
    }

    /// Waits until rows are due, at `due` at the latest; returns whether they are the last. To be called by one thread
    /// only.
    ///
    /// The level is quiet again before any buffer is emptied, so that a slot which adds rows after that wakes it again.
    pub(in crate::report) fn wait(&self, due: Option<Instant>) -> bool {
        self.sleeper.get_or_init(thread::current);
        while self.level.load(Ordering::Acquire) == Self::QUIET {
            let Some(due) = due else {
                thread::park();
                continue;
            };
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::park_timeout(left);
        }
        let soon = Instant::now() + PATIENCE;
        let due = due.map_or(soon, |due| due.min(soon));
        while self.level.load(Ordering::Acquire) == Self::SOON {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
        self.level.swap(Self::QUIET, Ordering::SeqCst) == Self::CLOSING
    }
}
