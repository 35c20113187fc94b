//! Interpreters that are forked, renewed, and what they take along.

use std::collections::HashMap;

use super::{MODELS, job};
use crate::support::{Ran, TestJob};

/// How many tasks each process has done, by its pid.
fn tasks_by_pid(ran: &Ran) -> HashMap<String, usize> {
    let mut tasks = HashMap::new();
    for pid in ran.report().column("pid") {
        *tasks.entry(pid).or_insert(0) += 1;
    }
    tasks
}

const PID: &str = "import os\ndef work(x): return {'pid': os.getpid()}";

#[test]
fn an_interpreter_is_renewed_after_so_many_tasks_and_that_costs_nobody() {
    for model in MODELS {
        let rest = format!(
            "model = '{model}'\n[inputs]\nrepeat = 100\n[columns.pid]\n[limits]\nconcurrency = 2"
        );
        let ran = job(PID, &rest).args(["--set", "workload.python.max_tasks=7"]).run();
        ran.exit(0).rows("status,attempts", &["ok,1"; 100]);
        let tasks = tasks_by_pid(&ran);
        // Under threads and async, those that ran beside the last one are done, too.
        let most = if ["threads", "async"].contains(&model) { 8 } else { 7 };
        assert!(tasks.values().all(|&tasks| tasks <= most), "{model}: {tasks:?}");
        assert!(tasks.len() >= 100 / most, "{model}: {tasks:?}");
    }
    let zero = job(PID, "[inputs]\nrepeat = 1").args(["--set", "workload.python.max_tasks=0"]);
    zero.run().exit(2).stderr_has("an integer above 0");
}

#[test]
fn an_interpreter_that_has_grown_is_renewed() {
    let module = "
import os
kept = []
def work(x):
    kept.append(bytearray(os.urandom(4096)) * 5000)
    return {'pid': os.getpid(), 'kept': len(kept)}";
    for model in MODELS {
        let rest = format!(
            "model = '{model}'\n[inputs]\nrepeat = 30\n[columns.pid]\n[columns.kept]\n[limits]\nconcurrency = 1"
        );
        let ran = job(module, &rest).args(["--set", "workload.python.max_memory=120MB"]).run();
        ran.exit(0).rows("status,attempts", &["ok,1"; 30]);
        let kept = ran.report().column("kept");
        assert!(kept.iter().all(|kept| kept.parse::<u32>().unwrap() <= 7), "{model}: {kept:?}");
        assert!(tasks_by_pid(&ran).len() >= 4, "{model}");
    }
}

