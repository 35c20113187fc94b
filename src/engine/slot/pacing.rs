//! What a slot knows of its attempt where there is a rate: when it asked for a task, and how late that started.

use std::collections::VecDeque;
use std::time::Duration;

use super::SlotContext;
use crate::engine::limits::admission::Admitted;
use crate::task::{Moment, Task};

/// What a slot knows of its attempt where there is a rate.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// When it asked for a task, and when that came, if it had to wait for it.
    pub turn: Option<(Moment, Option<Moment>)>,
    /// How much later than the rate asked for the attempt has started.
    pub late: Option<Duration>,
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
            available(asked, task, is_new && !reads_stdin)
        });
        self.pacing.turn = Some((asked, available));
        taken
    }

    /// Notes how much later than the rate asked for an attempt starts now.
    pub(super) fn note_start(&mut self) {
        if let Some(due) = &self.live.admission.due
            && let Some((asked, available)) = self.pacing.turn
        {
            self.pacing.late = Some(due.start(asked, Moment::now(), available));
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
