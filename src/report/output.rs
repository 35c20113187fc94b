//! `--output`: each task's output on standard output, whole, as it ends.
//!
//! A thread of its own prints, so that whoever reads slowly holds up neither the rows nor the loop of a slot; slots
//! wait for it between tasks.

use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use tokio::sync::Notify;

use crate::engine::task::Outcome;
use crate::report::ReportError;
use crate::report::outbox::lock;

/// So much output may wait to be printed, and the outputs of the tasks that end meanwhile.
const FULL: usize = 1 << 20;

/// Prints whole outputs, one after another.
#[derive(Debug)]
pub(super) struct Printer {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
    bytes: AtomicUsize,
    room: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    closed: bool,
}

impl Printer {
    pub(super) fn start() -> Result<Self, ReportError> {
        let queue = Arc::<Queue>::default();
        let printing = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("output".into())
            .spawn(move || printing.print_to(&mut io::stdout()))
            .map_err(|error| ReportError::internal(format!("failed to start a thread: {error}")))?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Prints the output of a task, sooner or later.
    pub(super) fn print(&self, outcome: &Outcome) {
        self.queue.put(if outcome.output.is_empty() { &outcome.result } else { &outcome.output });
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// Ready when there is room.
    pub(super) async fn room(&self) {
        loop {
            let notified = self.queue.room.notified();
            if !self.is_full() {
                return;
            }
            notified.await;
        }
    }

    /// Waits until all has been printed.
    pub(super) fn close(&self) {
        lock(&self.queue.waiting).closed = true;
        self.queue.more.notify_one();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join(); // a panic there has been printed, and costs no row
        }
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn put(&self, output: &[u8]) {
        if output.is_empty() {
            return;
        }
        let mut waiting = lock(&self.waiting);
        waiting.bytes.extend_from_slice(output);
        if !output.ends_with(b"\n") {
            waiting.bytes.push(b'\n'); // the next task's output starts a line of its own
        }
        self.bytes.store(waiting.bytes.len(), Ordering::SeqCst);
        self.more.notify_one();
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) >= FULL
    }

    fn print_to(&self, out: &mut impl Write) {
        let mut open = true;
        while let Some(bytes) = self.take() {
            // Nobody listens any more (`| head`): the report is still wanted.
            open = open && out.write_all(&bytes).and_then(|()| out.flush()).is_ok();
        }
    }

    /// Waits for output; `None` if there will be no more.
    fn take(&self) -> Option<Vec<u8>> {
        let mut waiting = lock(&self.waiting);
        while waiting.bytes.is_empty() && !waiting.closed {
            waiting = self.more.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let bytes = mem::take(&mut waiting.bytes);
        self.bytes.store(0, Ordering::SeqCst);
        self.room.notify_waiters();
        (!bytes.is_empty()).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(outputs: &[&[u8]], out: &mut impl Write) {
        let queue = Queue::default();
        for output in outputs {
            queue.put(output);
        }
        lock(&queue.waiting).closed = true;
        queue.print_to(out);
    }

    #[test]
    fn outputs_are_whole_and_end_their_line() {
        let mut out = Vec::new();
        printed(&[b"a\nb\n", b"", b"\xff"], &mut out);
        assert_eq!(out, b"a\nb\n\xff\n");
    }

    #[test]
    fn a_closed_output_is_no_error() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        printed(&[b"a", b"b"], &mut writer);
    }
}
