//! Several jobs in one call: their order, what one leaves to the next, and what they share.

use rustix::process::Signal;

use crate::support::{MODELS, Ran, TestJob};

/// A job of one task that notes its name.
fn noting(head: &str) -> String {
    format!("{head}\n[workload.command]\nshell = 'echo $RUNNER_JOB >> order'\n")
}

fn order(ran: &Ran) -> String {
    let order = std::fs::read_to_string(ran.path("order")).unwrap_or_default();
    order.lines().collect::<Vec<_>>().join(" ")
}

#[test]
fn jobs_run_behind_those_that_they_need() {
    let ran = TestJob::empty()
        .file("c.toml", noting("needs = ['b', 'a']"))
        .file("b.toml", noting("needs = ['a']"))
        .file("d.toml", noting(""))
        .file("a.toml", noting(""))
        .args(["c.toml", "b.toml", "d.toml", "a.toml"])
        .run();
    ran.exit(0);
    assert_eq!(order(&ran), "d a b c");
}

#[test]
fn what_needs_a_failed_job_is_skipped() {
    let failing = "[workload.command]\nshell = 'exit 1'\n";
    let ran = TestJob::empty()
        .file("a.toml", failing)
        .file("b.toml", noting("needs = ['a']\nmodel = 'async'"))
        .file("c.toml", noting("[inputs]\njob = 'b'"))
        .file("d.toml", noting(""))
        .args(["a.toml", "b.toml", "c.toml", "d.toml"])
        .run();
    ran.exit(3).stderr_has("b: skipped: it needs `a`, which did not end ok");
    ran.stderr_has("c: skipped: it needs `b`");
    assert_eq!(order(&ran), "d");
    for job in ["b", "c"] {
        let row = ran.summary(job);
        assert_eq!(row["skipped"], "1");
        for count in ["tasks", "ok", "failed", "timeout", "crashed", "cancelled"] {
            assert_eq!(row[count], "0", "{count}");
        }
        assert_eq!((&row["wall_s"][..], &row["started_utc"][..]), ("", ""));
        assert!(row["reason"].starts_with("skipped: "));
        assert!(!ran.path(format!("results/{job}.csv")).exists());
    }
    assert_eq!(ran.summary("b")["model"], "async");
    assert_eq!(ran.summary("d")["skipped"], "0");
}

#[test]
fn a_job_that_could_not_run_is_as_good_as_a_failed_one() {
    let ran = TestJob::empty()
        .file("a.toml", noting(""))
        .file("b.toml", noting("needs = ['a']"))
        .file("results/a.csv.partial", "task\n")
        .args(["a.toml", "b.toml"])
        .run();
    ran.exit(2).stderr_has("b: skipped: it needs `a`");
}

#[test]
fn needs_that_there_cannot_be_are_errors_at_their_place() {
    let ran = TestJob::empty()
        .file("a.toml", noting("needs = ['b']"))
        .file("b.toml", noting("needs = [\n  'a',\n]"))
        .file("c.toml", noting("needs = ['c']"))
        .file("d.toml", noting("needs = ['elsewhere']"))
        .file("e.toml", noting("[inputs]\njob = 'aa'"))
        .file("f.toml", noting("needs = 'a'\nexclusive = 1"))
        .file("elsewhere.toml", noting(""))
        .args(["a.toml", "b.toml", "c.toml", "d.toml", "e.toml", "f.toml"])
        .run();
    ran.exit(2)
        .stderr_has("dependency cycle: `a` -> `b` -> `a`")
        .stderr_has("a.toml:1:10")
        .stderr_has("b.toml:2:3")
        .stderr_has("`c` needs itself")
        .stderr_has("c.toml:1:10")
        .stderr_has("`elsewhere` is not among the jobs of this call")
        .stderr_has("name its file, too: `elsewhere.toml`")
        .stderr_has("unknown job `aa`")
        .stderr_has("e.toml:2:7")
        .stderr_has("did you mean `a`?")
        .stderr_has("f.toml:1:9")
        .stderr_has("f.toml:2:13");
    assert_eq!(order(&ran), "");
}

