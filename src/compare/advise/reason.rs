//! Why a contender is recommended, or not, in words.

use super::{Choice, EQUAL, Judge};
use crate::compare::stats::{Estimate, Interval};
use crate::compare::variant::Variant;
use crate::model::Model;

/// Work that spends at least this part of its time on a processor computes; work that spends less than `WAITS` waits.
const COMPUTES: f64 = 0.8;
const WAITS: f64 = 0.2;

impl Judge<'_> {
    fn model(&self, index: usize) -> String {
        let figures = &self.figures[index];
        if self.is_sweep(index) { figures.name() } else { figures.variant.name().to_owned() }
    }

    /// Why this contender is recommended.
    pub(super) fn why(
        &self,
        Choice { recommended: index, best, fastest }: Choice,
        doubtful: Option<usize>,
        picks: &[usize],
    ) -> String {
        let figures = &self.figures[index];
        let mut parts = Vec::new();
        if best != fastest {
            let than = self.model(fastest);
            let ratio = self.ratio(best, fastest).map(part).unwrap_or_default();
            let besides = match figures.variant {
                Variant::AsWritten => "needs no change",
                Variant::Under(_) => "simpler",
            };
            parts.push(format!("as fast as {than} ({ratio} times its time), and {besides}"));
        } else if picks.len() == 1 {
            parts.push("the only model to choose from".into());
        } else if let Some(other) = self.faster_with_other_results(best, &self.fit()) {
            let ratio = self.ratio(other, best).map(part).unwrap_or_default();
            let name = self.model(other);
            let besides = match figures.variant {
                Variant::AsWritten => ", and needs no change",
                Variant::Under(model) if model == Model::ALL[0] => ", and the simplest",
                Variant::Under(_) => "",
            };
            parts.push(format!(
                "the fastest of those that do the same ({name}, which does not, took {ratio} times its time){besides}"
            ));
        } else if figures.variant == Variant::AsWritten {
            parts.push("the fastest, and needs no change".into());
        } else if figures.variant == Variant::Under(Model::ALL[0]) {
            parts.push("the fastest, and the simplest".into());
        } else {
            parts.push("the fastest".into());
        }
        if let Some(speedup) =
            figures.speedup.filter(|_| figures.variant != Variant::Under(Model::Sequential))
        {
            parts.push(format!("{} as fast as sequential", times(speedup)));
        }
        if let Some(doubtful) = doubtful {
            let ratio = self.ratio(doubtful, fastest).map(part).unwrap_or_default();
            let name = self.model(doubtful);
            parts.push(format!(
                "{name} may be as fast ({ratio} times its time): more rounds would show"
            ));
        }
        parts.extend(self.why_this_level(index, best));
        parts.extend(self.nature());
        parts.join("; ")
    }

    /// The fastest of those that are no choice, since their results are other ones, if it is faster than this one.
    fn faster_with_other_results(&self, best: usize, fit: &[usize]) -> Option<usize> {
        let is_faster =
            |other: &usize| self.ratio(*other, best).is_some_and(|ratio| ratio.value < EQUAL.low);
        let wall = |index: &usize| self.figures[*index].wall.value;
        let unfit = (0..self.figures.len()).filter(|index| !fit.contains(index));
        unfit.filter(is_faster).min_by(|one, other| wall(one).total_cmp(&wall(other)))
    }

    fn why_this_level(&self, index: usize, best: usize) -> Option<String> {
        let (chosen, best) = (self.figures[index].concurrency, self.figures[best].concurrency);
        (best != chosen)
            .then(|| format!("a concurrency of {best} is the fastest, and {chosen} is as fast"))
    }

    /// What the work spends its time on, as far as the sequential runs show it.
    fn nature(&self) -> Option<String> {
        let share = self.baseline()?.cpu_share?;
        let percent = (share * 100.0).round();
        match share {
            COMPUTES.. => Some(format!("the work computes (for {percent} % of its time)")),
            ..WAITS => Some(format!("the work waits (it computes for {percent} % of its time)")),
            _ => Some(format!(
                "the work computes and waits (it computes for {percent} % of its time)"
            )),
        }
    }

    /// Why this contender is not recommended.
    pub(super) fn why_not(
        &self,
        index: usize,
        recommended: usize,
        fit: &[usize],
        picks: &[usize],
    ) -> String {
        let figures = &self.figures[index];
        if !fit.contains(&index) {
            let most = self.figures[recommended].ok;
            return match figures.differs_at {
                _ if figures.ok < most && !figures.is_done => {
                    format!("only {} of {} tasks are ok", figures.ok, figures.tasks)
                }
                Some(task) if figures.varies => {
                    format!("its results differ from run to run, first at task {task}")
                }
                Some(task) => {
                    format!("results differ from those of most runs, first at task {task}")
                }
                None => "results differ from those of most runs".into(),
            };
        }
        if let Some(other) = figures.same_as {
            return format!("the same as {other}: a command is a process already");
        }
        let pick =
            picks.iter().copied().find(|&pick| self.figures[pick].variant == figures.variant);
        let than = match pick {
            Some(pick) if pick != index && figures.variant != self.figures[recommended].variant => {
                pick
            }
            _ => recommended,
        };
        let ratio = self.ratio(index, than);
        let Some(ratio) = ratio else { return "not measured in the same rounds".into() };
        let name = self.model(than);
        let span = ratio.span();
        let is_simpler = figures.variant.rank() < self.figures[than].variant.rank();
        if EQUAL.contains(span) && !is_simpler {
            let but = match self.figures[than].variant {
                variant if variant == figures.variant => "with a higher concurrency",
                Variant::AsWritten => "a change",
                Variant::Under(_) => "less simple",
            };
            format!("as fast as {name}, but {but}")
        } else if span.touches(EQUAL) {
            format!("about as fast as {name} ({} times its time)", part(ratio))
        } else if ratio.value > 1.0 {
            format!("{} the time of {name}", times(ratio))
        } else {
            format!(
                "faster than {name} ({} times its time), but only with a higher concurrency",
                part(ratio)
            )
        }
    }
}

/// `1.95 times (1.90 to 1.99)`.
fn times(estimate: Estimate) -> String {
    let certainty = match estimate.interval {
        Some(interval) => between(interval),
        None => "measured once".to_owned(),
    };
    format!("{} times ({certainty})", digits(estimate.value))
}

/// `0.97 to 1.12`, as factors of a time.
fn part(estimate: Estimate) -> String {
    estimate.interval.map_or_else(|| digits(estimate.value), between)
}

fn between(Interval { low, high }: Interval) -> String {
    format!("{} to {}", digits(low), digits(high))
}

fn digits(value: f64) -> String {
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$}")
}
