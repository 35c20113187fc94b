//! When a slot's attempt starts: it waits for its worker and for the limits, and knows how late it is where there is a rate.

use std::collections::VecDeque;
use std::time::Duration;

use super::{SlotContext, give_up};
use crate::engine::limits::admission::Admitted;
use crate::engine::limits::due::WaitsFor;
use crate::engine::slot_worker::SlotWorker;
use crate::task::{Attempt, Moment, Task};

/// What a slot knows of its attempt where there is a rate.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// When it asked for a task, and when that came, if it had to wait for it.
    pub turn: Option<(Moment, Option<Moment>)>,
    /// When it was let start, and how much later that was than the rate asked for.
    pub late: Option<(Moment, Duration)>,
}

impl SlotContext<'_> {
    /// Takes up to `most` tasks; false if there are no more. One that has been `admitted` already takes what is there now:
    /// others may need its place meanwhile.
    pub(super) async fn take(
        &mut self,
        most: usize,
        batch: &mut VecDeque<Task>,
        admitted: &mut Option<Admitted>,
    ) -> bool {
        if admitted.is_some() {
            if self.handle.take_now(most, batch).await {
                return true;
            }
            self.live.admission.give_back(admitted);
        }
        if self.live.admission.due.is_none() {
            return self.handle.take(most, batch).await;
        }
        let asked = Moment::now();
        let taken = self.handle.take(most, batch).await;
        let reads_stdin = self.run.job.inputs.reads_stdin();
        let available = batch.front().and_then(|task| {
            let is_new = task.stage() == 0 && task.attempts == 0 && task.refusals == 0;
            available(asked, task, is_new && !task.was_put_off && !reads_stdin)
        });
        self.pacing.turn = Some((asked, available));
        taken
    }

    /// Waits until the task of `batch` may start and its worker could begin with it at once: a turn, or a place in a group, that
    /// is taken while a program is started again would be one of long ago when that is ready, together with those of all
    /// other slots. `None`: the job is being stopped, and the task has been given back.
    pub(super) async fn wait_for_start(
        &mut self,
        worker: &mut SlotWorker,
        attempt: &Attempt<'_>,
        batch: &mut VecDeque<Task>,
    ) -> Option<Admitted> {
        // One that runs alone waits for the others in any case.
        let is_suspect = batch.front().is_some_and(|task| task.is_suspect);
        let admission = &self.live.admission;
        loop {
            if !is_suspect
                && let Err(error) = admission.noting(WaitsFor::Worker, worker.ready(attempt)).await
            {
                worker.lose(batch, &error, &mut |task, verdict| self.settle(task, verdict));
                give_up(self.run, &error);
                return None;
            }
            let mut admitted = admission.admit(&self.run.cancel).await;
            if admitted.is_none() {
                batch.drain(..).for_each(|task| self.handle.give_back(task));
            }
            if admitted.is_none() || is_suspect || worker.is_ready() {
                return admitted;
            }
            admission.give_back(&mut admitted);
        }
    }

    /// Notes how much later than the rate asked for an attempt starts now.
    pub(super) fn note_start(&mut self) {
        if let Some(due) = &self.live.admission.due
            && let Some((asked, available)) = self.pacing.turn
        {
            let now = Moment::now();
            self.pacing.late = Some((now, due.start(asked, now, available)));
        }
    }
}

/// When the task that a slot has asked for since `asked` came, if the slot had to wait for it: it could not have started
/// before. An input that can be read at any time did not have to be waited for.
fn available(asked: Moment, task: &Task, is_there: bool) -> Option<Moment> {
    /// In less time than this, what is there is taken.
    const WAITED: Duration = Duration::from_millis(1);
    let now = Moment::now();
    if is_there || now.since(asked) < WAITED {
        return (task.stage() > 0 && task.attempts == 0).then_some(task.taken);
    }
    Some(now)
}
