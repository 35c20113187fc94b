//! What is compared: a job, under every requested model and at every requested level.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Diagnostic, Diagnostics};
use crate::compare::CompareArgs;
use crate::compare::args::Levels;
use crate::compare::run::{Run, Stop};
use crate::compare::variant::Variant;
use crate::config::Choices;
use crate::config::raw::is_stdin;
use crate::csv::Dialect;
use crate::job;
use crate::job::{Job, RawJob, Reported};
use crate::model::Model;
use crate::report;
use crate::task::Exit;

/// A job that is measured in several variants.
#[derive(Debug)]
pub struct Subject {
    /// The job as the file has it, with the changes of the command line.
    pub job: Job,
    /// The raw job that it was settled from.
    pub raw: RawJob,
    /// The reports of the jobs of the call, by their names.
    left: Vec<(String, Reported)>,
    /// Its variants, the simplest first.
    pub contenders: Vec<Contender>,
    /// How many tasks of the whole job each measured task stands for: 1 unless a sample is measured.
    pub scale: f64,
    /// How many tasks the whole job has, if only a sample is measured.
    pub whole: Option<u64>,
    /// The results of the first run, row by row, with which the others are compared.
    pub first_results: Option<Vec<u64>>,
}

/// One variant of a job, and its runs.
#[derive(Debug)]
pub struct Contender {
    /// The model or models under which it runs.
    pub variant: Variant,
    /// The job, planned for this model and this concurrency.
    pub job: Arc<Job>,
    /// The measured runs, in their order.
    pub runs: Vec<Run>,
    /// How long the last measurement took, all in all.
    pub took: Duration,
    /// Whether it is not measured any more, being hopeless.
    pub is_out: bool,
}

impl Contender {
    /// How many tasks at once, in all its stages together.
    pub fn concurrency(&self) -> usize {
        self.job.concurrency()
    }

    /// `threads at 4`.
    pub fn name(&self) -> String {
        format!("{} at {}", self.variant, self.concurrency())
    }
}

/// Reads the job files of a comparison, and settles each job for every variant.
///
/// # Errors
/// All mistakes of all files, each at its place.
pub fn read(args: &CompareArgs) -> Result<Vec<Subject>, Diagnostics> {
    if args.sets_model() {
        let mistake = Diagnostic::new("`--set model=…` has no effect on a comparison");
        return Err(mistake.help("name the models to measure: `--models threads,async`").into());
    }
    if args.apply && args.files.iter().any(|file| is_stdin(file)) {
        let mistake = Diagnostic::new("--apply cannot write into a job file on standard input");
        return Err(mistake.help("name the file, or leave out `--apply`").into());
    }
    let mut mistakes = Diagnostics::default();
    let mut jobs = Vec::new();
    for planned in job::read_batch(&args.files, &args.overrides())? {
        match planned.into_parts() {
            Ok(parts) => jobs.push(parts),
            Err(absences) => mistakes.extend(absences.iter().cloned()),
        }
    }
    mistakes.extend(jobs.iter().filter_map(|(job, _)| obstacle(job, args)));
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let left: Vec<_> = jobs
        .iter()
        .map(|(job, _)| (job.name.clone(), Reported::of(job, report::originals)))
        .collect();
    jobs.into_iter().map(|(job, raw)| Subject::new(job, raw, &left, args)).collect()
}

/// Whether all stages of the two have the same models and slots.
fn runs_alike(one: &Job, other: &Job) -> bool {
    let slots = |job: &Job| -> Vec<(Model, usize)> {
        job.stages.iter().map(|stage| (stage.model, stage.concurrency)).collect()
    };
    slots(one) == slots(other)
}

/// Every model at every level.
fn variants(args: &CompareArgs) -> Vec<(Variant, Choices)> {
    let mut variants = Vec::new();
    for &model in &args.models.0 {
        let levels = match &args.concurrency {
            Some(Levels::These(levels)) if model != Model::Sequential => {
                levels.iter().copied().map(Some).collect()
            }
            // They are found out before the first round.
            Some(Levels::Auto) if model != Model::Sequential => vec![],
            _ => vec![None],
        };
        variants.extend(levels.into_iter().map(|concurrency| {
            let choices =
                Choices { model: Some(model), concurrency, limit: args.limit, resume: false };
            (Variant::Under(model), choices)
        }));
    }
    variants
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
        && let Some((set, is_model)) = args.sets_stage()
    {
        let otherwise =
            if is_model { "sets another one" } else { "is measured with it and not written" };
        let message =
            format!("`--apply` writes a model into every stage, but `--set {set}` {otherwise}");
        return Some(Diagnostic::new(message).help("write that into the job file first"));
    }
    // A file that is standard input, too, is read on from where the last run has left it.
    let read_once = if job.inputs.can_block() {
        "a pipe"
    } else if job.inputs.reads_stdin() {
        "standard input"
    } else {
        return None;
    };
    Some({
        let message = format!(
            "`{}` reads {read_once}, which can be read once, but a comparison reads its inputs in every run",
            job.file.display()
        );
        Diagnostic::new(message).help("save it to a file: `--set inputs.lines=FILE`")
    })
}

