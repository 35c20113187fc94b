//! A worker process is this test program, started so that it runs only [`entry`], which serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use std::time::Duration;

use super::*;
use crate::config::Scope;
use crate::config::Template;
use crate::launcher::testing;
use crate::task::{Cancel, Cause, Fields, Level};
use crate::worker::serve;
use crate::workload::compute::Function;
use crate::workload::{compute, sleep};

const ENTRY: &str = "RUNNER_TEST_IS_WORKER";

#[test]
fn entry() {
    if std::env::var_os(ENTRY).is_some() {
        // The output of the test harness must not get into the answers, whose pipe has been moved to 4 for that.
        let answers = std::fs::File::options().write(true).open("/proc/self/fd/4").unwrap();
        rustix::stdio::dup2_stdout(&answers).unwrap();
        drop(answers);
        serve::main();
    }
}

/// This program as a worker, which can be found by `mark`.
fn worker(mark: u32) -> Program {
    let program = std::env::current_exe().unwrap();
    let script = "exec 4>&1 >/dev/null; exec \"$@\"";
    let filter = "worker::internal::tests::entry";
    let argv = ["sh", "-c", script, "sh", program.to_str().unwrap(), "--exact", filter];
    let argv = [&argv[..], &["--nocapture", "--test-threads=1"]].concat();
    Program::new("/bin/sh", &argv, &[&format!("{ENTRY}={mark}")], Path::new("/")).unwrap()
}

fn shell(script: &str) -> Program {
    Program::new("/bin/sh", &["sh", "-c", script], &[""; 0], Path::new("/")).unwrap()
}

fn input() -> Template {
    let fields = ["input".to_owned()];
    Template::parse("{input}", &Scope { job: "test", fields: Some(&fields), ..Scope::default() })
        .unwrap()
}

fn sleeping() -> Workload {
    Workload::Sleep(sleep::Spec { duration: input() })
}

fn computing(function: Function) -> Workload {
    Workload::Compute(compute::Spec { function, arg: input() })
}

/// A remote worker for a test.
struct Test {
    runtime: tokio::runtime::Runtime,
    remote: Remote,
    cancel: Arc<Cancel>,
    timeout: Option<Duration>,
    mark: u32,
}

impl Test {
    fn new(workload: &Workload) -> Self {
        static MARK: AtomicU32 = AtomicU32::new(1);
        let mark = MARK.fetch_add(1, Ordering::Relaxed);
        Self { mark, ..Self::start(workload, worker(mark)).unwrap() }
    }

    fn start(workload: &Workload, program: Program) -> io::Result<Self> {
        let runtime = testing::runtime();
        let launcher = Arc::new(testing::launcher());
        let remote = runtime.block_on(Remote::start_with(launcher, workload, program))?;
        Ok(Self { runtime, remote, cancel: Arc::default(), timeout: None, mark: 0 })
    }

    /// Runs a task per input, numbered from 1; returns them in the order in which they were settled, with outcome and
    /// time.
    fn run(&mut self, inputs: &[&str]) -> Vec<Settled> {
        self.try_run(inputs).0
    }

    fn try_run(&mut self, inputs: &[&str]) -> (Vec<Settled>, io::Result<()>) {
        let mut batch: VecDeque<Task> = (1..)
            .zip(inputs)
            .map(|(number, input)| Task::new(number, Fields::single(input)))
            .collect();
        let mut settled = Vec::new();
        let attempt = Attempt {
            number: 1,
            slot: 1,
            global_slot: 1,
            timeout: self.timeout,
            median: None,
            memory: None,
            grace: Duration::ZERO,
            cancel: &self.cancel,
        };
        let begun = Moment::now();
        let mut settle = |task: Task, verdict| {
            let outcome = match verdict {
                Verdict::Done(outcome) => Some(outcome),
                Verdict::Requeue { .. } | Verdict::Unfit(_) => None,
            };
            settled.push(Settled { number: task.number, outcome, after: begun.elapsed() });
        };
        let result = self.runtime.block_on(self.remote.run(&mut batch, &attempt, &mut settle));
        assert!(batch.is_empty());
        let mut numbers: Vec<_> = settled.iter().map(|settled| settled.number).collect();
        numbers.sort_unstable();
        let all: Vec<_> = (1..=inputs.len() as u64).collect();
        assert_eq!(numbers, all, "every task is settled exactly once");
        (settled, result)
    }

