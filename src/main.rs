//! The table of contents: parse, plan, run, report, exit.

use std::process::ExitCode;
use std::sync::Arc;

use runner::cli::{CheckArgs, Cli, Command, RunArgs};
use runner::diagnostic;
use runner::engine::control::Control;
use runner::engine::run::{self, RunError, SharedLauncher};
use runner::exit::{self, Exit};
use runner::host;
use runner::job::{self, Job};
use runner::report::{plan, terminal};

fn main() -> ExitCode {
    host::take_role(); // a child process of our own does not come back
    let exit = match Cli::read() {
        Command::Run(args) => run_jobs(&args),
        Command::Check(args) => check(&args),
        Command::Models => terminal::print(&plan::models()),
    };
    exit.into()
}

/// Plans all jobs, then runs one after another, so that one does not disturb another's figures.
fn run_jobs(args: &RunArgs) -> Exit {
    let jobs = match job::read(&args.jobs.files, &args.jobs.overrides()) {
        Ok(jobs) => jobs,
        Err(mistakes) => return reject(&mistakes),
    };
    if args.dry_run {
        return plan::dry_run(&jobs);
    }
    host::launcher::raise_open_files();
    let control = match Control::start() {
        Ok(control) => control,
        Err(error) => {
            diagnostic::error(format!("failed to take signals: {error}"));
            return Exit::Internal;
        }
    };
    let options = args.options();
    let launcher = SharedLauncher::default();
    let mut exit = exit::Worst::default();
    let mut summaries = Vec::new();
    for job in jobs.into_iter().map(Arc::new) {
        if control.signal().is_some() {
            break;
        }
        let (summary, ended) = run_job(&job, &options, &control, &launcher);
        summaries.extend(summary);
        exit.add(ended);
    }
    drop(launcher);
    if !args.quiet {
        terminal::print(&summaries);
    }
    exit.of_run(control.signal())
}
