//! The result of a comparison for people: a table, a bar chart, the advice, and how reliable it is.

mod chart;
mod files;

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{HumanBytes, HumanCount};

pub use files::{Rounds, write};

use crate::compare::advise::Verdict;
use crate::compare::figures::Figures;
use crate::compare::stats::Estimate;
use crate::model::Model;
use crate::model::usl::{Fit, Peak, Trust};
use crate::report::terminal::progress::human_rate;
use crate::report::terminal::{escaped, human_duration};

/// What was measured of one job, and what follows from it.
#[derive(Debug)]
pub struct Comparison {
    /// The job's name.
    pub job: String,
    /// The figures of every variant that was run; not empty.
    pub figures: Vec<Figures>,
    /// Which is recommended, and why.
    pub verdict: Verdict,
    /// The fit of the Universal Scalability Law to each model that was measured at several levels.
    pub fits: Vec<(Model, Fit)>,
    /// What makes the result less reliable than it looks.
    pub warnings: Vec<String>,
    /// How many tasks were measured, if only a sample was.
    pub sample: Option<u64>,
    /// The seed, which repeats the order of its runs.
    pub seed: u64,
    /// Whether it was stopped early.
    pub is_partial: bool,
}

impl Comparison {
    /// The figures of the recommended variant.
    pub fn best(&self) -> &Figures {
        &self.figures[self.verdict.recommended]
    }

    /// The whole result, for a terminal.
    pub fn text(&self) -> String {
        let mut out = self.title();
        let _ = writeln!(out, "{}", self.table());
        out.push_str(&chart::bars(&self.figures, self.verdict.recommended));
        for (model, fit) in &self.fits {
            let _ = writeln!(out, "{model}: {}", scaling(fit));
        }
        let best = self.best();
        let reason = &self.verdict.reasons[self.verdict.recommended];
        let _ = writeln!(out, "recommended: {}: {}", best.name(), escaped(reason));
        out
    }

    /// The warnings, one per line, for standard error.
    pub fn warnings(&self) -> String {
        self.warnings.iter().fold(String::new(), |mut out, warning| {
            let _ = writeln!(out, "warning: {}: {}", self.job, escaped(warning));
            out
        })
    }

    fn title(&self) -> String {
        let tasks = HumanCount(self.best().tasks);
        let rounds = self.figures.iter().map(|figures| figures.walls.len()).max().unwrap_or(0);
        let plural = if rounds == 1 { "" } else { "s" };
        let mut title = format!(
            "{}: {tasks} tasks, {rounds} round{plural} in random order (seed {})",
            self.job, self.seed
        );
        if let Some(sample) = self.sample {
            let _ = write!(title, ", from a sample of {}", HumanCount(sample));
        }
        if self.is_partial {
            title.push_str("; PARTIAL: it was stopped early");
        }
        title.push('\n');
        title
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY).set_header([
            "",
            "model",
            "at once",
            "wall",
            "95 % interval",
            "start-up",
            "tasks/s",
            "speed-up",
            "efficiency",
            "cpu",
            "memory",
            "results",
        ]);
        for (index, figures) in self.figures.iter().enumerate() {
            let mark = if index == self.verdict.recommended { "→" } else { "" };
            table.add_row([vec![mark.to_owned()], cells(figures)].concat());
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.to_string()
    }
}

fn cells(figures: &Figures) -> Vec<String> {
    let time = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), human);
    vec![
        figures.variant.name().to_owned(),
        HumanCount(figures.concurrency as u64).to_string(),
        human(figures.wall.value),
        interval(figures.wall),
        human(figures.startup),
        human_rate(figures.tasks_per_second()),
        figures.speedup.map_or_else(|| "-".to_owned(), speedup),
        figures
            .efficiency()
            .map_or_else(|| "-".to_owned(), |part| format!("{:.0} %", part * 100.0)),
        time(figures.cpu),
        figures.peak_rss.map_or_else(|| "-".to_owned(), |peak| HumanBytes(peak).to_string()),
        if figures.same_results { "same" } else { "other" }.to_owned(),
    ]
}

fn interval(estimate: Estimate) -> String {
    estimate.interval.map_or_else(
        || "-".to_owned(),
        |interval| format!("{} to {}", human(interval.low), human(interval.high)),
    )
}

fn speedup(estimate: Estimate) -> String {
    match estimate.interval {
        Some(interval) => {
            format!("{:.2} ({:.2} to {:.2})", estimate.value, interval.low, interval.high)
        }
        None => format!("{:.2}", estimate.value),
    }
}

fn human(seconds: f64) -> String {
    human_duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// What the Universal Scalability Law says about a sweep.
fn scaling(fit: &Fit) -> String {
    let peak = match fit.peak() {
        Peak::At(peak) => format!(
            "throughput peaks at a concurrency of {}, with {}",
            peak.level,
            human_rate(peak.throughput)
        ),
        Peak::Below(limit) => {
            format!("throughput grows with every level, but stays below {}", human_rate(limit))
        }
        Peak::Nowhere => "throughput grows in proportion to the level".to_owned(),
    };
    let error = fit.error * 100.0;
    let trust = match fit.trust() {
        Trust::Measured => {
            format!(
                "the curve is {error:.1} % off the measured points, and the peak lies within them"
            )
        }
        Trust::Extrapolated => format!(
            "the curve is {error:.1} % off the measured points, but beyond a concurrency of {} it is a guess",
            fit.highest
        ),
        Trust::TooFewLevels => format!("{} levels fit any curve: measure four or more", fit.points),
        Trust::Poor => {
            format!("the curve is {error:.0} % off the measured points: do not trust it")
        }
    };
    format!(
        "contention {:.4}, coherency {:.6} (Universal Scalability Law): {peak}; {trust}",
        fit.contention, fit.coherency
    )
}

/// The table that compares several jobs, each under its best model.
pub fn together(comparisons: &[Comparison]) -> String {
    let mut order: Vec<&Comparison> = comparisons.iter().collect();
    order.sort_by(|one, other| one.best().wall.value.total_cmp(&other.best().wall.value));
    let Some(fastest) = order.first().map(|comparison| comparison.best()) else {
        return String::new();
    };
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header([
        "job",
        "model",
        "at once",
        "wall",
        "95 % interval",
        "tasks/s",
        "relative to the fastest",
    ]);
    for comparison in &order {
        let best = comparison.best();
        let ratio = best
            .ratio_to(fastest, comparison.seed)
            .map_or_else(|| "-".to_owned(), |ratio| format!("{} times", speedup(ratio)));
        table.add_row([
            comparison.job.clone(),
            best.variant.name().to_owned(),
            HumanCount(best.concurrency as u64).to_string(),
            human(best.wall.value),
            interval(best.wall),
            human_rate(best.tasks_per_second()),
            ratio,
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("each job under its best model\n{table}\n")
}
