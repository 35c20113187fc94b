//! What the control thread watches in a job: its deadline, free memory, its load, and too many failures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::HumanBytes;

use crate::config::{Enough, RetryOn, Running, StopAfter};
use crate::engine::limits::free_memory::{Found, FreeMemory};
use crate::engine::limits::load::Load;
use crate::report::terminal::progress::Progress;
use crate::task::eviction::Evictions;
use crate::task::{Cancel, Cause, Level, Moment, Status};

/// Watches one job. To be called about ten times a second.
#[derive(Debug)]
pub struct Watchdog {
    deadline: Option<(Moment, Duration)>,
    free_memory: Option<Arc<FreeMemory>>,
    load: Option<Arc<Load>>,
    said_short: bool,
    said_high: bool,
    said_failures: bool,
}

impl Watchdog {
    /// The watchdog of a job that started at `start`.
    pub fn new(
        start: Moment,
        deadline: Option<Duration>,
        free_memory: Option<Arc<FreeMemory>>,
        load: Option<Arc<Load>>,
    ) -> Self {
        let deadline = deadline.map(|deadline| (start + deadline, deadline));
        Self {
            deadline,
            free_memory,
            load,
            said_short: false,
            said_high: false,
            said_failures: false,
        }
    }

    /// Calls the deadline by its whole length: a job that is resumed has less than that left.
    #[must_use]
    pub fn called(mut self, whole: Option<Duration>) -> Self {
        if let Some(((_, called), whole)) = self.deadline.as_mut().zip(whole) {
            *called = whole;
        }
        self
    }

    /// Says nothing of it when too many tasks have failed or enough are ok: whoever compares many runs says that at the
    /// end.
    #[must_use]
    pub fn without_ends(mut self, is_without: bool) -> Self {
        self.said_failures = is_without;
        self
    }

    /// Checks everything, and prints what it has done.
    pub fn tick(&mut self, cancel: &Cancel, progress: &Progress) {
        self.check_deadline(cancel, progress);
        self.check_memory(cancel, progress);
        self.check_load(progress);
        self.say_failures(cancel, progress);
    }

    /// Prints once that too many tasks have failed, or that enough are ok.
    pub fn say_failures(&mut self, cancel: &Cancel, progress: &Progress) {
        if !self.said_failures
            && let Some(Cause::Failures(message) | Cause::Enough(message)) = cancel.cause()
        {
            self.said_failures = true;
            progress.println(message);
        }
    }

    fn check_deadline(&mut self, cancel: &Cancel, progress: &Progress) {
        if let Some((at, deadline)) = self.deadline
            && Moment::now() >= at
        {
            self.deadline = None;
            let deadline = humantime::format_duration(deadline);
            progress.println(&format!("deadline of {deadline} reached: ending the running tasks"));
            cancel.raise(Level::Kill, Cause::Deadline);
        }
    }

    fn check_memory(&mut self, cancel: &Cancel, progress: &Progress) {
        let Some(free_memory) = &self.free_memory else { return };
        let found = free_memory.check();
        if let Found::Short(bytes) | Found::Critical(bytes) = found
            && !self.said_short
        {
            self.said_short = true;
            progress.println(&format!(
                "waiting for memory: {} available, `limits.min_free_memory` is {}",
                HumanBytes(bytes),
                free_memory.least()
            ));
        }
        if let Found::Critical(bytes) = found
            && let Some(slot) = cancel.evictions().and_then(Evictions::evict_youngest)
        {
            progress.println(&format!(
                "only {} of memory available: the task in slot {slot} is ended and will run again",
                HumanBytes(bytes)
            ));
        }
    }

    fn check_load(&mut self, progress: &Progress) {
        let Some(load) = &self.load else { return };
        if let Some(running) = load.check()
            && !self.said_high
        {
            self.said_high = true;
            progress.println(&format!(
                "waiting for the load to fall: {running} threads run or wait for a core, `limits.max_load` is {}",
                load.most()
            ));
        }
    }
}

/// Counts how the tasks of a job end, if too many failures or enough successes stop it.
#[derive(Debug)]
pub struct Ends {
    stop_after: StopAfter,
    enough: Option<Enough>,
    failed: AtomicU64,
    ok: AtomicU64,
    ended: Box<[Ended]>,
}

/// How many tasks have ended in some of the slots. On a cache line of its own, since one that many threads write to
/// costs as much as a short task.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Ended(AtomicU64);

/// The upper limit of counters, which slots share.
const COUNTERS: usize = 64;

