//! `limits.min_free_memory`: nothing starts while less memory than that is available.
//!
//! The control thread checks ten times a second. While memory is short, starts queue; when there is enough again, one
//! start is admitted at each check, since what a task needs shows only while it runs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::base::ByteSize;
use crate::sys::MemorySource;
use crate::task::Cancel;

/// For tests: a file to read instead of `/proc/meminfo`. Control groups are ignored then.
const MEMINFO_VARIABLE: &str = "RUNNER_MEMINFO";

/// Whether there is enough memory, and the attempts that wait for it.
#[derive(Debug)]
pub struct FreeMemory {
    least: u64,
    source: MemorySource,
    /// Whether the last check found too little.
    short: AtomicBool,
    /// Whether starts must queue.
    queueing: AtomicBool,
    queue: AtomicUsize,
    turn: Notify,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is enough, or the system does not tell.
    Enough,
    /// Too little to start anything: the available bytes.
    Short(u64),
    /// Not even half of the limit, so that an attempt has to make room: the available bytes.
    Critical(u64),
}

impl FreeMemory {
    /// Checks for the first time, so that nothing starts before that.
    pub fn new(least: ByteSize) -> Self {
        let source = match std::env::var_os(MEMINFO_VARIABLE) {
            Some(path) => MemorySource::file(path.into()),
            None => MemorySource::system(),
        };
        Self::with_source(least, source)
    }

    fn with_source(least: ByteSize, source: MemorySource) -> Self {
        let free_memory = Self {
            least: least.bytes(),
            source,
            short: AtomicBool::new(false),
            queueing: AtomicBool::new(false),
            queue: AtomicUsize::new(0),
            turn: Notify::new(),
        };
        free_memory.check();
        free_memory
    }

    /// The memory that has to be available.
    pub fn least(&self) -> ByteSize {
        ByteSize::new(self.least)
    }

    /// Whether the last check found too little.
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::SeqCst)
    }

    /// Checks how much memory is available, and admits starts accordingly.
    pub fn check(&self) -> Found {
        let available = self.source.available().unwrap_or(u64::MAX);
        let short = available < self.least;
        self.short.store(short, Ordering::SeqCst);
        if short {
            self.queueing.store(true, Ordering::SeqCst);
        } else if self.queue.load(Ordering::SeqCst) > 0 {
            self.turn.notify_one();
        } else {
            self.queueing.store(false, Ordering::SeqCst);
        }
        match available {
            _ if !short => Found::Enough,
            bytes if bytes < self.least / 2 => Found::Critical(bytes),
            bytes => Found::Short(bytes),
        }
    }

    /// Waits until an attempt may start. Returns false if the job is being stopped.
    pub async fn enter(&self, cancel: &Cancel) -> bool {
        if !self.queueing.load(Ordering::SeqCst) {
            return true;
        }
        self.queue.fetch_add(1, Ordering::SeqCst);
        let admitted = tokio::select! {
            biased;
            () = cancel.draining() => false,
            () = self.turn.notified() => true,
        };
        self.queue.fetch_sub(1, Ordering::SeqCst);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::task::{Cause, Level};

    fn available(folder: &Path, mebibytes: u64) {
        let text = format!("MemTotal: 99999999 kB\nMemAvailable:   {} kB\n", mebibytes << 10);
        fs::write(folder.join("meminfo"), text).unwrap();
    }

    fn free_memory(folder: &Path) -> FreeMemory {
        let source = MemorySource::file(folder.join("meminfo"));
        FreeMemory::with_source(ByteSize::new(100 << 20), source)
    }

    #[test]
    fn starts_queue_while_memory_is_short() {
        let folder = tempfile::tempdir().unwrap();
        available(folder.path(), 60);
        let free_memory = free_memory(folder.path());
        let cancel = Cancel::default();
        assert!(free_memory.is_short());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let two =
                async { tokio::join!(free_memory.enter(&cancel), free_memory.enter(&cancel)) };
            let looks = async {
                tokio::task::yield_now().await;
                assert_eq!(free_memory.check(), Found::Short(60 << 20));
                assert_eq!(free_memory.queue.load(Ordering::SeqCst), 2);
                available(folder.path(), 40);
                assert_eq!(free_memory.check(), Found::Critical(40 << 20));
                available(folder.path(), 200);
                for left in [1, 0] {
                    assert_eq!(free_memory.check(), Found::Enough);
                    for _ in 0..2 {
                        tokio::task::yield_now().await; // `join!` may poll this one first
                    }
                    assert_eq!(free_memory.queue.load(Ordering::SeqCst), left);
                }
            };
            assert_eq!(tokio::join!(two, looks).0, (true, true));
            free_memory.check();
            assert!(free_memory.enter(&cancel).await);
            available(folder.path(), 60);
            free_memory.check();
            cancel.raise(Level::Drain, Cause::Signal(2));
            assert!(!free_memory.enter(&cancel).await);
        });
    }
}
