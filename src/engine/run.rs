//! Runs one job from its first task to its report.

mod error;
mod kept_files;
mod launch;
mod limit_history;
mod log;
mod open_files;
mod pilot;
mod pool;
mod read_on;
mod stage;
mod watch;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use error::RunError;
pub use launch::SharedLauncher;
use open_files::OpenFiles;
use read_on::ReadOn;
pub use stage::StageRun;
pub use watch::{Held, Watch};

use crate::config::Logs;
use crate::engine::control::Control;
use crate::engine::feed::Feed;
use crate::engine::limits::admission::Admission;
use crate::engine::limits::budget::Budget;
use crate::engine::limits::due::DueTimes;
use crate::engine::limits::free_memory::FreeMemory;
use crate::engine::limits::load::Load;
use crate::engine::limits::watchdog::{Ends, Watchdog};
use crate::engine::made::MadeFiles;
use crate::engine::services::Services;
use crate::job::{InputReader, Job, Stage};
use crate::launcher::Launcher;
use crate::model::{Model, Nature};
use crate::report::status::StatusFile;
use crate::report::terminal::progress::Progress;
use crate::report::{
    Before, Begin, Options, Report, RunFacts, STAGED, ServiceTimes, Standing, Summary, own_files,
};
use crate::sys::memory;
use crate::task::eviction::Evictions;
use crate::task::{Calendar, Cancel, Cause, Level, MedianLimit, Meter, Moment, Record, meter};
use crate::worker::Log;
use crate::workload::Workload;
use crate::workload::claims::Claims;
use crate::workload::command;
use crate::workload::command::{Keep, TaskLogs};
use crate::workload::written::WrittenFiles;

/// A running job: what all of its slots share.
pub struct Run {
    /// The plan.
    pub job: Arc<Job>,
    /// The running stages, in the order of [`Job::stages`].
    pub stages: Vec<StageRun>,
    /// The report, which takes the records.
    pub report: Report,
    /// How the job is stopped.
    pub cancel: Arc<Cancel>,
    /// How tasks have ended, if that can stop the job.
    pub ends: Option<Ends>,
    /// How much of a command's output is captured.
    pub keep: Keep,
    /// Whether every attempt gets a row of its own.
    pub has_attempts: bool,
    /// Whether it does a part of a job: what was cut off or did not run has no row, since another start does it.
    pub is_part: bool,
    /// The files that tasks make, in a job with `creates`.
    pub made: Option<Arc<MadeFiles>>,
    /// The files that tasks of this call write.
    pub claims: Arc<Claims>,
    /// Where the outputs of the stages' commands are kept, if they are.
    pub logs: Vec<Option<TaskLogs>>,
    /// In a comparison, what becomes known of the files that tasks write.
    pub written: Option<Arc<WrittenFiles>>,
    /// The commands that run at the same time.
    pub together: Arc<command::Together>,
    /// How many processes could not be ended and still run.
    pub still_running: Arc<AtomicUsize>,
    /// Whether the terminal has said that workers are waited for.
    pub has_said_what_is_left: AtomicBool,
    launcher: SharedLauncher,
    log: log::SharedLog,
}

impl Run {
    /// The stage at `index`: as planned, and as it runs.
    pub fn stage(&self, index: usize) -> (&Stage, &StageRun) {
        (&self.job.stages[index], &self.stages[index])
    }

    /// How many slots of the other stages have programs that compute by themselves, beside those of the stage at `index`.
    pub fn hosted_beside(&self, index: usize) -> usize {
        let stages = self.job.stages.iter().zip(&self.stages);
        stages
            .filter(|(stage, live)| {
                live.index != index && stage.workload.nature() == Nature::Hosted
            })
            .map(|(stage, live)| live.settled(stage).1.min(live.slots))
            .sum()
    }

    /// The launcher, which is started when the first child is.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn launcher(&self) -> io::Result<Arc<Launcher>> {
        self.launcher.get()
    }

    /// The job's log, for what the user's own code prints.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn log(&self) -> io::Result<Arc<Log>> {
        self.log.get(&self.report)
    }
}