impl Ends {
    /// The counters for this number of slots; `None` if no number of ends stops the job. In an earlier run, `ok` tasks
    /// have been ok.
    pub fn new(
        stop_after: StopAfter,
        enough: Option<Enough>,
        ok: u64,
        slots: usize,
    ) -> Option<Self> {
        let ended = (0..slots.clamp(1, COUNTERS)).map(|_| Ended::default()).collect();
        let counts = enough.is_some() || stop_after != StopAfter::Never;
        counts.then(|| Self {
            stop_after,
            enough,
            failed: AtomicU64::new(0),
            ok: AtomicU64::new(ok),
            ended,
        })
    }

    /// Stops a job of which an earlier run has done enough.
    pub fn check(&self, cancel: &Cancel) {
        if let Some(enough) = self.enough {
            judge_successes(enough, self.ok.load(Ordering::SeqCst), cancel);
        }
    }

    /// Counts a task that has finally ended in the slot with this number.
    pub fn count(&self, slot: usize, status: Status, cancel: &Cancel) {
        if let Some(enough) = self.enough
            && matches!(status, Status::Ok | Status::Skipped)
        {
            judge_successes(enough, self.ok.fetch_add(1, Ordering::SeqCst) + 1, cancel);
        }
        if self.stop_after == StopAfter::Never {
            return;
        }
        self.ended[slot % self.ended.len()].0.fetch_add(1, Ordering::SeqCst);
        if matches!(status, Status::Failed | Status::Timeout | Status::Crashed) {
            self.failed.fetch_add(1, Ordering::SeqCst);
        }
        let failed = self.failed.load(Ordering::SeqCst);
        if failed > 0 {
            self.judge(failed, cancel);
        }
    }

    fn judge(&self, failed: u64, cancel: &Cancel) {
        let ended = self.ended.iter().map(|ended| ended.0.load(Ordering::SeqCst)).sum();
        let Some(running) = self.stop_after.reached(failed, ended) else { return };
        let (level, what) = running.stop();
        if cancel.level() < level {
            let message = format!("stopping: {failed} of {ended} tasks have failed: {what}");
            cancel.raise(level, Cause::Failures(message));
        }
    }
}

fn judge_successes(enough: Enough, ok: u64, cancel: &Cancel) {
    let (level, what) = enough.running.stop();
    if ok < enough.count || cancel.level() >= level {
        return;
    }
    let message = match ok {
        1 => format!("stopping: 1 task is ok: {what}"),
        _ => format!("stopping: {ok} tasks are ok: {what}"),
    };
    cancel.raise(level, Cause::Enough(message));
}

/// Stops a job because a task ended like its `stop_on` says.
#[cold]
pub fn stop_on(rule: &RetryOn, task: u64, running: Running, cancel: &Cancel) {
    let (level, what) = running.stop();
    if cancel.level() < level {
        let message = format!("stopping: task {task} ended with `{rule}` (`stop_on`): {what}");
        cancel.raise(level, Cause::Failures(message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_too_many_stops_the_job() {
        let limit = std::num::NonZeroU64::new(2).unwrap();
        let cancel = Cancel::default();
        let stop_after = StopAfter::Failures { count: limit, running: Running::Drain };
        let failures = Ends::new(stop_after, None, 0, 3).unwrap();
        for (slot, status) in (0..).zip([Status::Failed, Status::Ok, Status::Cancelled]) {
            failures.count(slot, status, &cancel);
        }
        assert_eq!(cancel.level(), Level::Run);
        failures.count(5, Status::Timeout, &cancel);
        assert_eq!(cancel.level(), Level::Drain);
        assert!(
            matches!(cancel.cause(), Some(Cause::Failures(said)) if said.starts_with("stopping: 2 of 4 "))
        );
        assert!(Ends::new(StopAfter::Never, None, 0, 1).is_none());
    }

    #[test]
    fn enough_successes_stop_the_job_those_of_an_earlier_run_included() {
        let enough = Some(Enough { count: 3, running: Running::Kill });
        let cancel = Cancel::default();
        let ends = Ends::new(StopAfter::Never, enough, 1, 2).unwrap();
        ends.check(&cancel);
        for (slot, status) in (0..).zip([Status::Failed, Status::Ok, Status::Cancelled]) {
            ends.count(slot, status, &cancel);
        }
        assert_eq!(cancel.level(), Level::Run);
        ends.count(3, Status::Ok, &cancel);
        assert_eq!(cancel.level(), Level::Kill);
        assert!(
            matches!(cancel.cause(), Some(Cause::Enough(said)) if said.starts_with("stopping: 3 tasks are ok"))
        );
        let cancel = Cancel::default();
        Ends::new(StopAfter::Never, enough, 3, 2).unwrap().check(&cancel);
        assert_eq!(cancel.level(), Level::Kill);
    }
}
