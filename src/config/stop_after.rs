//! `[limits] stop_after_failures` and `on_stop`: when a job is not worth going on with.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::base::setting::{deserialize_from_integer_or_str, named};
use crate::task::Level;

/// A share of failures says nothing before this number of tasks have ended.
const LEAST_SAMPLE: u64 = 20;

/// When failures stop the job.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum StopAfter {
    /// Never: every task is run.
    #[default]
    Never,
    /// At this many.
    Failures {
        /// Above 0.
        count: NonZeroU64,
        /// What happens to the running tasks.
        running: Running,
    },
    /// At this share of the tasks that have ended, once they are enough: 20, or 100 / percent if that is more.
    Share {
        /// Above 0, at most 100.
        percent: f64,
        /// What happens to the running tasks.
        running: Running,
    },
}

impl StopAfter {
    pub(crate) fn new(limit: Option<FailureLimit>, running: Running) -> Self {
        match limit {
            None => Self::Never,
            Some(FailureLimit::Count(count)) => Self::Failures { count, running },
            Some(FailureLimit::Percent(percent)) => Self::Share { percent, running },
        }
    }

    /// What happens to the running tasks if `failed` of `ended` tasks are reason to stop.
    pub fn reached(self, failed: u64, ended: u64) -> Option<Running> {
        match self {
            Self::Never => None,
            Self::Failures { count, running } => (failed >= count.get()).then_some(running),
            Self::Share { percent, running } => {
                let ended = ended as f64;
                let enough = ended >= (LEAST_SAMPLE as f64).max(100.0 / percent);
                (enough && failed as f64 * 100.0 >= percent * ended).then_some(running)
            }
        }
    }
}

/// When successes stop the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enough {
    /// How many tasks that are ok are enough; above 0.
    pub count: u64,
    /// What happens to the running tasks.
    pub running: Running,
}

/// What happens to the running tasks when the job is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Running {
    /// They finish.
    #[default]
    Drain,
    /// They are ended.
    Kill,
}

impl Running {
    /// How far the job is stopped, and what that means for its tasks.
    pub fn stop(self) -> (Level, &'static str) {
        match self {
            Running::Drain => (Level::Drain, "running tasks finish, no new ones start"),
            Running::Kill => (Level::Kill, "ending the running tasks"),
        }
    }
}

named!(Running, "a string: `drain` or `kill`", "drain" => Drain, "kill" => Kill);

/// How many failures are too many, as the file has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FailureLimit {
    /// This number.
    Count(NonZeroU64),
    /// This share of the tasks that have ended, in percent: above 0, at most 100.
    Percent(f64),
}

impl FromStr for FailureLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("must be an integer above 0 or a share such as \"5%\", not `{text}`");
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse().map(Self::Count).map_err(|_| bad());
        };
        let percent =
            percent.trim().parse().ok().filter(|&percent| percent > 0.0 && percent <= 100.0);
        percent.map(Self::Percent).ok_or_else(bad)
    }
}

deserialize_from_integer_or_str!(
    FailureLimit,
    "an integer above 0 or a share such as \"5%\"",
    |count| NonZeroU64::new(count).map(FailureLimit::Count)
);

impl fmt::Display for FailureLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureLimit::Count(count) => count.fmt(f),
            FailureLimit::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        for text in ["1", "100", "5%", "0.5%", "100%"] {
            assert_eq!(text.parse::<FailureLimit>().unwrap().to_string(), text);
        }
        for text in ["0", "-1", "0%", "101%", "nan%", "", "%", "five"] {
            assert!(text.parse::<FailureLimit>().is_err(), "{text}");
        }
        assert_eq!("stop".parse::<Running>().unwrap_err(), "must be `drain` or `kill`, not `stop`");
    }

    #[test]
    fn a_share_needs_a_sample() {
        let stops = |limit: &str, failed, ended| {
            let limit = Some(limit.parse().unwrap());
            StopAfter::new(limit, Running::Kill).reached(failed, ended) == Some(Running::Kill)
        };
        assert!(!stops("3", 2, 100) && stops("3", 3, 3));
        assert!(!stops("50%", 19, 19) && stops("50%", 10, 20) && !stops("50%", 9, 20));
        assert!(!stops("1%", 99, 99) && stops("1%", 1, 100) && !stops("1%", 1, 101));
        assert_eq!(StopAfter::new(None, Running::Drain).reached(10, 10), None);
    }
}
