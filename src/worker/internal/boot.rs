//! How an interpreter comes up: the program that it gets, the first packets, and what it answers.
//!
//! Everything goes through descriptor 0, a socket: whoever stands between the runner and Python (`uv run`, `conda run`)
//! passes that on, and closes others.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};
use serde::de::DeserializeOwned;
use tokio::io::unix::AsyncFd;

use crate::launcher::socket::patiently;
use crate::launcher::{Launcher, socket};
use crate::sys;
use crate::worker::internal::child::{Child, Program, WorkerEnds};
use crate::worker::internal::process::SessionEnds;
use crate::workload::python::{Mode, Spec};

/// The first part is run; it makes the others available.
const PARTS: [(&str, &str); 11] = [
    ("", include_str!("../worker_boot.py")),
    ("main", include_str!("../worker.py")),
    ("values", include_str!("../worker_values.py")),
    ("errors", include_str!("../worker_errors.py")),
    ("find", include_str!("../worker_find.py")),
    ("cpu", include_str!("../worker_cpu.py")),
    ("loop", include_str!("../worker_loop.py")),
    ("threads", include_str!("../worker_threads.py")),
    ("fork", include_str!("../worker_fork.py")),
    ("leave", include_str!("../worker_leave.py")),
    ("keep", include_str!("../worker_keep.py")),
];

/// Reads the parts from descriptor 0 and runs the first, outside the module that the user's own code may look into. A
/// file beside the job that is called `json.py` must not be what that imports.
const BOOT: &str = "import os, sys\n\
    if sys.path and sys.path[0] == '': del sys.path[0]\n\
    try: parts = os.read(0, 1 << 20).decode().split('\\f')\n\
    except OSError: parts = ['']\n\
    if parts == ['']: sys.exit('standard input is not the runner: what stands before Python does not pass it on')\n\
    exec(compile(parts[0], 'runner-worker.py', 'exec'), \
    {'__name__': 'runner_worker', '__file__': 'runner-worker.py', 'PARTS': parts})";

/// Interpreters that end this often in a row before they are ready will not do better.
pub(super) const MAX_UNREADY: u32 = 3;

/// The longest packet that an interpreter sends.
const PACKET_BYTES: usize = 64 << 10;

/// The packet that brings a session.
pub(super) const SESSION: &[u8] = b"session";

/// An interpreter that can be started.
#[derive(Debug)]
pub struct Boot {
    /// What is run.
    program: Program,
    /// What stands in messages for it.
    name: String,
    /// The packet that says what it is there for.
    greeting: Vec<u8>,
    /// The packet that says so where it is forked.
    pub particulars: Vec<u8>,
    /// How long it may take to be ready.
    ready_timeout: Duration,
    /// Where user code prints.
    log: PathBuf,
}

impl Boot {
    /// An interpreter for `spec` that works under `mode`, beside others in `slots` slots, and prints into `log`; `slot` is
    /// the one that has it, if only one has.
    ///
    /// # Errors
    /// If there is no such interpreter, or it cannot be given what it needs.
    pub fn new(
        spec: &Spec,
        mode: Mode,
        slots: usize,
        slot: Option<usize>,
        log: &Path,
    ) -> io::Result<Self> {
        let (program, arguments) = spec.executable()?;
        let mut argv = vec![program.as_os_str().as_encoded_bytes()];
        argv.extend(arguments);
        argv.extend([&b"-c"[..], BOOT.as_bytes()]);
        let environment = spec.environment(mode, slots);
        Ok(Self {
            program: Program::new(program, &argv, &environment, &spec.folder)?,
            name: spec.interpreter().to_owned(),
            greeting: spec.greeting(mode, slot, log),
            particulars: spec.particulars(mode, slot),
            ready_timeout: spec.ready_timeout(),
            log: log.to_owned(),
        })
    }

    /// Starts it, and says what it is there for.
    ///
    /// # Errors
    /// If it cannot be given what it needs.
    pub async fn start(&self, launcher: &Launcher) -> io::Result<(Child, Control)> {
        let (control, theirs) = socket::pair()?;
        let ends = WorkerEnds { stdin: theirs, stdout: None, extra: None };
        let child = Child::start(launcher, &self.program, ends).await?;
        child.own_group();
        let control = Control::new(control)?;
        control.send(&program(), &[]).await?;
        control.send(&self.greeting, &[]).await?;
        Ok((child, control))
    }

