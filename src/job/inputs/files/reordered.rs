//! Tables whose columns stand in another order than those of the first one.

use crate::job::inputs::InputError;
use crate::job::inputs::records::{Records, Stop};
use crate::job::inputs::stamp::Stamp;
use crate::task::Fields;

/// The columns of a table in another order than they stand in.
pub(super) struct Reordered {
    pub records: Box<dyn Records>,
    pub order: Vec<usize>,
}

impl Records for Reordered {
    fn next_record(&mut self) -> Option<Result<Fields, InputError>> {
        let record = self.records.next_record()?;
        Some(record.map(|fields| match fields.cause() {
            Some(_) => fields,
            None => fields.in_order(&self.order),
        }))
    }

    fn position(&mut self) -> u64 {
        self.records.position()
    }

    fn place(&mut self) -> Option<String> {
        self.records.place()
    }

    fn seek(&mut self, position: u64) -> Result<(), InputError> {
        self.records.seek(position)
    }

    fn make_seekable(&mut self, stop: &Stop) -> Result<(), InputError> {
        self.records.make_seekable(stop)
    }

    fn stamp(&mut self) -> Option<Stamp> {
        self.records.stamp()
    }

    fn expect(&mut self, stamp: Stamp) -> Result<(), InputError> {
        self.records.expect(stamp)
    }

    fn held(&mut self) -> usize {
        self.records.held()
    }
}
