//! Which contenders are equal, which one is recommended, and what to measure next; `reason` puts the why into words.

mod reason;

use crate::compare::figures;
use crate::compare::figures::Figures;
use crate::compare::schedule::Shown;
use crate::compare::stats::{Estimate, Interval};
use crate::compare::variant::Variant;
use crate::model::cores;

/// Two models are equal if the whole interval of their ratio lies in this one: within 5 %, whichever is divided.
const EQUAL: Interval = Interval { low: 1.0 / 1.05, high: 1.05 };

/// In three rounds, all others must have taken this many times the time of the fastest: an interval from three is short by
/// chance as often as not.
const PLAIN: f64 = 1.25;

/// The efficiency from which slots count as scaling.
const SCALES: f64 = 0.7;

/// The share of tasks that may fail now and then without saying anything about a model.
const FLAKY: f64 = 0.01;

/// Which contender is recommended.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The index of the recommended contender.
    pub recommended: usize,
    /// The reason for or against each contender; no text is empty.
    pub reasons: Vec<String>,
    /// Whether more rounds might lead to a different, simpler recommendation.
    pub is_undecided: bool,
}

/// Judges the figures, of which there must be at least one. The same seed gives the same verdict.
pub fn judge(figures: &[Figures], seed: u64) -> Verdict {
    let judge = Judge { figures, seed };
    let fit = judge.fit();
    let picks = judge.best_levels(&fit);
    let fastest = judge.fastest(&picks);
    // The simplest come first, so the first equal one is recommended.
    let simpler = picks
        .iter()
        .copied()
        .filter(|&index| figures[index].variant.rank() < figures[fastest].variant.rank());
    let standing: Vec<(usize, Standing)> =
        simpler.map(|index| (index, judge.standing(index, fastest))).collect();
    let equal = standing.iter().find(|(_, standing)| *standing == Standing::Equal);
    let best = equal.map_or(fastest, |&(index, _)| index);
    let recommended = judge.smallest_level(best, &fit);
    let doubtful = standing
        .iter()
        .find(|(index, standing)| {
            *standing == Standing::Unclear
                && figures[*index].variant.rank() < figures[best].variant.rank()
        })
        .map(|&(index, _)| index);
    let reasons = (0..figures.len())
        .map(|index| {
            if index == recommended {
                judge.why(Choice { recommended, best, fastest }, doubtful, &picks)
            } else {
                judge.why_not(index, recommended, &fit, &picks)
            }
        })
        .collect();
    Verdict { recommended, reasons, is_undecided: doubtful.is_some() }
}

/// What the rounds so far have shown.
pub fn shown(figures: &[Figures], seed: u64) -> Shown {
    if figures.is_empty() || judge(figures, seed).is_undecided {
        return Shown::Nothing;
    }
    let judge = Judge { figures, seed };
    let picks = judge.best_levels(&judge.fit());
    let fastest = judge.fastest(&picks);
    let is_far = |&index: &usize| {
        let ratio = judge.ratio(index, fastest).map(Estimate::span);
        index == fastest || ratio.is_some_and(|span| span.low >= PLAIN)
    };
    let is_plain = !judge.is_sweep(fastest) && picks.iter().all(is_far);
    if is_plain { Shown::Plainly } else { Shown::Enough }
}

/// What to measure next, if more slots than the contender at `index` has are likely to be faster and its model was
/// measured at one level only.
pub fn further_levels(figures: &[Figures], index: usize) -> Option<String> {
    let judge = Judge { figures, seed: 0 };
    let share = judge.baseline()?.cpu_share?;
    if judge.is_sweep(index) { None } else { more_at_once(&figures[index], share, cores()) }
}

/// How a contender's time compares with another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The whole interval lies within the margin.
    Equal,
    /// The whole interval lies outside it.
    Different,
    /// The interval straddles its edge.
    Unclear,
}

/// The contenders that lead to a recommendation, by their indices.
#[derive(Clone, Copy)]
struct Choice {
    /// The one to use: the smallest level that does as well as `best`.
    recommended: usize,
    /// The simplest one that is as fast as `fastest`.
    best: usize,
    fastest: usize,
}

struct Judge<'a> {
    figures: &'a [Figures],
    seed: u64,
}

