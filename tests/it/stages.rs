//! `[[stages]]`: several workloads in a row, through the real runner.

use crate::http::server::Server;
use crate::support::{MODELS, Ran, TestJob};

/// A job with these inputs and these stages.
fn job(inputs: &str, stages: &str) -> TestJob {
    TestJob::new(&format!("[inputs]\n{inputs}\n{stages}"))
}

/// These stages, each under this model.
fn under(model: &str, stages: &str) -> String {
    stages.replace("[[stages]]\n", &format!("[[stages]]\nmodel = \"{model}\"\n"))
}

/// What is wrong with this job file.
fn mistakes(text: &str) -> Ran {
    let ran = TestJob::new(text).run();
    ran.exit(2);
    ran
}

const SAY: &str = "[[stages]]\nname = \"say\"\n[stages.workload.command]\nargv = [\"printf\", \"%s\", \"{input}\"]\n";

#[test]
fn requests_then_computations_in_processes() {
    let server = Server::start();
    let values = [server.url("/hello"), server.url("/json"), server.url("/missing")];
    let stages = r#"
[[stages]]
name = "fetch"
model = "async"
[stages.workload.http]
url = "{input}"

[[stages]]
name = "hash"
model = "processes"
[stages.workload.compute]
function = "sha256"
"#;
    let ran = job(&format!("values = {values:?}"), stages).run();
    ran.exit(3).rows(
        "task,status,stage,attempts,fetch_attempts,hash_attempts,code,result",
        &[
            "1,ok,hash,2,1,1,,2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "2,ok,hash,2,1,1,,3b76c16dc5607af8a08f82aa333cc07e92d358915fea448160a44e634a91bf47",
            "3,failed,fetch,1,1,0,404,",
        ],
    );
}

#[test]
fn commands_then_computations_in_threads() {
    let stages = SAY.replace("name =", "model = \"threads\"\nname =")
        + "[[stages]]\nname = \"primes\"\nmodel = \"threads\"\n[stages.workload.compute]\nfunction = \"count_primes\"\n";
    job("values = [100, 1000, \"many\"]", &stages).run().exit(3).rows(
        "input,status,stage,result,error",
        &[
            "100,ok,primes,25,",
            "1000,ok,primes,168,",
            "many,failed,primes,,`many` is not a whole number",
        ],
    );
}

#[test]
fn files_are_hashed_and_their_hashes_posted() {
    let server = Server::start();
    let stages = format!(
        r#"
[[stages]]
name = "hash"
[stages.workload.compute]
function = "sha256"
arg = "{{input}}"

[[stages]]
name = "post"
[stages.workload.http]
url = "{}"
method = "POST"
body = "{{payload}}"
[stages.columns.sent]
regex = '([0-9a-f]{{64}})'
"#,
        server.url("/echo")
    );
    let ran = job("glob = \"*.txt\"", &stages).file("a.txt", "abc").file("b.txt", "").run();
    ran.exit(0).rows(
        "input,status,sent",
        &[
            "a.txt,ok,ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "b.txt,ok,e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ],
    );
}

#[test]
fn a_report_of_stages_says_what_each_has_taken() {
    let stages = format!(
        "{SAY}[stages.columns.first]\nregex = '^.'\n[[stages]]\nname = \"wait\"\n[stages.workload.sleep]\nduration = \"1ms\"\n\
         [[stages]]\nname = \"count\"\n[stages.workload.command]\nshell = 'wc -c; echo \"$first\"'\n[stages.columns.n]\nregex = '\\d+'\n"
    );
    let ran = job("values = [\"ab\", \"cde\"]", &stages).run();
    ran.exit(0).rows(
        "task,status,stage,attempts,say_attempts,wait_attempts,count_attempts,first,n,result",
        &["1,ok,count,3,1,1,1,a,2,2\\na", "2,ok,count,3,1,1,1,c,3,3\\nc"],
    );
    let report = ran.report();
    let columns = "task input status stage attempts started_utc say_queue_s say_run_s say_attempts wait_queue_s \
                   wait_run_s wait_attempts count_queue_s count_run_s count_attempts cpu_user_s cpu_sys_s \
                   peak_rss_bytes slot code result output_bytes first n error";
    assert_eq!(report.header.join(" "), columns);
    let times =
        report.select("say_queue_s,say_run_s,wait_queue_s,wait_run_s,count_queue_s,count_run_s");
    assert!(times.iter().flat_map(|row| row.split(',')).all(|cell| !cell.is_empty()), "{times:?}");
    let summary = ran.summary("job");
    assert_eq!(summary["model"], "staged");
    for said in ["say: threads ", "wait: ", "count: ", "bottleneck "] {
        assert!(summary["reason"].contains(said), "{}", summary["reason"]);
    }
    ran.stdout_has("job: bottleneck ");
}

