//! What pages and `runner status` say of runs that were resumed, stopped, or have not ended, and of clocks that were set.

use std::fs;

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
