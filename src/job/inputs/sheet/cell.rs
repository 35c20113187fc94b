//! What a cell of a workbook holds, as a field has it.

use calamine::{Data, DataRef, ExcelDateTime};

use crate::task::Kind;

/// The value of a cell that is not empty.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Value(String, Kind),
    /// None that could be used: why.
    None(String),
}

/// Why the value of a formula is not there: the program that has written it did not calculate.
pub(super) const UNCALCULATED: &str =
    "has a formula and no value: open and save the workbook in a spreadsheet program";

/// The milliseconds of a day.
const DAY: i64 = 86_400_000;

/// No number of days above this is a length of time, as Python has it.
const LONGEST: f64 = 999_999_999.0;

impl Cell {
    /// One that shows this error, such as `#N/A`.
    pub fn error(shown: &str) -> Self {
        Self::None(format!("is the error {shown}"))
    }

    /// One whose formula was not calculated.
    pub fn uncalculated() -> Self {
        Self::None(UNCALCULATED.into())
    }

    /// A text; `None` if it is empty.
    pub fn text(text: String) -> Option<Self> {
        (!text.is_empty()).then_some(Self::Value(text, Kind::Text))
    }

    /// What a reader made of it; `None` if it is empty.
    pub fn of(data: &Data, is_1904: bool) -> Option<Self> {
        Some(match data {
            Data::Empty => return None,
            Data::String(text) => return Self::text(text.clone()),
            Data::Int(number) => Self::Value(number.to_string(), Kind::Bare),
            Data::Float(number) if number.is_finite() => {
                Self::Value(number.to_string(), Kind::Bare)
            }
            Data::Float(number) => not_a_number(&number.to_string()),
            Data::Bool(value) => Self::Value(value.to_string(), Kind::Bare),
            Data::DurationIso(text) => iso_duration(text),
            Data::DateTimeIso(text) => iso_date(text),
            Data::DateTime(time) => date(time, is_1904),
            Data::Error(error) => Self::error(&error.to_string()),
        })
    }

    /// Likewise.
    pub fn of_ref(data: &DataRef<'_>, is_1904: bool) -> Option<Self> {
        Self::of(&Data::from(data.clone()), is_1904)
    }
}

/// The number that `text` stands for. One with more digits than a floating-point number holds keeps them.
pub(super) fn number(text: &str) -> Cell {
    let number = text.trim_ascii();
    let (sign, digits) = match number.as_bytes() {
        [b'-', ..] => ("-", &number[1..]),
        [b'+', ..] => ("", &number[1..]),
        _ => ("", number),
    };
    if digits.len() > 15 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let digits = digits.trim_start_matches('0');
        let whole = if digits.is_empty() { "0".into() } else { format!("{sign}{digits}") };
        return Cell::Value(whole, Kind::Bare);
    }
    match number.parse::<f64>() {
        Ok(value) if value.is_finite() => Cell::Value(value.to_string(), Kind::Bare),
        _ => not_a_number(text),
    }
}

fn not_a_number(text: &str) -> Cell {
    Cell::None(format!("holds `{text}`, which is not a number that can be used"))
}

/// A date or a time as reports have them: `2024-01-31`, `2024-01-31 12:30:00.000`, `12:30:00`; a duration in hours.
pub(super) fn date(time: &ExcelDateTime, is_1904: bool) -> Cell {
    let serial = time.as_f64();
    if time.is_duration() {
        if serial.abs() <= LONGEST {
            return text(hours((serial * DAY as f64).round() as i64, 1));
        }
        return Cell::None(format!("holds `{serial}` days, which no length of time has"));
    }
    // The day after 9999-12-31.
    let end = if is_1904 { 2_957_004.0 } else { 2_958_466.0 };
    let shown = if serial < 0.0 { before_epoch(serial, is_1904) } else { None };
    if let Some(shown) = shown {
        return text(shown);
    }
    // Spreadsheets count a 29th of February 1900, which never was.
    if !(0.0..end).contains(&serial) || (!is_1904 && (60.0..61.0).contains(&serial)) {
        return Cell::None(format!("holds `{serial}`, which is not a date that can be used"));
    }
    let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
    let clock = [hour, minute, second].into_iter().fold(0, |sum, part| sum * 60 + i64::from(part));
    let clock = clock * 1000 + i64::from(milli);
    if serial < 1.0 {
        return text(hours(clock, 2));
    }
    text(day_and_time(&format!("{year:04}-{month:02}-{day:02}"), clock))
}

fn text(text: String) -> Cell {
    Cell::Value(text, Kind::Text)
}

fn day_and_time(day: &str, clock: i64) -> String {
    if clock == 0 {
        return day.into();
    }
    let (seconds, milli) = (clock / 1000, clock % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{day} {hour:02}:{minute:02}:{second:02}.{milli:03}")
}

/// Milliseconds as hours, minutes and seconds; at least `width` digits of hours.
fn hours(millis: i64, width: usize) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    let millis = millis.unsigned_abs();
    let (seconds, milli) = (millis / 1000, millis % 1000);
    let fraction = if milli == 0 { String::new() } else { format!(".{milli:03}") };
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{sign}{hour:0width$}:{minute:02}:{second:02}{fraction}")
}

