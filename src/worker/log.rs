//! `results/<job>.log`: what worker programs write to standard error, and Python functions to either. Lines of several
//! workers stand in it as they came.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How much of its end is shown.
const TAIL_BYTES: u64 = 4096;

/// The log of a job. Workers inherit its file, which is appended to, as their standard error.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
}

/// What becomes of a log that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// It is of another run.
    Emptied,
    /// The run is gone on with, and so is its log.
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

    /// What a worker is given as its standard error.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long it is now, in bytes.
    pub fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// The end of what has been written since it was `start` bytes long.
    pub fn tail(&self, start: u64) -> Vec<u8> {
        let end = self.length();
        let start = start.max(end.saturating_sub(TAIL_BYTES)).min(end);
        let mut tail = vec![0; (end - start) as usize];
        match self.file.read_exact_at(&mut tail, start) {
            Ok(()) => tail,
            Err(_) => Vec::new(),
        }
    }

    /// Closes it, and takes it away if nothing has been written. Where it is, if something has.
    pub fn finish(self) -> Option<PathBuf> {
        if self.length() > 0 {
            return Some(self.path);
        }
        let _ = fs::remove_file(&self.path); // an empty one does no harm
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_log_is_emptied_gone_on_with_or_taken_away() {
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
