//! The final output when all jobs have ended: failures on standard error, then the table and the reports' paths on
//! standard output.

pub mod columns;
pub mod progress;
pub mod task_output;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};

use crate::base::{mask, standard_output};
use crate::report::Summary;
use crate::report::terminal::columns::{Column, fitting};
use crate::report::terminal::progress::human_rate;
use crate::task::Status;

/// The number of characters of an error that fit into a few lines of a terminal.
const ERROR_CHARS: usize = 300;

/// So long may the cause of an error be.
const CAUSE_CHARS: usize = 100;

/// Prints failures, notes, the table and the paths for these jobs.
///
/// The table and the paths go to standard output, or to standard error, if the tasks' outputs have the former.
pub fn print(summaries: &[Summary], has_outputs: bool) {
    explain(summaries);
    if summaries.is_empty() {
        return;
    }
    let width = terminal_width(has_outputs);
    let text = format!(
        "{}\n{}{}{}",
        table(summaries, width),
        stages(summaries),
        totals(summaries),
        paths(summaries)
    );
    if has_outputs { note(&text) } else { say(&text) }
}

/// How wide the terminal is that the table goes to; `None` if it goes to a file or a pipe.
pub(crate) fn terminal_width(to_standard_error: bool) -> Option<u16> {
    let term = if to_standard_error { console::Term::stderr() } else { console::Term::stdout() };
    if !term.is_term() {
        return None;
    }
    term.size_checked().map(|(_, columns)| columns).filter(|&columns| columns > 0)
}

/// Prints failures, notes and warnings to standard error.
pub fn explain(summaries: &[Summary]) {
    note(&explanation(summaries));
}

/// Prints to standard output.
pub fn say(text: &str) {
    standard_output::write(text.as_bytes());
}

/// Prints lines to standard error.
pub fn note(lines: &str) {
    let _ = io::stderr().write_all(&mask::apply(lines.as_bytes())); // a failure could not be reported anywhere
}

/// Prints a warning that concerns no particular job to standard error.
pub fn warn(warning: &str) {
    note(&format!("warning: {}\n", escaped(warning)));
}

fn explanation(summaries: &[Summary]) -> String {
    let mut out = String::new();
    for summary in summaries {
        let job = &summary.job;
        for failure in &summary.failures {
            let (task, status) = (failure.task, failure.status.name());
            let error = one_line(&failure.error);
            let colon = if error.is_empty() { "" } else { ": " };
            let _ = writeln!(
                out,
                "{job}: task {task} {}{colon}{error}",
                spoken(failure.status, status)
            );
        }
        let unsaid = not_ok(summary).saturating_sub(summary.failures.len() as u64);
        if unsaid > 0 && !summary.failures.is_empty() {
            let path = summary.report.display().to_string();
            let _ = writeln!(
                out,
                "{job}: {} more not ok; all are in {}",
                HumanCount(unsaid),
                escaped(&path)
            );
        }
        for note in &summary.notes {
            let _ = writeln!(out, "{job}: {}", escaped(note));
        }
        for warning in &summary.warnings {
            let _ = writeln!(out, "warning: {job}: {}", escaped(warning));
        }
    }
    out
}

fn spoken(status: Status, name: &str) -> &str {
    if status == Status::Timeout { "timed out" } else { name }
}

fn not_ok(summary: &Summary) -> u64 {
    summary.totals.tally.not_ok()
}

/// The columns in the order in which a narrow terminal does without them: roughly from the right.
const DISPENSABLE: [&str; 7] =
    ["peak memory", "run p99", "run p50", "tasks/s", "concurrency", "model", "wall"];

/// The table, in at most `width` columns of the terminal, if that is known. A status that no task has gets no column,
/// except `ok` and `failed`.
fn table(summaries: &[Summary], width: Option<u16>) -> String {
    fitting(columns(summaries), &DISPENSABLE, width)
}

fn columns(summaries: &[Summary]) -> Vec<Column> {
    let column = |name, cell: &dyn Fn(&Summary) -> String| Column {
        name,
        cells: summaries.iter().map(cell).collect(),
    };
    let count = |count| HumanCount(count).to_string();
    let run = |value: Option<Duration>| value.map_or_else(|| "-".to_owned(), human_duration);
    let mut columns = vec![
        column("job", &|summary| summary.job.clone()),
        column("model", &|summary| summary.model.to_owned()),
        column("concurrency", &|summary| count(summary.concurrency as u64)),
        column("tasks", &|summary| count(summary.totals.tally.total())),
    ];
    let is_shown = |status: &Status| {
        matches!(status, Status::Ok | Status::Failed)
            || summaries.iter().any(|summary| summary.totals.tally.get(*status) > 0)
    };
    columns.extend(
        Status::ALL.into_iter().filter(is_shown).map(|status| {
            column(status.name(), &|summary| count(summary.totals.tally.get(status)))
        }),
    );
    columns.extend([
        column("wall", &|summary| human_duration(summary.wall)),
        column("tasks/s", &|summary| {
            summary.tasks_per_second().map_or_else(|| "-".to_owned(), human_rate)
        }),
        column("run p50", &|summary| run(summary.run.map(|run| run.p50))),
        column("run p99", &|summary| run(summary.run.map(|run| run.p99))),
        column("peak memory", &|summary| {
            let peak = summary.totals.peak_rss;
            peak.map_or_else(|| "-".to_owned(), |peak| HumanBytes(peak).to_string())
        }),
    ]);
    columns
}

