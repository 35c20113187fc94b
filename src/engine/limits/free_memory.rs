//! `limits.min_free_memory`: nothing starts while less memory than that is available.
//!
//! The control thread looks ten times a second. While memory is short, starts queue; when there is enough again, one
//! start is let through at each look, since what a task needs shows only once it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::base::ByteSize;
use crate::task::Cancel;

/// For tests: a file to read instead of `/proc/meminfo`. Control groups are left out then.
const MEMINFO_VARIABLE: &str = "RUNNER_MEMINFO";

/// Who waits for memory, and whether there is enough.
#[derive(Debug)]
pub struct FreeMemory {
    least: u64,
    source: Source,
    /// The last look found too little.
    short: AtomicBool,
    /// Starts must queue.
    queueing: AtomicBool,
    queue: AtomicUsize,
    turn: Notify,
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Enough, or the system does not tell.
    Enough,
    /// Too little to start anything; so many bytes.
    Short(u64),
    /// Not even half of that: something has to make room.
    Critical(u64),
}

impl FreeMemory {
    /// Looks for the first time, so that nothing starts before that.
    pub fn new(least: ByteSize) -> Self {
        let source = match std::env::var_os(MEMINFO_VARIABLE) {
            Some(path) => Source { meminfo: path.into(), groups: Vec::new() },
            None => Source::system(),
        };
        Self::with_source(least, source)
    }

    fn with_source(least: ByteSize, source: Source) -> Self {
        let free_memory = Self {
            least: least.bytes(),
            source,
            short: AtomicBool::new(false),
            queueing: AtomicBool::new(false),
            queue: AtomicUsize::new(0),
            turn: Notify::new(),
        };
        free_memory.look();
        free_memory
    }

    /// The least that has to be available.
    pub fn least(&self) -> ByteSize {
        ByteSize::new(self.least)
    }

    /// Whether the last look found too little.
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::SeqCst)
    }

    /// Looks how much memory is available, and lets starts through accordingly.
    pub fn look(&self) -> Found {
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

    /// Waits until an attempt may start. False: the job is being stopped.
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

/// How much memory is available now, in bytes, if the system tells: what the system has left, or less, if a control
/// group of this process has less.
pub fn available() -> Option<u64> {
    Source::system().available()
}

/// Where to read how much memory is available.
#[derive(Debug)]
struct Source {
    meminfo: PathBuf,
    groups: Vec<Group>,
}

/// A control group that may have a limit.
#[derive(Debug)]
struct Group {
    folder: PathBuf,
    files: &'static Files,
}

/// The names of a group's files.
#[derive(Debug)]
struct Files {
    root: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// In `memory.stat`: file pages that the kernel gives up before it runs out of memory.
    inactive: &'static str,
}

const VERSION_2: Files = Files {
    root: "/sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    inactive: "inactive_file",
};

const VERSION_1: Files = Files {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    inactive: "total_inactive_file",
};

impl Source {
    /// The system's memory, and the groups that this process is in, as cgroups(7) has them.
    fn system() -> Self {
        let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut groups = Vec::new();
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(number), Some(controllers), Some(path)) =
                (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let files = match (number, controllers) {
                ("0", "") => &VERSION_2,
                (_, controllers) if controllers.split(',').any(|name| name == "memory") => {
                    &VERSION_1
                }
                _ => continue,
            };
            let path = Path::new(path.trim_start_matches('/'));
            let folders = path.ancestors().map(|folder| Path::new(files.root).join(folder));
            groups.extend(
                folders
                    .filter(|folder| folder.join(files.limit).exists())
                    .map(|folder| Group { folder, files }),
            );
        }
        Self { meminfo: "/proc/meminfo".into(), groups }
    }

    /// The least of what the system and each group have left, in bytes.
    fn available(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.meminfo).unwrap_or_default();
        let system = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
        let kibibytes =
            system.and_then(|value| value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        let system = kibibytes.map(|kibibytes| kibibytes * 1024);
        system.into_iter().chain(self.groups.iter().filter_map(Group::available)).min()
    }
}

impl Group {
    /// `None` if it has no limit.
    fn available(&self) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).ok();
        let limit: u64 = read(self.files.limit)?.trim().parse().ok()?; // else it is `max`
        let usage: u64 = read(self.files.usage)?.trim().parse().ok()?;
        let stat = read("memory.stat").unwrap_or_default();
        let inactive = stat.lines().find_map(|line| {
            let value = line.strip_prefix(self.files.inactive)?.strip_prefix(' ')?;
            value.trim().parse::<u64>().ok()
        });
        Some(limit.saturating_sub(usage.saturating_sub(inactive.unwrap_or(0))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Cause, Level};

    fn available(folder: &Path, mebibytes: u64) {
        let text = format!("MemTotal: 99999999 kB\nMemAvailable:   {} kB\n", mebibytes << 10);
        fs::write(folder.join("meminfo"), text).unwrap();
    }

    fn free_memory(folder: &Path) -> FreeMemory {
        let source = Source { meminfo: folder.join("meminfo"), groups: Vec::new() };
        FreeMemory::with_source(ByteSize::new(100 << 20), source)
    }

    #[test]
    fn the_system_tells_what_is_available() {
        let bytes = Source::system().available().unwrap();
        assert!(bytes > 1 << 20, "{bytes}");
    }

    #[test]
    fn a_group_with_a_limit_counts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("memory.current", "700\n");
        write("memory.stat", "anon 500\ninactive_file 200\n");
        write("memory.max", "max\n");
        let group = Group { folder: folder.path().into(), files: &VERSION_2 };
        assert_eq!(group.available(), None);
        write("memory.max", "1000\n");
        assert_eq!(group.available(), Some(500));
        available(folder.path(), 1);
        let source = Source { meminfo: folder.path().join("meminfo"), groups: vec![group] };
        assert_eq!(source.available(), Some(500));
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
                assert_eq!(free_memory.look(), Found::Short(60 << 20));
                assert_eq!(free_memory.queue.load(Ordering::SeqCst), 2);
                available(folder.path(), 40);
                assert_eq!(free_memory.look(), Found::Critical(40 << 20));
                available(folder.path(), 200);
                for left in [1, 0] {
                    assert_eq!(free_memory.look(), Found::Enough);
                    for _ in 0..2 {
                        tokio::task::yield_now().await; // `join!` may poll this one first
                    }
                    assert_eq!(free_memory.queue.load(Ordering::SeqCst), left);
                }
            };
            assert_eq!(tokio::join!(two, looks).0, (true, true));
            free_memory.look();
            assert!(free_memory.enter(&cancel).await);
            available(folder.path(), 60);
            free_memory.look();
            cancel.raise(Level::Drain, Cause::Signal(2));
            assert!(!free_memory.enter(&cancel).await);
        });
    }
}
