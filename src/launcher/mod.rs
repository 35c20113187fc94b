//! The runner's end of the launcher: starting it, and asking it to start children, a [`Port`] per slot.
//!
//! [`server`] explains what the launcher does and why it exists.

mod event_loop;
mod message;
mod port;
pub mod server;
pub mod socket;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tree;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getpid, getrlimit,
    pidfd_open, pidfd_send_signal, set_child_subreaper, setrlimit, waitid,
};

pub use crate::sys::Step;
pub use message::{HasNul, Strings};
pub use port::{Ended, Exit, Port, Start};
pub use socket::patiently;

use crate::base::lock;
use crate::sys;
use message::Control;

/// How long a launcher may take to end after one of its ports has ended.
const END_GRACE: Duration = Duration::from_millis(100);

/// The soft limit of open files that the runner was started with, if it has raised it; else 0.
static ORIGINAL_OPEN_FILES: AtomicU64 = AtomicU64::new(0);

/// Raises the soft limit of open files to the hard one, since each slot needs a handful. Children get the original
/// limit, since a high one breaks programs that use `select` or close every possible descriptor.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let Some(original) = limit.current.filter(|_| limit.current != limit.maximum) else { return };
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok() {
        ORIGINAL_OPEN_FILES.store(original, Ordering::Relaxed);
    }
}

/// The launcher, shared by all slots. If it dies, everything below it is killed, and the next [`Launcher::port`] starts
/// another one.
#[derive(Debug)]
pub struct Launcher {
    program: fn() -> Command,
    process: Mutex<Option<Process>>,
}

/// A running launcher.
#[derive(Debug)]
struct Process {
    child: Child,
    /// Also tells the launcher that the runner lives: when it is closed, the launcher kills every child and exits.
    control: OwnedFd,
    /// Whether a port has ended. When a process is killed, its threads and open files go one after another, so the
    /// control socket may still seem intact then.
    is_suspect: Arc<AtomicBool>,
}

impl Launcher {
    /// Starts the launcher.
    ///
    /// # Errors
    /// If the system cannot start a process.
    pub fn start() -> io::Result<Self> {
        Self::start_with(|| {
            let mut command = Command::new(sys::THIS_PROGRAM);
            command.arg0("runner-launcher").arg(server::LAUNCH_ARG);
            command
        })
    }

    /// Starts the launcher as the command from `program`, which must end up in [`server::main`].
    pub(crate) fn start_with(program: fn() -> Command) -> io::Result<Self> {
        // If the launcher is killed, its orphans are adopted by this process.
        set_child_subreaper(Some(getpid()))?;
        Ok(Self { program, process: Mutex::new(Some(Process::start(program)?)) })
    }

    /// A port for one slot. Must be called on the runtime of the slot's event loop.
    ///
    /// # Errors
    /// If there are no descriptors left, or the launcher has died and no new one can be started.
    pub fn port(&self) -> io::Result<Port> {
        let (ours, theirs) = socket::pair()?;
        let mut current = lock(&self.process);
        if let Some(dead) = current.take_if(Process::is_dead) {
            dead.end();
        }
        if let Some(process) = &*current {
            match process.offer(&theirs) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                offered => return offered.and_then(|()| process.port(ours)),
            }
        }
        if let Some(dead) = current.take() {
            dead.end();
        }
        let process = current.insert(Process::start(self.program)?);
        process.offer(&theirs)?;
        process.port(ours)
    }

    /// The launcher's process, if it is alive: every child is below it.
    pub fn pid(&self) -> Option<Pid> {
        let process = lock(&self.process);
        process.as_ref().map(|process| Pid::from_child(&process.child))
    }

    /// Stops the process groups of all children (SIGSTOP), including those that are still being started, until
    /// [`Self::resume`].
    pub fn pause(&self) {
        self.tell(Control::Pause);
    }

    /// Continues the process groups of all children (SIGCONT).
    pub fn resume(&self) {
        self.tell(Control::Resume);
    }

    /// Sends a control message. A launcher that has died has no children, so nothing is lost.
    fn tell(&self, message: Control) {
        let process = lock(&self.process);
        if let Some(process) = &*process {
            let _ = socket::send_patiently(&process.control, &message.encode(), &[]);
        }
    }

    /// If the launcher has died, kills what is left of its children, as [`Self::port`] does.
    pub fn clean_up(&self) {
        let mut current = lock(&self.process);
        if let Some(dead) = current.take_if(Process::is_dead) {
            dead.end();
        }
    }

    /// Ends the launcher and with it every process that is left of its children, and waits until they have ended.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(process) = process.take() {
            process.end();
        }
    }
}

/// Resumes the launcher whenever it is stopped, until it ends: a task may stop its parent, and nothing would run or end any
/// more then. The launcher is never stopped in a pause.
fn keep_going(launcher: &Child) {
    let Ok(launcher) = pidfd_open(Pid::from_child(launcher), PidfdFlags::empty()) else { return };
    let ended = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    let watch = move || loop {
        match waitid(WaitId::PidFd(launcher.as_fd()), ended) {
            Ok(Some(status)) if status.stopped() => {
                let _ = pidfd_send_signal(&launcher, Signal::CONT);
            }
            Err(Errno::INTR) => {}
            _ => return,
        }
    };
    let thread = thread::Builder::new().name("launcher-watch".into());
    let _ = thread.spawn(watch); // without it, all works but that
}

impl Process {
    fn start(program: fn() -> Command) -> io::Result<Self> {
        let (control, theirs) = socket::pair()?;
        let child = program().stdin(theirs).stdout(Stdio::null()).spawn()?;
        keep_going(&child);
        let process = Self { child, control, is_suspect: Arc::default() };
        let limit = ORIGINAL_OPEN_FILES.load(Ordering::Relaxed);
        socket::send(&process.control, &limit.to_ne_bytes(), &[])?;
        Ok(process)
    }

    fn offer(&self, port: &OwnedFd) -> io::Result<()> {
        socket::send_patiently(&self.control, &Control::Port.encode(), &[port.as_fd()])
    }

    fn port(&self, socket: OwnedFd) -> io::Result<Port> {
        Port::new(socket, Arc::clone(&self.is_suspect))
    }

    /// Whether it has ended, or is about to.
    fn is_dead(&mut self) -> bool {
        let patience =
            if self.is_suspect.swap(false, Ordering::Relaxed) { END_GRACE } else { Duration::ZERO };
        let start = Instant::now();
        loop {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            if start.elapsed() >= patience {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn end(self) {
        let Self { mut child, control, .. } = self;
        drop(control);
        if !child.wait().is_ok_and(|status| status.success()) {
            // It was killed before it could do that itself.
            tree::kill_descendants();
        }
    }
}
