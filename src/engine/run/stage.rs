//! A running stage: what its slots share.

use std::io;
use std::sync::{Arc, Mutex};

use crate::base::lock;
use crate::config::Bounds;
use crate::engine::feed::{Feed, HostLimit, Hosts};
use crate::engine::limits::admission::Admission;
use crate::engine::run::pilot::Pilot;
use crate::engine::run::{Watch, open_files};
use crate::job::{Job, Stage};
use crate::model::{Model, cores, pilot};
use crate::sys::available_memory;
use crate::task::{MedianLimit, Meter, Task, Values};
use crate::worker::internal::ForkServer;
use crate::workload::Workload;

/// A running stage.
pub struct StageRun {
    /// Its index in the job, from 0.
    pub index: usize,
    /// The number of its slots.
    pub slots: usize,
    /// The number of slots of all stages before it: from there, its slots are counted through all stages.
    pub slots_before: usize,
    /// The feed of its tasks.
    pub feed: Arc<Feed>,
    /// What an attempt waits for before it starts.
    pub admission: Admission,
    /// The limit of its attempts' time, if that is a share of the usual time.
    pub median: Option<MedianLimit>,
    /// What is observed while it runs.
    pub watch: Watch,
    /// The pilot, if the first tasks decide how the others run.
    pub pilot: Option<Pilot>,
    /// Where its interpreters are forked, once there is one.
    pub(super) forks: Mutex<Option<Arc<ForkServer>>>,
    /// How busy it is; only in a job with `[[stages]]`, since somebody has to keep count.
    pub meter: Option<Arc<Meter>>,
    /// Whether an event loop has more than one slot.
    pub shares_loops: bool,
}

impl StageRun {
    /// Whether the slots of this stage share an event loop.
    pub(super) fn shares_loops(stage: &Stage, slots: usize) -> bool {
        stage.model == Model::Async && slots > 1
    }

    /// Where its interpreters are forked, made by `new` if there is none yet.
    ///
    /// # Errors
    /// As `new`.
    pub fn fork_server(
        &self,
        new: impl FnOnce() -> io::Result<ForkServer>,
    ) -> io::Result<Arc<ForkServer>> {
        let mut forks = lock(&self.forks);
        if let Some(server) = &*forks {
            return Ok(Arc::clone(server));
        }
        Ok(Arc::clone(forks.insert(Arc::new(new()?))))
    }

    /// Who runs its slots, how many there are, and why: as it is planned, or as the pilot has decided.
    pub fn settled(&self, stage: &Stage) -> (Model, usize, String) {
        match self.pilot.as_ref().and_then(Pilot::decision) {
            Some(decision) => (decision.model, decision.concurrency, decision.reason),
            None => (stage.model, stage.concurrency, stage.reason.clone()),
        }
    }

    /// Whether the slot with this number, from 1, exists from the start.
    pub fn is_first(&self, number: usize) -> bool {
        self.pilot.as_ref().is_none_or(|pilot| number <= pilot.slots)
    }
}

/// The pilot of `stage`, if its first tasks decide, with those slots that are cheap to start, or that cost nothing.
pub(super) fn pilot(job: &Job, stage: &Stage, slots: usize) -> Option<Pilot> {
    let plan = stage.pilot?;
    let first = pilot::first_slots(stage.workload.nature(), cores()).min(slots);
    let is_function = matches!(stage.workload, Workload::Python(_));
    let may_join = !is_function || stage.workload.is_thread_safe();
    let spare = pilot::spare_slots(may_join, slots, cores(), available_memory());
    let pilot = Pilot::new(plan, (first, spare, slots), job.inputs.tasks());
    Some(if job.is_staged() { pilot.of_several() } else { pilot })
}

/// As many slots as the stage allows, but no more than the job can have tasks. A pilot without a set concurrency also
/// stays within the limit of open files.
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
    let stage = &job.stages[index];
    let limit = match (&stage.workload, stage.limits.adaptive, stage.limits.per_host) {
        (Workload::Http(_), Some(bounds), most) => {
            let most = most.unwrap_or(bounds.max);
            HostLimit::Adaptive(Bounds { min: bounds.min.min(most), max: bounds.max.min(most) })
        }
        (Workload::Http(_), None, Some(limit)) => HostLimit::Fixed(limit),
        (Workload::Http(_), None, None) => HostLimit::None,
        _ => return None,
    };
    let job = Arc::clone(job);
    let host_of = move |task: &Task| {
        let attempt = task.attempts + 1;
        // The slot is not known yet; no host depends on it.
        let payload = task.payload();
        let values = Values { fields: &task.fields, task: task.number, attempt, slot: 1, payload };
        job.stages[index].workload.host(&values)
    };
    Some(Hosts::new(limit, Box::new(host_of)))
}
