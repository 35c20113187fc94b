//! `[retry]`: what is tried again, when, and what the reports say of it.

use rustix::process::Signal;

use crate::support::{MODELS, Ran, Report, TestJob, wait_until};

/// A command over `inputs`, with these lines in `[retry]`.
fn job(inputs: &str, shell: &str, retry: &str) -> TestJob {
    TestJob::new(&format!(
        "[inputs]\n{inputs}\n[workload.command]\nshell = '''{shell}'''\n[limits]\nconcurrency = 2\n[retry]\n{retry}\n"
    ))
}

fn attempts(ran: &Ran) -> Report {
    Report::read(&ran.path("results/job.attempts.csv"))
}

#[test]
fn a_task_is_tried_again_until_it_is_ok() {
    let ran = job(
        "repeat = 2",
        "echo try $RUNNER_ATTEMPT; test $RUNNER_ATTEMPT -ge 3",
        "max_attempts = 5\ndelay = '1ms'",
    )
    .run();
    ran.exit(0).rows("task,status,attempts,result", &["1,ok,3,try 3", "2,ok,3,try 3"]);
    let attempts = attempts(&ran);
    assert_eq!(attempts.header.join(","), "task,attempt,status,started_utc,run_s,slot,code,error");
    let mut rows = attempts.select("task,attempt,status,code");
    rows.sort();
    assert_eq!(
        rows,
        ["1,1,failed,1", "1,2,failed,1", "1,3,ok,0", "2,1,failed,1", "2,2,failed,1", "2,3,ok,0"]
    );
    let report = ran.report();
    let first = attempts.select("task,attempt").iter().position(|row| row == "1,1").unwrap();
    let last = attempts.select("task,attempt").iter().position(|row| row == "1,3").unwrap();
    // An attempt has its time to the microsecond.
    let started = &report.column("started_utc")[0];
    assert!(attempts.column("started_utc")[first].starts_with(started), "{started}");
    assert_eq!(attempts.column("started_utc")[first].len(), started.len() + 3);
    assert_eq!(report.column("run_s")[0], attempts.column("run_s")[last]);
}

#[test]
fn a_task_that_never_is_ok_ends_as_its_last_attempt() {
    let shell = "echo no $RUNNER_ATTEMPT >&2; exit 7";
    let ran = job("repeat = 1", shell, "max_attempts = 3\ndelay = '1ms'").run();
    ran.exit(3).rows("status,attempts,code", &["failed,3,7"]);
    assert!(ran.report().column("error")[0].ends_with("no 3"));
    assert_eq!(attempts(&ran).column("error").len(), 3);
    assert_eq!(ran.summary("job")["failed"], "1");
}

#[test]
fn every_model_tries_again_the_same() {
    for model in MODELS {
        let text = r#"
            [inputs]
            range = { from = 1, to = 300 }
            [workload.compute]
            function = "factorial"
            arg = "{input}x{attempt}"
            [limits]
            concurrency = 3
            [retry]
            max_attempts = 3
            delay = "2ms"
        "#;
        let ran = TestJob::new(text).args(["--model", model]).run();
        ran.exit(3);
        let rows = ran.report().select("status,attempts,error");
        assert_eq!(rows.len(), 300);
        for (number, row) in (1..).zip(rows) {
            assert_eq!(row, format!("failed,3,`{number}x3` is not a whole number"), "{model}");
        }
        let mut attempts: Vec<(u64, u32)> = attempts(&ran)
            .select("task,attempt")
            .iter()
            .map(|row| row.split_once(',').unwrap())
            .map(|(task, attempt)| (task.parse().unwrap(), attempt.parse().unwrap()))
            .collect();
        attempts.sort_unstable();
        let expected: Vec<_> =
            (1..=300).flat_map(|task| [(task, 1), (task, 2), (task, 3)]).collect();
        assert_eq!(attempts, expected, "{model}");
    }
}

#[test]
fn a_waiting_retry_holds_no_slot() {
    let shell = "test $RUNNER_TASK != 1 || test $RUNNER_ATTEMPT = 2";
    let retry = "max_attempts = 2\ndelay = '1s'\n[report]\norder = 'completion'";
    let ran = job("repeat = 20", shell, retry).args(["-j", "1"]).run();
    let tasks = ran.exit(0).report().column("task");
    assert_eq!((tasks.len(), tasks.last().unwrap().as_str()), (20, "1"));
}

