//! Reads a report row by row, in one pass and bounded memory: whichever dialect has written it, and however far it goes.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;

use crate::base::text::without_mark;
use crate::csv::{Dialect, ReportReader, Writer, has_semicolons};

/// How much is read at a time.
const CHUNK: usize = 256 << 10;

/// A row that is longer than this is not read.
const LONGEST_ROW: usize = 16 << 20;

/// The rows of a file that the runner has written.
#[derive(Debug)]
pub struct Rows<R> {
    input: R,
    buffer: Vec<u8>,
    /// The part of the buffer that has not been handed out.
    unread: Range<usize>,
    is_at_end: bool,
    cells: Vec<Range<usize>>,
    plain: ReportReader,
    /// The byte of the file at which the next row starts.
    offset: u64,
    /// What ends a row: a line feed, or in files of an old spreadsheet a carriage return alone.
    line_end: u8,
}

/// How far a row goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// To its line break.
    Whole,
    /// To the end of the file, which lies in it.
    Cut,
}

impl<R: Read> Rows<R> {
    /// Reads the header of `input`, which was written safe for spreadsheets; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(input: R) -> io::Result<Option<Self>> {
        Self::open_as(input, true)
    }

    /// Likewise; `formula_safe` says whether it was written safe for spreadsheets.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open_as(input: R, formula_safe: bool) -> io::Result<Option<Self>> {
        let plain = ReportReader::new(Vec::new(), &Writer::new(Dialect::Csv, true));
        let mut rows = Self {
            input,
            buffer: Vec::new(),
            unread: 0..0,
            is_at_end: false,
            cells: Vec::new(),
            plain,
            offset: 0,
            line_end: b'\n',
        };
        while rows.unread.len() < CHUNK / 2 && !rows.is_at_end {
            rows.fill()?;
        }
        let start = rows.buffer.get(rows.unread.clone()).unwrap_or_default();
        let bom = start.len() - without_mark(start).len();
        rows.skip(bom);
        let head = &rows.buffer[rows.unread.clone()];
        rows.line_end = line_end(head);
        let dialect = match has_semicolons(head) {
            true => Dialect::ExcelSemicolon,
            false if bom > 0 => Dialect::Excel,
            false => Dialect::Csv,
        };
        let writer = Writer::new(dialect, formula_safe);
        rows.plain = ReportReader::new(Vec::new(), &writer);
        let names = match rows.next()? {
            Some((row, _)) => row.texts(),
            None => return Ok(None),
        };
        rows.plain = ReportReader::new(names, &writer);
        Ok(Some(rows))
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        self.plain.columns()
    }

    /// The byte at which the next row starts.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next row, and how far it goes; `None` after the last one.
    ///
    /// # Errors
    /// If it cannot be read, or is longer than 16 MiB.
    pub fn next(&mut self) -> io::Result<Option<(Row<'_>, End)>> {
        loop {
            let unread = &self.buffer[self.unread.clone()];
            let ends = (self.plain.delimiter(), self.line_end);
            if let Some(length) = split(unread, ends, &mut self.cells) {
                return Ok(Some(self.hand_out(length, End::Whole)));
            }
            if !self.is_at_end {
                self.fill()?;
                continue;
            }
            let length = unread.len();
            if length == 0 {
                return Ok(None);
            }
            return Ok(Some(self.hand_out(length, End::Cut)));
        }
    }

    fn hand_out(&mut self, length: usize, end: End) -> (Row<'_>, End) {
        let start = self.unread.start;
        self.skip(length);
        let bytes = &self.buffer[start..start + length];
        (Row { bytes, cells: &self.cells, plain: &self.plain }, end)
    }

    fn skip(&mut self, length: usize) {
        self.unread.start += length;
        self.offset += length as u64;
    }

    /// Reads on, after what has not been handed out.
    fn fill(&mut self) -> io::Result<()> {
        if self.unread.len() > LONGEST_ROW {
            let message = format!("a row is longer than {} MiB", LONGEST_ROW >> 20);
            return Err(io::Error::new(ErrorKind::InvalidData, message));
        }
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        // A row that did not fit is looked through again: twice the room, so that this happens seldom.
        let room = (2 * self.unread.len()).max(CHUNK);
        self.buffer.resize(room, 0);
        while self.unread.end < room {
            match self.input.read(&mut self.buffer[self.unread.end..]) {
                Ok(0) => {
                    self.is_at_end = true;
                    break;
                }
                Ok(length) => self.unread.end += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What ends the lines of a file that starts with `head`.
fn line_end(head: &[u8]) -> u8 {
    let mut is_quoted = false;
    let found = head.iter().position(|&byte| {
        is_quoted ^= byte == b'"'; // a doubled quote leaves it as it was
        !is_quoted && matches!(byte, b'\r' | b'\n')
    });
    match found.map(|at| (head[at], head.get(at + 1))) {
        Some((b'\r', next)) if next != Some(&b'\n') => b'\r',
        _ => b'\n',
    }
}

/// Finds the cells of the row at the start of `bytes`, quotes included; returns its length with the line break, or
/// `None` if it does not end in them.
fn split(
    bytes: &[u8],
    (delimiter, line_end): (u8, u8),
    cells: &mut Vec<Range<usize>>,
) -> Option<usize> {
    cells.clear();
    let mut start = 0;
    loop {
        let mut from = start;
        if bytes.get(start) == Some(&b'"') {
            let Some(end) = after_quoted(bytes, start) else {
                cells.push(start..bytes.len());
                return None;
            };
            from = end;
        }
        let Some(at) = memchr::memchr2(delimiter, line_end, &bytes[from..]).map(|at| from + at)
        else {
            cells.push(start..bytes.len());
            return None;
        };
        if bytes[at] == delimiter {
            cells.push(start..at);
            start = at + 1;
            continue;
        }
        let is_crlf = line_end == b'\n' && at > start && bytes[at - 1] == b'\r';
        let end = if is_crlf { at - 1 } else { at };
        cells.push(start..end);
        return Some(at + 1);
    }
}

/// Where the quoted cell that starts at `start` ends; a doubled quote stands for a quote.
fn after_quoted(bytes: &[u8], start: usize) -> Option<usize> {
    let mut from = start + 1;
    loop {
        let quote = from + memchr::memchr(b'"', &bytes[from..])?;
        match bytes.get(quote + 1) {
            Some(b'"') => from = quote + 2,
            Some(_) => return Some(quote + 1),
            None => return None,
        }
    }
}

/// A row of a report.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    bytes: &'a [u8],
    cells: &'a [Range<usize>],
    plain: &'a ReportReader,
}

impl<'a> Row<'a> {
    /// Its bytes, with the line break.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many cells it has.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether it is a blank line.
    pub fn is_blank(&self) -> bool {
        matches!(self.cells, [only] if only.is_empty())
    }

    /// The cell at `index`, for numbers and words: these are only quoted by other programs. Empty if there is none.
    pub fn word(&self, index: usize) -> &'a [u8] {
        let cell = self.cell(index);
        let inner = cell.strip_prefix(b"\"").and_then(|cell| cell.strip_suffix(b"\""));
        inner.unwrap_or(cell)
    }

    /// The cell at `index` as it stands in the file.
    fn cell(&self, index: usize) -> &'a [u8] {
        self.cells.get(index).map_or(&[][..], |cell| &self.bytes[cell.clone()])
    }

    /// What the cell at `index` stands for: without quotes, and without what the dialect has changed.
    pub fn text(&self, index: usize) -> Cow<'a, [u8]> {
        self.plain.of_written(self.cell(index))
    }

    /// All cells, as text.
    pub fn texts(&self) -> Vec<String> {
        let text = |index| String::from_utf8_lossy(&self.text(index)).into_owned();
        (0..self.len()).map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            into[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn all(text: &[u8]) -> Vec<(Vec<String>, End)> {
        let mut rows = Rows::open(Slow(text)).unwrap().unwrap();
        let mut all = vec![(rows.names().to_vec(), End::Whole)];
        while let Some((row, end)) = rows.next().unwrap() {
            all.push((row.texts(), end));
        }
        assert_eq!(rows.offset(), text.len() as u64);
        all
    }

    #[test]
    fn every_dialect_is_read_back() {
        for dialect in [Dialect::Csv, Dialect::Excel, Dialect::ExcelSemicolon] {
            let writer = Writer::new(dialect, true);
            let names = ["task", "=x", "e\n\"r\""].map(str::to_owned);
            let cells = ["1.5", "say \"hi\"; or,\nnot", "=1+1"];
            let mut text = writer.header(&names);
            for (index, cell) in cells.iter().enumerate() {
                if index > 0 {
                    text.push(writer.delimiter);
                }
                writer.push_text(&mut text, cell.as_bytes());
            }
            text.extend_from_slice(writer.terminator);
            let rows = all(&text);
            assert_eq!(rows[0].0, names, "{dialect}");
            assert_eq!(rows[1], (cells.map(str::to_owned).to_vec(), End::Whole), "{dialect}");
        }
    }

    #[test]
    fn a_cut_row_is_told_from_a_whole_one() {
        let ends = |text: &[u8]| all(text).into_iter().skip(1).map(|row| row.1).collect::<Vec<_>>();
        assert_eq!(ends(b"a,b\n1,2\n"), [End::Whole]);
        assert_eq!(ends(b"a,b\n1,2\n3,4"), [End::Whole, End::Cut]);
        assert_eq!(ends(b"a,b\n1,\"x\n3,4\n"), [End::Cut]);
        assert_eq!(ends(b"a,b\n1,\"x\""), [End::Cut]);
        assert_eq!(ends(b"a,b\n"), []);
        assert!(Rows::open(&b""[..]).unwrap().is_none());
    }

    #[test]
    fn lines_of_an_old_spreadsheet_end_with_a_carriage_return() {
        let rows = all(b"a;b\r1;\"x\ny\"\r2;z\r");
        assert_eq!(rows[0].0, ["a", "b"]);
        assert_eq!(rows[1].0, ["1", "x\ny"]);
        assert_eq!((rows[2].0[1].as_str(), rows[2].1), ("z", End::Whole));
        let mut rows = Rows::open(&b"a,b\n\"7\",\"ok\"\n"[..]).unwrap().unwrap();
        let (row, _) = rows.next().unwrap().unwrap();
        assert_eq!((row.word(0), row.word(1)), (&b"7"[..], &b"ok"[..]));
    }

    #[test]
    fn texts_that_look_like_what_a_dialect_writes_stay_what_they_were() {
        let writer = Writer::new(Dialect::ExcelSemicolon, true);
        let mut text = b"a;b;c\n".to_vec();
        for (index, cell) in ["1,234", "1.5", "'=x"].iter().enumerate() {
            if index > 0 {
                text.push(b';');
            }
            writer.push_text(&mut text, cell.as_bytes());
        }
        text.push(b'\n');
        assert_eq!(all(&text)[1].0, ["1,234", "1.5", "'=x"]);
        let mut rows = Rows::open_as(&b"a,b\n'=x,'a\n"[..], false).unwrap().unwrap();
        assert_eq!(rows.next().unwrap().unwrap().0.texts(), ["'=x", "'a"]);
    }

    #[test]
    fn rows_longer_than_the_buffer_come_whole() {
        let long = "x\n".repeat(CHUNK);
        let text = format!("a,b\n1,\"{long}\"\n2,y\n");
        let rows = all(text.as_bytes());
        assert_eq!(rows[1].0[1], long);
        assert_eq!(rows[2].0, ["2", "y"]);
    }
}
