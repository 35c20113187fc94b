//! `runner compare`: what it writes, what it recommends, and what it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use crate::http::raw::{Raw, ok};
use crate::support::{Ran, Report, TestJob, skip};

const NAPS: &str = "# Naps\ndescription = \"naps\" # short ones\n\n[inputs]\nrepeat = 8\n\n[workload.sleep]\nduration = \"30ms\"\n";

/// The results of two models, and a file that counts the runs.
const ECHO: &str =
    "[inputs]\nvalues = [1, 2]\n[workload.command]\nshell = 'echo $input; echo x >> runs'\n";

fn compare(job: &str) -> TestJob {
    TestJob::empty().file("job.toml", job).args(["compare", "job.toml"])
}

fn advice(ran: &Ran) -> Report {
    Report::read(&ran.path("results/job.compare.csv"))
}

fn rounds(ran: &Ran) -> Report {
    Report::read(&ran.path("results/job.rounds.csv"))
}

#[test]
fn every_model_is_measured_and_one_is_recommended() {
    let ran = compare(NAPS).args(["--rounds", "2", "--warmup", "0"]).run();
    let advice = advice(ran.exit(0));
    assert_eq!(
        advice.header.join(","),
        "job,model,concurrency,rounds,tasks,ok,wall_median_s,wall_low_s,wall_high_s,startup_s,tasks_per_s,speedup,\
         speedup_low,speedup_high,efficiency,cpu_s,peak_rss_bytes,run_p50_s,run_p99_s,same_results,recommended,reason,warnings"
    );
    assert_eq!(advice.column("model"), ["sequential", "threads", "async", "processes"]);
    assert_eq!(advice.column("job"), ["job"; 4]);
    assert_eq!(advice.select("tasks,ok,same_results"), ["8,8,true"; 4]);
    let recommended = advice.column("recommended");
    assert_eq!(recommended.iter().filter(|cell| *cell == "true").count(), 1);
    assert_ne!(recommended[0], "true", "eight waits at once are faster than one after another");
    assert!(advice.column("reason").iter().all(|reason| !reason.is_empty()));
    for row in advice.select("wall_low_s,wall_median_s,wall_high_s,startup_s") {
        let cells: Vec<f64> = row.split(',').map(|cell| cell.parse().unwrap()).collect();
        assert!(cells[0] <= cells[1] && cells[1] <= cells[2] && cells[3] < cells[1], "{row}");
    }
    let rounds = rounds(&ran);
    assert_eq!(
        rounds.header.join(","),
        "job,round,place,model,concurrency,tasks,ok,wall_s,startup_s,cpu_s,peak_rss_bytes,run_p50_s,run_p99_s,\
         started_utc,outlier"
    );
    let mut runs = rounds.select("round,model");
    runs.truncate(8); // there are more where that decided something
    runs.sort();
    let models = ["async", "processes", "sequential", "threads"];
    let expected: Vec<String> =
        [1, 2].iter().flat_map(|round| models.map(|model| format!("{round},{model}"))).collect();
    assert_eq!(runs, expected);
    ran.stdout_has("recommended: ").stdout_has("█").stdout_has("results/job.compare.csv");
    assert!(!ran.path("results/job.csv").exists(), "the user's own report is not touched");
    assert!(!ran.path("results/summary.csv").exists());
    let left = fs::read_dir(ran.path("results")).unwrap().count();
    assert_eq!(left, 2, "nothing else is left");
}

#[test]
fn the_users_own_report_stays() {
    let ran = compare(NAPS)
        .file("results/job.csv", "mine\n")
        .file("results/job.csv.partial", "mine, too\n")
        .args(["--rounds", "1", "--warmup", "0", "--models", "threads"])
        .run();
    ran.exit(0);
    assert_eq!(fs::read_to_string(ran.path("results/job.csv")).unwrap(), "mine\n");
    assert_eq!(fs::read_to_string(ran.path("results/job.csv.partial")).unwrap(), "mine, too\n");
}

#[test]
fn a_seed_repeats_the_order() {
    let order = || {
        let args = [
            "--rounds",
            "1",
            "--warmup",
            "0",
            "--seed",
            "7",
            "--models",
            "async,threads,sequential",
        ];
        let ran = compare(ECHO).args(args).run();
        ran.exit(0).stdout_has("seed 7");
        let mut order = rounds(&ran).select("place,model");
        order.truncate(3);
        order
    };
    assert_eq!(order(), order());
}

