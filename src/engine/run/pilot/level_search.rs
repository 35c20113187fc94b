//! The search for the level, once a pilot has decided: the machine and the tasks that end are looked at until none is left.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::{LAST_LOOK, MEMORY, Pilot, SMALL};
use crate::engine::run::Run;
use crate::model::level::{Level, Seen};
use crate::model::pilot::Decision;
use crate::sys::{ProcessorTimes, available_memory, memory_stalled, processors_stalled};
use crate::task::Moment;

/// How busy the machine has been until a moment.
struct Machine {
    at: Moment,
    processors: Option<ProcessorTimes>,
    crowded: Option<Duration>,
    stalled: Option<Duration>,
}

impl Machine {
    fn now() -> Self {
        Self {
            at: Moment::now(),
            processors: ProcessorTimes::read(),
            crowded: processors_stalled(),
            stalled: memory_stalled(),
        }
    }

    /// The part of the machine that was idle since `before`.
    fn idle_since(&self, before: &Self) -> Option<f64> {
        self.processors?.idle_since(before.processors?)
    }

    /// The part of the time since `before` in which something was waited for.
    fn part_since(&self, before: &Self, stall: impl Fn(&Self) -> Option<Duration>) -> Option<f64> {
        let took = self.at.since(before.at).as_secs_f64();
        let (now, before) = stall(self).zip(stall(before))?;
        (took > 0.0).then(|| now.saturating_sub(before).as_secs_f64() / took)
    }
}

impl Pilot {
    /// Looks for the level until no task is left.
    pub(super) fn find_level(
        &self,
        (run, index): (&Run, usize),
        level: Level,
        mut decision: Decision,
        ended: &Receiver<()>,
        mut grow: impl FnMut(&Decision),
    ) {
        let began = Moment::now();
        let count = || self.ended(run);
        let mut level = level.from(Duration::ZERO, count());
        let mut before = Machine::now();
        let (words, bytes) = (decision.reason.clone(), self.lock().peak_rss.max(SMALL));
        while ended.recv_timeout(LAST_LOOK) == Err(RecvTimeoutError::Timeout) {
            let (now, ended) = (Machine::now(), count());
            let memory = available_memory();
            let seen = Seen {
                at: began.elapsed(),
                ended,
                left: self.tasks.map(|tasks| tasks.saturating_sub(ended)),
                idle: now.idle_since(&before),
                crowded: now.part_since(&before, |machine| machine.crowded),
                stalled: now.part_since(&before, |machine| machine.stalled),
                memory,
                room: memory.map(|free| decision.concurrency + (free / MEMORY / bytes) as usize),
            };
            let Some(slots) = level.step(&seen) else { continue };
            before = now;
            if slots < decision.concurrency {
                run.stage(index).1.feed.limit(slots);
            }
            decision.concurrency = slots;
            decision.reason = format!("{words}{level}");
            self.decide(&decision);
            grow(&decision);
        }
        // What it came to may have been found without another step.
        decision.reason = format!("{words}{level}");
        self.decide(&decision);
    }
}
