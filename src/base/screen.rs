//! What a terminal would show of an output at last: a progress bar that was written over itself is its last state, and
//! colours are gone.

use std::borrow::Cow;

const ESCAPE: u8 = 0x1b;
const BACKSPACE: u8 = 0x08;
const BELL: u8 = 0x07;

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
    /// The next character starts the line anew.
    has_returned: bool,
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
            b'\r' => self.has_returned = true,
            b'\n' => {
                self.shown.push(b'\n');
                self.line = self.shown.len();
                self.has_returned = false;
            }
            BACKSPACE => self.erase(),
            _ => {
                let steers = |&byte: &u8| matches!(byte, ESCAPE | b'\r' | b'\n' | BACKSPACE);
                let end = bytes.iter().position(steers).unwrap_or(bytes.len());
                self.begin_line();
                self.shown.extend_from_slice(&bytes[..end]);
                return &bytes[end..];
            }
        }
        &bytes[1..]
    }

    fn begin_line(&mut self) {
        if std::mem::take(&mut self.has_returned) {
            self.shown.truncate(self.line);
        }
    }

    /// Takes the last character of the line away.
    fn erase(&mut self) {
        while self.shown.len() > self.line {
            let is_inside = self.shown.pop().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
            if !is_inside {
                return;
            }
        }
    }

    /// Of all that a sequence can do, only erasing the line changes what is left to read.
    fn steer(&mut self, sequence: &[u8]) {
        match sequence {
            b"\x1b[2K" | b"\x1b[1G" => self.has_returned = true,
            b"\x1b[K" | b"\x1b[0K" => self.begin_line(),
            _ => {}
        }
    }
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
        // A string, as for the title of a window.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let end = bytes.iter().skip(2).position(|&byte| matches!(byte, BELL | ESCAPE | b'\n'));
            match end.map(|at| at + 2) {
                Some(at) if bytes[at] == BELL => at + 1,
                Some(at) if bytes[at..].starts_with(b"\x1b\\") => at + 2,
                _ => 2,
            }
        }
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
            (b"cut\x1b[3", b"cut"),
            (b"\x1b]never ended\nmore", b"never ended\nmore"),
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

    proptest::proptest! {
        #[test]
        fn nothing_is_made_up(bytes in "[a\u{1b}\\[\\]K2;\r\n\u{8}\u{7}]{0,40}") {
            let shown = plain(bytes.as_bytes());
            assert!(shown.len() <= bytes.len());
            assert!(!shown.contains(&ESCAPE) && !shown.contains(&b'\r') && !shown.contains(&BACKSPACE));
        }
    }
}
