//! `results/.<job>.state`: what resuming has to know about every row of the report. It makes resuming independent of
//! how cells are written: dialects, quoting and formulas never have to be read back.
//!
//! The file has a header, then an entry for each row in the order of the rows. An entry is written before its row, so
//! that no row lacks one after a kill; a checksum over the row's bytes detects rows that never reached the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::report::{Identities, ReportError};
use crate::task::Status;

const MAGIC: &[u8; 16] = b"runner state 1\n\0";

/// The length of the header, in bytes.
pub(in crate::report) const HEADER: usize = 96;

/// The longest header of a report that is looked at, in bytes.
pub(in crate::report) const LONGEST_HEADER: u32 = 1 << 24;

/// The length of an entry, in bytes.
pub(in crate::report) const ENTRY: usize = 32;

/// The checksum of a row's bytes, for a task of this identity and status.
pub(in crate::report) fn check(row: &[u8], identity: u128, status: Status) -> u32 {
    xxh3_64_with_seed(row, identity as u64 ^ status as u64) as u32
}

/// What the state records about one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Entry {
    /// The identity of the task's input.
    pub(in crate::report) identity: u128,
    /// Where the row starts.
    pub(in crate::report) offset: u64,
    /// The length in bytes, including the line end.
    pub(in crate::report) length: u32,
    /// See [`check`].
    pub(in crate::report) check: u32,
    pub(in crate::report) status: Status,
    /// Whether the task has been started again since: the row counts no more.
    pub(in crate::report) is_replaced: bool,
}

/// The status shares eight bytes with the offset.
const STATUS_SHIFT: u32 = 56;

/// Where the byte of the status is in an entry.
const STATUS: u64 = 23;

/// The flag beside it.
const REPLACED: u8 = 1 << 7;

impl Entry {
    pub(in crate::report) fn push(&self, out: &mut Vec<u8>) {
        let status = self.status as u8 | if self.is_replaced { REPLACED } else { 0 };
        let place = self.offset | u64::from(status) << STATUS_SHIFT;
        let sizes = u64::from(self.length) | u64::from(self.check) << 32;
        let mut bytes = [0; ENTRY];
        bytes[..16].copy_from_slice(&self.identity.to_le_bytes());
        bytes[16..24].copy_from_slice(&place.to_le_bytes());
        bytes[24..].copy_from_slice(&sizes.to_le_bytes());
        out.extend_from_slice(&bytes);
    }

    /// `None` if the bytes are not an entry.
    pub(in crate::report) fn read(bytes: &[u8]) -> Option<Self> {
        let (identity, rest) = bytes.split_first_chunk()?;
        let (place, rest) = rest.split_first_chunk()?;
        let (length, check) = rest.split_first_chunk()?;
        let place = u64::from_le_bytes(*place);
        let status = (place >> STATUS_SHIFT) as u8;
        let entry = Self {
            identity: u128::from_le_bytes(*identity),
            offset: place & ((1 << STATUS_SHIFT) - 1),
            length: u32::from_le_bytes(*length),
            check: u32::from_le_bytes(check.try_into().ok()?),
            status: *Status::ALL.get(usize::from(status & !REPLACED))?,
            is_replaced: status & REPLACED != 0,
        };
        (entry.length > 0).then_some(entry)
    }
}

/// Marks the entry at this place, from 0, in a state: its task is started again.
///
/// # Errors
/// If it cannot be written.
pub(in crate::report) fn replace(state: &File, place: u64) -> io::Result<()> {
    let at = entries_end(place) + STATUS;
    let mut status = [0];
    state.read_exact_at(&mut status, at)?;
    state.write_all_at(&[status[0] | REPLACED], at)
}

/// Which file the entries are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum About {
    /// The partial, or a report that was the partial and has only been renamed.
    Partial = 0,
    /// The report: a partial that exists as well was only not removed in time.
    Report = 1,
}

