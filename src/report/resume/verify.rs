//! The rows on which a partial and its state agree: the whole rows from the first one on, each checked byte by byte.
//!
//! What a kill, a full disk or a power cut has torn is at the end, and is not a whole row. A row that is whole but not
//! what was written, or that others follow which are, has been changed by somebody, and must not be lost silently.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::report::store::state;
use crate::report::store::state::{ENTRY, Entry};

/// The number of entries that are read at once.
const ENTRIES: usize = 32 << 10;

/// The size of a block of a file system, at least.
const BLOCK: u64 = 512;

/// So near to its end, in bytes, all that is left of a file counts where a row is not what was written.
const TAIL: u64 = 4 << 10;

/// The number of bytes of rows that are read at once, unless a row is longer.
const WINDOW: usize = 1 << 20;

/// The rows on which both files agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Agreed {
    pub(in crate::report) rows: u64,
    /// The length of header and rows, in bytes.
    pub(in crate::report) end: u64,
}

/// Why the files do not agree.
#[derive(Debug)]
pub(in crate::report) enum Misfit {
    /// The row with this number, from 1, has been changed.
    Changed(u64),
    TooMany,
    Io(io::Error),
}

impl From<io::Error> for Misfit {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Compares the rows after a header of `header` bytes with the state; `on_row` gets each entry that has its row.
pub(in crate::report) fn agree(
    report: &File,
    header: u64,
    state: &File,
    mut on_row: impl FnMut(&Entry),
) -> Result<Agreed, Misfit> {
    agree_on_rows(report, header, state, |entry, _| on_row(entry))
}

/// Likewise; `on_row` gets each entry and its row.
pub(in crate::report) fn agree_on_rows(
    report: &File,
    header: u64,
    state: &File,
    mut on_row: impl FnMut(&Entry, &[u8]),
) -> Result<Agreed, Misfit> {
    let length = report.metadata()?.len();
    let mut agreed = Agreed { rows: 0, end: header };
    let mut window = Window { file: report, start: 0, bytes: Vec::new() };
    let mut ended = Ok(());
    // Where the rows end that may be torn: only those after which no other one is whole are.
    let mut torn: Option<u64> = None;
    entries(state, u64::MAX, |entry| {
        let start = torn.unwrap_or(agreed.end);
        let end = start.saturating_add(u64::from(entry.length));
        if entry.offset != start || end > length {
            return false;
        }
        match window.read(start, entry.length as usize, length) {
            Ok(row) if state::check(row, entry.identity, entry.status) == entry.check => {
                if torn.is_some() {
                    ended = Err(Misfit::Changed(agreed.rows + 1));
                    return false;
                }
                on_row(entry, row);
                agreed = Agreed { rows: agreed.rows + 1, end };
                true
            }
            Ok(row) if has_hole(row, start) => false,
            Ok(_) => {
                // What is torn may be whole up to its last bytes: those after it tell.
                let rest = length - start;
                let rest = if rest <= TAIL { rest as usize } else { entry.length as usize };
                let is_torn = match window.read(start, rest, length) {
                    Ok(bytes) => !is_text(bytes) || memchr::memchr(b'\n', bytes).is_none(),
                    Err(error) => {
                        ended = Err(error.into());
                        return false;
                    }
                };
                if !is_torn && torn.is_none() {
                    ended = Err(Misfit::Changed(agreed.rows + 1));
                }
                torn = is_torn.then_some(end);
                is_torn
            }
            Err(error) => {
                ended = Err(error.into());
                false
            }
        }
    })?;
    ended.map(|()| agreed)
}

fn is_text(bytes: &[u8]) -> bool {
    memchr::memchr(0, bytes).is_none() && std::str::from_utf8(bytes).is_ok()
}

/// Whether blocks of a row, which starts at `offset`, have not reached the disk before a power cut: NULs up to the row's end,
/// or to that of a block. The blocks after these may have reached it.
fn has_hole(row: &[u8], offset: u64) -> bool {
    let Some(from) = memchr::memchr(0, row) else { return false };
    let to = row[from..].iter().position(|&byte| byte != 0).map_or(row.len(), |at| from + at);
    let is_edge =
        |at: usize| at == 0 || at == row.len() || (offset + at as u64).is_multiple_of(BLOCK);
    is_edge(from) && is_edge(to)
}

/// Calls `visit` with the first `limit` entries of a state, until it returns false or there are no more.
pub(in crate::report) fn entries(
    state: &File,
    limit: u64,
    mut visit: impl FnMut(&Entry) -> bool,
) -> io::Result<()> {
    let length = state.metadata()?.len();
    let mut left = limit.min(length.saturating_sub(state::entries_end(0)) / ENTRY as u64);
    let mut at = state::entries_end(0);
    let mut bytes = Vec::new();
    while left > 0 {
        let now = left.min(ENTRIES as u64);
        bytes.resize(now as usize * ENTRY, 0);
        state.read_exact_at(&mut bytes, at)?;
        for entry in bytes.chunks_exact(ENTRY) {
            match Entry::read(entry) {
                Some(entry) if visit(&entry) => (),
                _ => return Ok(()),
            }
        }
        at += bytes.len() as u64;
        left -= now;
    }
    Ok(())
}

/// A part of a file, which moves forward.
struct Window<'a> {
    file: &'a File,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// The bytes from `from` on, which must lie within the file, whose length is `end`.
    fn read(&mut self, from: u64, length: usize, end: u64) -> io::Result<&[u8]> {
        let needed = from + length as u64;
        if from < self.start || needed > self.start + self.bytes.len() as u64 {
            let more = (end - from).min(length.max(WINDOW) as u64);
            self.start = from;
            self.bytes.resize(more as usize, 0);
            self.file.read_exact_at(&mut self.bytes, from)?;
        }
        let at = (from - self.start) as usize;
        Ok(&self.bytes[at..at + length])
    }
}

/// Where the header of a CSV file ends; `None` if there is nothing after it.
pub(in crate::report) fn end_of_header(file: &File) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    let (mut at, mut quoted) = (0, false);
    while at < length {
        bytes.resize((length - at).min(WINDOW as u64) as usize, 0);
        file.read_exact_at(&mut bytes, at)?;
        for &byte in &bytes {
            at += 1;
            quoted ^= byte == b'"'; // a doubled quote leaves it as it was
            if byte == b'\n' && !quoted {
                return Ok((at < length).then_some(at));
            }
        }
    }
    Ok(None)
}