    /// The worker process.
    fn pid(&self) -> Pid {
        let variable = format!("{ENTRY}={}", self.mark);
        let is_ours = |folder: &Path| {
            let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|entry| entry == variable.as_bytes())
        };
        let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let pid = processes
            .filter(|folder| is_ours(folder))
            .find_map(|folder| folder.file_name()?.to_str()?.parse().ok().and_then(Pid::from_raw));
        pid.expect("the worker lives")
    }
}

#[derive(Debug)]
struct Settled {
    number: u64,
    outcome: Option<Outcome>,
    after: Duration,
}

impl Settled {
    fn outcome(&self) -> &Outcome {
        self.outcome.as_ref().unwrap_or_else(|| panic!("{} was requeued", self.number))
    }
}

/// Numbers and outcomes: `1 ok, 2 requeue`.
fn words(settled: &[Settled]) -> String {
    let word = |settled: &Settled| {
        let word = settled.outcome.as_ref().map_or("requeue", |outcome| outcome.status.name());
        format!("{} {word}", settled.number)
    };
    settled.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn results_and_failures_come_back() {
    let mut test = Test::new(&computing(Function::Factorial));
    let settled = test.run(&["5", "x", "20"]);
    assert_eq!(words(&settled), "1 ok, 2 failed, 3 ok");
    let here = compute::run(Function::Factorial, b"5", Path::new(""), &|| None);
    assert_eq!(settled[0].outcome().result, here.result, "whatever is in it");
    assert_eq!(settled[1].outcome().error, "`x` is not a whole number");
    assert!(settled[0].outcome().cpu.is_some() && settled[0].outcome().started <= Moment::now());
    assert!(test.runtime.block_on(test.remote.stop()) > Some(0));
}

#[test]
fn appetite_grows_while_tasks_are_short() {
    let mut test = Test::new(&computing(Function::CountDown));
    let mut appetites = Vec::new();
    for _ in 0..4 {
        let appetite = test.remote.appetite();
        appetites.push(appetite);
        test.run(&vec!["1"; appetite]);
    }
    assert_eq!(appetites[0], 1);
    assert!(appetites[3] > 4, "{appetites:?}");
}

#[test]
fn a_long_task_delays_neither_those_before_nor_those_after_it() {
    let mut test = Test::new(&sleeping());
    let settled = test.run(&["0s", "0s", "300ms", "0s", "0s"]);
    assert_eq!(words(&settled), "1 ok, 2 ok, 4 requeue, 5 requeue, 3 ok");
    assert!(settled[3].after < settled[4].after, "{settled:?}");
    assert_eq!(test.remote.appetite(), 1);
    assert_eq!(words(&test.run(&["0s", "0s"])), "1 ok, 2 ok", "the next batch is not taken back");
}

#[test]
fn a_timeout_costs_one_task_and_the_worker() {
    let mut test = Test::new(&sleeping());
    test.timeout = Some(Duration::from_millis(50));
    let settled = test.run(&["0s", "1h", "0s"]);
    assert_eq!(words(&settled), "1 ok, 3 requeue, 2 timeout");
    let outcome = settled[2].outcome();
    assert_eq!(outcome.error, "timed out after 50ms");
    assert!(outcome.run >= Duration::from_millis(50) && outcome.run < Duration::from_mins(1));
    assert_eq!(words(&test.run(&["0s"])), "1 ok");
    assert_eq!(test.remote.restarts(), 1);
    assert_eq!(words(&test.run(&["1h"])), "1 timeout", "alone too");
}

#[test]
fn killing_the_job_cancels_what_runs() {
    let mut test = Test::new(&sleeping());
    let cancel = Arc::clone(&test.cancel);
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        cancel.raise(Level::Kill, Cause::Signal(2));
    });
    let settled = test.run(&["1h", "0s"]);
    killer.join().unwrap();
    assert_eq!(words(&settled), "2 requeue, 1 cancelled");
    assert_eq!(settled[1].outcome().error, "cancelled");
    assert_eq!(words(&test.run(&["0s"])), "1 requeue", "no worker is started any more");
}

