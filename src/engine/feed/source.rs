//! The sources of new inputs: they are read by the slot that takes one, or by a thread of their own if reading can
//! block.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_channel::{Receiver, TryRecvError};

use super::queue::Queue;
use crate::engine::made::MadeFiles;
use crate::job::{InputError, InputReader, Inputs};
use crate::report::KeptRows;
use crate::task::{Fields, Moment, Task};

/// An input and its number, from 1, in input order.
pub(super) type Numbered = Result<(u64, Fields), InputError>;

/// The source of new inputs.
pub(super) enum Source {
    /// Inputs that the taking slot reads itself, since that cannot block for long.
    Direct(Reader),
    /// Inputs that a thread of its own reads, since that can block.
    Channel {
        receiver: Receiver<Numbered>,
        /// Inputs that a waiting slot has received.
        arrived: VecDeque<Numbered>,
    },
    /// Tasks from the previous stage.
    Queue(Queue),
    /// There are no more.
    Ended,
}

impl Source {
    /// The inputs that `reader` reads for `slots` slots, without those that have a row in `kept`.
    ///
    /// # Errors
    /// If the thread that reads them cannot be started.
    pub(super) fn open(
        (inputs, reader): (&Inputs, InputReader),
        (kept, made): (Option<Arc<KeptRows>>, Option<Arc<MadeFiles>>),
        slots: usize,
    ) -> io::Result<Self> {
        let reader = Reader { inputs: reader, number: 0, numbers: inputs.numbers(), kept, made };
        if inputs.can_block() {
            let receiver = read_in_thread(reader, 2 * slots)?;
            return Ok(Self::Channel { receiver, arrived: VecDeque::new() });
        }
        Ok(Self::Direct(reader))
    }

    /// The next task that is available now, which is `now`. With a channel or a queue, there may be one later even if
    /// there is none now.
    #[inline]
    pub(super) fn next(&mut self, now: Moment) -> Option<Result<Task, InputError>> {
        if let Source::Queue(queue) = self {
            let task = queue.pop();
            if task.is_none() && queue.is_over() {
                *self = Source::Ended;
            }
            return task.map(Ok);
        }
        let task = |(number, fields)| Task::taken_at(now, number, fields);
        self.next_input().map(|input| input.map(task))
    }

    #[inline]
    fn next_input(&mut self) -> Option<Numbered> {
        match self {
            Source::Direct(reader) => {
                let input = reader.next();
                if input.is_none() {
                    *self = Source::Ended;
                }
                input
            }
            Source::Channel { receiver, arrived } => {
                if let Some(input) = arrived.pop_front() {
                    return Some(input);
                }
                match receiver.try_recv() {
                    Ok(input) => Some(input),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Closed) => {
                        *self = Source::Ended;
                        None
                    }
                }
            }
            Source::Queue(_) | Source::Ended => None,
        }
    }
}

/// Numbers the inputs, and skips those that an earlier run has finished.
pub(super) struct Reader {
    inputs: InputReader,
    /// The number of the last one.
    number: u64,
    /// The number of the last one, where they do not count from 1.
    numbers: Option<Arc<AtomicU64>>,
    kept: Option<Arc<KeptRows>>,
    /// What tasks make: a row is kept only as long as that is there.
    made: Option<Arc<MadeFiles>>,
}

impl Iterator for Reader {
    type Item = Numbered;

    #[inline]
    fn next(&mut self) -> Option<Numbered> {
        loop {
            let Some(input) = self.inputs.next() else {
                self.kept.iter().for_each(|kept| kept.inputs_ended());
                return None;
            };
            self.number = match &self.numbers {
                None => self.number + 1,
                Some(numbers) => numbers.load(Ordering::Relaxed),
            };
            match (input, &self.kept) {
                (Err(error), _) => return Some(Err(error)),
                (Ok(fields), Some(kept))
                    if kept.keep(self.number, &fields, || {
                        let is_current =
                            |made: &Arc<MadeFiles>| made.is_current(self.number, &fields);
                        self.made.as_ref().is_none_or(is_current)
                    }) => {}
                (Ok(fields), _) => return Some(Ok((self.number, fields))),
            }
        }
    }
}

/// Reads inputs in a thread of its own, which ends with the inputs or when the feed is dropped; one that is blocked in
/// a read ends with the process.
fn read_in_thread(reader: Reader, capacity: usize) -> io::Result<Receiver<Numbered>> {
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
