//! The runner's end of a worker process: a slot's worker that lives in a child.
//!
//! A batch goes out in a few lines, and each task is settled as its answer comes back. Meanwhile the page that the
//! worker shares with the runner is looked at, so that a task that turns out long holds up neither the answers before
//! it nor the tasks behind it, a timeout costs one task, and a worker's death costs no more than what it was running.

mod flight;
mod interpreter;
mod life;
mod process;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::attempt::{Attempt, Stop};
use crate::engine::cancel::Level;
use crate::engine::clock::Moment;
use crate::engine::task::{Outcome, Status, Task};
use crate::host::launcher::Launcher;
use crate::host::page::Running;
use crate::host::protocol::{self, Reply, Work};
use crate::job::{ByteSize, Column, Stage, Values};
use crate::workload::python::{self, Facts};
use crate::workload::{Workload, compute, http, sleep};

use flight::{Flight, Pace, Settle};
pub use interpreter::Interpreter;
use life::Program;
use process::{Event, Process};

/// What became of a task that was handed to a worker.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the common one, and is taken apart at once"
)]
#[derive(Debug)]
pub enum Verdict {
    /// It was attempted, and this came of it.
    Done(Outcome),
    /// It was not attempted: it is given to whoever is free, uncharged.
    Requeue,
}

/// While tasks wait behind another, the page is looked at this often: a long one is noticed after [`Pace::LONG`] and
/// this, under 10 ms.
const LOOK: Duration = Duration::from_millis(3);
/// What a worker stores in the page the runner sees at once, if both use the atomics of the page. Python has none: what
/// it has stored is there this much later at the latest, since no processor keeps it for so long.
const SETTLED: Duration = Duration::from_millis(1);
/// How long a coroutine may take to give up what it does, once it was asked to.
const PATIENCE: Duration = Duration::from_millis(500);
/// Workers that die this often in a row, and nothing comes of it, will not do better.
const MAX_BARREN: u32 = 3;

/// A worker in a child process, started again when it dies.
#[derive(Debug)]
pub struct Remote {
    source: Source,
    argument: Argument,
    process: Option<Process>,
    flight: Flight,
    pace: Pace,
    starts: u32,
    /// Whether a task was settled since the process started.
    fruitful: bool,
    /// Deaths in a row of processes that were not.
    barren: u32,
    /// Below which sequence number nothing may start any more, and since when.
    barrier: Option<(u64, Moment)>,
    /// Which task was asked to give up, and when.
    asked: Option<(u64, Moment)>,
    /// Of its processes that have ended.
    peak_rss: Option<u64>,
    /// Buffers that are kept.
    arg: Vec<u8>,
    journal: Vec<u8>,
}

/// Where its processes come from.
#[derive(Debug)]
enum Source {
    /// This program, once more.
    Own { launcher: Arc<Launcher>, program: Program, work: Work },
    /// An interpreter, which others may use too.
    Python(Rc<Interpreter>),
}

/// What makes a task's argument.
#[derive(Debug)]
enum Argument {
    Compute(compute::Spec),
    Http(Box<http::Spec>),
    Sleep(sleep::Spec),
    Python(Arc<python::Spec>),
}

impl Argument {
    fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Compute(spec) => spec.render(values, out),
            Self::Http(spec) => spec.render(values, out),
            Self::Sleep(spec) => spec.render(values, out),
            Self::Python(spec) => spec.render(values, out),
        }
    }
}

/// Why a worker process is ended by the runner.
#[derive(Debug)]
enum Why {
    /// The task with this sequence number must stop.
    Stop(Stop, u64),
    /// It does not keep to the protocol.
    Broken(String),
}

impl Remote {
    /// Starts a worker process for `stage` in `folder`, and returns when it is ready.
    ///
    /// # Errors
    /// If it cannot be started, or ends or says something else before it is ready.
    pub async fn start(launcher: Arc<Launcher>, stage: &Stage, folder: &Path) -> io::Result<Self> {
        let workload = (&stage.workload, &stage.columns[..], stage.next.max_payload());
        Self::start_with(launcher, workload, Program::own(folder)?).await
    }

