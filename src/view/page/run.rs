//! The page of a run.

use std::fmt::Write;
use std::time::SystemTime;

use crate::csv::utc;
use crate::report::{ENOUGH, Spread};
use crate::task::Status;
use crate::view::chart::short;
use crate::view::page::limit::{self, Figures};
use crate::view::page::model::{Page, Part, Tile};
use crate::view::page::{lists, over_time, run_times, words};
use crate::view::read::files::Kind;
use crate::view::run::RunReport;
use crate::view::text;

/// A page is never larger than this, in bytes.
const LARGEST: usize = 1_000_000;

/// The page of a run, as markup.
pub fn markup(report: &mut RunReport) -> String {
    let digest = &mut report.digest;
    let run = std::mem::take(&mut digest.run).spread();
    let queue = std::mem::take(&mut digest.queue).spread();
    let mut listed = usize::MAX;
    loop {
        let markup = page(report, (run, queue), listed).markup();
        if markup.len() <= LARGEST || listed == 0 {
            return markup;
        }
        listed = listed.min(report.digest.not_ok.len()) / 2;
    }
}

fn page(report: &RunReport, (run, queue): (Option<Spread>, Option<Spread>), listed: usize) -> Page {
    let mut page = Page {
        title: report.files.job.clone(),
        kicker: kicker(report),
        verdict: verdict(report),
        head: vec![worked(report), took(report)],
        warnings: report.cuts.iter().chain(&report.notes).map(|said| sentence(said)).collect(),
        parts: parts(report),
        tiles: tiles(report, run, queue),
        facts: facts(report),
        made: made(),
        ..Page::default()
    };
    page.head.extend(main_cause(report));
    page.head.extend(what_limits(report, run));
    page.head.extend(what_next(report));
    page.head.retain(|sentence| !sentence.is_empty());
    page.sections.extend(lists::failures(report, listed));
    page.sections.extend(over_time::sections(report));
    page.sections.extend(run_times::section(report, run));
    page.sections.extend(lists::by_field(report));
    page.sections.extend(lists::top(report));
    page
}

/// What has made a page.
pub fn made() -> String {
    let now = utc(SystemTime::now());
    let now = now.split('.').next().unwrap_or_default();
    format!("Made by runner {} at {now} UTC.", env!("CARGO_PKG_VERSION"))
}

/// `text` as a sentence.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

fn kicker(report: &RunReport) -> String {
    let what = match report.files.kind {
        Kind::Running | Kind::Left => "A run that has not ended",
        Kind::Killed => "A run that did not end",
        _ => "A run",
    };
    let started = report.summary.as_ref().and_then(|row| row.micros("started_utc"));
    let started = started.or(report.so_far.map(|so_far| so_far.started));
    let first = started.or(report.times().range.map(|(from, _)| from));
    first.map_or_else(|| what.to_owned(), |at| format!("{what} of {}", words::moment(at)))
}

fn verdict(report: &RunReport) -> &'static str {
    let tally = &report.digest.tally;
    if !tally.all_ok() && !is_enough(report) {
        return "bad";
    }
    let is_whole = report.files.kind == Kind::Run && report.cuts.is_empty() && tally.total() > 0;
    if is_whole { "good" } else { "open" }
}

/// Whether it has ended because enough of its tasks were ok: then it worked, whatever became of the others.
fn is_enough(report: &RunReport) -> bool {
    let reason = report.summary.as_ref().and_then(|row| row.text("reason"));
    reason.is_some_and(|reason| reason.contains(ENOUGH))
}

/// Whether it worked.
fn worked(report: &RunReport) -> String {
    let tally = &report.digest.tally;
    let (total, not_ok) = (tally.total(), tally.not_ok());
    let so_far = match report.files.kind {
        Kind::Running => "So far ",
        Kind::Killed => "The run was killed or has crashed. Of what it did, ",
        Kind::Left => {
            "The run has not ended: it is on a cluster. Of what has been collected so far, "
        }
        _ if !report.cuts.is_empty() => "The report is incomplete. In what is there, ",
        _ => "",
    };
    let told = if total == 0 {
        "there is no task".to_owned()
    } else if not_ok == 0 && total == 1 {
        "the only task is ok".to_owned()
    } else if not_ok == 0 {
        format!("all {} are ok", words::things(total, "task"))
    } else {
        let parts: Vec<_> = Status::ALL
            .into_iter()
            .filter(|status| {
                !matches!(status, Status::Ok | Status::Skipped) && tally.get(*status) > 0
            })
            .map(|status| (status, tally.get(status)))
            .map(|(status, count)| {
                format!("{} {}", words::count(count), words::said(status, count))
            })
            .collect();
        if not_ok == total && total == 1 {
            format!("the only task is not ok: {}", words::listed(&parts))
        } else if not_ok == total {
            format!("none of {} is ok: {}", words::things(total, "task"), words::listed(&parts))
        } else {
            format!(
                "{} of {} {} not ok: {}",
                words::count(not_ok),
                words::things(total, "task"),
                if not_ok == 1 { "is" } else { "are" },
                words::listed(&parts)
            )
        }
    };
    let told = match total - not_ok {
        _ if !is_enough(report) => told,
        ok => format!("{} ok, which was enough; {told}", words::things_are(ok, "task")),
    };
    if so_far.is_empty() { sentence(&told) } else { format!("{so_far}{told}.") }
}

