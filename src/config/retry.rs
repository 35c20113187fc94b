//! The settings of `[retry]`: which outcomes are tried again, how often and after what pause.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;

use crate::base::json::{self, Found};
use crate::base::setting::deserialize_from_str;
use crate::base::{Count, Period};
use crate::config::{Planner, Table};
use crate::task::{Outcome, Status};

/// Before the second attempt, unless the file says otherwise.
const DELAY: Duration = Duration::from_secs(1);

/// No backoff is longer, unless the file says otherwise.
const MAX_DELAY: Duration = Duration::from_mins(1);

/// A server may ask for a longer pause than `max_delay`, but hardly means one that is longer than this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// How a task that is not ok is retried. Exists only if there is more than one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// In total, above 1.
    pub max_attempts: u32,
    /// Before the second attempt; doubles from there.
    pub delay: Duration,
    /// The longest backoff, at least `delay`.
    pub max_delay: Duration,
    /// The outcomes that are worth another attempt; not empty.
    pub on: Vec<RetryOn>,
    /// What is not, even if `on` has it.
    pub never: Vec<RetryOn>,
}

impl Retry {
    /// Reads `[retry]`. `None` if tasks are attempted once.
    pub(crate) fn read(
        table: Option<Table<'_>>,
        kind: Option<&str>,
        plan: &Planner<'_>,
    ) -> Option<Self> {
        let mut table = table?;
        let max_attempts = table.get::<Count>("max_attempts");
        let delay = table.get::<Period>("delay").map(|delay| delay.into_inner().duration());
        let delay = delay.unwrap_or(DELAY);
        let max_delay = table.get::<Period>("max_delay");
        if let Some(max) = &max_delay
            && max.get_ref().duration() < delay
        {
            let delay = humantime::format_duration(delay);
            plan.error(max.span(), format!("`max_delay` must not be below `delay`, {delay}"));
        }
        let on = RetryOn::read(&mut table, "on", kind, plan);
        if let Some(on) = on.as_ref().filter(|on| on.get_ref().is_empty()) {
            let help = "leave it out for all of `failed`, `timeout` and `crashed`";
            plan.error_with_help(on.span(), "`on` names nothing to retry", help);
        }
        let on = on.map(Spanned::into_inner);
        let never = RetryOn::read(&mut table, "never", kind, plan).map(Spanned::into_inner);
        table.finish();
        let max_attempts = max_attempts.map_or(1, |count| count.into_inner().get());
        let never = never.unwrap_or_default();
        // A task that is refused while a limit finds itself goes back, unless it never may.
        (max_attempts > 1 || !never.is_empty()).then(|| Self {
            max_attempts,
            delay,
            max_delay: max_delay.map_or(MAX_DELAY.max(delay), |max| max.into_inner().duration()),
            on: on.unwrap_or_else(|| RetryOn::USUAL.to_vec()),
            never,
        })
    }

    /// Whether a task may be attempted more than once.
    pub fn repeats(&self) -> bool {
        self.max_attempts > 1
    }

    /// Whether a task whose attempt number `attempts` came to `outcome` is attempted again.
    pub fn wants(&self, attempts: u32, outcome: &Outcome) -> bool {
        attempts < self.max_attempts
            && self.on.iter().any(|on| on.matches(outcome))
            && !self.is_final(outcome)
    }

    /// Whether `outcome` is one that is never tried again.
    pub fn is_final(&self, outcome: &Outcome) -> bool {
        self.never.iter().any(|never| never.matches(outcome))
    }

    /// Whether it looks into what a failed task has answered.
    pub fn reads_answers(&self) -> bool {
        self.on.iter().chain(&self.never).any(RetryOn::reads_answers)
    }

    /// The pause after attempt number `attempts`: uniform in [d/2, d], where d doubles from `delay` on with each
    /// attempt, up to `max_delay`; `random` is uniform in [0, 1). A server's `Retry-After` counts if it is longer, even
    /// beyond `max_delay`, but only up to an hour.
    pub fn pause(&self, attempts: u32, retry_after: Option<Duration>, random: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        let backoff = self.delay.saturating_mul(doubled);
        let pause = backoff.min(self.max_delay).mul_f64(f64::midpoint(1.0, random));
        let asked = retry_after.map(|asked| asked.min(LONGEST_RETRY_AFTER.max(self.max_delay)));
        pause.max(asked.unwrap_or_default())
    }
}

