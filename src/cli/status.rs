//! `runner status`: how far the jobs of a folder are, whoever runs them.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::HumanCount;
use serde_json::Value;

use crate::base::diagnostic::{complain, reason, visible};
use crate::cluster;
use crate::config::runner_toml::RunnerToml;
use crate::report::status::{State, Status, read_all};
use crate::report::terminal::{human_duration, say};
use crate::report::{ENOUGH, summary_rows};
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
    if args.folder.is_file() {
        let shown = args.folder.display();
        complain(format!("`{shown}` is a file: name the folder of the reports, such as `results`"));
        return Exit::Usage;
    }
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

/// The folder of the reports: `folder` itself, if it has some, or the one that its `runner.toml` names, or its `results`.
fn results(folder: &Path) -> PathBuf {
    let settings = RunnerToml::beside(&folder.join("job.toml")).ok().flatten();
    let named = settings.and_then(|settings| settings.results().map(Path::to_owned));
    let inside = named.unwrap_or_else(|| folder.join("results"));
    let has_reports = folder.join("summary.csv").exists()
        || read_all(folder).is_ok_and(|statuses| !statuses.is_empty());
    if !has_reports && inside.is_dir() { inside } else { folder.to_owned() }
}

/// A line for each job, and whether one of them runs.
fn lines(results: &Path, as_json: bool) -> io::Result<(String, bool)> {
    let mut statuses = read_all(results)?;
    for status in &mut statuses {
        count_elsewhere(results, status);
    }
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
        State::Interrupted => interrupted(status),
    }
}

/// Counts the rows of a job on a cluster whose driver is not there any more: its shards may go on.
fn count_elsewhere(results: &Path, status: &mut Status) {
    let members = &mut status.members;
    if status.state != State::Interrupted || members["on"].as_str().is_none() {
        return;
    }
    let job = members["job"].as_str().unwrap_or_default().to_owned();
    let Some((rows, tasks)) = cluster::rows_now(results, &job) else { return };
    let by_status = crate::task::Status::ALL.map(|status| members[status.name()].as_u64());
    let known: u64 = by_status.into_iter().flatten().sum();
    let kept = members["kept"].as_u64().unwrap_or_default();
    members["done"] = Value::from(rows);
    members["uncollected"] = Value::from(rows.saturating_sub(known + kept));
    members["line"] =
        Value::from(format!("{job}: {} of {} tasks", HumanCount(rows), HumanCount(tasks)));
}

/// The line of a job whose process is not there any more.
fn interrupted(status: &Status) -> String {
    let text = |name: &str| visible(status.members[name].as_str().unwrap_or_default());
    let (line, file, at) = (text("line"), text("file"), text("updated_utc"));
    match status.members["on"].as_str().map(visible) {
        None => format!("{line}; interrupted at {at} UTC: `runner --resume {file}` continues"),
        Some(place) => {
            let resume = format!("runner --on {place} --resume {file}");
            if status.members["left"].as_bool() == Some(true) {
                format!("{line}; left to {place} at {at} UTC: `{resume}` collects its rows")
            } else {
                format!("{line}; its driver was interrupted at {at} UTC: `{resume}` continues")
            }
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
    let count =
        |count: u64| if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") };
    let all = count(number(tasks));
    let line = match number(tasks).saturating_sub(number(ok) + number(up_to_date)) {
        _ if finished.is_empty() => format!("{job}: {reason}"), // it never started
        _ if number(tasks) == 0 => format!("{job}: ended at {finished} UTC, had no task"),
        0 => format!("{job}: ended at {finished} UTC, {all}, all ok"),
        // As the exit code has it: what did not run does not matter.
        _ if reason.contains(ENOUGH) => {
            format!("{job}: ended at {finished} UTC, {ok} of {all} ok, which was enough")
        }
        count => format!("{job}: ended at {finished} UTC, {all}, {count} not ok"),
    };
    visible(&line)
}
