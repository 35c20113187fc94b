//! The files of a comparison: `<job>.compare.csv`, a row for each model and level, and `<job>.rounds.csv`, a row for each
//! run.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::base::diagnostic::reason;
use crate::base::median;
use crate::csv::TimestampReader;
use crate::model::usl::{Fit, Point};
use crate::view::read::figures;
use crate::view::read::files::Files;
use crate::view::read::rows::{End, Rows};

/// Up to so many rows are read: no comparison has more.
const MOST: usize = 10_000;

/// What the reason of a comparison says where not all tasks ran because enough of them were ok.
pub const ENOUGH: &str = "each run ended when enough tasks were ok";

/// The columns of a comparison that have numbers.
const NUMBERS: [&str; 14] = [
    "concurrency",
    "rounds",
    "tasks",
    "ok",
    "wall_median_s",
    "wall_low_s",
    "wall_high_s",
    "startup_s",
    "tasks_per_s",
    "speedup",
    "speedup_low",
    "speedup_high",
    "cpu_s",
    "peak_rss_bytes",
];

/// Those of its rounds.
const ROUND_NUMBERS: [&str; 6] = ["round", "concurrency", "tasks", "ok", "wall_s", "startup_s"];

/// What a comparison found.
#[derive(Debug)]
pub struct ComparisonReport {
    /// The job.
    pub job: String,
    /// The file that was read.
    pub file: PathBuf,
    /// What was compared; not empty.
    pub contenders: Vec<Contender>,
    /// All runs, in the order in which they ran.
    pub rounds: Vec<Round>,
    /// What makes the result less reliable than it looks.
    pub warnings: Vec<String>,
    /// Why the files are not whole; empty if they are.
    pub cuts: Vec<String>,
}

/// A model at a level of concurrency.
#[derive(Clone, Debug)]
pub struct Contender {
    /// The model.
    pub model: String,
    /// How many tasks at once.
    pub concurrency: u64,
    /// How many tasks, and how many of them were ok in the worst round.
    pub tasks: (u64, u64),
    /// How many rounds.
    pub rounds: u64,
    /// The median wall time, in seconds.
    pub wall: f64,
    /// Where it lies, for 95 of 100.
    pub range: Option<(f64, f64)>,
    /// The start-up time, in seconds.
    pub startup: f64,
    /// Tasks per second.
    pub rate: f64,
    /// How many times as fast as `sequential`.
    pub speedup: Option<f64>,
    /// Where that lies.
    pub speedup_range: Option<(f64, f64)>,
    /// Processor time, in seconds.
    pub cpu: Option<f64>,
    /// Peak memory, in bytes.
    pub peak: Option<u64>,
    /// Whether its results are those of the others.
    pub is_same: bool,
    /// Whether it is recommended.
    pub is_best: bool,
    /// Why, or why not.
    pub reason: String,
}

impl Contender {
    /// What it is called: `threads at 8`.
    pub fn name(&self) -> String {
        format!("{} at {}", self.model, self.concurrency)
    }

    /// Whether its figures are those of these runs: as many, with the same median.
    fn is_of(&self, rounds: &[Round]) -> bool {
        /// What is lost where another program writes a number, or a sample is scaled up.
        const NEAR: f64 = 0.01;
        let its =
            |round: &&Round| (&round.model, round.concurrency) == (&self.model, self.concurrency);
        let walls: Vec<f64> = rounds.iter().filter(its).map(|round| round.whole(self)).collect();
        let is_all = walls.len() as u64 == self.rounds;
        let is_near = |wall: f64| (wall - self.wall).abs() <= NEAR * self.wall;
        self.rounds == 0 || is_all && is_near(median(&walls))
    }
}

/// A run.
#[derive(Clone, Debug)]
pub struct Round {
    /// Its number, from 1.
    pub number: u64,
    /// The model.
    pub model: String,
    /// How many tasks at once.
    pub concurrency: u64,
    /// How many tasks, and how many of them were ok.
    pub tasks: (u64, u64),
    /// The wall time, in seconds.
    pub wall: f64,
    /// The part of it before the pool was ready.
    pub startup: f64,
    /// When it started, in microseconds since 1970.
    pub started: Option<i64>,
    /// Whether it is far from the others.
    pub is_outlier: bool,
}

