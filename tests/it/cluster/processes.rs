//! With processes of this machine for a cluster: what driver and shards do, and how they die.

use std::fs;
use std::path::Path;

use super::{NOTED, SMALL, is_over, small, squares, starts};
use crate::http::server::Server;
use crate::support::{Ran, Report, Running, TestJob, runner, send, wait_until};

const COLUMNS: &str = "task,input,status,attempts,code,result,error";

/// The same job here and in shards.
#[track_caller]
fn comes_to_the_same(text: &str, files: &[(&str, &str)], exit: i32) {
    let job = files.iter().fold(TestJob::new(text), |job, (name, text)| job.file(name, text));
    let here = job.run();
    here.exit(exit);
    let (report, summary) = (here.report(), here.summary("job"));
    let there = TestJob::again(here).arg("job.toml").args(SMALL).run();
    there.exit(exit);
    assert_eq!(there.report().header, report.header);
    assert_eq!(there.report().select(COLUMNS), report.select(COLUMNS));
    for column in ["tasks", "ok", "failed", "cancelled"] {
        assert_eq!(there.summary("job")[column], summary[column], "{column}");
    }
    is_over(&there);
}

#[test]
fn commands_come_to_the_same_as_here() {
    let text = r#"
        [inputs]
        lines = "in.txt"
        [workload.command]
        shell = 'test "$input" != x || exit 7; echo "<$input>"'
    "#;
    let lines = "a\nb\n\"c,\"\nx\nü\na\na\n=1\n".repeat(9);
    comes_to_the_same(text, &[("in.txt", &lines)], 3);
}

#[test]
fn built_in_functions_come_to_the_same_as_here() {
    let text = "inputs.range = { from = 0, to = 99 }\n\
                workload.compute = { function = \"factorial\", arg = \"{input}\" }\n";
    for model in ["threads", "processes"] {
        comes_to_the_same(&format!("model = '{model}'\n{text}"), &[], 0);
    }
}

#[test]
fn python_comes_to_the_same_as_here() {
    let module = "import sys\ndef f(x):\n    if x == 13: raise ValueError('no')\n    return {'x': x, 'y': [x] * 2}\n";
    let text = "inputs.range = { from = 1, to = 30 }\n\
                workload.python = { function = \"work:f\", args = [\"{input}\"] }\n";
    comes_to_the_same(text, &[("work.py", module)], 3);
}

#[test]
fn records_and_stages_come_to_the_same_as_here() {
    let text = r#"
        [inputs]
        csv = "in.csv"
        [fields.size]
        from = "input"
        regex = "(.)$"
        [[stages]]
        name = "first"
        workload.command.argv = ["printf", "%s-%s", "{input}", "{n}"]
        [[stages]]
        name = "second"
        workload.command.argv = ["cat"]
    "#;
    let csv = "input,n\nab,1\ncd,2\n\"e\nf\",3\nbad\ngh,4\n";
    comes_to_the_same(text, &[("in.csv", csv)], 3);
}

#[test]
fn requests_come_to_the_same_as_here() {
    let server = Server::start();
    let urls: Vec<_> = ["/hello", "/missing", "/gzip"].map(|path| server.url(path)).to_vec();
    let text = format!("[inputs]\nvalues = {urls:?}\n[workload.http]\nurl = \"{{input}}\"\n");
    comes_to_the_same(&text, &[], 3);
}

#[test]
fn inputs_that_are_no_text_and_inputs_from_a_pipe_reach_their_shards() {
    let job =
        small("inputs.lines = '-'\nworkload.command = { argv = ['wc', '-c'], stdin = '{input}' }");
    let ran = job.stdin(b"ab\n\xff\xfe\xfd\nx\n").run();
    ran.exit(0).rows("task,status,result", &["1,ok,2", "2,ok,3", "3,ok,1"]);
    is_over(&ran);
}

#[test]
fn a_start_of_a_shard_has_a_row_of_its_own() {
    let ran = small(NOTED).run();
    ran.exit(0);
    squares(&ran.report(), 40);
    let starts = Report::read(&ran.path("results/job.cluster.csv"));
    let mut rows = starts.select("shard,start,state,exit,tasks,rows");
    rows.sort();
    assert_eq!(
        rows,
        ["0,1,done,0,10,10", "1,1,done,0,10,10", "2,1,done,0,10,10", "3,1,done,0,10,10"]
    );
    assert_eq!(ran.summary("job")["concurrency"], "4");
}

#[test]
fn retries_have_their_attempts() {
    let text = r#"
        inputs.range = { from = 1, to = 8 }
        workload.command.shell = 'mkdir "d$input" 2>/dev/null && exit 1; echo fine'
        retry = { max_attempts = 3, delay = "1ms" }
    "#;
    let ran = small(text).run();
    ran.exit(0);
    assert_eq!(ran.report().column("attempts"), ["2"; 8]);
    let mut attempts =
        Report::read(&ran.path("results/job.attempts.csv")).select("task,attempt,status");
    attempts.sort();
    assert_eq!(attempts[..4], ["1,1,failed", "1,2,ok", "2,1,failed", "2,2,ok"]);
    assert_eq!(attempts.len(), 16);
}

