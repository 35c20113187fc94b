//! One stage of a job while it runs: what its slots share.

use std::sync::Arc;

use crate::engine::feed::{Feed, Hosts};
use crate::engine::limits::admission::Admission;
use crate::engine::run::pilot::Pilot;
use crate::engine::run::{Watch, open_files};
use crate::job::{Job, Stage};
use crate::model::{Model, cores, pilot};
use crate::task::{Meter, Task, Values};

/// A stage while it runs.
pub struct StageRun {
    /// Which of the job's, from 0.
    pub index: usize,
    /// How many slots.
    pub slots: usize,
    /// How many slots the stages before it have: what has to tell all slots of a job apart counts from there.
    pub seats_before: usize,
    /// Where its tasks come from.
    pub feed: Arc<Feed>,
    /// What an attempt waits for before it starts.
    pub admission: Admission,
    /// What is observed along the way.
    pub watch: Watch,
    /// If the first tasks decide what runs the others.
    pub pilot: Option<Pilot>,
    /// How busy it is; only in a job with `[[stages]]`, since somebody has to keep count.
    pub meter: Option<Arc<Meter>>,
    /// Whether a loop has more than one slot.
    pub shares_loops: bool,
}

impl StageRun {
    /// Whether the slots of this stage share a loop.
    pub(super) fn shares_loops(stage: &Stage, slots: usize) -> bool {
        stage.model == Model::Async && slots > 1
    }

    /// Who runs its slots, how many there are, and why: as it is planned, or as the pilot has decided.
    pub fn settled(&self, stage: &Stage) -> (Model, usize, String) {
        match self.pilot.as_ref().and_then(Pilot::decision) {
            Some(decision) => (decision.model, decision.concurrency, decision.reason),
            None => (stage.model, stage.concurrency, stage.reason.clone()),
        }
    }

    /// Whether the slot with this number, from 1, is there from the start.
    pub fn is_first(&self, number: usize) -> bool {
        self.pilot.as_ref().is_none_or(|pilot| number <= pilot.slots)
    }
}

/// The pilot of `stage`, if its first tasks decide: of the slots that cost nothing, should they suit.
pub(super) fn pilot(job: &Job, stage: &Stage, slots: usize) -> Option<Pilot> {
    let plan = stage.pilot?;
    let first = pilot::first_slots(stage.workload.nature(), cores()).min(slots);
    Some(Pilot::new(plan, (first, slots), job.inputs.tasks()))
}

/// As many slots as the stage allows, but no more than the job can have tasks. A pilot that nobody has set a number for
/// stays within the limit of open files, too.
pub(super) fn slots(job: &Job, stage: &Stage) -> usize {
    let tasks = job.inputs.tasks().map_or(usize::MAX, |tasks| tasks.max(1) as usize);
    let slots = stage.concurrency.min(tasks);
    match stage.pilot {
        Some(pilot::Plan { set: None }) => slots.min(open_files::slots(job, stage).max(cores())),
        _ => slots,
    }
}

/// Keeps the tasks of each host within `limits.per_host` of the stage at `index`.
pub(super) fn hosts(job: &Arc<Job>, index: usize) -> Option<Hosts> {
    let limit = job.stages[index].per_host?;
    let job = Arc::clone(job);
    let host_of = move |task: &Task| {
        let attempt = task.attempts + 1;
        // Which slot it will be is not known yet; nobody names a host after it.
        let payload = task.payload();
        let values = Values { fields: &task.fields, task: task.number, attempt, slot: 1, payload };
        job.stages[index].workload.host(&values)
    };
    Some(Hosts::new(limit, Box::new(host_of)))
}
