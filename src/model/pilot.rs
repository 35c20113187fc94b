//! A pilot lets the first tasks of a job decide what the guide cannot know: how many slots, and under which model.
//!
//! A pilot only ever grows. Commands begin in one slot per core, which suits computing; if they turn out to wait, more
//! slots join. A hosted program (a Python interpreter, a worker) begins with one slot, since what suits computing (more
//! programs) wastes start-up on work that waits, and what suits waiting (more coroutines, or where the author allows it
//! threads, in the same program) is bound by the GIL; then either joins, and the pilot's own slot goes on as one of them. So the tasks of the pilot
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

use super::level::Level;
use super::{Model, WAITING_IN_THREADS, WAITING_ON_A_LOOP};
use crate::model::Nature;

/// A task that has run for this long is evidence before it ends.
const LOOK: Duration = Duration::from_millis(15);
/// That it waits shows sooner, and those that join such a function then are few, and can do no harm.
const LOOK_AT_WAITING: Duration = SHORT;
/// A coroutine is declared to wait, so less evidence is enough that it does, and more is needed that it does not: what
/// an interpreter does once, at its first coroutine, computes.
const LOOK_AT_COROUTINE: Duration = Duration::from_millis(5);
const LOOK_AT_BUSY_COROUTINE: Duration = Duration::from_millis(50);
/// Commands take longer: many read and wait before they compute.
const LOOK_AT_COMMAND: Duration = Duration::from_millis(50);
/// After this time, all cores are used even without evidence for a model.
const PATIENCE: Duration = Duration::from_millis(500);
/// The number of tasks that must have ended, and their total run time, before they are evidence.
const ENOUGH_TASKS: u64 = 3;
const ENOUGH_RUN: Duration = Duration::from_millis(3);
/// Work below the first share waits; above the second one, it computes. In between, the pilot waits until a task ends.
const WAITS: f64 = 0.25;
const COMPUTES: f64 = 0.75;
/// Tasks shorter than this gain nothing from more slots than cores, since starting them is the runner's own work.
const SHORT: Duration = Duration::from_millis(5);
/// The part of the time that another model must be expected to save.
const WORTH: f64 = 0.05;
/// If less than this part of the machine is idle, more slots are of no use.
const IDLE: f64 = 0.1;
/// Even on a busy machine, work that computes gets more than this share of a processor.
const LEAST: f64 = 0.1;
/// The time in seconds that a slot takes to join a program.
const JOIN: f64 = 2e-4;
/// The factor on processor time that threads lose to contention for the GIL.
const CONTENTION: f64 = 1.1;
/// The number of processes for work that waits, in all and per core; the larger one counts.
const PROCESSES: usize = 16;
const PROCESSES_A_CORE: usize = 4;
/// What that may grow to, where more at once turn out to end more tasks a second.
const MOST_PROCESSES: usize = 64;
/// Interpreters are forked, and so cheaper: they need not be looked for.
const INTERPRETERS: usize = MOST_PROCESSES;
/// Once tasks have run for this long, what is ready beside the pilot begins.
const SOON: Duration = Duration::from_millis(2);
/// Without this much available memory, in bytes, nothing is started that may not be needed.
const ROOM_FOR_SPARE: u64 = 512 << 20;

/// The kind of tasks that a pilot runs.
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
        /// Whether its author says that threads may run it at once. What else shares an interpreter might change results.
        thread_safe: bool,
    },
}

/// A pilot, planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The concurrency that the user has set.
    pub set: Option<usize>,
}

/// The upper limit of slots for a pilot if the user has set none.
pub fn most_slots(nature: Nature, cores: usize) -> usize {
    let processes = MOST_PROCESSES.max(PROCESSES_A_CORE * cores);
    if nature == Nature::Hosted { processes.max(WAITING_ON_A_LOOP) } else { processes }
}

/// The slots with which a pilot begins: as many as suit computing, if they are cheap to start.
pub fn first_slots(nature: Nature, cores: usize) -> usize {
    if nature == Nature::Process { cores } else { 1 }
}

