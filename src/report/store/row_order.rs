//! The order of the report: which row belongs to which task, and how rows are copied from the partial into the report.

use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;

use crate::config::Order;
use crate::csv::number::push_integer;
use crate::report::store::partial::Partial;
use crate::report::store::scattered_read::Gather;
use crate::report::store::state;
use crate::report::store::state::{About, ENTRY, Entry, Header, State};
use crate::task::Status;

/// The number of bytes of the report that are assembled in memory at once.
const PIECE: usize = 4 << 20;

/// The upper limit of rows that are assembled at once, so that their data stays in the processor's cache.
const ROWS: usize = 8 << 10;

/// Which row belongs to which task, in 4 bytes per task. The state has the rows' offsets.
#[derive(Debug, Default)]
pub(in crate::report) struct Index {
    /// For each task: the number of its row in the partial, from 1, or 0 if it has none. Empty as long as that is the
    /// task's own number, as in most reports of short tasks.
    places: Vec<u32>,
    rows: u64,
    last: u64,
    unordered: bool,
    /// Whether rows are only counted: nobody will ask for their order, and the numbers of their tasks may be large.
    only_counts: bool,
    /// Where the blocks of a file are now, by the numbers of their rows: their first cells after the task's number.
    places_in_file: HashMap<u64, Vec<Vec<u8>>>,
}

impl Index {
    /// Records that the row of `task` is the one with this number, from 0.
    pub(in crate::report) fn add(&mut self, task: u64, ordinal: u64) {
        if self.only_counts {
            self.rows += 1;
            return;
        }
        if self.places.is_empty() && task == self.rows + 1 && ordinal == self.rows {
            self.rows += 1;
            self.last = task;
            return;
        }
        if self.places.is_empty() {
            self.places.extend(1..=self.rows as u32);
        }
        let at = task as usize - 1;
        if at >= self.places.len() {
            self.places.resize(at + 1, 0);
        }
        self.places[at] = ordinal as u32 + 1;
        self.rows += 1;
        self.unordered |= task <= self.last;
        self.last = task;
    }

    /// Whether this task has a row.
    pub(in crate::report) fn has(&self, task: u64) -> bool {
        if self.places.is_empty() {
            return task <= self.rows;
        }
        self.places.get(task as usize - 1).is_some_and(|place| *place > 0)
    }

    /// Records where in its file the block is now whose row has this number.
    pub(in crate::report) fn is_at(&mut self, ordinal: u64, place: Vec<Vec<u8>>) {
        self.places_in_file.insert(ordinal, place);
    }

    /// Only counts rows from here on.
    pub(in crate::report) fn count_only(&mut self) {
        self.only_counts = true;
    }

    /// Whether it only counts rows.
    pub(in crate::report) fn only_counts(&self) -> bool {
        self.only_counts
    }

    /// Adds rows for tasks after all others.
    pub(in crate::report) fn add_after_all(&mut self, ordinals: &[u64]) {
        for &ordinal in ordinals {
            self.add(self.rows.max(self.places.len() as u64) + 1, ordinal);
        }
    }

    /// How many rows there are.
    pub(in crate::report) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether the rows were added in the order of the tasks.
    pub(in crate::report) fn in_order(&self) -> bool {
        !self.unordered
    }

    /// The tasks, in their order, each with the number of its row in the partial, from 0.
    pub(in crate::report) fn tasks(&self) -> impl Iterator<Item = (u64, u64)> {
        self.rows_in(Order::Input).map(|row| (row.task, u64::from(row.ordinal)))
    }

    /// Tasks and their rows in the order of the report.
    fn rows_in(&self, order: Order) -> Box<dyn Iterator<Item = TaskRow> + '_> {
        if self.places.is_empty() {
            return Box::new(
                (0..self.rows as u32)
                    .map(|ordinal| TaskRow { task: u64::from(ordinal) + 1, ordinal }),
            );
        }
        let by_task = (1..).zip(&self.places).filter(|(_, place)| **place > 0);
        let by_task = by_task.map(|(task, &place)| TaskRow { task, ordinal: place - 1 });
        match order {
            Order::Input => Box::new(by_task),
            Order::Completion => {
                let mut rows: Vec<_> = by_task.collect();
                rows.sort_unstable_by_key(|row| row.ordinal);
                Box::new(rows.into_iter())
            }
        }
    }
}

/// A task and the number of its row in the partial, from 0.
#[derive(Clone, Copy, Debug)]
struct TaskRow {
    task: u64,
    ordinal: u32,
}

/// A row of an earlier run that becomes one of the report.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct KeptRow<'a> {
    /// Its place in the partial, from 0.
    pub(in crate::report) place: u64,
    /// The number that its task has now.
    pub(in crate::report) task: u64,
    pub(in crate::report) status: Status,
    /// As it stands in the partial.
    pub(in crate::report) row: &'a [u8],
}

