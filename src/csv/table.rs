//! Small tables of figures, such as the summary: whole rows of plain text, put into a dialect and back.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::csv::{Dialect, TimestampReader, Writer, number};

/// A writer of a table in this dialect.
///
/// # Errors
/// If its first bytes cannot be written.
pub fn table_writer<W: Write>(mut to: W, dialect: Dialect) -> io::Result<csv::Writer<W>> {
    let layout = Writer::new(dialect, true);
    to.write_all(layout.bom())?;
    let terminator = if layout.terminator == b"\n" {
        csv::Terminator::Any(b'\n')
    } else {
        csv::Terminator::CRLF
    };
    Ok(csv::WriterBuilder::new().delimiter(layout.delimiter).terminator(terminator).from_writer(to))
}

/// A cell as the dialect has it: a number or a timestamp with its decimal separator.
pub fn table_cell(dialect: Dialect, cell: &[u8]) -> Cow<'_, [u8]> {
    exchange(cell, b'.', Writer::new(dialect, true).point)
}

/// What [`table_cell`] has made of a cell, undone.
pub fn plain_cell(dialect: Dialect, cell: &[u8]) -> Cow<'_, [u8]> {
    exchange(cell, Writer::new(dialect, true).point, b'.')
}

fn exchange(cell: &[u8], from: u8, to: u8) -> Cow<'_, [u8]> {
    if from == to || !cell.contains(&from) {
        return Cow::Borrowed(cell);
    }
    let change = |of: u8, into: u8| -> Vec<u8> {
        cell.iter().map(|&byte| if byte == of { into } else { byte }).collect()
    };
    let is_figure =
        number::is_number(&change(from, b'.')) || TimestampReader::default().micros(cell).is_some();
    if is_figure { Cow::Owned(change(from, to)) } else { Cow::Borrowed(cell) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_back_from_each_dialect() {
        let semicolon = Dialect::ExcelSemicolon;
        for (plain, written) in [
            ("1.5", "1,5"),
            ("1970-01-01 00:00:01.500", "1970-01-01 00:00:01,500"),
            ("0.3.1", "0.3.1"),
            ("a, b.", "a, b."),
            ("7", "7"),
            ("", ""),
        ] {
            assert_eq!(&*table_cell(semicolon, plain.as_bytes()), written.as_bytes());
            assert_eq!(&*plain_cell(semicolon, written.as_bytes()), plain.as_bytes());
            assert_eq!(&*table_cell(Dialect::Excel, plain.as_bytes()), plain.as_bytes());
        }
    }
}
