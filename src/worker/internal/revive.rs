//! Keeps the process of a worker alive: it is started again when it has died, or when it leaves to be renewed.

use std::io;
use std::rc::Rc;

use super::interpreter::Interpreter;
use super::process::Process;
use super::source::Source;
use super::{MAX_FRUITLESS, Remote};
use crate::task::Attempt;

impl Remote {
    /// Whether a task could begin at once, as far as is known here.
    pub fn is_ready(&self) -> bool {
        let has_gone = |process: &Process| process.child.has_ended();
        let is_free = |interpreter: &Rc<Interpreter>| interpreter.turn.try_read().is_ok();
        !self.is_leaving
            && self.process.as_ref().is_some_and(|process| !has_gone(process))
            && self.interpreter().is_none_or(is_free)
    }

    /// Waits until a task could begin, or until the job is being killed.
    ///
    /// # Errors
    /// If no process can be kept alive to run tasks.
    pub async fn ready(&mut self, attempt: &Attempt<'_>) -> io::Result<()> {
        if let Some(interpreter) = self.interpreter() {
            drop(interpreter.turn.read().await); // a task runs alone
        }
        self.revive(attempt).await.map(drop)
    }

    /// Has a process that takes tasks. False: the job is being killed.
    pub(super) async fn revive(&mut self, attempt: &Attempt<'_>) -> io::Result<bool> {
        if self.is_leaving {
            self.let_leave(attempt).await;
        }
        if self.process.as_ref().is_some_and(|process| process.child.has_ended()) {
            self.process = None; // it died without a task of this slot
        }
        if self.process.is_some() { Ok(true) } else { self.restart(attempt).await }
    }

    /// Starts a process, and another one if it ends before it is ready: it or the launcher may have been killed.
    pub(super) async fn start_process(&mut self) -> io::Result<()> {
        self.barrier = None;
        self.asked = None;
        self.is_leaving = false;
        let (launcher, program, work) = match &self.source {
            Source::Own { launcher, program, work } => (launcher, program, work),
            Source::Python(member) => {
                self.process = Some(member.interpreter().session().await?);
                return Ok(());
            }
        };
        let mut unready = 0;
        loop {
            self.starts += 1;
            match Process::start(launcher, program, work).await {
                Ok(process) => {
                    self.process = Some(process);
                    return Ok(());
                }
                Err(error) => {
                    unready += 1;
                    if unready == MAX_FRUITLESS {
                        return Err(io::Error::other(format!(
                            "{MAX_FRUITLESS} times in a row, {error}"
                        )));
                    }
                }
            }
        }
    }

    /// Waits for the end of a process that is about to be renewed; one whose threads go on says so in the log.
    async fn let_leave(&mut self, attempt: &Attempt<'_>) {
        let Some(process) = &self.process else { return };
        let Some(interpreter) = self.interpreter() else { return };
        let child = Rc::clone(&process.child);
        tokio::select! {
            biased;
            () = interpreter.left(&child) => {}
            () = attempt.cancel.killing() => {}
        }
        if !child.has_ended() {
            child.kill();
            child.ended().await;
        }
    }

    /// Starts the process again. False: the job is being killed.
    async fn restart(&mut self, attempt: &Attempt<'_>) -> io::Result<bool> {
        tokio::select! {
            biased;
            () = attempt.cancel.killing() => Ok(false),
            started = self.start_process() => started.map(|()| true),
        }
    }
}
