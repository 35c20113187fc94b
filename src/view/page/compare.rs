//! The page of a comparison.

use crate::model::usl::{Fit, Peak, Trust};
use crate::view::chart::axis::Scale;
use crate::view::chart::plot::{self, Curve, Interval};
use crate::view::compare::{ComparisonReport, Contender, ENOUGH};
use crate::view::page::model::{Block, Cell, Figure, Page, Section, Table, Tile};
use crate::view::page::run::made;
use crate::view::page::words;
use crate::view::text;

/// How many points a curve has.
const POINTS: u32 = 60;

/// How many models are drawn in one sweep.
const LINES: [(&str, &str); 4] =
    [("m-line", ""), ("m-two", "two"), ("m-three", "three"), ("m-four", "four")];

/// How many runs are listed.
const LISTED: usize = 500;

/// The page of a comparison.
pub fn page(report: &ComparisonReport) -> Page {
    let best = report.best();
    let is_partial = best.reason.contains("partial: ");
    let is_enough = best.reason.contains(ENOUGH);
    let is_done = |contender: &Contender| is_enough || contender.tasks.0 == contender.tasks.1;
    let all_ok = report.contenders.iter().all(is_done);
    let is_same = report.contenders.iter().all(|contender| contender.is_same);
    let mut page = Page {
        title: report.job.clone(),
        kicker: kicker(report),
        verdict: if is_partial || !all_ok || !is_same { "bad" } else { "good" },
        head: vec![recommended(best), capital(&best.reason)],
        warnings: report.cuts.iter().chain(&report.warnings).map(|said| capital(said)).collect(),
        tiles: tiles(report, best),
        made: made(),
        ..Page::default()
    };
    page.head.retain(|sentence| !sentence.is_empty());
    page.sections.push(times(report));
    page.sections.extend(sweep(report));
    page.sections.push(how_to_apply(best));
    page.sections.extend(rounds(report));
    page.facts.push(("Comparison".into(), text::visible(&report.file.display().to_string())));
    page
}

fn kicker(report: &ComparisonReport) -> String {
    let first = report.rounds.iter().filter_map(|round| round.started).min();
    let of = first.map_or_else(String::new, |at| format!(" of {}", words::moment(at)));
    format!("A comparison{of}")
}

fn recommended(best: &Contender) -> String {
    let faster = best.speedup.filter(|_| best.model != "sequential");
    let faster = faster.map_or_else(String::new, |speedup| {
        let range = best
            .speedup_range
            .map_or_else(String::new, |(low, high)| format!(" (95 %: {low:.2} to {high:.2})"));
        format!(", {speedup:.2} times as fast as sequential{range}")
    });
    let what = match best.model.as_str() {
        "staged" => "the job as it is written".to_owned(),
        _ => format!("{} with {}", best.model, words::things(best.concurrency, "slot")),
    };
    format!("Recommended: {what}{faster}.")
}

/// `text` with a capital and a full stop.
fn capital(said: &str) -> String {
    let said = text::visible(said.trim());
    let mut chars = said.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    match first.as_str() {
        "" => first,
        _ => format!("{first}{}.", chars.as_str().trim_end_matches('.')),
    }
}

fn tiles(report: &ComparisonReport, best: &Contender) -> Vec<Tile> {
    let tile = |name: &str, value: String, note: String| Tile { name: name.into(), value, note };
    let range = best.range.map_or_else(String::new, |(low, high)| {
        format!("95 %: {} to {}", words::seconds(low), words::seconds(high))
    });
    let mut tiles = vec![
        tile("Wall time", words::seconds(best.wall), range),
        tile("Throughput", words::rate(best.rate), words::things(best.tasks.0, "task")),
    ];
    if let Some(speedup) = best.speedup {
        tiles.push(tile("Speed-up", format!("{speedup:.2}"), "over sequential".into()));
    }
    if let Some(peak) = best.peak {
        tiles.push(tile("Peak memory", words::bytes(peak), String::new()));
    }
    let differ = report.contenders.iter().filter(|contender| !contender.is_same).count();
    let results = if differ == 0 { "the same".to_owned() } else { format!("{differ} differ") };
    tiles.push(tile(
        "Results",
        results,
        format!("of {}", words::things(report.contenders.len() as u64, "contender")),
    ));
    tiles.push(tile("Rounds", words::count(best.rounds), "in random order".into()));
    tiles
}

