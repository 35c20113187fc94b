//! Tasks that wait for their next attempt, ordered by the time at which it is due.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::task::{Moment, Task};

/// Tasks that wait for their next attempt.
#[derive(Debug, Default)]
pub(super) struct Retries(BinaryHeap<Waiting>);

#[derive(Debug)]
struct Waiting {
    due: Moment,
    task: Task,
}

impl Retries {
    /// Adds `task`, due at `due`.
    pub(super) fn push(&mut self, task: Task, due: Moment) {
        self.0.push(Waiting { due, task });
    }

    /// The task that is due first, if it is due at `now`. Whoever puts it back for a pause that ends after `now` does not
    /// get it again at once.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<Task> {
        let due = self.0.peek()?.due;
        if due > now { None } else { self.pop() }
    }

    /// The task that is due first.
    pub(super) fn pop(&mut self) -> Option<Task> {
        self.0.pop().map(|waiting| waiting.task)
    }

    /// When the first one is due.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.0.peek().map(|waiting| waiting.due)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The greatest one is due first.
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.task.number).cmp(&(self.due, self.task.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Fields;

    #[test]
    fn the_first_that_is_due_comes_first() {
        let mut retries = Retries::default();
        let task = |number| Task::new(number, Fields::single("x"));
        let far = Moment::from_nanos(u64::MAX);
        for (number, due) in [(1, 30), (2, 10), (3, 20), (5, 10)] {
            retries.push(task(number), Moment::from_nanos(due));
        }
        retries.push(task(4), far);
        assert_eq!(retries.next_due(), Some(Moment::from_nanos(10)));
        let due: Vec<_> = std::iter::from_fn(|| retries.pop_due(Moment::from_nanos(30)))
            .map(|task| task.number)
            .collect();
        assert_eq!(due, [2, 5, 3, 1]);
        assert_eq!((retries.len(), retries.next_due()), (1, Some(far)));
    }
}
