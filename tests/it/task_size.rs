//! What a task takes and may take: `cores`, `memory` and a `timeout` of the median; kills by the system's memory limit.

use crate::support::{MODELS, TestJob};

/// Takes 80 MiB if the task is the second one, and then waits to be ended.
const HUNGRY: &str = "import os, sys, time\nif os.environ['RUNNER_TASK'] == '2':\n    x = b'x' * (80 << 20)\n    time.sleep(300)\n";

#[test]
fn a_command_that_takes_too_much_memory_is_ended_under_every_model() {
    let job = "[inputs]\nrepeat = 3\n[workload.command]\nshell = 'python3 hungry.py | cat'\n[limits]\nmemory = '64MiB'\n";
    for model in MODELS {
        let test = TestJob::new(job).file("hungry.py", HUNGRY).args(["--model", model]);
        let report = test.run().exit(3).report();
        let rows = report.select("task,status");
        assert_eq!(rows, ["1,ok", "2,failed", "3,ok"], "{model}");
        let error = &report.column("error")[1];
        assert!(error.starts_with("used ") && error.contains(" MiB of 64 MiB"), "{model}: {error}");
    }
}

#[test]
fn so_is_a_function_and_a_worker_with_a_process_of_its_own() {
    let function = "import time\ndef f(n):\n    if n == 2:\n        x = b'x' * (200 << 20)\n        time.sleep(300)\n    return n\n";
    let program = r#"
import json, sys, time
sys.stdin.readline()
print(json.dumps({"ready": 1}), flush=True)
for line in sys.stdin:
    call = json.loads(line)
    if call["args"] == [2]:
        x = b"x" * (200 << 20)
        time.sleep(300)
    print(json.dumps({"id": call["id"], "ok": {"result": call["args"][0]}}), flush=True)
"#;
    let inputs = "[inputs]\nrange = { from = 1, to = 3 }\n";
    let limits = "[limits]\nmemory = '150MiB'\n";
    let python = "[workload.python]\nfunction = 'm:f'\nargs = ['{input}']\n";
    let worker = "[workload.worker]\nargv = ['python3', 'w.py']\nargs = ['{input}']\n";
    for workload in [python, worker] {
        let job = format!("{inputs}{workload}{limits}");
        for model in ["sequential", "processes", "auto"] {
            let test = TestJob::new(&job).file("m.py", function).file("w.py", program);
            let report = test.args(["--model", model]).run().exit(3).report();
            assert_eq!(report.select("task,status"), ["1,ok", "2,failed", "3,ok"], "{job} {model}");
            let error = &report.column("error")[1];
            assert!(error.contains(" MiB of 150 MiB"), "{model}: {error}");
        }
        for model in ["threads", "async"] {
            let test = TestJob::new(&job).file("m.py", function).file("w.py", program);
            let ran = test.args(["--model", model]).run();
            ran.exit(2).stderr_has(&format!("under `{model}` tasks share a process"));
        }
    }
}

#[test]
fn tasks_that_take_much_run_fewer_at_once() {
    let concurrency = |limits: &str, model: &str| -> usize {
        let job = format!(
            "[inputs]\nrepeat = 50\n[workload.command]\nargv = ['true']\n[limits]\n{limits}\n"
        );
        let ran = TestJob::new(&job).args(["--model", model]).run();
        ran.exit(0).summary("job")["concurrency"].parse().unwrap()
    };
    for model in ["threads", "async"] {
        assert_eq!(concurrency("cores = 1000", model), 1);
        assert_eq!(concurrency("cores = 1000\nconcurrency = 'cores'", model), 1);
        assert_eq!(concurrency("cores = 1000\nconcurrency = '50%'", model), 1);
        assert_eq!(concurrency("cores = 1000\nconcurrency = 3", model), 3);
    }
    assert_eq!(concurrency("cores = 1000", "auto"), 1);
}

