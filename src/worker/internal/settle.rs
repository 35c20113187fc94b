//! Settling tasks: by the answers that arrive, and by what a dead process leaves.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::{MAX_FRUITLESS, Remote, Verdict, Why};
use crate::sys::said_of_kills;
use crate::task::{Attempt, Moment, Outcome, Status, Stop, Task};
use crate::worker::internal::in_flight::Settle;
use crate::worker::private_protocol;
use crate::worker::private_protocol::Reply;
use crate::worker::shared_page::Running;

impl Remote {
    /// Settles the answers that arrived through the pipe. The error says what is wrong with a line.
    pub(super) fn settle_received(
        &mut self,
        attempt: &Attempt<'_>,
        settle: &mut Settle<'_>,
    ) -> Result<(), String> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let child = Rc::clone(&process.child);
        process.drain_lines(|line| {
            let reply = read_reply(line, attempt)?;
            self.is_leaving |= matches!(reply, Reply::Leaving);
            if let Some(run) = self.flight.accept(reply, settle) {
                self.pace.took(run);
                child.has_settled();
            }
            Ok(())
        })
    }

    /// Settles the answers that are in the journal.
    pub(super) fn settle_journal(
        &mut self,
        attempt: &Attempt<'_>,
        settle: &mut Settle<'_>,
    ) -> Result<(), String> {
        let Some(process) = &mut self.process else { return Ok(()) };
        self.journal.clear();
        process.page.read_journal(&mut self.journal);
        for line in self.journal.split_inclusive(|&byte| byte == b'\n') {
            let reply = read_reply(line, attempt)?;
            self.is_leaving |= matches!(reply, Reply::Leaving);
            if let Some(run) = self.flight.accept(reply, settle) {
                self.pace.took(run);
                process.child.has_settled();
            }
        }
        Ok(())
    }

    /// Settles all tasks of a dead process: those that it had done, the one that it was running, and those that it had
    /// not started.
    pub(super) async fn settle_dead(
        &mut self,
        ended: &str,
        why: Option<&Why>,
        attempt: &Attempt<'_>,
        settle: &mut Settle<'_>,
    ) -> io::Result<()> {
        // Half an answer at the end of the pipe is not a line, and is whole in the journal.
        let _ = self.settle_received(attempt, settle);
        let _ = self.settle_journal(attempt, settle);
        let running = self.running();
        let Some(process) = self.process.take() else { return Ok(()) };
        self.pace.back_to_one();
        if self.is_leaving
            && why.is_none()
            && let Some(interpreter) = self.interpreter()
        {
            interpreter.look_at_end(&process.child, ended);
        }
        let ending = match why {
            Some(Why::Broken(error)) => error.clone(),
            _ => format!("the worker process died: {}", process.child.describe_end(ended)),
        };
        let ending = match said_of_kills(self.kills).filter(|_| why.is_none()) {
            Some(said) => format!("{said}; {ending}"),
            None => ending,
        };
        let all = process.child.death_report.report(running.is_some()).await;
        if let Some(running) = running {
            if why.is_some() || (all == 1 && !process.child.was_killed()) {
                process.child.has_settled();
                self.settle_running(running, why, &ending, attempt, settle);
            } else if !process.child.was_killed() {
                self.flight.suspect(running.seq);
            }
        }
        if process.child.is_fruitful() || all > 0 || matches!(why, Some(Why::Stop(..))) {
            self.fruitless = 0;
        } else {
            self.fruitless += 1;
            if self.fruitless == MAX_FRUITLESS {
                self.flight.finish_all(|| crashed(None, &ending), settle);
                return Err(io::Error::other(format!("{MAX_FRUITLESS} times in a row, {ending}")));
            }
        }
        self.flight.requeue_from(0, running.is_some(), settle);
        Ok(())
    }

    /// Settles the task that a process was running when it ended.
    fn settle_running(
        &mut self,
        running: Running,
        why: Option<&Why>,
        ending: &str,
        attempt: &Attempt<'_>,
        settle: &mut Settle<'_>,
    ) {
        let outcome = match why {
            // The late task has ended after all, and the next one had started, which is not to blame.
            Some(Why::Stop(Stop::Timeout | Stop::Memory { .. }, late)) if *late != running.seq => {
                return;
            }
            // It is requeued with those that had not started.
            Some(Why::Stop(Stop::Evicted, _)) => return,
            Some(Why::Stop(stop, _)) => {
                let mut outcome =
                    Outcome::new(stop.status(), running.since, running.since.elapsed());
                outcome.error = stop.words(attempt.limit());
                outcome
            }
            Some(Why::Broken(_)) | None => {
                Outcome { workers_lost: 1, ..crashed(Some(running), ending) }
            }
        };
        self.flight.finish(running.seq, outcome, settle);
    }
}

/// Reads an answer. A task that gave up did so because of its timeout.
fn read_reply(line: &[u8], attempt: &Attempt<'_>) -> Result<Reply, String> {
    let mut reply = private_protocol::read_reply(line).map_err(|error| error.to_string())?;
    if let Reply::Cancelled(_, outcome) = &mut reply {
        outcome.status = Status::Timeout;
        outcome.error = Stop::Timeout.words(attempt.limit());
    }
    Ok(reply)
}

/// Settles tasks that cannot be attempted, since no worker can be kept alive.
pub fn lose(batch: &mut VecDeque<Task>, error: &io::Error, settle: &mut Settle<'_>) {
    let words = error.to_string();
    let is_unfit = error.kind() == io::ErrorKind::InvalidInput;
    for task in batch.drain(..) {
        // One that may have killed a worker before was attempted.
        let verdict = if is_unfit && !task.is_suspect {
            Verdict::Unfit(words.clone())
        } else {
            Verdict::Done(crashed(None, &words))
        };
        settle(task, verdict);
    }
}

/// The outcome of a task whose worker is gone.
pub(super) fn crashed(running: Option<Running>, error: &str) -> Outcome {
    let started = running.map_or_else(Moment::now, |running| running.since);
    let run = running.map_or(Duration::ZERO, |running| running.since.elapsed());
    Outcome { error: error.into(), ..Outcome::new(Status::Crashed, started, run) }
}
