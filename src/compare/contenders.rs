//! What is compared: a job, under every model and at every level that was asked for.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::base::{Diagnostic, Diagnostics};
use crate::compare::CompareArgs;
use crate::compare::run::{Run, Stop};
use crate::compare::variant::Variant;
use crate::config::Overrides;
use crate::csv::Dialect;
use crate::job;
use crate::job::Job;
use crate::model::Model;
use crate::task::Exit;

/// A job that is measured in several ways.
#[derive(Debug)]
pub struct Subject {
    /// The job as the file has it, less what the command line changes.
    pub job: Job,
    /// The text of the file when it was read.
    pub text: String,
    /// The ways to run it, the simplest first.
    pub contenders: Vec<Contender>,
    /// How many tasks the whole job has for each that is measured: 1 unless it is a sample.
    pub scale: f64,
    /// How many tasks the whole job has, if only a sample is measured.
    pub whole: Option<u64>,
    /// The first run's results, row by row: what the others are compared with.
    pub first_results: Option<Vec<u64>>,
}

/// One way to run a job.
#[derive(Debug)]
pub struct Contender {
    /// Who runs it.
    pub way: Variant,
    /// The job, planned for this model and this concurrency.
    pub job: Arc<Job>,
    /// What was measured, in the order in which it ran.
    pub runs: Vec<Run>,
}

impl Contender {
    /// How many tasks at once, in all its stages together.
    pub fn concurrency(&self) -> usize {
        self.job.concurrency()
    }

    /// `threads at 4`.
    pub fn name(&self) -> String {
        format!("{} at {}", self.way, self.concurrency())
    }
}

/// Reads the job files of a comparison, once for every way to run them.
///
/// # Errors
/// All mistakes of all files, each at its place.
pub fn read(args: &CompareArgs) -> Result<Vec<Subject>, Diagnostics> {
    if args.sets_model() {
        let mistake = Diagnostic::new("`--set model=…` says nothing to a comparison");
        return Err(mistake.help("name the models to measure: `--models threads,async`").into());
    }
    // Before they are planned: what is written back must not undo what somebody changes meanwhile.
    let mut texts: HashMap<&Path, String> =
        args.files.iter().map(|file| (file.as_path(), text(file))).collect();
    let jobs = job::read(&args.files, &args.overrides())?;
    let mut mistakes = Diagnostics::default();
    mistakes.extend(jobs.iter().filter_map(|job| obstacle(job, args)));
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut subjects: Vec<Subject> = jobs
        .into_iter()
        .map(|job| Subject {
            text: texts.remove(job.file.as_path()).unwrap_or_default(),
            job,
            contenders: Vec::new(),
            scale: 1.0,
            whole: None,
            first_results: None,
        })
        .collect();
    for (way, overrides) in ways(args) {
        for (subject, job) in subjects.iter_mut().zip(job::read(&args.files, &overrides)?) {
            subject.add(way, job);
        }
    }
    // In the same places as one of its models would have it, a job as it is written is that.
    for (subject, job) in subjects.iter_mut().zip(job::read(&args.files, &args.overrides())?) {
        if job.is_staged() && !subject.contenders.iter().any(|other| runs_alike(&other.job, &job)) {
            subject.add(Variant::AsWritten, job);
            subject.contenders.rotate_right(1);
        }
    }
    Ok(subjects)
}

/// Whether all stages of the two have the same models and slots.
fn runs_alike(one: &Job, other: &Job) -> bool {
    let slots = |job: &Job| -> Vec<(Model, usize)> {
        job.stages.iter().map(|stage| (stage.model, stage.concurrency)).collect()
    };
    slots(one) == slots(other)
}

