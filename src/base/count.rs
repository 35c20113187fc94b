//! A number above 0.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// An upper limit for something; at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(NonZeroU32);

impl Count {
    /// The number, above 0.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("must be an integer above 0, not `{text}`"))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer above 0")
            }

            fn visit_i64<E: Error>(self, count: i64) -> Result<Count, E> {
                let number = u32::try_from(count).ok().and_then(NonZeroU32::new);
                number.map(Count).ok_or_else(|| E::invalid_value(Unexpected::Signed(count), &self))
            }
        }
        deserializer.deserialize_i64(Number)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!("3".parse::<Count>().unwrap().to_string(), "3");
        for text in ["0", "-1", "1.5", "4294967296", ""] {
            assert!(text.parse::<Count>().is_err(), "{text}");
        }
    }
}
