//! The levels of concurrency that are worth measuring, for `-j auto`: 1, 2, 4 and so on, until it stops paying.

use std::time::Duration;

use crate::base::Diagnostics;
use crate::compare::CompareArgs;
use crate::compare::args::Levels;
use crate::compare::contenders::Subject;
use crate::compare::run::{Bench, Stop};
use crate::compare::variant::Variant;
use crate::config::Choices;
use crate::model::Model;
use crate::task::Exit;

/// A level pays if it saves this part of the time of the last one that did.
const PAYS: f64 = 0.05;
/// No level beyond this is tried.
const MOST: usize = 1024;
/// Levels that take at most this many times the time of the model's best one are measured in the rounds.
const NEAR: f64 = 1.15;

/// Runs `subject` at rising levels under each model, and adds the contenders that are worth more runs.
///
/// # Errors
/// Why measuring ends.
pub fn find(subject: &mut Subject, args: &CompareArgs, bench: &Bench<'_>) -> Result<(), Stop> {
    if args.concurrency != Some(Levels::Auto) {
        return Ok(());
    }
    for &model in args.models.0.iter().filter(|&&model| model != Model::Sequential) {
        let climbed = climb(|level| time(subject, args, bench, model, level))?;
        for level in worthwhile(&climbed) {
            let job = subject.settle(choices(args, model, level)).map_err(|wrong| bad(&wrong))?;
            subject.add(Variant::Under(model), job);
        }
    }
    Ok(())
}

fn choices(args: &CompareArgs, model: Model, level: usize) -> Choices {
    Choices { model: Some(model), concurrency: Some(level), limit: args.limit, resume: false }
}

fn bad(wrong: &Diagnostics) -> Stop {
    Stop::Failed(wrong.to_string(), Exit::Usage)
}

/// The time at a level; `None` if there are fewer tasks.
fn time(
    subject: &Subject,
    args: &CompareArgs,
    bench: &Bench<'_>,
    model: Model,
    level: usize,
) -> Result<Option<Duration>, Stop> {
    let job = subject.settle(choices(args, model, level)).map_err(|wrong| bad(&wrong))?;
    let has_tasks = job.inputs.tasks().is_none_or(|tasks| level == 1 || tasks > level as u64 / 2);
    if !has_tasks {
        return Ok(None);
    }
    bench.run(&Subject::contender(Variant::Under(model), job), &mut None).map(|run| Some(run.wall))
}

/// The times at 1, 2, 4 and so on, until two in a row have not paid.
fn climb(
    mut time: impl FnMut(usize) -> Result<Option<Duration>, Stop>,
) -> Result<Vec<(usize, Duration)>, Stop> {
    let mut climbed = Vec::new();
    let (mut best, mut in_vain) = (Duration::MAX, 0);
    let levels = std::iter::successors(Some(1), |level| Some(level * 2));
    for level in levels.take_while(|&level| level <= MOST) {
        let Some(wall) = time(level)? else { break };
        climbed.push((level, wall));
        if best == Duration::MAX || wall < best.mul_f64(1.0 - PAYS) {
            (best, in_vain) = (wall, 0);
        } else {
            in_vain += 1;
        }
        if in_vain == 2 {
            break;
        }
    }
    Ok(climbed)
}

/// The levels that one run leaves in question.
fn worthwhile(climbed: &[(usize, Duration)]) -> Vec<usize> {
    let best = climbed.iter().map(|(_, wall)| *wall).min().unwrap_or_default();
    let near = climbed.iter().filter(|(_, wall)| *wall <= best.mul_f64(NEAR));
    near.map(|(level, _)| *level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn climbed(at: impl Fn(usize) -> Option<u64>) -> Vec<(usize, Duration)> {
        climb(|level| Ok(at(level).map(Duration::from_millis))).unwrap()
    }

    #[test]
    fn it_climbs_until_it_stops_paying() {
        let scales_to = |most: usize| climbed(move |level| Some(1600 / level.min(most) as u64));
        let levels = |climbed: &[(usize, Duration)]| {
            climbed.iter().map(|(level, _)| *level).collect::<Vec<_>>()
        };
        assert_eq!(levels(&scales_to(1)), [1, 2, 4]);
        assert_eq!(levels(&scales_to(8)), [1, 2, 4, 8, 16, 32]);
        assert_eq!(worthwhile(&scales_to(8)), [8, 16, 32]);
        let few = climbed(|level| (level <= 4).then_some(1600 / level as u64));
        assert_eq!((levels(&few), worthwhile(&few)), (vec![1, 2, 4], vec![4]));
    }
}
