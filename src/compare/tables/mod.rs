//! The result of a comparison for people: a table, a bar chart, the advice, and how reliable it is.

mod chart;
mod files;

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};

pub use files::{Rounds, write};

use crate::compare::advise::Verdict;
use crate::compare::figures::Figures;
use crate::compare::stats::Estimate;
use crate::model::Model;
use crate::model::usl::{Fit, Peak, Trust};
use crate::report::terminal::columns::{self, Column};
use crate::report::terminal::progress::human_rate;
use crate::report::terminal::{escaped, human_duration, terminal_width};

/// The columns in the order in which a narrow terminal does without them: roughly from the right. Other results are said in
/// a warning, too.
const DISPENSABLE: [&str; 9] = [
    "results",
    "memory",
    "cpu",
    "efficiency",
    "start-up",
    "95 % interval",
    "tasks/s",
    "speed-up",
    "at once",
];

/// Those of the table of several jobs.
const DISPENSABLE_TOGETHER: [&str; 4] = ["tasks/s", "95 % interval", "at once", "model"];

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
        let _ = writeln!(out, "{}", self.table(terminal_width(false)));
        let width = terminal_width(false);
        out.push_str(&chart::bars(&self.figures, self.verdict.recommended, width));
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

    /// The table, in at most `width` columns of the terminal, if that is known.
    fn table(&self, width: Option<u16>) -> String {
        let column = |name, cell: &dyn Fn(&Figures) -> String| Column {
            name,
            cells: self.figures.iter().map(cell).collect(),
        };
        let time = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), human);
        let marks = (0..self.figures.len())
            .map(|index| if index == self.verdict.recommended { "→" } else { "" }.to_owned());
        let columns = vec![
            Column { name: "", cells: marks.collect() },
            column("model", &|figures| figures.variant.name().to_owned()),
            column("at once", &|figures| HumanCount(figures.concurrency as u64).to_string()),
            column("wall", &|figures| human(figures.wall.value)),
            column("95 % interval", &|figures| interval(figures.wall)),
            column("start-up", &|figures| human(figures.startup)),
            column("tasks/s", &|figures| human_rate(figures.tasks_per_second())),
            column("speed-up", &|figures| figures.speedup.map_or_else(|| "-".to_owned(), speedup)),
            column("efficiency", &|figures| {
                let part = figures.efficiency();
                part.map_or_else(|| "-".to_owned(), |part| format!("{:.0} %", part * 100.0))
            }),
            column("cpu", &|figures| time(figures.cpu)),
            column("memory", &|figures| {
                figures.peak_rss.map_or_else(|| "-".to_owned(), |peak| HumanBytes(peak).to_string())
            }),
            column("results", &|figures| {
                if figures.same_results { "same" } else { "other" }.to_owned()
            }),
        ];
        columns::fitting(columns, &DISPENSABLE, width)
    }
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
    let column = |name, cell: &dyn Fn(&Comparison) -> String| Column {
        name,
        cells: order.iter().map(|comparison| cell(comparison)).collect(),
    };
    let columns = vec![
        column("job", &|comparison| comparison.job.clone()),
        column("model", &|comparison| comparison.best().variant.name().to_owned()),
        column("at once", &|comparison| {
            HumanCount(comparison.best().concurrency as u64).to_string()
        }),
        column("wall", &|comparison| human(comparison.best().wall.value)),
        column("95 % interval", &|comparison| interval(comparison.best().wall)),
        column("tasks/s", &|comparison| human_rate(comparison.best().tasks_per_second())),
        column("relative to the fastest", &|comparison| {
            let ratio = comparison.best().ratio_to(fastest, comparison.seed);
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{} times", speedup(ratio)))
        }),
    ];
    let table = columns::fitting(columns, &DISPENSABLE_TOGETHER, terminal_width(false));
    format!("each job under its best model\n{table}\n")
}
