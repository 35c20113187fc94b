//! The commands: parse, plan, run, report, exit.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use serde_json::json;

use runner::base::diagnostic::complain;
use runner::base::{Diagnostic, Diagnostics, event, standard_output};
use runner::batch::Turn;
use runner::cli::init::InitArgs;
use runner::cli::notify::{End, notify};
use runner::cli::{
    self, CheckArgs, Cli, Command, RunArgs, completions, describe, here, man, schema,
};
use runner::engine::control::Control;
use runner::engine::run;
use runner::engine::run::{RunError, SharedLauncher};
use runner::job::{Job, PlannedJob};
use runner::report::terminal::progress;
use runner::report::{ReportError, Summary, terminal};
use runner::task::Exit;
use runner::workload::claims::Claims;
use runner::{batch, cluster, compare, job, launcher, report, view};

fn main() -> ExitCode {
    cli::take_role(); // does not return in a child process of the runner's own
    if here::is_asked() {
        terminal::note(&here::text());
        return Exit::Usage.into();
    }
    let exit = match Cli::read() {
        Command::Run(args) => run_jobs(&args),
        Command::Check(args) => check(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Status(args) => cli::status::run(&args),
        Command::Report(args) => view::run(&args),
        Command::Shard(args) => {
            return cluster::shard::run(&args.run, args.submission, args.index).into();
        }
        Command::Models => print(&describe::models()),
        Command::Init(args) => init(&args),
        Command::Completions(args) => print(&completions::script(&args)),
        Command::CompletionWords(args) => print(&completions::words(&args)),
        Command::Man(args) => print(&man::page(&args)),
        Command::Schema(args) => print(&schema::schema(args.of())),
    };
    let failure = standard_output::failure();
    if let Some(why) = failure {
        complain(format!("failed to write to standard output: {why}"));
    }
    if failure.is_some() && exit == Exit::Ok { Exit::NotWritten } else { exit }.into()
}

/// Plans all jobs, then runs them: one after another, unless the user wants them side by side.
fn run_jobs(args: &RunArgs) -> Exit {
    if args.json {
        event::enable();
    }
    let exit = plan_and_run(args);
    event::emit("end", || json!({ "exit": exit.code() }));
    exit
}

fn plan_and_run(args: &RunArgs) -> Exit {
    let jobs = match job::read_batch(&args.jobs.files, &args.overrides()) {
        Ok(jobs) => jobs,
        Err(mistakes) => {
            mistakes.print();
            return Exit::Usage;
        }
    };
    if let Some(shown) = args.dry_run {
        let standing = args.standing();
        return print_plans(&jobs, |job| describe::dry_run(job, shown, standing, terminal::say));
    }
    if let Some(message) = bad_tag(args, &jobs) {
        complain(message);
        return Exit::Usage;
    }
    if args.elsewhere().is_some_and(|call| call.detaches)
        && let Some(job) = jobs.iter().find(|job| !job.needs.is_empty())
    {
        let message = "--detach leaves before the jobs that it needs have ended: run them first";
        complain(format!("{}: {message}", job.name));
        return Exit::Usage;
    }
    if let Some(call) = args.elsewhere()
        && let Err(message) = cluster::check_groups(&jobs, args.at_once.get(), call.detaches)
    {
        complain(message);
        return Exit::Usage;
    }
    // Where jobs run elsewhere, so do those who read their secrets.
    if args.elsewhere().is_none()
        && let Err(message) = read_secrets(&jobs)
    {
        complain(message);
        return Exit::Usage;
    }
    event::emit("start", || {
        let names: Vec<_> = jobs.iter().map(|job| &job.name).collect();
        json!({ "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(), "jobs": names })
    });
    jobs.iter().for_each(warn);
    launcher::raise_open_files();
    let control = match Control::start() {
        Ok(control) => control,
        Err(error) => {
            complain(format!("failed to handle signals: {error}"));
            return Exit::Internal;
        }
    };
    let runner = Runner {
        args,
        control,
        launcher: SharedLauncher::default(),
        claims: Arc::new(claims(&jobs)),
        summaries: Mutex::default(),
        ends: Mutex::default(),
    };
    let mut exits = batch::run(jobs, args.at_once, &runner);
    let Runner { control, launcher, summaries, ends, .. } = runner;
    drop(launcher);
    let mut summaries = summaries.into_inner().expect("nobody panics while holding it");
    summaries.sort_by_key(|(index, _)| *index);
    let summaries: Vec<_> = summaries.into_iter().map(|(_, summary)| summary).collect();
    if args.quiet {
        terminal::explain(&summaries);
    } else {
        terminal::print(&summaries, args.has_standard_output());
    }
    exits.extend(control.signal().map(Exit::Signal));
    let exit = Exit::of_jobs(&exits);
    if let Some(command) = &args.notify {
        let mut ends = ends.into_inner().expect("nobody panics while holding it");
        ends.sort_by_key(|(index, _)| *index);
        let ends: Vec<_> = ends.into_iter().map(|(_, end)| end).collect();
        notify(command, exit, &ends);
    }
    exit
}

/// The claims on files as they are before anything runs: no job writes over the report of another.
fn claims(jobs: &[PlannedJob]) -> Claims {
    let claims = Claims::default();
    for job in jobs {
        claims.reserve(&job.name, report::own_files(&job.results, &job.name, job.plan().ok()));
    }
    claims
}

/// Reads the secrets of all jobs, before the first of them runs.
fn read_secrets(jobs: &[PlannedJob]) -> Result<(), String> {
    for (job, plan) in jobs.iter().filter_map(|job| Some((job, job.plan().ok()?))) {
        for secret in &plan.secrets {
            secret.resolve().map_err(|why| format!("{}: {why}", job.name))?;
        }
    }
    Ok(())
}

/// Why `--tag` does not suit one of the jobs, as far as they are known yet.
fn bad_tag(args: &RunArgs, jobs: &[PlannedJob]) -> Option<String> {
    let printing = args.printing()?;
    let mut plans = jobs.iter().filter_map(|job| job.plan().ok());
    plans.find_map(|job| Some(format!("{}: {}", job.name, printing.tag(job).err()?)))
}

/// Runs the jobs of a batch, and prints why one fails.
struct Runner<'a> {
    args: &'a RunArgs,
    control: Control,
    launcher: SharedLauncher,
    /// The files that tasks write.
    claims: Arc<Claims>,
    /// The summaries, each with the job's index in the batch.
    summaries: Mutex<Vec<(usize, Summary)>>,
    /// How the jobs ended, likewise.
    ends: Mutex<Vec<(usize, End)>>,
}

/// Says what there is to say of a row that was put into the summary; returns whether it is there.
fn put_in_summary(put: Result<Option<String>, ReportError>, job: &str) -> bool {
    let is_there = put.is_ok();
    if let Some(message) = put.unwrap_or_else(|error| Some(error.to_string())) {
        progress::aside(|| complain(format!("{job}: {message}")));
    }
    is_there
}

impl batch::Runner for Runner<'_> {
    fn run(&self, index: usize, turn: Turn<'_>) -> Exit {
        let (name, results) = (turn.job().name.clone(), turn.job().results.clone());
        let run = turn.take(|job| {
            let (summary, exit) = self.run_job(index, &Arc::new(job));
            let mut summaries = self.summaries.lock().expect("nobody panics while holding it");
            summaries.extend(summary.map(|summary| (index, summary)));
            exit
        });
        run.unwrap_or_else(|mistakes| {
            progress::aside(|| mistakes.print());
            let first = mistakes.iter().next().map(Diagnostic::message);
            let reason = format!("could not start: {}", first.unwrap_or_default());
            self.unstarted(index, &name, (Exit::Usage, &reason));
            put_in_summary(report::skip(&results, &name, None, &reason), &name);
            Exit::Usage
        })
    }

    fn skip(&self, index: usize, job: &PlannedJob, needed: &str) -> Exit {
        let reason = format!("skipped: it needs `{needed}`, which did not end ok");
        let say = |message: String| progress::aside(|| complain(message));
        say(format!("{}: {reason}", job.name));
        let put = report::skip(&job.results, &job.name, job.plan().ok(), &reason);
        let is_put = put_in_summary(put, &job.name);
        let exit = if is_put { Exit::NotOk } else { Exit::NotWritten };
        self.unstarted(index, &job.name, (exit, &reason));
        exit
    }

    fn is_stopped(&self) -> bool {
        self.control.signal().is_some()
    }
}

impl Runner<'_> {
    /// Notes that the job at `index` has not run, and tells it.
    fn unstarted(&self, index: usize, job: &str, (exit, reason): (Exit, &str)) {
        event::emit("finished", || json!({ "job": job, "exit": exit.code() }));
        self.ended(index, End::without_report(job, reason));
    }

    /// Notes how the job at `index` ended.
    fn ended(&self, index: usize, end: End) {
        self.ends.lock().expect("nobody panics while holding it").push((index, end));
    }

    fn run_job(&self, index: usize, job: &Arc<Job>) -> (Option<Summary>, Exit) {
        let options = self.args.options(&job.results, &self.claims);
        let say = |message: String| progress::aside(|| complain(message));
        event::emit("job", || {
            let file = job.file.to_string_lossy();
            json!({ "job": job.name, "file": file, "tasks": job.inputs.tasks() })
        });
        let ran = match self.args.elsewhere() {
            Some(call) => match cluster::run(job, &options, &self.control, &call) {
                Ok((Some(summary), _)) => Ok(*summary),
                Ok((None, exit)) => return (None, exit),
                Err(error) => Err(error),
            },
            None => match cluster::left_over_from(&options.results, &job.name) {
                Some(message) => Err(RunError::Elsewhere(message, Exit::Usage)),
                None => run::run(job, &options, &self.control, &self.launcher),
            },
        };
        match ran {
            Ok(mut summary) => {
                view::also(&mut summary, job.report.also);
                let exit = summary.exit();
                if exit == Exit::Nothing
                    && self.control.signal().is_none()
                    && !job.inputs.may_be_empty()
                {
                    let why =
                        job.inputs.why_empty().unwrap_or_else(|| "the inputs are empty".into());
                    say(format!("{}: nothing to run: {why}", job.name));
                }
                event::emit("finished", || summary.as_event(exit));
                self.ended(index, End::of(&summary));
                (Some(summary), exit)
            }
            Err(error) => {
                say(format!("{}: {error}", job.name));
                let exit = error.exit();
                let words = error.to_string();
                let mut summary = error.into_summary();
                if let Some(summary) = &mut summary {
                    view::also(summary, job.report.also);
                }
                event::emit("finished", || match &summary {
                    Some(summary) => summary.as_event(exit),
                    None => json!({ "job": job.name, "exit": exit.code() }),
                });
                self.ended(
                    index,
                    match &summary {
                        Some(summary) => End::of(summary),
                        None => End::without_report(&job.name, words),
                    },
                );
                (summary, exit)
            }
        }
    }
}