/// The processes of elements that run now.
pub fn elements(folder: &Path) -> Vec<i32> {
    let Ok(pools) = fs::read_dir(folder.join("results/.job.run/sub")) else { return Vec::new() };
    let pools = pools.filter_map(|entry| Some(entry.ok()?.path()));
    let pools = pools.filter(|path| path.extension().is_some_and(|ending| ending == "pool"));
    let files = pools.filter_map(|pool| fs::read_dir(pool).ok()).flatten();
    let pids = files.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| {
        path.extension().is_some_and(|ending| ending == "pid")
            && !path.with_extension("code").exists()
    });
    pids.filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok()).collect()
}

fn kill_an_element(running: &Running) {
    let pid = wait_until("an element runs", || elements(running.folder()).first().copied());
    let _ = rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL, // it may have ended meanwhile
    );
}

fn has_begun(running: &Running, tasks: usize) {
    running.wait_for_file("ran", |text| text.lines().count() >= tasks);
}

#[test]
fn a_shard_that_dies_is_started_again_where_it_was() {
    let running = small(NOTED).spawn();
    for tasks in [3, 12] {
        has_begun(&running, tasks);
        kill_an_element(&running);
    }
    let ran = running.wait();
    ran.exit(0);
    squares(&ran.report(), 40);
    is_over(&ran);
    // Each kill costs what ran in that moment, and what was not written yet.
    let twice: usize = starts(ran.folder()).values().map(|starts| starts - 1).sum();
    assert!(twice <= 20, "{twice} tasks ran again");
}

/// A driver collects what is left from one that has gone: each row once.
fn is_collected_once(ran: Ran) {
    let ran = TestJob::again(ran).arg("job.toml").args(SMALL).arg("--resume").run();
    ran.exit(0);
    squares(&ran.report(), 40);
    assert!(starts(ran.folder()).values().all(|starts| *starts == 1), "nothing ran twice");
    is_over(&ran);
}

#[test]
fn a_driver_that_dies_is_followed_by_another_one() {
    let running = small(NOTED).spawn();
    has_begun(&running, 5);
    running.signal(libc::SIGKILL);
    let ran = running.wait();
    let refused = TestJob::again(ran).arg("job.toml").args(SMALL).run();
    refused.exit(2).stderr_has("is left from a run on a cluster that has not ended");
    let here = TestJob::again(refused).arg("job.toml").arg("--resume").run();
    here.exit(2).stderr_has("resume it with `--on slurm --resume`");
    is_collected_once(here);
}

#[test]
fn a_driver_may_leave_and_another_one_collects() {
    let ran = small(NOTED).arg("--detach").run();
    ran.exit(0).stderr_has("4 shards go on");
    is_collected_once(ran);
}

#[test]
fn a_terminal_that_goes_away_stops_nothing() {
    let running = small(NOTED).spawn();
    has_begun(&running, 3);
    running.signal(libc::SIGHUP);
    let ran = running.wait();
    ran.exit(129);
    let ran = TestJob::again(ran).arg("job.toml").args(SMALL).arg("--resume").run();
    ran.exit(0);
    squares(&ran.report(), 40);
}

#[test]
fn a_stop_drains_and_what_did_not_run_has_rows_and_can_run_later_here() {
    let running = small(NOTED).spawn();
    has_begun(&running, 5);
    running.signal(libc::SIGINT);
    let ran = running.wait();
    ran.exit(130);
    let status = ran.report().column("status");
    assert_eq!(status.len(), 40);
    assert!(status.iter().all(|status| status == "ok" || status == "cancelled"), "{status:?}");
    assert!(status.iter().any(|status| status == "cancelled"));
    is_over(&ran);
    // A run begun there is finished here.
    let ran = TestJob::again(ran).arg("job.toml").arg("--resume").run();
    ran.exit(0);
    squares(&ran.report(), 40);
    assert!(starts(ran.folder()).values().all(|starts| *starts == 1), "nothing ran twice");
}

#[test]
fn a_changed_job_keeps_finished_rows_and_runs_the_rest() {
    let ran = small(NOTED).arg("--detach").run();
    ran.exit(0);
    wait_until("a task has run", || (!starts(ran.folder()).is_empty()).then_some(()));
    let text = NOTED.replace("to = 40", "to = 50");
    let job = TestJob::again(ran).file("job.toml", text).arg("job.toml").args(SMALL);
    let ran = job.arg("--resume").run();
    ran.exit(0).stderr_has("have changed since the run on the cluster began");
    squares(&ran.report(), 50);
    is_over(&ran);
}

/// What is finished says what the workload was then: it does not pass for rows of another one.
#[test]
fn rows_of_another_workload_are_not_kept_unless_that_is_wanted() {
    let ran = small(NOTED).arg("--detach").run();
    ran.exit(0);
    wait_until("all have run", || (starts(ran.folder()).len() == 40).then_some(()));
    let text = NOTED.replace("$((input * input))", "$((input + 1))");
    let job = TestJob::again(ran).file("job.toml", text).arg("job.toml").args(SMALL);
    let ran = job.arg("--resume").run();
    ran.exit(2).stderr_has("the job's workload, columns or fields have changed since");
    let job = TestJob::again(ran).arg("job.toml").args(SMALL);
    let ran = job.args(["--resume", "--accept-changes"]).run();
    ran.exit(0);
    squares(&ran.report(), 40);
    is_over(&ran);
}

