//! A job on the scheduler of a cluster: the tasks are shared out, each share runs by today's engine wherever the
//! scheduler places it, and the rows of all come into one report. The promise is one row per input, whatever dies; not
//! one execution.
//!
//! There is no daemon and no connection: driver and shards talk by files in the folder of the results ([`folder`]), and
//! the driver asks the scheduler by its client programs ([`engine`]). What is done about a shard is a table ([`decide`]).

pub mod client;
pub mod collect;
pub mod decide;
pub mod engine;
pub mod folder;
mod journal;
pub mod ledger;
pub mod place;
pub mod plan;
pub mod processes;
pub mod queue;
pub mod reason;
mod refusals;
mod scan;
pub mod shard;
pub mod share;
pub mod slurm;
pub mod snapshot;
pub mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use place::Place;

use crate::cluster::collect::Collector;
use crate::cluster::engine::{Engine, NotSubmitted, Request, Stop};
use crate::cluster::folder::{EndNote, RunFolder};
use crate::cluster::journal::Journal;
use crate::cluster::ledger::Ledger;
use crate::cluster::plan::Plan;
use crate::cluster::scan::{Adopted, Scan};
use crate::cluster::shard::since_1970;
use crate::cluster::share::Shares;
use crate::cluster::watch::{Driver, Watched};
use crate::config::Overrides;
use crate::engine::control::Control;
use crate::engine::limits::watchdog::Watchdog;
use crate::engine::run::{RunError, SharedLauncher};
use crate::job::Job;
use crate::model::Model;
use crate::report::parts::has_rows;
use crate::report::status::StatusFile;
use crate::report::terminal::progress::{self, Progress};
use crate::report::{
    Begin, Options, Report, Rerun, Resume, RunFacts, STAGED, ServiceTimes, Summary,
};
use crate::task::{Calendar, Cancel, Cause, Exit, Moment};

/// How a job is run on a cluster.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where.
    pub place: Place,
    /// Whether the driver leaves once all is submitted.
    pub detaches: bool,
    /// The changes by the command line.
    pub overrides: Overrides,
}

/// How a job on a cluster has ended: its summary, if its report is whole, and the exit code.
pub type Ended = (Option<Box<Summary>>, Exit);

/// Runs `job` on a cluster and writes its report, or leaves when all is submitted.
///
/// # Errors
/// As a run on this machine; and if the scheduler does not take the job, or no node can run it.
pub fn run(
    job: &Arc<Job>,
    options: &Options,
    control: &Control,
    call: &Call,
) -> Result<Ended, RunError> {
    refusals::check(job, options)?;
    let engine = call.place.engine(job).map_err(|message| failed(message, Exit::Usage))?;
    let results = std::path::absolute(&options.results).unwrap_or_else(|_| options.results.clone());
    let site =
        Site { job, control, call, engine: &*engine, folder: RunFolder::of(&results, &job.name) };
    let mut options = Options { results, ..options.clone() };
    let earlier = Plan::read(&site.folder).map_err(|message| failed(message, Exit::Usage))?;
    match (options.begin, earlier) {
        (Begin::Anew, Some(_)) => return Err(failed(left_over(&site.folder), Exit::Usage)),
        (Begin::Resume(_), Some(plan)) => {
            if let Some(ended) = site.adopt(&options, &plan)? {
                return Ok(ended);
            }
            site.salvage(&options, &plan)?;
        }
        (_, Some(plan)) => {
            site.stop_all(&plan, Stop::Kill)?;
            site.remove()?;
        }
        (_, None) => site.remove()?, // what is left without a plan is no run
    }
    options.seed = None;
    site.begin(&options)
}

