//! How much may wait in a feed: few tasks that wait for their own next attempt, and many whose hosts are busy or left alone,
//! since inputs are often sorted by host, and those of the others come after all of its own.

use crate::task::{Earlier, Task};

/// How many retries may wait per slot. So many tasks may wait for their hosts, however big they are.
pub(super) const FEW_PER_SLOT: usize = 16;

/// How many may wait for their hosts.
const MOST: usize = 100_000;

/// How many bytes they may take in memory.
const MOST_BYTES: usize = 64 << 20;

/// What a file counts that a task keeps open: descriptors are rarer than bytes.
const OPEN_FILE: usize = 1 << 20;

/// Tasks that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub tasks: usize,
    /// About what they take in memory.
    bytes: usize,
}

/// How many may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    few: usize,
    pub most: usize,
}

impl Waiting {
    pub fn add(&mut self, task: &Task) {
        self.tasks += 1;
        self.bytes += size(task);
    }

    /// Takes out a task that has not changed since it was added.
    pub fn remove(&mut self, task: &Task) {
        self.tasks -= 1;
        self.bytes -= size(task);
    }
}

impl Room {
    /// The room of a stage that has so many slots.
    pub fn of(slots: usize) -> Self {
        Self { few: FEW_PER_SLOT * slots, most: MOST }
    }

    /// Whether enough tasks wait that no new input is handed out.
    #[inline]
    pub fn is_taken(self, retries: Waiting, put_off: Waiting, parked: Waiting) -> bool {
        let tasks = put_off.tasks + parked.tasks;
        retries.tasks >= self.few
            || tasks >= self.few
                && (tasks >= self.most || put_off.bytes + parked.bytes >= MOST_BYTES)
    }
}

/// About what a task takes in memory.
fn size(task: &Task) -> usize {
    let passed = task.passed.as_ref().map_or(0, |passed| {
        let payload = passed.payload.as_ref().map_or(0, |payload| payload.len());
        let payload = usize::try_from(payload).unwrap_or(MOST_BYTES).min(MOST_BYTES);
        payload + of_columns(&passed.columns)
    });
    let earlier = task.earlier.as_deref().map_or(0, of_earlier);
    size_of::<Task>() + task.fields.size() + passed + earlier
}

fn of_earlier(earlier: &Earlier) -> usize {
    let outcome = &earlier.outcome;
    let rare = outcome.rare();
    let files = usize::from(rare.whole_output.is_some()) + usize::from(rare.left.is_some());
    size_of::<Earlier>()
        + outcome.result.len()
        + outcome.output.len()
        + outcome.error.len()
        + rare.text.as_ref().map_or(0, Vec::len)
        + of_columns(&earlier.columns)
        + files * OPEN_FILE
}

fn of_columns(columns: &[Option<Vec<u8>>]) -> usize {
    let of_one =
        |value: &Option<Vec<u8>>| size_of::<Option<Vec<u8>>>() + value.as_ref().map_or(0, Vec::len);
    columns.iter().map(of_one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Fields;

    /// What waits once `number` tasks whose value has `length` bytes have been added.
    fn waiting(number: usize, length: usize) -> Waiting {
        let task = Task::new(1, Fields::single(vec![b'x'; length]));
        let mut waiting = Waiting::default();
        (0..number).for_each(|_| waiting.add(&task));
        waiting
    }

    #[test]
    fn many_small_tasks_may_wait_and_few_big_ones() {
        let (room, none) = (Room::of(2), Waiting::default());
        let is_taken = |waiting| {
            assert_eq!(room.is_taken(none, waiting, none), room.is_taken(none, none, waiting));
            room.is_taken(none, waiting, none)
        };
        assert!(!is_taken(waiting(99_999, 20)) && is_taken(waiting(100_000, 20)));
        assert!(room.is_taken(none, waiting(50_000, 20), waiting(50_000, 20)));
        assert!(!is_taken(waiting(31, 4 << 20)) && is_taken(waiting(32, 4 << 20)));
        assert!(!is_taken(waiting(60, 1 << 20)) && is_taken(waiting(64, 1 << 20)));
        assert!(
            !room.is_taken(waiting(31, 1), none, none) && room.is_taken(waiting(32, 1), none, none)
        );
    }

    #[test]
    fn what_does_not_wait_any_more_takes_no_room() {
        let task = Task::new(1, Fields::single("some value"));
        let mut waiting = waiting(3, 10);
        (0..3).for_each(|_| waiting.remove(&task));
        assert_eq!(waiting, Waiting::default());
    }
}
