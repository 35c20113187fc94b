//! What a task of a job with `creates` is about to make, and of what.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What a running task is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Making {
    /// Its files, in the order of `creates`.
    pub files: Vec<MadeFile>,
    /// The hash of the task: its input, and what is done to it.
    pub task: u128,
    /// The files of `reads`, as they were before it started.
    pub reads: Vec<SeenFile>,
    /// The index of the stage that it has entered.
    pub stage: usize,
}

/// A file that a task is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeFile {
    /// What `{creates}` stands for.
    pub temporary: PathBuf,
    /// What it is called when the task is ok; absolute.
    pub path: PathBuf,
    /// What it is called when the task is not ok; `None` if something that the task or its job reads has that name.
    pub failed: Option<PathBuf>,
    /// What was there under that name before the task started.
    pub left_before: Option<FileStamp>,
    /// The same as the job file and the inputs have it, for messages.
    pub shown: String,
    /// What it is known by: the hash of its path.
    pub key: u128,
    /// What was there under its own name before the task started.
    pub before: Option<FileStamp>,
    /// What was there under the temporary name, and under its own, when the task entered a later stage.
    pub at_entry: [Option<FileStamp>; 2],
}

/// What a temporary name begins with, before the own one: a dot, as many hexadecimal digits, and this.
const PART: &[u8] = b".part.";
const DIGITS: usize = 8;

/// The start of the temporary names of a job's files, by which they are told from those of others.
pub fn temporary_start(tag: u32) -> OsString {
    let mut start = OsString::from(format!(".{tag:08x}"));
    start.push(OsStr::from_bytes(PART));
    start
}

/// The name that a file will have which has `name` meanwhile; any other name is its own.
pub fn own_name(name: &OsStr) -> &OsStr {
    let own = name.as_bytes().split_at_checked(1 + DIGITS).and_then(|(start, rest)| {
        let is_start = start[0] == b'.' && start[1..].iter().all(u8::is_ascii_hexdigit);
        rest.strip_prefix(PART).filter(|own| is_start && !own.is_empty())
    });
    own.map_or(name, OsStr::from_bytes)
}

/// The path that the file at `path` will have.
pub fn own_path(path: &Path) -> PathBuf {
    path.with_file_name(own_name(path.file_name().unwrap_or_default()))
}

/// By what a file is seen to have been written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    /// Its device and inode.
    pub inode: (u64, u64),
    /// Its length in bytes.
    pub size: u64,
    /// When content last changed, in nanoseconds; any program can set it.
    pub modified: i128,
    /// When content or metadata last changed, in nanoseconds; no program can set it.
    pub changed: i128,
    /// Metadata with which `changed` changes: how many names it has, its mode, its owner and group.
    pub metadata: [u64; 4],
}

impl FileStamp {
    /// Whether what was `before` has been written or replaced since. A new name or mode is not that, such as the one that a
    /// backup gives it.
    pub fn is_written_since(&self, before: &Self) -> bool {
        let content = |stamp: &Self| (stamp.inode, stamp.size, stamp.modified);
        content(self) != content(before)
            || (self.changed != before.changed && self.metadata == before.metadata)
    }
}

/// A file that a task reads, as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenFile {
    /// The hash of its path.
    pub name: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written, in nanoseconds since 1970; `None` if that was so shortly before that another write
    /// could have left the same time.
    pub written: Option<i64>,
    /// The hash of its content.
    pub content: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_or_mode_is_no_writing() {
        let metadata = [1, 0o644, 0, 0];
        let before = FileStamp { inode: (1, 2), size: 3, modified: 4, changed: 5, metadata };
        for (now, is_written) in [
            (before, false),
            (FileStamp { changed: 6, ..before }, true), // its time has been set again
            (FileStamp { changed: 6, metadata: [2, 0o644, 0, 0], ..before }, false),
            (FileStamp { changed: 6, metadata: [1, 0o600, 0, 0], ..before }, false),
            (FileStamp { changed: 6, modified: 6, metadata: [2, 0o644, 0, 0], ..before }, true),
            (FileStamp { inode: (1, 3), ..before }, true),
            (FileStamp { size: 4, ..before }, true),
        ] {
            assert_eq!(now.is_written_since(&before), is_written, "{now:?}");
        }
    }

    #[test]
    fn a_temporary_name_leads_to_the_own_one() {
        let mut name = temporary_start(7);
        name.push("a.tar.gz");
        assert_eq!(
            (&*name, own_name(&name)),
            (OsStr::new(".00000007.part.a.tar.gz"), "a.tar.gz".as_ref())
        );
        for own in ["a", ".bashrc", ".00000007.part.", ".0000000g.part.a", ""] {
            assert_eq!(own_name(OsStr::new(own)), own);
        }
    }
}
