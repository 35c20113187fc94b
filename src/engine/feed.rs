//! The feed from which slots take their tasks: inputs, which are read lazily, requeued tasks, and retries that are due.
//!
//! The feed counts the tasks that slots have taken. A slot ends only when the inputs have ended, nothing waits and there are
//! more slots than tasks that are out: each of those may still be requeued. So most workers end while others still work.
//! Where fewer slots do as well ([`Feed::limit`]), those that are too many end between two tasks.
//!
//! One of the waiting slots keeps the time for the retries ([`State::timed`]), so that a retry that becomes due wakes
//! one slot and not all of them. A slot that takes something wakes another one if there may be more.

mod handle;
mod hosts;
mod queue;
mod retries;
mod room;
mod source;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::engine::made::MadeFiles;
use crate::job::{InputError, InputReader, Inputs};
use crate::report::KeptRows;
use crate::task::{Cancel, Cause, Level, Moment, Task, clock};
pub use handle::FeedHandle;
use handle::Held;
use hosts::{Admitted, HostName};
pub use hosts::{HostLimit, HostOf, Hosts, LimitChange, Reply};
pub use queue::Patience;
use retries::Retries;
use room::Room;
use source::{Numbered, Source};
use watch::Watch;

/// After so many tasks that it has made wait, a slot lets the others have a look at the feed, too.
const MOST_MOVED: usize = 256;

/// The tasks of one stage, shared by all of its slots.
pub struct Feed {
    state: Mutex<State>,
    /// Notified when there may be something to take, or when the last task has ended.
    changed: Notify,
    /// Notified when there will be nothing to take any more.
    over: Notify,
    /// Notified when a retry is due earlier than all others.
    sooner: Notify,
    /// Notified when the queue from the previous stage has room again.
    room: Notify,
    /// Whether another stage fills it.
    is_between: bool,
    /// The end of every attempt has to be told.
    listens: AtomicBool,
    /// How many slots there are to be at most: those that are too many end between two tasks.
    most: AtomicUsize,
    cancel: Arc<Cancel>,
}

struct State {
    source: Source,
    /// Why the inputs were not read to their end, if they were not.
    unread: Option<String>,
    /// Requeued tasks, to be taken before anything new.
    returned: VecDeque<Task>,
    retries: Retries,
    hosts: Option<Hosts>,
    /// How many tasks may wait.
    room: Room,
    /// How many tasks the slot that looks now has made wait.
    moved: usize,
    /// The number of tasks that are taken and not yet settled.
    out: usize,
    /// The number of slots that take tasks.
    slots: usize,
    /// Whether a waiting slot keeps the time for the retries.
    timed: bool,
    /// The number of waiting slots that do not check the source because too many tasks wait.
    shut_out: usize,
    /// Something has begun to wait, perhaps for less long than what the time is kept for.
    is_sooner: bool,
}

enum Taken {
    Some,
    /// Nothing yet, and there is more to look at.
    Again,
    /// Nothing now; there may be more later.
    Wait,
    /// Nothing now or later.
    Over,
}

impl Feed {
    /// Opens the feed of `inputs`, read by `reader`, for `slots` slots. Inputs with a row in `kept` make no task, as long as
    /// what the task makes is there;
    /// `hosts` limits how many tasks of a host are out at once.
    ///
    /// # Errors
    /// If the thread that reads them cannot be started.
    pub fn open(
        (inputs, reader): (&Inputs, InputReader),
        kept: (Option<Arc<KeptRows>>, Option<Arc<MadeFiles>>),
        slots: usize,
        hosts: Option<Hosts>,
        cancel: Arc<Cancel>,
    ) -> io::Result<Self> {
        let source = Source::open((inputs, reader), kept, slots)?;
        Ok(Self::with_source(source, slots, hosts, cancel))
    }

