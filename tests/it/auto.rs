//! `auto` where the guide cannot know: the first tasks decide, and count.

use crate::support::{Ran, STDERR, TestJob};

/// Functions that compute or wait, each for much longer than a busy machine is late.
const MODULE: &str = "
import asyncio, os, signal, time
def note(task):
    with open('ran', 'a') as file:
        file.write(f'{task}\\n')
def burn(task):
    note(task)
    end = time.thread_time() + 0.08
    while time.thread_time() < end:
        sum(range(2000))
def nap(task):
    note(task)
    time.sleep(0.1)
async def wait(task):
    note(task)
    await asyncio.sleep(0.1)
async def hold(task):
    burn(task)
def nothing(task):
    note(task)
def fail(task):
    note(task)
    time.sleep(0.05)
    raise ValueError('no')
def die_first(task):
    note(task)
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)
";

/// A job of so many tasks that calls a function of the module; `rest` is the rest of the job file.
fn python(function: &str, tasks: u32, rest: &str) -> TestJob {
    let text = format!(
        "[inputs]\nrepeat = {tasks}\n[workload.python]\nfunction = 'mine:{function}'\n{rest}"
    );
    TestJob::new(&text).file("mine.py", MODULE)
}

fn command(shell: &str, tasks: u32) -> TestJob {
    TestJob::new(&format!(
        "[inputs]\nrepeat = {tasks}\n[workload.command]\nshell = '''echo $input >> ran; {shell}'''"
    ))
}

/// The model and concurrency that the summary names, its reason, and that every task ran once.
#[track_caller]
fn decided(ran: &Ran, tasks: u32) -> (String, usize, String) {
    let summary = ran.exit(0).summary("job");
    assert_eq!(summary["ok"], tasks.to_string());
    ran_once(ran, tasks);
    (summary["model"].clone(), summary["concurrency"].parse().unwrap(), summary["reason"].clone())
}

/// Runs a job until it decides as expected, and returns that run.
///
/// A pilot is right on the evidence that it has, and on a machine that does other things that may be late, or say
/// that what computes waits. So one of several runs has to come to what is expected; what holds whatever a run comes
/// to, `run` asserts itself.
#[track_caller]
fn until(run: impl Fn() -> Ran, is_expected: impl Fn(&str, usize, &str) -> bool) -> Ran {
    let mut others = Vec::new();
    for _ in 0..10 {
        let ran = run();
        let summary = ran.summary("job");
        let slots = summary["concurrency"].parse().unwrap();
        if is_expected(&summary["model"], slots, &summary["reason"]) {
            return ran;
        }
        others.push((summary["model"].clone(), slots, summary["reason"].clone()));
    }
    panic!("in no run as expected: {others:#?}");
}

/// As [`until`], with every task run once in each run.
#[track_caller]
fn decides(
    job: impl Fn() -> TestJob,
    tasks: u32,
    is_expected: impl Fn(&str, usize, &str) -> bool,
) -> Ran {
    let run = || {
        let ran = job().run();
        decided(&ran, tasks);
        ran
    };
    until(run, is_expected)
}

#[track_caller]
fn ran_once(ran: &Ran, tasks: u32) {
    let noted = std::fs::read_to_string(ran.path("ran")).unwrap();
    let mut noted: Vec<u32> = noted.lines().map(|line| line.parse().unwrap()).collect();
    noted.sort_unstable();
    assert_eq!(noted, (1..=tasks).collect::<Vec<_>>());
}

fn cores() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

/// Whether what computes is done like this: on a single core nothing is gained by a second process.
fn suits_computing(model: &str, slots: usize) -> bool {
    model == "processes" && slots >= 2 || cores() == 1 && model == "sequential"
}

#[test]
fn a_function_that_computes_gets_processes() {
    for function in ["burn", "hold"] {
        decides(
            || python(function, 24, ""),
            24,
            |model, slots, reason| {
                reason.starts_with("auto: cpu ")
                    && reason.contains(model)
                    && suits_computing(model, slots)
            },
        );
    }
}

#[test]
fn a_function_that_waits_gets_interpreters_threads_where_they_may_and_a_coroutine_the_event_loop() {
    decides(
        || python("nap", 40, ""),
        40,
        |model, slots, reason| {
            let explains = reason.contains(", GIL o") && reason.contains(": processes");
            model == "processes" && slots > 4 && explains
        },
    );
    decides(
        || python("nap", 40, "thread_safe = true"),
        40,
        |model, slots, reason| (model, slots) == ("threads", 32) && reason.contains(": threads"),
    );
    decides(
        || python("wait", 40, ""),
        40,
        |model, slots, reason| model == "async" && slots > 32 && reason.contains(", coroutines, "),
    );
}

