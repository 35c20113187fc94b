//! `blocks`: one big file, or standard input, in pieces of whole records. A piece is handed to the first stage as it is.

use std::collections::HashMap;

use regex::bytes::Regex;

use super::records::{InputFile, Records, Stop, Stream};
use super::text::{LONGEST, Text, TextOptions};
use super::{InputError, InputReader};
use crate::task::{Fields, Kind, Payload, PayloadKind};

/// The names of the fields of a block.
pub(super) const FIELDS: [&str; 3] = ["block", "offset", "length"];

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
        if self.file.regular || self.file.is_stdin() {
            return Ok(Box::new(Stream::new(self.records(stop)?)));
        }
        let (blocks, stop) = (self.clone(), stop.clone());
        Ok(super::lazily(move || Ok(Box::new(Stream::new(blocks.records(&stop)?)))))
    }

    /// Likewise, to be read from anywhere.
    pub fn records(&self, stop: &Stop) -> Result<Box<dyn Records>, InputError> {
        let text = Text::open(&self.file, self.text, stop)?;
        let mut pieces = Pieces {
            text,
            plan: self.clone(),
            header: Vec::new(),
            number: 0,
            numbers: None,
            over: false,
        };
        if self.header {
            pieces.header = pieces.first_line()?;
        }
        Ok(Box::new(pieces))
    }
}

struct Pieces {
    text: Text,
    plan: Blocks,
    header: Vec<u8>,
    number: u64,
    /// The numbers of the blocks by their positions, if they are to be read in another order.
    numbers: Option<HashMap<u64, u64>>,
    over: bool,
}

impl Pieces {
    fn first_line(&mut self) -> Result<Vec<u8>, InputError> {
        let length = loop {
            let window = self.text.window();
            if let Some(end) = memchr::memchr(b'\n', window) {
                break end + 1;
            }
            if window.len() > LONGEST || !self.text.more()? {
                break self.text.window().len();
            }
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
                Some(end) => return Ok(Some(end)),
                None if self.text.is_at_end() => return Ok(Some(window.len())),
                None if window.len() - size > LONGEST => return Ok(None),
                // What is sought may lie across the end of the window.
                None => from = window.len().saturating_sub(self.plan.cut.overlap()).max(size),
            }
            self.text.more()?;
        }
    }

    fn block(&mut self) -> Result<Option<Fields>, InputError> {
        let Some(end) = self.end()? else {
            self.over = true;
            let message = "a record that is longer than 64 MiB: `record_end` or `record_start` says where records end";
            return Ok(Some(self.bad(LONGEST, message)));
        };
        if let Some(why) = self.text.breakage().map(str::to_owned)
            && end == self.text.window().len()
        {
            self.over = true;
            return Ok(Some(self.bad(end, &why)));
        }
        if end == 0 {
            self.over = true;
            return Ok(None);
        }
        let bytes = &self.text.window()[..end];
        if let Some(message) = self.text.undecodable(bytes) {
            return Ok(Some(self.bad(end, &message)));
        }
        let payload = [&self.header, bytes].concat();
        let mut fields = Fields::default();
        self.number += 1;
        let position = self.text.position();
        let number = match &mut self.numbers {
            Some(numbers) => *numbers.entry(position).or_insert(self.number),
            None => self.number,
        };
        for number in [number, position, end as u64] {
            fields.push_of(itoa::Buffer::new().format(number), Kind::Bare);
        }
        self.text.consume(end);
        Ok(Some(fields.with_payload(Payload::new(PayloadKind::Bytes, payload))))
    }

    fn bad(&mut self, length: usize, message: &str) -> Fields {
        let cause = self.text.file().complaint(self.text.line(0), message);
        let length = length.min(self.text.window().len());
        let bad = Fields::bad(cause, &self.text.window()[..length]);
        self.text.consume(length);
        bad
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

    fn overlap(&self) -> usize {
        match self {
            Self::End(end) => end.len(),
            Self::Start(_) => 1 << 12,
        }
    }
}

impl Records for Pieces {
    fn next_record(&mut self) -> Option<Result<Fields, InputError>> {
        if self.over {
            return None;
        }
        self.block().inspect_err(|_| self.over = true).transpose()
    }

    fn position(&self) -> u64 {
        self.text.position()
    }

    fn seek(&mut self, position: u64) -> Result<(), InputError> {
        self.over = false;
        self.text.seek(position)
    }

    fn make_seekable(&mut self, stop: &Stop) -> Result<(), InputError> {
        self.numbers = Some(HashMap::new());
        self.text.make_seekable(stop)
    }
}
