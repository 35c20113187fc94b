//! Reads a report for another job and undoes what the dialect has changed in a cell.

use std::borrow::Cow;

use crate::base::text::without_mark;
use crate::csv::cells::unquoted;
use crate::csv::writer::is_formula;
use crate::csv::{Dialect, InputColumns, Writer, cells, has_semicolons, number};

/// How the report of a job is read.
#[derive(Clone, Debug)]
pub struct ReportReader {
    columns: Vec<String>,
    delimiter: u8,
    point: u8,
    formula_safe: bool,
    inputs: Option<InputColumns>,
    /// Where the one column is that has timestamps.
    started: Option<usize>,
    /// Where the one is that shows outputs, of which a row has only so much.
    shown: Option<usize>,
}

impl ReportReader {
    /// A report with these columns, as `writer` has written it.
    pub fn new(columns: Vec<String>, writer: &Writer) -> Self {
        let &Writer { delimiter, point, formula_safe, .. } = writer;
        let started = columns.iter().position(|name| name == "started_utc");
        Self { columns, delimiter, point, formula_safe, inputs: None, started, shown: None }
    }

    /// The same, with what is known of the inputs that the rows were made from.
    #[must_use]
    pub fn with_inputs(self, inputs: InputColumns) -> Self {
        Self { inputs: Some(inputs), ..self }
    }

    /// The same of a job whose `result` shows the outputs of commands.
    #[must_use]
    pub fn showing_outputs(self) -> Self {
        let shown = self.columns.iter().rposition(|name| name == "result");
        Self { shown, ..self }
    }

    /// The column that shows outputs, of which a row has only so much.
    pub fn shown(&self) -> Option<usize> {
        self.shown
    }

    /// What is known of the inputs that the rows were made from.
    pub fn inputs(&self) -> Option<InputColumns> {
        self.inputs
    }

    /// The names of all columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The byte between cells.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// The value that a cell without quotes stands for: without the `'` that protects it from being calculated, and with a
    /// decimal point in numbers. A text that looks like such a number (`1,5` with decimal commas) has quotes, unless another
    /// program has written the cell: then [`Originals`](crate::csv::Originals) can tell.
    pub fn plain<'a>(&self, cell: &'a [u8]) -> Cow<'a, [u8]> {
        if self.is_protected(cell) {
            return self.bare(cell);
        }
        if self.point != b'.' && memchr::memchr(self.point, cell).is_some() {
            let pointed: Vec<u8> =
                cell.iter().map(|&byte| if byte == self.point { b'.' } else { byte }).collect();
            if number::is_number(&pointed) && !cell.contains(&b'.') {
                return Cow::Owned(pointed);
            }
        }
        Cow::Borrowed(cell)
    }

    /// The value that a cell stands for, with quotes around it or without.
    pub fn meant<'a>(&self, cell: &'a [u8], is_quoted: bool) -> Cow<'a, [u8]> {
        if is_quoted { self.bare(cell) } else { self.plain(cell) }
    }

    /// The value that the cell in this column stands for: as [`meant`](Self::meant), and a timestamp has a decimal point.
    pub fn value<'a>(&self, column: usize, cell: &'a [u8], is_quoted: bool) -> Cow<'a, [u8]> {
        if self.started == Some(column) && self.point != b'.' && cell.contains(&self.point) {
            let pointed = cell.iter().map(|&byte| if byte == self.point { b'.' } else { byte });
            return Cow::Owned(pointed.collect());
        }
        self.meant(cell, is_quoted)
    }

    /// The value of a cell that was quoted, which no number of the runner's is: without the `'` that protects it from being
    /// calculated.
    pub fn bare<'a>(&self, cell: &'a [u8]) -> Cow<'a, [u8]> {
        Cow::Borrowed(if self.is_protected(cell) { &cell[1..] } else { cell })
    }

    /// The value that a cell stands for as it is written in a row, with its quotes if it has some.
    pub fn of_written<'a>(&self, cell: &'a [u8]) -> Cow<'a, [u8]> {
        match unquoted(cell) {
            None => self.plain(cell),
            Some(Cow::Borrowed(text)) => self.bare(text),
            Some(Cow::Owned(text)) => Cow::Owned(self.bare(&text).into_owned()),
        }
    }

    fn is_protected(&self, cell: &[u8]) -> bool {
        self.formula_safe && matches!(cell, [b'\'', rest @ ..] if is_formula(rest))
    }
}

