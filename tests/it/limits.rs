//! `[limits]`: rate, deadline, too many failures, too little memory.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{MODELS, Ran, STDERR, TestJob, is_alive, wait_until};

/// The seconds of the day at which tasks started, in order.
fn starts(ran: &Ran) -> Vec<f64> {
    let mut starts: Vec<f64> = ran
        .report()
        .column("started_utc")
        .iter()
        .map(|time| {
            let part =
                |range: std::ops::Range<usize>| time.get(range).unwrap().parse::<f64>().unwrap();
            (part(11..13) * 60.0 + part(14..16)) * 60.0 + part(17..23)
        })
        .collect();
    starts.sort_by(f64::total_cmp);
    starts
}

#[test]
fn starts_keep_to_the_rate_under_every_model() {
    for model in MODELS {
        let job = "[inputs]\nrepeat = 30\n[workload.sleep]\nduration = '0s'\n[limits]\nrate = '20/s'\nconcurrency = 10";
        let ran = TestJob::new(job).args(["--model", model]).run();
        let starts = starts(ran.exit(0));
        assert_eq!(starts.len(), 30);
        // On a busy machine a task may start half a second after its turn, and the ones after it on time.
        for (index, start) in starts.iter().enumerate() {
            for (later, end) in starts.iter().enumerate().skip(index) {
                let allowed = (end - start + 0.5) * 20.0 + 1.0;
                let started = (later - index + 1) as f64;
                assert!(started <= allowed, "{model}: {index} to {later}: {starts:?}");
            }
        }
        let wall: f64 = ran.summary("job")["wall_s"].parse().unwrap();
        assert!(wall < 30.0, "{model}: {wall}");
    }
}

#[test]
fn a_burst_starts_at_once_and_retries_take_turns() {
    let job = r#"
        [inputs]
        repeat = 10
        [workload.command]
        shell = "test $RUNNER_ATTEMPT = 2"
        [limits]
        concurrency = 10
        rate = "20/s"
        burst = 8
        [retry]
        max_attempts = 2
        delay = "1ms"
    "#;
    let start = Instant::now();
    TestJob::new(job).run().exit(0);
    let elapsed = start.elapsed();
    assert!(elapsed > Duration::from_millis(500), "20 starts, 8 at once: {elapsed:?}");
}

#[test]
fn high_rates_are_reached() {
    let job = "[inputs]\nrepeat = 4000\n[workload.sleep]\nduration = '0s'\n[limits]\nrate = '2000/s'\nconcurrency = 4";
    for model in ["async", "threads", "sequential"] {
        let ran = TestJob::new(job).args(["--model", model]).run();
        let wall: f64 = ran.exit(0).summary("job")["wall_s"].parse().unwrap();
        assert!((1.9..20.0).contains(&wall), "{model}: {wall}");
    }
}

#[test]
fn who_waits_for_a_turn_stops_at_once() {
    for model in MODELS {
        let job = "[inputs]\nrepeat = 50\n[workload.sleep]\nduration = '0s'\n[limits]\nrate = '1/h'\nconcurrency = 5";
        let running = TestJob::new(job).args(["--model", model]).spawn();
        running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 2);
        running.signal(Signal::INT.as_raw());
        let report = running.wait().exit(130).report();
        let mut statuses = report.select("status,attempts");
        statuses.sort();
        assert_eq!(statuses[..49], vec!["cancelled,0"; 49], "{model}");
        assert_eq!(statuses[49], "ok,1");
    }
}

#[test]
fn the_deadline_kills() {
    let job = r#"
        [inputs]
        repeat = 50
        [workload.command]
        shell = "test $RUNNER_TASK = 1 || exec sleep 300"
        [limits]
        concurrency = 2
        deadline = "1s"
    "#;
    let ran = TestJob::new(job).run();
    ran.exit(124).stderr_has("deadline");
    let statuses = ran.report().select("status,attempts");
    assert_eq!(statuses[..3], ["ok,1", "cancelled,1", "cancelled,1"]);
    assert_eq!(statuses[3..], vec!["cancelled,0"; 47]);
    assert_eq!(ran.summary("job")["cancelled"], "49");
    let wall: f64 = ran.summary("job")["wall_s"].parse().unwrap();
    assert!((0.9..30.0).contains(&wall), "{wall}");
}

