//! `[workload.compute]`: the built-in functions, run in place by the slot that has the task.
//!
//! They are there to compare models with, and to check sums with. This file owns the table, the plan and the worker;
//! [`function`] knows the functions, and a file each does them. All of them poll for a stop.

mod big;
mod count;
mod cpu;
mod file;
mod function;
mod integer;
mod number;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use function::{Function, UnknownFunction};

use crate::base::diagnostic::reason;
use crate::config::{Planner, Table, Template};
use crate::task::{Attempt, Moment, Outcome, Payload, Status, Stop, Task, Values};

/// Asks whether the computation must end before it has finished. Costs about a clock read.
pub type Poll<'a> = &'a dyn Fn() -> Option<Stop>;

/// Which function, of what.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What is called.
    pub function: Function,
    /// Its argument: a whole number, or a path for `sha256`. Of `sha256` of a payload, nothing.
    pub arg: Template,
}

/// Why a function has no value.
#[derive(Debug)]
enum Halt {
    /// It was told to stop.
    Stopped(Stop),
    /// It cannot be computed, in words.
    Failed(String),
}

/// Passes a stop on, for `?`.
fn check(poll: Poll<'_>) -> Result<(), Halt> {
    poll().map_or(Ok(()), |stop| Err(Halt::Stopped(stop)))
}

/// Reads `[workload.compute]`; every mistake is reported at its place.
pub fn read(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Spec> {
    let function = table.require::<String>("function").and_then(|name| {
        let parsed = name.get_ref().parse::<Function>();
        parsed
            .map_err(|error| plan.error_with_help(name.span(), error.to_string(), error.help()))
            .ok()
    });
    // Asked for even if the function is wrong, so that its own mistakes are reported too.
    let place = table.span_of("arg");
    let given = table.has("arg");
    let arg = table.scalar_template("arg", plan);
    let function = function?;
    let arg = match arg {
        Some(arg) => arg,
        None if given => return None,
        None if plan.has_payload() => return of_payload(function, plan, place),
        None => single_input(plan, place.clone(), function)?,
    };
    if let Some(text) = arg.literal()
        && let Err(message) = function.check_literal(text, plan.folder())
    {
        match function {
            Function::Sha256 => plan.absent(place, message, None),
            _ => plan.error(place, message),
        }
        return None;
    }
    Some(Spec { function, arg })
}

/// The plan of a table without `arg` in a stage that is handed something: that is the argument.
fn of_payload(function: Function, plan: &Planner<'_>, place: Range<usize>) -> Option<Spec> {
    if function == Function::Sha256 {
        // Not the path of a file, but what is to be hashed: where that is does not matter.
        let (function, arg) = (Function::Sha256OfPayload, Template::constant(""));
        return Some(Spec { function, arg });
    }
    plan.take_payload();
    let parsed = Template::parse("{payload}", &plan.scope());
    let arg =
        parsed.map_err(|error| plan.error_with_help(place, error.message, error.help)).ok()?;
    Some(Spec { function, arg })
}

/// The argument of a table without `arg`: the input, if it is a single value.
fn single_input(plan: &Planner<'_>, place: Range<usize>, function: Function) -> Option<Template> {
    let scope = plan.scope();
    let placeholder = match scope.fields.map(|_| plan.argument_fields()) {
        // The inputs cannot tell: they are wrong, which has been reported, or there are none.
        None => "{input}".into(),
        Some([name]) if matches!(&name[..], "task" | "attempt" | "job" | "slot") => {
            format!("{{input_{name}}}")
        }
        Some([name]) => format!("{{{name}}}"),
        Some(fields) => {
            let (why, help) = match fields {
                [] => (
                    "the job has no inputs".into(),
                    format!("write `arg = {}`", function.example()),
                ),
                [first, ..] => (
                    format!("the inputs have {} fields", fields.len()),
                    format!("name one of them, as in `arg = \"{{{first}}}\"`"),
                ),
            };
            plan.error_with_help(place, format!("`{function}` needs an `arg`: {why}"), help);
            return None;
        }
    };
    let parsed = Template::parse(&placeholder, &scope);
    parsed.map_err(|error| plan.error_with_help(place, error.message, error.help)).ok()
}

impl Spec {
    /// Appends the argument of one task to `out`.
    pub fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        if self.function == Function::Sha256OfPayload {
            // A path, or the bytes after a sign that they are not a path: which `Function` tells apart.
            if let Some(path) = values.payload.and_then(Payload::path) {
                out.extend_from_slice(path.as_bytes());
            } else {
                out.push(b'=');
                out.extend_from_slice(values.payload.map(Payload::bytes).unwrap_or_default());
            }
            return;
        }
        self.arg.render(values, out);
    }

    /// One task as it would run: `factorial(10000)`.
    pub fn show(&self, values: &Values<'_>) -> String {
        let mut arg = Vec::new();
        self.render(values, &mut arg);
        if self.function == Function::Sha256OfPayload {
            arg.drain(..1); // the sign
        }
        format!("{}({})", self.function, String::from_utf8_lossy(&arg))
    }
}

