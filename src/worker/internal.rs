//! The runner's side of a worker process: a slot's worker in a child.
//!
//! A batch is sent in a few lines, and each task is settled when its answer comes back. Meanwhile, the page that the
//! worker shares with the runner is polled, so that a long task delays neither the answers before it nor the tasks
//! after it, a timeout costs one task, and a worker's death costs no more than what it was running.

mod boot;
mod child;
mod fork_server;
mod in_flight;
mod interpreter;
mod poll;
mod process;
mod revive;
mod settle;
mod source;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::process::Pid;

use crate::launcher::Launcher;
use crate::sys::oom_kills;
use crate::task::{Attempt, Moment, Outcome, Stop, Task};
use crate::worker::private_protocol::Work;
use crate::workload::python::Facts;
use crate::workload::{Workload, http, python};

pub use boot::Boot;
use child::Program;
pub use fork_server::ForkServer;
use in_flight::{Flight, Pace, Settle};
pub use interpreter::Interpreter;
use interpreter::Member;
use process::{Event, Process};
pub use settle::lose;
use source::{Argument, Source};

/// The verdict on a task that was given to a worker.
#[derive(Debug)]
pub enum Verdict {
    /// It was attempted, with this outcome.
    Done(Outcome),
    /// It is requeued for any slot, uncharged.
    Requeue {
        /// Whether a worker may have done a part of it, which it has used budgets for.
        has_begun: bool,
    },
    /// It was not attempted and will not be, for this reason: no worker is fit to run tasks any more.
    Unfit(String),
}

/// No worker has begun with it.
pub const NOT_BEGUN: Verdict = Verdict::Requeue { has_begun: false };

/// A worker that dies this often in a row without settling a task is given up.
const MAX_FRUITLESS: u32 = 3;

/// A worker in a child process, which is started again when it dies.
#[derive(Debug)]
pub struct Remote {
    source: Source,
    argument: Argument,
    process: Option<Process>,
    flight: Flight,
    pace: Pace,
    starts: u32,
    /// Whether its process takes nothing more, by its own word.
    is_leaving: bool,
    /// Deaths in a row of processes that were not.
    fruitless: u32,
    /// The sequence number below which nothing may start any more, and since when.
    barrier: Option<(u64, Moment)>,
    /// The task that was asked to give up, and when.
    asked: Option<(u64, Moment)>,
    /// When it was looked how much memory its process uses.
    memory_looked: Option<Moment>,
    /// How many processes the system had killed for lack of memory before the tasks in flight; only known of long ones.
    kills: Option<u64>,
    /// The highest peak of its processes that have ended.
    peak_rss: Option<u64>,
    /// Buffers that are reused.
    arg: Vec<u8>,
    journal: Vec<u8>,
}

/// Why the runner ends a worker process.
#[derive(Debug)]
enum Why {
    /// The task with this sequence number must stop.
    Stop(Stop, u64),
    /// It broke the protocol.
    Broken(String),
}

impl Remote {
    /// Starts a worker process for `stage` in `folder`; returns when it is ready.
    ///
    /// # Errors
    /// If it cannot be started, or if it ends or writes something else before it is ready.
    pub async fn start(
        launcher: Arc<Launcher>,
        workload: &Workload,
        folder: &Path,
    ) -> io::Result<Self> {
        Self::start_with(launcher, workload, Program::own(folder)?).await
    }

    async fn start_with(
        launcher: Arc<Launcher>,
        workload: &Workload,
        program: Program,
    ) -> io::Result<Self> {
        let (argument, work) = match workload {
            Workload::Compute(spec) => {
                (Argument::Compute(spec.clone()), Work::Compute(spec.function))
            }
            Workload::Http(spec) => {
                (Argument::Http(spec.clone()), Work::Http(Box::new(spec.plan.clone())))
            }
            Workload::Sleep(spec) => (Argument::Sleep(spec.clone()), Work::Sleep),
            Workload::Command(_) | Workload::Python(_) | Workload::Worker(_) => {
                return Err(io::Error::other("it has processes of its own"));
            }
        };
        let mut remote = Self::new(Source::Own { launcher, program, work }, argument);
        remote.start_process().await?;
        Ok(remote)
    }

