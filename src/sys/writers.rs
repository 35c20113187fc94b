//! Who has a file open for writing (fcntl(2), leases): a lease for writing is given to whoever has the file open alone.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Whether a file that is open for writing here is also open for writing elsewhere: by another open(2), not by a descriptor
/// that was handed on. It has to have no name, so that nobody opens it meanwhile; it may be so where a file system gives no
/// leases.
pub fn has_other_writers(file: &File) -> bool {
    let lease = |kind: libc::c_int| {
        // SAFETY: the call takes an open descriptor and a number.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) == 0 }
    };
    if !lease(libc::F_WRLCK) {
        return true;
    }
    lease(libc::F_UNLCK);
    false
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::sys::fd_path;
    use std::os::fd::AsFd;

    #[test]
    fn another_writer_is_seen_as_long_as_it_is_there() {
        let file = tempfile::tempfile().unwrap();
        if has_other_writers(&file) {
            return; // no leases here
        }
        let other = OpenOptions::new().write(true).open(fd_path(file.as_fd())).unwrap();
        let handed_on = other.try_clone().unwrap();
        drop(other);
        assert!(has_other_writers(&file));
        drop(handed_on);
        assert!(!has_other_writers(&file));
    }
}
