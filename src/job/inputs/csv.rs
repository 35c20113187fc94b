//! `csv`: a table of text, one input a row.

mod beginning;
mod guess;
mod header;
mod parse;
mod report;

use std::cell::OnceCell;
use std::sync::Arc;

use super::InputError;
use super::notes::Notes;
use super::text::{LONGEST, Text, TextRecords};
use crate::csv::{Originals, ReportReader};
use crate::task::Fields;
pub(super) use guess::shown as shown_delimiter;
pub(super) use header::{names, numbered};
use parse::{Cells, Dialect, Flaw, Step};

/// What the job file says of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CsvOptions {
    /// What stands between cells; `None`: what splits the header.
    pub delimiter: Option<u8>,
    /// Where the names of the columns are.
    pub header: Header,
    /// Whether quotes are characters like others.
    pub no_quotes: bool,
    /// What makes the next character a plain one.
    pub escape: Option<u8>,
    /// How many lines come before the header.
    pub skip_lines: u64,
    /// What a line starts with that is a note.
    pub comments: Option<String>,
    /// Whether blanks around cells go.
    pub trim: bool,
}

/// Where the names of the columns are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Header {
    /// In the first row.
    #[default]
    First,
    /// Nowhere.
    None,
    /// In the job file.
    Given(Vec<String>),
}

/// The rows of a table, after its header.
pub(super) struct Rows {
    text: Text,
    dialect: Dialect,
    comments: Option<Vec<u8>>,
    names: Vec<String>,
    cells: Cells,
    /// If it is a report, with what is noted of its rows.
    reading: Option<(ReportReader, Arc<Notes>)>,
    /// What knows its inputs, once that was asked for.
    originals: OnceCell<Option<Box<dyn Originals>>>,
    /// How many rows have come, and how many of them had another width than the header.
    seen: u64,
    ragged: u64,
    /// How many blank lines have been passed over, which are places in `zip`.
    blanks: u64,
}

impl Rows {
    /// Reads the header of `text`; one that is empty has no names.
    pub fn new(text: Text, options: &CsvOptions) -> Result<Self, InputError> {
        let mut dialect = Dialect {
            delimiter: b',',
            quote: (!options.no_quotes).then_some(b'"'),
            escape: options.escape,
            trim: options.trim,
            loose: false,
        };
        let comments = options.comments.clone().map(String::into_bytes);
        let mut rows = Self::start(text, dialect.clone(), comments);
        let said = rows.skip_to_table(options.skip_lines)?;
        dialect.delimiter = match options.delimiter.or(said) {
            Some(delimiter) => delimiter,
            None => rows.guess(&options.header)?,
        };
        rows.dialect = dialect;
        rows.names = match &options.header {
            Header::Given(names) => names.clone(),
            Header::First => {
                let names = rows.header_row()?;
                rows.blanks = 0;
                names
            }
            Header::None => rows.first_row()?.map_or_else(Vec::new, |(width, _)| numbered(width)),
        };
        Ok(rows)
    }

    fn start(text: Text, dialect: Dialect, comments: Option<Vec<u8>>) -> Self {
        Self {
            text,
            dialect,
            comments,
            names: Vec::new(),
            cells: Cells::default(),
            reading: None,
            originals: OnceCell::new(),
            seen: 0,
            ragged: 0,
            blanks: 0,
        }
    }

    /// The names of the columns.
    pub fn header(&self) -> &[String] {
        &self.names
    }

    /// What stands between cells.
    pub fn delimiter(&self) -> u8 {
        self.dialect.delimiter
    }

    /// Reads the next row into the cells. False: there is none. A flaw is an error here, since the header has none.
    fn step(&mut self) -> Result<bool, InputError> {
        match self.next_row()? {
            None => Ok(false),
            Some(Ok(length)) => {
                self.text.consume(length);
                Ok(true)
            }
            Some(Err(flaw)) => Err(InputError::new(flaw.cause().unwrap_or_default().to_owned())),
        }
    }

    /// Reads the next row into the cells and says how long it is, or gives the datum that it is if it has a flaw.
    #[inline]
    fn next_row(&mut self) -> Result<Option<Result<usize, Fields>>, InputError> {
        loop {
            if self.comments.is_some() {
                self.skip_to_row()?;
            }
            if self.blanks > 0 && self.has_places() {
                self.blanks -= 1;
                return Ok(Some(Ok(self.blank(0))));
            }
            let (window, at_end) = (self.text.window(), self.text.is_at_end());
            match self.dialect.parse(window, at_end, &mut self.cells) {
                Step::More if window.len() > LONGEST => {
                    return Ok(Some(Err(self.text.last_bad(LONGEST, TOO_LONG))));
                }
                Step::More => {
                    self.text.more()?;
                }
                _ if window.is_empty() => {
                    if !at_end && self.text.more()? {
                        continue;
                    }
                    return Ok(self.text.cut().map(Err));
                }
                // What was cut is not a row, whatever it looks like; one that has its end is whole.
                step @ (Step::Row(length) | Step::Flawed(length, _))
                    if length == window.len()
                        && self.text.breakage().is_some()
                        && (!window.ends_with(b"\n")
                            || matches!(step, Step::Flawed(_, Flaw::Unclosed(_)))) =>
                {
                    return Ok(self.text.cut().map(Err));
                }
                Step::Flawed(length, flaw @ Flaw::AfterQuote(_)) => {
                    match self.end_of_flawed(length) {
                        Some(length) => return Ok(Some(Err(self.flawed(length, flaw)))),
                        None => drop(self.text.more()?),
                    }
                }
                Step::Flawed(length, flaw) => return Ok(Some(Err(self.flawed(length, flaw)))),
                // An LF that follows belongs to it, and is not a blank line.
                Step::Row(length)
                    if self.text.options.has_places
                        && !at_end
                        && length == window.len()
                        && window.ends_with(b"\r") =>
                {
                    self.text.more()?;
                }
                Step::Row(length) if self.is_blank() && self.has_places() => {
                    return Ok(Some(Ok(self.blank(length))));
                }
                Step::Row(length) if self.is_blank() => self.text.consume(length),
                Step::Row(length) if length > LONGEST => {
                    return Ok(Some(Err(self.text.last_bad(LONGEST, TOO_LONG))));
                }
                Step::Row(length) => return Ok(Some(Ok(length))),
            }
        }
    }