/// How long it took, in seconds: by the summary, or by what a run that has not ended says; else from the first start to the
/// last end.
fn wall(report: &RunReport) -> Option<f64> {
    let summary = report.summary.as_ref().and_then(|row| row.seconds("wall_s"));
    summary.map(|wall| wall.as_secs_f64()).or_else(|| so_far(report)).or_else(|| span(report))
}

/// For how long a run that has not ended has been running, in seconds. It says so once a second, and what has ended since
/// is in its rows.
fn so_far(report: &RunReport) -> Option<f64> {
    let said = report.so_far?;
    let last = report.times().range.map(|(_, to)| (to - said.started) as f64 / 1e6);
    Some(said.elapsed.max(last.unwrap_or(0.0)))
}

/// Whether nothing but the rows tells how long a run has been running that has not ended: what it does now is in none.
fn has_only_rows(report: &RunReport) -> bool {
    let has_ended = !matches!(report.files.kind, Kind::Running | Kind::Killed | Kind::Left);
    !has_ended && report.so_far.is_none()
}

/// From the first start to the last end, in seconds.
fn span(report: &RunReport) -> Option<f64> {
    report.times().range.map(|(from, to)| (to - from) as f64 / 1e6)
}

fn tasks_per_second(report: &RunReport) -> Option<f64> {
    let summary = report.summary.as_ref().and_then(|row| row.number("tasks_per_s"));
    if has_only_rows(report) {
        return None;
    }
    summary.or_else(|| {
        let tally = &report.digest.tally;
        let idle = tally.get(Status::Cancelled) + tally.get(Status::Skipped);
        let ended = tally.total().saturating_sub(idle + report.digest.earlier);
        let wall = so_far(report).or_else(|| span(report));
        wall.filter(|wall| *wall > 0.0).map(|wall| ended as f64 / wall)
    })
}

fn took(report: &RunReport) -> String {
    let Some(wall) = wall(report) else { return String::new() };
    let wall = words::seconds(wall);
    let mut text = match report.files.kind {
        _ if has_only_rows(report) => format!("Its rows so far cover {wall}"),
        Kind::Running => format!("It has been running for {wall}"),
        Kind::Killed => format!("It ran for {wall}"),
        _ => format!("It took {wall}"),
    };
    if let Some(rate) = tasks_per_second(report).filter(|_| report.digest.tally.total() > 1) {
        let _ = write!(
            text,
            ", {} on average",
            words::rate(rate)
                .replace("/s", " tasks a second")
                .replace("/min", " tasks a minute")
                .replace("/h", " tasks an hour")
        );
    }
    let model = report.summary.as_ref().and_then(|row| row.text("model"));
    if let Some(slots) = over_time::slots_of(report) {
        let under = match model {
            Some("staged") => " of all its stages".to_owned(),
            Some(model) => format!(" under {model}"),
            None => String::new(),
        };
        let _ = write!(text, ", in {}{under}", words::things(slots, "slot"));
    }
    text.push('.');
    text
}

/// What failed, mostly.
fn main_cause(report: &RunReport) -> Option<String> {
    let (causes, _) = report.digest.causes.sorted();
    let first = causes.first()?;
    let cause = text::line(first.text.as_bytes(), 140);
    if cause.is_empty() {
        return None;
    }
    Some(match causes.len() {
        1 => format!("There is one cause: {cause}"),
        count => format!(
            "The most frequent of {} causes, of {}: {cause}",
            words::count(count as u64),
            words::things(first.count, "task")
        ),
    })
}

fn what_limits(report: &RunReport, run: Option<Spread>) -> Option<String> {
    let summary = report.summary.as_ref();
    let times = report.times();
    let slots = over_time::slots_of(report)? as f64;
    let at_once = over_time::at_once(times);
    let cpu = report.digest.cpu.map(|(user, system)| (user + system) as f64 / 1e9);
    // Processor time is that of all rows, also of those of an earlier run.
    let cpu = cpu.filter(|_| report.digest.earlier == 0);
    let seconds = |column: &str| summary.and_then(|row| row.seconds(column));
    let startup = seconds("startup_s").zip(seconds("wall_s").filter(|wall| !wall.is_zero()));
    Figures {
        span: span(report)?,
        busy: times.busy.iter().sum::<f64>() / 1e6,
        slots,
        cpu,
        cores: summary.and_then(|row| row.number("cores")),
        startup: startup.map_or(0.0, |(startup, wall)| startup.as_secs_f64() / wall.as_secs_f64()),
        tail: limit::tail(&at_once, slots),
        mean: run.map_or(0.0, |run| run.mean.as_secs_f64()),
        reason: summary.and_then(|row| row.text("reason")).unwrap_or_default(),
        is_staged: !report.columns.stages.is_empty(),
    }
    .sentence()
}

