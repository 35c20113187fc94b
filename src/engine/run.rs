//! One job from its first task to its report.

mod error;

use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::runtime;
use tokio::task::LocalSet;

pub use error::RunError;

use crate::engine::admission::Admission;
use crate::engine::cancel::{Cancel, Cause, Level};
use crate::engine::clock::{Calendar, Moment};
use crate::engine::control::Control;
use crate::engine::eviction::Evictions;
use crate::engine::feed::{Feed, Hosts};
use crate::engine::guard::{Failures, Guard};
use crate::engine::headroom::Headroom;
use crate::engine::place::Shared;
use crate::engine::services::Services;
use crate::engine::task::{Record, Task};
use crate::engine::{place, slot};
use crate::host::launcher::Launcher;
use crate::job::{Job, Values};
use crate::model::{self, Model};
use crate::report::progress::Progress;
use crate::report::{Options, Report, RunFacts, ServiceTimes, Summary};
use crate::sys::memory;
use crate::workload::command::Keep;

/// A job while it runs: what its slots share.
pub struct Run {
    /// The plan.
    pub job: Arc<Job>,
    /// Where tasks come from.
    pub feed: Arc<Feed>,
    /// Where records go.
    pub report: Report,
    /// The stop switch.
    pub cancel: Arc<Cancel>,
    /// What an attempt waits for before it starts.
    pub admission: Admission,
    /// Where too many failures stop the job.
    pub failures: Option<Failures>,
    /// What is observed along the way.
    pub watch: Watch,
    /// How much of a command's output is kept.
    pub keep: Keep,
    /// Whether a loop has more than one slot.
    pub shares_loops: bool,
    launcher: SharedLauncher,
}

impl Run {
    /// The launcher, which is started when the first child is.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn launcher(&self) -> io::Result<Arc<Launcher>> {
        self.launcher.get()
    }
}

/// The launcher of this process, started when it is first needed and shared by all jobs.
#[derive(Clone, Default)]
pub struct SharedLauncher(Arc<Mutex<Option<Arc<Launcher>>>>);

impl SharedLauncher {
    /// The launcher, started if there is none.
    ///
    /// # Errors
    /// If the system does not give a process.
    pub fn get(&self) -> io::Result<Arc<Launcher>> {
        let mut launcher = self.0.lock().expect("starting a launcher does not panic");
        if launcher.is_none() {
            *launcher = Some(Arc::new(Launcher::start()?));
        }
        Ok(Arc::clone(launcher.as_ref().expect("it was just started")))
    }

    /// The launcher, if it has been needed so far.
    pub fn running(&self) -> Option<Arc<Launcher>> {
        self.0.lock().expect("starting a launcher does not panic").clone()
    }
}

/// What is observed of a run besides its records.
pub struct Watch {
    started: Moment,
    ready_nanos: AtomicU64,
    held_nanos: AtomicU64,
    longest_nanos: AtomicU64,
    worker_peak_bytes: AtomicU64,
}