#[test]
fn commands_are_run_again_and_prepare_comes_before_each() {
    let ran = compare(ECHO)
        .args(["--rounds", "2", "--warmup", "1", "--models", "threads"])
        .args(["--prepare", "echo x >> prepared; echo this is not shown"])
        .run();
    ran.exit(0);
    let count = |path: &str| fs::read_to_string(ran.path(path)).unwrap().lines().count();
    assert_eq!((count("runs"), count("prepared")), (6, 3));
    assert!(!ran.stdout().contains("this is not shown"));
}

#[test]
fn a_prepare_that_fails_ends_it() {
    let ran = compare(ECHO).args(["--prepare", "echo no cache here >&2; exit 4"]).run();
    ran.exit(2).stderr_has("--prepare").stderr_has("exit code 4");
    assert!(!ran.path("runs").exists());
}

#[test]
fn a_sweep_measures_levels_and_fits_the_law() {
    let ran = compare(NAPS)
        .args([
            "--concurrency",
            "1,2,4,8",
            "--models",
            "sequential,async",
            "--rounds",
            "2",
            "--warmup",
            "0",
        ])
        .run();
    let advice = advice(ran.exit(0));
    assert_eq!(
        advice.select("model,concurrency"),
        ["sequential,1", "async,1", "async,2", "async,4", "async,8"]
    );
    let recommended = advice.column("recommended").iter().position(|cell| cell == "true").unwrap();
    assert!(recommended >= 2, "eight waits at once are faster than one after another");
    ran.stdout_has("contention").stdout_has("coherency").stdout_has("Universal Scalability Law");
}

#[test]
fn a_sample_stands_for_the_whole_job() {
    let ran = compare(NAPS)
        .args(["--limit", "2", "--models", "sequential", "--rounds", "1", "--warmup", "0"])
        .run();
    ran.exit(0).stdout_has("from a sample of 2");
    assert_eq!(advice(&ran).select("tasks,ok"), ["8,8"]);
    assert_eq!(rounds(&ran).select("tasks,ok"), ["2,2"]);
    let seconds = |report: &Report, column: &str| report.column(column)[0].parse::<f64>().unwrap();
    let (advice, rounds) = (advice(&ran), rounds(&ran));
    let startup = seconds(&rounds, "startup_s");
    let expected = startup + (seconds(&rounds, "wall_s") - startup) * 4.0;
    assert!((seconds(&advice, "wall_median_s") - expected).abs() < 1e-6, "{expected}");
}

#[test]
fn several_jobs_are_also_compared_with_one_another() {
    let ran = TestJob::empty()
        .file("short.toml", NAPS)
        .file("long.toml", NAPS.replace("30ms", "90ms"))
        .args([
            "compare",
            "long.toml",
            "short.toml",
            "--together",
            "--models",
            "sequential,threads",
        ])
        .args(["--rounds", "1", "--warmup", "0"])
        .run();
    let stdout = ran.exit(0).stdout();
    let table = stdout.split("each job under its best model").nth(1).unwrap();
    assert!(table.find("short").unwrap() < table.find("long").unwrap(), "{table}");
    for job in ["short", "long"] {
        assert!(ran.path(format!("results/{job}.compare.csv")).exists());
        assert!(ran.path(format!("results/{job}.rounds.csv")).exists());
    }
}

/// As many runs for warming up as hyperfine makes with the same option.
#[test]
fn warming_up_is_as_of_hyperfine() {
    let job = "[workload.command]\nshell = 'echo x >> runs; sleep 0.01'\n";
    let ran = TestJob::empty()
        .file("jobs/one.toml", job)
        .args(["compare", "jobs/one.toml", "--models", "sequential"])
        .args(["--warmup", "2", "--rounds", "3", "--prepare", "true"])
        .run();
    ran.exit(0);
    let runs = |path: std::path::PathBuf| fs::read_to_string(path).unwrap().lines().count();
    let ours = runs(ran.path("jobs/runs"));
    let folder = TestJob::empty();
    let mut hyperfine = std::process::Command::new("hyperfine");
    hyperfine.args(["--warmup", "2", "--runs", "3", "echo x >> runs; sleep 0.01"]);
    let Ok(output) = hyperfine.current_dir(folder.folder()).output() else {
        skip("hyperfine is not installed");
        return;
    };
    assert!(output.status.success());
    assert_eq!(ours, runs(folder.folder().join("runs")));
}

#[test]
fn results_that_vary_are_said() {
    let job = "[inputs]\nrepeat = 3\n[workload.command]\nshell = 'echo x >> n; wc -l < n'\n";
    let ran = compare(job).args(["--rounds", "2", "--models", "sequential,threads"]).run();
    ran.exit(0).stderr_has("the results differ from run to run");
    assert!(advice(&ran).column("same_results").contains(&"false".to_owned()));
}