/// A job whose report has all that a dialect could spoil, and one that reads it.
fn reader(dialect: &str) -> TestJob {
    let first = format!(
        r#"
        [inputs]
        values = ["=1+1", "plain", "-x", "@a;b,\"c\"", "two"]
        [workload.command]
        shell = 'echo "$RUNNER_TASK.5"'
        [columns.number]
        regex = '(.*)'
        [report]
        dialect = "{dialect}"
        "#
    );
    let second = r#"
        [inputs]
        job = "first"
        where = 'status == "ok" and number < 5'
        [workload.command]
        argv = ["printf", "%s", "{input_task} {number} {input}"]
    "#;
    TestJob::empty()
        .file("first.toml", first)
        .file("job.toml", second)
        .args(["job.toml", "first.toml"])
}

#[test]
fn a_report_is_read_in_every_dialect_as_it_was_meant() {
    for dialect in ["csv", "excel", "excel-semicolon"] {
        let ran = reader(dialect).run();
        ran.exit(0);
        let report = ran.report();
        assert_eq!(
            report.column("result"),
            ["1 1.5 =1+1", "2 2.5 plain", "3 3.5 -x", "4 4.5 @a;b,\"c\""],
            "{dialect}"
        );
        assert_eq!(report.column("input_task"), ["1", "2", "3", "4"]);
        assert_eq!(report.column("input_status"), ["ok"; 4]);
        assert_eq!(report.header[..4], ["task", "input_task", "input", "input_status"]);
        assert_eq!(report.header.last().unwrap(), "error");
    }
}

#[test]
fn a_chain_of_reports_keeps_every_column() {
    let read = |job: &str, argument: &str| {
        format!(
            "[inputs]\njob = '{job}'\nskip = 1\n[workload.command]\nargv = ['echo', '{argument}']\n"
        )
    };
    let ran = TestJob::empty()
        .file("a.toml", "[inputs]\nrepeat = 4\n[workload.command]\nargv = ['echo', '{input}']\n")
        .file("b.toml", read("a", "{input_task} {result}"))
        .file("c.toml", read("b", "{input_task} {input_input_task} {result}"))
        .args(["a.toml", "b.toml", "c.toml"])
        .run();
    ran.exit(0);
    assert_eq!(ran.report_of("c").column("result"), ["2 3 3 3", "3 4 4 4"]);
    assert_eq!(ran.report_of("c").column("input_task"), ["2", "3"]);
    assert_eq!(ran.report_of("c").column("input_input_task"), ["3", "4"]);
}

#[test]
fn planning_needs_no_report() {
    for mode in [&["check"][..], &["--dry-run"]] {
        let ran = reader("excel").args(mode.iter().copied().filter(|arg| arg.starts_with('-')));
        let ran = match mode {
            ["check"] => TestJob::again(ran.run()).args(["check", "first.toml", "job.toml"]).run(),
            _ => ran.run(),
        };
        ran.exit(0).stdout_has("one for each row of the report");
    }
    let ran = reader("csv")
        .file(
            "job.toml",
            "[inputs]\njob = 'first'\n[workload.command]\nargv = ['echo', '{nmber}']\n",
        )
        .run();
    ran.exit(2).stderr_has("unknown field `nmber`").stderr_has("did you mean `{number}`?");
    assert!(!ran.path("results").exists());
}

#[test]
fn an_older_report_does_not_pass_for_that_of_a_job_that_had_nothing_to_run() {
    let ran = reader("csv").run();
    ran.exit(0);
    let empty = "[inputs]\nvalues = [1]\nskip = 1\n[workload.command]\nargv = ['echo', '{input}']\n\
                 [columns.number]\nregex = '.'\n";
    let ran = TestJob::again(ran).file("first.toml", empty).args(["first.toml", "job.toml"]).run();
    ran.exit(4).stderr_has("first: nothing to run").stderr_has("job: nothing to run");
}