impl Watch {
    fn new(started: Moment) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            started,
            ready_nanos: zero(),
            held_nanos: zero(),
            longest_nanos: zero(),
            worker_peak_bytes: zero(),
        }
    }

    /// A slot is ready for its first task.
    pub fn ready(&self) {
        let nanos = self.started.elapsed().as_nanos() as u64;
        self.ready_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    /// A computation has held its loop for this long.
    pub fn held(&self, run: Duration) {
        let nanos = run.as_nanos() as u64;
        self.held_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.longest_nanos.fetch_max(nanos, Ordering::Relaxed);
    }

    /// A worker process has used this much memory at its peak, in bytes.
    pub fn worker_peak(&self, bytes: u64) {
        self.worker_peak_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// The peak memory of the process that did the work, in bytes: the biggest worker's, else this one's.
    fn peak(&self) -> Option<u64> {
        let worker = self.worker_peak_bytes.load(Ordering::Relaxed);
        if worker > 0 { Some(worker) } else { memory::peak() }
    }

    fn startup(&self) -> Duration {
        Duration::from_nanos(self.ready_nanos.load(Ordering::Relaxed))
    }

    /// How long loops were held.
    fn held_for(&self) -> Duration {
        Duration::from_nanos(self.held_nanos.load(Ordering::Relaxed))
    }

    /// What is to be said about loops that were held.
    fn held_note(&self) -> Option<String> {
        /// What nobody notices is not said.
        const WORTH_SAYING: Duration = Duration::from_millis(1);
        let held = self.held_for();
        let longest = Duration::from_nanos(self.longest_nanos.load(Ordering::Relaxed));
        (held >= WORTH_SAYING).then(|| {
            format!(
                "computations held the event loop for {:.3} s, {:.3} s at the longest",
                held.as_secs_f64(),
                longest.as_secs_f64()
            )
        })
    }
}

/// Runs `job` and writes its report.
///
/// # Errors
/// If the inputs cannot be opened, the report cannot be started or finished, or the system gives no threads. What has
/// been written by then is kept, and named in the message.
pub fn run(
    job: &Arc<Job>,
    options: &Options,
    control: &Control,
    launcher: &SharedLauncher,
) -> Result<Summary, RunError> {
    let started = Moment::now();
    memory::forget_peak();
    let calendar = Calendar::now();
    let slots = slots(job);
    check_open_files(job, slots)?;
    let headroom = job.limits.min_free_memory.map(Headroom::new).map(Arc::new);
    let cancel = Arc::new(match headroom {
        Some(_) => Cancel::with_evictions(Evictions::new(slots)),
        None => Cancel::default(),
    });
    // Before the report: a job without its inputs touches nothing that is there.
    let reader = job.inputs.open().map_err(|error| RunError::BadInput(error.to_string(), None))?;
    let report = Report::create(job, options, Arc::clone(&cancel))?;
    let inputs = (&job.inputs, reader);
    let feed = Feed::open(inputs, report.kept(), slots, hosts(job), Arc::clone(&cancel));
    let feed = Arc::new(feed.map_err(RunError::Threads)?);
    let progress = Progress::new(&job.name, job.inputs.tasks(), report.counts(), options.progress);
    let guard = Guard::new(started, job.limits.deadline, headroom.clone());
    let attached = control.attach(Arc::clone(&cancel), progress, guard, launcher.clone());

    let run = Arc::new(Run {
        job: Arc::clone(job),
        feed,
        report,
        cancel: Arc::clone(&cancel),
        admission: Admission::new(job.stage.pace, headroom),
        failures: Failures::new(job.limits.stop_after),
        watch: Watch::new(started),
        keep: if options.output { Keep::Everything } else { Keep::Capture },
        shares_loops: job.stage.model == Model::Async && slots > 1,
        launcher: launcher.clone(),
    });
    let services_from = Moment::now();
    let services = Services::start(job, &options.results, launcher, &cancel);
    let services_start = services_from.elapsed();
    let is_stopped = cancel.level() >= Level::Drain;
    let pool = if is_stopped { Ok(()) } else { run_pool(&run, slots) };
    let tasks_ended = Moment::now();
    drop(services);
    let services = ServiceTimes { start: services_start, end: tasks_ended.elapsed() };
    if pool.is_err() {
        cancel.raise(Level::Kill, Cause::Worker("the pool failed".into()));
    }
    let left_out = report_unrun(&run);
    drop(attached);
    let run = Arc::into_inner(run).expect("every slot has ended, and none keeps the run");
    let summary = finish(run, started, calendar, services, left_out)?;
    pool?;
    match cancel.cause() {
        Some(Cause::Input(message)) => {
            Err(RunError::BadInput(message.clone(), Some(Box::new(summary))))
        }
        Some(Cause::Service(failure)) => Err(RunError::Service(failure.clone(), Box::new(summary))),
        Some(Cause::Worker(message)) => Err(RunError::Worker(message.clone(), Box::new(summary))),
        Some(Cause::Deadline) => Err(RunError::Deadline(Box::new(summary))),
        _ => Ok(summary),
    }
}

/// As many slots as the job allows, but no more than it can have tasks.
fn slots(job: &Job) -> usize {
    let tasks = job.inputs.tasks().map_or(usize::MAX, |tasks| tasks.max(1) as usize);
    job.stage.concurrency.min(tasks)
}

/// Keeps the tasks of each host within `limits.per_host`.
fn hosts(job: &Arc<Job>) -> Option<Hosts> {
    let limit = job.stage.per_host?;
    let job = Arc::clone(job);
    let host_of = move |task: &Task| {
        let attempt = task.attempts + 1;
        // Which slot it will be is not known yet; nobody names a host after it.
        let values = Values { fields: &task.fields, task: task.number, attempt, slot: 1 };
        job.stage.workload.host(&values)
    };
    Some(Hosts::new(limit, Box::new(host_of)))
}

/// Better one error than a failed row for every task that finds no descriptor left.
fn check_open_files(job: &Job, slots: usize) -> Result<(), RunError> {
    /// For the report, the loops and the runtime.
    const OF_THE_RUNNER: usize = 64;
    let needed = OF_THE_RUNNER + slots * place::open_files(&job.stage);
    match getrlimit(Resource::Nofile).current {
        Some(limit) if (needed as u64) > limit => Err(RunError::OpenFiles(format!(
            "{slots} tasks at once need {needed} open files, and {limit} are allowed: lower `limits.concurrency`, or \
             raise the limit (`ulimit -n`)"
        ))),
        _ => Ok(()),
    }
}

fn run_pool(run: &Arc<Run>, slots: usize) -> Result<(), RunError> {
    let stage = &run.job.stage;
    let lane = |range| {
        if let Err(error) = run_loop(run, range) {
            let message = format!("failed to start a loop: {error}");
            run.cancel.raise(Level::Drain, Cause::Worker(message));
        }
    };
    catch_unwind(AssertUnwindSafe(|| {
        model::run(stage.model, slots, stage.workload.nature(), &lane)
    }))
    .map_err(|_| RunError::Panic)? // what it was has been said on standard error
    .map_err(RunError::Threads)
}

/// One loop: its slots, polled on this thread until they have ended.
fn run_loop(run: &Arc<Run>, slots: Range<usize>) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    if slots.len() == 1 {
        runtime.block_on(slot::run(run, &Shared::default(), slots.start + 1));
        return Ok(());
    }
    let local = LocalSet::new();
    let shared = Rc::new(Shared::default());
    let slots: Vec<_> = slots
        .map(|index| {
            let (run, shared) = (Arc::clone(run), Rc::clone(&shared));
            local.spawn_local(async move { slot::run(&run, &shared, index + 1).await })
        })
        .collect();
    runtime.block_on(local.run_until(async {
        for slot in slots {
            if let Err(error) = slot.await
                && let Ok(panic) = error.try_into_panic()
            {
                // What the slot had is lost; the pool must not end as if nothing had happened.
                resume_unwind(panic);
            }
        }
    }));
    Ok(())
}

