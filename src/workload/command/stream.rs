//! One stream of a child, standard output or error: read as it comes, kept up to a limit, counted beyond.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, read};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::unix::AsyncFd;

use super::Keep;
use crate::base::ByteSize;
use crate::sys;
use crate::task::payload::Collector;
use crate::task::{NoPayload, Payload};

/// As much as a pipe holds.
const BLOCK: usize = 64 << 10;

/// Blocks that are read at once before others have their turn.
const BLOCKS_AT_ONCE: usize = 16;

/// The end of a stream that says what went wrong, in bytes.
const TAIL: usize = 4 << 10;

thread_local! {
    /// Where streams are read into: one block per loop, since a slot may be one of ten thousand.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; BLOCK]);
}

/// A stream, from child to child.
#[derive(Debug)]
pub struct Stream {
    pipe: Pipe,
    kept: Kept,
}

/// The end that is read.
#[derive(Debug)]
enum Pipe {
    /// Not captured, or at its end.
    Closed,
    /// Open, and watched by nobody: most children end before there would be a point in it.
    Idle(OwnedFd),
    /// Watched by the loop.
    Watched(AsyncFd<OwnedFd>),
}

/// What stopped the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The end of the stream.
    Ended,
    /// There is nothing more for now.
    Empty,
    /// There may be more, but others are to have their turn.
    Paused,
}

/// What has been read.
#[derive(Debug)]
pub struct Kept {
    bytes: Vec<u8>,
    total: u64,
    policy: Policy,
    whole: Option<io::Result<File>>,
    /// For the next stage, if there is one.
    payload: Option<Collector>,
}

/// Which part is kept.
#[derive(Clone, Copy, Debug)]
enum Policy {
    /// The first bytes, and with `Keep::Everything` all of them in a file, if there are more.
    Head(usize, Keep),
    /// The last [`TAIL`] bytes, or up to twice as many.
    Tail,
}

impl Stream {
    /// Keeps the first `capture` bytes.
    pub fn head(capture: usize, keep: Keep) -> Self {
        Self::new(Policy::Head(capture, keep))
    }

    /// The same, and all bytes are collected for the next stage, if there is one, which takes up to `max_payload`.
    pub fn collecting(mut self, max_payload: Option<ByteSize>) -> Self {
        self.kept.payload = max_payload.map(Collector::new);
        self
    }

    /// What was collected for the next stage, if there is one.
    pub fn take_payload(&mut self) -> Option<Result<Payload, NoPayload>> {
        self.kept.payload.as_mut().map(Collector::finish)
    }

    /// Keeps the last bytes.
    pub fn tail() -> Self {
        Self::new(Policy::Tail)
    }

    fn new(policy: Policy) -> Self {
        Self {
            pipe: Pipe::Closed,
            kept: Kept { bytes: Vec::new(), total: 0, policy, whole: None, payload: None },
        }
    }

    /// Forgets what was read, and opens a new pipe; returns the end that the child writes to.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn open(&mut self) -> io::Result<OwnedFd> {
        self.clear();
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        // Ours alone: a program does not expect its standard output not to block.
        fcntl_setfl(&ours, OFlags::NONBLOCK)?;
        self.pipe = Pipe::Idle(ours);
        Ok(theirs)
    }

    /// Forgets what was read, and what there is to read.
    pub fn clear(&mut self) {
        self.pipe = Pipe::Closed;
        self.kept.bytes.clear();
        self.kept.total = 0;
        self.kept.whole = None;
        self.kept.payload.as_mut().map(Collector::clear);
    }

    /// Stops reading.
    pub fn close(&mut self) {
        self.pipe = Pipe::Closed;
    }

    /// Whether there may be more to read.
    pub fn is_open(&self) -> bool {
        !matches!(self.pipe, Pipe::Closed)
    }

    /// What has been read.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The file of all bytes, from its start, if they were to be kept and are more than [`Kept::bytes`]; or why it could
    /// not be written.
    pub fn take_whole(&mut self) -> Option<io::Result<File>> {
        let rewound = |mut file: File| file.rewind().map(|()| file);
        self.kept.whole.take().map(|whole| whole.and_then(rewound))
    }

    /// Reads what is there.
    pub fn read(&mut self) -> Progress {
        let progress = match &self.pipe {
            Pipe::Closed => Progress::Ended,
            Pipe::Idle(pipe) => self.kept.read(pipe),
            Pipe::Watched(pipe) => self.kept.read(pipe.get_ref()),
        };
        if progress == Progress::Ended {
            self.pipe = Pipe::Closed;
        }
        progress
    }

    /// Waits until there is something and reads it; never ready once the stream has ended. Loses nothing if it is
    /// dropped before it is ready.
    pub async fn fill(&mut self) {
        if let Pipe::Idle(_) = self.pipe {
            self.watch();
        }
        let Pipe::Watched(pipe) = &self.pipe else { return std::future::pending().await };
        let progress = match pipe.readable().await {
            Ok(mut ready) => {
                let progress = self.kept.read(pipe.get_ref());
                if progress == Progress::Empty {
                    ready.clear_ready();
                }
                progress
            }
            Err(_) => Progress::Ended, // the runtime is shutting down
        };
        if progress == Progress::Ended {
            self.pipe = Pipe::Closed;
        }
    }

    fn watch(&mut self) {
        if let Pipe::Idle(pipe) = std::mem::replace(&mut self.pipe, Pipe::Closed) {
            // Only memory or descriptors can be lacking; the rest of the output is lost then, but not the task.
            self.pipe = sys::watch(pipe).map_or(Pipe::Closed, Pipe::Watched);
        }
    }
}