#[test]
fn interpreters_are_forked_before_user_code_and_each_has_its_own() {
    let module = "
import os
pid = os.getpid()
with open('imported', 'a') as file: file.write(f'{pid}\\n')
def work(x):
    open(f'{pid}.here', 'w').close()
    while len([name for name in os.listdir() if name.endswith('.here')]) < 6: pass
    return [pid == os.getpid(), os.environ['RUNNER_SLOT'], os.environ['CARD'], os.getsid(0) == pid]";
    let rest = "model = 'processes'\n[inputs]\nrepeat = 6\n[limits]\nconcurrency = 6\n\
        [workload.python.env]\nCARD = 'card {slot}'";
    let ran = job(module, rest).run();
    let mut results = ran.exit(0).report().column("result");
    results.sort_unstable();
    let expected: Vec<_> =
        (1..=6).map(|slot| format!(r#"[true,"{slot}","card {slot}",true]"#)).collect();
    assert_eq!(results, expected);
    let imported = std::fs::read_to_string(ran.path("imported")).unwrap();
    assert_eq!(imported.lines().collect::<std::collections::HashSet<_>>().len(), 6);
}

#[test]
fn what_is_preloaded_is_there_once_and_shared() {
    let module = "
import os
with open('imported', 'a') as file: file.write('x')
table = None
def load():
    global table
    table = {'from': os.getpid()}
def work(x): return [table['from'] != os.getpid(), os.environ['OMP_NUM_THREADS']]";
    let rest =
        "[inputs]\nrepeat = 6\n[limits]\nconcurrency = 3\n[workload.python.env]\nA = '{slot}'";
    for preload in ["mine:load", "mine.py:load"] {
        let set = format!("workload.python.preload={preload}");
        let ran = job(module, rest).args(["--model", "processes", "--set", &set]).run();
        if preload == "mine:load" {
            ran.exit(0).rows("result", &[r#"[true,"1"]"#; 6]);
            assert_eq!(std::fs::read_to_string(ran.path("imported")).unwrap(), "x");
        }
    }
    for model in ["sequential", "threads"] {
        let test = job(module, rest).args([
            "--model",
            model,
            "--set",
            "workload.python.preload=mine:load",
        ]);
        let results = test.env("OMP_NUM_THREADS", "1").run().exit(0).report().column("result");
        assert!(results.iter().all(|result| result == r#"[false,"1"]"#), "{model}: {results:?}");
    }
    let broken = job(module, rest).args([
        "--model",
        "processes",
        "--set",
        "workload.python.preload=mine:lod",
    ]);
    broken.run().exit(2).stderr_has("did you mean `load`?");
    let slow = "import time\ndef load(): time.sleep(300)\ndef work(x): return x";
    let slow = job(slow, rest).args([
        "--model",
        "processes",
        "--set",
        "workload.python.preload=mine:load",
    ]);
    slow.args(["--set", "workload.python.ready_timeout=1s"])
        .run()
        .exit(2)
        .stderr_has("was not ready within 1s");
}

#[test]
fn where_there_are_threads_interpreters_are_started_one_by_one() {
    let module = "
import threading, time
thread = threading.Thread(target=time.sleep, args=(300,), daemon=True)
thread.start()
def work(x): return x";
    let rest = "model = 'processes'\n[inputs]\nrepeat = 4\n[limits]\nconcurrency = 2";
    let ran = job(module, rest).args(["--set", "workload.python.preload=mine"]).run();
    ran.exit(0).rows("status", &["ok"; 4]);
    let log = std::fs::read_to_string(ran.path("results/job.log")).unwrap();
    assert!(log.contains("cannot be forked"), "{log}");
    // Those that a module starts when it is imported are each interpreter's own.
    job(module, rest).run().exit(0).rows("status", &["ok"; 4]);
}

#[test]
fn processor_time_has_children_and_threads_in_it() {
    let module = "
import subprocess, sys, threading
BURN = 'import time\\nend = time.process_time() + 0.3\\nwhile time.process_time() < end: sum(range(1000))'
def burn():
    import hashlib
    for _ in range(12): hashlib.pbkdf2_hmac('sha256', b'x', b'y', 40_000)
def work(x):
    if x == 1: subprocess.run([sys.executable, '-c', BURN], check=True)
    if x == 2:
        threads = [threading.Thread(target=burn) for _ in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()";
    for model in MODELS {
        let rest =
            format!("model = '{model}'\n[inputs]\nvalues = [1, 2]\n[limits]\nconcurrency = 1");
        let ran = job(module, &rest).run();
        let user = ran.exit(0).report().column("cpu_user_s");
        assert!(user.iter().all(|time| time.parse::<f64>().unwrap() > 0.1), "{model}: {user:?}");
    }
}

/// A worker program that leaves by itself after its third answer, or when it is asked for 5 first.
const QUITS: &str = r#"
import json, os, sys
sys.stdin.readline()
print('{"ready":1}', flush=True)
count = 0
for line in iter(sys.stdin.readline, ""):
    request = json.loads(line)
    if request["args"][0] == "poison":
        sys.exit(0)
    count += 1
    print(json.dumps({"id": request["id"], "ok": {"result": {"pid": os.getpid(), "count": count}}}), flush=True)
    if len(sys.argv) > 1 and count == int(sys.argv[1]):
        sys.exit(0)
"#;

fn quitting(argv: &str, inputs: &str) -> TestJob {
    let text = format!(
        "[inputs]\n{inputs}\n[workload.worker]\nargv = ['python3', 'quits.py'{argv}]\n[columns.pid]\n[columns.count]\n\
         [limits]\nconcurrency = 2"
    );
    TestJob::new(&text).file("quits.py", QUITS)
}

#[test]
fn a_program_that_leaves_between_two_answers_costs_nobody() {
    for model in MODELS {
        let ran = quitting(", '3'", "repeat = 30").args(["--model", model]).run();
        ran.exit(0).rows("status,attempts", &["ok,1"; 30]);
    }
    // One that leaves when it is asked for something does not get away with it for ever.
    let ran =
        quitting("", "values = ['a', 'b', 'poison', 'c']").args(["--model", "sequential"]).run();
    ran.exit(3).rows("status", &["ok", "ok", "crashed", "ok"]);
}

#[test]
fn a_program_is_renewed_after_so_many_tasks() {
    for model in MODELS {
        let test = quitting("", "repeat = 30").args(["--model", model]);
        let ran = test.args(["--set", "workload.worker.max_tasks=4"]).run();
        ran.exit(0).rows("status,attempts", &["ok,1"; 30]);
        let counts = ran.report().column("count");
        assert!(
            counts.iter().all(|count| count.parse::<u32>().unwrap() <= 4),
            "{model}: {counts:?}"
        );
        assert!(tasks_by_pid(&ran).len() >= 8, "{model}");
    }
    let ran = quitting("", "repeat = 6").args(["--set", "workload.worker.max_memory=1MB"]).run();
    ran.exit(0).rows("count", &["1"; 6]);
}

#[test]
fn what_is_taken_back_from_a_slot_does_not_hold_up_a_renewal() {
    // A task that takes long has the rest of its batch taken back; the slots share an interpreter under `threads`.
    let module = "
import time
def work(x):
    if x % 5 == 0: time.sleep(0.03)
    return x";
    for model in MODELS {
        let rest = format!(
            "model = '{model}'\n[inputs]\nrange = {{ from = 1, to = 300 }}\n[limits]\nconcurrency = 3"
        );
        let ran = job(module, &rest).args(["--set", "workload.python.max_tasks=20"]).run();
        ran.exit(0);
        let results = ran.report().column("result");
        let expected: Vec<_> = (1..=300).map(|number: u32| number.to_string()).collect();
        assert_eq!(results, expected, "{model}");
    }
}

/// Renewed, killed or ended at a timeout: whoever waits for the next interpreter is not to blame for it.
#[test]
fn an_init_that_fails_later_stops_the_job_as_at_first_and_crashes_no_task() {
    let module = "
import os, time
def prepare():
    if os.path.exists('broken'): raise ValueError('no database')
def work(x):
    if x == '2':
        open('broken', 'w').close()
        if os.environ['END'] == 'crash': os._exit(3)
        if os.environ['END'] == 'timeout': time.sleep(60)
    return x";
    for (end, key, second) in [
        ("crash", "", "crashed,1"),
        ("timeout", "", "timeout,1"),
        ("renewed", "workload.python.max_tasks=2", "ok,1"),
    ] {
        for model in ["sequential", "threads", "processes"] {
            let rest = format!(
                "model = '{model}'\n[inputs]\nvalues = ['1', '2', '3', '4', '5']\n[limits]\nconcurrency = 1\ntimeout = '2s'"
            );
            let set = format!("workload.python.env.END={end}");
            let mut args = vec!["--set", "workload.python.init=mine:prepare", "--set", &set];
            args.extend([key].iter().filter(|key| !key.is_empty()).flat_map(|key| ["--set", key]));
            let ran = job(module, &rest).args(args).run();
            ran.exit(2).stderr_has("`mine:prepare` failed: ValueError: no database");
            let rest = ["cancelled,0"; 3];
            let rows = [&["ok,1", second][..], &rest].concat();
            ran.rows("status,attempts", &rows);
            let errors = ran.report().column("error");
            let told = |error: &String| {
                error.contains("`mine:prepare` failed: ValueError: no database")
                    && error.contains("mine.py")
            };
            assert!(told(&errors[2]), "{end} {model}: {errors:?}");
        }
    }
}
