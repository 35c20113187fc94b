//! One stream of a child, standard output or error: read as it comes, kept up to a limit, counted beyond.

mod kept;

use std::fs::File;
use std::io::{self, Seek, Write};
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::unix::AsyncFd;

pub use kept::{Kept, Spill};

use kept::{Live, SCRATCH};

use super::search::{Found, Search};
use crate::base::{ByteSize, mask};
use crate::sys;
use crate::task::live::LiveOutput;
use crate::task::payload::Collector;
use crate::task::{NoPayload, Payload, Values};
use crate::workload::draft::Draft;
use crate::workload::written::ContentHash;

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

impl Stream {
    /// Keeps the first `limit` bytes, and the last ones; if there are more, all of them as `spill` says.
    pub fn new(limit: usize, spill: Spill) -> Self {
        Self { pipe: Pipe::Closed, kept: Kept::new(limit, spill) }
    }

    /// The same, and all bytes are collected for the next stage, if there is one, which takes up to `max_payload`.
    pub fn collecting(mut self, max_payload: Option<ByteSize>) -> Self {
        self.kept.payload = max_payload.map(Collector::new);
        self
    }

    /// The same, and all bytes are searched for columns.
    pub fn searching(mut self, search: Option<Search>) -> Self {
        self.kept.search = search;
        self
    }

    /// The same, and all bytes are hashed if runs are `compared`.
    pub fn hashing(mut self, compared: bool) -> Self {
        self.kept.hash = compared.then(ContentHash::default);
        self
    }

    /// The hash of all bytes, if runs are compared.
    pub fn hash(&self) -> Option<u64> {
        self.kept.hash.as_ref().map(ContentHash::value)
    }

    /// From here on its lines go to `to` as they come.
    pub fn show(&mut self, to: &Arc<dyn LiveOutput>, values: &Values<'_>) {
        if self.is_open() {
            let live = Live { to: Arc::clone(to), tag: to.tag(values), rest: Vec::new() };
            self.kept.live = Some(live);
        }
    }

    /// Shows a last line without an end. Says whether lines were shown as they came.
    pub fn show_rest(&mut self) -> bool {
        let Some(mut live) = self.kept.live.take() else { return false };
        if !live.rest.is_empty() {
            live.put();
        }
        true
    }

    /// The values of the columns, at the end of the stream.
    pub fn find(&mut self) -> Found {
        let Kept { search, head, total, .. } = &mut self.kept;
        search.as_mut().map(|search| search.finish(head, *total)).unwrap_or_default()
    }

    /// Whether it is searched for columns.
    pub fn is_searched(&self) -> bool {
        self.kept.search.is_some()
    }

