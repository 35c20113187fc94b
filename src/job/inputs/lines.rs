//! `lines`: a file with one input a line, or NUL-separated.

use std::io::{BufRead, BufReader, Seek, SeekFrom};

use crate::job::inputs::InputError;
use crate::job::inputs::records::{Bytes, InputFile, Records};
use crate::task::Fields;

/// What ends a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    /// LF or CRLF.
    Newline,
    /// NUL: names of files can have newlines.
    Nul,
}

/// The lines of a file. The last one needs no end.
pub(super) struct Lines<R> {
    file: InputFile,
    reader: BufReader<R>,
    separator: Separator,
    position: u64,
    line: Vec<u8>,
}

impl<R: Bytes> Lines<R> {
    /// The lines of `reader`, which is `file`, opened.
    pub fn new(file: InputFile, reader: R, separator: Separator) -> Self {
        let reader = BufReader::with_capacity(1 << 16, reader);
        Self { file, reader, separator, position: 0, line: Vec::new() }
    }

    /// Reads the next line, without its end.
    fn read(&mut self) -> Option<Result<&[u8], InputError>> {
        let end = match self.separator {
            Separator::Newline => b'\n',
            Separator::Nul => 0,
        };
        self.line.clear();
        match self.reader.read_until(end, &mut self.line) {
            Ok(0) => return None,
            Ok(length) => self.position += length as u64,
            Err(error) => return Some(Err(self.file.unreadable(&error))),
        }
        let line = self.line.strip_suffix(&[end]).unwrap_or(&self.line);
        Some(Ok(match self.separator {
            Separator::Newline => line.strip_suffix(b"\r").unwrap_or(line),
            Separator::Nul => line,
        }))
    }
}

impl<R: Bytes> Records for Lines<R> {
    fn next_record(&mut self) -> Option<Result<Fields, InputError>> {
        self.read().map(|line| line.map(Fields::single))
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn seek(&mut self, position: u64) -> Result<(), InputError> {
        self.position = position;
        let sought = self.reader.seek(SeekFrom::Start(position));
        sought.map(drop).map_err(|error| self.file.unreadable(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::job::inputs::records::Stream;

    fn read(text: &[u8], separator: Separator) -> Vec<Vec<u8>> {
        let file = InputFile::find("-", "".as_ref()).unwrap();
        let lines = Lines::new(file, Cursor::new(text.to_vec()), separator);
        Stream::new(Box::new(lines)).map(|fields| fields.unwrap().get(0).to_vec()).collect()
    }

    #[test]
    fn lines_end_with_lf_crlf_or_the_file() {
        for (text, expected) in [
            (&b"a\nb\n"[..], &["a", "b"][..]),
            (b"a\r\nb", &["a", "b"]),
            (b"\n a \n", &["", " a "]),
            (b"", &[]),
        ] {
            let lines = read(text, Separator::Newline);
            assert_eq!(lines, expected.iter().map(|line| line.as_bytes()).collect::<Vec<_>>());
        }
        assert_eq!(read(b"a\nb\0\xff\0", Separator::Nul), [&b"a\nb"[..], b"\xff"]);
    }

    proptest! {
        #[test]
        fn nul_separated_inputs_come_back(inputs in prop::collection::vec("[a-z\n\r ]{0,8}", 0..20)) {
            let text = inputs.iter().flat_map(|input| [input, "\0"]).collect::<String>();
            let back = read(text.as_bytes(), Separator::Nul);
            prop_assert_eq!(back, inputs.iter().map(|i| i.as_bytes().to_vec()).collect::<Vec<_>>());
        }
    }
}
