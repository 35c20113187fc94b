//! The evidence of a pilot as text, for the summary's `reason`.

use std::time::Duration;

use super::{Evidence, Work};
use crate::model::Model;

impl Evidence {
    /// The evidence and the decision as text: `auto: cpu 97 % of 41 ms, GIL on, 2 cores: processes`.
    pub(super) fn reason(&self, model: Model, but: &str) -> String {
        let mut parts = Vec::new();
        let percent = |share: f64| format!("cpu {:.0} %", share.min(1.0) * 100.0);
        let seen = self.look.filter(|look| !look.busy.is_zero());
        match (seen, self.ended) {
            (Some(look), 0) => {
                parts.push(format!("{} of the first {}", percent(look.share), time(look.busy)));
            }
            (None, 0) => parts.push("no evidence from any task".to_owned()),
            (_, _) => {
                let share = self.share().or(self.of_ended());
                let run = time(Duration::from_secs_f64(self.task()));
                parts.push(match share {
                    Some(share) => format!("{} of {run}", percent(share)),
                    None => format!("{run} a task"),
                });
            }
        }
        match self.work {
            Work::Function { coroutine: true, .. } => parts.push("coroutines".into()),
            Work::Function { gil: true, .. } => parts.push("GIL on".into()),
            Work::Function { .. } => parts.push("GIL off".into()),
            Work::Program => parts.push("a program of its own".into()),
            Work::Command => parts.push("commands".into()),
        }
        parts.push(if self.cores == 1 { "1 core".into() } else { format!("{} cores", self.cores) });
        format!("auto: {}: {but}{model}", parts.join(", "))
    }
}

/// A duration in the unit in which it reads best, with two figures or more: `41 ms`.
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}