#[test]
fn the_deadline_kills_computations_under_every_model() {
    for model in MODELS {
        let job = "[inputs]\nvalues = [1, 18446744073709551615]\n[workload.compute]\nfunction = 'count_down'\n[limits]\nconcurrency = 2\ndeadline = '1s'";
        let ran = TestJob::new(job).args(["--model", model]).run();
        ran.exit(124);
        assert_eq!(ran.report().column("status"), ["ok", "cancelled"], "{model}");
    }
}

#[test]
fn the_deadline_counts_while_inputs_are_waited_for() {
    let job =
        "[inputs]\nlines = '-'\n[workload.sleep]\nduration = '0s'\n[limits]\ndeadline = '500ms'";
    let mut running = TestJob::new(job).spawn();
    wait_until("it ends", || running.child.try_wait().unwrap());
    running.wait().exit(124);
}

#[test]
fn a_deadline_concerns_one_job() {
    let late =
        "[inputs]\nrepeat = 3\n[workload.sleep]\nduration = '1h'\n[limits]\ndeadline = '100ms'";
    let soon =
        "[inputs]\nrepeat = 3\n[workload.sleep]\nduration = '1ms'\n[limits]\ndeadline = '1h'";
    let ran = TestJob::new(late).file("next.toml", soon).arg("next.toml").run();
    ran.exit(124);
    assert_eq!(ran.report_of("next").column("status"), ["ok"; 3]);
    let ran = TestJob::new(soon).run();
    assert!(!ran.exit(0).stderr().contains("deadline"));
}

#[test]
fn too_many_failures_drain_the_job() {
    let job = r#"
        [inputs]
        repeat = 100
        [workload.command]
        shell = "exit $((RUNNER_TASK % 2))"
        [limits]
        concurrency = 1
        stop_after_failures = 3
    "#;
    let ran = TestJob::new(job).run();
    ran.exit(3).stderr_has("stopping: 3 of 5 tasks have failed");
    let statuses = ran.report().column("status");
    assert_eq!(statuses[..5], ["failed", "ok", "failed", "ok", "failed"]);
    assert_eq!(statuses[5..], vec!["cancelled"; 95]);
}

#[test]
fn too_many_failures_kill_what_runs_if_that_is_wanted() {
    let job = r#"
        [inputs]
        repeat = 10
        [workload.command]
        shell = "test $RUNNER_TASK != 1 || { touch go; exec sleep 300; }; until test -e go; do sleep 0.01; done; exit 1"
        [limits]
        concurrency = 2
        stop_after_failures = 1
        on_stop = "kill"
    "#;
    let ran = TestJob::new(job).run();
    ran.exit(3);
    let statuses = ran.report().select("status,attempts");
    assert_eq!(statuses[..2], ["cancelled,1", "failed,1"]);
    assert_eq!(statuses[2..], vec!["cancelled,0"; 8]);
}

#[test]
fn a_share_of_failures_needs_a_sample() {
    let job = r#"
        [inputs]
        repeat = 100
        [workload.command]
        argv = ["false"]
        [limits]
        concurrency = 1
        stop_after_failures = "50%"
    "#;
    let ran = TestJob::new(job).run();
    let statuses = ran.exit(3).report().column("status");
    assert_eq!(statuses.iter().filter(|status| *status == "failed").count(), 20);
}

#[test]
fn attempts_that_are_tried_again_do_not_count_as_failures() {
    let job = r#"
        [inputs]
        repeat = 20
        [workload.command]
        shell = "test $RUNNER_ATTEMPT = 2"
        [limits]
        stop_after_failures = 1
        [retry]
        max_attempts = 2
        delay = "1ms"
    "#;
    TestJob::new(job).run().exit(0);
}