#[test]
fn a_large_payload_passes_whole_and_is_not_the_capture() {
    let stages = r#"
[[stages]]
name = "make"
[stages.workload.command]
argv = ["head", "-c", "{input}", "/dev/zero"]
[[stages]]
name = "count"
[stages.workload.command]
argv = ["wc", "-c"]
"#;
    let ran = job("values = [0, 70000, 3000000]", stages).run();
    ran.exit(0).rows("result", &["0", "70000", "3000000"]);
    let expected =
        "[workload.command]\nshell = \"head -c 3000000 /dev/zero | sha256sum | cut -d' ' -f1\"";
    let expected = TestJob::new(expected).run().report().select("result");
    for model in ["processes", "threads"] {
        let hash = format!("model = \"{model}\"\n[stages.workload.compute]\nfunction = \"sha256\"");
        let stages = stages.replace("[stages.workload.command]\nargv = [\"wc\", \"-c\"]", &hash);
        let ran = job("values = [3000000]", &stages).run();
        ran.exit(0);
        assert_eq!(ran.report().select("result"), expected, "{model}");
    }
}

#[test]
fn a_payload_over_its_limit_fails_the_task_that_made_it() {
    let stages = SAY.replace("name = \"say\"", "name = \"say\"\nmax_payload = \"4B\"")
        + "[[stages]]\nname = \"hash\"\n[stages.workload.compute]\nfunction = \"sha256\"\n";
    let ran = job("values = [\"1234\", \"12345\"]", &stages).run();
    ran.exit(3).rows("task,status,stage", &["1,ok,hash", "2,failed,say"]);
    let error = &ran.report().select("error")[1];
    assert!(error.contains("`max_payload` of its stage (4B)"), "{error}");
}

#[test]
fn each_stage_retries_by_itself() {
    let stages = r#"
[[stages]]
name = "flaky"
[stages.workload.command]
shell = 'echo "$RUNNER_ATTEMPT"; test "$RUNNER_ATTEMPT" = 2'
[stages.retry]
max_attempts = 3
delay = "1ms"

[[stages]]
name = "worse"
[stages.workload.command]
shell = 'cat; echo "$RUNNER_ATTEMPT"; test "$RUNNER_ATTEMPT" = 3'
[stages.retry]
max_attempts = 3
delay = "1ms"
"#;
    let ran = job("repeat = 2", stages).run();
    ran.exit(0).rows(
        "status,attempts,flaky_attempts,worse_attempts,result",
        &["ok,5,2,3,2\\n3", "ok,5,2,3,2\\n3"],
    );
    let attempts = crate::support::Report::read(&ran.path("results/job.attempts.csv"));
    let mut rows = attempts.select("task,stage,attempt,status");
    rows.sort();
    assert_eq!(rows.len(), 10);
    assert_eq!(
        rows[..5],
        [
            "1,flaky,1,failed",
            "1,flaky,2,ok",
            "1,worse,1,failed",
            "1,worse,2,failed",
            "1,worse,3,ok"
        ]
    );
}

#[test]
fn a_drained_job_says_where_each_task_stood() {
    let stages = r#"
[[stages]]
name = "quick"
model = "threads"
[stages.limits]
concurrency = 2
[stages.workload.command]
shell = 'echo "$input" | tee -a passed'
[[stages]]
name = "slow"
model = "threads"
[stages.limits]
concurrency = 1
[stages.workload.command]
shell = 'echo > started; read line; while ! test -e go; do sleep 0.01; done'
"#;
    let running = job("repeat = 20", stages).spawn();
    running.wait_for_file("started", |_| true);
    // One in the second stage, and others that are done with the first or about to be.
    running.wait_for_file("passed", |text| text.lines().count() >= 3);
    running.signal(libc::SIGTERM);
    running.wait_for_file(crate::support::STDERR, |text| text.contains("stopping: "));
    std::fs::write(running.folder().join("go"), "").unwrap();
    let ran = running.wait();
    ran.exit(143);
    let rows = ran.report().select("status,stage,quick_attempts,slow_attempts");
    assert_eq!(rows.len(), 20);
    let count = |row: &str| rows.iter().filter(|found| *found == row).count();
    assert_eq!(count("ok,slow,1,1"), 1);
    let between = count("cancelled,slow,1,0");
    assert!((2..=5).contains(&between), "a queue of two, and those that stood before it: {rows:?}");
    assert_eq!(count("cancelled,quick,0,0") + between + 1, 20, "{rows:?}");
}