/// Every task that did not run, because the job was stopped, has its row too. Who kills a job of a trillion inputs does
/// not wait for a trillion rows: then the note says that some are left out.
fn report_unrun(run: &Run) -> Option<String> {
    /// Enough for millions of rows.
    const PATIENCE: Duration = Duration::from_secs(5);
    if run.cancel.level() == Level::Run {
        return None;
    }
    let began = Moment::now();
    let mut outbox = run.report.outbox();
    while let Some(task) = run.feed.next_unrun() {
        let is_lost = matches!(run.cancel.cause(), Some(Cause::Report(_)));
        let is_urgent = run.cancel.level() == Level::Kill && began.elapsed() > PATIENCE;
        if is_lost || is_urgent {
            let number = task.number;
            return Some(format!("task {number} and those behind it did not run, and have no row"));
        }
        outbox.put(Record::unrun(task, run.job.stage.columns.len()));
        outbox.wait_for_room();
    }
    None
}

fn finish(
    run: Run,
    started: Moment,
    calendar: Calendar,
    services: ServiceTimes,
    left_out: Option<String>,
) -> Result<Summary, RunError> {
    let mut reason = run.job.stage.reason.clone();
    let mut notes: Vec<_> = left_out.into_iter().collect();
    let is_async = run.job.stage.model == Model::Async;
    let held = if is_async { run.watch.held_for() } else { Duration::ZERO };
    if let Some(note) = run.watch.held_note().filter(|_| is_async) {
        reason = format!("{reason}; {note}");
        notes.push(note);
    }
    let facts = RunFacts {
        started,
        startup: run.watch.startup(),
        services,
        held,
        calendar,
        reason,
        cpu: None, // it is a sum over tasks, or nothing
        peak_rss: run.watch.peak(),
        notes,
    };
    Ok(run.report.finish(facts)?)
}