impl Round {
    /// The time that all tasks would have taken, if only a sample of them ran: start-up counts once.
    pub fn whole(&self, contender: &Contender) -> f64 {
        if self.tasks.0 == 0 || self.tasks.0 == contender.tasks.0 {
            return self.wall;
        }
        let scale = contender.tasks.0 as f64 / self.tasks.0 as f64;
        self.startup + (self.wall - self.startup) * scale
    }
}

/// A row by its columns.
struct Named(HashMap<String, String>);

impl Named {
    fn text(&self, column: &str) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }

    fn seconds(&self, column: &str) -> Option<f64> {
        figures::nanos(self.text(column).as_bytes()).map(|nanos| nanos as f64 / 1e9)
    }

    fn integer(&self, column: &str) -> Option<u64> {
        figures::integer(self.text(column).as_bytes())
    }

    fn number(&self, column: &str) -> Option<f64> {
        figures::number(self.text(column).as_bytes())
    }

    fn is_yes(&self, column: &str) -> Option<bool> {
        figures::is_yes(self.text(column))
    }

    /// The columns whose cells cannot be read, of those that have numbers, and of those that say yes or no.
    fn unreadable<'a>(&self, numbers: &[&'a str], answers: &[&'a str]) -> Vec<&'a str> {
        let is_strange = |name: &&&str| !self.text(name).is_empty() && self.number(name).is_none();
        let strange = numbers.iter().filter(is_strange);
        strange.chain(answers.iter().filter(|name| self.is_yes(name).is_none())).copied().collect()
    }

    /// Whether the cell of a column that is there has been left empty.
    fn is_unsettled(&self, column: &str) -> bool {
        self.0.get(column).is_some_and(String::is_empty)
    }

    fn range(&self, low: &str, high: &str) -> Option<(f64, f64)> {
        self.number(low).zip(self.number(high))
    }

    fn contender(&self) -> Option<Contender> {
        let tasks = self.integer("tasks")?;
        Some(Contender {
            model: self.text("model").to_owned(),
            concurrency: self.integer("concurrency")?,
            tasks: (tasks, self.integer("ok").unwrap_or(tasks)),
            rounds: self.integer("rounds").unwrap_or(0),
            wall: self.seconds("wall_median_s")?,
            range: self.range("wall_low_s", "wall_high_s"),
            startup: self.seconds("startup_s").unwrap_or(0.0),
            rate: self.number("tasks_per_s").unwrap_or(0.0),
            speedup: self.number("speedup"),
            speedup_range: self.range("speedup_low", "speedup_high"),
            cpu: self.seconds("cpu_s"),
            peak: self.integer("peak_rss_bytes"),
            is_same: self.text("same_results").is_empty()
                || self.is_yes("same_results") != Some(false),
            is_best: self.is_yes("recommended") == Some(true),
            reason: self.text("reason").to_owned(),
        })
    }

    fn round(&self) -> Option<Round> {
        let tasks = self.integer("tasks")?;
        Some(Round {
            number: self.integer("round")?,
            model: self.text("model").to_owned(),
            concurrency: self.integer("concurrency")?,
            tasks: (tasks, self.integer("ok").unwrap_or(tasks)),
            wall: self.seconds("wall_s")?,
            startup: self.seconds("startup_s").unwrap_or(0.0),
            started: TimestampReader::default().micros(self.text("started_utc").as_bytes()),
            is_outlier: self.is_yes("outlier") == Some(true),
        })
    }
}

