//! The tree of processes (proc(5)).

use std::collections::HashSet;
use std::fs;

use rustix::process::Pid;

/// Whether there is a process of this number.
pub fn is_running(pid: i32) -> bool {
    let Some(pid) = Pid::from_raw(pid) else { return false };
    !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

/// The name of this machine; empty if it has none.
pub fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// All processes below `root`, parents before their children, so that a caller that kills them in this order leaves no
/// parent alive to react to its child's death.
pub fn descendants(root: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    children(root, &mut found);
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        children(pid, &mut found);
        next += 1;
    }
    found
}

/// The process groups in which one of the processes below `root` lives: a zombie does not.
pub fn living_groups(root: Pid) -> HashSet<Pid> {
    // One whose parent ends meanwhile may be missed where it was and where it is now: hardly twice.
    let twice = (0..2).flat_map(|_| descendants(root));
    let group = |pid: Pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?;
        let group = Pid::from_raw(fields.nth(1)?.parse().ok()?)?;
        (!["Z", "X"].contains(&state)).then_some(group)
    };
    twice.filter_map(group).collect()
}

/// Appends the children of `parent`. A child belongs to the thread that made it, so every thread has a list.
fn children(parent: Pid, found: &mut Vec<Pid>) {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { return };
    for thread in threads.flatten() {
        let Ok(list) = fs::read_to_string(thread.path().join("children")) else { continue };
        let pids = list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
        found.extend(pids.filter_map(Pid::from_raw));
    }
}
