//! The worker of a slot: the one place where model and workload meet.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use crate::engine::run::{Run, StageRun};
use crate::job::Stage;
use crate::model::{Model, Nature, cores};
use crate::task::{Attempt, Task};
use crate::worker::external::{Pool, Session, Settings};
use crate::worker::internal::{Boot, ForkServer, Interpreter, NOT_BEGUN, Remote, Verdict, lose};
use crate::workload::{Worker, Workload, command, compute, http, python, sleep, worker};

/// A slot's worker: in the event loop, in a child process, or in a program.
pub enum SlotWorker {
    /// In the slot's own event loop.
    Local(Worker),
    /// In a child process.
    Remote(Box<Remote>),
    /// In a worker program of the user.
    Session(Session),
}

/// The model under which the slots of an event loop run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Undecided: a program that fits any model.
    Pilot,
    /// This model.
    Of(Model),
}

/// What the slots of one event loop share.
#[derive(Debug)]
pub struct Shared {
    role: Role,
    /// The number of slots of the stage.
    peers: usize,
    client: OnceCell<http::Client>,
    interpreter: OnceCell<Rc<Interpreter>>,
    programs: Pool,
}

impl Shared {
    /// What `slots` slots share, of a stage that has `peers` slots.
    pub fn new(role: Role, slots: usize, peers: usize) -> Self {
        Self {
            role,
            peers,
            client: OnceCell::new(),
            interpreter: OnceCell::new(),
            programs: Pool::new(slots),
        }
    }

    /// The loop's HTTP client: connections that one slot leaves open are there for the others.
    fn client(&self, spec: &http::Spec) -> http::Client {
        self.client.get_or_init(|| spec.client()).clone()
    }

    /// The interpreter of the slot with this number, from 1: under `processes` one of its own, else the loop's.
    fn interpreter(
        &self,
        run: &Run,
        live: &StageRun,
        spec: &python::Spec,
        slot: usize,
    ) -> io::Result<Rc<Interpreter>> {
        let mode = match self.role {
            Role::Pilot => python::Mode::Pilot,
            Role::Of(model) => python::Mode::of(model),
        };
        let is_own =
            matches!(self.role, Role::Pilot | Role::Of(Model::Sequential | Model::Processes));
        let beside = run.hosted_beside(live.index) + self.peers;
        let new = || -> io::Result<Rc<Interpreter>> {
            let (launcher, log) = (run.launcher()?, run.log()?);
            let slot = is_own.then_some(slot);
            let boot = Boot::new(spec, mode, beside, slot, &log.path())?;
            // As many as there are processors start side by side in the time of one, which forking does not beat.
            let is_one_of_many = match mode {
                // The pilot's is forked, and whatever joins it comes from the same place.
                python::Mode::Alone if live.pilot.is_some() => true,
                python::Mode::Alone if !spec.has_preload() => self.peers > cores(),
                python::Mode::Alone | python::Mode::Pilot => self.peers > 1,
                _ => false,
            };
            let server = if is_one_of_many || spec.is_renewed() {
                Some(live.fork_server(|| {
                    let boot = Boot::new(spec, python::Mode::Server, beside, None, &log.path())?;
                    Ok(ForkServer::new(Arc::clone(&launcher), boot))
                })?)
            } else {
                None
            };
            Ok(Rc::new(Interpreter::new(launcher, boot, mode, server)))
        };
        if self.role == Role::Of(Model::Processes) {
            return new();
        }
        if self.interpreter.get().is_none() {
            let _ = self.interpreter.set(new()?);
        }
        Ok(Rc::clone(self.interpreter.get().expect("it was just set")))
    }
}