impl ComparisonReport {
    /// Reads the files of a comparison.
    ///
    /// # Errors
    /// If there is none that can be read.
    pub fn read(files: &Files) -> Result<Self, String> {
        let shown = files.main.display();
        let mut cuts = Vec::new();
        let rows = read(&files.main, &mut cuts)
            .map_err(|why| format!("`{shown}` is not a comparison: {why}"))?;
        let contenders: Vec<_> = rows.iter().filter_map(Named::contender).collect();
        if contenders.len() < rows.len() {
            cuts.push(format!(
                "{} rows are not as the runner wrote them",
                rows.len() - contenders.len()
            ));
        }
        if contenders.is_empty() {
            return Err(format!("`{shown}` is not a comparison: it has no row that can be read"));
        }
        note_unreadable(&rows, &NUMBERS, &["same_results", "recommended"], &mut cuts);
        let warnings = rows.iter().flat_map(|row| row.text("warnings").lines());
        let warnings = warnings.map(str::to_owned).collect();
        let path = files.beside(&format!("{}.rounds.csv", files.job));
        let rounds = match read(&path, &mut cuts) {
            Ok(rows) => {
                note_unreadable(&rows, &ROUND_NUMBERS, &["outlier"], &mut cuts);
                let rounds: Vec<_> = rows.iter().filter_map(Named::round).collect();
                let is_open = rows.iter().any(|row| row.is_unsettled("outlier"));
                if !is_open && contenders.iter().all(|contender| contender.is_of(&rounds)) {
                    rounds
                } else {
                    cuts.push(format!(
                        "the single runs are not shown: `{}` is of another comparison{}",
                        path.display(),
                        if is_open { ", which did not end" } else { "" }
                    ));
                    Vec::new()
                }
            }
            Err(why) => {
                cuts.push(format!("the single runs are not shown: `{}`: {why}", path.display()));
                Vec::new()
            }
        };
        Ok(Self {
            job: files.job.clone(),
            file: files.main.clone(),
            contenders,
            rounds,
            warnings,
            cuts,
        })
    }

    /// The recommended contender, or the fastest if none is.
    pub fn best(&self) -> &Contender {
        let fastest =
            || self.contenders.iter().min_by(|one, other| one.wall.total_cmp(&other.wall));
        let best = self.contenders.iter().find(|contender| contender.is_best).or_else(fastest);
        best.expect("there is a contender")
    }

    /// The runs of a contender.
    pub fn runs<'a>(&'a self, of: &'a Contender) -> impl Iterator<Item = &'a Round> {
        self.rounds
            .iter()
            .filter(|round| (&round.model, round.concurrency) == (&of.model, of.concurrency))
    }

    /// The models that were measured at three levels or more, with their contenders and the law's fit.
    pub fn sweeps(&self) -> Vec<(&str, Vec<&Contender>, Option<Fit>)> {
        let mut sweeps: Vec<(&str, Vec<&Contender>)> = Vec::new();
        for contender in &self.contenders {
            match sweeps.iter_mut().find(|(model, _)| *model == contender.model) {
                Some((_, levels)) => levels.push(contender),
                None => sweeps.push((&contender.model, vec![contender])),
            }
        }
        sweeps.retain(|(_, levels)| levels.len() >= 3);
        let point = |contender: &&Contender| Point {
            level: contender.concurrency as f64,
            throughput: contender.rate,
        };
        sweeps
            .into_iter()
            .map(|(model, mut levels)| {
                levels.sort_by_key(|contender| contender.concurrency);
                let points: Vec<_> =
                    levels.iter().map(point).filter(|point| point.throughput > 0.0).collect();
                (model, levels, Fit::of(&points))
            })
            .collect()
    }
}

/// Says which columns have cells that cannot be read: what these say is missing.
fn note_unreadable(rows: &[Named], numbers: &[&str], answers: &[&str], cuts: &mut Vec<String>) {
    let mut found: Vec<_> = rows.iter().flat_map(|row| row.unreadable(numbers, answers)).collect();
    found.sort_unstable();
    found.dedup();
    for name in found {
        cuts.push(format!(
            "cells of `{name}` cannot be read (another program may have changed them): what they say is missing"
        ));
    }
}

/// The rows of the file at `path`, by column. What is cut at its end is said.
fn read(path: &Path, cuts: &mut Vec<String>) -> Result<Vec<Named>, String> {
    let file = File::open(path).map_err(|error| reason(&error))?;
    let rows = Rows::open(file).map_err(|error| reason(&error))?;
    let mut rows = rows.ok_or("it is empty")?;
    let names = rows.names().to_vec();
    if names.first().map(String::as_str) != Some("job") {
        return Err("its header does not start with `job`".into());
    }
    let mut found = Vec::new();
    while let Some((row, end)) = rows.next().map_err(|error| reason(&error))? {
        if end == End::Cut && row.len() < names.len() {
            cuts.push(format!("`{}` is cut after {} rows", path.display(), found.len()));
            break;
        }
        if found.len() == MOST {
            return Err(format!("it has more than {MOST} rows"));
        }
        if !row.is_blank() {
            found.push(Named(names.iter().cloned().zip(row.texts()).collect()));
        }
    }
    Ok(found)
}
