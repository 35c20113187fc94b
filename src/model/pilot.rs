//! What the first tasks of a job tell, where the guide cannot know: how many slots, and under which model.
//!
//! A pilot only ever grows. Commands begin in one slot per core, which suits computing; if they turn out to wait, more
//! slots join. A hosted program (a Python interpreter, a worker) begins with one slot, since what suits computing (more
//! programs) wastes start-up on work that waits, and what suits waiting (more threads or coroutines in the same program)
//! is bound by the GIL; then either joins, and the pilot's own slot goes on as one of them. So the tasks of the pilot
//! count, nothing runs twice, nothing waits for a switch, and the price of not knowing is the time until there is
//! evidence: a few tasks have ended, or one has run for [`LOOK`] and its process has been looked at.
//!
//! Which way it grows is a matter of expected time. With `left` tasks of `run` seconds each, a `share` of which is
//! processor time, on `cores` cores:
//! - one slot needs left x run;
//! - n slots need left x run / n, but the processors need left x run x share / cores, and threads under the GIL as much
//!   as one core: left x run x share; the larger counts;
//! - more programs take what the first one took to start before they help.
//!
//! How many slots of programs keep all cores busy is cores / share (Goetz, Java Concurrency in Practice, 8.2).

mod reason;

use std::time::Duration;

use super::{Model, WAITING_IN_THREADS, WAITING_ON_A_LOOP};
use crate::model::Nature;

/// A task that has run for so long tells something before its end.
const LOOK: Duration = Duration::from_millis(15);
/// Who writes a coroutine says that it waits: less is enough to believe it.
const LOOK_AT_COROUTINE: Duration = Duration::from_millis(5);
/// Commands are given longer: many read and wait before they compute.
const LOOK_AT_COMMAND: Duration = Duration::from_millis(50);
/// From here on, where no model can be told, the cores are used all the same.
const PATIENCE: Duration = Duration::from_millis(500);
/// So many tasks have to end, and to have run for so long together, before their ends tell something.
const ENOUGH_TASKS: u64 = 3;
const ENOUGH_RUN: Duration = Duration::from_millis(3);
/// Below this share, work waits; above the other one, it computes. In between, an end is waited for.
const WAITS: f64 = 0.25;
const COMPUTES: f64 = 0.75;
/// What runs shorter than this gains nothing from more slots than cores: starting it is the runner's own work.
const SHORT: Duration = Duration::from_millis(5);
/// Another model has to be expected to save this part of the time.
const WORTH: f64 = 0.05;
/// Less than this part of the machine is nothing to make use of.
const IDLE: f64 = 0.1;
/// What it takes a slot to join a program, in seconds.
const JOIN: f64 = 2e-4;
/// What threads lose to the GIL besides, as part of the processor time.
const CONTENTION: f64 = 1.1;
/// Processes for work that waits, or so many for each core.
const PROCESSES: usize = 16;
const PROCESSES_A_CORE: usize = 4;

/// Whose tasks a pilot runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Commands: each is a process.
    Command,
    /// A worker program with one task at a time.
    Program,
    /// A Python function.
    Function {
        /// Whether only one thread of an interpreter runs at a time.
        gil: bool,
        /// Whether it is an `async def`.
        coroutine: bool,
    },
}

/// A pilot, planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The concurrency that the user has set.
    pub set: Option<usize>,
}

/// The most slots that a pilot may come to, if the user has set none.
pub fn most_slots(nature: Nature, cores: usize) -> usize {
    let processes = PROCESSES.max(PROCESSES_A_CORE * cores);
    if nature == Nature::Hosted { processes.max(WAITING_ON_A_LOOP) } else { processes }
}

/// The slots with which a pilot begins: as many as suit computing, as far as they cost nothing.
pub fn first_slots(nature: Nature, cores: usize) -> usize {
    if nature == Nature::Process { cores } else { 1 }
}

impl Work {
    /// Whether the slots of `model` become part of the program that there is.
    fn takes_in(self, model: Model) -> bool {
        self != Work::Command && model != Model::Processes
    }

