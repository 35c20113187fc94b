//! `[limits.budget]`: how much of something that answers count, such as tokens, may be used in a time, or by the job.

use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::base::Timeout;
use crate::base::number::{Number, in_decimals};
use crate::config::{Planner, Table};

/// What a stage may use of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnBudget {
    /// The column that says how much an attempt has used.
    pub column: String,
    /// All of them hold.
    pub limits: Vec<BudgetLimit>,
}

/// One limit of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimit {
    /// The time in which no more may be used; `None` if it is for the whole job.
    pub per: Option<Duration>,
    /// The most, in units of 10^-12; above 0.
    pub max: i128,
    /// What an attempt is taken to need until it has ended; `None` for the mean of those that have.
    pub estimate: Option<i128>,
    /// Whether somebody else may have used all of it just before.
    pub is_charged: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimit {
    per: Option<Timeout>,
    max: Amount,
    estimate: Option<Amount>,
}

/// A number of 0 or more.
#[derive(Clone, Copy)]
struct Amount(i128);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        if !(0.0..1e24).contains(&value) {
            return Err(D::Error::custom(format!("must be a number of 0 or more, not `{value}`")));
        }
        let exact = Number::parse(value.to_string().as_bytes());
        Ok(Self(exact.map_or(0, Number::units)))
    }
}

/// Reads `[limits.budget]`, and where the name of each column stands, for whoever knows the columns.
pub(crate) fn read(
    limits: &mut Table<'_>,
    plan: &Planner<'_>,
) -> (Vec<ColumnBudget>, Vec<Range<usize>>) {
    let Some(mut table) = limits.table("budget") else { return Default::default() };
    let (mut budgets, mut places) = (Vec::new(), Vec::new());
    for name in table.user_keys() {
        places.push(name.span());
        budgets.push(ColumnBudget { column: name.into_inner(), limits: Vec::new() });
    }
    for (column, raw, _) in table.values::<Vec<RawLimit>>() {
        let at = budgets.iter().position(|budget| budget.column == column);
        let Some(at) = at else { continue };
        if let Some(why) = raw.iter().find_map(wrong) {
            let help =
                "such as `[{ per = \"1m\", max = 200000, estimate = 700 }, { max = 5000000 }]`";
            plan.error_with_help(
                places[at].clone(),
                format!("the budget of `{column}` {why}"),
                help,
            );
        }
        budgets[at].limits = raw
            .into_iter()
            .map(|limit| BudgetLimit {
                per: limit.per.map(Timeout::duration),
                max: limit.max.0,
                estimate: limit.estimate.map(|estimate| estimate.0),
                is_charged: false,
            })
            .collect();
    }
    (budgets, places)
}

fn wrong(limit: &RawLimit) -> Option<String> {
    if limit.max.0 == 0 {
        return Some("has a `max` of 0, so nothing could run".into());
    }
    let estimate = limit.estimate.filter(|estimate| estimate.0 > limit.max.0)?;
    let (estimate, max) = (in_decimals(estimate.0), in_decimals(limit.max.0));
    Some(format!("has an `estimate` of {estimate}, which is above its `max` of {max}"))
}

/// Reports budgets over columns that the stage does not have.
pub(crate) fn check(
    budgets: &[ColumnBudget],
    places: &[Range<usize>],
    columns: &[&str],
    plan: &Planner<'_>,
) {
    for (budget, place) in budgets.iter().zip(places) {
        let column = &budget.column;
        if !columns.contains(&column.as_str()) {
            let message = format!("a budget over `{column}`, and there is no column of this name");
            let help = format!("add `[columns.{column}]`, which says how much an attempt has used");
            plan.error_with_help(place.clone(), message, help);
        }
    }
}
