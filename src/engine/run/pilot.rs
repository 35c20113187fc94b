//! The first tasks of a stage whose model is open: the evidence that they give, and when it is enough.
//!
//! The slots of the pilot record what their tasks used; the stage's own thread, which has nothing else to do, checks
//! that and the processes. [`crate::model::pilot`] decides.

mod level_search;

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::process::Pid;
use tokio::sync::{Notify, SetOnce};

use crate::base::lock;
use crate::engine::run::Run;
use crate::engine::slot_worker::SlotWorker;
use crate::model::pilot::{Decision, Evidence, Look, Plan, Work};
use crate::model::{Model, Nature, cores};
use crate::sys::usage::Usage;
use crate::sys::{ProcessorTimes, available_memory, usage};
use crate::task::{Moment, Outcome, Status};
use crate::worker::internal::Interpreter;
use crate::workload::python::Facts;

/// The time between two checks: short at first, since a job may end soon.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LAST_LOOK: Duration = Duration::from_millis(50);
/// Processes may take one part in this many of the available memory: others need some, and tasks differ.
const MEMORY: u64 = 2;
/// A process needs at least this much, in bytes, whatever its tasks have used.
const SMALL: u64 = 8 << 20;

/// The pilot of a stage, seen by its slots and by the thread that watches it.
pub struct Pilot {
    plan: Plan,
    /// How many slots it began with.
    pub slots: usize,
    /// How many slots start beside it before anything is decided.
    pub spare: usize,
    /// Whether those begin, once that is settled.
    begin: SetOnce<bool>,
    finished: SetOnce<()>,
    /// The upper limit of slots.
    most: usize,
    tasks: Option<u64>,
    /// How many tasks have left the stage, if it is one of several: the report knows only which have left the last one.
    left_stage: Option<AtomicU64>,
    /// The times of the machine's processors when the pilot was created.
    idle: Option<ProcessorTimes>,
    tally: Mutex<Tally>,
    is_over: AtomicBool,
    decision: Mutex<Option<Decision>>,
    /// Notified when more slots join the pilot's own event loop.
    joins: Notify,
}

/// What it takes to start one more interpreter like this one, which was ready after `startup`. Many come up side by side:
/// each costs what it uses of the processors, and as much again for the fork itself and for its end.
fn cost(interpreter: &Interpreter, startup: Duration) -> Duration {
    let pid = Pid::from_raw(interpreter.pid().load(Ordering::Relaxed));
    let used = pid.map_or(Duration::ZERO, |pid| usage::of_tree(pid).active);
    if used.is_zero() { startup } else { startup.min(used * 2) }
}

/// What the slots have recorded.
struct Tally {
    ended: u64,
    /// The number of those that ended by themselves.
    told: u64,
    run: Duration,
    /// `None` once one was not measured.
    cpu: Option<Duration>,
    /// The highest peak, in bytes.
    peak_rss: u64,
    startup: Duration,
    /// How long the slots beside the first ones took to be ready; those that join later take as long.
    joined_after: Option<Duration>,
    facts: Option<Facts>,
    /// The interpreter's process.
    pid: Option<Arc<AtomicI32>>,
    /// Since when each slot has been running something.
    since: Vec<Option<Moment>>,
    /// How long all slots together have run tasks before that.
    busy: Duration,
    /// The process that is observed, what it had used at first, and how long slots had been busy then.
    base: Option<(Pid, Duration, Duration)>,
}

impl Tally {
    fn busy(&self) -> Duration {
        let current = self.since.iter().flatten().map(|since| since.elapsed());
        self.busy + current.sum::<Duration>()
    }
}

impl Pilot {
    /// A pilot by `plan` with `slots` slots and `spare` beside it, which may become `most`; `tasks` is the number of tasks, if
    /// known.
    pub fn new(
        plan: Plan,
        (slots, spare, most): (usize, usize, usize),
        tasks: Option<u64>,
    ) -> Self {
        let tally = Tally {
            ended: 0,
            told: 0,
            run: Duration::ZERO,
            cpu: Some(Duration::ZERO),
            peak_rss: 0,
            startup: Duration::ZERO,
            joined_after: None,
            facts: None,
            pid: None,
            since: vec![None; slots],
            busy: Duration::ZERO,
            base: None,
        };
        Self {
            plan,
            slots,
            spare,
            begin: SetOnce::new(),
            finished: SetOnce::new(),
            most,
            tasks,
            left_stage: None,
            idle: ProcessorTimes::read(),
            tally: Mutex::new(tally),
            is_over: AtomicBool::new(false),
            decision: Mutex::default(),
            joins: Notify::new(),
        }
    }

