//! Worker programs: what slots share that run their tasks in one, and each slot's seat at it.
//!
//! A program that does one task at a time has one seat, one that does several has as many. When it dies, what it was
//! doing is `crashed`; if it was doing several tasks, none is charged, and each runs again with nothing beside it. It is
//! started again for the next task.

mod process;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::engine::attempt::{Attempt, Stop};
use crate::engine::cancel::{Cancel, Level};
use crate::engine::task::{Outcome, Status, Task};
use crate::host::launcher::Launcher;
use crate::host::lines::{self, Answer, Done};
use crate::host::remote::Verdict;
use crate::report::Log;
use crate::workload::worker::Spec;

use process::{Death, Ending, InFlight, Process, Unready};

/// Programs that end this often in a row before they are ready will not do better.
const MAX_BARREN: u32 = 3;
/// So often a program may answer what it was not asked, with nothing in flight that would show it.
const MAX_FAULTS: u32 = 3;

/// The job's own program cannot do its tasks: something for its author, not for ours.
#[derive(Debug)]
pub struct Unfit(String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

/// What is the same for every process of a program.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is.
    pub spec: Spec,
    /// The model, as the program is told.
    pub mode: &'static str,
    /// What starts it.
    pub launcher: Arc<Launcher>,
    /// Its standard error.
    pub log: Arc<Log>,
    /// How long it may take to leave.
    pub grace: Duration,
    /// The job's stop switch.
    pub cancel: Arc<Cancel>,
}

/// The programs of one loop, each with as many seats as it has asked for.
#[derive(Debug, Default)]
pub struct Pool {
    programs: Mutex<Vec<Arc<Program>>>,
    /// How many slots have no seat yet.
    standing: AtomicUsize,
}

impl Pool {
    /// For `slots` slots.
    pub fn new(slots: usize) -> Self {
        Self { programs: Mutex::default(), standing: AtomicUsize::new(slots) }
    }

    /// A seat for this slot: in a program that has one free, else in another one.
    ///
    /// # Errors
    /// If the program cannot be started, or does not get ready; [`Unfit`] if that is its own doing.
    pub async fn seat(&self, settings: &Settings, slot: usize) -> io::Result<Seat> {
        let mut programs = self.programs.lock().await;
        let free = programs.iter().find(|program| program.take_seat());
        let program = if let Some(program) = free {
            Arc::clone(program)
        } else {
            let slots = self.standing.load(Ordering::Relaxed).max(1);
            let program = Arc::new(Program::start(settings, slots, slot).await?);
            programs.push(Arc::clone(&program));
            program
        };
        self.standing.fetch_sub(1, Ordering::Relaxed);
        Ok(Seat { program })
    }
}

/// A program, started again when it dies.
#[derive(Debug)]
pub struct Program {
    settings: Settings,
    /// The one that it was started for.
    slot: usize,
    /// How many requests may be in flight.
    seats: usize,
    taken: AtomicUsize,
    left: AtomicUsize,
    /// A task that may have killed it before has it alone.
    gate: RwLock<()>,
    life: Mutex<Life>,
}

#[derive(Debug, Default)]
struct Life {
    /// `None` only before the first one is ready, and after the last has been let go.
    process: Option<Arc<Process>>,
    faults: u32,
    /// Of processes that have ended, in bytes.
    peak_rss: Option<u64>,
    /// Why there will be no other process.
    unfit: Option<String>,
}

impl Program {
    async fn start(settings: &Settings, slots: usize, slot: usize) -> io::Result<Self> {
        let mut program = Self {
            settings: settings.clone(),
            slot,
            seats: slots,
            taken: AtomicUsize::new(1),
            left: AtomicUsize::new(0),
            gate: RwLock::new(()),
            life: Mutex::default(),
        };
        if let Some((process, seats)) = program.start_process().await? {
            program.life.get_mut().process = Some(process);
            program.seats = seats;
        }
        Ok(program)
    }