/// A line for every job with `[[stages]]`: which one is the bottleneck.
fn stages(summaries: &[Summary]) -> String {
    let line = |summary: &Summary| {
        let busy = summary.busy.as_ref()?;
        Some(format!("{}: {busy}\n", summary.job))
    };
    summaries.iter().filter_map(line).collect()
}

/// A line for every job with columns that have a total.
fn totals(summaries: &[Summary]) -> String {
    let line = |summary: &Summary| {
        let sums = summary.column_totals.iter();
        let sums: Vec<_> = sums.map(|(name, sum)| format!("{} {sum}", escaped(name))).collect();
        (!sums.is_empty()).then(|| format!("{}: total {}\n", summary.job, sums.join(", ")))
    };
    summaries.iter().filter_map(line).collect()
}

fn paths(summaries: &[Summary]) -> String {
    let mut out = String::new();
    for summary in summaries {
        for path in [&summary.report].into_iter().chain(&summary.pages) {
            let _ = writeln!(out, "{}", escaped(&path.display().to_string()));
        }
    }
    let folders: Vec<_> = summaries.iter().filter_map(|summary| summary.report.parent()).collect();
    for (index, folder) in folders.iter().enumerate() {
        if !folders[..index].contains(folder) {
            let path = folder.join("summary.csv").display().to_string();
            let _ = writeln!(out, "{}", escaped(&path));
        }
    }
    out
}

/// The duration with three digits and a unit; from a minute on, in minutes and hours.
pub(crate) fn human_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos() as f64;
    let seconds = duration.as_secs_f64().round() as u64;
    // Each limit is where rounding to three digits would carry over into the next unit.
    let units =
        [(1.0, 999.5, "ns"), (1e3, 999.5e3, "µs"), (1e6, 999.5e6, "ms"), (1e9, 59.95e9, "s")];
    for (unit, limit, name) in units {
        if nanos < limit {
            return format!("{} {name}", three_digits(nanos / unit));
        }
    }
    match seconds {
        0..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn three_digits(value: f64) -> String {
    let decimals = usize::from(value < 9.995) + usize::from(value < 99.95);
    let text = format!("{value:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// An error on one line. Of one that is too long, what matters most: the cause, then the last line, where the reason
/// stands.
fn one_line(error: &str) -> String {
    let error = error.trim_end();
    if error.chars().count() <= ERROR_CHARS {
        return escaped(error);
    }
    if let Some(said) = before_frames(error) {
        return one_line(said);
    }
    let (cause, said) = match error.split_once(": ") {
        Some((cause, said)) if cause.chars().count() <= CAUSE_CHARS => (cause, said),
        _ => ("", error),
    };
    let last =
        [r"\n", "\n"].iter().filter_map(|&end| said.rfind(end).map(|at| at + end.len())).max();
    let colon = if cause.is_empty() { "" } else { ": " };
    let shown = end_of(&said[last.unwrap_or(0)..], ERROR_CHARS - CAUSE_CHARS);
    format!("{}{colon}{}", escaped(cause), escaped(&shown))
}

/// What a Python function raised: it stands before the frames of its traceback, in what a program prints after them.
pub fn before_frames(error: &str) -> Option<&str> {
    const FRAMES: [&str; 4] =
        [r#"\n  File ""#, "\n  File \"", r"\n\nStack (most", "\n\nStack (most"];
    let said = &error[..FRAMES.iter().filter_map(|frames| error.find(frames)).min()?];
    // The output of a program may be cut within its frames.
    let is_cut = said.split_once(": ").is_some_and(|(_, said)| said.starts_with('…'));
    (!is_cut && !said.ends_with("(most recent call last):")).then_some(said)
}

/// The last characters of `text`, up to `limit`, with a mark where something was left out.
fn end_of(text: &str, limit: usize) -> String {
    match text.chars().count().saturating_sub(limit) {
        0 => text.to_owned(),
        surplus => format!("…{}", text.chars().skip(surplus + 1).collect::<String>()),
    }
}

/// `text` with those characters escaped that would control the terminal or change the order in which text is shown.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let controls = c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if controls {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests;
