//! The runner's ends of a worker's pipes: incoming bytes are collected, outgoing ones are written as far as the pipe
//! takes them.

use std::io;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::io::{ioctl_fionread, read, retry_on_intr};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Large enough that blocks of answers and long requests do not stop half-way. The system may refuse, since it limits
/// the pipe memory of a user; then they do.
const PIPE_BYTES: usize = 256 << 10;
const READ_BYTES: usize = 64 << 10;

/// The pipe from a worker.
#[derive(Debug)]
pub(super) struct Incoming {
    /// `None` once it has ended.
    pipe: Option<pipe::Receiver>,
    /// What has been received and not yet taken out.
    pub bytes: Vec<u8>,
}

impl Incoming {
    /// A pipe that a worker writes to: the runner's end, and the worker's. To be called on a runtime.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = large_pipe()?;
        let pipe = Some(pipe::Receiver::from_owned_fd(ours)?);
        Ok((Self { pipe, bytes: Vec::new() }, theirs))
    }

    /// Whether the worker has closed its end.
    pub fn has_ended(&self) -> bool {
        self.pipe.is_none()
    }

    /// Reads more. Returns false if there is no more, after which it is never ready again. Cancel-safe.
    pub async fn receive(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return std::future::pending().await };
        self.bytes.reserve(READ_BYTES);
        let more = matches!(pipe.read_buf(&mut self.bytes).await, Ok(count) if count > 0);
        if !more {
            self.pipe = None;
        }
        more
    }

    /// Reads what a dead worker has left in its pipe, without waiting for other processes that hold it open.
    pub fn receive_rest(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        self.bytes.reserve(READ_BYTES);
        // Asked of the system itself: the loop may not know yet of the last bytes.
        while let Ok(1..) = retry_on_intr(|| read(&pipe, spare_capacity(&mut self.bytes))) {
            self.bytes.reserve(READ_BYTES);
        }
    }
}

/// The pipe to a worker.
#[derive(Debug)]
pub(super) struct Outgoing {
    pipe: pipe::Sender,
    /// What could not be written any more, in bytes.
    refused: u64,
}

impl Outgoing {
    /// A pipe that a worker reads from: the runner's end, and the worker's. To be called on a runtime.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (theirs, ours) = large_pipe()?;
        Ok((Self { pipe: pipe::Sender::from_owned_fd(ours)?, refused: 0 }, theirs))
    }

    /// Ready when it may take more.
    pub async fn writable(&self) {
        let _ = self.pipe.writable().await; // an error shows at the next write
    }

    /// Writes `bytes` from `sent` on, as much as the pipe takes; returns up to where. If the worker does not read any
    /// more, which its end shows, nothing is left to write.
    pub fn write(&mut self, bytes: &[u8], mut sent: usize) -> usize {
        while sent < bytes.len() {
            match self.pipe.try_write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.refused += (bytes.len() - sent) as u64;
                    sent = bytes.len();
                }
            }
        }
        sent
    }

    /// How many of the bytes that were written the worker has not read.
    pub fn unread(&self) -> u64 {
        self.refused + ioctl_fionread(&self.pipe).unwrap_or(0)
    }
}

/// A pipe: its reading end, then its writing end.
fn large_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reads, writes) = pipe_with(PipeFlags::CLOEXEC)?;
    let _ = fcntl_setpipe_size(&writes, PIPE_BYTES);
    Ok((reads, writes))
}
