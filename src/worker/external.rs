//! Worker programs: what slots share that run their tasks in one, and each slot's seat at it.
//!
//! A program that does one task at a time has one seat, one that does several has as many. When it dies, what it was
//! doing is `crashed`; if it was doing several tasks, none is charged, and each runs again with nothing beside it. It is
//! started again for the next task.

mod driver;
mod process;
mod session;

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, RwLock};

use crate::launcher::Launcher;
use crate::task::Cancel;
use crate::worker::Log;
use crate::workload::worker::Spec;

use process::{Process, Unready};
pub use session::Session;

/// Programs that end this often in a row before they are ready will not do better.
const MAX_BARREN: u32 = 3;
/// So often a program may answer what it was not asked, with nothing in flight that would show it.
const MAX_FAULTS: u32 = 3;

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
    programs: Mutex<Vec<Rc<Program>>>,
    /// How many slots have no seat yet.
    standing: Cell<usize>,
}

impl Pool {
    /// For `slots` slots.
    pub fn new(slots: usize) -> Self {
        Self { programs: Mutex::default(), standing: Cell::new(slots) }
    }

    /// A seat for this slot: in a program that has one free, else in another one.
    ///
    /// # Errors
    /// If the program cannot be started; of the kind `InvalidInput` if it does not get ready.
    pub async fn seat(&self, settings: &Settings, slot: usize) -> io::Result<Session> {
        let mut programs = self.programs.lock().await;
        let free = programs.iter().find(|program| program.take_seat());
        let program = if let Some(program) = free {
            Rc::clone(program)
        } else {
            let slots = self.standing.get().max(1);
            let program = Rc::new(Program::start(settings, slots, slot).await?);
            programs.push(Rc::clone(&program));
            program
        };
        self.standing.update(|standing| standing - 1);
        Ok(Session { program })
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
    taken: Cell<usize>,
    left: Cell<usize>,
    /// A task that may have killed it before has it alone.
    gate: RwLock<()>,
    life: Mutex<Life>,
}

#[derive(Debug, Default)]
struct Life {
    /// `None` only before the first one is ready, and after the last has been let go.
    process: Option<Rc<Process>>,
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
            taken: Cell::new(1),
            left: Cell::new(0),
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
        let taken = self.taken.get();
        self.taken.set(self.seats.min(taken + 1));
        taken < self.seats
    }

    /// Starts a process, and another if it ends before it is ready. `None`: the job is being killed.
    async fn start_process(&self) -> io::Result<Option<(Rc<Process>, usize)>> {
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
                Err(Unready::Unfit(words)) => {
                    return Err(unfit(format!("the worker `{name}` cannot be used: {words}")));
                }
                Err(Unready::Ended(words)) => {
                    unready += 1;
                    if unready == MAX_BARREN {
                        let message = format!(
                            "the worker `{name}` cannot be used: {MAX_BARREN} times in a row, {words}"
                        );
                        return Err(unfit(message));
                    }
                }
            }
        }
    }

    /// The process that takes requests, started again if it has to be. `None`: the job is being killed.
    async fn process(&self) -> io::Result<Option<Rc<Process>>> {
        let mut life = self.life.lock().await;
        if let Some(words) = &life.unfit {
            return Err(unfit(words.clone()));
        }
        if let Some(process) = &life.process {
            if process.is_open() {
                return Ok(Some(Rc::clone(process)));
            }
            process.ended().await;
            let process = life.process.take();
            life.bury(process.as_ref());
            if let Some(words) = &life.unfit {
                return Err(unfit(words.clone()));
            }
        }
        match self.start_process().await {
            Ok(Some((process, seats))) if seats >= self.seats => {
                life.process = Some(Rc::clone(&process));
                Ok(Some(process))
            }
            Ok(Some((_, seats))) => {
                let name = self.settings.spec.name();
                let words = format!(
                    "the worker `{name}` cannot be used: it was ready for {} requests at a time, and now for {seats}",
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
    fn bury(&mut self, process: Option<&Rc<Process>>) {
        let Some(process) = process else { return };
        let (fault, peak_rss) = process.remains();
        self.peak_rss = self.peak_rss.max(peak_rss);
        if let Some(fault) = fault {
            self.faults += 1;
            if self.faults >= MAX_FAULTS {
                self.unfit =
                    Some(format!("the worker cannot be used: {MAX_FAULTS} times, {fault}"));
            }
        }
    }
}

/// The job's own program cannot do its tasks: something for its author.
fn unfit(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, words)
}