#[test]
fn what_a_needed_job_makes_need_not_be_there_before() {
    let making = "[workload.command]\nshell = '''printf 'name,n\\nx,1\\ny,2\\n' > made.csv; \
                  printf '#!/bin/sh\\necho \"made $1\"\\n' > tool; chmod +x tool'''\n";
    let using = "needs = ['make']\n[inputs]\ncsv = 'made.csv'\n[workload.command]\n\
                 argv = ['./tool', '{name}{n}']\n";
    let jobs = || TestJob::empty().file("make.toml", making).file("job.toml", using);
    jobs()
        .args(["check", "job.toml", "make.toml"])
        .run()
        .exit(0)
        .stdout_has("planned when the jobs that it needs have ended")
        .stdout_has("failed to read `made.csv`: no such file");
    let ran = jobs().args(["job.toml", "make.toml"]).run();
    ran.exit(0).rows("name,n,result", &["x,1,made x1", "y,2,made y2"]);
    // What is there from an earlier run is not what counts.
    let other = making.replace("name,n\\nx,1", "n,name\\n1,x");
    let ran = TestJob::again(ran).file("make.toml", other).args(["job.toml", "make.toml"]).run();
    ran.exit(0).rows("n,name", &["1,x", "y,2"]);

    let ran = jobs().file("make.toml", noting("")).args(["job.toml", "make.toml"]).run();
    ran.exit(2)
        .stderr_has("failed to read `made.csv`: no such file")
        .stderr_has("there is no program `./tool`")
        .stderr_has("job.toml:3:7");
    // Without a need it is a mistake before anything runs.
    let ran = jobs().args(["job.toml", "make.toml", "--set", "needs=[]"]).run();
    ran.exit(2).stderr_has("failed to read `made.csv`");
    assert!(!ran.path("results").exists());
}

/// Makes the folder `made` from `source`: programs, modules and texts that another job uses.
const MAKING: &str = "[workload.command]\nargv = ['cp', '-pr', 'source', 'made']\n";

const MADE_WORKER: &str = r#"#!/usr/bin/env python3
import json, sys
sys.stdin.readline()
print('{"ready":1}', flush=True)
for line in sys.stdin:
    print(json.dumps({"id": json.loads(line)["id"], "ok": {"result": "made"}}), flush=True)
"#;

#[test]
fn whatever_a_job_uses_may_be_made_by_one_that_it_needs() {
    let service = |keys: &str| {
        format!(
            "[workload.command]\nargv = ['echo', 'made']\n[services.s]\n{keys}\nready = {{ line = 'made' }}\n"
        )
    };
    for using in [
        "[workload.command]\nargv = ['made/tool']\n",
        "[workload.command]\nargv = ['cat', 'text']\ncwd = 'made'\n",
        "[workload.command]\nargv = ['cat']\nstdin_file = 'made/text'\n",
        "[workload.worker]\nargv = ['made/worker']\n",
        "[workload.worker]\nargv = ['made/worker']\ncwd = 'made'\n",
        "[workload.python]\nfunction = 'mine:work'\npath = 'made'\n",
        &service("argv = ['made/tool', 'stay']"),
        &service("argv = ['sh', '-c', 'cat text; exec sleep 300']\ncwd = 'made'"),
    ] {
        for model in MODELS {
            let jobs = || {
                let jobs = TestJob::empty()
                    .file("make.toml", MAKING)
                    .file("job.toml", format!("needs = ['make']\nmodel = '{model}'\n{using}"))
                    .program(
                        "source/tool",
                        "#!/bin/sh\necho made\ntest -z \"$1\" || exec sleep 300\n",
                    )
                    .program("source/worker", MADE_WORKER)
                    .file("source/text", "made\n")
                    .file("source/mine.py", "def work(*_, **__):\n    return 'made'\n");
                jobs.args(["make.toml", "job.toml"])
            };
            let ran = jobs().run();
            ran.exit(0).rows("status,result", &["ok,made"]);
            if model == MODELS[0] {
                jobs().arg("--set").arg("needs=[]").run().exit(2);
            }
        }
    }
}

#[test]
fn a_reader_is_resumed_as_any_other_job() {
    let second = r#"
        [inputs]
        job = "first"
        [workload.command]
        shell = 'echo "$input" >> ran; test -e go || test "$input" != 3'
    "#;
    let first = "[inputs]\nrepeat = 4\n[workload.command]\nshell = 'echo x >> first'\n";
    let jobs = ["job.toml", "first.toml", "--resume=failed"];
    let ran = TestJob::empty().file("first.toml", first).file("job.toml", second).args(jobs).run();
    ran.exit(3).rows("input,status", &["1,ok", "2,ok", "3,failed", "4,ok"]);
    let ran = TestJob::again(ran).file("go", "").args(jobs).run();
    ran.exit(0).rows("input,status", &["1,ok", "2,ok", "3,ok", "4,ok"]);
    assert_eq!(std::fs::read_to_string(ran.path("first")).unwrap().lines().count(), 4);
    assert_eq!(std::fs::read_to_string(ran.path("ran")).unwrap().lines().count(), 5);
}

