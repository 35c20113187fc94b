//! A Python interpreter and the sessions to it: one for a slot of its own, or one that the slots of a loop share.
//!
//! `worker.py` is the other end. A packet with three descriptors on its control socket opens a session.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Mutex, RwLock};

use crate::launcher::patiently;
use crate::launcher::{Launcher, socket};
use crate::task::Moment;
use crate::worker::internal::boot::{Boot, Control, MAX_UNREADY, SESSION, unfit};
use crate::worker::internal::child::{Child, ENDED_WELL};
use crate::worker::internal::fork_server::{ForkServer, Started};
use crate::worker::internal::process::{Process, Session, SessionEnds};
use crate::workload::python::{Facts, Mode};

/// What an interpreter says of itself when it has been greeted.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Said {
    Ready(Facts),
    Unfit { unfit: String },
}

/// What an interpreter says at its end.
#[derive(Debug, Deserialize)]
struct SaidLast {
    ending: String,
}

/// The interpreter of some slots, started again when it dies.
#[derive(Debug)]
pub struct Interpreter {
    launcher: Arc<Launcher>,
    boot: Boot,
    /// Where it is forked, if it is.
    server: Option<Arc<ForkServer>>,
    mode: Mode,
    current: Mutex<Option<Running>>,
    facts: OnceCell<Facts>,
    /// The process that is ready, for who looks at it from another thread; 0 before the first one is.
    pid: Arc<AtomicI32>,
    /// Attempts run side by side; one that may have killed an interpreter runs alone.
    pub turn: RwLock<()>,
    members: Cell<usize>,
    starts: Cell<u32>,
    startup: Cell<Duration>,
    peak_rss: Cell<Option<u64>>,
    /// What has gone wrong at the end of interpreters, where no task has it.
    endings: RefCell<Vec<String>>,
}

/// One of the slots that use an interpreter, for as long as this lives.
#[derive(Debug)]
pub struct Member(Rc<Interpreter>);

impl Member {
    /// Counts a slot in.
    pub fn new(interpreter: Rc<Interpreter>) -> Self {
        interpreter.members.update(|members| members + 1);
        Self(interpreter)
    }

    /// What it uses.
    pub fn interpreter(&self) -> &Rc<Interpreter> {
        &self.0
    }

    /// Counts the slot out. The last one lets the interpreter leave, and waits for that; it is told the peak resident
    /// memory of the largest one, in bytes.
    pub async fn leave(self) -> Option<u64> {
        let interpreter = Rc::clone(&self.0);
        drop(self);
        if interpreter.members.get() > 0 { None } else { interpreter.end().await }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.members.update(|members| members - 1);
    }
}

/// An interpreter that runs.
#[derive(Debug)]
struct Running {
    child: Rc<Child>,
    control: Control,
    /// The session that was offered to it at its start, until somebody opens one.
    first: Option<Session>,
}

impl Interpreter {
    /// An interpreter that comes up as `boot` says, for slots under `mode`; it is forked from `server`, if there is one.
    /// It is started with the first session.
    pub fn new(
        launcher: Arc<Launcher>,
        boot: Boot,
        mode: Mode,
        server: Option<Arc<ForkServer>>,
    ) -> Self {
        Self {
            launcher,
            boot,
            server,
            mode,
            current: Mutex::default(),
            facts: OnceCell::new(),
            pid: Arc::default(),
            turn: RwLock::default(),
            members: Cell::default(),
            starts: Cell::default(),
            startup: Cell::default(),
            peak_rss: Cell::default(),
            endings: RefCell::default(),
        }
    }

