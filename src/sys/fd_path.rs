//! Paths of open files by their descriptors (proc(5)).

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

/// The program that this process runs, even if its file has been replaced since.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// The path of an open file, for this process.
pub fn fd_path(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// The path of an open file for other processes, valid while it is open here.
pub fn fd_path_for_others(file: BorrowedFd<'_>) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

/// The number of the descriptor of this process that `path` names, as it is written.
pub fn descriptor_in(path: &Path) -> Option<&str> {
    match path.to_str()? {
        "/dev/stdin" => Some("0"),
        "/dev/stdout" => Some("1"),
        "/dev/stderr" => Some("2"),
        path => path.strip_prefix("/dev/fd/").or_else(|| path.strip_prefix("/proc/self/fd/")),
    }
}