    fn look(self) -> Duration {
        match self {
            Work::Command => LOOK_AT_COMMAND,
            Work::Function { coroutine: true, .. } => LOOK_AT_COROUTINE,
            Work::Function { .. } | Work::Program => LOOK,
        }
    }
}

/// What tasks have used that are still running, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Of the time that they have run, the part on a processor or waiting for one. Above 1: several threads.
    pub share: f64,
    /// How long each slot has been running tasks.
    pub busy: Duration,
}

/// What is known so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Whose tasks they are.
    pub work: Work,
    /// How many tasks have ended.
    pub ended: u64,
    /// How long those ran, together.
    pub run: Duration,
    /// Their processor time, together; `None` if it was not measured.
    pub cpu: Option<Duration>,
    /// `None` if nothing can be seen.
    pub look: Option<Look>,
    /// How long the first program took to be ready.
    pub startup: Duration,
    /// How many tasks have not ended; `None` if nobody knows.
    pub left: Option<u64>,
    /// Of the machine.
    pub cores: usize,
    /// The slots of the pilot.
    pub slots: usize,
    /// The most slots that there may be.
    pub most: usize,
    /// The concurrency that the user has set.
    pub set: Option<usize>,
    /// The part of the machine's processor time that nobody has used meanwhile, if that can be told.
    pub idle: Option<f64>,
    /// How many processes like those that run fit into the memory that is available.
    pub room: Option<usize>,
}

/// What a pilot has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who runs the slots from now on.
    pub model: Model,
    /// How many, those of the pilot included.
    pub concurrency: usize,
    /// Why, with the evidence.
    pub reason: String,
    /// Whether it stands. One that was made before any task had ended is looked at again when one has: of what computes
    /// at first, much may wait in the end.
    pub is_final: bool,
}

impl Evidence {
    /// What is to be done, once the evidence is enough; `None`: more of it is needed, or nothing would be gained yet.
    pub fn decide(&self) -> Option<Decision> {
        let share = match self.share() {
            Some(share) => share,
            None if self.is_late() => 1.0,
            None => return None,
        };
        let (model, concurrency) = match self.work {
            Work::Command => (Model::Threads, self.commands(share)),
            Work::Program | Work::Function { .. } => self.program(share)?,
        };
        // A program's tasks cannot be taken out of it; more processes can always come.
        let is_final = self.work.takes_in(model) || self.ended > 0;
        Some(Decision { model, concurrency, reason: self.reason(model, ""), is_final })
    }

    /// The same as `before`, or more slots of it, now that tasks have ended; `None`: none has.
    pub fn confirm(&self, before: &Decision) -> Option<Decision> {
        let share = self.share().or(self.of_ended()).filter(|_| self.ended > 0)?;
        let is_short = self.task() < SHORT.as_secs_f64();
        let concurrency = match self.work {
            Work::Command => self.commands(share),
            _ if is_short || share >= COMPUTES || self.set.is_some() => before.concurrency,
            _ => self.filling(share),
        };
        let concurrency = concurrency.max(before.concurrency);
        let reason = self.reason(before.model, "");
        Some(Decision { model: before.model, concurrency, reason, is_final: true })
    }

    /// What it came to, once all tasks have ended under the pilot.
    pub fn conclude(&self) -> Decision {
        let (model, but) = match self.work {
            Work::Command => (Model::Threads, ""),
            _ if self.ended == 0 => (Model::Sequential, ""),
            _ => (Model::Sequential, "done before another slot would have helped, "),
        };
        let reason = self.reason(model, but);
        Decision { model, concurrency: self.slots, reason, is_final: true }
    }

    /// The part of a task's time that is processor time, if that can be told: from tasks that have ended, or from one
    /// that has been running for a while.
    fn share(&self) -> Option<f64> {
        let look = self.look.filter(|look| look.busy >= self.work.look());
        // A command that has ended cannot be looked at any more, though it has kept a slot busy.
        let look = look.filter(|_| self.work != Work::Command || self.ended == 0);
        let of_look = look.map(|look| look.share.min(1.0));
        let enough = ENOUGH_TASKS.max(self.slots as u64);
        let have_ended = self.ended >= enough && self.run >= ENOUGH_RUN;
        let have_ended = have_ended || (self.work == Work::Command && self.run >= LOOK_AT_COMMAND);
        match (of_look, self.of_ended()) {
            // What an interpreter does beside its tasks is in it, and what others took from it is not.
            (Some(look), Some(_)) => Some(look),
            (_, Some(share)) if have_ended => Some(share),
            (Some(look), _) if !(WAITS..COMPUTES).contains(&look) => Some(look),
            (Some(look), None) if self.ended > 0 => Some(look),
            _ => None,
        }
    }

