//! What pages and `runner status` say of runs that were resumed, stopped, or have not ended, and of clocks that were set.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::{Ran, TestJob};

/// Makes the page of a report in the folder of a run, with this exit code.
#[track_caller]
fn page(ran: Ran, path: &str, exit: i32) -> (Ran, String) {
    let ran = TestJob::again(ran).args(["report", path]).run();
    ran.exit(exit);
    let html = ran.path(path.trim_end_matches(".partial")).with_extension("html");
    let page = fs::read_to_string(html).unwrap();
    (ran, page)
}

/// Has the report say that what started at these times did so in another year. Two tasks may have started at one time.
#[track_caller]
fn replace(path: &Path, started: &[String], year: &str) {
    let text = fs::read_to_string(path).unwrap();
    let moved =
        |text: String, at: &String| text.replace(at.as_str(), &format!("{year}{}", &at[4..]));
    let changed = started.iter().fold(text.clone(), moved);
    assert_ne!(changed, text);
    fs::write(path, changed).unwrap();
}

/// The tasks from 4 on time out as long as there is no file `go`.
const RESUMED: &str = "[inputs]\nrange = { from = 1, to = 6 }\n[workload.command]\n\
     shell = '[ $input -lt 4 ] || [ -e go ] || exec sleep 300'\n[limits]\nconcurrency = 2\ntimeout = '100ms'\n";

/// The rows that were kept are of a time after that of the run that has kept them.
#[test]
fn a_clock_that_was_set_back_between_two_runs_makes_no_report_incomplete() {
    let ran = TestJob::new(RESUMED).run();
    ran.exit(3);
    // That run was on this day of a year to come.
    let started = ran.report().column("started_utc");
    let report = ran.path("results/job.csv");
    let ran = TestJob::again(ran).file("go", "").args(["--resume", "job.toml"]).run();
    ran.exit(0);
    replace(&report, &started[..3], "2999");
    let (ran, html) = page(ran, "results/job.csv", 0);
    ran.stderr_has("3 tasks were done by an earlier run");
    assert!(html.contains("All 6 tasks are ok."));
    let wall: f64 = ran.summary("job")["wall_s"].parse().unwrap();
    assert!(wall < 3600.0 && !html.contains(" d "), "the wall time is that of the summary");
    // More rows of such a time than were kept are of another run.
    let started = ran.report().column("started_utc");
    replace(&report, &started[3..], "2999");
    let (ran, _) = page(ran, "results/job.csv", 2);
    ran.stderr_has("the times in `summary.csv` are not those of the rows");
}

#[test]
fn the_clock_of_a_file_system_may_be_behind() {
    let ran = TestJob::new("inputs.repeat = 2\nworkload.sleep.duration = '1ms'\n").run();
    ran.exit(0);
    let set_back = |ran: &Ran| {
        let long_ago = SystemTime::now() - Duration::from_hours(1);
        let file = File::options().write(true).open(ran.path("results/job.csv")).unwrap();
        file.set_modified(long_ago).unwrap();
    };
    set_back(&ran);
    let (ran, html) = page(ran, "results/job.csv", 0);
    assert!(html.contains("start-up"), "what the summary says of its run is there");
    // The summary is of a run after that of these rows.
    let report = ran.path("results/job.csv");
    replace(&report, &ran.report().column("started_utc"), "1999");
    set_back(&ran);
    let (_, html) = page(ran, "results/job.csv", 0);
    assert!(!html.contains("start-up"));
}

#[test]
fn a_stage_that_could_not_start_is_not_attempted_twice() {
    let ran = TestJob::new(
        "[inputs]\nvalues = [1, 2]\n[[stages]]\nname = 'a'\nworkload.command.shell = 'true'\n\
         [[stages]]\nname = 'b'\nworkload.command.argv = ['./p{input}']\n",
    )
    .run();
    ran.exit(3).rows("b_attempts,b_run_s", &["1,", "1,"]);
    let (ran, html) = page(ran, "results/job.csv", 0);
    assert_eq!(ran.stderr(), "");
    assert!(!html.contains("more than once"));
}

const PARTIAL: &str = "task,input,status,attempts,started_utc,queue_s,run_s,cpu_user_s,cpu_sys_s,peak_rss_bytes,slot,code,\
                       result,output_bytes,error\n\
                       1,a,ok,1,2026-01-01 00:00:00.000,0,0.05,,,,1,0,,0,\n\
                       2,b,ok,1,2026-01-02 00:00:00.001,0,0.05,,,,1,0,,0,\n\
                       3,c,ok,1,2026-01-02 00:00:00.001,0,0.05,,,,2,0,,0,\n";

