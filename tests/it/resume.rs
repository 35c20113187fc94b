//! `--resume`: going on where an earlier run has stopped.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::support::{MODELS, Ran, Report, TestJob, skip, wait_until};

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

/// What a task has used, and how it ended, is still so where the run that was to start it again does not.
#[test]
fn the_row_of_a_task_that_is_not_started_again_stays() {
    let job = "[inputs]\nvalues = ['slow', 'a', 'b', 'c', 'd']\n\
               [workload.command]\nshell = 'echo n=7; test -e quick || { touch at-$input; sleep 300; }'\n\
               [limits]\nconcurrency = 1\ntimeout = '300ms'\n[columns.n]\nregex = 'n=(.*)'\ntotal = true\n";
    for model in ["threads", "processes", "async"] {
        let mut ran = TestJob::new(job).args(["--model", model]).run();
        ran.exit(3).rows("status,n", &["timeout,7"; 5]);
        let rows = fs::read_to_string(ran.path("results/job.csv")).unwrap();
        for _ in 0..2 {
            fs::remove_file(ran.path("at-slow")).unwrap();
            let running = TestJob::again(ran)
                .args(["job.toml", "--resume", "--model", model, "--set", "limits.timeout=60s"])
                .spawn();
            running.wait_for_file("at-slow", |_| true);
            running.stop(Signal::INT.as_raw());
            ran = running.wait();
            ran.exit(130);
            let now = fs::read_to_string(ran.path("results/job.csv")).unwrap();
            let others = |text: &str| text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(others(&now), others(&rows), "{model}");
            assert_eq!(ran.report().column("n")[1..], ["7"; 4]);
            assert_eq!(ran.summary("job")["timeout"], "4");
        }
        fs::write(ran.path("quick"), "").unwrap();
        let done = again(ran, &["--resume", "--model", model]);
        done.exit(0).rows("status", &["ok"; 5]);
    }
}

/// A row that a later run has replaced, or whose task it has started again, counts no more, however that run ended.
#[test]
fn a_row_that_was_replaced_is_gone() {
    let job = "[inputs]\nlines = 'in.txt'\n[limits]\nconcurrency = 1\ntimeout = '20s'\n[workload.command]\n\
               shell = 'test ! -e fail-$input || exit 7; test ! -e slow-$input || { touch at-$input; sleep 300; }; echo $input >> ran'\n";
    let cut = |earlier: TestJob, at: &str, rows: usize| {
        let running = earlier.spawn();
        running.wait_for_file(&format!("at-{at}"), |_| true);
        running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == rows + 1);
        running.signal(Signal::KILL.as_raw());
        let ran = running.wait();
        fs::remove_file(ran.path(format!("at-{at}"))).unwrap();
        ran
    };
    let args =
        |ran: Ran, args: &[&str]| TestJob::again(ran).arg("job.toml").args(args.iter().copied());
    for model in ["threads", "processes"] {
        // Equal inputs: the failed row of the first is not that of the second.
        let first = TestJob::new(job).args(["--model", model]).file("in.txt", "a\na\na\n");
        let ran = cut(first.file("fail-a", "").file("slow-b", "").file("in.txt", "a\nb\n"), "b", 1);
        fs::remove_file(ran.path("fail-a")).unwrap();
        let ran = cut(args(ran, &["--resume=failed"]), "b", 2);
        fs::remove_file(ran.path("slow-b")).unwrap();
        let ran = args(ran, &["--resume", "--limit", "1"]).run();
        ran.exit(0).rows("task,input,status", &["1,a,ok"]);
        fs::write(ran.path("in.txt"), "a\na\nb\n").unwrap();
        let ran = args(ran, &["--resume"]).run();
        ran.exit(0).rows("task,input,status", &["1,a,ok", "2,a,ok", "3,b,ok"]);
        assert_eq!(fs::read_to_string(ran.path("ran")).unwrap(), "a\na\nb\n", "{model}");
    }
}

