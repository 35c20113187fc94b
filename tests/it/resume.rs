//! `--resume`: going on where an earlier run has stopped.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::support::{Ran, Report, TestJob, skip, wait_until};

/// Every task says on a file that it ran, and ends as its input says.
const JOB: &str = r#"
    [inputs]
    lines = "in.txt"
    [workload.command]
    shell = 'echo "$input" >> ran.txt; case "$input" in fail*) exit 1;; slow*) sleep 300;; esac; echo done'
    [limits]
    concurrency = 1
"#;

fn ran(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("ran.txt")).unwrap_or_default();
    text.lines().map(String::from).collect()
}

/// Runs the job again in the folder of an earlier run, as if `ran.txt` had not been there.
fn again(earlier: Ran, args: &[&str]) -> Ran {
    let _ = fs::remove_file(earlier.path("ran.txt"));
    TestJob::again(earlier).arg("job.toml").args(args.iter().copied()).run()
}

/// Kills a run of these inputs when it has come to the first slow one.
fn killed(inputs: &str) -> Ran {
    let running = TestJob::new(JOB).file("in.txt", inputs).spawn();
    let before = inputs.lines().take_while(|line| !line.starts_with("slow")).count();
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == before + 1);
    running.signal(Signal::KILL.as_raw());
    running.wait()
}

#[test]
fn a_killed_run_goes_on_where_it_stopped() {
    let left = killed("a\nfail\nb\na\nslow\nc\n");
    let refused = again(left, &[]);
    refused.exit(2).stderr_has("job.csv.partial").stderr_has("--resume").stderr_has("--fresh");
    fs::write(refused.path("in.txt"), "c\nb\na\na\na\nfail\n").unwrap();
    let resumed = again(refused, &["--resume"]);
    resumed.exit(3).rows(
        "task,input,status",
        &["1,c,ok", "2,b,ok", "3,a,ok", "4,a,ok", "5,a,ok", "6,fail,failed"],
    );
    assert_eq!(ran(resumed.path("").as_path()), ["c", "a"]);
    let summary = resumed.summary("job");
    assert_eq!((summary["tasks"].as_str(), summary["failed"].as_str()), ("6", "1"));
    assert!(summary["reason"].ends_with("resumed: 4 of 6 kept"), "{}", summary["reason"]);
    assert!(!resumed.path("results/job.csv.partial").exists());

    let failed = again(resumed, &["--resume=failed"]);
    failed.exit(3);
    assert_eq!(ran(failed.path("").as_path()), ["fail"]);
    let nothing = again(failed, &["--resume"]);
    nothing.exit(3).rows("task", &["1", "2", "3", "4", "5", "6"]);
    assert_eq!(ran(nothing.path("").as_path()), [""; 0]);
    let fresh = again(nothing, &["--fresh"]);
    fresh.exit(3);
    assert_eq!(ran(fresh.path("").as_path()).len(), 6);
}

#[test]
fn cancelled_tasks_run_when_the_job_is_resumed() {
    let running = TestJob::new(&JOB.replace("sleep 300", "sleep 0.5"))
        .file("in.txt", "a\nslow\nb\nc\n")
        .spawn();
    running.wait_for_file("ran.txt", |text| text.contains("slow"));
    running.signal(Signal::INT.as_raw());
    let stopped = running.wait();
    stopped.exit(130).rows("status", &["ok", "ok", "cancelled", "cancelled"]);
    let resumed = again(stopped, &["--resume"]);
    resumed.exit(0).rows("task,input,status", &["1,a,ok", "2,slow,ok", "3,b,ok", "4,c,ok"]);
    assert_eq!(ran(resumed.path("").as_path()), ["b", "c"]);
}