/// A date before the first one that spreadsheets have, as openpyxl and `LibreOffice` write and read it: days before the
/// last but one of 1899, or the first of 1904. `None`: none of our era.
fn before_epoch(serial: f64, is_1904: bool) -> Option<String> {
    let epoch = if is_1904 { -24_107 } else { -25_569 };
    let millis = (serial * DAY as f64).round() as i64;
    let (days, clock) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let (year, month, day) = civil(days.checked_add(epoch)?);
    (year >= 1).then(|| day_and_time(&format!("{year:04}-{month:02}-{day:02}"), clock))
}

/// The year, month and day, so many days after 1970-01-01, in the Gregorian calendar as if it had always been.
fn civil(days: i64) -> (i64, i64, i64) {
    // Counted from a 1st of March, a leap day is the last of its year; 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// A date that is written `2024-01-31` or `2024-01-31T12:30:00.5`, or a time.
pub(super) fn iso_date(written: &str) -> Cell {
    let written = written.trim_ascii();
    let (day, time) = written.split_once(['T', ' ']).unwrap_or((written, ""));
    if !is_day(day) {
        return match clock(day) {
            Some(clock) if time.is_empty() => text(hours(clock, 2)),
            _ => Cell::None(format!("holds `{written}`, which is not a date that can be used")),
        };
    }
    let zone = time.find(['Z', '+', '-']).unwrap_or(time.len());
    match clock(&time[..zone]) {
        Some(clock) if zone == time.len() => text(day_and_time(day, clock)),
        Some(_) if is_zone(&time[zone..]) => text(format!("{day} {time}")),
        None if time.is_empty() => text(day.into()),
        _ => Cell::None(format!("holds `{written}`, which is not a date that can be used")),
    }
}

/// `Z`, `+02:00`, `-0530`.
fn is_zone(written: &str) -> bool {
    let digits = written.trim_start_matches(['+', '-']);
    let is_plain = matches!(digits.len(), 2 | 4) && digits.bytes().all(|it| it.is_ascii_digit());
    written == "Z" || is_plain || clock(digits).is_some()
}

fn is_day(written: &str) -> bool {
    let parts: Vec<_> = written.strip_prefix('-').unwrap_or(written).split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    let is_long = year.len() >= 4 && month.len() == 2 && day.len() == 2;
    let digits = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = (year.parse::<u32>(), month.parse::<u32>(), day.parse::<u32>());
    let (Ok(year), Ok(month), Ok(day)) = numbers else { return false };
    is_long && parts.iter().all(digits) && (1..=days_of(year, month)).contains(&day)
}

/// How many days a month has; none if there is no such month.
fn days_of(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap),
        1..=12 => 31,
        _ => 0,
    }
}

/// The milliseconds from midnight to `12:30:00.5`.
fn clock(written: &str) -> Option<i64> {
    let parts: Vec<_> = written.split(':').collect();
    let ([hour, minute] | [hour, minute, _]) = parts[..] else { return None };
    let second = parts.get(2).copied().unwrap_or("0");
    let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let (hour, minute) = (hour.parse::<u8>().ok()?, minute.parse::<u8>().ok()?);
    let second = second.parse::<f64>().ok().filter(|_| is_plain(second))?;
    let is_sound = hour < 24 && minute < 60 && second < 60.0;
    let millis = (i64::from(hour) * 60 + i64::from(minute)) * 60_000;
    is_sound.then(|| (millis + (second * 1000.0).round() as i64).min(DAY - 1))
}

/// A length of time that is written `PT36H30M05S`, or a time of the day that is written likewise.
pub(super) fn iso_duration(written: &str) -> Cell {
    match seconds(written.trim_ascii()) {
        Some(seconds) if seconds.abs() <= LONGEST * 86_400.0 => {
            let millis = (seconds * 1000.0).round() as i64;
            text(hours(millis, if (0..DAY).contains(&millis) { 2 } else { 1 }))
        }
        _ => Cell::None(format!("holds `{written}`, which is not a time that can be used")),
    }
}

fn seconds(written: &str) -> Option<f64> {
    let (sign, parts) = match written.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, written),
    };
    let (mut total, mut number, mut has_time, mut has_part) = (0.0, String::new(), false, false);
    for byte in parts.strip_prefix('P')?.chars() {
        let unit = match byte {
            '0'..='9' | '.' => {
                number.push(byte);
                continue;
            }
            'T' if number.is_empty() && !has_time => {
                has_time = true;
                continue;
            }
            'D' if !has_time => 86_400.0,
            'H' if has_time => 3_600.0,
            'M' if has_time => 60.0,
            'S' if has_time => 1.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * unit;
        number.clear();
        has_part = true;
    }
    (has_part && number.is_empty()).then_some(sign * total)
}

