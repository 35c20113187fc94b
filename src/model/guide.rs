//! The decision guide: which model and how many slots if the job file leaves that open.
//!
//! `auto` ends here, in planning: every run has a model. Where the guide cannot know (what a command, a worker or a
//! Python function does), a pilot begins under that model, and the first tasks decide what it grows to.

use super::pilot::{Plan, most_slots};
use super::{Model, WAITING_IN_THREADS, WAITING_ON_A_LOOP, cores};
use crate::model::Nature;

/// The number of requests at once that a server accepts without complaint.
const REQUESTS: usize = 16;
/// From this number on, waiting in threads costs more than in an event loop.
const MANY: u64 = 100;

/// The user's choice of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing, or `auto`.
    Auto,
    /// The job file sets it.
    InFile(Model),
    /// The command line sets it.
    OnCommandLine(Model),
}

/// A model and its slots, settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The model that runs the slots.
    pub model: Model,
    /// The number of slots, above 0; with a pilot, the number that it may grow to.
    pub concurrency: usize,
    /// Why this model.
    pub reason: String,
    /// The pilot, if the first tasks decide.
    pub pilot: Option<Plan>,
}

/// Settles what the user leaves open: of the concurrency, what it is, if that is set, and what it is at most if not. `tasks`
/// is `None` if their number is known only once they have been read.
pub fn settle(
    choice: Choice,
    (concurrency, most): (Option<usize>, usize),
    nature: Nature,
    tasks: Option<u64>,
) -> Settled {
    let (model, reason) = match choice {
        Choice::InFile(model) => (model, "set in the job file".to_owned()),
        Choice::OnCommandLine(model) => (model, "set on the command line".to_owned()),
        Choice::Auto => decide(concurrency, nature, tasks, cores()),
    };
    let pilot = if choice == Choice::Auto { pilot(concurrency, nature, tasks) } else { None };
    let concurrency = match (model, &pilot) {
        (_, Some(_)) => concurrency.unwrap_or_else(|| most_slots(nature, cores()).min(most)),
        (Model::Sequential, None) => 1,
        _ => concurrency.unwrap_or_else(|| default_concurrency(model, nature, cores()).min(most)),
    };
    Settled { model, concurrency, reason, pilot }
}

/// The pilot, if the first tasks can show more than the guide knows. For commands, that is only the number of slots.
fn pilot(concurrency: Option<usize>, nature: Nature, tasks: Option<u64>) -> Option<Plan> {
    let is_open = match nature {
        Nature::Hosted => true,
        Nature::Process => concurrency.is_none(),
        Nature::Computes | Nature::Waits | Nature::Requests => false,
    };
    (is_open && tasks.is_none_or(|tasks| tasks > 1)).then_some(Plan { set: concurrency })
}

fn default_concurrency(model: Model, nature: Nature, cores: usize) -> usize {
    match (nature, model) {
        (Nature::Computes | Nature::Process, _) | (_, Model::Processes) => cores,
        (Nature::Requests, _) => REQUESTS,
        (Nature::Waits | Nature::Hosted, Model::Async) => WAITING_ON_A_LOOP,
        (Nature::Waits | Nature::Hosted, _) => WAITING_IN_THREADS,
    }
}

/// The model for a job that does not name one, and the reason.
fn decide(
    concurrency: Option<usize>,
    nature: Nature,
    tasks: Option<u64>,
    cores: usize,
) -> (Model, String) {
    if tasks == Some(1) {
        return (Model::Sequential, "auto: only one task".into());
    }
    match nature {
        Nature::Computes if cores == 1 => {
            (Model::Sequential, "auto: computation on 1 core: concurrency makes nothing faster".into())
        }
        Nature::Computes => (
            Model::Threads,
            format!("auto: computation on {cores} cores: threads use them all without the cost of processes"),
        ),
        Nature::Hosted => (
            Model::Processes,
            "auto: a program of its own: the first tasks show whether it computes or waits".into(),
        ),
        Nature::Waits | Nature::Requests => decide_waiting(concurrency, tasks),
        Nature::Process if concurrency.is_some_and(|slots| slots as u64 >= MANY) => (
            Model::Async,
            "auto: commands, hundreds at once: an event loop waits for them more cheaply than threads".into(),
        ),
        Nature::Process => (
            Model::Threads,
            "auto: commands: each is a process already, and a thread per slot is the cheapest way to wait for it".into(),
        ),
    }
}

