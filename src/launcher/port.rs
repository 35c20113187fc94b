//! A slot's connection to the launcher: a start, a signal, one answer per start.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::process::Pid;
use tokio::io::unix::AsyncFd;

use crate::base::lock;
use crate::launcher::message::{
    ANSWER_BYTES, Answer, Ends, MAX_DESCRIPTORS, MAX_INLINE, StartRequest,
};
use crate::launcher::{Strings, message, socket};
use crate::sys;
use crate::sys::{CpuTime, Step};
use crate::task::Moment;

/// A program to start.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The absolute path of the program.
    pub program: &'a CStr,
    /// Its arguments, the first being its own name.
    pub argv: &'a Strings,
    /// Variables to set in addition to the runner's own, `NAME=value` each, with unique names.
    pub set: &'a Strings,
    /// Names of the runner's variables to remove.
    pub unset: &'a Strings,
    /// Its working folder; `None` for the runner's.
    pub cwd: Option<&'a CStr>,
    /// Standard input; `None` for the null device.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Standard output; `None` for the null device.
    pub stdout: Option<BorrowedFd<'a>>,
    /// Standard error; `None` for the null device.
    pub stderr: Option<BorrowedFd<'a>>,
    /// Becomes its descriptor 3.
    pub extra: Option<BorrowedFd<'a>>,
}

/// How a start ended.
#[derive(Debug)]
pub struct Ended {
    /// How the child ended.
    pub exit: Exit,
    /// When the launcher started it.
    pub started: Moment,
    /// When the launcher noticed its end.
    pub ended: Moment,
    /// Processor time of the child and of the children that it waited for.
    pub cpu: CpuTime,
    /// Peak resident memory of the largest of them, in bytes.
    pub peak_rss: u64,
    /// Something of its group could not be ended: it runs as another user.
    pub left_behind: bool,
}

/// How a child ended.
#[derive(Debug)]
pub enum Exit {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It was stopped by this signal and stayed so; it was ended then.
    Stopped(i32),
    /// It never ran: what failed, and why.
    NotStarted(Step, io::Error),
}

/// A slot's connection to the launcher: one child at a time. When it is dropped, the running child is killed.
#[derive(Debug)]
pub struct Port {
    socket: AsyncFd<OwnedFd>,
    /// Set when the launcher seems to have died, for its owner.
    is_suspect: Arc<AtomicBool>,
    is_running: AtomicBool,
    /// The running child could not be sent a signal.
    is_denied: AtomicBool,
    /// The answer, if it came when something else was asked for.
    ended: Mutex<Option<Ended>>,
    /// A buffer that is reused from start to start.
    message: Vec<u8>,
}

impl Port {
    pub(super) fn new(socket: OwnedFd, is_suspect: Arc<AtomicBool>) -> io::Result<Self> {
        let socket = sys::watch(socket)?;
        Ok(Self {
            socket,
            is_suspect,
            is_running: AtomicBool::new(false),
            is_denied: AtomicBool::new(false),
            ended: Mutex::default(),
            message: Vec::new(),
        })
    }

