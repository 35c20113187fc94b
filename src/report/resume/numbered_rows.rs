//! The rows of a report by their inputs, and by the numbers that their tasks had: of equal inputs each has a row of its own.

use std::collections::HashMap;

/// Where a row is, and its length.
pub(in crate::report) type Place = (u64, u32);

/// The rows, in the order of their identities and numbers.
#[derive(Debug, Default)]
pub(in crate::report) struct NumberedRows {
    rows: Vec<Row>,
    /// For the first row of an identity, which one is handed out next.
    next: HashMap<usize, usize>,
}

/// One row. The identity is in two halves, for which it takes 40 bytes and not 48.
#[derive(Clone, Copy, Debug)]
struct Row {
    identity: [u64; 2],
    number: u64,
    offset: u64,
    length: u32,
    is_given: bool,
}

impl Row {
    fn key(&self) -> ([u64; 2], u64) {
        (self.identity, self.number)
    }

    fn give(&mut self) -> Place {
        self.is_given = true;
        (self.offset, self.length)
    }
}

impl NumberedRows {
    /// Adds the row of the task with this identity and number.
    pub(in crate::report) fn push(&mut self, identity: u128, number: u64, place: Place) {
        let (identity, (offset, length)) = (halves(identity), place);
        self.rows.push(Row { identity, number, offset, length, is_given: false });
    }

    /// Puts them in order; to be called once all have been added. Of one task the last row counts.
    pub(in crate::report) fn sort(&mut self) {
        self.rows.reverse();
        self.rows.sort_by_key(Row::key);
        self.rows.dedup_by_key(|row| row.key());
        self.rows.shrink_to_fit();
    }

    /// How many there are.
    pub(in crate::report) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The row of the task with this identity and number.
    pub(in crate::report) fn take(&mut self, identity: u128, number: u64) -> Option<Place> {
        let at = self.rows.binary_search_by_key(&(halves(identity), number), Row::key).ok()?;
        Some(self.rows[at].give())
    }

    /// Whether a task had this identity.
    pub(in crate::report) fn has(&self, identity: u128) -> bool {
        let identity = halves(identity);
        let first = self.first(identity);
        self.rows.get(first).is_some_and(|row| row.identity == identity)
    }

    /// The first row of this identity that nobody has been given.
    pub(in crate::report) fn take_any(&mut self, identity: u128) -> Option<Place> {
        let identity = halves(identity);
        let first = self.first(identity);
        let is_one = |row: &Row| row.identity == identity;
        // Where the last search ended, so that a million equal inputs are served as fast.
        let next = self.next.entry(first).or_insert(first);
        while self.rows.get(*next).is_some_and(|row| is_one(row) && row.is_given) {
            *next += 1;
        }
        self.rows.get_mut(*next).filter(|row| is_one(row)).map(Row::give)
    }

    fn first(&self, identity: [u64; 2]) -> usize {
        self.rows.partition_point(|row| row.identity < identity)
    }
}

fn halves(identity: u128) -> [u64; 2] {
    [(identity >> 64) as u64, identity as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_inputs_have_rows_of_their_own() {
        let mut rows = NumberedRows::default();
        for (identity, number, offset) in
            [(7, 3, 30), (7, 1, 10), (8, 4, 40), (7, 2, 20), (7, 2, 21), (1 << 100, 5, 50)]
        {
            rows.push(identity, number, (offset, 1));
        }
        rows.sort();
        assert_eq!(rows.len(), 5);
        assert_eq!(rows.take(7, 2), Some((21, 1)), "the last one of a task");
        assert_eq!((rows.take(7, 4), rows.take(9, 1)), (None, None));
        assert_eq!(rows.take_any(7), Some((10, 1)));
        assert_eq!(rows.take_any(7), Some((30, 1)), "the second one is given");
        assert_eq!((rows.take_any(7), rows.take_any(9)), (None, None));
        assert_eq!((rows.has(7), rows.has(9), rows.has(u128::MAX)), (true, false, false));
        assert_eq!(rows.take(7, 1), Some((10, 1)), "whose own it is");
        assert_eq!(rows.take_any(8), Some((40, 1)));
        assert_eq!(rows.take_any(1 << 100), Some((50, 1)));
    }
}
