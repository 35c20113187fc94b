//! The one way from a file of inputs to text: every reader goes through it, so that none can forget a byte order mark, an
//! encoding or a compressed file.
//!
//! What comes out is UTF-8 with LF, CR or CRLF as the file has them; without an encoding, bytes that are no UTF-8 come
//! out as they are. It is read piece by piece: memory holds no more than a record and a block.

mod decode;
mod members;
mod opened;
mod reading;
mod sniff;
mod utf16;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use encoding_rs::Encoding;

use super::InputError;
use super::records::{InputFile, Stop};
use super::stamp::Stamp;
use crate::base::temporary;
use decode::Decoding;
use opened::{Chain, Opened, read_first, read_some};
pub(super) use reading::TextRecords;
use sniff::Packing;
pub(super) use sniff::workbook;

/// A record that is longer is taken for one that lost its end, before it fills the memory.
pub(super) const LONGEST: usize = 64 << 20;

/// Bytes that are read at once, at least.
const BLOCK: usize = 1 << 17;

/// How the text of a file is to be understood.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TextOptions {
    /// Its encoding, if the job file names one.
    pub encoding: Option<&'static Encoding>,
    /// Whether NULs are a part of it, which they are of no other text.
    pub has_nuls: bool,
    /// Whether what is blank in it is an input, since it is a place in `zip`.
    pub has_places: bool,
}

/// A text while it is read.
pub(super) struct Text {
    file: InputFile,
    source: Source,
    buffer: Vec<u8>,
    /// What has been read and not consumed.
    start: usize,
    end: usize,
    /// How many bytes of text came before the buffer, and the ends of lines in them.
    before: u64,
    ends_before: Ends,
    /// The ends of lines up to this byte of the buffer: those before a later one need not be counted again.
    ends_to: Cell<(usize, Ends)>,
    /// Nothing follows what is in the buffer.
    ended: bool,
    /// Nothing that is left can be read.
    over: bool,
    /// The file as it was when it was opened; `None` if it is a pipe, or all has been kept.
    opened: Option<(Arc<File>, Stamp)>,
    /// Whether what is read now was read before, and has to be the same.
    is_again: bool,
    /// Why nothing follows, if that is not the end.
    broken: Option<String>,
    /// What it turned out to be.
    found: Found,
    /// How it is to be understood.
    pub options: TextOptions,
}

/// What a text turned out to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Its encoding; `None` if nobody said so.
    pub encoding: Option<&'static Encoding>,
    /// Whether a byte order mark said so.
    pub has_bom: bool,
    packing: Packing,
}

impl Found {
    /// How many bytes of it the mark is, where the text is the file's own bytes after it.
    pub fn mark(self) -> u64 {
        if self.has_bom && self.encoding == Some(encoding_rs::UTF_8) { 3 } else { 0 }
    }

    /// In words: `UTF-8`, `UTF-16LE (byte order mark), gzip`.
    pub fn words(self) -> String {
        let encoding = self.encoding.map_or("UTF-8, or bytes as they are", Encoding::name);
        let mark = if self.has_bom { " (byte order mark)" } else { "" };
        let packed = self.packing.name().map(|name| format!(", {name}")).unwrap_or_default();
        format!("{encoding}{mark}{packed}")
    }
}

enum Source {
    /// A file that is its own text from this byte on: it can be read from anywhere.
    Plain(Arc<File>, u64),
    /// What is decompressed or decoded on the way, or comes from a pipe.
    Stream(Box<dyn Read + Send>),
}

impl Text {
    /// Opens `file`.
    ///
    /// # Errors
    /// If it cannot be read, or is not text.
    pub fn open(file: &InputFile, options: TextOptions, stop: &Stop) -> Result<Self, InputError> {
        let opened = file.open(stop).map_err(|error| file.unreadable(&error))?;
        Self::of(file, opened, options)
    }

    /// The text of `file`, which has been opened.
    pub fn of(file: &InputFile, opened: File, options: TextOptions) -> Result<Self, InputError> {
        let opened = Arc::new(opened);
        let stamp = if file.regular { Stamp::of(&opened) } else { None };
        let same = stamp.map(|stamp| (Arc::clone(&opened), stamp));
        let mut text = Self::of_any(file, opened, options)?;
        text.opened = same;
        Ok(text)
    }

