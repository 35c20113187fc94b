//! A slot's end of the feed.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::hosts::HostName;
use super::{Feed, Hosts, Patience, Reply, Retries, State, Taken};
use crate::task::{Moment, Task};

/// What a slot has taken and not yet settled.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub tasks: usize,
    pub hosts: Vec<HostName>,
    /// The slot is not counted any more.
    pub has_left: bool,
}

impl Held {
    /// The slot takes nothing any more.
    pub fn leave(&mut self, state: &mut State) {
        state.slots -= usize::from(!std::mem::replace(&mut self.has_left, true));
    }
}

/// A slot's handle to the feed. It holds what the slot has taken until it takes again.
pub struct FeedHandle {
    pub(super) feed: Arc<Feed>,
    pub(super) held: Held,
    pub(super) patience: Patience,
}

impl FeedHandle {
    /// Settles what was taken before and waits for up to `want` tasks, at least one. Returns false if there will be
    /// none.
    pub async fn take(&mut self, want: usize, batch: &mut VecDeque<Task>) -> bool {
        let feed = &self.feed;
        let mut taken = feed.try_take(&mut self.held, want, batch);
        if matches!(taken, Taken::Wait) && feed.is_between {
            self.patience.exhaust(|| {
                taken = feed.try_take(&mut self.held, want, batch);
                !matches!(taken, Taken::Wait)
            });
        }
        while matches!(taken, Taken::Wait | Taken::Again) {
            if matches!(taken, Taken::Again) {
                tokio::task::yield_now().await;
                taken = feed.try_take(&mut self.held, want, batch);
                continue;
            }
            // Registered before the second check, so that nothing is missed between the check and the wait.
            let mut changed = pin!(feed.changed.notified());
            changed.as_mut().enable();
            taken = feed.try_take(&mut self.held, want, batch);
            if matches!(taken, Taken::Wait) {
                feed.arrival(changed).await;
                taken = feed.try_take(&mut self.held, want, batch);
            }
        }
        matches!(taken, Taken::Some)
    }

    /// Settles what was taken before and takes up to `want` tasks that are there now; false if there is none.
    pub async fn take_now(&mut self, want: usize, batch: &mut VecDeque<Task>) -> bool {
        loop {
            match self.feed.try_take(&mut self.held, want, batch) {
                Taken::Again => tokio::task::yield_now().await,
                taken => return matches!(taken, Taken::Some),
            }
        }
    }

    /// Puts those of the taken tasks back, uncharged, whose hosts have asked to be left alone since.
    pub fn put_off(&self, batch: &mut VecDeque<Task>) {
        if !self.feed.listens.load(Ordering::Relaxed) {
            return;
        }
        for task in std::mem::take(batch) {
            let paused = |hosts: &Hosts| hosts.paused(&task, Moment::now());
            let until = self.feed.lock().hosts.as_ref().and_then(paused);
            match until {
                None => batch.push_back(task),
                Some(until) => self.add(until, |retries| retries.put_off(task, until)),
            }
        }
    }

    /// Requeues a task, uncharged, for the first slot that is free.
    pub fn give_back(&self, task: Task) {
        self.feed.lock().returned.push_back(task);
        self.feed.changed.notify_waiters();
    }

    /// An attempt at a task that goes to a host has ended; the reply came from `other`, if a redirect has led there. Says until
    /// when the task's host is left alone, if it is: one whose redirect leads to a refusal is left alone, too, since nobody
    /// knows where its others lead.
    pub fn ended(
        &self,
        task: &Task,
        started: Moment,
        reply: Reply,
        other: Option<&str>,
    ) -> Option<Moment> {
        let feed = &self.feed;
        if reply == Reply::Answered && !feed.listens.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = feed.lock();
        let hosts = state.hosts.as_mut()?;
        let now = Moment::now();
        let until = hosts.ended(task, started, now, reply);
        if let (Reply::Refused(asked), Some(other)) = (reply, other) {
            hosts.refused_by(other.into(), now, asked);
        }
        feed.listens.store(hosts.listens(), Ordering::Relaxed);
        if hosts.has_free() {
            feed.changed.notify_one();
        }
        until
    }

    /// Whether limits find themselves.
    pub fn is_adaptive(&self) -> bool {
        self.feed.lock().hosts.as_ref().is_some_and(Hosts::is_adaptive)
    }

    /// Queues a task for its next attempt, due at `due`.
    pub fn retry(&self, task: Task, due: Moment) {
        self.add(due, |retries| retries.push(task, due));
    }

    fn add(&self, due: Moment, add: impl FnOnce(&mut Retries)) {
        let mut state = self.feed.lock();
        let is_sooner = state.retries.next_due().is_none_or(|first| due < first);
        add(&mut state.retries);
        if !state.timed {
            self.feed.changed.notify_one();
        } else if is_sooner {
            self.feed.sooner.notify_one();
        }
    }
}

impl Drop for FeedHandle {
    /// A slot that ends early settles what it holds; otherwise the others would wait forever.
    fn drop(&mut self) {
        let mut state = self.feed.lock();
        state.settle(&mut self.held);
        self.held.leave(&mut state);
        let wakes = state.out == 0 || state.has_more();
        drop(state);
        if wakes {
            self.feed.changed.notify_waiters();
        }
    }
}