/// What a cluster says to `job`, without submitting anything.
///
/// # Errors
/// In words, why it would not run.
pub fn check(job: &Job, place: Place) -> Result<Vec<String>, String> {
    refusals::check_job(job).map_err(|error| error.to_string())?;
    let engine = place.engine(job)?;
    let (nodes, wanted) = (job.cluster.nodes, job.cluster.shards());
    let shards = job.inputs.tasks().map_or(wanted, |tasks| Shares::new(tasks, wanted).shards());
    let most = engine.most_elements().map_err(|engine::Unknown(words)| words)?;
    let request = Request {
        name: format!("{}.check", job.name),
        script: PathBuf::new(),
        logs: "/dev/null".into(),
        elements: shards.clamp(1, most),
        at_once: nodes,
        exclude: Vec::new(),
    };
    let warnings = engine.check(&request).map_err(|refused| match refused {
        NotSubmitted::Refused { words, key, help } => {
            let key = key.map(|key| format!("; see `cluster.{key}`")).unwrap_or_default();
            let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{place} does not take it: {words}{key}{help}")
        }
        NotSubmitted::Full(words)
        | NotSubmitted::TooLarge(words)
        | NotSubmitted::Unclear(words) => {
            format!("{place}: {words}")
        }
    })?;
    let mut lines = vec![format!("{place}: at most {shards} shards, {nodes} at once")];
    lines.extend(share::divided(job, nodes)?);
    lines.extend(warnings.into_iter().map(|warning| format!("warning: {warning}")));
    Ok(lines)
}

/// Why a job cannot run here, if a run of it on a cluster has not ended.
pub fn left_over_from(results: &Path, job: &str) -> Option<String> {
    let folder = RunFolder::of(results, job);
    folder.plan().exists().then(|| left_over(&folder))
}

fn left_over(folder: &RunFolder) -> String {
    format!(
        "`{}` is left from a run on a cluster that has not ended; resume it with `--on slurm --resume`, or discard it with \
         `--on slurm --fresh`",
        folder.path().display()
    )
}

/// Why the job has failed, and the exit code.
fn failed(message: impl Into<String>, exit: Exit) -> RunError {
    RunError::Elsewhere(message.into(), exit)
}

fn unwritten(path: &Path) -> impl Fn(std::io::Error) -> RunError + use<> {
    let path = path.to_owned();
    move |error| failed(format!("failed to write `{}`: {error}", path.display()), Exit::NotWritten)
}

/// A job and where it runs.
struct Site<'a> {
    job: &'a Arc<Job>,
    control: &'a Control,
    call: &'a Call,
    engine: &'a dyn Engine,
    folder: RunFolder,
}

