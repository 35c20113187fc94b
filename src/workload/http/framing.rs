//! How a body was wrapped for its way, and how long it has to be: what came is held against it in one place, whatever the
//! protocol.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};

use super::decode::Coding;
use super::part::Part;

/// What was done to the body for its way, besides cutting it into chunks, which hyper undoes. As hyper has it, it goes
/// before `Content-Length` (RFC 9112, 6.3).
///
/// # Errors
/// In words, if a coding is unknown, or the chunks are still in the body.
pub(super) fn transfer_codings(headers: &HeaderMap) -> Result<Vec<Coding>, String> {
    if !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(Vec::new());
    }
    let lines = headers.get_all(TRANSFER_ENCODING).iter();
    let lines: Vec<_> =
        lines.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase()).collect();
    let words: Vec<_> = lines.iter().flat_map(|line| line.split(',')).map(str::trim).collect();
    // hyper undoes chunks once, if the very last word says so.
    let others = words.iter().rposition(|word| *word != "chunked").map_or(0, |last| last + 1);
    if words[..others].contains(&"chunked") {
        let shown = lines.join(", ");
        return Err(format!(
            "`Transfer-Encoding: {}`: `chunked` must come last",
            shown.escape_debug()
        ));
    }
    Coding::list(words[..others].iter().map(|word| word.as_bytes()))
}

/// How long a body has to be, as its head says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// By `Content-Length`, as it is sent, in bytes.
    length: Option<u64>,
    /// By `Content-Range`, in bytes.
    part: Option<u64>,
    /// Whether that is without the codings.
    is_part_decoded: bool,
}

impl Due {
    /// For the answer of these headers to a request by `method`, whose body has `transfer` codings and, if `is_coded`,
    /// others.
    pub fn of(
        (status, headers): (StatusCode, &HeaderMap),
        method: &Method,
        transfer: &[Coding],
        is_coded: bool,
    ) -> Self {
        if has_no_body(status, method) {
            return Self::default();
        }
        let part = Part::of(headers).filter(|_| status == StatusCode::PARTIAL_CONTENT);
        let part = part.map(Part::length);
        let chunked = headers.get_all(TRANSFER_ENCODING).iter().next_back();
        let is_chunked =
            chunked.is_some_and(|line| line.as_bytes().to_ascii_lowercase().ends_with(b"chunked"));
        let length = || headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok();
        if transfer.is_empty() {
            let length = if is_chunked { None } else { length() };
            return Self { length, part, is_part_decoded: false };
        }
        Self { length: None, part: part.filter(|_| !is_coded), is_part_decoded: true }
    }

    /// What is wrong with a body that has ended after `sent` bytes, which were `decoded` ones.
    pub fn check(self, sent: u64, decoded: u64) -> Result<(), Mismatch> {
        let of_part = if self.is_part_decoded { decoded } else { sent };
        for (due, came) in [(self.length, sent), (self.part, of_part)] {
            match due {
                Some(due) if came < due => return Err(Mismatch::Short(came, due)),
                Some(due) if came > due => return Err(Mismatch::Long(came, due)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether nothing is known of it.
    pub fn is_unknown(self) -> bool {
        self.length.is_none() && self.part.is_none()
    }
}

/// Whether the headers are about a body that is not sent.
pub(super) fn has_no_body(status: StatusCode, method: &Method) -> bool {
    *method == Method::HEAD
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// What came, and what had to, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// The rest may still be had.
    Short(u64, u64),
    /// Nobody knows which bytes belong to the body.
    Long(u64, u64),
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Short(came, due) => write!(f, "body cut short after {came} of {due} bytes"),
            Self::Long(came, due) => {
                write!(f, "the body has {came} bytes, and its head says {due}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn chunks_that_are_still_in_the_body_are_no_text() {
        for (lines, expected) in [
            (&["chunked"][..], Some(vec![])),
            (&["Chunked", "chunked"], Some(vec![])),
            (&["identity, chunked"], Some(vec![])),
            (&["identity"], Some(vec![])),
            (&[""], Some(vec![])),
            (&["gzip"], Some(vec![Coding::Gzip])),
            (&["gzip", "chunked"], Some(vec![Coding::Gzip])),
            (&["chunked, identity"], None),
            (&["chunked, none"], None),
            (&["chunked,"], None),
            (&["chunked", ""], None),
            (&["chunked", "identity"], None),
            (&["chunked, gzip"], None),
            (&["chunked, gzip, chunked"], None),
            (&["chunked;q=1"], None),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("transfer-encoding", *line)).collect();
            let mut headers = headers(&lines);
            for length in [false, true] {
                if length {
                    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("15"));
                }
                assert_eq!(transfer_codings(&headers).ok(), expected, "{lines:?}");
            }
        }
    }

    #[test]
    fn a_body_is_as_long_as_its_head_says() {
        let length = ("content-length", "10");
        let part = ("content-range", "bytes 100-109/*");
        let whole = ("content-range", "bytes 0-19/20");
        let te = |value| ("transfer-encoding", value);
        for (status, lines, right) in [
            (200, &[length][..], Some(10)),
            (200, &[], None),
            (200, &[te("identity"), length], Some(10)),
            (200, &[te("chunked"), length], None),
            (200, &[te("gzip, chunked"), length], None),
            (200, &[part], None),
            (206, &[part], Some(10)),
            (206, &[part, te("chunked")], Some(10)),
            (206, &[part, length], Some(10)),
            (206, &[whole, te("gzip")], Some(20)),
            (204, &[length], None),
            (304, &[length], None),
        ] {
            let headers = headers(lines);
            let answer = (StatusCode::from_u16(status).unwrap(), &headers);
            let transfer = transfer_codings(&headers).unwrap();
            let due = Due::of(answer, &Method::GET, &transfer, false);
            assert_eq!(due.is_unknown(), right.is_none(), "{lines:?}");
            let right = right.unwrap_or(3);
            assert_eq!(due.check(right, right), Ok(()), "{lines:?}");
            if !due.is_unknown() {
                assert!(due.check(right - 1, right - 1).is_err(), "{lines:?}");
                assert!(due.check(right + 1, right + 1).is_err(), "{lines:?}");
            }
            assert!(Due::of(answer, &Method::HEAD, &transfer, false).is_unknown());
        }
        let headers = headers(&[whole, length]);
        let due = Due::of((StatusCode::PARTIAL_CONTENT, &headers), &Method::GET, &[], false);
        assert_eq!(due.check(10, 10), Err(Mismatch::Short(10, 20)));
    }
}
