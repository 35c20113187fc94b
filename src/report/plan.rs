//! What `check`, `--dry-run` and `models` print: plans in words, nothing that has happened.

use std::fmt::Write;
use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::HumanCount;

use crate::diagnostic::Diagnostics;
use crate::job::{InputError, Job, Service, StopAfter, Values};
use crate::report::terminal::escaped;

/// How many tasks `--dry-run` shows.
const SHOWN: usize = 10;

/// The plan of `job`: tasks, model and why, limits, and the first task as it would run.
///
/// # Errors
/// If an input is bad: all of them are read, unless that would take what a run needs (a pipe).
pub fn describe(job: &Job) -> Result<String, InputError> {
    let stage = &job.stages[0];
    let mut lines = vec![format!("{}  ({})", job.name, job.file.display())];
    if let Some(description) = &job.description {
        lines.push(format!("  {}", escaped(description)));
    }
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<12} {value}"));
    line("tasks", tasks(job)?);
    line("model", format!("{} ({})", stage.model, stage.reason));
    line("concurrency", stage.concurrency.to_string());
    let timeout =
        stage.timeout.map_or("none".into(), |time| humantime::format_duration(time).to_string());
    line("timeout", format!("{timeout}, grace {}", humantime::format_duration(stage.grace)));
    for (name, value) in limits(job) {
        line(name, value);
    }
    for service in &job.services {
        let Service { name, ready, .. } = service;
        line("service", format!("{name}: {}, ready when {ready}", service.program_name()));
    }
    line("workload", stage.workload.kind().into());
    if let Some(first) = first_tasks(job, 1)?.pop() {
        line("first task", first);
    }
    if !stage.columns.is_empty() {
        let names: Vec<_> = stage.columns.iter().map(|column| column.name.as_str()).collect();
        line("columns", names.join(", "));
    }
    line("report", job.results.join(format!("{}.csv", job.name)).display().to_string());
    Ok(lines.join("\n") + "\n")
}

/// The limits and retries that are set, in words.
fn limits(job: &Job) -> Vec<(&'static str, String)> {
    let stage = &job.stages[0];
    let time = |time| humantime::format_duration(time).to_string();
    let stop_after = match job.limits.stop_after {
        StopAfter::Never => None,
        StopAfter::Failures { count, running } => Some(format!("{count} failures, then {running}")),
        StopAfter::Share { percent, running } => {
            Some(format!("{percent}% failures, then {running}"))
        }
    };
    let retry = stage.retry.as_ref().map(|retry| {
        let on: Vec<_> = retry.on.iter().map(ToString::to_string).collect();
        let (delay, max) = (time(retry.delay), time(retry.max_delay));
        format!("{} attempts, delay {delay} to {max}, on {}", retry.max_attempts, on.join(", "))
    });
    let set = [
        ("per host", stage.per_host.map(|count| count.to_string())),
        (
            "group",
            stage
                .group
                .as_ref()
                .map(|group| format!("{}, {} at once", group.name(), group.limit())),
        ),
        ("rate", stage.pace.map(|pace| format!("{}, burst {}", pace.rate, pace.burst))),
        ("deadline", job.limits.deadline.map(time)),
        ("stop after", stop_after),
        ("free memory", job.limits.min_free_memory.map(|least| least.to_string())),
        ("retry", retry),
    ];
    set.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A job that can be planned only when its turn comes.
pub fn describe_later(name: &str, file: &Path, absences: &Diagnostics) -> String {
    let mut text = format!("{name}  ({})\n", file.display());
    let _ = writeln!(text, "  planned when the jobs that it needs have ended; until then:");
    for absence in absences.iter() {
        let _ = writeln!(text, "    {}", escaped(absence.message()));
    }
    text
}

/// The first tasks of `job` as they would run.
///
/// # Errors
/// If one of their inputs is bad.
pub fn dry_run(job: &Job) -> Result<String, InputError> {
    if job.inputs.are_reported() {
        return Ok(format!("{}: tasks: {}\n", job.name, tasks(job)?));
    }
    let mut text = format!("{}: {} tasks, the first as they would run\n", job.name, tasks(job)?);
    for (number, task) in (1..).zip(first_tasks(job, SHOWN)?) {
        let _ = writeln!(text, "  {number}  {task}");
    }
    Ok(text)
}

fn tasks(job: &Job) -> Result<String, InputError> {
    if let Some(tasks) = job.inputs.tasks() {
        return Ok(HumanCount(tasks).to_string());
    }
    if job.inputs.are_reported() {
        return Ok("one for each row of the report that it reads".into());
    }
    if job.inputs.can_block() {
        return Ok("as many as the input brings".into());
    }
    let mut tasks = 0;
    for input in job.inputs.open()? {
        input?;
        tasks += 1;
    }
    Ok(HumanCount(tasks).to_string())
}

fn first_tasks(job: &Job, shown: usize) -> Result<Vec<String>, InputError> {
    if job.inputs.can_block() || job.inputs.are_reported() {
        return Ok(Vec::new());
    }
    (1..)
        .zip(job.inputs.open()?.take(shown))
        .map(|(task, fields)| {
            let values = Values { fields: &fields?, task, attempt: 1, slot: 1 };
            Ok(escaped(&job.stages[0].workload.show(&values)))
        })
        .collect()
}

/// The decision guide as a table.
pub fn models() -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["model", "suits", "good at", "bad at", "auto takes it for"]);
    for row in [
        [
            "sequential",
            "a baseline, a single task",
            "no overhead, easy to follow",
            "leaves cores idle",
            "one task; computations on one core",
        ],
        [
            "threads",
            "computations, commands, dozens of waits",
            "all cores, cheap to start",
            "thousands at once; a crash takes all",
            "computations; commands; fewer than 100 waits at once",
        ],
        [
            "processes",
            "Python that computes; work that may crash or hang",
            "all cores in spite of the GIL; isolation, hard timeouts: a crash costs one task",
            "starting, and talking through pipes",
            "Python functions",
        ],
        [
            "async",
            "hundreds of waits and more",
            "thousands in flight on few threads",
            "computations: they hold the loop",
            "100 waits at once and more; 100 commands at once and more",
        ],
    ] {
        table.add_row(row);
    }
    format!("{table}\n")
}
