//! How the tasks of a run are shared out: a shard is a fixed share of them, dealt in blocks, and what a limit allows is
//! divided among the shards that run at once.
//!
//! Inputs are often sorted, by size or by name, and long tasks stand together. So each shard gets a block of every
//! round, and every second round is dealt backwards, as cards are: no shard gets all that is long.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::base::number::in_decimals;
use crate::config::BudgetLimit;
use crate::job::{Group, Job, Pace};

/// How many blocks a shard gets, if there are tasks enough.
const ROUNDS: u64 = 16;

/// The shares of all shards. A task is known here by its place among those that run, from 0.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Shares {
    tasks: u64,
    shards: u32,
    rounds: u64,
}

impl Shares {
    /// Deals `tasks` among this number of shards, of which there are no more than tasks.
    pub fn new(tasks: u64, shards: u32) -> Self {
        let shards = u32::try_from(tasks).unwrap_or(u32::MAX).min(shards.max(1));
        let rounds = tasks.checked_div(u64::from(shards)).unwrap_or(0).min(ROUNDS);
        Self { tasks, shards, rounds }
    }

    /// How many tasks are dealt.
    pub fn tasks(self) -> u64 {
        self.tasks
    }

    /// How many shards there are.
    pub fn shards(self) -> u32 {
        self.shards
    }

    /// The tasks of a shard: a range for each block, in order.
    pub fn of(self, shard: u32) -> Vec<Range<u64>> {
        let blocks = (0..self.rounds).map(|round| self.block(round, shard));
        blocks.filter(|block| !block.is_empty()).collect()
    }

    /// How many tasks a shard has.
    pub fn count(self, shard: u32) -> u64 {
        self.of(shard).iter().map(|block| block.end - block.start).sum()
    }

    fn block(self, round: u64, shard: u32) -> Range<u64> {
        let shards = u64::from(self.shards);
        let shard = u64::from(shard);
        let place = if round.is_multiple_of(2) { shard } else { shards - 1 - shard };
        let block = u128::from(round * shards + place);
        let blocks = u128::from(self.rounds * shards);
        let at = |block: u128| (block * u128::from(self.tasks) / blocks) as u64;
        at(block)..at(block + 1)
    }
}

/// Divides what the limits of `job` allow in all among this number of allocations: all together never do more.
///
/// # Errors
/// In words, if a limit is too low to be divided.
pub fn divide(job: &mut Job, nodes: u32) -> Result<(), String> {
    let mut groups: Vec<Group> = Vec::new();
    for stage in &mut job.stages {
        let key = |key: &str| match &stage.name {
            Some(name) => format!("stages.{name}.limits.{key}"),
            None => format!("limits.{key}"),
        };
        if let Some(pace) = &mut stage.limits.pace {
            *pace = pace_part(*pace, nodes);
        }
        for budget in &mut stage.limits.budgets {
            let what = key(&format!("budget.{}", budget.column));
            for limit in budget.limits.iter_mut().filter(|limit| limit.per.is_some()) {
                limit.max = budget_part(limit, nodes, &what)?;
            }
        }
        if let Some(limit) = &mut stage.limits.per_host {
            *limit = part(*limit, nodes, &key("per_host"))?;
        }
        if let Some(bounds) = &mut stage.limits.adaptive {
            bounds.max = part(bounds.max, nodes, &key("concurrency"))?;
            bounds.min = bounds.min.min(bounds.max);
        }
        if let Some(group) = &mut stage.limits.group {
            let known = groups.iter().find(|known| known.name() == group.name());
            *group = if let Some(known) = known {
                known.clone() // stages share it
            } else {
                let what = format!("group {}", group.name());
                Group::new(group.name(), part(group.limit() as usize, nodes, &what)? as u32)
            };
            groups.push(group.clone());
        }
    }
    Ok(())
}

/// What each of `nodes` allocations gets of the limits of `job`, in words.
///
/// # Errors
/// As [`divide`].
pub fn divided(job: &Job, nodes: u32) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    for stage in &job.stages {
        let limits = &stage.limits;
        if let Some(pace) = limits.pace {
            let each = pace_part(pace, nodes).rate;
            lines.push(format!("rate: {} in all, {each} in each allocation", pace.rate));
        }
        for budget in &limits.budgets {
            let what = format!("budget.{}", budget.column);
            for limit in &budget.limits {
                let max = in_decimals(limit.max);
                lines.push(match limit.per {
                    Some(per) => {
                        let each = in_decimals(budget_part(limit, nodes, &what)?);
                        let per = humantime::format_duration(per);
                        format!("{what}: {max} in {per} in all, {each} in each allocation")
                    }
                    None => {
                        format!("{what}: {max} for the job, counted in the rows that there are")
                    }
                });
            }
        }
        let wholes = [
            limits.per_host.map(|limit| (limit, "per_host".to_owned())),
            limits.adaptive.map(|bounds| (bounds.max, "concurrency".to_owned())),
            limits
                .group
                .as_ref()
                .map(|group| (group.limit() as usize, format!("group {}", group.name()))),
        ];
        for (limit, what) in wholes.into_iter().flatten() {
            let each = part(limit, nodes, &what)?;
            lines.push(format!("{what}: {limit} in all, {each} in each allocation"));
        }
    }
    Ok(lines)
}

/// What each of `nodes` may do of what a rate allows in all. Where the burst is not enough for a start in each, none has one
/// before its first interval.
fn pace_part(pace: Pace, nodes: u32) -> Pace {
    let rate = pace.rate.divided(nodes);
    match pace.burst / nodes {
        0 => Pace { rate, burst: 1, is_charged: true },
        burst => Pace { rate, burst, ..pace },
    }
}

