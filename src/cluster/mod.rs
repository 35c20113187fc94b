//! A job on the scheduler of a cluster: the tasks are shared out, each share runs by today's engine wherever the
//! scheduler places it, and the rows of all come into one report. The promise is one row per input, whatever dies; not
//! one execution.
//!
//! There is no daemon and no connection: driver and shards talk by files in the folder of the results ([`folder`]), and
//! the driver asks the scheduler by its client programs ([`engine`]). What is done about a shard is a table ([`decide`]).

mod budgets;
pub mod client;
pub mod collect;
pub mod decide;
mod drive;
mod driver_lock;
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

use std::collections::HashMap;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use place::Place;
pub use refusals::check_groups;

use crate::cluster::collect::Collector;
use crate::cluster::drive::Running;
use crate::cluster::driver_lock::DriverLock;
use crate::cluster::engine::{Engine, Request, Stop};
use crate::cluster::folder::RunFolder;
use crate::cluster::ledger::Ledger;
use crate::cluster::plan::Plan;
use crate::cluster::scan::{Adopted, Scan};
use crate::cluster::share::Shares;
use crate::config::Overrides;
use crate::engine::control::Control;
use crate::engine::made::parts::{self, Gathered};
use crate::engine::run::RunError;
use crate::job::Job;
use crate::report::parts::{PartFiles, has_rows, refuse_while_written};
use crate::report::terminal::{self, progress};
use crate::report::{Before, Begin, Options, Report, Rerun, Resume, Summary};
use crate::task::{Calendar, Cancel, Exit, Moment};

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
    refusals::check_secrets(job)?;
    let engine = call.place.engine(job).map_err(|message| failed(message, Exit::Usage))?;
    let results = std::path::absolute(&options.results).unwrap_or_else(|_| options.results.clone());
    let site =
        Site { job, control, call, engine: &*engine, folder: RunFolder::of(&results, &job.name) };
    let mut options = Options { results, ..options.clone() };
    // Before anything of what is there is looked at, stopped or removed: its driver may be alive, or another one begin now.
    std::fs::create_dir_all(&options.results).map_err(unwritten(&options.results))?;
    let lock = site.folder.driver_lock();
    let _lock = DriverLock::take(&lock).map_err(|message| failed(message, Exit::Usage))?;
    refuse_while_written(&options.results, &job.name).map_err(RunError::Report)?;
    let earlier = Plan::read(&site.folder).map_err(|message| failed(message, Exit::Usage))?;
    match (options.begin, earlier) {
        (Begin::Anew, Some(_)) => return Err(failed(left_over(&site.folder), Exit::Usage)),
        (Begin::Resume(resume), Some(plan)) => {
            refusals::check_same_job(job, &plan, &site.folder, resume.changes)?;
            if let Some(ended) = site.adopt(&options, &plan)? {
                return Ok(ended);
            }
            site.salvage(&options, &plan)?;
        }
        (_, Some(plan)) => {
            site.stop_all(&plan, Stop::Kill)?;
            site.keep_made(&options, &plan)?;
            site.remove()?;
        }
        (_, None) => site.remove()?, // what is left without a plan is no run
    }
    options.identities = None;
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
    let warnings = engine.check(&request).map_err(|refused| refused.explain(engine.name()))?;
    let mut lines = vec![format!("{place}: at most {shards} shards, {nodes} at once")];
    lines.extend(share::divided(job, nodes)?);
    lines.extend(warnings.into_iter().map(|warning| format!("warning: {warning}")));
    let results = std::path::absolute(&job.results).unwrap_or_else(|_| job.results.clone());
    let folder = RunFolder::of(&results, &job.name);
    let (script, logs) = (folder.submission(1, "sh"), folder.submission(1, "{index}.log"));
    let name = format!("{}.RUN.1", job.name); // each run has a name of its own
    let request = Request { name, script, logs, ..request };
    let command = [command(job, &folder), vec!["1".into()]].concat();
    lines.extend(engine.shown(&request, &engine.script(&command)));
    Ok(lines)
}

/// The command that an element runs, but for the numbers of its submission and its own.
fn command(job: &Job, folder: &RunFolder) -> Vec<String> {
    let program = match &job.cluster.runner {
        Some(runner) => runner.display().to_string(),
        None => folder.program().display().to_string(),
    };
    vec![program, "shard".into(), folder.path().display().to_string()]
}

/// Why a job cannot run here, if a run of it on a cluster has not ended.
pub fn left_over_from(results: &Path, job: &str) -> Option<String> {
    let folder = RunFolder::of(results, job);
    if !folder.plan().exists() {
        return None;
    }
    let lives = refuse_while_written(results, job).err();
    Some(lives.map_or_else(|| left_over(&folder), |error| error.to_string()))
}

