//! The log of a service: the file, its lines as they arrive, and its end for messages.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use regex::bytes::Regex;

use crate::base::diagnostic::reason;
use crate::base::mask::{self, Relay};
use crate::base::screen::plain;

/// How much of a line is kept until its end arrives.
const MAX_LINE: usize = 64 << 10;
const READ_BYTES: usize = 64 << 10;
/// How much of the end is shown.
const TAIL_BYTES: u64 = 32 << 10;
const TAIL_LINES: usize = 10;

/// The log of a service.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
    /// Where there are secrets, what is written passes through here.
    relay: Option<Relay>,
    /// How far its lines have been checked.
    read: u64,
    /// The beginning of a line whose end has not arrived yet.
    line: Vec<u8>,
}

impl Log {
    /// Creates the log `results/<job>.<service>.log`, replacing an old one.
    ///
    /// # Errors
    /// The message why it cannot be written.
    pub fn create(results: &Path, job: &str, service: &str) -> Result<Self, String> {
        let path = results.join(format!("{job}.{service}.log"));
        let fail = |error| format!("failed to write `{}`: {}", path.display(), reason(&error));
        let _ = std::fs::remove_file(&path); // a program that reads the old one keeps it
        // Opened for appending, since it is both standard output and standard error, and others may open it.
        let file = OpenOptions::new().create(true).append(true).read(true).open(&path);
        let file = file.map_err(fail)?;
        let relay = mask::is_in_use().then(|| Relay::start(file.try_clone()?)).transpose();
        let relay = relay.map_err(fail)?;
        Ok(Self { file, path: path.clone(), relay, read: 0, line: Vec::new() })
    }

    /// What the service writes to.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.relay.as_ref().and_then(Relay::fd).unwrap_or_else(|| self.file.as_fd())
    }

    /// Whether one of the lines that have arrived since the last check matches.
    pub fn has_new_line(&mut self, regex: &Regex) -> bool {
        let mut buffer = vec![0; READ_BYTES];
        while let Ok(count @ 1..) = self.file.read_at(&mut buffer, self.read) {
            self.read += count as u64;
            for piece in buffer[..count].split_inclusive(|&byte| byte == b'\n') {
                let room = MAX_LINE.saturating_sub(self.line.len());
                self.line.extend_from_slice(&piece[..piece.len().min(room)]);
                if !piece.ends_with(b"\n") {
                    continue;
                }
                let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let matches = regex.is_match(line) || regex.is_match(&plain(line));
                self.line.clear();
                if matches {
                    return true;
                }
            }
        }
        false
    }

    /// The end of the log, to be appended to a message.
    pub fn tail(&self) -> String {
        self.relay.iter().for_each(Relay::settle);
        let size = self.file.metadata().map_or(0, |metadata| metadata.len());
        let start = size.saturating_sub(TAIL_BYTES);
        let mut bytes = vec![0; (size - start) as usize];
        let count = self.file.read_at(&mut bytes, start).unwrap_or(0);
        let text = String::from_utf8_lossy(&plain(&bytes[..count])).into_owned();
        if text.trim().is_empty() {
            return String::new();
        }
        let mut lines: Vec<_> = text.trim_end().lines().rev().take(TAIL_LINES).collect();
        lines.reverse();
        format!("; the end of {}:\n  {}", self.path.display(), lines.join("\n  "))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_are_checked_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::create(folder.path(), "job", "web").unwrap();
        let regex = Regex::new("^ready on [0-9]+$").unwrap();
        for (text, expected) in [
            ("starting\nready", false),
            (" on 80", false),
            ("00\r\nmore\n", true),
            ("ready\n", false),
        ] {
            (&log.file).write_all(text.as_bytes()).unwrap();
            assert_eq!(log.has_new_line(&regex), expected, "{text:?}");
        }
        assert!(log.tail().ends_with("job.web.log:\n  starting\n  ready on 8000\n  more\n  ready"));
    }

    #[test]
    fn an_empty_log_has_no_end_to_show() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Log::create(folder.path(), "job", "web").unwrap().tail(), "");
    }
}
