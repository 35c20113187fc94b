//! What a stage hands on to the next one: the whole output of a task. Small payloads stay in memory; large ones are
//! kept in an unnamed file, so that a queue of them costs no memory. What a source of `blocks` hands to the first stage
//! is a payload, too.

mod slice;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::base::{ByteSize, temporary};
use crate::sys;
pub use slice::Slice;

/// Payloads up to this length stay in memory.
pub const IN_MEMORY: usize = 1 << 20;

/// The kind of a payload, for workloads that tell text from values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadKind {
    /// Bytes, which are text if they are UTF-8: an output, a body, the value of a computation.
    #[default]
    Bytes,
    /// Bytes that a value was: a report shows them in base64, unless they are text.
    Binary,
    /// A text that a report cannot hold whole: it has a NUL, or bytes that are not UTF-8, which its language escapes.
    Escaped,
    /// The JSON of a value that is neither text nor bytes.
    Json,
}

/// What a task hands on.
#[derive(Debug)]
pub struct Payload {
    kind: PayloadKind,
    body: Body,
    /// As Python writes it, where JSON has no word for a part of it.
    exact: Option<Box<[u8]>>,
}

#[derive(Debug)]
enum Body {
    Memory(Vec<u8>),
    /// An unnamed file, its length in bytes, and its content while it is needed in memory.
    File {
        file: File,
        length: u64,
        loaded: OnceLock<Vec<u8>>,
    },
    /// A piece of a file, and what it is once it is needed.
    Slice(Slice, OnceLock<Box<Payload>>),
}

/// A payload as the next stage's function takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View<'a> {
    /// UTF-8.
    Text(&'a str),
    /// Anything else.
    Bytes(&'a [u8]),
    /// A value's JSON.
    Json(&'a [u8]),
}

impl Payload {
    /// A payload of these bytes, in memory; for what may be large there is [`Collector`].
    pub fn new(kind: PayloadKind, bytes: Vec<u8>) -> Self {
        Self { kind, body: Body::Memory(bytes), exact: None }
    }

    /// What a value is to all but Python, and how Python writes what JSON has no word for.
    pub fn of_python(kind: PayloadKind, bytes: Vec<u8>, exact: &[u8]) -> Self {
        Self { exact: Some(exact.into()), ..Self::new(kind, bytes) }
    }

    /// How Python writes it, where its JSON says less.
    pub fn exact(&self) -> Option<&[u8]> {
        self.exact.as_deref()
    }

    /// A payload of these bytes, one part after another. If there are many, they are copied once, to where a program can
    /// read them as its standard input.
    ///
    /// # Errors
    /// If there is no memory or no descriptor left.
    pub fn of_parts(kind: PayloadKind, parts: &[&[u8]]) -> io::Result<Self> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length <= IN_MEMORY {
            return Ok(Self::new(kind, parts.concat()));
        }
        let mut file = memory()?;
        for part in parts {
            file.write_all(part)?;
        }
        let body = Body::File { file, length: length as u64, loaded: OnceLock::new() };
        Ok(Self { kind, body, exact: None })
    }

    /// A payload of bytes that are in a file: whoever needs them copies them first, with [`Payload::keep`].
    pub fn of_slice(kind: PayloadKind, slice: Slice) -> Self {
        Self { kind, body: Body::Slice(slice, OnceLock::new()), exact: None }
    }

    /// Copies the bytes to where they stay, if they are a piece of a file; to be called before anything else looks at them.
    ///
    /// # Errors
    /// If they cannot be read or kept, or the file has been changed.
    pub fn keep(&self) -> io::Result<()> {
        if let Body::Slice(slice, kept) = &self.body
            && kept.get().is_none()
        {
            let file = slice.copy()?;
            let body = Body::File { file, length: slice.total(), loaded: OnceLock::new() };
            let _ = kept.set(Box::new(Self { kind: self.kind, body, exact: None }));
        }
        Ok(())
    }

    /// What kind it is.
    pub fn kind(&self) -> PayloadKind {
        self.kind
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        match &self.body {
            Body::Memory(bytes) => bytes.len() as u64,
            Body::File { length, .. } => *length,
            Body::Slice(slice, _) => slice.total(),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads it into memory, for a stage that needs it there.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn load(&self) -> io::Result<()> {
        self.keep()?;
        if let Body::Slice(_, kept) = &self.body {
            return kept.get().map_or(Ok(()), |kept| kept.load());
        }
        if let Body::File { file, length, loaded } = &self.body
            && loaded.get().is_none()
        {
            let mut bytes = vec![0; *length as usize];
            file.read_exact_at(&mut bytes, 0)?;
            let _ = loaded.set(bytes); // another one has read the same
        }
        Ok(())
    }

    /// Frees what [`Payload::load`] has read.
    pub fn unload(&mut self) {
        match &mut self.body {
            Body::Memory(_) => {}
            Body::File { loaded, .. } => drop(loaded.take()),
            Body::Slice(_, kept) => {
                if let Some(kept) = kept.get_mut() {
                    kept.unload();
                }
            }
        }
    }

    /// Its bytes; none if it is in a file and was not [loaded](Self::load).
    pub fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Memory(bytes) => bytes,
            Body::File { loaded, .. } => loaded.get().map(Vec::as_slice).unwrap_or_default(),
            Body::Slice(_, kept) => kept.get().map(|kept| kept.bytes()).unwrap_or_default(),
        }
    }

    /// Its bytes as text, as a value, or as they are; it must be [loaded](Self::load).
    pub fn view(&self) -> View<'_> {
        let bytes = self.bytes();
        match self.kind {
            PayloadKind::Json => View::Json(bytes),
            PayloadKind::Bytes | PayloadKind::Binary | PayloadKind::Escaped => {
                std::str::from_utf8(bytes).map_or(View::Bytes(bytes), View::Text)
            }
        }
    }

    /// The path of its file, valid while this payload exists; `None` if it is in memory.
    pub fn path(&self) -> Option<String> {
        match &self.body {
            Body::Memory(_) => None,
            Body::File { file, .. } => Some(sys::fd_path_for_others(file.as_fd())),
            Body::Slice(_, kept) => kept.get().and_then(|kept| kept.path()),
        }
    }

    /// Its file, newly opened to be read from its start; `None` if it is in memory.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn open(&self) -> io::Result<Option<File>> {
        // Opened anew and not duplicated: duplicates share an offset, and one would read where the other one stopped.
        match &self.body {
            Body::Memory(_) => Ok(None),
            Body::File { file, .. } => File::open(sys::fd_path(file.as_fd())).map(Some),
            Body::Slice(_, kept) => {
                self.keep()?;
                kept.get().map_or(Ok(None), |kept| kept.open())
            }
        }
    }
}

