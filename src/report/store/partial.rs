//! `results/<job>.csv.partial`: the rows of a running job, protected from other runners and from being overwritten.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::report::ReportError;

/// The open partial. Its lock ends with its holder, however that ends.
#[derive(Debug)]
pub(in crate::report) struct Partial {
    file: File,
    path: PathBuf,
}

/// What to do with a partial that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Leftover {
    Refuse,
    Discard,
    Keep,
}

impl Partial {
    /// Takes the partial at `path`, which is created if there is none.
    pub(in crate::report) fn take(path: &Path, leftover: Leftover) -> Result<Self, ReportError> {
        loop {
            let (file, new) = open(path)?;
            lock(&file, path)?;
            let partial = Self { file, path: path.to_owned() };
            // The previous holder of the lock may have finished meanwhile: the open file is a finished report then.
            if !partial.is_in_place() {
                continue;
            }
            match leftover {
                Leftover::Refuse if !new => return Err(left_over(path)),
                Leftover::Keep => (),
                Leftover::Refuse | Leftover::Discard => {
                    partial.truncate(0).map_err(|error| ReportError::writing(path, &error))?;
                }
            }
            return Ok(partial);
        }
    }

    /// Refuses if another runner holds the partial at `path`; creates none.
    pub(in crate::report) fn refuse_while_locked(path: &Path) -> Result<(), ReportError> {
        match OpenOptions::new().read(true).append(true).open(path) {
            // The lock ends with the file, which is closed at once.
            Ok(file) if file.metadata().is_ok_and(|meta| meta.is_file()) => lock(&file, path),
            _ => Ok(()), // whoever takes it says why it cannot be opened
        }
    }

    /// Replaces this partial atomically with a copy of the report at `report`.
    pub(in crate::report) fn replace_by_copy_of(&mut self, report: &Path) -> io::Result<()> {
        let copy = self.path.with_extension("partial.tmp"); // only the holder of the lock creates it
        let copied = fs::copy(report, &copy).and_then(|_| {
            let file = OpenOptions::new().read(true).append(true).open(&copy)?;
            match file.try_lock() {
                Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Unsupported => {
                    return Err(error);
                }
                _ => (), // nobody else knows about it
            }
            fs::rename(&copy, &self.path)?;
            Ok(file)
        });
        match copied {
            Ok(file) => self.file = file,
            Err(error) => {
                let _ = fs::remove_file(&copy); // it may not exist
                return Err(error);
            }
        }
        Ok(())
    }

    pub(in crate::report) fn file(&self) -> &File {
        &self.file
    }

    pub(in crate::report) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file still is where it was created.
    pub(in crate::report) fn is_in_place(&self) -> bool {
        let here = fs::symlink_metadata(&self.path).map(|meta| (meta.dev(), meta.ino())).ok();
        here.is_some() && here == self.file.metadata().map(|meta| (meta.dev(), meta.ino())).ok()
    }

    /// Appends `bytes`. The error includes how many were written before it.
    pub(in crate::report) fn append(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while written < bytes.len() {
            match self.file.write(&bytes[written..]) {
                Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    /// Cuts the file to `length` bytes.
    pub(in crate::report) fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    /// Reads from `offset` on until `bytes` is full.
    pub(in crate::report) fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    /// Removes the file, unless it has been replaced by another one.
    pub(in crate::report) fn remove(&self) {
        if self.is_in_place() {
            let _ = fs::remove_file(&self.path); // the report is in place: a leftover partial is harmless
        }
    }
}

impl Drop for Partial {
    /// Unlocks explicitly: the thread that syncs the file may still have it open.
    fn drop(&mut self) {
        let _ = self.file.unlock(); // it ends with the process anyway
    }
}

/// Opens the file; returns whether it is new. Never follows a link, which might lead to a file that is not a partial.
fn open(path: &Path) -> Result<(File, bool), ReportError> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        match options.clone().create_new(true).open(path) {
            Ok(file) => return Ok((file, true)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => (),
            Err(error) => return Err(ReportError::writing(path, &error)),
        }
        let regular = match fs::symlink_metadata(path) {
            Ok(meta) => meta.is_file(),
            Err(error) if error.kind() == ErrorKind::NotFound => continue, // its runner has just finished
            Err(error) => return Err(ReportError::writing(path, &error)),
        };
        if !regular {
            let message =
                format!("cannot write `{}`: it is not a regular file; remove it", path.display());
            return Err(ReportError::refused(message));
        }
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        match options.custom_flags(flags as i32).open(path) {
            Ok(file) => return Ok((file, false)),
            Err(error) if error.kind() == ErrorKind::NotFound => (),
            Err(error) => return Err(ReportError::writing(path, &error)),
        }
    }
}

fn lock(file: &File, path: &Path) -> Result<(), ReportError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(ReportError::refused(format!(
            "`{}` is being written by another runner; wait for it, or choose another folder with --results",
            path.display()
        ))),
        // On a file system without locks, the user has to avoid two runners at once.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(error)) => {
            Err(ReportError::refused(format!("failed to lock `{}`: {error}", path.display())))
        }
    }
}

fn left_over(path: &Path) -> ReportError {
    ReportError::refused(format!(
        "`{}` is left from a run that did not finish; resume it with --resume, or discard it with --fresh",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn refusal(path: &Path, leftover: Leftover) -> String {
        let error = Partial::take(path, leftover).unwrap_err();
        assert!(error.is_refusal());
        error.to_string()
    }

    #[test]
    fn one_that_is_left_is_kept_unless_told_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv.partial");
        fs::write(&path, "rows").unwrap();
        assert!(refusal(&path, Leftover::Refuse).ends_with(
            "is left from a run that did not finish; resume it with --resume, or discard it with --fresh"
        ));
        drop(Partial::take(&path, Leftover::Keep).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"rows");
        Partial::take(&path, Leftover::Discard).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn one_that_is_in_use_is_refused_even_afresh() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv.partial");
        let mut partial = Partial::take(&path, Leftover::Refuse).unwrap();
        partial.append(b"row").unwrap();
        for leftover in [Leftover::Refuse, Leftover::Discard, Leftover::Keep] {
            assert!(refusal(&path, leftover).contains("is being written by another runner"));
        }
        let refused = Partial::refuse_while_locked(&path).unwrap_err();
        assert!(refused.to_string().contains("is being written by another runner"));
        drop(partial);
        Partial::refuse_while_locked(&path).unwrap();
        Partial::refuse_while_locked(&folder.path().join("b.csv.partial")).unwrap();
        assert!(!folder.path().join("b.csv.partial").exists());
        assert_eq!(fs::read(&path).unwrap(), b"row");
    }

    #[test]
    fn a_copy_of_the_report_takes_its_place_and_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let (path, report) = (folder.path().join("a.csv.partial"), folder.path().join("a.csv"));
        fs::write(&report, "row\n").unwrap();
        let mut partial = Partial::take(&path, Leftover::Keep).unwrap();
        partial.replace_by_copy_of(&report).unwrap();
        assert!(refusal(&path, Leftover::Keep).contains("is being written by another runner"));
        partial.append(b"more\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"row\nmore\n");
        assert_eq!(fs::read(&report).unwrap(), b"row\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, precious) =
            (folder.path().join("a.csv.partial"), folder.path().join("precious"));
        fs::write(&precious, "kept").unwrap();
        symlink(&precious, &path).unwrap();
        for leftover in [Leftover::Refuse, Leftover::Discard, Leftover::Keep] {
            assert!(refusal(&path, leftover).contains("it is not a regular file"));
        }
        assert_eq!(fs::read(&precious).unwrap(), b"kept");
    }
}
