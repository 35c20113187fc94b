//! `expect_status`: which statuses are a success. Codes (`404`) and classes (`"2xx"`).

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::base::setting::deserialize_from_integer_or_str;

/// One entry: a status, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This status.
    Code(u16),
    /// All statuses that start with this digit.
    Class(u16),
}

impl Expected {
    fn covers(self, status: u16) -> bool {
        match self {
            Self::Code(code) => code == status,
            Self::Class(class) => status / 100 == class,
        }
    }

    fn code(code: u64) -> Option<Self> {
        (100..1000).contains(&code).then_some(Self::Code(code as u16))
    }
}

/// Whether this very status is among `expected`, and not only its class.
pub(super) fn names(expected: &[Expected], status: u16) -> bool {
    expected.contains(&Expected::Code(status))
}

impl FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let class = lower.strip_suffix("xx").and_then(|digit| digit.parse::<u16>().ok());
        match class {
            Some(class) if (1..=9).contains(&class) => Ok(Self::Class(class)),
            _ => lower.parse().ok().and_then(Self::code).ok_or_else(|| {
                format!("`{text}` is neither a status such as 404 nor a class such as \"2xx\"")
            }),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{code}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

deserialize_from_integer_or_str!(
    Expected,
    "statuses such as 404 or classes such as \"2xx\"",
    Expected::code
);

impl Serialize for Expected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether one of `expected` covers `status`; else what to say.
pub(super) fn check(expected: &[Expected], status: u16) -> Result<(), String> {
    if expected.iter().any(|entry| entry.covers(status)) {
        return Ok(());
    }
    let all: Vec<_> = expected.iter().map(ToString::to_string).collect();
    Err(format!("status {status} not expected (expected {})", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_classes() {
        for (text, expected) in [
            ("2xx", Ok(Expected::Class(2))),
            ("5XX", Ok(Expected::Class(5))),
            ("404", Ok(Expected::Code(404))),
            ("0xx", Err(())),
            ("xx", Err(())),
            ("20", Err(())),
            ("ok", Err(())),
        ] {
            assert_eq!(text.parse::<Expected>().map_err(drop), expected, "{text}");
        }
    }

    #[test]
    fn a_status_that_is_not_expected_is_named() {
        let expected = [Expected::Class(2), Expected::Code(404)];
        assert_eq!(check(&expected, 204), Ok(()));
        assert_eq!(check(&expected, 404), Ok(()));
        let words = "status 500 not expected (expected 2xx, 404)";
        assert_eq!(check(&expected, 500), Err(words.into()));
    }

    #[test]
    fn what_is_sent_to_a_worker_comes_back() {
        for entry in [Expected::Class(3), Expected::Code(418)] {
            let json = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Expected>(&json).unwrap(), entry);
        }
        assert_eq!(serde_json::from_str::<Expected>("200").unwrap(), Expected::Code(200));
    }
}
