//! Where slots take their tasks from: the inputs, read lazily, and tasks that were given back.
//!
//! The feed counts the tasks that are out. A slot ends only when the inputs have ended and nothing is out any more,
//! since what is out may yet be given back.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};

use async_channel::{Receiver, TryRecvError};
use tokio::sync::Notify;

use crate::engine::cancel::{Cancel, Cause, Level};
use crate::engine::clock::Moment;
use crate::engine::task::Task;
use crate::job::{Fields, InputError, InputReader, Inputs};
use crate::report::Kept;

type Numbered = Result<(u64, Fields), InputError>;
type NumberedReader = Box<dyn Iterator<Item = Numbered> + Send>;

/// The tasks of one job, shared by all of its slots.
pub struct Feed {
    state: Mutex<State>,
    /// A task was given back, or the last one has ended.
    changed: Notify,
    cancel: Arc<Cancel>,
}

struct State {
    source: Source,
    /// Given back, to be taken again before anything new.
    returned: VecDeque<Task>,
    /// Taken and not yet settled.
    out: usize,
}

enum Source {
    /// Read by whoever takes: nothing here can block for long.
    Direct(NumberedReader),
    /// Read by a thread of its own, since it can block.
    Channel(Receiver<Numbered>),
    Ended,
}

enum Taken {
    Some,
    /// Nothing now; there may be more later.
    Wait,
    /// Nothing ever again.
    Over,
}

impl Feed {
    /// Opens the inputs for `slots` slots. Those that are in `kept` are no tasks any more.
    ///
    /// # Errors
    /// If the inputs cannot be opened, or the thread that reads them cannot be started.
    pub fn open(
        inputs: &Inputs,
        kept: Option<Arc<Kept>>,
        slots: usize,
        cancel: Arc<Cancel>,
    ) -> Result<Self, FeedError> {
        let reader = unfinished(inputs.open()?, kept);
        let source = if inputs.can_block() {
            Source::Channel(read_aside(reader, 2 * slots)?)
        } else {
            Source::Direct(reader)
        };
        let state = Mutex::new(State { source, returned: VecDeque::new(), out: 0 });
        Ok(Self { state, changed: Notify::new(), cancel })
    }

    /// A slot's way to its tasks.
    pub fn hand(self: &Arc<Self>) -> Hand {
        Hand { feed: Arc::clone(self), held: 0 }
    }

