//! What a terminal would show of an output at last: a progress bar that was written over itself is its last state, and
//! colours are gone.

use std::borrow::Cow;

const ESCAPE: u8 = 0x1b;
const BACKSPACE: u8 = 0x08;
const BELL: u8 = 0x07;
/// The end of a string, as one character.
const STRING_TERMINATOR: &[u8] = "\u{9c}".as_bytes();

/// `bytes` without what steers a terminal: escape sequences, text that was written over after a carriage return, or
/// erased by a backspace. Bytes that need none of that are handed back as they are.
pub fn plain(bytes: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr3(ESCAPE, b'\r', BACKSPACE, bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let mut screen = Screen::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = screen.take(rest);
    }
    Cow::Owned(screen.shown)
}

/// Drops from an unfinished line what it would not show in the end: what was written over, and what an unfinished string
/// has in it so far.
pub fn shorten(line: &mut Vec<u8>) {
    forget_overwritten(line);
    if let Some(at) = memchr::memrchr(ESCAPE, line)
        && line.get(at + 1).is_some_and(|&byte| starts_string(byte))
        && split_sequence(&line[at..]).1.is_empty()
        && line.len() > at + 4
    {
        let last = line.len() - 2; // they may be the first half of its end
        line.drain(at + 2..last);
    }
}

/// Drops from the unfinished last line in `bytes` what a carriage return has let be written over, so that a progress
/// bar of any length needs no room.
pub fn forget_overwritten(bytes: &mut Vec<u8>) {
    let line = memchr::memrchr(b'\n', bytes).map_or(0, |at| at + 1);
    let last = bytes.len().saturating_sub(1);
    if last <= line {
        return;
    }
    if let Some(at) = memchr::memrchr(b'\r', &bytes[line..last]) {
        bytes.drain(line..=line + at);
    }
}

/// Lines as they have come to stand.
#[derive(Default)]
struct Screen {
    shown: Vec<u8>,
    /// Where the last line starts.
    line: usize,
    /// Where the next character goes, if that is before the end: what stands from there on is written over.
    cursor: Option<usize>,
}

impl Screen {
    /// Takes one character, sequence or run of text; returns what follows it.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match bytes[0] {
            ESCAPE => {
                let (sequence, rest) = split_sequence(bytes);
                self.steer(sequence);
                return rest;
            }
            b'\r' => self.cursor = Some(self.line),
            b'\n' => {
                self.shown.push(b'\n');
                self.line = self.shown.len();
                self.cursor = None;
            }
            BACKSPACE if self.cursor.is_some() => self.cursor = Some(self.back(1)),
            BACKSPACE => self.erase(),
            _ => {
                let steers = |&byte: &u8| matches!(byte, ESCAPE | b'\r' | b'\n' | BACKSPACE);
                let end = bytes.iter().position(steers).unwrap_or(bytes.len());
                self.erase_rest();
                self.shown.extend_from_slice(&bytes[..end]);
                return &bytes[end..];
            }
        }
        &bytes[1..]
    }

    fn erase_rest(&mut self) {
        if let Some(cursor) = self.cursor.take() {
            self.shown.truncate(cursor);
        }
    }

    /// Where the character at this distance before the cursor starts, or the line.
    fn back(&self, distance: usize) -> usize {
        let end = self.cursor.unwrap_or(self.shown.len());
        let starts = (self.line..end).rev().filter(|&at| is_start(self.shown[at]));
        starts.take(distance).last().unwrap_or(end)
    }

    /// Where the character in this column starts, the first being 0; the end, if the line is shorter.
    fn column(&self, column: usize) -> usize {
        let mut starts = (self.line..self.shown.len()).filter(|&at| is_start(self.shown[at]));
        starts.nth(column).unwrap_or(self.shown.len())
    }

    /// Takes the last character of the line away.
    fn erase(&mut self) {
        while self.shown.len() > self.line {
            if self.shown.pop().is_some_and(is_start) {
                return;
            }
        }
    }

    /// Puts blanks in the place of what stands before the cursor, and at it.
    fn blank(&mut self) {
        let end = self.cursor.unwrap_or(self.shown.len());
        let after = self.shown.split_off(end);
        let at = after.iter().skip(1).position(|&byte| is_start(byte) || byte == b'\n');
        let at = at.map_or(after.len(), |at| at + 1);
        let count = |bytes: &[u8]| bytes.iter().filter(|&&byte| is_start(byte)).count();
        let before = count(&self.shown[self.line..]);
        self.shown.truncate(self.line);
        self.shown.resize(self.line + before + count(&after[..at]), b' ');
        self.cursor = self.cursor.map(|_| self.line + before);
        self.shown.extend_from_slice(&after[at..]);
    }

    /// Of all that a sequence can do, only erasing and going back in the line change what is left to read.
    fn steer(&mut self, sequence: &[u8]) {
        let body = sequence.strip_prefix(b"\x1b[").unwrap_or_default();
        let Some((&kind, parameter)) = body.split_last() else { return };
        let parsed = std::str::from_utf8(parameter).ok().and_then(|text| text.parse().ok());
        let Some(number) = parsed.or(parameter.is_empty().then_some(0_usize)) else { return };
        let count = number.max(1);
        match (kind, number) {
            (b'D', _) => self.cursor = Some(self.back(count)),
            (b'G', _) => self.cursor = Some(self.column(count - 1)),
            (b'K', 0) => self.erase_rest(),
            (b'K', 1) => self.blank(),
            (b'K', 2) => self.cursor = Some(self.line),
            _ => {}
        }
    }
}

