//! `[limits] rate`: how many attempts may start in a time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::base::setting::deserialize_from_str;

/// How many attempts may start in a second, a minute or an hour, as the file has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    starts: f64,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

const UNITS: [(&str, Unit); 3] = [("s", Unit::Second), ("m", Unit::Minute), ("h", Unit::Hour)];

/// Starts that lie closer together than this many in a second are not told apart.
const FASTEST: f64 = 1e6;

/// A start in about three years is none.
const SLOWEST: f64 = 1e-8;

impl Rate {
    /// How many in a second.
    pub fn per_second(self) -> f64 {
        match self.unit {
            Unit::Second => self.starts,
            Unit::Minute => self.starts / 60.0,
            Unit::Hour => self.starts / 3600.0,
        }
    }

    /// One of `parts` equal parts of it.
    #[must_use]
    pub fn divided(self, parts: u32) -> Self {
        Self { starts: self.starts / f64::from(parts), ..self }
    }

    /// From one start to the next, if they are evenly spread.
    pub fn interval(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second())
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!("`{text}` is not a rate; write for example \"50/s\", \"100/m\" or \"0.5/s\"")
        };
        let (starts, unit) = text.split_once('/').ok_or_else(bad)?;
        let unit = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(bad)?.1;
        let starts = starts.trim();
        let is_plain = starts.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let starts = starts.parse().ok().filter(|_| is_plain).ok_or_else(bad)?;
        let rate = Self { starts, unit };
        match rate.per_second() {
            0.0 => Err("must be above 0; leave it out for no limit".into()),
            rate if rate > FASTEST => {
                Err(format!("must be at most {FASTEST}/s; leave it out for no limit"))
            }
            rate if rate < SLOWEST => Err(format!("`{text}` is too slow to be meant")),
            _ => Ok(rate),
        }
    }
}

deserialize_from_str!(Rate, "a rate such as \"50/s\"");

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.starts, UNITS[self.unit as usize].0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, per_second) in
            [("50/s", 50.0), ("0.5/s", 0.5), ("90/m", 1.5), ("36/h", 0.01), ("1000000/s", 1e6)]
        {
            let rate: Rate = text.parse().unwrap();
            assert!((rate.per_second() - per_second).abs() < 1e-12, "{text}");
            assert_eq!(rate.to_string(), text);
        }
        assert_eq!("90 / m".parse::<Rate>().unwrap().to_string(), "90/m");
        for text in [
            "50",
            "50/d",
            "/s",
            "-1/s",
            "0/s",
            "inf/s",
            "nan/s",
            "1e3/s",
            "1000001/s",
            "",
            "0.000001/h",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert_eq!("4/m".parse::<Rate>().unwrap().interval(), Duration::from_secs(15));
    }
}