    fn take_seat(&self) -> bool {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken < self.seats {
            self.taken.store(taken + 1, Ordering::Relaxed);
        }
        taken < self.seats
    }

    /// Starts a process, and another if it ends before it is ready. `None`: the job is being killed.
    async fn start_process(&self) -> io::Result<Option<(Arc<Process>, usize)>> {
        let name = self.settings.spec.name();
        let mut unready = 0;
        loop {
            let started = tokio::select! {
                biased;
                () = self.settings.cancel.killing() => return Ok(None),
                started = Process::start(&self.settings, self.seats, self.slot) => started,
            };
            match started {
                Ok(started) => return Ok(Some(started)),
                Err(Unready::System(error)) => return Err(error),
                Err(Unready::Unfit(words)) => return Err(unfit(format!("`{name}`: {words}"))),
                Err(Unready::Ended(words)) => {
                    unready += 1;
                    if unready == MAX_BARREN {
                        let message = format!("`{name}`, {MAX_BARREN} times in a row: {words}");
                        return Err(unfit(message));
                    }
                }
            }
        }
    }

    /// The process that takes requests, started again if it has to be. `None`: the job is being killed.
    async fn process(&self) -> io::Result<Option<Arc<Process>>> {
        let mut life = self.life.lock().await;
        if let Some(words) = &life.unfit {
            return Err(unfit(words.clone()));
        }
        if let Some(process) = &life.process {
            if process.is_open() {
                return Ok(Some(Arc::clone(process)));
            }
            process.ended().await;
            let process = life.process.take();
            life.bury(process.as_ref());
        }
        if life.faults >= MAX_FAULTS {
            let words = life.unfit.clone().unwrap_or_default();
            return Err(unfit(words));
        }
        match self.start_process().await {
            Ok(Some((process, seats))) if seats >= self.seats => {
                life.process = Some(Arc::clone(&process));
                Ok(Some(process))
            }
            Ok(Some((_, seats))) => {
                let name = self.settings.spec.name();
                let words = format!(
                    "`{name}`: it was ready for {} requests at a time, and now for {seats}",
                    self.seats
                );
                life.unfit = Some(words.clone());
                Err(unfit(words))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                life.unfit = Some(error.to_string());
                Err(error)
            }
        }
    }
}

impl Life {
    fn bury(&mut self, process: Option<&Arc<Process>>) {
        let Some(process) = process else { return };
        let (fault, peak_rss) = process.remains();
        self.peak_rss = self.peak_rss.max(peak_rss);
        if let Some(fault) = fault {
            self.faults += 1;
            if self.faults >= MAX_FAULTS {
                self.unfit = Some(format!("{MAX_FAULTS} times, {fault}"));
            }
        }
    }
}

fn unfit(words: String) -> io::Error {
    io::Error::other(Unfit(words))
}

/// A slot's place in a program: one request at a time.
#[derive(Debug)]
pub struct Seat {
    program: Arc<Program>,
}

