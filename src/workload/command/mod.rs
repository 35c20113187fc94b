//! `[workload.command]`: a program per task, started by the launcher, its output captured, its use of the machine
//! measured.
//!
//! [`plan`] reads the table into a [`Spec`]; [`Worker`] runs it; the other files own one aspect each: where programs
//! are found, a child's ends, one stream's output, and what the end of a child comes to.

mod ends;
mod outcome;
mod plan;
mod shell_names;
mod stream;
#[cfg(test)]
mod tests;
mod variables;
mod worker;

use std::sync::Arc;

pub(crate) use outcome::{error as cause_and_tail, how_it_ended};
pub use plan::{read, shell};
pub use worker::Worker;

use crate::task::Values;

/// A command, planned; cheap to clone.
#[derive(Clone, Debug)]
pub struct Spec(Arc<plan::Plan>);

impl Spec {
    /// The command of one task for people: its arguments, quoted where a shell would need it.
    pub fn show(&self, values: &Values<'_>) -> String {
        self.0.show(values)
    }
}

/// How much of a command's output is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// As much as `capture` says.
    #[default]
    Capture,
    /// All of it: what goes beyond `capture`, in a file of its own (see [`Worker::take_output`]).
    Everything,
}
