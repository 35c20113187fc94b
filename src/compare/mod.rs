//! `runner compare`: measures each job under several models, in randomised, interleaved rounds, and recommends one.
//!
//! `contenders` holds what is compared: variants of each job (`variant`). `run` is one run; `schedule` decides how many
//! rounds there are and in which order contenders run; `levels` finds the levels of `-j auto`. `figures` sums up the runs by means of `stats` and `model::usl`;
//! `advise` judges them, `warnings` and `idle_check` say how reliable they are, and `apply` writes the advice into the
//! job file. `tables` has the tables, charts and files.

pub mod advise;
mod apply;
mod args;
pub mod contenders;
pub mod figures;
mod idle_check;
mod levels;
mod measure;
pub mod run;
mod schedule;
pub mod stats;
mod tables;
pub mod variant;
mod warnings;

pub use args::CompareArgs;

use crate::base::diagnostic::{complain, reason};
use crate::engine::control::Control;
use crate::launcher;
use crate::model::Model;
use crate::model::usl::{Fit, Point};
use crate::report::terminal;
use crate::task::{Exit, Moment};
use crate::view::ENOUGH;
use apply::{Advice, Reach};
use contenders::Subject;
use figures::Figures;
use run::{Bench, Stop};
use schedule::Schedule;
use tables::{Comparison, Rounds};
use variant::Variant;

/// Compares every job of `args` and prints the results.
pub fn run(args: &CompareArgs) -> Exit {
    let subjects = match contenders::read(args) {
        Ok(subjects) => subjects,
        Err(mistakes) => {
            mistakes.print();
            return Exit::Usage;
        }
    };
    if args.apply && !all_writable(&subjects) {
        return Exit::NotWritten;
    }
    launcher::raise_open_files();
    let control = match Control::start() {
        Ok(control) => control,
        Err(error) => {
            complain(format!("failed to handle signals: {error}"));
            return Exit::Internal;
        }
    };
    let Some(folder) = subjects.first().map(|subject| subject.job.results.clone()) else {
        return Exit::Nothing;
    };
    let bench = match Bench::new(&control, &folder, args.prepare.as_deref()) {
        Ok(bench) => bench,
        Err(message) => {
            complain(message);
            return Exit::NotWritten;
        }
    };
    if let Some(busy) = idle_check::is_busy() {
        terminal::warn(&busy);
    }
    let mut exits = Vec::new();
    for group in groups(subjects, args) {
        if bench.signal().is_some() {
            break;
        }
        compare(group, args, &bench, &mut exits);
    }
    exits.extend(bench.signal().map(Exit::Signal));
    Exit::of_jobs(&exits)
}

/// Checks that the job files can be written: better before an hour of measuring than after it.
fn all_writable(subjects: &[Subject]) -> bool {
    let mut is_writable = true;
    for subject in subjects {
        if let Err(refusal) = apply::check_writable(&subject.job.file) {
            complain(format!("--apply: {}", refusal.before(&subject.job.file)));
            is_writable = false;
        }
    }
    is_writable
}

/// The jobs that are measured in the same rounds: each by itself, or all of them.
fn groups(subjects: Vec<Subject>, args: &CompareArgs) -> Vec<Vec<Subject>> {
    if args.together {
        vec![subjects]
    } else {
        subjects.into_iter().map(|subject| vec![subject]).collect()
    }
}

/// Measures the jobs of a group together, and reports each.
fn compare(group: Vec<Subject>, args: &CompareArgs, bench: &Bench<'_>, exits: &mut Vec<Exit>) {
    let began = Moment::now();
    let mut subjects = Vec::new();
    for mut subject in group {
        match subject.size_up(args).and_then(|()| levels::find(&mut subject, args, bench)) {
            Ok(()) => subjects.push(subject),
            Err(stop) => exits.extend(say_stop(&subject.job.name, stop)),
        }
    }
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    let mut files = Vec::new();
    for subject in &subjects {
        match Rounds::create(&subject.job) {
            Ok(rounds) => files.push(rounds),
            Err(error) => {
                complain(format!(
                    "{}: failed to write the rounds: {}",
                    subject.job.name,
                    reason(&error)
                ));
                exits.push(Exit::NotWritten);
                return;
            }
        }
    }
    let schedule = Schedule::new(args.rounds, args.budget(), seed);
    let settings = measure::Settings { warmup: args.warmup, seed };
    let stop =
        measure::measure(&mut subjects, bench, schedule, settings, &mut files, began.elapsed());
    let stop = stop.err();
    let is_partial = stop.is_some();
    if let Some(stop) = stop {
        exits.extend(say_stop(&measure::names(&subjects), stop));
    }
    let mut comparisons = Vec::new();
    for (subject, rounds) in subjects.iter().zip(files) {
        let figures = figures::of(subject, seed);
        if figures.is_empty() {
            continue;
        }
        exits.push(if figures.iter().all(|figures| figures.is_done) {
            Exit::Ok
        } else {
            Exit::NotOk
        });
        let comparison = conclude(subject, figures, seed, is_partial);
        exits.extend(report(subject, &comparison, rounds, args));
        comparisons.push(comparison);
    }
    if args.together && comparisons.len() > 1 {
        terminal::say(&tables::together(&comparisons));
    }
}

