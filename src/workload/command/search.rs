//! The columns of one stream: over its text as a whole while that is kept, line by line over a longer one.

use std::borrow::Cow;

use encoding_rs::{Decoder, Encoding};
use indicatif::HumanBytes;

use crate::base::screen::{forget_overwritten, plain};
use crate::base::text::without_mark;
use crate::base::{LineSearch, Pattern, Piece};
use crate::workload::columns::Column;

/// The bytes of UTF-8's byte order mark; others have two.
pub const LONGEST_MARK: usize = 3;

/// Finds the values of columns in a stream that comes in blocks.
#[derive(Debug)]
pub struct Search {
    /// Each with its place among all columns of the command.
    columns: Vec<(usize, Column)>,
    encoding: Option<&'static Encoding>,
    /// What came after what is kept, while there is too little of both to tell whether it starts with a byte order mark.
    start: Vec<u8>,
    /// Begun as soon as there is more than is kept, and enough of it for that.
    lines: Option<Lines>,
}

struct Lines {
    search: LineSearch,
    decoder: Option<Decoder>,
    /// Kept from block to block.
    text: String,
    /// Some bytes are not of its encoding.
    has_errors: bool,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.search.fmt(f)
    }
}

/// A value with its place among all columns, if it has been found.
type Value = (usize, Option<Piece>);

/// What has been found, each with its place among all columns; or why something could not be looked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub values: Vec<Value>,
    pub error: Option<String>,
    /// Why a value that is not there was not to be had.
    pub doubt: Option<String>,
}

impl Search {
    /// For these columns, in a stream of this encoding, if it is not UTF-8. `None` if there are none.
    pub fn new(columns: Vec<(usize, Column)>, encoding: Option<&'static Encoding>) -> Option<Self> {
        (!columns.is_empty()).then_some(Self { columns, encoding, start: Vec::new(), lines: None })
    }

    /// Forgets what has been found.
    pub fn clear(&mut self) {
        self.start.clear();
        self.lines = None;
    }

    /// Searches a block after what is kept, which is `head`, the same each time, and is searched first.
    pub fn add(&mut self, head: &[u8], block: &[u8]) {
        if let Some(lines) = &mut self.lines {
            return lines.add(block, &patterns(&self.columns));
        }
        if head.len() + self.start.len() + block.len() < LONGEST_MARK {
            return self.start.extend_from_slice(block);
        }
        self.begin(head, block);
    }

    /// Begins to search line by line. A byte order mark is not part of the text, wherever the limit and the blocks cut it.
    fn begin(&mut self, head: &[u8], block: &[u8]) {
        let Self { columns, encoding, start, lines } = self;
        let patterns = patterns(columns);
        let parts = [head, start, block];
        let first: Vec<u8> = parts.into_iter().flatten().copied().take(LONGEST_MARK).collect();
        let encoding = encoding_of(&first, *encoding);
        let lines = lines.insert(Lines::new(patterns.len(), encoding));
        // The decoder of another encoding takes its own mark away.
        let mut mark = encoding.map_or(first.len() - without_mark(&first).len(), |_| 0);
        for part in parts {
            let (of_mark, text) = part.split_at(mark.min(part.len()));
            mark -= of_mark.len();
            lines.add(text, &patterns);
        }
        start.clear();
    }

    /// The values, at the end of a stream of which `head` was kept; `total` is its size.
    pub fn finish(&mut self, head: &[u8], total: u64) -> Found {
        if !self.start.is_empty() && self.lines.is_none() {
            self.begin(head, &[]);
        }
        match self.lines.take() {
            None => self.in_whole(head),
            Some(lines) => self.in_lines(lines, head.len(), total),
        }
    }

    fn in_whole(&self, head: &[u8]) -> Found {
        let text = decoded(head, encoding_of(head, self.encoding));
        let shown = plain(&text);
        let mut doubt = None;
        let find = |(place, column): &(usize, Column)| {
            let as_it_came = || column.extract(&text, &[]).ok().flatten();
            let value = match column.pattern() {
                Some(_) => None,
                None => as_it_came(),
            };
            let value = value.map_or_else(|| column.extract(&shown, &[]), |value| Ok(Some(value)));
            let value = value.unwrap_or_else(|why| {
                doubt.get_or_insert_with(|| column.doubt(&why));
                None
            });
            (*place, value)
        };
        let values: Vec<_> = self.columns.iter().map(find).collect();
        let has_errors = |encoding: &&'static Encoding| encoding.decode_with_bom_removal(head).1;
        let replaced = encoding_of(head, self.encoding)
            .filter(|_| values.iter().any(has_replacement))
            .filter(has_errors)
            .map(in_other_bytes);
        Found { values, error: None, doubt: doubt.or(replaced) }
    }

