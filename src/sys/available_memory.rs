//! How much memory is available: proc(5) and cgroups(7).

use std::fs;
use std::path::{Path, PathBuf};

/// How much memory is available now, in bytes, if the system tells: what the system has left, or what a control group
/// of this process has left if that is less.
pub fn available_memory() -> Option<u64> {
    MemorySource::system().available()
}

/// How much memory there is for this process, in bytes, if the system tells: that of the machine, or the limit of a
/// control group if that is less.
pub fn total_memory() -> Option<u64> {
    MemorySource::system().total()
}

/// Where available memory is read from.
#[derive(Debug)]
pub struct MemorySource {
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
    /// The key in `memory.stat` for the file pages that the kernel reclaims before it runs out of memory.
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

impl MemorySource {
    /// The system's memory, and the control groups that this process is in (cgroups(7)).
    pub fn system() -> Self {
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

    /// A file to read instead of `/proc/meminfo`; control groups are left out.
    pub fn file(meminfo: PathBuf) -> Self {
        Self { meminfo, groups: Vec::new() }
    }

    /// The minimum of what the system and each group have, in bytes; `None` if the system does not tell.
    fn total(&self) -> Option<u64> {
        let limits = self.groups.iter().filter_map(Group::limit);
        self.of_the_system("MemTotal:").into_iter().chain(limits).min()
    }

    /// A number of `/proc/meminfo`, in bytes.
    fn of_the_system(&self, name: &str) -> Option<u64> {
        let text = fs::read_to_string(&self.meminfo).unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// The minimum of what the system and each group have left, in bytes; `None` if the system does not tell.
    pub fn available(&self) -> Option<u64> {
        let system = self.of_the_system("MemAvailable:");
        system.into_iter().chain(self.groups.iter().filter_map(Group::available)).min()
    }
}

impl Group {
    /// `None` if it has none.
    fn limit(&self) -> Option<u64> {
        let text = fs::read_to_string(self.folder.join(self.files.limit)).ok()?;
        text.trim().parse().ok() // otherwise it is `max`
    }

    /// `None` if it has no limit.
    fn available(&self) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).ok();
        let limit = self.limit()?;
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

    #[test]
    fn the_system_tells_what_is_available() {
        let bytes = MemorySource::system().available().unwrap();
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
        assert_eq!((group.available(), group.limit()), (Some(500), Some(1000)));
        write("meminfo", "MemTotal: 99999999 kB\nMemAvailable:   1024 kB\n");
        let source = MemorySource { meminfo: folder.path().join("meminfo"), groups: vec![group] };
        assert_eq!(source.available(), Some(500));
    }
}
