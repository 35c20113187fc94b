//! Which inputs are finished: a set that is queried once for every input and takes 12.25 bytes per row.
//!
//! A bucket holds about 16 rows, sorted. Its number stands for the first bits of an identity and each row stores 64
//! others, so that 79 bits are compared with a million rows and 86 with a hundred million: one of 1e10 reports of a
//! hundred million rows would confuse two inputs.

use crate::report::store::state::Entry;
use crate::task::Status;

/// The average number of rows in a bucket.
const BUCKET: u64 = 16;

/// The upper limit of rows, since two bits of a row's number are flags.
pub(in crate::report) const LIMIT: u64 = 1 << 30;

const TAKEN: u32 = 1 << 31;
const FAILED: u32 = 1 << 30;

/// The finished rows, by the identities of their inputs.
#[derive(Clone, Debug)]
pub(in crate::report) struct Finished {
    bits: u32,
    /// Where each bucket ends in `rows`.
    ends: Vec<u32>,
    rows: Vec<Row>,
    left: u64,
    ok: u64,
}

/// Aligned to four bytes, so that it takes 12 bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    key: [u32; 2],
    /// The row's number in the partial, from 0, and the flags.
    place: u32,
}

impl Row {
    /// The sort key. Among equal inputs one that is ok comes first, then the one that ended last: a rerun replaces what
    /// it reran.
    fn rank(self) -> ([u32; 2], u32) {
        (self.key, self.place ^ (FAILED - 1))
    }
}

/// Builds a set: every entry is counted first, then placed.
#[derive(Debug)]
pub(in crate::report) struct Builder(Finished);

impl Builder {
    /// A builder for at most this number of rows.
    pub(in crate::report) fn new(rows: u64) -> Self {
        let bits = (rows / BUCKET).max(1).ilog2();
        Self(Finished { bits, ends: vec![0; 1 << bits], rows: Vec::new(), left: 0, ok: 0 })
    }

    /// Counts a finished row; to be called for each of them.
    pub(in crate::report) fn count(&mut self, entry: &Entry) {
        let bucket = self.0.bucket(entry.identity);
        self.0.ends[bucket] += 1;
        self.0.left += 1;
    }

    /// Allocates the rows; to be called once all rows have been counted, before any is placed.
    pub(in crate::report) fn counted(&mut self) {
        let mut start = 0;
        for end in &mut self.0.ends {
            let count = *end;
            *end = start; // becomes the end as the bucket fills
            start += count;
        }
        self.0.rows = vec![Row::default(); self.0.left as usize];
    }

    /// Places a finished row; to be called for each of them, with its number in the partial.
    pub(in crate::report) fn place(&mut self, entry: &Entry, ordinal: u64) {
        let bucket = self.0.bucket(entry.identity);
        let failed = if entry.status == Status::Failed { FAILED } else { 0 };
        self.0.ok += u64::from(matches!(entry.status, Status::Ok | Status::Skipped));
        let at = &mut self.0.ends[bucket];
        self.0.rows[*at as usize] =
            Row { key: key(entry.identity), place: ordinal as u32 | failed };
        *at += 1;
    }

    pub(in crate::report) fn build(mut self) -> Finished {
        let mut start = 0;
        for &end in &self.0.ends {
            self.0.rows[start..end as usize].sort_unstable_by_key(|row| row.rank());
            start = end as usize;
        }
        self.0
    }
}

impl Finished {
    fn bucket(&self, identity: u128) -> usize {
        (identity >> 64 << self.bits >> 64) as usize
    }

    /// Takes a finished row for an input of this identity, and returns its number, and whether it has failed.
    pub(in crate::report) fn take(&mut self, identity: u128) -> Option<(u64, bool)> {
        let bucket = self.bucket(identity);
        let start = if bucket == 0 { 0 } else { self.ends[bucket - 1] as usize };
        let rows = &mut self.rows[start..self.ends[bucket] as usize];
        let key = key(identity);
        // Rows of equal inputs are taken in their order, so that a million of them are found as fast.
        let first =
            rows.partition_point(|row| row.key < key || (row.key == key && row.place & TAKEN != 0));
        let row = rows.get_mut(first).filter(|row| row.key == key)?;
        let place = row.place;
        row.place |= TAKEN;
        self.left -= 1;
        Some((u64::from(place & (FAILED - 1)), place & FAILED != 0))
    }

    /// How many rows are ok, taken or not.
    pub(in crate::report) fn ok(&self) -> u64 {
        self.ok
    }

    /// How many rows have not been taken.
    pub(in crate::report) fn left(&self) -> u64 {
        self.left
    }

    /// The rows that have not been taken, in the order of the partial.
    pub(in crate::report) fn remaining(&self) -> Vec<u64> {
        let mut rows: Vec<u64> = self
            .rows
            .iter()
            .filter(|row| row.place & TAKEN == 0)
            .map(|row| u64::from(row.place & (FAILED - 1)))
            .collect();
        rows.sort_unstable();
        rows
    }
}

fn key(identity: u128) -> [u32; 2] {
    [(identity >> 32) as u32, identity as u32]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::report::Identities;
    use crate::report::store::identify::Identify;
    use crate::task::Fields;

    fn set(rows: &[(u128, Status)]) -> Finished {
        let entry = |&(identity, status): &(u128, Status)| Entry {
            identity,
            offset: 0,
            length: 1,
            check: 0,
            status,
            is_replaced: false,
        };
        let mut builder = Builder::new(rows.len() as u64);
        for row in rows {
            builder.count(&entry(row));
        }
        builder.counted();
        for (ordinal, row) in (0..).zip(rows) {
            builder.place(&entry(row), ordinal);
        }
        builder.build()
    }

    #[test]
    fn equal_inputs_are_found_as_often_as_there_are_rows() {
        let ok = Status::Ok;
        let mut finished = set(&[(7, Status::Failed), (7, ok), (8, ok), (7, ok)]);
        let taken: Vec<_> = (0..4).map(|_| finished.take(7).map(|(row, _)| row)).collect();
        assert_eq!(taken, [Some(3), Some(1), Some(0), None]);
        assert_eq!((finished.take(9), finished.left()), (None, 1));
        assert_eq!(finished.remaining(), [2]);
        assert_eq!(set(&[]).take(0), None);
    }

    #[test]
    fn many_equal_inputs_take_no_longer() {
        let mut finished = set(&vec![(7, Status::Ok); 300_000]);
        assert!((0..300_000).all(|_| finished.take(7).is_some()));
        assert_eq!(finished.take(7), None);
    }

    proptest! {
        #[test]
        fn it_is_a_multiset(inputs in prop::collection::vec(0..50_u64, 0..600), asked in prop::collection::vec(0..60_u64, 0..600)) {
            let mut identify = Identify::new(Identities { seed: 3, tells_kinds: true }, usize::MAX);
            let mut of = |input: u64| identify.of(&Fields::single(input.to_string()));
            let rows: Vec<_> = inputs.iter().map(|&input| (of(input), Status::Ok)).collect();
            let mut finished = set(&rows);
            let mut model = HashMap::<u64, usize>::new();
            for &input in &inputs {
                *model.entry(input).or_default() += 1;
            }
            for input in asked {
                let there = model.get_mut(&input).filter(|count| **count > 0);
                let taken = finished.take(of(input));
                prop_assert_eq!(taken.is_some(), there.is_some());
                if let (Some((row, _)), Some(count)) = (taken, there) {
                    *count -= 1;
                    prop_assert_eq!(inputs[row as usize], input);
                }
            }
            prop_assert_eq!(finished.left() as usize, model.values().sum::<usize>());
        }
    }
}
