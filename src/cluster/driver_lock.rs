//! One driver at a time: whoever looks at what a run has left, and stops or removes it, holds this lock from before that
//! look until it ends. The lock of the partial comes later, and not at all if nothing is begun.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// The lock of the driver of a job; it ends with its holder, however that ends.
#[derive(Debug)]
pub struct DriverLock {
    file: File,
    path: PathBuf,
}

impl DriverLock {
    /// Takes the lock at `path`.
    ///
    /// # Errors
    /// In words: that another driver has it, or why it cannot be taken.
    pub fn take(path: &Path) -> Result<Self, String> {
        let failed = |error| format!("failed to lock `{}`: {error}", path.display());
        loop {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false);
            options.custom_flags(OFlags::NOFOLLOW.bits() as i32);
            let file = options.open(path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(format!(
                        "the run of `{}` is being written by another runner; wait for it, or choose another folder with \
                         --results",
                        path.with_extension("").display()
                    ));
                }
                // On a file system without locks, the user has to avoid two runners at once.
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            let lock = Self { file, path: path.to_owned() };
            // Its holder before may have removed it meanwhile.
            if lock.is_in_place() {
                return Ok(lock);
            }
        }
    }

    fn is_in_place(&self) -> bool {
        let place = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let here = fs::symlink_metadata(&self.path).map(place).ok();
        here.is_some() && here == self.file.metadata().map(place).ok()
    }
}

impl Drop for DriverLock {
    fn drop(&mut self) {
        if self.is_in_place() {
            let _ = fs::remove_file(&self.path); // an empty file that is left is taken by the next one
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_at_a_time_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".job.run.lock");
        let first = DriverLock::take(&path).unwrap();
        let refused = DriverLock::take(&path).unwrap_err();
        assert!(refused.contains("is being written by another runner"), "{refused}");
        drop(first);
        assert!(!path.exists());
        fs::write(&path, "").unwrap(); // of one that was killed
        drop(DriverLock::take(&path).unwrap());
        assert!(!path.exists());
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(DriverLock::take(&path).is_err(), "no link is followed");
    }
}
