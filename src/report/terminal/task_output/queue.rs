//! Outputs on their way to standard output, and the thread that prints them.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use tokio::sync::Notify;

use super::PrintOrder;
use super::sequence::Sequence;
use super::tagged::{Tagged, tagged};
use crate::base::diagnostic::reason;
use crate::base::{lock, mask};
use crate::report::terminal::progress::aside;
use crate::task::{Cancel, Cause, Level};

/// The number of bytes of output that may wait before slots have to wait for the printer.
const FULL: usize = 1 << 20;

/// Held while an output is printed: jobs may run side by side, and each has a printer.
static PRINTING: Mutex<()> = Mutex::new(());

/// Outputs that wait for the thread that prints them.
#[derive(Debug)]
pub(in crate::report) struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
    bytes: AtomicUsize,
    room: Notify,
    order: PrintOrder,
    /// Whether outputs are printed where bars are drawn: these make way, and come back on a line of their own.
    is_among_bars: bool,
    /// Stopped when nobody reads any more.
    cancel: Arc<Cancel>,
    /// Why not everything could be printed. A closed standard output is not a failure.
    failure: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Waiting {
    outputs: Vec<Output>,
    closed: bool,
}

/// What is printed at a time.
#[derive(Debug)]
pub(super) struct Output {
    /// Whose it is; 0 of any number of tasks, which is printed as it is.
    pub task: u64,
    /// What stands before each line; `None` if it is printed byte by byte.
    pub tag: Option<Vec<u8>>,
    pub body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Bytes(Vec<u8>),
    /// The whole output of one task. It waits on the disk, so its size does not count.
    File(Arc<File>),
}

impl Queue {
    pub(super) fn new(order: PrintOrder, is_among_bars: bool, cancel: Arc<Cancel>) -> Self {
        Self {
            waiting: Mutex::default(),
            more: Condvar::new(),
            bytes: AtomicUsize::new(0),
            room: Notify::new(),
            order,
            is_among_bars,
            cancel,
            failure: Mutex::default(),
        }
    }

    /// In which order outputs are printed.
    pub(super) fn order(&self) -> PrintOrder {
        self.order
    }

    /// Ready when there is room.
    pub(super) async fn wait_for_room(&self) {
        loop {
            let notified = self.room.notified();
            if !self.is_full() {
                return;
            }
            notified.await;
        }
    }

    /// No further output comes.
    pub(super) fn close(&self) {
        lock(&self.waiting).closed = true;
        self.more.notify_one();
    }

    /// Why not everything could be printed.
    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    /// Notes why not everything could be printed; the first reason is said.
    pub(super) fn fail(&self, why: String) {
        lock(&self.failure).get_or_insert(why);
    }

    /// There will be no output of this task.
    pub(in crate::report) fn pass(&self, task: u64) {
        self.put_bytes(task, None, b"");
    }

    pub(super) fn put_bytes(&self, task: u64, tag: Option<Vec<u8>>, bytes: &[u8]) {
        if self.order == PrintOrder::Input {
            return self.put(Output { task, tag, body: Body::Bytes(bytes.to_vec()) }, bytes.len());
        }
        if bytes.is_empty() {
            return;
        }
        let bytes = tag.map_or(Cow::Borrowed(bytes), |tag| tagged(&tag, bytes).into());
        let mut waiting = lock(&self.waiting);
        if let Some(Output { body: Body::Bytes(last), .. }) = waiting.outputs.last_mut() {
            last.extend_from_slice(&bytes);
        } else {
            let body = Body::Bytes(bytes.to_vec());
            waiting.outputs.push(Output { task: 0, tag: None, body });
        }
        self.bytes.fetch_add(bytes.len(), Ordering::SeqCst);
        self.more.notify_one();
    }