    /// A slot's worker in `interpreter` that calls the function of `spec`; returns when it is ready.
    ///
    /// # Errors
    /// As [`Interpreter::session`].
    pub async fn python(
        interpreter: Rc<Interpreter>,
        spec: &Arc<python::Spec>,
    ) -> io::Result<Self> {
        // It counts only now: one that is given up while it waits for a session could not let the interpreter leave, and
        // whoever left before would have taken it for the last one.
        let process = interpreter.session().await?;
        let source = Source::Python(Member::new(interpreter));
        let mut remote = Self::new(source, Argument::Python(Arc::clone(spec)));
        remote.process = Some(process);
        Ok(remote)
    }

    fn new(source: Source, argument: Argument) -> Self {
        Self {
            source,
            argument,
            process: None,
            flight: Flight::new(),
            pace: Pace::new(),
            starts: 0,
            is_leaving: false,
            fruitless: 0,
            barrier: None,
            asked: None,
            memory_looked: None,
            kills: None,
            peak_rss: None,
            arg: Vec::new(),
            journal: Vec::new(),
        }
    }

    /// Whether a running task holds the event loop of the others.
    pub fn holds_its_loop(&self) -> bool {
        self.interpreter().is_some_and(|interpreter| interpreter.holds_its_loop())
    }

    /// Facts about the worker's program, once it is ready.
    pub fn about(&self) -> Option<String> {
        self.interpreter()?.facts().map(Facts::words)
    }

    /// The interpreter that it runs in, if it does.
    pub fn interpreter(&self) -> Option<&Rc<Interpreter>> {
        match &self.source {
            Source::Python(member) => Some(member.interpreter()),
            Source::Own { .. } => None,
        }
    }

    /// The process that runs its tasks, if that is known.
    fn pid(&self) -> Option<Pid> {
        match self.interpreter() {
            Some(interpreter) => Pid::from_raw(interpreter.pid().load(Ordering::Relaxed)),
            None => self.process.as_ref()?.pid,
        }
    }

    /// How many tasks it wants next.
    pub fn appetite(&self) -> usize {
        self.pace.appetite()
    }

    /// How often its process had to be started again.
    pub fn restarts(&self) -> u32 {
        match &self.source {
            Source::Own { .. } => self.starts.saturating_sub(1),
            Source::Python(member) => member.interpreter().restarts(),
        }
    }