#[test]
fn only_the_causes_that_are_named_are_tried_again() {
    let shell = "case $input in stuck) exec sleep 300;; dead) kill -9 $$;; *) exit $input;; esac";
    for (on, attempts) in [
        ("", ["2", "2", "2", "2"]),
        ("on = ['timeout']", ["1", "1", "2", "1"]),
        ("on = ['crashed', 'exit:75']", ["1", "2", "1", "2"]),
    ] {
        let retry = format!("max_attempts = 2\ndelay = '1ms'\n{on}");
        let ran = job("values = [1, 75, 'stuck', 'dead']", shell, &retry)
            .args(["--set", "limits.timeout=300ms", "--set", "limits.grace=0s"])
            .run();
        ran.exit(3);
        assert_eq!(ran.report().column("attempts"), attempts, "{on}");
        assert_eq!(ran.report().column("status"), ["failed", "failed", "timeout", "crashed"]);
    }
}

#[test]
fn what_a_command_writes_to_a_file_is_looked_into() {
    let busy = r#"printf '{"error":"busy","pad":"%2000s"}' x; test $RUNNER_ATTEMPT -gt 1"#;
    let again = "max_attempts = 3\ndelay = '1ms'\non = ['json:/error=busy']";
    let too_long = "a `json:` rule needs all of it: raise `capture`";
    let with_columns = "stdout = \"o\"\nstderr = \"o\"\n[columns.pad]\nregex = \"pad\"\n";
    for model in MODELS {
        for (more, row, said) in [
            ("", "ok,2", ""),
            ("stdout = \"o\"\n", "ok,2", ""),
            (with_columns, "ok,2", ""),
            ("capture = \"1KiB\"\n", "failed,1", too_long),
            ("stdout = \"o\"\ncapture = \"1KiB\"\n", "failed,1", too_long),
            ("stdout = \"/dev/null\"\n", "failed,1", "for a `json:` rule: it went to a device"),
        ] {
            let job = format!("[workload.command]\nshell = '''{busy}'''\n{more}[retry]\n{again}\n");
            let ran = TestJob::new(&job).args(["--model", model]).run();
            ran.rows("status,attempts", &[row]);
            let error = ran.report().column("error")[0].clone();
            assert!(error.contains(said), "{model} {more}: {error}");
        }
    }
    let stop = r#"
        [inputs]
        repeat = 3
        [workload.command]
        shell = '''echo '{"code": "no_quota"}'; exit 1'''
        stdout = "{task}.json"
        [limits]
        stop_on = ["json:/code=no_quota"]
    "#;
    let ran = TestJob::new(stop).arg("--model=sequential").run();
    ran.exit(3).rows("status", &["failed", "cancelled", "cancelled"]);
}

#[test]
fn a_stop_cancels_waiting_retries_with_what_they_have() {
    let shell = "echo out $RUNNER_TASK; echo why >&2; exit 9";
    let retry = "max_attempts = 3\ndelay = '1h'\nmax_delay = '1h'\n[columns.word]\nregex = '(o..)'";
    let running = job("repeat = 3", shell, retry).spawn();
    running.wait_for_file("results/job.attempts.csv", |text| text.matches(",failed,").count() == 3);
    running.signal(Signal::INT.as_raw());
    let ran = running.wait();
    ran.exit(130);
    let rows = ran.report().select("task,status,attempts,code,result,word");
    assert_eq!(
        rows,
        ["1,cancelled,1,9,out 1,out", "2,cancelled,1,9,out 2,out", "3,cancelled,1,9,out 3,out"]
    );
    assert!(ran.report().column("started_utc").iter().all(|time| !time.is_empty()));
    assert!(!ran.path("results/job.csv.partial").exists());
}

#[test]
fn too_many_waiting_retries_hold_new_tasks_back() {
    let retry = "max_attempts = 2\ndelay = '1h'\nmax_delay = '1h'";
    let running = job("repeat = 1000", "exit 1", retry).args(["-j", "1"]).spawn();
    running.wait_for_file("results/job.attempts.csv", |text| text.lines().count() == 17);
    running.signal(Signal::INT.as_raw());
    let ran = running.wait();
    let report = ran.exit(130).report();
    assert_eq!(report.column("status"), vec!["cancelled"; 1000]);
    assert_eq!(report.column("attempts").iter().filter(|attempts| *attempts == "1").count(), 16);
}

