//! What a task of a job with `creates` is about to make, and of what.

use std::path::PathBuf;

/// What a running task is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Making {
    /// Its files, in the order of `creates`.
    pub files: Vec<MadeFile>,
    /// What they are known by: the hash of their paths.
    pub key: u128,
    /// The hash of the task: its input, and what is done to it.
    pub task: u128,
    /// The files of `reads`, as they were before it started.
    pub reads: Vec<SeenFile>,
}

/// A file that a task is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeFile {
    /// What `{creates}` stands for.
    pub temporary: PathBuf,
    /// What it is called when the task is ok; absolute.
    pub path: PathBuf,
    /// The same as the job file and the inputs have it, for messages.
    pub shown: String,
    /// What was there under that name before the task started.
    pub before: Option<FileStamp>,
}

/// By what a file is seen to have been written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    /// Its device and inode.
    pub inode: (u64, u64),
    /// Its length in bytes.
    pub size: u64,
    /// When content or metadata last changed, in nanoseconds; no program can set it.
    pub changed: i128,
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