/// The recorded rows and their state.
#[derive(Debug)]
pub(in crate::report) struct Rows<'a> {
    pub(in crate::report) partial: &'a Partial,
    pub(in crate::report) state: &'a State,
    /// The number of rows from an earlier run, whose tasks may have different numbers now.
    pub(in crate::report) kept: u64,
    /// The byte between cells.
    pub(in crate::report) delimiter: u8,
}

impl Rows<'_> {
    /// Writes header and rows to `report`, in the order of the report, and its state to `state`. Every kept row is
    /// passed to `on_kept`.
    ///
    /// The report is assembled piece by piece, each from few large reads, since tasks end roughly in the order in which
    /// they start. The partial is not mapped into memory, where truncating the file would kill the runner.
    pub(in crate::report) fn copy(
        &self,
        (index, order): (&Index, Order),
        report: &mut impl Write,
        state: &mut impl Write,
        mut on_kept: impl FnMut(KeptRow<'_>),
    ) -> io::Result<()> {
        let header = Header { about: About::Report, ..self.state.header };
        let mut text = vec![0; header.length as usize];
        self.partial.read(&mut text, 0)?;
        report.write_all(&text)?;
        state.write_all(&header.bytes())?;

        let mut copier = Copier::new(u64::from(header.length));
        let mut rows = index.rows_in(order);
        loop {
            copier.places.clear();
            copier.places.extend(rows.by_ref().take(ROWS));
            if copier.places.is_empty() {
                return Ok(());
            }
            copier.read_entries(self)?;
            let mut next = 0;
            while next < copier.entries.len() {
                next = copier.copy_piece((self, index), next, &mut on_kept)?;
                report.write_all(&copier.rows)?;
                state.write_all(&copier.state)?;
            }
        }
    }
}

/// The buffers of copying, reused for every piece.
struct Copier {
    gather: Gather,
    places: Vec<TaskRow>,
    entries: Vec<Entry>,
    piece: Vec<u8>,
    rows: Vec<u8>,
    state: Vec<u8>,
    /// The length of the report so far.
    end: u64,
}

impl Copier {
    fn new(end: u64) -> Self {
        Self {
            gather: Gather::default(),
            places: Vec::new(),
            entries: Vec::new(),
            piece: Vec::new(),
            rows: Vec::new(),
            state: Vec::new(),
            end,
        }
    }

    fn read_entries(&mut self, from: &Rows<'_>) -> io::Result<()> {
        let places = self.places.iter();
        let places = places.map(|p| (state::entries_end(u64::from(p.ordinal)), ENTRY as u32));
        self.gather.read(from.state.file(), places, &mut self.piece)?;
        self.entries.clear();
        for bytes in self.piece.chunks_exact(ENTRY) {
            let entry = Entry::read(bytes);
            self.entries.push(entry.ok_or_else(|| io::Error::other("the state was changed"))?);
        }
        Ok(())
    }