/// Waits for a file that another job makes, and makes one.
fn meeting(head: &str, makes: &str, awaits: &str) -> String {
    format!(
        "{head}\n[workload.command]\nshell = 'touch {makes}; until test -e {awaits}; do sleep 0.01; done'\n\
         [limits]\ntimeout = '50s'\n"
    )
}

#[test]
fn jobs_run_side_by_side_where_that_is_wanted() {
    let ran = TestJob::empty()
        .file("a.toml", meeting("", "a", "b"))
        .file("b.toml", meeting("model = 'processes'", "b", "c"))
        .file("c.toml", meeting("model = 'async'", "c", "a"))
        .args(["a.toml", "b.toml", "c.toml", "--jobs", "3"])
        .run();
    ran.exit(0);
    // The table has them in their order, whichever ended first.
    let stdout = ran.stdout();
    let at = |job: &str| stdout.find(&format!("results/{job}.csv")).unwrap();
    assert!(at("a") < at("b") && at("b") < at("c"));
}

#[test]
fn an_exclusive_job_runs_alone() {
    // Each notes whether another one is running.
    let job = |head: &str| {
        format!(
            "{head}\n[inputs]\nrepeat = 3\n[workload.command]\nshell = 'mkdir here-$RUNNER_JOB-$RUNNER_TASK; \
             ls -d here-* | tr \"\\n\" \" \"; sleep 0.05; rmdir here-$RUNNER_JOB-$RUNNER_TASK'\n\
             [limits]\nconcurrency = 1\n"
        )
    };
    let ran = TestJob::empty()
        .file("a.toml", job(""))
        .file("alone.toml", job("exclusive = true"))
        .file("b.toml", job(""))
        .args(["a.toml", "alone.toml", "b.toml", "--jobs", "3"])
        .run();
    ran.exit(0);
    let seen = ran.report_of("alone").column("result");
    assert_eq!(seen, ["here-alone-1", "here-alone-2", "here-alone-3"]);
}

/// Counts how many attempts of the group run at once, under a lock, and notes it.
const CROWDING: &str = r#"
    [inputs]
    repeat = 12
    [workload.command]
    shell = '''
    mkdir "in-$RUNNER_JOB-$RUNNER_TASK"
    ls -d in-* | wc -l >> most
    sleep 0.02
    rmdir "in-$RUNNER_JOB-$RUNNER_TASK"
    '''
    [limits]
    concurrency = 6
    group = "db"
"#;

fn most_at_once(ran: &Ran) -> u32 {
    let counts = std::fs::read_to_string(ran.path("most")).unwrap();
    counts.lines().map(|count| count.trim().parse().unwrap()).max().unwrap()
}

fn crowding() -> TestJob {
    TestJob::empty().file("a.toml", CROWDING).file("b.toml", CROWDING).args(["a.toml", "b.toml"])
}

#[test]
fn a_group_is_limited_over_all_jobs_that_run() {
    for (limit, model) in [("db=1", "threads"), ("db=3", "async"), ("db=2", "processes")] {
        let ran = crowding().args(["--jobs", "2", "--group", limit, "--model", model]).run();
        ran.exit(0);
        let limit: u32 = limit[3..].parse().unwrap();
        let most = most_at_once(&ran);
        assert!(most <= limit, "{most} at once, {limit} are allowed");
    }
}