#[test]
fn inputs_from_a_pipe_are_tried_again_too() {
    let lines = "one of many\n".repeat(500);
    let ran = job("lines = '-'", "test $RUNNER_ATTEMPT = 2", "max_attempts = 2\ndelay = '1ms'")
        .stdin(lines)
        .run();
    ran.exit(0);
    assert_eq!(ran.report().column("attempts"), vec!["2"; 500]);
}

#[test]
fn a_dead_worker_is_an_attempt() {
    let text = r#"
        model = "processes"
        [inputs]
        repeat = 4
        [workload.sleep]
        duration = "400ms"
        [limits]
        concurrency = 1
        [retry]
        max_attempts = 2
        delay = "1ms"
    "#;
    let running = TestJob::new(text).spawn();
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 2);
    let worker = crate::models::children(crate::models::children(running.pid())[0])[0];
    let worker = rustix::process::Pid::from_raw(worker).unwrap();
    rustix::process::kill_process(worker, Signal::KILL).unwrap();
    let ran = running.wait();
    ran.exit(0);
    let mut attempts = ran.report().column("attempts");
    attempts.sort();
    assert_eq!(attempts, ["1", "1", "1", "2"]);
}

/// Kills the worker process of every attempt at the first of three tasks.
fn poison(max_attempts: usize) -> Ran {
    let text = format!(
        r#"
        model = "processes"
        [inputs]
        values = [1000000000000000, 1, 2]
        [workload.compute]
        function = "count_down"
        [limits]
        concurrency = 1
        [retry]
        max_attempts = {max_attempts}
        delay = "1ms"
        "#
    );
    let running = TestJob::new(&text).spawn();
    let mut killed = Vec::new();
    while killed.len() < max_attempts {
        let worker = wait_until("a new worker is busy", || {
            let launcher = crate::models::children(running.pid()).first().copied()?;
            let worker = crate::models::children(launcher).first().copied()?;
            (!killed.contains(&worker) && cpu_ticks(worker) >= 10).then_some(worker)
        });
        let pid = rustix::process::Pid::from_raw(worker).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        killed.push(worker);
    }
    running.wait()
}

/// Processor time of a process in user mode, in hundredths of a second.
fn cpu_ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    behind_name.split_ascii_whitespace().nth(11).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

#[test]
fn a_task_that_ends_every_worker_is_quarantined() {
    let ran = poison(3);
    ran.exit(3).rows("task,status,attempts", &["1,crashed,3", "2,ok,1", "3,ok,1"]);
    let error = &ran.report().column("error")[0];
    assert_eq!(error, "quarantined, it killed 3 workers: the worker process died: SIGKILL");
    let attempts = attempts(&ran);
    let of_the_first: Vec<_> =
        attempts.select("task,error").into_iter().filter(|row| row.starts_with("1,")).collect();
    assert_eq!(of_the_first, ["1,the worker process died: SIGKILL"; 3]);
}

#[test]
fn a_single_attempt_is_the_last_even_if_the_worker_died() {
    let ran = poison(1);
    ran.exit(3).rows("task,status,attempts", &["1,crashed,1", "2,ok,1", "3,ok,1"]);
    assert_eq!(ran.report().column("error")[0], "the worker process died: SIGKILL");
}

#[test]
fn attempts_are_written_anew_by_every_run_that_has_them() {
    let old = "task,attempt\n9,9\n";
    let ran = job("repeat = 1", "exit 1", "max_attempts = 2\ndelay = '1ms'")
        .file("results/job.attempts.csv", old)
        .run();
    assert_eq!(attempts(&ran).select("task,attempt"), ["1,1", "1,2"]);
    let once = job("repeat = 1", "exit 0", "max_attempts = 1").run();
    assert!(!once.exit(0).path("results/job.attempts.csv").exists());
    let taken = job("repeat = 1", "exit 0", "max_attempts = 2")
        .file("results/job.attempts.csv/x", "in the way")
        .run();
    taken.exit(6).stderr_has("results/job.attempts.csv");
    assert!(!taken.path("results/job.csv.partial").exists());
}

#[test]
fn attempts_follow_the_dialect() {
    let retry = "max_attempts = 2\ndelay = '1ms'\n[report]\ndialect = 'excel-semicolon'";
    let ran = job("repeat = 1", "echo '=1;2' >&2; exit 1", retry).run();
    let text = std::fs::read_to_string(ran.path("results/job.attempts.csv")).unwrap();
    let header = "\u{feff}task;attempt;status;started_utc;run_s;slot;code;error\r\n";
    assert!(text.starts_with(&format!("{header}1;1;failed;")), "{text}");
}