    fn of_any(
        file: &InputFile,
        mut opened: Arc<File>,
        options: TextOptions,
    ) -> Result<Self, InputError> {
        let unreadable = |error: io::Error| file.unreadable(&error);
        let is_text = options.encoding.is_none() && !options.has_nuls;
        let is_undecided = if is_text { sniff::is_undecided_text } else { sniff::is_undecided };
        let (first, read) = read_first(&mut opened, is_undecided);
        read.map_err(unreadable)?;
        let packing = sniff::packing(&first).map_err(|foreign| file.error(foreign.words()))?;
        if packing == Packing::None {
            return Self::unpacked(file, Opened::Raw(opened), &first, packing, options);
        }
        let raw = Chain { first: io::Cursor::new(first), rest: opened };
        let mut unpacked = packing.unpack(Box::new(raw)).map_err(unreadable)?;
        let (first, read) = read_first(&mut unpacked, is_undecided);
        match sniff::packing(&first) {
            Ok(Packing::None) => {}
            Ok(inner) => return Err(file.error(sniff::twice(packing, inner))),
            Err(foreign) => return Err(file.error(foreign.words_inside(packing))),
        }
        let mut text = Self::unpacked(file, Opened::Unpacked(unpacked), &first, packing, options)?;
        // What is broken from the start says so where its records would.
        if let Err(error) = read {
            text.take_in_error(&error)?;
        }
        Ok(text)
    }

    /// An error while reading is the end of what is decompressed. A code of the system's is the disk's, or the pipe's;
    /// anything else is what decompressing stumbled over.
    fn take_in_error(&mut self, error: &io::Error) -> Result<(), InputError> {
        if self.found.packing == Packing::None || error.raw_os_error().is_some() {
            return Err(self.file.unreadable(error));
        }
        self.broken = Some(self.found.packing.breakage(error));
        Ok(())
    }

    fn unpacked(
        file: &InputFile,
        opened: Opened,
        first: &[u8],
        packing: Packing,
        options: TextOptions,
    ) -> Result<Self, InputError> {
        let mark = Encoding::for_bom(first);
        let skip = mark.map_or(0, |(_, length)| length);
        if mark.is_none() && options.encoding.is_none() && !options.has_nuls {
            sniff::refuse_binary(first).map_err(|message| file.error(message))?;
        }
        let encoding = mark.map(|(encoding, _)| encoding).or(options.encoding);
        let found = Found { encoding, has_bom: mark.is_some(), packing };
        let mut text = Self {
            file: file.clone(),
            source: Source::Stream(Box::new(io::empty())),
            buffer: vec![0; BLOCK],
            start: 0,
            end: 0,
            before: 0,
            ends_before: Ends::default(),
            ends_to: Cell::default(),
            ended: false,
            over: false,
            opened: None,
            is_again: false,
            broken: None,
            found,
            options,
        };
        let is_utf8 = encoding.is_none_or(|encoding| encoding == encoding_rs::UTF_8);
        if !is_utf8 {
            let encoding = encoding.unwrap_or(encoding_rs::UTF_8);
            let rest = opened.into_reader();
            let raw = Chain { first: io::Cursor::new(first[skip..].to_vec()), rest };
            text.source = Source::Stream(Box::new(Decoding::new(encoding, Box::new(raw))));
            return Ok(text);
        }
        text.end = first.len() - skip;
        text.buffer[..text.end].copy_from_slice(&first[skip..]);
        text.source = match opened {
            Opened::Raw(raw) if file.regular => Source::Plain(raw, skip as u64),
            opened => Source::Stream(opened.into_reader()),
        };
        Ok(text)
    }

    /// What it turned out to be.
    pub fn found(&self) -> Found {
        self.found
    }

    /// Whether its bytes are not those of the file.
    pub fn is_converted(&self) -> bool {
        !matches!(self.source, Source::Plain(..))
    }

    /// The file, and where in it the text starts, if that is its own bytes, and those can be read again.
    pub fn plain(&self) -> Option<(File, u64)> {
        let Source::Plain(_, start) = &self.source else { return None };
        let (file, _) = self.opened.as_ref()?;
        Some((file.try_clone().ok()?, *start))
    }

    /// The file that it is the text of.
    pub fn file(&self) -> &InputFile {
        &self.file
    }

    /// What has been read and not consumed.
    #[inline]
    pub fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether nothing follows the window.
    pub fn is_at_end(&self) -> bool {
        self.ended
    }

