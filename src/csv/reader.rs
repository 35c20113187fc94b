//! A report as another job reads it: what its dialect has made of a cell is undone.

use std::borrow::Cow;

use crate::job::Job;
use crate::config::ReportSettings;
use crate::csv::writer::FORMULA;
use crate::report::layout::Layout;
use crate::csv::number;

/// How the report of a job is to be read.
#[derive(Clone, Debug)]
pub struct ReportReader {
    columns: Vec<String>,
    delimiter: u8,
    point: u8,
    formula_safe: bool,
}

impl ReportReader {
    /// The report of `job`.
    pub fn of(job: &Job) -> Self {
        Self::new(&Layout::of(job), job.report)
    }

    fn new(layout: &Layout, settings: ReportSettings) -> Self {
        Self {
            columns: layout.names.clone(),
            delimiter: layout.delimiter,
            point: layout.point,
            formula_safe: settings.formula_safe,
        }
    }

    /// The names of all columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// What stands between cells.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// What a cell stood for: without the `'` before what a spreadsheet would calculate, and a number with a decimal
    /// point. A text that looked so from the start (`'=x`; `1,5` with decimal commas) cannot be told from it.
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
    use crate::config::Order;

    #[test]
    fn what_a_layout_writes_is_read_as_it_was() {
        for dialect in [Dialect::Csv, Dialect::Excel, Dialect::ExcelSemicolon] {
            let settings = ReportSettings { dialect, order: Order::Input, formula_safe: true };
            let layout = Layout::new(&["=x".into()], &[], settings);
            let reading = ReportReader::new(&layout, settings);
            for text in [
                "", "a", "=1+1", "+x", "-x", "@x", "\tx", "\r", "\nx", "'", "'a", "-1.5", "+1e6",
                "1.5", "1.2.3", "a,b;c\"d", "-1,5", "3",
            ] {
                let mut row = Vec::new();
                layout.push_text(&mut row, text.as_bytes());
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
        let settings =
            ReportSettings { dialect: Dialect::Csv, order: Order::Input, formula_safe: false };
        let reading = ReportReader::new(&Layout::new(&[], &[], settings), settings);
        assert_eq!(&*reading.plain(b"'=x"), b"'=x");
        assert_eq!(&*reading.plain(b"1,5"), b"1,5");
    }
}
