//! Reads a report for another job and undoes what the dialect has changed in a cell.

use std::borrow::Cow;

use crate::csv::writer::FORMULA;
use crate::csv::{InputColumns, Writer, number};

/// How the report of a job is read.
#[derive(Clone, Debug)]
pub struct ReportReader {
    columns: Vec<String>,
    delimiter: u8,
    point: u8,
    formula_safe: bool,
    inputs: Option<InputColumns>,
}

impl ReportReader {
    /// A report with these columns, as `writer` has written it.
    pub fn new(columns: Vec<String>, writer: &Writer) -> Self {
        let &Writer { delimiter, point, formula_safe, .. } = writer;
        Self { columns, delimiter, point, formula_safe, inputs: None }
    }

    /// The same, with what is known of the inputs that the rows were made from.
    #[must_use]
    pub fn with_inputs(self, inputs: InputColumns) -> Self {
        Self { inputs: Some(inputs), ..self }
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

    /// The value that a cell stands for: without the `'` that protects it from being calculated, and with a decimal
    /// point in numbers. A text that looked like that from the start (`'=x`; `1,5` with decimal commas) cannot be told
    /// apart by itself: [`Originals`](crate::csv::Originals) can.
    pub fn plain<'a>(&self, cell: &'a [u8]) -> Cow<'a, [u8]> {
        if let [b'\'', rest @ ..] = cell
            && self.formula_safe
            && rest.first().is_some_and(|first| FORMULA.contains(first))
        {
            return Cow::Borrowed(rest);
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
                "", "a", "=1+1", "+x", "-x", "@x", "\tx", "\r", "\nx", "'", "'a", "-1.5", "+1e6",
                "1.5", "1.2.3", "a,b;c\"d", "-1,5", "3",
            ] {
                let mut row = Vec::new();
                writer.push_text(&mut row, text.as_bytes());
                row.push(reading.delimiter());
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(false)
                    .delimiter(reading.delimiter())
                    .from_reader(&row[..]);
                let record = reader.byte_records().next().unwrap().unwrap();
                assert_eq!(reading.plain(&record[0]), text.as_bytes(), "{dialect}: {text:?}");
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