impl SlotWorker {
    /// Makes the worker of one slot of the stage at `index`; must run on the slot's loop, with what that shares.
    ///
    /// # Errors
    /// If a process for it cannot be started.
    pub async fn start(run: &Run, index: usize, shared: &Shared, slot: usize) -> io::Result<Self> {
        let (stage, live) = run.stage(index);
        match &stage.workload {
            Workload::Python(spec) => {
                let interpreter = shared.interpreter(run, live, spec, slot)?;
                let remote = Box::pin(Remote::python(interpreter, spec));
                let remote = remote.await?;
                return Ok(Self::Remote(Box::new(remote)));
            }
            Workload::Worker(spec) => {
                return Box::pin(session(run, live, shared, spec, slot)).await.map(Self::Session);
            }
            _ => {}
        }
        let max_payload = stage.next.max_payload();
        let kept = |spec: &http::Spec| {
            let spec = spec.keeping(&stage.columns, run.keep, max_payload);
            // Files of `creates` go to a folder apart anyway.
            if run.written.is_some() { spec.compared(run.made.is_some()) } else { spec }
        };
        if is_remote(stage.model, &stage.workload) {
            let workload = match &stage.workload {
                Workload::Http(spec) => &Workload::Http(Box::new(kept(spec))),
                other => other,
            };
            let remote = Remote::start(run.launcher()?, workload, &run.job.folder);
            return Ok(Self::Remote(Box::new(Box::pin(remote).await?)));
        }
        Ok(Self::Local(match &stage.workload {
            Workload::Command(spec) => Worker::Command(Box::new(command::Worker::new(
                spec,
                run.launcher()?,
                &setup(run, index, stage),
            )?)),
            Workload::Compute(spec) => Worker::Compute(compute::Worker::new(spec, &run.job.folder)),
            Workload::Http(spec) => {
                let spec = kept(spec);
                let client = shared.client(&spec);
                Worker::Http(Box::new(http::Worker::new(spec, &run.job.folder, client)))
            }
            Workload::Python(_) | Workload::Worker(_) => unreachable!("they have returned above"),
            Workload::Sleep(spec) => Worker::Sleep(sleep::Worker::new(spec)),
        }))
    }

    /// How many tasks it wants next.
    pub fn appetite(&self) -> usize {
        match self {
            Self::Local(_) | Self::Session(_) => 1,
            Self::Remote(remote) => remote.appetite(),
        }
    }

    /// Whether a running task holds the event loop of its slot.
    pub fn holds_the_loop(&self) -> bool {
        match self {
            Self::Local(worker) => matches!(worker, Worker::Compute(_)),
            Self::Remote(remote) => remote.holds_its_loop(),
            Self::Session(_) => false,
        }
    }

    /// Facts about the program that does the work.
    pub fn about(&self) -> Option<String> {
        match self {
            Self::Local(_) | Self::Session(_) => None,
            Self::Remote(remote) => remote.about(),
        }
    }

    /// The interpreter that it runs in, if it does.
    pub fn interpreter(&self) -> Option<&Rc<Interpreter>> {
        match self {
            Self::Local(_) | Self::Session(_) => None,
            Self::Remote(remote) => remote.interpreter(),
        }
    }

    /// Gives what has gone wrong at the end of the programs that it used, once it has been stopped.
    pub fn endings(&self) -> Box<dyn FnOnce() -> Vec<String>> {
        if let Self::Session(session) = self {
            let program = Rc::clone(session.program());
            return Box::new(move || program.endings());
        }
        match self.interpreter().map(Rc::clone) {
            Some(interpreter) => Box::new(move || interpreter.endings()),
            None => Box::new(Vec::new),
        }
    }

