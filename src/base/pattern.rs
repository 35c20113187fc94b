//! The regular expression of a column: over a whole text, or line by line over one that is too long to be kept.
//!
//! Both come to the same wherever the expression cannot match a line break, which is known beforehand.

use std::borrow::Cow;

use regex::bytes::Regex;
use regex_syntax::hir::{Hir, HirKind};

use super::mask;

/// Takes the place of a byte that is not text: no expression for text ends there.
const REPLACEMENT: [u8; 3] = [0xef, 0xbf, 0xbd];

/// Likewise a letter, as most such bytes are in the encoding that they have: U+A000, which no expression names.
const LETTER: [u8; 3] = [0xea, 0x80, 0x80];

/// Which match is the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Take {
    /// The first one.
    #[default]
    First,
    /// The last one.
    Last,
}

/// What was found in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// As it stands there.
    pub value: Vec<u8>,
    /// What is to be shown instead, if it has a part of a secret: that alone would not be known for one.
    pub shown: Option<Vec<u8>>,
}

impl Piece {
    /// The part of `text` at `place`.
    fn of(text: &[u8], (from, to): (usize, usize)) -> Self {
        Self { value: text[from..to].to_vec(), shown: mask::cut(text, from..to) }
    }
}

impl From<Vec<u8>> for Piece {
    fn from(value: Vec<u8>) -> Self {
        Self { value, shown: None }
    }
}

/// An expression, and which of its matches counts.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    take: Take,
    /// Whether it can match a line break, so that it needs the text as a whole.
    crosses_lines: bool,
    /// Whether it says itself what bytes it takes.
    is_of_bytes: bool,
}

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// Why it does not compile.
    pub fn new(text: &str, take: Take) -> Result<Self, String> {
        let regex = Regex::new(text).map_err(|error| {
            // Its last line is the reason; the others draw the place, which the diagnostic does.
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        })?;
        let parsed = regex_syntax::ParserBuilder::new().utf8(false).build().parse(text);
        let crosses_lines = parsed.as_ref().map_or(true, can_match_line_break);
        Ok(Self { regex, take, crosses_lines, is_of_bytes: text.contains("(?-u") })
    }

    /// Which match counts.
    pub fn take(&self) -> Take {
        self.take
    }

    /// Whether it can match a line break.
    pub fn crosses_lines(&self) -> bool {
        self.crosses_lines
    }

    /// The value in a whole text: the first group of the match that counts, or all of it.
    pub fn find(&self, text: &[u8]) -> Option<Piece> {
        self.find_among(text, 0, usize::MAX)
    }

    /// The value in the part of `text` from `start` on, of a match that begins before `end`. What surrounds that part
    /// is looked at, so that an anchor matches where it would in the whole.
    pub fn find_among(&self, text: &[u8], start: usize, end: usize) -> Option<Piece> {
        if self.is_of_bytes || std::str::from_utf8(text).is_ok() {
            return self.range(text, start, end).map(|place| Piece::of(text, place));
        }
        let found = [REPLACEMENT, LETTER].map(|stands_for| {
            let readable = Readable::new(text, stands_for);
            let (start, end) = (readable.to_readable(start), readable.to_readable(end));
            let (from, to) = self.range(&readable.text, start, end)?;
            Some((readable.to_raw(from), readable.to_raw(to)))
        });
        // Where the two differ, half a word must not pass for a whole one: a value that has such a byte is said to.
        let has_one = |&(from, to): &(usize, usize)| std::str::from_utf8(&text[from..to]).is_err();
        let [as_none, as_letter] = found;
        let certain = found.into_iter().flatten().find(has_one).or(as_letter).or(as_none);
        certain.map(|place| Piece::of(text, place))
    }

    fn range(&self, text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
        let at = match self.take {
            Take::First => start,
            Take::Last => self.last_start(text, start, end)?,
        };
        let captures = self.regex.captures_at(text, at)?;
        if captures.get_match().start() >= end {
            return None;
        }
        let group = captures.get(usize::from(self.regex.captures_len() > 1))?;
        Some((group.start(), group.end()))
    }

    fn last_start(&self, text: &[u8], start: usize, end: usize) -> Option<usize> {
        let (mut at, mut last) = (start, None);
        while at <= text.len()
            && let Some(found) = self.regex.find_at(text, at)
            && found.start() < end
        {
            last = Some(found.start());
            at = found.end() + usize::from(found.is_empty());
        }
        last
    }
}

/// A text of which every byte that is not text has been replaced.
struct Readable<'a> {
    text: Cow<'a, [u8]>,
    /// Where each of those bytes was.
    replaced: Vec<usize>,
}

