//! What one look at the scheduler has shown, for the user and for what will never start.

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
