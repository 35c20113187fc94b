//! The records of several files, one file after another.

use std::sync::Arc;

use super::Files;
use crate::job::inputs::InputError;
use crate::job::inputs::records::{Records, Stop};
use crate::task::Fields;

/// Several files, opened as their turn comes.
pub(super) struct OneByOne {
    files: Arc<Files>,
    index: usize,
    current: Option<Box<dyn Records>>,
    stop: Stop,
    is_seekable: bool,
}

/// Bits of a position that are the place in its file: a TiB.
const PLACE_BITS: u32 = 40;

impl OneByOne {
    /// The records of `files`.
    pub fn new(files: Arc<Files>, stop: Stop) -> Self {
        Self { files, index: 0, current: None, stop, is_seekable: false }
    }

    /// Opens the file at `index`.
    pub fn enter(&mut self, index: usize) -> Result<(), InputError> {
        self.index = index;
        self.current = None;
        let mut records = self.files.open_one(&self.files.all[index], &self.stop)?;
        if self.is_seekable {
            records.make_seekable(&self.stop)?;
        }
        self.current = Some(records);
        Ok(())
    }
}

impl Records for OneByOne {
    fn next_record(&mut self) -> Option<Result<Fields, InputError>> {
        loop {
            let record = self.current.as_mut()?.next_record();
            match record {
                Some(Ok(mut fields)) => {
                    if self.files.says_file && fields.cause().is_none() {
                        fields.push(self.files.all[self.index].name_bytes());
                    }
                    return Some(Ok(fields));
                }
                Some(Err(error)) => return Some(Err(error)),
                None if self.index + 1 == self.files.all.len() => return None,
                None => {
                    if let Err(error) = self.enter(self.index + 1) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    fn position(&mut self) -> u64 {
        let place = self.current.as_mut().map_or(0, |records| records.position());
        (self.index as u64) << PLACE_BITS | place
    }

    fn place(&mut self) -> Option<String> {
        self.current.as_mut()?.place()
    }

    fn seek(&mut self, position: u64) -> Result<(), InputError> {
        let index = (position >> PLACE_BITS) as usize;
        if index != self.index || self.current.is_none() {
            self.enter(index)?;
        }
        let place = position & ((1 << PLACE_BITS) - 1);
        self.current.as_mut().map_or(Ok(()), |records| records.seek(place))
    }

    fn make_seekable(&mut self, stop: &Stop) -> Result<(), InputError> {
        self.is_seekable = true;
        self.current.as_mut().map_or(Ok(()), |records| records.make_seekable(stop))
    }
}
