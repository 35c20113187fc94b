//! What `check`, `--dry-run` and `models` print: plans, not results.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::HumanCount;

use crate::base::Diagnostics;
use crate::cli::Shown;
use crate::config::{Enough, StopAfter};
use crate::engine::made::MadeFiles;
use crate::job::{InputError, Job, Service, Stage, StageLimits};
use crate::model::{Nature, pilot};
use crate::report::Standing;
use crate::report::terminal::escaped;
use crate::task::{Fields, Payload, PayloadKind, Values};

/// How many tasks `--dry-run` shows.
const SHOWN: usize = 10;

/// The plan of `job`: tasks, and for each stage the model and its reason, limits, and the first task as it would run.
///
/// # Errors
/// If an input is bad: all of them are read, unless reading would consume what a run needs (a pipe).
pub fn describe(job: &Job) -> Result<String, InputError> {
    let mut lines = vec![format!("{}  ({})", job.name, job.file.display())];
    if let Some(description) = &job.description {
        lines.push(format!("  {}", escaped(description)));
    }
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<12} {value}"));
    let read = read_all(job)?;
    line("tasks", tasks(job, read.as_ref(), ""));
    of_the_inputs(job, read.as_ref(), &mut line);
    let mut first = first_task(job)?.into_iter();
    for stage in &job.stages {
        if let Some(name) = &stage.name {
            line("stage", name.clone());
        }
        let (model, concurrency) = model_of(stage);
        line("model", model);
        line("concurrency", concurrency);
        let timeout = timeout(&stage.limits);
        line("timeout", format!("{timeout}, grace {}", time(stage.limits.grace)));
        for (name, value) in limits(stage) {
            line(name, value);
        }
        if !job.is_staged() {
            of_the_whole(job, &mut line);
        }
        line("workload", stage.workload.kind().into());
        if let Some(first) = first.next() {
            line("first task", first);
        }
        if !stage.columns.is_empty() {
            let names: Vec<_> = stage.columns.iter().map(|column| column.name.as_str()).collect();
            line("columns", names.join(", "));
        }
        if let Some(max_payload) = stage.next.max_payload() {
            line("hands on", format!("its output, up to {max_payload}"));
        }
    }
    if job.is_staged() {
        of_the_whole(job, &mut line);
    }
    line("report", job.results.join(format!("{}.csv", job.name)).display().to_string());
    Ok(lines.join("\n") + "\n")
}

fn timeout(limits: &StageLimits) -> String {
    let share = limits.median_timeout.map(|percent| format!("{percent}% of the median"));
    match (limits.timeout.map(time), share) {
        (Some(fixed), Some(share)) => format!("{fixed} or {share}"),
        (fixed, share) => fixed.or(share).unwrap_or_else(|| "none".into()),
    }
}

fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// Adds what concerns the whole job: the limits that are set, and the services.
fn of_the_whole(job: &Job, line: &mut impl FnMut(&str, String)) {
    let stop_after = match job.limits.stop_after {
        StopAfter::Never => None,
        StopAfter::Failures { count, running } => Some(format!("{count} failures, then {running}")),
        StopAfter::Share { percent, running } => {
            Some(format!("{percent}% failures, then {running}"))
        }
    };
    let set = [
        ("deadline", job.limits.deadline.map(time)),
        ("stop after", stop_after),
        (
            "stop after",
            job.limits
                .enough
                .map(|Enough { count, running }| format!("{count} successes, then {running}")),
        ),
        ("free memory", job.limits.min_free_memory.map(|least| least.to_string())),
        ("load below", job.limits.max_load.map(|most| most.to_string())),
    ];
    for (name, value) in set {
        if let Some(value) = value {
            line(name, value);
        }
    }
    for service in &job.services {
        let Service { name, ready, .. } = service;
        line("service", format!("{name}: {}, ready when {ready}", service.program_name()));
    }
}

/// The model and the concurrency of a stage, or what decides them.
fn model_of(stage: &Stage) -> (String, String) {
    let Stage { model, reason, concurrency, .. } = stage;
    // Only one model suits commands; the first tasks decide the concurrency.
    let is_open = stage.pilot.is_some() && stage.workload.nature() == Nature::Hosted;
    let model = if is_open { "as the first tasks show" } else { model.name() };
    let concurrency = match stage.pilot {
        Some(pilot::Plan { set: None }) => {
            format!("as the first tasks show, at most {concurrency}")
        }
        _ => concurrency.to_string(),
    };
    (format!("{model} ({reason})"), concurrency)
}