    /// Whether a task could begin at once. One that runs alone waits for the others in any case.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Remote(remote) => remote.is_ready(),
            Self::Session(session) => session.is_ready(),
        }
    }

    /// Waits until a task could begin, such as for a program that is being started again.
    ///
    /// # Errors
    /// If no worker can be kept alive.
    pub async fn ready(&mut self, attempt: &Attempt<'_>) -> io::Result<()> {
        match self {
            Self::Local(_) => Ok(()),
            Self::Remote(remote) => Box::pin(remote.ready(attempt)).await,
            Self::Session(session) => Box::pin(session.ready(attempt)).await,
        }
    }

    /// Settles tasks that cannot be attempted, since no worker can be kept alive, as [`run`](Self::run) does.
    pub fn lose(
        &self,
        batch: &mut VecDeque<Task>,
        error: &io::Error,
        settle: &mut dyn FnMut(Task, Verdict),
    ) {
        match self {
            Self::Session(_) => batch.drain(..).for_each(|task| settle(task, NOT_BEGUN)),
            Self::Local(_) | Self::Remote(_) => lose(batch, error, settle),
        }
    }

    /// Attempts every task of `batch` and settles each, exactly once, as it ends.
    ///
    /// # Errors
    /// If no worker can be kept alive; the rest of the batch has been settled nevertheless.
    pub async fn run(
        &mut self,
        batch: &mut VecDeque<Task>,
        attempt: &Attempt<'_>,
        settle: &mut dyn FnMut(Task, Verdict),
    ) -> io::Result<()> {
        match self {
            Self::Local(worker) => {
                while let Some(task) = batch.pop_front() {
                    let outcome = worker.run(&task, &attempt.of(&task)).await;
                    settle(task, Verdict::Done(outcome));
                }
                Ok(())
            }
            Self::Remote(remote) => Box::pin(remote.run(batch, attempt, settle)).await,
            Self::Session(session) => Box::pin(session.run(batch, attempt, settle)).await,
        }
    }

    /// Ends the worker, and waits for its process if it has one; returns the peak resident memory of that in bytes.
    pub async fn stop(self) -> Option<u64> {
        match self {
            Self::Local(_) => None,
            Self::Remote(remote) => Box::pin(remote.stop()).await,
            Self::Session(session) => Box::pin(session.stop()).await,
        }
    }
}

/// What the commands of a stage have to know besides themselves.
fn setup(run: &Run, index: usize, stage: &Stage) -> command::Setup {
    let is_last = index + 1 == run.stages.len();
    let live = if is_last { run.report.live() } else { None };
    command::Setup {
        keep: if live.is_some() { command::Keep::Capture } else { run.keep },
        live,
        answers: stage.reads_answers(),
        max_payload: stage.next.max_payload(),
        columns: stage.columns.clone(),
        job: run.job.name.clone(),
        stage: index,
        claims: Arc::clone(&run.claims),
        logs: run.logs[index].clone(),
        written: run.written.clone(),
        together: Arc::clone(&run.together),
        still_running: Arc::clone(&run.still_running),
    }
}

/// A session of a worker program: one that the slots of the loop share, or one of the slot's own.
async fn session(
    run: &Run,
    live: &StageRun,
    shared: &Shared,
    spec: &worker::Spec,
    slot: usize,
) -> io::Result<Session> {
    let settings = Settings {
        spec: spec.clone(),
        mode: match shared.role {
            Role::Pilot => Model::Processes.name(),
            Role::Of(model) => model.name(),
        },
        launcher: run.launcher()?,
        log: run.log()?,
        slots: run.hosted_beside(live.index) + shared.peers,
        grace: run.stage(live.index).0.limits.grace,
        cancel: Arc::clone(&run.cancel),
        watches_memory: run.stage(live.index).0.limits.memory.is_some(),
    };
    match shared.role {
        Role::Of(Model::Threads | Model::Async) => shared.programs.session(&settings, slot).await,
        Role::Pilot | Role::Of(Model::Sequential | Model::Processes) => {
            Pool::new(1).session(&settings, slot).await
        }
    }
}

/// The upper limit of files that a slot of `stage` has open: its port and the pipes of its child, or its connections
/// and the file that it saves to; under `threads` also those of its event loop.
pub fn open_files(stage: &Stage) -> usize {
    let of_the_work = match stage.workload.nature() {
        _ if is_remote(stage.model, &stage.workload) => 6,
        Nature::Process | Nature::Hosted => 6,
        Nature::Requests => 3,
        Nature::Computes => 1,
        Nature::Waits => 0,
    };
    let has_a_loop = stage.model == Model::Threads && stage.workload.nature() != Nature::Hosted;
    let of_the_loop = if has_a_loop { 4 } else { 0 };
    of_the_work + of_the_loop
}

/// Whether the workload runs in a worker process. A command is a process already, so none is put in between.
fn is_remote(model: Model, workload: &Workload) -> bool {
    let has_its_own = matches!(workload.nature(), Nature::Process | Nature::Hosted);
    model == Model::Processes && !has_its_own
}