/// Runs `job` and writes its report.
///
/// # Errors
/// If the inputs cannot be opened, the report cannot be started or finished, or the system starts no threads. What has
/// been written by then is kept, and named in the message.
pub fn run(
    job: &Arc<Job>,
    options: &Options,
    control: &Control,
    launcher: &SharedLauncher,
) -> Result<Summary, RunError> {
    for secret in &job.secrets {
        secret.resolve().map_err(RunError::Secret)?;
    }
    let started = Moment::now();
    memory::reset_peak();
    let calendar = Calendar::now();
    let slots: Vec<_> = job.stages.iter().map(|stage| stage::slots(job, stage)).collect();
    let _open_files = OpenFiles::reserve(job, &slots)?;
    let free_memory = job.limits.min_free_memory.map(FreeMemory::new).map(Arc::new);
    let load = job.limits.max_load.map(Load::new).map(Arc::new);
    let cancel = Arc::new(match free_memory {
        Some(_) => Cancel::with_evictions(Evictions::new(slots.iter().sum())),
        None => Cancel::default(),
    });
    // Before the report: a job whose inputs are missing changes no existing file.
    let read_on = Arc::<ReadOn>::default();
    let stop = {
        let (cancel, is_stopped) = (Arc::clone(&cancel), control.stopped());
        read_on.stop(move || cancel.level() >= Level::Drain || is_stopped())
    };
    let reader = job.inputs.open_until(stop.clone()).map_err(RunError::Inputs)?;
    let report = Report::create(job, options, Arc::clone(&cancel))?;
    options.claims.reserve(&job.name, own_files(&options.results, &job.name, Some(job)));
    let made = MadeFiles::open(job, options);
    let made = made.map_err(RunError::Made)?.map(Arc::new);
    kept_files::claim(job, &report, made.as_ref(), &options.claims, stop.clone())?;
    let kept_ok = kept_files::count_ok(job, &report, made.as_ref(), stop)?;
    let together = Together {
        job,
        made: &made,
        report: &report,
        cancel: &cancel,
        free_memory: &free_memory,
        load: &load,
        started,
    };
    let stages = together.stages(read_on.begin(reader), &slots).map_err(RunError::Threads)?;
    let meters = stages.iter().filter_map(|stage| stage.meter.clone()).collect();
    let progress =
        Progress::new(&job.name, job.inputs.tasks(), report.counts(), meters, options.progress)
            .with_file(StatusFile::new(&options.results, &job.name, &job.file));
    let watchdog = Watchdog::new(started, job.limits.deadline, free_memory, load)
        .without_ends(options.standing == Standing::Compared);
    let attached = control.attach(Arc::clone(&cancel), progress, watchdog, launcher.clone());

    let logs = job.stages.iter().map(|stage| task_logs(job, stage, &report)).collect();
    let run = Arc::new(Run {
        job: Arc::clone(job),
        logs,
        stages,
        report,
        cancel: Arc::clone(&cancel),
        ends: Ends::new(job.limits.stop_after, job.limits.enough, kept_ok, slots.iter().sum()),
        keep: if options.output.is_some() { Keep::Everything } else { Keep::Capture },
        made,
        claims: Arc::clone(&options.claims),
        is_part: options.begin == Begin::Part,
        written: options.written.clone(),
        together: Arc::default(),
        still_running: Arc::default(),
        has_said_what_is_left: AtomicBool::default(),
        has_attempts: job.stages.iter().any(Stage::has_attempts),
        launcher: launcher.clone(),
        log: log::SharedLog::default(),
    });
    run.ends.iter().for_each(|ends| ends.check(&cancel));
    let services_from = Moment::now();
    let services = Services::start(job, &options.results, launcher, &cancel);
    let services_start = services_from.elapsed();
    let is_stopped = cancel.level() >= Level::Drain;
    let begun = Moment::now();
    let pool = if is_stopped { Ok(()) } else { pool::run_stages(&run) };
    let tasks_ended = Moment::now();
    let took = tasks_ended.since(begun);
    drop(services);
    let services = ServiceTimes { start: services_start, end: tasks_ended.elapsed() };
    let left_out = report_unrun(&run);
    limit_history::write(&run, &options.results);
    drop(attached);
    let run = Arc::into_inner(run).expect("every slot has ended, and none keeps the run");
    let summary = finish(run, (started, took), calendar, services, left_out)?;
    pool?;
    match cancel.cause() {
        // Its driver has to know.
        Some(cause @ Cause::Failures(_)) if options.begin == Begin::Part => {
            Err(RunError::Ended(cause.clone(), Box::new(summary)))
        }
        // What failures and signals come to is the exit code's to say; a report that fails is found at its end.
        None
        | Some(Cause::Signal(_) | Cause::Failures(_) | Cause::Enough(_) | Cause::Report(_)) => {
            Ok(summary)
        }
        // The last output was not read, but nothing is left to stop.
        Some(Cause::OutputClosed) if summary.totals.tally.all_ok() => Ok(summary),
        Some(cause) => Err(RunError::Ended(cause.clone(), Box::new(summary))),
    }
}