impl<'a> Readable<'a> {
    fn new(raw: &'a [u8], stands_for: [u8; 3]) -> Self {
        let (mut text, mut replaced) = (Vec::with_capacity(raw.len() + 64), Vec::new());
        let mut at = 0;
        for chunk in raw.utf8_chunks() {
            text.extend_from_slice(chunk.valid().as_bytes());
            at += chunk.valid().len();
            for _ in chunk.invalid() {
                text.extend_from_slice(&stands_for);
                replaced.push(at);
                at += 1;
            }
        }
        Self { text: Cow::Owned(text), replaced }
    }

    const GROWTH: usize = REPLACEMENT.len() - 1;

    fn to_readable(&self, raw: usize) -> usize {
        let before = self.replaced.partition_point(|&at| at < raw);
        raw.saturating_add(before * Self::GROWTH)
    }

    /// A place in the middle of a replacement, which a pattern of bytes could find, is the byte's end.
    fn to_raw(&self, readable: usize) -> usize {
        let (mut low, mut high) = (0, self.replaced.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let place = self.replaced[middle] + middle * Self::GROWTH;
            if place < readable { low = middle + 1 } else { high = middle }
        }
        readable.saturating_sub(low * Self::GROWTH)
    }
}

fn can_match_line_break(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.contains(&b'\n'),
        HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
            class.iter().any(|range| range.start() <= '\n' && '\n' <= range.end())
        }
        HirKind::Class(regex_syntax::hir::Class::Bytes(class)) => {
            class.iter().any(|range| range.start() <= b'\n' && b'\n' <= range.end())
        }
        HirKind::Repetition(repetition) => can_match_line_break(&repetition.sub),
        HirKind::Capture(capture) => can_match_line_break(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().any(can_match_line_break)
        }
    }
}

/// Finds the values of several patterns in a text that comes in blocks, line by line.
#[derive(Debug)]
pub struct LineSearch {
    /// With what stands before it: a line break, unless it is the first.
    lines: Vec<u8>,
    /// Where the lines that have not been searched start: after that line break.
    start: usize,
    values: Vec<Option<Piece>>,
    /// A line was too long to be held.
    is_overlong: bool,
}

/// The longest line that is held.
const MAX_LINE: usize = 64 << 20;

impl LineSearch {
    /// For this number of patterns.
    pub fn new(patterns: usize) -> Self {
        Self { lines: Vec::new(), start: 0, values: vec![None; patterns], is_overlong: false }
    }

    /// Searches what has come, as far as it is whole lines. `clean` makes of lines what is to be searched.
    pub fn add(
        &mut self,
        block: &[u8],
        patterns: &[&Pattern],
        clean: fn(&[u8]) -> Cow<'_, [u8]>,
        forget_overwritten: fn(&mut Vec<u8>),
    ) {
        if self.is_overlong || self.is_done(patterns) {
            return;
        }
        // What was held before has no line end, and is not looked at again with every block.
        let held = self.lines.len();
        let has_returned =
            self.lines.last() == Some(&b'\r') || memchr::memchr(b'\r', block).is_some();
        self.lines.extend_from_slice(block);
        let Some(end) = memchr::memrchr(b'\n', block) else {
            if has_returned && self.lines.len() > MAX_LINE / 64 {
                forget_overwritten(&mut self.lines);
            }
            self.is_overlong = self.lines.len() > MAX_LINE;
            return;
        };
        let end = held + end + 1;
        self.search(end, end, patterns, clean);
        self.lines.drain(..end - 1);
        self.start = 1;
    }

    /// Searches the rest. The values, or `None` if a line was too long.
    pub fn finish(
        mut self,
        patterns: &[&Pattern],
        clean: fn(&[u8]) -> Cow<'_, [u8]>,
    ) -> Option<Vec<Option<Piece>>> {
        if self.is_overlong && !self.is_done(patterns) {
            return None;
        }
        if !self.is_done(patterns) {
            self.search(self.lines.len(), usize::MAX, patterns, clean);
        }
        Some(self.values)
    }

    fn is_done(&self, patterns: &[&Pattern]) -> bool {
        let is_done = |(value, pattern): (&Option<_>, &&Pattern)| {
            pattern.crosses_lines || (value.is_some() && pattern.take == Take::First)
        };
        self.values.iter().zip(patterns).all(is_done)
    }