    async fn start_with(
        launcher: Arc<Launcher>,
        (workload, columns, max_payload): (&Workload, &[Column], Option<ByteSize>),
        program: Program,
    ) -> io::Result<Self> {
        let (argument, work) = match workload {
            Workload::Compute(spec) => {
                (Argument::Compute(spec.clone()), Work::Compute(spec.function))
            }
            Workload::Http(spec) => {
                let spec = spec.keeping(columns, false, max_payload);
                let work = Work::Http(Box::new(spec.plan.clone()));
                (Argument::Http(Box::new(spec)), work)
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

    /// A slot's worker in `interpreter`, which calls the function of `spec`; returns when that is ready.
    ///
    /// # Errors
    /// As [`Interpreter::lane`].
    pub async fn python(
        interpreter: Rc<Interpreter>,
        spec: &Arc<python::Spec>,
    ) -> io::Result<Self> {
        interpreter.join();
        let source = Source::Python(interpreter);
        let mut remote = Self::new(source, Argument::Python(Arc::clone(spec)));
        remote.start_process().await?;
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
            fruitful: false,
            barren: 0,
            barrier: None,
            asked: None,
            peak_rss: None,
            arg: Vec::new(),
            journal: Vec::new(),
        }
    }

    /// Whether a task that runs holds the event loop of the others.
    pub fn holds_its_loop(&self) -> bool {
        self.interpreter().is_some_and(|interpreter| interpreter.holds_its_loop())
    }

    /// What is worth saying of the worker's program, once it is ready.
    pub fn about(&self) -> Option<String> {
        self.interpreter()?.facts().map(Facts::words)
    }

    /// The interpreter that it works in, if it does.
    pub fn interpreter(&self) -> Option<&Rc<Interpreter>> {
        match &self.source {
            Source::Python(interpreter) => Some(interpreter),
            Source::Own { .. } => None,
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
            Source::Python(interpreter) => interpreter.restarts(),
        }
    }

    /// Runs every task of `batch` and settles each, exactly once.
    ///
    /// # Errors
    /// If no process can be kept alive to run tasks. What was left of the batch has been settled as crashed.
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
            if first.is_suspect {
                let mut alone = batch.drain(..1).collect();
                let _turn = interpreter.turn.write().await;
                self.run_batch(&mut alone, attempt, settle).await?;
            } else {
                let others = batch.iter().position(|task| task.is_suspect).unwrap_or(batch.len());
                let mut together = batch.drain(..others).collect();
                let _turn = interpreter.turn.read().await;
                self.run_batch(&mut together, attempt, settle).await?;
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
        if self.process.as_ref().is_some_and(|process| process.life.has_ended()) {
            self.process = None; // it died with nothing of this slot in it
        }
        if self.process.is_none() {
            match self.restart(attempt).await {
                Ok(true) => {}
                Ok(false) => {
                    batch.drain(..).for_each(|task| settle(task, Verdict::Requeue));
                    return Ok(());
                }
                Err(error) => {
                    let lost = || crashed(None, &error.to_string());
                    batch.drain(..).for_each(|task| settle(task, Verdict::Done(lost())));
                    return Err(error);
                }
            }
        }
        self.send(batch, attempt);
        let Some(life) = self.process.as_ref().map(|process| Rc::clone(&process.life)) else {
            return Ok(());
        };
        life.inquest.enter();
        let Some((ended, why)) = self.attend(attempt, settle).await else {
            life.inquest.leave();
            self.pace.grow();
            return Ok(());
        };
        self.bury(&ended, why.as_ref(), attempt, settle).await
    }

    /// Lets the worker process leave, and waits for it. The peak resident memory of the largest process that the
    /// worker had, in bytes.
    pub async fn stop(self) -> Option<u64> {
        let Self { source, process, peak_rss, .. } = self;
        match (source, process) {
            (Source::Python(interpreter), process) => {
                drop(process);
                interpreter.leave().await
            }
            (_, Some(process)) => peak_rss.max(process.leave().await),
            (_, None) => peak_rss,
        }
    }

    /// Starts a process, and another if it ends before it is ready: somebody may have killed it, or the launcher.
    async fn start_process(&mut self) -> io::Result<()> {
        self.barrier = None;
        self.asked = None;
        self.fruitful = false;
        let (launcher, program, work) = match &self.source {
            Source::Own { launcher, program, work } => (launcher, program, work),
            Source::Python(interpreter) => {
                self.process = Some(interpreter.lane().await?);
                return Ok(());
            }
        };
        let mut unready = 0;
        loop {
            self.starts += 1;
            match Process::start(launcher, program, work).await {
                Ok(process) => {
                    self.process = Some(process);
                    return Ok(());
                }
                Err(error) => {
                    unready += 1;
                    if unready == MAX_BARREN {
                        return Err(io::Error::other(format!("{MAX_BARREN} in a row, {error}")));
                    }
                }
            }
        }
    }

    /// Starts the process again. False: the job is being killed.
    async fn restart(&mut self, attempt: &Attempt<'_>) -> io::Result<bool> {
        tokio::select! {
            biased;
            () = attempt.cancel.killing() => Ok(false),
            started = self.start_process() => started.map(|()| true),
        }
    }

    /// Puts the batch in flight.
    fn send(&mut self, batch: &mut VecDeque<Task>, attempt: &Attempt<'_>) {
        let Some(process) = &mut self.process else { return };
        let lines = process.new_lines();
        let is_json = matches!(self.argument, Argument::Python(_));
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

    /// Settles tasks until none is in flight, or until the process has ended: then how, and why if it was the runner
    /// that ended it.
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
                    self.process.as_ref()?.life.kill();
                    continue;
                }
                () = attempt.cancel.evicted(attempt.seat), if why.is_none() => {
                    why = Some(Why::Stop(Stop::Evicted, 0));
                    self.process.as_ref()?.life.kill();
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
                self.process.as_ref()?.life.kill();
            }
        }
        None
    }