/// What the state records about the report as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Header {
    /// Of the job's workload and columns, as planned: `Job::identity`.
    pub(in crate::report) identity: [u8; 32],
    /// The length of the report's own header, in bytes.
    pub(in crate::report) length: u32,
    /// The hash of the report's own header.
    pub(in crate::report) hash: u64,
    /// The seed for [`Identify`](super::identify::Identify).
    pub(in crate::report) seed: u64,
    pub(in crate::report) about: About,
    /// Whether the report's texts stand bare, not safe for spreadsheets: then a leading `'` is the text's own.
    pub(in crate::report) is_bare: bool,
    /// Where the job's folder lies, see `resume::place`; 0 if that is not known.
    pub(in crate::report) place: u64,
    /// See [`Identities`].
    pub(in crate::report) tells_kinds: bool,
}

impl Header {
    /// The header for a report that starts with `header`.
    pub(in crate::report) fn new(identity: [u8; 32], header: &[u8]) -> Self {
        let length = header.len() as u32;
        let seed = fastrand::u64(..);
        let (hash, about) = (xxh3_64(header), About::Partial);
        let tells_kinds = true;
        Self { identity, length, hash, seed, about, is_bare: false, place: 0, tells_kinds }
    }

    /// How it makes the identities of inputs.
    pub(in crate::report) fn identities(&self) -> Identities {
        Identities { seed: self.seed, tells_kinds: self.tells_kinds }
    }

    /// Whether the report starts with `header`.
    pub(in crate::report) fn fits(&self, header: &[u8]) -> bool {
        header.len() == self.length as usize && xxh3_64(header) == self.hash
    }

    pub(in crate::report) fn bytes(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let parts: [&[u8]; 9] = [
            MAGIC,
            &self.identity,
            &self.hash.to_le_bytes(),
            &self.length.to_le_bytes(),
            &(self.about as u32).to_le_bytes(),
            &self.seed.to_le_bytes(),
            &[u8::from(self.is_bare)],
            &self.place.to_le_bytes(),
            &[u8::from(self.tells_kinds)],
        ];
        let mut at = 0;
        for part in parts {
            out[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        out
    }

    fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (identity, rest) = rest.split_first_chunk()?;
        let (hash, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (about, rest) = rest.split_first_chunk()?;
        let (seed, rest) = rest.split_first_chunk()?;
        let (&[is_bare], rest) = rest.split_first_chunk()?;
        let (place, rest) = rest.split_first_chunk()?;
        let (&[tells_kinds], _) = rest.split_first_chunk()?;
        Some(Self {
            // All are 0 in a state of an older runner.
            tells_kinds: tells_kinds == 1,
            is_bare: is_bare == 1,
            place: u64::from_le_bytes(*place),
            identity: *identity,
            length: u32::from_le_bytes(*length),
            hash: u64::from_le_bytes(*hash),
            seed: u64::from_le_bytes(*seed),
            about: match u32::from_le_bytes(*about) {
                0 => About::Partial,
                1 => About::Report,
                _ => return None,
            },
        })
    }
}

/// What has to change in the file before the first entry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    /// The content belongs to another report, and is replaced only when there is something to replace it with.
    Everything,
    /// The entries are resumed under a new header.
    Header,
    Nothing,
}

/// The open state. Only the holder of the partial's lock may write it.
#[derive(Debug)]
pub(in crate::report) struct State {
    file: File,
    path: PathBuf,
    /// Its header, now or as soon as the first entry is written.
    pub(in crate::report) header: Header,
    entries: u64,
    pending: Pending,
}

impl State {
    /// Opens the state at `path`, which is created if there is none, for entries about a new report.
    pub(in crate::report) fn open(path: &Path, header: Header) -> Result<Self, ReportError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
            .open(path)
            .map_err(|error| ReportError::writing(path, &error))?;
        Ok(Self { file, path: path.to_owned(), header, entries: 0, pending: Pending::Everything })
    }

    /// The header that is in the file now, if it is a state.
    pub(in crate::report) fn found(&self) -> Option<Header> {
        Self::header_of(&self.file)
    }

    /// The header of `file`, if it is a state.
    pub(in crate::report) fn header_of(file: &File) -> Option<Header> {
        let mut bytes = [0; HEADER];
        file.read_exact_at(&mut bytes, 0).ok()?;
        Header::read(&bytes)
    }

    /// Resumes after the first `entries` entries of the file.
    pub(in crate::report) fn resume(&mut self, header: Header, entries: u64) {
        self.header = Header { about: About::Partial, ..header };
        self.entries = entries;
        self.pending = Pending::Header;
    }

    pub(in crate::report) fn file(&self) -> &File {
        &self.file
    }