/// Prints why measuring has ended; returns the exit code that it leads to.
fn say_stop(job: &str, stop: Stop) -> Option<Exit> {
    match stop {
        Stop::Signal(_) => None, // known already, and counts for all jobs
        Stop::Nothing => {
            complain(format!("{job}: nothing to run: the inputs are empty"));
            Some(Exit::Nothing)
        }
        Stop::Failed(message, exit) => {
            complain(format!("{job}: {message}"));
            Some(exit)
        }
    }
}

fn conclude(subject: &Subject, figures: Vec<Figures>, seed: u64, is_partial: bool) -> Comparison {
    let mut warnings = warnings::of(subject, &figures);
    let sample = subject.whole.map(|whole| (whole as f64 / subject.scale).round() as u64);
    let mut verdict = advise::judge(&figures, seed);
    warnings.extend(warnings::shared(subject, &figures[verdict.recommended]));
    let chosen = &mut verdict.reasons[verdict.recommended];
    if subject.job.stages.len() == 1
        && let Some(further) = advise::further_levels(&figures, verdict.recommended)
    {
        *chosen = format!("{chosen}; {further}");
    }
    if let Some(sample) = sample {
        *chosen = format!("{chosen}; estimated from {sample} of {} tasks", figures[0].tasks);
    }
    if figures.iter().any(|figures| figures.is_done && figures.ok < figures.tasks) {
        *chosen = format!("{chosen}; {ENOUGH}");
    }
    if is_partial {
        *chosen = format!("{chosen}; partial: the comparison was stopped early");
    }
    let fits = fits(&figures);
    let job = subject.job.name.clone();
    Comparison { job, figures, verdict, fits, warnings, sample, seed, is_partial }
}

/// The fit of the Universal Scalability Law to each model that was measured at three levels or more.
fn fits(figures: &[Figures]) -> Vec<(Model, Fit)> {
    Model::ALL
        .into_iter()
        .filter_map(|model| {
            let of_model =
                figures.iter().filter(|figures| figures.variant == Variant::Under(model));
            let points: Vec<Point> = of_model
                .map(|figures| Point {
                    level: figures.concurrency as f64,
                    throughput: figures.tasks_per_second(),
                })
                .collect();
            Some((model, Fit::of(&points)?))
        })
        .collect()
}

/// Prints a comparison, writes its files, and applies it if `--apply` is set. Returns the exit code of a failure.
fn report(
    subject: &Subject,
    comparison: &Comparison,
    rounds: Rounds,
    args: &CompareArgs,
) -> Option<Exit> {
    terminal::note(&comparison.warnings());
    terminal::say(&comparison.text());
    let rounds = rounds.finish(subject, &comparison.figures);
    let job = &subject.job;
    let written = tables::write(&job.results, comparison, job.shared_dialect())
        .and_then(|path| Ok((path, rounds?)));
    let exit = match written {
        Ok((path, rounds)) => {
            terminal::say(&format!("{}\n{}\n", path.display(), rounds.display()));
            None
        }
        Err(error) => {
            let folder = job.results.display();
            complain(format!(
                "{}: failed to write into `{folder}`: {}",
                comparison.job,
                reason(&error)
            ));
            Some(Exit::NotWritten)
        }
    };
    if !args.apply {
        return exit;
    }
    exit.or_else(|| apply_to(subject, comparison, args).err())
}

fn apply_to(subject: &Subject, comparison: &Comparison, args: &CompareArgs) -> Result<(), Exit> {
    let (job, file) = (&comparison.job, &subject.job.file);
    let best = comparison.best();
    let fault = [
        (comparison.is_partial, "the comparison was stopped early"),
        (!best.is_done, "not all tasks are ok"),
        (
            warnings::is_too_small(subject, &comparison.figures),
            "the sample does not fill the slots",
        ),
    ];
    if let Some((_, why)) = fault.into_iter().find(|(is_so, _)| *is_so) {
        complain(format!("{job}: --apply: {why}, so `{}` was not changed", file.display()));
        return Ok(()); // the exit code reports that already
    }
    let Variant::Under(model) = best.variant else {
        let file = file.display();
        terminal::say(&format!(
            "{job}: --apply: nothing to change: the job is fastest as `{file}` has it\n"
        ));
        return Ok(());
    };
    // A concurrency that the file sets, and that was not compared with others, stays as it is written there, unless the
    // command line has another one; that of a stage follows from its model if the file sets none.
    let is_needed = !subject.job.is_staged()
        && model != Model::Sequential
        && (args.concurrency.is_some() || args.sets_concurrency() || !subject.sets_concurrency());
    let concurrency = is_needed.then_some(best.concurrency);
    let reach = if subject.job.is_staged() { Reach::EveryStage } else { Reach::Job };
    let advice = Advice { model, concurrency, reach };
    match apply::apply(file, subject.raw.text(), advice) {
        Ok(true) => terminal::say(&format!("{job}: wrote {advice} to `{}`\n", file.display())),
        Ok(false) => {
            terminal::say(&format!("{job}: `{}` has these settings already\n", file.display()));
        }
        Err(refusal) => {
            complain(format!("{job}: --apply: {}", refusal.words(file, advice)));
            return Err(refusal.exit());
        }
    }
    Ok(())
}
