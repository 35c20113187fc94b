//! The rounds: warm-up, then rounds in which every contender runs once, in random order, until the schedule ends.

use indicatif::ProgressBar;

use crate::base::diagnostic::reason;
use crate::compare::contenders::Subject;
use crate::compare::run::{Bench, Stop};
use crate::compare::schedule::{Schedule, Spent};
use crate::compare::tables::Rounds;
use crate::compare::{advise, figures};
use crate::task::{Exit, Moment};

/// How a comparison is measured, beside its schedule.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Rounds before the first one that counts.
    pub warmup: u32,
    /// What the verdicts between rounds are computed with.
    pub seed: u64,
}

/// Measures all contenders of `subjects`. Every run is added to its subject and written to the subject's file at once.
///
/// # Errors
/// Why it ended early. What was measured until then stays.
pub fn measure(
    subjects: &mut [Subject],
    bench: &Bench<'_>,
    mut schedule: Schedule,
    Settings { warmup, seed }: Settings,
    files: &mut [Rounds],
) -> Result<(), Stop> {
    let all: Vec<(usize, usize)> = (0..subjects.len())
        .flat_map(|subject| {
            (0..subjects[subject].contenders.len()).map(move |index| (subject, index))
        })
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    let bar = ProgressBar::new_spinner(); // shown on a terminal only
    let began = Moment::now();
    for round in 1..=warmup {
        for index in schedule.order(all.len()) {
            let (subject, contender) = (&subjects[all[index].0], all[index].1);
            let contender = &subject.contenders[contender];
            show(
                &bar,
                format!("{}: warm-up {round} of {warmup}: {}", subject.job.name, contender.name()),
            );
            bench.run(contender, &mut None).inspect_err(|_| bar.finish_and_clear())?;
        }
    }
    let (before, measuring) = (began.elapsed(), Moment::now());
    let mut done = 0;
    while schedule.continues(done, Spent { before, rounds: measuring.elapsed() }, || {
        is_undecided(subjects, seed)
    }) {
        let round = done + 1;
        for (position, index) in (1..).zip(schedule.order(all.len())) {
            let (subject, file) = (&mut subjects[all[index].0], &mut files[all[index].0]);
            let contender = &mut subject.contenders[all[index].1];
            let planned = schedule.planned().map(|planned| format!(" of {}", planned.max(round)));
            let planned = planned.unwrap_or_default();
            show(
                &bar,
                format!("{}: round {round}{planned}: {}", subject.job.name, contender.name()),
            );
            let run = bench.run(contender, &mut subject.first_results);
            let mut run = run.inspect_err(|_| bar.finish_and_clear())?;
            (run.round, run.position) = (round, position);
            file.add(&subject.job.name, contender, &run).map_err(|error| {
                Stop::Failed(
                    format!("failed to write the rounds: {}", reason(&error)),
                    Exit::NotWritten,
                )
            })?;
            contender.runs.push(run);
        }
        done = round;
    }
    bar.finish_and_clear();
    Ok(())
}

/// Draws the bar: between runs only, never while something is measured.
fn show(bar: &ProgressBar, message: String) {
    bar.set_message(message);
    bar.tick();
}

/// Whether more rounds might lead to different advice.
fn is_undecided(subjects: &[Subject], seed: u64) -> bool {
    subjects.iter().any(|subject| advise::judge(&figures::of(subject, seed), seed).is_undecided)
}

/// The names of all jobs.
pub fn names(subjects: &[Subject]) -> String {
    subjects.iter().map(|subject| subject.job.name.as_str()).collect::<Vec<_>>().join(", ")
}
