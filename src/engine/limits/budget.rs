//! Budgets: an attempt reserves what it is taken to need before it starts, and what it has really used takes the place
//! of that when it has ended. A limit of a time counts what attempts used that started within it; one of the whole job
//! stops the job when it is used up.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::base::lock;
use crate::base::mask;
use crate::base::number::{Number, in_decimals};
use crate::config::{BudgetLimit, ColumnBudget};
use crate::report::{Spending, Spent};
use crate::task::{Cancel, Cause, Level, Moment, Outcome, Status, clock};

/// The budgets of a stage.
#[derive(Debug)]
pub struct Budget {
    state: Mutex<State>,
    /// Notified when a reservation has been settled.
    settled: Notify,
    /// Where it is noted what attempts have used, for a run that goes on with this one.
    spending: OnceLock<Arc<Spending>>,
}

#[derive(Debug)]
struct State {
    columns: Vec<Column>,
    /// How many attempts have reserved.
    reserved: u64,
}

/// What may be used of one column, and what has been.
#[derive(Debug)]
struct Column {
    name: String,
    /// Its index among the columns of the stage.
    index: usize,
    limits: Vec<Limit>,
    /// What attempts of this run have used, and how many there were.
    seen: (i128, i128),
}

#[derive(Debug)]
struct Limit {
    max: i128,
    estimate: Option<i128>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Time { per: Duration, starts: VecDeque<Start>, sum: i128 },
    Job { used: i128, reserved: i128, running: usize },
}

/// An attempt that has started within the time of a limit.
#[derive(Debug)]
struct Start {
    at: Moment,
    number: u64,
    amount: i128,
}

/// What an attempt has reserved. What is not settled when it is dropped was not used.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    number: u64,
    /// Of each limit of each column.
    amounts: Vec<Vec<i128>>,
    is_settled: bool,
}

/// Why an attempt cannot start.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    /// Until then, unless something is settled before.
    Until(Moment),
    /// Until something is settled.
    Waits,
    /// A budget of the job is used up; in words.
    Over(String),
}

impl Budget {
    /// The budgets of a stage with these columns; `None` if it has none. `spent` is what an earlier run has used of a
    /// column.
    pub fn new(
        budgets: &[ColumnBudget],
        columns: &[&str],
        spent: impl Fn(&str) -> Spent,
    ) -> Option<Arc<Self>> {
        let now = Moment::now();
        let column = |budget: &ColumnBudget| {
            let index = columns.iter().position(|name| *name == budget.column)?;
            let used = spent(&budget.column);
            let limits = budget.limits.iter().map(|limit| Limit::new(*limit, &used, now)).collect();
            Some(Column { name: budget.column.clone(), index, limits, seen: (0, 0) })
        };
        let columns: Vec<_> = budgets.iter().filter_map(column).collect();
        (!columns.is_empty()).then(|| {
            let state = Mutex::new(State { columns, reserved: 0 });
            Arc::new(Self { state, settled: Notify::new(), spending: OnceLock::new() })
        })
    }

    /// From here on what attempts have used is noted there, too.
    pub fn note_in(&self, spending: Arc<Spending>) {
        let _ = self.spending.set(spending); // a budget has one
    }

