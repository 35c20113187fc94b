//! `results/<job>.attempts.csv`: a row for every attempt, in the order in which they ended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::base::diagnostic::reason;
use crate::csv::cells;
use crate::report::ReportError;

/// The open file. What has been written is kept, however the run ends.
#[derive(Debug)]
pub(in crate::report) struct Attempts {
    file: File,
    path: PathBuf,
    /// The length of whole rows.
    end: u64,
    /// The length of the header, if the file is new.
    empty: Option<u64>,
    /// The failure after which nothing is written any more.
    pub(in crate::report) broken: Option<String>,
}

impl Attempts {
    /// Starts a new file with `header`. To be called by the holder of the partial only.
    pub(in crate::report) fn create(path: &Path, header: &[u8]) -> Result<Self, ReportError> {
        let failed = |error| ReportError::writing(path, &error);
        // A link is removed, not followed to a file that is not the runner's.
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => (),
        }
        let file = OpenOptions::new().append(true).create_new(true).open(path).map_err(failed)?;
        let empty = Some(header.len() as u64);
        let mut attempts = Self { file, path: path.to_owned(), end: 0, empty, broken: None };
        attempts.append(header).map_err(ReportError::write)?;
        Ok(attempts)
    }

    /// Resumes after the rows of an earlier run if the file exists and starts with `header`, else starts a new one. To
    /// be called by the holder of the partial only.
    pub(in crate::report) fn resume(path: &Path, header: &[u8]) -> Result<Self, ReportError> {
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
        let end = |file: &File| whole_rows(file, header).ok().flatten();
        let Some((file, end)) =
            options.open(path).ok().and_then(|file| end(&file).map(|end| (file, end)))
        else {
            return Self::create(path, header);
        };
        file.set_len(end).map_err(|error| ReportError::writing(path, &error))?;
        Ok(Self { file, path: path.to_owned(), end, empty: None, broken: None })
    }

    /// The length of its whole rows, in bytes, and whether this run has started it.
    pub(in crate::report) fn end(&self) -> (u64, bool) {
        (self.end, self.empty.is_some())
    }

    /// Removes a file that this run has started and written no row to.
    pub(in crate::report) fn remove_if_empty(&self) {
        if self.empty == Some(self.end) {
            let _ = fs::remove_file(&self.path); // a leftover header is harmless
        }
    }

    /// Appends whole rows. The first failure is returned; after it nothing is written any more.
    pub(in crate::report) fn append(&mut self, rows: &[u8]) -> Result<(), String> {
        if rows.is_empty() || self.broken.is_some() {
            return Ok(());
        }
        match self.file.write_all(rows) {
            Ok(()) => {
                self.end += rows.len() as u64;
                Ok(())
            }
            Err(error) => {
                let _ = self.file.set_len(self.end); // half a row would spoil the kept ones
                let message =
                    format!("failed to write `{}`: {}", self.path.display(), reason(&error));
                self.broken = Some(message.clone());
                Err(message)
            }
        }
    }
}

/// The whole rows at `path`, without the header, of the tasks that are `wanted`; none if there is no such file.
pub(in crate::report) fn of_tasks(
    path: &Path,
    delimiter: u8,
    wanted: impl Fn(u64) -> bool,
) -> io::Result<Vec<u8>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let mut kept = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for at in memchr::memchr2_iter(b'"', b'\n', &bytes) {
        if bytes[at] == b'"' {
            quoted = !quoted;
        } else if !quoted {
            let row = &bytes[start..=at];
            let number =
                cells(row, delimiter).next().and_then(|cell| std::str::from_utf8(cell).ok());
            // The header has no number.
            if number.and_then(|number| number.parse().ok()).is_some_and(&wanted) {
                kept.extend_from_slice(row);
            }
            start = at + 1;
        }
    }
    Ok(kept)
}

/// Begins a file at `into` with the header of the one at `from`, or goes on with it, and appends the rows of the tasks
/// that are `wanted`.
pub(in crate::report) fn carry(
    from: &Path,
    into: &Path,
    delimiter: u8,
    wanted: impl Fn(u64) -> bool,
) -> io::Result<()> {
    let rows = of_tasks(from, delimiter, wanted)?;
    if rows.is_empty() {
        return Ok(());
    }
    let mut file = OpenOptions::new().append(true).create(true).open(into)?;
    if file.metadata()?.len() == 0 {
        let bytes = fs::read(from)?;
        let end = memchr::memchr(b'\n', &bytes).map_or(bytes.len(), |at| at + 1);
        file.write_all(&bytes[..end])?;
    }
    file.write_all(&rows)
}

/// Where the last whole row ends, or `None` if the file does not start with `header`. A row that a kill has torn is
/// after it.
fn whole_rows(file: &File, header: &[u8]) -> io::Result<Option<u64>> {
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut start = vec![0; header.len()];
    let mut reader = file;
    match reader.read_exact(&mut start) {
        Ok(()) if start == header => (),
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(error),
        _ => return Ok(None),
    }
    let mut buffer = vec![0; 64 << 10];
    let (mut at, mut end, mut quoted) = (header.len() as u64, header.len() as u64, false);
    loop {
        let length = match reader.read(&mut buffer) {
            Ok(0) => return Ok(Some(end)),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for found in memchr::memchr2_iter(b'"', b'\n', &buffer[..length]) {
            if buffer[found] == b'"' {
                quoted = !quoted; // a quote within a cell is doubled, which cancels out
            } else if !quoted {
                end = at + found as u64 + 1;
            }
        }
        at += length as u64;
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
    fn it_resumes_after_whole_rows_if_the_header_matches() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.attempts.csv");
        let resume = |row: &[u8]| {
            Attempts::resume(&path, b"a,b\n").unwrap().append(row).unwrap();
            fs::read_to_string(&path).unwrap()
        };
        assert_eq!(resume(b"1,2\n"), "a,b\n1,2\n");
        assert_eq!(resume(b"3,\"x\n\"\"y\"\n4,\"to\nrn"), "a,b\n1,2\n3,\"x\n\"\"y\"\n4,\"to\nrn");
        assert_eq!(resume(b"5,6\n"), "a,b\n1,2\n3,\"x\n\"\"y\"\n5,6\n");
        fs::write(&path, "a,c\n1,2\n").unwrap();
        assert_eq!(resume(b"7,8\n"), "a,b\n7,8\n");

        let precious = folder.path().join("precious");
        fs::write(&precious, "a,b\n").unwrap();
        fs::remove_file(&path).unwrap();
        symlink(&precious, &path).unwrap();
        assert_eq!(resume(b"9,0\n"), "a,b\n9,0\n");
        assert_eq!(fs::read(&precious).unwrap(), b"a,b\n");
    }

    #[test]
    fn only_a_new_file_without_rows_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.attempts.csv");
        let mut attempts = Attempts::create(&path, b"header\n").unwrap();
        attempts.append(b"row\n").unwrap();
        attempts.remove_if_empty();
        Attempts::resume(&path, b"header\n").unwrap().remove_if_empty();
        assert!(path.exists());
        Attempts::create(&path, b"header\n").unwrap().remove_if_empty();
        assert!(!path.exists());
    }

    #[test]
    fn a_full_disk_is_reported_once() {
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut attempts =
            Attempts { file, path: "/dev/full".into(), end: 0, empty: None, broken: None };
        let message = attempts.append(b"row\n").unwrap_err();
        assert!(message.starts_with("failed to write `/dev/full`: "), "{message}");
        assert_eq!(attempts.append(b"row\n"), Ok(()));
        assert_eq!(attempts.broken, Some(message));
    }
}
