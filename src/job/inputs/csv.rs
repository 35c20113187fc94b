//! `csv`: a file with a header row; one input a row.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use ::csv::{ByteRecord, Position, Reader, ReaderBuilder};

use crate::csv::ReportReader;
use crate::job::inputs::InputError;
use crate::job::inputs::records::{Bytes, InputFile, Records};
use crate::task::Fields;

/// A row that is longer is taken for one whose quote was left open, before it fills the memory.
const LONGEST_ROW: usize = 64 << 20;

/// The rows of a CSV file (RFC 4180), after its header.
pub(super) struct Rows<R> {
    file: InputFile,
    reader: Reader<Tail<R>>,
    header: Vec<String>,
    record: ByteRecord,
    /// If it is a report.
    reading: Option<ReportReader>,
}

impl<R: Bytes> Rows<R> {
    /// Reads the header of `reader`, which is `file`, opened.
    pub fn new(file: InputFile, reader: R) -> Result<Self, InputError> {
        Self::read_as(file, reader, None)
    }

    /// Likewise, if `file` is a report that is to be read like this.
    pub fn of_report(
        file: InputFile,
        reader: R,
        reading: ReportReader,
    ) -> Result<Self, InputError> {
        Self::read_as(file, reader, Some(reading))
    }

    fn read_as(
        file: InputFile,
        reader: R,
        reading: Option<ReportReader>,
    ) -> Result<Self, InputError> {
        // Lengths are compared here, so that the message can say where in the file the row is.
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(reading.as_ref().map_or(b',', ReportReader::delimiter))
            .buffer_capacity(1 << 16)
            .from_reader(Tail::new(reader));
        let mut record = ByteRecord::new();
        if !read(&file, &mut reader, &mut record)? {
            return Err(file.error("has no header row"));
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
        match read(&self.file, &mut self.reader, &mut self.record) {
            Ok(true) => Some(self.row()),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
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

/// Reads the next row; false if there is none.
fn read<R: Bytes>(
    file: &InputFile,
    reader: &mut Reader<Tail<R>>,
    record: &mut ByteRecord,
) -> Result<bool, InputError> {
    reader.get_mut().row = 0;
    let line = reader.position().line();
    let there = match reader.read_byte_record(record) {
        Ok(there) => there,
        Err(_) if reader.get_ref().row > LONGEST_ROW => {
            return Err(file.error_at(
                line,
                "a row that starts here is longer than 64 MiB: is a quote not closed?",
            ));
        }
        Err(error) => return Err(failed(file, &error)),
    };
    if there && reader.get_ref().ended {
        // Only an open quote keeps a row from ending with the last line.
        let start = record.position().map_or(1, Position::line);
        let before = record.iter().take(record.len().saturating_sub(1));
        let lines: usize = before.map(|cell| memchr::memchr_iter(b'\n', cell).count()).sum();
        return Err(file.error_at(start + lines as u64, "a quote opens here and is never closed"));
    }
    Ok(there)
}

/// What is read, and a line break behind it: whoever reads on behind that has an open quote.
struct Tail<R> {
    inner: R,
    /// Whether the line break has been read.
    broken: bool,
    /// Whether somebody has read on.
    ended: bool,
    /// Bytes that were read for the current row.
    row: usize,
}

impl<R> Tail<R> {
    fn new(inner: R) -> Self {
        Self { inner, broken: false, ended: false, row: 0 }
    }
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.row > LONGEST_ROW {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let mut length = if self.broken { 0 } else { self.inner.read(buffer)? };
        if length == 0 && !self.broken && !buffer.is_empty() {
            buffer[0] = b'\n';
            self.broken = true;
            length = 1;
        } else if length == 0 {
            self.ended = true;
        }
        self.row += length;
        Ok(length)
    }
}

impl<R: Seek> Seek for Tail<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (self.broken, self.ended) = (false, false);
        self.inner.seek(to)
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
    fn a_quote_that_is_never_closed_is_told_with_its_line() {
        for (text, line) in [
            (&b"a,b\n1,2\n3,\"4\n5,6\n"[..], 3),
            (b"a,b\n1,2\n\"3\n\",\"4\n5,6", 4),
            (b"a,b\n1,\"", 2),
            (b"a,b\n1,\"\"\"\n", 2),
        ] {
            let mut rows = Stream::new(Box::new(open(text).unwrap()));
            let error = rows.find_map(Result::err).expect("a quote is open").to_string();
            assert_eq!(
                error,
                format!("standard input line {line}: a quote opens here and is never closed")
            );
        }
        let error = open(b"a,\"b\n1,2\n").err().unwrap().to_string();
        assert_eq!(error, "standard input line 1: a quote opens here and is never closed");
        for text in
            [&b"a\nx\"y\n"[..], b"a\n\"x\"", b"a\n\"x\"\"\"", b"a\nx\r", b"a\n\"x\"\r\n\r\n"]
        {
            let rows: Vec<_> = Stream::new(Box::new(open(text).unwrap())).collect();
            assert!(matches!(rows[..], [Ok(_)]), "{rows:?}");
        }
    }

    #[test]
    fn a_row_without_an_end_does_not_fill_the_memory() {
        let mut text = b"a\n1\n\"".to_vec();
        text.resize(LONGEST_ROW + (1 << 20), b'\n');
        let rows: Vec<_> = Stream::new(Box::new(open(&text).unwrap())).collect();
        let error = rows[1].as_ref().unwrap_err().to_string();
        assert!(
            error.starts_with("standard input line 3: a row that starts here is longer"),
            "{error}"
        );
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
