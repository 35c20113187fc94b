//! The way into the feed of a later stage: a bounded queue, filled by the stage before. A producer that finds it full
//! waits, so that the slowest stage sets the pace and memory stays flat.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use super::{Feed, Hosts, Source};
use crate::job::Stage;
use crate::model::Model;
use crate::task::{Cancel, Level, Task};

/// Finished tasks of the stage before, in the order in which they came.
#[derive(Debug)]
pub(super) struct Queue {
    tasks: VecDeque<Task>,
    /// Never longer than this.
    capacity: usize,
    /// The stage before has ended.
    closed: bool,
    /// So many wait for room.
    producers: usize,
}

/// What a slot does first when it finds a queue empty or full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It waits: its loop has other slots to serve.
    None,
    /// It has a thread of its own, and lets others run a few times: where tasks are short, the other side is about to
    /// put something in or take something out, and going to sleep and being woken costs ten times as much.
    Yields,
}

impl Patience {
    /// So often others are let run, before a slot goes to sleep. About 10 us where nobody else wants to run.
    const YIELDS: usize = 16;

    /// That of the slots of `stage`.
    pub fn of(stage: &Stage) -> Self {
        match stage.model {
            Model::Sequential | Model::Threads => Self::Yields,
            Model::Processes | Model::Async => Self::None,
        }
    }

    /// Tries again and again, a few times, until `settled` says that it need not.
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
    /// For so many consumers: one task for each to take next, and one more while that is on its way.
    fn new(consumers: usize) -> Self {
        Self { tasks: VecDeque::new(), capacity: 2 * consumers, closed: false, producers: 0 }
    }

    pub(super) fn pop(&mut self) -> Option<Task> {
        self.tasks.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether nothing will come any more.
    pub(super) fn is_over(&self) -> bool {
        self.closed && self.tasks.is_empty()
    }

    /// How many producers are to be woken: only once half of it is free, so that not every task costs a wake-up.
    pub(super) fn room_for(&self) -> usize {
        if self.producers == 0 || self.tasks.len() > self.capacity / 2 {
            return 0;
        }
        self.producers.min(self.capacity - self.tasks.len())
    }
}

impl Feed {
    /// The feed of a later stage, with `slots` slots: what the stage before [puts](Self::put) into it.
    pub fn between(slots: usize, hosts: Option<Hosts>, cancel: Arc<Cancel>) -> Self {
        Self::with_source(Source::Queue(Queue::new(slots)), slots, hosts, cancel)
    }

    /// Puts a task in at once, if there is room; else it comes back.
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
            // Nobody takes it any more, and the slot that has it is to end.
            state.returned.push_back(task);
            return Ok(());
        }
        Err(task)
    }

    /// Puts a task in, and waits for room before. A job that is being stopped has room for all.
    pub async fn put(&self, task: Task, patience: Patience) {
        let mut waiting = Some(task);
        patience.exhaust(|| {
            waiting = waiting.take().and_then(|task| self.offer(task).err());
            waiting.is_none()
        });
        let Some(mut task) = waiting else { return };
        loop {
            // Enlisted before the look, so that nothing is missed between the look and the wait.
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

    /// The stage before has ended: when the queue is empty, nothing comes any more.
    pub fn close(&self) {
        if let Source::Queue(queue) = &mut self.lock().source {
            queue.closed = true;
        }
        self.changed.notify_waiters();
    }
}

/// Who waits for room is counted, however the wait ends.
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