#[test]
fn a_group_is_limited_over_the_stages_of_all_jobs() {
    let stage = |name: &str| {
        let mark = format!("\"in-$RUNNER_JOB-{name}-$RUNNER_TASK\"");
        format!(
            "[[stages]]\nname = '{name}'\n[stages.limits]\nconcurrency = 6\ngroup = 'db'\n\
             [stages.workload.command]\nshell = \"\"\"\n\
             mkdir {mark}\nls -d in-* | wc -l >> most\nsleep 0.02\nrmdir {mark}\n\"\"\"\n"
        )
    };
    let job = format!("[inputs]\nrepeat = 12\n{}{}", stage("one"), stage("two"));
    let ran = TestJob::empty()
        .file("a.toml", &job)
        .file("b.toml", &job)
        .args(["a.toml", "b.toml", "--jobs", "2", "--group", "db=2"])
        .run();
    ran.exit(0);
    let most = most_at_once(&ran);
    assert!(most <= 2, "{most} at once, 2 are allowed");
}

#[test]
fn a_staged_job_is_needed_and_skipped_as_any_other() {
    let stages = "[[stages]]\nname = 'one'\n[stages.workload.command]\nargv = ['echo', 'x']\n\
                  [stages.columns.n]\nregex = '.'\n\
                  [[stages]]\nname = 'two'\n[stages.workload.command]\nshell = 'read x; echo \"$x\" >> order'\n";
    let ran = TestJob::empty()
        .file("a.toml", stages)
        .file("b.toml", "[inputs]\njob = 'a'\n[workload.command]\nargv = ['echo', '{n} {stage}']")
        .file("c.toml", "[workload.command]\nargv = ['false']")
        .file("d.toml", format!("needs = ['c']\n{stages}"))
        .args(["d.toml", "b.toml", "c.toml", "a.toml"])
        .run();
    ran.exit(3).stderr_has("d: skipped: it needs `c`");
    assert_eq!(ran.report_of("b").column("result"), ["x two"]);
    assert_eq!(order(&ran), "x");
    let row = ran.summary("d");
    assert_eq!((&row["model"][..], &row["skipped"][..]), ("staged", "1"));
}

#[test]
fn who_waits_for_a_place_in_its_group_is_in_the_queue() {
    let job = "[inputs]\nrepeat = 3\n[workload.command]\nshell = 'sleep 0.3'\n\
               [limits]\nconcurrency = 3\ngroup = 'db'\ntimeout = '20s'\n";
    let ran = TestJob::new(job).args(["--group", "db=1"]).run();
    ran.exit(0);
    let mut queued: Vec<f64> =
        ran.report().column("queue_s").iter().map(|cell| cell.parse().unwrap()).collect();
    queued.sort_by(f64::total_cmp);
    assert!(queued[1] >= 0.3 && queued[2] >= 0.6, "{queued:?}");
}

/// A place in a group is for what runs: a job that waits for its rate, a budget, or a quieter machine holds up no other one.
#[test]
fn who_waits_for_something_else_has_no_place_in_its_group() {
    let job = |repeat: u32, limits: &str| {
        format!(
            "[inputs]\nrepeat = {repeat}\n[workload.command]\nargv = ['echo', '1']\n[columns.n]\nregex = '.'\n\
             [limits]\nconcurrency = 2\ngroup = 'db'\n{limits}\n"
        )
    };
    for limits in ["rate = '20/m'", "budget.n = [{ per = '3s', max = 1, estimate = 1 }]"] {
        let ran = TestJob::empty()
            .file("a.toml", job(3, limits))
            .file("b.toml", job(5, ""))
            .args(["a.toml", "b.toml", "--jobs", "2", "--group", "db=1"])
            .run();
        ran.exit(0);
        let mut slow = ran.report_of("a").column("started_utc");
        slow.sort();
        let others = ran.report_of("b").column("started_utc");
        assert!(others.iter().all(|start| *start < slow[2]), "{limits}: {others:?} {slow:?}");
    }
}

/// What waits for room on a busy machine lets go of its place; when there is room, all tasks run.
#[test]
fn a_group_beside_every_other_limit_lets_all_tasks_run() {
    let limits = "rate = '50/s'\nmax_load = 100000\nmin_free_memory = '1B'\n\
                  budget.n = [{ max = 1000, estimate = 1 }]\n";
    let job = format!("{CROWDING}{limits}").replace("sleep 0.02", "sleep 0.02; echo 1")
        + "[columns.n]\nregex = '1'\ntake = 'last'\n";
    for model in MODELS {
        let ran = TestJob::empty()
            .file("a.toml", &job)
            .file("b.toml", &job)
            .args(["a.toml", "b.toml", "--jobs", "2", "--group", "db=2", "--model", model])
            .run();
        ran.exit(0);
        assert_eq!(ran.report_of("a").column("status"), vec!["ok"; 12], "{model}");
        assert!(most_at_once(&ran) <= 2, "{model}");
    }
}

