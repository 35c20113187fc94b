//! Where a worker lives: the one place where model and workload meet.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::io;

use crate::engine::attempt::Attempt;
use crate::engine::run::Run;
use crate::engine::task::Task;
use crate::host::remote::{Remote, Verdict};
use crate::job::Stage;
use crate::model::Model;
use crate::workload::command::Keep;
use crate::workload::{Nature, Worker, Workload, command, compute, http, sleep};

/// A slot's worker, wherever it lives.
pub enum Placed {
    /// In the slot's own loop.
    Here(Worker),
    /// In a child process.
    Away(Box<Remote>),
}

/// What the slots of one loop share.
#[derive(Debug, Default)]
pub struct Shared {
    client: OnceCell<http::Client>,
}

impl Shared {
    /// The loop's HTTP client: connections that one slot leaves open are there for the others.
    fn client(&self, plan: &http::Plan) -> http::Client {
        self.client.get_or_init(|| http::Client::new(plan.http2)).clone()
    }
}

impl Placed {
    /// Makes the worker of one slot of `stage`; must run on the slot's loop, with what that shares.
    ///
    /// # Errors
    /// If a process for it cannot be started.
    pub async fn start(run: &Run, stage: &Stage, shared: &Shared) -> io::Result<Self> {
        if is_away(stage.model, &stage.workload) {
            let remote = Remote::start(run.launcher()?, stage, &run.job.folder).await?;
            return Ok(Self::Away(Box::new(remote)));
        }
        let max_payload = stage.next.max_payload();
        Ok(Self::Here(match &stage.workload {
            Workload::Command(spec) => Worker::Command(Box::new(command::Worker::new(
                spec,
                run.launcher()?,
                run.keep,
                max_payload,
            )?)),
            Workload::Compute(spec) => Worker::Compute(compute::Worker::new(spec, &run.job.folder)),
            Workload::Http(spec) => {
                let spec =
                    spec.keeping(&stage.columns, matches!(run.keep, Keep::Everything), max_payload);
                let client = shared.client(&spec.plan);
                Worker::Http(Box::new(http::Worker::new(spec, &run.job.folder, client)))
            }
            Workload::Sleep(spec) => Worker::Sleep(sleep::Worker::new(spec)),
        }))
    }

    /// How many tasks it wants next.
    pub fn appetite(&self) -> usize {
        match self {
            Self::Here(_) => 1,
            Self::Away(remote) => remote.appetite(),
        }
    }

    /// Whether a task that runs holds the loop that its slot is on.
    pub fn holds_the_loop(&self) -> bool {
        matches!(self, Self::Here(Worker::Compute(_)))
    }

    /// Attempts every task of `batch` and settles each, exactly once, as it ends.
    ///
    /// # Errors
    /// If no worker can be kept alive; what was left of the batch has been settled all the same.
    pub async fn run(
        &mut self,
        batch: &mut VecDeque<Task>,
        attempt: &Attempt<'_>,
        settle: &mut dyn FnMut(Task, Verdict),
    ) -> io::Result<()> {
        match self {
            Self::Here(worker) => {
                while let Some(task) = batch.pop_front() {
                    let outcome = worker.run(&task, &attempt.of(&task)).await;
                    settle(task, Verdict::Done(outcome));
                }
                Ok(())
            }
            Self::Away(remote) => remote.run(batch, attempt, settle).await,
        }
    }

    /// Ends the worker; one in a process leaves, and is waited for. Its peak resident memory in bytes, if it had a
    /// process of its own.
    pub async fn stop(self) -> Option<u64> {
        match self {
            Self::Here(_) => None,
            Self::Away(remote) => remote.stop().await,
        }
    }
}

/// How many files a slot of `stage` has open at the most: its way to the launcher and the pipes of its child, or its
/// connections and the file that it saves to; under `threads` also those of its loop.
pub fn open_files(stage: &Stage) -> usize {
    let of_the_work = match stage.workload.nature() {
        _ if is_away(stage.model, &stage.workload) => 6,
        Nature::Process => 6,
        Nature::Requests => 3,
        Nature::Computes => 1,
        Nature::Waits => 0,
    };
    let of_the_loop = if stage.model == Model::Threads { 4 } else { 0 };
    of_the_work + of_the_loop
}

/// A command already is a process, so nothing is put between.
fn is_away(model: Model, workload: &Workload) -> bool {
    model == Model::Processes && workload.nature() != Nature::Process
}
