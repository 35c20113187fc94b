//! The runner's own peak memory, as proc(5) has it.

use std::fs;

/// The peak resident memory of this process in bytes, if the system tells.
pub fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Lets the peak start anew, so that one job's does not show up in the next one's. A system that does not allow it
/// reports the highest peak so far.
pub fn forget_peak() {
    const RESET_PEAK: &str = "5";
    let _ = fs::write("/proc/self/clear_refs", RESET_PEAK);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_peak() {
        forget_peak();
        let before = peak().unwrap();
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(peak().unwrap() >= before + (32 << 20), "{}", block.len());
    }
}
