//! A file on its way, and what the next attempt needs to resume it: `Range` with `If-Range` (RFC 9110, 13.1.5 and 14.2).

use std::time::Duration;

use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, DATE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::save::Unfinished;

/// A file on its way.
#[derive(Debug)]
pub(super) struct Download {
    pub file: Unfinished,
    /// How much of it is there, in bytes.
    pub written: u64,
    /// What the server knows this version by; `None` if a rest could belong to another.
    validator: Option<HeaderValue>,
    /// How long it will be, if the server has said so, in bytes.
    total: Option<u64>,
}

/// What an answer means for a file of which a part is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It has what is missing.
    Follows,
    /// It is about the whole file.
    Anew,
    /// There is no such rest: the whole has to be asked for.
    Refused,
    /// It is about neither.
    None,
}

impl Download {
    /// A file of which nothing is there yet, for an answer of these headers. `as_sent`: the file gets the bytes as they
    /// are on the wire.
    pub fn new(
        file: Unfinished,
        status: StatusCode,
        headers: &HeaderMap,
        length: Option<u64>,
        as_sent: bool,
    ) -> Self {
        let validator = validator(headers).filter(|_| as_sent && status == StatusCode::OK);
        Self { file, written: 0, validator, total: length }
    }

    /// What to send for the rest; `None` if it cannot be asked for.
    pub fn validator(&self) -> Option<&HeaderValue> {
        self.validator.as_ref().filter(|_| self.written > 0)
    }

    /// What is wrong with the file after an answer of these headers, which had a rest of it: a server may send less than all.
    pub fn missing(&self, headers: &HeaderMap) -> Option<String> {
        let total = self.total.or_else(|| range(headers)?.1)?;
        let written = self.written;
        (written != total).then(|| format!("body cut short after {written} of {total} bytes"))
    }

    /// What an answer is, to the question for the rest.
    pub fn rest(&self, status: StatusCode, headers: &HeaderMap) -> Rest {
        match status {
            StatusCode::PARTIAL_CONTENT => {
                let fits = range(headers).is_some_and(|(start, total)| {
                    start == self.written
                        && (total.is_none() || self.total.is_none() || total == self.total)
                });
                let tag = headers.get(ETAG).filter(|_| self.validator.as_ref().is_some_and(is_tag));
                let same = tag.is_none_or(|tag| Some(tag) == self.validator.as_ref());
                let plain = headers.get(CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
                if fits && same && plain { Rest::Follows } else { Rest::Refused }
            }
            StatusCode::RANGE_NOT_SATISFIABLE => Rest::Refused,
            status if status.is_success() => Rest::Anew,
            _ => Rest::None,
        }
    }
}

/// What is wrong with an answer that has a part only, where nobody has asked for one.
pub(super) fn unasked(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let part = headers.get(CONTENT_RANGE).filter(|_| status == StatusCode::PARTIAL_CONTENT)?;
    let part = String::from_utf8_lossy(part.as_bytes());
    let (range, total) = part.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let end: u64 = end.trim().parse().ok()?;
    let is_whole = start.trim() == "0" && total.trim().parse() == Ok(end.saturating_add(1));
    (!is_whole).then(|| format!("the server has sent a part that was not asked for: `{part}`"))
}

/// The start and the total of `Content-Range: bytes 10-19/20`.
fn range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim();
    let (range, total) = text.strip_prefix("bytes")?.trim_start().split_once('/')?;
    let start = range.split_once('-')?.0.trim().parse().ok()?;
    Some((start, total.trim().parse().ok()))
}

/// A tag, or a date that cannot have been given to two versions.
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    if headers.get(ACCEPT_RANGES).is_some_and(|ranges| ranges == "none") {
        return None;
    }
    if let Some(tag) = headers.get(ETAG) {
        return Some(tag.clone()).filter(is_tag);
    }
    let date = |name: HeaderName| httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok();
    let age = date(DATE)?.duration_since(date(LAST_MODIFIED)?).ok()?;
    if age < Duration::from_secs(1) { None } else { headers.get(LAST_MODIFIED).cloned() }
}

/// Whether it is a strong tag.
fn is_tag(value: &HeaderValue) -> bool {
    value.as_bytes().starts_with(b"\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_a_strong_validator_is_one() {
        let old = ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT");
        let now = ("date", "Wed, 21 Oct 2015 07:29:00 GMT");
        for (pairs, expected) in [
            (&[("etag", "\"v1\"")][..], Some("\"v1\"")),
            (&[("etag", "W/\"v1\""), old, now], None),
            (&[old, now], Some(old.1)),
            (&[old], None),
            (&[old, ("date", old.1)], None),
            (&[("etag", "\"v1\""), ("accept-ranges", "none")], None),
            (&[], None),
        ] {
            let found = validator(&headers(pairs));
            assert_eq!(found.as_ref().map(|value| value.to_str().unwrap()), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_part_that_was_not_asked_for_is_not_the_whole() {
        for (status, text, is_wrong) in [
            (206, "bytes 0-9/20", true),
            (206, "bytes 10-19/20", true),
            (206, "bytes 0-19/20", false),
            (206, "bytes 0-9/*", true),
            (206, "nonsense", false),
            (200, "bytes 0-9/20", false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let found = unasked(status, &headers(&[("content-range", text)]));
            assert_eq!(found.is_some(), is_wrong, "{text}");
        }
    }

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes 10-19/20", Some((10, Some(20)))),
            ("bytes 0-9/*", Some((0, None))),
            ("bytes */20", None),
            ("items 1-2/3", None),
        ] {
            assert_eq!(range(&headers(&[("content-range", text)])), expected, "{text}");
        }
    }
}