/// Whether a character starts with this byte.
fn is_start(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

/// Whether a string begins with this byte after an escape, as for the title of a window.
fn starts_string(byte: u8) -> bool {
    matches!(byte, b']' | b'P' | b'X' | b'^' | b'_')
}

/// The length of a string that `bytes` start with, with its end. One without an end takes the rest of its line, or up to
/// what is written over it.
fn string_length(bytes: &[u8]) -> usize {
    let mut overwritten = None;
    let mut from = 0;
    let ends =
        |&byte: &u8| matches!(byte, BELL | ESCAPE | b'\n' | b'\r') || byte == STRING_TERMINATOR[0];
    while let Some(at) = bytes[from..].iter().position(ends).map(|at| from + at) {
        from = at + 1;
        match bytes[at] {
            BELL => return at + 1,
            ESCAPE if bytes[at..].starts_with(b"\x1b\\") => return at + 2,
            ESCAPE | b'\n' => return overwritten.unwrap_or(at),
            b'\r' => overwritten = overwritten.or(Some(at)),
            _ if bytes[at..].starts_with(STRING_TERMINATOR) => return at + 2,
            _ => {}
        }
    }
    overwritten.unwrap_or(bytes.len())
}

/// Splits the escape sequence (ECMA-48) off that `bytes` start with. One that has no end is taken for its first two
/// bytes, so that it swallows nothing; one that the end of `bytes` cuts, for all of them.
fn split_sequence(bytes: &[u8]) -> (&[u8], &[u8]) {
    let is_intermediate = |byte: u8| (0x20..0x30).contains(&byte);
    let length = match bytes.get(1) {
        Some(b'[') => {
            let body = bytes[2..].iter().take_while(|&&byte| (0x20..0x40).contains(&byte)).count();
            match bytes.get(2 + body) {
                Some(0x40..0x7f) => 3 + body,
                Some(_) => 2,
                None => bytes.len(),
            }
        }
        Some(&byte) if starts_string(byte) => 2 + string_length(&bytes[2..]),
        Some(&byte) if is_intermediate(byte) => {
            let body = bytes[1..].iter().take_while(|&&byte| is_intermediate(byte)).count();
            (2 + body).min(bytes.len())
        }
        Some(0x30..0x7f) => 2,
        Some(_) | None => 1,
    };
    bytes.split_at(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_show_is_left() {
        for (bytes, expected) in [
            (&b"plain\n"[..], &b"plain\n"[..]),
            (b"a\r\nb\r\n", b"a\nb\n"),
            (b"1%\r50%\r100%\ndone", b"100%\ndone"),
            (b"100%\r", b"100%"),
            (b"100%\r\x1b[Kdone\n", b"done\n"),
            (b"100%\r\x1b[K\n", b"\n"),
            (b"100%\x1b[2K\x1b[1Gdone\n", b"done\n"),
            (b"\x1b[1m\x1b[33mwarning\x1b[0m: x", b"warning: x"),
            (b"\x1b]0;title\x07text", b"text"),
            (b"\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\", b"link"),
            (b"\x1b(Btext", b"text"),
            (b"b\x08bo\x08ol\x08ld", b"bold"),
            (b"10\x08\x0811", b"11"),
            (b"10%\x1b[3Dv=7\n", b"v=7\n"),
            (b"v=10%\x1b[Gv=20%", b"v=20%"),
            ("\u{e4}b\u{fc}\x1b[2Dx".as_bytes(), "\u{e4}x".as_bytes()),
            (b"a: 1%\x1b[4G2%\x1b[4G3%\n", b"a: 3%\n"),
            (b"/\x1b[D-\x1b[1D", b"-"),
            (b"ab\x1b[99Dc\x1b[99Gd", b"cd"),
            (b"ab\x1b[D\x1b[K\n", b"a\n"),
            (b"ab\x1b[D\x08\x08\x08\x1b[Dc", b"c"),
            (b"cut\x1b[3", b"cut"),
            (b"n=1\x1b]never ended\nmore", b"n=1\nmore"),
            (b"n=9\x1b]0;never ended\rn=1\n", b"n=1\n"),
            (b"\x1b]0;a title\rof two lines\x07n=1\n", b"n=1\n"),
            (b"\x1b]0;a title\xc2\x9cn=1\n", b"n=1\n"),
            ("\x1b]0;\u{dc}\u{9c}n=1\n".as_bytes(), b"n=1\n"),
            (b"\x1bPq#0n=2\x1b\\n=1\n", b"n=1\n"),
            (b"\x1bPq#0n=2\x1b[0mn=1\n", b"n=1\n"),
            (b"n=1\x1b]cut", b"n=1"),
            (b"n=123\x1b[1Kn=4\n", b"     n=4\n"),
            ("a\n\u{e4}bc\x1b[2D\x1b[1K\n".as_bytes(), b"a\n  c\n"),
            (b"all\x1b[1K\rn=1\n", b"n=1\n"),
            (b"\xff\x1b\xfe", b"\xff\xfe"),
        ] {
            assert_eq!(plain(bytes), expected, "{:?}", bytes.escape_ascii().to_string());
        }
        assert!(matches!(plain(b"x\ny"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_progress_bar_needs_no_room() {
        for (bytes, expected) in [
            (&b"a\n1%\r2%\r3%"[..], &b"a\n3%"[..]),
            (b"1%\r2%\r", b"2%\r"),
            (b"a\r\n", b"a\r\n"),
            (b"", b""),
            (b"\r", b"\r"),
        ] {
            let mut bytes = bytes.to_vec();
            forget_overwritten(&mut bytes);
            assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn an_unfinished_line_is_shortened() {
        for (line, expected) in [
            (&b"1%\r2%\r3%"[..], &b"3%"[..]),
            (b"n=1\x1b]1337;QUJDQUJD", b"n=1\x1b]JD"),
            (b"\x1b]0;t\x07n=1", b"\x1b]0;t\x07n=1"),
            (b"\x1b]0;long\x1b", b"\x1b]0;long\x1b"),
            (b"\x1b]\xc2", b"\x1b]\xc2"),
            (b"n=1\x1b[31m", b"n=1\x1b[31m"),
        ] {
            let mut line = line.to_vec();
            shorten(&mut line);
            assert_eq!(line.escape_ascii().to_string(), expected.escape_ascii().to_string());
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_made_up(bytes in "[a\u{1b}\\[\\]KDG12;\r\n\u{8}\u{7}]{0,40}") {
            let shown = plain(bytes.as_bytes());
            assert!(shown.len() <= bytes.len());
            assert!(!shown.contains(&ESCAPE) && !shown.contains(&b'\r') && !shown.contains(&BACKSPACE));
        }
    }
}
