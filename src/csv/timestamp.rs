//! The timestamps of reports, formatted cheaply for rows that follow one another within a second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::csv::number::parse_integer;

const LENGTH: usize = "YYYY-MM-DD hh:mm:ss.sss".len();

/// Writes times as `YYYY-MM-DD hh:mm:ss.sss`, UTC. A spreadsheet with decimal commas wants one here, too.
#[derive(Clone, Debug)]
pub(crate) struct Timestamp {
    second: Option<u64>,
    /// `YYYY-MM-DD hh:mm:ss.` of that second, and space for its thousandths.
    text: [u8; LENGTH],
}

impl Timestamp {
    /// A formatter that has no second cached yet.
    pub(crate) fn new() -> Self {
        Self { second: None, text: [b'.'; LENGTH] }
    }

    /// Appends `time`, cut to the millisecond, with this decimal separator. A clock before 1970 counts as 1970.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, time: SystemTime, point: u8) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.remember(since.as_secs());
        }
        let millis = since.subsec_millis();
        let digit = |unit: u32| b'0' + (millis / unit % 10) as u8;
        self.text[LENGTH - 4..].copy_from_slice(&[point, digit(100), digit(10), digit(1)]);
        out.extend_from_slice(&self.text);
    }

    /// Appends `time`, cut to the microsecond.
    pub(crate) fn push_micros(&mut self, out: &mut Vec<u8>, time: SystemTime, point: u8) {
        self.push(out, time, point);
        let micros = time.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_micros();
        let digit = |unit: u32| b'0' + (micros / unit % 10) as u8;
        out.extend_from_slice(&[digit(100), digit(10), digit(1)]);
    }

    fn remember(&mut self, second: u64) {
        let time = UNIX_EPOCH + Duration::from_secs(second);
        let text = humantime::format_rfc3339_seconds(time).to_string();
        // `YYYY-MM-DDThh:mm:ssZ`
        let text = text.as_bytes().first_chunk::<{ LENGTH - 4 }>().expect("a date and a time");
        self.text[..LENGTH - 4].copy_from_slice(text);
        self.text["YYYY-MM-DD".len()] = b' ';
        self.second = Some(second);
    }
}

/// The length of the whole seconds of a timestamp.
const SECOND: usize = "YYYY-MM-DD hh:mm:ss".len();

/// Reads timestamps such as `2026-11-24 13:05:43.420`, with up to six decimals after a point or a comma.
#[derive(Debug, Default)]
pub(crate) struct TimestampReader {
    second: Option<[u8; SECOND]>,
    /// Of that second.
    micros: i64,
}

impl TimestampReader {
    /// The microseconds since 1970.
    pub(crate) fn micros(&mut self, cell: &[u8]) -> Option<i64> {
        let (second, fraction) = cell.split_first_chunk::<SECOND>()?;
        // Rows that follow one another start within the same second.
        if self.second != Some(*second) {
            self.micros = whole_seconds(second)?.checked_mul(1_000_000)?;
            self.second = Some(*second);
        }
        let mut micros = 0;
        if let Some((point, digits)) = fraction.split_first() {
            if !matches!(point, b'.' | b',') || digits.len() > 6 {
                return None;
            }
            micros = i64::try_from(parse_integer(digits)?).ok()?;
            micros *= 10_i64.pow(6 - digits.len() as u32);
        }
        Some(self.micros + micros)
    }
}

/// The seconds from 1970 to `YYYY-MM-DD hh:mm:ss`.
fn whole_seconds(text: &[u8; SECOND]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.as_bytes()[10] == b' ')?;
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// `time` as text.
pub(crate) fn utc(time: SystemTime) -> String {
    let mut out = Vec::new();
    Timestamp::new().push(&mut out, time, b'.');
    String::from_utf8(out).expect("digits and punctuation")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_to_the_millisecond() {
        let mut stamp = Timestamp::new();
        let mut write = |millis| {
            let mut out = Vec::new();
            stamp.push(&mut out, UNIX_EPOCH + Duration::from_millis(millis), b'.');
            String::from_utf8(out).unwrap()
        };
        assert_eq!(write(0), "1970-01-01 00:00:00.000");
        assert_eq!(write(951_868_799_999), "2000-02-29 23:59:59.999");
        assert_eq!(write(951_868_800_000), "2000-03-01 00:00:00.000");
        assert_eq!(write(951_868_800_040), "2000-03-01 00:00:00.040");
        let mut out = Vec::new();
        let time = UNIX_EPOCH + Duration::from_nanos(1_002_003_999);
        stamp.push_micros(&mut out, time, b',');
        assert_eq!(out, b"1970-01-01 00:00:01,002003");
    }

    #[test]
    fn timestamps_are_read_as_they_were_written() {
        let mut reader = TimestampReader::default();
        for millis in [0, 951_868_799_999, 951_868_800_000, 1_795_611_943_420, 4_102_444_800_001] {
            let text = utc(UNIX_EPOCH + Duration::from_millis(millis));
            assert_eq!(reader.micros(text.as_bytes()), Some(millis as i64 * 1000), "{text}");
        }
        assert_eq!(reader.micros(b"1970-01-01 00:00:01,000042"), Some(1_000_042));
        assert_eq!(reader.micros(b"1970-01-01 00:00:01"), Some(1_000_000));
        for text in ["", "24.11.2026 13:05", "2026-13-01 00:00:00", "2026-11-24T13:05:43.420"] {
            assert_eq!(reader.micros(text.as_bytes()), None, "{text}");
        }
    }
}