    /// Why nothing follows the window, if the text breaks off there.
    pub fn breakage(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Whether `record` has bytes that could not be decoded: in a text of which the encoding is known, only those are
    /// no UTF-8.
    pub fn undecodable(&self, record: &[u8]) -> Option<String> {
        let encoding = self.found.encoding?;
        if record.is_ascii() || std::str::from_utf8(record).is_ok() {
            return None;
        }
        Some(format!("has bytes that are not {}", encoding.name()))
    }

    /// Reads more behind the window. False: there is no more.
    pub fn more(&mut self) -> Result<bool, InputError> {
        if self.ended {
            return Ok(false);
        }
        if self.start > 0 {
            self.forget();
        }
        if self.buffer.len() - self.end < BLOCK / 2 {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        let spare = &mut self.buffer[self.end..];
        let read = match &mut self.source {
            Source::Plain(file, _) => read_some(file, spare),
            Source::Stream(stream) => read_some(stream, spare),
        };
        if self.is_again {
            self.check_same()?;
        }
        match read {
            Ok(0) => {
                self.ended = true;
                self.broken = self.broken.take().or_else(|| self.changed());
            }
            Ok(length) => self.end += length,
            Err(error) => {
                self.take_in_error(&error)?;
                self.ended = true;
            }
        }
        Ok(!self.ended)
    }

    /// Why the end of the file cannot be that of its last record, if it is another one than when it was opened.
    fn changed(&mut self) -> Option<String> {
        let has_end = matches!(self.window().last(), None | Some(b'\n' | b'\r' | 0));
        let (file, stamp) = self.opened.as_mut()?;
        let (end, length) = (file.stream_position().ok()?, stamp.size);
        if end < length {
            return Some(format!(
                "the file became shorter while it was read: it had {length} bytes, and ends after {end}"
            ));
        }
        (end > length && !has_end).then(|| {
            "the file grew while it was read, and this is not the end of a line: it is not known whether it is whole".into()
        })
    }

    /// Takes what was consumed out of the buffer.
    fn forget(&mut self) {
        self.ends_before = self.ends_to(self.start);
        self.ends_to.set((0, self.ends_before));
        self.before += self.start as u64;
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }

    /// Consumes so much of the window.
    #[inline]
    pub fn consume(&mut self, length: usize) {
        debug_assert!(self.start + length <= self.end);
        self.start += length;
    }

    /// The number of the line, from 1, in which the byte of the window at `offset` is.
    pub fn line(&self, offset: usize) -> u64 {
        self.ends_to(self.start + offset).lines() + 1
    }

    /// The number of the line, from 1, in which the byte is that was consumed last.
    pub fn last_line(&self) -> u64 {
        self.ends_to(self.start.saturating_sub(1)).lines() + 1
    }

    /// The ends of lines up to the byte of the buffer at `place`.
    fn ends_to(&self, place: usize) -> Ends {
        let (from, ends) = self.ends_to.get();
        let (from, ends) = if place < from { (0, self.ends_before) } else { (from, ends) };
        let ends = ends.and(&self.buffer[from..place]);
        self.ends_to.set((place, ends));
        ends
    }

    /// The byte of the text at which the window starts.
    pub fn position(&self) -> u64 {
        self.before + self.start as u64
    }

    /// Moves on to the byte at `position`. Lines are not counted from there on.
    ///
    /// # Errors
    /// If the file cannot be read there.
    pub fn seek(&mut self, position: u64) -> Result<(), InputError> {
        self.over = false;
        if position >= self.before && position - self.before <= self.end as u64 {
            self.start = (position - self.before) as usize;
            return Ok(());
        }
        let Source::Plain(file, first) = &mut self.source else {
            return Err(self.file.error("can be read only once"));
        };
        file.seek(SeekFrom::Start(position + *first))
            .map_err(|error| self.file.unreadable(&error))?;
        (self.start, self.end, self.before, self.ended) = (0, 0, position, false);
        self.ends_to.set((0, self.ends_before));
        self.is_again = true;
        Ok(())
    }

    /// Makes it one that can be read from anywhere: what is decompressed or decoded on the way goes to a file without a
    /// name. What was consumed before is a hole there, so that a position stays what it was.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn make_seekable(&mut self, stop: &Stop) -> Result<(), InputError> {
        if let Source::Plain(..) = self.source {
            return Ok(());
        }
        let failed = |error: &io::Error| {
            InputError::new(format!(
                "failed to keep the text of {} for `shuffle`: {error}",
                self.file
            ))
        };
        let (begin, ends) = (self.position(), self.ends_to(self.start));
        let mut spool = temporary::file().map_err(|error| failed(&error))?;
        let written = spool.seek(SeekFrom::Start(begin));
        let written = written.and_then(|_| io::Write::write_all(&mut spool, self.window()));
        written.map_err(|error| failed(&error))?;
        self.start = self.end;
        while self.more()? {
            stop.check()?;
            let written = io::Write::write_all(&mut spool, self.window());
            written.map_err(|error| {
                InputError::new(format!("failed to keep the text of {}: {error}", self.file))
            })?;
            self.start = self.end;
        }
        self.ends_before = ends;
        self.opened = None;
        self.source = Source::Plain(Arc::new(spool), 0);
        (self.start, self.end, self.before, self.ended) = (0, 0, u64::MAX, false);
        self.seek(begin)
    }
}

/// How many lines have ended.
#[derive(Clone, Copy, Default)]
struct Ends {
    lf: u64,
    cr: u64,
}

impl Ends {
    /// With those in `bytes`.
    fn and(self, bytes: &[u8]) -> Self {
        let count = |byte| memchr::memchr_iter(byte, bytes).count() as u64;
        let lf = self.lf + count(b'\n');
        Self { lf, cr: if lf == 0 { self.cr + count(b'\r') } else { 0 } }
    }

    /// At LF, or at CR where there is no LF.
    fn lines(self) -> u64 {
        if self.lf == 0 { self.cr } else { self.lf }
    }
}

#[cfg(test)]
pub(super) mod tests;