impl Site<'_> {
    /// Begins a new run: reads the inputs, and submits them.
    fn begin(&self, options: &Options) -> Result<Ended, RunError> {
        let (started, calendar) = (Moment::now(), Calendar::now());
        let cancel = Arc::new(Cancel::default());
        self.folder.create().map_err(unwritten(self.folder.path()))?;
        let report = Report::create(self.job, options, Arc::clone(&cancel)).inspect_err(|_| {
            let _ = self.folder.remove(); // there is no plan in it
        })?;
        let scan = Scan { job: self.job, folder: &self.folder, report: &report };
        let planned = scan.plan(self.call, self.control).and_then(|plan| {
            refusals::check_division(&plan, &self.folder, self.job.cluster.nodes)?;
            self.folder.copy_program().map_err(unwritten(&self.folder.program()))?;
            plan.write(&self.folder).map_err(|message| failed(message, Exit::NotWritten))?;
            Ok(plan)
        });
        let plan = match planned {
            Ok(plan) => plan,
            Err(error) => {
                let _ = self.folder.remove(); // there is no plan in it
                return Err(error);
            }
        };
        let running = Running { site: self, options, cancel: &cancel, started, calendar };
        running.drive(report, &plan, |_| Ok(()))
    }

    /// Goes on with a run whose driver has died or left. `None` if its inputs or its job have changed since.
    fn adopt(&self, options: &Options, plan: &Plan) -> Result<Option<Ended>, RunError> {
        let Begin::Resume(Resume { changes, .. }) = options.begin else { return Ok(None) };
        if plan.identity != plan::identity(self.job) || plan.job != self.job.name {
            return Ok(None);
        }
        let (started, calendar) = (Moment::now(), Calendar::now());
        let cancel = Arc::new(Cancel::default());
        let rerun = Rerun::Adopted { since: plan.began_with };
        let begin = self.begin_again(options, plan, Resume { rerun, changes });
        let options = Options { begin, seed: Some(plan.seed), ..options.clone() };
        let report = Report::create(self.job, &options, Arc::clone(&cancel))?;
        if report.seed() != plan.seed {
            return Ok(None);
        }
        let scan = Scan { job: self.job, folder: &self.folder, report: &report };
        let Adopted::Rows(places) = scan.adopt(plan, self.control)? else {
            report.leave()?;
            return Ok(None);
        };
        let running = Running { site: self, options: &options, cancel: &cancel, started, calendar };
        let note = |collector: &mut Collector<'_>| {
            for place in places {
                collector.note(place);
            }
            Ok(())
        };
        running.drive(report, plan, note).map(Some)
    }

    /// How the report of an earlier run is opened: one that has no row yet must not resume from a report that was there
    /// before it.
    fn begin_again(&self, options: &Options, plan: &Plan, resume: Resume) -> Begin {
        if plan.began_with == 0 && !has_rows(&options.results, &self.job.name) {
            return Begin::Fresh;
        }
        Begin::Resume(resume)
    }

    /// Ends a run that cannot be gone on with, and keeps its rows in the partial, where they are found by their inputs.
    fn salvage(&self, options: &Options, plan: &Plan) -> Result<(), RunError> {
        progress::aside(|| {
            crate::base::diagnostic::complain(format!(
                "{}: the job or its inputs have changed since the run on the cluster began: what runs is stopped, \
                 finished tasks are kept",
                self.job.name
            ));
        });
        self.stop_all(plan, Stop::Drain)?;
        let cancel = Arc::new(Cancel::default());
        let Begin::Resume(resume) = options.begin else { return Ok(()) };
        let begin = self.begin_again(options, plan, resume);
        let options = Options { begin, seed: Some(plan.seed), ..options.clone() };
        let report = Report::create(self.job, &options, cancel)?;
        let mut collector = Collector::new(self.job, &self.folder, plan, &report);
        let scan = Scan { job: self.job, folder: &self.folder, report: &report };
        // A second row of a task would pass for that of another one with an equal input.
        let done = scan.done(plan)?;
        let noted = collector.note_numbers(|number| done.has(number));
        noted.map_err(|error| failed(error.to_string(), Exit::Usage))?;
        let read = self.folder.starts().and_then(|starts| {
            starts.iter().try_for_each(|start| collector.collect_part(start.shard, &start.path))
        });
        read.map_err(|error| failed(error.to_string(), Exit::NotWritten))?;
        drop(collector);
        report.leave()?;
        self.remove()
    }

    /// Stops all elements of an earlier run, and waits until they have ended.
    fn stop_all(&self, plan: &Plan, how: Stop) -> Result<(), RunError> {
        /// So often, two seconds apart at most.
        const LOOKS: u32 = 300;
        let unknown = |words: String| {
            let engine = self.engine.name();
            failed(
                format!("{engine} does not answer, so the run cannot be stopped: {words}"),
                Exit::Usage,
            )
        };
        let mut ledger = Ledger::read(&self.folder, &plan.run)
            .map_err(|error| failed(error.to_string(), Exit::Usage))?;
        ledger.find(self.engine).map_err(|engine::Unknown(words)| unknown(words))?;
        for look in 0..LOOKS {
            let open = ledger.open();
            if open.is_empty() {
                return Ok(());
            }
            let states =
                self.engine.poll(&open).map_err(|engine::Unknown(words)| unknown(words))?;
            for submission in &mut ledger.submissions {
                let Some(id) = submission.id.clone() else { continue };
                for (index, live) in submission.live.iter_mut().enumerate() {
                    let element = engine::Element { id: id.clone(), index: index as u32 };
                    *live = matches!(
                        states.of(&element),
                        engine::Found::Waiting { .. } | engine::Found::Running { .. }
                    );
                }
                let live = submission.live.iter().zip(0..).filter(|(live, _)| **live);
                let indexes: Vec<u32> = live.map(|(_, index)| index).collect();
                if look % 15 == 0 && !indexes.is_empty() {
                    let stopped = self.engine.stop(&id, &indexes, how);
                    stopped.map_err(|engine::Unknown(words)| unknown(words))?;
                }
            }
            if self.control.signal().is_some() {
                return Err(failed(
                    "the run on the cluster was told to stop and has not ended yet",
                    Exit::NotOk,
                ));
            }
            std::thread::sleep(self.engine.interval().0);
        }
        Err(failed("the run on the cluster was told to stop and has not ended yet", Exit::Usage))
    }

    fn remove(&self) -> Result<(), RunError> {
        self.folder.remove().map_err(unwritten(self.folder.path()))
    }

    /// The command that an element runs, but for the numbers of its submission and its own.
    fn command(&self) -> Vec<String> {
        let program = match &self.job.cluster.runner {
            Some(runner) => runner.display().to_string().replace("{arch}", std::env::consts::ARCH),
            None => self.folder.program().display().to_string(),
        };
        vec![program, "shard".into(), self.folder.path().display().to_string()]
    }
}