/// Prints what was asked for.
fn print(text: &str) -> Exit {
    terminal::say(text);
    Exit::Ok
}

/// Writes a job file.
fn init(args: &InitArgs) -> Exit {
    match cli::init::init(args) {
        Ok(written) => {
            terminal::say(&written.text);
            for warning in &written.warnings {
                terminal::warn(warning);
            }
            Exit::Ok
        }
        Err(error) => {
            Diagnostics::from(error).print();
            Exit::Usage
        }
    }
}

/// Prints the plan of every job, and runs nothing.
fn check(args: &CheckArgs) -> Exit {
    for warning in schema::outdated(&args.jobs.files) {
        terminal::warn(&warning);
    }
    match job::read_batch(&args.jobs.files, &args.jobs.overrides()) {
        Ok(jobs) => {
            let exit = print_plans(&jobs, describe::describe);
            let asked = args.on.map(|place| ask(&jobs, place));
            Exit::of_jobs(&[exit, asked.unwrap_or(exit)])
        }
        Err(mistakes) => {
            mistakes.print();
            Exit::Usage
        }
    }
}

/// Prints what a cluster says to each job; submits nothing.
fn ask(jobs: &[PlannedJob], place: cluster::Place) -> Exit {
    let mut exit = Exit::Ok;
    for job in jobs.iter().filter_map(|job| job.plan().ok()) {
        match cluster::check(job, place) {
            Ok(lines) => {
                for line in lines {
                    terminal::say(&format!("{}: {line}\n", job.name));
                }
            }
            Err(message) => {
                complain(format!("{}: {message}", job.name));
                exit = Exit::Usage;
            }
        }
    }
    exit
}

/// Says what is probably not meant.
fn warn(planned: &PlannedJob) {
    if let Ok(job) = planned.plan() {
        job.warnings.iter().cloned().collect::<Diagnostics>().print();
    }
}

/// Prints `describe` of each job; a bad input is an error.
fn print_plans(
    jobs: &[PlannedJob],
    describe: impl Fn(&Job) -> Result<String, job::InputError>,
) -> Exit {
    let mut exit = Exit::Ok;
    for planned in jobs {
        warn(planned);
        if let Ok(job) = planned.plan() {
            job.remarks.iter().cloned().collect::<Diagnostics>().print();
        }
        match planned.plan().map(&describe) {
            Ok(Ok(text)) => terminal::say(&text),
            Ok(Err(error)) => {
                complain(format!("{}: {error}", planned.name));
                exit = Exit::Usage;
            }
            Err(absences) => {
                terminal::say(&describe::describe_later(&planned.name, &planned.file, absences));
            }
        }
    }
    exit
}
