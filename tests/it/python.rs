//! `[workload.python]`: functions of Python's, under every model.

mod documentation;
mod dying;
mod finding;
mod forking;
mod handing_on;
mod isolation;
mod keeping;
mod leaving;
mod libraries;
mod peers;
mod raising;
mod renewing;
mod values;
mod waiting;

use crate::support::{MODELS, TestJob, free_port};

/// A job that calls `work` of this module; `rest` is the rest of the job file, what is not in a table first.
fn job(module: &str, rest: &str) -> TestJob {
    let (head, tables) = rest.split_at(rest.find('[').unwrap_or(rest.len()));
    let text = format!("{head}\n[workload.python]\nfunction = 'mine:work'\n{tables}");
    TestJob::new(&text).file("mine.py", module)
}

#[test]
fn every_model_calls_the_function_for_every_task() {
    for model in MODELS {
        let text = "[inputs]\nvalues = [0, 5, 25]\n[workload.python]\nfunction = 'math:factorial'";
        let ran = TestJob::new(text).args(["--model", model]).run();
        ran.exit(0).rows("status,result", &["ok,1", "ok,120", "ok,15511210043330985984000000"]);
        let reason = &ran.summary("job")["reason"];
        assert!(reason.contains("; Python 3.") && reason.contains(", GIL o"), "{reason}");
    }
}

#[test]
fn coroutines_run_under_every_model() {
    let module = "
import asyncio
async def work(x):
    await asyncio.sleep(0.02)
    return x * 2";
    for model in MODELS {
        let ran =
            job(module, &format!("model = '{model}'\n[inputs]\nrange = {{ from = 1, to = 5 }}"))
                .run();
        ran.exit(0).rows("result", &["2", "4", "6", "8", "10"]);
    }
}

#[test]
fn under_async_all_wait_at_once_and_a_plain_function_holds_the_loop() {
    let module = "
import asyncio
inside = most = 0
async def work(x):
    global inside, most
    inside += 1
    most = max(most, inside)
    while most < 5:
        await asyncio.sleep(0.005)
    inside -= 1
    return most";
    let rest = "model = 'async'\n[inputs]\nrepeat = 5\n[limits]\nconcurrency = 5";
    job(module, rest).run().exit(0).rows("result", &["5"; 5]);
    let held = job("import time\ndef work(x):\n    time.sleep(0.01)", rest).run();
    held.exit(0).stderr_has("held the event loop for");
}

#[test]
fn a_thread_each_in_one_interpreter_or_an_interpreter_each() {
    let module = "
import os, threading
barrier = threading.Barrier(3)
def work(x):
    barrier.wait(30)
    return f'{os.getpid()} {threading.get_ident()}'";
    let rest = "model = 'threads'\n[inputs]\nrepeat = 3\n[limits]\nconcurrency = 3";
    let ran = job(module, rest).run();
    let results = ran.exit(0).report().column("result");
    let distinct = |part: usize| {
        let parts = results.iter().map(|result| result.split(' ').nth(part).unwrap());
        parts.collect::<std::collections::HashSet<_>>().len()
    };
    assert_eq!((distinct(0), distinct(1)), (1, 3), "{results:?}");

    let module = "
import os, time
def work(x):
    open(f'{os.getpid()}.here', 'w').close()
    while len([name for name in os.listdir() if name.endswith('.here')]) < 3:
        time.sleep(0.005)";
    let rest = rest.replace("threads", "processes");
    job(module, &rest).run().exit(0).rows("status", &["ok"; 3]);
}

