//! How one sees from outside how far a run is: events, `runner status`, SIGUSR1, `--notify`.

use std::fs;

use rustix::process::Signal;

use crate::support::{Ran, Running, STDERR, TestJob, root, runner};

/// A job whose first task is ok, and whose second one waits for the file `go`.
const WAITS: &str = r#"
    model = "threads"
    inputs.repeat = 3
    limits.concurrency = 1
    [workload.command]
    shell = "[ $RUNNER_TASK = 1 ] || while [ ! -e go ]; do sleep 0.01; done"
"#;

fn events(ran: &Ran) -> Vec<serde_json::Value> {
    ran.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn names(events: &[serde_json::Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

fn status(running: &Running) -> String {
    String::from_utf8(running.another(&["status"]).stdout).unwrap()
}

/// Waits for the status file to say that a task has ended, and a second has passed, after which there are events, too.
fn wait_for_status(running: &Running) {
    running.wait_for_file("results/.job.status.json", |text| {
        let status = serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
        status["ok"] == 1 && status["elapsed_s"].as_f64() >= Some(1.0)
    });
}

#[test]
fn a_program_reads_what_happens() {
    let job = "inputs.repeat = 3\n[workload.command]\nshell = 'test $RUNNER_TASK != 2'";
    let ran = TestJob::new(job).arg("--json").run();
    let events = events(ran.exit(3));
    assert_eq!(names(&events), ["start", "job", "finished", "end"]);
    assert!(events.iter().all(|event| event["v"] == 1));
    assert_eq!(events[0]["jobs"][0], "job");
    assert_eq!((&events[1]["job"], &events[1]["tasks"]), (&"job".into(), &3.into()));
    assert_eq!((&events[2]["ok"], &events[2]["failed"]), (&2.into(), &1.into()));
    assert_eq!(events[2]["failures"][0]["task"], 2);
    assert_eq!(events[3]["exit"], 3);
    assert!(ran.stderr().contains("results/job.csv"), "the table is there, too: {}", ran.stderr());
}

#[test]
fn a_program_reads_where_a_mistake_is() {
    let ran = TestJob::new("inputs.repeat = 3\n[workload.command]\nargw = ['true']").arg("--json");
    let ran = ran.run();
    let events = events(ran.exit(2));
    let is_it =
        |event: &&serde_json::Value| event["message"].as_str().unwrap_or("").contains("argw");
    let error = events.iter().find(is_it).unwrap();
    assert_eq!(error["event"], "error");
    assert_eq!((&error["file"], &error["line"]), (&"job.toml".into(), &3.into()));
    assert_eq!(error["column"], 1);
    let end = events.last().unwrap();
    assert_eq!((&end["event"], &end["exit"]), (&"end".into(), &2.into()));
}

#[test]
fn a_running_job_is_seen_from_elsewhere() {
    let running = TestJob::new(WAITS).arg("--json").spawn();
    wait_for_status(&running);
    let said = status(&running);
    assert!(said.starts_with("job: 1 of 3 tasks, 0 failed, "), "{said}");
    let objects = running.another(&["status", "results", "--json"]).stdout;
    let object: serde_json::Value = serde_json::from_slice(&objects).unwrap();
    assert_eq!((&object["state"], &object["done"]), (&"running".into(), &1.into()));
    assert_eq!(object["pid"], running.pid());
    fs::write(running.folder().join("go"), "").unwrap();
    let ran = running.wait();
    ran.exit(0);
    assert!(!ran.path("results/.job.status.json").exists());
    let events = events(&ran);
    assert!(names(&events).contains(&"progress"), "{events:?}");
    let after = runner().current_dir(ran.folder()).arg("status").output().unwrap();
    let after = String::from_utf8(after.stdout).unwrap();
    assert!(
        after.starts_with("job: ended at ") && after.ends_with(" 3 tasks, all ok\n"),
        "{after}"
    );
}

#[test]
fn a_killed_job_is_seen_and_resumed() {
    let running = TestJob::new(WAITS).spawn();
    wait_for_status(&running);
    running.signal(Signal::KILL.as_raw());
    let killed = running.wait();
    let said = runner().current_dir(killed.folder()).args(["status", "."]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("interrupted at ") && said.contains("runner --resume "), "{said}");
    fs::write(killed.folder().join("go"), "").unwrap();
    let resumed = TestJob::again(killed).args(["--resume", "job.toml"]).run();
    resumed.exit(0);
    assert!(!resumed.path("results/.job.status.json").exists());
}

#[test]
fn watching_ends_with_the_jobs() {
    let running = TestJob::new(WAITS).spawn();
    wait_for_status(&running);
    fs::write(running.folder().join("go"), "").unwrap();
    let watched = running.another(&["status", "--watch"]);
    let watched = String::from_utf8(watched.stdout).unwrap();
    assert!(watched.contains("all ok"), "{watched}");
    running.wait().exit(0);
}

#[test]
fn a_signal_asks_how_far_it_is() {
    let running = TestJob::new(WAITS).args(["--no-progress"]).spawn();
    wait_for_status(&running);
    running.signal(Signal::USR1.as_raw());
    running.wait_for_file(STDERR, |text| text.contains("job: 1 of 3 tasks, 0 failed, "));
    fs::write(running.folder().join("go"), "").unwrap();
    running.wait().exit(0);
}

#[test]
fn somebody_is_notified() {
    let job = "inputs.repeat = 3\n[workload.command]\nshell = 'test $RUNNER_TASK != 2'";
    let command = "echo \"$RUNNER_EXIT|$RUNNER_JOBS|$RUNNER_MESSAGE\" > told";
    let ran = TestJob::new(job).args(["--notify", command]).run();
    let told = fs::read_to_string(ran.exit(3).path("told")).unwrap();
    assert!(told.starts_with("3|job|exit code 3: job: 2 ok, 1 not ok in "), "{told}");
    let failing = TestJob::again(ran).args(["--notify", "exit 7", "job.toml"]).run();
    failing.exit(3).stderr_has("--notify `exit 7` failed: exit status: 7");
}

#[test]
fn a_job_that_could_not_start_is_named() {
    let ok = "[inputs]\nvalues = [1]\n[workload.command]\nargv = ['true']\n";
    let bad = format!("needs = ['job']\n{}", ok.replace("values = [1]", "lines = 'missing.txt'"));
    let last = format!("needs = ['bad']\n{ok}");
    let command = "echo \"$RUNNER_EXIT|$RUNNER_JOBS|$RUNNER_MESSAGE\" > told";
    let test = TestJob::new(ok).file("bad.toml", bad).file("last.toml", last);
    let ran = test.args(["bad.toml", "last.toml", "--notify", command]).run();
    let told = fs::read_to_string(ran.exit(2).path("told")).unwrap();
    assert!(told.starts_with("2|job bad last|exit code 2: job: 1 ok in "), "{told}");
    let end = "; bad: could not start: failed to read `missing.txt`: no such file or directory; last: skipped: it needs \
               `bad`, which did not end ok\n";
    assert!(told.ends_with(end), "{told}");
    assert_eq!(ran.summary("bad")["reason"], end[7..].split("; last").next().unwrap());
}

#[test]
fn a_folder_without_runs_is_said_to_be_one() {
    let empty = tempfile::tempdir().unwrap();
    let said = runner().current_dir(empty.path()).arg("status").output().unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap(), "no job has run in .\n");
    let nowhere = runner().current_dir(root()).args(["status", "nowhere"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
}

#[test]
fn what_is_up_to_date_counts_as_ok() {
    let job = "creates = 'out/{input}'\ninputs.repeat = 2\nworkload.command.argv = ['touch', '{creates}']";
    let ran = TestJob::new(job).run();
    ran.exit(0);
    let again = TestJob::again(ran).arg("job.toml").run();
    again.exit(0).rows("status", &["skipped", "skipped"]);
    let said = runner().current_dir(again.folder()).arg("status").output().unwrap();
    assert!(String::from_utf8(said.stdout).unwrap().ends_with("2 tasks, all ok\n"));
}

/// Whoever counts the jobs of `start` sees each of them end.
#[test]
fn jobs_that_could_not_start_have_ended_as_well() {
    let job = |needs: &str| {
        format!("{needs}inputs.lines = 'in.txt'\n[workload.command]\nargv = ['true']\n")
    };
    let ran = TestJob::new("inputs.repeat = 1\n[workload.command]\nargv = ['false']\n")
        .file("late.toml", job("needs = ['job']\n"))
        .file("in.txt", "a\n")
        .args(["late.toml", "--json"])
        .run();
    let events = events(ran.exit(3));
    let ends: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "finished")
        .map(|event| (event["job"].as_str().unwrap(), event["exit"].as_i64().unwrap()))
        .collect();
    assert_eq!(ends, [("job", 3), ("late", 3)]);
    assert_eq!(names(&events).last(), Some(&"end"));
}

#[test]
fn the_third_signal_is_told_to_programs() {
    let stubborn = "inputs.repeat = 1\nlimits.grace = '1h'\n[workload.command]\n\
                    shell = \"trap '' TERM; echo x > begun; while :; do sleep 0.01; done\"\n";
    let running = TestJob::new(stubborn).arg("--json").spawn();
    running.wait_for_file("begun", |text| text == "x\n");
    for said in ["stopping", "ending", ""] {
        running.signal(Signal::INT.as_raw());
        running.wait_for_file(STDERR, |text| text.contains(said));
    }
    let ran = running.wait();
    let events = events(ran.exit(130));
    let end = events.last().unwrap();
    assert_eq!((&end["event"], &end["exit"]), (&"end".into(), &130.into()));
    assert!(ran.path("results/job.csv.partial").exists());
}
