//! The runner's ends of a worker's pipes: what comes in is gathered, what goes out is written as far as it goes.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Blocks of answers and long requests should not stop half-way. The system may refuse, since it limits what one user
/// has in pipes; then they do.
const PIPE_BYTES: usize = 256 << 10;
const READ_BYTES: usize = 64 << 10;

/// What comes from a worker.
#[derive(Debug)]
pub(super) struct Incoming {
    /// `None` once it has ended.
    pipe: Option<pipe::Receiver>,
    /// What has been received and not been taken out.
    pub bytes: Vec<u8>,
}

impl Incoming {
    /// A pipe that a worker writes to: our end, and the worker's. To be called on a runtime.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = large_pipe()?;
        let pipe = Some(pipe::Receiver::from_owned_fd(ours)?);
        Ok((Self { pipe, bytes: Vec::new() }, theirs))
    }

    /// Whether nothing comes any more.
    pub fn has_ended(&self) -> bool {
        self.pipe.is_none()
    }

    /// Reads some more. False, and never again ready: there is no more. Loses nothing if it is dropped before it is
    /// ready.
    pub async fn receive(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return std::future::pending().await };
        self.bytes.reserve(READ_BYTES);
        let more = matches!(pipe.read_buf(&mut self.bytes).await, Ok(count) if count > 0);
        if !more {
            self.pipe = None;
        }
        more
    }

    /// Reads what a dead worker has left in its pipe; what others hold open is not waited for.
    pub fn receive_rest(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        self.bytes.reserve(READ_BYTES);
        while pipe.try_read_buf(&mut self.bytes).is_ok_and(|count| count > 0) {
            self.bytes.reserve(READ_BYTES);
        }
    }
}

/// The way to a worker.
#[derive(Debug)]
pub(super) struct Outgoing(pipe::Sender);

impl Outgoing {
    /// A pipe that a worker reads from: our end, and the worker's. To be called on a runtime.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (theirs, ours) = large_pipe()?;
        Ok((Self(pipe::Sender::from_owned_fd(ours)?), theirs))
    }

    /// Ready when it may take more.
    pub async fn writable(&self) {
        let _ = self.0.writable().await; // what fails then, the next write finds out
    }

    /// Writes of `bytes` what is behind `sent`, as much as the pipe takes; returns how far that is. That the worker does
    /// not read any more shows by its end: then nothing is left to write.
    pub fn write(&self, bytes: &[u8], mut sent: usize) -> usize {
        while sent < bytes.len() {
            match self.0.try_write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => sent = bytes.len(),
            }
        }
        sent
    }
}

/// A pipe, its reading end first.
fn large_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reads, writes) = pipe_with(PipeFlags::CLOEXEC)?;
    let _ = fcntl_setpipe_size(&writes, PIPE_BYTES);
    Ok((reads, writes))
}
