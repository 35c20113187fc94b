//! Rows that the recorder takes and writes together.

use std::time::Duration;

use crate::report::stats::Totals;
use crate::task::{Moment, Record, Status};

/// Rows that are written together, and what the recorder has to know about them.
#[derive(Debug, Default)]
pub(in crate::report) struct Batch {
    pub(in crate::report) bytes: Vec<u8>,
    pub(in crate::report) rows: Vec<RowInfo>,
    pub(in crate::report) totals: Totals,
    /// Rows of single attempts, for `<job>.attempts.csv`.
    pub(in crate::report) attempts: Vec<u8>,
    /// Inputs that their rows do not hold.
    pub(in crate::report) originals: Vec<u8>,
}

/// What the recorder has to know about a row.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct RowInfo {
    /// The task's number.
    pub(in crate::report) task: u64,
    /// The length in bytes.
    pub(in crate::report) length: u32,
    /// The checksum for the state.
    pub(in crate::report) check: u32,
    /// The identity of the input, for the state.
    pub(in crate::report) identity: u128,
    pub(in crate::report) status: Status,
    /// The queue and the run time that the row has.
    pub(in crate::report) times: (Option<Duration>, Option<Duration>),
    /// When the task ended, as far as is known here.
    pub(in crate::report) ended: Option<Moment>,
}

impl Batch {
    /// Puts the rows into the order in which their tasks ended; one that has not run stays after the one before it.
    pub(in crate::report) fn sort_by_end(&mut self) {
        let mut last = None;
        for info in &mut self.rows {
            info.ended = info.ended.or(last);
            last = info.ended;
        }
        if self.rows.is_sorted_by_key(|info| info.ended) {
            return;
        }
        let mut start = 0;
        let place = |info: &RowInfo| {
            start += info.length as usize;
            (*info, start - info.length as usize)
        };
        let mut rows: Vec<(RowInfo, usize)> = self.rows.iter().map(place).collect();
        rows.sort_by_key(|(info, _)| info.ended);
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for (info, start) in &rows {
            bytes.extend_from_slice(&self.bytes[*start..*start + info.length as usize]);
        }
        self.bytes = bytes;
        self.rows = rows.into_iter().map(|(info, _)| info).collect();
    }

    pub(in crate::report) fn push(
        &mut self,
        record: &Record,
        row: &[u8],
        (identity, check): (u128, u32),
    ) {
        self.bytes.extend_from_slice(row);
        let times = record.times();
        self.rows.push(RowInfo {
            task: record.task.number,
            length: row.len() as u32,
            check,
            identity,
            status: record.outcome.status,
            times,
            ended: record.outcome.has_run.then(|| record.outcome.started + record.outcome.run),
        });
        self.totals.add(&record.outcome);
    }

    /// The number of bytes of all rows.
    pub(in crate::report) fn size(&self) -> usize {
        self.bytes.len() + self.attempts.len() + self.originals.len()
    }

    /// Moves all rows of `other` to the end of this batch.
    pub(in crate::report) fn append(&mut self, other: &mut Batch) {
        self.bytes.append(&mut other.bytes);
        self.rows.append(&mut other.rows);
        self.totals.merge(&std::mem::take(&mut other.totals));
        self.attempts.append(&mut other.attempts);
        self.originals.append(&mut other.originals);
    }

    pub(in crate::report) fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
        self.totals = Totals::default();
        self.attempts.clear();
        self.originals.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_put_into_the_order_of_their_ends() {
        let mut batch = Batch::default();
        for (task, row, ended) in
            [(1, "a\n", Some(30)), (2, "bb\n", None), (3, "c\n", Some(10)), (4, "d\n", Some(10))]
        {
            batch.bytes.extend_from_slice(row.as_bytes());
            batch.rows.push(RowInfo {
                task,
                length: row.len() as u32,
                check: 0,
                identity: 0,
                status: Status::Ok,
                times: (None, None),
                ended: ended.map(Moment::from_nanos),
            });
        }
        batch.sort_by_end();
        assert_eq!(batch.bytes, b"c\nd\na\nbb\n");
        assert_eq!(batch.rows.iter().map(|row| row.task).collect::<Vec<_>>(), [3, 4, 1, 2]);
        let before = batch.bytes.clone();
        batch.sort_by_end();
        assert_eq!(batch.bytes, before);
    }
}
