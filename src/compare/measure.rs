//! The rounds: warm-up, then rounds in which every contender runs once, in random order, until the schedule ends.

use std::time::Duration;

use indicatif::ProgressBar;

use crate::base::diagnostic::reason;
use crate::compare::contenders::Subject;
use crate::compare::run::{Bench, Run, Stop};
use crate::compare::schedule::{Schedule, Shown, Spent};
use crate::compare::tables::Rounds;
use crate::compare::{advise, figures};
use crate::task::{Exit, Moment};

/// After this number of rounds, a contender that always took this many times the time of the fastest one is left out.
const PROBATION: u32 = 2;
const HOPELESS: f64 = 10.0;

/// How a comparison is measured, beside its schedule.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Rounds before the first one that counts.
    pub warmup: u32,
    /// What the verdicts between rounds are computed with.
    pub seed: u64,
}

/// Measures all contenders of `subjects`. Every run is added to its subject and written to the subject's file at once.
/// The comparison has taken `before` already.
///
/// # Errors
/// Why it ended early. What was measured until then stays.
pub fn measure(
    subjects: &mut [Subject],
    bench: &Bench<'_>,
    schedule: Schedule,
    settings: Settings,
    files: &mut [Rounds],
    before: Duration,
) -> Result<(), Stop> {
    let bar = ProgressBar::new_spinner(); // shown on a terminal only
    let mut rounds = Measuring { subjects, bench, schedule, files, bar };
    if rounds.standing().is_empty() {
        return Ok(());
    }
    let ended = rounds.measure(settings, before);
    rounds.bar.finish_and_clear();
    ended
}

/// A subject and one of its contenders, by their indices.
type Place = (usize, usize);

struct Measuring<'a, 'b> {
    subjects: &'a mut [Subject],
    bench: &'a Bench<'b>,
    schedule: Schedule,
    files: &'a mut [Rounds],
    bar: ProgressBar,
}

impl Measuring<'_, '_> {
    fn measure(
        &mut self,
        Settings { warmup, seed }: Settings,
        before: Duration,
    ) -> Result<(), Stop> {
        let began = Moment::now();
        let mut done = 0;
        for number in 1..=warmup {
            let runs = self.round(&format!("warm-up {number} of {warmup}"), None)?;
            // Where the budget has no room for many more, that was not in vain.
            if self.schedule.counts_warmup(before + began.elapsed()) {
                done = 1;
                runs.into_iter().try_for_each(|(place, run)| self.add(place, run))?;
                break;
            }
        }
        let (before, measuring) = (before + began.elapsed(), Moment::now());
        loop {
            let spent = Spent { before, rounds: measuring.elapsed(), next: self.expected() };
            if !self.schedule.continues(done, spent, || shown(self.subjects, seed)) {
                return Ok(());
            }
            done += 1;
            let planned = self.schedule.planned().map(|planned| planned.max(done));
            let of = planned.map(|planned| format!(" of {planned}")).unwrap_or_default();
            self.round(&format!("round {done}{of}"), Some(done))?;
            if done >= PROBATION {
                self.subjects.iter_mut().for_each(leave_out_hopeless);
            }
        }
    }

    /// The contenders that are still measured.
    fn standing(&self) -> Vec<Place> {
        let mut standing = Vec::new();
        for (subject, it) in self.subjects.iter().enumerate() {
            let contenders = it.contenders.iter().enumerate();
            let contenders = contenders.filter(|(_, contender)| !contender.is_out);
            standing.extend(contenders.map(|(index, _)| (subject, index)));
        }
        standing
    }

    /// What a round is expected to take: what the last runs of those that are in it took.
    fn expected(&self) -> Duration {
        let contenders = self.subjects.iter().flat_map(|subject| &subject.contenders);
        contenders.filter(|contender| !contender.is_out).map(|contender| contender.took).sum()
    }

    /// Runs every contender once, in random order. In a round with a number each run is added at once; else the runs are
    /// returned.
    fn round(&mut self, words: &str, number: Option<u32>) -> Result<Vec<(Place, Run)>, Stop> {
        let standing = self.standing();
        let order = self.schedule.order((0..standing.len()).collect());
        let mut forgotten = Vec::new();
        for (position, place) in (1..).zip(order.into_iter().map(|index| standing[index])) {
            let subject = &mut self.subjects[place.0];
            let contender = &mut subject.contenders[place.1];
            show(&self.bar, format!("{}: {words}: {}", subject.job.name, contender.name()));
            let began = Moment::now();
            let mut run = match number {
                Some(_) => self.bench.measure(contender, &mut subject.first_results)?,
                None => self.bench.run(contender, &mut None)?,
            };
            contender.took = began.elapsed();
            (run.round, run.position) = (number.unwrap_or(1), position);
            if number.is_some() {
                self.add(place, run)?;
            } else {
                forgotten.push((place, run));
            }
        }
        Ok(forgotten)
    }

    /// Adds a run to its contender and to the subject's file.
    fn add(&mut self, (subject, index): Place, run: Run) -> Result<(), Stop> {
        let (subject, file) = (&mut self.subjects[subject], &mut self.files[subject]);
        let contender = &mut subject.contenders[index];
        file.add(&subject.job.name, contender, &run).map_err(|error| {
            let message = format!("failed to write the rounds: {}", reason(&error));
            Stop::Failed(message, Exit::NotWritten)
        })?;
        contender.runs.push(run);
        Ok(())
    }
}

/// Leaves out what was far slower than the fastest contender that does as much, in every round so far: it will not be
/// recommended, and most of the time would be its.
fn leave_out_hopeless(subject: &mut Subject) {
    let wall = |run: &Run| run.wall;
    let most = subject.contenders.iter().flat_map(|it| &it.runs).map(|run| run.ok).max();
    let best = subject
        .contenders
        .iter()
        .filter(|it| !it.is_out && it.runs.iter().all(|run| run.is_done || Some(run.ok) == most))
        .filter_map(|it| it.runs.iter().map(wall).max())
        .min();
    let Some(best) = best else { return };
    for contender in &mut subject.contenders {
        let quickest = contender.runs.iter().map(wall).min();
        contender.is_out |= quickest.is_some_and(|wall| wall > best.mul_f64(HOPELESS));
    }
}

/// Draws the bar: between runs only, never while something is measured.
fn show(bar: &ProgressBar, message: String) {
    bar.set_message(message);
    bar.tick();
}

/// What the rounds so far have shown, of all subjects.
fn shown(subjects: &[Subject], seed: u64) -> Shown {
    let of = |subject: &Subject| advise::shown(&figures::of(subject, seed), seed);
    let all: Vec<Shown> = subjects.iter().map(of).collect();
    if all.contains(&Shown::Nothing) {
        Shown::Nothing
    } else if all.contains(&Shown::Enough) {
        Shown::Enough
    } else {
        Shown::Plainly
    }
}

/// The names of all jobs.
pub fn names(subjects: &[Subject]) -> String {
    subjects.iter().map(|subject| subject.job.name.as_str()).collect::<Vec<_>>().join(", ")
}