#[test]
fn enough_successes_end_the_job_under_every_model() {
    let command = "[workload.command]\nshell = 'test $RUNNER_TASK != 1 || exec sleep 300'\n";
    let python = "[workload.python]\nfunction = 'm:f'\nargs = ['{input}']\n";
    let function = "import time\ndef f(n):\n    time.sleep(300 if n == 0 else 0)\n";
    let cases =
        [("threads", command), ("async", command), ("threads", python), ("processes", python)];
    for (model, workload) in cases {
        let limits = "[limits]\nconcurrency = 2\nstop_after_successes = 3\n";
        let inputs = "[inputs]\nrange = { from = 0, to = 9 }\n";
        let job = format!("{inputs}{workload}{limits}");
        let ran = TestJob::new(&job).file("m.py", function).args(["--model", model]).run();
        ran.exit(0).stderr_has("tasks are ok: ending the running tasks");
        let statuses = ran.report().column("status");
        assert_eq!(statuses[0], "cancelled", "{model}");
        let ok = statuses.iter().filter(|status| *status == "ok").count();
        assert!((3..10).contains(&ok), "{model}: {statuses:?}");
    }
}

#[test]
fn enough_successes_are_those_of_all_runs_and_failures_do_not_matter() {
    let job = r#"
        [inputs]
        repeat = 5
        [workload.command]
        shell = "test $RUNNER_TASK != 1"
        [limits]
        concurrency = 1
        stop_after_successes = 2
        on_stop = "drain"
    "#;
    let ran = TestJob::new(job).run();
    ran.exit(0).stderr_has("2 tasks are ok: running tasks finish");
    let expected = ["failed", "ok", "ok", "cancelled", "cancelled"];
    assert_eq!(ran.report().column("status"), expected);
    let ran = TestJob::again(ran).args(["job.toml", "--resume"]).run();
    ran.exit(0).stderr_has("2 tasks are ok");
    assert_eq!(ran.report().column("status"), expected);
}

#[test]
fn one_outcome_may_stop_the_job_and_is_not_tried_again() {
    let job = r#"
        [inputs]
        repeat = 5
        [workload.command]
        shell = "test $RUNNER_TASK != 2 || exit 255"
        [limits]
        concurrency = 1
        stop_on = ["exit:255"]
        [retry]
        max_attempts = 3
    "#;
    let ran = TestJob::new(job).run();
    ran.exit(3).stderr_has("stopping: task 2 ended with `exit:255` (`stop_on`)");
    let rows = ran.report().select("status,attempts");
    assert_eq!(rows, ["ok,1", "failed,1", "cancelled,0", "cancelled,0", "cancelled,0"]);
}

#[test]
fn a_failure_that_is_found_late_stops_the_job_too() {
    let makes_nothing = "creates = \"out/{input}\"\n[inputs]\nrange = { from = 1, to = 5 }\n\
                         [workload.command]\nshell = \"true\"\n[limits]\nconcurrency = 1\nstop_on = [\"failed\"]\n";
    let ran = TestJob::new(makes_nothing).arg("--model=sequential").run();
    let cancelled = "cancelled,0";
    ran.exit(3).rows("status,attempts", &["failed,1", cancelled, cancelled, cancelled, cancelled]);
    for model in MODELS {
        let ran = TestJob::new(makes_nothing).args(["--model", model]).run();
        ran.exit(3).stderr_has("stopping: task 1 ended with `failed` (`stop_on`)");
        let hands_on_too_much = format!(
            "[inputs]\nvalues = [30]\n[[stages]]\nname = \"a\"\nmodel = \"{model}\"\nmax_payload = \"4B\"\n\
             [stages.workload.compute]\nfunction = \"factorial\"\n[stages.limits]\nstop_on = [\"failed\"]\n\
             [[stages]]\nname = \"b\"\n[stages.workload.compute]\nfunction = \"sha256\"\n"
        );
        let ran = TestJob::new(&hands_on_too_much).run();
        ran.exit(3).stderr_has("stopping: task 1 ended with `failed` (`stop_on`)");
    }
}

#[test]
fn what_a_command_says_may_stop_the_job() {
    let job = r#"
        [inputs]
        repeat = 3
        [workload.command]
        shell = """echo '{"error": {"code": "insufficient_quota"}}'; exit 1"""
        [limits]
        concurrency = 1
        stop_on = ["json:/error/code=insufficient_quota"]
    "#;
    let ran = TestJob::new(job).run();
    assert_eq!(ran.exit(3).report().column("status"), ["failed", "cancelled", "cancelled"]);
    let never = job.replace("stop_on =", "[retry]\nmax_attempts = 2\ndelay = '1ms'\nnever =");
    assert_eq!(TestJob::new(&never).run().exit(3).report().column("attempts"), ["1"; 3]);
    let wrong = "[workload.sleep]\nduration = '1s'\n[limits]\nstop_on = ['exit:1']\n";
    TestJob::new(wrong).run().exit(2).stderr_has("`exit:1` never happens to a `sleep`");
}

