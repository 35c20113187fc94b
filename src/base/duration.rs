//! Lengths of time, as people write them: `"30s"`, `"1m 30s"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::base::setting::deserialize_from_str;

/// A length of time as humantime reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(Duration);

impl Period {
    /// The time.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text).map(Self).map_err(|_| {
            format!(
                "`{text}` is not a duration; write for example \"500ms\", \"30s\" or \"1m 30s\""
            )
        })
    }
}

deserialize_from_str!(Period, "a duration such as \"30s\"");

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A length of time above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timeout(Period);

impl Timeout {
    /// The time, above 0.
    pub fn duration(self) -> Duration {
        self.0.duration()
    }
}

impl FromStr for Timeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let period: Period = text.parse()?;
        if period.duration().is_zero() {
            return Err("must be above 0; leave it out for no timeout".into());
        }
        Ok(Self(period))
    }
}

deserialize_from_str!(Timeout, "a duration above 0 such as \"30s\"");

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("1m 30s", 90_000), ("0s", 0)] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.duration(), Duration::from_millis(millis), "{text}");
            assert_eq!(period.to_string(), text);
        }
        let error = "10 parsecs".parse::<Timeout>().unwrap_err();
        assert!(error.contains("30s"), "{error}");
        assert!("0s".parse::<Timeout>().is_err());
        assert!("5".parse::<Period>().is_err());
    }
}