/// What each of `nodes` may use of what a budget allows in all; enough for one attempt, if that is known.
fn budget_part(limit: &BudgetLimit, nodes: u32, what: &str) -> Result<i128, String> {
    let part = limit.max / i128::from(nodes);
    let least = limit.estimate.unwrap_or(1).max(1);
    if part >= least {
        return Ok(part);
    }
    Err(format!(
        "`{what}` allows {} in all, which is not enough for an attempt in each of {nodes} allocations: set \
         `cluster.nodes` to {} or less",
        in_decimals(limit.max),
        limit.max / least
    ))
}

/// What each of `nodes` may do of what `limit` allows in all; at least 1.
fn part(limit: usize, nodes: u32, what: &str) -> Result<usize, String> {
    match limit / nodes as usize {
        0 => Err(format!(
            "`{what}` allows {limit} at once in all, which cannot be divided among {nodes} allocations: set \
             `cluster.nodes` to {limit} or less"
        )),
        part => Ok(part),
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_second_round_is_dealt_backwards() {
        let shares = Shares::new(64, 2);
        assert_eq!(shares.of(0)[..4], [0..2, 6..8, 8..10, 14..16]);
        assert_eq!(shares.of(1)[..4], [2..4, 4..6, 10..12, 12..14]);
    }

    #[test]
    fn there_are_no_empty_shards() {
        assert_eq!(Shares::new(3, 400).shards(), 3);
        assert_eq!(Shares::new(0, 400).of(0), []);
        assert_eq!(Shares::new(0, 400).shards(), 0);
    }

    #[test]
    fn a_part_of_a_budget_is_enough_for_an_attempt() {
        let limit = |estimate| BudgetLimit {
            per: Some(std::time::Duration::from_mins(1)),
            max: 100,
            estimate,
            is_charged: false,
        };
        assert_eq!(budget_part(&limit(None), 3, "x"), Ok(33));
        assert_eq!(budget_part(&limit(Some(33)), 3, "x"), Ok(33));
        let refusal = budget_part(&limit(Some(34)), 3, "x").unwrap_err();
        assert!(refusal.ends_with("set `cluster.nodes` to 2 or less"), "{refusal}");
    }

    #[test]
    fn a_rate_is_divided_with_its_burst() {
        let pace = |burst| Pace { rate: "8/s".parse().unwrap(), burst, is_charged: false };
        for (burst, each, is_charged) in [(9, 2, false), (4, 1, false), (3, 1, true), (1, 1, true)]
        {
            let part = pace_part(pace(burst), 4);
            assert_eq!((part.rate.per_second(), part.burst), (2.0, each));
            assert_eq!(part.is_charged, is_charged, "{burst}");
        }
    }

    #[test]
    fn a_limit_that_cannot_be_divided_says_what_can_be_done() {
        assert_eq!(part(7, 3, "limits.per_host"), Ok(2));
        let refusal = part(2, 3, "limits.per_host").unwrap_err();
        assert!(refusal.ends_with("set `cluster.nodes` to 2 or less"), "{refusal}");
    }

    /// 1,000 nodes of one core, 200 lognormal tasks for each, and 20 s for the start of a shard, which the scheduler starts
    /// wherever one has ended. `benches/cluster.py` prints the figure.
    #[test]
    fn sorted_inputs_keep_a_thousand_nodes_busy() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut normal = || {
            let length = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
            length * (std::f64::consts::TAU * random.f64()).cos()
        };
        let mut times: Vec<_> = (0..200_000).map(|_| (3.0 + normal()).exp()).collect();
        times.sort_by(f64::total_cmp);
        let millis: Vec<_> = times.into_iter().map(|time| (time * 1000.0) as u64).collect();
        let shares = Shares::new(200_000, 4000);
        let mut free: BinaryHeap<_> = (0..1000).map(|_| Reverse(0)).collect();
        let mut end = 0;
        for shard in 0..shares.shards() {
            let tasks = shares.of(shard).into_iter().flatten();
            let work: u64 = tasks.map(|task| millis[task as usize]).sum();
            let Reverse(start) = free.pop().unwrap();
            free.push(Reverse(start + 20_000 + work));
            end = end.max(start + 20_000 + work);
        }
        let used = millis.iter().sum::<u64>() as f64 / (end * 1000) as f64;
        assert!(used >= 0.75, "{used}");
    }

    proptest! {
        #[test]
        fn each_task_is_in_one_shard(tasks in 0..3_000_u64, shards in 1..70_u32) {
            let shares = Shares::new(tasks, shards);
            let mut all: Vec<_> = (0..shares.shards()).flat_map(|shard| shares.of(shard)).collect();
            all.sort_by_key(|block| block.start);
            let mut end = 0;
            for block in all {
                prop_assert_eq!(block.start, end);
                end = block.end;
            }
            prop_assert_eq!(end, tasks);
            let counts: Vec<_> = (0..shares.shards()).map(|shard| shares.count(shard)).collect();
            if let (Some(least), Some(most)) = (counts.iter().min(), counts.iter().max()) {
                prop_assert!(*least > 0 && most - least <= 16);
            }
        }

        #[test]
        fn parts_are_never_more_than_the_whole(limit in 1..10_000_usize, nodes in 1..200_u32) {
            if let Ok(part) = part(limit, nodes, "x") {
                prop_assert!(part >= 1 && part * nodes as usize <= limit);
            }
        }
    }
}
