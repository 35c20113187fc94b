//! `--output`: prints each task's output to standard output: whole when it ends, in the order of the tasks, or line by
//! line.
//!
//! A separate thread prints, so that a slow reader delays neither the rows nor the event loop of a slot; slots wait for
//! it between tasks, and, where lines are printed as they come, while a task runs.

mod sequence;
mod tagged;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use tokio::sync::Notify;

use crate::base::diagnostic::reason;
use crate::base::mask;
use crate::config::{Scope, Template};
use crate::job::Job;
use crate::report::ReportError;
use crate::report::write::buffer::lock;
use crate::task::live::{LiveOutput, Room};
use crate::task::{Cancel, Cause, Level, Record, Values};
use sequence::Sequence;
use tagged::{Tagged, tagged};

/// The number of bytes of output that may wait before slots have to wait for the printer.
const FULL: usize = 1 << 20;

/// Held while an output is printed: jobs may run side by side, and each has a printer.
static PRINTING: Mutex<()> = Mutex::new(());

/// How the outputs of tasks are printed.
#[derive(Clone, Debug)]
pub struct Printing {
    /// When.
    pub order: PrintOrder,
    /// The template of what stands before each line.
    pub tag: Option<String>,
}

/// When the outputs of tasks are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrintOrder {
    /// Each when its task ends.
    Ended,
    /// In the order of the tasks.
    Input,
    /// Line by line, as they come.
    Lines,
}

impl Printing {
    /// The tag for the tasks of `job`.
    ///
    /// # Errors
    /// If it is no template, or names a field that the job does not have.
    pub fn tag(&self, job: &Job) -> Result<Option<Template>, String> {
        let Some(text) = &self.tag else { return Ok(None) };
        let scope = Scope {
            job: &job.name,
            fields: Some(&job.fields),
            tasks: job.inputs.tasks(),
            ..Scope::default()
        };
        let say = |message: &str, help: &str| format!("`--tag {text}`: {message}; {help}");
        Template::parse(text, &scope).map(Some).map_err(|error| say(&error.message, &error.help))
    }
}

/// Prints outputs, one after another.
#[derive(Debug)]
pub(in crate::report) struct Printer {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
    tag: Option<Template>,
}

#[derive(Debug)]
pub(in crate::report) struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
    bytes: AtomicUsize,
    room: Notify,
    order: PrintOrder,
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
struct Output {
    /// Whose it is; 0 of any number of tasks, which is printed as it is.
    task: u64,
    /// What stands before each line; `None` if it is printed byte by byte.
    tag: Option<Vec<u8>>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Bytes(Vec<u8>),
    /// The whole output of one task. It waits on the disk, so its size does not count.
    File(Arc<File>),
}

