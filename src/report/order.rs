//! Input order: where the row of every task stands in the partial, and how the rows get into the order of the tasks.

use std::io::{self, Write};

use crate::report::partial::Partial;

/// So many bytes of the report are put together in memory at once.
const PIECE: usize = 4 << 20;

/// Rows that lie no further apart than this are read at once, together with what is between them.
const GAP: u64 = 16 << 10;

/// Never read more at once, unless a single row is longer.
const READ: u64 = 1 << 20;

/// Where the rows are: 12 bytes a task.
#[derive(Debug)]
pub(super) struct Index {
    header: u64,
    /// By task, from 1; for a task without a row the length is 0.
    offsets: Vec<u64>,
    lengths: Vec<u32>,
    rows: u64,
    last: u64,
    in_order: bool,
}

/// A row on its way from the partial to its place in a piece.
struct Move {
    from: u64,
    length: u32,
    to: u32,
}

impl Index {
    /// The rows follow a header of so many bytes.
    pub(super) fn new(header: u64) -> Self {
        Self { header, offsets: Vec::new(), lengths: Vec::new(), rows: 0, last: 0, in_order: true }
    }

    /// The row of `task` is at `offset`.
    pub(super) fn add(&mut self, task: u64, offset: u64, length: u32) {
        let at = task as usize - 1;
        if at >= self.offsets.len() {
            self.offsets.resize(at + 1, 0);
            self.lengths.resize(at + 1, 0);
        }
        self.offsets[at] = offset;
        self.lengths[at] = length;
        self.rows += 1;
        self.in_order &= task > self.last;
        self.last = task;
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether the partial is in the order of the tasks as it is.
    pub(super) fn in_order(&self) -> bool {
        self.in_order
    }

    /// Writes header and rows to `to`, in the order of the tasks.
    ///
    /// The report is made piece by piece, each from few large reads: rows end roughly in the order in which they
    /// started. Not mapped into memory, where a file that somebody cuts off would kill the runner.
    pub(super) fn copy(&self, partial: &Partial, to: &mut impl Write) -> io::Result<()> {
        let mut source = vec![0; self.header as usize];
        partial.read(&mut source, 0)?;
        to.write_all(&source)?;
        let mut moves = Vec::new();
        let mut piece = Vec::new();
        let mut next = 0;
        while next < self.lengths.len() {
            next = self.plan_piece(next, &mut moves);
            let length = moves.last().map_or(0, |last: &Move| (last.to + last.length) as usize);
            piece.resize(length, 0);
            moves.sort_by_key(|row| row.from); // stable: fast where runs are sorted already, as they are here
            fill(&mut piece, &moves, partial, &mut source)?;
            to.write_all(&piece)?;
        }
        Ok(())
    }

    /// Plans a piece that starts with the task at index `next`; returns the index behind its last.
    fn plan_piece(&self, mut next: usize, moves: &mut Vec<Move>) -> usize {
        moves.clear();
        let mut to = 0;
        while let Some(&length) = self.lengths.get(next) {
            if to > 0 && to as usize + length as usize > PIECE {
                break;
            }
            if length > 0 {
                moves.push(Move { from: self.offsets[next], length, to });
                to += length;
            }
            next += 1;
        }
        next
    }
}

/// Fills a piece. `moves` are sorted by where they come from.
fn fill(
    piece: &mut [u8],
    moves: &[Move],
    partial: &Partial,
    source: &mut Vec<u8>,
) -> io::Result<()> {
    let mut rest = moves;
    while let Some(first) = rest.first() {
        let mut end = first.from + u64::from(first.length);
        let near = rest.iter().skip(1).take_while(|row| {
            let row_end = row.from + u64::from(row.length);
            let near = row.from <= end + GAP && row_end - first.from <= READ;
            if near {
                end = row_end;
            }
            near
        });
        let (together, others) = rest.split_at(1 + near.count());
        source.resize((end - first.from) as usize, 0);
        partial.read(source, first.from)?;
        for row in together {
            let from = (row.from - first.from) as usize;
            let (to, length) = (row.to as usize, row.length as usize);
            piece[to..to + length].copy_from_slice(&source[from..from + length]);
        }
        rest = others;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Writes rows in this order of tasks and copies them back in input order.
    fn reordered(tasks: &[u64], text: impl Fn(u64) -> String) -> (String, Index) {
        let folder = tempfile::tempdir().unwrap();
        let mut partial = Partial::take(&folder.path().join("a.csv.partial"), false).unwrap();
        partial.append(b"task\n").unwrap();
        let mut index = Index::new(5);
        let mut end = 5;
        for &task in tasks {
            let row = text(task);
            partial.append(row.as_bytes()).unwrap();
            index.add(task, end, row.len() as u32);
            end += row.len() as u64;
        }
        let mut out = Vec::new();
        index.copy(&partial, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), index)
    }

    #[test]
    fn rows_come_in_the_order_of_their_tasks() {
        let (out, index) = reordered(&[2, 5, 1], |task| format!("{task}\n"));
        assert_eq!(out, "task\n1\n2\n5\n");
        assert_eq!((index.rows(), index.in_order()), (3, false));
        assert!(reordered(&[1, 2, 5], |task| format!("{task}\n")).1.in_order());
        assert_eq!(reordered(&[], |_| String::new()).0, "task\n");
    }

    #[test]
    fn rows_may_be_longer_than_a_piece() {
        let row = |task: u64| format!("{task}{}\n", "x".repeat(PIECE / 2 * task as usize));
        let (out, _) = reordered(&[3, 1, 2], row);
        assert_eq!(out, format!("task\n{}{}{}", row(1), row(2), row(3)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_order_is_put_right(tasks in Just((1..=200_u64).collect::<Vec<_>>()).prop_shuffle()) {
            let row = |task: u64| format!("{task}{}\n", ".".repeat((task * 7919 % 5000) as usize));
            let expected = (1..=200).map(row).collect::<String>();
            prop_assert_eq!(reordered(&tasks, row).0, format!("task\n{expected}"));
        }
    }
}