    fn with_source(
        source: Source,
        slots: usize,
        hosts: Option<Hosts>,
        cancel: Arc<Cancel>,
    ) -> Self {
        let is_between = matches!(source, Source::Queue(_));
        let state = State {
            source,
            unread: None,
            returned: VecDeque::new(),
            retries: Retries::default(),
            hosts,
            room: Room::of(slots),
            moved: 0,
            out: 0,
            slots: 0,
            timed: false,
            shut_out: 0,
            is_sooner: false,
        };
        let listens = state.hosts.as_ref().is_some_and(Hosts::listens);
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            over: Notify::new(),
            sooner: Notify::new(),
            room: Notify::new(),
            is_between,
            listens: AtomicBool::new(listens),
            most: AtomicUsize::new(usize::MAX),
            cancel,
        }
    }

    /// A slot's handle to the feed.
    pub fn handle(self: &Arc<Self>, patience: Patience) -> FeedHandle {
        self.lock().slots += 1;
        FeedHandle { feed: Arc::clone(self), held: Held::default(), patience }
    }

    /// Goes on with this number of slots, at least one, if there are more: it does not matter which of them end.
    pub fn limit(&self, slots: usize) {
        self.most.store(slots.max(1), Ordering::Relaxed);
    }

    /// The next task that will not run any more, once every slot has ended. A source that can block is not waited for:
    /// inputs that it has not delivered by then make no task.
    pub fn next_unrun(&self) -> Option<Task> {
        let mut state = self.lock();
        if let Some(task) = state.any_waiting() {
            return Some(task);
        }
        match state.source.next(Moment::now()) {
            Some(Ok(task)) => Some(task),
            Some(Err(error)) => {
                self.stop_at(state, &error);
                None
            }
            None => None,
        }
    }

    /// Why the inputs were not read to their end, if they were not.
    pub fn unread(&self) -> Option<String> {
        self.lock().unread.clone()
    }

    /// Ready when there will be nothing to take for one more slot, as others have found out.
    pub async fn over(&self) {
        let mut over = pin!(self.over.notified());
        over.as_mut().enable();
        let needs_more = {
            let state = self.lock();
            !state.has_nothing_more() || state.out > state.slots
        };
        if needs_more {
            over.await;
        }
    }

    /// What limits that find themselves came to.
    pub fn found(&self) -> Option<(String, Vec<LimitChange>)> {
        self.lock().hosts.as_ref()?.found()
    }

    /// How often hosts have refused, being too busy.
    pub fn refusals(&self) -> u64 {
        self.lock().hosts.as_ref().map_or(0, Hosts::refusals)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no slot panics while it holds the feed")
    }

    /// Settles what is `held` and takes up to `want` new tasks.
    fn try_take(&self, held: &mut Held, want: usize, batch: &mut VecDeque<Task>) -> Taken {
        let now = Moment::now(); // read before the lock is taken
        let mut state = self.lock();
        state.settle(held);
        state.moved = 0;
        if self.cancel.level() >= Level::Drain || held.has_left {
            return Taken::Over;
        }
        // By their count, not by their numbers: whoever is left does what comes back from those that end.
        if state.slots > self.most.load(Ordering::Relaxed) {
            held.leave(&mut state);
            self.changed.notify_one();
            return Taken::Over;
        }
        while batch.len() < want {
            match state.next(now, &mut held.hosts) {
                Some(Ok(task)) => batch.push_back(task),
                Some(Err(error)) => {
                    // Tasks that were taken before it need a row as well.
                    state.returned.extend(batch.drain(..));
                    return self.stop_at(state, &error);
                }
                None => break,
            }
        }
        // The search for the next input may have taken a while.
        if self.cancel.level() >= Level::Drain {
            state.returned.extend(batch.drain(..));
            return Taken::Over;
        }
        if std::mem::take(&mut state.is_sooner) && state.timed {
            self.sooner.notify_one();
        }
        held.tasks = batch.len();
        state.out += held.tasks;
        let room_for = match &state.source {
            Source::Queue(queue) => queue.room_for(),
            _ => 0,
        };
        (0..room_for).for_each(|_| self.room.notify_one());
        if !batch.is_empty() {
            if state.has_more() {
                self.changed.notify_one();
            }
            Taken::Some
        } else if state.moved >= MOST_MOVED {
            Taken::Again
        } else if state.is_over() {
            drop(state);
            self.changed.notify_waiters();
            self.over.notify_waiters();
            Taken::Over
        } else if state.has_nothing_more() && state.out < state.slots {
            held.leave(&mut state);
            if state.out < state.slots {
                self.changed.notify_one();
            }
            drop(state);
            self.over.notify_waiters();
            Taken::Over
        } else {
            Taken::Wait
        }
    }

    /// Stops at a bad input: finished tasks are reported, no new task starts.
    fn stop_at(&self, mut state: MutexGuard<'_, State>, error: &InputError) -> Taken {
        state.source = Source::Ended;
        state.unread = Some(error.to_string());
        drop(state);
        self.cancel.raise(Level::Drain, Cause::Input(error.to_string()));
        Taken::Over
    }

    /// Ready when there may be something to take, or when there will be nothing any more.
    async fn arrival(&self, changed: impl Future<Output = ()>) {
        let watch = Watch::begin(self);
        let delivery = async {
            match &watch.receiver {
                Some(receiver) => receiver.recv().await,
                None => std::future::pending().await,
            }
        };
        let due = async {
            match watch.due {
                Some(due) => tokio::select! {
                    () = clock::sleep_until(due) => {}
                    () = self.sooner.notified() => {}
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.draining() => {}
            () = changed => {}
            () = due => {}
            delivered = delivery => {
                // A closed channel is noticed at the next check.
                if let Ok(delivered) = delivered {
                    self.accept(delivered);
                }
            }
        }
    }
}

impl Feed {
    /// Takes in what this slot has received. Meanwhile another slot may have found the channel closed and empty, and so
    /// the end of the inputs: then this input is the last one.
    fn accept(&self, delivered: Numbered) {
        let mut state = self.lock();
        match (&mut state.source, delivered) {
            (Source::Channel { arrived, .. }, delivered) => arrived.push_back(delivered),
            (_, Ok((number, fields))) => state.returned.push_back(Task::new(number, fields)),
            (_, Err(error)) => {
                self.stop_at(state, &error);
            }
        }
    }
}

impl State {
    #[inline]
    fn settle(&mut self, held: &mut Held) {
        self.out -= std::mem::take(&mut held.tasks);
        if let Some(hosts) = &mut self.hosts {
            held.hosts.drain(..).for_each(|host| hosts.release(host));
        }
    }

    /// The next task that may run now, if there is one. Tasks that have to wait for their host are parked on the way.
    #[inline]
    fn next(&mut self, now: Moment, held: &mut Vec<HostName>) -> Option<Result<Task, InputError>> {
        while self.moved < MOST_MOVED {
            if let Some(hosts) = &mut self.hosts
                && let Some(task) = hosts.pop_free(held)
            {
                // Its host may have asked to be left alone since it was parked.
                match hosts.paused(&task, now) {
                    None => return Some(Ok(task)),
                    Some(until) => {
                        held.pop().into_iter().for_each(|host| hosts.release(host));
                        self.retries.put_off(task, until);
                        self.is_sooner = true;
                        self.moved += 1;
                        continue;
                    }
                }
            }
            let task = match self.candidate(now)? {
                Ok(task) => task,
                Err(error) => return Some(Err(error)),
            };
            let Some(hosts) = &mut self.hosts else { return Some(Ok(task)) };
            match hosts.admit(task, now, held) {
                Admitted::Yes(task) => return Some(Ok(task)),
                Admitted::Parked => {}
                Admitted::Later(task, until) => {
                    self.retries.put_off(task, until);
                    self.is_sooner = true;
                }
            }
            self.moved += 1;
        }
        None
    }

    #[inline]
    fn candidate(&mut self, now: Moment) -> Option<Result<Task, InputError>> {
        if let Some(task) = self.retries.pop_due(now).or_else(|| self.returned.pop_front()) {
            return Some(Ok(task));
        }
        if self.is_full() {
            return None;
        }
        self.source.next(now)
    }

    fn any_waiting(&mut self) -> Option<Task> {
        self.returned.pop_front().or_else(|| self.retries.pop()).or_else(|| {
            self.returned.extend(self.hosts.as_mut()?.take_parked());
            self.returned.pop_front()
        })
    }

    /// Whether enough tasks wait that no new input is handed out.
    fn is_full(&self) -> bool {
        let parked = self.hosts.as_ref().map(Hosts::parked);
        let (retries, put_off) = self.retries.waiting();
        self.room.is_taken(retries, put_off, parked.unwrap_or_default())
    }

    /// Whether one of the waiting slots should check again: it may find a task, or has to keep the time.
    fn has_more(&self) -> bool {
        (!self.retries.is_empty() && !self.timed)
            || (self.shut_out > 0 && !self.is_full())
            || matches!(&self.source, Source::Queue(queue) if !queue.is_empty())
            || self.hosts.as_ref().is_some_and(Hosts::has_free)
            || self.moved >= MOST_MOVED
    }

    /// Whether there will be nothing to take any more.
    fn is_over(&self) -> bool {
        self.out == 0 && self.retries.is_empty() && matches!(self.source, Source::Ended)
    }

    /// Whether there will be nothing to take but what is out now and may come back.
    fn has_nothing_more(&self) -> bool {
        matches!(self.source, Source::Ended)
            && self.retries.is_empty()
            && self.returned.is_empty()
            && self.hosts.as_ref().is_none_or(|hosts| hosts.parked().tasks == 0)
    }
}

#[cfg(test)]
mod tests;