#[test]
fn more_memory_than_there_is_is_an_error() {
    let job = "[workload.command]\nargv = ['touch', 'ran']\n[limits]\nmemory = '1000TiB'\n";
    let ran = TestJob::new(job).run();
    ran.exit(2).stderr_has("a task may use 1024000 GiB, and there are ");
    assert!(!ran.path("ran").exists());
    let none = "[workload.command]\nargv = ['true']\n[limits]\nmemory = 0\n";
    TestJob::new(none).run().exit(2).stderr_has("without memory");
    let shared = "[workload.compute]\nfunction = 'factorial'\narg = 3\n[limits]\nmemory = '1GiB'\n";
    TestJob::new(shared).run().exit(2).stderr_has("set `model = \"processes\"`");
    TestJob::new(shared).args(["--model", "processes"]).run().exit(0);
}

#[test]
fn a_time_of_the_median_ends_what_takes_longer_under_every_model() {
    let shell = "[workload.command]\nshell = 'test $input = 0s || exec sleep $input'\n";
    let sleep = "[workload.sleep]\nduration = '{input}'\n";
    let function = "import time\ndef f(input):\n    time.sleep(int(input[:-1]))\n";
    let python = "[workload.python]\nfunction = 'm:f'\nargs = ['{input}']\n";
    // Enough to know what is usual, also while those of one slot wait for the loop that the slow one holds.
    let fast = ["'0s'"; 40].join(", ");
    for model in MODELS {
        for workload in [shell, sleep, python] {
            // Where tasks run side by side, the slow one starts first and has to be ended all the same. One slot would
            // run it alone, before anybody knows what is usual.
            let is_alone = model == "sequential" || (workload == python && model == "async");
            let values =
                if is_alone { format!("{fast}, '300s'") } else { format!("'300s', {fast}") };
            let job = format!(
                "[inputs]\nvalues = [{values}]\n{workload}[limits]\nconcurrency = 2\ngrace = '0s'\ntimeout = ['10m', '400%']\n"
            );
            let test = TestJob::new(&job).file("m.py", function).args(["--model", model]);
            let report = test.run().exit(3).report();
            let late = report.select("input,status,error").into_iter();
            let late: Vec<_> = late.filter(|row| !row.contains(",ok,")).collect();
            let expected = "300s,timeout,timed out after 1s (400% of the median)";
            assert_eq!(late, [expected], "{model} {workload}");
        }
    }
}

#[test]
fn limits_of_time_that_cannot_be_are_told() {
    for (timeout, error) in [
        ("'90%'", "more than \"100%\""),
        ("['1s', '2s']", "two durations"),
        ("[]", "names no time"),
    ] {
        let job = format!("[workload.sleep]\nduration = '0s'\n[limits]\ntimeout = {timeout}\n");
        TestJob::new(&job).run().exit(2).stderr_has(error);
    }
    let job = "[workload.sleep]\nduration = '0s'\n[limits]\ntimeout = ['10m', '300%']\n";
    let ran = TestJob::empty().file("job.toml", job).args(["check", "job.toml"]).run();
    ran.exit(0).stdout_has("10m or 300% of the median");
}

#[test]
fn a_kill_by_the_systems_memory_limit_is_named_also_where_a_pipeline_hid_it() {
    // What the system would count.
    let count = "[workload.command]\nshell = 'sleep 0.1; echo \"oom_kill $((input))\" >events; exit $code'\n";
    let job = format!("[inputs]\ncsv = 'in.csv'\n{count}[limits]\nconcurrency = 1\n");
    for model in MODELS {
        let ran = TestJob::new(&job)
            .file("in.csv", "input,code\n0,0\n1,0\n1,0\n1,4\n2,4\n")
            .file("events", "low 0\noom_kill 0\n")
            .env("RUNNER_OOM_EVENTS", "events")
            .args(["--model", model])
            .run();
        let named = "the system's memory limit killed a process while it ran";
        ran.exit(3).rows(
            "task,status,code,error",
            &[
                "1,ok,0,",
                &format!("2,failed,0,{named}"),
                "3,ok,0,",
                "4,failed,4,exit code 4",
                &format!("5,failed,4,{named}; exit code 4"),
            ],
        );
    }
}