#[test]
fn a_run_of_a_job_of_the_same_name_in_another_folder_is_not_collected() {
    let ran = small(NOTED).arg("--detach").run();
    ran.exit(0);
    wait_until("all have run", || (starts(ran.folder()).len() == 40).then_some(()));
    let job = TestJob::again(ran).file("other/job.toml", NOTED).arg("other/job.toml").args(SMALL);
    let ran = job.args(["--resume", "--results", "results"]).run();
    ran.exit(2).stderr_has("lies in another folder").stderr_has("--accept-changes");
    is_collected_once(ran);
}

#[test]
fn another_header_is_refused_before_anything_is_collected() {
    let ran = small(NOTED).arg("--detach").run();
    ran.exit(0);
    wait_until("all have run", || (starts(ran.folder()).len() == 40).then_some(()));
    let mut ran = ran;
    for set in ["report.dialect=\"excel-semicolon\"", "report.host=true"] {
        let job = TestJob::again(ran).arg("job.toml").args(SMALL);
        ran = job.args(["--resume", "--accept-changes", "--set", set]).run();
        ran.exit(2).stderr_has("the columns or the dialect of the report differ");
    }
    is_collected_once(ran);
}

#[test]
fn a_run_without_a_driver_is_shown_with_what_continues_it() {
    let ran = small(NOTED).arg("--detach").run();
    ran.exit(0);
    let ran = TestJob::again(ran).arg("status").run();
    ran.exit(0).stdout_has("left to processes at").stdout_has("`runner --on processes --resume /");
    wait_until("all have run", || {
        let said = runner().arg("status").current_dir(ran.folder()).output().unwrap();
        String::from_utf8_lossy(&said.stdout).contains("job: 40 of 40 tasks; left").then_some(())
    });
    let ran = TestJob::again(ran).args(["report", "results/job.csv.partial"]).run();
    ran.exit(0);
    let page = fs::read_to_string(ran.path("results/job.html")).unwrap();
    assert!(page.contains("The run has not ended: it is on a cluster."), "{page}");
    assert!(page.contains("runner --on processes --resume"), "{page}");
    let ran = TestJob::again(ran).arg("job.toml").args(SMALL).arg("--resume").run();
    ran.exit(0);
    let ran = TestJob::again(ran).arg("status").run();
    ran.exit(0).stdout_has("job: ended at").stdout_has("40 tasks, all ok");
}

#[test]
fn rows_that_a_dead_driver_has_collected_count_once() {
    let text = r"
        [inputs]
        range = { from = 1, to = 40 }
        [limits]
        concurrency = 1
        [workload.command]
        shell = 'echo $input >> ran; while [ $(wc -l < ran) -gt 12 ] && [ ! -e go ]; do sleep 0.02; done'
    ";
    let on = ["--on", "processes", "--set", "cluster.nodes=1", "--set", "cluster.shards=4"];
    let running = TestJob::new(text).args(on).spawn();
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() > 10);
    has_begun(&running, 13);
    running.wait_for_file("results/.job.status.json", |text| text.contains("done"));
    running.signal(libc::SIGKILL);
    let ran = running.wait();
    let said = runner().arg("status").current_dir(ran.folder()).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let counts: Vec<_> = (10..=12).map(|rows| format!("job: {rows} of 40 tasks")).collect();
    fs::write(ran.path("go"), "").unwrap();
    let ran = TestJob::again(ran).arg("job.toml").args(on).arg("--resume").run();
    ran.exit(0);
    assert!(counts.iter().any(|count| said.contains(count)), "{said}");
}

#[test]
fn an_earlier_run_can_be_discarded() {
    let ran = small(NOTED).arg("--detach").run();
    ran.exit(0);
    let ran = TestJob::again(ran).arg("job.toml").args(SMALL).arg("--fresh").run();
    ran.exit(0);
    squares(&ran.report(), 40);
    is_over(&ran);
}

#[test]
fn a_resumed_run_does_what_is_missing_only() {
    let text = "[inputs]\nlines = 'in.txt'\n[workload.command]\nshell = 'echo $input >> ran'\n";
    let ran = TestJob::new(text).file("in.txt", "a\nb\nc\n").run();
    ran.exit(0);
    let job = TestJob::again(ran).file("in.txt", "z\na\nb\na\nc\n").arg("job.toml").args(SMALL);
    let ran = job.arg("--resume").run();
    ran.exit(0).rows("task,input,status", &["1,z,ok", "2,a,ok", "3,b,ok", "4,a,ok", "5,c,ok"]);
    let starts = starts(ran.folder());
    assert_eq!((starts["z"], starts["a"], starts["b"], starts["c"]), (1, 2, 1, 1));
}

