//! What processes use while they run (proc(5)): enough to tell one that computes from one that waits.

use std::fs;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::Pid;

use crate::sys::descendants;

/// How often it is looked how much memory a task uses.
pub const LOOK: Duration = Duration::from_millis(100);

/// What a set of processes has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, and the time for which they were ready to run but had no processor: on a busy machine, a process
    /// that computes must not look as if it waited.
    pub active: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
}

/// The usage of `root` and every process below it; zero for one that is gone.
pub fn of_tree(root: Pid) -> Usage {
    let own = of_process(root);
    let below = below(root);
    Usage { active: own.active + below.active, resident: own.resident + below.resident }
}

/// The usage of every process below `root`.
pub fn below(root: Pid) -> Usage {
    descendants(root).into_iter().map(of_process).fold(Usage::default(), |sum, usage| Usage {
        active: sum.active + usage.active,
        resident: sum.resident + usage.resident,
    })
}

/// The memory of `root` and every process below it in bytes. What several of them share counts once; that takes long to
/// tell, so it is only looked at if all of it together is more than `most`.
pub fn memory_of_tree(root: Pid, most: u64) -> u64 {
    let mut tree = descendants(root);
    tree.push(root);
    let all: u64 = tree.iter().map(|&pid| resident(pid)).sum();
    if all <= most {
        return all;
    }
    tree.iter().map(|&pid| proportional(pid).unwrap_or_else(|| resident(pid))).sum()
}

/// Ready when `root` and what is below it use more memory than `most`: how much, and what they may use.
pub async fn too_much(root: Option<Pid>, most: Option<u64>) -> (u64, u64) {
    let (Some(root), Some(most)) = (root, most) else { return std::future::pending().await };
    loop {
        tokio::time::sleep(LOOK).await;
        let used = memory_of_tree(root, most);
        if used > most {
            return (used, most);
        }
    }
}

/// A tree of processes of which one is stopped, and what all of them have done so far: if it stays the same, none of
/// them does anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standstill(Vec<(Pid, u8, u64)>);

impl Standstill {
    /// The tree of `root`, if one of the processes below it is stopped and each of the others waits for the end or the
    /// output of a process. What sleeps for a time, or waits for anything else, may resume it yet.
    pub fn of(root: Pid) -> Option<Self> {
        let mut tree = descendants(root);
        if tree.is_empty() {
            return None;
        }
        tree.push(root);
        let state = |pid: Pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let (_, rest) = stat.rsplit_once(')')?;
            let fields: Vec<_> = rest.split_ascii_whitespace().collect();
            let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
            // Its state, and fields 14 and 15 of proc(5): its processor time.
            Some((pid, *fields.first()?.as_bytes().first()?, number(11)? + number(12)?))
        };
        let states: Vec<_> = tree.into_iter().filter_map(state).collect();
        let (stopped, _, _) = states.iter().find(|(_, state, _)| *state == b'T')?;
        // Where the system does not tell, not even of the one that is stopped, the others are taken to wait for it.
        let is_told = sleeps_in(*stopped).is_some();
        let is_still = states.iter().all(|(pid, state, _)| match state {
            b'T' | b'Z' => true,
            b'S' => !is_told || waits_for_another(*pid),
            _ => false,
        });
        is_still.then_some(Self(states))
    }
}

/// Whether a process sleeps until another ends, or until something comes through a pipe.
fn waits_for_another(pid: Pid) -> bool {
    // A shell's `wait` waits for the signal that a child has ended.
    let known = ["do_wait", "sigsuspend", "pipe_", "anon_pipe_"];
    sleeps_in(pid).is_some_and(|function| known.iter().any(|name| function.starts_with(name)))
}

/// The system's function in which a process sleeps; `None` if it does not sleep any more, or the system does not tell.
fn sleeps_in(pid: Pid) -> Option<String> {
    let function = fs::read_to_string(format!("/proc/{pid}/wchan")).ok()?;
    (!function.is_empty() && function != "0").then_some(function)
}

/// What a process has in memory, shared or not.
fn resident(pid: Pid) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * page_size() as u64
}

/// What a process has in memory, and its part of what it shares (`Pss`); `None` if the system does not tell.
fn proportional(pid: Pid) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = pss.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn of_process(pid: Pid) -> Usage {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let of_threads: Duration = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .map(|line| scheduled(&line))
        .sum();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (of_children, resident) = stat_fields(&stat).unwrap_or_default();
    Usage { active: of_threads + of_children, resident }
}

/// From a thread's `schedstat`: nanoseconds on a processor, nanoseconds of waiting for one, and how often.
fn scheduled(line: &str) -> Duration {
    let nanos = line.split_ascii_whitespace().take(2).filter_map(|word| word.parse::<u64>().ok());
    Duration::from_nanos(nanos.sum())
}

/// From a process's `stat`: the processor time of children that it has waited for, and its resident memory.
fn stat_fields(stat: &str) -> Option<(Duration, u64)> {
    // The name, in brackets, may have spaces and brackets of its own.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // Fields 16, 17 and 24 of proc(5), which also counts the two fields before the bracket.
    let ticks = number(13)? + number(14)?;
    let seconds = ticks as f64 / clock_ticks_per_second() as f64;
    Some((Duration::from_secs_f64(seconds), number(21)? * page_size() as u64))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::thread;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[test]
    fn lines_are_read() {
        assert_eq!(scheduled("1500 500 3\n"), Duration::from_micros(2));
        assert_eq!(scheduled(""), Duration::ZERO);
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 5 6 0 100 20 0 1 0 99 4096 3 18446744073709551615";
        let (children, resident) = stat_fields(stat).unwrap();
        let seconds = 100.0 / clock_ticks_per_second() as f64;
        assert_eq!(
            (children, resident),
            (Duration::from_secs_f64(seconds), 3 * page_size() as u64)
        );
    }

    #[test]
    fn what_only_sleeps_is_at_no_standstill() {
        let is_still = |script: &str| {
            let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let root = Pid::from_child(&child);
            let state = |pid: Pid| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            while !descendants(root).into_iter().any(|pid| state(pid).contains(") T ")) {
                thread::yield_now();
            }
            // The shell may not have got any further yet.
            let found = (0..200).any(|_| {
                thread::sleep(Duration::from_millis(2));
                Standstill::of(root).is_some()
            });
            for pid in descendants(root) {
                let _ = kill_process(pid, Signal::KILL); // it may have ended
            }
            child.kill().unwrap();
            child.wait().unwrap();
            found
        };
        assert!(is_still("sleep 60 & kill -STOP $!; wait"));
        assert!(!is_still("sleep 60 & kill -STOP $!; while :; do :; done"));
        if Path::new("/proc/self/wchan").exists() {
            // Not yet asleep, it would be taken for one that waits for the stopped one.
            assert!(!is_still("sleep 60 & kill -STOP $!; exec sleep 60"));
        }
    }

    #[test]
    fn what_a_tree_shares_counts_once() {
        let all = memory_of_tree(getpid(), u64::MAX);
        let once = memory_of_tree(getpid(), 0);
        assert!(once > 1 << 20 && once <= all + (64 << 20), "{once} of {all}");
    }

    #[test]
    fn this_process_uses_something() {
        let usage = of_tree(getpid());
        assert!(usage.active > Duration::ZERO && usage.resident > 1 << 20, "{usage:?}");
    }
}
