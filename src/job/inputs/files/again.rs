//! What reading the records of several files in another order needs: the files that are open, how each was when it was
//! read first, and the records that cannot be read again where they are.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use crate::base::temporary;
use crate::job::inputs::records::Records;
use crate::job::inputs::stamp::Stamp;
use crate::task::Fields;

/// So many files stay open: each has a descriptor and a buffer. Others are opened when they are needed.
const OPEN: usize = 8;

/// A file that holds more, as for a long record, is closed.
const HELD: usize = 1 << 20;

/// What reading in another order needs.
#[derive(Default)]
pub(super) struct Again {
    /// Each file as it was when it was read first. `None`: its records are kept, since they are not in the file as they
    /// are (it is compressed, in an encoding or a workbook), and all of it would have to be read for each.
    stamps: Vec<Option<Stamp>>,
    /// Files that are open, by their numbers; the one that was needed last is at the end.
    open: VecDeque<(usize, Box<dyn Records>)>,
    pub kept: Spool,
}

impl Again {
    /// Notes how the file at `index` is when it is read first.
    pub fn note(&mut self, index: usize, stamp: Option<Stamp>) {
        self.stamps.resize(index, None);
        self.stamps.push(stamp);
    }

    /// How the file at `index` was; `None`: its records are kept.
    pub fn stamp(&self, index: usize) -> Option<Stamp> {
        self.stamps.get(index).copied().flatten()
    }

    /// Keeps a file open, instead of the one that was not needed for the longest time.
    pub fn put(&mut self, index: usize, mut records: Box<dyn Records>) {
        if self.stamp(index).is_none() || records.held() > HELD {
            return;
        }
        self.open.push_back((index, records));
        if self.open.len() > OPEN {
            self.open.pop_front();
        }
    }

    /// The file at `index`, if it is open.
    pub fn take(&mut self, index: usize) -> Option<Box<dyn Records>> {
        let place = self.open.iter().position(|(other, _)| *other == index)?;
        self.open.remove(place).map(|(_, records)| records)
    }

    /// Closes all files.
    pub fn close(&mut self) {
        self.open.clear();
    }
}

/// Records in a file without a name, each of which can be had by its place.
#[derive(Default)]
pub(super) struct Spool {
    file: Option<File>,
    /// How many bytes are in the file, and those that come after them.
    written: u64,
    buffer: Vec<u8>,
}

impl Spool {
    /// Where the next record will be.
    pub fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends a record.
    pub fn push(&mut self, fields: &Fields) -> io::Result<()> {
        /// So much is written at once.
        const BLOCK: usize = 1 << 17;
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 8]);
        fields.pack(&mut self.buffer)?;
        let length = (self.buffer.len() - start - 8) as u64;
        self.buffer[start..start + 8].copy_from_slice(&length.to_le_bytes());
        if self.buffer.len() < BLOCK { Ok(()) } else { self.flush() }
    }

    /// The record at `place`.
    pub fn at(&mut self, place: u64) -> io::Result<Fields> {
        self.flush()?;
        let lost = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let file = self.file.as_ref().ok_or_else(lost)?;
        let mut length = [0; 8];
        file.read_exact_at(&mut length, place)?;
        let mut packed = vec![0; u64::from_le_bytes(length) as usize];
        file.read_exact_at(&mut packed, place + 8)?;
        Fields::unpack(&mut &packed[..]).ok_or_else(lost)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => temporary::file()?,
        };
        file.write_all(&self.buffer)?;
        self.file = Some(file);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
