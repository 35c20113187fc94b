//! What tells whether a file is still as it was when its records were read first.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

/// A file at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    /// How many bytes it had.
    pub size: u64,
    /// When it was written last: seconds and nanoseconds.
    written: (i64, i64),
}

impl Stamp {
    /// `file` as it is; `None` if that says nothing of what it holds.
    pub fn of(file: &File) -> Option<Self> {
        if is_made_when_read(file) { None } else { Self::now(file) }
    }

    /// Whether `file` is as it was.
    pub fn is_of(&self, file: &File) -> bool {
        Self::now(file).as_ref() == Some(self)
    }

    fn now(file: &File) -> Option<Self> {
        let data = file.metadata().ok()?;
        Some(Self {
            device: data.dev(),
            inode: data.ino(),
            size: data.len(),
            written: (data.mtime(), data.mtime_nsec()),
        })
    }
}

/// Whether what is in a file is made when it is read, as in /proc and /sys, where lengths mean nothing.
fn is_made_when_read(file: &File) -> bool {
    /// The kinds of such file systems: proc, sysfs, cgroup, cgroup2, debugfs, tracefs, securityfs, configfs.
    const KINDS: [i64; 8] = [
        0x9fa0,
        0x6265_6572,
        0x0027_e0eb,
        0x6367_7270,
        0x6462_6720,
        0x7472_6163,
        0x7363_6673,
        0x6265_6570,
    ];
    rustix::fs::fstatfs(file).is_ok_and(|system| KINDS.contains(&system.f_type))
}
