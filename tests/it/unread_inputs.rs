//! Inputs that are not reached: by a job that was stopped, which reads on and has a row for each, and by a resumed one, which
//! loses no row whose input it has not looked for.

use std::fs;

use rustix::process::Signal;

use crate::support::{MODELS, Ran, TestJob};

/// A table of inputs 1 to `rows`, of which `where = "k == 1"` leaves only the first and the last ones.
fn sparse(rows: u32) -> String {
    let k = |n: u32| u32::from(n <= 5 || n + 100 > rows);
    (1..=rows).fold("n,k\n".to_owned(), |text, n| format!("{text}{n},{}\n", k(n)))
}

/// The numbers from 1, a line each.
fn lines(last: u32) -> String {
    (1..=last).fold(String::new(), |text, n| format!("{text}{n}\n"))
}

fn again(earlier: Ran, args: &[&str]) -> Ran {
    TestJob::again(earlier).arg("job.toml").args(args.iter().copied()).run()
}

#[test]
fn what_does_not_run_has_a_row_wherever_its_input_comes_from() {
    let sources = [
        ("csv = \"in.csv\"\nwhere = \"k == 1\"", 105),
        ("csv = \"in.csv\"\nskip = 9000\nlimit = 50", 50),
        ("lines = \"in.txt\"\nbatch = 5000", 8),
        ("glob = \"f/*\"", 30),
        ("glob = { pattern = [\"f/1*\", \"f/*\"], except = \"f/2\" }", 29),
        ("glob = \"f/*\"\nshuffle = 1", 30),
        ("matrix = { a = { glob = \"f/*\" }, b = [1, 2] }", 60),
    ];
    for (source, tasks) in sources {
        for model in MODELS {
            let test = TestJob::new(&format!(
                "[inputs]\n{source}\n[workload.command]\nargv = [\"false\"]\n[limits]\nconcurrency = 2\nstop_after_failures = 1\n"
            ));
            let test = test.file("in.csv", sparse(20_000)).file("in.txt", lines(40_000));
            let test = (1..=30).fold(test, |test, n| test.file(format!("f/{n}"), ""));
            let ran = test.args(["--model", model]).run();
            let statuses = ran.exit(3).report().column("status");
            let count = |wanted: &str| statuses.iter().filter(|status| *status == wanted).count();
            assert_eq!(statuses.len(), tasks, "{source} {model}: every task has a row");
            assert!(count("failed") >= 1, "{source} {model}: {statuses:?}");
            assert_eq!(count("failed") + count("cancelled"), tasks, "{source} {model}");
            assert!(!ran.stderr().contains("have no row"), "{}", ran.stderr());
        }
    }
}

#[test]
fn what_does_not_come_to_the_first_stage_has_a_row() {
    for model in MODELS {
        let stage = |name: &str, program: &str| {
            format!(
                "[[stages]]\nname = \"{name}\"\nmodel = \"{model}\"\n[stages.workload.command]\n\
                 argv = [\"{program}\"]\n[stages.limits]\nconcurrency = 1\n"
            )
        };
        let stages = stage("a", "true") + &stage("b", "false");
        let limits = "[limits]\nstop_after_failures = 1\n";
        let test = TestJob::new(&format!("[inputs]\nglob = \"f/*\"\n{limits}{stages}"));
        let ran = (1..=12).fold(test, |test, n| test.file(format!("f/{n}"), "")).run();
        assert_eq!(ran.exit(3).report().column("status").len(), 12, "{model}");
    }
}

/// A search that finds nothing is given up, and that is said.
#[test]
fn what_is_not_looked_for_any_more_is_said() {
    let job = "[inputs]\nrange = { from = 1, to = 1_000_000_000_000 }\nwhere = \"input == 1\"\n\
               [workload.command]\nargv = [\"false\"]\n[limits]\nstop_after_failures = 1\n";
    let ran = TestJob::new(job).run();
    ran.exit(3).rows("task,status", &["1,failed"]).stderr_has("have no row");
}

/// The resumed run is stopped by its first task, long before it has looked for the other inputs.
#[test]
fn a_resumed_run_that_is_stopped_keeps_the_rows_that_it_has_not_come_to() {
    for (source, tasks) in
        [("csv = \"in.csv\"\nwhere = \"k == 1\"", 105), ("lines = \"in.txt\"\nbatch = 5000", 8)]
    {
        for model in MODELS {
            let job = format!(
                "[inputs]\n{source}\n[workload.command]\nshell = 'case \"$n$input\" in *new*) exit 1;; esac'\n\
                 [limits]\nconcurrency = 1\nstop_after_failures = 1\n"
            );
            let (csv, text) = (sparse(20_000), lines(40_000));
            let ran = TestJob::new(&job).file("in.csv", &csv).file("in.txt", &text);
            let ran = ran.args(["--model", model]).run();
            ran.exit(0);
            fs::write(ran.path("in.csv"), csv.replacen("\n1,", "\nnew,", 1)).unwrap();
            fs::write(ran.path("in.txt"), text.replacen("1\n", "new\n", 1)).unwrap();
            let ran = again(ran, &["--resume", "--model", model]);
            let statuses = ran.exit(3).report().column("status");
            assert_eq!(statuses[0], "failed", "{source} {model}");
            assert_eq!(statuses[1..], vec!["ok"; tasks - 1], "{source} {model}");
        }
    }
}