/// What cannot be read is said when the job is.
fn text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// Every model at every level.
fn ways(args: &CompareArgs) -> Vec<(Variant, Overrides)> {
    let level = |count: &usize| Some(count.to_string());
    let mut ways = Vec::new();
    for &model in &args.models.0 {
        let levels = match &args.concurrency {
            Some(levels) if model != Model::Sequential => levels.0.iter().map(level).collect(),
            _ => vec![None],
        };
        ways.extend(levels.into_iter().map(|concurrency| {
            let every_model = Some(model.name().to_owned());
            (Variant::Under(model), Overrides { every_model, concurrency, ..args.overrides() })
        }));
    }
    ways
}

/// Why this job cannot be compared.
fn obstacle(job: &Job, args: &CompareArgs) -> Option<Diagnostic> {
    if job.is_staged() && args.concurrency.is_some() {
        let file = job.file.display();
        let message = format!(
            "`{file}` has stages, each with a concurrency of its own: `-j` is for jobs of one stage"
        );
        let stage = job.stage_names().swap_remove(0);
        let help = format!("set a stage's: `--set stages.{stage}.limits.concurrency=8`");
        return Some(Diagnostic::new(message).help(help));
    }
    if job.is_staged()
        && args.apply
        && let Some(set) = args.sets_stage_model()
    {
        let message =
            format!("`--apply` writes a model into every stage, and `--set {set}` tries another");
        return Some(Diagnostic::new(message).help("write that into the job file first"));
    }
    job.inputs.can_block().then(|| {
        let message = format!(
            "`{}` reads a pipe, which can be read once, and a comparison reads it in every run",
            job.file.display()
        );
        Diagnostic::new(message).help("save it to a file: `--set inputs.lines=FILE`")
    })
}

impl Subject {
    /// Adds a way to run it.
    fn add(&mut self, way: Variant, mut job: Job) {
        job.report.dialect = Dialect::Csv; // so that it can be read back
        self.contenders.push(Contender { way, job: Arc::new(job), runs: Vec::new() });
    }

    /// Finds out how many tasks the whole job has, if what is measured is a sample of them.
    ///
    /// # Errors
    /// If there is no task at all, the file cannot be read any more, or one of the inputs is bad.
    pub fn size_up(&mut self, args: &CompareArgs) -> Result<(), Stop> {
        let bad = |message| Stop::Failed(message, Exit::Usage);
        if is_empty(&self.job).map_err(bad)? {
            return Err(Stop::Nothing);
        }
        if !args.is_sample() {
            return Ok(());
        }
        let overrides = Overrides { limit: None, ..args.overrides() };
        let jobs = job::read(&args.files, &overrides);
        let jobs = jobs.map_err(|mistakes| bad(mistakes.to_string()))?;
        let Some(whole) = jobs.iter().find(|job| job.name == self.job.name) else { return Ok(()) };
        let (whole, sample) = (count(whole).map_err(bad)?, count(&self.job).map_err(bad)?);
        if sample > 0 && whole > sample {
            self.scale = whole as f64 / sample as f64;
            self.whole = Some(whole);
        }
        Ok(())
    }

    /// Whether the file says how many tasks run at once.
    pub fn sets_concurrency(&self) -> bool {
        let table = self.text.parse::<toml::Table>().unwrap_or_default();
        table.get("limits").is_some_and(|limits| limits.get("concurrency").is_some())
    }

    /// What a run says about the whole job, in seconds: start-up is there once, the rest for every task.
    pub fn seconds(&self, run: &Run) -> f64 {
        let startup = run.startup.as_secs_f64();
        startup + (run.wall.as_secs_f64() - startup) * self.scale
    }
}

fn is_empty(job: &Job) -> Result<bool, String> {
    match job.inputs.open().map_err(|error| error.to_string())?.next() {
        None => Ok(true),
        Some(input) => input.map(|_| false).map_err(|error| error.to_string()),
    }
}

fn count(job: &Job) -> Result<u64, String> {
    if let Some(tasks) = job.inputs.tasks() {
        return Ok(tasks);
    }
    let mut tasks = 0;
    for input in job.inputs.open().map_err(|error| error.to_string())? {
        input.map_err(|error| error.to_string())?;
        tasks += 1;
    }
    Ok(tasks)
}
