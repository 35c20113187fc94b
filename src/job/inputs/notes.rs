//! What was noticed while the inputs were read and cost no row; said once, when the job has ended.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Notes about the inputs of one job.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Where the first key stood that is not a field.
    first_key: Mutex<Option<String>>,
    /// How many rows had such keys.
    further_keys: AtomicU64,
    /// How many cells were to be compared with a number and are none.
    no_numbers: AtomicU64,
    /// How many bad data there were.
    bad: AtomicU64,
    /// How many inputs `where` and `skip` have left out, when all were read.
    left_out: AtomicU64,
}

impl Notes {
    /// A row has a key that is not a field; `place` says where.
    pub fn further_key(&self, place: impl FnOnce() -> String) {
        if self.further_keys.fetch_add(1, Ordering::Relaxed) == 0 {
            *self.first_key.lock().expect("nobody panics while holding it") = Some(place());
        }
    }

    /// A cell that `where` compares with a number is none.
    pub fn no_number(&self) {
        self.no_numbers.fetch_add(1, Ordering::Relaxed);
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
        let counts = [&self.further_keys, &self.no_numbers, &self.bad, &self.left_out];
        let first = || self.first_key.lock().expect("nobody panics while holding it");
        let before = (first().clone(), counts.map(|count| count.load(Ordering::Relaxed)));
        let done = read();
        *first() = before.0;
        for (count, before) in counts.into_iter().zip(before.1) {
            count.store(before, Ordering::Relaxed);
        }
        done
    }

    /// All in words.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let first = self.first_key.lock().expect("nobody panics while holding it");
        if let Some(first) = &*first {
            let rows = match count(&self.further_keys) {
                1 => "1 object has".to_owned(),
                rows => format!("{rows} objects have"),
            };
            words.push(format!(
                "{first} is not a field, since the first objects do not have it: {rows} such keys, which `fields` can name"
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
        match count(&self.bad) {
            0 => {}
            1 => words.push("1 input could not be used: its row says why".into()),
            bad => words.push(format!("{bad} inputs could not be used: their rows say why")),
        }
        words
    }
}
