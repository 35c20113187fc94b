//! A file on its way, and what the next attempt needs to resume it: `Range` with `If-Range` (RFC 9110, 13.1.5 and 14.2).

use std::time::Duration;

use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, DATE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

use super::call::Call;
use super::part::Part;
use super::unfinished::Unfinished;

/// A file on its way.
#[derive(Debug)]
pub(super) struct Download {
    pub file: Unfinished,
    /// How much of it is there, in bytes.
    pub written: u64,
    version: Version,
    /// The URL and the headers of the GET that was answered, if the rest may be asked for.
    asked: Option<Box<(Uri, HeaderMap)>>,
    /// The headers of the first answer, which are those of the whole file.
    pub kept: Vec<(String, Vec<u8>)>,
    /// How long it will be, if the server has said so, in bytes.
    total: Option<u64>,
    /// Whether the server has answered the question for the rest with an error.
    is_doubted: bool,
}

/// Of which file, and which state of it, an answer is.
#[derive(Debug)]
struct Version {
    /// Where it came from in the end.
    uri: Uri,
    /// What the server knows it by; `None` if a rest could belong to another.
    validator: Option<HeaderValue>,
    tags: Vec<HeaderValue>,
    dates: Vec<HeaderValue>,
}

impl Version {
    fn of(headers: &HeaderMap, uri: Uri, validator: Option<HeaderValue>) -> Self {
        let all = |name| headers.get_all(name).iter().cloned().collect();
        Self { uri, validator, tags: all(ETAG), dates: all(LAST_MODIFIED) }
    }

    /// Whether an answer from `uri` is of the same. A server that has not understood `If-Range` sends the rest of
    /// whatever it has now: so it has to name the validator that was sent, and nothing may be another.
    fn is_of(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let Some(validator) = &self.validator else { return false };
        let same = |known: &[HeaderValue], name: HeaderName| {
            let is_asked = known.first() == Some(validator);
            if headers.contains_key(&name) {
                known.is_empty() || headers.get_all(name).iter().eq(known.iter())
            } else {
                !is_asked
            }
        };
        self.uri == *uri && same(&self.tags, ETAG) && same(&self.dates, LAST_MODIFIED)
    }
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
    /// A file of which nothing is there yet, for an answer to `call` of these headers from `uri`. `as_sent`: the file gets
    /// the bytes as they are on the wire.
    pub fn new(
        (file, call): (Unfinished, &Call),
        (status, headers): (StatusCode, &HeaderMap),
        uri: Uri,
        length: Option<u64>,
        as_sent: bool,
    ) -> Self {
        let is_whole = as_sent && status == StatusCode::OK && file.is_file();
        let validator = validator(headers).filter(|_| is_whole && call.is_plain_get());
        let asked =
            validator.is_some().then(|| Box::new((call.uri.clone(), call.headers().clone())));
        let version = Version::of(headers, uri, validator);
        let kept = Vec::new();
        Self { file, written: 0, version, asked, kept, total: length, is_doubted: false }
    }

    /// Whether `call` asks for the same: another request may have another answer.
    pub fn is_of(&self, call: &Call) -> bool {
        let is_same = |asked: &(Uri, HeaderMap)| asked.0 == call.uri && asked.1 == *call.headers();
        call.is_plain_get() && self.asked.as_deref().is_some_and(is_same)
    }

    /// What to send for the rest; `None` if it cannot be asked for.
    pub fn validator(&self) -> Option<&HeaderValue> {
        self.version.validator.as_ref().filter(|_| self.written > 0)
    }

    /// What is wrong with the file after an answer that had a rest of it: a server may send less than all.
    pub fn missing(&self) -> Option<String> {
        let (written, total) = (self.written, self.total?);
        (written != total).then(|| format!("body cut short after {written} of {total} bytes"))
    }