/// Calls `function`, in place. `arg` is the rendered argument, relative paths start in `folder`.
///
/// The outcome has the processor time of this thread. A call that `poll` ended says so in its status; its `error` is
/// that of [`Stop::words`] without the time limit, which only the caller knows.
pub fn run(function: Function, arg: &[u8], folder: &Path, poll: Poll<'_>) -> Outcome {
    run_since(Moment::now(), function, arg, folder, poll)
}

/// [`run`], for callers whose `poll` had to know the start.
fn run_since(
    started: Moment,
    function: Function,
    arg: &[u8],
    folder: &Path,
    poll: Poll<'_>,
) -> Outcome {
    let clock = cpu::Clock::start(started);
    let value = function.call(arg, folder, poll);
    let ended = Moment::now();
    let mut outcome = Outcome::new(Status::Ok, started, ended.since(started));
    outcome.cpu = Some(clock.stop(started, ended, function.system_calls()));
    match value {
        Ok(result) => outcome.result = result,
        Err(Halt::Stopped(stop)) => {
            outcome.status = stop.status();
            outcome.error = stop.words(None);
        }
        Err(Halt::Failed(message)) => {
            outcome.status = Status::Failed;
            outcome.error = message;
        }
    }
    outcome
}

/// The computations of one slot.
#[derive(Debug)]
pub struct Worker {
    spec: Spec,
    folder: PathBuf,
    /// Kept, so that a task costs no allocation for its argument.
    arg: Vec<u8>,
}

impl Worker {
    /// A worker for `spec`; relative paths start in `folder`.
    pub fn new(spec: &Spec, folder: impl Into<PathBuf>) -> Self {
        Self { spec: spec.clone(), folder: folder.into(), arg: Vec::new() }
    }

    /// Attempts one task, in place: nothing else happens on this thread until it has ended.
    #[expect(clippy::unused_async, reason = "every worker has the same door")]
    pub async fn run(&mut self, task: &Task, attempt: &Attempt<'_>) -> Outcome {
        self.arg.clear();
        let values = attempt.values(task);
        self.spec.render(&values, &mut self.arg);
        let started = Moment::now();
        let poll = || attempt.must_stop(started);
        let mut outcome = run_since(started, self.spec.function, &self.arg, &self.folder, &poll);
        if outcome.status == Status::Timeout {
            outcome.error = Stop::Timeout.words(attempt.limit());
        }
        outcome
    }
}

