//! `--output`: prints each task's output to standard output: whole when it ends, in the order of the tasks, or line by
//! line.
//!
//! A separate thread prints, so that a slow reader delays neither the rows nor the event loop of a slot; slots wait for
//! it between tasks, and, where lines are printed as they come, while a task runs.

mod queue;
mod sequence;
mod tagged;

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::base::{lock, mask};
use crate::config::{Scope, Template};
use crate::job::Job;
use crate::report::ReportError;
use crate::task::live::{LiveOutput, Room};
use crate::task::{Cancel, Record, Values};
pub(in crate::report) use queue::Queue;
use queue::{Body, Output};
use tagged::tagged;

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

impl Printer {
    pub(in crate::report) fn start(
        order: PrintOrder,
        tag: Option<Template>,
        has_bars: bool,
        cancel: Arc<Cancel>,
    ) -> Result<Self, ReportError> {
        let is_among_bars = has_bars && io::stdout().is_terminal() && io::stderr().is_terminal();
        let queue = Arc::new(Queue::new(order, is_among_bars, cancel));
        let printing = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("output".into())
            .spawn(move || printing.print_to(&mut io::stdout()))
            .map_err(|error| ReportError::internal(format!("failed to start a thread: {error}")))?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)), tag })
    }

    /// Where tasks that keep their rows are left out, if that has to be known.
    pub(in crate::report) fn passes(&self) -> Option<Arc<Queue>> {
        (self.queue.order() == PrintOrder::Input).then(|| Arc::clone(&self.queue))
    }

    /// Whether lines are printed as they come.
    pub(in crate::report) fn is_live(&self) -> bool {
        self.queue.order() == PrintOrder::Lines
    }

    /// Queues the output of a task for printing.
    pub(in crate::report) fn print(&self, record: &Record) {
        let (task, outcome) = (record.task.number, &record.outcome);
        let rare = outcome.rare();
        let tag = self.tag_of(record);
        match &rare.whole_output {
            _ if rare.is_printed => {}
            // Its beginning alone would look like all of it.
            None if let Some(why) = &rare.unkept => {
                self.queue.fail(format!("failed to print the output of task {task}: {why}"));
                self.queue.pass(task);
            }
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
        self.queue.wait_for_room().await;
    }

    /// Waits until everything has been printed; returns why some of it could not be.
    pub(in crate::report) fn finish(&self) -> Option<String> {
        self.close();
        self.queue.failure()
    }

    fn close(&self) {
        self.queue.close();
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