#[test]
fn a_resumed_task_starts_again_from_its_first_stage() {
    let stages = r#"
[[stages]]
name = "one"
[stages.workload.command]
shell = 'echo "$input" >> ran; echo "$input"'
[[stages]]
name = "two"
[stages.workload.command]
shell = 'read n; test "$n" != 2 || test -e repaired'
"#;
    let ran = job("repeat = 3", stages).run();
    ran.exit(3).rows("task,status,stage", &["1,ok,two", "2,failed,two", "3,ok,two"]);
    let ran = TestJob::again(ran).file("repaired", "").args(["job.toml", "--resume=failed"]).run();
    ran.exit(0).rows("task,status,stage", &["1,ok,two", "2,ok,two", "3,ok,two"]);
    let mut lines: Vec<_> =
        std::fs::read_to_string(ran.path("ran")).unwrap().lines().map(String::from).collect();
    lines.sort();
    assert_eq!(lines, ["1", "2", "2", "3"]);
    assert!(!ran.summary("job")["run_p50_s"].is_empty());
}

#[test]
fn a_job_of_one_stage_and_a_kill() {
    let one = format!("{SAY}[stages.limits]\nconcurrency = 1\n");
    job("values = [\"a\"]", &one).run().exit(0).rows("stage,say_attempts,result", &["say,1,a"]);
    let stages = "[[stages]]\nname = \"a\"\n[stages.workload.sleep]\nduration = \"0s\"\n[[stages]]\nname = \"b\"\n[stages.workload.command]\nshell = 'echo > started; sleep 100'\n";
    let running = job("repeat = 100", stages).spawn();
    running.wait_for_file("started", |_| true);
    running.stop(libc::SIGINT);
    let ran = running.wait();
    ran.exit(130);
    assert!(ran.report().select("status").iter().all(|status| status == "cancelled"));
}

#[test]
fn mistakes_are_told_at_their_places() {
    let hash = "[[stages]]\nname = \"hash\"\n[stages.workload.compute]\nfunction = \"sha256\"\n";
    for (text, said) in [
        (format!("{SAY}{SAY}"), &["two stages are called `say`", "job.toml:6:8"][..]),
        (
            format!("{SAY}[stages.columns.a]\nregex = 'a'\n{hash}").replace("{input}", "{b} {a}")
                + "[stages.columns.b]\nregex = 'b'\n",
            &["`b` is a column of the stage `hash`", "job.toml:4:26"],
        ),
        (SAY.replace("{input}", "{payload}"), &["the first stage has no `{payload}`"]),
        (
            "[workload.command]\nargv = [\"echo\", \"{payload}\"]".into(),
            &["this job has no `{payload}`", "`[[stages]]`"],
        ),
        ("[[stages]]\nname = \"a\"\n".into(), &["the stage has no workload", "job.toml:1:"]),
        (
            format!("{SAY}[workload.sleep]\nduration = \"1s\"\n"),
            &["both `[[stages]]` and its own `workload`", "job.toml:5:2"],
        ),
        (format!("model = \"async\"\n{SAY}"), &["both `[[stages]]` and its own `model`"]),
        ("stages = []".into(), &["`stages` is empty"]),
        ("stages = 3".into(), &["`stages` must be an array of tables"]),
        (
            "[stages]\nname = \"a\"".into(),
            &["`stages` must be an array of tables, not a table", "[[stages]]"],
        ),
        (SAY.replace("name = \"say\"\n", ""), &["`[stages]` has no `name`"]),
        (SAY.replace("\"say\"", "\"summary\""), &["`summary` is the name of the report"]),
        (SAY.replace("\"say\"", "\"a b\""), &["invalid stage name `a b`"]),
        (SAY.replace("argv", "args"), &["unknown key `args`"]),
        (SAY.replace("name =", "grace = \"1s\"\nname ="), &["unknown key `grace`"]),
        (
            format!("{SAY}[stages.limits]\ndeadline = \"1s\"\n"),
            &["unknown key `deadline`", "it belongs in `[limits]`"],
        ),
        (
            format!("[limits]\ntimeout = \"1s\"\n{SAY}"),
            &["`timeout` is a limit of a stage", "job.toml:2:1", "`[stages.limits]`"],
        ),
        (format!("{SAY}[stages.columns.stage]\nregex = 'a'\n"), &["column `stage` already"]),
        (
            format!("{SAY}[stages.columns.say_run_s]\nregex = 'a'\n"),
            &["column `say_run_s` already"],
        ),
        (
            format!(
                "{SAY}[stages.columns.x]\nregex = 'a'\n{hash}[stages.columns.x]\nregex = 'a'\n"
            ),
            &["the stage `say` has a column `x` already"],
        ),
        (format!("{hash}arg = \"x.txt\"\nmax = 1"), &["unknown key `max`"]),
        (
            SAY.replace("name =", "max_payload = \"1MB\"\nname ="),
            &["the last stage hands nothing on"],
        ),
    ] {
        let ran = mistakes(&format!("{text}\n[inputs]\nvalues = [\"a\"]\n"));
        for said in said {
            ran.stderr_has(said);
        }
    }
}