    /// Starts a child; [`Port::ended`] returns its end, or that it could not be started.
    ///
    /// # Errors
    /// If the launcher has died. `ETOOMANYREFS` (or `EAGAIN`) if too much is queued for it: try again a little later.
    pub fn start(&mut self, start: &Start<'_>) -> io::Result<()> {
        assert!(!self.is_running.load(Ordering::Relaxed), "one child at a time");
        let present = [start.stdin, start.stdout, start.stderr, start.extra];
        let ends = Ends::new(present.map(|end| end.is_some()));
        let strings = [start.argv, start.set, start.unset];
        StartRequest::encode(&mut self.message, ends, [Some(start.program), start.cwd], strings);
        let mut descriptors = [self.socket.get_ref().as_fd(); MAX_DESCRIPTORS];
        let mut count = 0;
        for end in present.into_iter().flatten() {
            descriptors[count] = end;
            count += 1;
        }
        if self.message.len() <= MAX_INLINE {
            self.send(&self.message, &descriptors[..count])?;
        } else {
            let mut memory = File::from(memfd_create("start", MemfdFlags::CLOEXEC)?);
            memory.write_all(&self.message)?;
            self.message = Vec::new(); // it is rarely that large, and then allocating it again does not matter
            descriptors[count] = memory.as_fd();
            self.send(&message::start_in_memory(), &descriptors[..=count])?;
        }
        self.is_running.store(true, Ordering::Relaxed);
        self.is_denied.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Takes a process for its child that a child of the launcher's has left behind; [`Port::ended`] tells of its end, or
    /// that it is not there.
    ///
    /// # Errors
    /// If the launcher has died.
    pub fn adopt(&mut self, pid: i32) -> io::Result<()> {
        assert!(!self.is_running.load(Ordering::Relaxed), "one child at a time");
        self.send(&message::adopt(pid), &[])?;
        self.is_running.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Waits for the end of the child that was started last. Loses nothing if it is dropped before it is ready.
    ///
    /// # Errors
    /// If the launcher has died, and the child with it.
    pub async fn ended(&self) -> io::Result<Ended> {
        loop {
            if let Some(ended) = self.kept().take() {
                self.is_running.store(false, Ordering::Relaxed);
                return Ok(ended);
            }
            self.hear().await?;
        }
    }

    /// When the launcher started the running child; `None` if it has ended by now. A start may have to wait in a queue,
    /// which is not part of the child's time.
    ///
    /// # Errors
    /// If the launcher has died.
    pub async fn started(&self) -> io::Result<Option<Moment>> {
        Ok(self.running().await?.map(|(since, _)| since))
    }

    /// The process of the child that runs; `None` if it has ended by now.
    ///
    /// # Errors
    /// If the launcher has died.
    pub async fn pid(&self) -> io::Result<Option<Pid>> {
        Ok(self.running().await?.and_then(|(_, pid)| Pid::from_raw(pid)))
    }

    async fn running(&self) -> io::Result<Option<(Moment, i32)>> {
        self.send(&message::when(), &[])?;
        let running = self.hear().await?;
        Ok(running.filter(|_| self.kept().is_none()))
    }

    /// Sends a signal to the group of the running child, unless it has ended. If the signal ends it, what is left of
    /// its group at its end is killed.
    ///
    /// # Errors
    /// If the launcher has died.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        self.send(&message::signal(signal), &[])
    }

    /// Sends TERM to the group of the running child, unless it has ended, and gives all of it time up to KILL: if the
    /// child ends before another process of its group, [`Port::ended`] is the end of the last one.
    ///
    /// # Errors
    /// If the launcher has died.
    pub fn terminate(&self) -> io::Result<()> {
        self.send(&message::terminate(), &[])
    }

    /// Whether a signal could not be sent, since the running child is another user's (set-user-ID).
    pub fn is_denied(&self) -> bool {
        self.is_denied.load(Ordering::Relaxed)
    }

    /// When the running child ends, however it does, what is left of its group is killed.
    ///
    /// # Errors
    /// If the launcher has died.
    pub fn own_group(&self) -> io::Result<()> {
        self.send(&message::own_group(), &[])
    }

    fn send(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let sent = socket::send(self.socket.get_ref(), message, descriptors);
        sent.map_err(|error| if is_gone(&error) { self.gone() } else { error })
    }

    fn kept(&self) -> MutexGuard<'_, Option<Ended>> {
        lock(&self.ended)
    }

    fn gone(&self) -> io::Error {
        self.is_suspect.store(true, Ordering::Relaxed);
        io::Error::new(io::ErrorKind::BrokenPipe, "the launcher of commands has died")
    }

    /// Hears one answer: keeps a child's end, returns since when one runs, and as which process.
    async fn hear(&self) -> io::Result<Option<(Moment, i32)>> {
        let mut bytes = [0; ANSWER_BYTES];
        loop {
            let mut ready = self.socket.readable().await?;
            match recv(self.socket.get_ref(), &mut bytes, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Err(self.gone()),
                Ok((_, length)) => match Answer::decode(&bytes[..length])? {
                    Answer::Running(since, pid) => return Ok(Some((since, pid))),
                    Answer::Denied => self.is_denied.store(true, Ordering::Relaxed),
                    answer => {
                        // Nothing follows an end, which saves the call that would find nothing.
                        ready.clear_ready();
                        *self.kept() = Ended::of(answer);
                        return Ok(None);
                    }
                },
                Err(Errno::AGAIN) => ready.clear_ready(),
                // It was killed without reading all; that is said once, and its last answers are still there.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Ended {
    /// `None` if the answer is not an end.
    fn of(answer: Answer) -> Option<Self> {
        match answer {
            Answer::Running(..) | Answer::Denied => None,
            Answer::Ended { started, ended, reaped, fate } => {
                let status = ExitStatus::from_raw(reaped.status);
                let exit = match (fate.stopped, status.code()) {
                    (Some(signal), _) => Exit::Stopped(signal),
                    (None, Some(code)) => Exit::Code(code),
                    (None, None) => Exit::Signal(status.signal().unwrap_or(0)),
                };
                let (cpu, peak_rss, left_behind) = (reaped.cpu, reaped.peak_rss, fate.left_behind);
                Some(Self { exit, started, ended, cpu, peak_rss, left_behind })
            }
            Answer::NotStarted { at, step, errno } => {
                let exit = Exit::NotStarted(step, io::Error::from_raw_os_error(errno));
                Some(Self {
                    exit,
                    started: at,
                    ended: at,
                    cpu: CpuTime::default(),
                    peak_rss: 0,
                    left_behind: false,
                })
            }
        }
    }
}

/// Whether the other end of a socket is closed.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