#[test]
fn a_task_that_kills_its_shard_is_given_up_and_costs_no_other_shard() {
    let text = r#"
        inputs.range = { from = 1, to = 12 }
        workload.command.shell = 'test "$input" != 5 || kill -9 $(cut -d" " -f4 /proc/$PPID/stat); echo fine'
        [limits]
        concurrency = 1
        [cluster]
        tries = 1
    "#;
    // The task kills the runner of its shard: its parent's parent.
    let ran = small(text).run();
    let report = ran.report();
    assert_eq!(report.rows.len(), 12, "{}", ran.stderr());
    let status = report.select("input,status");
    let lost = status.iter().filter(|row| !row.ends_with("ok")).count();
    assert!((1..=3).contains(&lost), "{status:?}");
    ran.exit(3).stderr_has("is given up");
    is_over(&ran);
}

#[test]
fn too_many_failures_stop_all_shards() {
    let text = r"
        inputs.range = { from = 1, to = 400 }
        workload.command.shell = 'sleep 0.01; exit 1'
        limits = { concurrency = 1, stop_after_failures = 3 }
    ";
    let ran = small(text).run();
    ran.exit(3).stderr_has("tasks have failed: running tasks finish");
    let status = ran.report().column("status");
    assert_eq!(status.len(), 400);
    assert!(status.iter().any(|status| status == "cancelled"));
}

#[test]
fn a_deadline_is_that_of_the_whole_job() {
    let text = "inputs.range = { from = 1, to = 6 }\nworkload.command.argv = ['sleep', '60']\n\
                limits = { deadline = '1s', grace = '100ms' }\n";
    let ran = small(text).run();
    ran.exit(124);
    assert_eq!(ran.report().column("status"), ["cancelled"; 6]);
    is_over(&ran);
}

#[test]
fn what_a_node_cannot_do_is_said_once_and_leaves_nothing() {
    let text = "inputs.range = { from = 1, to = 9 }\nworkload.sleep.duration = '1ms'\n\
                [services.never]\nargv = ['sh', '-c', 'echo gone >&2; exit 1']\nready.line = 'x'\n";
    let ran = small(text).run();
    ran.exit(2).stderr_has("the job cannot run on here");
    is_over(&ran);
    let ran = TestJob::new("workload.sleep.duration = '1ms'")
        .args(SMALL)
        .args(["--set", "cluster.runner=/nowhere/runner"])
        .run();
    ran.exit(2).stderr_has("has no `/nowhere/runner`").stderr_has("set `cluster.runner`");
    is_over(&ran);
}

#[test]
fn what_does_not_go_with_a_cluster_is_said() {
    let job = "inputs.range = { from = 1, to = 9 }\nworkload.command.argv = ['true']\n";
    let http = "inputs.range = { from = 1, to = 9 }\nworkload.http.url = 'http://127.0.0.1/'\n";
    for (text, args, said) in [
        (
            "creates = '{input}'\ninputs.values = ['a', 'b', 'a']\nworkload.command.argv = ['true']\n"
                .to_owned(),
            &[][..],
            "the tasks 1 and 3 both make `a`",
        ),
        (job.to_owned(), &["--output"], "--output does not go with --on"),
        (
            format!(
                "{job}columns.n.regex = '(.)'\nlimits.budget.n = [{{ per = '1m', max = 5, estimate = 3 }}]\n"
            ),
            &[],
            "`limits.budget.n` allows 5 in all, which is not enough for an attempt in each of 2 allocations: set \
             `cluster.nodes` to 1 or less",
        ),
        (
            format!("{job}secrets.key.env = 'RUNNER_TEST_NOT_SET'\n"),
            &[],
            "secret `key`: the environment variable `RUNNER_TEST_NOT_SET` is not set",
        ),
        (format!("{http}limits.per_host = 1\n"), &[], "set `cluster.nodes` to 1 or less"),
        (
            format!("{job}limits.timeout = '1h'\ncluster.time = '1h'\n"),
            &[],
            "raise `cluster.time`, or lower `timeout`",
        ),
        (format!("{job}cluster.nodes = 0\n"), &[], "an integer above 0"),
        (
            format!("{job}cluster.options = ['--array=1-3']\n"),
            &[],
            "`options` cannot have `--array`: runner sets it itself",
        ),
        (format!("{job}cluster.options = ['-p x']\n"), &[], "set `cluster.partition`"),
        (format!("{job}cluster.options = ['--arr=0-1']\n"), &[], "cannot have `--array`"),
        (format!("{job}cluster.options = ['-QW']\n"), &[], "cannot have `--wait`"),
        (format!("{job}cluster.options = ['--help']\n"), &[], "nothing would be submitted"),
    ] {
        let nodes = if text.contains("nodes = 0") { &["--on", "processes"][..] } else { &SMALL };
        let ran = TestJob::new(&text).args(nodes.iter().copied()).args(args.iter().copied()).run();
        ran.exit(2).stderr_has(said);
        is_over(&ran);
    }
}

