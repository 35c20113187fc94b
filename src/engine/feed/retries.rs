//! Tasks that wait for their next attempt, or for a host that is left alone, ordered by the time at which they are due.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::room;
use crate::task::{Moment, Task};

/// Tasks that wait for their next attempt.
#[derive(Debug, Default)]
pub(super) struct Retries {
    heap: BinaryHeap<Waiting>,
    /// Those that wait for their own next attempt.
    again: room::Waiting,
    /// Those whose host is left alone.
    put_off: room::Waiting,
}

#[derive(Debug)]
struct Waiting {
    due: Moment,
    task: Task,
    is_put_off: bool,
}

impl Retries {
    /// Adds `task`, due at `due`.
    pub(super) fn push(&mut self, task: Task, due: Moment) {
        self.again.add(&task);
        self.heap.push(Waiting { due, task, is_put_off: false });
    }

    /// Adds `task`, whose host is left alone until `due`.
    pub(super) fn put_off(&mut self, mut task: Task, due: Moment) {
        task.was_put_off = true;
        self.put_off.add(&task);
        self.heap.push(Waiting { due, task, is_put_off: true });
    }

    /// The task that is due first, if it is due at `now`. Whoever puts it back for a pause that ends after `now` does not
    /// get it again at once.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<Task> {
        let due = self.heap.peek()?.due;
        if due > now { None } else { self.pop() }
    }

    /// The task that is due first.
    pub(super) fn pop(&mut self) -> Option<Task> {
        let Waiting { task, is_put_off, .. } = self.heap.pop()?;
        let waiting = if is_put_off { &mut self.put_off } else { &mut self.again };
        waiting.remove(&task);
        Some(task)
    }

    /// When the first one is due.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.heap.peek().map(|waiting| waiting.due)
    }

    /// What waits for its own next attempt, and what for its host.
    pub(super) fn waiting(&self) -> (room::Waiting, room::Waiting) {
        (self.again, self.put_off)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
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
        assert_eq!((retries.waiting().0.tasks, retries.next_due()), (1, Some(far)));
    }
}
