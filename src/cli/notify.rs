//! `--notify`: a command of the user's that is told how the run ended.

use std::process::{Command, Stdio};

use indicatif::HumanCount;

use crate::base::diagnostic::complain;
use crate::base::mask;
use crate::report::Summary;
use crate::report::terminal::human_duration;
use crate::task::{Exit, Status};

/// How a job ended.
#[derive(Debug)]
pub struct End {
    job: String,
    words: String,
}

impl End {
    /// That of a job that ran.
    pub fn of(summary: &Summary) -> Self {
        let tally = &summary.totals.tally;
        let not_ok = match tally.not_ok() {
            0 => String::new(),
            count => format!(", {} not ok", HumanCount(count)),
        };
        let ok = HumanCount(tally.get(Status::Ok));
        let words = format!("{ok} ok{not_ok} in {}", human_duration(summary.wall));
        Self { job: summary.job.clone(), words }
    }

    /// That of a job without a report, in these words.
    pub fn without_report(job: &str, words: impl Into<String>) -> Self {
        let mut words = words.into();
        mask::apply_to_string(&mut words);
        Self { job: job.to_owned(), words: words.lines().next().unwrap_or_default().to_owned() }
    }
}

/// Runs `command` with the shell and waits for it. What it prints goes to standard error; that it fails is told, and
/// changes nothing else.
pub fn notify(command: &str, exit: Exit, ends: &[End]) {
    let jobs: Vec<_> = ends.iter().map(|end| end.job.as_str()).collect();
    let status = Command::new("sh")
        .args(["-c", command])
        .env("RUNNER_EXIT", exit.code().to_string())
        .env("RUNNER_JOBS", jobs.join(" "))
        .env("RUNNER_MESSAGE", message(exit, ends))
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
fn message(exit: Exit, ends: &[End]) -> String {
    let jobs: Vec<_> = ends.iter().map(|end| format!("{}: {}", end.job, end.words)).collect();
    let jobs = if jobs.is_empty() { "nothing ran".to_owned() } else { jobs.join("; ") };
    match exit {
        Exit::Ok => jobs,
        exit => format!("exit code {}: {jobs}", exit.code()),
    }
}
