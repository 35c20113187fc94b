//! How many processes the system has killed since their control group was out of memory: cgroups(7).

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// For tests: a file to read instead of that of this process's control group.
const VARIABLE: &str = "RUNNER_OOM_EVENTS";

/// How many processes of this process's control group, and of those below it, have been killed by a limit of memory;
/// `None` if the system does not tell.
pub fn oom_kills() -> Option<u64> {
    static COUNTER: OnceLock<Option<File>> = OnceLock::new();
    let file = COUNTER.get_or_init(open).as_ref()?;
    let mut text = [0; 512];
    let length = file.read_at(&mut text, 0).ok()?;
    count(str::from_utf8(&text[..length]).ok()?)
}

/// What is said of a task while which that number rose from `before`; `None` if it did not.
pub fn said_of_kills(before: Option<u64>) -> Option<&'static str> {
    let rose = before.is_some_and(|before| oom_kills().is_some_and(|now| now > before));
    rose.then_some("the system's memory limit killed a process while it ran")
}

fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

fn open() -> Option<File> {
    let found = match std::env::var_os(VARIABLE) {
        Some(path) => Some(PathBuf::from(path)),
        None => find(&fs::read_to_string("/proc/self/cgroup").ok()?),
    };
    File::open(found?).ok()
}

/// The file of the control group that `groups` names, as `/proc/self/cgroup` has it.
fn find(groups: &str) -> Option<PathBuf> {
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (root, name) = match (number, controllers) {
            ("0", "") => ("/sys/fs/cgroup", "memory.events"),
            (_, controllers) if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.oom_control")
            }
            _ => return None,
        };
        // In a container, its own group may be what is mounted there.
        let own = Path::new(root).join(path.trim_start_matches('/')).join(name);
        [own, Path::new(root).join(name)].into_iter().find(|path| path.exists())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        assert_eq!(count("low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\noom_group_kill 0\n"), Some(1));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(count("low 0\n"), None);
    }
}