    /// Runs every task of `batch` and settles each, exactly once.
    ///
    /// # Errors
    /// If no process can be kept alive to run tasks. The rest of the batch has been settled nevertheless.
    pub async fn run(
        &mut self,
        batch: &mut VecDeque<Task>,
        attempt: &Attempt<'_>,
        settle: &mut Settle<'_>,
    ) -> io::Result<()> {
        let is_http = matches!(self.argument, Argument::Http(_));
        let settle: &mut Settle<'_> = &mut |task, verdict| match verdict {
            Verdict::Done(outcome) if is_http => settle(task, Verdict::Done(http::unpack(outcome))),
            verdict => settle(task, verdict),
        };
        let Some(interpreter) = self.interpreter().map(Rc::clone) else {
            return self.run_batch(batch, attempt, settle).await;
        };
        while let Some(first) = batch.front() {
            let ran = if first.is_suspect {
                let mut alone = batch.drain(..1).collect();
                let _turn = interpreter.turn.write().await;
                self.run_batch(&mut alone, attempt, settle).await
            } else {
                let others = batch.iter().position(|task| task.is_suspect).unwrap_or(batch.len());
                let mut together = batch.drain(..others).collect();
                let _turn = interpreter.turn.read().await;
                self.run_batch(&mut together, attempt, settle).await
            };
            if ran.is_err() {
                batch.drain(..).for_each(|task| settle(task, NOT_BEGUN));
                return ran;
            }
        }
        Ok(())
    }

    async fn run_batch(
        &mut self,
        batch: &mut VecDeque<Task>,
        attempt: &Attempt<'_>,
        settle: &mut Settle<'_>,
    ) -> io::Result<()> {
        match self.revive(attempt).await {
            Ok(true) => {}
            Ok(false) => {
                batch.drain(..).for_each(|task| settle(task, NOT_BEGUN));
                return Ok(());
            }
            Err(error) => {
                lose(batch, &error, settle);
                return Err(error);
            }
        }
        if attempt.memory.is_some()
            && let Some(process) = &mut self.process
            && process.pid.is_none()
        {
            process.pid = process.child.pid().await;
        }
        self.kills = if self.appetite() == 1 { oom_kills() } else { None };
        self.send(batch, attempt);
        let Some(child) = self.process.as_ref().map(|process| Rc::clone(&process.child)) else {
            return Ok(());
        };
        child.death_report.enter();
        let Some((ended, why)) = self.attend(attempt, settle).await else {
            child.death_report.leave();
            self.pace.grow();
            return Ok(());
        };
        self.settle_dead(&ended, why.as_ref(), attempt, settle).await
    }

    /// Ends the worker process by ending its input, and waits for it. Returns the peak resident memory of the largest
    /// process that the worker had, in bytes.
    pub async fn stop(self) -> Option<u64> {
        let Self { source, process, peak_rss, .. } = self;
        match (source, process) {
            (Source::Python(member), process) => {
                drop(process);
                member.leave().await
            }
            (_, Some(process)) => peak_rss.max(process.leave().await),
            (_, None) => peak_rss,
        }
    }

    /// Puts the batch in flight.
    fn send(&mut self, batch: &mut VecDeque<Task>, attempt: &Attempt<'_>) {
        let Some(process) = &mut self.process else { return };
        let lines = process.new_lines();
        let is_json = self.argument.is_json();
        for task in batch.drain(..) {
            self.arg.clear();
            let values = attempt.of(&task).values(&task);
            self.argument.render(&values, &mut self.arg);
            let seq = self.flight.send(task);
            if is_json {
                lines.push_json(seq, &self.arg);
            } else {
                lines.push(seq, &self.arg);
            }
        }
        lines.close();
        process.write();
    }

    /// Settles tasks until none is in flight, or until the process has ended; then returns how it ended, and why if the
    /// runner ended it.
    async fn attend(
        &mut self,
        attempt: &Attempt<'_>,
        settle: &mut Settle<'_>,
    ) -> Option<(String, Option<Why>)> {
        let mut killing = pin!(attempt.cancel.killing());
        let mut why = None;
        while self.flight.len() > 0 {
            let pause = if why.is_none() { self.pause(attempt) } else { None };
            let look = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                biased;
                event = self.process.as_mut()?.next() => Some(event),
                () = &mut killing, if why.is_none() => {
                    why = Some(Why::Stop(Stop::Killed, 0));
                    self.process.as_ref()?.child.kill();
                    continue;
                }
                () = attempt.cancel.evicted(attempt.global_slot), if why.is_none() => {
                    why = Some(Why::Stop(Stop::Evicted, 0));
                    self.process.as_ref()?.child.kill();
                    continue;
                }
                () = look => None,
            };
            let now = match event {
                Some(Event::Ended(how, peak_rss)) => {
                    self.peak_rss = self.peak_rss.max(peak_rss);
                    if let Some(interpreter) = self.interpreter() {
                        interpreter.died(peak_rss);
                    }
                    return Some((how, why));
                }
                Some(Event::Received) => {
                    self.settle_received(attempt, settle).err().map(Why::Broken)
                }
                None => self.look(attempt, settle),
            };
            if why.is_none() && now.is_some() {
                why = now;
                self.process.as_ref()?.child.kill();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
