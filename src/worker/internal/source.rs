//! Where a worker's processes come from, and what makes a task's argument for them.

use std::sync::Arc;

use super::interpreter::Member;
use crate::launcher::Launcher;
use crate::task::Values;
use crate::worker::internal::child::Program;
use crate::worker::private_protocol::Work;
use crate::workload::{compute, http, python, sleep};

/// Where its processes come from.
#[derive(Debug)]
pub(super) enum Source {
    /// This program, once more.
    Own { launcher: Arc<Launcher>, program: Program, work: Work },
    /// An interpreter, which others may use too.
    Python(Member),
}

/// What makes a task's argument.
#[derive(Debug)]
pub(super) enum Argument {
    Compute(compute::Spec),
    Http(Box<http::Spec>),
    Sleep(sleep::Spec),
    Python(Arc<python::Spec>),
}

impl Argument {
    /// Whether it is JSON already.
    pub(super) fn is_json(&self) -> bool {
        matches!(self, Self::Python(_))
    }

    /// Appends it to `out`: any text, or JSON if [it is that](Self::is_json).
    pub(super) fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Compute(spec) => spec.render(values, out),
            Self::Http(spec) => spec.render(values, out),
            Self::Sleep(spec) => spec.render(values, out),
            Self::Python(spec) => spec.render(values, out),
        }
    }
}
