//! What is read of a file before it is known what it is, and what is read then.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use super::BLOCK;

/// A file, or what is unpacked from it.
pub(super) enum Opened {
    /// As it is.
    Raw(Arc<File>),
    /// What its coding stands for.
    Unpacked(Box<dyn Read + Send>),
}

impl Opened {
    /// What reads it.
    pub fn into_reader(self) -> Box<dyn Read + Send> {
        match self {
            Self::Raw(file) => Box::new(file),
            Self::Unpacked(reader) => reader,
        }
    }
}

/// What was read to look at it, and then the rest.
pub(super) struct Chain<R> {
    pub first: io::Cursor<Vec<u8>>,
    pub rest: R,
}

impl<R: Read> Read for Chain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.first.read(buffer)? {
            0 => self.rest.read(buffer),
            length => Ok(length),
        }
    }
}

/// The first bytes: as few as tell what a file is, since more may be long in coming; and whether more can follow.
pub(super) fn read_first(
    reader: &mut impl Read,
    is_undecided: fn(&[u8]) -> bool,
) -> (Vec<u8>, io::Result<()>) {
    let mut first = vec![0; BLOCK];
    let mut length = 0;
    let end = loop {
        match read_some(reader, &mut first[length..]) {
            Ok(0) => break Ok(()),
            Ok(read) => length += read,
            Err(error) => break Err(error),
        }
        if !is_undecided(&first[..length]) {
            break Ok(());
        }
    };
    first.truncate(length);
    (first, end)
}

/// Reads what is there, whatever signals come.
pub(super) fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
