//! The header `Retry-After`: how long a server asks to be left alone (RFC 9110, 10.2.3).

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// No server means a longer pause; a date years ahead is a mistake.
const LONGEST: Duration = Duration::from_hours(24);

/// How long from `now` on, if the server says so: a number of seconds, which may have a fraction, or a date; or
/// milliseconds, as some APIs have it.
pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let number =
        |text: &str| text.parse().ok().filter(|number: &f64| *number >= 0.0 && number.is_finite());
    let millis = text(HeaderName::from_static("retry-after-ms")).and_then(number);
    if let Some(millis) = millis {
        return Some(Duration::from_secs_f64((millis / 1e3).min(LONGEST.as_secs_f64())));
    }
    let value = text(RETRY_AFTER)?;
    if let Some(seconds) = number(value) {
        return Some(Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())));
    }
    let date = date(value)?;
    Some(date.duration_since(now).unwrap_or_default().min(LONGEST))
}

/// A date of HTTP; of mail, as libraries for mail write it (`+0000` for `GMT`); or ISO 8601. All are met.
fn date(text: &str) -> Option<SystemTime> {
    let text = text.strip_suffix("UTC").map_or(text.into(), |text| Cow::from(format!("{text}GMT")));
    let text = text.as_ref();
    let mail = |text: &str| OffsetDateTime::parse(text, &Rfc2822).ok().map(SystemTime::from);
    let iso = || OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from);
    let mail_without_zone = || mail(&format!("{text} GMT"));
    httpdate::parse_http_date(text)
        .ok()
        .or_else(|| mail(text))
        .or_else(iso)
        .or_else(mail_without_zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        for (value, seconds) in [
            ("120", Some(120_000)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2015 07:30:00 GMT", Some(120_000)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("Wed, 21 Oct 2015 07:30:00 +0000", Some(120_000)),
            ("Wed, 21 Oct 2015 08:30:00 +0100", Some(120_000)),
            ("Wed, 21 Oct 2015 07:30:00 UTC", Some(120_000)),
            ("21 Oct 2015 07:30:00 GMT", Some(120_000)),
            ("Wed, 21 Oct 2015 07:30:00", Some(120_000)),
            ("2015-10-21T07:30:00Z", Some(120_000)),
            ("-5", None),
            ("1.5", Some(1500)),
            ("0.02", Some(20)),
            ("1e300", Some(86_400_000)),
            ("NaN", None),
            ("Wed, 21 Oct 2105 07:28:00 GMT", Some(86_400_000)),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            assert_eq!(read(&headers, now), seconds.map(Duration::from_millis), "{value}");
        }
        assert_eq!(read(&HeaderMap::new(), now), None);
        let mut headers = HeaderMap::new();
        headers.insert("retry-after-ms", "250".parse().unwrap());
        headers.insert(RETRY_AFTER, "9".parse().unwrap());
        assert_eq!(read(&headers, now), Some(Duration::from_millis(250)));
    }
}
