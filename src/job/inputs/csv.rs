//! `csv`: a file with a header row; one input a row.

use ::csv::{ByteRecord, Position, Reader, ReaderBuilder};
use std::borrow::Cow;
use std::collections::HashMap;

use crate::job::Fields;
use crate::job::inputs::InputError;
use crate::job::inputs::records::{Bytes, InputFile, Records};
use crate::report::Reading;

/// The rows of a CSV file (RFC 4180), after its header.
pub(super) struct Rows<R> {
    file: InputFile,
    reader: Reader<R>,
    header: Vec<String>,
    record: ByteRecord,
    /// If it is a report.
    reading: Option<Reading>,
}

impl<R: Bytes> Rows<R> {
    /// Reads the header of `reader`, which is `file`, opened.
    pub fn new(file: InputFile, reader: R) -> Result<Self, InputError> {
        Self::read_as(file, reader, None)
    }

    /// Likewise, if `file` is a report that is to be read like this.
    pub fn of_report(file: InputFile, reader: R, reading: Reading) -> Result<Self, InputError> {
        Self::read_as(file, reader, Some(reading))
    }

    fn read_as(file: InputFile, reader: R, reading: Option<Reading>) -> Result<Self, InputError> {
        // Lengths are compared here, so that the message can say where in the file the row is.
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(reading.as_ref().map_or(b',', Reading::delimiter))
            .buffer_capacity(1 << 16)
            .from_reader(reader);
        let mut record = ByteRecord::new();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Err(file.error("has no header row")),
            Err(error) => return Err(failed(&file, &error)),
        }
        let plain = |cell| reading.as_ref().map_or(Cow::Borrowed(cell), |it| it.plain(cell));
        let header: ByteRecord = record.iter().map(plain).collect();
        let header = names(&header).map_err(|message| file.error_at(1, message))?;
        Ok(Self { file, reader, header, record, reading })
    }

    /// The names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    fn row(&self) -> Result<Fields, InputError> {
        let (expected, found) = (self.header.len(), self.record.len());
        if found == expected {
            return Ok(match &self.reading {
                Some(reading) => self.record.iter().map(|cell| reading.plain(cell)).collect(),
                None => self.record.iter().collect(),
            });
        }
        let line = self.record.position().map_or(0, Position::line);
        let columns = if expected == 1 { "column" } else { "columns" };
        Err(self.file.error_at(line, format!("expected {expected} {columns}, found {found}")))
    }
}

impl<R: Bytes> Records for Rows<R> {
    fn next_record(&mut self) -> Option<Result<Fields, InputError>> {
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => Some(self.row()),
            Ok(false) => None,
            Err(error) => Some(Err(failed(&self.file, &error))),
        }
    }

    fn position(&self) -> u64 {
        self.reader.position().byte()
    }

    fn seek(&mut self, position: u64) -> Result<(), InputError> {
        let mut target = Position::new();
        target.set_byte(position);
        self.reader.seek(target).map_err(|error| failed(&self.file, &error))
    }
}

/// The names in a header: each is there, is text, and is there once.
fn names(record: &ByteRecord) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::with_capacity(record.len());
    let mut places = HashMap::with_capacity(record.len());
    for (index, name) in record.iter().enumerate() {
        let column = index + 1;
        let name = str::from_utf8(name)
            .map_err(|_| format!("the name of column {column} is not UTF-8"))?;
        if name.trim().is_empty() {
            return Err(format!("column {column} has no name"));
        }
        if let Some(first) = places.insert(name, column) {
            return Err(format!("columns {first} and {column} are both called `{name}`"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn failed(file: &InputFile, error: &::csv::Error) -> InputError {
    match error.kind() {
        ::csv::ErrorKind::Io(error) => file.unreadable(error),
        _ => file.error(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::job::inputs::records::Stream;

    fn open(text: &[u8]) -> Result<Rows<Cursor<Vec<u8>>>, InputError> {
        let file = InputFile::find("-", "".as_ref()).unwrap();
        Rows::new(file, Cursor::new(text.to_vec()))
    }

    #[test]
    fn rows_have_the_columns_of_the_header() {
        let rows = open("\u{feff}a,b\r\n1,\"x,\"\"y\nz\"\r\n,2\r\n".as_bytes()).unwrap();
        assert_eq!(rows.header(), ["a", "b"]);
        let rows: Vec<_> = Stream::new(Box::new(rows)).map(Result::unwrap).collect();
        let expected: [Fields; 2] =
            [["1", "x,\"y\nz"].iter().collect(), ["", "2"].iter().collect()];
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_ragged_row_is_told_with_its_line_and_ends_it() {
        let rows = open(b"a,b\n\"1\n\",2\n3\n4,5\n").unwrap();
        let rows: Vec<_> = Stream::new(Box::new(rows)).collect();
        assert_eq!(rows.len(), 2);
        let error = rows[1].as_ref().unwrap_err().to_string();
        assert_eq!(error, "standard input line 4: expected 2 columns, found 1");
    }

    #[test]
    fn a_bad_header_is_told() {
        for (text, message) in [
            (&b""[..], "standard input: has no header row"),
            (b"a,,b\n", "standard input line 1: column 2 has no name"),
            (b"a,b,a\n", "standard input line 1: columns 1 and 3 are both called `a`"),
            (b"a,\xff\n", "standard input line 1: the name of column 2 is not UTF-8"),
        ] {
            assert_eq!(open(text).err().unwrap().to_string(), message);
        }
    }

    #[test]
    fn a_row_is_found_again() {
        let mut rows = open(b"a\n1\n22\n333\n").unwrap();
        let mut positions = Vec::new();
        loop {
            positions.push(rows.position());
            if rows.next_record().is_none() {
                break;
            }
        }
        for (index, expected) in [(2, "333"), (0, "1"), (1, "22")] {
            rows.seek(positions[index]).unwrap();
            assert_eq!(rows.next_record().unwrap().unwrap(), Fields::single(expected));
        }
    }

    proptest! {
        #[test]
        fn what_the_csv_crate_writes_comes_back(
            cells in prop::collection::vec(prop::array::uniform2("[a,\"\n\r;= ä]{0,6}"), 0..12)
        ) {
            let mut writer = ::csv::Writer::from_writer(Vec::new());
            writer.write_record(["x", "y"]).unwrap();
            for row in &cells {
                writer.write_record(row).unwrap();
            }
            let rows = open(&writer.into_inner().unwrap()).unwrap();
            let back: Vec<Fields> = Stream::new(Box::new(rows)).map(Result::unwrap).collect();
            let expected: Vec<Fields> = cells.iter().map(|row| row.iter().collect()).collect();
            prop_assert_eq!(back, expected);
        }
    }
}
