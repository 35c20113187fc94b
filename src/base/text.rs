//! Output as text for one cell: a single line without control characters.

use std::fmt::Write;

/// Appends `bytes` to `out`, trimmed: line breaks as `\n`, other control characters, and bytes that are not UTF-8, as
/// `\xNN`. At most `limit` characters, of which none is cut in two.
pub fn write_clean(bytes: &[u8], limit: usize, out: &mut String) {
    let mut left = limit;
    let mut clean = String::with_capacity(4);
    let mut chars = Pieces(bytes.trim_ascii()).peekable();
    while let Some(piece) = chars.next() {
        clean.clear();
        match piece {
            Piece::Char('\r') if chars.peek() == Some(&Piece::Char('\n')) => continue,
            Piece::Char('\n') => clean.push_str("\\n"),
            Piece::Char(c) if !c.is_control() => clean.push(c),
            Piece::Char(c) => {
                let _ = write!(clean, "\\x{:02x}", u32::from(c));
            }
            Piece::Byte(byte) => {
                let _ = write!(clean, "\\x{byte:02x}");
            }
        }
        let count = clean.chars().count();
        if count > left {
            return;
        }
        left -= count;
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

    #[test]
    fn output_becomes_one_line() {
        for (bytes, expected) in [
            (&b" a\nb\tc\x01 \n"[..], r"a\nb\x09c\x01"),
            (b"dos\r\nline\r\n", r"dos\nline"),
            (b"50%\r100%", r"50%\x0d100%"),
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

    proptest::proptest! {
        #[test]
        fn nothing_is_longer_or_wilder_than_said(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            let text = clean(&bytes, 40);
            assert!(text.chars().count() <= 40 && !text.chars().any(char::is_control));
        }
    }
}