/// The limits and retries of a stage that are set.
fn limits(stage: &Stage) -> Vec<(&'static str, String)> {
    let retry = stage.retry.as_ref().filter(|retry| retry.repeats()).map(|retry| {
        let on: Vec<_> = retry.on.iter().map(ToString::to_string).collect();
        let (delay, max) = (time(retry.delay), time(retry.max_delay));
        format!("{} attempts, delay {delay} to {max}, on {}", retry.max_attempts, on.join(", "))
    });
    let stop_on: Vec<_> = stage.limits.stop_on.iter().map(ToString::to_string).collect();
    let set = [
        ("cores", stage.limits.cores.map(|count| format!("{count} a task"))),
        ("memory", stage.limits.memory.map(|memory| format!("{memory} a task"))),
        ("per host", stage.limits.per_host.map(|count| count.to_string())),
        (
            "group",
            stage
                .limits
                .group
                .as_ref()
                .map(|group| format!("{}, {} at once", group.name(), group.limit())),
        ),
        ("rate", stage.limits.pace.map(|pace| format!("{}, burst {}", pace.rate, pace.burst))),
        ("stop on", (!stop_on.is_empty()).then(|| stop_on.join(", "))),
        ("retry", retry),
    ];
    set.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Describes a job that can be planned only when its turn comes.
pub fn describe_later(name: &str, file: &Path, absences: &Diagnostics) -> String {
    let mut text = format!("{name}  ({})\n", file.display());
    let _ = writeln!(text, "  planned when the jobs that it needs have ended; until then:");
    for absence in absences.iter() {
        let _ = writeln!(text, "    {}", escaped(absence.message()));
    }
    text
}

/// Says the first tasks of `job`, or all of them, as they would run in each of its stages, and why each would if it
/// `creates` something. Returns what is left to say.
///
/// # Errors
/// If one of their inputs is bad.
pub fn dry_run(
    job: &Job,
    shown: Shown,
    standing: Standing,
    say: impl Fn(&str),
) -> Result<String, InputError> {
    /// So much is said at once.
    const PIECE: usize = 64 << 10;
    let read = read_all(job)?;
    if job.inputs.are_reported() {
        return Ok(format!("{}: tasks: {}\n", job.name, tasks(job, read.as_ref(), "")));
    }
    let count = tasks(job, read.as_ref(), " tasks");
    let (most, which) = match shown {
        Shown::First => (SHOWN, "the first "),
        Shown::All => (usize::MAX, ""),
    };
    let mut text = format!("{}: {count}, {which}as they would run\n", job.name);
    let made = MadeFiles::planned(job, standing);
    if let Err(message) = &made {
        let _ = writeln!(text, "  {message}");
    }
    let made = made.ok().flatten();
    if job.inputs.can_block() {
        return Ok(text);
    }
    for (number, fields) in (1..).zip(job.inputs.open()?.take(most)) {
        let fields = fields?;
        push_task(&mut text, job, number, &fields);
        if let Some(made) = made.as_ref().filter(|_| fields.cause().is_none()) {
            let _ = writeln!(text, "  {}  {}", blank(number), turn(made, number, &fields));
        }
        if text.len() > PIECE {
            say(&text);
            text.clear();
        }
    }
    Ok(text)
}

/// A task in each of its stages.
fn push_task(text: &mut String, job: &Job, number: u64, fields: &Fields) {
    for (index, (stage, task)) in job.stages.iter().zip(shown_task(job, number, fields)).enumerate()
    {
        let number = if index == 0 { number.to_string() } else { blank(number) };
        let name = stage.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let _ = writeln!(text, "  {number}  {name}{task}");
    }
}

/// As wide as the number.
fn blank(number: u64) -> String {
    " ".repeat(number.to_string().len())
}

/// Whether a task would run, and why.
fn turn(made: &MadeFiles, number: u64, fields: &Fields) -> String {
    escaped(&match made.why(number, fields) {
        Ok(None) => "is skipped: it is up to date".into(),
        Ok(Some(why)) => format!("runs: {why}"),
        Err(message) => format!("fails: {message}"),
    })
}

/// What reading all inputs has shown.
struct AllInputs {
    tasks: u64,
    /// Those that cannot be used: how many, and the first of them.
    unusable: u64,
    first_unusable: Vec<String>,
    /// The first ones that can.
    first: Vec<Fields>,
    notes: Vec<String>,
}

/// How many inputs are shown.
const SHOWN_INPUTS: usize = 2;

/// Reads all inputs, unless that would take what a run needs (a pipe), or there is no need to.
fn read_all(job: &Job) -> Result<Option<AllInputs>, InputError> {
    if job.inputs.can_block() || job.inputs.are_reported() {
        return Ok(None);
    }
    let is_known = job.inputs.tasks().is_some();
    let mut all = AllInputs {
        tasks: 0,
        unusable: 0,
        first_unusable: Vec::new(),
        first: Vec::new(),
        notes: Vec::new(),
    };
    let most = if is_known { SHOWN_INPUTS } else { usize::MAX };
    for input in job.inputs.open()?.take(most) {
        let input = input?;
        all.tasks += 1;
        if let Some(cause) = input.cause() {
            all.unusable += 1;
            if all.first_unusable.len() < SHOWN_INPUTS {
                all.first_unusable.push(cause.to_owned());
            }
        } else if all.first.len() < SHOWN_INPUTS {
            all.first.push(input);
        }
    }
    all.notes = job.inputs.notes();
    Ok(Some(all))
}

/// How the source was understood, its first records, and what of it cannot be used.
fn of_the_inputs(job: &Job, read: Option<&AllInputs>, line: &mut impl FnMut(&str, String)) {
    for (what, words) in job.inputs.understood() {
        line(what, words);
    }
    if !job.fields.is_empty() {
        line("fields", escaped(&job.fields.join(", ")));
    }
    let Some(read) = read else { return };
    for input in &read.first {
        if !job.fields.is_empty() {
            line("input", shown(job, input));
        }
    }
    for cause in &read.first_unusable {
        line("unusable", escaped(cause));
    }
    for note in &read.notes {
        line("note", escaped(note));
    }
}

/// The values of an input, with their names; long ones cut.
fn shown(job: &Job, input: &Fields) -> String {
    /// Characters of a value.
    const LONGEST: usize = 40;
    let value = |value: &[u8]| {
        let text = String::from_utf8_lossy(value).into_owned();
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    };
    let values = job.fields.iter().enumerate();
    let values = values.map(|(index, name)| format!("{name}={}", value(input.get(index))));
    escaped(&values.collect::<Vec<_>>().join("  "))
}

/// How many tasks there are; `unit` stands after the number.
fn tasks(job: &Job, read: Option<&AllInputs>, unit: &str) -> String {
    if let Some(tasks) = job.inputs.tasks() {
        return format!("{}{unit}", HumanCount(tasks));
    }
    if job.inputs.are_reported() {
        return "one for each row of the report that it reads".into();
    }
    let Some(read) = read else { return format!("as many{unit} as the input brings") };
    let tasks = HumanCount(read.tasks);
    match read.unusable {
        0 => format!("{tasks}{unit}"),
        unusable => format!("{tasks}{unit}, {} of which cannot be used", HumanCount(unusable)),
    }
}

/// The first task in all of its stages.
fn first_task(job: &Job) -> Result<Vec<String>, InputError> {
    if job.inputs.can_block() || job.inputs.are_reported() {
        return Ok(Vec::new());
    }
    let Some(fields) = job.inputs.open()?.next() else { return Ok(Vec::new()) };
    Ok(shown_task(job, 1, &fields?))
}

/// A task in all of its stages. Columns and payloads, which only a run knows, are shown by name; what it creates, by the
/// names that it gets.
fn shown_task(job: &Job, task: u64, fields: &Fields) -> Vec<String> {
    if let Some(cause) = fields.cause() {
        return vec![escaped(cause)];
    }
    let payload = Payload::new(PayloadKind::Bytes, b"{payload}".to_vec());
    let mut fields = fields.clone();
    if let Some(creates) = &job.creates {
        let values = Values { fields: &fields, task, attempt: 1, slot: 1, payload: None };
        let names = creates.show(&values);
        fields.pad(job.fields.len());
        for name in &names {
            fields.push(name);
        }
    }
    let mut shown = Vec::new();
    for stage in &job.stages {
        let payload = (!shown.is_empty()).then_some(&payload);
        let values = Values { fields: &fields, task, attempt: 1, slot: 1, payload };
        shown.push(escaped(&stage.workload.show(&values)));
        stage.columns.iter().for_each(|column| fields.push(format!("{{{}}}", column.name)));
    }
    shown
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
            "one task; computations on one core; Python that ends before more slots would help",
        ],
        [
            "threads",
            "computations, commands, dozens of waits",
            "all cores, cheap to start",
            "thousands at once; a crash takes all",
            "computations; commands; fewer than 100 waits at once; Python that waits and is `thread_safe`",
        ],
        [
            "processes",
            "Python that computes; work that may crash or hang",
            "all cores in spite of the GIL; isolation, hard timeouts: a crash costs one task",
            "start-up, and communication over pipes",
            "Python functions, many where they wait; worker programs",
        ],
        [
            "async",
            "hundreds of waits and more",
            "thousands in flight on few threads",
            "computations, which hold the event loop",
            "100 waits at once and more; 100 commands at once and more; coroutines that wait",
        ],
    ] {
        table.add_row(row);
    }
    format!("{table}\n")
}