#[test]
fn a_run_beside_an_older_report_goes_on_with_other_inputs() {
    let ran = small(NOTED).run();
    ran.exit(0);
    let noted = fs::read(ran.path("results/job.cluster.csv")).unwrap();
    let ran = TestJob::again(ran).arg("job.toml").args(SMALL).arg("--resume").run();
    ran.exit(0);
    let now = fs::read(ran.path("results/job.cluster.csv")).unwrap();
    assert_eq!(now, noted, "nothing has started since");
    let left = TestJob::again(ran).arg("job.toml").args(SMALL).args(["--fresh", "--detach"]).run();
    left.exit(0);
    wait_until("all tasks to have begun", || {
        let ran = fs::read_to_string(left.path("ran")).unwrap();
        (ran.lines().count() >= 80).then_some(())
    });
    let job = TestJob::again(left).arg("job.toml").args(SMALL);
    let ran = job.args(["--resume", "--set", "inputs.range.to=50"]).run();
    ran.exit(0);
    assert_eq!(ran.report().column("status"), ["ok"; 50]);
    is_over(&ran);
}

#[test]
fn what_came_from_a_pipe_is_not_thrown_away_for_a_changed_job() {
    let text = "[inputs]\nlines = '-'\n[workload.command]\nshell = 'sleep 0.05; echo \"$input\"'\n[limits]\nconcurrency = 1";
    let lines: Vec<_> = (1..=20).map(|n| n.to_string()).collect();
    let left = small(text).arg("--detach").stdin(lines.join("\n")).run();
    left.exit(0);
    let job =
        TestJob::again(left).arg("job.toml").args(SMALL).args(["--resume", "--accept-changes"]);
    let refused = job.args(["--set", "workload.command.shell='echo x'"]).run();
    refused.exit(2).stderr_has("its inputs came from standard input, which is not there again");
    let ran = TestJob::again(refused).arg("job.toml").args(SMALL).arg("--resume").run();
    assert_eq!(ran.report().column("result"), lines);
    is_over(&ran);
}

#[test]
fn a_secret_that_nothing_provides_is_missed() {
    let text = "[inputs]\nrepeat = 2\n[secrets]\nkey = { env = 'RUNNER_TEST_KEY' }\n\
                [workload.command]\nargv = ['true']\nenv = { KEY = '{secret.key}' }\n";
    let said = "the environment variable `RUNNER_TEST_KEY` is not set";
    small(text).run().exit(2).stderr_has(said);
    // There is a setup only on a cluster.
    let setup = ["--set", "cluster.setup='export RUNNER_TEST_KEY=abcdef'"];
    TestJob::new(text).args(setup).run().exit(2).stderr_has(said);
}

#[test]
fn jobs_that_run_at_once_do_not_share_a_group() {
    let in_group = |head: &str| {
        format!(
            "{head}[inputs]\nrepeat = 2\n[limits]\nconcurrency = 2\ngroup = 'db'\n[workload.command]\nargv = ['true']"
        )
    };
    let run = |second: &str, args: &[&str]| {
        let job = TestJob::new(&in_group("")).file("b.toml", in_group(second));
        let job = job.file("runner.toml", "[groups]\ndb = 8").arg("b.toml");
        job.args(SMALL).args(args.iter().copied()).run()
    };
    let refused = "`job` and `b` share the group `db`";
    run("", &["--jobs", "2"]).exit(2).stderr_has(refused).stderr_has("without `--jobs`");
    run("", &["--detach"]).exit(2).stderr_has(refused).stderr_has("without `--detach`");
    for (second, args) in [
        ("", &[][..]),
        ("exclusive = true\n", &["--jobs", "2"]),
        ("needs = ['job']\n", &["--jobs", "2"]),
    ] {
        let ran = run(second, args);
        ran.exit(0).rows("status", &["ok", "ok"]);
        assert_eq!(ran.summary("b")["ok"], "2", "{second}");
    }
}

#[test]
fn two_drivers_do_not_share_a_run() {
    let running = small(NOTED).spawn();
    has_begun(&running, 3);
    let here = ["job.toml"];
    let changed = ["--resume", "--accept-changes", "--set", "workload.command.shell='true'"];
    for (on, args) in [
        (&SMALL[..], &["--resume"][..]),
        (&SMALL, &["--fresh"]),
        (&SMALL, &[]),
        (&SMALL, &changed),
        (&[], &["--resume"]),
        (&[], &["--fresh"]),
    ] {
        let other = running.another(&[&here, on, args].concat());
        let said = String::from_utf8_lossy(&other.stderr).into_owned();
        assert_eq!(other.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("is being written by another runner"), "{args:?}: {said}");
    }
    let ran = running.wait();
    ran.exit(0);
    squares(&ran.report(), 40);
}

#[test]
fn nothing_to_do_is_nothing() {
    let ran =
        small("inputs.lines = 'in.txt'\nworkload.command.argv = ['true']").file("in.txt", "").run();
    ran.exit(4);
    is_over(&ran);
}