#[test]
fn what_the_code_prints_is_in_the_log_and_not_among_the_answers() {
    let module = "
import logging, os, subprocess, sys
print('while importing')
def work(x):
    print('printed', x)
    logging.getLogger().warning('logged %s', x)
    os.write(1, b'written to 1\\n')
    subprocess.run(['echo', 'by a child'])
    sys.stdin.read()
    return x";
    for model in MODELS {
        // One at a time: what Python's threads print at once, Python mixes.
        let rest = format!(
            "model = '{model}'\n[inputs]\nrange = {{ from = 1, to = 3 }}\n[limits]\nconcurrency = 1"
        );
        let ran = job(module, &rest).run();
        ran.exit(0).rows("result", &["1", "2", "3"]).stderr_has("job.log");
        let log = std::fs::read_to_string(ran.path("results/job.log")).unwrap();
        for line in ["while importing", "printed 2", "logged 3", "written to 1", "by a child"] {
            assert!(log.lines().any(|found| found == line), "{line}: {log}");
        }
    }
    let quiet = job("def work(x): return x", "[inputs]\nrepeat = 1").run();
    assert!(!quiet.exit(0).path("results/job.log").exists());
}

#[test]
fn init_runs_once_in_every_interpreter_and_env_is_set() {
    let module = "
import os
calls = 0
def prepare():
    global calls
    calls += 1
def work(x):
    return [calls, os.environ['MINE'], os.environ['OMP_NUM_THREADS']]";
    let rest = "model = 'processes'\n[inputs]\nrepeat = 4\n[limits]\nconcurrency = 2\n\
        [workload.python.env]\nMINE = 'yes'\nOMP_NUM_THREADS = 3";
    let test = job(module, rest).args(["--set", "workload.python.init=mine:prepare"]);
    test.run().exit(0).rows("result", &[r#"[1,"yes","3"]"#; 4]);
    let module = "import os\ndef work(x): return os.environ.get('OMP_NUM_THREADS')";
    let rest = "[inputs]\nrepeat = 2\n[limits]\nconcurrency = 1000";
    // Libraries share the cores under every model that runs tasks at once.
    for model in ["processes", "threads", "async", "sequential"] {
        let ran = job(module, rest).args(["--model", model]).run();
        let own = std::env::var("OMP_NUM_THREADS");
        let share = if model == "sequential" { "" } else { "1" };
        ran.exit(0).rows("result", &[own.as_deref().unwrap_or(share); 2]);
    }
}

#[test]
fn an_interpreter_can_be_the_folder_of_a_venv_and_modules_come_from_path() {
    let test = TestJob::new(
        "[inputs]\nrepeat = 1\n[workload.python]\nfunction = 'far:work'\ninterpreter = 'venv'\npath = 'lib'",
    )
    .file("lib/far.py", "def work(x): return 'far'")
    .file("venv/bin/python", "#!/bin/sh\nexec python3 \"$@\"\n");
    let program = test.folder().join("venv/bin/python");
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    test.run().exit(0).rows("result", &["far"]);
}

#[test]
fn what_cannot_work_is_said_once_when_the_pool_starts() {
    for (function, error) in [
        ("math:factorail", "`math` has no `factorail`; did you mean `factorial`?"),
        ("no_such_module:f", "failed to import `no_such_module`: ModuleNotFoundError"),
        ("mine:broken", "`mine:broken` cannot be called: it is of type int"),
        (
            "mine:two",
            "`mine:two(a, b)` cannot be called with 1 argument: missing a required argument: 'b'",
        ),
    ] {
        for model in ["processes", "async"] {
            let ran = job("broken = 1\ndef two(a, b): pass", "[inputs]\nrepeat = 3")
                .args(["--model", model, "--set", &format!("workload.python.function={function}")])
                .run();
            let stderr = ran.exit(2).stderr();
            assert_eq!(stderr.matches(error).count(), 1, "{stderr}");
            ran.rows("status,attempts", &["cancelled,0"; 3]);
        }
    }
    let broken = job("import nowhere_to_be_found", "[inputs]\nrepeat = 1").run();
    broken.exit(2).stderr_has("mine.py\", line 1");
    let init = job("def work(x): pass\ndef prepare(): 1 / 0", "[inputs]\nrepeat = 1")
        .args(["--set", "workload.python.init=mine:prepare"])
        .run();
    init.exit(2).stderr_has("`mine:prepare` failed: ZeroDivisionError: division by zero");
}

#[test]
fn what_the_code_has_left_for_its_end_is_done() {
    let module = "
import atexit, sys, threading, time
def late():
    time.sleep(0.2)
    sys.stdout.write('a thread of its own')
atexit.register(lambda: print('registered'))
def work(x):
    threading.Thread(target=late).start()";
    for model in MODELS {
        let ran = job(module, "[inputs]\nrepeat = 1").args(["--model", model]).run();
        let log = std::fs::read_to_string(ran.exit(0).path("results/job.log")).unwrap();
        assert!(
            log.contains("registered") && log.contains("a thread of its own"),
            "{model}: {log}"
        );
    }
}

#[test]
fn an_import_that_hangs_ends_with_the_job() {
    for model in MODELS {
        let running = job(
            "import time\nprint('hanging', flush=True)\ntime.sleep(300)",
            "[inputs]\nrepeat = 3",
        )
        .args(["--model", model])
        .spawn();
        running.wait_for_file("results/job.log", |log| log.contains("hanging"));
        running.signal(2);
        running.wait().exit(130).rows("status,attempts", &["cancelled,0"; 3]);
    }
}

#[test]
fn an_interpreter_that_dies_again_and_again_is_given_up() {
    let dying = "import os, threading\nthreading.Timer(0, os._exit, [7]).start()\ndef work(x):\n    return x";
    for model in ["processes", "threads"] {
        let ran = job(dying, "[inputs]\nrepeat = 3").args(["--model", model]).run();
        let code = ran.output.status.code();
        assert!(matches!(code, Some(1..=3)), "it ends, and not well: {code:?} {}", ran.stderr());
    }
}

#[test]
fn mistakes_in_the_job_file_are_told_at_their_place() {
    for (line, error, place) in [
        ("function = 'math.sqrt'", "`math.sqrt` does not name a function", "job.toml:2:12"),
        ("function = 'a:b'\ninit = 'x.py'", "`x.py` does not name a function", "job.toml:3:8"),
        (
            "function = 'a:b'\ninterpreter = 'pyhton'",
            "there is no program `pyhton`",
            "job.toml:3:15",
        ),
        ("function = 'a:b'\npath = 'nowhere'", "there is no folder `nowhere`", "job.toml:3:8"),
        ("function = 'a:b'\nargs = ['{x}']", "unknown field `x`", "job.toml:3:10"),
        (
            "function = 'a:b'\nenv = { A = '{task}' }",
            "starts a program that does many tasks, and cannot name one",
            "job.toml:3:7",
        ),
        ("args = []", "`[workload.python]` has no `function`", "job.toml:1:11"),
        ("funktion = 'a:b'", "did you mean `function`?", "job.toml:2:1"),
    ] {
        let ran = TestJob::new(&format!("[workload.python]\n{line}")).run();
        ran.exit(2).stderr_has(error).stderr_has(place);
    }
}

#[test]
fn the_examples_run() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/python");
    let mut test = TestJob::empty();
    let mut count = 0;
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue; // what earlier runs have made
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        test = test.file(&name, std::fs::read(&path).unwrap());
        if std::path::Path::new(&name).extension().is_some_and(|extension| extension == "toml") {
            test = test.arg(&name);
            count += 1;
        }
    }
    // A port of this test's own: others may run the same example.
    let port = free_port().to_string();
    for file in ["downloads.toml", "downloads.py", "fetch-and-compute.toml"] {
        let source = std::fs::read_to_string(test.folder().join(file)).unwrap();
        test = test.file(file, source.replace("18477", &port));
    }
    assert!(count >= 4);
    test.run().exit(0);
}

/// Whatever runs the interpreters: the memory of a run is that of the biggest, not what one call has added to it.
#[test]
fn the_memory_of_a_run_is_that_of_an_interpreter() {
    let text = "inputs.repeat = 3\n[workload.python]\nfunction = 'work:f'\nargs = []\n";
    let module = "import time\ndef f(): time.sleep(0.005)\n";
    for model in MODELS {
        let job = TestJob::new(text).file("work.py", module).args(["--model", model]);
        let peak: u64 = job.run().exit(0).summary("job")["peak_rss_bytes"].parse().unwrap();
        assert!(peak > 4 << 20, "{model}: {peak}");
    }
}
