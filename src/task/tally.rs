//! How many tasks ended in which way.

use crate::task::Status;

/// How many tasks ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([u64; Status::ALL.len()]);

impl Tally {
    /// How many tasks ended as `status`.
    pub fn get(&self, status: Status) -> u64 {
        self.0[status as usize]
    }

    /// How many tasks ended, however.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Whether every task is ok, or did not have to run; true if there was none.
    pub fn all_ok(&self) -> bool {
        self.not_ok() == 0
    }

    /// How many tasks are neither ok nor up to date.
    pub fn not_ok(&self) -> u64 {
        self.total() - self.get(Status::Ok) - self.get(Status::Skipped)
    }

    /// Counts a task that ended as `status`.
    pub fn add(&mut self, status: Status) {
        self.0[status as usize] += 1;
    }

    /// Counts this many tasks that ended as `status`.
    pub fn add_many(&mut self, status: Status, count: u64) {
        self.0[status as usize] += count;
    }

    /// Adds the counts of another tally.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }
}
