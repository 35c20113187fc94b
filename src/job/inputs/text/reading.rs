//! What readers of a text have in common: where they are, what cannot be used, and lines.

use std::fmt::Display;

use super::{LONGEST, Source, Text};
use crate::job::inputs::InputError;
use crate::job::inputs::records::{Records, Stop};
use crate::job::inputs::stamp::Stamp;
use crate::task::Fields;

/// A reader of a text's records.
pub(in crate::job::inputs) trait TextRecords: Send {
    /// The text that it reads.
    fn text(&mut self) -> &mut Text;

    /// The next record.
    fn read(&mut self) -> Result<Option<Fields>, InputError>;

    /// It is going to be read in another order.
    fn prepare(&mut self) {}

    /// Moves on to the record at `position`.
    fn seek_text(&mut self, position: u64) -> Result<(), InputError> {
        self.text().seek(position)
    }
}

impl<T: TextRecords> Records for T {
    fn next_record(&mut self) -> Option<Result<Fields, InputError>> {
        if self.text().over {
            return None;
        }
        let record = self.read().transpose();
        if !matches!(record, Some(Ok(_))) {
            self.text().over = true;
        }
        record
    }

    fn position(&mut self) -> u64 {
        self.text().position()
    }

    fn place(&mut self) -> Option<String> {
        let text = self.text();
        Some(format!("{} line {}", text.file(), text.last_line()))
    }

    fn seek(&mut self, position: u64) -> Result<(), InputError> {
        self.seek_text(position)
    }

    fn make_seekable(&mut self, stop: &Stop) -> Result<(), InputError> {
        self.prepare();
        self.text().make_seekable(stop)
    }

    fn stamp(&mut self) -> Option<Stamp> {
        self.text().stamp()
    }

    fn expect(&mut self, stamp: Stamp) -> Result<(), InputError> {
        self.text().expect(stamp)
    }

    fn held(&mut self) -> usize {
        self.text().buffer.len()
    }
}

impl Text {
    /// The file as it was when it was opened, if that is the text itself and can be opened again.
    fn stamp(&self) -> Option<Stamp> {
        let is_plain = matches!(self.source, Source::Plain(..));
        self.opened.as_ref().filter(|_| is_plain).map(|(_, stamp)| *stamp)
    }

    /// The file has been opened again: it has to be, and to stay, as `stamp` has it.
    fn expect(&mut self, stamp: Stamp) -> Result<(), InputError> {
        self.is_again = true;
        match &mut self.opened {
            Some((_, known)) => *known = stamp,
            None => return Err(self.changed_since()),
        }
        self.check_same()
    }

    /// Asked after each read: what has been read before that is then what it was.
    pub(super) fn check_same(&self) -> Result<(), InputError> {
        match &self.opened {
            Some((file, stamp)) if !stamp.is_of(file) => Err(self.changed_since()),
            _ => Ok(()),
        }
    }

    fn changed_since(&self) -> InputError {
        self.file.error("the file changed while its inputs were read in another order")
    }

    /// The datum that the next `length` bytes are, which cannot be used. They are consumed.
    pub fn bad(&mut self, length: usize, message: impl Display) -> Fields {
        self.bad_at(0, length, message)
    }

    /// Likewise, where the line of the byte at `at` is named.
    pub fn bad_at(&mut self, at: usize, length: usize, message: impl Display) -> Fields {
        let cause = self.file().complaint(self.line(at), message);
        let bad = Fields::bad(cause, &self.window()[..length]);
        self.consume(length);
        bad
    }

    /// Likewise; nothing can follow it.
    pub fn last_bad(&mut self, length: usize, message: impl Display) -> Fields {
        self.over = true;
        self.bad(length.min(LONGEST), message)
    }

    /// All that is left, if the text breaks off after it.
    pub fn cut(&mut self) -> Option<Fields> {
        let why = self.breakage()?.to_owned();
        Some(self.last_bad(self.window().len(), why))
    }

    /// The length of the next line with its `end`, which the last one need not have; or the datum that it is since it is
    /// cut or too long. `None`: there is none.
    pub fn next_line(&mut self, end: u8) -> Result<Option<Result<usize, Fields>>, InputError> {
        self.next_line_from(0, end)
    }

    /// Likewise, together with the lines before it that end at `seen`.
    pub fn next_line_from(
        &mut self,
        mut seen: usize,
        end: u8,
    ) -> Result<Option<Result<usize, Fields>>, InputError> {
        loop {
            let window = self.window();
            let found = memchr::memchr(end, &window[seen..]).map(|length| seen + length);
            seen = window.len();
            if found.unwrap_or(seen) > LONGEST {
                let message = "a line that starts here is longer than 64 MiB";
                return Ok(Some(Err(self.last_bad(seen, message))));
            }
            if let Some(length) = found {
                return Ok(Some(Ok(length + 1)));
            }
            if !self.more()? {
                let line = self.cut().map(Err);
                return Ok(line.or_else(|| Some(Ok(self.window().len())).filter(|_| seen > 0)));
            }
        }
    }
}
