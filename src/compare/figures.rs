//! The figures of a contender's runs: one row of `<job>.compare.csv`, without the advice.

use std::collections::HashMap;
use std::time::Duration;

use crate::base::median;
use crate::compare::contenders::{Contender, Subject};
use crate::compare::run::Run;
use crate::compare::stats;
use crate::compare::stats::Estimate;
use crate::compare::variant::Variant;
use crate::job::Stage;
use crate::model::{Model, Nature};

/// What was measured of one variant of a job. Times are in seconds and for the whole job: for a sample, start-up counts
/// once and the rest is scaled to all tasks that the sample stands for.
#[derive(Clone, Debug)]
pub struct Figures {
    pub variant: Variant,
    /// Another variant that does exactly the same.
    pub same_as: Option<Variant>,
    /// How many tasks at once, in all stages together.
    pub concurrency: usize,
    /// Each round's number and its wall time.
    pub walls: Vec<(u32, f64)>,
    /// Tasks of the whole job.
    pub tasks: u64,
    /// How many of them were ok in the run with the fewest.
    pub ok: u64,
    /// How many of them ended by themselves in the run with the fewest.
    pub ended: u64,
    /// Whether every run did all that it was to do: all tasks are ok, or as many as are enough.
    pub is_done: bool,
    pub wall: Estimate,
    /// The median wall time as it was measured, not scaled from a sample.
    pub measured: f64,
    /// The median of the part of `wall` before the pool was ready.
    pub startup: f64,
    /// How many times as fast as the model `sequential`, if that was measured.
    pub speedup: Option<Estimate>,
    /// The median processor time of all tasks together.
    pub cpu: Option<f64>,
    /// The part of their run time that tasks spend on a processor.
    pub cpu_share: Option<f64>,
    /// The highest peak memory, in bytes.
    pub peak_rss: Option<u64>,
    /// The p50 and the p99 of the run times of single tasks, each as the median over the runs.
    pub run_times: Option<(f64, f64)>,
    /// Whether every run gave the same results as most runs of all variants.
    pub same_results: bool,
    /// Whether its own runs gave different results.
    pub varies: bool,
    /// The first task whose result differed from that of the first run.
    pub differs_at: Option<u64>,
    /// Standard deviation of the wall times, as a part of their mean.
    pub deviation: Option<f64>,
    /// Rounds whose wall times are outliers.
    pub outliers: Vec<u32>,
    /// How long computations held the event loop, as a part of the wall time.
    pub held: f64,
    /// The message of the first failure.
    pub failure: Option<String>,
}

impl Figures {
    /// Whether all of its runs, of which there are several, gave the same results.
    pub fn repeats(&self) -> bool {
        self.walls.len() > 1 && !self.varies
    }

    /// Tasks that ended per second of wall time.
    pub fn tasks_per_second(&self) -> f64 {
        self.ended as f64 / self.wall.value
    }

    /// The speed-up per slot.
    pub fn efficiency(&self) -> Option<f64> {
        self.speedup.map(|speedup| speedup.value / self.concurrency as f64)
    }

    /// `threads at 4`.
    pub fn name(&self) -> String {
        format!("{} at {}", self.variant, self.concurrency)
    }

    /// The ratio of this one's times to those of `other`, paired by round.
    pub fn ratio_to(&self, other: &Figures, seed: u64) -> Option<Estimate> {
        stats::ratio(&pairs(&self.walls, &other.walls), seed)
    }
}

/// The figures of every contender that was measured.
pub fn of(subject: &Subject, seed: u64) -> Vec<Figures> {
    let usual = usual_results(subject);
    let mut figures: Vec<Figures> = subject
        .contenders
        .iter()
        .filter(|contender| !contender.runs.is_empty())
        .map(|contender| of_contender(subject, contender, usual, seed))
        .collect();
    if let Some(baseline) = baseline(&figures).cloned() {
        for figures in &mut figures {
            // Times compare only where the same was done.
            let is_whole = |figures: &Figures| figures.is_done || figures.ended == figures.tasks;
            if is_whole(&baseline) && is_whole(figures) {
                figures.speedup = baseline.ratio_to(figures, seed);
            }
        }
    }
    figures
}

/// The figures of the model `sequential`, if that was measured.
pub fn baseline(figures: &[Figures]) -> Option<&Figures> {
    figures.iter().find(|figures| figures.variant == Variant::Under(Model::Sequential))
}