/// The slots that start beside the pilot before anything is known: the second interpreter of a function will most likely
/// be needed, and a core that nobody uses starts it for nothing. What may join an interpreter needs no other one.
/// `available` is the available memory in bytes, if known.
pub fn spare_slots(may_join: bool, slots: usize, cores: usize, available: Option<u64>) -> usize {
    let has_room = available.is_none_or(|bytes| bytes >= ROOM_FOR_SPARE);
    usize::from(!may_join && has_room && slots > 1 && cores > 1)
}

impl Work {
    /// Whether the slots of `model` join the running program.
    fn takes_in(self, model: Model) -> bool {
        self != Work::Command && model != Model::Processes
    }

    /// How long a task must have run to be evidence; `waits` says that it has done nothing else so far.
    fn look(self, waits: bool) -> Duration {
        match self {
            Work::Command => LOOK_AT_COMMAND,
            Work::Function { coroutine: true, .. } => LOOK_AT_COROUTINE,
            Work::Function { thread_safe: false, .. } if waits => LOOK_AT_WAITING,
            Work::Function { .. } | Work::Program => LOOK,
        }
    }
}

/// What tasks that are still running have used, seen from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// The part of their run time on a processor or waiting for one. Above 1: several threads.
    pub share: f64,
    /// How long each slot has been running tasks.
    pub busy: Duration,
}

/// What is known so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The kind of the tasks.
    pub work: Work,
    /// How many tasks have ended.
    pub ended: u64,
    /// Their total run time.
    pub run: Duration,
    /// Their total processor time; `None` if it was not measured.
    pub cpu: Option<Duration>,
    /// The running tasks, seen from outside; `None` if nothing can be seen.
    pub look: Option<Look>,
    /// How long a program takes until it is ready: one that has joined, if there is any, else the first one.
    pub startup: Duration,
    /// How many tasks have not ended; `None` if that is unknown.
    pub left: Option<u64>,
    /// The cores of the machine.
    pub cores: usize,
    /// The slots of the pilot.
    pub slots: usize,
    /// The slots that have been started beside it, as [`spare_slots`] says.
    pub spare: usize,
    /// The upper limit of slots.
    pub most: usize,
    /// The concurrency that the user has set.
    pub set: Option<usize>,
    /// The part of the machine's processor time that was idle meanwhile, if known.
    pub idle: Option<f64>,
    /// How many processes like the running ones fit into the available memory.
    pub room: Option<usize>,
}

/// The decision of a pilot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The model that runs the slots from now on.
    pub model: Model,
    /// The number of slots, including those of the pilot.
    pub concurrency: usize,
    /// Why, with the evidence.
    pub reason: String,
    /// Whether the decision is final. One that was made before any task ended is reviewed when one has: much of what
    /// computes at first waits in the end.
    pub is_final: bool,
}