#[test]
fn texts_are_not_read_in_two_ways() {
    let job =
        "inputs.values = [1, 2]\n[workload.command]\nshell = 'test $input = 1 && echo =1+1'\n";
    let first = TestJob::new(job).run();
    first.exit(3);
    let args = ["--resume=failed", "--accept-changes", "--set", "report.formula_safe=false"];
    again(first, &args).exit(2).stderr_has("`formula_safe` has changed since");
}

#[test]
fn enough_are_those_that_are_kept() {
    let job = "[inputs]\nlines = 'in.txt'\n[workload.command]\nshell = 'echo $input >> ran.txt'\n\
               [limits]\nconcurrency = 1\nstop_after_successes = 2\non_stop = 'drain'\n";
    let first = TestJob::new(job).file("in.txt", "a\nb\nc\n").run();
    first.exit(0).rows("status", &["ok", "ok", "cancelled"]);
    fs::write(first.path("in.txt"), "x\ny\nb\n").unwrap();
    let second = again(first, &["--resume"]);
    second.exit(0).rows("input,status", &["x,ok", "y,cancelled", "b,ok"]);
    assert_eq!(ran(second.path("").as_path()), ["x"]);
}

#[test]
fn a_limit_costs_no_rows_of_tasks_that_have_failed() {
    let job = "inputs.range = { from = 1, to = 6 }\n[workload.command]\nshell = 'test -e mended || exit $input'\n";
    let first = TestJob::new(job).run();
    first.exit(3).rows("code", &["1", "2", "3", "4", "5", "6"]);
    fs::write(first.path("mended"), "").unwrap();
    let limited = again(first, &["--resume=failed", "--limit", "2"]);
    limited.exit(3).rows("task,code", &["1,0", "2,0", "3,3", "4,4", "5,5", "6,6"]);
    assert_eq!(limited.summary("job")["failed"], "4");
    again(limited, &["--resume=failed"]).exit(0).rows("code", &["0"; 6]);
}

/// What an earlier run has found does not stand for what the killed one was to find.
#[test]
fn a_run_that_was_killed_before_its_first_row_begins_anew() {
    for keys in ["", "[report]\nlogs = 'all'\n[retry]\nmax_attempts = 2\n"] {
        let job = format!(
            "[inputs]\nvalues = ['a', 'b']\n[workload.command]\nshell = 'cat data; test ! -e slow || exec sleep 300'\n{keys}"
        );
        let mut ran = TestJob::new(&job).file("data", "old").run();
        ran.exit(0).rows("result", &["old", "old"]);
        for args in [&["--fresh"][..], &[]] {
            let running = TestJob::again(ran)
                .file("data", "new")
                .file("slow", "")
                .arg("job.toml")
                .args(args.iter().copied())
                .spawn();
            running.wait_for_file("results/job.csv.partial", |text| !text.is_empty());
            running.signal(Signal::KILL.as_raw());
            ran = running.wait();
            fs::remove_file(ran.path("slow")).unwrap();
            ran = TestJob::again(ran).args(["job.toml", "--resume"]).run();
            ran.exit(0).rows("result", &["new", "new"]);
            fs::write(ran.path("data"), "old").unwrap();
            ran = TestJob::again(ran).args(["job.toml"]).run();
            ran.exit(0).rows("result", &["old", "old"]);
        }
    }
}

#[test]
fn files_that_are_called_by_the_place_of_a_block_are_made_anew_when_that_changes() {
    for key in ["stdout = 'o/{block}'", "stdout = 'o/{offset}'"] {
        let job = format!(
            "[inputs]\nblocks = {{ file = 'x', size = '4B' }}\n[workload.command]\nargv = ['cat']\n{key}\n"
        );
        let ran = TestJob::new(&job).file("x", "aaa\nbbb\n").run();
        ran.exit(0);
        fs::write(ran.path("x"), "bbb\naaa\n").unwrap();
        let ran = again(ran, &["--resume"]);
        ran.exit(0);
        let names = if key.contains("block") { ["o/1", "o/2"] } else { ["o/0", "o/4"] };
        let found = names.map(|name| fs::read_to_string(ran.path(name)).unwrap());
        assert_eq!(found, ["bbb\n", "aaa\n"], "{key}");
    }
}