    /// What is known of it; nothing before the first session.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.get()
    }

    /// Its process, whichever is the current one; 0 before the first one is ready.
    pub fn pid(&self) -> Arc<AtomicI32> {
        Arc::clone(&self.pid)
    }

    /// Whether a task that runs can be given up without ending the interpreter.
    pub fn can_cancel(&self) -> bool {
        self.facts().is_some_and(|facts| facts.coroutine)
    }

    /// Whether a task that runs holds the event loop of the others.
    pub fn holds_its_loop(&self) -> bool {
        self.mode == Mode::Async && self.facts().is_some_and(|facts| !facts.coroutine)
    }

    /// How often it had to be started again.
    pub fn restarts(&self) -> u32 {
        self.starts.get().saturating_sub(1)
    }

    /// Opens a session, in a new interpreter if there is none that lives.
    ///
    /// # Errors
    /// Of the kind `InvalidInput` if the job cannot work, with Python's words; else why there is no interpreter.
    pub async fn session(&self) -> io::Result<Process> {
        let mut current = self.current.lock().await;
        for unready in 1.. {
            let opened =
                if let Some(running) = current.take_if(|running| !running.child.has_ended()) {
                    current.insert(running).open().await
                } else {
                    self.hear_last(current.take().as_ref());
                    match self.start().await {
                        Ok(running) => current.insert(running).open().await,
                        Err(error) => Err(error),
                    }
                };
            let error = match opened {
                Ok(process) => return Ok(process),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
                Err(error) => error,
            };
            if unready == MAX_UNREADY {
                return Err(unfit(format!("{MAX_UNREADY} times in a row, {error}")));
            }
            if error.kind() == io::ErrorKind::BrokenPipe {
                *current = None; // it has just died
            }
        }
        unreachable!("it was given up before")
    }

    /// How long the last one took to be ready; what it takes to have something to fork is left out.
    pub fn startup(&self) -> Duration {
        self.startup.get()
    }

    async fn start(&self) -> io::Result<Running> {
        self.starts.update(|starts| starts + 1);
        let (session, ends) = Session::create()?;
        let Started { child, control, asked } = self.come_up(&ends).await?;
        drop(ends);
        match self.boot.ready(&child, &control).await? {
            Said::Ready(facts) => {
                self.startup.set(asked.elapsed());
                self.pid.store(facts.pid, Ordering::Relaxed);
                let _ = self.facts.set(facts);
                Ok(Running { child: Rc::new(child), control, first: Some(session) })
            }
            Said::Unfit { unfit: words } => Err(unfit(words)),
        }
    }

    /// A new interpreter: forked, or started where there is nothing to fork.
    async fn come_up(&self, session: &SessionEnds) -> io::Result<Started> {
        if let Some(server) = &self.server
            && let Some(forked) = server.fork(&self.boot.particulars, session).await?
        {
            return Ok(forked);
        }
        let asked = Moment::now();
        let (child, control) = self.boot.start(&self.launcher).await?;
        control.offer(session).await?;
        Ok(Started { child, control, asked })
    }

    /// Lets it leave, and waits for that, however long its threads and what is registered for its end take. The peak
    /// resident memory of the largest one, in bytes.
    async fn end(&self) -> Option<u64> {
        if let Some(running) = self.current.lock().await.take() {
            running.control.finish();
            // Whoever stops waiting kills it: it is dropped with this.
            self.left(&running.child).await;
            self.hear_last(Some(&running));
        }
        self.peak_rss.get()
    }

    fn hear_last(&self, running: Option<&Running>) {
        let Some(Running { control, .. }) = running else { return };
        let said = control.rest().into_iter().map(|SaidLast { ending }| ending);
        self.endings.borrow_mut().extend(said);
    }

    /// What has gone wrong at the end of interpreters, as far as it has not been told.
    pub fn endings(&self) -> Vec<String> {
        self.endings.take()
    }

    /// Waits for the end of an interpreter that leaves. One that does not end well has no task that would say so.
    pub async fn left(&self, child: &Child) {
        let (how, peak_rss) = child.ended().await;
        self.died(*peak_rss);
        self.look_at_end(child, how);
    }

    /// Says it if an interpreter that was leaving has ended as `how` says, and not as it should.
    pub fn look_at_end(&self, child: &Child, how: &str) {
        if how != ENDED_WELL && !child.was_killed() {
            let ending = child.describe_end(how);
            let words = "an interpreter did not end well, and files that its functions had open may not be whole";
            self.endings.borrow_mut().push(format!("{words}: {ending}"));
        }
    }

    /// An interpreter has ended, with this peak of resident memory in bytes.
    pub fn died(&self, peak_rss: Option<u64>) {
        self.peak_rss.update(|peak| peak.max(peak_rss));
    }
}

impl Running {
    /// Opens a session. An error of the kind `BrokenPipe` says that it has died.
    async fn open(&mut self) -> io::Result<Process> {
        if let Some(session) = self.first.take() {
            return Ok(Process::new(session, Rc::clone(&self.child)));
        }
        let (session, ends) = Session::create()?;
        let ends = [ends[0].as_fd(), ends[1].as_fd(), ends[2].as_fd()];
        patiently(|| socket::send(self.control.socket(), SESSION, &ends)).await?;
        Ok(Process::new(session, Rc::clone(&self.child)))
    }
}
