//! Where a table begins: lines and notes before it, a line `sep=;`, its delimiter, and its header.

use super::guess::{self, Guess};
use super::header::{names, numbered};
use super::parse::Step;
use super::{Header, Rows};
use crate::job::inputs::InputError;
use crate::job::inputs::object::Waiting;
use crate::job::inputs::text::LONGEST;

const FEW_ROWS: &str =
    "its first 51 rows, which tell the delimiter; with `delimiter` they need not be waited for";

impl Rows {
    /// Leaves out the `lines` before the table, and a line `sep=;` there, which is one of them. What that says.
    pub(super) fn skip_to_table(&mut self, mut lines: u64) -> Result<Option<u8>, InputError> {
        let mut said = None;
        loop {
            if lines == 0 {
                self.skip_to_row()?; // notes may stand before it
            }
            let line = if said.is_none() { self.separator_line()? } else { None };
            match line {
                Some(_) => {
                    said = line;
                    self.blanks = 0;
                }
                None if lines == 0 => return Ok(said),
                None => self.skip_line()?,
            }
            lines = lines.saturating_sub(1);
        }
    }

    /// Reads the next line if it is `sep=;`, which spreadsheets write and obey.
    fn separator_line(&mut self) -> Result<Option<u8>, InputError> {
        while self.text.window().len() < 16 && !self.text.window().contains(&b'\n') {
            if !self.text.more()? {
                break;
            }
        }
        let window = self.text.window();
        let end = memchr::memchr2(b'\n', b'\r', window).unwrap_or(window.len());
        let line = window[..end].trim_ascii_end();
        let line =
            line.strip_prefix(b"\"").map_or(line, |line| line.strip_suffix(b"\"").unwrap_or(line));
        // A tab goes with the blanks at the end.
        let is_tab = line.eq_ignore_ascii_case(b"sep=");
        let said = match line {
            [s, e, p, b'=', byte] if [*s, *e, *p].eq_ignore_ascii_case(b"sep") => Some(*byte),
            _ if is_tab && window[..end].ends_with(b"\t") => Some(b'\t'),
            _ => None,
        };
        if said.is_some() {
            self.skip_line()?;
        }
        Ok(said)
    }

    /// Leaves out the next line.
    pub(super) fn skip_line(&mut self) -> Result<(), InputError> {
        loop {
            let window = self.text.window();
            if let Some(end) = memchr::memchr2(b'\n', b'\r', window) {
                let is_crlf = window[end] == b'\r' && window.get(end + 1) == Some(&b'\n');
                let is_cut = window[end] == b'\r' && end + 1 == window.len();
                if is_cut && self.text.more()? {
                    continue;
                }
                self.text.consume(end + 1 + usize::from(is_crlf));
                return Ok(());
            }
            self.text.consume(window.len());
            if !self.text.more()? {
                return Ok(());
            }
        }
    }

    /// The delimiter of what follows, if it can be told: by the same bytes, however they come.
    pub(super) fn guess(&mut self, header: &Header) -> Result<u8, InputError> {
        /// So much is looked at, or more where the header is longer.
        const SAMPLE_BYTES: usize = 1 << 15;
        let (mut most, mut waiting) = (SAMPLE_BYTES, None);
        loop {
            let window = self.text.window();
            let is_whole = self.text.is_at_end() && window.len() <= most;
            let is_all = is_whole || window.len() >= LONGEST;
            let table = &window[..window.len().min(most)];
            let comments = self.comments.as_deref();
            let is_note = |line: &[u8]| comments.is_some_and(|note| line.starts_with(note));
            let found = guess::delimiter(table, is_whole, is_all, &self.dialect, header, is_note);
            let is_full = window.len() >= most;
            match found.map_err(|message| self.text.file().error(message))? {
                Guess::Known(delimiter) => return Ok(delimiter),
                Guess::NoHeader if is_full => most *= 2,
                Guess::FewRows if is_full => {
                    let found =
                        guess::delimiter(table, false, true, &self.dialect, header, is_note);
                    match found.map_err(|message| self.text.file().error(message))? {
                        Guess::Known(delimiter) => return Ok(delimiter),
                        Guess::NoHeader | Guess::FewRows => most *= 2,
                    }
                    continue;
                }
                Guess::FewRows if waiting.is_none() => {
                    waiting = Some(Waiting::of(self.text.file(), FEW_ROWS));
                }
                Guess::NoHeader | Guess::FewRows => {}
            }
            while self.text.window().len() < most && self.text.more()? {
                if most == SAMPLE_BYTES {
                    break;
                }
            }
        }
    }

    pub(super) fn header_row(&mut self) -> Result<Vec<String>, InputError> {
        self.skip_to_row()?;
        // A row of empty cells is no input, but a header of columns without names. A single one has quotes.
        let first = self.first_row()?;
        if let Some((width, length)) = first
            && self.cells.bytes.is_empty()
            && (width > 1 || self.dialect.is_quoted(self.text.window()))
        {
            self.text.consume(length);
            return Ok(numbered(width));
        }
        let line = self.text.line(0);
        if let Some((_, length)) = first
            && let Some(message) = self.text.undecodable(&self.text.window()[..length])
        {
            return Err(self.text.file().error_at(line, message));
        }
        if !self.step()? {
            return Ok(Vec::new());
        }
        names(self.cells.iter()).map_err(|message| self.text.file().error_at(line, message))
    }

    /// How many cells the first row has, and how long it is. It is not consumed.
    pub(super) fn first_row(&mut self) -> Result<Option<(usize, usize)>, InputError> {
        self.skip_to_row()?;
        loop {
            match self.dialect.parse(self.text.window(), self.text.is_at_end(), &mut self.cells) {
                Step::More if self.text.window().len() <= LONGEST => {
                    self.text.more()?;
                }
                Step::Row(length) if !self.text.window().is_empty() => {
                    return Ok(Some((self.cells.ends.len(), length)));
                }
                _ => return Ok(None),
            }
        }
    }

    /// Skips notes and blank lines.
    pub(super) fn skip_to_row(&mut self) -> Result<(), InputError> {
        let mut was_cr = false;
        loop {
            let needed = self.comments.as_ref().map_or(1, Vec::len);
            while self.text.window().len() < needed && self.text.more()? {}
            let window = self.text.window();
            let is_note = self.comments.as_ref().is_some_and(|note| window.starts_with(note));
            match window.first() {
                Some(&end @ (b'\n' | b'\r')) if !is_note => {
                    self.blanks += u64::from(!(was_cr && end == b'\n'));
                    was_cr = end == b'\r';
                    self.text.consume(1);
                }
                Some(_) if is_note => {
                    self.skip_line()?;
                    was_cr = false;
                }
                _ => return Ok(()),
            }
        }
    }
}
