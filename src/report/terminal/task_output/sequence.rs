//! Outputs in the order of their tasks. Those that come too early wait: the first few in memory, the others in a
//! temporary file, so that one slow task does not fill the memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem;

use crate::base::temporary;

/// How many bytes wait in memory.
const IN_MEMORY: usize = 4 << 20;

/// Where an output waits.
#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File { at: u64, length: u64 },
}

/// The outputs that have come before their turn.
#[derive(Debug)]
pub(super) struct Sequence {
    /// The task whose output is next.
    next: u64,
    waiting: BTreeMap<u64, Place>,
    in_memory: usize,
    file: Option<File>,
    /// The length of the file.
    end: u64,
}

impl Sequence {
    pub(super) fn new() -> Self {
        Self { next: 1, waiting: BTreeMap::new(), in_memory: 0, file: None, end: 0 }
    }

    /// Whether it is this task's turn.
    pub(super) fn is_next(&self, task: u64) -> bool {
        task <= self.next
    }

    /// The output of this task, whose turn it was, has been written.
    pub(super) fn passed(&mut self, task: u64) {
        self.next = self.next.max(task + 1);
    }

    /// Lets an output, which `print` writes, wait for its turn.
    pub(super) fn hold(
        &mut self,
        task: u64,
        print: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let room = IN_MEMORY.saturating_sub(self.in_memory);
        let mut holding =
            Holding { room, bytes: Vec::new(), file: &mut self.file, at: self.end, length: 0 };
        print(&mut holding)?;
        let place = match holding.length {
            0 => Place::Memory(holding.bytes),
            length => Place::File { at: holding.at, length },
        };
        match &place {
            Place::Memory(bytes) => self.in_memory += bytes.len(),
            Place::File { length, .. } => self.end += length,
        }
        self.waiting.insert(task, place);
        Ok(())
    }

    /// Writes the outputs whose turn has come; with `all` also those whose turn never comes.
    pub(super) fn write_ready(&mut self, out: &mut dyn Write, all: bool) -> io::Result<()> {
        while let Some(entry) = self.waiting.first_entry() {
            let task = *entry.key();
            if task > self.next && !all {
                break;
            }
            let place = entry.remove();
            self.passed(task);
            self.write(place, out)?;
        }
        if self.waiting.is_empty() && self.end > 0 {
            // What has been written need not lie on the disk any longer.
            self.file.as_ref().map_or(Ok(()), |file| file.set_len(0))?;
            self.end = 0;
        }
        Ok(())
    }

    fn write(&mut self, place: Place, out: &mut dyn Write) -> io::Result<()> {
        match (place, &mut self.file) {
            (Place::Memory(bytes), _) => {
                self.in_memory -= bytes.len();
                out.write_all(&bytes)
            }
            (Place::File { at, length }, Some(file)) => {
                file.seek(SeekFrom::Start(at))?;
                io::copy(&mut Read::take(file, length), out).map(drop)
            }
            (Place::File { .. }, None) => Ok(()),
        }
    }
}

/// An output that is being put aside: into the file as soon as there is no room in memory.
struct Holding<'a> {
    room: usize,
    bytes: Vec<u8>,
    file: &'a mut Option<File>,
    /// Where it begins in the file.
    at: u64,
    /// How much of it is in the file: nothing or all.
    length: u64,
}

impl Holding<'_> {
    fn spill(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut *self.file {
            Some(file) => file,
            none => none.insert(temporary::file()?),
        };
        file.seek(SeekFrom::Start(self.at + self.length))?;
        for bytes in [&mem::take(&mut self.bytes)[..], bytes] {
            file.write_all(bytes)?;
            self.length += bytes.len() as u64;
        }
        Ok(())
    }
}

impl Write for Holding<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.length > 0 || self.bytes.len() + bytes.len() > self.room {
            self.spill(bytes)?;
        } else {
            self.bytes.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(sequence: &mut Sequence, task: u64, text: &[u8], out: &mut Vec<u8>) {
        if sequence.is_next(task) {
            out.extend_from_slice(text);
            sequence.passed(task);
        } else {
            sequence.hold(task, |to| to.write_all(text)).unwrap();
        }
        sequence.write_ready(out, false).unwrap();
    }

    #[test]
    fn outputs_come_in_order() {
        let (mut sequence, mut out) = (Sequence::new(), Vec::new());
        for (task, text) in [(3, "c"), (1, "a"), (2, ""), (5, "e")] {
            put(&mut sequence, task, text.as_bytes(), &mut out);
        }
        assert_eq!(out, b"ac");
        sequence.write_ready(&mut out, true).unwrap();
        assert_eq!(out, b"ace");
    }

    #[test]
    fn what_is_too_much_waits_in_a_file() {
        let (mut sequence, mut out) = (Sequence::new(), Vec::new());
        let big = |byte: u8| vec![byte; IN_MEMORY / 2 + 1];
        for task in [4, 3, 2] {
            put(&mut sequence, task, &big(task as u8), &mut out);
        }
        assert!(sequence.end > IN_MEMORY as u64 && sequence.in_memory <= IN_MEMORY);
        put(&mut sequence, 1, b"", &mut out);
        assert!(out == [big(2), big(3), big(4)].concat());
        assert_eq!((sequence.in_memory, sequence.end), (0, 0));
        put(&mut sequence, 6, &big(6), &mut out);
        put(&mut sequence, 5, b"x", &mut out);
        assert!(out.ends_with(&[b"x".to_vec(), big(6)].concat()));
    }
}