    /// The pilot of one of several stages.
    #[must_use]
    pub fn of_several(self) -> Self {
        Self { left_stage: Some(AtomicU64::new(0)), ..self }
    }

    /// How many tasks of its stage have ended.
    fn ended(&self, run: &Run) -> u64 {
        match &self.left_stage {
            Some(count) => count.load(Ordering::Relaxed),
            None => run.report.counts().ended(),
        }
    }

    /// The decision, if there is one.
    pub fn decision(&self) -> Option<Decision> {
        lock(&self.decision).clone()
    }

    /// Ready when the decision is final; the pilot's own event loop waits for it to add slots.
    pub async fn decided(&self) -> Decision {
        loop {
            if let Some(decision) = self.decision().filter(|decision| decision.is_final) {
                return decision;
            }
            self.joins.notified().await;
        }
    }

    /// Ready when the slot with this number, from 1, is not needed after all, since no task is left or others do them;
    /// never for one of the first.
    pub async fn dismissed(&self, number: usize) {
        if number <= self.slots {
            std::future::pending::<()>().await;
        }
        if self.admits(number).await {
            self.finished.wait().await;
        }
    }

    /// Records that the first slots have ended: no task is left.
    pub fn finish(&self) {
        self.settle(false);
        let _ = self.finished.set(()); // once is enough
    }

    /// Whether the slot with this number, from 1, begins; ready when that is known.
    pub async fn admits(&self, number: usize) -> bool {
        !self.is_spare(number) || *self.begin.wait().await
    }

    /// Settles whether the slots beside the pilot begin, unless that has been done.
    fn settle(&self, begin: bool) {
        let _ = self.begin.set(begin); // the first word counts
    }

    fn is_spare(&self, number: usize) -> bool {
        (self.slots + 1..=self.slots + self.spare).contains(&number)
    }

    /// Whether the slot with this number, from 1, is one of the first, and its tasks are still evidence.
    pub fn asks(&self, number: usize) -> bool {
        number <= self.slots && !self.is_over.load(Ordering::Relaxed)
    }

    /// Records that the worker of the slot with this number is ready, after `startup`.
    pub fn ready(&self, number: usize, worker: &SlotWorker, startup: Duration) {
        let interpreter = worker.interpreter().map(Rc::as_ref);
        // Without the time to find the interpreter, which is spent once.
        let startup = interpreter.map_or(startup, Interpreter::startup);
        if self.is_spare(number) {
            self.lock().joined_after = Some(interpreter.map_or(startup, |one| cost(one, startup)));
        }
        if !self.asks(number) {
            return;
        }
        let mut tally = self.lock();
        if let Some(interpreter) = interpreter {
            tally.facts = interpreter.facts().cloned();
            tally.pid = Some(interpreter.pid());
        }
        tally.startup = tally.startup.max(startup);
    }

    /// Records that the slot with this number begins to run tasks.
    pub fn begin(&self, number: usize) {
        self.lock().since[number - 1] = Some(Moment::now());
    }

    /// Records that it has ended.
    pub fn end(&self, number: usize) {
        let mut tally = self.lock();
        if let Some(since) = tally.since[number - 1].take() {
            tally.busy += since.elapsed();
        }
    }