    /// When to look at the page next, if at all.
    fn pause(&self, attempt: &Attempt<'_>) -> Option<Duration> {
        if self.flight.len() > 1 {
            let is_settling = self.barrier.is_some_and(|(seq, _)| seq == self.flight.next());
            return Some(if is_settling { SETTLED } else { LOOK });
        }
        if self.asked.is_some_and(|(seq, _)| self.flight.is_open(seq)) {
            return Some(LOOK);
        }
        let timeout = attempt.timeout?;
        Some(match self.running() {
            Some(running) => {
                (running.since + timeout).since(Moment::now()) + Duration::from_micros(1)
            }
            None => LOOK,
        })
    }

    /// The task that the worker runs now, if it is not settled yet.
    fn running(&self) -> Option<Running> {
        let running = self.process.as_ref()?.page.running()?;
        self.flight.is_open(running.seq).then_some(running)
    }

    /// Looks at the page: settles what the worker has not sent yet, takes back what waits behind a long task, and
    /// finds out whether a timeout is due.
    fn look(&mut self, attempt: &Attempt<'_>, settle: &mut Settle<'_>) -> Option<Why> {
        if let Err(broken) = self.settle_journal(attempt, settle) {
            return Some(Why::Broken(broken));
        }
        let running = self.running()?;
        let run = running.since.elapsed();
        if attempt.timeout.is_some_and(|timeout| run > timeout) && !self.gives_up(running.seq) {
            return Some(Why::Stop(Stop::Timeout, running.seq));
        }
        let stopping = attempt.cancel.level() >= Level::Drain;
        if self.flight.len() > 1 && (stopping || run > Pace::LONG) {
            self.take_back(settle);
        }
        None
    }

    /// Whether a task may still give up by itself; asks it to, the first time.
    fn gives_up(&mut self, seq: u64) -> bool {
        if !self.interpreter().is_some_and(|interpreter| interpreter.can_cancel()) {
            return false;
        }
        match self.asked {
            Some((asked, since)) if asked == seq => since.elapsed() < PATIENCE,
            _ => {
                self.asked = Some((seq, Moment::now()));
                if let Some(process) = &mut self.process {
                    process.cancel(seq);
                }
                true
            }
        }
    }

    /// Takes back what waits behind the task that runs.
    fn take_back(&mut self, settle: &mut Settle<'_>) {
        let Some(process) = &self.process else { return };
        let next = self.flight.next();
        let settled =
            if matches!(self.source, Source::Own { .. }) { Duration::ZERO } else { SETTLED };
        let now = Moment::now();
        let since = match self.barrier {
            Some((seq, since)) if seq == next => since,
            _ => now,
        };
        let current = process.page.take_back(next);
        self.barrier = Some((next, since));
        if now.since(since) < settled {
            return; // the next look sees what is running for certain
        }
        if current != 0 {
            self.flight.requeue_from(current + 1, settle);
        }
        self.pace.back_to_one();
    }

