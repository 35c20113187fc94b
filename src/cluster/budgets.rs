//! Budgets of the whole job: how much columns may come to in all shards together. The driver counts what rows say each
//! time it looks; what runs between two looks may go beyond, as with `stop_after_failures`.

use crate::base::number::Sum;
use crate::engine::limits::budget::used_up;
use crate::job::Job;
use crate::report::Report;

/// The budgets of a job, each with what was used of it before.
#[derive(Debug)]
pub struct JobBudgets(Vec<JobBudget>);

#[derive(Debug)]
struct JobBudget {
    column: String,
    /// The lowest limit of the whole job; `None` if there are only limits of a time.
    max: Option<i128>,
    /// What the rows that the report began with have used.
    before: i128,
}

impl JobBudgets {
    /// Those of `job`, in its order.
    pub fn of(job: &Job, report: &Report) -> Self {
        let budgets = job.stages.iter().flat_map(|stage| &stage.limits.budgets);
        let budgets = budgets.map(|budget| JobBudget {
            column: budget.column.clone(),
            max: budget.limits.iter().filter(|limit| limit.per.is_none()).map(|l| l.max).min(),
            before: report.spent(&budget.column).all,
        });
        Self(budgets.collect())
    }

    /// Whether there is anything to count.
    pub fn has_any(&self) -> bool {
        self.0.iter().any(|budget| budget.max.is_some())
    }

    /// Adds what other rows have used.
    pub fn merge(&self, spent: &mut Vec<Sum>, more: &[Sum]) {
        spent.resize(self.0.len(), Sum::default());
        spent.iter_mut().zip(more).for_each(|(sum, more)| sum.merge(more));
    }

    /// What to say if one is used up by rows that have used this much.
    pub fn used_up(&self, spent: &[Sum]) -> Option<String> {
        self.0.iter().enumerate().find_map(|(index, budget)| {
            let max = budget.max?;
            let used = budget.before + spent.get(index).map_or(0, |sum| sum.units().max(0));
            (used >= max).then(|| used_up(&budget.column, used, max))
        })
    }
}
