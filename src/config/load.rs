//! `[limits] max_load`: how busy the machine may be for something to start.

use std::fmt;
use std::str::FromStr;

use crate::model::cores;

/// How many threads may run or wait for a core; above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// This number.
    Threads(f64),
    /// This part of the cores, in hundredths.
    Percent(f64),
}

impl Load {
    /// How many threads that is here.
    pub fn threads(self) -> f64 {
        match self {
            Self::Threads(threads) => threads,
            Self::Percent(percent) => cores() as f64 * percent / 100.0,
        }
    }

    fn checked(number: f64, load: impl FnOnce(f64) -> Self) -> Option<Self> {
        (number > 0.0 && number <= 1e6).then(|| load(number))
    }
}

/// What is accepted.
const EXPECTED: &str = "a number above 0, or a share of the cores such as \"80%\"";

impl FromStr for Load {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, load): (_, fn(f64) -> Self) = match text.strip_suffix('%') {
            Some(percent) => (percent, Self::Percent),
            None => (text, Self::Threads),
        };
        let number = number.trim().parse().ok();
        let bad = || format!("must be {EXPECTED}, not `{text}`");
        number.and_then(|number| Self::checked(number, load)).ok_or_else(bad)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads(threads) => threads.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Load {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::{Error, Unexpected};
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Load;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Load, E> {
                let wrong = || E::invalid_value(Unexpected::Signed(number), &self);
                Load::checked(number as f64, Load::Threads).ok_or_else(wrong)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Load, E> {
                let wrong = || E::invalid_value(Unexpected::Unsigned(number), &self);
                Load::checked(number as f64, Load::Threads).ok_or_else(wrong)
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Load, E> {
                let wrong = || E::invalid_value(Unexpected::Float(number), &self);
                Load::checked(number, Load::Threads).ok_or_else(wrong)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Load, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads() {
        assert_eq!("1.5".parse(), Ok(Load::Threads(1.5)));
        let half: Load = "50%".parse().unwrap();
        assert!((half.threads() - cores() as f64 / 2.0).abs() < 1e-9);
        assert_eq!((half.to_string(), Load::Threads(4.0).to_string()), ("50%".into(), "4".into()));
        for text in ["0", "-1", "%", "NaN", "inf", "much", "0%"] {
            assert!(text.parse::<Load>().unwrap_err().contains("such as \"80%\""), "{text}");
        }
    }
}