    /// Settles the answers that came through the pipe. The error says what else came.
    fn settle_received(
        &mut self,
        attempt: &Attempt<'_>,
        settle: &mut Settle<'_>,
    ) -> Result<(), String> {
        let Some(process) = &mut self.process else { return Ok(()) };
        process.drain_lines(|line| {
            let reply = read_reply(line, attempt)?;
            if let Some(run) = self.flight.accept(reply, settle) {
                self.pace.took(run);
                self.fruitful = true;
            }
            Ok(())
        })
    }

    /// Settles the answers that are in the journal.
    fn settle_journal(
        &mut self,
        attempt: &Attempt<'_>,
        settle: &mut Settle<'_>,
    ) -> Result<(), String> {
        let Some(process) = &mut self.process else { return Ok(()) };
        self.journal.clear();
        process.page.read_journal(&mut self.journal);
        for line in self.journal.split_inclusive(|&byte| byte == b'\n') {
            let reply = read_reply(line, attempt)?;
            if let Some(run) = self.flight.accept(reply, settle) {
                self.pace.took(run);
                self.fruitful = true;
            }
        }
        Ok(())
    }

    /// Settles all that a dead process leaves: what it had done, what it was running, and what it had not started.
    async fn bury(
        &mut self,
        ended: &str,
        why: Option<&Why>,
        attempt: &Attempt<'_>,
        settle: &mut Settle<'_>,
    ) -> io::Result<()> {
        // Half an answer at the end of the pipe is no line, and whole in the journal.
        let _ = self.settle_received(attempt, settle);
        let _ = self.settle_journal(attempt, settle);
        let running = self.running();
        let Some(process) = self.process.take() else { return Ok(()) };
        self.pace.back_to_one();
        let obituary = match why {
            Some(Why::Broken(error)) => error.clone(),
            _ => format!("the worker process died: {}", process.life.obituary(ended)),
        };
        let all = process.life.inquest.report(running.is_some()).await;
        if let Some(running) = running {
            if why.is_some() || (all == 1 && !process.life.was_killed()) {
                self.settle_running(running, why, &obituary, attempt, settle);
            } else if !process.life.was_killed() {
                self.flight.suspect(running.seq);
            }
        }
        if self.fruitful || all > 0 || matches!(why, Some(Why::Stop(..))) {
            self.barren = 0;
        } else {
            self.barren += 1;
            if self.barren == MAX_BARREN {
                self.flight.finish_all(|| crashed(None, &obituary), settle);
                return Err(io::Error::other(format!("{MAX_BARREN} in a row, {obituary}")));
            }
        }
        self.flight.requeue_from(0, settle);
        Ok(())
    }

    /// Settles the task that a process was running when it ended.
    fn settle_running(
        &mut self,
        running: Running,
        why: Option<&Why>,
        obituary: &str,
        attempt: &Attempt<'_>,
        settle: &mut Settle<'_>,
    ) {
        let outcome = match why {
            // The one that was too long has ended after all, and the next had started: that one is not to blame.
            Some(Why::Stop(Stop::Timeout, late)) if *late != running.seq => return,
            // It is requeued with all that it had not started.
            Some(Why::Stop(Stop::Evicted, _)) => return,
            Some(Why::Stop(stop, _)) => {
                let mut outcome =
                    Outcome::new(stop.status(), running.since, running.since.elapsed());
                outcome.error = stop.words(attempt.timeout);
                outcome
            }
            Some(Why::Broken(_)) | None => {
                Outcome { workers_lost: 1, ..crashed(Some(running), obituary) }
            }
        };
        self.fruitful = true;
        self.flight.finish(running.seq, outcome, settle);
    }
}

/// Reads an answer; a task that has given up has done so for its time limit.
fn read_reply(line: &[u8], attempt: &Attempt<'_>) -> Result<Reply, String> {
    let mut reply = protocol::read_reply(line).map_err(|error| error.to_string())?;
    if let Reply::Cancelled(_, outcome) = &mut reply {
        outcome.status = Status::Timeout;
        outcome.error = Stop::Timeout.words(attempt.timeout);
    }
    Ok(reply)
}

fn crashed(running: Option<Running>, error: &str) -> Outcome {
    let started = running.map_or_else(Moment::now, |running| running.since);
    let run = running.map_or(Duration::ZERO, |running| running.since.elapsed());
    Outcome { error: error.into(), ..Outcome::new(Status::Crashed, started, run) }
}

#[cfg(test)]
mod tests;
