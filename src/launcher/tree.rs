//! Ending a tree of processes: everything below this one is killed and reaped.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};

use crate::sys::{self, Left, descendants};

/// How long to keep trying. What is left then cannot be killed: it has changed its user, or hangs in the kernel.
const LIMIT: Duration = Duration::from_secs(5);

/// Kills every descendant of this process, which must be a child subreaper: an orphan becomes a child of this process,
/// so that none can escape by forking twice or starting a session of its own. Returns when there are no children left,
/// or after five seconds.
pub fn kill_descendants() {
    let start = Instant::now();
    let mut pause = Duration::from_micros(100);
    loop {
        for pid in descendants(getpid()) {
            // A process that has ended since it was listed does no harm: its number is not reused that soon.
            let _ = kill_process(pid, Signal::KILL);
        }
        if sys::reap_all() == Left::Nothing || start.elapsed() > LIMIT {
            return;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use rustix::process::Pid;

    use super::*;

    #[test]
    fn children_and_their_children_are_found_top_down() {
        let script = "sleep 100 & echo started; wait";
        let mut shell =
            Command::new("/bin/sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = Pid::from_child(&shell);
        let all = descendants(getpid());
        let place = all.iter().position(|&found| found == pid).expect("the shell is found");
        let below = descendants(pid);
        assert_eq!(below.len(), 1);
        assert!(all[place..].contains(&below[0]), "{all:?} {below:?}");
        kill_process(below[0], Signal::KILL).unwrap();
        shell.wait().unwrap();
    }
}
