//! What is kept of a stream: its first bytes, its last ones, and all of them in a file where that is wanted.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use encoding_rs::Encoding;
use rustix::io::{Errno, read};

use super::Progress;
use crate::base::screen::{forget_overwritten, shorten};
use crate::base::temporary;
use crate::task::live::LiveOutput;
use crate::task::payload::Collector;
use crate::workload::command::search::{LONGEST_MARK, Search, encoding_of};
use crate::workload::draft::Draft;
use crate::workload::written::ContentHash;

/// As much as a pipe holds.
const BLOCK: usize = 64 << 10;

/// Blocks that are read at once before others have their turn.
const BLOCKS_AT_ONCE: usize = 16;

/// The end of a stream, which says what went wrong, in bytes: more than an error shows, since colours go.
pub(super) const TAIL: usize = 16 << 10;

/// The longest line that is shown in one piece.
const LONGEST_LINE: usize = 16 << 20;

/// What stands of a line where the limit cuts it may have this many bytes, most of which steer the terminal.
const LONGEST_CUT: usize = 1 << 20;

/// A slot that has had a long output does not keep the memory for it.
const SPARE: usize = 64 << 10;

thread_local! {
    /// Where streams are read into: one block per loop, since a slot may be one of ten thousand.
    pub(super) static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; BLOCK]);
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
            Self::Nowhere | Self::Temporary => temporary::file().map(Draft::Nameless),
            Self::In(folder) => Draft::new(&folder.join("output")),
        }
    }
}

/// A line that the limit cuts may be written over again and again after that: what counts is how it stands in the end.
#[derive(Debug, Default)]
pub(super) enum CutLine {
    /// No line is cut.
    #[default]
    None,
    /// Its bytes so far, but for those that were written over; and whether it moves a cursor.
    Open(Vec<u8>, bool),
    /// The same, up to its end.
    Whole(Vec<u8>, bool),
    /// It is longer than what a terminal would show in one.
    TooLong,
}

/// What has been read.
#[derive(Debug)]
pub struct Kept {
    /// The first bytes.
    pub(super) head: Vec<u8>,
    /// How many of them are kept.
    pub(super) limit: usize,
    /// As many as a byte order mark has, however few are kept.
    start: [u8; LONGEST_MARK],
    /// The line that the limit cuts, on its way to its end.
    pub(super) line: CutLine,
    /// The last [`TAIL`] bytes, or up to twice as many, of those after the head.
    pub(super) tail: Vec<u8>,
    pub(super) total: u64,
    /// Where all bytes are kept if there are more than the head's.
    pub(super) spill: Spill,
    pub(super) whole: Option<io::Result<Draft>>,
    /// For the next stage, if there is one.
    pub(super) payload: Option<Collector>,
    /// For the columns, if there are any.
    pub(super) search: Option<Search>,
    /// The hash of all bytes, if runs are compared.
    pub(super) hash: Option<ContentHash>,
    /// Where its lines go as they come, if they do.
    pub(super) live: Option<Live>,
}

impl Kept {
    pub(super) fn new(limit: usize, spill: Spill) -> Self {
        let (head, tail) = (Vec::new(), Vec::new());
        Self {
            head,
            limit,
            start: [0; LONGEST_MARK],
            line: CutLine::None,
            tail,
            total: 0,
            spill,
            whole: None,
            payload: None,
            search: None,
            hash: None,
            live: None,
        }
    }

    pub(super) fn clear(&mut self) {
        self.head.clear();
        self.head.shrink_to(SPARE);
        self.line = CutLine::None;
        self.tail.clear();
        self.total = 0;
        self.whole = None;
        self.live = None;
        self.payload.as_mut().map(Collector::clear);
        self.search.as_mut().map(Search::clear);
        self.hash.as_mut().map(ContentHash::clear);
    }