#[test]
fn a_report_stays_when_a_resumed_run_finds_no_input() {
    let job = |empty: &str| {
        format!(
            "[inputs]\nlines = \"in.txt\"\n{empty}[workload.command]\nshell = 'echo $input >> ran; echo $input'\n\
             [report]\nlogs = \"all\"\n[retry]\nmax_attempts = 2\n"
        )
    };
    let ran = TestJob::new(&job("")).file("in.txt", "a\nb\nc\n").run();
    ran.exit(0);
    let files = ["job.csv", "job.attempts.csv", "job.logs/1.out", "job.logs/3.out"];
    let read = |ran: &Ran| {
        files.map(|file| fs::read_to_string(ran.path(format!("results/{file}"))).unwrap())
    };
    let before = read(&ran);
    fs::write(ran.path("in.txt"), "").unwrap();
    let ran = again(ran, &["--resume"]);
    ran.exit(4).stderr_has("results/job.csv` is kept");
    assert!(!ran.stderr().contains("dropped"), "{}", ran.stderr());
    assert_eq!(read(&ran), before);
    assert!(!ran.path("results/job.csv.partial").exists());
    fs::write(ran.path("in.txt"), "b\na\nc\n").unwrap();
    let ran = again(ran, &["--resume"]);
    ran.exit(0).rows("task,input,result", &["1,b,b", "2,a,a", "3,c,c"]);
    assert_eq!(fs::read_to_string(ran.path("ran")).unwrap().lines().count(), 3);
    assert_eq!(fs::read_to_string(ran.path("results/job.logs/1.out")).unwrap(), "b\n");
    // Where none is as good as any number, the report says so.
    fs::write(ran.path("in.txt"), "").unwrap();
    fs::write(ran.path("job.toml"), job("empty = \"ok\"\n")).unwrap();
    let ran = again(ran, &["--resume"]);
    ran.exit(0).rows("task", &[]).stderr_has("3 finished rows are dropped");
}

#[test]
fn a_partial_stays_when_a_resumed_run_finds_no_input() {
    let job = "[inputs]\nlines = \"in.txt\"\n[workload.command]\nshell = 'echo $input >> ran; test $input != slow || \
               test -e go || sleep 300'\n[limits]\nconcurrency = 1\n";
    let running = TestJob::new(job).file("in.txt", "a\nb\nslow\n").spawn();
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 3);
    running.signal(Signal::KILL.as_raw());
    let ran = running.wait();
    fs::write(ran.path("in.txt"), "").unwrap();
    let ran = again(ran, &["--resume"]);
    ran.exit(4).stderr_has("results/job.csv.partial` is kept").stderr_has("--resume");
    fs::write(ran.path("in.txt"), "a\nb\nslow\n").unwrap();
    fs::write(ran.path("go"), "").unwrap();
    fs::remove_file(ran.path("ran")).unwrap();
    let ran = again(ran, &["--resume"]);
    ran.exit(0).rows("input,status", &["a,ok", "b,ok", "slow,ok"]);
    assert_eq!(fs::read_to_string(ran.path("ran")).unwrap(), "slow\n");
}

/// A killed run whose tasks ended in the other order; when it is resumed, the third input cannot be read.
fn cut(extra: &str) -> Ran {
    let values: Vec<_> = "abcdef".chars().map(|value| format!("{{\"v\":\"{value}\"}}\n")).collect();
    // Each waits for the one after it; the first one for ever.
    let job = format!(
        "[inputs]\njsonl = \"in.jsonl\"\nbad_input = \"stop\"\n[workload.command]\n\
         shell = 'if ! test -e go; then next=$(echo $v | tr a-e b-f); until test $v = f || grep -q \",$next,\" \
         results/job.csv.partial; do sleep 0.01; done; test $v != a || sleep 300; fi; echo $v'\n{extra}\
         [limits]\nconcurrency = 6\n"
    );
    let running = TestJob::new(&job).file("in.jsonl", values.concat()).spawn();
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 6);
    running.signal(Signal::KILL.as_raw());
    let ran = running.wait();
    fs::write(ran.path("go"), "").unwrap();
    let values = ["{\"v\":\"a\"}\n", &values[1], "{\"v\":\n"];
    fs::write(ran.path("in.jsonl"), values.concat()).unwrap();
    ran
}

#[test]
fn rows_whose_inputs_are_not_reached_stay_in_their_order() {
    for (extra, path) in [("", None), ("stdout = \"o{task}\"\n", Some("o"))] {
        let ran = again(cut(extra), &["--resume"]);
        ran.exit(2)
            .rows("task,v,status", &["1,a,ok", "2,b,ok", "3,c,ok", "4,d,ok", "5,e,ok", "6,f,ok"]);
        for (n, value) in (1..).zip("abcdef".chars()) {
            if let Some(path) = path {
                let file = fs::read_to_string(ran.path(format!("{path}{n}"))).unwrap();
                assert_eq!(file, format!("{value}\n"));
            }
        }
    }
}

/// Another task has the number of a row, and so its file.
#[test]
fn a_row_whose_file_another_task_has_is_dropped() {
    let ran = cut("stdout = \"o{task}\"\n");
    fs::write(ran.path("in.jsonl"), "{\"v\":\"a\"}\n{\"v\":\"new\"}\n{\"v\":\n").unwrap();
    let ran = again(ran, &["--resume"]);
    ran.exit(2).rows("task,v", &["1,a", "2,new", "3,c", "4,d", "5,e", "6,f"]);
    ran.stderr_has("1 row is dropped: another task has the number of its files now");
    assert_eq!(fs::read_to_string(ran.path("o2")).unwrap(), "new\n");
    assert_eq!(fs::read_to_string(ran.path("o3")).unwrap(), "c\n");
}
