//! The numbers that `where` compares: integers exactly, however long, and others as the floats that they are read as.

use std::cmp::Ordering;

use dashu_int::IBig;

use crate::base::json::{NotFinite, write_bare};
use crate::task::Kind;

/// A number.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Number {
    Integer(i128),
    /// An integer that is longer.
    Long(IBig),
    Float(f64),
}

impl Number {
    /// The number that a cell or a word is. Rust also reads `inf` and `nan`, which are words here.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        if let Ok(integer) = text.parse() {
            return Some(Self::Integer(integer));
        }
        if digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let digits = text.strip_prefix('+').unwrap_or(text);
            return IBig::from_str_radix(digits, 10).ok().map(Self::Long);
        }
        text.parse().ok().map(Self::Float)
    }

    /// The number that a value of this kind is: one without quotes can be as job files have numbers, such as `0x10`, `inf`.
    pub fn of_value(text: &str, kind: Kind) -> Option<Self> {
        let number = Self::parse(text);
        if number.is_some() || kind == Kind::Text {
            return number;
        }
        let name = text.strip_prefix(['+', '-']).unwrap_or(text);
        if matches!(name, "inf" | "nan" | "Infinity" | "NaN") {
            return text.parse().ok().map(Self::Float);
        }
        let mut decimal = Vec::new();
        write_bare(text.as_bytes(), NotFinite::Text, &mut decimal);
        Self::parse(str::from_utf8(&decimal).ok()?)
    }

    /// How they are ordered; `None` if one is not a number. An integer and a float are compared as Python does it: exactly.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(right),
            (Self::Float(_), _) => other.compare(self).map(Ordering::reverse),
            (_, Self::Float(float)) if !float.is_finite() => 0.0.partial_cmp(float),
            (whole, Self::Float(float)) => {
                let cut = float.trunc();
                let rest = 0.0.partial_cmp(&(float - cut))?;
                // Written out, a whole float is exact.
                let cut = if cut.abs() < SHORT {
                    Self::Integer(cut as i128)
                } else {
                    Self::parse(&format!("{cut:.0}"))?
                };
                Some(whole.compare(&cut)?.then(rest))
            }
            (Self::Long(left), Self::Long(right)) => Some(left.cmp(right)),
            (Self::Integer(left), Self::Long(right)) => Some(IBig::from(*left).cmp(right)),
            (Self::Long(left), Self::Integer(right)) => Some(left.cmp(&IBig::from(*right))),
        }
    }
}

/// A float below it is an integer of 128 bits, but for its fraction.
const SHORT: f64 = 1e38;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_ordered_as_in_python() {
        // Each is more than those before it.
        let ascending: &[&[&str]] = &[
            &["-1e400"],
            &["-340282366920938463463374607431768211457"],
            &[
                "-340282366920938463463374607431768211456",
                "-340282366920938463463374607431768211456.0",
            ],
            &["-1.5"],
            &["-1", "-1.0", "-01", "-1e0"],
            &["-0.5"],
            &["0", "-0", "-0.0", ".0", "+0"],
            &["0.1", "0.10"],
            &["1", "+1", "1.", "1e0"],
            &["1.5"],
            &["9007199254740992", "9007199254740992.0", "9007199254740993.0"],
            &["9007199254740993"],
            &["99999999999999991611392", "1e23"],
            &["100000000000000000000000", "+100000000000000000000000", "0100000000000000000000000"],
            &["1234567890123456789012345678901234567890123"],
            &["1234567890123456789012345678901234567890124"],
            &["1e400"],
        ];
        let places = ascending.iter().enumerate();
        let all: Vec<_> =
            places.flat_map(|(at, texts)| texts.iter().map(move |it| (at, it))).collect();
        for (place, text) in &all {
            for (other_place, other) in &all {
                let ordering = Number::parse(text).unwrap().compare(&Number::parse(other).unwrap());
                assert_eq!(ordering, Some(place.cmp(other_place)), "{text} and {other}");
            }
        }
    }

    #[test]
    fn what_has_no_quotes_may_be_a_number_of_a_job_file() {
        let bare = |text| Number::of_value(text, Kind::Bare);
        for (text, number) in [("0x10", 16), ("0o20", 16), ("0b101", 5), ("+7", 7), ("-7", -7)] {
            assert_eq!(bare(text), Some(Number::Integer(number)), "{text}");
        }
        assert_eq!(bare("inf"), Some(Number::Float(f64::INFINITY)));
        assert_eq!(bare("-Infinity"), Some(Number::Float(f64::NEG_INFINITY)));
        assert_eq!(Number::of_value("Infinity", Kind::Text), None);
        assert_eq!(bare("-inf"), Some(Number::Float(f64::NEG_INFINITY)));
        assert!(matches!(bare("+nan"), Some(Number::Float(it)) if it.is_nan()));
        assert_eq!(bare("nan").unwrap().compare(&Number::Integer(1)), None);
        for text in ["true", "", "[1]", "null", "infinity"] {
            assert_eq!(bare(text), None, "{text}");
        }
        for text in ["0x10", "inf", "nan", "-inf"] {
            assert_eq!(Number::of_value(text, Kind::Text), None, "{text}");
        }
    }
}