fn times(report: &ComparisonReport) -> Section {
    let rows: Vec<Interval> = report
        .contenders
        .iter()
        .map(|contender| Interval {
            name: contender.name(),
            value: contender.wall,
            range: contender.range,
            points: report
                .runs(contender)
                .map(|round| (round.whole(contender), round.is_outlier))
                .collect(),
            is_best: contender.is_best,
        })
        .collect();
    let highest = |row: &Interval| {
        let points = row.points.iter().map(|(value, _)| *value);
        points.chain(row.range.map(|range| range.1)).fold(row.value, f64::max)
    };
    let scale = Scale::seconds(rows.iter().map(highest).fold(0.0, f64::max));
    let said: Vec<_> =
        rows.iter().map(|row| format!("{} {}", row.name, words::seconds(row.value))).collect();
    let label = format!("Wall times: {}", words::listed(&said));
    Section {
        id: "times",
        title: "Wall times".into(),
        text: "A circle is a run, the line across the median, the bar where the median lies with 95 % confidence. Shorter is \
               better."
            .into(),
        blocks: vec![Block::Chart(Figure {
            title: "Wall time of each model".into(),
            legend: Vec::new(),
            drawing: plot::intervals(&label, &rows, &scale, words::seconds),
            table: table(report),
        })],
        is_wide: true,
    }
}

fn table(report: &ComparisonReport) -> Table {
    let head = [
        "model",
        "#wall",
        "#from",
        "#to",
        "#start-up",
        "#tasks a second",
        "#speed-up",
        "#ok",
        "#cpu",
        "#memory",
        "results",
    ];
    let mut table = Table::new("Every model that was measured", &head);
    let time = |value: Option<f64>| match value {
        Some(value) => Cell::number(words::seconds(value), value),
        None => Cell { is_number: true, ..Cell::text("-") },
    };
    for contender in &report.contenders {
        let mark = if contender.is_best { "→ " } else { "" };
        let (tasks, ok) = contender.tasks;
        let speedup = match contender.speedup {
            Some(value) => Cell::number(format!("{value:.2}"), value),
            None => Cell { is_number: true, ..Cell::text("-") },
        };
        let peak = match contender.peak {
            Some(peak) => Cell::number(words::bytes(peak), peak as f64),
            None => Cell { is_number: true, ..Cell::text("-") },
        };
        table.rows.push(vec![
            Cell::text(format!("{mark}{}", contender.name())),
            time(Some(contender.wall)),
            time(contender.range.map(|range| range.0)),
            time(contender.range.map(|range| range.1)),
            time(Some(contender.startup)),
            Cell::number(words::rate(contender.rate), contender.rate),
            speedup,
            Cell::number(format!("{} of {}", words::count(ok), words::count(tasks)), ok as f64),
            time(contender.cpu),
            peak,
            Cell::text(if contender.is_same { "same" } else { "other" }),
        ]);
    }
    table
}

/// Throughput over levels of concurrency; `None` without a model that was measured at three of them.
fn sweep(report: &ComparisonReport) -> Option<Section> {
    let sweeps = report.sweeps();
    if sweeps.is_empty() {
        return None;
    }
    let levels = || sweeps.iter().flat_map(|(_, levels, _)| levels);
    let widest = levels().map(|contender| contender.concurrency).max()? as f64;
    let fastest = levels().map(|contender| contender.rate).fold(0.0, f64::max);
    let measured: Vec<f64> = levels().map(|contender| contender.concurrency as f64).collect();
    let (x, y) = (Scale::of(&measured), Scale::counts(1.1 * fastest));
    let (mut curves, mut legend, mut said) = (Vec::new(), Vec::new(), Vec::new());
    for ((model, levels, fit), (mark, class)) in sweeps.iter().zip(LINES) {
        let points = levels.iter().map(|level| (level.concurrency as f64, level.rate)).collect();
        let along = |n: u32| 1.0 + (widest - 1.0) * f64::from(n) / f64::from(POINTS);
        let line = fit.map_or_else(Vec::new, |fit| {
            (0..=POINTS).map(|n| (along(n), fit.throughput(along(n)))).collect()
        });
        curves.push(Curve { class, points, line });
        legend.push((mark, (*model).to_owned()));
        said.extend(fit.map(|fit| format!("{model}: {}", scaling(&fit))));
    }
    if let Some((_, _, Some(fit))) = sweeps.first() {
        let end = (y.high / fit.alone).min(widest);
        let line = vec![(1.0_f64.min(end), fit.alone * end.min(1.0)), (end, fit.alone * end)];
        curves.push(Curve { class: "ideal", points: Vec::new(), line });
        legend.push(("m-rule", "each slot as fast as the first".into()));
    }
    let label = format!(
        "Tasks a second over how many run at once, up to {} at {widest}; {}",
        words::rate(fastest),
        said.join("; ")
    );
    let describe = |level: f64, rate: f64| format!("{level} at once: {}", words::rate(rate));
    let mut table = Table::new(
        "Tasks a second at each level, measured and by the law",
        &["model", "#at once", "#measured", "#by the law"],
    );
    for (model, levels, fit) in &sweeps {
        for level in levels {
            let law = fit.map(|fit| fit.throughput(level.concurrency as f64));
            table.rows.push(vec![
                Cell::text(*model),
                Cell::number(words::count(level.concurrency), level.concurrency as f64),
                Cell::number(words::rate(level.rate), level.rate),
                match law {
                    Some(rate) => Cell::number(words::rate(rate), rate),
                    None => Cell::text("-"),
                },
            ]);
        }
    }
    let said: Vec<_> = said.iter().map(|said| format!("{said}.")).collect();
    Some(Section {
        id: "sweep",
        title: "More at once".into(),
        text: format!(
            "The curves are the Universal Scalability Law, fitted to the points. {}",
            said.join(" ")
        ),
        blocks: vec![Block::Chart(Figure {
            title: "Tasks a second over how many run at once".into(),
            legend,
            drawing: plot::curves(&label, &curves, (&x, &y), describe),
            table,
        })],
        is_wide: true,
    })
}

