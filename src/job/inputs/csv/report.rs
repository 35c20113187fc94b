//! The rows of a report as inputs: what stands in a cell is what the task had, byte by byte.

use std::borrow::Cow;
use std::sync::Arc;

use super::Rows;
use super::parse::Dialect;
use crate::csv::{InputCell, Original, ReportReader, not_whole};
use crate::job::inputs::InputError;
use crate::job::inputs::notes::Notes;
use crate::job::inputs::text::Text;
use crate::task::Fields;

impl Rows {
    /// The rows of a report that is to be read like this.
    pub fn of_report(
        text: Text,
        reading: ReportReader,
        notes: Arc<Notes>,
    ) -> Result<Self, InputError> {
        let mut rows = Self::start(text, Dialect::new(reading.delimiter()), None);
        if !rows.step()? {
            return Err(rows.text.file().error("has no header row"));
        }
        let name = |(cell, is_quoted)| {
            String::from_utf8_lossy(&reading.meant(cell, is_quoted)).into_owned()
        };
        rows.names = rows.cells.with_quotes().map(name).collect();
        rows.reading = Some((reading, notes));
        Ok(rows)
    }

    /// Notes a row of which a part of an output is all that there is.
    pub(super) fn note_cut(&self, reading: &ReportReader, notes: &Notes) {
        /// So long is what was cut, but for a last character that is written as several and did not fit.
        const CUT: usize = 497;
        let cell = reading.shown().and_then(|column| self.cells.iter().nth(column));
        let is_cut =
            |cell: &[u8]| cell.len() >= CUT && String::from_utf8_lossy(cell).chars().count() >= CUT;
        if cell.is_some_and(is_cut) {
            notes.cut_result();
        }
    }

    /// The row of a report, whose input is the one that its task had, byte by byte.
    pub(super) fn reported(&mut self, reading: &ReportReader, length: usize) -> Fields {
        if let Some(name) = self.replaced_value(reading) {
            let message = format!(
                "`{name}` is not what the task returned, since a report cannot hold it: return bytes or JSON, or write a file"
            );
            let complaint = self.text.file().complaint(self.text.line(0), message);
            return Fields::bad(complaint, &self.text.window()[..length]);
        }
        let Some(columns) = reading.inputs().filter(|_| self.is_doubtful(reading)) else {
            let cells = self.cells.with_quotes().enumerate();
            let value = |(index, (cell, is_quoted))| reading.value(index, cell, is_quoted);
            return cells.map(value).collect();
        };
        let input = self.cells.with_quotes().skip(1).take(columns.fields);
        let input = input.map(|(cell, is_quoted)| InputCell {
            written: cell.to_vec(),
            meant: reading.meant(cell, is_quoted).into_owned(),
        });
        let input: Vec<_> = input.collect();
        let path = self.text.file().path();
        self.originals.get_or_init(|| (columns.open)(path, columns.own));
        let row = &self.text.window()[..length];
        let offset = self.text.position() + self.text.found().mark();
        let original = match self.originals.get_mut() {
            Some(Some(originals)) => originals.of_row(offset, row, &input),
            Some(None) | None => Original::Unknown,
        };
        let lost = match &original {
            Original::Known(_) => None,
            Original::Lost => {
                let replaced = input.iter().position(|cell| is_replaced(&cell.written));
                let doubtful = || input.iter().position(|cell| cell.written != cell.meant);
                replaced.or_else(doubtful).or(Some(0))
            }
            Original::Unknown => input.iter().position(|cell| is_replaced(&cell.written)),
        };
        if let Some(index) = lost {
            let message = lost_bytes(&self.names[index + 1]);
            return Fields::bad(self.text.file().complaint(self.text.line(0), message), row);
        }
        let known = if let Original::Known(values) = original { values } else { Vec::new() };
        let cells = self.cells.with_quotes().enumerate().map(|(index, (cell, is_quoted))| {
            match index.checked_sub(1).and_then(|index| known.get(index)) {
                Some(value) => Cow::Borrowed(&value[..]),
                None => reading.value(index, cell, is_quoted),
            }
        });
        cells.collect()
    }

    /// The name of a cell beside the input that stands for another value, which the row says.
    fn replaced_value(&self, reading: &ReportReader) -> Option<&str> {
        let fields = reading.inputs().map_or(0, |inputs| inputs.fields);
        let named = self.names.iter().zip(self.cells.iter()).skip(1 + fields);
        let error = || self.names.iter().position(|name| name == "error");
        named
            .filter(|(_, cell)| is_replaced(cell))
            .find(|(name, _)| {
                let said = not_whole(name);
                let error = error().and_then(|index| self.cells.iter().nth(index));
                error.is_some_and(|error| memchr::memmem::find(error, said.as_bytes()).is_some())
            })
            .map(|(name, _)| &**name)
    }

    /// Whether a cell of a report's input may stand for something else than it most likely does.
    fn is_doubtful(&self, reading: &ReportReader) -> bool {
        let fields = reading.inputs().map_or(0, |inputs| inputs.fields);
        let mut input = self.cells.with_quotes().skip(1).take(fields);
        input.any(|(cell, is_quoted)| is_replaced(cell) || *reading.meant(cell, is_quoted) != *cell)
    }
}

/// Whether a report's cell has what stands for bytes that it cannot hold.
fn is_replaced(cell: &[u8]) -> bool {
    memchr::memmem::find(cell, "\u{fffd}".as_bytes()).is_some()
}

fn lost_bytes(name: &str) -> String {
    format!(
        "`{name}` has bytes that a report cannot hold, such as a file name that is not UTF-8, and the files beside the \
         report that have them are gone or changed"
    )
}