/// A task that runs has no row yet, and rows of an earlier run lie before what the run says of itself.
#[test]
fn a_run_that_has_not_ended_says_itself_how_long_it_took() {
    let status = r#"{"v":1,"job":"x","started_utc":"2026-01-02 00:00:00.000","elapsed_s":4.0}"#;
    let ran = TestJob::empty()
        .file("results/x.csv.partial", PARTIAL)
        .file("results/.x.status.json", status)
        .args(["report", "results/x.csv.partial"])
        .run();
    ran.exit(0).stderr_has("1 task was done by an earlier run: it counts");
    let html = fs::read_to_string(ran.path("results/x.html")).unwrap();
    assert!(html.contains("It ran for 4 s, 0.5 tasks a second on average"), "{html}");
    assert!(html.contains("of 2026-01-02 00:00:00"));
    // Nothing says when it began.
    fs::remove_file(ran.path("results/.x.status.json")).unwrap();
    let (_, html) = page(ran, "results/x.csv.partial", 0);
    assert!(html.contains("Its rows so far cover 24 h"), "{html}");
    assert!(!html.contains("on average"), "{html}");
}

/// As spreadsheets write heads that are wrapped: up to the line break, another delimiter is more frequent.
#[test]
fn a_name_with_a_line_break_does_not_hide_the_delimiter() {
    for (dialect, head) in [
        ("excel-semicolon", "net, gross, VAT\nPrice"),
        ("csv", "a; b; c\nPrice"),
        ("excel", "a; b; c\nPrice"),
    ] {
        let job = format!(
            "inputs.csv = 'in.csv'\nworkload.command.argv = ['true']\n[report]\ndialect = '{dialect}'\nalso = ['html', 'xlsx']\n"
        );
        let table = format!("\"{head}\",b\n5,6\n");
        let ran = TestJob::new(&job).file("in.csv", table).run();
        ran.exit(0);
        assert!(!ran.stderr().contains("warning"), "{dialect}: {}", ran.stderr());
        assert!(ran.path("results/job.xlsx").exists());
        let (ran, html) = page(ran, "results/job.csv", 0);
        assert_eq!(ran.stderr(), "");
        assert!(html.contains("The only task is ok."), "{dialect}");
    }
}

#[test]
fn no_task_is_not_all_ok_and_enough_is_enough() {
    let status = |ran: Ran| {
        let ran = TestJob::again(ran).args(["status", "results"]).run();
        ran.exit(0);
        (ran.stdout(), ran)
    };
    let ran = TestJob::new("inputs.values = []\nworkload.command.argv = ['true']\n").run();
    ran.exit(4);
    let (line, _) = status(ran);
    assert!(line.ends_with(" UTC, had no task\n"), "{line}");
    let ran = TestJob::new(
        "inputs.range = { from = 1, to = 30 }\nworkload.command.argv = ['true']\n\
         [limits]\nconcurrency = 1\nstop_after_successes = 5\non_stop = 'drain'\n",
    )
    .run();
    let summary = ran.exit(0).summary("job");
    let ok = &summary["ok"];
    assert!(
        summary["reason"].contains("stopped when enough tasks were ok"),
        "{}",
        summary["reason"]
    );
    let (line, ran) = status(ran);
    assert!(line.ends_with(&format!(", {ok} of 30 tasks ok, which was enough\n")), "{line}");
    let (_, html) = page(ran, "results/job.csv", 0);
    assert!(html.contains(&format!("{ok} tasks are ok, which was enough; ")), "{html}");
    assert!(!html.contains("class=\"bad\"") && !html.contains("verdict bad"));
    // The same job with failures that nobody has allowed.
    let ran =
        TestJob::new("inputs.values = [1, 2]\nworkload.command.shell = 'test $input = 1'\n").run();
    ran.exit(3);
    let (line, ran) = status(ran);
    assert!(line.ends_with(" UTC, 2 tasks, 1 not ok\n"), "{line}");
    let (_, html) = page(ran, "results/job.csv", 0);
    assert!(html.contains("1 of 2 tasks is not ok: 1 failed."));
}

/// What could not be started has no run time, in every file that says something of run times.
#[test]
fn what_could_not_be_started_is_no_run_time_of_zero() {
    let stages = "[[stages]]\nname = 'a'\nworkload.command.argv = ['./p{input}']\n\
                  [[stages]]\nname = 'b'\nworkload.command.argv = ['true']\n";
    for workload in ["workload.command.argv = ['./p{input}']\n", stages] {
        let job = format!("inputs.values = [1, 2, 3, 4]\n{workload}");
        let ran = TestJob::new(&job).program("p1", "#!/bin/sh\nexit 3\n").run();
        let first = ran.exit(3).summary("job");
        let run: f64 = first["run_min_s"].parse().unwrap();
        assert!(run > 0.0);
        for name in ["run_mean_s", "run_p50_s", "run_max_s"] {
            assert_eq!(first[name], first["run_min_s"], "{name}: one task has run");
        }
        let ran = TestJob::again(ran).args(["--resume", "job.toml"]).run();
        let again = ran.exit(3).summary("job");
        for name in ["run_min_s", "run_mean_s", "run_p50_s", "run_max_s", "queue_p50_s"] {
            assert_eq!(again[name], first[name], "{name}: the rows are the same");
        }
    }
    let ran = TestJob::new("inputs.values = [1]\nworkload.command.argv = ['./p{input}']\n").run();
    let summary = ran.exit(3).summary("job");
    assert_eq!((summary["run_p50_s"].as_str(), summary["tasks"].as_str()), ("", "1"));
}
