//! The open files that jobs need: one error is better than a failed row for every task that finds no descriptor left.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, getrlimit};

use crate::engine::run::RunError;
use crate::engine::slot_worker;
use crate::job::{Job, Stage};

/// Descriptors for the report, the event loops and the runtime of a job: it has about 25 open, and some more for moments.
const OF_THE_RUNNER: usize = 40;

/// What all running jobs together need.
static NEEDED: AtomicUsize = AtomicUsize::new(0);

/// What one job needs, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenFiles(usize);

impl OpenFiles {
    /// Reserves what `job` needs with these numbers of `slots` for its stages.
    ///
    /// # Errors
    /// If that is more than the limit allows in addition to the running jobs.
    pub fn reserve(job: &Job, slots: &[usize]) -> Result<Self, RunError> {
        let of_stages = job
            .stages
            .iter()
            .zip(slots)
            .map(|(stage, slots)| slots * slot_worker::open_files(stage));
        let needed = OF_THE_RUNNER + of_stages.sum::<usize>();
        let before = NEEDED.fetch_add(needed, Ordering::SeqCst);
        let reserved = Self(needed); // released in case of an error
        let slots: usize = slots.iter().sum();
        match getrlimit(Resource::Nofile).current {
            Some(limit) if (before + needed) as u64 > limit => {
                let beside = match before {
                    0 => String::new(),
                    _ => format!(" (in addition to {before} of other jobs)"),
                };
                Err(RunError::OpenFiles(format!(
                    "{slots} tasks at once need {needed} open files{beside}, but the limit is {limit}: lower \
                     `limits.concurrency`, or raise the limit (`ulimit -n`)"
                )))
            }
            _ => Ok(reserved),
        }
    }
}

/// How many slots `stage` may have with its share of half of what the limit leaves: other stages and jobs need
/// descriptors as well.
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
