//! A file that takes its name only when it is whole. Dropped before, it is gone.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};
use tempfile::{NamedTempFile, TempPath};

use crate::sys;
use crate::task::own_path;

/// A file before it has its name.
#[derive(Debug)]
pub(super) enum Draft {
    /// Nothing is left of it even if this process is killed.
    Nameless(File),
    /// Where the file system knows no files without names.
    Named(NamedTempFile),
}

impl Draft {
    /// A file that is to be called `path`.
    ///
    /// # Errors
    /// If it cannot be made in that folder.
    pub fn new(path: &Path) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        // The umask takes its part of the mode, as for any new file.
        match rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)) {
            Ok(file) => Ok(Self::Nameless(file.into())),
            Err(_) => temporary().tempfile_in(folder).map(Self::Named),
        }
    }

    /// The file, for writing and reading.
    pub fn file(&self) -> &File {
        match self {
            Self::Nameless(file) => file,
            Self::Named(file) => file.as_file(),
        }
    }

    /// The file once more, for a child: as long as a process has that, [`Self::is_written_elsewhere`]. `None` where that cannot
    /// be told.
    pub fn for_child(&self) -> Option<File> {
        // A file with a name might be opened by anybody.
        let Self::Nameless(file) = self else { return None };
        if sys::has_other_writers(file) {
            return None; // there are no leases
        }
        fs::OpenOptions::new().write(true).open(sys::fd_path(file.as_fd())).ok()
    }

    /// Whether a process has what was made [`Self::for_child`] still open.
    pub fn is_written_elsewhere(&self) -> bool {
        matches!(self, Self::Nameless(file) if sys::has_other_writers(file))
    }

    /// Gives it the name `path`, in place of what is there, and the permissions of the file that is called so or will be.
    ///
    /// # Errors
    /// If it cannot have that name.
    pub fn persist(self, path: &Path) -> io::Result<()> {
        if let Ok(earlier) = fs::symlink_metadata(own_path(path))
            && earlier.is_file()
        {
            let _ = self.file().set_permissions(earlier.permissions()); // it may be another user's
        }
        // A device or a pipe that has come to be there since would be gone.
        if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file() && !found.is_symlink()) {
            return Err(io::Error::other("there is something that is not a regular file"));
        }
        self.named(path)?.persist(path).map_err(|error| error.error)
    }

    /// Gives it a temporary name beside `path`.
    fn named(self, path: &Path) -> io::Result<TempPath> {
        let file = match self {
            Self::Nameless(file) => file,
            Self::Named(file) => return Ok(file.into_temp_path()),
        };
        let open = sys::fd_path(file.as_fd());
        let link = |name: &Path| Ok(linkat(CWD, &open, CWD, name, AtFlags::SYMLINK_FOLLOW)?);
        let folder = path.parent().unwrap_or(Path::new("."));
        temporary().make_in(folder, link).map(NamedTempFile::into_temp_path)
    }
}

/// Temporary names.
fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".part").permissions(Permissions::from_mode(0o666));
    builder
}
