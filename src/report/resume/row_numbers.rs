//! The numbers that tasks had when their rows were written. Where files are called by them, a task that has another number
//! now would have another task's file.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::report::resume::start::Begun;
use crate::report::resume::verify;
use crate::report::store::state::Entry;

/// More than the longest number, with a quote before it.
const LONGEST: usize = 24;

/// For each number, the place of the last row, from 0, that was written for it: a task of a run that did not end may have
/// taken the file of another one.
#[derive(Debug)]
pub(in crate::report) struct RowNumbers(HashMap<u64, u64>);

impl RowNumbers {
    /// Those of the rows with which a report has begun.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(in crate::report) fn new(begun: &Begun) -> io::Result<Self> {
        let numbers = numbers(begun.partial.file(), begun.state.file(), begun.kept)?;
        let last = (0..).zip(numbers).filter_map(|(place, number)| Some((number?, place)));
        Ok(Self(last.collect()))
    }

    /// Whether the row at this place, from 0, was written for the task of this number, and none after it.
    pub(in crate::report) fn is_of(&self, place: u64, task: u64) -> bool {
        self.0.get(&task) == Some(&place)
    }
}

/// The numbers in the first rows, as many as `rows`.
///
/// # Errors
/// If they cannot be read.
pub(in crate::report) fn numbers(
    partial: &File,
    state: &File,
    rows: u64,
) -> io::Result<Vec<Option<u64>>> {
    let mut numbers = Vec::new();
    let mut failed = None;
    verify::entries(state, rows, |entry| {
        match number(partial, entry) {
            Ok(number) => numbers.push(number),
            Err(error) => failed = Some(error),
        }
        failed.is_none()
    })?;
    failed.map_or(Ok(numbers), Err)
}

/// The number in the row of this entry.
fn number(partial: &File, entry: &Entry) -> io::Result<Option<u64>> {
    let mut start = [0; LONGEST];
    let start = &mut start[..LONGEST.min(entry.length as usize)];
    partial.read_exact_at(start, entry.offset)?;
    Ok(number_of(start))
}

/// The number at the start of a row.
pub(in crate::report) fn number_of(row: &[u8]) -> Option<u64> {
    let digits = row.strip_prefix(b"\"").unwrap_or(row);
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}
