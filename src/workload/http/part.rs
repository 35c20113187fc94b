//! Which part of a whole an answer has: `206` with `Content-Range` (RFC 9110, 14.4 and 15.3.7).

use http::header::{CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

/// What `Content-Range: bytes 10-19/20` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub start: u64,
    /// The first byte that is not in it.
    pub end: u64,
    /// The length of the whole; `None` is `*`: the server does not know it.
    pub total: Option<u64>,
}

impl Part {
    /// Reads it, if it is there and makes sense. Lines that contradict each other make none.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut parts = headers.get_all(CONTENT_RANGE).iter().map(Self::read);
        let first = parts.next()??;
        parts.all(|part| part == Some(first)).then_some(first)
    }

    fn read(value: &HeaderValue) -> Option<Self> {
        let (unit, rest) = value.to_str().ok()?.trim().split_once([' ', '\t'])?;
        let (range, total) = rest.split_once('/')?;
        let (start, last) = range.split_once('-')?;
        let (start, end) = (number(start)?, number(last)?.checked_add(1)?);
        let total = if total.trim() == "*" { None } else { Some(number(total)?) };
        let is_right = start < end && total.is_none_or(|total| end <= total);
        (unit.eq_ignore_ascii_case("bytes") && is_right).then_some(Self { start, end, total })
    }

    /// How many bytes it has.
    pub fn length(self) -> u64 {
        self.end - self.start
    }

    fn is_whole(self) -> bool {
        self.start == 0 && self.total == Some(self.end)
    }

    /// Whether it has all of these `ranges` that there are: a server may send what lies close together as one part.
    fn has_all(self, ranges: &str) -> Option<bool> {
        for range in ranges.split(',').filter(|range| !range.trim().is_empty()) {
            let (first, last) = range.split_once('-')?;
            let (first, last) = (first.trim(), last.trim());
            let wanted = match (first.is_empty(), last.is_empty()) {
                (true, _) => self.total?.saturating_sub(number(last)?)..self.total?,
                (false, true) => number(first)?..self.total?,
                (false, false) => {
                    let end = number(last)?.saturating_add(1);
                    number(first)?..self.total.map_or(end, |total| total.min(end))
                }
            };
            if wanted.start < wanted.end && (wanted.start < self.start || self.end < wanted.end) {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Whether it is what `Range: bytes=…` has asked for, as far as the whole has it; `None` if that asks in another unit.
    fn answers(self, asked: &HeaderValue) -> Option<bool> {
        let (unit, range) = asked.to_str().ok()?.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        if range.contains(',') {
            return self.has_all(range);
        }
        let (first, last) = range.split_once('-')?;
        let (first, last) = (first.trim(), last.trim());
        if first.is_empty() {
            let wanted = number(last)?;
            let is_end = self.total.is_none_or(|total| total == self.end);
            return Some(is_end && self.length() == self.total.map_or(wanted, |t| t.min(wanted)));
        }
        let wanted = if last.is_empty() { u64::MAX } else { number(last)?.saturating_add(1) };
        let ends_right = match self.total {
            Some(total) => self.end == total.min(wanted),
            None => self.end <= wanted,
        };
        Some(self.start == number(first)? && ends_right)
    }
}

fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// What is wrong with an answer that has a part only: nobody has `asked` for one, or for another. `is_named`: the job
/// file expects this very status, which some services use in a sense of their own.
pub(super) fn wrong(
    status: StatusCode,
    headers: &HeaderMap,
    asked: Option<&HeaderValue>,
    is_named: bool,
) -> Option<String> {
    if status != StatusCode::PARTIAL_CONTENT {
        return None;
    }
    let lines: Vec<_> = headers
        .get_all(CONTENT_RANGE)
        .iter()
        .map(|line| String::from_utf8_lossy(line.as_bytes()))
        .collect();
    let shown = lines.join(", ");
    let said = || if shown.is_empty() { String::new() } else { format!(": `{shown}`") };
    let is_right = match (Part::of(headers), asked) {
        (Some(part), Some(asked)) => part.answers(asked),
        (Some(part), None) => Some(part.is_whole()),
        (None, Some(asked)) if asks_for_several(asked) => None,
        (None, _) if is_several(headers) => Some(false),
        (None, None) if is_named && !shown.to_ascii_lowercase().contains("bytes") => None,
        (None, _) => {
            return Some(match &shown[..] {
                "" => "the server has sent a part (status 206), and does not say which".into(),
                _ => format!("the server does not say which part it has sent{}", said()),
            });
        }
    };
    (is_right == Some(false)).then(|| match asked.map(|asked| asked.to_str().unwrap_or("")) {
        None => format!("the server has sent a part that was not asked for{}", said()),
        Some(asked) => {
            format!("the server has not sent the part that was asked for, `{asked}`{}", said())
        }
    })
}

fn asks_for_several(asked: &HeaderValue) -> bool {
    asked.as_bytes().contains(&b',') || !asked.as_bytes().to_ascii_lowercase().starts_with(b"bytes")
}

/// Whether the body is a list of parts, each with a head of its own.
fn is_several(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().to_ascii_lowercase().starts_with(b"multipart/byteranges")
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap_or(("content-range", line));
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn parts() {
        for (lines, expected) in [
            (&["bytes 10-19/20"][..], Some((10, 20, Some(20)))),
            (&["Bytes 0-9/*"], Some((0, 10, None))),
            (&["bytes 0-9/20", "bytes 0-9/20"], Some((0, 10, Some(20)))),
            (&["bytes 0-9/20", "bytes 0-9/10"], None),
            (&["bytes */20"], None),
            (&["bytes 9-0/20"], None),
            (&["bytes 0-20/20"], None),
            (&["bytes 0-+9/20"], None),
            (&["bytes 0-/20"], None),
            (&["bytes 0-18446744073709551615/*"], None),
            (&["items 1-2/3"], None),
            (&["0-9/20"], None),
            (&[], None),
        ] {
            let part = Part::of(&headers(lines)).map(|part| (part.start, part.end, part.total));
            assert_eq!(part, expected, "{lines:?}");
        }
    }

    #[test]
    fn a_part_that_was_not_asked_for_is_not_the_whole() {
        let several = "content-type: multipart/byteranges; boundary=x";
        for (status, lines, is_wrong) in [
            (206, &["bytes 0-9/20"][..], true),
            (206, &["Bytes 0-9/20"], true),
            (206, &["bytes 10-19/20"], true),
            (206, &["bytes 0-19/20"], false),
            (206, &["bytes 0-9/*"], true),
            (206, &["bytes 0-9/10", "bytes 0-9/20"], true),
            (206, &["nonsense"], true),
            (206, &[], true),
            (206, &[several], true),
            (200, &["bytes 0-9/20"], false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let found = wrong(status, &headers(lines), None, false);
            assert_eq!(found.is_some(), is_wrong, "{lines:?}");
        }
        // A service that counts its rows so is expected to.
        for (lines, is_wrong) in
            [(&["0-24/3573"][..], false), (&[], false), (&["bytes 0-9/20"], true)]
        {
            let found = wrong(StatusCode::PARTIAL_CONTENT, &headers(lines), None, true);
            assert_eq!(found.is_some(), is_wrong, "{lines:?}");
        }
    }

    #[test]
    fn the_part_is_the_one_that_was_asked_for() {
        let several = "content-type: multipart/byteranges; boundary=x";
        for (asked, lines, is_wrong) in [
            ("bytes=0-4", &["bytes 0-4/20"][..], false),
            ("bytes=0-4", &["bytes 0-4/*"], false),
            ("bytes=0-4", &["bytes 5-9/20"], true),
            ("bytes=0-4", &["bytes 0-2/20"], true),
            ("bytes=0-4", &["bytes 0-9/20"], true),
            ("bytes=0-99", &["bytes 0-19/20"], false),
            ("bytes=5-", &["bytes 5-19/20"], false),
            ("bytes=5-", &["bytes 5-9/20"], true),
            ("bytes=-5", &["bytes 15-19/20"], false),
            ("bytes=-5", &["bytes 0-4/20"], true),
            ("bytes=-50", &["bytes 0-19/20"], false),
            ("bytes=0-4", &[], true),
            ("bytes=0-4", &[several], true),
            ("bytes=0-1,4-5", &[several], false),
            ("bytes=0-4,6-8", &["bytes 0-4/10"], true),
            ("bytes=0-4,6-8", &["bytes 0-8/10"], false),
            ("bytes=0-4,60-80", &["bytes 0-4/10"], false),
            ("bytes=0-4, -2", &["bytes 0-9/10"], false),
            ("bytes=0-4,-2", &["bytes 0-4/10"], true),
            ("bytes=0-4,6-8", &["bytes 0-8/*"], false),
            ("items=0-4", &["items 0-4/9"], false),
        ] {
            let asked = HeaderValue::from_static(asked);
            let found = wrong(StatusCode::PARTIAL_CONTENT, &headers(lines), Some(&asked), false);
            assert_eq!(found.is_some(), is_wrong, "{asked:?} {lines:?}");
        }
    }
}
