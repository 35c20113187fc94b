//! `runner status`: how far the jobs of a folder are, whoever runs them.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use crate::base::diagnostic::{complain, reason, visible};
use crate::report::status::{State, Status, read_all};
use crate::report::summary_rows;
use crate::report::terminal::{human_duration, say};
use crate::task::Exit;

/// How often `--watch` looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// `--watch` ends when nothing has run for this long: the next job of a batch may be about to start.
const PATIENCE: Duration = Duration::from_secs(5);

/// The arguments of `runner status`.
#[derive(Args, Debug)]
pub struct StatusArgs {
    /// The folder of the reports, or the one that has it.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Show it anew each second, until nothing runs any more.
    #[arg(long)]
    watch: bool,
    /// Print one JSON object a job, for programs.
    #[arg(long)]
    json: bool,
}

/// Prints how far the jobs are.
pub fn run(args: &StatusArgs) -> Exit {
    let results = results(&args.folder);
    let redraws = args.watch && !args.json && io::stdout().is_terminal();
    let mut last_seen = Instant::now();
    loop {
        let lines = match lines(&results, args.json) {
            Ok((lines, runs)) => {
                if runs {
                    last_seen = Instant::now();
                }
                lines
            }
            Err(error) => {
                let shown = results.display();
                complain(format!("failed to read `{shown}`: {}", reason(&error)));
                return Exit::Usage;
            }
        };
        let start = if redraws { "\x1b[H\x1b[J" } else { "" };
        say(&format!("{start}{lines}"));
        if !args.watch || last_seen.elapsed() > PATIENCE {
            return Exit::Ok;
        }
        thread::sleep(INTERVAL);
    }
}

/// The folder of the reports: `folder` itself, if it has some, or its `results`.
fn results(folder: &Path) -> PathBuf {
    let inside = folder.join("results");
    let has_reports = folder.join("summary.csv").exists()
        || read_all(folder).is_ok_and(|statuses| !statuses.is_empty());
    if !has_reports && inside.is_dir() { inside } else { folder.to_owned() }
}

/// A line for each job, and whether one of them runs.
fn lines(results: &Path, as_json: bool) -> io::Result<(String, bool)> {
    let statuses = read_all(results)?;
    let runs = statuses.iter().any(|status| status.state != State::Interrupted);
    let lines: Vec<_> = if as_json {
        statuses.iter().map(as_object).collect()
    } else {
        let running = statuses.iter().map(line);
        running.chain(ended(results, &statuses)?).collect()
    };
    let nothing = || format!("no job has run in {}\n", visible(&results.display().to_string()));
    let text = lines.into_iter().map(|line| line + "\n").collect::<String>();
    Ok((if text.is_empty() && !as_json { nothing() } else { text }, runs))
}

fn as_object(status: &Status) -> String {
    let mut members = status.members.clone();
    members["state"] = Value::from(match status.state {
        State::Running => "running",
        State::Silent(_) => "silent",
        State::Interrupted => "interrupted",
    });
    members.to_string()
}

/// The line of a job that has not ended.
fn line(status: &Status) -> String {
    let text = |name: &str| visible(status.members[name].as_str().unwrap_or_default());
    let line = text("line");
    match status.state {
        State::Running => line,
        State::Silent(age) => {
            format!("{line}; silent for {}: paused, or its disk hangs", human_duration(age))
        }
        State::Interrupted => {
            let resume = format!("runner --resume {}", text("file"));
            format!("{line}; interrupted at {} UTC: `{resume}` continues", text("updated_utc"))
        }
    }
}

/// The lines of jobs that have ended and do not run again.
fn ended(results: &Path, running: &[Status]) -> io::Result<Vec<String>> {
    let columns = ["job", "tasks", "ok", "up_to_date", "finished_utc", "reason"];
    let rows = summary_rows(results, columns)?;
    let is_over = |row: &&[String; 6]| {
        running.iter().all(|status| status.members["job"].as_str() != Some(row[0].as_str()))
    };
    Ok(rows.iter().filter(is_over).map(ended_line).collect())
}

fn ended_line([job, tasks, ok, up_to_date, finished, reason]: &[String; 6]) -> String {
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    let line = match number(tasks).saturating_sub(number(ok) + number(up_to_date)) {
        _ if finished.is_empty() => format!("{job}: {reason}"), // it never started
        0 => format!("{job}: ended at {finished} UTC, {tasks} tasks, all ok"),
        count => format!("{job}: ended at {finished} UTC, {tasks} tasks, {count} not ok"),
    };
    visible(&line)
}
