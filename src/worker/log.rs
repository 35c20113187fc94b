//! `results/<job>.log`: what worker programs write to standard error, and Python functions to either stream. Lines of
//! several workers are in the order in which they arrived.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::base::mask::{self, Relay};

/// How much of its end is read to be shown, in bytes: more than is shown, since progress and colours go.
const TAIL_BYTES: u64 = 32 << 10;

/// The log of a job. Workers inherit its file, which is opened for appending, as their standard error.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
    /// Where there are secrets, what is written passes through here.
    relay: Option<Relay>,
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
        let relay = mask::is_in_use().then(|| Relay::start(file.try_clone()?)).transpose()?;
        Ok(Self { file, path: path.to_owned(), relay })
    }

    /// What a worker's standard error is.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.relay.as_ref().and_then(Relay::fd).unwrap_or_else(|| self.file.as_fd())
    }

    /// The path for workers that open it themselves.
    pub fn path(&self) -> PathBuf {
        self.relay.as_ref().map_or_else(|| self.path.clone(), Relay::path)
    }

    /// Its current length in bytes.
    pub fn length(&self) -> u64 {
        self.relay.iter().for_each(Relay::settle);
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
    pub fn finish(mut self) -> Option<PathBuf> {
        self.relay = None; // after all that has been written
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
        let mut file = OpenOptions::new().append(true).open(log.path()).unwrap();
        file.write_all(b"one\n").unwrap();
        let start = log.length();
        file.write_all(b"two\n").unwrap();
        assert_eq!((log.tail(start), log.tail(0)), (b"two\n".to_vec(), b"one\ntwo\n".to_vec()));
        drop(file);
        let path = log.finish().unwrap();
        assert_eq!(open(Earlier::Kept).length(), 8);
        assert_eq!(open(Earlier::Emptied).finish(), None);
        assert!(!path.exists());
    }
}
