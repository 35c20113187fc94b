//! The source of a later stage: a bounded queue, filled by the previous stage. A producer waits while it is full, so
//! that the slowest stage sets the pace and memory use stays flat.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use super::{Feed, Hosts, Source};
use crate::job::Stage;
use crate::model::Model;
use crate::task::{Cancel, Level, Task};

/// Finished tasks of the previous stage, in the order in which they arrived.
#[derive(Debug)]
pub(super) struct Queue {
    tasks: VecDeque<Task>,
    /// The upper limit of its length.
    capacity: usize,
    /// Whether the previous stage has ended.
    closed: bool,
    /// The number of producers that wait for room.
    producers: usize,
}

/// How a slot waits when it finds a queue empty or full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It waits at once: its event loop has other slots to serve.
    None,
    /// It has a thread of its own, and yields a few times first: if tasks are short, the other side is about to add or
    /// take one, and sleeping and being woken costs ten times as much.
    Yields,
}

impl Patience {
    /// How often a slot yields before it sleeps. That takes about 10 µs if no other thread wants to run.
    const YIELDS: usize = 16;

    /// The patience of the slots of `stage`.
    pub fn of(stage: &Stage) -> Self {
        match stage.model {
            Model::Sequential | Model::Threads => Self::Yields,
            Model::Processes | Model::Async => Self::None,
        }
    }

    /// Yields a few times, until `settled` returns true.
    pub(super) fn exhaust(self, mut settled: impl FnMut() -> bool) {
        if self == Self::Yields {
            for _ in 0..Self::YIELDS {
                std::thread::yield_now();
                if settled() {
                    return;
                }
            }
        }
    }
}

impl Queue {
    /// A queue for this number of consumers: one task for each to take next, and one more while that is being taken.
    fn new(consumers: usize) -> Self {
        Self { tasks: VecDeque::new(), capacity: 2 * consumers, closed: false, producers: 0 }
    }

    pub(super) fn pop(&mut self) -> Option<Task> {
        self.tasks.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether no task will come any more.
    pub(super) fn is_over(&self) -> bool {
        self.closed && self.tasks.is_empty()
    }

    /// How many producers to wake: only once half of the queue is free, so that not every task costs a wake-up.
    pub(super) fn room_for(&self) -> usize {
        if self.producers == 0 || self.tasks.len() > self.capacity / 2 {
            return 0;
        }
        self.producers.min(self.capacity - self.tasks.len())
    }
}

impl Feed {
    /// The feed of a later stage, with `slots` slots, whose tasks the previous stage [puts](Self::put) into it.
    pub fn between(slots: usize, hosts: Option<Hosts>, cancel: Arc<Cancel>) -> Self {
        Self::with_source(Source::Queue(Queue::new(slots)), slots, hosts, cancel)
    }

    /// Adds a task if there is room.
    ///
    /// # Errors
    /// The task, if there is no room.
    pub fn offer(&self, task: Task) -> Result<(), Task> {
        let mut state = self.lock();
        if let Source::Queue(queue) = &mut state.source
            && queue.tasks.len() < queue.capacity
        {
            queue.tasks.push_back(task);
            drop(state);
            self.changed.notify_one();
            return Ok(());
        }
        if self.cancel.level() >= Level::Drain {
            // Nobody takes it any more, and the slot that holds it has to end.
            state.returned.push_back(task);
            return Ok(());
        }
        Err(task)
    }

    /// Waits for room and adds a task. In a job that is being stopped, there always is room.
    pub async fn put(&self, task: Task, patience: Patience) {
        let mut waiting = Some(task);
        patience.exhaust(|| {
            waiting = waiting.take().and_then(|task| self.offer(task).err());
            waiting.is_none()
        });
        let Some(mut task) = waiting else { return };
        loop {
            // Registered before the check, so that nothing is missed between the check and the wait.
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            let _waiting = Producer::enlist(self);
            match self.offer(task) {
                Ok(()) => return,
                Err(back) => task = back,
            }
            tokio::select! {
                biased;
                () = self.cancel.draining() => {}
                () = room => {}
            }
        }
    }

    /// Records that the previous stage has ended: when the queue is empty, no task comes any more.
    pub fn close(&self) {
        if let Source::Queue(queue) = &mut self.lock().source {
            queue.closed = true;
        }
        self.changed.notify_waiters();
    }
}

/// Counts a producer that waits for room, until the wait ends, however that happens.
struct Producer<'a>(&'a Feed);

impl<'a> Producer<'a> {
    fn enlist(feed: &'a Feed) -> Self {
        if let Source::Queue(queue) = &mut feed.lock().source {
            queue.producers += 1;
        }
        Self(feed)
    }
}

impl Drop for Producer<'_> {
    fn drop(&mut self) {
        if let Source::Queue(queue) = &mut self.0.lock().source {
            queue.producers -= 1;
        }
    }
}
