//! The rows of tasks that are to run again. Such a row stays where its task is not started after all: what was spent for it,
//! and how it ended, is still so.

use crate::report::resume::row_numbers::number_of;
use crate::report::store::state::Entry;

const TAKEN: u32 = 1 << 31;

/// The rows that are to be replaced, by the identities of their inputs.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct Unfinished(Vec<Row>);

#[derive(Clone, Copy, Debug)]
struct Row {
    identity: u128,
    /// The number that the task had, as the row has it.
    task: u32,
    /// The row's number in the partial, from 0, and the flag.
    place: u32,
}

impl Unfinished {
    /// Adds the row at this place; to be called in the order of the rows.
    pub(in crate::report) fn add(&mut self, entry: &Entry, row: &[u8], place: u64) {
        let task = task_of(number_of(row));
        self.0.push(Row { identity: entry.identity, task, place: place as u32 });
    }

    /// To be called once all have been added: of several rows of one task the last one counts.
    pub(in crate::report) fn added(&mut self) {
        self.0.sort_unstable_by_key(|row| (row.identity, row.task, row.place));
        self.0.reverse();
        self.0.dedup_by_key(|row| (row.identity, row.task));
        self.0.reverse();
    }

    /// Whether there is a row of this identity.
    pub(in crate::report) fn has(&self, identity: u128) -> bool {
        !self.0.is_empty() && self.0.binary_search_by_key(&identity, |row| row.identity).is_ok()
    }

    /// The task of this identity, which had this number, has a finished row at `place`: what it had before is replaced.
    pub(in crate::report) fn finish(&mut self, identity: u128, number: Option<u64>, place: u64) {
        let key = (identity, task_of(number));
        if let Ok(at) = self.0.binary_search_by_key(&key, |row| (row.identity, row.task))
            && u64::from(self.0[at].place) < place
        {
            self.0[at].place |= TAKEN;
        }
    }

    /// To be called once all finished rows are known.
    pub(in crate::report) fn known(&mut self) {
        self.0.retain(|row| row.place & TAKEN == 0);
    }

    /// Takes a row for an input of this identity, and returns its place.
    pub(in crate::report) fn take(&mut self, identity: u128) -> Option<u64> {
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

fn task_of(number: Option<u64>) -> u32 {
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Status;

    fn set(rows: &[(u128, u64)]) -> Unfinished {
        let mut unfinished = Unfinished::default();
        for (place, &(identity, task)) in (0..).zip(rows) {
            let entry = Entry { identity, offset: 0, length: 1, check: 0, status: Status::Timeout };
            unfinished.add(&entry, format!("{task},x").as_bytes(), place);
        }
        unfinished.added();
        unfinished
    }

    #[test]
    fn the_last_row_of_a_task_counts() {
        let mut rows = set(&[(7, 1), (8, 2), (7, 1), (7, 3)]);
        assert_eq!(rows.remaining(), [1, 2, 3]);
        assert_eq!([rows.take(7), rows.take(7), rows.take(7)], [Some(2), Some(3), None]);
        assert_eq!((rows.take(9), rows.remaining()), (None, vec![1]));
    }

    #[test]
    fn a_finished_row_replaces_what_its_task_had_before() {
        let mut rows = set(&[(7, 1), (7, 2), (8, 3)]);
        rows.finish(7, Some(2), 5);
        rows.finish(8, Some(3), 1); // it is older than the other one
        rows.finish(9, Some(4), 6);
        rows.known();
        assert!(rows.has(7) && rows.has(8) && !rows.has(9));
        assert_eq!(rows.remaining(), [0, 2]);
    }
}