/// Kills the driver or a shard at random moments, and resumes, until the job is done: one row a task, and as many
/// executions as kills can explain.
#[test]
fn whatever_dies_each_task_has_one_row() {
    crate::crash::campaign(15, |rng| {
        let (mut kills, mut job) = (0, small(NOTED));
        loop {
            let running = job.spawn();
            let dies = kills < 8 && rng.f64() < 0.8;
            if dies {
                let tasks = rng.usize(1..35);
                wait_until("it has come so far", || {
                    let ended = starts(running.folder()).len() >= tasks;
                    (ended || !running.folder().join("results/.job.run").exists()).then_some(())
                });
                let pids = elements(running.folder());
                if rng.bool() && !pids.is_empty() {
                    let pid =
                        rustix::process::Pid::from_raw(pids[rng.usize(..pids.len())]).unwrap();
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                } else {
                    send_kill(&running);
                }
                kills += 1;
            }
            let ran: Ran = running.wait();
            if ran.output.status.code() == Some(0) {
                squares(&ran.report(), 40);
                is_over(&ran);
                let again: usize = starts(ran.folder()).values().map(|starts| starts - 1).sum();
                return format!("done after {kills} kills, {again} tasks ran again");
            }
            job = TestJob::again(ran).arg("job.toml").args(SMALL).arg("--resume");
        }
    });
}

fn send_kill(running: &Running) {
    if crate::support::is_alive(running.pid()) {
        send(running.pid(), libc::SIGKILL);
    }
}

#[test]
fn a_shard_by_hand_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        runner().args(["shard", "run", "1", "0"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("failed to read `run/sub/0001.list`"), "{said}");
}

#[test]
fn totals_are_those_of_all_shards() {
    let text = "inputs.range = { from = 1, to = 100 }\nworkload.command.argv = ['echo', 'n={input}']\n\
                columns.n = { regex = 'n=(.*)', total = true }\n";
    let ran = small(text).run();
    ran.exit(0).stdout_has("total n 5050");
    assert_eq!(ran.summary("job")["totals"], r#"{"n":5050}"#);
}

#[test]
fn a_task_that_stops_the_job_stops_all_shards() {
    for on_stop in ["drain", "kill"] {
        let text = format!(
            "inputs.range = {{ from = 1, to = 400 }}\n\
             workload.command.shell = 'sleep 0.02; test $input != 7 || exit 9; echo fine'\n\
             limits = {{ concurrency = 1, stop_on = ['exit:9'], on_stop = '{on_stop}' }}\n"
        );
        let ran = small(&text).run();
        ran.exit(3).stderr_has("task 7 ended with `exit:9` (`stop_on`)");
        let report = ran.report();
        let rows = report.select("task,status,code");
        assert_eq!(rows.len(), 400);
        assert_eq!(rows[6], "7,failed,9");
        let cancelled = report.column("status").iter().filter(|s| *s == "cancelled").count();
        assert!(cancelled > 100, "{cancelled}");
        is_over(&ran);
        // It is done with: what did not run runs now.
        let ran = TestJob::again(ran).arg("job.toml").args(SMALL).arg("--resume").run();
        assert_eq!(ran.report().column("status").iter().filter(|s| *s == "ok").count(), 399);
    }
}

#[test]
fn the_last_task_of_a_shard_stops_the_job_as_well() {
    let text = "inputs.range = { from = 1, to = 4 }\nworkload.command.shell = 'test $input != 1 || exit 9'\n\
                limits = { concurrency = 1, stop_on = ['exit:9'] }\n";
    let ran = small(text).args(["--set", "cluster.nodes=1"]).run();
    ran.exit(3).stderr_has("task 1 ended with `exit:9`");
    assert_eq!(ran.report().rows.len(), 4);
}

#[test]
fn a_budget_of_the_job_is_that_of_all_shards() {
    let text = "inputs.range = { from = 1, to = 400 }\n\
                workload.command.shell = 'echo n=1; sleep 0.02'\ncolumns.n.regex = 'n=(.*)'\n\
                limits = { concurrency = 1, budget.n = [{ max = 30 }] }\n";
    let ran = small(text).run();
    ran.exit(3).stderr_has("stopping: the budget of `n` is used up (");
    let ok = ran.report().column("status").iter().filter(|status| *status == "ok").count();
    assert!((30..400).contains(&ok), "{ok}");
    is_over(&ran);
    // What was used counts when it goes on.
    let ran = TestJob::again(ran).arg("job.toml").args(SMALL).arg("--resume").run();
    ran.exit(3);
}

#[test]
fn a_budget_of_a_time_is_divided_and_shards_that_follow_have_none_of_it_at_first() {
    let text = "inputs.range = { from = 1, to = 12 }\nworkload.command.argv = ['echo', 'n=1']\n\
                columns.n.regex = 'n=(.*)'\n\
                limits.budget.n = [{ per = '2s', max = 4, estimate = 1 }]\n";
    let ran = small(text).run();
    ran.exit(0);
    let report = ran.report();
    let mut starts: Vec<f64> = report.column("started_utc").iter().map(|at| seconds(at)).collect();
    starts.sort_by(f64::total_cmp);
    for (index, start) in starts.iter().enumerate() {
        let within = starts[index..].iter().filter(|other| *other - start < 1.99).count();
        assert!(within <= 4, "{within} within 2 s: {starts:?}");
    }
}

/// Seconds of the day.
pub fn seconds(timestamp: &str) -> f64 {
    let time = timestamp.split(['T', ' ']).nth(1).unwrap().trim_end_matches('Z');
    time.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}

#[test]
fn rows_say_where_their_task_ran() {
    let text = "inputs.range = { from = 1, to = 4 }\nworkload.command.argv = ['true']\nreport.host = true\n";
    let here = TestJob::new(text).run();
    let name = here.report().column("host")[0].clone();
    assert!(!name.is_empty());
    let ran = small(text).env("SLURMD_NODENAME", "n7").run();
    ran.exit(0);
    assert_eq!(ran.report().column("host"), ["n7"; 4]);
    let header = &ran.report().header;
    let slot = header.iter().position(|column| column == "slot").unwrap();
    assert_eq!(header[slot + 1], "host");
    assert_eq!(ran.summary("job")["output_bytes"], "0", "the columns after it are read right");
    let clash = format!("{text}columns.host.regex = '(.)'\n");
    TestJob::new(&clash).run().exit(2).stderr_has("the report has a column `host` already");
}

#[test]
fn secrets_reach_the_nodes_and_no_file_of_the_run() {
    let text = "inputs.range = { from = 1, to = 4 }\n\
                secrets.key.env = 'TEST_KEY'\nsecrets.other.file = 'key.txt'\n\
                workload.command = { argv = ['sh', '-c', 'case $K$O in open*mes*fish) sleep 0.3;; *) exit 1;; esac'], \
                env = { K = '{secret.key}', O = '{secret.other}' } }\n";
    let job = small(text).file("key.txt", "swordfish\n").env("TEST_KEY", "opensesame");
    let running = job.spawn();
    running.wait_for_file("results/.job.run/sub/0001.list", |text| !text.is_empty());
    let found = grep(&running.folder().join("results"), &["opensesame", "swordfish"]);
    assert_eq!(found, Vec::<String>::new());
    running.wait().exit(0);
    let missing = small(text).env("TEST_KEY", "opensesame").run();
    missing.exit(2).stderr_has("secret `other`: failed to read");
    is_over(&missing);
}

/// The files below `folder` that have one of these words.
fn grep(folder: &Path, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(grep(&path, words));
        } else if !path.ends_with("bin/runner")
            && let Ok(bytes) = fs::read(&path)
        {
            let text = String::from_utf8_lossy(&bytes);
            found.extend(
                words.iter().any(|word| text.contains(word)).then(|| path.display().to_string()),
            );
        }
    }
    found
}

