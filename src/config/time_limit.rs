//! `limits.timeout`: a time, a share of the usual time, or both.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::base::Timeout;

/// How long an attempt may run: at least one of both is set, and the shorter one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeLimit {
    /// This long.
    pub fixed: Option<Duration>,
    /// So many per cent of the median of the run times of tasks that are ok; more than 100.
    pub percent: Option<u32>,
}

impl TimeLimit {
    /// The upper limit of the share, in per cent.
    const MOST: u32 = 1_000_000;

    /// Adds one more limit.
    fn add(&mut self, text: &str) -> Result<(), String> {
        let Some(number) = text.strip_suffix('%') else {
            let fixed = Timeout::from_str(text)?.duration();
            return if self.fixed.replace(fixed).is_some() {
                Err("it has two durations: the shorter one is enough".into())
            } else {
                Ok(())
            };
        };
        let percent = number.trim().parse().ok();
        let percent = percent.filter(|percent| (101..=Self::MOST).contains(percent));
        let percent = percent.ok_or_else(|| {
            format!(
                "must be more than \"100%\" of the median run time, such as \"300%\", not `{text}`"
            )
        })?;
        if self.percent.replace(percent).is_some() {
            return Err("it has two shares of the median: the smaller one is enough".into());
        }
        Ok(())
    }
}

impl FromStr for TimeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut limit = Self::default();
        limit.add(text).map(|()| limit)
    }
}

impl<'de> Deserialize<'de> for TimeLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Limits;
        impl<'de> Visitor<'de> for Limits {
            type Value = TimeLimit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration above 0 such as \"30s\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<TimeLimit, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<TimeLimit, A::Error> {
                let mut limit = TimeLimit::default();
                while let Some(text) = all.next_element::<String>()? {
                    limit.add(&text).map_err(A::Error::custom)?;
                }
                if limit == TimeLimit::default() {
                    return Err(A::Error::custom("names no time; leave it out for no timeout"));
                }
                Ok(limit)
            }
        }
        deserializer.deserialize_any(Limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_a_share_or_both() {
        let read = |toml: &str| -> Result<TimeLimit, String> {
            #[derive(serde::Deserialize)]
            struct Table {
                t: TimeLimit,
            }
            let read = toml::from_str::<Table>(toml).map(|table| table.t);
            read.map_err(|error| error.message().to_owned())
        };
        let limit = |seconds: Option<u64>, percent| TimeLimit {
            fixed: seconds.map(Duration::from_secs),
            percent,
        };
        assert_eq!(read("t = '30s'"), Ok(limit(Some(30), None)));
        assert_eq!(read("t = '300%'"), Ok(limit(None, Some(300))));
        assert_eq!(read("t = ['10m', '300%']"), Ok(limit(Some(600), Some(300))));
        assert_eq!(read("t = ['150%']"), Ok(limit(None, Some(150))));
        for (toml, expected) in [
            ("t = '100%'", "more than \"100%\""),
            ("t = 'x%'", "not `x%`"),
            ("t = '0s'", "above 0"),
            ("t = []", "names no time"),
            ("t = ['1s', '2s']", "two durations"),
            ("t = ['200%', '300%']", "two shares"),
        ] {
            let error = read(toml).unwrap_err();
            assert!(error.contains(expected), "{toml}: {error}");
        }
    }
}