/// How many rows the run of `job` on a cluster has, as its files tell now, and how many tasks; `None` if there is none, or it
/// cannot be read.
pub fn rows_now(results: &Path, job: &str) -> Option<(u64, u64)> {
    let folder = RunFolder::of(results, job);
    let plan = Plan::read(&folder).ok()??;
    // Of a shard that is done, the rows may be in the report already, or not: there is one for each task in any case.
    let done = folder.links().ok()?;
    let mut shards: HashMap<u32, u64> =
        done.keys().map(|&shard| (shard, plan.shares.count(shard))).collect();
    for start in folder.starts().ok()?.iter().filter(|start| !done.contains_key(&start.shard)) {
        let rows = shards.entry(start.shard).or_default();
        *rows = (*rows).max(PartFiles::new(&start.path, job).about_rows());
    }
    Some(((plan.began_with + shards.values().sum::<u64>()).min(plan.tasks), plan.tasks))
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
        if matches!(options.begin, Begin::Anew | Begin::Fresh) {
            let started = parts::start_run(self.job, &options.results);
            started.map_err(unwritten(&options.results))?;
        }
        let scan = self.scan(&report, options);
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
        let before = Before::default();
        let running = Running { site: self, options, cancel: &cancel, started, before, calendar };
        running.drive(report, &plan, |_| Ok(()))
    }

    /// Goes on with a run whose driver has died or left. `None` if its inputs or its job have changed since.
    fn adopt(&self, options: &Options, plan: &Plan) -> Result<Option<Ended>, RunError> {
        let Begin::Resume(Resume { changes, rest, .. }) = options.begin else { return Ok(None) };
        if plan.identity != plan::identity(self.job) || plan.job != self.job.name {
            return Ok(None);
        }
        self.note_unread_inputs();
        let (started, calendar) = (Moment::now(), Calendar::now());
        let age = plan.age();
        let cancel = Arc::new(Cancel::default());
        let rerun = Rerun::Adopted { since: plan.began_with };
        let begin = self.begin_again(options, plan, Resume { rerun, changes, rest });
        let options = Options { begin, identities: Some(plan.identities()), ..options.clone() };
        let report = Report::create(self.job, &options, Arc::clone(&cancel))?;
        if report.identities() != plan.identities() {
            return Ok(None);
        }
        let scan = self.scan(&report, &options);
        let Adopted::Rows(places) = scan.adopt(plan, self.control)? else {
            report.leave()?;
            return Ok(None);
        };
        let before =
            Before { wall: age, rows: report.began_with().saturating_sub(plan.began_with) };
        let (options, cancel) = (&options, &cancel);
        let running = Running { site: self, options, cancel, started, before, calendar };
        let note = |collector: &mut Collector<'_>| {
            for place in places {
                collector.note(place);
            }
            Ok(())
        };
        running.drive(report, plan, note).map(Some)
    }

    /// Says that what standard input has now is not what runs: the run keeps the inputs that it began with.
    fn note_unread_inputs(&self) {
        let is_fed = || {
            std::fs::metadata("/dev/stdin")
                .is_ok_and(|meta| meta.file_type().is_fifo() || meta.is_file() && meta.len() > 0)
        };
        if self.job.inputs.reads_stdin() && is_fed() {
            progress::aside(|| {
                terminal::warn(&format!(
                    "{}: standard input is not read: the run on the cluster keeps the inputs that it began with; \
                     --fresh begins anew with these",
                    self.job.name
                ));
            });
        }
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
        let options = Options { begin, identities: Some(plan.identities()), ..options.clone() };
        let report = Report::create(self.job, &options, cancel)?;
        let mut collector = Collector::new(self.job, &self.folder, plan, &report);
        let scan = self.scan(&report, &options);
        // A second row of a task would pass for that of another one with an equal input.
        let done = scan.done(plan)?;
        let noted = collector.note_numbers(|number| done.has(number));
        noted.map_err(|error| failed(error.to_string(), Exit::Usage))?;
        let read = self.folder.starts().and_then(|mut starts| {
            starts.sort_by_key(|start| (start.shard, start.start));
            for of_shard in starts.chunk_by(|one, next| one.shard == next.shard) {
                let folders: Vec<_> = of_shard.iter().map(|start| start.path.clone()).collect();
                collector.keep_outputs(&folders)?;
            }
            // Of two rows of a task the later one counts, as its output does.
            let mut newest = starts.iter().rev();
            newest.try_for_each(|start| collector.collect_part(start.shard, &start.path))
        });
        read.map_err(|error| failed(error.to_string(), Exit::NotWritten))?;
        drop(collector);
        self.keep_made(&options, plan)?;
        report.leave()?;
        self.remove()
    }

    /// Stops all elements of an earlier run, and waits until they have ended.
    fn stop_all(&self, plan: &Plan, how: Stop) -> Result<(), RunError> {
        /// So often what is killed may be there still, two seconds apart at most.
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
        for look in 0_u32.. {
            // What drains has all the time that its tasks take.
            if how == Stop::Kill && look >= LOOKS {
                break;
            }
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

    fn scan<'r>(&'r self, report: &'r Report, options: &'r Options) -> Scan<'r> {
        let (standing, claims) = (options.standing, &*options.claims);
        Scan { job: self.job, folder: &self.folder, report, standing, claims }
    }

    /// Keeps what the starts of a run that is discarded have noted of the files that they were making, and removes what
    /// they have left under temporary names.
    fn keep_made(&self, options: &Options, plan: &Plan) -> Result<(), RunError> {
        let kept = Gathered::open(self.job, &options.results).and_then(|made| {
            let Some(made) = made else { return Ok(()) };
            let mut starts = self.folder.starts()?;
            starts.sort_by_key(|start| (start.shard, start.start));
            for start in starts {
                made.take(&start.path)?;
                made.clear(&start.path, snapshot::tasks_of(&self.folder, plan, start.shard)?);
            }
            Ok(())
        });
        kept.map_err(unwritten(&options.results))
    }

    fn remove(&self) -> Result<(), RunError> {
        self.folder.remove().map_err(unwritten(self.folder.path()))
    }
}
