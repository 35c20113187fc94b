//! `--notify`: a command of the user's that is told how the run ended.

use std::process::{Command, Stdio};

use indicatif::HumanCount;

use crate::base::diagnostic::complain;
use crate::report::Summary;
use crate::report::terminal::human_duration;
use crate::task::{Exit, Status};

/// Runs `command` with the shell and waits for it. What it prints goes to standard error; that it fails is told, and
/// changes nothing else.
pub fn notify(command: &str, exit: Exit, summaries: &[Summary]) {
    let jobs: Vec<_> = summaries.iter().map(|summary| summary.job.as_str()).collect();
    let status = Command::new("sh")
        .args(["-c", command])
        .env("RUNNER_EXIT", exit.code().to_string())
        .env("RUNNER_JOBS", jobs.join(" "))
        .env("RUNNER_MESSAGE", message(exit, summaries))
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => complain(format!("--notify `{command}` failed: {status}")),
        Err(error) => complain(format!("--notify: failed to run `sh`: {error}")),
    }
}

/// How the run ended, in a line.
fn message(exit: Exit, summaries: &[Summary]) -> String {
    let jobs: Vec<_> = summaries.iter().map(job).collect();
    let jobs = if jobs.is_empty() { "nothing ran".to_owned() } else { jobs.join("; ") };
    match exit {
        Exit::Ok => jobs,
        exit => format!("exit code {}: {jobs}", exit.code()),
    }
}

fn job(summary: &Summary) -> String {
    let tally = &summary.totals.tally;
    let not_ok = match tally.not_ok() {
        0 => String::new(),
        count => format!(", {} not ok", HumanCount(count)),
    };
    let ok = HumanCount(tally.get(Status::Ok));
    format!("{}: {ok} ok{not_ok} in {}", summary.job, human_duration(summary.wall))
}
