//! Where a body goes: counted, its start kept, all of it saved.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::client::{Failure, Progress};
use super::decode::Coding;
use super::exchange::not_kept;
use super::plan::{Compared, Keep};
use super::save::Place;
use crate::base::{ByteSize, temporary};
use crate::task::payload::Collector;
use crate::task::{NoPayload, Payload};
use crate::workload::written::ContentHash;

/// What a file gets of a body with content codings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// The body.
    Decoded,
    /// It has the name of a compressed file: the bytes as they are sent, unless there is a compressed file in the
    /// coding, too. Until that is known, what has been sent is held, and the start of what it comes to.
    Undecided { sent: Vec<u8>, magic: &'static [u8], start: Vec<u8> },
    /// The bytes as they are sent.
    Sent,
}

impl Raw {
    /// For a file at `save` from the path of a URL, of an answer of these headers and codings.
    pub fn of(save: &Place, path: &str, headers: &HeaderMap, codings: &[Coding]) -> Self {
        let &[coding] = codings else { return Self::Decoded };
        let (extensions, magic): (&[&str], &[u8]) = match coding {
            Coding::Gzip => (&["gz", "tgz", "bgz", "taz", "svgz", "emz"], b"\x1f\x8b"),
            Coding::Zstd => (&["zst", "tzst"], b"\x28\xb5\x2f\xfd"),
            Coding::Brotli => (&["br"], b""),
            Coding::Deflate => return Self::Decoded,
        };
        let extension =
            |path: &Path| path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        let fits = |found: &str| extensions.contains(&found);
        let is_archive =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|kind| {
                let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                ["application/gzip", "application/x-gzip", "application/zstd"].contains(&&kind[..])
            });
        let is_compressed = match extension(Path::new(save.name())) {
            Some(found) => fits(&found),
            // The name says nothing; where it comes from may.
            None => is_archive || extension(Path::new(path)).is_some_and(|found| fits(&found)),
        };
        if is_compressed {
            Self::Undecided { sent: Vec::new(), magic, start: Vec::new() }
        } else {
            Self::Decoded
        }
    }
}

/// Where a body goes.
pub(super) struct Sink<'a> {
    keep: &'a Keep,
    /// The start of the body.
    pub kept: Vec<u8>,
    /// All of it, if it is to be kept and is too much for memory.
    pub whole: Option<File>,
    payload: Option<Collector>,
    hash: Option<ContentHash>,
    raw: Raw,
    is_saved: bool,
    pub progress: &'a Progress,
}

impl<'a> Sink<'a> {
    /// Nothing has come yet. `is_saved`: the body goes to the download of `progress`, too.
    pub fn new(keep: &'a Keep, raw: Raw, is_saved: bool, progress: &'a Progress) -> Self {
        let payload = keep.payload.map(|limit| Collector::new(ByteSize::new(limit)));
        let hash = (keep.compared != Compared::No).then(ContentHash::default);
        Self { keep, kept: Vec::new(), whole: None, payload, hash, raw, is_saved, progress }
    }

    /// Takes a piece of the body.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        self.keep(piece)?;
        match &mut self.raw {
            Raw::Decoded => self.write(piece),
            Raw::Sent => Ok(()),
            Raw::Undecided { magic, start, .. } => {
                start.extend_from_slice(piece);
                if start.len() < magic.len() { Ok(()) } else { self.decide() }
            }
        }
    }

    /// Takes bytes of the body as they are sent.
    pub fn take_raw(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.raw {
            Raw::Decoded => Ok(()),
            Raw::Sent => self.write(bytes),
            Raw::Undecided { sent, .. } => {
                sent.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// The body has ended.
    pub fn end_raw(&mut self) -> Result<(), String> {
        if matches!(self.raw, Raw::Undecided { .. }) { self.decide() } else { Ok(()) }
    }

    fn decide(&mut self) -> Result<(), String> {
        let raw = std::mem::replace(&mut self.raw, Raw::Sent);
        let Raw::Undecided { sent, magic, start } = raw else { return Ok(()) };
        if !magic.is_empty() && start.starts_with(magic) {
            self.raw = Raw::Decoded; // a compressed file, compressed once more for its way
            return self.write(&start);
        }
        self.write(&sent)
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), String> {
        self.progress.bytes.set(self.progress.bytes.get() + piece.len() as u64);
        if let Some(payload) = &mut self.payload {
            payload.add(piece);
        }
        if let Some(hash) = &mut self.hash {
            hash.add(piece);
        }
        let room = self.keep.body.saturating_sub(self.kept.len() as u64);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if self.keep.whole && piece.len() > room {
            self.take_whole(piece).map_err(|error| not_kept(&error))?;
        }
        self.kept.extend_from_slice(&piece[..piece.len().min(room)]);
        Ok(())
    }

    fn write(&self, bytes: &[u8]) -> Result<(), String> {
        let mut saved = self.progress.download.borrow_mut();
        let Some(download) = saved.as_mut().filter(|_| self.is_saved) else { return Ok(()) };
        let written = download.file.write(bytes);
        download.written += bytes.len() as u64;
        if written.is_err() {
            *saved = None; // nobody knows how much of it is there, so nothing can follow it
        }
        written
    }

    /// Goes on in a file once there is too much for memory.
    fn take_whole(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.whole.is_none() {
            let mut file = temporary::file()?;
            file.write_all(&self.kept)?;
            self.whole = Some(file);
        }
        self.whole.as_mut().map_or(Ok(()), |file| file.write_all(piece))
    }

    /// Takes what an earlier attempt has saved of the body.
    pub fn read_back(&mut self) -> Result<(), Failure> {
        let progress = self.progress;
        let mut download = progress.download.borrow_mut();
        let Some(download) = download.as_mut() else { return Ok(()) };
        if !self.keep.wants_body() {
            progress.bytes.set(download.written);
            return Ok(());
        }
        download.file.read_back(&mut |piece| self.keep(piece)).map_err(Failure)
    }

    /// Whether a text is longer than it may be, and nobody else wants the rest.
    pub fn has_enough(&self) -> bool {
        let is_too_long = self.keep.text.is_some_and(|limit| self.progress.bytes.get() > limit);
        is_too_long
            && !self.is_saved
            && !self.keep.whole
            && self.keep.compared == Compared::No
            && self.payload.is_none()
    }

    /// The hash of the body, if runs are compared.
    pub fn hash(&self) -> Option<u64> {
        self.hash.as_ref().map(ContentHash::value)
    }

    /// What is for the next stage.
    pub fn payload(&mut self) -> Option<Result<Payload, NoPayload>> {
        self.payload.as_mut().map(Collector::finish)
    }
}