    /// Whether a blank row is an input, as it is after the header.
    fn has_places(&self) -> bool {
        self.text.options.has_places && !self.names.is_empty()
    }

    /// Makes the cells those of a blank row of so many bytes.
    fn blank(&mut self, length: usize) -> usize {
        self.cells.bytes.clear();
        self.cells.ends.clear();
        self.cells.ends.resize(self.names.len(), 0);
        length
    }

    /// Whether the cells are those of a blank line, or all empty. Blanks in quotes are a cell.
    fn is_blank(&self) -> bool {
        let is_quoted = || self.dialect.is_quoted(self.text.window());
        self.cells.bytes.is_empty()
            || (self.cells.ends.len() == 1
                && self.cells.bytes.iter().all(u8::is_ascii_whitespace)
                && !is_quoted())
    }

    fn flawed(&mut self, length: usize, flaw: Flaw) -> Fields {
        let window = self.text.window();
        let (at, message) = match flaw {
            Flaw::Unclosed(at) => (at, UNCLOSED),
            Flaw::Escape => (0, "ends with an escape"),
            Flaw::AfterQuote(at) if window[..at].ends_with(b"\\\"") => (at, ESCAPED),
            Flaw::AfterQuote(at) => (at, AFTER_QUOTE),
        };
        self.text.bad_at(at, length, message)
    }

    /// Where the row that goes wrong ends: at the end of that line, or where a reader that lets everything pass finds
    /// as many cells as there are columns, since line breaks may stand in those that follow. `None`: it is not known yet.
    fn end_of_flawed(&mut self, length: usize) -> Option<usize> {
        /// What is farther away is another row's.
        const NEAR: usize = 1 << 16;
        let (window, at_end) = (self.text.window(), self.text.is_at_end());
        let near = &window[..window.len().min(NEAR)];
        match self.dialect.loose().parse(near, at_end, &mut self.cells) {
            Step::Row(end) if end > length && self.cells.ends.len() == self.names.len() => {
                Some(end)
            }
            Step::More if window.len() < NEAR && !at_end => None,
            _ => Some(length),
        }
    }

    /// The row of this many bytes whose cells have just been read.
    #[inline]
    fn row(&mut self, length: usize) -> Fields {
        let found = self.cells.ends.len();
        self.seen += 1;
        if let Some(message) = self.text.undecodable(&self.text.window()[..length]) {
            return self.text.bad(length, message);
        }
        if found != self.names.len() {
            return self.ragged(length);
        }
        if let Some((reading, notes)) = self.reading.take() {
            self.note_cut(&reading, &notes);
            let fields = self.reported(&reading, length);
            self.reading = Some((reading, notes));
            self.text.consume(length);
            return fields;
        }
        self.text.consume(length);
        Fields::of_cells(&self.cells.bytes, &self.cells.ends)
    }

    #[cold]
    fn ragged(&mut self, length: usize) -> Fields {
        let (expected, found) = (self.names.len(), self.cells.ends.len());
        let (line, raw) = (self.text.line(0), self.text.window()[..length].to_vec());
        self.text.consume(length);
        self.ragged += 1;
        let columns = |count: usize| match count {
            1 => "1 column".to_owned(),
            count => format!("{count} columns"),
        };
        let message = if self.seen > 1 && self.ragged == 1 && self.is_last() {
            format!(
                "the last line has {} where all others have {}: if it is a note or a total, `comments` leaves it out",
                columns(found),
                columns(expected)
            )
        } else {
            format!("expected {}, found {found}", columns(expected))
        };
        Fields::bad(self.text.file().complaint(line, message), &raw)
    }

    /// Whether nothing but blank lines follows. A pipe is not waited for.
    fn is_last(&mut self) -> bool {
        let is_blank = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_whitespace);
        let is_file = self.text.file().regular;
        while is_blank(self.text.window()) {
            if self.text.is_at_end() {
                return true;
            }
            if !is_file || self.text.more().is_err() {
                return false;
            }
        }
        false
    }
}

const UNCLOSED: &str = "a quote opens here and is never closed, so the rest of the file is not a row: \
    `quotes = false` reads quotes as characters";

const TOO_LONG: &str = "a row that starts here is longer than 64 MiB: is a quote not closed?";

const ESCAPED: &str =
    "a cell goes on after its closing quote: where `\\` escapes quotes, set `escape = '\\'`";

const AFTER_QUOTE: &str = "a cell goes on after its closing quote: quotes inside are doubled, have an `escape`, \
    or are characters with `quotes = false`";

impl TextRecords for Rows {
    fn text(&mut self) -> &mut Text {
        &mut self.text
    }

    fn read(&mut self) -> Result<Option<Fields>, InputError> {
        let Some(found) = self.next_row()? else { return Ok(None) };
        Ok(Some(found.map_or_else(|bad| bad, |length| self.row(length))))
    }
}

#[cfg(test)]
mod tests;
