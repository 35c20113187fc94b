//! `[limits.budget]`: how much of something that answers count, such as tokens, may be used in a time, or by the job.

use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;

use crate::base::Period;
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
#[serde(deny_unknown_fields, expecting = "a table such as `{ per = \"1m\", max = 200000 }`")]
struct RawLimit {
    per: Option<Period>,
    max: f64,
    estimate: Option<f64>,
}

/// A number in units of 10^-12.
fn units(value: f64) -> i128 {
    Number::parse(value.to_string().as_bytes()).map_or(0, Number::units)
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
                per: limit.per.map(Period::duration),
                max: units(limit.max),
                estimate: limit.estimate.map(units),
                is_charged: false,
            })
            .collect();
    }
    (budgets, places)
}

fn wrong(limit: &RawLimit) -> Option<String> {
    if limit.per.is_some_and(|per| per.duration().is_zero()) {
        return Some("has a `per` of 0, in which nothing could run".into());
    }
    let numbers = [("max", Some(limit.max)), ("estimate", limit.estimate)];
    let outside = numbers
        .into_iter()
        .find_map(|(key, value)| Some((key, value.filter(|value| !(0.0..1e24).contains(value))?)));
    if let Some((key, value)) = outside {
        return Some(format!("has `{key} = {value}`, which must be a number of 0 or more"));
    }
    let max = units(limit.max);
    if max == 0 {
        return Some("has a `max` of 0, so nothing could run".into());
    }
    let estimate = limit.estimate.map(units).filter(|&estimate| estimate > max)?;
    let (estimate, max) = (in_decimals(estimate), in_decimals(max));
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
