//! What a text becomes in a cell: a number only if nothing of it is lost by that.

/// The most characters of a cell, in UTF-16 units.
pub const LONGEST: usize = 32_767;

/// The most digits that a cell's number keeps.
const DIGITS: usize = 15;

/// The number that `text` is, if it is written exactly as that number would be: `007`, `1.50`, `1e5`, `+1`, and numbers of
/// more digits than a cell keeps stay text.
pub fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    if unsigned.len() > DIGITS + 1 || !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, "1"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_exact = is_digits(whole)
        && is_digits(decimals)
        && (whole == "0" || !whole.starts_with('0'))
        && !decimals.ends_with('0')
        && unsigned.bytes().filter(u8::is_ascii_digit).count() <= DIGITS;
    let value: f64 = text.parse().ok().filter(|_| is_exact)?;
    (value != 0.0 || text == "0").then_some(value)
}

/// `text` with at most as many characters as a cell holds, and whether it was cut.
pub fn fitting(text: String) -> (String, bool) {
    if text.len() <= LONGEST || text.encode_utf16().count() <= LONGEST {
        return (text, false);
    }
    let mut room = LONGEST - 1;
    let kept = text.chars().take_while(|c| {
        let fits = c.len_utf16() <= room;
        room -= if fits { c.len_utf16() } else { room };
        fits
    });
    (kept.chain(['…']).collect(), true)
}

/// The day number of a spreadsheet (days since 1899-12-30) for a time in microseconds since 1970.
pub fn day(micros: i64) -> f64 {
    25_569.0 + micros as f64 / 86_400e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_like_a_number_is_one() {
        for text in ["0", "7", "-7", "1.5", "-0.25", "123456789012345", "0.1"] {
            assert_eq!(number(text).map(|value| value.to_string()).as_deref(), Some(text));
        }
        for text in [
            "",
            "-",
            "007",
            "00",
            "-0",
            "1.50",
            "1.",
            ".5",
            "1e5",
            "+1",
            "1,5",
            "1234567890123456",
            "0x10",
            "MARCH1",
            "1-2",
            "inf",
            "NaN",
            " 1",
            "1 ",
            "٣",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(fitting("ä".repeat(LONGEST)), ("ä".repeat(LONGEST), false));
        let (cut, is_cut) = fitting("🦀".repeat(LONGEST));
        assert!(is_cut && cut.encode_utf16().count() <= LONGEST && cut.ends_with("🦀…"));
    }

    #[test]
    fn days_are_those_of_spreadsheets() {
        assert!((day(0) - 25_569.0).abs() < 1e-9);
        assert!((day(43_200_000_000) - 25_569.5).abs() < 1e-9);
    }
}
