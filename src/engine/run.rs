//! One job from its first task to its report.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, io};

use tokio::runtime;
use tokio::task::LocalSet;

use crate::engine::cancel::{Cancel, Cause, Level};
use crate::engine::clock::{Calendar, Moment};
use crate::engine::control::Control;
use crate::engine::feed::{Feed, FeedError};
use crate::engine::task::{Outcome, Record, Status, Task};
use crate::engine::{memory, slot};
use crate::exit::Exit;
use crate::host::launcher::Launcher;
use crate::job::Job;
use crate::model::{self, Model};
use crate::report::progress::Progress;
use crate::report::{Options, Report, ReportError, RunFacts, Summary};
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
    fn get(&self) -> io::Result<Arc<Launcher>> {
        let mut launcher = self.0.lock().expect("starting a launcher does not panic");
        if launcher.is_none() {
            *launcher = Some(Arc::new(Launcher::start()?));
        }
        Ok(Arc::clone(launcher.as_ref().expect("it was just started")))
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

    /// What is to be said about loops that were held.
    fn held_note(&self) -> Option<String> {
        let held = Duration::from_nanos(self.held_nanos.load(Ordering::Relaxed));
        let longest = Duration::from_nanos(self.longest_nanos.load(Ordering::Relaxed));
        (!held.is_zero()).then(|| {
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
    let cancel = Arc::new(Cancel::default());
    let slots = slots(job);
    let report = Report::create(job, options, Arc::clone(&cancel))?;
    let feed = Arc::new(Feed::open(&job.inputs, report.kept(), slots, Arc::clone(&cancel))?);
    let progress = Progress::new(&job.name, job.inputs.tasks(), report.counts(), options.progress);
    let attached = control.attach(Arc::clone(&cancel), progress);

    let run = Arc::new(Run {
        job: Arc::clone(job),
        feed,
        report,
        cancel: Arc::clone(&cancel),
        watch: Watch::new(started),
        keep: if options.output { Keep::Everything } else { Keep::Capture },
        shares_loops: job.stage.model == Model::Async && slots > 1,
        launcher: launcher.clone(),
    });
    let pool = run_pool(&run, slots);
    if pool.is_err() {
        cancel.raise(Level::Kill, Cause::Worker("the pool failed".into()));
    }
    report_unrun(&run);
    drop(attached);
    let run = Arc::into_inner(run).expect("every slot has ended, and none keeps the run");
    let summary = finish(run, started, calendar)?;
    pool?;
    match cancel.cause() {
        Some(Cause::Input(message)) => {
            Err(RunError::BadInput(message.clone(), Some(Box::new(summary))))
        }
        Some(Cause::Worker(message)) => Err(RunError::Worker(message.clone(), Box::new(summary))),
        _ => Ok(summary),
    }
}

/// As many slots as the job allows, but no more than it can have tasks.
fn slots(job: &Job) -> usize {
    let tasks = job.inputs.tasks().map_or(usize::MAX, |tasks| tasks.max(1) as usize);
    job.stage.concurrency.min(tasks)
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
        runtime.block_on(slot::run(run, slots.start + 1));
        return Ok(());
    }
    let local = LocalSet::new();
    for index in slots {
        let run = Arc::clone(run);
        local.spawn_local(async move { slot::run(&run, index + 1).await });
    }
    runtime.block_on(local);
    Ok(())
}

/// Every task that did not run, because the job was stopped, has its row too.
fn report_unrun(run: &Run) {
    if run.cancel.level() == Level::Run {
        return;
    }
    let mut outbox = run.report.outbox();
    while let Some(task) = run.feed.next_unrun() {
        outbox.put(unrun(run, task));
        outbox.wait_for_room();
    }
}

fn unrun(run: &Run, task: Task) -> Record {
    let outcome = Outcome::new(Status::Cancelled, task.taken, Duration::ZERO);
    let columns = vec![None; run.job.stage.columns.len()];
    Record { task, slot: None, queued: None, first_started: None, outcome, columns }
}

fn finish(run: Run, started: Moment, calendar: Calendar) -> Result<Summary, RunError> {
    let mut reason = run.job.stage.reason.clone();
    let mut notes = Vec::new();
    if let Some(note) = run.watch.held_note().filter(|_| run.job.stage.model == Model::Async) {
        reason = format!("{reason}; {note}");
        notes.push(note);
    }
    let facts = RunFacts {
        started,
        startup: run.watch.startup(),
        calendar,
        reason,
        cpu: None, // it is a sum over tasks, or nothing
        peak_rss: run.watch.peak(),
        notes,
    };
    Ok(run.report.finish(facts)?)
}

/// Why a job did not end as it should. A bad input and a dead worker leave a report all the same.
#[derive(Debug)]
pub enum RunError {
    /// An input turned out bad; the message says where.
    BadInput(String, Option<Box<Summary>>),
    /// A worker could not be started.
    Worker(String, Box<Summary>),
    /// The report could not be written.
    Report(ReportError),
    /// The system gives no threads.
    Threads(io::Error),
    /// A bug of the runner.
    Panic,
}

impl RunError {
    /// The exit code that it stands for.
    pub fn exit(&self) -> Exit {
        match self {
            Self::BadInput(..) => Exit::Usage,
            Self::Report(error) if error.is_refusal() => Exit::Usage,
            Self::Report(error) if error.is_write() => Exit::NotWritten,
            Self::Worker(..) | Self::Report(_) | Self::Threads(_) | Self::Panic => Exit::Internal,
        }
    }

    /// What was done all the same.
    pub fn into_summary(self) -> Option<Summary> {
        match self {
            Self::BadInput(_, summary) => summary.map(|summary| *summary),
            Self::Worker(_, summary) => Some(*summary),
            Self::Report(_) | Self::Threads(_) | Self::Panic => None,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadInput(message, _) | Self::Worker(message, _) => f.write_str(message),
            Self::Report(error) => error.fmt(f),
            Self::Threads(error) => write!(f, "failed to start threads: {error}"),
            Self::Panic => f.write_str("the runner failed: a bug; what was done is in the report"),
        }
    }
}

impl From<ReportError> for RunError {
    fn from(error: ReportError) -> Self {
        Self::Report(error)
    }
}

impl From<FeedError> for RunError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Input(error) => Self::BadInput(error.to_string(), None),
            FeedError::Thread(error) => Self::Threads(error),
        }
    }
}
