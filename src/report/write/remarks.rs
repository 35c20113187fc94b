//! What the terminal is told of rows when a job has ended: failures, and cells that are too long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::base::lock;
use crate::report::layout::Layout;
use crate::report::write::row::TooLong;
use crate::task::Status;

/// How many different errors are shown on the terminal.
const FAILURES: usize = 3;

/// The number of bytes that are stored of an error for the terminal: usually all, since its end matters most.
const FAILURE_BYTES: usize = 64 << 10;

/// What is shown on the terminal at the end.
#[derive(Debug)]
pub(in crate::report) struct Remarks {
    pub(in crate::report) enough_failures: AtomicBool,
    failures: Mutex<Vec<Failure>>,
    too_long: Mutex<Option<String>>,
    layout: Arc<Layout>,
}

/// A task that failed, as the terminal shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The task's number.
    pub task: u64,
    /// How it ended.
    pub status: Status,
    /// The cause. Not escaped.
    pub error: String,
}

impl Remarks {
    pub(in crate::report) fn new(layout: &Arc<Layout>) -> Self {
        Self {
            enough_failures: AtomicBool::new(false),
            failures: Mutex::default(),
            too_long: Mutex::default(),
            layout: Arc::clone(layout),
        }
    }

    pub(in crate::report) fn failure(&self, task: u64, status: Status, error: &str) {
        let mut failures = lock(&self.failures);
        let news = failures.iter().all(|known| known.error != error);
        if news && failures.len() < FAILURES {
            failures.push(Failure { task, status, error: error.to_owned() });
        }
        self.enough_failures.store(failures.len() == FAILURES, Ordering::Relaxed);
    }

    pub(in crate::report) fn too_long(&self, task: u64, TooLong { column, length }: TooLong) {
        let mut said = lock(&self.too_long);
        if said.is_none() {
            let name = &self.layout.names[column];
            *said = Some(format!(
                "column `{name}` of task {task} has {length} characters: whole in the report, but a spreadsheet cuts \
                 a cell at 32767"
            ));
        }
    }

    /// The first few different failures, by task number.
    pub(in crate::report) fn failures(&self) -> Vec<Failure> {
        let mut failures = lock(&self.failures).clone();
        failures.sort_by_key(|failure| failure.task);
        failures
    }

    /// The warning about cells that are too long.
    pub(in crate::report) fn warning(&self) -> Option<String> {
        lock(&self.too_long).clone()
    }
}

pub(in crate::report) fn clipped(error: &str) -> &str {
    &error[..error.floor_char_boundary(FAILURE_BYTES)]
}
