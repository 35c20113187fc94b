//! A Python interpreter and the lanes to it: one for a slot of its own, or one that the slots of a loop share.
//!
//! `worker.py` is the other end. The interpreter gets the program as descriptor 3 and a control socket as descriptor 0;
//! a greeting there says what it is to call, and a packet with three descriptors opens a lane.

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use serde::Deserialize;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Mutex, RwLock};

use crate::launcher::patiently;
use crate::launcher::{Launcher, socket};
use crate::sys;
use crate::task::Moment;
use crate::worker::internal::child::{Life, Program, WorkerEnds};
use crate::worker::internal::process::{Lane, Process};
use crate::workload::python::{Facts, Mode, Spec};

const WORKER: &str = include_str!("../worker.py");

/// Reads [`WORKER`] from descriptor 3 and runs it, outside the module that the user's own code may look into.
const BOOT: &str = "import sys\n\
    exec(compile(open('/proc/self/fd/3', encoding='utf-8').read(), 'runner-worker.py', 'exec'), \
    {'__name__': 'runner_worker', '__file__': 'runner-worker.py'})";

/// Interpreters that end this often in a row before they are ready will not do better.
const MAX_UNREADY: u32 = 3;
/// How long an interpreter may take to leave: what the user has registered for its end runs then.
const LEAVE: Duration = Duration::from_secs(5);
/// The longest packet that an interpreter sends.
const PACKET_BYTES: usize = 64 << 10;

/// What an interpreter says of itself when it has been greeted.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Said {
    Ready(Facts),
    Unfit { unfit: String },
}

/// The interpreter of some slots, started again when it dies.
#[derive(Debug)]
pub struct Interpreter {
    launcher: Arc<Launcher>,
    program: Program,
    greeting: Vec<u8>,
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
    life: Rc<Life>,
    control: AsyncFd<OwnedFd>,
}

impl Interpreter {
    /// The interpreter for `spec`, under `mode`, with what it prints in the file `log`. It is started with the first
    /// lane.
    ///
    /// # Errors
    /// If there is no such interpreter, or it cannot be given what it needs.
    pub fn new(
        launcher: Arc<Launcher>,
        spec: &Spec,
        mode: Mode,
        slots: usize,
        log: &Path,
    ) -> io::Result<Self> {
        let argv = [spec.executable()?.as_os_str().as_encoded_bytes(), b"-c", BOOT.as_bytes()];
        let program =
            Program::new(spec.executable()?, &argv, &spec.environment(mode, slots), &spec.folder)?;
        Ok(Self {
            launcher,
            program,
            greeting: spec.greeting(mode, log),
            mode,
            current: Mutex::default(),
            facts: OnceCell::new(),
            pid: Arc::default(),
            turn: RwLock::default(),
            members: Cell::default(),
            starts: Cell::default(),
            startup: Cell::default(),
            peak_rss: Cell::default(),
        })
    }

