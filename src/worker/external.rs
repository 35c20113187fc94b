//! Worker programs: the programs that the slots of an event loop share, and each slot's session with one.
//!
//! A program takes as many sessions as it does tasks at a time. When it dies, the task that it was doing is `crashed`;
//! if it was doing several tasks, none is charged, and each of them runs again alone. It is started again for the next
//! task.

mod driver;
mod process;
mod session;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, RwLock};

use crate::launcher::Launcher;
use crate::model::Model;
use crate::task::Cancel;
use crate::worker::Log;
use crate::workload::worker::Spec;

use process::{Process, Unready};
pub use session::Session;

/// A program that ends this often in a row before it is ready is given up.
const MAX_UNREADY: u32 = 3;
/// How often a program may break the protocol while nothing is in flight that could report it.
const MAX_FAULTS: u32 = 3;

/// The settings for every process of a program.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The worker of the job file.
    pub spec: Spec,
    /// The name of the model, which the program is told.
    pub mode: &'static str,
    /// The launcher that starts it.
    pub launcher: Arc<Launcher>,
    /// The log for its standard error.
    pub log: Arc<Log>,
    /// How many slots run at once that have programs of their own, or parts of one.
    pub slots: usize,
    /// How long it may take to end.
    pub grace: Duration,
    /// How the job is stopped.
    pub cancel: Arc<Cancel>,
    /// Whether it is looked how much memory its tasks use.
    pub watches_memory: bool,
}

impl Settings {
    /// Whether each slot has a program of its own.
    fn has_own_programs(&self) -> bool {
        [Model::Sequential.name(), Model::Processes.name()].contains(&self.mode)
    }
}

/// The programs of one event loop, each with as many sessions as it takes tasks at a time.
#[derive(Debug, Default)]
pub struct Pool {
    programs: Mutex<Vec<Rc<Program>>>,
    /// How many slots have no session yet.
    waiting: Cell<usize>,
}

impl Pool {
    /// A pool for `slots` slots.
    pub fn new(slots: usize) -> Self {
        Self { programs: Mutex::default(), waiting: Cell::new(slots) }
    }

    /// A session for this slot: with a program that can take one more task, else with a new program.
    ///
    /// # Errors
    /// If the program cannot be started; of the kind `InvalidInput` if it does not become ready.
    pub async fn session(&self, settings: &Settings, slot: usize) -> io::Result<Session> {
        let mut programs = self.programs.lock().await;
        let free = programs.iter().find(|program| program.admit());
        let program = if let Some(program) = free {
            Rc::clone(program)
        } else {
            let slots = self.waiting.get().max(1);
            let program = Rc::new(Program::start(settings, slots, slot).await?);
            programs.push(Rc::clone(&program));
            program
        };
        self.waiting.update(|waiting| waiting - 1);
        Ok(Session { program })
    }
}

/// A program, which is started again when it dies.
#[derive(Debug)]
pub struct Program {
    settings: Settings,
    /// The slot that it was started for.
    slot: usize,
    /// How many requests may be in flight, and so how many sessions it takes.
    capacity: usize,
    sessions: Cell<usize>,
    ended_sessions: Cell<usize>,
    /// How many processes in a row have ended without an answer.
    fruitless: Cell<u32>,
    /// How processes have ended that did not end well, as far as it has not been told.
    endings: RefCell<Vec<String>>,
    /// Locked exclusively by a task that may have killed it before and so runs alone.
    gate: RwLock<()>,
    state: Mutex<State>,
    /// The process that `state` has: whether it takes requests can be asked while others wait for the next one.
    latest: RefCell<Weak<Process>>,
}

#[derive(Debug, Default)]
struct State {
    /// `None` only before the first one is ready, and after the last one has been ended.
    process: Option<Rc<Process>>,
    faults: u32,
    /// The highest peak of processes that have ended, in bytes.
    peak_rss: Option<u64>,
    /// Why no process is started any more.
    unfit: Option<String>,
}

