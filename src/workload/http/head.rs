//! The head of an answer as it comes in: which of its lines are no headers. hyper leaves them out; here is what to say.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::base::mask;

/// Longer heads are not looked at, in bytes.
const LONGEST: usize = 256 << 10;

/// Headers that say what the body is, or where it is: without one of them, it would be taken for something else.
const VITAL: [&str; 6] = [
    "content-encoding",
    "transfer-encoding",
    "content-length",
    "content-range",
    "content-type",
    "location",
];

/// The lines of a head that are no headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    /// In words.
    pub words: String,
    /// Whether the answer cannot be understood without one of them.
    pub is_vital: bool,
}

/// Whether the head of an answer is still coming in.
#[derive(Debug, Default)]
pub(super) struct Head {
    is_open: bool,
}

impl Head {
    /// An answer begins.
    pub fn begin(&mut self) {
        self.is_open = true;
    }

    /// Whether what comes belongs to the head.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Adds what has come to the `head`, which is without its last line end once it is whole. Heads of interim answers,
    /// and blank lines before, are left out.
    pub fn see(&mut self, bytes: &[u8], head: &mut Vec<u8>) {
        if head.is_empty()
            && !bytes.starts_with(b"\r")
            && !bytes.starts_with(b"\n")
            && !is_interim(bytes)
            && let Some(end) = end(bytes)
        {
            self.is_open = false;
            return head.extend_from_slice(&bytes[..end]);
        }
        head.extend_from_slice(bytes);
        loop {
            let blank = head.iter().take_while(|byte| b"\r\n".contains(byte)).count();
            head.drain(..blank);
            let Some(end) = end(head) else { break };
            if !is_interim(head) {
                self.is_open = false;
                return head.truncate(end);
            }
            head.drain(..end);
        }
        if head.len() > LONGEST {
            self.is_open = false;
            head.clear();
        }
    }
}

/// Whether another answer follows: `100 Continue`, `103 Early Hints`.
fn is_interim(head: &[u8]) -> bool {
    let status = head.get(8..12).unwrap_or_default(); // after `HTTP/1.1`
    status.starts_with(b" 1") && status != b" 101"
}

/// Where the head ends: at the first empty line.
fn end(bytes: &[u8]) -> Option<usize> {
    static CRLF: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\n\r\n"));
    static LF: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\n\n"));
    let end = CRLF.find(bytes);
    LF.find(&bytes[..end.unwrap_or(bytes.len())]).or(end)
}

/// What is said of a head with lines that are no headers: `headers` of them are.
pub(super) fn left_out(head: &[u8], headers: usize) -> Option<Lines> {
    if memchr::memchr_iter(b'\n', head).count() == headers {
        return None; // every line is one
    }
    let mut is_after_header = false; // what continues a line that is left out, or none, is left out, too
    let mut wrong = head.split(|&byte| byte == b'\n').skip(1).filter(|line| {
        let continues = line.starts_with(b" ") || line.starts_with(b"\t");
        is_after_header = is_header(line) && (is_after_header || !continues);
        !is_after_header
    });
    let first = wrong.next()?;
    let rest: Vec<_> = wrong.collect();
    let vital = [first].into_iter().chain(rest.iter().copied()).find(|line| is_vital(line));
    let first = vital.unwrap_or(first);
    let shown = mask::apply(first.trim_ascii());
    let shown: String = String::from_utf8_lossy(&shown).chars().take(60).collect();
    let shown = shown.escape_debug();
    let words = match (vital, rest.len()) {
        (Some(_), _) => format!("a line of the answer's head cannot be read: `{shown}`"),
        (None, 0) => {
            format!("left out a line of the answer's head that is not a header: `{shown}`")
        }
        (None, more) => format!(
            "left out {} lines of the answer's head that are not headers, the first: `{shown}`",
            more + 1
        ),
    };
    Some(Lines { words, is_vital: vital.is_some() })
}

/// Whether a line was meant to be a header that says what the body is.
fn is_vital(line: &[u8]) -> bool {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
    let letters = name.iter().filter(|byte| byte.is_ascii_alphanumeric() || **byte == b'-');
    let name: String = letters.map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    VITAL.iter().any(|vital| name.starts_with(vital))
}

fn is_header(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let is_text =
        |bytes: &[u8]| bytes.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 127));
    if line.is_empty() {
        return true;
    }
    if line[0] == b' ' || line[0] == b'\t' {
        return is_text(line); // it continues the header before
    }
    let Some(colon) = memchr::memchr(b':', line) else { return false };
    let name = line[..colon].trim_ascii_end();
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_token) && is_text(&line[colon + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_headers_are_told() {
        for (head, headers, expected) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\nC : d\r\n\r\n", 2, None),
            ("HTTP/1.1 200\nA: b\n c\n\nA b", 1, None),
            ("HTTP/1.1 200 OK\r\nno header\r\n\r\n", 0, Some("`no header`")),
            ("HTTP/1.1 200 OK\r\na b: c\r\n: d\r\ne: \x01\r\n\r\n", 0, Some("3 lines")),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nno\r\n\r\nbody", 0, Some("`no`")),
            ("HTTP/1.1 103 Hints\nwrong\n\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nno header\n\n", 1, None),
            ("\r\n\r\nHTTP/1.1 200 OK\r\nno header\r\n\r\n", 0, Some("`no header`")),
            ("HTTP/1.1 200 OK\r\nx\r\nContent Kind\x01: a/b\r\n\r\n", 0, Some("2 lines")),
            ("HTTP/1.1 200 OK\r\n Content-Encoding: gzip\r\nA: b\r\n\r\n", 1, Some("read: `C")),
            ("HTTP/1.1 200 OK\r\n\tx: y\r\nA: b\r\n c\r\n\r\n", 1, Some("`x: y`")),
            ("HTTP/1.1 200 OK\r\nno\r\n header\r\n\r\n", 0, Some("2 lines")),
            ("HTTP/1.1 200 OK\r\nx\r\nContent-Type\x01: a/b\r\n\r\n", 0, Some("read: `C")),
        ] {
            for size in [1, 7, 1000] {
                let mut seen = Head::default();
                seen.begin();
                let mut kept = Vec::new();
                for bytes in head.as_bytes().chunks(size) {
                    if seen.is_open() {
                        seen.see(bytes, &mut kept);
                    }
                }
                assert!(!seen.is_open(), "{head:?}");
                let said = left_out(&kept, headers);
                match expected {
                    None => assert_eq!(said, None, "{head:?}"),
                    Some(part) => assert!(said.as_ref().unwrap().words.contains(part), "{said:?}"),
                }
            }
        }
    }
}