/// Lets the runner believe that so much memory is available.
fn available(folder: &Path, mebibytes: u64) {
    let text = format!("MemAvailable: {} kB\n", mebibytes << 10);
    fs::write(folder.join("meminfo.new"), text).unwrap();
    fs::rename(folder.join("meminfo.new"), folder.join("meminfo")).unwrap();
}

#[test]
fn short_memory_ends_the_youngest_and_runs_it_again_uncharged() {
    let job = r#"
        [inputs]
        repeat = 4
        [workload.command]
        shell = "echo $$ >> pids-$RUNNER_TASK; until test -e go; do sleep 0.01; done"
        [limits]
        concurrency = 2
        min_free_memory = "100MiB"
        [retry]
        max_attempts = 2
    "#;
    let running = TestJob::new(job)
        .file("meminfo", "MemAvailable: 999999 kB\n")
        .env("RUNNER_MEMINFO", "meminfo")
        .spawn();
    let folder = running.folder().to_owned();
    let pid = |text: String| text.trim().parse::<i32>().unwrap();
    let one = pid(running.wait_for_file("pids-1", |text| text.ends_with('\n')));
    let two = pid(running.wait_for_file("pids-2", |text| text.ends_with('\n')));
    available(&folder, 40);
    running.wait_for_file(STDERR, |text| text.contains("is ended and will run again"));
    // Enough to go on, but not to start anything.
    available(&folder, 60);
    let ended = wait_until("one is ended", || [one, two].into_iter().find(|&pid| !is_alive(pid)));
    available(&folder, 500);
    let again = if ended == one { "pids-1" } else { "pids-2" };
    running.wait_for_file(again, |text| text.lines().count() >= 2);
    fs::write(folder.join("go"), "").unwrap();
    let ran = running.wait();
    ran.exit(0).rows("status,attempts", &["ok,1", "ok,1", "ok,1", "ok,1"]);
    let attempts = fs::read_to_string(ran.path("results/job.attempts.csv")).unwrap();
    assert_eq!(attempts.lines().count(), 5, "what was not charged is no attempt: {attempts}");
}

#[test]
fn computations_make_room_too_under_every_model() {
    for model in MODELS {
        let job = "[inputs]\nvalues = [1, 18446744073709551615]\n[workload.compute]\nfunction = 'count_down'\n[limits]\nconcurrency = 1\nmin_free_memory = '100MiB'";
        let running = TestJob::new(job)
            .file("meminfo", "MemAvailable: 999999 kB\n")
            .env("RUNNER_MEMINFO", "meminfo")
            .args(["--model", model])
            .spawn();
        running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 2);
        let folder = running.folder().to_owned();
        let look = Cell::new(0);
        // It may have been short before the second task started, so it comes and goes.
        running.wait_for_file(STDERR, |text| {
            if look.get() % 200 == 0 {
                available(&folder, if look.get() % 400 == 0 { 10 } else { 500 });
            }
            look.set(look.get() + 1);
            text.contains("is ended and will run again")
        });
        available(&folder, 60);
        running.signal(Signal::INT.as_raw());
        let ran = running.wait();
        ran.exit(130).rows("status,attempts", &["ok,1", "cancelled,0"]);
    }
}

#[test]
fn nothing_starts_while_memory_is_short() {
    let job = "[inputs]\nrepeat = 3\n[workload.command]\nargv = ['touch', 'started-{task}']\n[limits]\nmin_free_memory = '100MiB'";
    let running = TestJob::new(job)
        .file("meminfo", "MemAvailable: 90000 kB\n")
        .env("RUNNER_MEMINFO", "meminfo")
        .spawn();
    running.wait_for_file(STDERR, |text| text.contains("waiting for memory"));
    assert!(!running.folder().join("started-1").exists());
    available(running.folder(), 500);
    running.wait().exit(0).rows("status", &["ok", "ok", "ok"]);
}

