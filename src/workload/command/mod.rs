//! `[workload.command]`: a program per task, started by the launcher, its output captured, its use of the machine
//! measured.
//!
//! [`plan`] reads the table into a [`Spec`]; [`Worker`] runs it; the other files own one aspect each: where programs
//! are found, a child's ends, one stream's output, and what the end of a child comes to.

mod ends;
mod kills;
mod logs;
mod outcome;
mod plan;
mod search;
mod shell_names;
mod stream;
#[cfg(test)]
mod tests;
mod variables;
mod worker;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

pub use kills::Together;
pub use logs::TaskLogs;
pub(crate) use outcome::{error as cause_and_tail, how_it_ended};
pub use plan::{read, shell};
pub use worker::Worker;

use crate::base::ByteSize;
use crate::task::Values;
use crate::task::live::LiveOutput;
use crate::workload::claims::{Claims, Writer};
use crate::workload::columns::Column;
use crate::workload::output_file::OutputPath;
use crate::workload::target::Target;
use crate::workload::written::WrittenFiles;

/// A command, planned; cheap to clone.
#[derive(Clone, Debug)]
pub struct Spec(Arc<plan::Plan>);

impl Spec {
    /// The command of one task for people: its arguments, quoted where a shell would need it.
    pub fn show(&self, values: &Values<'_>) -> String {
        self.0.show(values)
    }

    /// The files of its standard output and error, with the number of each.
    pub fn outputs(&self) -> impl Iterator<Item = (u32, &OutputPath)> {
        (0..)
            .zip([&self.0.stdout, &self.0.stderr])
            .filter_map(|(number, path)| Some((number, path.as_ref()?)))
    }
}

/// What the worker of a slot has to know besides its command.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// How much of the output is kept.
    pub keep: Keep,
    /// Where lines go as they come, if they do.
    pub live: Option<Arc<dyn LiveOutput>>,
    /// Whether the output of a command that failed is kept, for rules that look into it.
    pub answers: bool,
    /// How much may go to the next stage, if there is one.
    pub max_payload: Option<ByteSize>,
    /// The columns that are taken from the output.
    pub columns: Vec<Column>,
    /// The job's name.
    pub job: String,
    /// The stage's index.
    pub stage: usize,
    /// The files that tasks of this call write.
    pub claims: Arc<Claims>,
    /// Where whole outputs are kept, if they are.
    pub logs: Option<TaskLogs>,
    /// In a comparison, what becomes known of the files that tasks write; they are not kept.
    pub written: Option<Arc<WrittenFiles>>,
    /// The commands of the job that run at the same time.
    pub together: Arc<Together>,
    /// How many processes of the job could not be ended and still run.
    pub still_running: Arc<AtomicUsize>,
}

impl Setup {
    /// Claims the file at `target` for a task, as the output with this number.
    ///
    /// # Errors
    /// In words, if it is another task's, or the runner's own.
    fn claim(
        &self,
        target: Option<&Target>,
        values: &Values<'_>,
        number: u32,
    ) -> Result<(), String> {
        let Some(target) = target.filter(|target| !target.is_device) else { return Ok(()) };
        let fail = |why: &str| format!("cannot write `{}`: {why}", target.shown);
        let place = self.stage as u32 * 64 + number;
        let writer = Writer { job: &self.job, task: values.task, place };
        self.claims.claim(&target.real, writer).map_err(|why| fail(&why))
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
