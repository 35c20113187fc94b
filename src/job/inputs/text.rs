//! The one way from a file of inputs to text: every reader goes through it, so that none can forget a byte order mark, an
//! encoding or a compressed file.
//!
//! What comes out is UTF-8 with LF, CR or CRLF as the file has them; without an encoding, bytes that are no UTF-8 come
//! out as they are. It is read piece by piece: memory holds no more than a record and a block.

mod decode;
mod members;
mod sniff;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use encoding_rs::Encoding;

use super::InputError;
use super::records::{InputFile, Stop};
use decode::Decoding;
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
}

/// A text while it is read.
pub(super) struct Text {
    file: InputFile,
    source: Source,
    buffer: Vec<u8>,
    /// What has been read and not consumed.
    start: usize,
    end: usize,
    /// How many bytes of text came before the buffer, and how many lines ended in them.
    before: u64,
    lines_before: u64,
    /// Nothing follows what is in the buffer.
    ended: bool,
    /// Why nothing follows, if that is not the end.
    broken: Option<String>,
    /// What it turned out to be.
    found: Found,
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
    Plain(File, u64),
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
    pub fn of(
        file: &InputFile,
        mut opened: File,
        options: TextOptions,
    ) -> Result<Self, InputError> {
        let unreadable = |error: io::Error| file.unreadable(&error);
        let first = read_first(&mut opened, sniff::is_undecided).map_err(unreadable)?;
        let packing = sniff::packing(&first).map_err(|message| file.error(message))?;
        if packing == Packing::None {
            return Self::unpacked(file, Opened::Raw(opened), &first, packing, options);
        }
        let raw = Chain { first: io::Cursor::new(first), rest: opened };
        let mut unpacked = packing.unpack(Box::new(raw)).map_err(unreadable)?;
        // What is broken from the start says so where its records would.
        let first = read_first(&mut unpacked, sniff::is_undecided).unwrap_or_default();
        Self::unpacked(file, Opened::Unpacked(unpacked), &first, packing, options)
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
            lines_before: 0,
            ended: false,
            broken: None,
            found,
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
        match read {
            Ok(0) => self.ended = true,
            Ok(length) => self.end += length,
            // A code of the system's is the disk's, or the pipe's; anything else is what decompressing stumbled over.
            Err(error) if self.found.packing != Packing::None && error.raw_os_error().is_none() => {
                self.ended = true;
                self.broken = Some(self.found.packing.breakage(&error));
            }
            Err(error) => return Err(self.file.unreadable(&error)),
        }
        Ok(!self.ended)
    }

    /// Takes what was consumed out of the buffer.
    fn forget(&mut self) {
        let gone = &self.buffer[..self.start];
        self.lines_before += lines_in(gone);
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
        self.lines_before + lines_in(&self.buffer[..self.start + offset]) + 1
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
        Ok(())
    }

    /// Makes it one that can be read from anywhere: what is decompressed or decoded on the way goes to a file without a
    /// name. To be called before anything is consumed.
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
        let mut spool = tempfile::tempfile().map_err(|error| failed(&error))?;
        let written = io::Write::write_all(&mut spool, self.window());
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
        self.lines_before = 0;
        self.source = Source::Plain(spool, 0);
        (self.start, self.end, self.before, self.ended) = (0, 0, u64::MAX, false);
        self.seek(0)
    }
}

/// A file, or what is unpacked from it.
enum Opened {
    Raw(File),
    Unpacked(Box<dyn Read + Send>),
}

impl Opened {
    fn into_reader(self) -> Box<dyn Read + Send> {
        match self {
            Self::Raw(file) => Box::new(file),
            Self::Unpacked(reader) => reader,
        }
    }
}

/// What was read to look at it, and then the rest.
struct Chain<R> {
    first: io::Cursor<Vec<u8>>,
    rest: R,
}

impl<R: Read> Read for Chain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.first.read(buffer)? {
            0 => self.rest.read(buffer),
            length => Ok(length),
        }
    }
}

/// The first bytes: as few as tell what a file is, since more may be long in coming.
fn read_first(reader: &mut impl Read, is_undecided: fn(&[u8]) -> bool) -> io::Result<Vec<u8>> {
    let mut first = vec![0; BLOCK];
    let mut length = 0;
    loop {
        let read = read_some(reader, &mut first[length..])?;
        length += read;
        if read == 0 || !is_undecided(&first[..length]) {
            first.truncate(length);
            return Ok(first);
        }
    }
}

fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// How many lines end in `bytes`: at LF, or at CR where there is no LF.
fn lines_in(bytes: &[u8]) -> u64 {
    let count = |byte| memchr::memchr_iter(byte, bytes).count() as u64;
    match count(b'\n') {
        0 => count(b'\r'),
        lines => lines,
    }
}

#[cfg(test)]
pub(super) mod tests;