#[test]
fn a_model_that_gives_other_results_is_not_recommended() {
    // One slot or two: what a task sees depends on the model.
    let job = "[inputs]\nrepeat = 2\n[workload.command]\nshell = 'echo $width; exec sleep 0.05'\nenv = { width = \"{slot}\" }\n[limits]\nconcurrency = 2\n";
    let ran = compare(job).args(["--rounds", "1", "--models", "sequential,threads"]).run();
    ran.exit(0);
    let found = advice(&ran).select("model,same_results");
    assert_eq!(found.len(), 2);
    assert!(found.contains(&"sequential,true".to_owned()), "{found:?}");
}

/// What is over in no time is repeated: a repeat that gives something else is a result, too.
#[test]
fn what_one_of_several_repeats_gives_counts() {
    let job = "inputs.values = [1]\nworkload.command.shell = 'if mkdir seen; then echo wrong; else echo ok; fi'\n";
    let args = ["--rounds", "2", "--warmup", "0", "--models", "sequential,threads", "--seed", "1"];
    let ran = compare(job).args(args).run();
    ran.exit(0).stderr_has("differ from run to run");
    let first = rounds(&ran).column("model").remove(0);
    let expected = ["sequential", "threads"]
        .map(|model| format!("{model},{}", if model == first { "false" } else { "true" }));
    assert_eq!(advice(&ran).select("model,same_results"), expected);
}

#[test]
fn apply_writes_the_concurrency_of_the_command_line() {
    let job = format!("{NAPS}\n[limits]\nconcurrency = 2\n");
    let args = ["--apply", "--models", "async", "--rounds", "1", "--set", "limits.concurrency=3"];
    let ran = compare(&job).args(args).run();
    ran.exit(0).stdout_has("and `concurrency = 3` in `[limits]` to `job.toml`");
    let text = fs::read_to_string(ran.path("job.toml")).unwrap();
    assert!(text.ends_with("[limits]\nconcurrency = 3\n"), "{text}");
}

/// Each run would go on where the last one has stopped.
#[test]
fn inputs_that_can_be_read_once_are_refused() {
    let from_file: &[&str] = &["sh", "-c", "exec \"$@\" < lines.txt", "sh"];
    for (name, wrapper, words) in [
        ("-", &[][..], "reads a pipe"),
        ("-", from_file, "reads standard input"),
        ("/dev/stdin", &[], "reads a pipe"),
    ] {
        let job = format!("inputs.lines = '{name}'\nworkload.command.shell = 'echo x >> runs'\n");
        let ran = compare(&job).file("lines.txt", "1\n2\n").stdin("1\n2\n").under(wrapper).run();
        ran.exit(2).stderr_has(words);
        assert!(!ran.path("runs").exists(), "{name} {wrapper:?}");
    }
    // By that name a file is opened anew each time.
    let job = "inputs.lines = '/dev/stdin'\nworkload.sleep.duration = '1ms'\n";
    let args = ["--rounds", "1", "--models", "threads"];
    let ran = compare(job).file("lines.txt", "1\n2\n").args(args).under(from_file).run();
    assert_eq!(advice(ran.exit(0)).column("ok"), ["2"]);
}

