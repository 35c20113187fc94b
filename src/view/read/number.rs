//! Reads the numbers and timestamps of reports, quickly: there are several in each row.

/// The nanoseconds of a number of seconds such as `1.5` or, with decimal commas, `1,5`.
pub fn nanos(cell: &[u8]) -> Option<u64> {
    let mut value: u64 = 0;
    let mut decimals = None;
    if cell.is_empty() || cell.len() > 24 {
        return None;
    }
    for (index, &byte) in cell.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                decimals = decimals.map(|count: u32| count + 1);
            }
            b'.' | b',' if decimals.is_none() && index > 0 => decimals = Some(0),
            _ => return None,
        }
    }
    let missing = 9_u32.checked_sub(decimals.unwrap_or(0))?;
    value.checked_mul(10_u64.pow(missing))
}

/// An integer without a sign.
pub fn integer(cell: &[u8]) -> Option<u64> {
    if cell.is_empty() {
        return None;
    }
    cell.iter().try_fold(0_u64, |value, &byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// Reads timestamps such as `2026-11-24 13:05:43.420`, with up to six decimals after a point or a comma.
#[derive(Debug, Default)]
pub struct Stamps {
    second: [u8; SECOND],
    micros: i64,
}

const SECOND: usize = "YYYY-MM-DD hh:mm:ss".len();

impl Stamps {
    /// The microseconds since 1970.
    pub fn micros(&mut self, cell: &[u8]) -> Option<i64> {
        let (second, fraction) = cell.split_first_chunk::<SECOND>()?;
        // Rows that follow one another start within the same second.
        if *second != self.second {
            self.micros = whole_seconds(second)?.checked_mul(1_000_000)?;
            self.second = *second;
        }
        let mut micros = 0;
        if let Some((point, digits)) = fraction.split_first() {
            if !matches!(point, b'.' | b',') || digits.len() > 6 {
                return None;
            }
            micros = i64::try_from(integer(digits)?).ok()?;
            micros *= 10_i64.pow(6 - digits.len() as u32);
        }
        Some(self.micros + micros)
    }
}

/// The seconds from 1970 to `YYYY-MM-DD hh:mm:ss`.
fn whole_seconds(text: &[u8; SECOND]) -> Option<i64> {
    let number = |from: usize, to: usize| integer(&text[from..to]).map(|value| value as i64);
    let marks = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| text[at] != mark) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 1970 (H. Hinnant, "chrono-compatible low-level date algorithms"): years that start in March.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::csv::number::{parse_seconds, seconds};
    use crate::csv::utc;

    #[test]
    fn seconds_are_read_as_they_were_written() {
        for value in [0, 1, 41, 1_500_000_000, 2_000_000_000, 31_536_000_000_000_000] {
            let text = seconds(Duration::from_nanos(value));
            assert_eq!(nanos(text.as_bytes()), Some(value), "{text}");
            assert_eq!(nanos(text.replace('.', ",").as_bytes()), Some(value), "{text}");
            assert_eq!(parse_seconds(text.as_bytes(), b'.'), Some(Duration::from_nanos(value)));
        }
        for text in ["", ".5", "-1", "1.2.3", "x", "1e3", "1.0000000001", "99999999999999999999"] {
            assert_eq!(nanos(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn timestamps_are_read_as_they_were_written() {
        let mut stamps = Stamps::default();
        for millis in [0, 951_868_799_999, 951_868_800_000, 1_795_611_943_420, 4_102_444_800_001] {
            let text = utc(UNIX_EPOCH + Duration::from_millis(millis));
            assert_eq!(stamps.micros(text.as_bytes()), Some(millis as i64 * 1000), "{text}");
        }
        assert_eq!(stamps.micros(b"1970-01-01 00:00:01,000042"), Some(1_000_042));
        assert_eq!(stamps.micros(b"1970-01-01 00:00:01"), Some(1_000_000));
        for text in ["", "24.11.2026 13:05", "2026-13-01 00:00:00", "2026-11-24T13:05:43.420"] {
            assert_eq!(stamps.micros(text.as_bytes()), None, "{text}");
        }
    }
}
