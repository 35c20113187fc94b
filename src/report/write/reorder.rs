//! Sorts rows on their way from the buffers to the partial into the order of their tasks, unless a row would have to
//! wait long for those before it. Event loops of short tasks differ by microseconds, so that the partial comes out in
//! the order of the report and becomes it by a rename, instead of being read and written once more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::report::write::batch::{Batch, RowInfo};

/// How long a row may wait for those before it. Together with the time in a buffer, it stays below what users are
/// promised.
const PATIENCE: Duration = Duration::from_millis(30);

/// How far ahead of a missing row other rows may be.
const WINDOW: u64 = 1 << 16;

/// The number of bytes that may wait.
const BYTES: usize = 8 << 20;

/// The number of empty batches that are kept for reuse.
const SPARE: usize = 4;

/// Rows that have been taken from the buffers.
#[derive(Debug)]
pub(in crate::report) struct Reorder {
    /// The first task whose row has not come. `None` if rows are passed on as they come.
    next: Option<u64>,
    /// The locations of the rows of the tasks from `next` on, as far as they have come; without `next`, of waiting
    /// rows.
    window: VecDeque<Option<Spot>>,
    /// First the batches with rows in the window, then whole ones.
    waiting: VecDeque<Waiting>,
    /// How many batches came before those in `waiting`.
    gone: u32,
    spare: Vec<Batch>,
}

/// A batch, some of whose rows have not been passed on.
#[derive(Debug)]
struct Waiting {
    batch: Batch,
    left: usize,
    since: Instant,
}

/// The location of a row.
#[derive(Clone, Copy, Debug)]
struct Spot {
    /// The number of its batch, counted from the first one ever; may wrap.
    batch: u32,
    row: u32,
    /// Where it starts in the bytes of its batch.
    start: usize,
}

/// Which rows are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Pass {
    /// Those with no missing row before them, and those that have waited for too long.
    Ready,
    /// All: there will be no more.
    All,
}

impl Reorder {
    /// Passes rows on in the order of their tasks, from 1, until a row is too late.
    pub(in crate::report) fn in_order() -> Self {
        Self { next: Some(1), ..Self::as_they_come() }
    }

    /// Passes rows on as they come.
    pub(in crate::report) fn as_they_come() -> Self {
        Self {
            next: None,
            window: VecDeque::new(),
            waiting: VecDeque::new(),
            gone: 0,
            spare: Vec::new(),
        }
    }

    /// An empty batch.
    pub(in crate::report) fn spare(&mut self) -> Batch {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes the rows of `batch`.
    pub(in crate::report) fn take(&mut self, batch: Batch, now: Instant) {
        if batch.rows.is_empty() {
            return self.keep(batch);
        }
        if let Some(next) = self.next
            && !self.place(&batch, next)
        {
            self.give_up();
        }
        self.waiting.push_back(Waiting { left: batch.rows.len(), batch, since: now });
    }

    /// Enters the rows of a new batch into the window. Returns false if one of them is too late, or far too early.
    fn place(&mut self, batch: &Batch, next: u64) -> bool {
        let number = self.gone.wrapping_add(self.waiting.len() as u32);
        let mut start = 0;
        for (row, info) in (0..).zip(&batch.rows) {
            let Some(ahead) = info.task.checked_sub(next).filter(|ahead| *ahead < WINDOW) else {
                let is_of_others = |spot: &Spot| spot.batch != number;
                self.window.iter_mut().for_each(|spot| *spot = spot.filter(is_of_others));
                return false;
            };
            let ahead = ahead as usize;
            if ahead >= self.window.len() {
                self.window.resize(ahead + 1, None);
            }
            self.window[ahead] = Some(Spot { batch: number, row, start });
            start += info.length as usize;
        }
        true
    }

    /// When the oldest waiting rows have to be passed on.
    pub(in crate::report) fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|waiting| waiting.since + PATIENCE)
    }

    /// Passes rows to `each` until it has enough or no row is left that may be passed on. Returns whether it had
    /// enough.
    pub(in crate::report) fn pass(
        &mut self,
        which: Pass,
        now: Instant,
        mut each: impl FnMut(&RowInfo, &[u8]) -> Enough,
    ) -> bool {
        if let Some(mut next) = self.next {
            while let Some(&Some(spot)) = self.window.front() {
                self.window.pop_front();
                next += 1;
                self.next = Some(next);
                if self.show(spot, &mut each) == Enough::Yes {
                    return true;
                }
            }
            if which == Pass::Ready && !self.is_overdue(now) {
                return false;
            }
            self.give_up();
        }
        while let Some(Some(spot)) = self.window.pop_front() {
            if self.show(spot, &mut each) == Enough::Yes {
                return true;
            }
        }
        self.pass_batches(&mut each)
    }

    fn is_overdue(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| due <= now)
            || self.waiting.iter().map(|waiting| waiting.batch.size()).sum::<usize>() > BYTES
    }

    /// From now on, rows are passed on as they come; those that are waiting, in the order of their tasks.
    fn give_up(&mut self) {
        self.next = None;
        self.window.retain(Option::is_some);
    }

    fn pass_batches(&mut self, each: &mut impl FnMut(&RowInfo, &[u8]) -> Enough) -> bool {
        let mut enough = false;
        while let Some(waiting) = self.waiting.pop_front() {
            self.gone = self.gone.wrapping_add(1);
            let mut rest = &waiting.batch.bytes[..];
            for info in &waiting.batch.rows {
                let (row, after) = rest.split_at(info.length as usize);
                rest = after;
                enough = each(info, row) == Enough::Yes;
            }
            self.keep(waiting.batch);
            if enough {
                break;
            }
        }
        enough
    }

    fn show(&mut self, spot: Spot, each: &mut impl FnMut(&RowInfo, &[u8]) -> Enough) -> Enough {
        let index = spot.batch.wrapping_sub(self.gone) as usize;
        let waiting = &mut self.waiting[index];
        waiting.left -= 1;
        let info = &waiting.batch.rows[spot.row as usize];
        let row = &waiting.batch.bytes[spot.start..spot.start + info.length as usize];
        let enough = each(info, row);
        while self.waiting.front().is_some_and(|first| first.left == 0) {
            let first = self.waiting.pop_front().expect("it was just seen");
            self.gone = self.gone.wrapping_add(1);
            self.keep(first.batch);
        }
        enough
    }

    fn keep(&mut self, mut batch: Batch) {
        if self.spare.len() < SPARE && batch.bytes.capacity() <= BYTES {
            batch.clear();
            self.spare.push(batch);
        }
    }
}