fn of_contender(subject: &Subject, contender: &Contender, usual: u64, seed: u64) -> Figures {
    let runs = &contender.runs;
    let walls: Vec<(u32, f64)> = runs.iter().map(|run| (run.round, subject.seconds(run))).collect();
    let seconds: Vec<f64> = walls.iter().map(|&(_, wall)| wall).collect();
    let wall = stats::estimate(&seconds, seed);
    let worst = runs.iter().min_by_key(|run| run.ok).expect("there is a run");
    let whole = |count: u64| (count as f64 * subject.scale).round() as u64;
    let ok = if worst.ok == worst.tasks {
        whole(worst.ok)
    } else {
        whole(worst.ok).min(whole(worst.tasks) - 1)
    };
    Figures {
        variant: contender.variant,
        same_as: same_as(subject, contender),
        concurrency: contender.concurrency(),
        tasks: whole(worst.tasks),
        ok,
        is_done: runs.iter().all(|run| run.is_done),
        ended: whole(runs.iter().map(|run| run.ended).min().unwrap_or(worst.tasks)),
        wall,
        measured: median_of(runs, |run| Some(run.wall)).unwrap_or(0.0),
        startup: median_of(runs, |run| Some(run.startup)).unwrap_or(0.0),
        speedup: None,
        cpu: median_of(runs, |run| run.cpu).map(|cpu| cpu * subject.scale),
        cpu_share: median_of(runs, |run| run.cpu)
            .zip(median_of(runs, |run| run.running).filter(|&running| running > 0.0))
            .map(|(cpu, running)| (cpu / running).min(1.0)),
        peak_rss: runs.iter().filter_map(|run| run.peak_rss).max(),
        run_times: median_of(runs, |run| Some(run.run_times?.0))
            .zip(median_of(runs, |run| Some(run.run_times?.1))),
        same_results: results(runs).all(|hash| hash == usual),
        varies: vary(runs),
        differs_at: runs.iter().filter_map(|run| run.differs_at).min(),
        deviation: stats::relative_deviation(&seconds),
        outliers: stats::outliers(&seconds).into_iter().map(|index| walls[index].0).collect(),
        held: median_of(runs, |run| Some(run.held)).unwrap_or(0.0) * subject.scale / wall.value,
        failure: runs.iter().find_map(|run| run.failure.clone()),
        walls,
    }
}

/// What runs gave, and the repeats of each.
fn results<'a>(runs: impl IntoIterator<Item = &'a Run>) -> impl Iterator<Item = u64> {
    runs.into_iter().flat_map(|run| run.results.iter().copied())
}

/// Whether not all of them gave the same.
fn vary(runs: &[Run]) -> bool {
    results(runs).any(|hash| hash != runs[0].results[0])
}

/// A command is a process already: under `processes` no worker is put in between, which makes it the same as `threads`.
fn same_as(subject: &Subject, contender: &Contender) -> Option<Variant> {
    let threads = Variant::Under(Model::Threads);
    let is_command = |stage: &Stage| stage.workload.nature() == Nature::Process;
    let is_there = || {
        let at_once = contender.concurrency();
        subject.contenders.iter().any(|it| it.variant == threads && it.concurrency() == at_once)
    };
    (contender.variant == Variant::Under(Model::Processes)
        && contender.job.stages.iter().all(is_command)
        && is_there())
    .then_some(threads)
}

/// The median of a time, in seconds, over the runs that have it.
fn median_of(runs: &[Run], time: impl Fn(&Run) -> Option<Duration>) -> Option<f64> {
    let times: Vec<f64> = runs.iter().filter_map(|run| Some(time(run)?.as_secs_f64())).collect();
    (!times.is_empty()).then(|| median(&times))
}

/// Whether results say something of a model: not if they vary where one task runs after another; without the model
/// `sequential`, not if they vary under most models.
pub fn tell_apart(figures: &[Figures]) -> bool {
    let repeating = figures.iter().filter(|figures| figures.repeats()).count();
    baseline(figures).map_or(2 * repeating > figures.len(), Figures::repeats)
}

/// The results that most runs gave, among the runs with the most ok tasks; on a tie, those of the simplest model. Runs under
/// models that do not repeat their results count only if there are no others.
fn usual_results(subject: &Subject) -> u64 {
    let repeats = |contender: &&Contender| {
        let runs = &contender.runs;
        runs.len() > 1 && !vary(runs)
    };
    let some_repeat = subject.contenders.iter().any(|contender| repeats(&contender));
    let counts = |contender: &&Contender| !some_repeat || repeats(contender);
    let all = || subject.contenders.iter().filter(counts).flat_map(|contender| &contender.runs);
    let most_ok = all().map(|run| run.ok).max().unwrap_or(0);
    let runs = || all().filter(|run| run.ok == most_ok);
    let mut counts: HashMap<u64, usize> = HashMap::new();
    results(runs()).for_each(|hash| *counts.entry(hash).or_default() += 1);
    let most = counts.values().max().copied().unwrap_or(0);
    results(runs()).find(|hash| counts[hash] == most).unwrap_or(0)
}

/// Times of the same rounds.
fn pairs(one: &[(u32, f64)], other: &[(u32, f64)]) -> Vec<(f64, f64)> {
    let other: HashMap<u32, f64> = other.iter().copied().collect();
    one.iter().filter_map(|(round, time)| Some((*time, *other.get(round)?))).collect()
}
