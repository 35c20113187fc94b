//! Devices and named pipes that tasks write to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{OFlags, fcntl_setfl};

use crate::sys::descriptor_in;

/// Opens a device or a named pipe without waiting for its other end. What the runner has open itself is not opened anew: who
/// else writes there goes on after what this has written.
pub(super) fn open(path: &Path) -> io::Result<File> {
    match descriptor_in(path) {
        Some("1") => return io::stdout().as_fd().try_clone_to_owned().map(File::from),
        Some("2") => return io::stderr().as_fd().try_clone_to_owned().map(File::from),
        _ => {}
    }
    let file = open_without_waiting(path)?;
    fcntl_setfl(&file, OFlags::empty())?;
    Ok(file)
}

/// Opens a device or a named pipe to be written: neither this nor a write waits for its other end.
///
/// # Errors
/// If it cannot be opened; a pipe that nobody reads, too.
pub(super) fn open_without_waiting(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ENXIO) => io::Error::other("no program reads from it"),
        _ => error,
    })
}