/// Where the outputs of the commands of `stage` are kept, if they are.
fn task_logs(job: &Job, stage: &Stage, report: &Report) -> Option<TaskLogs> {
    let folder = report.logs().filter(|_| matches!(stage.workload, Workload::Command(_)))?;
    Some(TaskLogs {
        folder: folder.into(),
        stage: stage.name.clone(),
        // Whether such a task is ok is known only when what it was to make has been looked for.
        keeps_ok: job.report.logs == Logs::All || job.creates.is_some(),
    })
}

/// What setting up the stages of a job needs.
struct Together<'a> {
    job: &'a Arc<Job>,
    made: &'a Option<Arc<MadeFiles>>,
    report: &'a Report,
    cancel: &'a Arc<Cancel>,
    free_memory: &'a Option<Arc<FreeMemory>>,
    load: &'a Option<Arc<Load>>,
    started: Moment,
}

impl Together<'_> {
    /// Sets up the stages; the first one has the inputs that `reader` reads.
    fn stages(&self, reader: InputReader, slots: &[usize]) -> io::Result<Vec<StageRun>> {
        let mut reader = Some(reader);
        let mut stages = Vec::new();
        for (index, (stage, &slots)) in self.job.stages.iter().zip(slots).enumerate() {
            let hosts = stage::hosts(self.job, index);
            let cancel = Arc::clone(self.cancel);
            let feed = match reader.take() {
                Some(reader) => {
                    let inputs = (&self.job.inputs, reader);
                    let kept = (self.report.kept(), self.made.clone());
                    Feed::open(inputs, kept, slots, hosts, cancel)?
                }
                None => Feed::between(slots, hosts, cancel),
            };
            stages.push(StageRun {
                index,
                slots,
                slots_before: stages.iter().map(|stage: &StageRun| stage.slots).sum(),
                feed: Arc::new(feed),
                admission: Admission::new(
                    stage.limits.pace,
                    self.free_memory.clone(),
                    self.load.clone(),
                    stage.limits.group.clone(),
                    self.budget(stage),
                ),
                median: stage.limits.median_timeout.map(MedianLimit::new),
                watch: Watch::new(self.started),
                pilot: stage::pilot(self.job, stage, slots),
                forks: Mutex::default(),
                meter: stage.name.as_deref().map(|name| Arc::new(Meter::new(name, slots))),
                shares_loops: StageRun::shares_loops(stage, slots),
            });
        }
        Ok(stages)
    }
}

impl Together<'_> {
    /// The budgets of a stage, of which the kept rows have used what they say.
    fn budget(&self, stage: &Stage) -> Option<Arc<Budget>> {
        let columns: Vec<_> = stage.columns.iter().map(|column| &*column.name).collect();
        let spent = |column: &str| self.report.spent(column);
        let Some(budget) = Budget::new(&stage.limits.budgets, &columns, spent) else {
            // Without a limit nobody counts what is used of a column, and a later run may have one again.
            if self.job.stages.iter().all(|stage| stage.limits.budgets.is_empty()) {
                self.report.forget_spending();
            }
            return None;
        };
        if let Some(spending) = self.report.spending() {
            budget.note_in(spending);
        }
        Some(budget)
    }
}

