//! The dates in cookies, as browsers read them (RFC 6265, 5.1.1): the parts in any order and with anything between them. A
//! zone does not count.

use time::{Date, Month, OffsetDateTime, Time};

/// When a cookie expires that is set by `text`, a whole `Set-Cookie`; `None` if no date says so.
pub(super) fn expires(text: &str) -> Option<OffsetDateTime> {
    let attributes = text.split(';').skip(1).filter_map(|attribute| attribute.split_once('='));
    let dates = attributes.filter(|(name, _)| name.trim().eq_ignore_ascii_case("expires"));
    dates.filter_map(|(_, date)| read(date)).last()
}

fn read(text: &str) -> Option<OffsetDateTime> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for part in text.split(is_between).filter(|part| !part.is_empty()) {
        if time.is_none() && clock(part).is_some() {
            time = clock(part);
        } else if day.is_none() && number(part, 1..=2).is_some() {
            day = number(part, 1..=2);
        } else if month.is_none() && named(part).is_some() {
            month = named(part);
        } else if year.is_none() {
            year = number(part, 2..=4);
        }
    }
    let year = match year? {
        short @ 0..=69 => short + 2000,
        short @ 70..=99 => short + 1900,
        year => year,
    };
    let (hour, minute, second) = time?;
    let day = u8::try_from(day?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month?, day).ok()?;
    let time = Time::from_hms(hour, minute, second).ok()?;
    (year >= 1601).then(|| date.with_time(time).assume_utc())
}

/// What stands between the parts of a date: not the colons of the time.
fn is_between(c: char) -> bool {
    matches!(c, '\t' | ' '..='/' | ';'..='@' | '['..='`' | '{'..='~')
}

/// The number at the start of `text`, if it has so many digits.
fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u16> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok().filter(|_| digits.contains(&end))
}

/// `hours:minutes:seconds`, and perhaps more.
fn clock(text: &str) -> Option<(u8, u8, u8)> {
    let (hour, rest) = text.split_once(':')?;
    let (minute, second) = rest.split_once(':')?;
    let whole = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| u8::try_from(number(text, 1..=2)?).ok();
    let (hour, minute) =
        (Some(hour).filter(|hour| whole(hour))?, Some(minute).filter(|m| whole(m))?);
    Some((number(hour)?, number(minute)?, number(second)?))
}

/// The month that `text` begins with.
fn named(text: &str) -> Option<Month> {
    let name = text.get(..3)?;
    let mut months = (1..=12).filter_map(|number| Month::try_from(number).ok());
    months.find(|month| month.to_string()[..3].eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_whatever_way_they_are_written() {
        for (date, expected) in [
            ("Thu, 02 Jan 2020 03:04:05 GMT", Some("2020-01-02 3:04:05")),
            ("Thu, 02 Jan 2020 03:04:05 +0100", Some("2020-01-02 3:04:05")),
            ("Thu, 02 Jan 2020 03:04:05", Some("2020-01-02 3:04:05")),
            ("Thu Jan 02 2020 03:04:05 GMT+0000 (UTC)", Some("2020-01-02 3:04:05")),
            ("Thu Jan  2 03:04:05 2020", Some("2020-01-02 3:04:05")),
            ("Thursday, 2-jan-20 3:4:5 GMT", Some("2020-01-02 3:04:05")),
            ("2-JANUARY-1970 3:4:5GMT", Some("1970-01-02 3:04:05")),
            ("\"Thu,02 Jan 2020 03:04:05 GMT\"", Some("2020-01-02 3:04:05")),
            ("02 Jan 99 23:59:59", Some("1999-01-02 23:59:59")),
            ("31 Feb 2020 03:04:05", None),
            ("02 Jan 1600 03:04:05", None),
            ("02 Jan 2020 24:00:00", None),
            ("02 Jan 2020 03:04", None),
            ("02 Jän 2020 03:04:05", None),
            ("2020-01-02T03:04:05Z", None),
            ("0", None),
            ("", None),
        ] {
            let read = expires(&format!("a=b; Path=/; Expires={date}; Secure"));
            let shown = read.map(|read| format!("{} {}", read.date(), read.time()));
            let expected = expected.map(|expected| format!("{expected}.0"));
            assert_eq!(shown, expected, "{date}");
        }
        assert_eq!(expires("expires=02 Jan 2020 03:04:05; Path=/"), None);
        let twice =
            expires("a=b; expires=02 Jan 2020 03:04:05; EXPIRES = 02 Jan 2021 0:0:0; expires=0");
        assert_eq!(twice.map(OffsetDateTime::year), Some(2021));
    }
}
