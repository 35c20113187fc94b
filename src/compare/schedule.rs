//! How many rounds there are, and the order of the contenders in each: random, so that drift (heat, other programs,
//! caches) affects all of them alike.

use std::time::Duration;

use fastrand::Rng;

/// The number of rounds if the user sets neither a number nor a budget.
const DEFAULT_ROUNDS: u32 = 5;

/// The rounds after which a default comparison may end, if the verdict is beyond doubt.
const LEAST_ROUNDS: u32 = 3;

/// Further rounds of short jobs cost little: while the verdict is undecided, a default comparison goes on for this long.
const SHORT: Duration = Duration::from_secs(5);

/// More rounds than this decide nothing.
const MOST_ROUNDS: u32 = 25;

/// When a comparison ends, and in which order it runs.
#[derive(Clone, Debug)]
pub struct Schedule {
    rng: Rng,
    /// The number of rounds that the user has set.
    set: Option<u32>,
    budget: Option<Duration>,
}

/// The time that a comparison has taken so far.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    /// Until the first round that counts.
    pub before: Duration,
    /// Since then.
    pub rounds: Duration,
    /// What another round is expected to take.
    pub next: Duration,
}

/// What the rounds so far have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// More rounds might lead to different advice.
    Nothing,
    /// More rounds are not likely to.
    Enough,
    /// One contender is so much faster than every other one that it takes no more rounds.
    Plainly,
}

impl Schedule {
    /// A schedule of `rounds` rounds, or of as many as fit into `budget`.
    pub fn new(rounds: Option<u32>, budget: Option<Duration>, seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), set: rounds, budget }
    }

    /// The order in which these contenders run in the next round.
    pub fn order(&mut self, mut contenders: Vec<usize>) -> Vec<usize> {
        self.rng.shuffle(&mut contenders);
        contenders
    }

    /// The planned number of rounds, if it is known.
    pub fn planned(&self) -> Option<u32> {
        self.set.or(self.budget.is_none().then_some(DEFAULT_ROUNDS))
    }

    /// Whether runs for warming up that took `warmup` had better count: the budget has no room for many more.
    pub fn counts_warmup(&self, warmup: Duration) -> bool {
        self.budget.is_some_and(|budget| warmup * (LEAST_ROUNDS + 1) > budget)
    }

    /// Whether there is another round after `done` rounds.
    pub fn continues(&self, done: u32, spent: Spent, shown: impl FnOnce() -> Shown) -> bool {
        let so_far = spent.before + spent.rounds + spent.next;
        if self.budget.is_some_and(|budget| so_far > budget) {
            return done == 0;
        }
        match (self.set, self.budget) {
            (Some(rounds), None) if done < rounds => true,
            (Some(rounds), None) => done < rounds.saturating_mul(2) && shown() == Shown::Nothing,
            (Some(rounds), Some(_)) => done < rounds || shown() == Shown::Nothing,
            (None, Some(_)) => done < LEAST_ROUNDS || shown() != Shown::Plainly,
            (None, None) if done < LEAST_ROUNDS => true,
            (None, None) if done < DEFAULT_ROUNDS => shown() != Shown::Plainly,
            (None, None) => {
                let is_short = spent.rounds + spent.next <= SHORT && done < MOST_ROUNDS;
                (done < 2 * DEFAULT_ROUNDS || is_short) && shown() == Shown::Nothing
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rounds are run if each takes a second.
    fn rounds(rounds: Option<u32>, budget: Option<u64>, shown: Shown) -> u32 {
        let schedule = Schedule::new(rounds, budget.map(Duration::from_secs), 1);
        let second = Duration::from_secs(1);
        let continues = |&done: &u32| {
            let spent = Spent { before: 4 * second, rounds: done * second, next: second };
            schedule.continues(done, spent, || shown)
        };
        (0..1000).take_while(continues).count() as u32
    }

    #[test]
    fn there_are_as_many_rounds_as_it_takes() {
        assert_eq!(rounds(None, None, Shown::Plainly), 3);
        assert_eq!(rounds(None, None, Shown::Enough), 5);
        assert_eq!(rounds(None, None, Shown::Nothing), 10);
        assert_eq!(rounds(Some(1), None, Shown::Enough), 1);
        assert_eq!(rounds(Some(7), None, Shown::Plainly), 7);
        assert_eq!(rounds(Some(7), None, Shown::Nothing), 14);
    }

    #[test]
    fn rounds_that_cost_little_go_on_for_a_decision() {
        let schedule = Schedule::new(None, None, 1);
        let ms = Duration::from_millis;
        let count = |each: u32| {
            let continues = |&done: &u32| {
                let spent =
                    Spent { before: ms(9), rounds: done * ms(each.into()), next: ms(each.into()) };
                schedule.continues(done, spent, || Shown::Nothing)
            };
            (0..1000).take_while(continues).count()
        };
        assert_eq!((count(10), count(250), count(4000)), (25, 20, 10));
    }

    #[test]
    fn a_budget_is_used_and_not_exceeded() {
        assert_eq!(rounds(None, Some(60), Shown::Enough), 56);
        assert_eq!(rounds(None, Some(60), Shown::Plainly), 3);
        assert_eq!(rounds(None, Some(5), Shown::Nothing), 1);
        assert_eq!(rounds(None, Some(2), Shown::Nothing), 1, "at least one");
        assert_eq!(rounds(Some(5), Some(60), Shown::Enough), 5);
        assert_eq!(rounds(Some(5), Some(60), Shown::Nothing), 56);
        assert_eq!(rounds(Some(20), Some(14), Shown::Enough), 10);
        assert!(
            Schedule::new(None, Some(Duration::from_secs(7)), 1)
                .counts_warmup(Duration::from_secs(2))
        );
        assert!(!Schedule::new(None, None, 1).counts_warmup(Duration::from_secs(2)));
    }

    #[test]
    fn a_seed_repeats_its_orders() {
        let orders = |seed| {
            let mut schedule = Schedule::new(None, None, seed);
            (0..20).map(|_| schedule.order(vec![0, 1, 2, 3])).collect::<Vec<_>>()
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
