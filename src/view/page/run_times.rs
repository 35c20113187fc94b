//! The section on run times: how they are distributed, and how they changed.

use std::fmt::Write;

use crate::report::Spread;
use crate::view::chart::axis::Scale;
use crate::view::chart::{Chart, area, short};
use crate::view::digest::histogram::{Coarse, Fine};
use crate::view::digest::times::Drift;
use crate::view::page::model::{Block, Cell, Figure, Section, Table};
use crate::view::page::words;
use crate::view::run::RunReport;

/// How many bars a histogram has, at least and at most.
const BINS: (usize, usize) = (10, 40);

/// About so many tasks are in a column of the drift, at least.
const IN_A_COLUMN: usize = 8;

/// From this ratio of the largest to the smallest time on, each doubling takes the same room.
const WIDE: f64 = 30.0;

/// Of how many stages the run times are drawn.
const STAGES: usize = 6;

/// The section; `None` if nothing ran. `spread` is that of all run times.
pub fn section(report: &RunReport, spread: Option<Spread>) -> Option<Section> {
    let spread = spread?;
    let digest = &report.digest;
    let all_stages = &report.columns.stages;
    let title = if all_stages.is_empty() { "Run times" } else { "Run times, all stages together" };
    let mut blocks = vec![histogram(title, &digest.runs, Some(spread))];
    if all_stages.is_empty() {
        blocks.extend(drift(&digest.drift));
    } else {
        let stages = all_stages.iter().zip(&digest.stages).take(STAGES);
        blocks.extend(stages.filter(|(_, runs)| runs.total() > 0).map(|(stage, runs)| {
            histogram(&format!("Run times of the stage {}", stage.name), runs, None)
        }));
    }
    let text = format!(
        "Half of {} took up to {}, nine of ten up to {}, 99 of 100 up to {}; the longest {}.",
        words::things(digest.runs.total(), "task"),
        words::nanos(spread.p50.as_nanos() as u64),
        words::nanos(spread.p90.as_nanos() as u64),
        words::nanos(spread.p99.as_nanos() as u64),
        words::nanos(spread.max.as_nanos() as u64),
    );
    Some(Section { id: "run-times", title: "Run times".into(), text, blocks, is_wide: false })
}

/// The bins of a histogram.
struct Bins {
    scale: Scale,
    /// The edges, one more than there are bins, in seconds.
    edges: Vec<f64>,
    counts: Vec<u64>,
}

impl Bins {
    /// The bins of times, of which there is at least one.
    fn of(runs: &Fine) -> Self {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for (middle, _) in runs.buckets() {
            (low, high) = (low.min(seconds(middle)), high.max(seconds(middle)));
        }
        let low_quantile = runs.quantile(0.01).map_or(low, seconds).max(1e-9);
        let is_log = high / low_quantile >= WIDE;
        let scale = if is_log {
            Scale::log_seconds(low.max(1e-9) / 1.1, high.max(1e-9) * 1.1)
        } else {
            around(low, high)
        };
        // Few times in many bins would be a comb.
        let bins = (2.0 * (runs.total() as f64).sqrt()) as usize;
        let bins = bins.clamp(BINS.0, BINS.1);
        let edge = |index: usize| {
            let part = index as f64 / bins as f64;
            if is_log {
                scale.low * (scale.high / scale.low).powf(part)
            } else {
                scale.low + (scale.high - scale.low) * part
            }
        };
        let edges = (0..=bins).map(edge).collect();
        let mut counts = vec![0; bins];
        for (middle, count) in runs.buckets() {
            let index = (scale.part(seconds(middle)) * bins as f64) as usize;
            counts[index.min(bins - 1)] += count;
        }
        Self { scale, edges, counts }
    }
}

/// How many tasks took how long: from, to, and how many, of each bin from the first to the last one that has some.
pub fn counts(runs: &Fine) -> Vec<(f64, f64, u64)> {
    if runs.total() == 0 {
        return Vec::new();
    }
    let Bins { edges, counts, .. } = Bins::of(runs);
    let bins = counts.iter().enumerate().map(|(at, count)| (edges[at], edges[at + 1], *count));
    bins.collect()
}

/// A scale for times from `low` to `high`: from 0 on, unless that would leave most of it empty.
fn around(low: f64, high: f64) -> Scale {
    if high <= 0.0 {
        return Scale::seconds(1e-6);
    }
    if low < 0.4 * high {
        return Scale::between_seconds(0.0, 1.02 * high);
    }
    let margin = ((high - low) * 0.08).max(high * 0.02);
    let (low, high) = ((low - margin).max(0.0), high + margin);
    Scale::between_seconds(low, high)
}