fn what_next(report: &RunReport) -> Option<String> {
    match report.files.kind {
        Kind::Running => Some("Make this page again to see more.".into()),
        Kind::Killed => Some("What is left is done by `runner --resume` with the job file.".into()),
        Kind::Left => Some(format!(
            "`runner --on {} --resume` with the job file collects the rest.",
            report.files.place()
        )),
        _ => None,
    }
}

fn parts(report: &RunReport) -> Vec<Part> {
    let tally = &report.digest.tally;
    let total = tally.total().max(1) as f64;
    let mut from = 0.0;
    let mut parts = Vec::new();
    for status in Status::ALL {
        let count = tally.get(status);
        if count == 0 {
            continue;
        }
        // What there is can be seen, however little it is of all.
        let width = (100.0 * count as f64 / total).max(0.4);
        parts.push(Part {
            name: status.name().to_owned(),
            count: words::count(count),
            from: short(f64::min(from, 99.6)),
            width: short(width),
            class: words::status_class(status),
        });
        from += width;
    }
    parts
}

fn tile(name: &str, value: String, note: String) -> Tile {
    Tile { name: name.to_owned(), value, note }
}

fn tiles(report: &RunReport, run: Option<Spread>, queue: Option<Spread>) -> Vec<Tile> {
    let digest = &report.digest;
    let tally = &digest.tally;
    let total = tally.total();
    if total == 0 {
        return Vec::new();
    }
    let ok = tally.get(Status::Ok);
    let mut tiles = vec![
        tile("Tasks", words::count(total), String::new()),
        tile("Ok", words::count(ok), words::percent(ok as f64 / total as f64)),
        tile(
            "Not ok",
            words::count(tally.not_ok()),
            words::percent(tally.not_ok() as f64 / total as f64),
        ),
    ];
    if let Some(wall) = wall(report) {
        let startup = report.summary.as_ref().and_then(|row| row.seconds("startup_s"));
        let note =
            startup.map(|startup| format!("start-up {}", words::seconds(startup.as_secs_f64())));
        let name = if has_only_rows(report) { "Time of its rows" } else { "Wall time" };
        tiles.push(tile(name, words::seconds(wall), note.unwrap_or_default()));
    }
    if let Some(rate) = tasks_per_second(report) {
        tiles.push(tile("Throughput", words::rate(rate), "on average".into()));
    }
    let nanos = |time: std::time::Duration| words::nanos(time.as_nanos() as u64);
    if let Some(run) = run {
        let note = format!("p90 {}, p99 {}", nanos(run.p90), nanos(run.p99));
        tiles.push(tile("Median run time", nanos(run.p50), note));
    }
    if let Some(queue) = queue {
        tiles.push(tile(
            "Median queue time",
            nanos(queue.p50),
            format!("longest {}", nanos(queue.max)),
        ));
    }
    if let Some((user, system)) = digest.cpu {
        let note = format!("{} of it in the kernel", words::nanos(system));
        tiles.push(tile("Processor time", words::nanos(user + system), note));
    }
    if let Some(peak) = digest.peak {
        tiles.push(tile("Peak memory", words::bytes(peak), "of one task".into()));
    }
    if let Some(output) = digest.output.filter(|output| *output > 0) {
        tiles.push(tile("Output", words::bytes(output), String::new()));
    }
    if digest.retried > 0 {
        let note = format!("{} more than once", words::things(digest.retried, "task"));
        tiles.push(tile("Attempts", words::count(digest.attempts), note));
    }
    tiles
}

fn facts(report: &RunReport) -> Vec<(String, String)> {
    let mut facts =
        vec![("Report".to_owned(), text::visible(&report.files.main.display().to_string()))];
    let mut add = |name: &str, value: Option<String>| {
        facts.extend(value.map(|value| (name.to_owned(), value)));
    };
    let range = report.times().range;
    let summary = report.summary.as_ref();
    let text = |column: &str| summary.and_then(|row| row.text(column)).map(text::visible);
    add(
        "Started",
        text("started_utc")
            .map(|at| format!("{at} UTC"))
            .or(report.so_far.map(|so_far| words::moment(so_far.started)))
            .or(range.map(|at| words::moment(at.0))),
    );
    add("Ended", text("finished_utc").map(|at| format!("{at} UTC")));
    add("Model", text("model"));
    add("Slots", over_time::slots_of(report).map(words::count));
    add("Why", text("reason"));
    add("Cores", text("cores"));
    add("Runner", text("runner_version"));
    let fields: Vec<_> =
        report.columns.field_names().iter().map(|name| text::visible(name)).collect();
    add("Fields", Some(fields.join(", ")).filter(|fields| !fields.is_empty()));
    facts
}