#[test]
fn a_group_has_a_limit_somewhere() {
    crowding()
        .run()
        .exit(2)
        .stderr_has("the group `db` has no limit")
        .stderr_has("a.toml:13:13")
        .stderr_has("--group db=N");
    crowding().args(["--group", "bd=3"]).run().exit(2).stderr_has("did you mean `bd`?");
    crowding()
        .file("runner.toml", "[groups]\ndb = 2\n")
        .args(["--group", "bd=3"])
        .run()
        .exit(2)
        .stderr_has("no job is in the group `bd`");
    for wrong in ["db", "db=0", "db=x", "=3"] {
        crowding().args(["--group", wrong]).run().exit(2).stderr_has("write `--group NAME=N`");
    }
}

#[test]
fn a_runner_toml_speaks_for_the_jobs_beside_it() {
    let settings = r#"
        results = "out"
        [groups]
        db = 2
        [defaults.limits]
        timeout = "40s"
        concurrency = 3
        per_host = 2
        [defaults.retry]
        max_attempts = 2
        delay = "1ms"
        on = ["exit:3", "http:429"]
        [defaults.report]
        dialect = "excel"
    "#;
    let job = "[workload.command]\nshell = 'exit 3'\n[limits]\nconcurrency = 1\ngroup = 'db'\n";
    let jobs = || TestJob::empty().file("jobs/runner.toml", settings).file("jobs/a.toml", job);
    // It is no job, although a shell's pattern names it.
    let ran = jobs().args(["jobs/a.toml", "jobs/runner.toml"]).run();
    ran.exit(3);
    let report = std::fs::read(ran.path("jobs/out/a.csv")).unwrap();
    assert!(report.starts_with(b"\xef\xbb\xbftask,"), "the dialect is a default");
    assert!(ran.path("jobs/out/a.attempts.csv").exists(), "it was tried again");
    jobs()
        .args(["check", "jobs/a.toml"])
        .run()
        .exit(0)
        .stdout_has("timeout      40s")
        .stdout_has("concurrency  1\n")
        .stdout_has("group        db, 2 at once")
        .stdout_has("jobs/out/a.csv");
    jobs()
        .args(["check", "jobs/a.toml", "--group", "db=5", "--results", "elsewhere"])
        .args(["--set", "limits.timeout=3s"])
        .run()
        .exit(0)
        .stdout_has("timeout      3s")
        .stdout_has("group        db, 5 at once")
        .stdout_has("elsewhere/a.csv");
}

#[test]
fn mistakes_in_a_runner_toml_are_shown_there() {
    let job = noting("");
    for (settings, place, message) in [
        ("result = 'x'\n", "jobs/runner.toml:1:1", "did you mean `results`?"),
        ("[groups]\ndb = 0\n", "jobs/runner.toml:2:6", "`db` must be an integer above 0"),
        ("[groups]\ndb = 'many'\n", "jobs/runner.toml:2:6", "`db` must be an integer above 0"),
        ("[defaults.limit]\n", "jobs/runner.toml:1:11", "did you mean `limits`?"),
        ("[limits]\ntimeout = '1s'\n", "jobs/runner.toml:1:2", "unknown key `limits`"),
        ("timeout = '1s'\n", "jobs/runner.toml:1:1", "it belongs in `[defaults.limits]`"),
        ("[defaults.limits]\ntimeout = 'soon'\n", "jobs/runner.toml:2:11", "is not a duration"),
        ("[defaults.limits]\ntimeuot = '1s'\n", "jobs/runner.toml:2:1", "did you mean `timeout`?"),
        ("[defaults]\nlimits = 3\n", "jobs/runner.toml:2:10", "must be a table"),
        ("results = \n", "jobs/runner.toml:1", "a value is missing"),
    ] {
        let ran = TestJob::empty()
            .file("jobs/runner.toml", settings)
            .file("jobs/a.toml", &job)
            .file("jobs/b.toml", &job)
            .args(["jobs/a.toml", "jobs/b.toml"])
            .run();
        ran.exit(2).stderr_has(place).stderr_has(message);
        assert_eq!(ran.stderr().matches("error: ").count(), 1, "{}", ran.stderr());
    }
    TestJob::empty()
        .file("runner.toml", "")
        .arg("runner.toml")
        .run()
        .exit(2)
        .stderr_has("`runner.toml` is not a job file");
}

