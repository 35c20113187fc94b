//! One stream of a child, standard output or error: read as it comes, kept up to a limit, counted beyond.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, read};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::unix::AsyncFd;

use super::search::{Found, Search};
use crate::base::screen::forget_overwritten;
use crate::base::{ByteSize, mask};
use crate::sys;
use crate::task::live::LiveOutput;
use crate::task::payload::Collector;
use crate::task::{NoPayload, Payload, Values};
use crate::workload::draft::Draft;

/// As much as a pipe holds.
const BLOCK: usize = 64 << 10;

/// Blocks that are read at once before others have their turn.
const BLOCKS_AT_ONCE: usize = 16;

/// The end of a stream, which says what went wrong, in bytes: more than an error shows, since colours go.
const TAIL: usize = 16 << 10;

/// The longest line that is shown in one piece.
const LONGEST_LINE: usize = 16 << 20;

/// A slot that has had a long output does not keep the memory for it.
const SPARE: usize = 64 << 10;

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

/// Where the bytes go that are more than the first ones.
#[derive(Clone, Debug, Default)]
pub enum Spill {
    /// They are counted.
    #[default]
    Nowhere,
    /// With the first ones into a temporary file.
    Temporary,
    /// The same, in this folder: the file may get a name there.
    In(Arc<Path>),
}

impl Spill {
    fn file(&self) -> io::Result<Draft> {
        match self {
            Self::Nowhere | Self::Temporary => tempfile::tempfile().map(Draft::Nameless),
            Self::In(folder) => Draft::new(&folder.join("output")),
        }
    }
}

/// What has been read.
#[derive(Debug)]
pub struct Kept {
    /// The first bytes.
    head: Vec<u8>,
    /// How many of them are kept.
    limit: usize,
    /// The last [`TAIL`] bytes, or up to twice as many, of those after the head.
    tail: Vec<u8>,
    total: u64,
    /// Where all bytes are kept if there are more than the head's.
    spill: Spill,
    whole: Option<io::Result<Draft>>,
    /// For the next stage, if there is one.
    payload: Option<Collector>,
    /// For the columns, if there are any.
    search: Option<Search>,
    /// Where its lines go as they come, if they do.
    live: Option<Live>,
}

/// The lines of a stream, on their way out while it goes on.
#[derive(Debug)]
struct Live {
    to: Arc<dyn LiveOutput>,
    tag: Vec<u8>,
    /// The start of a line.
    rest: Vec<u8>,
}

impl Live {
    fn add(&mut self, block: &[u8]) {
        let end = block.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let (lines, rest) = block.split_at(end);
        if !lines.is_empty() {
            self.rest.extend_from_slice(lines);
            self.put();
        }
        self.rest.extend_from_slice(rest);
        if self.rest.len() > LONGEST_LINE {
            self.put();
        }
    }

    fn put(&mut self) {
        self.to.put(&self.tag, &self.rest);
        self.rest.clear();
        self.rest.shrink_to(SPARE);
    }
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

impl Kept {
    fn new(limit: usize, spill: Spill) -> Self {
        let (head, tail) = (Vec::new(), Vec::new());
        Self {
            head,
            limit,
            tail,
            total: 0,
            spill,
            whole: None,
            payload: None,
            search: None,
            live: None,
        }
    }

    fn clear(&mut self) {
        self.head.clear();
        self.head.shrink_to(SPARE);
        self.tail.clear();
        self.total = 0;
        self.whole = None;
        self.live = None;
        self.payload.as_mut().map(Collector::clear);
        self.search.as_mut().map(Search::clear);
    }

    /// The first bytes.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The last bytes, at least as many as are shown.
    pub fn tail(&self) -> Cow<'_, [u8]> {
        if self.tail.len() >= TAIL || self.head.is_empty() {
            return Cow::Borrowed(&self.tail);
        }
        let head = &self.head[self.head.len().saturating_sub(2 * TAIL)..];
        if self.tail.is_empty() { Cow::Borrowed(head) } else { [head, &self.tail].concat().into() }
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
        if let Some(live) = &mut self.live {
            live.add(block);
        }
        if let Some(payload) = &mut self.payload {
            payload.add(block);
        }
        let room = self.limit - self.head.len();
        let rest = block.get(room..).unwrap_or_default();
        if !rest.is_empty() {
            if !matches!(self.spill, Spill::Nowhere) {
                self.spill(block);
            }
            if self.search.is_some() {
                self.search_rest(block, room);
            }
            self.add_to_tail(rest);
        }
        self.head.extend_from_slice(&block[..block.len() - rest.len()]);
    }

    #[cold]
    fn search_rest(&mut self, block: &[u8], room: usize) {
        // What still goes to the head is searched with it.
        self.head.extend_from_slice(&block[..room]);
        if let Some(search) = &mut self.search {
            search.add(&self.head, &block[room..]);
        }
        self.head.truncate(self.head.len() - room);
    }

    fn add_to_tail(&mut self, rest: &[u8]) {
        self.tail.extend_from_slice(&rest[rest.len().saturating_sub(2 * TAIL)..]);
        if self.tail.len() > 2 * TAIL {
            forget_overwritten(&mut self.tail);
        }
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
    }

    /// Adds a block to the file of all bytes, which is begun with those that were kept so far.
    fn spill(&mut self, block: &[u8]) {
        let begin = || {
            let draft = self.spill.file()?;
            draft.file().write_all(&self.head)?;
            Ok(draft)
        };
        let whole = self.whole.get_or_insert_with(begin);
        if let Ok(draft) = whole
            && let Err(error) = draft.file().write_all(block)
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