    /// Assembles a piece that starts with the entry at index `next`; returns the index after its last entry.
    fn copy_piece(
        &mut self,
        (from, index): (&Rows<'_>, &Index),
        next: usize,
        on_kept: &mut impl FnMut(KeptRow<'_>),
    ) -> io::Result<usize> {
        let mut bytes = 0;
        let fit = self.entries[next..].iter().take_while(|entry| {
            let first = bytes == 0;
            bytes += entry.length as usize;
            first || bytes <= PIECE
        });
        let last = next + fit.count();
        let places = self.entries[next..last].iter().map(|entry| (entry.offset, entry.length));
        self.gather.read(from.partial.file(), places, &mut self.piece)?;
        self.rows.clear();
        self.state.clear();
        if from.kept == 0 {
            std::mem::swap(&mut self.rows, &mut self.piece);
            let mut offset = self.end;
            for entry in &self.entries[next..last] {
                Entry { offset, ..*entry }.push(&mut self.state);
                offset += u64::from(entry.length);
            }
        } else {
            self.renumber((from, index), next..last, on_kept);
        }
        self.end += self.rows.len() as u64;
        Ok(last)
    }

    /// Gives the rows of a piece the current numbers of their tasks.
    fn renumber(
        &mut self,
        (from, index): (&Rows<'_>, &Index),
        range: Range<usize>,
        on_kept: &mut impl FnMut(KeptRow<'_>),
    ) {
        let mut piece = &self.piece[..];
        for (place, entry) in self.places[range.clone()].iter().zip(&self.entries[range]) {
            let (row, rest) = piece.split_at(entry.length as usize);
            piece = rest;
            let start = self.rows.len();
            let mut entry = Entry { offset: self.end + start as u64, ..*entry };
            let kept = u64::from(place.ordinal) < from.kept;
            let ordinal = u64::from(place.ordinal);
            let block = index.places_in_file.get(&ordinal).map_or(&[][..], Vec::as_slice);
            if kept && renumber(&mut self.rows, row, (place.task, block), from.delimiter) {
                entry.length = (self.rows.len() - start) as u32;
                entry.check = state::check(&self.rows[start..], entry.identity, entry.status);
            } else {
                self.rows.extend_from_slice(row);
            }
            if kept {
                on_kept(KeptRow { place: ordinal, task: place.task, status: entry.status, row });
            }
            entry.push(&mut self.state);
        }
    }
}

/// Appends `row` with this task number, and of a block with these cells after it; returns false, without appending, if
/// it has them already.
fn renumber(
    out: &mut Vec<u8>,
    row: &[u8],
    (task, block): (u64, &[Vec<u8>]),
    delimiter: u8,
) -> bool {
    let start = out.len();
    let cut = memchr::memchr_iter(delimiter, row).nth(block.len()).unwrap_or(0);
    let rest = &row[cut..];
    push_integer(out, task);
    for cell in block {
        out.push(delimiter);
        out.extend_from_slice(cell);
    }
    if row.starts_with(&out[start..]) && row.len() - rest.len() == out.len() - start {
        out.truncate(start);
        return false;
    }
    out.extend_from_slice(rest);
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::store::partial::Leftover;

    /// Writes rows in this order of tasks and copies them in the order of the report.
    fn reordered(tasks: &[u64], kept: u64, order: Order, text: impl Fn(u64) -> String) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv.partial");
        let mut partial = Partial::take(&path, Leftover::Refuse).unwrap();
        partial.append(b"task\n").unwrap();
        let header = Header::new([0; 32], b"task\n");
        let mut state = State::open(&folder.path().join(".a.state"), header).unwrap();
        let mut index = Index::default();
        let mut offset = 5;
        for (ordinal, &task) in (0..).zip(tasks) {
            let row = text(task);
            let mut entry = Vec::new();
            let (identity, status) = (u128::from(task), Status::Ok);
            let check = state::check(row.as_bytes(), identity, status);
            let length = row.len() as u32;
            Entry { identity, offset, length, check, status, is_replaced: false }.push(&mut entry);
            state.append(&entry).unwrap();
            partial.append(row.as_bytes()).unwrap();
            index.add(task, ordinal);
            offset += row.len() as u64;
        }
        let rows = Rows { partial: &partial, state: &state, kept, delimiter: b',' };
        let (mut out, mut entries) = (Vec::new(), Vec::new());
        rows.copy((&index, order), &mut out, &mut entries, |_| ()).unwrap();
        check_state(&out, &entries[state::HEADER..]);
        String::from_utf8(out).unwrap()
    }

    fn check_state(report: &[u8], entries: &[u8]) {
        let mut end = 5;
        for bytes in entries.chunks(ENTRY) {
            let entry = Entry::read(bytes).unwrap();
            assert_eq!(entry.offset, end as u64);
            let row = &report[end..end + entry.length as usize];
            assert_eq!(state::check(row, entry.identity, entry.status), entry.check);
            end += row.len();
        }
        assert_eq!(end, report.len());
    }

    #[test]
    fn rows_come_in_the_order_of_their_tasks() {
        let row = |task: u64| format!("{task},x\n");
        assert_eq!(reordered(&[2, 5, 1], 0, Order::Input, row), "task\n1,x\n2,x\n5,x\n");
        assert_eq!(reordered(&[2, 5, 1], 0, Order::Completion, row), "task\n2,x\n5,x\n1,x\n");
        assert_eq!(reordered(&[], 0, Order::Input, row), "task\n");
    }

    #[test]
    fn kept_rows_get_the_numbers_that_their_tasks_have_now() {
        let row = |task: u64| if task == 12 { "12,a\n".to_owned() } else { "7,b\n".to_owned() };
        assert_eq!(reordered(&[12, 5, 1], 2, Order::Input, row), "task\n7,b\n5,b\n12,a\n");
    }

    #[test]
    fn rows_may_be_longer_than_a_piece() {
        let row = |task: u64| format!("{task},{}\n", "x".repeat(PIECE / 2 * task as usize));
        let out = reordered(&[3, 1, 2], 0, Order::Input, row);
        assert_eq!(out, format!("task\n{}{}{}", row(1), row(2), row(3)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_order_is_put_right(tasks in Just((1..=200_u64).collect::<Vec<_>>()).prop_shuffle()) {
            let row = |task: u64| format!("{task},{}\n", ".".repeat((task * 7919 % 5000) as usize));
            let expected = (1..=200).map(row).collect::<String>();
            prop_assert_eq!(reordered(&tasks, 0, Order::Input, row), format!("task\n{expected}"));
        }
    }
}