    /// Reads a file to its end, as if it had come through the pipe.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_file(&mut self, file: &File) -> io::Result<()> {
        self.clear();
        let spill = mem::take(&mut self.kept.spill); // it is in a file already
        let payload = self.kept.payload.take(); // what went to a file is not handed on
        let read = SCRATCH.with_borrow_mut(|scratch| {
            let mut at = 0;
            loop {
                match file.read_at(&mut scratch[..], at) {
                    Ok(0) => return Ok(()),
                    Ok(count) => {
                        at += count as u64;
                        self.kept.add(&scratch[..count]);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        });
        self.kept.spill = spill;
        self.kept.payload = payload;
        read
    }

    /// Writes all bytes, of which none has been spilled elsewhere, to a file that appears whole at `path`, without the
    /// secrets.
    ///
    /// # Errors
    /// If it cannot be written, now or while the bytes came.
    pub fn save(&mut self, path: &Path) -> io::Result<()> {
        let draft = match self.kept.whole.take() {
            None => {
                let draft = Draft::new(path)?;
                draft.file().write_all(&mask::apply(&self.kept.head))?;
                draft
            }
            Some(Ok(raw)) if mask::is_in_use() => {
                let draft = Draft::new(path)?;
                let mut from = raw.file();
                from.rewind()?;
                mask::copy(&mut from, &mut draft.file())?;
                self.kept.whole = Some(Ok(raw));
                draft
            }
            Some(Ok(draft)) => {
                self.kept.whole = Some(draft.file().try_clone().map(Draft::Nameless));
                draft
            }
            Some(Err(error)) => {
                let same = io::Error::new(error.kind(), error.to_string());
                self.kept.whole = Some(Err(same));
                return Err(error);
            }
        };
        draft.persist(path)
    }

    /// What was collected for the next stage, if there is one.
    pub fn take_payload(&mut self) -> Option<Result<Payload, NoPayload>> {
        self.kept.payload.as_mut().map(Collector::finish)
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
        self.kept.clear();
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

    /// The file of all bytes, from its start, if they were to be kept and are more than [`Kept::head`]; or why it could
    /// not be written.
    pub fn take_whole(&mut self) -> Option<io::Result<File>> {
        let rewound = |draft: Draft| {
            let mut file = draft.file().try_clone()?;
            file.rewind().map(|()| file)
        };
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
        if let Some(room) = self.kept.live.as_ref().and_then(|live| live.to.room()) {
            room.await; // a program that prints faster than somebody reads has to wait
        }
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
        if let Pipe::Idle(pipe) = mem::replace(&mut self.pipe, Pipe::Closed) {
            // Only memory or descriptors can be lacking; the rest of the output is lost then, but not the task.
            self.pipe = sys::watch(pipe).map_or(Pipe::Closed, Pipe::Watched);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::kept::TAIL;
    use super::*;

    fn fed(mut stream: Stream, blocks: &[&[u8]]) -> Stream {
        for block in blocks {
            stream.kept.add(block);
        }
        stream
    }

    #[test]
    fn the_head_is_kept_and_the_rest_is_counted() {
        let mut stream = fed(Stream::new(5, Spill::Nowhere), &[b"abc", b"defg", b"h"]);
        assert_eq!((stream.kept().head(), stream.kept().total()), (&b"abcde"[..], 8));
        assert!(stream.take_whole().is_none());
    }

    #[test]
    fn everything_is_kept_in_a_file_once_it_is_too_much() {
        let mut stream = fed(Stream::new(5, Spill::Temporary), &[b"abc", b"defg", b"h"]);
        assert_eq!(stream.kept().head(), b"abcde");
        let mut text = String::new();
        stream.take_whole().unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcdefgh");
        let mut stream = fed(Stream::new(5, Spill::Temporary), &[b"abcde"]);
        assert!(stream.take_whole().is_none());
    }

    #[test]
    fn the_tail_is_kept() {
        let block = [b'x'; TAIL];
        let stream = fed(Stream::new(0, Spill::Nowhere), &[&block, &block, &block, b"end"]);
        let tail = stream.kept().tail();
        assert!(tail.ends_with(b"xend") && (TAIL..=2 * TAIL).contains(&tail.len()));
        assert_eq!(stream.kept().total(), 3 * TAIL as u64 + 3);
        let stream = fed(Stream::new(5, Spill::Nowhere), &[b"abc", b"defg", b"h"]);
        assert_eq!(&*stream.kept().tail(), b"abcdefgh");
    }

    #[test]
    fn a_progress_bar_does_not_push_the_cause_out() {
        let bar = b"\r 50% of it all".repeat(TAIL);
        let stream = fed(Stream::new(0, Spill::Nowhere), &[b"error: no such file\n", &bar, &bar]);
        assert!(stream.kept().tail().starts_with(b"error: no such file\n"));
    }

    #[test]
    fn a_line_that_the_limit_cuts_is_followed_to_its_last_state() {
        let settled = |limit, blocks: &[&[u8]]| {
            let stream = fed(Stream::new(limit, Spill::Nowhere), blocks);
            stream.kept().settled_head().map(|head| String::from_utf8(head).unwrap())
        };
        for (limit, blocks, expected) in [
            (5, &[&b"a\n1%\r2%"[..], b"\r3%\n4%\n"][..], Some("a\n1%\r2%\r3%")),
            (6, &[b"a\n1%\r2%", b"\r3%"], Some("a\n\r2%\r3%")),
            (3, &[b"abcdef\n"], None),
            (3, &[b"abcdef\r", b"\nx"], None),
            (3, &[b"abcdef\r", b"50%"], Some("abcdef\r50%")),
            (4, &[b"1%\r2%\r\nx"], Some("\r2%\r")),
            (3, &[b"abcdef\r\nx\r"], None),
            (9, &[b"abcdef"], None),
            (0, &[b"1%\r2%"], None),
        ] {
            assert_eq!(settled(limit, blocks).as_deref(), expected, "{limit} {blocks:?}");
        }
        let bar = b"\r 50% of it all".repeat(TAIL);
        let settled = settled(5, &[&bar, &bar, b"\r100%\nnext"]).unwrap();
        assert!(settled.ends_with("\r100%") && settled.len() <= 2 * TAIL, "{}", settled.len());
        let picture = [b"\x1b]1337;", &b"QUJD".repeat(TAIL)[..]].concat();
        let stream = fed(Stream::new(5, Spill::Nowhere), &[&picture, &picture[8..], b"\x07n=1\n"]);
        assert!(stream.kept().settled_head().unwrap().ends_with(b"\x07n=1"));
        let stream = fed(Stream::new(5, Spill::Nowhere), &[&b"x".repeat(3 * TAIL)]);
        assert!(stream.kept().settled_head().is_none());
    }

    #[test]
    fn a_pipe_is_read_until_its_end() {
        let mut stream = Stream::new(100, Spill::Nowhere);
        let pipe = stream.open().unwrap();
        assert_eq!(stream.read(), Progress::Empty);
        rustix::io::write(&pipe, b"text").unwrap();
        assert_eq!(stream.read(), Progress::Empty);
        drop(pipe);
        assert_eq!(stream.read(), Progress::Ended);
        assert!(!stream.is_open() && stream.kept().head() == b"text");
    }
}