fn histogram(title: &str, runs: &Fine, spread: Option<Spread>) -> Block {
    let Bins { scale, edges, counts } = Bins::of(runs);
    let highest = counts.iter().copied().max().unwrap_or(0);
    let vertical = Scale::whole(highest as f64);
    let label = format!(
        "{title}: {} between {} and {}, most often around {}",
        words::things(runs.total(), "task"),
        words::seconds(edges[0]),
        words::seconds(edges[counts.len()]),
        words::seconds(most_often(&edges, &counts))
    );
    let mut chart = Chart::new(&label, 150.0);
    chart.grid(&vertical);
    let parts: Vec<f64> = counts.iter().map(|count| vertical.part(*count as f64)).collect();
    let mut paths =
        format!(r#"<path class="bins" d="{}"/>"#, area::steps(&[], &parts, chart.height()));
    let mut marks = Vec::new();
    if let Some(spread) = spread {
        for (name, value) in [("p50", spread.p50), ("p99", spread.p99)] {
            let part = scale.part(value.as_secs_f64());
            let x = short(part * crate::view::chart::WIDE);
            let _ = write!(paths, r#"<path class="line rule" d="M{x} 0V{}"/>"#, chart.height());
            marks.push((name, part));
        }
    }
    chart.stretched(&paths);
    for (name, part) in marks {
        let anchor = if part > 0.9 { "end" } else { "start" };
        let beside = if part > 0.9 { -0.6 } else { 0.6 };
        let height = if name == "p50" { 14.0 } else { 30.0 };
        chart.text((100.0 * part + beside, height), "y", anchor, name);
    }
    chart.bottom(&scale);
    let mut table =
        Table::new(format!("{title}: how many took how long"), &["#from", "#to", "#tasks"]);
    for (index, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        table.rows.push(vec![
            Cell::number(words::seconds(edges[index]), edges[index]),
            Cell::number(words::seconds(edges[index + 1]), edges[index + 1]),
            Cell::number(words::count(*count), *count as f64),
        ]);
    }
    Block::Chart(Figure {
        title: format!("{title}: how many tasks took how long"),
        legend: Vec::new(),
        drawing: chart.finish(),
        table,
    })
}

fn most_often(edges: &[f64], counts: &[u64]) -> f64 {
    let most = counts.iter().enumerate().max_by_key(|(_, count)| **count);
    most.map_or(0.0, |(index, _)| f64::midpoint(edges[index], edges[index + 1]))
}

/// All of these times.
fn sum(runs: &[Coarse]) -> Coarse {
    let mut all = Coarse::default();
    for part in runs {
        all.merge(part);
    }
    all
}

/// How run times changed; `None` where there is too little to see.
fn drift(drift: &Drift) -> Option<Block> {
    let buckets = &drift.runs[..drift.axis.len()];
    let tasks: u64 = buckets.iter().map(Coarse::total).sum();
    if buckets.len() < 4 || tasks < 12 {
        return None;
    }
    let most = (tasks as usize / IN_A_COLUMN).max(4);
    let merged = buckets.len().div_ceil(most);
    let runs: Vec<Coarse> = buckets.chunks(merged).map(sum).collect();
    let columns = runs.len();
    let width = (merged as i64 * drift.axis.width()) as f64 / 1e6;
    let quantile = |part: f64| -> Vec<Option<f64>> {
        runs.iter().map(|runs| runs.quantile(part).map(|nanos| nanos as f64 / 1e9)).collect()
    };
    let (low, middle, high) = (quantile(0.05), quantile(0.5), quantile(0.95));
    let highest = high.iter().flatten().copied().fold(0.0, f64::max);
    let lowest = low.iter().flatten().copied().fold(f64::INFINITY, f64::min).max(1e-9);
    let scale = if highest / lowest >= 2.0 * WIDE {
        Scale::log_seconds(lowest / 1.2, highest * 1.2)
    } else {
        Scale::seconds(highest)
    };
    let length = columns as f64 * width;
    let label = format!(
        "Run times by when tasks started, over {}: the median goes from {} to {}",
        words::seconds(length),
        words::seconds(middle.iter().flatten().next().copied().unwrap_or_default()),
        words::seconds(middle.iter().flatten().last().copied().unwrap_or_default())
    );
    let mut chart = Chart::new(&label, 150.0);
    chart.grid(&scale);
    let x = |index: usize| (index as f64 + 0.5) / columns as f64;
    let band = (0..columns)
        .filter_map(|index| Some((x(index), scale.part(low[index]?), scale.part(high[index]?))));
    let band: Vec<_> = band.map(Some).collect();
    let line = (0..columns).filter_map(|index| Some((x(index), scale.part(middle[index]?))));
    let line: Vec<_> = line.map(Some).collect();
    let height = chart.height();
    chart.stretched(&format!(
        r#"<path class="band" d="{}"/><path class="line" d="{}"/>"#,
        area::band(&band, height),
        area::line(&line, height)
    ));
    chart.bottom(&Scale::elapsed(length));
    let mut table =
        Table::new("Run times by when tasks started", &["#from", "#tasks", "#p5", "#p50", "#p95"]);
    for (index, runs) in runs.iter().enumerate().filter(|(_, runs)| runs.total() > 0) {
        let start = index as f64 * width;
        let cell = |value: Option<f64>| {
            let value = value.unwrap_or_default();
            Cell::number(words::seconds(value), value)
        };
        table.rows.push(vec![
            Cell::number(if index == 0 { "0 s".into() } else { words::seconds(start) }, start),
            Cell::number(words::count(runs.total()), runs.total() as f64),
            cell(low[index]),
            cell(middle[index]),
            cell(high[index]),
        ]);
    }
    Some(Block::Chart(Figure {
        title: "Drift: run times by when tasks started".into(),
        legend: vec![("m-line", "median".into()), ("m-band", "p5 to p95".into())],
        drawing: chart.finish(),
        table,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_a_bin() {
        for times in [
            vec![5_u64],
            vec![0, 0],
            vec![100, 101, 102],
            vec![1, 1_000, 10_000_000_000],
            vec![u64::MAX],
        ] {
            let mut runs = Fine::default();
            for time in &times {
                runs.add(*time);
            }
            let bins = Bins::of(&runs);
            assert_eq!(bins.counts.iter().sum::<u64>(), times.len() as u64);
            assert!(
                bins.scale.high > bins.scale.low && !bins.scale.ticks.is_empty(),
                "{times:?}: {:?}",
                bins.scale
            );
        }
    }
}