#[test]
fn apply_writes_into_the_file_and_keeps_the_rest() {
    let test = compare(NAPS);
    fs::set_permissions(test.folder().join("job.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    let ran = test.args(["--apply", "--models", "async", "-j", "4", "--rounds", "1"]).run();
    ran.exit(0).stdout_has("` in `[limits]` to `job.toml`");
    let path = ran.path("job.toml");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "# Naps\ndescription = \"naps\" # short ones\nmodel = \"async\"\n\n[inputs]\nrepeat = 8\n\n[workload.sleep]\n\
         duration = \"30ms\"\n\n[limits]\nconcurrency = 4\n"
    );
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn apply_leaves_a_file_that_has_changed_meanwhile() {
    let job =
        "[inputs]\nvalues = [1]\n[workload.command]\nshell = 'echo \"# changed\" >> job.toml'\n";
    let ran = compare(job).args(["--apply", "--models", "threads", "--rounds", "1"]).run();
    ran.exit(2).stderr_has("`job.toml` has changed since it was read");
    let text = fs::read_to_string(ran.path("job.toml")).unwrap();
    assert!(text.starts_with(job) && !text.contains("model ="), "{text}");
    assert!(ran.path("results/job.compare.csv").exists(), "what was measured is there");
}

#[test]
fn apply_to_standard_input_is_refused_before_anything_runs() {
    let ran = TestJob::empty().stdin(ECHO).args(["compare", "--apply", "-"]).run();
    ran.exit(2).stderr_has("--apply cannot write into a job file on standard input");
    assert!(!ran.path("runs").exists());
}

#[test]
fn apply_to_a_file_that_cannot_be_written_is_said_before_anything_runs() {
    // Root may write anything, but not where there is nothing to write to.
    if rustix::process::geteuid().is_root() {
        return skip("it needs another user than root");
    }
    let test = compare(ECHO);
    fs::set_permissions(test.folder().join("job.toml"), fs::Permissions::from_mode(0o444)).unwrap();
    let ran = test.arg("--apply").run();
    ran.exit(6).stderr_has("cannot be written");
    assert!(!ran.path("runs").exists());
}

#[test]
fn tasks_that_fail_are_said_loudly() {
    let job = "[inputs]\nrepeat = 2\n[workload.command]\nshell = 'echo the disk is on fire >&2; exit 9'\n";
    let ran =
        compare(job).args(["--rounds", "1", "--models", "sequential,threads", "--apply"]).run();
    ran.exit(3).stderr_has("NO TASK IS OK").stderr_has("exit code 9");
    ran.stderr_has("was not changed").stdout_has("recommended");
    assert_eq!(advice(&ran).column("ok"), ["0", "0"]);
    assert_eq!(fs::read_to_string(ran.path("job.toml")).unwrap(), job);
}

#[test]
fn one_task_and_none() {
    let one = "[workload.compute]\nfunction = \"count_down\"\narg = 10\n";
    let ran = compare(one).args(["--rounds", "1", "--models", "sequential,threads"]).run();
    ran.exit(0).stderr_has("there is only one task");
    let none = "[inputs]\nvalues = []\n[workload.compute]\nfunction = \"count_down\"\n";
    compare(none).run().exit(4).stderr_has("nothing to run");
}

#[test]
fn bad_arguments_are_said() {
    for (args, words) in [
        (&["--rounds", "0"][..], "0 is not in 1.."),
        (&["--limit", "0"], "0 is not in 1.."),
        (&["--models", "threads,threads"], "`threads` is given twice"),
        (&["--models", "auto"], "`auto` chooses among the other models"),
        (&["--models", "fibers"], "found `fibers`"),
        (&["--concurrency", "0"], "above 0"),
        (&["--concurrency", "2,2"], "given twice"),
        (&["--budget", "0s"], "above 0"),
        (&["--model", "threads"], "--models"),
        (&["--set", "model=threads"], "--models"),
        (&["--set", "inputs.nothing=1"], "unknown key `nothing`"),
    ] {
        let ran = compare(ECHO).args(args.iter().copied()).run();
        ran.exit(2).stderr_has(words);
        assert!(!ran.path("runs").exists(), "{args:?}");
    }
    let piped = "[inputs]\nlines = \"-\"\n[workload.command]\nargv = [\"echo\", \"{input}\"]\n";
    compare(piped).stdin("a\n").run().exit(2).stderr_has("a pipe, which can be read once");
    compare("model = \"fast\"\n").run().exit(2).stderr_has("job.toml:1:9");
}

#[test]
fn a_signal_in_the_middle_leaves_what_was_measured() {
    let job = "[inputs]\nrepeat = 3\n[workload.sleep]\nduration = \"100ms\"\n";
    let running =
        compare(job).args(["--rounds", "100", "--models", "sequential,threads", "--apply"]).spawn();
    running.wait_for_file("results/job.rounds.csv", |text| text.lines().count() >= 4);
    running.signal(Signal::INT.as_raw());
    let ran = running.wait();
    ran.exit(130).stdout_has("PARTIAL").stderr_has("was not changed");
    let advice = advice(&ran);
    assert_eq!(advice.column("recommended").iter().filter(|cell| *cell == "true").count(), 1);
    assert!(advice.column("reason").iter().any(|reason| reason.contains("partial")));
    assert!(rounds(&ran).rows.len() >= 3);
    assert_eq!(fs::read_to_string(ran.path("job.toml")).unwrap(), job);
    assert_eq!(fs::read_dir(ran.path("results")).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn a_job_that_ends_when_enough_tasks_are_ok_has_done_all_that_it_was_to_do() {
    for on_stop in ["kill", "drain"] {
        let job = format!(
            "[inputs]\nrange = {{ from = 1, to = 6 }}\n[workload.command]\nshell = '[ $input -gt 1 ]'\n\
             [limits]\nconcurrency = 4\nstop_after_successes = 2\non_stop = '{on_stop}'\n"
        );
        let ran = compare(&job).args(["--rounds", "3", "--models", "sequential,threads"]).run();
        let advice = advice(ran.exit(0));
        assert!(!ran.stderr().contains("stopping:"), "{}", ran.stderr());
        assert!(!ran.stderr().contains("not ok"), "{}", ran.stderr());
        assert_eq!(advice.column("same_results"), ["true"; 2]);
        assert!(advice.column("reason").iter().any(|it| it.contains("enough tasks were ok")));
        let ran = TestJob::again(ran).args(["report", "results/job.compare.csv"]).run();
        ran.exit(0);
    }
    // Too many failures are said by the comparison, and not run by run.
    let job = "[inputs]\nrepeat = 6\n[workload.command]\nshell = 'exit 1'\n[limits]\nstop_after_failures = 2\n";
    let ran = compare(job).args(["--rounds", "2", "--models", "sequential,threads"]).run();
    assert!(!ran.exit(3).stderr().contains("stopping:"), "{}", ran.stderr());
}

#[test]
fn a_deadline_puts_a_model_out() {
    let job = "[inputs]\nrepeat = 20\n[workload.sleep]\nduration = \"200ms\"\n[limits]\nconcurrency = 20\ndeadline = \"2s\"\n";
    let ran =
        compare(job).args(["--rounds", "1", "--warmup", "0", "--models", "sequential,async"]).run();
    ran.exit(3);
    let advice = advice(&ran);
    assert_eq!(advice.select("model,recommended"), ["sequential,false", "async,true"]);
    assert!(advice.column("reason")[0].contains("tasks are ok"), "{:?}", advice.column("reason"));
}

#[test]
fn the_time_of_services_is_not_the_models() {
    let job = "[services.slow]\nargv = [\"sh\", \"-c\", \"sleep 5; echo ready; exec sleep 300\"]\nready = { line = \"ready\" }\n[workload.command]\nargv = [\"true\"]\n";
    let ran = compare(job).args(["--rounds", "1", "--warmup", "0", "--models", "sequential"]).run();
    ran.exit(0);
    let seconds = |column| rounds(&ran).column(column)[0].parse::<f64>().unwrap();
    assert!(seconds("wall_s") < 4.0, "{}", seconds("wall_s"));
    assert!(seconds("startup_s") < 4.0, "{}", seconds("startup_s"));
}

#[test]
fn a_job_that_needs_another_is_measured_on_the_report_that_is_there() {
    let first = "[inputs]\nvalues = [1, 2]\n[workload.command]\nshell = 'echo $input; echo x >> first-runs'\n";
    let second = "needs = [\"first\"]\n[inputs]\njob = \"first\"\n[workload.command]\nshell = 'echo \"$result\"'\n";
    let both = TestJob::empty().file("first.toml", first).file("second.toml", second);
    let ran = both.args(["first.toml", "second.toml"]).run();
    ran.exit(0);
    let ran = TestJob::again(ran)
        .args(["compare", "first.toml", "second.toml", "--rounds", "1", "--warmup", "0"])
        .args(["--models", "sequential"])
        .run();
    ran.exit(0);
    let advice = Report::read(&ran.path("results/second.compare.csv"));
    assert_eq!(advice.select("tasks,ok"), ["2,2"]);
}

/// Waits, then says what it was given: the first stage takes the time.
const STAGED: &str = r#"# Mixed
[inputs]
values = [1, 2, 3, 4, 5, 6]

[[stages]]
name = "wait"   # first
model = "async" # many at once
[stages.workload.sleep]
duration = "30ms"
[stages.limits]
concurrency = 6

[[stages]]
name = "say"
[stages.workload.command]
shell = 'echo "$input"; echo x >> runs'
[stages.limits]
concurrency = 1
"#;

#[test]
fn a_job_with_stages_is_measured_as_it_is_written_and_under_one_model_each() {
    let ran = compare(STAGED).args(["--rounds", "2", "--warmup", "0"]).run();
    let advice = advice(ran.exit(0));
    assert_eq!(
        advice.select("model,concurrency"),
        ["staged,7", "sequential,2", "threads,7", "async,7", "processes,7"]
    );
    assert_eq!(advice.select("tasks,ok,same_results"), ["6,6,true"; 5]);
    assert_eq!(advice.column("recommended").iter().filter(|cell| *cell == "true").count(), 1);
    assert_ne!(advice.column("recommended")[1], "true", "one wait after another is slower");
    let seconds = |column, row: usize| advice.column(column)[row].parse::<f64>().unwrap();
    assert!((seconds("speedup", 1) - 1.0).abs() < 1e-9, "sequential is the baseline");
    let mut models = rounds(&ran).column("model");
    models.truncate(5);
    models.sort();
    assert_eq!(models, ["async", "processes", "sequential", "staged", "threads"]);
    ran.stdout_has("staged at 7");
}

#[test]
fn what_a_job_with_stages_gives_is_compared() {
    // The rows of the two stages' columns, the results, and the stage in which a task ended.
    let job = r#"
[inputs]
values = [1, 2]
[[stages]]
name = "first"
[stages.workload.command]
shell = 'echo x >> n; test $(wc -l < n) -ne 3'
[[stages]]
name = "second"
[stages.workload.sleep]
duration = "1ms"
"#;
    let ran = compare(job)
        // With `--prepare` each measurement is one run, however short.
        .args(["--rounds", "2", "--warmup", "0", "--models", "sequential", "--prepare", "true"])
        .args(["--set", "stages.first.limits.concurrency=1"])
        .run();
    ran.exit(3).stderr_has("1 of 2 tasks are not ok");
    assert!(advice(&ran).column("same_results").contains(&"false".to_owned()));
}

#[test]
fn a_mix_that_is_one_of_the_models_is_measured_once() {
    let job = STAGED.replace("model = \"async\"", "model = \"threads\"");
    let ran = compare(&job)
        .args(["--rounds", "1", "--warmup", "0", "--models", "sequential,threads"])
        .run();
    assert_eq!(advice(ran.exit(0)).column("model"), ["sequential", "threads"]);
}

#[test]
fn a_mix_of_the_command_line_is_compared() {
    let ran = compare(STAGED)
        .args(["--rounds", "1", "--warmup", "0", "--models", "sequential"])
        .args(["--set", "stages.wait.limits.concurrency=2", "--set", "stages.say.model=processes"])
        .run();
    let advice = advice(ran.exit(0));
    assert_eq!(advice.select("model,concurrency"), ["staged,3", "sequential,2"]);
}

#[test]
fn apply_writes_a_model_into_every_stage() {
    // As it is written it takes six waits one after another.
    let job = STAGED.replace("\"async\"", "\"sequential\"");
    let ran = compare(&job).args(["--apply", "--models", "threads", "--rounds", "2"]).run();
    ran.exit(0).stdout_has("wrote `model = \"threads\"` in every stage to `job.toml`");
    let expected = job
        .replace("model = \"sequential\" # many", "model = \"threads\" # many")
        .replace("name = \"say\"\n", "name = \"say\"\nmodel = \"threads\"\n");
    assert_eq!(fs::read_to_string(ran.path("job.toml")).unwrap(), expected);
    let ran = TestJob::again(ran).args(["check", "job.toml"]).run();
    ran.exit(0);
}

#[test]
fn apply_leaves_a_job_with_stages_that_does_best_as_it_is_written() {
    let ran = compare(STAGED).args(["--apply", "--models", "sequential", "--rounds", "2"]).run();
    ran.exit(0).stdout_has("nothing to change: the job is fastest as `job.toml` has it");
    assert_eq!(fs::read_to_string(ran.path("job.toml")).unwrap(), STAGED);
}

#[test]
fn what_is_not_for_jobs_with_stages_is_said() {
    for (args, words) in [
        (&["-j", "1,2"][..], "--set stages.wait.limits.concurrency=8"),
        (&["--apply", "--set", "stages.wait.model=threads"], "write that into the job file first"),
        (
            &["--apply", "--set", "stages.wait.limits.concurrency=2"],
            "is measured with it and not written",
        ),
        (&["--set", "model=threads"], "--models"),
    ] {
        let ran = compare(STAGED).args(args.iter().copied()).run();
        ran.exit(2).stderr_has(words);
        assert!(!ran.path("runs").exists(), "{args:?}");
    }
}

#[test]
fn jobs_with_and_without_stages_are_compared_together() {
    let ran = TestJob::empty()
        .file("mixed.toml", STAGED)
        .file("naps.toml", NAPS)
        .args(["compare", "mixed.toml", "naps.toml", "--together"])
        .args(["--models", "threads", "--rounds", "1", "--warmup", "0"])
        .run();
    ran.exit(0);
    let models =
        |job: &str| Report::read(&ran.path(format!("results/{job}.compare.csv"))).column("model");
    assert_eq!(models("mixed"), ["staged", "threads"]);
    assert_eq!(models("naps"), ["threads"]);
}

#[test]
fn commands_that_wait_are_told_what_to_measure_next() {
    // So long that they wait most of their time on a busy machine, too.
    let job = "[inputs]\nrepeat = 5\n[workload.command]\nargv = ['sleep', '1']\n[limits]\nconcurrency = 2\n";
    let ran = compare(job).args(["--rounds", "1", "--warmup", "0"]).run();
    ran.exit(0).stdout_has("a higher concurrency may be faster: --concurrency 2,4,8");
    let advice = advice(&ran);
    let processes = advice.column("model").iter().position(|model| model == "processes").unwrap();
    assert_eq!(advice.column("recommended")[processes], "false");
    assert_eq!(
        advice.column("reason")[processes],
        "the same as threads: a command is a process already"
    );
}

#[test]
fn a_recommendation_of_threads_says_what_python_tasks_share() {
    let job =
        "inputs.repeat = 4\n[workload.python]\nfunction = 'mine:work'\n[limits]\nconcurrency = 2";
    let compare = |job: &str| {
        let job =
            TestJob::empty().file("job.toml", job).file("mine.py", "def work(n):\n    return 1");
        job.args(["compare", "job.toml", "--models", "threads", "--rounds", "1"]).run()
    };
    let words = "share one interpreter: module globals, the working folder";
    compare(job).exit(0).stderr_has(words);
    let safe = compare(&job.replace("[limits]", "thread_safe = true\n[limits]"));
    assert!(!safe.exit(0).stderr().contains(words), "{}", safe.stderr());
}

#[test]
fn levels_are_found_where_the_work_waits() {
    let job = "[inputs]\nrepeat = 32\n[workload.sleep]\nduration = '40ms'\n";
    let ran = compare(job).args(["-j", "auto", "--models", "sequential,threads", "--apply"]).run();
    let advice = advice(ran.exit(0));
    let chosen = advice.select("recommended,model,concurrency");
    let chosen = chosen.iter().find(|row| row.starts_with("true,")).unwrap();
    let level: usize = chosen.strip_prefix("true,threads,").unwrap().parse().unwrap();
    assert!((2..=64).contains(&level), "{level}");
    let written = fs::read_to_string(ran.path("job.toml")).unwrap();
    assert!(written.contains(&format!("concurrency = {level}")), "{written}");
    assert!(written.contains("model = \"threads\""), "{written}");
}

#[test]
fn what_is_hopeless_is_left_out_and_that_is_said() {
    let job = "[inputs]\nrepeat = 100\n[workload.sleep]\nduration = '50ms'\n";
    let ran =
        compare(job).args(["-j", "100", "--models", "sequential,async", "--warmup", "0"]).run();
    ran.exit(0).stderr_has("sequential at 1: left out after 2 rounds");
    assert_eq!(advice(&ran).column("rounds")[0], "2");
}

#[test]
fn a_budget_is_kept() {
    let job = "[inputs]\nrepeat = 4\n[workload.sleep]\nduration = '500ms'\n";
    let ran = compare(job).args(["--budget", "3s", "--models", "sequential"]).run();
    assert_eq!(advice(ran.exit(0)).column("rounds"), ["1"], "what was to warm up counts");
}

#[test]
fn what_is_created_by_standard_output_is_compared() {
    let inputs = "creates = \"o/{input}.c\"\n[inputs]\nvalues = [1, 2]\n";
    let (say, shout) = ("argv = [\"echo\", \"{input}\"]\n", "shell = 'echo $input >&2'\n");
    let then = "[[stages]]\nname = \"b\"\n[stages.workload.command]\nargv = [\"true\"]\n";
    for (command, path) in [
        (say, "stdout = \"{creates}\""),
        (say, "stdout = \"o/{input}.c\""),
        (shout, "stderr = \"{creates}\""),
        (shout, "stderr = \"./o/{input}.c\""),
    ] {
        for job in [
            format!("{inputs}[workload.command]\n{command}{path}\n"),
            format!(
                "{inputs}[[stages]]\nname = \"a\"\n[stages.workload.command]\n{command}{path}\n{then}"
            ),
        ] {
            for there in [false, true] {
                let test = compare(&job).args(["--rounds", "1", "--warmup", "0"]);
                let test = if there { test.file("o/1.c", "old") } else { test };
                let ran = test.run();
                let advice = advice(ran.exit(0));
                assert!(advice.column("ok").iter().all(|ok| ok == "2"), "{job}: {}", ran.stderr());
                assert!(advice.column("same_results").iter().all(|same| same == "true"), "{job}");
                let left = fs::read_to_string(ran.path("o/1.c")).ok();
                assert_eq!(left.as_deref(), there.then_some("old"), "{job}");
                assert!(!ran.path("o/2.c").exists(), "{job}");
            }
        }
    }
}

/// The cell `result` has only their first 500 characters.
#[test]
fn whole_outputs_are_compared() {
    let long = "shell = 'head -c 2000 /dev/zero | tr \"\\0\" x; echo x >> n; wc -l < n'\n";
    let then = "[[stages]]\nname = 'b'\n[stages.workload.command]\nargv = ['true']\n";
    for job in [
        format!("[inputs]\nrepeat = 2\n[workload.command]\n{long}"),
        format!(
            "[inputs]\nrepeat = 2\n[[stages]]\nname = 'a'\n[stages.workload.command]\n{long}{then}"
        ),
    ] {
        let ran = compare(&job).args(["--rounds", "2", "--warmup", "0"]).run();
        ran.exit(0).stderr_has("the results differ from run to run");
    }
    let same = "[inputs]\nrepeat = 2\n[workload.command]\nshell = 'head -c 2000000 /dev/zero'\n";
    let ran = compare(same).args(["--rounds", "2", "--warmup", "0"]).run();
    let advice = advice(ran.exit(0));
    assert!(advice.column("same_results").iter().all(|same| same == "true"), "{}", ran.stderr());
}

#[test]
fn bodies_are_compared_and_saved_ones_replace_nothing() {
    let asked = Arc::new(AtomicUsize::new(0));
    let server = Raw::start(move |_| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        ok("", format!("{number:06}").as_bytes())
    });
    let still = Raw::start(|_| ok("", b"still"));
    for save in ["", "save = 'o/{input}'\n"] {
        let job = |server: &Raw| {
            let url = server.url("/");
            let text = format!("[inputs]\nvalues = [1, 2]\n[workload.http]\nurl = '{url}'\n{save}");
            let compared = compare(&text).args(["--rounds", "2", "--warmup", "0"]);
            let ran = compared.file("o/1", "mine").run();
            ran.exit(0);
            assert_eq!(fs::read_to_string(ran.path("o/1")).unwrap(), "mine");
            assert!(!ran.path("o/2").exists());
            ran
        };
        job(&server).stderr_has("the results differ from run to run");
        let ran = job(&still);
        let advice = advice(&ran);
        assert!(advice.column("same_results").iter().all(|same| same == "true"), "{save}");
        assert_eq!(advice.column("ok"), ["2"; 4], "{save}");
    }
}

#[test]
fn tasks_that_were_cancelled_are_in_no_rate() {
    let job = "inputs.repeat = 8\nlimits = { deadline = '500ms', concurrency = 8 }\n\
               [workload.sleep]\nduration = '100ms'\n";
    let args = ["--rounds", "1", "--warmup", "0", "--models", "sequential,threads"];
    let ran = compare(job).args(args).run();
    let advice = advice(ran.exit(3));
    let row = advice.select("ok,wall_median_s,tasks_per_s,speedup").remove(0);
    let cells: Vec<&str> = row.split(',').collect();
    let numbers: Vec<f64> = cells[..3].iter().map(|cell| cell.parse().unwrap()).collect();
    assert!(numbers[0] < 8.0 && numbers[2] * numbers[1] < 7.5, "{row}");
    assert_eq!(advice.column("speedup"), ["", ""], "the baseline has not done the work");
}

#[test]
fn the_folder_of_the_settings_is_that_of_a_comparison_too() {
    let job = compare(ECHO).file("runner.toml", "results = 'out'\n");
    let job = job.args(["--rounds", "1", "--warmup", "0", "--models", "sequential"]);
    let ran = job.run();
    assert!(ran.exit(0).path("out/job.compare.csv").exists());
    assert!(!ran.path("results").exists());
}

/// A sample with fewer tasks than slots says nothing of what more slots would do.
#[test]
fn a_sample_that_does_not_fill_the_slots_is_not_applied() {
    let job = "inputs.repeat = 20\n[workload.sleep]\nduration = '10ms'\n";
    let args = ["--limit", "2", "--models", "threads", "-j", "2,20", "--rounds", "1", "--apply"];
    let ran = compare(job).args(args).run();
    ran.stderr_has("the sample of 2 tasks does not fill 20 slots");
    ran.stderr_has("--apply: the sample does not fill the slots");
    assert_eq!(fs::read_to_string(ran.path("job.toml")).unwrap(), job);
}