/// Writes a row for every task that did not run because the job was stopped. If a job with a trillion inputs is killed,
/// the user does not wait for a trillion rows: then the note says that some are left out.
fn report_unrun(run: &Run) -> Option<String> {
    /// Enough for millions of rows.
    const PATIENCE: Duration = Duration::from_secs(5);
    if run.is_part {
        return None;
    }
    // Nothing is left unless the job was stopped; should it ever be, it has a row that says so.
    let began = Moment::now();
    let mut buffer = run.report.buffer();
    // From the last stage on, so that tasks that have come far are not left out in favour of those that have not begun.
    for (stage, live) in run.job.stages.iter().zip(&run.stages).rev() {
        while let Some(task) = live.feed.next_unrun() {
            let is_lost = matches!(run.cancel.cause(), Some(Cause::Report(_)));
            let is_urgent = run.cancel.level() == Level::Kill && began.elapsed() > PATIENCE;
            if is_lost || is_urgent {
                let number = task.number;
                return Some(format!(
                    "task {number} and those after it did not run, and have no row"
                ));
            }
            let lost = run.made.as_ref().and_then(|made| made.fail(&task));
            let mut record = Record::unrun(task, stage.columns.len());
            if let Some(why) = &lost {
                record.outcome.append(why);
            }
            if run.job.is_staged() {
                record.in_all_stages(run.job.task_fields(), stage.name.as_deref());
            }
            record.mask_columns();
            buffer.put(&record);
            buffer.wait_for_room();
        }
    }
    // Of inputs that stopped the job themselves there is a note already.
    let is_told = matches!(run.cancel.cause(), Some(Cause::Input(_)));
    let unread = run.stages.iter().find_map(|live| live.feed.unread()).filter(|_| !is_told);
    unread.map(|why| format!("{why}: those that were not read did not run, and have no row"))
}

fn finish(
    run: Run,
    (started, pool): (Moment, Duration),
    calendar: Calendar,
    services: ServiceTimes,
    left_out: Option<String>,
) -> Result<Summary, RunError> {
    let mut reasons = Vec::new();
    let mut notes: Vec<_> = left_out.into_iter().chain(run.job.inputs.notes()).collect();
    match run.still_running.load(Ordering::Relaxed) {
        0 => {}
        count => notes.push(format!(
            "{count} processes of another user (set-user-ID) could not be ended and still run"
        )),
    }
    let saw_a_part = matches!(run.cancel.cause(), Some(Cause::Input(_)));
    if saw_a_part {
        notes.push("not all inputs were read: one of them is bad".to_owned());
    }
    let mut held_for = Duration::ZERO;
    let (mut model, mut concurrency) = (STAGED, 0);
    for (stage, live) in run.job.stages.iter().zip(&run.stages) {
        let (settled, slots, reason) = live.settled(stage);
        let is_async = settled == Model::Async;
        concurrency += slots;
        if !run.job.is_staged() {
            model = settled.name();
        }
        held_for += if is_async { live.watch.held_for() } else { Duration::ZERO };
        let held = live.watch.held_note().filter(|_| is_async);
        let reason = match &stage.name {
            Some(name) => format!("{name}: {settled} {}, {reason}", slots.min(live.slots)),
            None => reason,
        };
        let in_stage = |note: String| match &stage.name {
            Some(name) => format!("{name}: {note}"),
            None => note,
        };
        let about = live.watch.about().map(str::to_owned);
        let found = live.feed.found().map(|(found, _)| found);
        notes.extend(limit_history::refusals(live));
        reasons.extend([Some(reason), about, held.clone(), found].into_iter().flatten());
        notes.extend(held.map(in_stage));
        notes.extend(live.watch.formless_note().map(in_stage));
        notes.extend(live.watch.endings().into_iter().map(in_stage));
    }
    if saw_a_part {
        reasons.push("not all inputs were read".to_owned());
    }
    let mut busy = None;
    let due = || run.stages.iter().filter_map(|live| live.admission.due.as_ref());
    notes.extend(due().filter_map(DueTimes::missed));
    // With several rates, the one that was missed most.
    let due_p99 = due().filter_map(DueTimes::spread).map(|spread| spread.p99).max();
    let meters: Vec<_> = run.stages.iter().filter_map(|live| live.meter.clone()).collect();
    if let Some(said) = meter::bottleneck(&meters, pool) {
        reasons.push(said.clone());
        busy = Some(said);
    }
    if let Some(log) = run.log.finish() {
        notes.push(format!("the output of the workers is in {}", log.display()));
    }
    let watches = || run.stages.iter().map(|live| &live.watch);
    let facts = RunFacts {
        started,
        before: Before::default(),
        startup: watches().map(Watch::startup).max().unwrap_or_default(),
        services,
        held: held_for,
        calendar,
        model,
        concurrency,
        reason: reasons.join("; "),
        cpu: None, // only the sum over tasks counts
        worker_peak: watches().filter_map(Watch::biggest_worker).max(),
        own_peak: memory::peak(),
        due_p99,
        notes,
        saw_a_part,
        is_enough: matches!(run.cancel.cause(), Some(Cause::Enough(_))),
        busy,
    };
    Ok(run.report.finish(facts)?)
}
