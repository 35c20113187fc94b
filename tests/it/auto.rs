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

#[track_caller]
fn ran_once(ran: &Ran, tasks: u32) {
    let noted = std::fs::read_to_string(ran.path("ran")).unwrap();
    let mut noted: Vec<u32> = noted.lines().map(|line| line.parse().unwrap()).collect();
    noted.sort_unstable();
    assert_eq!(noted, (1..=tasks).collect::<Vec<_>>());
}

#[test]
fn a_function_that_computes_gets_processes() {
    for function in ["burn", "hold"] {
        let (model, slots, reason) = decided(&python(function, 24, "").run(), 24);
        assert_eq!(model, "processes", "{reason}");
        assert!(slots >= 2, "{slots}");
        assert!(reason.starts_with("auto: cpu ") && reason.contains(": processes"), "{reason}");
    }
}

#[test]
fn a_function_that_waits_gets_threads_and_a_coroutine_the_event_loop() {
    let (model, slots, reason) = decided(&python("nap", 40, "").run(), 40);
    assert_eq!((&*model, slots), ("threads", 32), "{reason}");
    assert!(reason.contains(", GIL o") && reason.contains(" cores: threads"), "{reason}");
    let (model, slots, reason) = decided(&python("wait", 40, "").run(), 40);
    assert_eq!(model, "async", "{reason}");
    assert!(slots > 32, "{slots}");
    assert!(reason.contains(", coroutines, "), "{reason}");
}

#[test]
fn few_short_tasks_are_done_before_anything_else_would_help() {
    let (model, slots, reason) = decided(&python("nothing", 5, "").run(), 5);
    assert_eq!((&*model, slots), ("sequential", 1), "{reason}");
    assert!(reason.contains("done before another slot would have helped"), "{reason}");
}

#[test]
fn a_concurrency_that_is_set_is_kept() {
    let limits = "[limits]\nconcurrency = 3";
    let (model, slots, _) = decided(&python("nap", 12, limits).run(), 12);
    assert_eq!((&*model, slots), ("threads", 3));
    let ran = python("burn", 12, limits).run();
    let (model, slots, _) = decided(&ran, 12);
    assert_eq!((&*model, slots), ("processes", 3));
    assert!(ran.report().column("slot").iter().all(|slot| ["1", "2", "3"].contains(&&**slot)));
}

#[test]
fn commands_that_wait_get_more_slots_than_cores() {
    let (model, slots, reason) = decided(&command("sleep 0.3", 20).run(), 20);
    assert_eq!((&*model, slots), ("threads", 16), "{reason}");
    assert!(reason.starts_with("auto: cpu ") && reason.contains(", commands, "), "{reason}");
    let burns = command("i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done", 12);
    let (model, slots, reason) = decided(&burns.run(), 12);
    assert_eq!(model, "threads");
    assert!(slots < 16, "{reason}");
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
    assert!(reason.starts_with("auto: one task"), "{reason}");
    let none = "[inputs]\nlines = '-'\n[workload.python]\nfunction = 'mine:nap'";
    TestJob::new(none).file("mine.py", MODULE).run().exit(4);
}

#[test]
fn the_number_of_tasks_need_not_be_known() {
    let text = "[inputs]\nlines = '-'\n[workload.python]\nfunction = 'mine:nap'";
    let lines = (1..=40).map(|line| line.to_string()).collect::<Vec<_>>().join("\n");
    let ran = TestJob::new(text).file("mine.py", MODULE).stdin(lines).run();
    assert_eq!(decided(&ran, 40).0, "threads");
}

#[test]
fn tasks_that_fail_tell_as_much() {
    let ran = python("fail", 30, "").run();
    let summary = ran.exit(3).summary("job");
    assert_eq!((&*summary["failed"], &*summary["model"]), ("30", "threads"));
    ran_once(&ran, 30);
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
    let ran = python("nap", 40, "").args(["--limit", "10"]).run();
    decided(&ran, 10);
    let again = TestJob::again(ran).args(["job.toml", "--resume"]).run();
    assert_eq!(decided(&again, 40).0, "threads");
}

#[test]
fn the_plan_says_that_the_first_tasks_decide() {
    let text = "[inputs]\nrepeat = 9\n[workload.python]\nfunction = 'mine:nap'";
    let job = TestJob::empty().file("job.toml", text).file("mine.py", MODULE);
    let ran = job.args(["check", "job.toml"]).run();
    ran.exit(0).stdout_has("model        as the first tasks show").stdout_has("at most ");
}

/// A worker that takes `argv[1]` seconds for each request: asleep, or else computing.
const WORKER: &str = r#"
import json, sys, time
sys.stdin.readline()
print('{"ready":1,"slots":1}', flush=True)
how, seconds = sys.argv[1], float(sys.argv[2])
for line in iter(sys.stdin.readline, ""):
    request = json.loads(line)
    if how == "wait":
        time.sleep(seconds)
    end = time.thread_time() + seconds
    while how == "burn" and time.thread_time() < end:
        sum(range(2000))
    print(json.dumps({"id": request["id"], "ok": {"result": request["args"][0]}}), flush=True)
"#;

#[test]
fn a_worker_program_is_joined_by_more_of_its_kind() {
    let job = |how: &str| {
        let text = format!(
            "[inputs]\nrepeat = 30\n[workload.worker]\nargv = ['python3', 'worker.py', '{how}', '0.1']"
        );
        TestJob::new(&text).file("worker.py", WORKER).run()
    };
    let ran = job("wait");
    let summary = ran.exit(0).summary("job");
    let slots: usize = summary["concurrency"].parse().unwrap();
    assert_eq!((&*summary["model"], &*summary["ok"]), ("processes", "30"));
    assert!(slots > 8, "{slots}: {}", summary["reason"]);
    assert!(summary["reason"].contains("a program of its own"), "{}", summary["reason"]);
    let mut results = ran.report().column("result");
    results.sort_unstable_by_key(|result| result.parse::<u32>().unwrap());
    assert_eq!(results, (1..=30).map(|task| task.to_string()).collect::<Vec<_>>());

    let summary = job("burn").exit(0).summary("job");
    assert_eq!((&*summary["model"], &*summary["ok"]), ("processes", "30"));
    let fewer: usize = summary["concurrency"].parse().unwrap();
    assert!((2..=slots).contains(&fewer), "{fewer}: {}", summary["reason"]);
}

#[test]
fn each_stage_has_a_pilot_of_its_own() {
    let text = "inputs.repeat = 40\n\
        [[stages]]\nname = 'nap'\n[stages.workload.python]\nfunction = 'mine:nap'\nargs = ['{input}']\n\
        [[stages]]\nname = 'shout'\n[stages.workload.command]\nshell = 'sleep 0.1; echo done'\n";
    let ran = TestJob::new(text).file("mine.py", MODULE).run();
    let summary = ran.exit(0).summary("job");
    assert_eq!((&*summary["model"], &*summary["ok"]), ("staged", "40"));
    let reason = &summary["reason"];
    assert!(reason.contains("nap: threads 32, auto: cpu "), "{reason}");
    assert!(reason.contains("shout: threads 16, auto: cpu "), "{reason}");
    ran_once(&ran, 40);
}