/// Whether the receiver of rows has enough for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Enough {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::task::Status;

    fn batch(tasks: &[u64]) -> Batch {
        let mut batch = Batch::default();
        for &task in tasks {
            let row = format!("{task}\n");
            batch.bytes.extend_from_slice(row.as_bytes());
            let length = row.len() as u32;
            let status = Status::Ok;
            batch.rows.push(RowInfo {
                task,
                length,
                check: 0,
                identity: 0,
                status,
                times: (None, None),
                ended: None,
            });
        }
        batch
    }

    /// The tasks of the rows that are passed on, five rows at a time.
    fn pass(reorder: &mut Reorder, which: Pass, now: Instant) -> Vec<u64> {
        let mut tasks = Vec::new();
        loop {
            let mut room = 5;
            let enough = reorder.pass(which, now, |info, row| {
                assert_eq!(row, format!("{}\n", info.task).as_bytes());
                tasks.push(info.task);
                room -= 1;
                if room <= 0 { Enough::Yes } else { Enough::No }
            });
            if !enough {
                return tasks;
            }
        }
    }

    #[test]
    fn rows_wait_for_those_before_them_but_not_for_long() {
        let start = Instant::now();
        let mut reorder = Reorder::in_order();
        reorder.take(batch(&[2, 3, 6]), start);
        assert!(pass(&mut reorder, Pass::Ready, start).is_empty());
        reorder.take(batch(&[1, 5, 7]), start);
        assert_eq!(pass(&mut reorder, Pass::Ready, start), [1, 2, 3]);
        assert_eq!(reorder.due(), Some(start + PATIENCE));
        let later = start + PATIENCE;
        reorder.take(batch(&[9]), later);
        assert_eq!(pass(&mut reorder, Pass::Ready, later), [5, 6, 7, 9]);
        reorder.take(batch(&[8, 4]), later);
        reorder.take(batch(&[11, 10]), later);
        assert_eq!(pass(&mut reorder, Pass::Ready, later), [8, 4, 11, 10]);
        assert_eq!(reorder.due(), None);
    }

    #[test]
    fn a_row_that_is_far_ahead_ends_the_waiting() {
        let now = Instant::now();
        let mut reorder = Reorder::in_order();
        reorder.take(batch(&[3, 2]), now);
        reorder.take(batch(&[4, WINDOW + 1]), now);
        assert_eq!(pass(&mut reorder, Pass::Ready, now), [2, 3, 4, WINDOW + 1]);
    }

    #[test]
    fn many_bytes_do_not_wait() {
        let now = Instant::now();
        let mut reorder = Reorder::in_order();
        let mut large = batch(&[2]);
        let row = vec![b'x'; BYTES + 1];
        large.rows[0].length = row.len() as u32;
        large.bytes = row;
        reorder.take(large, now);
        let mut passed = Vec::new();
        reorder.pass(Pass::Ready, now, |info, _| {
            passed.push(info.task);
            Enough::No
        });
        assert_eq!(passed, [2]);
    }

    proptest! {
        #[test]
        fn every_row_is_passed_on_once(
            tasks in Just((1..=60_u64).collect::<Vec<_>>()).prop_shuffle(),
            sizes in prop::collection::vec(0..9_usize, 1..30),
            ordered in any::<bool>(),
        ) {
            let now = Instant::now();
            let mut reorder = if ordered { Reorder::in_order() } else { Reorder::as_they_come() };
            let (mut rest, mut passed) = (&tasks[..], Vec::new());
            for size in sizes {
                let (now_taken, others) = rest.split_at(size.min(rest.len()));
                rest = others;
                reorder.take(batch(now_taken), now);
                passed.extend(pass(&mut reorder, Pass::Ready, now));
            }
            reorder.take(batch(rest), now);
            passed.extend(pass(&mut reorder, Pass::All, now));
            let expected = if ordered { (1..=60).collect() } else { tasks };
            prop_assert_eq!(passed, expected);
        }
    }
}
