//! A slot's session with a worker program: one task after another becomes a request, and its answer an outcome.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};

use super::Program;
use super::process::{Death, Ending, InFlight, Process};
use crate::sys::{oom_kills, said_of_kills, usage};
use crate::task::{Attempt, Level, Moment, Outcome, Status, Stop, Task};
use crate::worker::internal::{NOT_BEGUN, Verdict};
use crate::worker::public_protocol;
use crate::worker::public_protocol::Answer;

/// A slot's session with a program: one request at a time.
#[derive(Debug)]
pub struct Session {
    pub(super) program: Rc<Program>,
}

/// Permission to use a program: together with others, or alone.
enum Turn<'a> {
    Shared { _guard: RwLockReadGuard<'a, ()> },
    Alone { _guard: RwLockWriteGuard<'a, ()> },
}

impl Session {
    /// Runs every task of `batch`, one after another, and settles each, exactly once.
    ///
    /// # Errors
    /// If no process can be kept alive; the rest of the batch has been requeued.
    pub async fn run(
        &mut self,
        batch: &mut VecDeque<Task>,
        attempt: &Attempt<'_>,
        settle: &mut dyn FnMut(Task, Verdict),
    ) -> io::Result<()> {
        while let Some(mut task) = batch.pop_front() {
            let attempt = attempt.of(&task);
            match self.attempt(&mut task, &attempt).await {
                Ok(verdict) => settle(task, verdict),
                Err(error) => {
                    settle(task, NOT_BEGUN);
                    batch.drain(..).for_each(|task| settle(task, NOT_BEGUN));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Whether a request could be sent at once.
    pub fn is_ready(&self) -> bool {
        self.program.gate.try_read().is_ok() && self.program.is_open()
    }

    /// Waits until a request could be sent, or until the job is being killed.
    ///
    /// # Errors
    /// If no process can be kept alive.
    pub async fn ready(&self, attempt: &Attempt<'_>) -> io::Result<()> {
        drop(self.turn(false, attempt).await); // a task runs alone
        self.program.process().await.map(drop)
    }

    async fn attempt(&self, task: &mut Task, attempt: &Attempt<'_>) -> io::Result<Verdict> {
        let Some(_turn) = self.turn(task.is_suspect, attempt).await else {
            return Ok(NOT_BEGUN);
        };
        loop {
            let Some(process) = self.program.process().await? else {
                return Ok(NOT_BEGUN);
            };
            let arguments = self.program.settings.spec.arguments();
            let write = |id, out: &mut Vec<u8>| {
                public_protocol::write_request(id, arguments, &attempt.values(task), out);
            };
            // If it takes no request, it has died in between.
            if let Some(request) = process.send(write) {
                return Ok(self.attend(request, &process, task, attempt).await);
            }
        }
    }

    /// Waits until the program may be used. `None` if the job is being killed.
    async fn turn(&self, is_suspect: bool, attempt: &Attempt<'_>) -> Option<Turn<'_>> {
        let gate = &self.program.gate;
        let turn = async {
            if is_suspect {
                Turn::Alone { _guard: gate.write().await }
            } else {
                Turn::Shared { _guard: gate.read().await }
            }
        };
        tokio::select! {
            biased;
            turn = turn => Some(turn),
            () = attempt.cancel.killing() => None,
        }
    }

    async fn attend(
        &self,
        mut request: InFlight<'_>,
        process: &Process,
        task: &mut Task,
        attempt: &Attempt<'_>,
    ) -> Verdict {
        let sent = request.sent;
        let kills = if process.is_slow() { oom_kills() } else { None };
        let ending = tokio::select! {
            biased;
            ending = request.ending() => ending,
            stop = attempt.stopped(sent) => {
                drop(request);
                process.kill();
                return Verdict::Done(stopped(stop, sent, attempt));
            }
            stop = usage::too_much(process.pid(), attempt.memory) => {
                drop(request);
                process.kill();
                let (used, most) = stop;
                return Verdict::Done(stopped(Stop::Memory { used, most }, sent, attempt));
            }
        };
        match ending {
            Ending::Answered(answer, now) => {
                let run = now.since(sent);
                process.took(run);
                Verdict::Done(answered(answer, Outcome::new(Status::Ok, sent, run)))
            }
            Ending::Died(_) if attempt.cancel.level() >= Level::Kill => {
                Verdict::Done(stopped(Stop::Killed, sent, attempt))
            }
            Ending::Died(Death::Left) => NOT_BEGUN,
            Ending::Died(Death::Ended) => Verdict::Requeue { has_begun: true },
            Ending::Died(Death::OfOne) => {
                task.is_suspect = true;
                Verdict::Requeue { has_begun: true }
            }
            Ending::Died(Death::OfThis(words)) => {
                let crashed = Outcome::new(Status::Crashed, sent, sent.elapsed());
                let words = match said_of_kills(kills) {
                    Some(said) => format!("{said}; {words}"),
                    None => words,
                };
                Verdict::Done(Outcome { error: words, workers_lost: 1, ..crashed })
            }
        }
    }

    /// Its program.
    pub fn program(&self) -> &Rc<Program> {
        &self.program
    }

    /// Ends the session; the last one ends the program and waits for that. Returns the peak resident memory of its
    /// largest process, in bytes.
    pub async fn stop(self) -> Option<u64> {
        let program = &self.program;
        program.ended_sessions.update(|ended| ended + 1);
        if program.ended_sessions.get() < program.sessions.get() {
            return None;
        }
        let mut state = program.state.lock().await;
        let Some(process) = state.process.take() else { return state.peak_rss };
        process.let_leave();
        tokio::select! {
            () = process.ended() => {}
            () = tokio::time::sleep(program.settings.grace) => process.kill(),
            () = program.settings.cancel.killing() => process.kill(),
        }
        process.ended().await;
        program.record_end(&mut state, Some(&process));
        state.peak_rss
    }
}

fn stopped(stop: Stop, started: Moment, attempt: &Attempt<'_>) -> Outcome {
    let outcome = Outcome::new(stop.status(), started, started.elapsed());
    Outcome { error: stop.words(attempt.limit()), ..outcome }
}

fn answered(answer: Answer, outcome: Outcome) -> Outcome {
    match answer.outcome {
        Ok(done) => Outcome {
            result: done.result,
            result_kind: done.kind,
            cpu: done.cpu,
            peak_rss: done.peak_rss,
            ..outcome
        },
        Err(error) => Outcome { status: Status::Failed, error, ..outcome },
    }
}