    /// The first bytes.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The encoding of all of it: the one that is `named`, else that of a byte order mark.
    pub fn encoding(&self, named: Option<&'static Encoding>) -> Option<&'static Encoding> {
        encoding_of(self.start(), named)
    }

    fn start(&self) -> &[u8] {
        &self.start[..self.total.min(LONGEST_MARK as u64) as usize]
    }

    /// The first bytes of the text, which has no part of a byte order mark.
    pub fn head_of_text(&self, named: Option<&'static Encoding>) -> &[u8] {
        let mark = Encoding::for_bom(self.start());
        let mark = mark.filter(|(encoding, _)| named.is_none_or(|named| named == *encoding));
        if mark.is_some_and(|(_, length)| self.head.len() < length) { &[] } else { &self.head }
    }

    /// The first bytes, up to the end of a line that the limit cuts and that was written over: a progress bar is its last
    /// state. `None` if there is no such line.
    pub fn settled_head(&self) -> Option<Vec<u8>> {
        match &self.line {
            CutLine::Open(line, true) | CutLine::Whole(line, true) => {
                Some([&self.head[..start_of_line(&self.head)], line].concat())
            }
            _ => None,
        }
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

    pub(super) fn read(&mut self, pipe: impl AsFd) -> Progress {
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

    pub(super) fn add(&mut self, block: &[u8]) {
        if self.total < LONGEST_MARK as u64 {
            let missing = self.start[self.total as usize..].iter_mut();
            missing.zip(block).for_each(|(byte, came)| *byte = *came);
        }
        self.total += block.len() as u64;
        if let Some(live) = &mut self.live {
            live.add(block);
        }
        if let Some(payload) = &mut self.payload {
            payload.add(block);
        }
        if let Some(hash) = &mut self.hash {
            hash.add(block);
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
        if !rest.is_empty() {
            self.follow_line(rest);
        }
    }

    /// Follows the line that the limit cuts, with what comes after the head.
    fn follow_line(&mut self, rest: &[u8]) {
        if let CutLine::None = self.line
            && self.limit > 0
        {
            let line = &self.head[start_of_line(&self.head)..];
            let from = memchr::memrchr(b'\r', without_return(line)).unwrap_or(0);
            self.line = if line.len() - from > LONGEST_CUT {
                CutLine::TooLong
            } else {
                CutLine::Open(line[from..].to_vec(), moves(without_return(line)))
            };
        }
        let CutLine::Open(line, does_move) = &mut self.line else { return };
        let end = memchr::memchr(b'\n', rest);
        let part = &rest[..end.unwrap_or(rest.len())];
        let goes_over = line.ends_with(b"\r") && !part.is_empty();
        *does_move |= goes_over || moves(without_return(part));
        line.extend_from_slice(part);
        if line.len() > 2 * TAIL {
            shorten(line);
        }
        if line.len() > 2 * TAIL {
            self.line = CutLine::TooLong;
        } else if end.is_some() {
            self.line = CutLine::Whole(mem::take(line), *does_move);
        }
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

    pub(super) fn add_to_tail(&mut self, rest: &[u8]) {
        self.tail.extend_from_slice(&rest[rest.len().saturating_sub(2 * TAIL)..]);
        if self.tail.len() > 2 * TAIL {
            forget_overwritten(&mut self.tail);
        }
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
    }

    /// Adds a block to the file of all bytes, which is begun with those that were kept so far.
    pub(super) fn spill(&mut self, block: &[u8]) {
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

/// A line without what may belong to its end.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether something in a line may write over what stands there.
fn moves(line: &[u8]) -> bool {
    memchr::memchr3(b'\r', 0x08, 0x1b, line).is_some()
}

fn start_of_line(bytes: &[u8]) -> usize {
    memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1)
}

/// The lines of a stream, on their way out while it goes on.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) to: Arc<dyn LiveOutput>,
    pub(super) tag: Vec<u8>,
    /// The start of a line.
    pub(super) rest: Vec<u8>,
}

impl Live {
    pub(super) fn add(&mut self, block: &[u8]) {
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

    pub(super) fn put(&mut self) {
        self.to.put(&self.tag, &self.rest);
        self.rest.clear();
        self.rest.shrink_to(SPARE);
    }
}
