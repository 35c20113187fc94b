//! What is kept of a stream: its first bytes, its last ones, and all of them in a file where that is wanted.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use rustix::io::{Errno, read};

use super::Progress;
use crate::base::screen::forget_overwritten;
use crate::task::live::LiveOutput;
use crate::task::payload::Collector;
use crate::workload::command::search::Search;
use crate::workload::draft::Draft;

/// As much as a pipe holds.
const BLOCK: usize = 64 << 10;

/// Blocks that are read at once before others have their turn.
const BLOCKS_AT_ONCE: usize = 16;

/// The end of a stream, which says what went wrong, in bytes: more than an error shows, since colours go.
pub(super) const TAIL: usize = 16 << 10;

/// The longest line that is shown in one piece.
const LONGEST_LINE: usize = 16 << 20;

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
            Self::Nowhere | Self::Temporary => tempfile::tempfile().map(Draft::Nameless),
            Self::In(folder) => Draft::new(&folder.join("output")),
        }
    }
}

/// What has been read.
#[derive(Debug)]
pub struct Kept {
    /// The first bytes.
    pub(super) head: Vec<u8>,
    /// How many of them are kept.
    pub(super) limit: usize,
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
    /// Where its lines go as they come, if they do.
    pub(super) live: Option<Live>,
}

impl Kept {
    pub(super) fn new(limit: usize, spill: Spill) -> Self {
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

    pub(super) fn clear(&mut self) {
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