    fn in_lines(&self, mut lines: Lines, kept: usize, total: u64) -> Found {
        let patterns = patterns(&self.columns);
        lines.end(&patterns);
        let values = lines.search.finish(&patterns, plain);
        let (size, kept) = (HumanBytes(total), HumanBytes(kept as u64));
        let (mut found, mut next) = (Found::default(), 0);
        for (place, column) in &self.columns {
            let stream = column.stream.what();
            let reason = match column.pattern() {
                None => Some(format!(
                    "its JSON cannot be read: {stream} has {size}, of which `capture` keeps {kept}; raise `capture`"
                )),
                Some(pattern) if pattern.crosses_lines() => Some(format!(
                    "its regex can match a line break, and {stream} has {size}, of which `capture` keeps {kept}; \
                     raise `capture`, or write `[^\\n…]` and `[ \\t]` for what is to stay within a line"
                )),
                Some(_) if values.is_none() => {
                    Some(format!("{stream} has a line of more than 64 MiB"))
                }
                Some(_) => None,
            };
            let value = column.pattern().and_then(|_| {
                next += 1;
                values.as_ref()?.get(next - 1)?.clone()
            });
            if let Some(reason) = reason {
                let reason = format!("column `{}`: {reason}", column.name);
                found.error.get_or_insert(reason);
                found.values.push((*place, None));
            } else {
                found.values.push((*place, value));
            }
        }
        if lines.has_errors && found.values.iter().any(has_replacement) {
            found.doubt = lines.decoder.as_ref().map(|decoder| in_other_bytes(decoder.encoding()));
        }
        found
    }
}

impl Lines {
    fn new(patterns: usize, encoding: Option<&'static Encoding>) -> Self {
        let decoder = encoding.map(Encoding::new_decoder_with_bom_removal);
        Self { search: LineSearch::new(patterns), decoder, text: String::new(), has_errors: false }
    }

    fn add(&mut self, block: &[u8], patterns: &[&Pattern]) {
        match &mut self.decoder {
            None => self.search.add(block, patterns, plain, forget_overwritten),
            Some(_) => self.decode(block, false, patterns),
        }
    }

    fn end(&mut self, patterns: &[&Pattern]) {
        if self.decoder.is_some() {
            self.decode(b"", true, patterns);
        }
    }

    fn decode(&mut self, block: &[u8], is_last: bool, patterns: &[&Pattern]) {
        let Some(decoder) = &mut self.decoder else { return };
        self.text.clear();
        self.text.reserve(decoder.max_utf8_buffer_length(block.len()).unwrap_or(block.len()));
        // There is room for all of it.
        let (_, _, has_errors) = decoder.decode_to_string(block, &mut self.text, is_last);
        self.has_errors |= has_errors;
        self.search.add(self.text.as_bytes(), patterns, plain, forget_overwritten);
    }
}

fn has_replacement((_, value): &Value) -> bool {
    let replacement = "\u{fffd}".as_bytes();
    value.as_ref().is_some_and(|found| memchr::memmem::find(&found.value, replacement).is_some())
}

fn in_other_bytes(encoding: &'static Encoding) -> String {
    let name = encoding.name();
    format!("the output has bytes that are not {name}: they are read as U+FFFD")
}

fn patterns(columns: &[(usize, Column)]) -> Vec<&Pattern> {
    columns.iter().filter_map(|(_, column)| column.pattern()).collect()
}

/// The encoding of a stream that starts with `head`: the one that the job file names, else that of a byte order mark.
/// UTF-8 needs no decoding.
pub fn encoding_of(head: &[u8], named: Option<&'static Encoding>) -> Option<&'static Encoding> {
    let marked = || Encoding::for_bom(head).map(|(encoding, _)| encoding);
    named.or_else(marked).filter(|&encoding| encoding != encoding_rs::UTF_8)
}

/// `bytes` as UTF-8, if they are in another encoding, without the byte order mark at their start.
pub fn decoded<'a>(bytes: &'a [u8], encoding: Option<&'static Encoding>) -> Cow<'a, [u8]> {
    match encoding {
        None => Cow::Borrowed(without_mark(bytes)),
        Some(encoding) => match encoding.decode_with_bom_removal(bytes).0 {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
    }
}
