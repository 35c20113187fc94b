//! `[workload.sleep]`: a wait, which stands for waiting on something: a server, a disk, a licence.
//!
//! A wait ends at the first tick of a millisecond clock after its time, so `run_s` is up to 1.1 ms longer than asked
//! for; what is shorter than that says more about the timer than about the job. `0s` does not wait at all.

use std::time::Duration;

use crate::config::{Planner, Table, Template};
use crate::task::{Attempt, Limit, Moment, Outcome, Status, Stop, Task, Values, clock};
use crate::workload::compute::Poll;

/// How long to wait.
#[derive(Clone, Debug)]
pub struct Spec {
    /// A duration as humantime reads it.
    pub duration: Template,
}

/// Between two polls of a wait that blocks its thread.
const NAP: Duration = Duration::from_millis(20);

/// Reads `[workload.sleep]`; every mistake is reported at its place.
pub fn read(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Spec> {
    if !table.has("duration") {
        table.missing("duration");
        return None;
    }
    let place = table.span_of("duration");
    let duration = table.template("duration", plan)?;
    if let Some(text) = duration.literal()
        && let Err(message) = parse(text.as_bytes())
    {
        plan.error_with_help(place, message, "a duration reads like `100ms`, `1.5s` or `2m 30s`");
        return None;
    }
    Some(Spec { duration })
}

impl Spec {
    /// Appends the duration of one task to `out`, as text.
    pub fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        self.duration.render(values, out);
    }

    /// One task as it would run: `sleep 100ms`.
    pub fn show(&self, values: &Values<'_>) -> String {
        let mut duration = Vec::new();
        self.render(values, &mut duration);
        format!("sleep {}", String::from_utf8_lossy(&duration))
    }
}

/// Reads a duration.
fn parse(text: &[u8]) -> Result<Duration, String> {
    let text = String::from_utf8_lossy(text);
    humantime::parse_duration(text.trim())
        .map_err(|error| format!("`{text}` is not a duration: {error}"))
}

/// Waits for as long as `arg` says, holding the thread.
pub fn run(arg: &[u8], poll: Poll<'_>) -> Outcome {
    let duration = match parse(arg) {
        Ok(duration) => duration,
        Err(message) => return Outcome::not_started(message),
    };
    let started = Moment::now();
    let end = started + duration;
    loop {
        let left = end.since(Moment::now());
        if left.is_zero() {
            return Outcome::new(Status::Ok, started, started.elapsed());
        }
        std::thread::sleep(left.min(NAP));
        if let Some(stop) = poll() {
            return ended(stop, started, None);
        }
    }
}

/// The outcome of a wait that was ended.
fn ended(stop: Stop, started: Moment, limit: Option<Limit>) -> Outcome {
    let error = stop.words(limit);
    Outcome { error, ..Outcome::new(stop.status(), started, started.elapsed()) }
}

/// The waits of one slot.
#[derive(Debug)]
pub struct Worker {
    spec: Spec,
    /// The duration, if it is the same for every task.
    fixed: Option<Duration>,
    arg: Vec<u8>,
}

impl Worker {
    /// A worker for `spec`.
    pub fn new(spec: &Spec) -> Self {
        let fixed = spec.duration.literal().and_then(|text| parse(text.as_bytes()).ok());
        Self { spec: spec.clone(), fixed, arg: Vec::new() }
    }

    /// Attempts one task; other slots of the loop go on meanwhile.
    pub async fn run(&mut self, task: &Task, attempt: &Attempt<'_>) -> Outcome {
        let duration = match self.duration(task, attempt) {
            Ok(duration) => duration,
            Err(message) => return Outcome::not_started(message),
        };
        let started = Moment::now();
        tokio::select! {
            biased;
            () = clock::sleep_until(started + duration) => {
                Outcome::new(Status::Ok, started, started.elapsed())
            }
            stop = attempt.stopped(started) => ended(stop, started, attempt.limit()),
        }
    }

    fn duration(&mut self, task: &Task, attempt: &Attempt<'_>) -> Result<Duration, String> {
        if let Some(duration) = self.fixed {
            return Ok(duration);
        }
        self.arg.clear();
        let values = attempt.values(task);
        self.spec.render(&values, &mut self.arg);
        parse(&self.arg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scope;
    use crate::task::{Cancel, Cause, Fields, Level};

    fn sleep(input: &str, timeout: Option<Duration>, cancel: &Cancel) -> Outcome {
        let task = Task::new(1, Fields::single(input));
        let attempt = Attempt {
            number: 1,
            slot: 1,
            global_slot: 1,
            timeout,
            grace: Duration::ZERO,
            median: None,
            memory: None,
            cancel,
        };
        let scope = Scope { job: "test", fields: None, ..Scope::default() };
        let duration = Template::parse("{input}", &scope).unwrap();
        let mut worker = Worker::new(&Spec { duration });
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(worker.run(&task, &attempt))
    }

    #[test]
    fn a_wait_takes_its_time() {
        let outcome = sleep("20ms", None, &Cancel::default());
        assert_eq!(outcome.status, Status::Ok);
        assert!(outcome.run >= Duration::from_millis(20));
        assert!(run(b"20ms", &|| None).run >= Duration::from_millis(20));
    }

    #[test]
    fn short_waits_and_none_are_allowed() {
        for text in ["0s", "0ms", "100us", "1ns"] {
            assert_eq!(sleep(text, None, &Cancel::default()).status, Status::Ok, "{text}");
            assert_eq!(run(text.as_bytes(), &|| None).status, Status::Ok, "{text}");
        }
    }

    #[test]
    fn a_wait_can_be_ended() {
        let limit = Some(Duration::from_millis(20));
        let outcome = sleep("1h", limit, &Cancel::default());
        assert_eq!((outcome.status, &outcome.error[..]), (Status::Timeout, "timed out after 20ms"));
        let killed = Cancel::default();
        killed.raise(Level::Kill, Cause::Signal(2));
        let outcome = sleep("1h", limit, &killed);
        assert_eq!((outcome.status, &outcome.error[..]), (Status::Cancelled, "cancelled"));
        assert_eq!(run(b"1h", &|| Some(Stop::Killed)).status, Status::Cancelled);
    }

    #[test]
    fn no_duration_is_a_failure() {
        let outcome = sleep("10 parsecs", None, &Cancel::default());
        assert_eq!(outcome.status, Status::Failed);
        assert!(outcome.error.starts_with("`10 parsecs` is not a duration: "), "{}", outcome.error);
    }
}
