//! `blocks`: one big file, or standard input, in pieces of whole records. A piece is handed to the first stage as it is.

use std::collections::HashMap;
use std::fs::File;
use std::ops::RangeInclusive;
use std::sync::Arc;

use regex::bytes::Regex;
use xxhash_rust::xxh3::Xxh3;

use super::records::{InputFile, Records, Stop, Stream};
use super::source::lazily;
use super::text::{LONGEST, Text, TextOptions, TextRecords};
use super::{InputError, InputReader};
use crate::base::diagnostic::reason;
use crate::task::{Fields, Kind, Payload, PayloadKind, Slice};

/// The names of the fields of a block.
pub(super) const FIELDS: [&str; 3] = ["block", "offset", "length"];

/// Blocks of so many bytes are read again where they are needed, at once by several slots. A short one is as soon kept, and a
/// long one would hold up the slots beside its own.
const SLICES: RangeInclusive<usize> = 1 << 20..=64 << 20;

/// How a file is cut.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub file: InputFile,
    /// A block has this many bytes, and the rest of its last record.
    pub size: u64,
    /// Where records end or start.
    pub cut: Cut,
    /// Whether the first line belongs to every block.
    pub header: bool,
    pub text: TextOptions,
}

/// Where a file may be cut.
#[derive(Clone, Debug)]
pub(super) enum Cut {
    /// After this.
    End(Vec<u8>),
    /// Before a match.
    Start(Regex),
}

impl Blocks {
    /// The blocks, as they are read.
    pub fn open(&self, stop: &Stop) -> Result<InputReader, InputError> {
        if self.file.regular {
            return Ok(Box::new(Stream::new(self.records(stop)?)));
        }
        let (blocks, stop) = (self.clone(), stop.clone());
        Ok(lazily(move || Ok(Box::new(Stream::new(blocks.records(&stop)?)))))
    }

    /// Likewise, to be read from anywhere.
    pub fn records(&self, stop: &Stop) -> Result<Box<dyn Records>, InputError> {
        let text = Text::open(&self.file, self.text, stop)?;
        let file = text.plain().map(|(file, start)| (Arc::new(file), start));
        let mut pieces = Pieces {
            text,
            plan: self.clone(),
            header: Arc::from([]),
            number: 0,
            numbers: None,
            file,
        };
        if self.header {
            pieces.header = pieces.first_line()?.into();
        }
        Ok(Box::new(pieces))
    }
}

struct Pieces {
    text: Text,
    plan: Blocks,
    header: Arc<[u8]>,
    /// The file and where its text starts in it, if that is its own bytes.
    file: Option<(Arc<File>, u64)>,
    number: u64,
    /// The numbers of the blocks by their positions, if they are to be read in another order.
    numbers: Option<HashMap<u64, u64>>,
}

impl Pieces {
    fn first_line(&mut self) -> Result<Vec<u8>, InputError> {
        let length = match self.text.next_line(b'\n')? {
            Some(Ok(length)) => length,
            Some(Err(bad)) => {
                return Err(InputError::new(bad.cause().unwrap_or_default().to_owned()));
            }
            None => 0,
        };
        let line = self.text.window()[..length].to_vec();
        self.text.consume(length);
        Ok(line)
    }

    /// Where the next block ends; `None`: it does not, within reason.
    fn end(&mut self) -> Result<Option<usize>, InputError> {
        let size = usize::try_from(self.plan.size).unwrap_or(usize::MAX);
        while self.text.window().len() <= size && self.text.more()? {}
        let mut from = size;
        loop {
            let window = self.text.window();
            if window.len() <= size {
                return Ok(Some(window.len()));
            }
            match self.plan.cut.find(window, from, self.text.is_at_end()) {
                Some(end) => return Ok(Some(end).filter(|end| end - size <= LONGEST)),
                None if self.text.is_at_end() => return Ok(Some(window.len())),
                None if window.len() - size > LONGEST => return Ok(None),
                // What is sought may lie across the end of the window.
                None => from = window.len().saturating_sub(self.plan.cut.overlap()).max(size),
            }
            self.text.more()?;
        }
    }

    fn block(&mut self) -> Result<Option<Fields>, InputError> {
        let Some(mut end) = self.end()? else {
            let message = "a record that is longer than 64 MiB: `record_end` or `record_start` says where records end";
            return Ok(Some(self.text.last_bad(self.text.window().len(), message)));
        };
        // Where the text breaks off, the records before are whole.
        if end == self.text.window().len() && self.text.breakage().is_some() {
            match self.plan.cut.last(self.text.window()) {
                Some(whole) => end = whole,
                None => return Ok(self.text.cut()),
            }
        }
        if end == 0 {
            return Ok(None);
        }
        let bytes = &self.text.window()[..end];
        if let Some(message) = self.text.undecodable(bytes) {
            return Ok(Some(self.text.bad(end, message)));
        }
        let parts = [&self.header[..], bytes];
        let mut identity = Xxh3::new();
        for part in parts {
            identity.update(part);
        }
        let identity = identity.digest128();
        let position = self.text.position();
        let payload = match &self.file {
            Some((file, start)) if SLICES.contains(&end) => {
                let (file, head) = (Arc::clone(file), Arc::clone(&self.header));
                let (from, length) = (position + start, end as u64);
                let slice = Slice { file, head, from, length, hash: identity };
                Payload::of_slice(PayloadKind::Bytes, slice)
            }
            _ => Payload::of_parts(PayloadKind::Bytes, &parts).map_err(|error| {
                InputError::new(format!("cannot keep a block: {}", reason(&error)))
            })?,
        };
        let mut fields = Fields::default();
        self.number += 1;
        let number = match &mut self.numbers {
            Some(numbers) => *numbers.entry(position).or_insert(self.number),
            None => self.number,
        };
        let offset = position + self.text.found().mark();
        for number in [number, offset, end as u64] {
            fields.push_of(itoa::Buffer::new().format(number), Kind::Bare);
        }
        self.text.consume(end);
        Ok(Some(fields.with_payload(payload, identity)))
    }
}

impl Cut {
    /// The first place at or after `from` where `window` may be cut.
    fn find(&self, window: &[u8], from: usize, at_end: bool) -> Option<usize> {
        match self {
            Self::End(end) => {
                // A record that ends just at `from` is whole.
                let start = from.saturating_sub(end.len());
                memchr::memmem::find(&window[start..], end).map(|at| start + at + end.len())
            }
            Self::Start(start) => {
                let found = start.find_at(window, from)?;
                // A match that ends with the window may be another one when there is more.
                (at_end || found.end() < window.len()).then_some(found.start()).filter(|&at| at > 0)
            }
        }
    }

    /// The last place where `window` may be cut, if it has one after its start.
    fn last(&self, window: &[u8]) -> Option<usize> {
        match self {
            Self::End(end) => memchr::memmem::rfind(window, end).map(|at| at + end.len()),
            Self::Start(start) => start.find_iter(window).map(|found| found.start()).last(),
        }
        .filter(|&at| at > 0)
    }

    fn overlap(&self) -> usize {
        match self {
            Self::End(end) => end.len(),
            Self::Start(_) => 1 << 12,
        }
    }
}

impl TextRecords for Pieces {
    fn text(&mut self) -> &mut Text {
        &mut self.text
    }

    fn read(&mut self) -> Result<Option<Fields>, InputError> {
        self.block()
    }

    fn prepare(&mut self) {
        self.numbers = Some(HashMap::new());
    }
}
