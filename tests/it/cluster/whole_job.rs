//! What a shard has to know of the whole job, and a driver of those before it: what holds for a run on this machine holds
//! for all shards together.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::{NOTED, SMALL, is_over, small, squares, starts};
use crate::support::{Running, STDERR, TestJob, send, wait_until};

const ONE: [&str; 6] =
    ["--on", "processes", "--set", "cluster.nodes=1", "--set", "cluster.shards=1"];

/// How many times a task was started.
fn ran(folder: &Path) -> usize {
    fs::read_to_string(folder.join("ran")).unwrap_or_default().lines().count()
}

fn begins(running: &Running, tasks: usize) {
    running.wait_for_file("ran", |text| text.lines().count() >= tasks);
}

#[test]
fn the_number_of_tasks_is_that_of_the_job() {
    let text =
        "inputs.repeat = 12\nworkload.command.argv = ['printf', '%s', '{task} of {tasks}']\n";
    for model in ["sequential", "threads", "processes", "async"] {
        let job = small(&format!("model = '{model}'\n{text}"));
        let ran = job.run();
        ran.exit(0);
        let right: Vec<_> = (1..=12).map(|task| format!("{task} of 12")).collect();
        assert_eq!(ran.report().column("result"), right, "{model}");
    }
}

#[test]
fn no_shard_writes_over_an_input_of_another() {
    let text = "inputs.glob = { pattern = 'd/*.txt', except = 'd/c*' }\n\
                fields.n = { from = 'input', regex = '[ax](.)' }\n\
                workload.command = { argv = ['echo', 'new'], stdout = 'd/{n}.txt' }\n";
    for on in [&[][..], &SMALL] {
        let job = TestJob::new(text).file("d/ab.txt", "").file("d/xc.txt", "").file("d/c.txt", "");
        let ran = job.file("d/b.txt", "precious").args(on.iter().copied()).run();
        ran.exit(3);
        let report = ran.report();
        let place = report.column("input").iter().position(|input| input == "d/ab.txt").unwrap();
        let said = &report.column("error")[place];
        assert!(said.contains("cannot write `d/b.txt`: it is one of the inputs"), "{on:?}: {said}");
        assert_eq!(fs::read_to_string(ran.path("d/b.txt")).unwrap(), "precious");
        // What the pattern leaves out is no input.
        assert_eq!(fs::read_to_string(ran.path("d/c.txt")).unwrap(), "new\n", "{on:?}");
    }
}

#[test]
fn no_shard_writes_over_a_report() {
    let text = "inputs.values = ['summary', 'job', 'x']\n\
                workload.command = { argv = ['echo', 'new'], stdout = 'results/{input}.csv' }\n";
    for on in [&[][..], &SMALL] {
        let ran = TestJob::new(text).args(on.iter().copied()).run();
        ran.exit(3).rows("task,status", &["1,failed", "2,failed", "3,ok"]);
        let said = ran.report().column("error");
        for said in &said[..2] {
            assert!(said.contains("it is a file of the job's report"), "{on:?}: {said}");
        }
        assert_eq!(fs::read_to_string(ran.path("results/x.csv")).unwrap(), "new\n");
        assert_eq!(ran.summary("job")["tasks"], "3");
    }
}

/// The driver asks more than once until all has ended; what runs ends by itself all the same.
#[test]
fn what_drains_is_not_killed_however_long_it_takes() {
    let text = "inputs.range = { from = 1, to = 6 }\n\
                workload.command.shell = 'echo $input >> ran; sleep 2.5; echo $((input * input))'\n\
                limits.concurrency = 1\n";
    let job = small(text).args(["--set", "cluster.shards=2"]).arg("--detach").run();
    job.exit(0);
    wait_until("both shards run", || (ran(&job.path("")) == 2).then_some(()));
    let longer = text.replace("to = 6", "to = 4");
    let job = TestJob::again(job).file("job.toml", longer).arg("job.toml").args(SMALL);
    let ran = job.arg("--resume").run();
    ran.exit(0).stderr_has("have changed since the run on the cluster began");
    squares(&ran.report(), 4);
    let starts = starts(ran.folder());
    assert!(starts.values().all(|starts| *starts == 1), "nothing ran twice: {starts:?}");
}

#[test]
fn successes_of_earlier_runs_count() {
    let text = "inputs.repeat = 12\nworkload.command.shell = 'echo >> ran'\n\
                limits = { concurrency = 1, stop_after_successes = 2, on_stop = 'drain' }\n";
    let here = TestJob::new(text).run();
    here.exit(0);
    let before = ran(here.folder());
    for on in [&[][..], &SMALL] {
        let job = TestJob::new(text).run();
        let job = TestJob::again(job).arg("job.toml").args(on.iter().copied()).arg("--resume");
        let again = job.run();
        again.exit(0);
        assert_eq!(ran(again.folder()), before, "{on:?}");
    }
}