    pub(super) fn put(&self, output: Output, size: usize) {
        lock(&self.waiting).outputs.push(output);
        self.bytes.fetch_add(size, Ordering::SeqCst);
        self.more.notify_one();
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) >= FULL
    }

    pub(super) fn print_to(&self, out: &mut dyn Write) {
        let out = &mut Lines { out, is_within: false };
        let mut sequence = Sequence::new();
        let mut is_open = true;
        while let Some(outputs) = self.take() {
            for output in outputs {
                if is_open {
                    is_open = self.check(|| self.print(&output, &mut sequence, out));
                }
            }
        }
        if is_open {
            self.check(|| sequence.write_ready(out, true).and_then(|()| self.end(out)));
        }
    }

    fn print(
        &self,
        output: &Output,
        sequence: &mut Sequence,
        out: &mut Lines<'_>,
    ) -> io::Result<()> {
        if self.order == PrintOrder::Input {
            let task = output.task;
            if !sequence.is_next(task) {
                return sequence.hold(task, |to| output.print_to(to));
            }
            output.print_to(out)?;
            sequence.passed(task);
            sequence.write_ready(out, false)?;
        } else {
            output.print_to(out)?;
        }
        self.end(out)
    }

    /// What has been printed is shown, and bars do not come into its last line.
    fn end(&self, out: &mut Lines<'_>) -> io::Result<()> {
        if self.is_among_bars && out.is_within {
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Prints something; says whether more can be printed. If nobody reads it, the job is stopped; if the disk is full,
    /// the report is still wanted.
    fn check(&self, print: impl FnOnce() -> io::Result<()>) -> bool {
        let _whole = lock(&PRINTING);
        let mut printed = Ok(());
        if self.is_among_bars {
            aside(|| printed = print());
        } else {
            printed = print();
        }
        let Err(error) = printed else { return true };
        if error.kind() == io::ErrorKind::BrokenPipe {
            // A task that prints without end would never notice that nobody reads it.
            let is_live = self.order == PrintOrder::Lines;
            let level = if is_live { Level::Kill } else { Level::Drain };
            self.cancel.raise(level, Cause::OutputClosed);
        } else {
            let why = reason(&error);
            self.fail(format!("failed to print the output: {why}"));
        }
        false
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

/// Knows whether what has been written ends within a line.
struct Lines<'a> {
    out: &'a mut dyn Write,
    is_within: bool,
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        if let Some(last) = bytes[..written].last() {
            self.is_within = *last != b'\n';
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Output {
    fn print_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(tag) = &self.tag else { return self.body.copy_to(out) };
        let mut out = Tagged::new(out, tag);
        self.body.copy_to(&mut out)?;
        out.finish()
    }
}

impl Body {
    fn copy_to(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => out.write_all(bytes),
            Self::File(file) => {
                let mut file: &File = file;
                mask::copy(&mut file, out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(outputs: &[&[u8]], out: &mut impl Write) -> Arc<Cancel> {
        let cancel = Arc::<Cancel>::default();
        let queue = Queue::new(PrintOrder::Ended, false, Arc::clone(&cancel));
        for output in outputs {
            queue.put_bytes(1, None, output);
        }
        lock(&queue.waiting).closed = true;
        queue.print_to(out);
        assert_eq!(*lock(&queue.failure), None);
        cancel
    }

    #[test]
    fn outputs_are_printed_byte_by_byte() {
        let mut out = Vec::new();
        printed(&[b"a\nb\n", b"", b"\xff"], &mut out);
        assert_eq!(out, b"a\nb\n\xff");
    }

    #[test]
    fn among_bars_every_output_ends_its_line() {
        for order in [PrintOrder::Ended, PrintOrder::Input, PrintOrder::Lines] {
            let queue = Queue::new(order, true, Arc::default());
            let print = |queue: &Queue, out: &mut Vec<u8>| queue.print_to(out);
            for (task, text) in [(1, &b"a"[..]), (2, b"b\n"), (3, b"c")] {
                queue.put_bytes(task, None, text);
            }
            lock(&queue.waiting).closed = true;
            let mut out = Vec::new();
            print(&queue, &mut out);
            assert!(out.ends_with(b"b\nc\n"), "{order:?} {out:?}");
        }
    }

    #[test]
    fn a_closed_output_stops_the_job_and_is_no_failure() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        let cancel = printed(&[b"a", b"b"], &mut writer);
        assert_eq!(cancel.cause(), Some(&Cause::OutputClosed));
    }
}
