//! Output as text for one cell: a single line without control characters, as a terminal would show it at last. Secrets go
//! before it is cut, since half of one would not be known for what it is.

use std::borrow::Cow;
use std::fmt::Write;

use crate::base::mask;
use crate::base::screen::plain;

/// Some programs begin whatever they write with it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// `bytes` without the byte order mark of UTF-8 at their start, which is not part of the text.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// Appends `bytes` to `out`, trimmed: line breaks as `\n`, other control characters, and bytes that are not UTF-8, as
/// `\xNN`; of a line that was written over, what came last; no colours. At most `limit` characters, the first ones, of
/// which none is cut in two.
pub fn write_clean(bytes: &[u8], limit: usize, out: &mut String) {
    let mut left = limit;
    write_pieces(bytes, out, |piece| {
        let count = piece.chars().count();
        let fits = count <= left;
        left = left.saturating_sub(count);
        fits
    });
}

/// The same, but the last characters, since the cause of a failure stands at the end. What was left out shows as `…`.
pub fn write_clean_tail(bytes: &[u8], limit: usize, out: &mut String) {
    let mut text = String::with_capacity(bytes.len());
    write_pieces(bytes, &mut text, |_| true);
    let surplus = text.chars().count().saturating_sub(limit);
    if surplus == 0 {
        return out.push_str(&text);
    }
    out.push('…');
    let from = text.char_indices().nth(surplus + 1).map_or(text.len(), |(at, _)| at);
    out.push_str(&text[from..]);
}

/// Appends the pieces of `bytes` for as long as `wanted` says so.
fn write_pieces(bytes: &[u8], out: &mut String, mut wanted: impl FnMut(&str) -> bool) {
    let bytes = mask::apply(bytes);
    let bytes: Cow<'_, [u8]> = plain(without_mark(&bytes));
    let mut clean = String::with_capacity(4);
    for piece in Pieces(bytes.trim_ascii()) {
        clean.clear();
        match piece {
            Piece::Char('\n') => clean.push_str("\\n"),
            Piece::Char(c) if !c.is_control() => clean.push(c),
            Piece::Char(c) => {
                let _ = write!(clean, "\\x{:02x}", u32::from(c));
            }
            Piece::Byte(byte) => {
                let _ = write!(clean, "\\x{byte:02x}");
            }
        }
        if !wanted(&clean) {
            return;
        }
        out.push_str(&clean);
    }
}

/// A character, or a byte that is not part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Char(char),
    Byte(u8),
}

/// The pieces of some bytes.
struct Pieces<'a>(&'a [u8]);

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let (&first, rest) = self.0.split_first()?;
        if first.is_ascii() {
            self.0 = rest;
            return Some(Piece::Char(char::from(first)));
        }
        let candidate = &self.0[..self.0.len().min(4)];
        let valid = match std::str::from_utf8(candidate) {
            Ok(text) => text,
            Err(error) => {
                std::str::from_utf8(&candidate[..error.valid_up_to()]).expect("valid up to there")
            }
        };
        if let Some(c) = valid.chars().next() {
            self.0 = &self.0[c.len_utf8()..];
            return Some(Piece::Char(c));
        }
        self.0 = rest;
        Some(Piece::Byte(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(bytes: &[u8], limit: usize) -> String {
        let mut out = String::new();
        write_clean(bytes, limit, &mut out);
        out
    }

    fn clean_tail(bytes: &[u8], limit: usize) -> String {
        let mut out = String::new();
        write_clean_tail(bytes, limit, &mut out);
        out
    }

    #[test]
    fn output_becomes_one_line() {
        for (bytes, expected) in [
            (&b" a\nb\tc\x01 \n"[..], r"a\nb\x09c\x01"),
            (b"dos\r\nline\r\n", r"dos\nline"),
            (b"50%\r100%", "100%"),
            (b"\xef\xbb\xbfn=4\n", "n=4"),
            (b"a 1%\ra 100%\n\x1b[32mdone\x1b[0m\n", r"a 100%\ndone"),
            ("grün \u{85} ü".as_bytes(), r"grün \x85 ü"),
            (b"lat\xedn \xff", r"lat\xedn \xff"),
            (b"cut \xe2\x82", r"cut \xe2\x82"),
            (b"\n\n", ""),
        ] {
            assert_eq!(clean(bytes, 500), expected);
        }
    }

    #[test]
    fn the_limit_is_in_characters_and_cuts_none() {
        assert_eq!(clean("üüüü".as_bytes(), 3), "üüü");
        assert_eq!(clean(b"ab\x01c", 3), "ab");
        assert_eq!(clean("x".repeat(501).as_bytes(), 500).len(), 500);
    }

    #[test]
    fn the_tail_is_the_end_and_says_that_it_was_cut() {
        assert_eq!(clean_tail("äöü".as_bytes(), 3), "äöü");
        assert_eq!(clean_tail("äöüß".as_bytes(), 3), "…üß");
        assert_eq!(clean_tail(b"a\nb\n", 9), r"a\nb");
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_longer_or_wilder_than_said(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            for text in [clean(&bytes, 40), clean_tail(&bytes, 40)] {
                assert!(text.chars().count() <= 40 && !text.chars().any(char::is_control));
            }
        }
    }
}