    fn of_ended(&self) -> Option<f64> {
        let run = self.run.as_secs_f64();
        let cpu = self.cpu?.as_secs_f64();
        (self.ended > 0 && run > 0.0).then(|| (cpu / run).min(1.0))
    }

    fn is_late(&self) -> bool {
        self.look.is_some_and(|look| look.busy >= PATIENCE) || self.run >= PATIENCE
    }

    /// How long a task runs, in seconds: what is known of it, if none has ended.
    fn task(&self) -> f64 {
        if self.ended > 0 {
            return self.run.as_secs_f64() / self.ended as f64;
        }
        self.look.map_or(0.0, |look| look.busy.as_secs_f64())
    }

    /// Tasks that are left. If nobody knows: as many as have been, which is what one expects who knows nothing else.
    fn left(&self) -> f64 {
        self.left.unwrap_or(self.ended.max(1)) as f64
    }

    /// The slots of processes that keep all cores busy.
    fn filling(&self, share: f64) -> usize {
        let most = PROCESSES.max(PROCESSES_A_CORE * self.cores).min(self.most);
        let wanted = (self.cores as f64 / share.max(0.01)).ceil() as usize;
        let fit = wanted.min(most).min(self.room.unwrap_or(usize::MAX));
        self.at_most_left(fit.max(self.cores))
    }

    fn at_most_left(&self, slots: usize) -> usize {
        slots.min(self.left.map_or(usize::MAX, |left| left.max(1) as usize)).min(self.most).max(1)
    }

    fn commands(&self, share: f64) -> usize {
        let is_short = self.task() < SHORT.as_secs_f64();
        // On a machine that is busy with other things, what computes gets less of it and looks as if it waited.
        let is_crowded = share >= WAITS && self.idle.is_some_and(|idle| idle < IDLE);
        let computes = is_short || is_crowded || share >= COMPUTES;
        if computes { self.slots } else { self.filling(share).max(self.slots) }
    }

    /// The model and the slots that are expected to be done first; `None` if that is the one slot that there is.
    fn program(&self, share: f64) -> Option<(Model, usize)> {
        let (task, cores) = (self.task(), self.cores as f64);
        let alone = self.left() * task;
        // Tasks are not divided: the last round takes as long as any.
        let in_slots = |slots: usize| (self.left() / slots as f64).ceil() * task;
        let mut options: Vec<(Model, usize, f64)> = Vec::new();
        if let Work::Function { gil, coroutine } = self.work
            && !(gil && share >= COMPUTES)
        {
            let (model, slots) = if coroutine {
                (Model::Async, WAITING_ON_A_LOOP)
            } else {
                (Model::Threads, WAITING_IN_THREADS)
            };
            let slots = self.at_most_left(self.set.unwrap_or(slots));
            let bound = match (coroutine, gil) {
                (true, _) => alone * share,
                (false, true) => alone * share * CONTENTION,
                (false, false) => alone * share / cores,
            };
            options.push((model, slots, JOIN * slots as f64 + in_slots(slots).max(bound)));
        }
        let computes = share >= COMPUTES || task < SHORT.as_secs_f64();
        let slots = if computes { self.cores } else { self.filling(share) };
        let slots = self.at_most_left(self.set.unwrap_or(slots));
        let startup = self.startup.as_secs_f64() * (slots as f64 / cores).max(1.0);
        let rest = (alone - startup).max(0.0) / alone;
        let together = in_slots(slots).max(alone * share / cores);
        options.push((Model::Processes, slots, startup + rest * together));

        let (model, slots, time) =
            options.into_iter().min_by(|one, other| one.2.total_cmp(&other.2))?;
        (slots > 1 && time < alone * (1.0 - WORTH)).then_some((model, slots))
    }
}

#[cfg(test)]
mod tests;
