//! Figures of a report as other programs write them back: pandas turns small times into `1.5e-05` and integers of a column
//! with empty cells into `3.0`, spreadsheets put truth into words of their language.

use crate::csv::number::{is_number, parse_integer, parse_nanos};

/// The largest number below which each integer is one of its own.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// Words for yes and no in the languages of spreadsheets, in lower case.
const YES: [&str; 9] =
    ["true", "1", "wahr", "vrai", "vero", "verdadero", "verdadeiro", "waar", "prawda"];
const NO: [&str; 9] =
    ["false", "0", "falsch", "faux", "falso", "onwaar", "fałsz", "falskt", "falsk"];

/// The nanoseconds of a number of seconds.
pub fn nanos(text: &[u8]) -> Option<u64> {
    parse_nanos(text).or_else(|| {
        let nanos = (number(text)? * 1e9).round();
        (0.0..1.8e19).contains(&nanos).then_some(nanos as u64)
    })
}

/// An integer without a sign.
pub fn integer(text: &[u8]) -> Option<u64> {
    parse_integer(text).or_else(|| {
        let value = number(text)?;
        (value.fract() == 0.0 && (0.0..WHOLE).contains(&value)).then_some(value as u64)
    })
}

/// A number, with a decimal point or a decimal comma.
pub fn number(text: &[u8]) -> Option<f64> {
    let pointed: Vec<u8> =
        text.iter().map(|&byte| if byte == b',' { b'.' } else { byte }).collect();
    is_number(&pointed).then(|| std::str::from_utf8(&pointed).ok()?.parse().ok())?
}

/// Whether it says yes; `None` if it says neither yes nor no. An empty cell says no.
pub fn is_yes(text: &str) -> Option<bool> {
    let word = text.trim().to_lowercase();
    if YES.contains(&word.as_str()) {
        return Some(true);
    }
    (word.is_empty() || NO.contains(&word.as_str())).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_other_programs_write_them() {
        assert_eq!(nanos(b"1.5e-05"), Some(15_000));
        assert_eq!(nanos(b"1,5E-5"), Some(15_000));
        assert_eq!(nanos(b"0.25"), Some(250_000_000));
        assert_eq!(integer(b"2539520.0"), Some(2_539_520));
        assert_eq!(integer(b"2,5e+06"), Some(2_500_000));
        for text in ["", "x", "-1", "1.5.2", "nan", "inf", "1e99", "12:30"] {
            assert_eq!((nanos(text.as_bytes()), integer(text.as_bytes())), (None, None), "{text}");
        }
        assert_eq!(integer(b"1.5"), None);
        for (text, yes) in [("True", true), ("WAHR", true), ("falsch", false), ("", false)] {
            assert_eq!(is_yes(text), Some(yes), "{text}");
        }
        assert_eq!(is_yes("x"), None);
    }
}