#[test]
fn nothing_starts_while_the_machine_is_busy() {
    let busy = |threads: u32| format!("0.00 0.00 0.00 {}/99 7\n", threads + 1);
    for model in MODELS {
        let job = "[inputs]\nrepeat = 3\n[workload.command]\nargv = ['touch', 'started-{task}']\n[limits]\nmax_load = 2\n";
        let running = TestJob::new(job)
            .file("loadavg", busy(8))
            .env("RUNNER_LOADAVG", "loadavg")
            .args(["--model", model])
            .spawn();
        running.wait_for_file(STDERR, |text| text.contains("waiting for the load to fall: 8"));
        assert!(!running.folder().join("started-1").exists(), "{model}");
        fs::write(running.folder().join("loadavg.new"), busy(0)).unwrap();
        fs::rename(running.folder().join("loadavg.new"), running.folder().join("loadavg")).unwrap();
        running.wait().exit(0).rows("status", &["ok", "ok", "ok"]);
    }
}

#[test]
fn a_job_that_waits_for_the_load_can_be_stopped() {
    let job = "inputs.repeat = 2\nworkload.sleep.duration = '1ms'\nlimits.max_load = '50%'\n";
    let running =
        TestJob::new(job).file("loadavg", "0 0 0 99/99 7").env("RUNNER_LOADAVG", "loadavg").spawn();
    running.wait_for_file(STDERR, |text| text.contains("`limits.max_load` is 50%"));
    running.signal(Signal::INT.as_raw());
    running.wait().exit(130).rows("status,attempts", &["cancelled,0", "cancelled,0"]);
}

#[test]
fn a_rate_that_was_missed_is_said_and_counted_from_when_tasks_were_due() {
    let job = "[inputs]\nrepeat = 20\n[workload.command]\nshell = 'test $RUNNER_TASK != 1 || sleep 0.6'\n[limits]\nconcurrency = 1\n";
    for model in MODELS {
        let paced = TestJob::new(&format!("{job}rate = '50/s'\n")).args(["--model", model]).run();
        paced.exit(0).stderr_has("the rate of 50/s was missed by");
        let summary = paced.summary("job");
        let due: f64 = summary["due_p99_s"].parse().unwrap();
        assert!(
            due >= 0.55,
            "{model}: the second was due after 20 ms, and started after 0.6 s: {due}"
        );
        let free = TestJob::new(job).args(["--model", model]).run();
        assert_eq!(free.exit(0).summary("job")["due_p99_s"], "", "{model}");
        assert!(!free.stderr().contains("missed"), "{model}");
    }
}

/// A turn that is taken while a program is started again would be one of long ago when that is ready.
#[test]
fn a_program_that_is_started_again_is_no_reason_to_start_many_at_once() {
    let program = "
import json, os, sys, time
sys.stdin.readline()
if os.path.exists('second'): time.sleep(3)
open('second', 'w').close()
print(json.dumps({'ready': 1, 'slots': 20}), flush=True)
for line in sys.stdin:
    print(json.dumps({'id': json.loads(line)['id'], 'ok': {'result': 1}}), flush=True)";
    let module = "
import os, time
def init():
    if os.path.exists('second'): time.sleep(3)
    open('second', 'w').close()
async def work(x): return 1";
    let workloads = [
        "workload.worker = { argv = ['python3', 'program.py'], max_tasks = 12 }",
        "workload.python = { function = 'module:work', init = 'module:init', max_tasks = 12 }",
    ];
    let bounds = ["rate = '10/s'", "rate = '10/s'\ngroup = 'g'"];
    for (workload, bound) in workloads.iter().flat_map(|each| bounds.map(|bound| (each, bound))) {
        let text = format!(
            "model = 'async'\ninputs.range = {{ from = 1, to = 30 }}\n{workload}\n\
             [limits]\nconcurrency = 20\n{bound}\n"
        );
        let job = TestJob::new(&text).file("program.py", program).file("module.py", module);
        let args = if bound.contains("group") { &["--group", "g=20"][..] } else { &[] };
        let ran = job.args(args.iter().copied()).run();
        let starts = starts(ran.exit(0));
        assert_eq!(starts.len(), 30);
        for (first, start) in starts.iter().enumerate() {
            let within = starts[first..].iter().filter(|other| *other - start < 0.3).count();
            // Some may be late by themselves on a busy machine.
            assert!(within <= 7, "{workload}, {bound}: {within} of {starts:?}");
        }
    }
}