    /// What is known of it; nothing before the first lane.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.get()
    }

    /// Its process, whichever is the current one; 0 before the first one is ready.
    pub fn pid(&self) -> Arc<AtomicI32> {
        Arc::clone(&self.pid)
    }

    /// Whether a task that runs can be given up without ending the interpreter.
    pub fn can_cancel(&self) -> bool {
        let has_a_loop = matches!(self.mode, Mode::Async | Mode::Pilot);
        has_a_loop && self.facts().is_some_and(|facts| facts.coroutine)
    }

    /// Whether a task that runs holds the event loop of the others.
    pub fn holds_its_loop(&self) -> bool {
        self.mode == Mode::Async && self.facts().is_some_and(|facts| !facts.coroutine)
    }

    /// How often it had to be started again.
    pub fn restarts(&self) -> u32 {
        self.starts.get().saturating_sub(1)
    }

    /// Opens a lane, in a new interpreter if there is none that lives.
    ///
    /// # Errors
    /// Of the kind `InvalidInput` if the job cannot work, with Python's words; else why there is no interpreter.
    pub async fn lane(&self) -> io::Result<Process> {
        let mut current = self.current.lock().await;
        for unready in 1.. {
            let opened = match current.take_if(|running| !running.life.has_ended()) {
                Some(running) => current.insert(running).open().await,
                None => match self.start().await {
                    Ok(running) => current.insert(running).open().await,
                    Err(error) => Err(error),
                },
            };
            let error = match opened {
                Ok(process) => return Ok(process),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
                Err(error) => error,
            };
            if unready == MAX_UNREADY {
                let message = format!("{MAX_UNREADY} in a row, {error}");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            if error.kind() == io::ErrorKind::BrokenPipe {
                *current = None; // it has just died
            }
        }
        unreachable!("it was given up before")
    }

    /// How long the last one took to be ready.
    pub fn startup(&self) -> Duration {
        self.startup.get()
    }

    async fn start(&self) -> io::Result<Running> {
        let began = Moment::now();
        self.starts.update(|starts| starts + 1);
        let mut worker = File::from(memfd_create("runner-worker.py", MemfdFlags::CLOEXEC)?);
        worker.write_all(WORKER.as_bytes())?;
        let (control, theirs) = socket::pair()?;
        let ends = WorkerEnds { stdin: theirs, stdout: None, extra: worker.into() };
        let life = Rc::new(Life::start(&self.launcher, &self.program, ends).await?);
        life.own_group();
        let running = Running { life, control: sys::watch(control)? };
        let sent = patiently(|| socket::send(running.control.get_ref(), &self.greeting, &[])).await;
        // Why it is not there any more, its end tells.
        if let Err(error) = sent
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            return Err(error);
        }
        match running.hear().await? {
            Said::Ready(facts) => {
                self.startup.set(began.elapsed());
                self.pid.store(facts.pid, Ordering::Relaxed);
                let _ = self.facts.set(facts);
                Ok(running)
            }
            Said::Unfit { unfit } => Err(io::Error::new(io::ErrorKind::InvalidInput, unfit)),
        }
    }

    /// Lets it leave, and waits for that. The peak resident memory of the largest one, in bytes.
    async fn end(&self) -> Option<u64> {
        if let Some(Running { life, control }) = self.current.lock().await.take() {
            drop(control);
            // Dropping it kills what has not left by then.
            if let Ok((_, peak_rss)) = tokio::time::timeout(LEAVE, life.ended()).await {
                self.died(*peak_rss);
            }
        }
        self.peak_rss.get()
    }

    /// An interpreter has ended, with this peak of resident memory in bytes.
    pub fn died(&self, peak_rss: Option<u64>) {
        self.peak_rss.update(|peak| peak.max(peak_rss));
    }
}

impl Running {
    /// Hears the answer to the greeting.
    async fn hear(&self) -> io::Result<Said> {
        let mut packet = vec![0; PACKET_BYTES];
        let mut descriptors = Vec::new();
        loop {
            let mut ready = tokio::select! {
                biased;
                ready = self.control.readable() => ready?,
                error = self.too_early() => return Err(error),
            };
            match socket::receive(self.control.get_ref(), &mut packet, &mut descriptors) {
                Ok(Some(length)) => {
                    let said = serde_json::from_slice(&packet[..length]);
                    return said.map_err(|_| {
                        let said = String::from_utf8_lossy(&packet[..length.min(200)]);
                        io::Error::other(format!("Python said `{said}` instead of being ready"))
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                // It is about to end; how is worth more than that.
                Ok(None) | Err(_) => return Err(self.too_early().await),
            }
        }
    }

    /// Waits for its end, which comes too early.
    async fn too_early(&self) -> io::Error {
        let (how, _) = self.life.ended().await;
        let obituary = self.life.obituary(how);
        io::Error::other(format!("Python ended before it was ready: {obituary}"))
    }

    /// Opens a lane. An error of the kind `BrokenPipe` says that it has died.
    async fn open(&self) -> io::Result<Process> {
        let (lane, ends) = Lane::create()?;
        let ends = [ends[0].as_fd(), ends[1].as_fd(), ends[2].as_fd()];
        patiently(|| socket::send(self.control.get_ref(), b"lane", &ends)).await?;
        Ok(Process::new(lane, Rc::clone(&self.life)))
    }
}
