//! `limits.max_load`: nothing starts while as many threads run or wait for a core.
//!
//! The control thread looks ten times a second and says how many attempts may start until it looks again: as many as
//! there is room for, since what an attempt adds to the load shows only while it runs.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use crate::config;
use crate::sys::LoadSource;
use crate::task::Cancel;

/// For tests: a file to read instead of `/proc/loadavg`.
const LOADAVG_VARIABLE: &str = "RUNNER_LOADAVG";

/// How many may start at once where the system does not tell its load.
const UNKNOWN: usize = 1 << 20;

/// How busy the machine may be, and the attempts that wait for it.
#[derive(Debug)]
pub struct Load {
    most: config::Load,
    source: LoadSource,
    /// A permit for each attempt that may start before the next look.
    room: Semaphore,
    /// Whether the last look found no room.
    high: AtomicBool,
}

impl Load {
    /// Looks for the first time, so that nothing starts before that.
    pub fn new(most: config::Load) -> Self {
        let source = match std::env::var_os(LOADAVG_VARIABLE) {
            Some(path) => LoadSource::file(path.into()),
            None => LoadSource::system(),
        };
        Self::with_source(most, source)
    }

    fn with_source(most: config::Load, source: LoadSource) -> Self {
        let load = Self { most, source, room: Semaphore::new(0), high: AtomicBool::new(false) };
        load.check();
        load
    }

    /// The load that must not be reached.
    pub fn most(&self) -> config::Load {
        self.most
    }

    /// Looks how many threads run, and admits as many attempts as there is room for. Returns that number if there is no
    /// room.
    pub fn check(&self) -> Option<u64> {
        let running = self.source.running();
        let room = running.map_or(UNKNOWN, |running| {
            (self.most.threads() - running as f64).ceil().clamp(0.0, UNKNOWN as f64) as usize
        });
        self.room.forget_permits(UNKNOWN);
        self.room.add_permits(room);
        self.high.store(room == 0, Ordering::SeqCst);
        running.filter(|_| room == 0)
    }

    /// Whether the last look found no room.
    pub fn is_high(&self) -> bool {
        self.high.load(Ordering::SeqCst)
    }

    /// Waits until an attempt may start. Returns false if the job is being stopped.
    pub async fn enter(&self, cancel: &Cancel) -> bool {
        tokio::select! {
            biased;
            () = cancel.draining() => false,
            permit = self.room.acquire() => permit.map(tokio::sync::SemaphorePermit::forget).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::task::{Cause, Level};

    fn running(folder: &Path, threads: u32) {
        fs::write(folder.join("loadavg"), format!("0.1 0.1 0.1 {}/99 7\n", threads + 1)).unwrap();
    }

    #[test]
    fn as_many_start_as_there_is_room_for() {
        let folder = tempfile::tempdir().unwrap();
        running(folder.path(), 1);
        let source = LoadSource::file(folder.path().join("loadavg"));
        let load = Load::with_source(config::Load::Threads(2.5), source);
        let cancel = Cancel::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            assert!(load.enter(&cancel).await && load.enter(&cancel).await);
            let third = async { assert!(load.enter(&cancel).await) };
            let looks = async {
                running(folder.path(), 3);
                assert_eq!((load.check(), load.is_high()), (Some(3), true));
                tokio::task::yield_now().await;
                running(folder.path(), 0);
                assert_eq!((load.check(), load.is_high()), (None, false));
            };
            tokio::join!(third, looks);
            running(folder.path(), 9);
            load.check();
            cancel.raise(Level::Drain, Cause::Signal(2));
            assert!(!load.enter(&cancel).await);
        });
    }
}
