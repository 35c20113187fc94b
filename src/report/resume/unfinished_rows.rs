//! The rows of tasks that are to run again. Such a row stays where its task is not started after all: what was spent for it,
//! and how it ended, is still so.

use crate::report::store::state::Entry;

const TAKEN: u32 = 1 << 31;

/// The rows that are to be replaced, by the identities of their inputs.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct Unfinished(Vec<Row>);

#[derive(Clone, Copy, Debug)]
struct Row {
    identity: u128,
    /// The row's number in the partial, from 0, and the flag.
    place: u32,
}

impl Unfinished {
    /// Adds the row at this place.
    pub(in crate::report) fn add(&mut self, entry: &Entry, place: u64) {
        self.0.push(Row { identity: entry.identity, place: place as u32 });
    }

    /// To be called once all have been added.
    pub(in crate::report) fn added(&mut self) {
        self.0.sort_unstable_by_key(|row| (row.identity, row.place));
    }

    /// Takes a row for an input of this identity, and returns its place.
    pub(in crate::report) fn take(&mut self, identity: u128) -> Option<u64> {
        // Rows of equal inputs are taken in their order, so that a million of them are found as fast.
        let is_before = |row: &Row| {
            row.identity < identity || (row.identity == identity && row.place & TAKEN != 0)
        };
        let at = self.0.partition_point(is_before);
        let row = self.0.get_mut(at).filter(|row| row.identity == identity)?;
        let place = row.place;
        row.place |= TAKEN;
        Some(u64::from(place))
    }

    /// The places of the rows that have not been taken, in the order of the partial.
    pub(in crate::report) fn remaining(&self) -> Vec<u64> {
        let left = self.0.iter().filter(|row| row.place & TAKEN == 0);
        let mut places: Vec<u64> = left.map(|row| u64::from(row.place)).collect();
        places.sort_unstable();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Status;

    #[test]
    fn each_row_is_taken_once() {
        let mut rows = Unfinished::default();
        for (place, identity) in (0..).zip([7, 8, 7]) {
            let status = Status::Timeout;
            let entry =
                Entry { identity, offset: 0, length: 1, check: 0, status, is_replaced: false };
            rows.add(&entry, place);
        }
        rows.added();
        assert_eq!(rows.remaining(), [0, 1, 2]);
        assert_eq!([rows.take(7), rows.take(7), rows.take(7)], [Some(0), Some(2), None]);
        assert_eq!((rows.take(9), rows.remaining()), (None, vec![1]));
    }
}
