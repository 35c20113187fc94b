//! The commands: parse, plan, run, report, exit.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use serde_json::json;

use runner::base::diagnostic::complain;
use runner::base::{Diagnostics, event};
use runner::batch::Turn;
use runner::cli::notify::notify;
use runner::cli::{self, CheckArgs, Cli, Command, RunArgs, describe, schema};
use runner::engine::control::Control;
use runner::engine::run;
use runner::engine::run::SharedLauncher;
use runner::job::{Job, PlannedJob};
use runner::report::terminal::progress;
use runner::report::{Summary, terminal};
use runner::task::Exit;
use runner::workload::claims::Claims;
use runner::{batch, compare, job, launcher, report};

fn main() -> ExitCode {
    cli::take_role(); // does not return in a child process of the runner's own
    let exit = match Cli::read() {
        Command::Run(args) => run_jobs(&args),
        Command::Check(args) => check(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Status(args) => cli::status::run(&args),
        Command::Models => {
            terminal::say(&describe::models());
            Exit::Ok
        }
        Command::Schema(args) => {
            terminal::say(&schema::schema(args.of()));
            Exit::Ok
        }
    };
    exit.into()
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
    let jobs = match job::read_batch(&args.jobs.files, &args.jobs.overrides()) {
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
    if let Err(message) = read_secrets(&jobs) {
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
        claims: Arc::default(),
        summaries: Mutex::default(),
    };
    let mut exits = batch::run(jobs, args.at_once, &runner);
    let Runner { control, launcher, summaries, .. } = runner;
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
        notify(command, exit, &summaries);
    }
    exit
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
}

impl batch::Runner for Runner<'_> {
    fn run(&self, index: usize, turn: Turn<'_>) -> Exit {
        let run = turn.take(|job| {
            let (summary, exit) = self.run_job(&Arc::new(job));
            let mut summaries = self.summaries.lock().expect("nobody panics while holding it");
            summaries.extend(summary.map(|summary| (index, summary)));
            exit
        });
        run.unwrap_or_else(|mistakes| {
            progress::aside(|| mistakes.print());
            Exit::Usage
        })
    }

    fn skip(&self, job: &PlannedJob, needed: &str) -> Exit {
        let reason = format!("skipped: it needs `{needed}`, which did not end ok");
        let say = |message: String| progress::aside(|| complain(message));
        say(format!("{}: {reason}", job.name));
        match report::skip(&job.results, &job.name, job.plan().ok(), &reason) {
            Ok(warning) => {
                if let Some(warning) = warning {
                    say(format!("{}: {warning}", job.name));
                }
                Exit::NotOk
            }
            Err(error) => {
                say(format!("{}: {error}", job.name));
                Exit::NotWritten
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.control.signal().is_some()
    }
}

impl Runner<'_> {
    fn run_job(&self, job: &Arc<Job>) -> (Option<Summary>, Exit) {
        let options = self.args.options(&job.results, &self.claims);
        let say = |message: String| progress::aside(|| complain(message));
        event::emit("job", || {
            let file = job.file.to_string_lossy();
            json!({ "job": job.name, "file": file, "tasks": job.inputs.tasks() })
        });
        match run::run(job, &options, &self.control, &self.launcher) {
            Ok(summary) => {
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
                (Some(summary), exit)
            }
            Err(error) => {
                say(format!("{}: {error}", job.name));
                let exit = error.exit();
                let summary = error.into_summary();
                event::emit("finished", || match &summary {
                    Some(summary) => summary.as_event(exit),
                    None => json!({ "job": job.name, "exit": exit.code() }),
                });
                (summary, exit)
            }
        }
    }
}

/// Prints the plan of every job, and runs nothing.
fn check(args: &CheckArgs) -> Exit {
    match job::read_batch(&args.jobs.files, &args.jobs.overrides()) {
        Ok(jobs) => print_plans(&jobs, describe::describe),
        Err(mistakes) => {
            mistakes.print();
            Exit::Usage
        }
    }
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
