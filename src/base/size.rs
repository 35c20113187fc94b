//! A number of bytes, as people write it: `"64KiB"`, `"1MB"`. Nothing needs no unit.

use std::fmt;
use std::str::FromStr;

use crate::base::setting::deserialize_from_integer_or_str;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

/// The units, the largest first.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
    ("B", 1),
];

impl ByteSize {
    /// This many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes it is.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a size; write for example \"64KiB\" or \"1MB\"");
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_start();
        let factor = if unit.is_empty() {
            1
        } else {
            let found = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
            found.ok_or_else(bad)?.1
        };
        let number: u64 = number.parse().map_err(|_| bad())?;
        number.checked_mul(factor).map(Self).ok_or_else(|| format!("`{text}` is too large"))
    }
}

deserialize_from_integer_or_str!(
    ByteSize,
    "a size; write the unit, for example \"2GiB\" or \"64KiB\"",
    |bytes| (bytes == 0).then_some(ByteSize(0))
);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |&&(_, factor): &&(&str, u64)| self.0 >= factor && self.0.is_multiple_of(factor);
        match UNITS.iter().find(fits) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// A number of bytes for people, such as `2.1 GiB`. Rounded up: what is too much must not look as if it was not.
pub fn about(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.into_iter().find(|(_, factor)| bytes >= *factor);
    let (unit, factor) = unit.unwrap_or(("B", 1));
    let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(factor));
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}

/// What was used of what may be used, in bytes, for people: `used 2.1 GiB of 2 GiB`.
pub fn used_of(used: u64, most: u64) -> String {
    format!("used {} of {}", about(used), about(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("64KiB", 65536),
            ("1MB", 1_000_000),
            ("1 gib", 1 << 30),
            ("10kb", 10_000),
            ("17", 17),
            ("17B", 17),
            ("0", 0),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "KiB", "1.5MB", "-1", "64K", "1 parsec", "99999999TiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn too_much_looks_like_it() {
        assert_eq!(used_of((2 << 30) + 5_000_000, 2 << 30), "used 2.1 GiB of 2 GiB");
        assert_eq!(used_of(70 << 20, 1 << 26), "used 70 MiB of 64 MiB");
        assert_eq!(used_of(1025, 1000), "used 1.1 KiB of 1000 B");
    }

    #[test]
    fn a_size_is_shown_in_the_largest_unit_that_leaves_it_whole() {
        for (bytes, text) in [(65536, "64KiB"), (1_000_000, "1MB"), (1500, "1500B"), (0, "0B")] {
            assert_eq!(ByteSize(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
        }
    }
}
