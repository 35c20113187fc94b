//! For how long tasks have waited for what the machine is short of: pressure stall information (proc(5), PSI).

use std::fs;
use std::time::Duration;

/// How long something on the machine has waited for memory so far; `None` if the system does not tell.
pub fn memory_stalled() -> Option<Duration> {
    total(&fs::read_to_string("/proc/pressure/memory").ok()?)
}

/// How long something that was ready to run has waited for a processor so far; `None` if the system does not tell.
pub fn processors_stalled() -> Option<Duration> {
    total(&fs::read_to_string("/proc/pressure/cpu").ok()?)
}

/// From `some avg10=0.00 avg60=0.00 avg300=0.00 total=21367648921`, the last number, in microseconds.
fn total(text: &str) -> Option<Duration> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let micros = some.split_ascii_whitespace().find_map(|word| word.strip_prefix("total="))?;
    micros.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read() {
        let text = "some avg10=98.81 avg60=98.77 avg300=81.68 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(total(text), Some(Duration::from_millis(2500)));
        assert_eq!(total("full total=7\n"), None);
        assert_eq!(total(""), None);
    }
}
