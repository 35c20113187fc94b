//! The sections on what happened when: slots, throughput, tasks in flight.

use std::fmt::Write;

use crate::task::Status;
use crate::view::chart::axis::Scale;
use crate::view::chart::{Chart, area, lanes, short};
use crate::view::digest::times::{Bar, Times};
use crate::view::page::model::{Block, Cell, Figure, Section, Table};
use crate::view::page::words;
use crate::view::run::RunReport;

/// At most so many columns are drawn, and at least as many as [`FEWEST`] where the buckets allow.
const COLUMNS: usize = 120;

const FEWEST: usize = 24;

/// At most so many rows are in the table of a chart over time.
const ROWS: usize = 60;

/// Series over time with fewer columns than there are buckets.
struct Columns {
    /// How many buckets are in a column.
    merged: usize,
    /// How long a column is, in seconds.
    width: f64,
    /// How many columns there are.
    count: usize,
    buckets: usize,
    /// When the first one starts.
    from: i64,
}

impl Columns {
    fn of(times: &Times, most: usize) -> Self {
        let buckets = times.axis.len().max(1);
        let merged = buckets.div_ceil(most);
        Self {
            merged,
            width: (merged as i64 * times.axis.width()) as f64 / 1e6,
            count: buckets.div_ceil(merged),
            buckets,
            from: times.axis.start(0),
        }
    }

    /// The sums of a series.
    fn sums(&self, series: &[f64]) -> Vec<f64> {
        let used = &series[..self.buckets.min(series.len())];
        used.chunks(self.merged).map(|part| part.iter().sum()).collect()
    }

    /// How long each column is, in seconds: the last one ends with the last bucket.
    fn length(&self, index: usize) -> f64 {
        let buckets = (self.buckets - index * self.merged).min(self.merged);
        self.width * buckets as f64 / self.merged as f64
    }

    /// The sums of a series, for each second of the column; of numbers that are themselves microseconds: how many at
    /// once.
    fn per_second(&self, series: &[f64]) -> Vec<f64> {
        let sums = self.sums(series).into_iter().enumerate();
        sums.map(|(index, sum)| sum / self.length(index)).collect()
    }

    fn at_once(&self, series: &[f64]) -> Vec<f64> {
        self.per_second(series).into_iter().map(|value| value / 1e6).collect()
    }

    /// The time of all columns, in seconds.
    fn length_of_all(&self) -> f64 {
        self.width * self.buckets as f64 / self.merged as f64
    }

    /// When a column starts, since the first one.
    fn start(&self, index: usize) -> String {
        let at = index as f64 * self.width;
        if index == 0 { "0 s".to_owned() } else { words::seconds(at) }
    }
}

/// How many columns suit that many events: few events in many columns would only flicker.
fn columns_for(events: u64) -> usize {
    ((events / 6) as usize).clamp(FEWEST, COLUMNS)
}

/// The sections; none if nothing has started.
pub fn sections(report: &RunReport) -> Vec<Section> {
    let times = report.times();
    if times.range.is_none() {
        return Vec::new();
    }
    let mut blocks = vec![throughput(report, times)];
    let mut sections = Vec::new();
    if report.columns.stages.is_empty() {
        blocks.push(in_flight(report, times));
        if !report.is_shared_out() {
            sections.extend(slots(report, report.slot_times()));
        }
    } else {
        blocks.push(stages_in_flight(report, times));
    }
    sections.push(Section {
        id: "throughput",
        title: "Over time".into(),
        text: if report.is_shared_out() {
            "Slots are not shown one by one: each shard numbers its own from 1.".into()
        } else {
            String::new()
        },
        blocks,
        is_wide: false,
    });
    sections
}

/// What is counted: attempts where they are known, else tasks.
fn counted(report: &RunReport) -> &'static str {
    if report.attempts.is_some() { "attempts" } else { "tasks" }
}