/// A file in memory.
fn memory() -> io::Result<File> {
    Ok(File::from(memfd_create("payload", MemfdFlags::CLOEXEC)?))
}

/// Why there is no payload.
#[derive(Debug)]
pub enum NoPayload {
    /// It is longer than this.
    TooLong(ByteSize),
    /// It could not be kept.
    Io(io::Error),
}

impl fmt::Display for NoPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(
                f,
                "the payload is longer than `max_payload` of its stage ({limit}): raise it"
            ),
            Self::Io(error) => {
                write!(f, "failed to store the payload: {}", crate::base::diagnostic::reason(error))
            }
        }
    }
}

/// Collects a payload from blocks of bytes as they arrive.
#[derive(Debug)]
pub struct Collector {
    limit: ByteSize,
    bytes: Vec<u8>,
    file: Option<File>,
    total: u64,
    failed: Option<io::Error>,
}

impl Collector {
    /// A collector of up to `limit` bytes.
    pub fn new(limit: ByteSize) -> Self {
        Self { limit, bytes: Vec::new(), file: None, total: 0, failed: None }
    }

    /// Adds the next block. Bytes beyond the limit are only counted.
    pub fn add(&mut self, block: &[u8]) {
        self.total += block.len() as u64;
        if self.total > self.limit.bytes() || self.failed.is_some() {
            self.bytes = Vec::new();
            self.file = None;
            return;
        }
        self.bytes.extend_from_slice(block);
        if self.bytes.len() > IN_MEMORY
            && let Err(error) = self.spill()
        {
            self.failed = Some(error);
        }
    }