impl Kept {
    /// The bytes that were kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    fn read(&mut self, pipe: impl AsFd) -> Progress {
        SCRATCH.with_borrow_mut(|scratch| {
            for _ in 0..BLOCKS_AT_ONCE {
                match read(&pipe, &mut scratch[..]) {
                    Ok(0) => return Progress::Ended,
                    Ok(count) => self.add(&scratch[..count]),
                    Err(Errno::AGAIN) => return Progress::Empty,
                    Err(Errno::INTR) => {}
                    Err(_) => return Progress::Ended,
                }
            }
            Progress::Paused
        })
    }

    fn add(&mut self, block: &[u8]) {
        self.total += block.len() as u64;
        if let Some(payload) = &mut self.payload {
            payload.add(block);
        }
        match self.policy {
            Policy::Tail => {
                self.bytes.extend_from_slice(&block[block.len().saturating_sub(TAIL)..]);
                if self.bytes.len() > 2 * TAIL {
                    self.bytes.drain(..self.bytes.len() - TAIL);
                }
            }
            Policy::Head(limit, keep) => {
                let room = limit - self.bytes.len();
                if keep == Keep::Everything && block.len() > room {
                    self.spill(block);
                }
                self.bytes.extend_from_slice(&block[..block.len().min(room)]);
            }
        }
    }

    /// Adds a block to the file of all bytes, which is begun with those that were kept so far.
    fn spill(&mut self, block: &[u8]) {
        let begin = || {
            let mut file = tempfile::tempfile()?;
            file.write_all(&self.bytes)?;
            Ok(file)
        };
        let whole = self.whole.get_or_insert_with(begin);
        if let Ok(file) = whole
            && let Err(error) = file.write_all(block)
        {
            *whole = Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn fed(mut stream: Stream, blocks: &[&[u8]]) -> Stream {
        for block in blocks {
            stream.kept.add(block);
        }
        stream
    }

    #[test]
    fn the_head_is_kept_and_the_rest_is_counted() {
        let mut stream = fed(Stream::head(5, Keep::Capture), &[b"abc", b"defg", b"h"]);
        assert_eq!((stream.kept().bytes(), stream.kept().total()), (&b"abcde"[..], 8));
        assert!(stream.take_whole().is_none());
    }

    #[test]
    fn everything_is_kept_in_a_file_once_it_is_too_much() {
        let mut stream = fed(Stream::head(5, Keep::Everything), &[b"abc", b"defg", b"h"]);
        assert_eq!(stream.kept().bytes(), b"abcde");
        let mut text = String::new();
        stream.take_whole().unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcdefgh");
        let mut stream = fed(Stream::head(5, Keep::Everything), &[b"abcde"]);
        assert!(stream.take_whole().is_none());
    }

    #[test]
    fn the_tail_is_kept() {
        let block = [b'x'; TAIL];
        let stream = fed(Stream::tail(), &[&block, &block, &block, b"end"]);
        let kept = stream.kept();
        assert!(kept.bytes().ends_with(b"xend") && (TAIL..=2 * TAIL).contains(&kept.bytes().len()));
        assert_eq!(kept.total(), 3 * TAIL as u64 + 3);
    }

    #[test]
    fn a_pipe_is_read_until_its_end() {
        let mut stream = Stream::head(100, Keep::Capture);
        let pipe = stream.open().unwrap();
        assert_eq!(stream.read(), Progress::Empty);
        rustix::io::write(&pipe, b"text").unwrap();
        assert_eq!(stream.read(), Progress::Empty);
        drop(pipe);
        assert_eq!(stream.read(), Progress::Ended);
        assert!(!stream.is_open() && stream.kept().bytes() == b"text");
    }
}