#[test]
fn a_worker_that_dies_costs_the_task_that_it_was_running() {
    let mut test = Test::new(&sleeping());
    let pid = test.pid();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        kill_process(pid, Signal::ABORT).unwrap();
    });
    let settled = test.run(&["0s", "1h", "0s"]);
    killer.join().unwrap();
    assert_eq!(words(&settled), "1 ok, 3 requeue, 2 crashed");
    assert_eq!(settled[2].outcome().error, "the worker process died: SIGABRT");
    assert!(settled[2].outcome().run > Duration::from_millis(20));
    assert_eq!(words(&test.run(&["0s"])), "1 ok");
}

#[test]
fn a_worker_that_died_while_idle_costs_nothing() {
    let mut test = Test::new(&sleeping());
    test.run(&["0s"]);
    kill_process(test.pid(), Signal::KILL).unwrap();
    assert_eq!(words(&test.run(&["0s", "0s"])), "1 requeue, 2 requeue");
    assert_eq!(words(&test.run(&["0s", "0s"])), "1 ok, 2 ok");
}

#[test]
fn workers_that_only_die_are_given_up() {
    let program = shell("read hello; echo '{\"ready\":1}'; read tasks; echo no luck >&2; exit 3");
    let mut test = Test::start(&sleeping(), program).unwrap();
    assert_eq!(words(&test.run(&["0s"])), "1 requeue");
    assert_eq!(words(&test.run(&["0s"])), "1 requeue");
    let (settled, result) = test.try_run(&["0s", "0s"]);
    assert_eq!(words(&settled), "1 crashed, 2 crashed");
    let error = result.unwrap_err().to_string();
    assert_eq!(error, "3 times in a row, the worker process died: exit code 3: no luck");
}

#[test]
fn a_worker_that_does_not_become_ready_is_an_error_with_its_output() {
    for (script, expected) in [
        ("echo hello", "a worker process wrote `hello` instead of being ready: "),
        (
            "echo '{\"ready\":2}'; exec sleep 300",
            "a worker process wrote `{\"ready\":2}` instead of",
        ),
        ("echo oops >&2; exit 7", "a worker process ended before it was ready: exit code 7: oops"),
        ("kill -SEGV $$", "a worker process ended before it was ready: SIGSEGV"),
    ] {
        let error = Test::start(&sleeping(), shell(script)).err().unwrap().to_string();
        assert!(error.starts_with(&format!("3 times in a row, {expected}")), "{error}");
    }
}

#[test]
fn a_worker_that_is_ready_at_the_third_start_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let tries = folder.path().join("tries").display().to_string();
    let script = format!(
        "echo >> {tries}; [ $(wc -l < {tries}) = 3 ] || exit 1; read hello; echo '{{\"ready\":1}}'; read tasks"
    );
    let test = Test::start(&sleeping(), shell(&script)).unwrap();
    assert_eq!(test.remote.restarts(), 2);
}

#[test]
fn a_worker_that_breaks_the_protocol_is_ended() {
    let program =
        shell("read hello; echo '{\"ready\":1}'; read tasks; echo nonsense; exec sleep 300");
    let mut test = Test::start(&sleeping(), program).unwrap();
    assert_eq!(words(&test.run(&["0s"])), "1 requeue");
}