    /// Records the outcome of a task in the slot with this number.
    pub fn note(&self, number: usize, outcome: &Outcome) {
        if let Some(count) = &self.left_stage {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if !self.asks(number) {
            return;
        }
        let mut tally = self.lock();
        tally.ended += 1;
        if matches!(outcome.status, Status::Ok | Status::Failed | Status::Timeout) {
            tally.told += 1;
            tally.run += outcome.run;
            let cpu = outcome.cpu.map(|cpu| cpu.user + cpu.system);
            tally.cpu = tally.cpu.zip(cpu).map(|(sum, cpu)| sum + cpu);
            tally.peak_rss = tally.peak_rss.max(outcome.peak_rss.unwrap_or(0));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    /// Watches until the decision is final, or until the slots of the pilot have `ended` because no task is left.
    /// `grow` is called with every decision.
    pub(super) fn watch(
        &self,
        run: &Run,
        index: usize,
        ended: &Receiver<()>,
        mut grow: impl FnMut(&Decision),
    ) {
        let mut pause = FIRST_LOOK;
        loop {
            let is_over = ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout);
            if !is_over && self.lock().startup.is_zero() {
                continue; // the first check has to be at the beginning
            }
            let evidence = self.evidence(run, index);
            let decision = match (self.decision(), is_over) {
                (None, false) => evidence.decide(),
                (None, true) => {
                    // What is open may have come too late for any task.
                    let did_all = self.tasks.is_some_and(|tasks| self.lock().ended >= tasks);
                    let has_begun = !did_all && self.begin.get() == Some(&true);
                    Some(evidence.conclude(if has_begun { self.spare } else { 0 }))
                }
                (Some(before), false) => evidence.confirm(&before),
                (Some(before), true) => Some(Decision { is_final: true, ..before }),
            };
            if !is_over && evidence.spare_begins() {
                self.settle(true);
            }
            if let Some(decision) = decision {
                self.settle(decision.model == Model::Processes);
                self.decide(&decision);
                grow(&decision);
                if decision.is_final {
                    self.is_over.store(true, Ordering::Relaxed);
                    self.joins.notify_one();
                    if let Some(level) = evidence.level(&decision).filter(|_| !is_over) {
                        self.find_level((run, index), level, decision, ended, grow);
                    }
                    return;
                }
            }
            pause = (pause * 5 / 4).min(LAST_LOOK);
        }
    }

    fn decide(&self, decision: &Decision) {
        let mut known = lock(&self.decision);
        *known = Some(decision.clone());
    }

    fn evidence(&self, run: &Run, index: usize) -> Evidence {
        let nature = run.job.stages[index].workload.nature();
        let mut tally = self.lock();
        let work = match (&tally.facts, nature) {
            (_, Nature::Process) => Work::Command,
            (Some(facts), _) => Work::Function {
                gil: facts.gil,
                coroutine: facts.coroutine,
                thread_safe: run.job.stages[index].workload.is_thread_safe(),
            },
            (None, _) => Work::Program,
        };
        let (look, resident) = self.look(run, work, &mut tally).unzip();
        // A task that has ended shows its peak; a running one shows only its memory so far.
        let bytes = tally.peak_rss.max(resident.unwrap_or(0)).max(1);
        let room = available_memory().map(|free| self.slots + (free / MEMORY / bytes) as usize);
        let ended = tally.ended.max(self.ended(run));
        Evidence {
            work,
            ended: tally.told,
            run: tally.run,
            cpu: tally.cpu,
            look,
            startup: tally.joined_after.unwrap_or(tally.startup),
            left: self.tasks.map(|tasks| tasks.saturating_sub(ended)),
            cores: cores(),
            slots: self.slots,
            spare: self.spare,
            most: self.most,
            set: self.plan.set,
            idle: self
                .idle
                .zip(ProcessorTimes::read())
                .and_then(|(before, now)| now.idle_since(before)),
            room,
        }
    }

    /// What the running tasks have used, and their memory per slot. An interpreter is observed by itself; anything else
    /// by all that the launcher has started, which is too much if other jobs run, but never makes work that computes
    /// look as if it waited.
    fn look(&self, run: &Run, work: Work, tally: &mut Tally) -> Option<(Look, u64)> {
        let pid = tally.pid.as_ref().map(|pid| pid.load(Ordering::Relaxed));
        let (root, Usage { active, resident }) = match pid {
            Some(pid) => Pid::from_raw(pid).map(|pid| (pid, usage::of_tree(pid)))?,
            None => run.launcher().ok()?.pid().map(|pid| (pid, usage::below(pid)))?,
        };
        if resident == 0 {
            return None; // it has gone, which is not waiting
        }
        let busy = tally.busy();
        let slots = self.slots as u64;
        let (known, used, before) = match tally.base {
            // What a command has used since its start counts; the start of a program that hosts tasks does not.
            None if work == Work::Command => {
                *tally.base.insert((root, Duration::ZERO, Duration::ZERO))
            }
            None => *tally.base.insert((root, active, busy)),
            Some(base) => base,
        };
        if known != root {
            tally.base = None; // it has died, and there is another one
            return None;
        }
        let busy = busy.saturating_sub(before);
        let active = active.saturating_sub(used);
        let share = if busy.is_zero() { 0.0 } else { active.as_secs_f64() / busy.as_secs_f64() };
        Some((Look { share, busy: busy / self.slots as u32 }, resident / slots))
    }
}