    /// Searches the lines that end at `until`, for matches that begin before `end`.
    fn search(
        &mut self,
        until: usize,
        end: usize,
        patterns: &[&Pattern],
        clean: fn(&[u8]) -> Cow<'_, [u8]>,
    ) {
        // The end of these lines may not be that of the text, but a match there would begin there.
        let text = clean(&self.lines[..until]);
        let end = if end == usize::MAX { end } else { text.len() };
        for (value, pattern) in self.values.iter_mut().zip(patterns) {
            if pattern.crosses_lines || (value.is_some() && pattern.take == Take::First) {
                continue;
            }
            if let Some(found) = pattern.find_among(&text, self.start, end) {
                *value = Some(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &str, take: Take, text: &[u8]) -> Option<String> {
        let found = Pattern::new(pattern, take).unwrap().find(text);
        found.map(|found| found.value.escape_ascii().to_string())
    }

    fn by_lines(pattern: &str, take: Take, text: &[u8], block: usize) -> Option<String> {
        let pattern = Pattern::new(pattern, take).unwrap();
        let (patterns, mut search) = ([&pattern], LineSearch::new(1));
        for block in text.chunks(block) {
            search.add(block, &patterns, |text| Cow::Borrowed(text), |_| ());
        }
        let values = search.finish(&patterns, |text| Cow::Borrowed(text)).unwrap();
        values.into_iter().next().unwrap().map(|found| found.value.escape_ascii().to_string())
    }

    #[test]
    fn the_first_or_the_last_match_counts() {
        let text = b"epoch 1 loss=0.9\nepoch 2 loss=0.8\n";
        assert_eq!(find("loss=([0-9.]+)", Take::First, text).unwrap(), "0.9");
        assert_eq!(find("loss=([0-9.]+)", Take::Last, text).unwrap(), "0.8");
        assert_eq!(find("x*$", Take::Last, b"axx").unwrap(), "");
        assert_eq!(find("none", Take::Last, text), None);
    }

    #[test]
    fn bytes_that_are_no_text_end_no_match() {
        assert_eq!(find("name=(.+)", Take::First, b"name=M\xfcller\nx").unwrap(), r"M\xfcller");
        assert_eq!(find(r"name=(\S+)", Take::Last, b"\xff name=\xfc \xff").unwrap(), r"\xfc");
        assert_eq!(find(r"([^ ]+)$", Take::First, b"a \xe4\xf6x").unwrap(), r"\xe4\xf6x");
        assert_eq!(find("a((?-u:.*))", Take::First, b"a\xff").unwrap(), r"\xff");
        // Letters or not: half a word is not found.
        assert_eq!(find(r"(\w+) \d+", Take::First, b"Gr\xf6\xdfe 12").unwrap(), r"Gr\xf6\xdfe");
        assert_eq!(find(r"Gr\w+ (\d+)", Take::First, b"Gr\xf6\xdfe 12").unwrap(), "12");
        assert_eq!(find(r"(\W)", Take::First, b"Gr\xf6 12").unwrap(), r"\xf6");
        assert_eq!(find(r"([a-z]+) \d+", Take::First, b"Gr\xf6\xdfe 12").unwrap(), "e");
    }

    #[test]
    fn it_is_known_what_can_match_a_line_break() {
        for (pattern, expected) in [
            ("loss=([0-9.]+)", false),
            ("(?m)^done$", false),
            ("a.*b", false),
            ("(?s)a.*b", true),
            (r"a\s+b", true),
            ("[^,]+", true),
            (r"a\n", true),
            (r"(?-u:[^\n]+)", false),
        ] {
            assert_eq!(
                Pattern::new(pattern, Take::First).unwrap().crosses_lines(),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn lines_find_what_the_whole_finds() {
        let text = "first 1\nloss=0.9\n\nlöss=0.8 end\nloss=0.7\nlast x".as_bytes();
        let patterns = [
            "loss=([0-9.]+)",
            "^first ([0-9])",
            "^loss",
            "(?m)^loss=(.*)$",
            "[a-z]$",
            "x*$",
            "(?m)^$",
            r"\bend\b",
            "nothing",
            r"\Alast",
            r"(?m)^last (\w)\z",
            "ö.*d",
        ];
        for pattern in patterns {
            for take in [Take::First, Take::Last] {
                for block in [1, 2, 3, 7, 20, 1000] {
                    assert_eq!(
                        by_lines(pattern, take, text, block),
                        find(pattern, take, text),
                        "{pattern} {take:?} {block}"
                    );
                    let ended = [text, b"\n"].concat();
                    assert_eq!(
                        by_lines(pattern, take, &ended, block),
                        find(pattern, take, &ended),
                        "{pattern} {take:?} {block}"
                    );
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn lines_are_searched_like_the_whole(text in "[ab\nö1]{0,40}", block in 1_usize..9, which in 0_usize..6) {
            let pattern = ["a+", "^a", "a$", "(?m)^[ab]*$", "ö(.?)1", "a?b"][which];
            for take in [Take::First, Take::Last] {
                proptest::prop_assert_eq!(by_lines(pattern, take, text.as_bytes(), block), find(pattern, take, text.as_bytes()));
            }
        }
    }
}
