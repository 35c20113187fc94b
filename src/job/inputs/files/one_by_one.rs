//! The records of several files, one file after another.

use std::io;
use std::sync::Arc;

use super::Files;
use super::again::Again;
use crate::job::inputs::InputError;
use crate::job::inputs::records::{Records, Stop};
use crate::task::Fields;

/// Several files, opened as their turn comes.
pub(super) struct OneByOne {
    files: Arc<Files>,
    index: usize,
    current: Option<Box<dyn Records>>,
    stop: Stop,
    /// If it is going to be read in another order.
    again: Option<Again>,
    /// Where the record is that is due, if it was sought.
    sought: Option<Sought>,
}

/// Where a record is that was sought.
enum Sought {
    /// The next one of the current file.
    Open,
    /// Kept at this place.
    Kept(u64),
}

/// Bits of a position that are the place in its file: a TiB.
const PLACE_BITS: u32 = 40;

impl OneByOne {
    /// The records of `files`.
    pub fn new(files: Arc<Files>, stop: Stop) -> Self {
        Self { files, index: 0, current: None, stop, again: None, sought: None }
    }

    /// Opens the file whose turn it is, and notes how it is if it is going to be read in another order.
    fn enter(&mut self) -> Result<(), InputError> {
        let mut records = self.files.open_one(&self.files.all[self.index], &self.stop)?;
        if let Some(again) = &mut self.again {
            let stamp = records.stamp();
            again.note(self.index, stamp);
            if stamp.is_some() {
                records.make_seekable(&self.stop)?;
            }
        }
        self.current = Some(records);
        Ok(())
    }

    /// Leaves the current file, or one that could not be opened.
    fn leave(&mut self) {
        if let (Some(again), Some(records)) = (&mut self.again, self.current.take()) {
            again.put(self.index, records);
        }
        self.current = None;
        self.index += 1;
    }

    /// The datum that a file is which cannot be opened: it costs no other one.
    fn unusable(&self, error: InputError) -> Result<Fields, InputError> {
        if self.stop.is_raised() {
            return Err(error);
        }
        Ok(Fields::bad(error.to_string(), self.files.all[self.index].name_bytes()))
    }

    /// Keeps a record that cannot be read again where it is.
    fn keep(&mut self, fields: &Fields) -> Result<(), InputError> {
        let Some(again) = self.again.as_mut().filter(|again| again.stamp(self.index).is_none())
        else {
            return Ok(());
        };
        if again.kept.end() >> PLACE_BITS > 0 {
            let message = "there is more than 1 TiB of inputs to be kept for `shuffle`";
            return Err(InputError::new(message.into()));
        }
        again.kept.push(fields).map_err(|error| self.unkept(&error))
    }

    fn unkept(&self, error: &io::Error) -> InputError {
        let file = self.files.all.get(self.index).unwrap_or(&self.files.all[0]);
        InputError::new(format!("failed to keep the inputs of {file} for `shuffle`: {error}"))
    }

    /// A record of the current file, with its name.
    fn named(&self, mut fields: Fields) -> Fields {
        if self.files.says_file && fields.cause().is_none() {
            fields.push(self.files.all[self.index].name_bytes());
        }
        fields
    }

    /// The record that was sought, of which nothing but itself is read.
    fn due(&mut self, sought: &Sought) -> Option<Result<Fields, InputError>> {
        match sought {
            Sought::Open => {
                let record = self.current.as_mut()?.next_record()?;
                Some(record.map(|fields| self.named(fields)))
            }
            Sought::Kept(place) => {
                let fields = self.again.as_mut()?.kept.at(*place);
                Some(fields.map_err(|error| self.unkept(&error)))
            }
        }
    }
}

impl Records for OneByOne {
    fn next_record(&mut self) -> Option<Result<Fields, InputError>> {
        match self.sought.take() {
            Some(sought) => self.due(&sought),
            None => self.next_placed().map(|(_, record)| record),
        }
    }

    /// A position is asked for in the file that has the record: the end of one is not the start of the next.
    fn next_placed(&mut self) -> Option<(u64, Result<Fields, InputError>)> {
        loop {
            if self.current.is_none() && self.index < self.files.all.len() {
                let position = (self.index as u64) << PLACE_BITS;
                if let Err(error) = self.enter() {
                    let record = self.unusable(error);
                    self.leave();
                    return Some((position, record));
                }
            }
            let position = self.position();
            match self.current.as_mut()?.next_record() {
                Some(Ok(fields)) => {
                    let fields = self.named(fields);
                    let kept = self.keep(&fields);
                    return Some((position, kept.map(|()| fields)));
                }
                Some(Err(error)) => return Some((position, Err(error))),
                None => self.leave(),
            }
        }
    }

    fn position(&mut self) -> u64 {
        let kept = self.again.as_ref().filter(|again| again.stamp(self.index).is_none());
        let place = match kept {
            Some(again) => again.kept.end(),
            None => self.current.as_mut().map_or(0, |records| records.position()),
        };
        (self.index as u64) << PLACE_BITS | place
    }

    fn place(&mut self) -> Option<String> {
        self.current.as_mut()?.place()
    }

    fn seek(&mut self, position: u64) -> Result<(), InputError> {
        let (index, place) =
            ((position >> PLACE_BITS) as usize, position & ((1 << PLACE_BITS) - 1));
        let Some(again) = &mut self.again else { return Ok(()) };
        let Some(stamp) = again.stamp(index) else {
            self.sought = Some(Sought::Kept(place));
            return Ok(());
        };
        if index != self.index || self.current.is_none() {
            if let Some(records) = self.current.take() {
                again.put(self.index, records);
            }
            self.index = index;
            let records = if let Some(records) = again.take(index) {
                records
            } else {
                let open = || self.files.open_again(&self.files.all[index], &self.stop);
                // The descriptors of the others may be those that are lacking.
                let opened = open().or_else(|_| {
                    again.close();
                    open()
                });
                let mut records = opened?;
                records.expect(stamp)?;
                records
            };
            self.current = Some(records);
        }
        self.sought = Some(Sought::Open);
        self.current.as_mut().map_or(Ok(()), |records| records.seek(place))
    }

    fn make_seekable(&mut self, _: &Stop) -> Result<(), InputError> {
        self.again = Some(Again::default());
        Ok(())
    }
}