#[test]
fn a_signal_reaches_all_jobs_that_run() {
    let job = "[inputs]\nrepeat = 9\n[workload.command]\n\
               shell = 'touch at-$RUNNER_JOB-$RUNNER_TASK; exec sleep 300'\n[limits]\nconcurrency = 1\n";
    let running = TestJob::empty()
        .file("a.toml", job)
        .file("b.toml", job)
        .file("c.toml", job)
        .file("d.toml", format!("needs = ['a']\n{job}"))
        .args(["a.toml", "b.toml", "c.toml", "d.toml", "--jobs", "2"])
        .spawn();
    running.wait_for_file("at-a-1", |_| true);
    running.wait_for_file("at-b-1", |_| true);
    running.stop(Signal::INT.as_raw());
    let ran = running.wait();
    ran.exit(130);
    for job in ["a", "b"] {
        assert_eq!(ran.report_of(job).column("status"), ["cancelled"; 9]);
    }
    assert!(!ran.path("results/c.csv").exists(), "it did not start");
    assert_eq!(ran.stderr().matches("stopping: ").count(), 1);
    assert!(!ran.stderr().contains("skipped"), "{}", ran.stderr());
}

#[test]
fn the_gravest_end_of_several_jobs_counts() {
    let ran = TestJob::empty()
        .file("a.toml", "[workload.command]\nshell = 'exit 1'\n")
        .file(
            "b.toml",
            "[workload.command]\nargv = ['sleep', '300']\n[limits]\ndeadline = '50ms'\n",
        )
        .file("c.toml", noting(""))
        .args(["a.toml", "b.toml", "c.toml", "--jobs", "3"])
        .run();
    ran.exit(124);
    assert_eq!(order(&ran), "c");
}

/// A job of these inputs, and one that reads its report: both write the bytes of each input as numbers.
fn written_as_numbers(first: &str, second: &str) -> TestJob {
    let numbers = "[workload.command]\nargv = ['od', '-An', '-tx1']\nstdin = '{input}'\n";
    TestJob::empty()
        .file("first.toml", format!("{first}\n{numbers}"))
        .file("job.toml", format!("{second}\n[inputs]\njob = 'first'\n{numbers}"))
        .file("in.txt", AWKWARD)
}

/// Inputs that no CSV file can hold, or that its dialects write in another way. Some of them come out alike.
const AWKWARD: &[u8] = b"a\xff\na\xfe\na\xef\xbf\xbd\nnul\0\n\tx\nx\ty\n=1+1\n'=1+1\n'\n1.5\n1,5\n\xef\xbf\xbd\n\xff\n\xff\n'@\xff\nplain\n";

/// What is written of each of these lines.
fn numbers(lines: &[u8]) -> Vec<String> {
    let lines = lines.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n');
    let hex = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
    lines.map(|line| hex(line).join(" ")).collect()
}

#[test]
fn a_reader_has_the_bytes_that_the_first_job_had() {
    let dialects = ["csv", "excel", "excel-semicolon"].map(|dialect| ("threads", dialect));
    for (model, dialect) in MODELS.map(|model| (model, "csv")).into_iter().chain(dialects) {
        let inputs = "[inputs]\nlines = { file = 'in.txt', blank = 'keep' }";
        let first = format!("model = '{model}'\n[report]\ndialect = '{dialect}'\n{inputs}");
        let ran = written_as_numbers(&first, "").args(["first.toml", "job.toml"]).run();
        ran.exit(0);
        let second = ran.report();
        assert_eq!(second.column("result"), numbers(AWKWARD), "{model} {dialect}");
        assert_eq!(second.column("input_result"), numbers(AWKWARD), "{model} {dialect}");
        // Sorted, renumbered and partly from an earlier run: it is the same.
        let longer = [b"new\xfd\n", AWKWARD].concat();
        let again = TestJob::again(ran).file("in.txt", &longer);
        let ran = again.args(["first.toml", "job.toml", "--resume"]).run();
        ran.exit(0);
        assert_eq!(ran.report().column("result"), numbers(&longer), "{model} {dialect}");
    }
}

