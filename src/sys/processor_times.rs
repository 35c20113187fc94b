//! How busy the processors are (proc(5)).

use std::fs;

/// Times of all processors together, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessorTimes {
    /// All ticks.
    pub all: u64,
    /// Ticks in which nothing ran: idle, or waiting for a disk.
    pub idle: u64,
    /// The number of processors.
    pub count: u64,
}

impl ProcessorTimes {
    /// The times up to now; `None` if the system does not tell.
    pub fn read() -> Option<Self> {
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

    /// The part of all processors' time in which they were idle.
    pub fn idle_since(self, before: Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|&all| all > 0)?;
        let idle = self.idle.saturating_sub(before.idle).min(all);
        Some(idle as f64 / all as f64)
    }

    /// How many processors were busy, on average.
    pub fn busy_since(self, before: Self) -> Option<f64> {
        Some((1.0 - self.idle_since(before)?) * self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_processors_are_counted() {
        let stat = |busy: u64, idle: u64| {
            ProcessorTimes::parse(&format!(
                "cpu  {busy} 0 0 {idle} 0 0 0 0 5 0\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 5\n"
            ))
            .unwrap()
        };
        assert_eq!(stat(175, 125).busy_since(stat(100, 100)), Some(1.5));
        assert_eq!(stat(100, 100).busy_since(stat(100, 100)), None);
        assert_eq!(ProcessorTimes::parse("nonsense"), None);
    }
}