    /// The next task that will not run any more, once every slot has ended. A source that can block is not waited for:
    /// what it has not delivered by then is no task.
    pub fn next_unrun(&self) -> Option<Task> {
        let mut state = self.lock();
        if let Some(task) = state.returned.pop_front() {
            return Some(task);
        }
        match state.source.next() {
            Some(Ok((number, fields))) => Some(new_task(number, fields)),
            Some(Err(error)) => {
                state.source = Source::Ended;
                self.cancel.raise(Level::Drain, Cause::Input(error.to_string()));
                None
            }
            None => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no slot panics while it holds the feed")
    }

    /// Settles `held` tasks and takes up to `want` new ones.
    fn try_take(&self, held: &mut usize, want: usize, batch: &mut VecDeque<Task>) -> Taken {
        let mut state = self.lock();
        state.out -= std::mem::take(held);
        if self.cancel.level() >= Level::Drain {
            return Taken::Over;
        }
        while batch.len() < want {
            if let Some(task) = state.returned.pop_front() {
                batch.push_back(task);
                continue;
            }
            match state.source.next() {
                Some(Ok((number, fields))) => batch.push_back(new_task(number, fields)),
                Some(Err(error)) => return self.spoil(state, &error),
                None => break,
            }
        }
        state.out += batch.len();
        *held = batch.len();
        if !batch.is_empty() {
            Taken::Some
        } else if state.out == 0 && matches!(state.source, Source::Ended) {
            drop(state);
            self.changed.notify_waiters();
            Taken::Over
        } else {
            Taken::Wait
        }
    }

    /// A bad input: what was done is reported, nothing new starts.
    fn spoil(&self, mut state: MutexGuard<'_, State>, error: &InputError) -> Taken {
        state.source = Source::Ended;
        drop(state);
        self.cancel.raise(Level::Drain, Cause::Input(error.to_string()));
        Taken::Over
    }

    /// Ready when there may be something to take, or nothing ever again.
    async fn arrival(&self, changed: impl Future<Output = ()>) {
        let receiver = match &self.lock().source {
            Source::Channel(receiver) => Some(receiver.clone()),
            _ => None,
        };
        let delivery = async {
            match receiver {
                Some(receiver) => receiver.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.cancel.draining() => {}
            () = changed => {}
            delivered = delivery => match delivered {
                Ok(Ok((number, fields))) => self.lock().returned.push_back(new_task(number, fields)),
                Ok(Err(error)) => { self.spoil(self.lock(), &error); }
                Err(_closed) => {} // the next look finds that out
            }
        }
    }
}

impl Source {
    fn next(&mut self) -> Option<Numbered> {
        match self {
            Source::Direct(reader) => {
                let input = reader.next();
                if input.is_none() {
                    *self = Source::Ended;
                }
                input
            }
            Source::Channel(receiver) => match receiver.try_recv() {
                Ok(input) => Some(input),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Closed) => {
                    *self = Source::Ended;
                    None
                }
            },
            Source::Ended => None,
        }
    }
}

fn new_task(number: u64, fields: Fields) -> Task {
    Task { number, fields, taken: Moment::now(), attempts: 0 }
}

/// Numbers the inputs, and leaves out those that an earlier run has finished.
fn unfinished(reader: InputReader, kept: Option<Arc<Kept>>) -> NumberedReader {
    let mut numbered = (1..).zip(reader).map(|(number, input)| Ok((number, input?)));
    let Some(kept) = kept else { return Box::new(numbered) };
    Box::new(std::iter::from_fn(move || {
        let next = numbered.find(|input| {
            !input.as_ref().is_ok_and(|(number, fields)| kept.claim(*number, fields))
        });
        if next.is_none() {
            kept.inputs_ended();
        }
        next
    }))
}

/// Reads inputs in a thread of its own. It ends with the inputs, or when the feed is gone; one that is blocked in a
/// read ends with the process.
fn read_aside(reader: NumberedReader, capacity: usize) -> io::Result<Receiver<Numbered>> {
    let (sender, receiver) = async_channel::bounded(capacity);
    std::thread::Builder::new().name("inputs".into()).spawn(move || {
        for numbered in reader {
            if sender.send_blocking(numbered).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// A slot's way to its tasks. It holds what it has taken until it takes again.
pub struct Hand {
    feed: Arc<Feed>,
    held: usize,
}

impl Hand {
    /// Settles what was taken before and waits for up to `want` tasks, at least one. False: there will be none.
    pub async fn take(&mut self, want: usize, batch: &mut VecDeque<Task>) -> bool {
        let feed = Arc::clone(&self.feed);
        let mut taken = feed.try_take(&mut self.held, want, batch);
        while matches!(taken, Taken::Wait) {
            // Enlisted before the second look, so that nothing is missed between the look and the wait.
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

    /// Gives a task back, uncharged, for whichever slot is free first.
    pub fn give_back(&self, task: Task) {
        self.feed.lock().returned.push_back(task);
        self.feed.changed.notify_waiters();
    }
}

impl Drop for Hand {
    /// A slot that ends early settles what it holds, or the others would wait for it for ever.
    fn drop(&mut self) {
        let mut state = self.feed.lock();
        state.out -= self.held;
        if state.out == 0 {
            drop(state);
            self.feed.changed.notify_waiters();
        }
    }
}

/// Why a feed could not be opened.
#[derive(Debug)]
pub enum FeedError {
    /// The inputs cannot be read.
    Input(InputError),
    /// The thread that reads them cannot be started.
    Thread(io::Error),
}

impl From<InputError> for FeedError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl From<io::Error> for FeedError {
    fn from(error: io::Error) -> Self {
        Self::Thread(error)
    }
}
