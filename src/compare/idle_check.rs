//! Whether the machine has its processors to spare: what other programs do while a comparison does nothing.

use std::time::Duration;
use std::{fs, thread};

use crate::model::cores;

/// How long is looked.
const LOOK: Duration = Duration::from_millis(250);

/// This much of the processors may be busy with other things.
const TOLERATED: f64 = 0.1;

/// Says that other programs keep processors busy, if they do. Takes a quarter of a second.
pub fn is_busy() -> Option<String> {
    let before = Processors::read()?;
    thread::sleep(LOOK);
    let busy = Processors::read()?.busy_since(before)?;
    complaint(busy, before.count as f64, cores() as f64)
}

/// `busy` processors of `online` ones, of which the runner may use `ours`.
fn complaint(busy: f64, online: f64, ours: f64) -> Option<String> {
    let free = online - busy;
    (free < ours * (1.0 - TOLERATED)).then(|| {
        format!(
            "the machine is busy: other programs keep {busy:.1} of {online} processors busy, so times scatter and models \
             that use several of them look worse than they are"
        )
    })
}

/// Times of all processors together, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Processors {
    all: u64,
    idle: u64,
    /// How many there are.
    count: u64,
}

impl Processors {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// The line `cpu` of `/proc/stat` (proc(5)): user, nice, system, idle, iowait, irq, softirq, steal, and then times of
    /// guests, which are part of the first two.
    fn parse(stat: &str) -> Option<Self> {
        let is_one = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
        let times: Vec<u64> = stat
            .lines()
            .find_map(|line| line.strip_prefix("cpu "))?
            .split_ascii_whitespace()
            .take(8)
            .map_while(|word| word.parse().ok())
            .collect();
        let idle = times.get(3)? + times.get(4)?;
        let count = stat.lines().filter(is_one).count() as u64;
        Some(Self { all: times.iter().sum(), idle, count })
    }

    /// How many processors were busy, on average.
    fn busy_since(self, before: Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|&all| all > 0)?;
        let idle = self.idle.saturating_sub(before.idle).min(all);
        Some((all - idle) as f64 / all as f64 * self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_processors_are_counted() {
        let stat = |busy: u64, idle: u64| {
            Processors::parse(&format!(
                "cpu  {busy} 0 0 {idle} 0 0 0 0 5 0\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 5\n"
            ))
            .unwrap()
        };
        assert_eq!(stat(175, 125).busy_since(stat(100, 100)), Some(1.5));
        assert_eq!(stat(100, 100).busy_since(stat(100, 100)), None);
        assert_eq!(Processors::parse("nonsense"), None);
    }

    #[test]
    fn what_matters_is_what_is_left() {
        assert_eq!(complaint(0.1, 2.0, 2.0), None);
        assert!(complaint(0.5, 2.0, 2.0).unwrap().contains("0.5 of 2 processors"));
        assert_eq!(complaint(30.0, 64.0, 2.0), None);
    }
}
