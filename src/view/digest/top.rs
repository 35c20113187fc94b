//! The tasks with the largest values, of any number of tasks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::task::Status;

/// A task among the largest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The task.
    pub task: u64,
    /// What it was made from.
    pub input: String,
    /// How it ended.
    pub status: Status,
    /// What was compared.
    pub value: u64,
    /// How often it was attempted.
    pub attempts: u64,
}

/// The entries with the largest values. Of equal ones, the first.
#[derive(Debug)]
pub struct Top {
    heap: BinaryHeap<Reverse<(u64, Reverse<u64>, usize)>>,
    entries: Vec<Entry>,
    room: usize,
}

impl Top {
    /// With room for so many.
    pub fn new(room: usize) -> Self {
        Self { heap: BinaryHeap::new(), entries: Vec::new(), room }
    }

    /// Takes a task, described by `entry`, if its value is among the largest.
    pub fn add(&mut self, value: u64, task: u64, entry: impl FnOnce() -> Entry) {
        let mut place = self.entries.len();
        if place == self.room {
            let Some(Reverse(smallest)) = self.heap.peek() else { return };
            if (value, Reverse(task)) <= (smallest.0, smallest.1) {
                return;
            }
            place = smallest.2;
            self.heap.pop();
            self.entries[place] = entry();
        } else {
            self.entries.push(entry());
        }
        self.heap.push(Reverse((value, Reverse(task), place)));
    }

    /// The entries, the largest first.
    pub fn sorted(&self) -> Vec<&Entry> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|entry| (Reverse(entry.value), entry.task));
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept() {
        let mut top = Top::new(3);
        for (task, value) in [5, 1, 9, 9, 2, 7, 9, 0].into_iter().enumerate() {
            let task = task as u64;
            let (input, status) = (String::new(), Status::Ok);
            top.add(value, task, || Entry { task, input, status, value, attempts: 1 });
        }
        let kept: Vec<_> = top.sorted().iter().map(|entry| (entry.value, entry.task)).collect();
        assert_eq!(kept, [(9, 2), (9, 3), (9, 6)]);
    }
}