/// A run that is being driven.
struct Running<'a> {
    site: &'a Site<'a>,
    options: &'a Options,
    cancel: &'a Arc<Cancel>,
    started: Moment,
    calendar: Calendar,
}

impl Running<'_> {
    /// Drives the run of `plan` to its end; `begin` tells the collector what is there already.
    fn drive(
        &self,
        report: Report,
        plan: &Plan,
        begin: impl FnOnce(&mut Collector<'_>) -> Result<(), RunError>,
    ) -> Result<Ended, RunError> {
        let Site { job, engine, folder, .. } = self.site;
        let elsewhere = Arc::<progress::Elsewhere>::default();
        let (total, mode) = (Some(plan.tasks), self.options.progress);
        let file = StatusFile::new(&self.options.results, &job.name, &job.file);
        let progress = Progress::new(&job.name, total, report.counts(), Vec::new(), mode);
        let mut progress = progress.with_file(file);
        progress.count_elsewhere(Arc::clone(&elsewhere));
        let deadline =
            plan.deadline_ms.map(|at| Duration::from_millis(at.saturating_sub(since_1970())));
        let watchdog = Watchdog::new(Moment::now(), deadline, None);
        let launcher = SharedLauncher::default();
        let attached =
            self.site.control.attach(Arc::clone(self.cancel), progress, watchdog, launcher);
        let mut collector = Collector::new(job, folder, plan, &report);
        begin(&mut collector)?;
        let quiet = self.options.progress == progress::Mode::Off;
        let say = |words: String| {
            if !quiet {
                progress::aside(|| eprintln!("{}: {words}", job.name));
            }
        };
        let mut ledger = Ledger::read(folder, &plan.run)
            .map_err(|error| failed(error.to_string(), Exit::Usage))?;
        ledger.find(*engine).map_err(|engine::Unknown(words)| {
            failed(format!("{} does not answer: {words}", engine.name()), Exit::Usage)
        })?;
        let path = self.options.results.join(format!("{}.cluster.csv", job.name));
        let goes_on = !ledger.submissions.is_empty();
        let journal = Journal::open(&path, goes_on).map_err(unwritten(&path))?;
        let mut driver = Driver::new(
            (job, plan, folder),
            *engine,
            self.cancel,
            &elsewhere,
            &say,
            ledger,
            collector,
            journal,
        );
        driver.command = self.site.command();
        driver.tries = job.cluster.tries;
        driver.detaches = self.site.call.detaches;
        let watched = driver.watch();
        let watched = watched.map_err(|error| {
            failed(format!("`{}`: {error}", folder.path().display()), Exit::NotWritten)
        })?;
        match watched {
            Watched::Left => {
                drop(driver);
                drop(attached);
                self.leave(report, plan)
            }
            Watched::Failed(message, exit) => {
                let rows = driver.collector.put_rows();
                drop(driver);
                drop(attached);
                Err(self.give_up(report, message, exit, rows))
            }
            Watched::Ended => {
                let Driver { mut collector, state, .. } = driver;
                let why = |shard| state.why(shard);
                let cancelled = collector.cancel_others(why);
                cancelled.map_err(|error| failed(error.to_string(), Exit::NotWritten))?;
                let ends = std::mem::take(&mut collector.ends);
                drop(collector);
                drop(attached);
                self.finish(report, plan, &ends)
            }
        }
    }

    /// Leaves the run to its elements.
    fn leave(&self, report: Report, plan: &Plan) -> Result<Ended, RunError> {
        report.leave()?;
        let (job, shards) = (&self.site.job.name, plan.shares.shards());
        let exit = self.site.control.signal().map_or(Exit::Ok, Exit::Signal);
        if self.options.progress != progress::Mode::Off {
            let file = self.site.job.file.display();
            let on = self.site.call.place;
            progress::aside(|| {
                eprintln!(
                    "{job}: {shards} shards go on; `runner --on {on} --resume {file}` collects their rows"
                );
            });
        }
        Ok((None, exit))
    }

    /// Ends a run that cannot go on. What is finished stays in the partial; without any row, nothing stays.
    fn give_up(&self, report: Report, message: String, exit: Exit, rows: u64) -> RunError {
        let kept = rows > 0 || report.began_with() > 0;
        if !kept {
            drop(report);
        } else if let Err(error) = report.leave() {
            return RunError::Report(error);
        }
        if let Err(error) = self.site.remove() {
            return error;
        }
        match rows {
            0 => failed(message, exit),
            1 => failed(format!("{message}; the 1 row so far is kept: resume with --resume"), exit),
            _ => failed(
                format!("{message}; the {rows} rows so far are kept: resume with --resume"),
                exit,
            ),
        }
    }

    fn finish(&self, report: Report, plan: &Plan, ends: &[EndNote]) -> Result<Ended, RunError> {
        let summary = report.finish(self.facts(plan, ends))?;
        // The report is whole; what is left of the folder, which a lost node may hold open, is no run any more.
        let _ = self.site.folder.remove();
        if let Some(cause @ (Cause::Deadline | Cause::Input(_))) = self.cancel.cause() {
            return Err(RunError::Ended(cause.clone(), Box::new(summary)));
        }
        let exit = summary.exit();
        Ok((Some(Box::new(summary)), exit))
    }

    /// What the report cannot know by itself.
    fn facts(&self, plan: &Plan, ends: &[EndNote]) -> RunFacts {
        let job = self.site.job;
        let at_once = plan.nodes.min(plan.shares.shards()) as usize;
        let first = ends.first();
        let model =
            first.and_then(|end| Model::ALL.into_iter().find(|model| model.name() == end.model));
        let model = match model {
            _ if job.is_staged() => STAGED,
            Some(model) => model.name(),
            None => job.stages.first().map_or(STAGED, |stage| stage.model.name()),
        };
        let slots = ends.iter().map(|end| end.concurrency).max().unwrap_or(0);
        let shards = plan.shares.shards();
        let mut reason = format!("{}: {shards} shards, {at_once} at once", self.site.call.place);
        if let Some(first) = first {
            reason = format!("{reason}, {slots} tasks at once in each; {}", first.reason);
        }
        let startup = ends.iter().map(|end| Duration::from_millis(end.startup_ms)).max();
        let mut notes: Vec<String> = job.inputs.notes();
        for note in ends.iter().flat_map(|end| &end.notes) {
            // A shard's log is not the job's.
            if !notes.contains(note) && !note.starts_with("the output of the workers is in ") {
                notes.push(note.clone());
            }
        }
        notes.truncate(10);
        let log = self.options.results.join(format!("{}.log", job.name));
        if log.metadata().is_ok_and(|meta| meta.len() > 0) {
            notes.push(format!("what shards have printed is in {}", log.display()));
        }
        RunFacts {
            started: self.started,
            startup: startup.unwrap_or_default(),
            services: ServiceTimes::default(),
            held: Duration::ZERO,
            calendar: self.calendar,
            model,
            concurrency: slots * at_once,
            reason,
            cpu: None,
            peak_rss: None,
            due_p99: None,
            notes,
            saw_a_part: false,
            is_enough: matches!(self.cancel.cause(), Some(Cause::Enough(_))),
            busy: None,
        }
    }
}