    /// How many entries there are.
    pub(in crate::report) fn entries(&self) -> u64 {
        self.entries
    }

    /// Appends entries. The error includes how many whole ones were written before it.
    pub(in crate::report) fn append(&mut self, entries: &[u8]) -> Result<(), (usize, io::Error)> {
        self.settle().map_err(|error| (0, error))?;
        let mut written = 0;
        let start = entries_end(self.entries);
        while written < entries.len() {
            match self.file.write_at(&entries[written..], start + written as u64) {
                Ok(0) => return Err((written / ENTRY, ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => {
                    self.entries += (written / ENTRY) as u64;
                    return Err((written / ENTRY, error));
                }
            }
        }
        self.entries += (written / ENTRY) as u64;
        Ok(())
    }

    /// Makes the file describe this report, even if there is no entry yet.
    pub(in crate::report) fn settle(&mut self) -> io::Result<()> {
        match self.pending {
            Pending::Nothing => return Ok(()),
            Pending::Everything => self.file.set_len(0)?,
            Pending::Header => self.file.set_len(entries_end(self.entries))?,
        }
        self.file.write_all_at(&self.header.bytes(), 0)?;
        self.pending = Pending::Nothing;
        Ok(())
    }

    /// Cuts the file to this number of entries.
    pub(in crate::report) fn truncate(&mut self, entries: u64) -> io::Result<()> {
        self.entries = entries;
        if self.pending == Pending::Nothing {
            self.file.set_len(entries_end(entries))?;
        }
        Ok(())
    }

    pub(in crate::report) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file if nothing was ever written to it.
    pub(in crate::report) fn remove_if_empty(&self) {
        if self.file.metadata().is_ok_and(|meta| meta.len() == 0) {
            let _ = fs::remove_file(&self.path); // an empty file is harmless
        }
    }
}

/// Whether the texts of the report that is open stand bare, not safe for spreadsheets, as the state at `path` has it. Without
/// a state of just this report nobody knows: then they are taken to be safe, which they are unless a job wants it otherwise.
pub fn is_bare(report: &File, path: &Path) -> bool {
    let Some(header) = File::open(path).ok().and_then(|file| State::header_of(&file)) else {
        return false;
    };
    let mut start = vec![0; header.length.min(LONGEST_HEADER) as usize];
    header.is_bare && report.read_exact_at(&mut start, 0).is_ok() && header.fits(&start)
}

/// Where this number of entries ends, in bytes.
pub(in crate::report) fn entries_end(entries: u64) -> u64 {
    HEADER as u64 + entries * ENTRY as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let new = Header::new([7; 32], b"task,status\n");
        let header = Header { about: About::Report, is_bare: true, place: 1 << 60, ..new };
        assert_eq!(Header::read(&header.bytes()), Some(header));
        assert!(header.fits(b"task,status\n") && !header.fits(b"task;status\n"));
        assert_eq!(Header::read(&[0; HEADER]), None);
        for status in Status::ALL {
            let is_replaced = status == Status::Timeout;
            let entry = Entry {
                identity: 1 << 100,
                offset: 1 << 50,
                length: 9,
                check: 3,
                status,
                is_replaced,
            };
            let mut bytes = Vec::new();
            entry.push(&mut bytes);
            assert_eq!(bytes.len(), ENTRY);
            assert_eq!(Entry::read(&bytes), Some(entry));
        }
        assert_eq!(Entry::read(&[0; ENTRY]), None);
        assert_eq!(Entry::read(&[0xff; ENTRY]), None);
    }

    #[test]
    fn a_new_state_replaces_the_old_one_with_its_first_entry() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".a.state");
        let write = |entries: usize| {
            let mut state = State::open(&path, Header::new([1; 32], b"x")).unwrap();
            state.append(&vec![1; entries * ENTRY]).unwrap();
            state.header
        };
        let old = write(3);
        let state = State::open(&path, Header::new([2; 32], b"y")).unwrap();
        assert_eq!(state.found(), Some(old));
        assert_eq!(fs::metadata(&path).unwrap().len(), entries_end(3));
        let new = write(1);
        assert_eq!(state.found(), Some(new));
        assert_eq!(fs::metadata(&path).unwrap().len(), entries_end(1));
    }
}
