//! This process's own memory (proc(5)): its peak, and reducing it.

use std::ffi::c_void;
use std::ops::Range;
use std::{fs, ptr};

use rustix::mm::{Advice, madvise};

/// The peak resident memory of this process in bytes, if the system tells.
pub fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Resets the peak, so that one job's peak does not show up in the next one's. A system that does not allow it reports
/// the highest peak so far.
pub fn reset_peak() {
    const PEAK_RSS: &str = "5";
    let _ = fs::write("/proc/self/clear_refs", PEAK_RSS);
}

/// Releases the pages of programs and libraries that this process has mapped but not written to: most of what a freshly
/// started process has in memory. Pages that are used again come back from the page cache.
pub fn drop_clean_pages() {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    for range in clean_ranges(&maps) {
        let start = ptr::without_provenance_mut::<c_void>(range.start);
        // SAFETY: the pages are of a file, mapped for reading only and never written to, so that they read the same
        // when they are faulted in again.
        let _ = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) };
    }
}

/// The mappings of files in a text in the format of smaps that cannot be and have not been written to.
fn clean_ranges(smaps: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        if first == "Private_Dirty:" {
            ranges.extend(candidate.take().filter(|_| words.next() == Some("0")));
        } else if !first.ends_with(':') {
            let is_readonly =
                words.next().is_some_and(|rights| rights.as_bytes().get(1) == Some(&b'-'));
            let is_file = words.last().is_some_and(|path| path.starts_with('/'));
            candidate = hex_range(first).filter(|_| is_readonly && is_file);
        }
    }
    ranges
}

fn hex_range(text: &str) -> Option<Range<usize>> {
    let (start, end) = text.split_once('-')?;
    let hex = |digits| usize::from_str_radix(digits, 16).ok();
    Some(hex(start)?..hex(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unwritten_mappings_of_files_are_clean() {
        let smaps = "\
            1000-3000 r-xp 00000000 08:01 7   /bin/a\nPrivate_Dirty:         0 kB\n\
            3000-4000 r--p 00000000 08:01 7   /bin/a\nPrivate_Dirty:         8 kB\n\
            4000-5000 rw-p 00000000 08:01 7   /bin/a\nPrivate_Dirty:         0 kB\n\
            5000-6000 r-xp 00000000 00:00 0   [vdso]\nPrivate_Dirty:         0 kB\n\
            6000-7000 r--p 00000000 00:00 0\nPrivate_Dirty:         0 kB\n";
        assert!(clean_ranges(smaps).iter().eq([&(0x1000..0x3000)]));
        drop_clean_pages();
    }

    #[test]
    fn a_process_knows_its_peak() {
        // Other tests run in this process too: the block alone is certain.
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        reset_peak();
        assert!(peak().unwrap() >= block.len() as u64);
    }
}