impl Program {
    async fn start(settings: &Settings, slots: usize, slot: usize) -> io::Result<Self> {
        let mut program = Self {
            settings: settings.clone(),
            slot,
            capacity: slots,
            sessions: Cell::new(1),
            ended_sessions: Cell::new(0),
            fruitless: Cell::new(0),
            endings: RefCell::default(),
            gate: RwLock::new(()),
            state: Mutex::default(),
            latest: RefCell::default(),
        };
        if let Some((process, capacity)) = program.start_process().await? {
            program.latest.replace(Rc::downgrade(&process));
            program.state.get_mut().process = Some(process);
            program.capacity = capacity;
        }
        Ok(program)
    }

    /// Counts one more session in, if it can take one.
    fn admit(&self) -> bool {
        let sessions = self.sessions.get();
        self.sessions.set(self.capacity.min(sessions + 1));
        sessions < self.capacity
    }

    /// Starts a process, and another one if it ends before it is ready. `None` if the job is being killed.
    async fn start_process(&self) -> io::Result<Option<(Rc<Process>, usize)>> {
        let name = self.settings.spec.name();
        let mut unready = 0;
        let is_trusted = self.fruitless.get() + 1 < MAX_UNREADY;
        loop {
            let started = tokio::select! {
                biased;
                () = self.settings.cancel.killing() => return Ok(None),
                started = Process::start(&self.settings, self.capacity, self.slot, is_trusted) => started,
            };
            match started {
                Ok(started) => return Ok(Some(started)),
                Err(Unready::System(error)) => return Err(error),
                Err(Unready::Unfit(words)) => {
                    return Err(unfit(format!("the worker `{name}` cannot be used: {words}")));
                }
                Err(Unready::Ended(words)) => {
                    unready += 1;
                    if unready == MAX_UNREADY {
                        let message = format!(
                            "the worker `{name}` cannot be used: {MAX_UNREADY} times in a row, {words}"
                        );
                        return Err(unfit(message));
                    }
                }
            }
        }
    }

    /// The process that takes requests, started again if necessary. `None` if the job is being killed.
    async fn process(&self) -> io::Result<Option<Rc<Process>>> {
        let mut state = self.state.lock().await;
        if let Some(words) = &state.unfit {
            return Err(unfit(words.clone()));
        }
        if let Some(process) = &state.process {
            if process.is_open() {
                return Ok(Some(Rc::clone(process)));
            }
            process.renewed(self.settings.grace).await;
            let fruitless = if process.has_answered() { 0 } else { self.fruitless.get() + 1 };
            self.fruitless.set(fruitless);
            let process = state.process.take();
            self.record_end(&mut state, process.as_ref());
            if let Some(words) = &state.unfit {
                return Err(unfit(words.clone()));
            }
        }
        match self.start_process().await {
            Ok(Some((process, capacity))) if capacity >= self.capacity => {
                self.latest.replace(Rc::downgrade(&process));
                state.process = Some(Rc::clone(&process));
                Ok(Some(process))
            }
            Ok(Some((_, capacity))) => {
                let name = self.settings.spec.name();
                let words = format!(
                    "the worker `{name}` cannot be used: it was ready for {} requests at a time, and is now for {capacity}",
                    self.capacity
                );
                state.unfit = Some(words.clone());
                Err(unfit(words))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                state.unfit = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Whether it takes requests at once.
    fn is_open(&self) -> bool {
        self.latest.borrow().upgrade().is_some_and(|process| process.is_open())
    }

    fn record_end(&self, state: &mut State, process: Option<&Rc<Process>>) {
        let Some(process) = process else { return };
        let (fault, peak_rss) = process.fault_and_peak();
        state.peak_rss = state.peak_rss.max(peak_rss);
        let name = self.settings.spec.name();
        let words = |ending| {
            format!(
                "`{name}` did not end well, and what it had to write may not be whole: {ending}"
            )
        };
        self.endings.borrow_mut().extend(process.ending().map(words));
        if let Some(fault) = fault {
            state.faults += 1;
            if state.faults >= MAX_FAULTS {
                state.unfit =
                    Some(format!("the worker cannot be used: {MAX_FAULTS} times, {fault}"));
            }
        }
    }

    /// What has gone wrong at the end of its processes, as far as it has not been told.
    pub fn endings(&self) -> Vec<String> {
        self.endings.take()
    }
}

/// The error that the job's own program cannot do its tasks, which its author has to fix.
fn unfit(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, words)
}
