//! The content of the files that tasks write in one run of a comparison: they are not kept, but compared.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::base::lock;

/// The hashes of what tasks have written.
#[derive(Debug, Default)]
pub struct WrittenFiles(Mutex<BTreeMap<(u64, Place), u64>>);

/// Which of a task's files it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// What this stage has put out: standard output, the body of an answer.
    Output(usize),
    /// The one at this index of `creates`.
    Made(usize),
}

impl WrittenFiles {
    /// Notes what the task with this number has written, in place of what an earlier attempt has.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn add(&self, task: u64, place: Place, file: &File) -> io::Result<()> {
        self.put(task, place, content(file)?);
        Ok(())
    }

    /// Notes the hash of what the task with this number has put out, in place of an earlier attempt's.
    pub fn put(&self, task: u64, place: Place, content: u64) {
        lock(&self.0).insert((task, place), content);
    }

    /// The hash of all that the task with this number has written; `None` if it has written nothing.
    pub fn of(&self, task: u64) -> Option<u64> {
        let all = lock(&self.0);
        let first = (task, Place::Output(0));
        let last = (task, Place::Made(usize::MAX));
        let mut bytes = Vec::new();
        for ((_, place), content) in all.range(first..=last) {
            let (kind, index) = match place {
                Place::Output(stage) => (0_u8, *stage),
                Place::Made(index) => (1, *index),
            };
            bytes.push(kind);
            bytes.extend_from_slice(&index.to_le_bytes());
            bytes.extend_from_slice(&content.to_le_bytes());
        }
        (!bytes.is_empty()).then(|| xxh3_64(&bytes))
    }
}

/// The hash of bytes that come in pieces.
#[derive(Default)]
pub struct ContentHash(Box<Xxh3>);

impl ContentHash {
    /// Adds the next piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// Forgets what has come.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// The hash of all that has come.
    pub fn value(&self) -> u64 {
        self.0.digest()
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ContentHash").field(&self.value()).finish()
    }
}

/// The hash of all that is in a file.
///
/// # Errors
/// If it cannot be read.
pub fn content(file: &File) -> io::Result<u64> {
    let mut hash = ContentHash::default();
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at) {
            Ok(0) => return Ok(hash.value()),
            Ok(length) => {
                at += length as u64;
                hash.add(&buffer[..length]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn all_that_a_task_writes_counts() {
        let file = |text: &str| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        let written = |files: &[(u64, Place, &str)]| {
            let written = WrittenFiles::default();
            for &(task, place, text) in files {
                written.add(task, place, &file(text)).unwrap();
            }
            written.of(2)
        };
        let output = Place::Output(0);
        assert_eq!(written(&[(1, output, "a"), (3, Place::Made(0), "a")]), None);
        let one = written(&[(2, output, "a"), (2, Place::Made(1), "b")]);
        assert_eq!(one, written(&[(2, Place::Made(1), "b"), (1, output, "x"), (2, output, "a")]));
        assert_ne!(one, written(&[(2, output, "a"), (2, Place::Made(0), "b")]));
        assert_ne!(one, written(&[(2, output, "a"), (2, Place::Made(1), "c")]));
        assert_eq!(
            written(&[(2, output, "old"), (2, output, "new")]),
            written(&[(2, output, "new")])
        );
    }
}
