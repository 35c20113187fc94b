//! What one task does. Every kind is named here; one file per kind owns its raw table, its spec and its worker.

pub mod claims;
pub mod columns;
pub mod command;
pub mod compute;
pub mod creates;
mod device;
mod draft;
pub mod http;
pub mod leftover;
pub mod output_file;
pub mod python;
pub mod read_files;
pub mod real_folder;
pub mod sleep;
pub mod target;
pub mod worker;
pub mod written;

use std::sync::Arc;

pub use columns::Column;

use crate::config::{Planner, Table};
use crate::model::Nature;
use crate::task::{Attempt, Outcome, Task, Values};

/// Makes [`Workload`] of the list of kinds, and what follows from it: a line is a kind, what it is planned as, and the
/// module that owns it, which job files call it by.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($spec:ty) in $module:ident,)*) => {
        /// What a task does, planned.
        #[derive(Debug)]
        pub enum Workload {
            $($(#[$doc])* $kind($spec),)*
        }

        /// The kinds, as job files call them.
        pub const KINDS: &[&str] = &[$(stringify!($module)),*];

        /// Reads the table of a workload of this kind. `None` if there was a mistake, which has been noted.
        pub fn read(kind: &str, table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Workload> {
            $(if kind == stringify!($module) {
                return $module::read(table, plan).map(|spec| Workload::$kind(spec.into()));
            })*
            unreachable!("only kinds of the list are read")
        }

        impl Workload {
            /// The word for it in job files.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => stringify!($module),)*
                }
            }

            /// One task as it would run, in words.
            pub fn show(&self, values: &Values<'_>) -> String {
                match self {
                    $(Self::$kind(spec) => spec.show(values),)*
                }
            }
        }
    };
}

kinds! {
    /// Runs a program.
    Command(command::Spec) in command,
    /// Calls one of the built-in functions.
    Compute(compute::Spec) in compute,
    /// Sends a request.
    Http(Box<http::Spec>) in http,
    /// Calls a function of Python's.
    Python(Arc<python::Spec>) in python,
    /// Waits: stands for waiting on something.
    Sleep(sleep::Spec) in sleep,
    /// Gives tasks to a program that does one after another.
    Worker(worker::Spec) in worker,
}

impl Workload {
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

    /// Whether its author says that threads of one program may run its tasks at once.
    pub fn is_thread_safe(&self) -> bool {
        matches!(self, Workload::Python(spec) if spec.thread_safe)
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
