//! What was noticed while the inputs were read and cost no row; said once, when the job has ended.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a lock is not poisoned.
const HELD: &str = "nobody panics while holding it";

/// Notes about the inputs of one job.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Where the first key stood that is not a field.
    first_key: Mutex<Option<String>>,
    /// How many rows had such keys.
    further_keys: AtomicU64,
    /// The first file that is one line, with CRs in it.
    lone_ends: Mutex<Option<String>>,
    /// How many cells were to be compared with a number and are none.
    no_numbers: AtomicU64,
    /// How many rows of another job's report have only a part of an output.
    cut_results: AtomicU64,
    /// How many bad data there were.
    bad: AtomicU64,
    /// How many inputs `where` and `skip` have left out, when all were read.
    left_out: AtomicU64,
}

impl Notes {
    /// A row has a key that is not a field; `place` says where.
    pub fn further_key(&self, place: impl FnOnce() -> String) {
        if self.further_keys.fetch_add(1, Ordering::Relaxed) == 0 {
            *self.first_key.lock().expect(HELD) = Some(place());
        }
    }

    /// A file has CRs and no other end of a line; `file` is its name.
    pub fn lone_ends(&self, file: impl FnOnce() -> String) {
        self.lone_ends.lock().expect(HELD).get_or_insert_with(file);
    }

    /// A cell that `where` compares with a number is none.
    pub fn no_number(&self) {
        self.no_numbers.fetch_add(1, Ordering::Relaxed);
    }

    /// A row of another job's report has only a part of what a command printed.
    pub fn cut_result(&self) {
        self.cut_results.fetch_add(1, Ordering::Relaxed);
    }

    /// A datum cannot be used.
    pub fn bad(&self) {
        self.bad.fetch_add(1, Ordering::Relaxed);
    }

    /// This many inputs were left out.
    pub fn left_out(&self, inputs: u64) {
        self.left_out.store(inputs, Ordering::Relaxed);
    }

    /// How many inputs were left out, as far as that was noted.
    pub fn count_left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Does what reads the inputs once more, of which nothing is noted.
    pub fn unchanged<T>(&self, read: impl FnOnce() -> T) -> T {
        let counts =
            [&self.further_keys, &self.no_numbers, &self.cut_results, &self.bad, &self.left_out];
        let first = || self.first_key.lock().expect(HELD);
        let lone_ends = || self.lone_ends.lock().expect(HELD);
        let places = (first().clone(), lone_ends().clone());
        let before = counts.map(|count| count.load(Ordering::Relaxed));
        let done = read();
        (*first(), *lone_ends()) = places;
        for (count, before) in counts.into_iter().zip(before) {
            count.store(before, Ordering::Relaxed);
        }
        done
    }

    /// All in words.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let first = self.first_key.lock().expect(HELD);
        if let Some(first) = &*first {
            let rows = match count(&self.further_keys) {
                1 => "1 object has".to_owned(),
                rows => format!("{rows} objects have"),
            };
            words.push(format!(
                "{first} is not a field, since the first objects do not have it: {rows} such keys, which `fields` can name"
            ));
        }
        if let Some(file) = &*self.lone_ends.lock().expect(HELD) {
            words.push(format!(
                "{file} has no end of a line but CR, so it is one input: `separator = \"\\r\"` splits it there"
            ));
        }
        match count(&self.no_numbers) {
            0 => {}
            1 => words.push(
                "`where` left out 1 cell that it compares with a number and that is none".into(),
            ),
            cells => words.push(format!(
                "`where` met {cells} cells that it compares with a number and that are none"
            )),
        }
        let rows = match count(&self.cut_results) {
            0 => None,
            1 => Some("1 row".to_owned()),
            rows => Some(format!("{rows} rows")),
        };
        if let Some(rows) = rows {
            words.push(format!(
                "`result` of {rows} that `inputs.job` reads is not all that the command printed, of which a report shows 500 \
                 characters on one line: `[columns]` there hand on what is needed"
            ));
        }
        match count(&self.bad) {
            0 => {}
            1 => words.push("1 input could not be used: its row says why".into()),
            bad => words.push(format!("{bad} inputs could not be used: their rows say why")),
        }
        words
    }
}