/// The words for a file that cannot be read, at planning and while running alike.
fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("failed to read `{}`: {}", path.display(), reason(error))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;
    use crate::config::Overrides;
    use crate::config::Scope;
    use crate::task::{Cancel, Cause, Fields, Level};
    use crate::workload::Workload;

    fn call(function: Function, arg: &str) -> Outcome {
        run(function, arg.as_bytes(), Path::new("."), &|| None)
    }

    fn task(input: &str) -> Task {
        Task::new(1, Fields::single(input))
    }

    fn attempt(cancel: &Cancel, timeout: Option<Duration>) -> Attempt<'_> {
        Attempt {
            number: 1,
            slot: 1,
            global_slot: 1,
            timeout,
            grace: Duration::ZERO,
            median: None,
            memory: None,
            cancel,
        }
    }

    fn worker(function: Function) -> Worker {
        let scope = Scope { job: "test", fields: None, ..Scope::default() };
        Worker::new(&Spec { function, arg: Template::parse("{input}", &scope).unwrap() }, ".")
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// The plan of a job with this table, or its mistakes and the ways out.
    fn plan(inputs: &str, table: &str) -> Result<Spec, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, format!("{inputs}\n[workload.compute]\n{table}\n")).unwrap();
        let mut jobs = crate::job::read(&[file], &Overrides::default())
            .map_err(|errors| errors.to_string())?;
        match jobs.remove(0).stages.remove(0).workload {
            Workload::Compute(spec) => Ok(spec),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn the_argument_is_the_input_unless_it_is_said() {
        let mut arg = Vec::new();
        for (inputs, table) in [
            ("inputs.repeat = 7", "function = \"factorial\""),
            ("inputs.matrix = { task = [7] }", "function = \"factorial\""),
            ("inputs.matrix = { a = [1], b = [7] }", "function = \"factorial\"\narg = \"{b}\""),
            ("", "function = \"factorial\"\narg = 7"),
        ] {
            let spec = plan(inputs, table).unwrap();
            let fields: Fields = ["7", "7"].into_iter().collect();
            let values = Values { fields: &fields, task: 1, attempt: 1, slot: 1, payload: None };
            arg.clear();
            spec.render(&values, &mut arg);
            assert_eq!((spec.function, &arg[..]), (Function::Factorial, &b"7"[..]), "{inputs}");
        }
    }

    #[test]
    fn mistakes_are_found_when_planning() {
        let two = "inputs.matrix = { a = [1], b = [2] }";
        for (inputs, table, message) in [
            ("", "function = \"factorail\"\narg = 1", "did you mean `factorial`?"),
            ("", "function = \"factorial\"", "`factorial` needs an `arg`: the job has no inputs"),
            (two, "function = \"factorial\"", "as in `arg = \"{a}\"`"),
            (two, "function = \"factorial\"\narg = \"{c}\"", "unknown field `c`"),
            ("", "function = \"factorial\"\narg = 1000000000000", "is too large"),
            ("", "function = \"count_down\"\narg = -5", "is negative"),
            (
                "",
                "function = \"sha256\"\narg = \"x\"",
                "failed to read `x`: no such file or directory",
            ),
        ] {
            let errors = plan(inputs, table).unwrap_err();
            assert!(errors.contains(message), "{errors}");
        }
    }

    #[test]
    fn a_computation_has_a_value_and_its_times() {
        let outcome = call(Function::CountDown, "3000000");
        assert_eq!((outcome.status, &outcome.result[..]), (Status::Ok, &b"0"[..]));
        assert!(outcome.run > Duration::ZERO && outcome.error.is_empty());
        let cpu = outcome.cpu.unwrap();
        assert!(cpu.user + cpu.system <= outcome.run);
        assert_eq!(outcome.output_bytes, None);
    }

    #[test]
    fn a_bad_argument_fails_that_task() {
        let outcome = call(Function::Factorial, "many");
        assert_eq!(outcome.status, Status::Failed);
        assert_eq!(outcome.error, "`many` is not a whole number");
    }

    #[test]
    fn every_function_stops_soon_after_it_is_told() {
        for (function, arg) in [
            (Function::CountDown, "18446744073709551615"),
            (Function::CountPrimes, "18446744073709551615"),
            (Function::Factorial, "10000000"),
            (Function::Fibonacci, "200000000"),
            (Function::Sha256, "/dev/zero"),
        ] {
            let cancel = Cancel::default();
            let limit = Duration::from_millis(300);
            let outcome =
                block_on(worker(function).run(&task(arg), &attempt(&cancel, Some(limit))));
            assert_eq!(outcome.status, Status::Timeout, "{function}: {}", outcome.error);
            assert_eq!(outcome.error, "timed out after 300ms");
            // It would run for hours. How soon it stops is for a benchmark: the tests share a machine.
            assert!(outcome.run < Duration::from_secs(30), "{function}: {:?}", outcome.run);
        }
    }

    #[test]
    fn a_killed_job_cancels_its_computations() {
        let cancel = Cancel::default();
        cancel.raise(Level::Kill, Cause::Signal(2));
        let outcome = block_on(
            worker(Function::CountPrimes).run(&task("1000000000000"), &attempt(&cancel, None)),
        );
        assert_eq!((outcome.status, &outcome.error[..]), (Status::Cancelled, "cancelled"));
    }

    #[test]
    fn a_short_computation_does_not_pay_for_polling() {
        let polls = Cell::new(0);
        let poll = || {
            polls.set(polls.get() + 1);
            None
        };
        run(Function::CountDown, b"65536", Path::new("."), &poll);
        run(Function::Factorial, b"1000", Path::new("."), &poll);
        assert_eq!(polls.get(), 0);
    }
}
