//! Base64 that is broken into lines, as `base64` and MIME write it: a secret may begin anywhere in one, so the breaks may be
//! anywhere in it. It is looked for in the text without its line breaks.

use std::ops::Range;

/// Shorter forms are not broken: something else would be taken for them.
pub(super) const SHORTEST: usize = 8;

/// This many characters at the end of a line may be the start of a secret.
const PLAUSIBLE: usize = 4;

/// A line of base64 without anything else is as long at least.
const LINE: usize = 20;

/// A text without its line breaks and the blanks that follow them.
struct Joined {
    text: Vec<u8>,
    /// Where each byte was.
    places: Vec<usize>,
}

impl Joined {
    /// `None` if there are no line breaks.
    fn of(text: &[u8]) -> Option<Self> {
        let has_breaks = memchr::memchr2(b'\n', b'\r', text).is_some()
            || memchr::memmem::find(text, b"\\n").is_some()
            || memchr::memmem::find(text, b"\\r").is_some();
        if !has_breaks {
            return None;
        }
        let mut joined =
            Self { text: Vec::with_capacity(text.len()), places: Vec::with_capacity(text.len()) };
        let (mut at, mut is_after_break) = (0, false);
        while let Some(&byte) = text.get(at) {
            let is_escaped = byte == b'\\' && matches!(text.get(at + 1), Some(b'n' | b'r'));
            if is_escaped || matches!(byte, b'\n' | b'\r') {
                is_after_break = true;
                at += if is_escaped { 2 } else { 1 };
                continue;
            }
            if !(is_after_break && matches!(byte, b' ' | b'\t')) {
                is_after_break = false;
                joined.text.push(byte);
                joined.places.push(at);
            }
            at += 1;
        }
        Some(joined)
    }

    /// Where these bytes were.
    fn range(&self, joined: Range<usize>) -> Option<Range<usize>> {
        let start = *self.places.get(joined.start)?;
        let last = *self.places.get(joined.end.checked_sub(1)?)?;
        Some(start..last + 1)
    }
}

/// Where `finder` finds something in `text`, line breaks left out.
pub(super) fn find(finder: &aho_corasick::AhoCorasick, text: &[u8]) -> Vec<Range<usize>> {
    let Some(joined) = Joined::of(text) else { return Vec::new() };
    finder.find_iter(&joined.text).filter_map(|found| joined.range(found.range())).collect()
}

/// How much of a text has to be looked at for a part of a form of this length, in bytes.
fn window(longest: usize) -> usize {
    2 * longest + 256
}

/// Where the end of `text` begins that may be the start of one of `forms`, with a line break in it.
pub(super) fn start_of_rest(forms: &[Vec<u8>], text: &[u8]) -> Option<usize> {
    let longest = forms.iter().map(Vec::len).max()?;
    let from = text.len().saturating_sub(window(longest));
    let joined = Joined::of(&text[from..])?;
    let length = joined.text.len();
    let is_start = |at: &usize| {
        let rest = &joined.text[*at..];
        forms.iter().any(|form| form.len() > rest.len() && form.starts_with(rest))
            && is_plausible(rest, &text[..from + joined.places[*at]])
    };
    let found = (length.saturating_sub(longest)..length).find(is_start)?;
    Some(from + joined.places[found])
}

/// Whether `rest` may be the start of a secret after `before`: it is of some length, or ends a line of nothing but base64.
fn is_plausible(rest: &[u8], before: &[u8]) -> bool {
    let line = before.iter().rev().take_while(|byte| !matches!(byte, b'\n' | b'\r'));
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
    let (mut length, mut is_all) = (rest.len(), true);
    if length >= PLAUSIBLE {
        return true;
    }
    for byte in line {
        length += 1;
        is_all &= is_base64(byte);
    }
    is_all && length >= LINE
}

/// How long the start of `text` is that is the end of one of `forms`, with a line break in it.
pub(super) fn end_after_cut(forms: &[Vec<u8>], text: &[u8]) -> usize {
    let longest = forms.iter().map(Vec::len).max().unwrap_or(0);
    let Some(joined) = Joined::of(&text[..text.len().min(window(longest))]) else { return 0 };
    let rest = |form: &Vec<u8>| {
        let last = form.len().saturating_sub(PLAUSIBLE);
        let from = (1..=last).find(|&from| joined.text.starts_with(&form[from..]))?;
        Some(form.len() - from)
    };
    let most = forms.iter().filter_map(rest).max().unwrap_or(0);
    joined.range(0..most).map_or(0, |range| range.end)
}

/// How long the end of `text` is that is the start of one of `forms`, with a line break in it.
pub(super) fn start_before_cut(forms: &[Vec<u8>], text: &[u8]) -> usize {
    let longest = forms.iter().map(Vec::len).max().unwrap_or(0);
    let from = text.len().saturating_sub(window(longest));
    let Some(joined) = Joined::of(&text[from..]) else { return 0 };
    let start = |form: &Vec<u8>| {
        (PLAUSIBLE..form.len()).rev().find(|&to| joined.text.ends_with(&form[..to]))
    };
    let most = forms.iter().filter_map(start).max().unwrap_or(0);
    let place = joined.text.len().checked_sub(most).and_then(|at| joined.places.get(at));
    place.map_or(0, |at| text.len() - from - at)
}