/// The names of the columns in the header with which `text` begins, whatever its dialect is: what [`Writer::header`] was
/// given. `None` if no header ends there.
pub fn header_names(text: &[u8], formula_safe: bool) -> Option<Vec<String>> {
    let text = without_mark(text);
    text.strip_prefix(b"task")?;
    // Excel's other dialect is read like the plain one.
    let dialect = if has_semicolons(text) { Dialect::ExcelSemicolon } else { Dialect::Csv };
    let mut is_quoted = false;
    let end = text.iter().position(|&byte| {
        is_quoted ^= byte == b'"'; // a doubled quote leaves it as it was
        byte == b'\n' && !is_quoted
    })?;
    let line = text[..end].strip_suffix(b"\r").unwrap_or(&text[..end]);
    let reader = ReportReader::new(Vec::new(), &Writer::new(dialect, formula_safe));
    let name = |cell: &[u8]| String::from_utf8(reader.of_written(cell).into_owned()).ok();
    cells(line, reader.delimiter()).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv::Dialect;

    #[test]
    fn what_a_layout_writes_is_read_as_it_was() {
        for dialect in [Dialect::Csv, Dialect::Excel, Dialect::ExcelSemicolon] {
            let writer = Writer::new(dialect, true);
            let reading = ReportReader::new(vec!["=x".into()], &writer);
            for text in [
                "", "a", "=1+1", "+x", "-x", "@x", "\tx", "\r", "\nx", "'", "'a", "'=x", "'''@x",
                "'-5", "'-1.5", "'-1,x", "-1.5", "+1e6", "1.5", "1.2.3", "a,b;c\"d", "-1,5", "3",
                "1,234", "1,5", "+1,5", "'1,5",
            ] {
                let mut row = Vec::new();
                writer.push_text(&mut row, text.as_bytes());
                row.push(reading.delimiter());
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(false)
                    .delimiter(reading.delimiter())
                    .from_reader(&row[..]);
                let record = reader.byte_records().next().unwrap().unwrap();
                let is_quoted = row.starts_with(b"\"");
                let meant = reading.meant(&record[0], is_quoted);
                assert_eq!(meant, text.as_bytes(), "{dialect}: {text:?}");
            }
        }
    }

    #[test]
    fn headers_are_read_as_they_were() {
        let odd =
            ["@id", "=x", "'=x", "1.5", "1,5", "-1,5", "a,b;c", "say \"hi\"\n\"", "\rx", "", "'a"];
        for dialect in [Dialect::Csv, Dialect::Excel, Dialect::ExcelSemicolon] {
            for formula_safe in [true, false] {
                let names: Vec<String> =
                    ["task"].into_iter().chain(odd).chain(["error"]).map(str::to_owned).collect();
                let mut text = Writer::new(dialect, formula_safe).header(&names);
                assert_eq!(header_names(&text[..text.len() - 1], formula_safe), None);
                text.extend_from_slice(b"1,\"x\ny\"");
                assert_eq!(header_names(&text, formula_safe), Some(names), "{dialect}");
            }
        }
        assert_eq!(header_names(b"", true), None);
    }

    #[test]
    fn the_quotes_of_a_written_cell_tell_a_text_from_a_number() {
        for dialect in [Dialect::Csv, Dialect::Excel, Dialect::ExcelSemicolon] {
            for formula_safe in [true, false] {
                let writer = Writer::new(dialect, formula_safe);
                let reading = ReportReader::new(Vec::new(), &writer);
                for text in [
                    "", "a", "=1+1", "'=x", "1.5", "1,5", " 1,5", "-1,5", "1,234", "5\n", "\t5",
                    "\"", "a\",;\"b",
                ] {
                    let mut cell = Vec::new();
                    writer.push_text(&mut cell, text.as_bytes());
                    assert_eq!(reading.of_written(&cell), text.as_bytes(), "{dialect}: {text:?}");
                }
            }
        }
    }

    #[test]
    fn what_was_not_made_safe_is_left_as_it_is() {
        let reading = ReportReader::new(Vec::new(), &Writer::new(Dialect::Csv, false));
        assert_eq!(&*reading.plain(b"'=x"), b"'=x");
        assert_eq!(&*reading.plain(b"1,5"), b"1,5");
    }
}