/// Leave to use a program: beside others, or alone.
enum Turn<'a> {
    Shared { _guard: RwLockReadGuard<'a, ()> },
    Alone { _guard: RwLockWriteGuard<'a, ()> },
}

impl Seat {
    /// Runs every task of `batch`, one after another, and settles each, exactly once.
    ///
    /// # Errors
    /// If no process can be kept alive; what was left of the batch has been given back.
    pub async fn run(
        &mut self,
        batch: &mut VecDeque<Task>,
        attempt: &Attempt<'_>,
        settle: &mut dyn FnMut(Task, Verdict),
    ) -> io::Result<()> {
        while let Some(mut task) = batch.pop_front() {
            let attempt = attempt.of(&task);
            match self.attempt(&mut task, &attempt).await {
                Ok(verdict) => settle(task, verdict),
                Err(error) => {
                    settle(task, Verdict::Requeue);
                    batch.drain(..).for_each(|task| settle(task, Verdict::Requeue));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn attempt(&self, task: &mut Task, attempt: &Attempt<'_>) -> io::Result<Verdict> {
        let Some(_turn) = self.turn(task.is_suspect, attempt).await else {
            return Ok(Verdict::Requeue);
        };
        loop {
            let Some(process) = self.program.process().await? else {
                return Ok(Verdict::Requeue);
            };
            let arguments = self.program.settings.spec.arguments();
            let write = |id, out: &mut Vec<u8>| {
                lines::write_request(id, arguments, &attempt.values(task), out);
            };
            // Otherwise it has died in between.
            if let Some(request) = process.send(write) {
                return Ok(self.attend(request, &process, task, attempt).await);
            }
        }
    }

    /// Waits until the program may be used. `None`: the job is being killed.
    async fn turn(&self, is_suspect: bool, attempt: &Attempt<'_>) -> Option<Turn<'_>> {
        let gate = &self.program.gate;
        let turn = async {
            if is_suspect {
                Turn::Alone { _guard: gate.write().await }
            } else {
                Turn::Shared { _guard: gate.read().await }
            }
        };
        tokio::select! {
            biased;
            turn = turn => Some(turn),
            () = attempt.cancel.killing() => None,
        }
    }

    async fn attend(
        &self,
        mut request: InFlight<'_>,
        process: &Process,
        task: &mut Task,
        attempt: &Attempt<'_>,
    ) -> Verdict {
        let sent = request.sent;
        let ending = tokio::select! {
            biased;
            ending = request.ending() => ending,
            stop = attempt.stopped(sent) => {
                drop(request);
                process.kill();
                return Verdict::Done(stopped(stop, sent, attempt));
            }
        };
        match ending {
            Ending::Answered(answer, now) => {
                let run = now.since(sent);
                Verdict::Done(answered(answer, Outcome::new(Status::Ok, sent, run)))
            }
            Ending::Died(_) if attempt.cancel.level() >= Level::Kill => {
                Verdict::Done(stopped(Stop::Killed, sent, attempt))
            }
            Ending::Died(Death::Ended) => Verdict::Requeue,
            Ending::Died(Death::OfOne) => {
                task.is_suspect = true;
                Verdict::Requeue
            }
            Ending::Died(Death::OfThis(words)) => {
                let crashed = Outcome::new(Status::Crashed, sent, sent.elapsed());
                Verdict::Done(Outcome { error: words, ..crashed })
            }
        }
    }

    /// Leaves the program; the last one lets it go and waits for that. The peak resident memory of its largest
    /// process, in bytes.
    pub async fn stop(self) -> Option<u64> {
        let program = &self.program;
        let left = program.left.fetch_add(1, Ordering::Relaxed) + 1;
        if left < program.taken.load(Ordering::Relaxed) {
            return None;
        }
        let mut life = program.life.lock().await;
        let process = life.process.take()?;
        process.let_leave();
        tokio::select! {
            () = process.ended() => {}
            () = tokio::time::sleep(program.settings.grace) => process.kill(),
            () = program.settings.cancel.killing() => process.kill(),
        }
        process.ended().await;
        life.bury(Some(&process));
        life.peak_rss
    }
}

fn stopped(stop: Stop, started: crate::engine::clock::Moment, attempt: &Attempt<'_>) -> Outcome {
    let outcome = Outcome::new(stop.status(), started, started.elapsed());
    Outcome { error: stop.words(attempt.timeout), ..outcome }
}

fn answered(answer: Answer, outcome: Outcome) -> Outcome {
    match answer.outcome {
        Ok(done) => {
            let Done { result, kind, cpu, peak_rss } = done;
            Outcome { result, result_kind: kind, cpu, peak_rss, ..outcome }
        }
        Err(error) => Outcome { status: Status::Failed, error, ..outcome },
    }
}
