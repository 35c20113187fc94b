//! Who runs the slots: a model is only loops times slots. Every model is named here; one file each.

use std::fmt;

/// A way to run tasks at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Model {
    /// One task at a time.
    Sequential,
    /// A pool of operating-system threads, each doing one task at a time.
    Threads,
    /// A pool of worker processes.
    Processes,
    /// Many tasks in flight on an event loop.
    Async,
}

impl Model {
    /// Every model, the simplest first.
    pub const ALL: [Model; 4] =
        [Model::Sequential, Model::Threads, Model::Async, Model::Processes];

    /// The word for it in job files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Model::Sequential => "sequential",
            Model::Threads => "threads",
            Model::Processes => "processes",
            Model::Async => "async",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