const MADE: &str = r#"
    creates = 'out/{input}.txt'
    inputs.range = { from = 1, to = 40 }
    [workload.command]
    shell = 'echo "$input" >> ran; echo half > "$creates"; sleep 0.05; echo "$((input * input))" > "$creates"'
    [limits]
    concurrency = 2
"#;

/// Every file is whole, and no other one is there.
#[track_caller]
fn are_made(ran: &Ran, files: u64) {
    for number in 1..=files {
        let text = fs::read_to_string(ran.path(format!("out/{number}.txt"))).unwrap();
        assert_eq!(text, format!("{}\n", number * number), "{number}");
    }
    let names = fs::read_dir(ran.path("out")).unwrap().map(|entry| entry.unwrap().file_name());
    let others: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(fs::read_dir(ran.path("out")).unwrap().count() as u64, files);
}

#[test]
fn made_files_are_whole_and_not_made_again() {
    let ran = small(MADE).run();
    ran.exit(0);
    are_made(&ran, 40);
    fs::remove_file(ran.path("out/7.txt")).unwrap();
    fs::remove_file(ran.path("ran")).unwrap();
    let ran = TestJob::again(ran).arg("job.toml").args(SMALL).run();
    ran.exit(0);
    are_made(&ran, 40);
    assert_eq!(starts(ran.folder()).len(), 1, "only the one that was missing");
    let statuses = ran.report().column("status");
    assert_eq!(statuses.iter().filter(|status| *status == "skipped").count(), 39);
    fs::remove_file(ran.path("ran")).unwrap();
    let ran = TestJob::again(ran).arg("job.toml").run();
    ran.exit(0);
    assert!(starts(ran.folder()).is_empty(), "a run here knows them");
    let ran = TestJob::again(ran).arg("job.toml").args(SMALL).arg("--force").run();
    ran.exit(0);
    assert_eq!(starts(ran.folder()).len(), 40, "--force makes all of them again");
    are_made(&ran, 40);
}

#[test]
fn what_a_killed_shard_was_making_is_made_again() {
    let running = small(MADE).spawn();
    for tasks in [3, 12, 20] {
        has_begun(&running, tasks);
        kill_an_element(&running);
    }
    let ran = running.wait();
    ran.exit(0);
    are_made(&ran, 40);
    is_over(&ran);
}

/// A task that writes under its own name: what a kill has left there does not pass for whole, even if the run is discarded.
#[test]
fn what_a_discarded_run_was_making_is_made_again() {
    let text = MADE.replace("$creates", "out/$input.txt").replace("sleep 0.05", "sleep 0.3");
    let running = small(&text).file("out/.keep", "").spawn();
    has_begun(&running, 4);
    running.signal(libc::SIGKILL);
    let ran = running.wait();
    fs::remove_file(ran.path("out/.keep")).unwrap();
    let ran = TestJob::again(ran).arg("job.toml").args(SMALL).arg("--fresh").run();
    ran.exit(0);
    are_made(&ran, 40);
}

