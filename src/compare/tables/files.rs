//! `results/<job>.compare.csv`, a row per model, and `results/<job>.rounds.csv`, a row per run.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::compare::contenders::{Contender, Subject};
use crate::compare::figures::Figures;
use crate::compare::run::Run;
use crate::compare::tables::Comparison;
use crate::csv::number::{seconds, thousandths};
use crate::csv::writer::is_formula;
use crate::csv::{Dialect, table_cell, table_writer, utc};
use crate::job::Job;
use crate::report::publish::replace;

/// The columns of `<job>.compare.csv`.
const COLUMNS: [&str; 23] = [
    "job",
    "model",
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
    "efficiency",
    "cpu_s",
    "peak_rss_bytes",
    "run_p50_s",
    "run_p99_s",
    "same_results",
    "recommended",
    "reason",
    "warnings",
];

/// The columns of `<job>.rounds.csv`.
const ROUND_COLUMNS: [&str; 15] = [
    "job",
    "round",
    "place",
    "model",
    "concurrency",
    "tasks",
    "ok",
    "wall_s",
    "startup_s",
    "cpu_s",
    "peak_rss_bytes",
    "run_p50_s",
    "run_p99_s",
    "started_utc",
    "outlier",
];

/// Writes `<job>.compare.csv`, replacing an older one, and returns its path.
///
/// # Errors
/// If it cannot be written.
pub fn write(results: &Path, comparison: &Comparison, dialect: Dialect) -> io::Result<PathBuf> {
    let path = results.join(format!("{}.compare.csv", comparison.job));
    replace(&path, |file| {
        let mut writer = table_writer(file, dialect)?;
        writer.write_record(COLUMNS)?;
        for index in 0..comparison.figures.len() {
            write_row(&mut writer, dialect, &row(comparison, index))?;
        }
        writer.flush()
    })?;
    Ok(path)
}

fn write_row(
    writer: &mut csv::Writer<impl io::Write>,
    dialect: Dialect,
    row: &[String],
) -> io::Result<()> {
    let cells = row.iter().map(|cell| table_cell(dialect, cell.as_bytes()));
    Ok(writer.write_record(cells)?)
}

fn row(comparison: &Comparison, index: usize) -> [String; COLUMNS.len()] {
    let figures: &Figures = &comparison.figures[index];
    let maybe = |value: Option<f64>, write: fn(f64) -> String| value.map(write).unwrap_or_default();
    let interval = figures.wall.interval;
    let speedup = figures.speedup;
    let speedup_interval = speedup.and_then(|speedup| speedup.interval);
    let reason = &comparison.verdict.reasons[index];
    let is_best = index == comparison.verdict.recommended;
    [
        comparison.job.clone(),
        figures.variant.name().into(),
        figures.concurrency.to_string(),
        figures.walls.len().to_string(),
        figures.tasks.to_string(),
        figures.ok.to_string(),
        time(figures.wall.value),
        maybe(interval.map(|interval| interval.low), time),
        maybe(interval.map(|interval| interval.high), time),
        time(figures.startup),
        thousandths(figures.tasks_per_second()),
        maybe(speedup.map(|speedup| speedup.value), thousandths),
        maybe(speedup_interval.map(|interval| interval.low), thousandths),
        maybe(speedup_interval.map(|interval| interval.high), thousandths),
        maybe(figures.efficiency(), thousandths),
        maybe(figures.cpu, time),
        figures.peak_rss.map(|peak| peak.to_string()).unwrap_or_default(),
        maybe(figures.run_times.map(|times| times.0), time),
        maybe(figures.run_times.map(|times| times.1), time),
        figures.same_results.to_string(),
        is_best.to_string(),
        safe(reason),
        // They are the whole comparison's, and stand in the one row that everybody looks at.
        if is_best { safe(&comparison.warnings.join("\n")) } else { String::new() },
    ]
}

fn safe(text: &str) -> String {
    if is_formula(text.as_bytes()) { format!("'{text}") } else { text.to_owned() }
}

/// Seconds with all their decimals.
fn time(value: f64) -> String {
    seconds(Duration::try_from_secs_f64(value).unwrap_or_default())
}

/// `<job>.rounds.csv` while it grows: what was measured is on disk even if the runner is killed.
#[derive(Debug)]
pub struct Rounds {
    path: PathBuf,
    dialect: Dialect,
    writer: csv::Writer<File>,
}

impl Rounds {
    /// Starts the file of `job`, replacing an older one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(job: &Job) -> io::Result<Self> {
        let dialect = job.shared_dialect();
        fs::create_dir_all(&job.results)?; // jobs that are compared together may have several
        let path = job.results.join(format!("{}.rounds.csv", job.name));
        let mut writer = table_writer(File::create(&path)?, dialect)?;
        writer.write_record(ROUND_COLUMNS)?;
        writer.flush()?;
        Ok(Self { path, dialect, writer })
    }

    /// Adds a run. Whether it is an outlier is not known yet.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, job: &str, contender: &Contender, run: &Run) -> io::Result<()> {
        write_row(&mut self.writer, self.dialect, &round(job, contender, run, None))?;
        self.writer.flush()
    }

    /// Rewrites all runs of `subject`, now with their outliers marked, and returns the path.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self, subject: &Subject, figures: &[Figures]) -> io::Result<PathBuf> {
        let is_outlier = |contender: &Contender, run: &Run| {
            let is_its = |figures: &&Figures| {
                (figures.variant, figures.concurrency)
                    == (contender.variant, contender.concurrency())
            };
            figures.iter().find(is_its).is_some_and(|figures| figures.outliers.contains(&run.round))
        };
        let mut runs: Vec<(&Contender, &Run)> = subject
            .contenders
            .iter()
            .flat_map(|contender| contender.runs.iter().map(move |run| (contender, run)))
            .collect();
        runs.sort_by_key(|(_, run)| (run.round, run.position));
        replace(&self.path, |file| {
            let mut writer = table_writer(file, self.dialect)?;
            writer.write_record(ROUND_COLUMNS)?;
            for (contender, run) in runs {
                let outlier = Some(is_outlier(contender, run));
                let row = round(&subject.job.name, contender, run, outlier);
                write_row(&mut writer, self.dialect, &row)?;
            }
            writer.flush()
        })?;
        Ok(self.path)
    }
}

fn round(
    job: &str,
    contender: &Contender,
    run: &Run,
    outlier: Option<bool>,
) -> [String; ROUND_COLUMNS.len()] {
    let maybe = |time: Option<Duration>| time.map(seconds).unwrap_or_default();
    [
        job.to_owned(),
        run.round.to_string(),
        run.position.to_string(),
        contender.variant.name().into(),
        contender.concurrency().to_string(),
        run.tasks.to_string(),
        run.ok.to_string(),
        seconds(run.wall),
        seconds(run.startup),
        maybe(run.cpu),
        run.peak_rss.map(|peak| peak.to_string()).unwrap_or_default(),
        maybe(run.run_times.map(|times| times.0)),
        maybe(run.run_times.map(|times| times.1)),
        utc(run.started),
        outlier.map(|outlier| outlier.to_string()).unwrap_or_default(),
    ]
}