/// What the law says of a sweep.
fn scaling(fit: &Fit) -> String {
    let peak = match fit.peak() {
        Peak::At(peak) => format!(
            "throughput peaks at {} at once, with {}",
            peak.level,
            words::rate(peak.throughput)
        ),
        Peak::Below(limit) => {
            format!("throughput grows with every level, but stays below {}", words::rate(limit))
        }
        Peak::Nowhere => "throughput grows in proportion to the level".to_owned(),
    };
    let trust = match fit.trust() {
        Trust::Measured => format!("the curve is {:.1} % off the points", fit.error * 100.0),
        Trust::Extrapolated => {
            format!("beyond {} at once this is a guess", fit.highest)
        }
        Trust::TooFewLevels => {
            format!("{} levels fit any curve: measure four or more", fit.points)
        }
        Trust::Poor => {
            format!("the curve is {:.0} % off the points: do not trust it", fit.error * 100.0)
        }
    };
    format!("{peak} ({trust})")
}

fn how_to_apply(best: &Contender) -> Section {
    let (said, code) = match best.model.as_str() {
        "staged" => {
            ("The job is the fastest as its file has it: there is nothing to change.", None)
        }
        "sequential" => (WRITE, Some("model = \"sequential\"".to_owned())),
        model => (
            WRITE,
            Some(format!("model = \"{model}\"\n\n[limits]\nconcurrency = {}", best.concurrency)),
        ),
    };
    Section {
        id: "apply",
        title: "To apply it".into(),
        text: said.into(),
        blocks: code.map(Block::Code).into_iter().collect(),
        is_wide: true,
    }
}

const WRITE: &str = "`runner compare --apply` with the job file measures again and writes what it recommends. By hand, in the job file:";

fn rounds(report: &ComparisonReport) -> Option<Section> {
    if report.rounds.is_empty() {
        return None;
    }
    let mut table = Table::new(
        "Every run, in the order in which they ran",
        &["#round", "model", "#at once", "#ok", "#wall", "#start-up", "outlier"],
    );
    let longest = report.rounds.iter().map(|round| round.wall).fold(0.0, f64::max);
    for round in report.rounds.iter().take(LISTED) {
        let (tasks, ok) = round.tasks;
        table.rows.push(vec![
            Cell::number(words::count(round.number), round.number as f64),
            Cell::text(&round.model),
            Cell::number(words::count(round.concurrency), round.concurrency as f64),
            Cell::number(format!("{} of {}", words::count(ok), words::count(tasks)), ok as f64),
            Cell::number(words::seconds(round.wall), round.wall).with_bar(if longest > 0.0 {
                round.wall / longest
            } else {
                0.0
            }),
            Cell::number(words::seconds(round.startup), round.startup),
            Cell::text(if round.is_outlier { "yes" } else { "" }),
        ]);
    }
    if report.rounds.len() > LISTED {
        table.rest = format!(
            "{} more are not shown.",
            words::things((report.rounds.len() - LISTED) as u64, "run")
        );
    }
    Some(Section {
        id: "rounds",
        title: "Rounds".into(),
        text: String::new(),
        blocks: vec![Block::Table(table)],
        is_wide: true,
    })
}