#[test]
fn fields_that_have_changed_are_refused() {
    let job = "[inputs]\nvalues = ['a', 'b']\n[fields.o]\nvalue = '{input}-v1'\n[workload.command]\nargv = ['echo', '{o}']\n";
    let ran = TestJob::new(job).args(["--limit", "1"]).run();
    ran.exit(0);
    fs::write(ran.path("job.toml"), job.replace("v1", "v2")).unwrap();
    again(ran, &["--resume"])
        .exit(2)
        .stderr_has("fields have changed")
        .stderr_has("--accept-changes");
}

#[test]
fn a_job_of_the_same_name_in_another_folder_is_another_job() {
    let job = "[inputs]\nvalues = ['in.txt']\n[workload.command]\nargv = ['cat', '{input}']\n";
    let again = |ran, args: &[&str]| TestJob::again(ran).args(args.iter().copied()).run();
    let folders = ["a", "b"].into_iter().fold(TestJob::empty(), |test, name| {
        test.file(format!("{name}/job.toml"), job).file(format!("{name}/in.txt"), name)
    });
    let ran = folders.arg("a/job.toml").run();
    ran.exit(0).rows("input,result", &["in.txt,a"]);
    let refused = again(ran, &["--resume", "b/job.toml"]);
    refused.exit(2).stderr_has("lies in another folder").stderr_has("--fresh");
    let same = again(refused, &["--resume", "a/job.toml"]);
    same.exit(0).rows("input,result", &["in.txt,a"]);
    // A project that is moved as a whole is the same.
    fs::create_dir(same.path("moved")).unwrap();
    for name in ["a", "results"] {
        fs::rename(same.path(name), same.path(format!("moved/{name}"))).unwrap();
    }
    let moved = again(same, &["--resume", "moved/a/job.toml", "--results", "moved/results"]);
    let moved_summary = fs::read_to_string(moved.path("moved/results/summary.csv")).unwrap();
    assert!(moved_summary.contains("resumed: 1 of 1 kept"), "{moved_summary}");
    fs::rename(moved.path("moved/results"), moved.path("results")).unwrap();
    let accepted = again(moved, &["--resume", "--accept-changes", "b/job.toml"]);
    accepted.exit(0).rows("input,result", &["in.txt,a"]);
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
    assert!(said.contains("no space left") && said.contains("resume with --resume"), "{said}");
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

#[test]
fn a_row_whose_bytes_have_changed_is_refused_and_nothing_is_cut() {
    let inputs = (1..=9).map(|n| format!("ok {n}")).collect::<Vec<_>>().join("\n");
    let mut ran = TestJob::new(JOB).file("in.txt", inputs).run();
    ran.exit(0);
    let path = ran.path("results/job.csv");
    let whole = fs::read(&path).unwrap();
    let at = whole.windows(4).position(|part| part == b"ok 4").unwrap();
    for byte in [b'Z', 0xe4, 0] {
        let mut changed = whole.clone();
        changed[at + 1] = byte;
        fs::write(&path, &changed).unwrap();
        ran = again(ran, &["--resume"]);
        ran.exit(2).stderr_has("its row 4 is not what the runner wrote");
        assert_eq!(fs::read(ran.path("results/job.csv")).unwrap(), changed, "nothing is cut");
        assert!(self::ran(ran.folder()).is_empty(), "nothing ran");
    }
}

/// Tasks get new numbers when inputs come before theirs: so do their attempts, through any number of kills.
#[test]
fn attempts_of_kept_rows_have_the_numbers_of_their_tasks() {
    let text = "inputs.lines = 'in.txt'\nmodel = 'threads'\n[limits]\nconcurrency = 2\n\
                [workload.command]\nshell = 'case $input in b) exit 3;; w*) sleep 300;; esac'\n\
                [retry]\nmax_attempts = 2\ndelay = '1ms'\n";
    let attempts = |ran: &Ran| {
        let attempts = Report::read(&ran.path("results/job.attempts.csv"));
        let mut rows = attempts.select("task,attempt,status");
        rows.sort();
        rows
    };
    let rows_come = |job: TestJob, count: usize| {
        let running = job.spawn();
        running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 1 + count);
        running.signal(Signal::KILL.as_raw());
        running.wait()
    };
    let left = rows_come(TestJob::new(text).file("in.txt", "a\nb\nwait\n"), 2);
    fs::write(left.path("in.txt"), "c\nb\nwait\na\n").unwrap();
    let left = rows_come(TestJob::again(left).args(["--resume", "job.toml"]), 3);
    fs::write(left.path("in.txt"), "d\na\nb\nc\n").unwrap();
    let ran = again(left, &["--resume"]);
    ran.exit(3).rows("task,input,attempts", &["1,d,1", "2,a,1", "3,b,2", "4,c,1"]);
    let all = ["1,1,ok", "2,1,ok", "3,1,failed", "3,2,failed", "4,1,ok"];
    assert_eq!(attempts(&ran), all);
    assert!(!ran.path("results/.job.attempts").exists());
    // A finished report is resumed as well, also by a job that tries once.
    fs::write(ran.path("in.txt"), "b\nd\ne\n").unwrap();
    let ran = again(ran, &["--resume", "--set", "retry.max_attempts=1"]);
    ran.exit(3).rows("task,input,attempts", &["1,b,2", "2,d,1", "3,e,1"]);
    assert_eq!(attempts(&ran), ["1,1,failed", "1,2,failed", "2,1,ok"]);
    let ran = again(ran, &["--set", "retry.max_attempts=1"]);
    assert!(!ran.path("results/job.attempts.csv").exists(), "they were of the run before");
}

