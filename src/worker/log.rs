//! `results/<job>.log`: what worker programs write to standard error, and Python functions to either stream. Lines of
//! several workers are in the order in which they arrived.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How much of its end is read to be shown, in bytes: more than is shown, since progress and colours go.
const TAIL_BYTES: u64 = 32 << 10;

/// The log of a job. Workers inherit its file, which is opened for appending, as their standard error.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
}

/// What to do with a log that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// It is emptied, since it belongs to another run.
    Emptied,
    /// It is kept, since its run is resumed.
    Kept,
}

impl Log {
    /// Opens the log at `path`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(path: &Path, earlier: Earlier) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        if earlier == Earlier::Emptied {
            file.set_len(0)?;
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// The file for a worker's standard error.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its current length in bytes.
    pub fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// The end of what has been written since its length was `start`.
    pub fn tail(&self, start: u64) -> Vec<u8> {
        let end = self.length();
        let start = start.max(end.saturating_sub(TAIL_BYTES)).min(end);
        let mut tail = vec![0; (end - start) as usize];
        match self.file.read_exact_at(&mut tail, start) {
            Ok(()) => tail,
            Err(_) => Vec::new(),
        }
    }

    /// Closes it, and removes it if nothing has been written. Returns its path if something has.
    pub fn finish(self) -> Option<PathBuf> {
        if self.length() > 0 {
            return Some(self.path);
        }
        let _ = fs::remove_file(&self.path); // an empty one is harmless
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_is_emptied_kept_or_removed() {
        let folder = tempfile::tempdir().unwrap();
        let open = |earlier| Log::open(&folder.path().join("job.log"), earlier).unwrap();
        let log = open(Earlier::Emptied);
        log.file().write_all(b"one\n").unwrap();
        let start = log.length();
        log.file().write_all(b"two\n").unwrap();
        assert_eq!((log.tail(start), log.tail(0)), (b"two\n".to_vec(), b"one\ntwo\n".to_vec()));
        let path = log.finish().unwrap();
        assert_eq!(open(Earlier::Kept).length(), 8);
        assert_eq!(open(Earlier::Emptied).finish(), None);
        assert!(!path.exists());
    }
}