    /// Waits until there is room for one more attempt. `None` if the job is being stopped, which it is from here if a
    /// budget is used up.
    pub async fn reserve(self: &Arc<Self>, cancel: &Cancel) -> Option<Reservation> {
        loop {
            let mut settled = pin!(self.settled.notified());
            settled.as_mut().enable(); // before the look, so that nothing is missed between
            if cancel.level() >= Level::Drain {
                return None;
            }
            let until = match self.try_reserve(Moment::now()) {
                Ok(reservation) => return Some(reservation),
                Err(Refused::Over(message)) => {
                    cancel.raise(Level::Drain, Cause::Failures(message));
                    return None;
                }
                Err(Refused::Until(moment)) => Some(moment),
                Err(Refused::Waits) => None,
            };
            let due = async {
                match until {
                    Some(until) => clock::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = cancel.draining() => return None,
                () = settled => {}
                () = due => {}
            }
        }
    }

    /// Reserves for one more attempt, if there is room now.
    pub fn reserve_now(self: &Arc<Self>) -> Option<Reservation> {
        self.try_reserve(Moment::now()).ok()
    }

    fn try_reserve(self: &Arc<Self>, now: Moment) -> Result<Reservation, Refused> {
        let mut state = self.lock();
        let mut later: Option<Refused> = None;
        for column in &mut state.columns {
            let mean = column.mean();
            for limit in &mut column.limits {
                match limit.look(mean, now, &column.name) {
                    Ok(()) => {}
                    Err(Refused::Over(message)) => return Err(Refused::Over(message)),
                    // What waits for a settlement looks again at each, and the latest moment is when all may have room.
                    Err(Refused::Until(moment)) => {
                        later = Some(match later {
                            Some(Refused::Until(other)) => Refused::Until(other.max(moment)),
                            Some(other) => other,
                            None => Refused::Until(moment),
                        });
                    }
                    Err(Refused::Waits) => later = Some(Refused::Waits),
                }
            }
        }
        if let Some(later) = later {
            return Err(later);
        }
        state.reserved += 1;
        let number = state.reserved;
        let amounts = state.columns.iter_mut().map(|column| {
            let mean = column.mean();
            column.limits.iter_mut().map(|limit| limit.reserve(mean, number, now)).collect()
        });
        let amounts = amounts.collect();
        drop(state);
        Ok(Reservation { budget: Arc::clone(self), number, amounts, is_settled: false })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Column {
    /// What an attempt has used on average, rounded up; 0 before the first has ended.
    fn mean(&self) -> i128 {
        let (sum, count) = self.seen;
        if count == 0 { 0 } else { (sum + count - 1) / count }
    }
}

impl Limit {
    fn new(limit: BudgetLimit, used: &Spent, now: Moment) -> Self {
        let start = |&(age, amount): &(Duration, i128)| {
            let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
            let at = Moment::from_nanos(now.as_nanos().saturating_sub(age));
            Start { at, number: 0, amount }
        };
        let kind = match limit.per {
            // As if an attempt had used it up; the number of a real one is above 0.
            Some(per) if limit.is_charged => {
                let start = Start { at: now, number: 0, amount: limit.max };
                Kind::Time { per, starts: [start].into(), sum: limit.max }
            }
            Some(per) => {
                let starts: VecDeque<Start> = used.lately.iter().map(start).collect();
                let sum = starts.iter().map(|start| start.amount).sum();
                Kind::Time { per, starts, sum }
            }
            None => Kind::Job { used: used.all, reserved: 0, running: 0 },
        };
        Self { max: limit.max, estimate: limit.estimate, kind }
    }

    fn is_of_job(&self) -> bool {
        matches!(self.kind, Kind::Job { .. })
    }

    /// What one more attempt is taken to need. The mean of others does not keep one from starting alone.
    fn need(&self, mean: i128) -> i128 {
        self.estimate.unwrap_or(mean).min(self.max)
    }

    /// Whether there is room for one more attempt.
    fn look(&mut self, mean: i128, now: Moment, name: &str) -> Result<(), Refused> {
        let (need, max) = (self.need(mean), self.max);
        match &mut self.kind {
            Kind::Time { per, starts, sum } => {
                while let Some(first) = starts.front().filter(|first| first.at + *per <= now) {
                    *sum -= first.amount;
                    starts.pop_front();
                }
                // With nothing left of a limit, the next may start that is taken to need nothing only when there is.
                let is_full = |sum: i128| sum + need > max || sum >= max;
                if !is_full(*sum) {
                    return Ok(());
                }
                let mut left = *sum;
                for start in &*starts {
                    left -= start.amount;
                    if !is_full(left) {
                        return Err(Refused::Until(start.at + *per));
                    }
                }
                Err(Refused::Waits)
            }
            Kind::Job { used, reserved, running } => {
                if *used + *reserved + need <= max && *used < max {
                    return Ok(());
                }
                if *running > 0 && *used < max {
                    return Err(Refused::Waits); // those that run may need less than was reserved
                }
                Err(Refused::Over(used_up(name, *used, max)))
            }
        }
    }

    fn reserve(&mut self, mean: i128, number: u64, now: Moment) -> i128 {
        let amount = self.need(mean);
        match &mut self.kind {
            Kind::Time { starts, sum, .. } => {
                starts.push_back(Start { at: now, number, amount });
                *sum += amount;
            }
            Kind::Job { reserved, running, .. } => {
                *reserved += amount;
                *running += 1;
            }
        }
        amount
    }

    /// The attempt with this number has started then, and not when it reserved.
    fn begin(&mut self, number: u64, now: Moment) {
        if let Kind::Time { starts, .. } = &mut self.kind
            && let Ok(at) = starts.binary_search_by_key(&number, |start| start.number)
        {
            starts[at].at = now;
        }
    }

    /// Puts what was really used in the place of what was reserved.
    fn settle(&mut self, number: u64, was: i128, amount: i128) {
        match &mut self.kind {
            Kind::Time { starts, sum, .. } => {
                // One that started too long ago does not count any more.
                let Ok(at) = starts.binary_search_by_key(&number, |start| start.number) else {
                    return;
                };
                *sum += amount - was;
                starts[at].amount = amount;
            }
            Kind::Job { used, reserved, running } => {
                *reserved -= was;
                *running -= 1;
                *used = used.saturating_add(amount);
            }
        }
    }
}

impl Reservation {
    /// The attempt starts now: it may have waited for other limits since it reserved.
    pub fn begin(&self, now: Moment) {
        let mut state = self.budget.lock();
        let limits = state.columns.iter_mut().flat_map(|column| &mut column.limits);
        limits.for_each(|limit| limit.begin(self.number, now));
    }

    /// An attempt has ended like this, with these values of its stage's columns. Says what is wrong with them, if they do
    /// not tell how much it has used.
    pub fn settle(mut self, outcome: &Outcome, values: &[Option<Vec<u8>>]) -> Option<String> {
        let mut said = None;
        if outcome.has_run {
            self.begin(outcome.started);
        }
        let used: Vec<_> = {
            let state = self.budget.lock();
            let used = state.columns.iter().map(|column| {
                let value = values.get(column.index).and_then(Option::as_deref);
                let number = value.and_then(Number::parse);
                if number.is_none() && outcome.status == Status::Ok {
                    let shown = outcome.shown(column.index).or(value);
                    said.get_or_insert_with(|| strange(&column.name, shown));
                }
                match number {
                    Some(number) => Used::This(number.units().max(0)),
                    None if is_taken_to_count(outcome) => Used::AsReserved,
                    None => Used::This(0),
                }
            });
            used.collect()
        };
        self.put(&used, outcome.started);
        said
    }

    /// An attempt has begun, and nobody knows what it has used.
    pub fn settle_as_reserved(mut self) {
        let used = vec![Used::AsReserved; self.amounts.len()];
        self.put(&used, Moment::now());
    }

    fn put(&mut self, used: &[Used], started: Moment) {
        let mut state = self.budget.lock();
        for ((column, amounts), used) in state.columns.iter_mut().zip(&self.amounts).zip(used) {
            if let Used::This(amount @ 1..) = *used {
                column.seen = (column.seen.0.saturating_add(amount), column.seen.1 + 1);
            }
            let (mut all, mut lately) = (None, None);
            for (limit, &was) in column.limits.iter_mut().zip(amounts) {
                let amount = match *used {
                    Used::This(amount) => amount,
                    Used::AsReserved => was,
                };
                limit.settle(self.number, was, amount);
                let of_kind = if limit.is_of_job() { &mut all } else { &mut lately };
                *of_kind = (*of_kind).max(Some(amount)); // estimates may differ
            }
            // A limit of the other kind may be set when the job goes on.
            if let (Some(spending), Some(any)) = (self.budget.spending.get(), all.or(lately)) {
                let amounts = (all.unwrap_or(any), lately.unwrap_or(any));
                spending.note(&column.name, started, amounts);
            }
        }
        drop(state);
        self.is_settled = true;
        self.budget.settled.notify_waiters();
    }
}

/// What is said when a budget of the whole job is used up.
pub fn used_up(name: &str, used: i128, max: i128) -> String {
    format!(
        "stopping: the budget of `{name}` is used up ({} of {}): running tasks finish, no new ones start; raise its \
         `max` and resume with --resume",
        in_decimals(used),
        in_decimals(max)
    )
}

/// How much an attempt has used.
#[derive(Clone, Copy, Debug)]
enum Used {
    This(i128),
    AsReserved,
}

/// Whether an attempt that does not say how much it has used is taken to have used its estimate: what was refused or never
/// started has used nothing.
fn is_taken_to_count(outcome: &Outcome) -> bool {
    outcome.has_run && matches!(outcome.status, Status::Ok | Status::Timeout | Status::Crashed)
}

fn strange(column: &str, value: Option<&[u8]>) -> String {
    let found = match value {
        None | Some([]) => "is empty".to_owned(),
        Some(value) => {
            let value = mask::apply(value);
            let shown: String = String::from_utf8_lossy(&value).chars().take(40).collect();
            format!("is not a number: `{}`", shown.escape_debug())
        }
    };
    format!("the column `{column}` {found}, so its budget counts the estimate")
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_settled {
            let nothing = vec![Used::This(0); self.amounts.len()];
            self.put(&nothing, Moment::now());
        }
    }
}

#[cfg(test)]
mod tests;
