//! The table of contents: parse, plan, run, report, exit.

use std::process::ExitCode;
use std::sync::Arc;

use runner::cli::{CheckArgs, Cli, Command, RunArgs};
use runner::compare;
use runner::diagnostic::complain;
use runner::engine::control::Control;
use runner::engine::run::{self, SharedLauncher};
use runner::exit::Exit;
use runner::host;
use runner::job::{self, Job};
use runner::report::{Options, Summary, plan, terminal};

fn main() -> ExitCode {
    host::take_role(); // a child process of our own does not come back
    let exit = match Cli::read() {
        Command::Run(args) => run_jobs(&args),
        Command::Check(args) => check(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Models => {
            terminal::say(&plan::models());
            Exit::Ok
        }
    };
    exit.into()
}

/// Plans all jobs, then runs one after another, so that one does not disturb another's figures.
fn run_jobs(args: &RunArgs) -> Exit {
    let jobs = match job::read(&args.jobs.files, &args.jobs.overrides()) {
        Ok(jobs) => jobs,
        Err(mistakes) => {
            mistakes.print();
            return Exit::Usage;
        }
    };
    if args.dry_run {
        return tell(&jobs, plan::dry_run);
    }
    host::launcher::raise_open_files();
    let control = match Control::start() {
        Ok(control) => control,
        Err(error) => {
            complain(format!("failed to take signals: {error}"));
            return Exit::Internal;
        }
    };
    let options = args.options();
    let launcher = SharedLauncher::default();
    let mut exits = Vec::new();
    let mut summaries = Vec::new();
    for job in jobs.into_iter().map(Arc::new) {
        if control.signal().is_some() {
            break; // a signal stops the jobs that follow, too
        }
        let (summary, exit) = run_job(&job, &options, &control, &launcher);
        summaries.extend(summary);
        exits.push(exit);
    }
    drop(launcher);
    if args.quiet {
        terminal::explain(&summaries);
    } else {
        terminal::print(&summaries);
    }
    exits.extend(control.signal().map(Exit::Signal));
    Exit::of_jobs(&exits)
}

/// Runs one job, and says what keeps it from ending as it should.
fn run_job(
    job: &Arc<Job>,
    options: &Options,
    control: &Control,
    launcher: &SharedLauncher,
) -> (Option<Summary>, Exit) {
    match run::run(job, options, control, launcher) {
        Ok(summary) => {
            let exit = Exit::of_tasks(&summary.totals.tally);
            if exit == Exit::Nothing && control.signal().is_none() {
                complain(format!("{}: nothing to run: its inputs are empty", job.name));
            }
            (Some(summary), exit)
        }
        Err(error) => {
            complain(format!("{}: {error}", job.name));
            let exit = error.exit();
            (error.into_summary(), exit)
        }
    }
}

/// Prints the plan of every job, and runs nothing.
fn check(args: &CheckArgs) -> Exit {
    match job::read(&args.jobs.files, &args.jobs.overrides()) {
        Ok(jobs) => tell(&jobs, |job| plan::describe(job, &args.results)),
        Err(mistakes) => {
            mistakes.print();
            Exit::Usage
        }
    }
}

/// Prints what `words` has to say of each job; a bad input is said as such.
fn tell(jobs: &[Job], words: impl Fn(&Job) -> Result<String, job::InputError>) -> Exit {
    let mut exit = Exit::Ok;
    for job in jobs {
        match words(job) {
            Ok(text) => terminal::say(&text),
            Err(error) => {
                complain(format!("{}: {error}", job.name));
                exit = Exit::Usage;
            }
        }
    }
    exit
}