impl Subject {
    /// The job with its variants. `left` has the reports of the jobs of the call, by their names.
    fn new(
        job: Job,
        raw: RawJob,
        left: &[(String, Reported)],
        args: &CompareArgs,
    ) -> Result<Self, Diagnostics> {
        let mut subject = Self {
            job,
            raw,
            left: left.to_vec(),
            contenders: Vec::new(),
            scale: 1.0,
            whole: None,
            first_results: None,
        };
        for (variant, choices) in variants(args) {
            subject.add(variant, subject.settle(choices)?);
        }
        // A job as it is written that has the models and slots of one of the variants is not a variant of its own.
        let job = &subject.job;
        if job.is_staged() && !subject.contenders.iter().any(|other| runs_alike(&other.job, job)) {
            let as_written = subject.settle(Choices { limit: args.limit, ..Choices::default() })?;
            subject.add(Variant::AsWritten, as_written);
            subject.contenders.rotate_right(1);
        }
        Ok(subject)
    }

    /// The job settled with these choices.
    ///
    /// # Errors
    /// All mistakes, each at its place.
    pub fn settle(&self, choices: Choices) -> Result<Job, Diagnostics> {
        let left = |name: &str| self.left.iter().find(|(job, _)| job == name);
        self.raw.settle(choices, &|name| left(name).map(|(_, reported)| reported.clone()))
    }

    /// Adds a variant.
    pub fn add(&mut self, variant: Variant, job: Job) {
        self.contenders.push(Self::contender(variant, job));
    }

    /// A variant that has not been measured yet.
    pub fn contender(variant: Variant, mut job: Job) -> Contender {
        job.report.dialect = Dialect::Csv; // so that it can be read back
        let (runs, took) = (Vec::new(), Duration::ZERO);
        Contender { variant, job: Arc::new(job), runs, took, is_out: false }
    }

    /// Finds out how many tasks the whole job has, if a sample is measured.
    ///
    /// # Errors
    /// If there is no task, if the file cannot be read any more, or if one of the inputs is bad.
    pub fn size_up(&mut self, args: &CompareArgs) -> Result<(), Stop> {
        let bad = |message| Stop::Failed(message, Exit::Usage);
        if is_empty(&self.job).map_err(bad)? {
            return Err(Stop::Nothing);
        }
        if !args.is_sample() {
            return Ok(());
        }
        let whole = self.settle(Choices::default()).map_err(|wrong| bad(wrong.to_string()))?;
        let (whole, sample) = (count(&whole).map_err(bad)?, count(&self.job).map_err(bad)?);
        if sample > 0 && whole > sample {
            self.scale = whole as f64 / sample as f64;
            self.whole = Some(whole);
        }
        Ok(())
    }

    /// Whether the file says how many tasks run at once.
    pub fn sets_concurrency(&self) -> bool {
        self.raw.has("limits", "concurrency")
    }

    /// The time of the whole job by this run, in seconds: start-up counts once, the rest is scaled to all tasks.
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::counts;

    #[derive(Parser)]
    struct Call {
        #[command(flatten)]
        args: CompareArgs,
    }

    #[test]
    fn a_job_is_read_and_parsed_once_for_all_its_contenders() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("a.toml"), "inputs.repeat = 9\nworkload.sleep.duration = '1s'\n")
            .unwrap();
        std::fs::write(at("runner.toml"), "[defaults.limits]\ntimeout = '5s'\n").unwrap();
        let call = ["compare", &at("a.toml"), "-j", "1,2,4,8,16", "--limit", "3"];
        let args = Call::try_parse_from(call).unwrap().args;
        counts::reset();
        let mut subject = read(&args).unwrap().remove(0);
        subject.size_up(&args).unwrap();
        assert_eq!(subject.contenders.len(), 16);
        let slots: Vec<_> = subject.contenders.iter().map(Contender::concurrency).collect();
        assert_eq!(slots[..6], [1, 1, 2, 4, 8, 16]);
        assert_eq!((subject.whole, subject.job.inputs.tasks()), (Some(9), Some(3)));
        assert_eq!(counts::read(), [at("a.toml")]);
        assert_eq!(counts::parsed(), [at("runner.toml"), at("a.toml")]);
    }
}
