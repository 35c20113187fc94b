//! What one look at the scheduler has shown, for the user and for what will never start.

use std::time::{Duration, Instant};

use crate::cluster::engine::{Found, How};
use crate::cluster::reason::Outlook;

/// What one look at the scheduler has shown.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) running: u32,
    pub(super) waiting: u32,
    pub(super) reason: String,
    pub(super) never: Option<(String, &'static str)>,
    pub(super) may_start: bool,
}

impl Seen {
    pub(super) fn note(&mut self, found: &Found) {
        match found {
            Found::Running { .. } => self.running += 1,
            Found::Waiting { reason, outlook } => {
                self.waiting += 1;
                // That siblings run is the least interesting reason.
                if self.reason.is_empty() || self.reason == "JobArrayTaskLimit" {
                    self.reason.clone_from(reason);
                }
                match outlook {
                    Outlook::Never(key) => self.never = Some((reason.clone(), key)),
                    _ => self.may_start = true,
                }
            }
            Found::Ended { how: How::Completed, .. } => {}
            _ => self.may_start = true, // it may be started again
        }
    }

    /// Whether all that there is waits for what never comes.
    pub(super) fn is_hopeless(&self) -> bool {
        self.never.is_some() && self.running == 0 && !self.may_start
    }

    pub(super) fn words(&self, engine: &str) -> String {
        match (self.running, self.waiting) {
            (running, 0) => format!("{engine}: {running} run"),
            (running, waiting) => {
                format!("{engine}: {running} run, {waiting} wait ({})", self.reason)
            }
        }
    }
}

/// Waiting for so long is worth a line.
const LONG_WAITS: [Duration; 3] =
    [Duration::from_mins(1), Duration::from_mins(5), Duration::from_mins(30)];

/// How long nothing has run.
#[derive(Default)]
pub(super) struct Waits {
    /// Since when; `None` if something runs, or nothing waits.
    since: Option<Instant>,
    said: usize,
}

impl Waits {
    /// What to say if nothing has run for long.
    pub(super) fn words(&mut self, seen: &Seen, engine: &str, now: Instant) -> Option<String> {
        if seen.running > 0 || seen.waiting == 0 {
            *self = Self::default();
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let waited = now.duration_since(since);
        let long = LONG_WAITS[self.said..].iter().rposition(|long| waited >= *long)?;
        self.said += long + 1;
        let minutes = LONG_WAITS[self.said - 1].as_secs() / 60;
        Some(format!("{engine} has started nothing for {minutes} min: {}", seen.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_wait_is_said_after_1_5_and_30_minutes() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        let waiting = Seen { waiting: 4, reason: "Priority".into(), ..Seen::default() };
        let mut said = Vec::new();
        for minute in 0..=60 {
            let at = start + Duration::from_mins(minute);
            said.extend(waits.words(&waiting, "slurm", at));
        }
        let lines =
            [1, 5, 30].map(|min| format!("slurm has started nothing for {min} min: Priority"));
        assert_eq!(said, lines);
        let runs = Seen { running: 1, ..Seen::default() };
        assert_eq!(waits.words(&runs, "slurm", start), None);
        assert_eq!(waits.words(&waiting, "slurm", start), None, "it begins anew");
        let late = start + Duration::from_mins(7);
        assert_eq!(waits.words(&waiting, "slurm", late), Some(lines[1].clone()), "once is enough");
    }
}
