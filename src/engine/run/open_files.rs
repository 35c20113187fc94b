//! The open files that jobs need: better one error than a failed row for every task that finds no descriptor left.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, getrlimit};

use crate::engine::run::RunError;
use crate::engine::slot_worker;
use crate::job::{Job, Stage};

/// For the report, the loops and the runtime of a job.
const OF_THE_RUNNER: usize = 64;

/// What the jobs that run now need together.
static NEEDED: AtomicUsize = AtomicUsize::new(0);

/// What one job needs, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenFiles(usize);

impl OpenFiles {
    /// Sets aside what `job` needs with so many `slots` for each of its stages.
    ///
    /// # Errors
    /// If that is more than the limit allows beside the jobs that run already.
    pub fn reserve(job: &Job, slots: &[usize]) -> Result<Self, RunError> {
        let of_stages = job
            .stages
            .iter()
            .zip(slots)
            .map(|(stage, slots)| slots * slot_worker::open_files(stage));
        let needed = OF_THE_RUNNER + of_stages.sum::<usize>();
        let before = NEEDED.fetch_add(needed, Ordering::SeqCst);
        let reserved = Self(needed); // and given back in case of an error
        let slots: usize = slots.iter().sum();
        match getrlimit(Resource::Nofile).current {
            Some(limit) if (before + needed) as u64 > limit => {
                let beside = match before {
                    0 => String::new(),
                    _ => format!(" (and {before} the jobs beside it)"),
                };
                Err(RunError::OpenFiles(format!(
                    "{slots} tasks at once need {needed} open files{beside}, and {limit} are allowed: lower \
                     `limits.concurrency`, or raise the limit (`ulimit -n`)"
                )))
            }
            _ => Ok(reserved),
        }
    }
}

/// How many slots of `stage` its share of half of what the limit leaves allows: other stages and jobs need some, too.
pub(super) fn slots(job: &Job, stage: &Stage) -> usize {
    let of_a_slot = slot_worker::open_files(stage).max(1) as u64;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let free = limit.saturating_sub((NEEDED.load(Ordering::SeqCst) + OF_THE_RUNNER) as u64);
    let allowed = free / 2 / job.stages.len() as u64 / of_a_slot;
    usize::try_from(allowed).unwrap_or(usize::MAX)
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        NEEDED.fetch_sub(self.0, Ordering::SeqCst);
    }
}