#[test]
fn a_changed_workload_is_refused_unless_accepted() {
    let mut left = killed("a\nslow\n");
    let change = |ran: &Ran, job: &str| fs::write(ran.path("job.toml"), job).unwrap();
    change(&left, &JOB.replace("concurrency = 1", "concurrency = 2\ntimeout = \"1ms\""));
    fs::write(left.path("in.txt"), "a\n").unwrap();
    left = again(left, &["--resume"]);
    left.exit(0); // limits may change
    change(&left, &JOB.replace("echo done", "echo other"));
    fs::write(left.path("in.txt"), "a\nb\n").unwrap();
    let refused = again(left, &["--resume"]);
    refused.exit(2).stderr_has("have changed").stderr_has("--accept-changes").stderr_has("--fresh");
    let accepted = again(refused, &["--resume", "--accept-changes"]);
    accepted.exit(0).rows("input,result", &["a,done", "b,other"]);
    change(&accepted, &format!("{JOB}[columns.x]\nregex = 'x'\n"));
    again(accepted, &["--resume", "--accept-changes"]).exit(2).stderr_has("its columns");
}

#[test]
fn dialects_and_formulas_do_not_matter() {
    for dialect in ["excel", "excel-semicolon"] {
        let job = format!(
            "[inputs]\nvalues = [\"=1+1\", 0.50, \"a;b\\n\\\"c\\\"\", \"@x\"]\n[workload.command]\n\
             argv = [\"sh\", \"-c\", \"echo x >> ran.txt; echo 1.5\"]\n[report]\ndialect = \"{dialect}\"\n"
        );
        let done = TestJob::new(&job).run();
        done.exit(0);
        let text = fs::read(done.path("results/job.csv")).unwrap();
        let resumed = again(done, &["--resume"]);
        resumed.exit(0);
        assert_eq!(ran(resumed.path("").as_path()), [""; 0]);
        assert_eq!(fs::read(resumed.path("results/job.csv")).unwrap(), text);
    }
}

#[test]
fn a_pipe_can_be_resumed_too() {
    let job = JOB.replace("in.txt", "-");
    let done = TestJob::new(&job).stdin("a\nb\n").run();
    done.exit(0);
    let _ = fs::remove_file(done.path("ran.txt"));
    let resumed = TestJob::again(done).args(["job.toml", "--resume"]).stdin("b\nc\na\n").run();
    resumed.exit(0).rows("task,input", &["1,b", "2,c", "3,a"]);
    assert_eq!(ran(resumed.path("").as_path()), ["c"]);
}

#[test]
fn a_second_runner_is_refused() {
    let running = TestJob::new(JOB).file("in.txt", "a\nslow\n").spawn();
    running.wait_for_file("ran.txt", |text| text.contains("slow"));
    for flag in ["--resume", "--fresh"] {
        let other = running.another(&["job.toml", flag]);
        assert_eq!(other.status.code(), Some(2));
        let said = String::from_utf8_lossy(&other.stderr).into_owned();
        assert!(said.contains("is being written by another runner"), "{said}");
    }
    running.signal(Signal::KILL.as_raw());
    drop(running);
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let run =
        |args: &[&str]| TestJob::new(JOB).file("in.txt", "a\n").args(args.iter().copied()).run();
    run(&["--resume", "--fresh"]).exit(2).stderr_has("cannot be used with");
    run(&["--accept-changes"]).exit(2).stderr_has("--resume");
    run(&["--resume=all"]).exit(2).stderr_has("failed");
}

#[test]
fn a_folder_that_is_removed_while_the_job_runs_costs_nothing() {
    let running = TestJob::new(&JOB.replace("sleep 300", "until [ -e go ]; do sleep 0.01; done"))
        .file("in.txt", "a\nslow\nb\n")
        .spawn();
    running.wait_for_file("ran.txt", |text| text.contains("slow"));
    fs::remove_dir_all(running.folder().join("results")).unwrap();
    fs::write(running.folder().join("go"), "").unwrap();
    let done = running.wait();
    done.exit(0).rows("task,input", &["1,a", "2,slow", "3,b"]);
    let resumed = again(done, &["--resume"]);
    resumed.exit(0);
    assert_eq!(ran(resumed.path("").as_path()), [""; 0]);
}