fn decide_waiting(concurrency: Option<usize>, tasks: Option<u64>) -> (Model, String) {
    // The number that waits at once counts: never more than there are tasks, or than the job file allows.
    let at_once = match (concurrency.map(|slots| slots as u64), tasks) {
        (Some(slots), Some(tasks)) => Some(slots.min(tasks)),
        (slots, tasks) => slots.or(tasks),
    };
    match at_once {
        Some(count) if count < MANY => {
            (Model::Threads, format!("auto: waiting, {count} at once: threads are enough"))
        }
        Some(_) => (
            Model::Async,
            "auto: waiting, hundreds of tasks or more: an event loop holds them most cheaply"
                .into(),
        ),
        None => (
            Model::Async,
            "auto: waiting, number of tasks unknown: an event loop holds any number".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide() {
        let model = |concurrency, nature, tasks, cores| decide(concurrency, nature, tasks, cores).0;
        assert_eq!(model(None, Nature::Computes, Some(100), 2), Model::Threads);
        assert_eq!(model(None, Nature::Computes, Some(100), 1), Model::Sequential);
        assert_eq!(model(None, Nature::Computes, Some(1), 8), Model::Sequential);
        assert_eq!(model(None, Nature::Waits, Some(24), 2), Model::Threads);
        assert_eq!(model(None, Nature::Waits, Some(2000), 2), Model::Async);
        assert_eq!(model(Some(16), Nature::Waits, Some(2000), 2), Model::Threads);
        assert_eq!(model(None, Nature::Waits, None, 2), Model::Async);
        assert_eq!(model(None, Nature::Process, Some(10_000), 2), Model::Threads);
        assert_eq!(model(Some(500), Nature::Process, Some(10_000), 2), Model::Async);
    }

    #[test]
    fn the_first_tasks_decide_where_the_guide_cannot_know() {
        let has_pilot = |choice, concurrency, nature, tasks| {
            settle(choice, (concurrency, 9), nature, tasks).pilot.is_some()
        };
        assert!(has_pilot(Choice::Auto, None, Nature::Hosted, None));
        assert!(has_pilot(Choice::Auto, Some(4), Nature::Hosted, Some(9)));
        assert!(has_pilot(Choice::Auto, None, Nature::Process, Some(2)));
        assert!(!has_pilot(Choice::Auto, Some(4), Nature::Process, None));
        assert!(!has_pilot(Choice::Auto, None, Nature::Hosted, Some(1)));
        assert!(!has_pilot(Choice::Auto, None, Nature::Waits, None));
        assert!(!has_pilot(Choice::InFile(Model::Processes), None, Nature::Hosted, None));
    }

    #[test]
    fn defaults_fit_model_and_kind() {
        let slots =
            |model, nature| settle(Choice::InFile(model), (None, 1000), nature, None).concurrency;
        assert_eq!(slots(Model::Sequential, Nature::Waits), 1);
        assert_eq!(slots(Model::Async, Nature::Waits), 100);
        assert_eq!(slots(Model::Async, Nature::Requests), 16);
        assert_eq!(slots(Model::Threads, Nature::Requests), 16);
        assert_eq!(slots(Model::Threads, Nature::Computes), cores());
        assert_eq!(slots(Model::Processes, Nature::Waits), cores());
        assert_eq!(
            settle(Choice::InFile(Model::Sequential), (Some(9), 9), Nature::Waits, None)
                .concurrency,
            1
        );
    }
}