impl Evidence {
    /// The decision, once there is enough evidence; `None` if more of it is needed, or if nothing would be gained yet.
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
        // The tasks of a program cannot be moved out of it; more processes can always be added. How many is worth another
        // look where nobody knew how many tasks would come.
        let is_final = self.work.takes_in(model) || (self.ended > 0 && self.left.is_some());
        Some(Decision { model, concurrency, reason: self.reason(model, ""), is_final })
    }

    /// Whether what is ready beside the pilot begins: not before it is known that it may, nor for tasks that are done by then.
    pub fn spare_begins(&self) -> bool {
        let may_join = matches!(self.work, Work::Function { coroutine, thread_safe, .. } if coroutine || thread_safe);
        let has_run = self.run.max(self.look.map_or(Duration::ZERO, |look| look.busy));
        self.spare > 0 && !may_join && has_run >= SOON && self.left != Some(0)
    }

    /// Confirms `before`, possibly with more slots, now that more is known: once tasks have ended that is final, and until
    /// then those that go on waiting are joined by more. `None` if nothing has changed.
    pub fn confirm(&self, before: &Decision) -> Option<Decision> {
        let is_final = self.ended > 0;
        let share = if is_final { self.share().or(self.of_ended()) } else { self.share() }?;
        let is_short = self.task() < SHORT.as_secs_f64();
        let concurrency = match self.work {
            Work::Command if is_final => self.commands(share),
            Work::Command => before.concurrency,
            _ if is_short || share >= COMPUTES || self.set.is_some() => before.concurrency,
            _ => self.processes(share).map_or(before.concurrency, |(slots, _)| slots),
        };
        let concurrency = concurrency.max(before.concurrency);
        if !is_final && concurrency == before.concurrency {
            return None;
        }
        let reason = self.reason(before.model, "");
        Some(Decision { model: before.model, concurrency, reason, is_final })
    }

    /// The search for a better level than that of `decision`: where the user has set none, and each slot has a process of its
    /// own. Only work that waits gains from a higher one.
    pub fn level(&self, decision: &Decision) -> Option<Level> {
        let is_open = self.set.is_none()
            && (self.work == Work::Command || decision.model == Model::Processes);
        let share = self.share().or(self.of_ended()).unwrap_or(1.0);
        let waits = share < COMPUTES
            && self.task() >= SHORT.as_secs_f64()
            && decision.concurrency > self.cores;
        let least = self.slots;
        is_open.then(|| Level::new(decision.concurrency, (least, self.most), waits))
    }

    /// The conclusion if all tasks have ended under the pilot, and under what was ready beside it if that has `begun`.
    pub fn conclude(&self, begun: usize) -> Decision {
        // What has ended cannot be observed any more.
        let evidence = Self { look: None, ..self.clone() };
        let (model, but) = match self.work {
            Work::Command => (Model::Threads, ""),
            _ if begun > 0 => (Model::Processes, ""),
            _ if self.ended == 0 => (Model::Sequential, ""),
            _ => (Model::Sequential, "done before another slot would have helped, "),
        };
        let reason = evidence.reason(model, but);
        Decision { model, concurrency: self.slots + begun, reason, is_final: true }
    }

    /// The part of a task's time that is processor time, if known: from tasks that have ended, or from one that has
    /// been running for a while.
    fn share(&self) -> Option<f64> {
        let look = self.look.filter(|look| look.busy >= self.work.look(look.share < WAITS));
        // A command that has ended cannot be observed any more, although it has kept a slot busy.
        let look = look.filter(|_| self.work != Work::Command || self.ended == 0);
        let of_look = look.map(|look| look.share.min(1.0));
        let enough = ENOUGH_TASKS.max(self.slots as u64);
        let have_ended = self.ended >= enough && self.run >= ENOUGH_RUN;
        let have_ended = have_ended || (self.work == Work::Command && self.run >= LOOK_AT_COMMAND);
        match (of_look, self.of_ended()) {
            (Some(look), Some(share)) => Some(self.weigh(look, share)),
            (_, Some(share)) if have_ended => Some(share),
            (Some(share), _) if share < WAITS || (share >= COMPUTES && self.may_compute()) => {
                Some(share)
            }
            (Some(look), None) if self.ended > 0 => Some(look),
            _ => None,
        }
    }

    /// Whether a task that is on a processor all the time has been so for long enough to tell.
    fn may_compute(&self) -> bool {
        let declares_to_wait = matches!(self.work, Work::Function { coroutine: true, .. });
        let least = if declares_to_wait { LOOK_AT_BUSY_COROUTINE } else { self.work.look(false) };
        self.look.is_some_and(|look| look.busy >= least)
    }

    /// Settles between what a look at the process has shown and what tasks that have ended have used. The look includes
    /// what an interpreter does beside its tasks, which matters if they are short, and what others took from it, which
    /// matters on a busy machine; but also what it does only once, at its first tasks.
    fn weigh(&self, look: f64, ended: f64) -> f64 {
        let is_short = self.task() < SHORT.as_secs_f64();
        let is_starved = self.is_busy() && ended >= LEAST;
        if is_short || is_starved { look } else { look.min(ended) }
    }

    /// Whether the machine has nothing to spare.
    fn is_busy(&self) -> bool {
        self.idle.is_some_and(|idle| idle < IDLE)
    }

    fn of_ended(&self) -> Option<f64> {
        let run = self.run.as_secs_f64();
        let cpu = self.cpu?.as_secs_f64();
        (self.ended > 0 && run > 0.0).then(|| (cpu / run).min(1.0))
    }

    fn is_late(&self) -> bool {
        self.look.is_some_and(|look| look.busy >= PATIENCE) || self.run >= PATIENCE
    }

    /// How long a task runs, in seconds; if none has ended, how long it has run so far.
    fn task(&self) -> f64 {
        if self.ended > 0 {
            return self.run.as_secs_f64() / self.ended as f64;
        }
        self.look.map_or(0.0, |look| look.busy.as_secs_f64())
    }

    /// The tasks that are left. If that is unknown: as many as have ended, the best guess without other knowledge.
    fn left(&self) -> f64 {
        self.left.unwrap_or(self.ended.max(1)) as f64
    }

    /// The number of processes that keeps all cores busy.
    fn filling(&self, share: f64) -> usize {
        let processes = match self.work {
            Work::Function { coroutine: false, thread_safe: false, .. } => INTERPRETERS,
            Work::Function { .. } => WAITING_IN_THREADS,
            Work::Program | Work::Command => PROCESSES,
        };
        let most = processes.max(PROCESSES_A_CORE * self.cores).min(self.most);
        let wanted = (self.cores as f64 / share.max(0.01)).ceil() as usize;
        let fit = wanted.min(most).min(self.room.unwrap_or(usize::MAX));
        self.at_most_left(fit.max(self.cores))
    }

    fn at_most_left(&self, slots: usize) -> usize {
        slots.min(self.left.map_or(usize::MAX, |left| left.max(1) as usize)).min(self.most).max(1)
    }

    fn commands(&self, share: f64) -> usize {
        let is_short = self.task() < SHORT.as_secs_f64();
        // On a busy machine, work that computes gets less processor time and looks as if it waited.
        let is_crowded = share >= LEAST && self.is_busy();
        let computes = is_short || is_crowded || share >= COMPUTES;
        if computes { self.slots } else { self.filling(share).max(self.slots) }
    }

    /// The model and the number of slots that are expected to finish first; `None` if that is the pilot's one slot.
    fn program(&self, share: f64) -> Option<(Model, usize)> {
        let (task, cores) = (self.task(), self.cores as f64);
        let alone = self.left() * task;
        // Tasks are indivisible: the last round takes as long as any other.
        let in_slots = |slots: usize| (self.left() / slots as f64).ceil() * task;
        let mut options: Vec<(Model, usize, f64)> = Vec::new();
        if let Work::Function { gil, coroutine, thread_safe } = self.work
            && (coroutine || thread_safe)
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
        options.extend(self.processes(share).map(|(slots, time)| (Model::Processes, slots, time)));
        let (model, slots, time) =
            options.into_iter().min_by(|one, other| one.2.total_cmp(&other.2))?;
        (slots > 1 && time < alone * (1.0 - WORTH)).then_some((model, slots))
    }

    /// How many programs are expected to finish first, and in what time.
    fn processes(&self, share: f64) -> Option<(usize, f64)> {
        let (task, cores) = (self.task(), self.cores as f64);
        let alone = self.left() * task;
        let computes = share >= COMPUTES || task < SHORT.as_secs_f64();
        let most = if computes { self.cores } else { self.filling(share).min(self.affordable()) };
        let most = self.at_most_left(self.set.unwrap_or(most));
        // Each has to start, so fewer may be done earlier.
        let least = if self.set.is_some() { most } else { most.min(self.cores) };
        let counts = std::iter::successors(Some(most), |slots| Some(slots / 2));
        let options = counts.take_while(|&slots| slots >= least.max(1)).map(|slots| {
            let is_there = slots <= self.slots + self.spare;
            let startup = if is_there { 0.0 } else { self.startup.as_secs_f64() };
            let startup = startup * (slots as f64 / cores).max(1.0);
            let rest = if alone > 0.0 { (alone - startup).max(0.0) / alone } else { 0.0 };
            // Tasks are indivisible: the last round takes as long as any other.
            let in_slots = (self.left() / slots as f64).ceil() * task;
            (slots, startup + rest * in_slots.max(alone * share / cores))
        });
        options.min_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// Before a task has ended nobody knows how long they wait, or whether they compute after that: then starting more
    /// programs may take as long as the first has waited.
    fn affordable(&self) -> usize {
        let startup = self.startup.as_secs_f64();
        if self.ended > 0 || startup <= 0.0 {
            return usize::MAX;
        }
        let started = (self.task() * self.cores as f64 / startup) as usize;
        (self.slots + self.spare + started).max(self.cores)
    }
}

#[cfg(test)]
mod tests;
