//! `--output`: prints each task's whole output to standard output when it ends.
//!
//! A separate thread prints, so that a slow reader delays neither the rows nor the event loop of a slot; slots wait for
//! it between tasks.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use tokio::sync::Notify;

use crate::base::diagnostic::reason;
use crate::report::ReportError;
use crate::report::write::buffer::lock;
use crate::task::Outcome;

/// The number of bytes of output that may wait before slots have to wait for the printer.
const FULL: usize = 1 << 20;

/// Held while an output is printed: jobs may run side by side, and each has a printer.
static PRINTING: Mutex<()> = Mutex::new(());

/// Prints whole outputs, one after another.
#[derive(Debug)]
pub(in crate::report) struct Printer {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
    bytes: AtomicUsize,
    room: Notify,
    /// Why not everything could be printed. A closed standard output is not a failure.
    failure: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Waiting {
    outputs: Vec<Output>,
    closed: bool,
}

#[derive(Debug)]
enum Output {
    /// The output of any number of tasks.
    Bytes(Vec<u8>),
    /// The whole output of one task. It waits on the disk, so its size does not count.
    File(Arc<File>),
}

impl Printer {
    pub(in crate::report) fn start() -> Result<Self, ReportError> {
        let queue = Arc::<Queue>::default();
        let printing = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("output".into())
            .spawn(move || printing.print_to(&mut io::stdout()))
            .map_err(|error| ReportError::internal(format!("failed to start a thread: {error}")))?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Queues the output of a task for printing.
    pub(in crate::report) fn print(&self, outcome: &Outcome) {
        match &outcome.rare().whole_output {
            Some(file) => self.queue.put_file(Arc::clone(file)),
            None if outcome.output.is_empty() => self.queue.put_value(&outcome.result),
            None => self.queue.put(&outcome.output),
        }
    }

    pub(in crate::report) fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// Ready when there is room in the queue.
    pub(in crate::report) async fn room(&self) {
        loop {
            let notified = self.queue.room.notified();
            if !self.is_full() {
                return;
            }
            notified.await;
        }
    }

    /// Waits until everything has been printed; returns why some of it could not be.
    pub(in crate::report) fn finish(&self) -> Option<String> {
        self.close();
        lock(&self.queue.failure).clone()
    }

    fn close(&self) {
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
        if !matches!(waiting.outputs.last(), Some(Output::Bytes(_))) {
            waiting.outputs.push(Output::Bytes(Vec::new()));
        }
        let Some(Output::Bytes(bytes)) = waiting.outputs.last_mut() else { return };
        bytes.extend_from_slice(output);
        self.bytes.fetch_add(output.len(), Ordering::SeqCst);
        self.more.notify_one();
    }

    /// A value has no line break of its own: each gets a line.
    fn put_value(&self, value: &[u8]) {
        if !value.is_empty() {
            self.put(&[value, b"\n"].concat());
        }
    }

    fn put_file(&self, file: Arc<File>) {
        lock(&self.waiting).outputs.push(Output::File(file));
        self.more.notify_one();
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) >= FULL
    }

    fn print_to(&self, out: &mut impl Write) {
        let mut open = true;
        while let Some(outputs) = self.take() {
            for output in outputs {
                if !open {
                    continue;
                }
                let _whole = lock(&PRINTING);
                if let Err(error) = output.print_to(out).and_then(|()| out.flush()) {
                    // The reader is gone (`| head`), or the disk is full: the report is still wanted.
                    open = false;
                    if error.kind() != io::ErrorKind::BrokenPipe {
                        let why = reason(&error);
                        *lock(&self.failure) = Some(format!("failed to print the output: {why}"));
                    }
                }
            }
        }
    }

    /// Waits for output; `None` if there will be no more.
    fn take(&self) -> Option<Vec<Output>> {
        let mut waiting = lock(&self.waiting);
        while waiting.outputs.is_empty() && !waiting.closed {
            waiting = self.more.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        let outputs = mem::take(&mut waiting.outputs);
        self.bytes.store(0, Ordering::SeqCst);
        self.room.notify_waiters();
        (!outputs.is_empty()).then_some(outputs)
    }
}

impl Output {
    fn print_to(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => out.write_all(bytes),
            Self::File(file) => {
                let mut file: &File = file;
                io::copy(&mut file, out).map(drop)
            }
        }
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
    fn outputs_are_printed_byte_by_byte() {
        let mut out = Vec::new();
        printed(&[b"a\nb\n", b"", b"\xff"], &mut out);
        assert_eq!(out, b"a\nb\n\xff");
    }

    #[test]
    fn a_closed_output_is_no_error() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        printed(&[b"a", b"b"], &mut writer);
    }
}
