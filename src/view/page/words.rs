//! Numbers, times and states in the words of a page.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};

use crate::csv::utc;
use crate::report::terminal::human_duration;
use crate::task::Status;

/// The class of what belongs to a status: its colour is the style sheet's.
pub fn status_class(status: Status) -> &'static str {
    match status {
        Status::Ok => "s-ok",
        Status::Failed => "s-failed",
        Status::Timeout => "s-timeout",
        Status::Crashed => "s-crashed",
        Status::Cancelled => "s-cancelled",
        Status::Skipped => "s-skipped",
    }
}

/// The status of so many tasks in a sentence: `3 timed out`.
pub fn said(status: Status, count: u64) -> &'static str {
    match status {
        Status::Cancelled if count == 1 => "was cancelled",
        Status::Skipped if count == 1 => "was up to date",
        Status::Ok => "ok",
        Status::Failed => "failed",
        Status::Timeout => "timed out",
        Status::Crashed => "crashed",
        Status::Cancelled => "were cancelled",
        Status::Skipped => "were up to date",
    }
}

/// A number of things: `1 task`, `2,000 tasks`.
pub fn things(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {one}{plural}", HumanCount(count))
}

/// So many things, and what they are: `1 task is`, `2,000 tasks are`.
pub fn things_are(count: u64, one: &str) -> String {
    format!("{} {}", things(count, one), if count == 1 { "is" } else { "are" })
}

/// A count.
pub fn count(count: u64) -> String {
    HumanCount(count).to_string()
}

/// A size.
pub fn bytes(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// A time in nanoseconds.
pub fn nanos(nanos: u64) -> String {
    human_duration(Duration::from_nanos(nanos))
}

/// A time in seconds.
pub fn seconds(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds.max(0.0)) {
        Ok(duration) if seconds < 172_800.0 => human_duration(duration),
        Ok(_) => {
            let hours = (seconds / 3600.0).round() as u64;
            format!("{} d {} h", HumanCount(hours / 24), hours % 24)
        }
        Err(_) => "ages".to_owned(),
    }
}

/// A rate, a second.
pub fn rate(rate: f64) -> String {
    match rate {
        ..0.001 if rate > 0.0 => format!("{:.1}/h", rate * 3600.0),
        ..0.1 if rate > 0.0 => format!("{:.1}/min", rate * 60.0),
        ..10.0 => format!("{rate:.1}/s"),
        _ => format!("{}/s", HumanCount(rate.round() as u64)),
    }
}

/// A part of the whole; never 0 % or 100 % of what is not nothing or all.
pub fn percent(part: f64) -> String {
    let percent = part * 100.0;
    match percent {
        _ if part <= 0.0 => "0 %".to_owned(),
        ..0.1 => "under 0.1 %".to_owned(),
        ..10.0 => format!("{percent:.1} %"),
        ..99.5 => format!("{percent:.0} %"),
        _ if part < 1.0 && percent >= 99.95 => "over 99.9 %".to_owned(),
        _ if part < 1.0 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// A time of day, to the second.
pub fn moment(micros: i64) -> String {
    let since = Duration::from_micros(u64::try_from(micros).unwrap_or_default());
    let text = utc(std::time::UNIX_EPOCH + since);
    format!("{} UTC", text.split('.').next().unwrap_or_default())
}

/// `a`, `a and b`, `a, b and c`.
pub fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_never_rounded_to_all_or_nothing() {
        let words = [0.0, 0.000_01, 0.05, 0.5, 0.996, 0.9999, 1.0].map(percent);
        assert_eq!(
            words,
            ["0 %", "under 0.1 %", "5.0 %", "50 %", "99.6 %", "over 99.9 %", "100 %"]
        );
        assert_eq!(
            [0.0, 0.000_1, 0.05, 5.0, 2000.0].map(rate),
            ["0.0/s", "0.4/h", "3.0/min", "5.0/s", "2,000/s"]
        );
        assert_eq!(
            (things(1, "task"), things(2000, "task")),
            ("1 task".into(), "2,000 tasks".into())
        );
        assert_eq!(listed(&["a".into(), "b".into(), "c".into()]), "a, b and c");
        assert_eq!(seconds(31_536_000.0), "365 d 0 h");
        assert_eq!(moment(1_000_000), "1970-01-01 00:00:01 UTC");
    }
}
