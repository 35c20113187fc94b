//! What happens to the tasks that a slot has taken before they start: some of them do not start at all.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::Arc;

use super::SlotContext;
use super::settle::record;
use crate::base::diagnostic::reason;
use crate::engine::made::{MadeFiles, Turn};
use crate::task::{Attempt, Outcome, Payload, Record, Status, Task, own_path};
use crate::workload::claims::Writer;
use crate::workload::http;

impl SlotContext<'_> {
    /// Settles those of the tasks that do not start, of the stage at `index`.
    #[inline]
    pub(super) fn prepare(&mut self, batch: &mut VecDeque<Task>, index: usize) {
        if index == 0 && self.run.job.inputs.can_be_bad() {
            self.set_aside_unusable(batch);
        }
        if !self.stage.demands.is_empty() {
            self.refuse_unmet(batch);
        }
    }

    /// A task whose input cannot be used has its row, and costs nothing else.
    fn set_aside_unusable(&mut self, batch: &mut VecDeque<Task>) {
        if batch.iter().all(|task| task.fields.cause().is_none()) {
            return;
        }
        for task in std::mem::take(batch) {
            if task.fields.cause().is_none() {
                batch.push_back(task);
                continue;
            }
            self.end(&mut Record::unusable(task, self.stage.columns.len()));
        }
    }

    /// A task whose fields are not what the templates need fails before it starts.
    fn refuse_unmet(&mut self, batch: &mut VecDeque<Task>) {
        for task in std::mem::take(batch) {
            match self.stage.demands.iter().find_map(|demand| demand.unmet(&task.fields)) {
                None => batch.push_back(task),
                Some(message) => {
                    let outcome = Outcome::not_started(message);
                    let record = record(self.stage, self.number, task, outcome);
                    self.end(&mut Record { slot: None, ..record });
                }
            }
        }
    }

    /// Skips tasks whose files are there, and tells the others under which names to write.
    pub(super) async fn begin_making(&mut self, made: &Arc<MadeFiles>, batch: &mut VecDeque<Task>) {
        for task in std::mem::take(batch) {
            let (task, turn) = begin(made, task, self.live.shares_loops).await;
            match turn {
                Ok(Turn::Run) => {
                    // What its row says of its files will soon be untrue.
                    self.run.report.kept().iter().for_each(|kept| kept.replace(task.number));
                    batch.push_back(task);
                }
                Ok(Turn::Skip) => self.skip(task),
                Err(why) => self.end_unstarted(task, why),
            }
        }
    }

    /// Sees to it that each of the tasks begins in the later stage at `index` with the files with which it entered it; one that
    /// cannot any more fails.
    pub(super) fn enter_stage(
        &mut self,
        made: &MadeFiles,
        batch: &mut VecDeque<Task>,
        index: usize,
    ) {
        for mut task in std::mem::take(batch) {
            match made.enter(&mut task, index) {
                Ok(()) => batch.push_back(task),
                Err(why) => self.end_unstarted(task, why),
            }
        }
    }

    /// A task fails before it starts, and is not attempted again.
    fn end_unstarted(&mut self, task: Task, why: String) {
        let record = record(self.stage, self.number, task, Outcome::not_started(why));
        self.end(&mut Record { slot: None, ..record });
    }

    /// A task fails before it starts if its answer would be saved over what is read, or where another task has saved its
    /// own.
    pub(super) fn claim_saves(
        &mut self,
        spec: &http::Spec,
        attempt: &Attempt<'_>,
        batch: &mut VecDeque<Task>,
    ) {
        for task in std::mem::take(batch) {
            match self.claim_save(spec, attempt, &task) {
                Ok(()) => batch.push_back(task),
                Err(why) => self.end_unstarted(task, why),
            }
        }
    }

    fn claim_save(
        &self,
        spec: &http::Spec,
        attempt: &Attempt<'_>,
        task: &Task,
    ) -> Result<(), String> {
        let attempt = attempt.of(task);
        let (values, folder) = (attempt.values(task), &self.run.job.folder);
        let target = spec.target(&values, folder).filter(|target| !target.is_device);
        let Some(target) = target else { return Ok(()) };
        spec.check_target(&target, &values, folder)?;
        let fail = |why: &str| format!("cannot save `{}`: {why}", own_path(&target.path).display());
        let place = self.live.index as u32 * 64;
        let writer = Writer { job: &self.run.job.name, task: task.number, place };
        self.run.claims.claim(&target.real, writer).map_err(|why| fail(&why))
    }

    /// A task that did not have to run keeps what its row said when it did.
    fn skip(&mut self, task: Task) {
        let earlier = self.run.report.earlier();
        let rest = earlier.and_then(|rows| rows.after_status(task.number, &task.fields));
        let mut record = Record::skipped(task, self.stage.columns.len());
        if let Some(meter) = &self.live.meter {
            meter.end();
            record.in_all_stages(self.run.job.task_fields(), self.stage.name.as_deref());
        }
        if let Some(ends) = &self.run.ends {
            ends.count(self.number, Status::Skipped, &self.run.cancel);
        }
        self.buffer.put_skipped(&record, rest.as_deref());
    }

    /// Sees to it that the payloads of the tasks are there, in memory if the workload needs that; a task whose payload is
    /// lost fails.
    pub(super) fn get_payloads(&mut self, batch: &mut VecDeque<Task>) {
        let get = if self.stage.loads_payload { Payload::load } else { Payload::keep };
        for task in std::mem::take(batch) {
            match task.payload().map_or(Ok(()), get) {
                Ok(()) => batch.push_back(task),
                Err(error) => {
                    let error = format!("cannot read the payload: {}", reason(&error));
                    self.done(task, Outcome::not_started(error));
                }
            }
        }
    }
}

/// Begins to make what a task makes. Other slots of the same event loop do not wait until long files have been read.
async fn begin(
    made: &Arc<MadeFiles>,
    mut task: Task,
    shares_loop: bool,
) -> (Task, Result<Turn, String>) {
    if !shares_loop || !made.is_slow(&task) {
        let turn = made.begin(&mut task);
        return (task, turn);
    }
    let made = Arc::clone(made);
    let begun = tokio::task::spawn_blocking(move || {
        let turn = made.begin(&mut task);
        (task, turn)
    });
    begun.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
