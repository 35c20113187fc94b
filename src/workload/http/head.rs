//! The head of an answer as it comes in: which of its lines are no headers. hyper leaves them out; here is what to say.

/// Longer heads are not looked at, in bytes.
const LONGEST: usize = 256 << 10;

/// The head of an answer, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// What came before, if the head came in several pieces.
    held: Vec<u8>,
    is_open: bool,
}

impl Head {
    /// An answer begins.
    pub fn begin(&mut self) {
        self.held.clear();
        self.is_open = true;
    }

    /// Looks at what has come. Says what is wrong with the head once it is there, if anything.
    pub fn see(&mut self, bytes: &[u8]) -> Option<String> {
        if !self.is_open {
            return None;
        }
        if self.held.is_empty()
            && let Some(end) = end(bytes)
        {
            self.is_open = false;
            return left_out(&bytes[..end]);
        }
        self.held.extend_from_slice(bytes);
        let end = end(&self.held);
        if end.is_some() || self.held.len() > LONGEST {
            self.is_open = false;
        }
        let said = end.and_then(|end| left_out(&self.held[..end]));
        if !self.is_open {
            self.held = Vec::new();
        }
        said
    }
}

/// Where the head ends.
fn end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find(|&at| {
        let rest = &bytes[at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}

/// What is said of a head with lines that are no headers.
fn left_out(head: &[u8]) -> Option<String> {
    let mut wrong = head.split(|&byte| byte == b'\n').skip(1).filter(|line| !is_header(line));
    let first = wrong.next()?;
    let shown: String = String::from_utf8_lossy(first.trim_ascii()).chars().take(60).collect();
    let shown = shown.escape_debug();
    Some(match wrong.count() {
        0 => format!("left out a line of the answer's head that is not a header: `{shown}`"),
        more => format!(
            "left out {} lines of the answer's head that are not headers, the first: `{shown}`",
            more + 1
        ),
    })
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
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\nC : d\r\n\r\n", None),
            ("HTTP/1.1 200\nA: b\n c\n\nA b", None),
            ("HTTP/1.1 200 OK\r\nno header\r\n\r\n", Some("`no header`")),
            ("HTTP/1.1 200 OK\r\na b: c\r\n: d\r\ne: \x01\r\n\r\n", Some("3 lines")),
        ] {
            for size in [1, 7, 1000] {
                let mut seen = Head::default();
                seen.begin();
                let said: Vec<_> =
                    head.as_bytes().chunks(size).filter_map(|bytes| seen.see(bytes)).collect();
                match expected {
                    None => assert_eq!(said, Vec::<String>::new(), "{head:?}"),
                    Some(part) => {
                        assert!(said.len() == 1 && said[0].contains(part), "{head:?}: {said:?}");
                    }
                }
            }
        }
    }
}