/// Inputs that the command line leaves out are not gone.
#[test]
fn a_limit_on_the_command_line_costs_no_finished_rows() {
    let text = "inputs.range = { from = 1, to = 9 }\n\
                [workload.command]\nshell = 'echo $input >> ran; echo $input'\n";
    let ran = TestJob::new(text).run();
    for args in [["--resume", "--limit", "2"], ["--resume", "--set", "inputs.limit=3"]] {
        let limited = again(TestJob::new(text).run(), &args);
        limited.exit(0);
        assert_eq!(limited.report().column("result").len(), 9);
        limited.stderr_has("finished rows are kept whose inputs are left out this time");
    }
    let ran = again(ran, &["--resume", "--limit", "2"]);
    let ran = again(ran, &["--resume"]);
    let results: Vec<_> = (1..=9).map(|n| format!("{n},{n},ok,{n}")).collect();
    assert_eq!(ran.report().select("task,input,status,result"), results);
    assert_eq!(
        fs::read_to_string(ran.path("ran")).unwrap().lines().count(),
        9,
        "nothing ran twice"
    );
    // A file that says less means it.
    let fewer = text.replace("to = 9", "to = 4");
    let ran = TestJob::again(ran).file("job.toml", fewer).args(["job.toml", "--resume"]).run();
    ran.exit(0).stderr_has("5 finished rows are dropped");
    assert_eq!(ran.report().column("task").len(), 4);
}