impl Judge<'_> {
    /// The contenders that do what the others do: as many tasks are ok, and the results are the same, unless results
    /// vary by themselves.
    fn fit(&self) -> Vec<usize> {
        let most = self.figures.iter().map(|figures| figures.ok).max().unwrap_or(0);
        let varies =
            self.figures.iter().any(|figures| figures.varies) && !figures::tell_apart(self.figures);
        let is_fit = |figures: &Figures| {
            let does_as_much = figures.is_done || figures.ok as f64 >= most as f64 * (1.0 - FLAKY);
            does_as_much && (figures.same_results || varies)
        };
        let fit: Vec<usize> =
            (0..self.figures.len()).filter(|&index| is_fit(&self.figures[index])).collect();
        if fit.is_empty() { (0..self.figures.len()).collect() } else { fit }
    }

    /// The best level of each model, the simplest model first. A model that does the same as another one does not
    /// count: only chance could make it the faster one.
    fn best_levels(&self, fit: &[usize]) -> Vec<usize> {
        let is_there = |variant| fit.iter().any(|&index| self.figures[index].variant == variant);
        let of_variant = |variant| {
            let is_of_it = |figures: &Figures| {
                figures.variant == variant && !figures.same_as.is_some_and(is_there)
            };
            let levels = fit.iter().copied().filter(|&index| is_of_it(&self.figures[index]));
            levels.min_by(|&one, &other| self.by_wall(one, other))
        };
        Variant::ALL.into_iter().filter_map(of_variant).collect()
    }

    /// The smallest level of the model of `best` whose interval touches that of `best`.
    fn smallest_level(&self, best: usize, fit: &[usize]) -> usize {
        let span = self.figures[best].wall.span();
        let does_as_well = |index: &usize| {
            let figures = &self.figures[*index];
            figures.variant == self.figures[best].variant && figures.wall.span().touches(span)
        };
        let levels = fit.iter().copied().filter(does_as_well);
        levels.min_by_key(|&index| self.figures[index].concurrency).unwrap_or(best)
    }

    fn fastest(&self, picks: &[usize]) -> usize {
        picks
            .iter()
            .copied()
            .min_by(|&one, &other| self.by_wall(one, other))
            .expect("something was measured")
    }

    fn by_wall(&self, one: usize, other: usize) -> std::cmp::Ordering {
        self.figures[one].wall.value.total_cmp(&self.figures[other].wall.value)
    }

    fn ratio(&self, index: usize, to: usize) -> Option<Estimate> {
        self.figures[index].ratio_to(&self.figures[to], self.seed)
    }

    fn standing(&self, index: usize, fastest: usize) -> Standing {
        match self.ratio(index, fastest).map(Estimate::span) {
            Some(span) if EQUAL.contains(span) => Standing::Equal,
            Some(span) if !EQUAL.touches(span) => Standing::Different,
            _ => Standing::Unclear,
        }
    }

    fn is_sweep(&self, index: usize) -> bool {
        let variant = self.figures[index].variant;
        self.figures.iter().filter(|figures| figures.variant == variant).count() > 1
    }

    fn baseline(&self) -> Option<&Figures> {
        figures::baseline(self.figures)
    }
}

