//! The sections that list tasks: failures by cause, the slowest and the largest, and figures by field.

use crate::task::Status;
use crate::view::digest::causes::{Cause, NotOk};
use crate::view::digest::top::{Entry, Top};
use crate::view::page::model::{Block, Cell, Detail, Section, Table};
use crate::view::page::words;
use crate::view::run::RunReport;
use crate::view::text;

/// How many causes are shown.
const CAUSES: usize = 40;

/// How many characters of a cause are shown.
const CAUSE: usize = 300;

/// How many groups are shown for one field.
const FIELDS: usize = 8;

/// The failures, grouped by cause; `None` if there are none. At most `listed` tasks are listed one by one.
pub fn failures(report: &RunReport, listed: usize) -> Option<Section> {
    let digest = &report.digest;
    let not_ok = digest.tally.not_ok();
    if not_ok == 0 {
        return None;
    }
    let (causes, others) = digest.causes.sorted();
    let mut table = Table::new(
        "Tasks that are not ok, by cause",
        &["cause", "#tasks", "status", "#code", "for example"],
    );
    let most = causes.first().map_or(1, |cause| cause.count).max(1);
    for cause in causes.iter().take(CAUSES) {
        table.rows.push(cause_row(cause, most));
    }
    let shown: u64 = causes.iter().take(CAUSES).map(|cause| cause.count).sum();
    if shown < not_ok {
        let more = causes.len().saturating_sub(CAUSES);
        let about = if others > 0 {
            " Rare causes are not told apart, so a count may be too small."
        } else {
            ""
        };
        table.rest = format!(
            "{} with {} are not shown.{about}",
            words::things(not_ok - shown, "further task"),
            if others > 0 {
                "many other causes".to_owned()
            } else {
                words::things(more as u64, "other cause")
            }
        );
    }
    let listed: Vec<_> = digest.not_ok.iter().take(listed).map(detail).collect();
    let mut blocks = vec![Block::Table(table)];
    let text = "Errors that differ only in numbers, in quoted names or in the input are one cause; … stands for what \
                differs.";
    if !listed.is_empty() {
        let summary = match listed.len() as u64 {
            all if all == not_ok => format!("{}, one by one", words::things(all, "task")),
            part => format!("The first {part} of {}, one by one", words::things(not_ok, "task")),
        };
        blocks.push(Block::Details(summary, listed));
    }
    Some(Section {
        id: "failures",
        title: "Not ok".into(),
        text: text.into(),
        blocks,
        is_wide: true,
    })
}

fn cause_row(cause: &Cause, most: u64) -> Vec<Cell> {
    let example = &cause.example;
    let text = if cause.text.is_empty() { "no error was given" } else { &cause.text };
    let input = match example.input.as_str() {
        "" => String::new(),
        input => format!(": {}", text::line(input.as_bytes(), 60)),
    };
    vec![
        Cell::text(text::line(text.as_bytes(), CAUSE))
            .with_mark(words::status_class(example.status)),
        Cell::number(words::count(cause.count), cause.count as f64)
            .with_bar(cause.count as f64 / most as f64),
        Cell::text(example.status.name()),
        Cell { is_number: true, ..Cell::text(&example.code) },
        Cell::text(format!("task {}{input}", example.task)),
    ]
}

fn detail(task: &NotOk) -> Detail {
    let input = match task.input.as_str() {
        "" => String::new(),
        input => format!(": {}", text::line(input.as_bytes(), 80)),
    };
    let mut facts = Vec::new();
    if task.input.chars().count() > 80 {
        facts.push(("input", task.input.clone()));
    }
    if !task.code.is_empty() {
        facts.push(("code", task.code.clone()));
    }
    if task.attempts > 1 {
        facts.push(("attempts", task.attempts.to_string()));
    }
    Detail {
        summary: format!("Task {} {}{input}", task.task, words::said(task.status, 1)),
        mark: words::status_class(task.status),
        facts,
        text: task.error.replace(r"\n", "\n"),
    }
}

/// The slowest tasks and those with the largest memory; `None` if nothing ran.
pub fn top(report: &RunReport) -> Option<Section> {
    let digest = &report.digest;
    let mut blocks = Vec::new();
    blocks.extend(top_table("The slowest tasks", "run time", &digest.slowest, words::nanos));
    blocks.extend(top_table("The largest memory", "peak memory", &digest.largest, words::bytes));
    (!blocks.is_empty()).then(|| Section {
        id: "slowest",
        title: "Slowest and largest".into(),
        text: String::new(),
        blocks,
        is_wide: false,
    })
}

fn top_table(caption: &str, what: &str, top: &Top, say: fn(u64) -> String) -> Option<Block> {
    let entries = top.sorted();
    let most = entries.first()?.value.max(1) as f64;
    let mut table = Table::new(caption, &["#task", "input", &format!("#{what}"), "status"]);
    table.rows = entries
        .into_iter()
        .map(|entry: &Entry| {
            let again = match entry.attempts {
                0 | 1 => String::new(),
                attempts => format!(", attempt {attempts}"),
            };
            let status = format!("{}{again}", entry.status.name());
            vec![
                Cell::number(entry.task.to_string(), entry.task as f64),
                Cell::text(&entry.input),
                Cell::number(say(entry.value), entry.value as f64)
                    .with_bar(entry.value as f64 / most),
                Cell::text(status).with_mark(words::status_class(entry.status)),
            ]
        })
        .collect();
    Some(Block::Table(table))
}

/// What is in the tables by field.
fn text(report: &RunReport) -> String {
    let skipped = match report.digest.tally.get(Status::Skipped) {
        0 => "",
        _ => " Skipped tasks are not counted here.",
    };
    format!(
        "Fields of the input with up to 20 values. Medians and percentiles are within 1 %.{skipped}"
    )
}

/// Figures by the values of fields; `None` if no field has few of them.
pub fn by_field(report: &RunReport) -> Option<Section> {
    let groups = report.digest.groups.iter();
    let found = groups.filter_map(|groups| Some((&groups.field, groups.sorted()?)));
    let blocks: Vec<_> = found
        .take(FIELDS)
        .map(|(field, groups)| {
            let medians = groups.iter().filter_map(|(_, group)| group.runs.quantile(0.5));
            let most = medians.max().unwrap_or(1).max(1) as f64;
            let field = text::line(field.as_bytes(), 60);
            let caption = format!("By {field}");
            let mut table = Table::new(caption, &[&field, "#tasks", "#not ok", "#median", "#p95"]);
            table.rows = groups
                .into_iter()
                .map(|(value, group)| {
                    let shown = if value.is_empty() { "(empty)".to_owned() } else { value };
                    let median = group.runs.quantile(0.5);
                    let time = |value: Option<u64>| match value {
                        Some(value) => Cell::number(words::nanos(value), value as f64),
                        None => Cell { is_number: true, ..Cell::text("-") },
                    };
                    let bad = group.tasks - group.ok;
                    let mark = if bad > 0 { words::status_class(Status::Failed) } else { "" };
                    vec![
                        Cell::text(text::line(shown.as_bytes(), 80)),
                        Cell::number(words::count(group.tasks), group.tasks as f64),
                        Cell::number(words::count(bad), bad as f64).with_mark(mark),
                        time(median).with_bar(median.unwrap_or(0) as f64 / most),
                        time(group.runs.quantile(0.95)),
                    ]
                })
                .collect();
            Block::Table(table)
        })
        .collect();
    (!blocks.is_empty()).then(|| Section {
        id: "fields",
        title: "By field".into(),
        text: text(report),
        blocks,
        is_wide: false,
    })
}