/// A task that has another number now would find another one's file under its own.
#[test]
fn files_that_are_called_by_numbers_are_those_of_their_tasks() {
    for model in MODELS {
        for (key, path) in [("", "o/{task}"), ("creates = \"o/{task:03}\"\n", "{creates}")] {
            let job = |inputs: &str| {
                format!(
                    "{key}[inputs]\nvalues = [{inputs}]\n[workload.command]\n\
                     shell = 'echo \"$input\" >>../ran; echo \"$input\"; test \"$input\" != stop'\n\
                     cwd = \"results\"\nstdout = \"{path}\"\n[limits]\nconcurrency = 1\nstop_on = [\"exit:1\"]"
                )
            };
            let test = TestJob::new(&job("\"a\", \"b\", \"stop\", \"c\""));
            fs::create_dir(test.folder().join("results")).unwrap();
            let first = test.args(["--model", model]).run();
            first.exit(3);
            fs::write(first.path("job.toml"), job("\"a\", \"c\", \"b\"")).unwrap();
            let resumed = again(first, &["--resume", "--model", model]);
            resumed.exit(0).rows("input,status", &["a,ok", "c,ok", "b,ok"]);
            let files = if key.is_empty() { ["1", "2", "3"] } else { ["001", "002", "003"] };
            for (file, text) in files.iter().zip(["a\n", "c\n", "b\n"]) {
                let found = fs::read_to_string(resumed.path(format!("o/{file}"))).unwrap();
                assert_eq!(found, text, "{model} {key}");
            }
            // Nothing that has kept its number runs twice.
            let runs = fs::read_to_string(resumed.path("ran")).unwrap();
            assert_eq!(runs.lines().filter(|line| *line == "a").count(), 1, "{model} {key}");
        }
    }
}

/// A run that does not end has taken the file of a task whose row is still there.
#[test]
fn a_file_that_a_stopped_run_has_taken_is_made_again() {
    let job = |inputs: &str| {
        format!(
            "[inputs]\nvalues = [{inputs}]\n[workload.command]\nshell = 'if test -e stop && test $input != d; then \
             until grep -q \"^1,d\" results/job.csv.partial; do sleep 0.01; done; kill -9 $(cat pid); sleep 60; fi; \
             echo $input'\nstdout = \"o/{{task}}\"\n[limits]\nconcurrency = 1\n"
        )
    };
    let first = TestJob::new(&job("'a', 'b', 'c', 'd'")).run();
    first.exit(0);
    fs::write(first.path("job.toml"), job("'d', 'c', 'b', 'a'")).unwrap();
    fs::write(first.path("stop"), "").unwrap();
    // The shell writes its own number, which the runner has after it.
    let mut killed = std::process::Command::new("sh");
    let runner = env!("CARGO_BIN_EXE_runner");
    let killed = killed.args(["-c", "echo $$ > pid; exec \"$0\" -q --resume job.toml", runner]);
    killed.current_dir(first.folder()).status().unwrap();
    fs::remove_file(first.path("stop")).unwrap();
    assert_eq!(fs::read_to_string(first.path("o/1")).unwrap(), "d\n", "the run got that far");
    fs::write(first.path("job.toml"), job("'a', 'b', 'c', 'd'")).unwrap();
    let resumed = again(first, &["--resume"]);
    resumed.exit(0).rows("input,status", &["a,ok", "b,ok", "c,ok", "d,ok"]);
    for (number, text) in ["a\n", "b\n", "c\n", "d\n"].iter().enumerate() {
        let path = resumed.path(format!("o/{}", number + 1));
        assert_eq!(&fs::read_to_string(path).unwrap(), text);
    }
}

/// Rows that `--limit` leaves out would get numbers that their files do not have.
#[test]
fn a_limit_does_not_move_rows_away_from_their_files() {
    let job = |inputs: &str| {
        format!(
            "[inputs]\nvalues = [{inputs}]\n[workload.command]\nargv = ['echo', '{{input}}']\nstdout = \"o/{{task}}\"\n"
        )
    };
    let first = TestJob::new(&job("'a', 'b'")).run();
    first.exit(0);
    fs::write(first.path("job.toml"), job("'n', 'a', 'b'")).unwrap();
    let limited = again(first, &["--resume", "--limit", "1"]);
    let all = again(limited, &["--resume"]);
    all.exit(0).rows("input,status", &["n,ok", "a,ok", "b,ok"]);
    for (number, text) in ["n\n", "a\n", "b\n"].iter().enumerate() {
        let path = all.path(format!("o/{}", number + 1));
        assert_eq!(&fs::read_to_string(path).unwrap(), text);
    }
}
