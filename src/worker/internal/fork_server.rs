//! The fork server: one warm interpreter, before user code, from which the others of a stage are forked. An interpreter
//! takes 20 ms of processor time to start, a fork 1 ms, and what was loaded before is shared.
//!
//! It has one control socket; a packet there with two descriptors asks for an interpreter: its control socket, on which
//! what it has to know and its first session wait already, and its standard error. The new process says its pid on the
//! former, the launcher adopts it, and from then on it is like any other. The server is shared by all loops of a stage, and
//! owned by none: it is killed when this is dropped.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, memfd_create};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::launcher::socket::patiently;
use crate::launcher::{Launcher, Port, socket};
use crate::task::Moment;
use crate::worker::internal::boot::{Boot, Control, MAX_UNREADY, unfit};
use crate::worker::internal::child::Child;
use crate::worker::internal::process::SessionEnds;

/// Where the interpreters of a stage are forked.
#[derive(Debug)]
pub struct ForkServer {
    launcher: Arc<Launcher>,
    boot: Boot,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// It has not been needed yet, or has died.
    Idle,
    Ready(Server),
    /// It cannot fork: interpreters are started one by one.
    Unable,
}

/// A server that runs.
#[derive(Debug)]
struct Server {
    control: OwnedFd,
    _port: Port,
    _stderr: File,
}

/// What it says when it has been greeted.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Said {
    Ready {
        #[serde(rename = "server")]
        _pid: i32,
    },
    Unable {
        #[serde(rename = "unable")]
        why: String,
    },
    Unfit {
        unfit: String,
    },
}

/// What it says of itself.
#[derive(Debug, Deserialize)]
struct SaidPid {
    forked: i32,
}

/// An interpreter that comes up.
#[derive(Debug)]
pub struct Started {
    pub child: Child,
    pub control: Control,
    /// When it was asked for.
    pub asked: Moment,
}

impl ForkServer {
    /// A server that is started when the first interpreter is asked for.
    pub fn new(launcher: Arc<Launcher>, boot: Boot) -> Self {
        Self { launcher, boot, state: Mutex::new(State::Idle) }
    }

    /// A new interpreter, which is told these particulars, and gets this session. `None`: there is no forking here.
    ///
    /// # Errors
    /// Of the kind `InvalidInput` if what is loaded before the fork does not work, with Python's words.
    pub async fn fork(
        &self,
        particulars: &[u8],
        session: &SessionEnds,
    ) -> io::Result<Option<Started>> {
        for _ in 0..MAX_UNREADY {
            // All that can be there before it is needed.
            let port = self.launcher.port()?;
            let stderr = memfd_create("worker-stderr", MemfdFlags::CLOEXEC)?;
            let (control, theirs) = socket::pair()?;
            let control = Control::new(control)?;
            control.send(particulars, &[]).await?;
            control.offer(session).await?;
            if !self.ask(&theirs, &stderr).await? {
                return Ok(None);
            }
            let asked = Moment::now();
            drop(theirs);
            // Should its end come instead, the server has died, or could not fork.
            let Some(SaidPid { forked }) = control.next().await? else { continue };
            let child = Child::adopt(port, forked, stderr.into())?;
            child.own_group();
            return Ok(Some(Started { child, control, asked }));
        }
        // Whatever it is: an interpreter that is started by itself may do better, or says what is wrong.
        *self.state.lock().await = State::Unable;
        Ok(None)
    }

    /// Asks for an interpreter with these ends. False: there is no forking here.
    async fn ask(&self, control: &OwnedFd, stderr: &OwnedFd) -> io::Result<bool> {
        let mut state = self.state.lock().await;
        for _ in 0..MAX_UNREADY {
            if matches!(*state, State::Idle) {
                *state = self.start().await?;
            }
            let State::Ready(server) = &*state else { return Ok(false) };
            let ends = [control.as_fd(), stderr.as_fd()];
            match patiently(|| socket::send(&server.control, b"fork", &ends)).await {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => *state = State::Idle,
                Err(error) => return Err(error),
            }
        }
        *state = State::Unable;
        Ok(false)
    }

    async fn start(&self) -> io::Result<State> {
        let mut last = None;
        for _ in 0..MAX_UNREADY {
            let (child, control) = self.boot.start(&self.launcher).await?;
            match self.boot.ready(&child, &control).await {
                Ok(Said::Ready { .. }) => {
                    let (port, stderr) = child.into_parts();
                    let control = control.into_inner();
                    return Ok(State::Ready(Server { control, _port: port, _stderr: stderr }));
                }
                Ok(Said::Unable { why }) => {
                    self.boot.log(&format!(
                        "interpreters are started one by one, since {why} cannot be forked"
                    ));
                    return Ok(State::Unable);
                }
                Ok(Said::Unfit { unfit: words }) => return Err(unfit(words)),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        let last = last.map(|error| error.to_string()).unwrap_or_default();
        Err(unfit(format!("{MAX_UNREADY} times in a row, {last}")))
    }
}