#[test]
fn the_command_line_reaches_a_stage_by_its_name() {
    let stages =
        format!("{SAY}[[stages]]\nname = \"wait\"\n[stages.workload.sleep]\nduration = \"1h\"\n");
    let with = |args: &[&str]| job("values = [1]", &stages).args(args.iter().copied()).run();
    let ran =
        with(&["--set", "stages.wait.limits.timeout=5ms", "--set", "stages.wait.model=async"]);
    ran.exit(3).rows("status,stage", &["timeout,wait"]);
    assert!(ran.summary("job")["reason"].contains("wait: async 1, set on the command line"));
    with(&["--model", "threads"])
        .exit(2)
        .stderr_has("cannot have a `model` of its own")
        .stderr_has("--set stages.say.model=");
    with(&["-j", "2"]).exit(2).stderr_has("--set stages.say.limits.concurrency=");
    with(&["--set", "stages.wiat.model=async"])
        .exit(2)
        .stderr_has("no stage `wiat`")
        .stderr_has("`wait`");
    let ran = with(&["--dry-run"]);
    ran.exit(0).stdout_has("say: printf %s 1").stdout_has("wait: sleep 1h");
}

#[test]
fn a_column_changes_nothing_of_what_is_handed_on() {
    for column in ["", "[stages.columns.said]\nregex = '.*'\n"] {
        let stages = format!(
            "[[stages]]\nname = 'say'\n[stages.workload.command]\nshell = 'echo hello'\nstdout = 'out/{{input}}.txt'\n\
             {column}[[stages]]\nname = 'count'\n[stages.workload.command]\nshell = 'cat | wc -c | tr -d \" \"'\n"
        );
        for model in MODELS {
            let stages = under(model, &stages);
            job("values = [1]", &stages).run().exit(0).rows("result", &["0"]);
        }
    }
}

#[test]
fn what_earlier_stages_have_to_say_is_in_the_row() {
    let text = r#"
[inputs]
values = [0, 3]
[[stages]]
name = "say"
[stages.workload.command]
argv = ["printf", 'n=caf\351.txt\n']
[stages.columns.n]
regex = 'n=(.*)'
[stages.columns.j]
json = "/x"
[stages.columns.tokens]
regex = "tok=(.*)"
[stages.limits]
budget.tokens = [{ max = 100, estimate = 10 }]
[[stages]]
name = "wait"
[stages.workload.sleep]
duration = "1ms"
[[stages]]
name = "end"
[stages.workload.command]
shell = 'echo no; exit $input'
[stages.columns.k]
json = "/x"
"#;
    let said = "say: column `j` is empty: the output is not JSON: it is not UTF-8 after byte 5; column `n` has bytes that \
                are not UTF-8, or a NUL: they are read as U+FFFD; the column `tokens` is empty, so its budget counts the \
                estimate";
    for model in MODELS {
        let ran = TestJob::new(&under(model, text)).run();
        let errors = ran.exit(3).report().column("error");
        let end =
            errors[0].strip_prefix(&format!("{said}; ")).unwrap_or_else(|| panic!("{errors:?}"));
        assert!(end.starts_with("end: column `k` is empty: "), "{end}");
        assert_eq!(errors[1], format!("exit code 3; {said}"), "{model}");
    }
}
