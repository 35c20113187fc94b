//! What a request sends: bytes, or files between them that are read as they are sent.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};

use crate::task::Moment;

/// This much of a file is read at once, in bytes.
const BLOCK: usize = 256 << 10;

/// How much is read of a file that does not say how long it is, in bytes.
const MOST_UNSIZED: u64 = 64 << 20;

/// The body of a request, which may be sent more than once.
#[derive(Clone, Debug)]
pub enum Content {
    /// Bytes, perhaps none.
    Bytes(Bytes),
    /// Bytes and files, one after another.
    Parts(Arc<[Part]>),
}

/// A piece of a body.
#[derive(Debug)]
pub enum Part {
    /// Bytes.
    Bytes(Bytes),
    /// A file of this length, in bytes.
    File(PathBuf, u64),
}

impl Part {
    /// A file as it is now.
    ///
    /// # Errors
    /// In words, if it is not there, or is not a file.
    pub fn file(path: &Path) -> Result<Self, String> {
        let failed =
            |why: &dyn std::fmt::Display| format!("failed to read `{}`: {why}", path.display());
        let about = std::fs::metadata(path).map_err(|error| failed(&in_words(&error)))?;
        if !about.is_file() {
            return Err(failed(&"it is not a regular file"));
        }
        let file = File::open(path).map_err(|error| failed(&in_words(&error)))?;
        if about.len() == 0 {
            // Those of the kernel, such as in /proc, do not say how long they are.
            let mut bytes = Vec::new();
            let read = file.take(MOST_UNSIZED).read_to_end(&mut bytes);
            read.map_err(|error| failed(&in_words(&error)))?;
            return Ok(Self::Bytes(bytes.into()));
        }
        Ok(Self::File(path.to_owned(), about.len()))
    }

    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }
}

/// Why something could not be done to a file, without the number of the error.
pub(super) fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

impl Content {
    /// No body.
    pub fn none() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// Whether nothing is sent.
    pub fn is_empty(&self) -> bool {
        self.length() == 0
    }

    /// How much is sent, in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Parts(parts) => parts.iter().map(Part::length).sum(),
        }
    }

    /// This content, on its way.
    pub fn sending(&self) -> Sending {
        let what = match self {
            Self::Bytes(bytes) => What::Bytes(bytes.clone()),
            Self::Parts(parts) => What::Parts(Box::new(Parts {
                all: Arc::clone(parts),
                next: 0,
                file: None,
                left: self.length(),
            })),
        };
        Sending { what, taken: None }
    }
}

/// When something of a request's body was last written to its connection. That is not known of the connection itself where
/// several requests share it, as those of HTTP/2 do.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken(Arc<AtomicU64>);

impl Taken {
    /// When that was; the clock's start if nothing has been yet.
    pub fn last(&self) -> Moment {
        Moment::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn note(&self) {
        self.0.store(Moment::now().as_nanos(), Ordering::Relaxed);
    }
}

/// A body on its way. A request is moved often, so this is small.
#[derive(Debug)]
pub struct Sending {
    what: What,
    /// Whom to tell that a piece was written.
    taken: Option<Taken>,
}

/// A piece of a body, which says when some of it was written.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    taken: Option<Taken>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.taken.iter().for_each(Taken::note);
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.taken.iter().for_each(Taken::note);
        self.bytes.split_to(length)
    }
}

#[derive(Debug)]
enum What {
    /// What has not been sent yet.
    Bytes(Bytes),
    /// Several pieces.
    Parts(Box<Parts>),
}

/// Pieces of a body on their way.
#[derive(Debug)]
pub struct Parts {
    all: Arc<[Part]>,
    next: usize,
    /// What is being read, and how much of it is left.
    file: Option<(File, u64)>,
    /// The length of all that has not been sent yet, in bytes.
    left: u64,
}

impl Parts {
    /// The next block. Reading a file comes from the page cache, mostly, which costs less than asking another thread.
    fn block(&mut self) -> io::Result<Option<Bytes>> {
        let Self { all, next, file, .. } = self;
        loop {
            if let Some((open, left)) = file
                && *left > 0
            {
                let mut block = vec![0; BLOCK.min(usize::try_from(*left).unwrap_or(BLOCK))];
                let read = open.read(&mut block)?;
                if read == 0 {
                    let Some(Part::File(path, length)) = all.get(*next - 1) else {
                        unreachable!("it is of a part")
                    };
                    return Err(io::Error::other(format!(
                        "`{}` had fewer than its {length} bytes when it was sent",
                        path.display()
                    )));
                }
                block.truncate(read);
                *left -= read as u64;
                return Ok(Some(block.into()));
            }
            *file = None;
            let Some(part) = all.get(*next) else { return Ok(None) };
            *next += 1;
            match part {
                Part::Bytes(bytes) if bytes.is_empty() => {}
                Part::Bytes(bytes) => return Ok(Some(bytes.clone())),
                Part::File(path, length) => *file = Some((File::open(path)?, *length)),
            }
        }
    }
}

impl Sending {
    /// Has `taken` be told when something of it was written.
    pub(super) fn tell(&mut self, taken: &Taken) {
        self.taken = Some(taken.clone());
    }

    /// The length of what has not been sent yet, in bytes.
    fn left(&self) -> u64 {
        match &self.what {
            What::Bytes(bytes) => bytes.len() as u64,
            What::Parts(parts) => parts.left,
        }
    }
}

impl Body for Sending {
    type Data = Piece;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Piece>>>> {
        let Self { what, taken } = &mut *self;
        let block = match what {
            What::Bytes(bytes) => Some(std::mem::take(bytes)).filter(|b| !b.is_empty()).map(Ok),
            What::Parts(parts) => {
                let block = parts.block();
                if let Ok(Some(block)) = &block {
                    parts.left = parts.left.saturating_sub(block.len() as u64);
                }
                block.transpose()
            }
        };
        let piece = |bytes| Frame::data(Piece { bytes, taken: taken.clone() });
        Poll::Ready(block.map(|block| block.map(piece)))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
