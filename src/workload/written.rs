//! The content of the files that tasks write in one run of a comparison: they are not kept, but compared.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The hashes of what tasks have written.
#[derive(Debug, Default)]
pub struct WrittenFiles(Mutex<BTreeMap<(u64, Place), u64>>);

/// Which of a task's files it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The standard output of this stage.
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
        let content = content(file)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((task, place), content);
        Ok(())
    }

    /// The hash of all that the task with this number has written; `None` if it has written nothing.
    pub fn of(&self, task: u64) -> Option<u64> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

/// The hash of all that is in a file.
///
/// # Errors
/// If it cannot be read.
pub fn content(file: &File) -> io::Result<u64> {
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at) {
            Ok(0) => return Ok(hash.digest()),
            Ok(length) => {
                at += length as u64;
                hash.update(&buffer[..length]);
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