#[test]
fn what_tasks_make_and_what_stages_find_are_not_their_inputs() {
    let made = "creates = 'o/{task}'\ninputs.values = [\"a\\u0000b\", 'a']\n[workload.command]\nargv = ['touch', '{creates}']\n";
    let staged = "[inputs]\nvalues = [\"a\\u0000b\", 'a']\n[[stages]]\nname = 'one'\ncolumns.x.regex = 'x=(.)'\n\
                  workload.command.argv = ['echo', 'x=1']\n[[stages]]\nname = 'two'\nworkload.command.argv = ['echo', '{x}']\n";
    let lines = "creates = ['o/{task}', 'p/{task}']\ninputs.lines = 'in.txt'\n[workload.command]\nargv = ['touch', '{creates}']\n";
    for (first, bytes) in
        [(made, ["61 00 62", "61"]), (staged, ["61 00 62", "61"]), (lines, ["61 ff", "61"])]
    {
        let ran = written_as_numbers("", "")
            .file("first.toml", first)
            .file("in.txt", b"a\xff\na\n")
            .args(["first.toml", "job.toml"])
            .run();
        ran.exit(0);
        assert_eq!(ran.report().column("result"), bytes, "{first}");
    }
}

#[test]
fn an_input_that_nobody_knows_any_more_is_a_failed_row() {
    for (gone, lost) in [(".first.inputs", 6), (".first.state", 8)] {
        let between =
            format!("needs = ['first']\n[workload.command]\nargv = ['rm', 'results/{gone}']");
        let ran = written_as_numbers("[inputs]\nlines = 'in.txt'", "needs = ['between']")
            .file("between.toml", between)
            .args(["first.toml", "between.toml", "job.toml"])
            .run();
        ran.exit(3).stderr_has("`input` has bytes that a report cannot hold");
        let statuses = ran.report().column("status");
        assert_eq!(statuses.iter().filter(|status| *status == "failed").count(), lost, "{gone}");
    }
}

#[test]
fn inputs_may_have_a_field_and_the_name_that_it_gives_way_to() {
    let first = "[inputs]\ncsv = 'in.csv'\n[workload.command]\nargv = ['echo', '{task} {input_task} {input_input_task}']\n";
    let second = "[inputs]\njob = 'first'\n[workload.command]\n\
                  argv = ['echo', '{input_task} {input_input_task} {input_input_input_task}']\n";
    let ran = TestJob::empty()
        .file("first.toml", first)
        .file("job.toml", second)
        .file("in.csv", "task,input_task\nx,y\n")
        .args(["first.toml", "job.toml"])
        .run();
    ran.exit(0);
    let first = ran.report_of("first");
    assert_eq!(first.select("task,input_input_task,input_task,result"), ["1,x,y,1 y x"]);
    assert_eq!(ran.report().column("result"), ["1 y x"]);
}

#[test]
fn many_cells_that_could_be_meant_otherwise_are_read_as_they_are_meant() {
    let columns: Vec<_> = (1..=12).map(|number| format!("c{number}")).collect();
    let echo = "[workload.command]\nargv = ['printf', '%s', '{c1}{c12}']\n";
    for formula_safe in ["", "[report]\nformula_safe = false\n"] {
        for cell in ["-", "=1+1"] {
            let table = format!("id,{}\np{}\n", columns.join(","), format!(",{cell}").repeat(12));
            let ran = TestJob::empty()
                .file("n.csv", table)
                .file("a.toml", format!("[inputs]\ncsv = 'n.csv'\n{echo}{formula_safe}"))
                .file("b.toml", format!("needs = ['a']\n[inputs]\njob = 'a'\n{echo}"))
                .args(["a.toml", "b.toml"])
                .run();
            ran.exit(0);
            let result = ran.report_of("b").column("result").remove(0);
            assert_eq!(result.trim_start_matches('\''), format!("{cell}{cell}"));
        }
    }
}