fn throughput(report: &RunReport, times: &Times) -> Block {
    let what = counted(report);
    let ended = times.ok.iter().chain(&times.not_ok).sum::<f64>() as u64;
    let columns = Columns::of(times, columns_for(ended));
    let (ok, not_ok) = (columns.per_second(&times.ok), columns.per_second(&times.not_ok));
    let all: Vec<f64> = ok.iter().zip(&not_ok).map(|(ok, not_ok)| ok + not_ok).collect();
    let highest = all.iter().copied().fold(0.0, f64::max);
    let scale = Scale::counts(highest);
    let label = format!(
        "How many {what} ended a second, over {}; at most {}",
        words::seconds(columns.length_of_all()),
        words::rate(highest)
    );
    let mut chart = Chart::new(&label, 150.0);
    chart.grid(&scale);
    let parts = |values: &[f64]| values.iter().map(|value| scale.part(*value)).collect::<Vec<_>>();
    let (below, above) = (parts(&ok), parts(&all));
    let mut paths =
        format!(r#"<path class="s-ok" d="{}"/>"#, area::steps(&[], &below, chart.height()));
    let is_bad = not_ok.iter().any(|value| *value > 0.0);
    let mut legend = vec![("s-ok", "ok".to_owned())];
    if is_bad {
        let path = area::steps(&below, &above, chart.height());
        let _ = write!(paths, r#"<path class="s-failed" d="{path}"/>"#);
        legend.push(("s-failed", "not ok".to_owned()));
    }
    chart.stretched(&paths);
    chart.bottom(&Scale::elapsed(columns.length_of_all()));
    let caption = format!("How many {what} ended, and how many ran at once, from each time on");
    let table = throughput_table(times, caption);
    Block::Chart(Figure {
        title: format!("Throughput: {what} ended a second"),
        legend,
        drawing: chart.finish(),
        table,
    })
}

/// The numbers of both charts. The caption names the place on the page, so each has its own.
fn throughput_table(times: &Times, caption: String) -> Table {
    let columns = Columns::of(times, ROWS);
    let (ok, not_ok) = (columns.sums(&times.ok), columns.sums(&times.not_ok));
    let busy = columns.at_once(&times.busy);
    let mut table = Table::new(caption, &["#from", "#ok", "#not ok", "#a second", "#at once"]);
    for index in 0..columns.count {
        let all = ok[index] + not_ok[index];
        let a_second = all / columns.length(index);
        table.rows.push(vec![
            Cell::number(columns.start(index), index as f64),
            Cell::number(words::count(ok[index] as u64), ok[index]),
            Cell::number(words::count(not_ok[index] as u64), not_ok[index]),
            Cell::number(words::rate(a_second), a_second),
            Cell::number(format!("{:.1}", busy[index]), busy[index]),
        ]);
    }
    table
}

fn in_flight(report: &RunReport, times: &Times) -> Block {
    let columns = Columns::of(times, COLUMNS);
    let busy = columns.at_once(&times.busy);
    let slots = slots_of(report);
    let highest = busy.iter().copied().fold(0.0, f64::max);
    let scale = Scale::whole(highest.max(slots.unwrap_or(0) as f64));
    let what = counted(report);
    let label = format!(
        "How many {what} ran at once, over {}; at most {highest:.1}",
        words::seconds(columns.length_of_all())
    );
    let mut chart = Chart::new(&label, 150.0);
    chart.grid(&scale);
    let parts: Vec<f64> = busy.iter().map(|value| scale.part(*value)).collect();
    let mut paths =
        format!(r#"<path class="area" d="{}"/>"#, area::steps(&[], &parts, chart.height()));
    let mut legend = vec![("m-area", format!("{what} in flight"))];
    if let Some(slots) = slots {
        let y = short(chart.height() * (1.0 - scale.part(slots as f64)));
        let _ = write!(paths, r#"<path class="line rule" d="M0 {y}H1000"/>"#);
        legend.push(("m-rule", words::things(slots, "slot")));
    }
    chart.stretched(&paths);
    chart.bottom(&Scale::elapsed(columns.length_of_all()));
    Block::Chart(Figure {
        title: format!("In flight: {what} that ran at once"),
        legend,
        drawing: chart.finish(),
        table: throughput_table(
            times,
            format!("How many {what} ran at once, and how many ended, from each time on"),
        ),
    })
}

/// The number of slots, by the summary or, without one, by the rows.
pub fn slots_of(report: &RunReport) -> Option<u64> {
    let summary = report.summary.as_ref().and_then(|row| row.integer("concurrency"));
    let highest = report.slot_times().highest_slot;
    summary.or(Some(highest).filter(|highest| *highest > 0 && !report.is_shared_out()))
}

const LINES: [(&str, &str); 4] =
    [("m-line", ""), ("m-two", "two"), ("m-three", "three"), ("m-four", "four")];

fn stages_in_flight(report: &RunReport, times: &Times) -> Block {
    let columns = Columns::of(times, COLUMNS);
    let stages = || report.columns.stages.iter().zip(&times.tracks).take(LINES.len());
    let series: Vec<Vec<f64>> = stages().map(|(_, track)| columns.at_once(track)).collect();
    let highest = series.iter().flatten().copied().fold(0.0, f64::max);
    let scale = Scale::whole(highest);
    let label = format!(
        "How many tasks each stage had in flight, over {}; at most {highest:.1}",
        words::seconds(columns.length_of_all())
    );
    let mut chart = Chart::new(&label, 150.0);
    chart.grid(&scale);
    let (mut paths, mut legend) = (String::new(), Vec::new());
    for (((stage, _), values), (mark, class)) in stages().zip(&series).zip(LINES) {
        let middle = |index: usize| (index as f64 + 0.5) / columns.count as f64;
        let points = values.iter().enumerate();
        let points: Vec<_> =
            points.map(|(index, value)| Some((middle(index), scale.part(*value)))).collect();
        let path = area::line(&points, chart.height());
        let _ = write!(paths, r#"<path class="line {class}" d="{path}"/>"#);
        legend.push((mark, stage.name.clone()));
    }
    chart.stretched(&paths);
    chart.bottom(&Scale::elapsed(columns.length_of_all()));
    let rows = Columns::of(times, ROWS);
    let tracks: Vec<Vec<f64>> = times.tracks.iter().map(|track| rows.at_once(track)).collect();
    let names = report.columns.stages.iter().zip(&tracks);
    let heads: Vec<String> = std::iter::once("#from".to_owned())
        .chain(names.map(|(stage, _)| format!("#{}", stage.name)))
        .collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut table = Table::new("Tasks in flight in each stage, from each time on", &heads);
    for index in 0..rows.count {
        let mut row = vec![Cell::number(rows.start(index), index as f64)];
        row.extend(
            tracks.iter().map(|track| Cell::number(format!("{:.1}", track[index]), track[index])),
        );
        table.rows.push(row);
    }
    Block::Chart(Figure {
        title: "In flight, by stage".into(),
        legend,
        drawing: chart.finish(),
        table,
    })
}

/// What each slot did; `None` where there is one only, or too many.
fn slots(report: &RunReport, times: &Times) -> Option<Section> {
    if times.slots.len() < 2 {
        return None;
    }
    let columns = Columns::of(times, COLUMNS);
    let length = columns.length_of_all();
    let window = (columns.from, columns.from + (length * 1e6) as i64);
    let busy: u64 = times.slots.iter().map(|slot| slot.busy).sum();
    let share = busy as f64 / 1e9 / (length * times.slots.len() as f64);
    let label = format!(
        "What each of {} slots did over {}: busy for {} of the time",
        times.slots.len(),
        words::seconds(length),
        words::percent(share)
    );
    let describe = |bar: &Bar| {
        format!(
            "slot {}, task {} ({}): {}, {}",
            bar.slot,
            bar.task,
            bar.label,
            bar.status.name(),
            words::seconds((bar.end - bar.start) as f64 / 1e6)
        )
    };
    let drawing = lanes::draw(&label, times, window, describe);
    let legend = match &times.bars {
        Some(bars) => Status::ALL
            .into_iter()
            .filter(|status| bars.iter().any(|bar| bar.status == *status))
            .map(|status| (words::status_class(status), status.name().to_owned()))
            .collect(),
        None => vec![
            ("m-shade1", "busy up to 20 %".to_owned()),
            ("m-shade3", "up to 60 %".to_owned()),
            ("m-shade5", "over 80 %".to_owned()),
        ],
    };
    let caption = "What each slot did";
    let mut table = Table::new(caption, &["#slot", "#ran", "#busy", "#share of the time"]);
    for (index, slot) in times.slots.iter().enumerate() {
        let seconds = slot.busy as f64 / 1e9;
        table.rows.push(vec![
            Cell::number((index + 1).to_string(), index as f64),
            Cell::number(words::count(slot.attempts), slot.attempts as f64),
            Cell::number(words::seconds(seconds), seconds),
            Cell::number(words::percent(seconds / length), seconds),
        ]);
    }
    let kind = match &times.bars {
        Some(_) if report.attempts.is_some() => "Each bar is an attempt.",
        Some(_) => "Each bar is a task.",
        None => "The darker, the busier.",
    };
    let title = format!("{}, one line each", words::things(times.slots.len() as u64, "slot"));
    Some(Section {
        id: "slots",
        title: "Slots".into(),
        text: kind.into(),
        blocks: vec![Block::Chart(Figure { title, legend, drawing, table })],
        is_wide: true,
    })
}

/// What happened when, as numbers.
#[derive(Debug, Default)]
pub struct Series {
    /// When each part of the time starts, in seconds since the first.
    pub from: Vec<f64>,
    /// How many ended ok in it.
    pub ok: Vec<f64>,
    /// How many ended otherwise.
    pub not_ok: Vec<f64>,
    /// How many ran at once.
    pub at_once: Vec<f64>,
}

/// What happened when, as numbers; empty if nothing has started.
pub fn series(report: &RunReport) -> Series {
    let times = report.times();
    if times.range.is_none() {
        return Series::default();
    }
    let columns = Columns::of(times, ROWS);
    Series {
        from: (0..columns.count).map(|index| index as f64 * columns.width).collect(),
        ok: columns.sums(&times.ok),
        not_ok: columns.sums(&times.not_ok),
        at_once: columns.at_once(&times.busy),
    }
}

/// How many ran at once, for each of equal parts of the time.
pub fn at_once(times: &Times) -> Vec<f64> {
    let columns = Columns::of(times, COLUMNS);
    columns.at_once(&times.busy)
}