#[cfg(test)]
mod tests {
    use calamine::ExcelDateTimeType::{DateTime, TimeDelta};

    use super::*;

    /// What the cell says.
    fn said(cell: &Cell) -> &str {
        match cell {
            Cell::Value(text, _) | Cell::None(text) => text,
        }
    }

    #[test]
    fn dates_are_those_that_openpyxl_reads() {
        for (serial, is_1904, expected) in [
            (-18_124.0, false, "1850-05-17"),
            (-1.0, false, "1899-12-29"),
            (-0.25, false, "1899-12-29 18:00:00.000"),
            (0.5, false, "12:00:00"),
            (1.0, false, "1900-01-01"),
            (45_322.520_833_333_3, false, "2024-01-31 12:30:00.000"),
            (2_958_465.0, false, "9999-12-31"),
            (-7.0, true, "1903-12-25"),
            (2_957_003.0, true, "9999-12-31"),
            (-693_593.0, false, "0001-01-01"),
        ] {
            let cell = date(&ExcelDateTime::new(serial, DateTime, is_1904), is_1904);
            assert_eq!(cell, Cell::Value(expected.into(), Kind::Text), "{serial}");
        }
        for (serial, is_1904) in [
            (2_958_466.0, false),
            (2_957_004.0, true),
            (f64::INFINITY, false),
            (f64::NAN, false),
            (f64::NEG_INFINITY, false),
            (60.5, false),
            (-693_594.0, false),
            (-1e300, false),
        ] {
            let cell = date(&ExcelDateTime::new(serial, DateTime, is_1904), is_1904);
            assert!(matches!(&cell, Cell::None(why) if why.contains("not a date")), "{cell:?}");
        }
    }

    #[test]
    fn lengths_of_time_have_a_sign_and_an_end() {
        let cell = |days| date(&ExcelDateTime::new(days, TimeDelta, false), false);
        for (days, expected) in [
            (-0.0625, "-1:30:00"),
            (1.5, "36:00:00"),
            (0.0, "0:00:00"),
            (-1.0 / 86_400_000.0, "-0:00:00.001"),
        ] {
            assert_eq!(cell(days), Cell::Value(expected.into(), Kind::Text));
        }
        for days in [1e10, -1e10, f64::INFINITY, f64::NAN] {
            assert!(matches!(cell(days), Cell::None(_)), "{days}");
        }
    }

    #[test]
    fn what_is_written_out_is_read() {
        for (written, expected) in [
            ("PT08H05M09S", "08:05:09"),
            ("PT36H30M05S", "36:30:05"),
            ("-PT01H30M00S", "-1:30:00"),
            ("PT0H0M0.5S", "00:00:00.500"),
            ("P1DT2H", "26:00:00"),
        ] {
            assert_eq!(said(&iso_duration(written)), expected);
        }
        for written in ["PT", "P1Y", "8:05", "PT5", "PTS", "", "PT1E9H", "PT9999999999999999H"] {
            assert!(matches!(iso_duration(written), Cell::None(_)), "{written}");
        }
        for (written, expected) in [
            ("2024-01-31", "2024-01-31"),
            ("2024-01-31T00:00:00", "2024-01-31"),
            ("2024-01-31T12:30:00", "2024-01-31 12:30:00.000"),
            ("2024-01-31T12:30:00.1234", "2024-01-31 12:30:00.123"),
            ("2024-01-31T12:30:00Z", "2024-01-31 12:30:00Z"),
            ("12:30:00", "12:30:00"),
            ("-0044-03-15", "-0044-03-15"),
            ("2024-02-29", "2024-02-29"),
            ("2000-02-29T12:30:00-05:30", "2000-02-29 12:30:00-05:30"),
        ] {
            assert_eq!(said(&iso_date(written)), expected);
        }
        for written in [
            "",
            "abc",
            "2024-1-31",
            "31.01.2024",
            "2024-02-30",
            "2023-02-29",
            "1900-02-29",
            "2024-13-01",
            "2024-04-31",
            "2024-01-00",
            "0000-00-00",
            "2024-01-31T25:61:00",
            "2024-01-31T12:61",
            "2024-01-31T12:30:00X",
            "2024-01-31T12:30:00+99:00",
            "25:61",
        ] {
            assert!(matches!(iso_date(written), Cell::None(_)), "{written}");
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        for (written, expected) in [
            ("9007199254740993", "9007199254740993"),
            ("-00123456789012345678", "-123456789012345678"),
            ("007", "7"),
            ("\n1\n", "1"),
            ("3.0", "3"),
            ("1E-7", "0.0000001"),
            ("0000000000000000", "0"),
        ] {
            assert_eq!(number(written), Cell::Value(expected.into(), Kind::Bare), "{written}");
        }
        for written in ["abc", "1,5", "NaN", "inf", "1E400", "", "0x10"] {
            assert!(matches!(number(written), Cell::None(_)), "{written}");
        }
    }
}
