//! The timestamps of reports, formatted cheaply for rows that follow one another within a second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
}