impl Printer {
    pub(in crate::report) fn start(
        order: PrintOrder,
        tag: Option<Template>,
        cancel: Arc<Cancel>,
    ) -> Result<Self, ReportError> {
        let queue = Arc::new(Queue::new(order, cancel));
        let printing = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("output".into())
            .spawn(move || printing.print_to(&mut io::stdout()))
            .map_err(|error| ReportError::internal(format!("failed to start a thread: {error}")))?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)), tag })
    }

    /// Where tasks that keep their rows are left out, if that has to be known.
    pub(in crate::report) fn passes(&self) -> Option<Arc<Queue>> {
        (self.queue.order == PrintOrder::Input).then(|| Arc::clone(&self.queue))
    }

    /// Whether lines are printed as they come.
    pub(in crate::report) fn is_live(&self) -> bool {
        self.queue.order == PrintOrder::Lines
    }

    /// Queues the output of a task for printing.
    pub(in crate::report) fn print(&self, record: &Record) {
        let (task, outcome) = (record.task.number, &record.outcome);
        let rare = outcome.rare();
        let tag = self.tag_of(record);
        match &rare.whole_output {
            _ if rare.is_printed => {}
            Some(file) => {
                self.queue.put(Output { task, tag, body: Body::File(Arc::clone(file)) }, 0);
            }
            None if outcome.output.is_empty() => {
                // A value has no line break of its own: each gets a line.
                let end: &[u8] = if outcome.result.is_empty() { b"" } else { b"\n" };
                self.queue.put_bytes(task, tag, &[&outcome.result, end].concat());
            }
            None => self.queue.put_bytes(task, tag, &outcome.output),
        }
    }

    fn tag_of(&self, record: &Record) -> Option<Vec<u8>> {
        if self.tag.is_none() && !self.is_live() {
            return None;
        }
        let task = &record.task;
        Some(self.tag(&Values {
            fields: &task.fields,
            task: task.number,
            attempt: task.attempts.max(1),
            slot: record.slot.unwrap_or_default(),
            payload: None,
        }))
    }

    pub(in crate::report) fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// Ready when there is room in the queue.
    pub(in crate::report) async fn wait_for_room(&self) {
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

impl LiveOutput for Printer {
    fn tag(&self, values: &Values<'_>) -> Vec<u8> {
        let Some(tag) = &self.tag else { return Vec::new() };
        let mut out = Vec::new();
        tag.render(values, &mut out);
        for byte in &mut out {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' '; // it stands on a line
            }
        }
        mask::apply_to(&mut out);
        out.push(b'\t');
        out
    }

    fn put(&self, tag: &[u8], lines: &[u8]) {
        self.queue.put_bytes(0, None, &tagged(tag, &mask::apply(lines)));
    }

    fn room(&self) -> Option<Room<'_>> {
        self.is_full().then(|| Box::pin(self.wait_for_room()) as Room<'_>)
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn new(order: PrintOrder, cancel: Arc<Cancel>) -> Self {
        Self {
            waiting: Mutex::default(),
            more: Condvar::new(),
            bytes: AtomicUsize::new(0),
            room: Notify::new(),
            order,
            cancel,
            failure: Mutex::default(),
        }
    }

    /// There will be no output of this task.
    pub(in crate::report) fn pass(&self, task: u64) {
        self.put_bytes(task, None, b"");
    }

    fn put_bytes(&self, task: u64, tag: Option<Vec<u8>>, bytes: &[u8]) {
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

    fn put(&self, output: Output, size: usize) {
        lock(&self.waiting).outputs.push(output);
        self.bytes.fetch_add(size, Ordering::SeqCst);
        self.more.notify_one();
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) >= FULL
    }

    fn print_to(&self, out: &mut dyn Write) {
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
            self.check(|| sequence.write_ready(out, true).and_then(|()| out.flush()));
        }
    }

    fn print(
        &self,
        output: &Output,
        sequence: &mut Sequence,
        out: &mut dyn Write,
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
        out.flush()
    }

    /// Prints something; says whether more can be printed. If nobody reads it, the job is stopped; if the disk is full,
    /// the report is still wanted.
    fn check(&self, print: impl FnOnce() -> io::Result<()>) -> bool {
        let _whole = lock(&PRINTING);
        let Err(error) = print() else { return true };
        if error.kind() == io::ErrorKind::BrokenPipe {
            // A task that prints without end would never notice that nobody reads it.
            let is_live = self.order == PrintOrder::Lines;
            let level = if is_live { Level::Kill } else { Level::Drain };
            self.cancel.raise(level, Cause::OutputClosed);
        } else {
            let why = reason(&error);
            *lock(&self.failure) = Some(format!("failed to print the output: {why}"));
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
        let queue = Queue::new(PrintOrder::Ended, Arc::clone(&cancel));
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
    fn a_closed_output_stops_the_job_and_is_no_failure() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        let cancel = printed(&[b"a", b"b"], &mut writer);
        assert_eq!(cancel.cause(), Some(&Cause::OutputClosed));
    }
}
