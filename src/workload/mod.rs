//! What one task does. Every kind is named here; one file per kind owns its raw table, its spec and its worker.

pub mod columns;
pub mod command;
pub mod compute;
pub mod http;
pub mod python;
pub mod sleep;
pub mod worker;

use std::sync::Arc;

pub use columns::Column;

use crate::config::{Planner, Table};
use crate::model::Nature;
use crate::task::{Attempt, Outcome, Task, Values};

/// The kinds, as job files call them.
pub const KINDS: [&str; 6] = ["command", "compute", "http", "python", "sleep", "worker"];

/// Reads the table of a workload of this kind. `None` if there was a mistake, which has been noted.
pub fn read(kind: &str, table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Workload> {
    match kind {
        "command" => command::read(table, plan).map(Workload::Command),
        "compute" => compute::read(table, plan).map(Workload::Compute),
        "http" => http::read(table, plan).map(Box::new).map(Workload::Http),
        "python" => python::read(table, plan).map(Arc::new).map(Workload::Python),
        "sleep" => sleep::read(table, plan).map(Workload::Sleep),
        "worker" => worker::read(table, plan).map(Workload::Worker),
        _ => unreachable!("only kinds of the list are read"),
    }
}

/// What a task does, planned.
#[derive(Debug)]
pub enum Workload {
    /// Runs a program.
    Command(command::Spec),
    /// Calls one of the built-in functions.
    Compute(compute::Spec),
    /// Sends a request.
    Http(Box<http::Spec>),
    /// Calls a function of Python's.
    Python(Arc<python::Spec>),
    /// Waits: stands for waiting on something.
    Sleep(sleep::Spec),
    /// Gives tasks to a program that does one after another.
    Worker(worker::Spec),
}

impl Workload {
    /// The word for it in job files.
    pub fn kind(&self) -> &'static str {
        match self {
            Workload::Command(_) => "command",
            Workload::Compute(_) => "compute",
            Workload::Http(_) => "http",
            Workload::Python(_) => "python",
            Workload::Sleep(_) => "sleep",
            Workload::Worker(_) => "worker",
        }
    }

    /// What it spends its time on.
    pub fn nature(&self) -> Nature {
        match self {
            Workload::Command(_) => Nature::Process,
            Workload::Compute(_) => Nature::Computes,
            Workload::Http(_) => Nature::Requests,
            Workload::Python(_) | Workload::Worker(_) => Nature::Hosted,
            Workload::Sleep(_) => Nature::Waits,
        }
    }
}

impl Workload {
    /// The host that a task goes to, for `limits.per_host`; `None` if it goes to none.
    pub fn host(&self, values: &Values<'_>) -> Option<String> {
        match self {
            Workload::Http(spec) => spec.host(values),
            _ => None,
        }
    }

    /// Whether its result is a value, of which a column can take the member of its own name.
    pub fn returns_values(&self) -> bool {
        matches!(self, Workload::Python(_) | Workload::Worker(_))
    }

    /// One task as it would run, in words.
    pub fn show(&self, values: &Values<'_>) -> String {
        match self {
            Workload::Command(spec) => spec.show(values),
            Workload::Compute(spec) => spec.show(values),
            Workload::Http(spec) => spec.show(values),
            Workload::Python(spec) => spec.show(values),
            Workload::Sleep(spec) => spec.show(values),
            Workload::Worker(spec) => spec.show(values),
        }
    }
}

/// Does the tasks of one slot in the runner's own process. One door: [`Worker::run`].
pub enum Worker {
    /// See [`command`].
    Command(Box<command::Worker>),
    /// See [`compute`].
    Compute(compute::Worker),
    /// See [`http`].
    Http(Box<http::Worker>),
    /// See [`sleep`].
    Sleep(sleep::Worker),
}

impl Worker {
    /// Attempts one task.
    ///
    /// What takes long and holds much while it waits is boxed: ten thousand slots that only sleep need no room for it.
    pub async fn run(&mut self, task: &Task, attempt: &Attempt<'_>) -> Outcome {
        match self {
            Worker::Command(worker) => Box::pin(worker.run(task, attempt)).await,
            Worker::Compute(worker) => worker.run(task, attempt).await,
            Worker::Http(worker) => Box::pin(worker.run(task, attempt)).await,
            Worker::Sleep(worker) => worker.run(task, attempt).await,
        }
    }
}
