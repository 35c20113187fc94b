//! `total` and `[limits.budget]`: what columns count is summed, and bounded.

use crate::support::{MODELS, Ran, TestJob};

/// A job whose tasks say how many tokens they have used: the input.
fn job(values: &str, rest: &str) -> TestJob {
    TestJob::new(&format!(
        "[inputs]\nvalues = [{values}]\n[workload.command]\nshell = \"echo tokens=$input\"\n\
         [columns.tokens]\nregex = 'tokens=(\\S+)'\ntotal = true\n{rest}"
    ))
}

fn totals(ran: &Ran) -> String {
    ran.summary("job")["totals"].clone()
}

#[test]
fn a_total_is_the_sum_of_all_rows() {
    for model in MODELS {
        let ran = job("1, 0.1, 0.2, 1e2", "").args(["--model", model]).run();
        ran.exit(0).stdout_has("job: total tokens 101.3");
        assert_eq!(totals(&ran), r#"{"tokens":101.3}"#, "{model}");
    }
    let ran = job("1, 'n/a', 2", "[report]\ndialect = \"excel-semicolon\"").run();
    ran.exit(0).stderr_has("1 cell is not a number in the column `tokens`");
    assert_eq!(totals(&ran), r#"{"tokens":3}"#);
    let ran = TestJob::new("[workload.command]\nargv = [\"true\"]").run();
    assert_eq!(totals(&ran), "");
}

#[test]
fn a_total_counts_what_was_printed_in_every_dialect() {
    for (values, total, strange) in [
        // A thousandth of the first is no number that was printed.
        (r#"" 1,234", " 2", "3""#, "5", 1),
        (r#""1,234", "1,5 ", "2.5""#, "2.5", 2),
        (r#"" 1.5", "\t5", "\n2""#, "8.5", 0),
        (r#""=1", "'5""#, "0", 2),
    ] {
        for dialect in ["csv", "excel-semicolon"] {
            for formula_safe in [true, false] {
                let ran = TestJob::new(&format!(
                    "inputs.values = [{values}]\n[workload.command]\nargv = [\"printf\", \"a%sb\", \"{{input}}\"]\n\
                     [columns.tokens]\nregex = '(?s)a(.*)b'\ntotal = true\n\
                     [report]\ndialect = \"{dialect}\"\nformula_safe = {formula_safe}"
                ));
                let ran = ran.run();
                ran.exit(0);
                assert_eq!(totals(&ran), format!("{{\"tokens\":{total}}}"), "{values} {dialect}");
                if strange > 0 {
                    ran.stderr_has(&format!("{strange} cell")).stderr_has("not a number");
                }
            }
        }
    }
}

#[test]
fn kept_rows_count_for_the_total() {
    for dialect in ["csv", "excel-semicolon"] {
        let rest = format!("[report]\ndialect = \"{dialect}\"");
        let ran = job("1.5, 2.5, 3.25", &rest).args(["--limit", "2"]).run();
        assert_eq!(totals(&ran), r#"{"tokens":4}"#);
        let ran = TestJob::again(ran).args(["job.toml", "--resume"]).run();
        ran.exit(0);
        assert_eq!(totals(&ran), r#"{"tokens":7.25}"#, "{dialect}");
    }
}

/// Rows alone do not tell what was used: they may have no number, and are about the last attempt.
#[test]
fn a_resumed_run_knows_what_all_attempts_have_used() {
    let job = |shell: &str, rest: &str| {
        TestJob::new(&format!(
            "inputs.values = [1, 2, 3, 4, 5, 6]\n[workload.command]\nshell = '''echo run >> ran; {shell}'''\n\
             [columns.tokens]\nregex = 'tokens=(\\d+)'\n[limits]\nconcurrency = 1\n{rest}"
        ))
    };
    let made = |ran: &Ran| std::fs::read_to_string(ran.path("ran")).unwrap().lines().count();
    let numberless = job("echo no number", "budget.tokens = [{ max = 10, estimate = 4 }]");
    let retries = job(
        "echo tokens=3; test $RUNNER_ATTEMPT = 2 || exit 75",
        "budget.tokens = [{ max = 20, estimate = 3 }]\n[retry]\nmax_attempts = 2\ndelay = '1ms'\n",
    );
    for (job, attempts, used) in [(numberless, 2, "8 of 10"), (retries, 6, "18 of 20")] {
        let mut ran = job.run();
        for _ in 0..3 {
            ran.exit(3).stderr_has(&format!("used up ({used})"));
            assert_eq!(made(&ran), attempts, "{used}");
            ran = TestJob::again(ran).args(["job.toml", "--resume"]).run();
        }
        // A report that is begun anew has used nothing.
        let ran = TestJob::again(ran).arg("job.toml").run();
        ran.exit(3).stderr_has(&format!("used up ({used})"));
        assert_eq!(made(&ran), 2 * attempts, "{used}");
    }
}

#[test]
fn what_attempts_have_used_survives_a_kill() {
    let job = "inputs.values = [1, 2]\n[workload.command]\nshell = '''echo run >> ran; echo tokens=5\n\
               test $input = 2 || exit 0; test $RUNNER_ATTEMPT = 2 || exit 75; touch at; sleep 300'''\n\
               [columns.tokens]\nregex = 'tokens=(\\d+)'\n[retry]\nmax_attempts = 2\ndelay = '1ms'\n\
               [limits]\nconcurrency = 1\nbudget.tokens = [{ max = 17, estimate = 5 }]";
    let running = TestJob::new(job).spawn();
    running.wait_for_file("at", |_| true);
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 2);
    running.signal(9);
    let ran = running.wait();
    // One attempt fits, and after it no other.
    let job = job.replace("touch at; sleep 300", "true");
    let again = TestJob::again(ran).file("job.toml", job);
    let ran = again.args(["job.toml", "--resume", "--accept-changes"]).run();
    ran.exit(3).stderr_has("used up (15 of 17)");
    assert_eq!(std::fs::read_to_string(ran.path("ran")).unwrap().lines().count(), 4);
}

/// Rows that are kept are no work of this run, and are taken off once, also those that are cancelled.
#[test]
fn the_rate_of_a_resumed_run_is_that_of_what_it_did() {
    let limits =
        "[limits]\nconcurrency = 1\nbudget.tokens = [{ max = 20, estimate = 10 }]".to_owned();
    let mut ran = job("10, 10, 10, 10, 10", &limits).run();
    ran.exit(3).rows("status", &["ok", "ok", "cancelled", "cancelled", "cancelled"]);
    for more in 3..5 {
        let max = format!("limits.budget.tokens=[{{ max = {more}0, estimate = 10 }}]");
        ran = TestJob::again(ran).args(["job.toml", "--resume", "--set", &max]).run();
        ran.exit(3);
        let summary = ran.summary("job");
        let figure = |name: &str| summary[name].parse::<f64>().unwrap();
        let done = figure("tasks_per_s") * figure("wall_s");
        assert!((done - 1.0).abs() < 0.1, "{done} of {more}");
    }
}

#[test]
fn totals_of_functions_and_stages() {
    let text = "
        [inputs]
        values = [1, 2, 3]
        [[stages]]
        name = \"one\"
        [stages.workload.command]
        argv = [\"echo\", \"{input}\"]
        [stages.columns.a]
        regex = '.+'
        total = true
        [[stages]]
        name = \"two\"
        [stages.workload.python]
        function = \"f:f\"
        args = [\"{input}\"]
        [stages.columns.b]
        total = true
        [stages.limits]
        budget.b = [{ max = 1000, estimate = 1 }]";
    let ran = TestJob::new(text).file("f.py", "def f(x):\n    return {'b': int(x) * 10}\n").run();
    ran.exit(0);
    assert_eq!(totals(&ran), r#"{"a":6,"b":60}"#);
}

#[test]
fn a_budget_that_is_used_up_drains_the_job_which_can_be_resumed() {
    for model in MODELS {
        let budget = |max| {
            format!("[limits]\nconcurrency = 2\nbudget.tokens = [{{ max = {max}, estimate = 10 }}]")
        };
        let ran = job("10, 10, 10, 10, 10, 10, 10", &budget(45)).args(["--model", model]).run();
        ran.exit(3).stderr_has("the budget of `tokens` is used up (40 of 45)");
        let ok = |ran: &Ran| {
            ran.report().column("status").iter().filter(|status| *status == "ok").count()
        };
        assert_eq!((ok(&ran), totals(&ran)), (4, r#"{"tokens":40}"#.into()), "{model}");
        // What was used before counts, however often.
        let mut ran = ran;
        for _ in 0..2 {
            ran = TestJob::again(ran).args(["job.toml", "--resume", "--model", model]).run();
            ran.exit(3);
            assert_eq!((ok(&ran), totals(&ran)), (4, r#"{"tokens":40}"#.into()), "{model}");
        }
        let max = "limits.budget.tokens=[{max=60,estimate=10}]";
        let ran = TestJob::again(ran)
            .args(["job.toml", "--resume", "--model", model, "--set", max])
            .run();
        ran.exit(3).stderr_has("is used up (60 of 60)");
        assert_eq!((ok(&ran), totals(&ran)), (6, r#"{"tokens":60}"#.into()), "{model}");
        let max = "limits.budget.tokens=[{max=70,estimate=10}]";
        let ran = TestJob::again(ran)
            .args(["job.toml", "--resume", "--model", model, "--set", max])
            .run();
        assert_eq!((ok(ran.exit(0)), totals(&ran)), (7, r#"{"tokens":70}"#.into()), "{model}");
    }
}

/// In no time of this length do more start than it bears.
#[test]
fn the_budget_of_a_time_is_kept() {
    for model in MODELS {
        let rest = "[limits]\nconcurrency = 4\nbudget.tokens = [{ per = \"500ms\", max = 30, estimate = 20 }]";
        let ran = job("10, 10, 10, 10, 10", rest).args(["--model", model]).run();
        ran.exit(0);
        let report = ran.report();
        let mut starts: Vec<_> = report.column("started_utc").iter().map(|at| millis(at)).collect();
        starts.sort_unstable();
        // Two in a time: the second, once it is known what the first has used. A start may be a little late.
        for three in starts.windows(3) {
            assert!(three[2] + 50 >= three[0] + 500, "{model}: {starts:?}");
        }
    }
}

/// Milliseconds within the day.
fn millis(utc: &str) -> u64 {
    let time = utc.split(' ').nth(1).unwrap();
    let parts: Vec<f64> = time.split(':').map(|part| part.parse().unwrap()).collect();
    ((parts[0] * 60.0 + parts[1]) * 60_000.0 + parts[2] * 1000.0).round() as u64
}

#[test]
fn a_value_that_is_not_a_number_is_said_in_its_row() {
    for model in MODELS {
        let rest = "[limits]\nbudget.tokens = [{ max = 100, estimate = 5 }]";
        let ran = job("1, 'many'", rest).args(["--model", model]).run();
        ran.exit(0).rows(
            "status,error",
            &[
                "ok,",
                "ok,the column `tokens` is not a number: `many`, so its budget counts the estimate",
            ],
        );
    }
}

#[test]
fn budgets_that_cannot_be_are_mistakes() {
    for (budget, said) in [
        (
            "tokens = [{ max = 10, estimate = 11 }]",
            "has an `estimate` of 11, which is above its `max` of 10",
        ),
        ("tokens = [{ max = 0 }]", "a `max` of 0"),
        ("tokens = [{ max = -1 }]", "must be a number of 0 or more"),
        ("tokens = [{ per = \"1m\" }]", "missing field `max`"),
        ("tokens = [{ max = 1, each = 2 }]", "unknown field `each`"),
        ("tokens = [{ max = 1, per = \"soon\" }]", "`soon` is not a duration"),
        ("words = [{ max = 1 }]", "a budget over `words`, and there is no column of this name"),
    ] {
        job("1", &format!("[limits.budget]\n{budget}")).run().exit(2).stderr_has(said);
    }
}

/// What an earlier run has used within the time counts for the run that goes on.
#[test]
fn the_budget_of_a_time_outlives_a_run() {
    let rest = "[limits]\nconcurrency = 2\ndeadline = \"1s\"\nbudget.tokens = [{ per = \"1h\", max = 30, estimate = 10 }]";
    let mut ran = job("10, 10, 10, 10, 10", rest).run();
    for _ in 0..2 {
        ran.exit(124);
        let ok = ran.report().column("status").iter().filter(|status| *status == "ok").count();
        assert!(ok <= 3, "{ok} tasks of 10 within an hour that bears 30");
        ran = TestJob::again(ran).args(["job.toml", "--resume"]).run();
    }
}

#[test]
fn what_counts_as_a_number_is_the_same_in_each_dialect() {
    for dialect in ["csv", "excel", "excel-semicolon"] {
        let report = format!("[report]\ndialect = \"{dialect}\"");
        let ran = job("'1,234', 1.5, 2, '1,5'", &report).run();
        ran.exit(0).stdout_has("job: total tokens 3.5");
        ran.stderr_has("2 cells are not a number in the column `tokens`");
        // The rows that are kept count as they did.
        let ran = TestJob::again(ran).args(["job.toml", "--resume"]).run();
        ran.exit(0).stdout_has("job: total tokens 3.5");
    }
}

/// Nobody knows what those used that a program was doing when it ended, charged or not.
#[test]
fn what_ran_beside_a_crash_counts_as_one_that_crashed() {
    let program = "
import json, os, sys, threading, time
sys.stdin.readline()
print(json.dumps({'ready': 1, 'slots': 4}), flush=True)
requests = []
for line in sys.stdin:
    request = json.loads(line)
    requests.append(request)
    with open('read', 'a') as file: file.write('x\\n')
    if not os.path.exists('died'):
        if len(requests) == 4:
            open('died', 'w').close()
            os._exit(1)
    else:
        print(json.dumps({'id': request['id'], 'ok': {'result': {'tokens': 1}}}), flush=True)";
    let text = "
        model = 'async'
        inputs.range = { from = 1, to = 30 }
        workload.worker.argv = ['python3', 'program.py']
        columns.tokens.json = '/tokens'
        retry = { max_attempts = 3, delay = '1ms' }
        [limits]
        concurrency = 4
        budget.tokens = [{ max = 10, estimate = 1 }]";
    let ran = TestJob::new(text).file("program.py", program).run();
    ran.exit(3).stderr_has("the budget of `tokens` is used up (10 of 10)");
    let read = std::fs::read_to_string(ran.path("read")).unwrap();
    assert_eq!(read.lines().count(), 10);
}
