//! Budgets over attempts that are made up.

use super::*;

const ONE: i128 = 1_000_000_000_000;

fn budget(limits: &[(Option<u64>, i128, Option<i128>)], spent: i128) -> Arc<Budget> {
    let limits = limits.iter().map(|&(per, max, estimate)| BudgetLimit {
        per: per.map(Duration::from_secs),
        max: max * ONE,
        estimate: estimate.map(|estimate| estimate * ONE),
        is_charged: false,
    });
    let column = ColumnBudget { column: "tokens".into(), limits: limits.collect() };
    Budget::new(&[column], &["other", "tokens"], |_| Spent { all: spent * ONE, lately: Vec::new() })
        .unwrap()
}

impl Budget {
    /// When the attempt with this number started, as far as its limits remember.
    fn began(&self, number: u64) -> Moment {
        let state = self.lock();
        let mut limits = state.columns.iter().flat_map(|column| &column.limits);
        let found = limits.find_map(|limit| match &limit.kind {
            Kind::Time { starts, .. } => starts.iter().find(|start| start.number == number),
            Kind::Job { .. } => None,
        });
        found.map_or(Moment::from_nanos(0), |start| start.at)
    }
}

fn end(reservation: Reservation, status: Status, tokens: &str) -> Option<String> {
    let began = reservation.budget.began(reservation.number);
    let mut outcome = Outcome::new(status, began, Duration::from_secs(1));
    outcome.has_run = true;
    let tokens = Some(tokens.as_bytes().to_vec()).filter(|tokens| !tokens.is_empty());
    reservation.settle(&outcome, &[None, tokens])
}

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

#[test]
fn what_is_reserved_gives_way_to_what_was_used() {
    let budget = budget(&[(Some(60), 1000, Some(400))], 0);
    let first = budget.try_reserve(at(0)).unwrap();
    let second = budget.try_reserve(at(1)).unwrap();
    assert_eq!(budget.try_reserve(at(2)).unwrap_err(), Refused::Until(at(60)));
    assert_eq!(end(first, Status::Ok, "100"), None);
    let third = budget.try_reserve(at(2)).unwrap();
    // It needed more than was left, which the next ones wait for.
    assert_eq!(end(second, Status::Ok, "1200"), None);
    assert_eq!(end(third, Status::Failed, ""), None);
    assert_eq!(budget.try_reserve(at(60)).unwrap_err(), Refused::Until(at(61)));
    drop(budget.try_reserve(at(61)).unwrap());
}

#[test]
fn the_budget_of_a_job_is_never_exceeded_by_estimates_and_ends_it() {
    let budget = budget(&[(None, 1000, Some(400))], 100);
    let first = budget.try_reserve(at(0)).unwrap();
    let second = budget.try_reserve(at(0)).unwrap();
    assert_eq!(budget.try_reserve(at(0)).unwrap_err(), Refused::Waits);
    drop(second); // it never started
    let second = budget.try_reserve(at(0)).unwrap();
    end(first, Status::Ok, "300");
    end(second, Status::Ok, "300");
    let Err(Refused::Over(message)) = budget.try_reserve(at(9)) else { panic!("there is no room") };
    assert!(message.contains("`tokens` is used up (700 of 1000)"), "{message}");
}

#[test]
fn without_an_estimate_the_mean_is_taken() {
    let budget = budget(&[(None, 10, None)], 0);
    let first = budget.try_reserve(at(0)).unwrap();
    let second = budget.try_reserve(at(0)).unwrap();
    end(first, Status::Ok, "4.5");
    let third = budget.try_reserve(at(0)).unwrap();
    assert_eq!(budget.try_reserve(at(0)).unwrap_err(), Refused::Waits);
    end(third, Status::Ok, "5.5");
    assert!(matches!(budget.try_reserve(at(0)), Err(Refused::Over(_))));
    end(second, Status::Ok, "1");
}

#[test]
fn a_value_that_is_not_a_number_is_said_and_counts_as_the_estimate() {
    let budget = budget(&[(None, 1000, Some(400)), (Some(60), 800, Some(400))], 0);
    let said = end(budget.try_reserve(at(0)).unwrap(), Status::Ok, "many").unwrap();
    assert_eq!(
        said,
        "the column `tokens` is not a number: `many`, so its budget counts the estimate"
    );
    let said = end(budget.try_reserve(at(0)).unwrap(), Status::Ok, "").unwrap();
    assert!(said.contains("`tokens` is empty"), "{said}");
    assert_eq!(budget.try_reserve(at(0)).unwrap_err(), Refused::Over(
        "stopping: the budget of `tokens` is used up (800 of 1000): running tasks finish, no new ones start; raise its \
         `max` and resume with --resume".into()
    ));
}

#[test]
fn what_an_earlier_run_used_lately_counts_until_its_time_is_over() {
    let limit = BudgetLimit {
        per: Some(Duration::from_secs(100)),
        max: 100,
        estimate: Some(30),
        is_charged: false,
    };
    let column = ColumnBudget { column: "tokens".into(), limits: vec![limit] };
    let lately = [110, 60, 10].map(|age| (Duration::from_secs(age), 50)).to_vec();
    let spent = |_: &str| Spent { all: 150, lately: lately.clone() };
    let budget = Budget::new(&[column], &["tokens"], spent).unwrap();
    let now = Moment::now();
    let Refused::Until(room) = budget.try_reserve(now).unwrap_err() else { panic!("it waits") };
    let seconds = room.since(now).as_secs();
    assert!((1..=40).contains(&seconds), "{seconds} s until the second one is out of the way");
    assert!(budget.try_reserve(room).is_ok());
}