/// What is worth another attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// A task that ended like this: failed, timeout or crashed.
    Status(Status),
    /// A command with this exit code, unless that is a success.
    Exit(u8),
    /// A response with this status, unless that is expected.
    Http(u16),
    /// A response with a status that starts with this digit, unless it is expected.
    HttpClass(u8),
    /// A failed request or command whose answer or output is JSON with this value at this pointer.
    Json {
        /// RFC 6901.
        pointer: String,
        /// A text, or the JSON of another value.
        value: String,
    },
}

impl RetryOn {
    /// The outcomes that are retried by default.
    const USUAL: [RetryOn; 3] = [
        RetryOn::Status(Status::Failed),
        RetryOn::Status(Status::Timeout),
        RetryOn::Status(Status::Crashed),
    ];

    /// Reads the rules at `key`; those of all jobs may be ones that never happen to a workload of this kind.
    pub(crate) fn read(
        table: &mut Table<'_>,
        key: &'static str,
        kind: Option<&str>,
        plan: &Planner<'_>,
    ) -> Option<Spanned<Vec<Self>>> {
        let on = table.list::<Self>(key)?;
        let (span, on) = (on.span(), on.into_inner());
        for word in &on {
            if let Some(kind) = kind.filter(|kind| !word.get_ref().fits(kind))
                && !plan.is_default(&word.span())
            {
                let message = format!("`{}` never happens to a `{kind}`", word.get_ref());
                plan.error(word.span(), message);
            }
        }
        Some(Spanned::new(span, on.into_iter().map(Spanned::into_inner).collect()))
    }

    /// Whether it looks into what a failed task has answered.
    pub(crate) fn reads_answers(&self) -> bool {
        matches!(self, RetryOn::Json { .. })
    }

    /// Whether `outcome` is one of those.
    pub fn matches(&self, outcome: &Outcome) -> bool {
        let failed_with = |fits: &dyn Fn(i32) -> bool| {
            outcome.status == Status::Failed && outcome.code.is_some_and(fits)
        };
        match self {
            RetryOn::Status(status) => outcome.status == *status,
            RetryOn::Exit(exit) => failed_with(&|code| code == i32::from(*exit)),
            RetryOn::Http(status) => failed_with(&|code| code == i32::from(*status)),
            RetryOn::HttpClass(class) => failed_with(&|code| code / 100 == i32::from(*class)),
            RetryOn::Json { pointer, value } => {
                outcome.status == Status::Failed && has_value(outcome.readable(), pointer, value)
            }
        }
    }

    /// Whether it can happen to a workload of this kind.
    fn fits(&self, kind: &str) -> bool {
        match self {
            RetryOn::Status(_) => true,
            RetryOn::Exit(_) => kind == "command",
            RetryOn::Http(_) | RetryOn::HttpClass(_) => kind == "http",
            RetryOn::Json { .. } => matches!(kind, "http" | "command"),
        }
    }
}

/// Whether `answer` is JSON with this value at `pointer`.
fn has_value(answer: &[u8], pointer: &str, value: &str) -> bool {
    match json::at(answer, pointer) {
        Ok(Some(Found::Text(found) | Found::Json(found))) => found == value,
        Ok(Some(Found::Null)) => value == "null",
        Ok(None) | Err(_) => false,
    }
}

impl FromStr for RetryOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "must be of `failed`, `timeout`, `crashed`, `exit:75`, `http:429`, `http:5xx` and the like, not `{text}`"
            )
        };
        if let Some(on) = Self::USUAL.into_iter().find(|on| on.to_string() == text) {
            return Ok(on);
        }
        if let Some(code) = text.strip_prefix("exit:") {
            return code.parse().map(RetryOn::Exit).map_err(|_| bad());
        }
        if let Some(rule) = text.strip_prefix("json:") {
            let (pointer, value) = rule.split_once('=').ok_or_else(|| {
                format!("`{text}` has no value: write `json:/error/code=insufficient_quota`")
            })?;
            if !pointer.is_empty() && !pointer.starts_with('/') {
                return Err(format!(
                    "`{pointer}` is not a JSON pointer: write `json:/{pointer}={value}`"
                ));
            }
            let (pointer, value) = (pointer.to_owned(), value.to_owned());
            return Ok(RetryOn::Json { pointer, value });
        }
        let status = text.strip_prefix("http:").ok_or_else(bad)?;
        if let Some(class) = status.strip_suffix("xx") {
            let class = class.parse().ok().filter(|class| (1..=5).contains(class));
            return class.map(RetryOn::HttpClass).ok_or_else(bad);
        }
        let status = status.parse().ok().filter(|status| (100..=599).contains(status));
        status.map(RetryOn::Http).ok_or_else(bad)
    }
}

