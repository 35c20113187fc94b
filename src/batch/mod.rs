//! The order of the jobs of one call: when each starts, which ones run side by side, and which are skipped. How a job
//! is run is up to the [`Runner`].

mod schedule;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, mpsc};
use std::thread;

use crate::job::{Job, PlannedJob, Reported};
use crate::report;
use crate::task::Exit;
use schedule::{Next, Schedule, Terms};

/// Runs the jobs of a batch, possibly several at once.
pub trait Runner: Sync {
    /// Runs a job whose turn has come; `turn` plans it, now that the jobs that it needs have ended.
    fn run(&self, index: usize, turn: Turn<'_>) -> Exit;

    /// Reports that the job at `index` does not run because it needs one that did not end ok.
    fn skip(&self, index: usize, job: &PlannedJob, needed: &str) -> Exit;

    /// Whether nothing new may start.
    fn is_stopped(&self) -> bool;
}

/// The turn of a job.
pub struct Turn<'a> {
    job: PlannedJob,
    finished: &'a FinishedReports,
}

/// The reports of the jobs that have ended, by their names.
#[derive(Debug, Default)]
struct FinishedReports(Mutex<Vec<(String, Reported)>>);

impl Turn<'_> {
    /// The job, as it was planned before others had run.
    pub fn job(&self) -> &PlannedJob {
        &self.job
    }

    /// Plans the job finally, and runs it with `run`.
    ///
    /// # Errors
    /// The mistakes in it, now that the jobs that it needs have ended.
    pub fn take(self, run: impl FnOnce(Job) -> Exit) -> Result<Exit, crate::base::Diagnostics> {
        let finished = |name: &str| self.finished.get(name);
        let job = self.job.settle(&finished)?;
        let (name, reported) = (job.name.clone(), Reported::of(&job, report::originals));
        let may_be_empty = job.inputs.may_be_empty();
        let exit = run(job);
        let reported = if exit == Exit::Nothing { reported.with_nothing() } else { reported };
        self.finished.put(name, reported);
        Ok(if exit == Exit::Nothing && may_be_empty { Exit::Ok } else { exit })
    }
}

impl FinishedReports {
    fn get(&self, name: &str) -> Option<Reported> {
        let all = self.0.lock().expect("nobody panics while holding it");
        all.iter().find(|(other, _)| other == name).map(|(_, reported)| reported.clone())
    }

    fn put(&self, name: String, reported: Reported) {
        self.0.lock().expect("nobody panics while holding it").push((name, reported));
    }
}

/// Runs `jobs` in the order of their needs, up to `at_once` side by side, and returns the exit of each job that was
/// reached. A signal stops those that have not started.
pub fn run(jobs: Vec<PlannedJob>, at_once: NonZeroUsize, runner: &impl Runner) -> Vec<Exit> {
    let finished = FinishedReports::default();
    let terms = jobs.iter().map(|job| Terms { needs: job.needs.clone(), exclusive: job.exclusive });
    let mut schedule = Schedule::new(terms, at_once);
    let names: Vec<_> = jobs.iter().map(|job| job.name.clone()).collect();
    let mut jobs: Vec<_> = jobs.into_iter().map(Some).collect();
    let mut exits = Vec::new();
    thread::scope(|scope| {
        let (ended, endings) = mpsc::channel();
        loop {
            let next = if runner.is_stopped() { schedule.stop() } else { schedule.next() };
            match next {
                Next::Over => break,
                Next::Wait => {
                    let (job, exit) = endings.recv().expect("every job sends its exit");
                    schedule.ended(job, exit);
                    exits.push(exit);
                }
                Next::Skip { job: index, need } => {
                    let job = jobs[index].take().expect("each has one turn");
                    exits.push(runner.skip(index, &job, &names[need]));
                }
                Next::Start(index) => {
                    let job = jobs[index].take().expect("each has one turn");
                    let (ended, finished) = (ended.clone(), &finished);
                    let task = move || {
                        let run = AssertUnwindSafe(|| runner.run(index, Turn { job, finished }));
                        // The panic has been printed to standard error.
                        let exit = catch_unwind(run).unwrap_or(Exit::Internal);
                        let _ = ended.send((index, exit));
                    };
                    if at_once.get() == 1 {
                        task();
                    } else {
                        scope.spawn(task);
                    }
                }
            }
        }
    });
    exits
}
