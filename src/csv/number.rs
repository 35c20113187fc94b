//! The numbers of reports: plain decimals, never `1e-7`, and without floating point where the value is an integer.

use std::time::Duration;

/// Appends an integer.
pub(crate) fn push_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    match itoa::Buffer::new().format(value).as_bytes() {
        // Most integers have one digit, and a copy of a length that the compiler does not know is a call.
        [digit] => out.push(*digit),
        digits => out.extend_from_slice(digits),
    }
}

/// Appends a duration in seconds, with up to nine decimals and none for whole seconds.
pub(crate) fn push_seconds(out: &mut Vec<u8>, duration: Duration, point: u8) {
    match duration.as_secs() {
        seconds @ 0..=9 => out.push(b'0' + seconds as u8), // as most are
        seconds => push_integer(out, seconds),
    }
    let nanos = duration.subsec_nanos();
    if nanos == 0 {
        return;
    }
    // With a leading one, there are always ten digits.
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(1_000_000_000 + nanos).as_bytes();
    let mut decimals: [u8; 10] = digits.try_into().expect("a number of ten digits");
    decimals[0] = point;
    out.extend_from_slice(&decimals);
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

/// The duration that [`push_seconds`] has written.
pub(crate) fn parse_seconds(text: &[u8], point: u8) -> Option<Duration> {
    nanos(text, |byte| byte == point).map(Duration::from_nanos)
}

/// The nanoseconds of a duration that [`push_seconds`] has written in whichever dialect.
pub(crate) fn parse_nanos(text: &[u8]) -> Option<u64> {
    nanos(text, |byte| matches!(byte, b'.' | b','))
}

/// Digit by digit: there are several in each row of a report.
fn nanos(text: &[u8], is_point: impl Fn(u8) -> bool) -> Option<u64> {
    let mut value: u64 = 0;
    let mut decimals = None;
    for (index, &byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                decimals = decimals.map(|count: u32| count + 1);
            }
            byte if is_point(byte) && decimals.is_none() && index > 0 => decimals = Some(0),
            _ => return None,
        }
    }
    if text.is_empty() || decimals == Some(0) {
        return None;
    }
    let missing = 9_u32.checked_sub(decimals.unwrap_or(0))?;
    value.checked_mul(10_u64.pow(missing))
}

/// An integer without a sign.
pub(crate) fn parse_integer(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, &byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// The seconds of `duration` as text.
pub(crate) fn seconds(duration: Duration) -> String {
    let mut out = Vec::new();
    push_seconds(&mut out, duration, b'.');
    String::from_utf8(out).expect("digits and a point")
}

/// `value` with at most three decimals, without trailing zeros.
pub(crate) fn thousandths(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Whether every spreadsheet reads `text` as a number and nothing else: an optional sign, digits, at most one decimal
/// point, and an optional exponent.
pub(crate) fn is_number(text: &[u8]) -> bool {
    let unsigned = without_sign(text);
    let (mantissa, exponent) = match memchr::memchr2(b'e', b'E', unsigned) {
        Some(at) => (&unsigned[..at], Some(without_sign(&unsigned[at + 1..]))),
        None => (unsigned, None),
    };
    let (whole, decimals) = match memchr::memchr(b'.', mantissa) {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &[][..]),
    };
    !(whole.is_empty() && decimals.is_empty())
        && whole.iter().chain(decimals).all(u8::is_ascii_digit)
        && exponent.is_none_or(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

fn without_sign(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_plain_decimals() {
        for (nanos, text) in [
            (0, "0"),
            (41, "0.000000041"),
            (1_500_000_000, "1.5"),
            (2_000_000_000, "2"),
            (10_000_000_001, "10.000000001"),
            (100_000_000, "0.1"),
            (u64::MAX, "18446744073.709551615"),
        ] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(seconds(duration), text);
            assert_eq!(parse_seconds(text.as_bytes(), b'.'), Some(duration));
            assert_eq!(parse_nanos(text.replace('.', ",").as_bytes()), Some(nanos));
        }
        for text in [
            "",
            ".5",
            "x",
            "1.",
            "1.0000000001",
            "1,5",
            "-1",
            "1.2.3",
            "1e3",
            "99999999999999999999",
        ] {
            assert_eq!(parse_seconds(text.as_bytes(), b'.'), None, "{text}");
        }
    }

    #[test]
    fn rates_keep_three_decimals() {
        for (value, text) in [(0.0, "0"), (1e-9, "0"), (1234.5, "1234.5"), (1e6, "1000000")] {
            assert_eq!(thousandths(value), text);
        }
    }

    #[test]
    fn numbers_are_told_from_formulas() {
        for text in ["0", "-1", "+1.50", ".5", "-.5", "5.", "1e6", "-2.5E-07"] {
            assert!(is_number(text.as_bytes()), "{text}");
        }
        for text in
            ["", "-", ".", "-.", "1-1", "1.2.3", "1e", "e5", "0x10", "1,5", " 1", "inf", "+-1"]
        {
            assert!(!is_number(text.as_bytes()), "{text}");
        }
    }
}