#[test]
fn so_is_a_kill_of_an_interpreter_or_a_worker() {
    // What the system would do and count.
    let dying = "    open('events', 'w').write('oom_kill 1')\n    os.kill(os.getpid(), 9)\n";
    let function = format!("import os\ndef f():\n{dying}");
    let program = format!(
        "import json, os, sys\nsys.stdin.readline()\nprint(json.dumps({{'ready': 1}}), flush=True)\nfor line in sys.stdin:\n{dying}"
    );
    for workload in [
        "[workload.python]\nfunction = 'm:f'\n",
        "[workload.worker]\nargv = ['python3', 'w.py']\nargs = []\n",
    ] {
        for model in MODELS {
            let ran = TestJob::new(workload)
                .file("m.py", &function)
                .file("w.py", &program)
                .file("events", "oom_kill 0\n")
                .env("RUNNER_OOM_EVENTS", "events")
                .args(["--model", model])
                .run();
            let report = ran.exit(3).report();
            assert_eq!(report.column("status"), ["crashed"], "{model} {workload}");
            let error = &report.column("error")[0];
            let named = "the system's memory limit killed a process while it ran; the worker";
            assert!(error.starts_with(named), "{model} {workload}: {error}");
        }
    }
}

/// A control group of this test's own, with a limit of memory. It is removed when it is dropped.
struct Group(std::path::PathBuf);

impl Group {
    /// Why there is none, else.
    fn new(limit: &str) -> Result<Self, String> {
        let name = format!("runner-test-{}", std::process::id());
        let mut why = "no control groups of memory are mounted".to_owned();
        for (root, file) in
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
        {
            let root = std::path::Path::new(root);
            if !root.join("cgroup.procs").exists() {
                continue;
            }
            let group = Self(root.join(&name));
            let made = std::fs::create_dir(&group.0)
                .and_then(|()| std::fs::write(group.0.join(file), limit))
                .and_then(|()| std::fs::read(group.0.join("cgroup.procs")));
            match made {
                Ok(_) => return Ok(group),
                Err(error) => why = format!("no control group can be made: {error}"),
            }
        }
        Err(why)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0); // it is empty when the run has ended
    }
}

/// The same with a system that does kill.
#[test]
fn a_real_kill_by_the_memory_limit_is_named() {
    let group = match Group::new("200000000") {
        Ok(group) => group,
        Err(why) => return crate::support::skip(&why),
    };
    let enter = format!("echo $$ > '{}/cgroup.procs' && exec \"$@\"", group.0.display());
    let wrapper: &'static [&'static str] = vec!["sh", "-c", enter.leak(), "sh"].leak();
    let hungry = "python3 -c \"x = b'x' * (600 << 20)\"";
    let job = format!(
        "[inputs]\nvalues = ['''{hungry}''', '''{hungry} | cat''', 'true']\n\
         [workload.command]\nshell = 'eval \"$input\"'\n[limits]\nconcurrency = 1\n"
    );
    let ran = TestJob::new(&job).under(wrapper).run();
    if !ran.path("results/job.csv").exists() {
        return crate::support::skip("the control group cannot be entered");
    }
    let report = ran.exit(3).report();
    assert_eq!(report.select("task,status"), ["1,failed", "2,failed", "3,ok"]);
    for error in &report.column("error")[..2] {
        assert!(error.contains("the system's memory limit killed a process"), "{error}");
    }
}

#[test]
fn what_the_command_line_says_is_no_default() {
    let job = "[inputs]\nvalues = [1]\n[workload.compute]\nfunction = 'factorial'\narg = 3\n";
    for defaults in ["", "[defaults.limits]\nmemory = '1GB'\n"] {
        let ran = TestJob::new(job)
            .file("runner.toml", defaults)
            .args(["--model", "threads", "--set", "limits.memory=50MB"])
            .run();
        ran.exit(2).stderr_has("tasks share a process");
        let ran =
            TestJob::new(job).file("runner.toml", defaults).args(["--model", "threads"]).run();
        ran.exit(0);
    }
}