/// The levels to measure from this one up, if its slots scale and leave most of the cores idle. `share` is the part of
/// its time that the work spends on a processor.
fn more_at_once(figures: &Figures, share: f64, cores: usize) -> Option<String> {
    let slots = figures.concurrency;
    let have_scaled = figures.efficiency().is_some_and(|efficiency| efficiency >= SCALES);
    let leave_room = slots as f64 * share < cores as f64 / 2.0;
    if !have_scaled || !leave_room || figures.tasks <= slots as u64 || slots == 1 {
        return None;
    }
    let most = figures.tasks.min(16 * slots as u64).next_power_of_two() as usize;
    let levels: Vec<String> = std::iter::successors(Some(slots), |level| Some(level * 2))
        .take_while(|&level| level <= most)
        .map(|level| level.to_string())
        .collect();
    Some(format!("a higher concurrency may be faster: --concurrency {}", levels.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::median;
    use crate::compare::stats;
    use crate::model::Model;

    fn figures(variant: impl Into<Variant>, concurrency: usize, walls: &[f64]) -> Figures {
        Figures {
            variant: variant.into(),
            same_as: None,
            concurrency,
            walls: (1..).zip(walls.iter().copied()).collect(),
            tasks: 10,
            ok: 10,
            ended: 10,
            is_done: true,
            wall: stats::estimate(walls, 1),
            measured: median(walls),
            startup: 0.0,
            speedup: None,
            cpu: None,
            cpu_share: None,
            peak_rss: None,
            run_times: None,
            same_results: true,
            varies: false,
            differs_at: None,
            deviation: None,
            outliers: Vec::new(),
            held: 0.0,
            failure: None,
        }
    }

    fn around(middle: f64) -> [f64; 5] {
        [0.99, 1.0, 1.01, 1.0, 0.995].map(|part| part * middle)
    }

    fn recommended(figures: &[Figures]) -> (Variant, usize) {
        let chosen = &figures[judge(figures, 1).recommended];
        (chosen.variant, chosen.concurrency)
    }

    #[test]
    fn the_fastest_is_recommended() {
        let figures = [
            figures(Model::Sequential, 1, &around(2.0)),
            figures(Model::Threads, 2, &around(1.0)),
            figures(Model::Async, 2, &around(2.1)),
            figures(Model::Processes, 2, &around(1.2)),
        ];
        let verdict = judge(&figures, 1);
        assert_eq!(verdict.recommended, 1);
        assert!(!verdict.is_undecided);
        assert_eq!(verdict.reasons[0], "2.00 times (2.00 to 2.00) the time of threads");
        assert_eq!(verdict.reasons[1], "the fastest");
    }

    #[test]
    fn among_equals_the_simplest_is_recommended() {
        let figures = [
            figures(Model::Sequential, 1, &around(2.0)),
            figures(Model::Threads, 2, &around(1.03)),
            figures(Model::Async, 2, &around(1.02)),
            figures(Model::Processes, 2, &around(1.0)),
        ];
        let verdict = judge(&figures, 1);
        assert_eq!(verdict.recommended, 1);
        assert!(
            verdict.reasons[1].starts_with("as fast as processes (1.03 to 1.03 times its time)")
        );
        assert_eq!(verdict.reasons[2], "as fast as threads, but less simple");
    }

    #[test]
    fn where_the_interval_straddles_the_margin_more_rounds_would_tell() {
        let noisy = [1.0, 1.08, 1.02, 0.98, 1.1];
        let figures =
            [figures(Model::Sequential, 1, &noisy), figures(Model::Threads, 2, &[1.0; 5])];
        let verdict = judge(&figures, 1);
        assert!(verdict.is_undecided);
        assert_eq!(verdict.recommended, 1);
        assert!(verdict.reasons[1].contains("more rounds would show"), "{:?}", verdict.reasons);
    }

    #[test]
    fn a_model_that_is_less_simple_leaves_nothing_undecided() {
        let noisy = [1.0, 1.08, 1.02, 0.98, 1.1];
        let figures = [figures(Model::Threads, 2, &[1.0; 5]), figures(Model::Processes, 2, &noisy)];
        let verdict = judge(&figures, 1);
        assert_eq!((verdict.recommended, verdict.is_undecided), (0, false));
    }

    #[test]
    fn a_contender_that_does_less_is_not_recommended() {
        let slow = figures(Model::Sequential, 1, &around(2.0));
        let fails = Figures { ok: 4, is_done: false, ..figures(Model::Threads, 2, &around(1.0)) };
        let differs = Figures {
            same_results: false,
            differs_at: Some(3),
            ..figures(Model::Async, 2, &around(1.0))
        };
        let verdict = judge(&[slow.clone(), fails, differs.clone()], 1);
        assert_eq!(verdict.recommended, 0);
        assert_eq!(verdict.reasons[1], "only 4 of 10 tasks are ok");
        assert_eq!(verdict.reasons[2], "results differ from those of most runs, first at task 3");
        // Where as many are ok as are enough, how many that are says nothing.
        let enough = Figures { ok: 4, ..figures(Model::Threads, 2, &around(1.0)) };
        assert_eq!(judge(&[slow.clone(), enough], 1).recommended, 1);
        // Results that vary by themselves say nothing about a model.
        let varies = Figures { varies: true, ..differs.clone() };
        let all_vary = [Figures { varies: true, ..slow.clone() }, varies.clone()];
        assert_eq!(judge(&all_vary, 1).recommended, 1);
        // Where one task after another repeats its results, it is the model that makes them vary.
        let verdict = judge(&[slow.clone(), varies.clone()], 1);
        assert_eq!(verdict.recommended, 0);
        assert_eq!(verdict.reasons[1], "its results differ from run to run, first at task 3");
        // So it is where most models repeat them.
        let threads = figures(Model::Threads, 2, &around(2.0));
        let processes = figures(Model::Processes, 2, &around(3.0));
        let most = judge(&[threads.clone(), varies.clone(), processes], 1);
        assert_eq!(most.recommended, 0);
        assert_eq!(judge(&[threads, varies], 1).recommended, 1, "one of two is not most");
    }

    #[test]
    fn of_a_sweep_the_smallest_level_that_touches_the_best_is_taken() {
        let levels = [(1, 4.0), (2, 2.0), (4, 1.005), (8, 1.0), (16, 1.3)];
        let mut sweep: Vec<Figures> = levels
            .iter()
            .map(|&(level, wall)| figures(Model::Threads, level, &around(wall)))
            .collect();
        assert_eq!(recommended(&sweep), (Variant::Under(Model::Threads), 4));
        sweep.insert(0, figures(Model::Sequential, 1, &around(4.0)));
        assert_eq!(recommended(&sweep), (Variant::Under(Model::Threads), 4));
        let verdict = judge(&sweep, 1);
        assert!(verdict.reasons[3].contains("a concurrency of 8 is the fastest, and 4 is as fast"));
        assert!(
            verdict.reasons[1].starts_with("3.98 times (3.98 to 3.98) the time of threads at 4")
        );
        assert!(verdict.reasons.iter().all(|reason| !reason.is_empty()));
    }

    #[test]
    fn among_equals_a_job_with_stages_stays_as_it_is_written() {
        let written = |wall| figures(Variant::AsWritten, 18, &around(wall));
        let slow = figures(Model::Sequential, 2, &around(2.0));
        let fast = figures(Model::Threads, 18, &around(1.0));
        let verdict = judge(&[written(1.02), slow.clone(), fast.clone()], 1);
        assert_eq!(verdict.recommended, 0);
        assert!(verdict.reasons[0].contains("its time), and needs no change"), "{verdict:?}");
        assert_eq!(verdict.reasons[2], "as fast as staged, but a change");
        let verdict = judge(&[written(0.8), slow.clone(), fast.clone()], 1);
        assert_eq!(verdict.reasons[0], "the fastest, and needs no change");
        assert_eq!(recommended(&[written(1.2), slow, fast]), (Variant::Under(Model::Threads), 18));
    }

    #[test]
    fn a_model_that_does_the_same_is_never_the_faster_one() {
        let alias = |wall| Figures {
            same_as: Some(Variant::Under(Model::Threads)),
            ..figures(Model::Processes, 2, &around(wall))
        };
        let verdict = judge(&[figures(Model::Threads, 2, &around(1.0)), alias(0.8)], 1);
        assert_eq!(verdict.recommended, 0);
        assert_eq!(verdict.reasons[1], "the same as threads: a command is a process already");
        assert_eq!(judge(&[alias(0.8)], 1).recommended, 0);
    }

    #[test]
    fn what_waits_and_scales_may_want_a_higher_concurrency() {
        let speedup = Some(stats::estimate(&[1.95], 1));
        let two = Figures { speedup, tasks: 30, ..figures(Model::Threads, 2, &around(1.0)) };
        let said = more_at_once(&two, 0.1, 2).unwrap();
        assert_eq!(said, "a higher concurrency may be faster: --concurrency 2,4,8,16,32");
        assert_eq!(more_at_once(&two, 0.9, 2), None, "the cores are busy");
        assert_eq!(more_at_once(&Figures { tasks: 2, ..two.clone() }, 0.1, 2), None);
        let speedup = Some(stats::estimate(&[1.1], 1));
        assert_eq!(more_at_once(&Figures { speedup, ..two }, 0.1, 2), None, "it did not scale");
    }

    #[test]
    fn what_is_plain_takes_no_more_rounds() {
        let slow = figures(Model::Sequential, 1, &around(2.0));
        let fast = figures(Model::Threads, 2, &around(1.0));
        assert_eq!(shown(&[slow.clone(), fast.clone()], 1), Shown::Plainly);
        let near = figures(Model::Processes, 2, &around(1.1));
        assert_eq!(shown(&[slow, fast.clone(), near], 1), Shown::Enough);
        let noisy = figures(Model::Sequential, 1, &[1.0, 1.08, 1.02, 0.98, 1.1]);
        assert_eq!(shown(&[noisy, fast], 1), Shown::Nothing);
    }

    #[test]
    fn a_single_round_decides_by_its_times() {
        let figures = [figures(Model::Sequential, 1, &[2.0]), figures(Model::Threads, 2, &[1.0])];
        assert_eq!(judge(&figures, 1).recommended, 1);
    }
}
