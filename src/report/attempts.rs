//! `results/<job>.attempts.csv`: a row for every attempt, in the order in which they ended.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::report::ReportError;

/// The open file. What was written is kept, however the run ends.
#[derive(Debug)]
pub(super) struct Attempts {
    file: File,
    path: PathBuf,
    /// The length of whole rows.
    end: u64,
    /// Why nothing is written any more.
    pub(super) broken: Option<String>,
}

impl Attempts {
    /// Starts the file anew, with `header`. To be called by the holder of the partial only.
    pub(super) fn create(path: &Path, header: &[u8]) -> Result<Self, ReportError> {
        let failed = |error| ReportError::writing(path, &error);
        // A link is removed, and not followed to what is no file of ours.
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => (),
        }
        let file = OpenOptions::new().append(true).create_new(true).open(path).map_err(failed)?;
        let mut attempts = Self { file, path: path.to_owned(), end: 0, broken: None };
        attempts.append(header).map_err(ReportError::write)?;
        Ok(attempts)
    }

    /// Appends whole rows. The first failure is told; after it nothing is written any more.
    pub(super) fn append(&mut self, rows: &[u8]) -> Result<(), String> {
        if rows.is_empty() || self.broken.is_some() {
            return Ok(());
        }
        match self.file.write_all(rows) {
            Ok(()) => {
                self.end += rows.len() as u64;
                Ok(())
            }
            Err(error) => {
                let _ = self.file.set_len(self.end); // half a row would spoil what was kept
                let message = format!("failed to write `{}`: {error}", self.path.display());
                self.broken = Some(message.clone());
                Err(message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn it_starts_anew_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, precious) =
            (folder.path().join("a.attempts.csv"), folder.path().join("precious"));
        fs::write(&precious, "kept").unwrap();
        symlink(&precious, &path).unwrap();
        for _ in 0..2 {
            let mut attempts = Attempts::create(&path, b"header\n").unwrap();
            attempts.append(b"row\n").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"header\nrow\n");
        }
        assert_eq!(fs::read(&precious).unwrap(), b"kept");
    }

    #[test]
    fn a_full_disk_is_told_once() {
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut attempts = Attempts { file, path: "/dev/full".into(), end: 0, broken: None };
        let message = attempts.append(b"row\n").unwrap_err();
        assert!(message.starts_with("failed to write `/dev/full`: "), "{message}");
        assert_eq!(attempts.append(b"row\n"), Ok(()));
        assert_eq!(attempts.broken, Some(message));
    }
}
