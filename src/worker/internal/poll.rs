//! Polling the page while tasks are in flight: which task runs, whether its timeout is due, and which tasks wait after
//! it.

use std::time::Duration;

use super::source::Source;
use super::{Remote, Why};
use crate::sys::usage;
use crate::task::{Attempt, Level, Moment, Stop};
use crate::worker::internal::in_flight::{Pace, Settle};
use crate::worker::shared_page::Running;

/// How often the page is polled while tasks wait after another one: a long one is noticed after [`Pace::LONG`] plus
/// this, which is under 10 ms.
const POLL: Duration = Duration::from_millis(3);
/// The runner sees at once what a worker stores in the page, if both use its atomics. Python has none: what it stores
/// is visible after this time at the latest, since no processor delays a store for so long.
const SETTLED: Duration = Duration::from_millis(1);
/// How long a coroutine may take to give up once it was asked to.
const PATIENCE: Duration = Duration::from_millis(500);

impl Remote {
    /// When to poll the page next, if at all.
    pub(super) fn pause(&self, attempt: &Attempt<'_>) -> Option<Duration> {
        if self.flight.len() > 1 {
            let is_settling = self.barrier.is_some_and(|(seq, _)| seq == self.flight.next());
            return Some(if is_settling { SETTLED } else { POLL });
        }
        if self.asked.is_some_and(|(seq, _)| self.flight.is_open(seq)) {
            return Some(POLL);
        }
        let due = match (attempt.limit(), self.running()) {
            (Some(limit), Some(running)) => {
                let left = (running.since + limit.after).since(Moment::now());
                Some(left + Duration::from_micros(1))
            }
            (Some(_), None) => Some(POLL),
            (None, _) => None,
        };
        // What is usual, and how much memory it uses, changes while it runs.
        let is_watched = attempt.memory.is_some() || attempt.median.is_some();
        due.into_iter().chain(is_watched.then_some(usage::LOOK)).min()
    }

    /// The task that the worker is running, if it is not settled yet.
    pub(super) fn running(&self) -> Option<Running> {
        let running = self.process.as_ref()?.page.running()?;
        self.flight.is_open(running.seq).then_some(running)
    }

    /// Polls the page: settles answers that the worker has not sent yet, takes back tasks that wait after a long one,
    /// and checks whether a timeout is due.
    pub(super) fn look(&mut self, attempt: &Attempt<'_>, settle: &mut Settle<'_>) -> Option<Why> {
        if let Err(broken) = self.settle_journal(attempt, settle) {
            return Some(Why::Broken(broken));
        }
        let running = self.running()?;
        let run = running.since.elapsed();
        if attempt.limit().is_some_and(|limit| run > limit.after) && !self.gives_up(running.seq) {
            return Some(Why::Stop(Stop::Timeout, running.seq));
        }
        if let Some(most) = attempt.memory
            && let Some(used) = self.memory(most).filter(|&used| used > most)
        {
            return Some(Why::Stop(Stop::Memory { used, most }, running.seq));
        }
        let stopping = attempt.cancel.level() >= Level::Drain;
        if self.flight.len() > 1 && (stopping || run > Pace::LONG) {
            self.take_back(settle);
        }
        None
    }

    /// The memory of the worker's process and all below it, if it is time to look.
    fn memory(&mut self, most: u64) -> Option<u64> {
        let is_due = self.memory_looked.is_none_or(|looked| looked.elapsed() >= usage::LOOK);
        let pid = self.pid().filter(|_| is_due)?;
        self.memory_looked = Some(Moment::now());
        Some(usage::memory_of_tree(pid, most))
    }

    /// Whether a task may still give up by itself; the first time, asks it to.
    fn gives_up(&mut self, seq: u64) -> bool {
        if !self.interpreter().is_some_and(|interpreter| interpreter.can_cancel()) {
            return false;
        }
        match self.asked {
            Some((asked, since)) if asked == seq => since.elapsed() < PATIENCE,
            _ => {
                self.asked = Some((seq, Moment::now()));
                if let Some(process) = &mut self.process {
                    process.cancel(seq);
                }
                true
            }
        }
    }

    /// Takes back the tasks that wait after the running one.
    fn take_back(&mut self, settle: &mut Settle<'_>) {
        let Some(process) = &self.process else { return };
        let next = self.flight.next();
        let settled =
            if matches!(self.source, Source::Own { .. }) { Duration::ZERO } else { SETTLED };
        let now = Moment::now();
        let since = match self.barrier {
            Some((seq, since)) if seq == next => since,
            _ => now,
        };
        let current = process.page.take_back(next);
        self.barrier = Some((next, since));
        if now.since(since) < settled {
            return; // at the next poll it is certain what is running
        }
        if current != 0 {
            self.flight.requeue_from(current + 1, false, settle);
        }
        self.pace.back_to_one();
    }
}
