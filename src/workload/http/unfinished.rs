//! What an answer is written to: a file that has its name only once it is whole, or a device or pipe that gets the bytes
//! as they come.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::save::{Place, failed};
use crate::workload::device::open_without_waiting;
use crate::workload::draft::Draft;

/// What is not whole yet. A file that is dropped before is gone.
#[derive(Debug)]
pub struct Unfinished {
    to: To,
    path: PathBuf,
}

#[derive(Debug)]
enum To {
    File(Draft),
    /// It may be slow to take what has come: that waits here.
    Device(File, Vec<u8>),
}

impl Unfinished {
    /// A file that is to be called `path`.
    ///
    /// # Errors
    /// If it cannot be made in that folder.
    pub fn file(path: &Path) -> io::Result<Self> {
        Ok(Self { to: To::File(Draft::new(path)?), path: path.to_owned() })
    }

    /// The device or pipe at `path`.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn device(path: &Path) -> io::Result<Self> {
        let file = open_without_waiting(path)?;
        Ok(Self { to: To::Device(file, Vec::new()), path: path.to_owned() })
    }

    /// Whether it can be resumed by another attempt.
    pub fn is_file(&self) -> bool {
        matches!(self.to, To::File(_))
    }

    /// Appends to it. Into the page cache, mostly, which costs less than asking another thread to do it.
    ///
    /// # Errors
    /// In words.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.to {
            To::File(draft) => draft.file().write_all(bytes),
            To::Device(_, waiting) => {
                waiting.extend_from_slice(bytes);
                return Ok(());
            }
        }
        .map_err(|error| failed(&self.path, &error))
    }

    /// Gives a device what it takes now; whether nothing waits any more.
    ///
    /// # Errors
    /// In words.
    pub fn pass_on(&mut self) -> Result<bool, String> {
        let To::Device(file, waiting) = &mut self.to else { return Ok(true) };
        while !waiting.is_empty() {
            match file.write(waiting) {
                Ok(0) => break,
                Ok(written) => drop(waiting.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(failed(&self.path, &error)),
            }
        }
        Ok(waiting.is_empty())
    }

    /// Reads what was written so far, block by block; what is written next comes after it.
    ///
    /// # Errors
    /// In words, or as `take` says.
    pub fn read_back(
        &mut self,
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let To::File(draft) = &self.to else { return Ok(()) };
        let mut block = vec![0; 64 << 10];
        let mut at = 0;
        loop {
            let read = draft.file().read_at(&mut block, at);
            match read.map_err(|error| failed(&self.path, &error))? {
                0 => return Ok(()),
                length => {
                    take(&block[..length])?;
                    at += length as u64;
                }
            }
        }
    }

    /// Has it get the name of `place`, which an attempt may have of its own. False: that is in another folder, perhaps on
    /// another file system.
    pub fn is_for(&mut self, place: &Place) -> bool {
        let path = place.path();
        let is_near = self.is_file() && path.parent() == self.path.parent();
        if is_near {
            self.path = path;
        }
        is_near
    }

    /// Gives it its name, in place of what had it before.
    ///
    /// # Errors
    /// In words.
    pub fn finish(self) -> Result<(), String> {
        let Self { to: To::File(draft), path } = self else { return Ok(()) };
        draft.persist(&path).map_err(|error| failed(&path, &error))
    }
}
