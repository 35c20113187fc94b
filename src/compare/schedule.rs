//! How many rounds there are, and the order of the contenders in each: random, so that drift (heat, other programs,
//! caches) affects all of them alike.

use std::time::Duration;

use fastrand::Rng;

/// The number of rounds if the user sets neither a number nor a budget.
const DEFAULT_ROUNDS: u32 = 5;

/// The rounds that are run however long they take: fewer give no meaningful interval.
const MIN_ROUNDS: u32 = 3;

/// When a comparison ends, and in which order it runs.
#[derive(Clone, Debug)]
pub struct Schedule {
    rng: Rng,
    /// The rounds that are run in any case.
    least: u32,
    /// The rounds that are run if there is time; more are run only while the verdict is undecided.
    planned: u32,
    /// The upper limit.
    most: u32,
    budget: Option<Duration>,
}

/// The time that a comparison has taken so far.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// Until the first round that counts.
    pub before: Duration,
    /// Since then.
    pub rounds: Duration,
}

impl Schedule {
    /// A schedule of `rounds` rounds, or of as many as fit into `budget`.
    pub fn new(rounds: Option<u32>, budget: Option<Duration>, seed: u64) -> Self {
        let planned = match (rounds, budget) {
            (Some(rounds), _) => rounds,
            (None, Some(_)) => u32::MAX,
            (None, None) => DEFAULT_ROUNDS,
        };
        let most = if budget.is_some() { u32::MAX } else { planned.saturating_mul(2) };
        // Without a budget, the number of rounds is fixed.
        let least = if budget.is_some() { planned.min(MIN_ROUNDS) } else { planned };
        Self { rng: Rng::with_seed(seed), least, planned, most, budget }
    }

    /// The order in which this number of contenders run in the next round, by their indices.
    pub fn order(&mut self, contenders: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..contenders).collect();
        self.rng.shuffle(&mut order);
        order
    }

    /// The planned number of rounds, if it is known.
    pub fn planned(&self) -> Option<u32> {
        Some(self.planned).filter(|&planned| planned != u32::MAX)
    }

    /// Whether there is another round after `done` rounds that took the time `spent`.
    pub fn continues(
        &self,
        done: u32,
        Spent { before, rounds: took }: Spent,
        is_undecided: impl FnOnce() -> bool,
    ) -> bool {
        if done < self.least {
            return true;
        }
        let one_more = took + took / done.max(1);
        if self.budget.is_some_and(|budget| before + one_more > budget) {
            return false;
        }
        done < self.planned || (done < self.most && is_undecided())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rounds are run if each takes a second.
    fn rounds(rounds: Option<u32>, budget: Option<u64>, is_undecided: bool) -> u32 {
        let schedule = Schedule::new(rounds, budget.map(Duration::from_secs), 1);
        let continues = |&done: &u32| {
            let took = Duration::from_secs(u64::from(done));
            schedule.continues(done, Spent { before: Duration::from_secs(4), rounds: took }, || {
                is_undecided
            })
        };
        (0..1000).take_while(continues).count() as u32
    }

    #[test]
    fn there_are_as_many_rounds_as_it_takes() {
        assert_eq!(rounds(None, None, false), 5);
        assert_eq!(rounds(None, None, true), 10);
        assert_eq!(rounds(Some(1), None, false), 1);
        assert_eq!(rounds(Some(7), None, true), 14);
    }

    #[test]
    fn a_budget_is_used_and_not_exceeded() {
        assert_eq!(rounds(None, Some(60), false), 56);
        assert_eq!(rounds(None, Some(5), true), 3, "at least three");
        assert_eq!(rounds(Some(5), Some(60), false), 5);
        assert_eq!(rounds(Some(5), Some(60), true), 56);
        assert_eq!(rounds(Some(20), Some(14), false), 10);
        assert_eq!(rounds(Some(2), Some(1), true), 2);
    }

    #[test]
    fn a_seed_repeats_its_orders() {
        let orders = |seed| {
            let mut schedule = Schedule::new(None, None, seed);
            (0..20).map(|_| schedule.order(4)).collect::<Vec<_>>()
        };
        assert_eq!(orders(3), orders(3));
        assert_ne!(orders(3), orders(4));
        let firsts: std::collections::HashSet<usize> =
            orders(5).iter().map(|order| order[0]).collect();
        assert!(firsts.len() > 1, "not always the same one first");
        assert!(orders(6).into_iter().all(|mut order| {
            order.sort_unstable();
            order == [0, 1, 2, 3]
        }));
    }
}