#[test]
fn failures_that_an_earlier_driver_has_collected_count() {
    // One shard after another: tasks 1 and 8, 2 and 7, 3 and 6, 4 and 5.
    let text = "inputs.range = { from = 1, to = 8 }\n\
                workload.command.shell = 'case $input in 3|6) while [ ! -e go ]; do sleep 0.02; done;; \
                4|5) sleep 20; echo $input >> ran;; esac; exit 1'\n\
                limits = { concurrency = 1, stop_after_failures = 5, on_stop = 'kill' }\n";
    let nodes = ["--set", "cluster.nodes=1"];
    let running = small(text).args(nodes).spawn();
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 5);
    let work = running.folder().join("results/.job.run/work");
    wait_until("the collected starts are gone", || {
        (fs::read_dir(&work).unwrap().count() == 1).then_some(())
    });
    running.signal(libc::SIGKILL);
    let job = TestJob::again(running.wait()).arg("job.toml").args(SMALL).args(nodes);
    let running = job.arg("--resume").spawn();
    fs::write(running.folder().join("go"), "").unwrap();
    let ran_ = running.wait();
    ran_.exit(3).stderr_has("tasks have failed");
    assert_eq!(ran(ran_.folder()), 0, "the last shard was stopped");
    is_over(&ran_);
}

#[test]
fn all_starts_of_shards_together_keep_the_rate() {
    for burst in ["", ", burst = 2"] {
        let text = format!(
            "inputs.repeat = 16\nworkload.command.argv = ['true']\nlimits = {{ rate = '5/s'{burst} }}\n"
        );
        let ran = small(&text).args(["--set", "cluster.shards=16"]).run();
        ran.exit(0);
        let starts = ran.report().column("started_utc");
        let mut starts: Vec<_> = starts.iter().map(|at| super::processes::seconds(at)).collect();
        starts.sort_by(f64::total_cmp);
        // Two at once, and 14 after that: 2.8 s, if timers were exact.
        let took = starts[15] - starts[0];
        assert!(took > 2.2, "{took}");
    }
}

#[test]
fn an_attempt_that_was_cut_leaves_no_output_beside_that_of_the_next() {
    let text = "inputs.range = { from = 1, to = 3 }\n\
                workload.command.shell = 'if [ $input = 2 ] && mkdir once 2>/dev/null; then echo cut >&2; sleep 0.5; \
                kill -9 $(cut -d\" \" -f4 /proc/$PPID/stat); sleep 20; fi; echo fine'\n\
                limits.concurrency = 1\nreport.logs = 'all'\n";
    let ran = TestJob::new(text).args(ONE).run();
    ran.exit(0).rows("task,status,result", &["1,ok,fine", "2,ok,fine", "3,ok,fine"]);
    let mut names: Vec<_> = fs::read_dir(ran.path("results/job.logs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            fs::metadata(ran.path(format!("results/job.logs/{name}"))).unwrap().len() > 0
        })
        .collect();
    names.sort();
    assert_eq!(names, ["1.out", "2.out", "3.out"]);
}

#[test]
fn the_row_of_a_task_that_is_not_started_again_stays_when_another_driver_goes_on() {
    let text = "inputs.values = ['a', 'b', 'b']\n\
                workload.command.shell = 'echo $input >> ran; while [ ! -e go ]; do sleep 0.02; done'\n\
                limits.concurrency = 1\n";
    let here = TestJob::new(text).args(["--set", "limits.timeout=0.2s"]).run();
    here.exit(3).rows("task,status", &["1,timeout", "2,timeout", "3,timeout"]);
    let there = TestJob::again(here).arg("job.toml").args(ONE).args(["--resume", "--detach"]).run();
    there.exit(0);
    wait_until("the first one runs", || (ran(there.folder()) == 4).then_some(()));
    let _ = fs::remove_file(there.path("results/.job.status.json")); // that of the driver that has left
    let running = TestJob::again(there).arg("job.toml").args(ONE).arg("--resume").spawn();
    running.wait_for_file("results/.job.status.json", |text| !text.is_empty());
    running.signal(libc::SIGINT);
    running.wait_for_file(STDERR, |text| text.contains("stopping: "));
    thread::sleep(Duration::from_secs(1)); // it has told the shard
    fs::write(running.folder().join("go"), "").unwrap();
    let ended = running.wait();
    ended.exit(130).rows("task,status", &["1,ok", "2,timeout", "3,timeout"]);
    is_over(&ended);
}

#[test]
fn two_drivers_that_begin_at_once_do_not_destroy_each_others_run() {
    let running = small(NOTED).spawn();
    let other = running.another(&[&["job.toml"][..], &SMALL].concat());
    let first = running.wait();
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    let mut codes = [first.output.status.code(), other.status.code()];
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(2)], "{}\n{said}", first.stderr());
    squares(&first.report(), 40);
    assert!(starts(first.folder()).values().all(|starts| *starts == 1), "nothing ran twice");
    assert!(!first.path("results/.job.run.lock").exists());
}

#[test]
fn a_shard_that_is_told_to_drain_twice_is_not_killed() {
    let text = "inputs.range = { from = 1, to = 2 }\n\
                workload.command.shell = 'echo $input >> ran; sleep 1.5; echo $((input * input))'\n\
                limits.concurrency = 1\n";
    let running = TestJob::new(text).args(ONE).spawn();
    begins(&running, 1);
    let pid = wait_until("the shard runs", || {
        super::processes::elements(running.folder()).first().copied()
    });
    for _ in 0..3 {
        send(pid, libc::SIGHUP);
        thread::sleep(Duration::from_millis(100));
    }
    let ran = running.wait();
    ran.exit(0);
    squares(&ran.report(), 2);
    assert!(starts(ran.folder()).values().all(|starts| *starts == 1), "nothing ran twice");
}

#[test]
fn an_option_may_begin_with_any_character() {
    let text = "inputs.repeat = 1\nworkload.command.argv = ['true']\ncluster.options = ['-é']\n";
    small(text).run().exit(0);
}
