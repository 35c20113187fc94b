//! Where a worker's processes come from, and how a task's argument for them is made.

use std::sync::Arc;

use super::interpreter::Member;
use crate::launcher::Launcher;
use crate::task::Values;
use crate::worker::internal::child::Program;
use crate::worker::private_protocol::Work;
use crate::workload::{compute, http, python, sleep};

/// Where a worker's processes come from.
#[derive(Debug)]
pub(super) enum Source {
    /// This program, started as a worker.
    Own { launcher: Arc<Launcher>, program: Program, work: Work },
    /// An interpreter, which other slots may use as well.
    Python(Member),
}

/// How a task's argument is made.
#[derive(Debug)]
pub(super) enum Argument {
    Compute(compute::Spec),
    Http(Box<http::Spec>),
    Sleep(sleep::Spec),
    Python(Arc<python::Spec>),
}

impl Argument {
    /// Whether the argument is JSON already.
    pub(super) fn is_json(&self) -> bool {
        matches!(self, Self::Python(_))
    }

    /// Appends the argument to `out`: any text, or JSON if [`Self::is_json`].
    pub(super) fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Compute(spec) => spec.render(values, out),
            Self::Http(spec) => spec.render(values, out),
            Self::Sleep(spec) => spec.render(values, out),
            Self::Python(spec) => spec.render(values, out),
        }
    }
}