/// What a script may do that has the process to itself; each result tells whether something else came between.
const ALONE: &str = "
import contextlib, io, os, random, signal, threading, time
BASE = os.getcwd()
current = None
def late(*_): raise TimeoutError
def work(x):
    global current
    here = f'{BASE}/w{x}'
    os.makedirs(here)
    os.chdir(here)
    current = os.environ['WHO'] = str(x)
    random.seed(x)
    signal.signal(signal.SIGALRM, late)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        print('first', x)
        time.sleep(0.05)
        print('second', x)
    open('x', 'w').close()
    os.chdir(BASE)
    with open('ran', 'a') as file: file.write(f'{x}\\n')
    main = threading.current_thread() is threading.main_thread()
    return [main, current, os.environ['WHO'], random.random() == random.Random(x).random(), out.getvalue()]";

#[test]
fn what_is_picked_keeps_what_a_function_has_to_itself() {
    let text = "[inputs]\nrange = { from = 1, to = 40 }\n[workload.python]\nfunction = 'mine:work'";
    for model in ["auto", "processes", "sequential"] {
        let job = TestJob::new(text).file("mine.py", ALONE).args(["--model", model]);
        let ran = job.run();
        let expected: Vec<_> = (1..=40)
            .map(|x| format!(r#"[true,"{x}","{x}",true,"first {x}\nsecond {x}\n"]"#))
            .collect();
        assert_eq!(ran.exit(0).report().column("result"), expected, "{model}");
        ran_once(&ran, 40);
        assert!((1..=40).all(|x| ran.path(format!("w{x}/x")).exists()), "{model}");
    }
}

#[test]
fn few_short_tasks_are_done_before_anything_else_would_help() {
    decides(
        || python("nothing", 5, ""),
        5,
        |model, slots, reason| {
            let explains = reason.contains("done before another slot would have helped");
            // The second interpreter starts at once; on a busy machine it is there in time to help.
            (model, slots) == ("sequential", 1) && explains || (model, slots) == ("processes", 2)
        },
    );
}

#[test]
fn a_concurrency_that_is_set_is_kept() {
    let limits = "[limits]\nconcurrency = 3";
    decides(|| python("nap", 12, limits), 12, |model, slots, _| (model, slots) == ("processes", 3));
    let ran = decides(
        || python("burn", 12, limits),
        12,
        |model, slots, _| suits_computing(model, slots) && (slots == 3 || cores() == 1),
    );
    assert!(ran.report().column("slot").iter().all(|slot| ["1", "2", "3"].contains(&&**slot)));
}

#[test]
fn commands_that_wait_get_more_slots_than_cores() {
    let cores = cores();
    decides(
        || command("sleep 0.3", 20),
        20,
        |model, slots, reason| {
            assert!(slots <= 16.max(4 * cores), "{slots}");
            let explains = reason.starts_with("auto: cpu ") && reason.contains(", commands, ");
            model == "threads" && slots > cores && explains
        },
    );
    decides(
        || command("i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done", 12),
        12,
        |model, slots, _| model == "threads" && (slots < 12 || slots == cores),
    );
}

#[test]
fn a_model_that_is_set_is_not_touched() {
    let ran = python("nap", 6, "").args(["--model", "sequential"]).run();
    let (model, _, reason) = decided(&ran, 6);
    assert_eq!(model, "sequential");
    assert!(reason.starts_with("set on the command line"), "{reason}");
}

#[test]
fn one_task_and_none() {
    let (model, _, reason) = decided(&python("nap", 1, "").run(), 1);
    assert_eq!(model, "sequential");
    assert!(reason.starts_with("auto: only one task"), "{reason}");
    let none = "[inputs]\nlines = '-'\n[workload.python]\nfunction = 'mine:nap'";
    TestJob::new(none).file("mine.py", MODULE).run().exit(4);
}

#[test]
fn the_number_of_tasks_need_not_be_known() {
    let text = "[inputs]\nlines = '-'\n[workload.python]\nfunction = 'mine:nap'";
    let lines = (1..=40).map(|line| line.to_string()).collect::<Vec<_>>().join("\n");
    let job = || TestJob::new(text).file("mine.py", MODULE).stdin(&lines);
    decides(job, 40, |model, _, _| model == "processes");
}

#[test]
fn tasks_that_fail_tell_as_much() {
    let run = || {
        let ran = python("fail", 30, "").run();
        assert_eq!(ran.exit(3).summary("job")["failed"], "30");
        ran_once(&ran, 30);
        ran
    };
    until(run, |model, _, _| model == "processes");
}

#[test]
fn a_pilot_whose_interpreter_dies_goes_on() {
    let ran = python("die_first", 30, "").run();
    let summary = ran.exit(3).summary("job");
    assert_eq!((&*summary["ok"], &*summary["crashed"]), ("29", "1"), "{}", summary["reason"]);
    ran_once(&ran, 30);
}

#[test]
fn a_pilot_that_is_stopped_can_be_gone_on_with() {
    // The first task is under way when the job is stopped, and nothing has been decided yet.
    let shell = "echo $input >> ran; while ! test -e go; do sleep 0.01; done";
    let text =
        format!("[inputs]\nrange = {{ from = 1, to = 40 }}\n[workload.command]\nshell = '{shell}'");
    let running = TestJob::new(&text).spawn();
    running.wait_for_file("ran", |text| !text.is_empty());
    running.signal(libc::SIGINT);
    running.wait_for_file(STDERR, |text| text.contains("stopping: "));
    std::fs::write(running.folder().join("go"), "").unwrap();
    let ran = running.wait();
    let summary = ran.exit(130).summary("job");
    assert!(summary["reason"].starts_with("auto: "), "{}", summary["reason"]);
    let ok: usize = summary["ok"].parse().unwrap();
    assert!((1..40).contains(&ok), "{ok}");
    let again = TestJob::again(ran).args(["job.toml", "--resume"]).run();
    again.exit(0).rows("status", &["ok"; 40]);
    let mut ran: Vec<u32> = std::fs::read_to_string(again.path("ran"))
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    ran.sort_unstable();
    assert_eq!(ran, (1..=40).collect::<Vec<_>>(), "each once");
}

#[test]
fn what_an_earlier_run_has_done_is_not_done_again() {
    let run = || {
        let ran = python("nap", 40, "").args(["--limit", "10"]).run();
        decided(&ran, 10);
        let again = TestJob::again(ran).args(["job.toml", "--resume"]).run();
        decided(&again, 40);
        again
    };
    until(run, |model, _, _| model == "processes");
}

#[test]
fn the_plan_says_that_the_first_tasks_decide() {
    let text = "[inputs]\nrepeat = 9\n[workload.python]\nfunction = 'mine:nap'";
    let job = TestJob::empty().file("job.toml", text).file("mine.py", MODULE);
    let ran = job.args(["check", "job.toml"]).run();
    ran.exit(0).stdout_has("model        as the first tasks show").stdout_has("at most ");
}

/// A worker that sleeps for each request, or computes. It starts in no time, even where an interpreter would not: more
/// of its kind always help.
const WORKER: &str = r#"#!/bin/sh
read -r hello
echo '{"ready":1,"slots":1}'
while read -r request; do
    id=${request#*\"id\":}
    args=${request#*\"args\":[}
    case $1 in
        wait) sleep 0.2 ;;
        burn) i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done ;;
    esac
    echo "{\"id\":${id%%,*},\"ok\":{\"result\":${args%%]*}}}"
done
"#;

#[test]
fn a_worker_program_is_joined_by_more_of_its_kind() {
    let job = |how: &str| {
        let text =
            format!("[inputs]\nrepeat = 30\n[workload.worker]\nargv = ['./worker', '{how}']");
        let ran = TestJob::new(&text).program("worker", WORKER).run();
        assert_eq!(ran.exit(0).summary("job")["ok"], "30");
        ran
    };
    let ran = until(|| job("wait"), |model, slots, _| model == "processes" && slots > 8);
    let reason = &ran.summary("job")["reason"];
    assert!(reason.contains("a program of its own"), "{reason}");
    let mut results = ran.report().column("result");
    results.sort_unstable_by_key(|result| result.parse::<u32>().unwrap());
    assert_eq!(results, (1..=30).map(|task| task.to_string()).collect::<Vec<_>>());
    until(|| job("burn"), |model, slots, _| suits_computing(model, slots));
}

#[test]
fn each_stage_has_a_pilot_of_its_own() {
    let text = "inputs.repeat = 40\n\
        [[stages]]\nname = 'nap'\n[stages.workload.python]\nfunction = 'mine:nap'\nargs = ['{input}']\n\
        [[stages]]\nname = 'shout'\n[stages.workload.command]\nshell = 'sleep 0.1; echo done'\n";
    let run = || {
        let ran = TestJob::new(text).file("mine.py", MODULE).run();
        let summary = ran.exit(0).summary("job");
        assert_eq!((&*summary["model"], &*summary["ok"]), ("staged", "40"));
        ran_once(&ran, 40);
        ran
    };
    until(run, |_, _, reason| {
        reason.contains("nap: processes ") && reason.contains("shout: threads ")
    });
}

/// Whether a higher level pays depends on what else the machine does; it is found within its bounds, and costs no task.
#[test]
fn the_level_is_looked_for_while_commands_wait() {
    let ran = command("sleep 0.05", 400).run();
    let (model, slots, reason) = decided(&ran, 400);
    assert_eq!(model, "threads");
    assert!((2.min(cores())..=64.max(4 * cores())).contains(&slots), "{slots}");
    if let Some((_, settled)) = reason.split_once("settled at ") {
        let settled = settled.split([':', ';']).next().unwrap();
        assert_eq!(settled, slots.to_string(), "{reason}");
    }
    let report = ran.report();
    assert!(
        report
            .column("slot")
            .iter()
            .all(|slot| slot.parse::<usize>().unwrap() <= 64.max(4 * cores()))
    );
}

#[test]
fn each_stage_looks_for_its_own_level() {
    let text = "inputs.repeat = 400\n\
        [[stages]]\nname = 'wait'\n[stages.workload.command]\nshell = 'sleep 0.05; echo done'\n\
        [[stages]]\nname = 'end'\n[stages.workload.command]\nshell = 'cat; sleep 0.01'\n";
    let ran = TestJob::new(text).run();
    let summary = ran.exit(0).summary("job");
    assert_eq!(summary["ok"], "400");
    let reason = &summary["reason"];
    assert!(reason.contains("wait: threads "), "{reason}");
    // Where the machine is busy there is nothing to look for.
    if let Some((_, settled)) = reason.split_once("settled at ") {
        let settled: usize = settled.split([':', ';']).next().unwrap().parse().unwrap();
        assert!((1..=64.max(4 * cores())).contains(&settled), "{reason}");
    }
}

#[test]
fn a_concurrency_that_is_set_is_the_level() {
    for function in ["nap", "burn"] {
        let ran = python(function, 30, "[limits]\nconcurrency = 2").run();
        decided(&ran, 30);
        assert!(ran.report().column("slot").iter().all(|slot| ["1", "2"].contains(&&**slot)));
    }
    let ran = command("sleep 0.05", 60).args(["-j", "3"]).run();
    decided(&ran, 60);
    assert!(ran.report().column("slot").iter().all(|slot| slot.parse::<u32>().unwrap() <= 3));
}

#[test]
fn tasks_that_fail_at_once_are_no_trouble() {
    let ran = command("exit 3", 300).run();
    assert_eq!(ran.exit(3).summary("job")["failed"], "300");
    ran_once(&ran, 300);
    let text = "[inputs]\nrepeat = 300\n[workload.python]\nfunction = 'mine:no'";
    let ran = TestJob::new(text).file("mine.py", "def no(_): raise ValueError").run();
    assert_eq!(ran.exit(3).summary("job")["failed"], "300");
}

/// What a module imports is the same whether the interpreter has it from where it was forked.
#[test]
fn standard_modules_that_are_shared_are_those_of_the_job() {
    let module = "import queue, random, time
from os import path
def work(n):
    time.sleep(0.05)
    return [getattr(queue, 'MINE', None), random.random(), path.basename(__file__)]
";
    let text = "[inputs]\nrepeat = 12\n[workload.python]\nfunction = 'mine:work'";
    for (name, mine) in [("queue.py", "7"), ("other.py", "null")] {
        let ran = TestJob::new(text).file("mine.py", module).file(name, "MINE = 7").run();
        let results = ran.exit(0).report().column("result");
        let others: std::collections::HashSet<_> = results.iter().collect();
        assert_eq!(others.len(), 12, "each has random numbers of its own: {results:?}");
        assert!(
            results.iter().all(|result| result.starts_with(&format!("[{mine},"))),
            "{results:?}"
        );
    }
}