    /// Waits for its answer to the greeting.
    ///
    /// # Errors
    /// Of the kind `InvalidInput` if it takes too long; else how it has ended instead.
    pub async fn ready<T: DeserializeOwned>(
        &self,
        child: &Child,
        control: &Control,
    ) -> io::Result<T> {
        let answer = async {
            tokio::select! {
                biased;
                answer = control.next() => match answer? {
                    Some(answer) => Ok(answer),
                    None => Err(too_early(child).await),
                },
                error = too_early(child) => Err(error),
            }
        };
        tokio::time::timeout(self.ready_timeout, answer).await.unwrap_or_else(|_| {
            let limit = humantime::format_duration(self.ready_timeout);
            Err(unfit(format!(
                "`{}` was not ready within {limit}: `ready_timeout` sets how long importing may take",
                self.name
            )))
        })
    }

    /// Notes something where user code prints.
    pub fn log(&self, words: &str) {
        let file = OpenOptions::new().append(true).create(true).open(&self.log);
        // Without a log there is nobody to tell.
        let _ = file.and_then(|mut log| writeln!(log, "runner: {words}"));
    }
}

/// The parts in one packet.
fn program() -> Vec<u8> {
    let mut program = String::new();
    for (name, source) in PARTS {
        if name.is_empty() {
            program.push_str(source);
        } else {
            program.extend(["\u{c}", name, "\n", source]);
        }
    }
    program.into_bytes()
}

async fn too_early(child: &Child) -> io::Error {
    let (how, _) = child.ended().await;
    let ending = child.describe_end(how);
    io::Error::other(format!("Python ended before it was ready: {ending}"))
}

/// The job's own code cannot do its tasks: something for its author.
pub fn unfit(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, words)
}

/// The runner's end of a control socket.
#[derive(Debug)]
pub struct Control(AsyncFd<OwnedFd>);

impl Control {
    /// To be called on a runtime.
    ///
    /// # Errors
    /// If the system does not watch it.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        sys::watch(socket).map(Self)
    }

    /// Gives up watching it.
    pub fn into_inner(self) -> OwnedFd {
        self.0.into_inner()
    }

    /// The socket itself.
    pub fn socket(&self) -> &OwnedFd {
        self.0.get_ref()
    }

    /// Sends a packet with these descriptors. That the other end has gone is not an error: its end tells why.
    ///
    /// # Errors
    /// If the system does not take it.
    pub async fn send(&self, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        match patiently(|| socket::send(self.socket(), packet, descriptors)).await {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    /// Offers a session, with the worker's ends of it. It may be taken later.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn offer(&self, ends: &SessionEnds) -> io::Result<()> {
        self.send(SESSION, &ends.each_ref().map(AsFd::as_fd)).await
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        let _ = shutdown(self.socket(), Shutdown::Write); // it may have gone
    }

    /// What is left to be read from one who has ended.
    pub fn rest<T: DeserializeOwned>(&self) -> Vec<T> {
        let (mut packet, mut descriptors) = (vec![0; PACKET_BYTES], Vec::new());
        let mut rest = Vec::new();
        while let Ok(Some(length)) = socket::receive(self.socket(), &mut packet, &mut descriptors) {
            rest.extend(serde_json::from_slice::<T>(&packet[..length]));
        }
        rest
    }

    /// The next packet. `None`: the other end has gone.
    ///
    /// # Errors
    /// If it is not what was expected.
    pub async fn next<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        let mut packet = vec![0; PACKET_BYTES];
        let mut descriptors = Vec::new();
        loop {
            let mut ready = self.0.readable().await?;
            match socket::receive(self.socket(), &mut packet, &mut descriptors) {
                Ok(Some(length)) => {
                    let said = serde_json::from_slice(&packet[..length]);
                    return said.map(Some).map_err(|_| {
                        let said = String::from_utf8_lossy(&packet[..length.min(200)]);
                        io::Error::other(format!("Python said `{said}` instead of being ready"))
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}