deserialize_from_str!(RetryOn, "a string such as \"failed\" or \"exit:75\"");

impl fmt::Display for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RetryOn::Status(status) => f.write_str(status.name()),
            RetryOn::Exit(code) => write!(f, "exit:{code}"),
            RetryOn::Http(status) => write!(f, "http:{status}"),
            RetryOn::HttpClass(class) => write!(f, "http:{class}xx"),
            RetryOn::Json { pointer, value } => write!(f, "json:{pointer}={value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::task::Moment;

    fn retry(delay: u64, max_delay: u64) -> Retry {
        Retry {
            max_attempts: 3,
            delay: Duration::from_millis(delay),
            max_delay: Duration::from_millis(max_delay),
            on: RetryOn::USUAL.to_vec(),
            never: Vec::new(),
        }
    }

    fn outcome(status: Status, code: Option<i32>) -> Outcome {
        Outcome { code, ..Outcome::new(status, Moment::now(), Duration::ZERO) }
    }

    #[test]
    fn words_read_back() {
        for text in [
            "failed",
            "timeout",
            "crashed",
            "exit:75",
            "exit:0",
            "http:429",
            "http:5xx",
            "json:/error/code=x=y",
        ] {
            assert_eq!(text.parse::<RetryOn>().unwrap().to_string(), text);
        }
        for text in
            ["", "ok", "cancelled", "exit:256", "exit:", "http:42", "http:6xx", "http:xx", "75"]
        {
            assert!(text.parse::<RetryOn>().is_err(), "{text}");
        }
        assert_eq!(
            "fail".parse::<RetryOn>().unwrap_err(),
            "must be of `failed`, `timeout`, `crashed`, `exit:75`, `http:429`, `http:5xx` and the like, not `fail`"
        );
    }

    #[test]
    fn only_what_is_named_is_tried_again() {
        for (on, status, code, wanted) in [
            ("failed", Status::Failed, Some(1), true),
            ("failed", Status::Timeout, None, false),
            ("timeout", Status::Timeout, None, true),
            ("crashed", Status::Crashed, None, true),
            ("exit:75", Status::Failed, Some(75), true),
            ("exit:75", Status::Failed, Some(1), false),
            ("exit:75", Status::Ok, Some(75), false),
            ("http:5xx", Status::Failed, Some(503), true),
            ("http:5xx", Status::Failed, Some(429), false),
            ("http:5xx", Status::Ok, Some(503), false),
            ("http:429", Status::Failed, Some(429), true),
        ] {
            let retry = Retry { on: vec![on.parse().unwrap()], ..retry(1, 1) };
            assert_eq!(retry.wants(1, &outcome(status, code)), wanted, "{on} {status:?} {code:?}");
        }
        let quota = Outcome {
            output: br#"{"error": {"code": "insufficient_quota", "n": 3}}"#.to_vec(),
            ..outcome(Status::Failed, Some(429))
        };
        for (never, wanted) in [
            ("json:/error/code=insufficient_quota", false),
            ("json:/error/n=3", false),
            ("json:/error/code=rate_limit", true),
            ("json:/code=insufficient_quota", true),
            ("http:4xx", false),
        ] {
            let retry = Retry { never: vec![never.parse().unwrap()], ..retry(1, 1) };
            assert_eq!(retry.wants(1, &quota), wanted, "{never}");
        }
        let failed = outcome(Status::Failed, None);
        assert!(retry(1, 1).wants(2, &failed) && !retry(1, 1).wants(3, &failed));
        assert!(!retry(1, 1).wants(1, &outcome(Status::Cancelled, None)));
    }

    #[test]
    fn a_server_may_ask_for_a_longer_pause() {
        let retry = retry(1000, 8000);
        let asked = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(retry.pause(1, asked(30), 0.5), Duration::from_secs(30));
        assert_eq!(retry.pause(1, asked(0), 0.0), Duration::from_millis(500));
        assert_eq!(retry.pause(1, asked(1_000_000), 0.0), Duration::from_hours(1));
    }

    proptest! {
        #[test]
        fn the_pause_doubles_up_to_its_limit(
            delay in 0_u64..10_000,
            more in 0_u64..100_000,
            attempts in 1_u32..100,
            random in 0.0..1.0,
        ) {
            let retry = retry(delay, delay + more);
            let longest = (u128::from(delay) << (attempts - 1).min(64)).min(u128::from(delay + more));
            let longest = Duration::from_millis(longest as u64);
            let pause = retry.pause(attempts, None, random);
            prop_assert!(pause >= longest / 2 && pause <= longest, "{pause:?} of {longest:?}");
        }
    }
}