/// A disk that fills up while the job runs, and what is done when there is room again.
#[test]
fn a_full_disk_stops_the_job_and_resuming_needs_nothing_twice() {
    let test = TestJob::new(
        "[inputs]\nrepeat = 2000000\n[workload.compute]\nfunction = \"count_down\"\narg = 1\n",
    );
    let results = test.folder().join("results");
    fs::create_dir(&results).unwrap();
    let mount = |options: &str| {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&results);
        mount.output().is_ok_and(|output| output.status.success())
    };
    if !mount("size=300k") {
        return skip("a small file system needs root and mount(8)");
    }
    let full = test.run();
    let (exit, said) = (full.output.status.code(), full.stderr());
    let rows = fs::read_to_string(results.join("job.csv.partial"));
    let larger = mount("remount,size=30m");
    let few = ["--resume", "--limit", "5000"];
    let resumed = TestJob::again(full).arg("job.toml").args(few).run();
    let kept = resumed.summary("job")["reason"].clone();
    let resumed_exit = resumed.output.status.code();
    let unmounted = wait_until("it is unmounted", || {
        let unmount = std::process::Command::new("umount").arg(&results).status();
        unmount.is_ok_and(|status| status.success()).then_some(true)
    });
    assert!(unmounted && larger);
    assert_eq!(exit, Some(6), "{said}");
    assert!(said.contains("No space left") && said.contains("resume with --resume"), "{said}");
    let rows = rows.expect("what was done is kept").lines().count() - 1;
    assert!(
        rows > 100 && said.contains(&format!("the {rows} rows written so far")),
        "{rows} {said}"
    );
    assert_eq!(resumed_exit, Some(0), "{}", resumed.stderr());
    assert!(kept.ends_with(&format!("resumed: {rows} of 5000 kept")), "{rows} rows, {kept}");
}

#[test]
fn rows_of_single_attempts_are_gone_on_with() {
    let job = JOB.replace("concurrency = 1", "concurrency = 2"); // or what is slow holds up the second attempt
    let job = format!("{job}[retry]\nmax_attempts = 2\ndelay = '1ms'\n");
    let running = TestJob::new(&job).file("in.txt", "fail\nslow\n").spawn();
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 2);
    running.signal(Signal::KILL.as_raw());
    let left = running.wait();
    fs::write(left.path("in.txt"), "fail\nfailure\n").unwrap();
    let select = |ran: &Ran| {
        let attempts = Report::read(&ran.path("results/job.attempts.csv"));
        let mut rows = attempts.select("task,attempt,status");
        rows.sort();
        rows
    };
    let resumed = again(left, &["--resume"]);
    let all = ["1,1,failed", "1,2,failed", "2,1,failed", "2,2,failed"];
    assert_eq!(select(&resumed), all);
    let fresh = again(resumed, &["--fresh"]);
    assert_eq!(select(&fresh), all);
    let nothing = again(fresh, &["--resume"]);
    assert_eq!(select(&nothing), all);
}

/// A task that runs now does not write over the file of a row that is kept, wherever that row stands among the inputs.
#[test]
fn files_of_kept_rows_are_not_written_again() {
    let stdout = "[workload.command]\nargv = [\"echo\", \"{id}\"]\nstdout = \"out/{name}\"\n";
    let creates = "[workload.command]\nshell = 'echo $id > \"$creates\"'\n";
    for (top, csv, work) in [
        ("", "in.csv", stdout),
        ("", "-", stdout),
        ("creates = \"out/{name}\"\n", "in.csv", creates),
    ] {
        let text = format!("{top}[inputs]\ncsv = \"{csv}\"\n{work}[limits]\nconcurrency = 1\n");
        let (first, turned) = ("id,name\n1,x\n2,x\n", "id,name\n2,x\n1,x\n");
        // What is read from a pipe is known only as it comes.
        for order in [first, turned].into_iter().take(if csv == "-" { 1 } else { 2 }) {
            let ran = TestJob::new(&text).file("in.csv", first).stdin(first).run();
            ran.exit(3).rows("id,status", &["1,ok", "2,failed"]);
            fs::write(ran.path("in.csv"), order).unwrap();
            let again =
                TestJob::again(ran).stdin(order).args(["job.toml", "--resume=failed"]).run();
            again.exit(3).stderr_has("writes it already");
            assert_eq!(fs::read_to_string(again.path("out/x")).unwrap(), "1\n", "{csv} {order}");
        }
    }
}