    /// What an answer from `uri` is, to the question for the rest.
    pub fn rest(&mut self, status: StatusCode, headers: &HeaderMap, uri: &Uri) -> Rest {
        match status {
            StatusCode::PARTIAL_CONTENT => {
                let plain = headers.get(CONTENT_ENCODING).is_none_or(|coding| coding == "identity");
                let total = self.total_with(headers);
                if total.is_none() || !plain || !self.version.is_of(headers, uri) {
                    return Rest::Refused;
                }
                self.total = total;
                Rest::Follows
            }
            status if status.is_success() => Rest::Anew,
            // They are about the server, or about requests that come too often.
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Rest::None
            }
            status if status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED => {
                Rest::Refused
            }
            // The first time, it may be about the server; a second time, it is about the question.
            _ if std::mem::replace(&mut self.is_doubted, true) => Rest::Refused,
            _ => Rest::None,
        }
    }

    /// The length of the whole, if the part that these headers announce comes right after what is there. Where neither
    /// this answer nor one before says it, nobody would know when all is there: a part may end anywhere.
    fn total_with(&self, headers: &HeaderMap) -> Option<u64> {
        let part = Part::of(headers).filter(|part| part.start == self.written)?;
        let total = self.total.or(part.total)?;
        let fits = part.end <= total && part.total.is_none_or(|said| said == total);
        fits.then_some(total)
    }
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
    value.as_bytes().starts_with(b"\"") && value.len() > 2 // an empty one names none
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
            (&[("etag", "\"\""), old, now], None),
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

    /// A file of which 10 bytes are there, after an answer with these headers.
    fn broken(pairs: &[(&'static str, &'static str)], length: Option<u64>) -> Download {
        let folder = tempfile::tempdir().unwrap();
        let place = super::super::save::Folder::new("").unwrap().place(folder.path(), b"x");
        let file = place.unwrap().create().unwrap();
        let answer = (StatusCode::OK, &headers(pairs));
        let uri = Uri::from_static("http://a/x");
        let mut download = Download::new((file, &Call::get(&uri)), answer, uri, length, true);
        download.written = 10;
        download
    }

    #[test]
    fn a_rest_is_of_the_same_version() {
        const OLD: (&str, &str) = ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT");
        const NEW: (&str, &str) = ("last-modified", "Fri, 27 Nov 2026 07:28:00 GMT");
        const NOW: (&str, &str) = ("date", "Sat, 28 Nov 2026 07:29:00 GMT");
        const V1: (&str, &str) = ("etag", "\"v1\"");
        const V2: (&str, &str) = ("etag", "\"v2\"");
        for (first, then, expected) in [
            (&[V1][..], &[V1][..], Rest::Follows),
            (&[V1], &[V2], Rest::Refused),
            (&[V1], &[], Rest::Refused),
            (&[V1], &[V1, V2], Rest::Refused),
            (&[V1, OLD, NOW], &[V1, OLD], Rest::Follows),
            (&[V1, OLD, NOW], &[V1], Rest::Follows),
            (&[V1, OLD, NOW], &[V1, NEW], Rest::Refused),
            (&[V1, OLD, NOW], &[OLD], Rest::Refused),
            (&[OLD, NOW], &[OLD, NOW], Rest::Follows),
            (&[OLD, NOW], &[NEW, NOW], Rest::Refused),
            (&[OLD, NOW], &[], Rest::Refused),
            (&[OLD, NOW], &[OLD, V2], Rest::Follows),
            (&[OLD, NOW], &[NEW, V2], Rest::Refused),
            (&[], &[], Rest::Refused),
        ] {
            let mut then = headers(then);
            then.insert("content-range", HeaderValue::from_static("bytes 10-19/20"));
            for (uri, expected) in [("http://a/x", expected), ("http://a/y", Rest::Refused)] {
                let uri = Uri::from_static(uri);
                let rest = broken(first, Some(20)).rest(StatusCode::PARTIAL_CONTENT, &then, &uri);
                assert_eq!(rest, expected, "{first:?} {then:?} {uri}");
            }
        }
    }

    #[test]
    fn a_rest_ends_where_the_whole_ends() {
        let tag = ("etag", "\"v1\"");
        for (length, part, expected) in [
            (Some(20), "bytes 10-19/20", Rest::Follows),
            (Some(20), "bytes 10-14/20", Rest::Follows),
            (Some(20), "bytes 10-19/*", Rest::Follows),
            (None, "bytes 10-19/20", Rest::Follows),
            (None, "bytes 10-19/*", Rest::Refused),
            (Some(20), "bytes 10-29/30", Rest::Refused),
            (Some(20), "bytes 10-29/*", Rest::Refused),
            (Some(20), "bytes 0-19/20", Rest::Refused),
            (Some(20), "items 10-19/20", Rest::Refused),
        ] {
            let headers = headers(&[tag, ("content-range", part)]);
            let mut download = broken(&[tag], length);
            let uri = Uri::from_static("http://a/x");
            let rest = download.rest(StatusCode::PARTIAL_CONTENT, &headers, &uri);
            assert_eq!(rest, expected, "{part}");
            if rest == Rest::Follows {
                assert_eq!(download.total, Some(20), "{part}"); // for the attempts to come, too
            }
        }
    }
}
