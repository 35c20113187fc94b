//! Failures, grouped by what caused them: errors that differ only in numbers, names in quotes or the input are one.

mod common;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::task::Status;
use common::common;
pub use common::of_last_stage;

/// Up to so many causes are counted at a time.
const CAUSES: usize = 1000;

/// A task that is not ok.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotOk {
    /// The task.
    pub task: u64,
    /// What it was made from.
    pub input: String,
    /// How it ended.
    pub status: Status,
    /// Its `code`.
    pub code: String,
    /// How often it was attempted.
    pub attempts: u64,
    /// Its error.
    pub error: String,
}

/// Tasks that are not ok for the same cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Their error, with `…` for what differs.
    pub text: String,
    /// How many they are.
    pub count: u64,
    /// One of them: that whose row came first.
    pub example: NotOk,
}

/// The causes of all failures.
#[derive(Debug, Default)]
pub struct Causes {
    found: HashMap<u64, Cause>,
    hasher: RandomState,
    /// How many tasks have causes that were too rare to be kept.
    others: u64,
    scratch: String,
}

impl Causes {
    /// Counts a task that is not ok, whose error and fields are these; `describe` says all of it.
    pub fn add(
        &mut self,
        (status, code): (Status, &[u8]),
        error: &str,
        fields: &[&[u8]],
        describe: impl FnOnce() -> NotOk,
    ) {
        self.scratch.clear();
        common(error, fields, &mut self.scratch);
        let key = self.hasher.hash_one((status as u8, code, &self.scratch));
        if let Some(cause) = self.found.get_mut(&key) {
            cause.count += 1;
            return;
        }
        if self.found.len() == CAUSES {
            self.forget_rare();
        }
        let cause = Cause { text: self.scratch.clone(), count: 1, example: describe() };
        self.found.insert(key, cause);
    }

    /// Makes room by leaving out the rarer half.
    fn forget_rare(&mut self) {
        let mut counts: Vec<u64> = self.found.values().map(|cause| cause.count).collect();
        let (_, &mut middle, _) = counts.select_nth_unstable(CAUSES / 2);
        self.found.retain(|_, cause| {
            let is_kept = cause.count > middle;
            self.others += if is_kept { 0 } else { cause.count };
            is_kept
        });
    }

    /// The causes, the most frequent first, and how many tasks have others. If there are any, counts may be too small.
    pub fn sorted(&self) -> (Vec<&Cause>, u64) {
        let mut causes: Vec<_> = self.found.values().collect();
        causes.sort_by_key(|cause| (std::cmp::Reverse(cause.count), cause.example.task));
        (causes, self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_ok(task: u64) -> NotOk {
        let (input, code, error) = (String::new(), String::new(), String::new());
        NotOk { task, input, status: Status::Failed, code, attempts: 1, error }
    }

    #[test]
    fn frequent_causes_outlast_any_number_of_rare_ones() {
        let mut causes = Causes::default();
        let mut add = |task: u64, error: &str| {
            causes.add((Status::Failed, b"1"), error, &[], || not_ok(task));
        };
        let letters = |n: u64| -> String {
            n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect()
        };
        for task in 0..10_000 {
            add(2 * task + 2, &letters(task));
            add(2 * task + 1, &format!("bad value {task}"));
        }
        let (sorted, others) = causes.sorted();
        assert_eq!((sorted[0].text.as_str(), sorted[0].count), ("bad value …", 10_000));
        let counted: u64 = sorted.iter().map(|cause| cause.count).sum();
        assert_eq!(counted + others, 20_000);
        assert!(sorted.len() <= CAUSES && others > 8000);
    }
}