    /// Moves what is in memory to the end of the file.
    fn spill(&mut self) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => temporary::file()?,
        };
        file.write_all(&self.bytes)?;
        self.bytes.clear();
        self.file = Some(file);
        Ok(())
    }

    /// Discards what was collected.
    pub fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    /// The payload that was collected; the collector is empty again.
    ///
    /// # Errors
    /// If it is too long or could not be kept.
    pub fn finish(&mut self) -> Result<Payload, NoPayload> {
        let mut done = std::mem::replace(self, Self::new(self.limit));
        if done.total > done.limit.bytes() {
            return Err(NoPayload::TooLong(done.limit));
        }
        if done.file.is_some() && done.failed.is_none() {
            done.failed = done.spill().err();
        }
        if let Some(error) = done.failed {
            return Err(NoPayload::Io(error));
        }
        let body = match done.file {
            Some(file) => Body::File { file, length: done.total, loaded: OnceLock::new() },
            None => Body::Memory(done.bytes),
        };
        Ok(Payload { kind: PayloadKind::Bytes, body, exact: None })
    }
}

/// The payload of `bytes` that are in memory already.
///
/// # Errors
/// If they are more than `limit`, or cannot be kept.
pub fn of_bytes(kind: PayloadKind, bytes: Vec<u8>, limit: ByteSize) -> Result<Payload, NoPayload> {
    if bytes.len() <= IN_MEMORY && bytes.len() as u64 <= limit.bytes() {
        return Ok(Payload::new(kind, bytes));
    }
    let mut collector = Collector::new(limit);
    collector.add(&bytes);
    Ok(Payload { kind, ..collector.finish()? })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn gathered(limit: u64, blocks: &[&[u8]]) -> Result<Payload, NoPayload> {
        let mut collector = Collector::new(ByteSize::new(limit));
        for block in blocks {
            collector.add(block);
        }
        collector.finish()
    }

    #[test]
    fn a_small_one_stays_in_memory() {
        let payload = gathered(10, &[b"ab", b"", b"c"]).unwrap();
        assert_eq!((payload.bytes(), payload.len()), (&b"abc"[..], 3));
        assert_eq!(payload.view(), View::Text("abc"));
        assert!(payload.open().unwrap().is_none() && payload.path().is_none());
        assert!(gathered(10, &[]).unwrap().is_empty());
        assert_eq!(gathered(10, &[b"\xff"]).unwrap().view(), View::Bytes(b"\xff"));
    }

    #[test]
    fn a_large_one_waits_in_a_file() {
        let block = vec![b'x'; IN_MEMORY];
        let mut payload = gathered(1 << 30, &[&block, b"y", b"z"]).unwrap();
        assert_eq!((payload.bytes(), payload.len()), (&b""[..], IN_MEMORY as u64 + 2));
        for _ in 0..2 {
            let mut text = String::new();
            payload.open().unwrap().unwrap().read_to_string(&mut text).unwrap();
            assert!(text.ends_with("xyz") && text.len() == IN_MEMORY + 2);
        }
        assert_eq!(std::fs::read(payload.path().unwrap()).unwrap().len(), IN_MEMORY + 2);
        payload.load().unwrap();
        assert!(payload.bytes().ends_with(b"xyz"));
        payload.unload();
        assert!(payload.bytes().is_empty() && payload.open().unwrap().is_some());
    }

    #[test]
    fn parts_are_one() {
        let small = Payload::of_parts(PayloadKind::Bytes, &[b"a", b"", b"bc"]).unwrap();
        assert_eq!((small.bytes(), small.len()), (&b"abc"[..], 3));
        let many = vec![b'x'; IN_MEMORY];
        let large = Payload::of_parts(PayloadKind::Bytes, &[b"a\n", &many]).unwrap();
        assert_eq!(large.len(), 2 + IN_MEMORY as u64);
        let mut text = String::new();
        large.open().unwrap().unwrap().read_to_string(&mut text).unwrap();
        large.load().unwrap();
        assert!(text.starts_with("a\nx") && large.bytes() == text.as_bytes());
    }

    #[test]
    fn too_long_is_said_with_the_way_out() {
        let error = gathered(4, &[b"abc", b"de"]).unwrap_err().to_string();
        assert!(error.contains("longer than `max_payload`") && error.contains("4B"), "{error}");
        assert!(of_bytes(PayloadKind::Json, b"12345".to_vec(), ByteSize::new(4)).is_err());
        let json = of_bytes(PayloadKind::Json, b"[1]".to_vec(), ByteSize::new(4)).unwrap();
        assert_eq!(json.view(), View::Json(b"[1]"));
    }
}