/// Waiting elements of a run that has no driver are taken away, as a driver with a full disk does it; `--resume` runs them.
#[test]
fn what_was_cancelled_without_a_driver_runs_when_the_run_is_resumed() {
    let text = NOTED.replace("0.05", "0.4");
    let ran = small(&text).arg("--detach").run();
    ran.exit(0);
    let pool = ran.path("results/.job.run/sub/0001.pool");
    for index in 2..4 {
        if fs::create_dir(pool.join(format!("{index}.begun"))).is_ok() {
            fs::write(pool.join(format!("{index}.cancelled")), "").unwrap();
        }
    }
    let ran = TestJob::again(ran).arg("job.toml").args(SMALL).arg("--resume").run();
    ran.exit(0);
    squares(&ran.report(), 40);
    is_over(&ran);
}

#[test]
fn a_disk_that_is_full_from_the_start_is_said_and_nothing_is_left() {
    const LIMITED: [&str; 3] = ["bash", "-c", "ulimit -f 200; exec \"$0\" \"$@\""];
    let ran = small(NOTED).under(&LIMITED).run();
    ran.exit(6).stderr_has("failed to write `").stderr_has("bin/runner");
    is_over(&ran);
}

#[test]
fn whole_outputs_are_kept_for_all_shards_and_starts() {
    let text = NOTED.to_owned() + "[report]\nlogs = 'all'\n";
    let running = small(&text).spawn();
    has_begun(&running, 12);
    kill_an_element(&running);
    let ran = running.wait();
    ran.exit(0);
    for number in 1..=40 {
        let text = fs::read_to_string(ran.path(format!("results/job.logs/{number}.out"))).unwrap();
        assert_eq!(text, format!("{}\n", number * number));
    }
}

#[test]
fn each_node_has_the_runner_for_its_processor() {
    let job = small(NOTED);
    let place = job.folder().join("runner-{arch}").display().to_string();
    let kind = std::env::consts::ARCH;
    std::os::unix::fs::symlink(runner().get_program(), place.replace("{arch}", kind)).unwrap();
    let ran = job.args(["--set", &format!("cluster.runner={place}")]).run();
    ran.exit(0);
    squares(&ran.report(), 40);
}

/// A run that its first driver left goes on: it began when that began, and what was done meanwhile counts.
#[test]
fn a_run_that_was_left_began_with_its_first_driver() {
    let text = format!("{NOTED}[retry]\nmax_attempts = 2\n[report]\nalso = ['html']\n");
    let ran = small(&text).arg("--detach").run();
    ran.exit(0);
    wait_until("all have run", || (starts(ran.folder()).len() == 40).then_some(()));
    let ran = TestJob::again(ran).arg("job.toml").args(SMALL).args(["--resume", "--json"]).run();
    ran.exit(0);
    let summary = ran.summary("job");
    let first = ran.report().column("started_utc").into_iter().min().unwrap();
    assert!(summary["started_utc"] <= first, "{} {first}", summary["started_utc"]);
    let number = |name: &str| summary[name].parse::<f64>().unwrap();
    let rate = number("tasks_per_s") * number("wall_s");
    assert!((39.9..40.1).contains(&rate), "{rate} tasks");
    assert!(!ran.stderr().contains("warning: "), "{}", ran.stderr());
    let page = fs::read_to_string(ran.path("results/job.html")).unwrap();
    assert!(page.contains("each shard numbers its own from 1"), "slots of shards are not one");
    assert!(!page.contains("What each slot did"));
}

/// What is known of an earlier report says nothing of a run that was only just submitted.
#[test]
fn rows_of_an_earlier_report_are_not_those_of_a_run_that_was_left() {
    let ran = small(NOTED).run();
    ran.exit(0);
    let text = NOTED.replace("echo \"$((", "while [ ! -e go ]; do sleep 0.01; done; echo \"$((");
    let job = TestJob::again(ran).file("job.toml", text).arg("job.toml").args(SMALL);
    let ran = job.arg("--detach").run();
    ran.exit(0);
    let status = runner().current_dir(ran.folder()).args(["status", "--json"]).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status["done"], &status["uncollected"]), (&0.into(), &0.into()), "{status}");
    fs::write(ran.path("go"), "").unwrap();
    let ran = TestJob::again(ran).arg("job.toml").args(SMALL).arg("--resume").run();
    ran.exit(0);
    squares(&ran.report(), 40);
}

#[test]
fn a_job_from_standard_input_runs_there_as_here() {
    let text = "inputs.values = ['a', 'b']\nworkload.command.shell = 'echo $input; cat near'\n";
    let job = TestJob::empty().file("near", "here").stdin(text).arg("-").args(SMALL);
    let ran = job.run();
    ran.exit(0);
    let rows = ran.report_of("stdin").select("task,status,result");
    assert_eq!(rows, ["1,ok,a\\nhere", "2,ok,b\\nhere"]);
}
