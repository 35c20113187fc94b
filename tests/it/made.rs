//! `creates` and `reads`: what is there is not made again, and what is made is whole.

mod records;

use std::fs;
use std::path::Path;

use crate::http::server::Server;
use crate::support::{MODELS, Ran, TestJob};

/// Upper case by a shell, once for each input; `ran.txt` has a line for each start.
const UPPER: &str = r#"
creates = "out/{input.stem}.up"
reads = ["{input}", "rule.txt"]
[inputs]
glob = "in/*.txt"
[workload.command]
shell = 'echo "$input" >> ran.txt; tr a-z A-Z < "$input" > "$creates"; echo "did $input"'
[columns.what]
regex = "did (.*)"
"#;

fn upper() -> TestJob {
    let job = TestJob::new(UPPER).file("rule.txt", "upper");
    (1..=4).fold(job, |job, n| job.file(format!("in/{n}.txt"), format!("text{n}")))
}

/// What ran since the last call.
fn ran(ran: &Ran) -> Vec<String> {
    let path = ran.path("ran.txt");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn again(earlier: Ran, args: &[&str]) -> Ran {
    TestJob::again(earlier).arg("job.toml").args(args.iter().copied()).run()
}

/// The names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn what_is_there_is_not_made_again() {
    for model in ["threads", "async"] {
        let first = upper().args(["--model", model]).run();
        first.exit(0).rows(
            "status,result",
            &["ok,did in/1.txt", "ok,did in/2.txt", "ok,did in/3.txt", "ok,did in/4.txt"],
        );
        assert_eq!(ran(&first).len(), 4);
        assert_eq!(names(&first.path("out")), ["1.up", "2.up", "3.up", "4.up"]);
        assert_eq!(fs::read_to_string(first.path("out/3.up")).unwrap(), "TEXT3");

        fs::remove_file(first.path("out/1.up")).unwrap();
        fs::write(first.path("in/3.txt"), "other").unwrap();
        let second = again(first, &["--model", model]);
        let rows = [
            "ok,1,in/1.txt,did in/1.txt",
            "skipped,1,in/2.txt,did in/2.txt",
            "ok,1,in/3.txt,did in/3.txt",
            "skipped,1,in/4.txt,did in/4.txt",
        ];
        second.exit(0).rows("status,attempts,what,result", &rows);
        assert_eq!(ran(&second), ["in/1.txt", "in/3.txt"]);
        assert_eq!(fs::read_to_string(second.path("out/3.up")).unwrap(), "OTHER");
        let summary = second.summary("job");
        let counts = ["tasks", "ok", "skipped", "up_to_date"].map(|name| summary[name].clone());
        assert_eq!(counts, ["4", "2", "0", "2"]);

        let third = again(second, &[]);
        third.exit(0).rows(
            "status,what",
            &["skipped,in/1.txt", "skipped,in/2.txt", "skipped,in/3.txt", "skipped,in/4.txt"],
        );
        assert!(ran(&third).is_empty());
        let times = third.report().column("run_s");
        assert!(times.iter().all(|time| !time.is_empty()), "{times:?}");

        fs::write(third.path("rule.txt"), "changed").unwrap();
        let fourth = again(third, &[]);
        assert_eq!(ran(&fourth).len(), 4, "what all read has changed");
        let fifth = again(fourth, &["--force"]);
        fifth.exit(0);
        assert_eq!(ran(&fifth).len(), 4);
    }
}

#[test]
fn a_file_that_is_only_touched_is_the_same() {
    let first = upper().run();
    ran(&first);
    for name in ["in/1.txt", "rule.txt"] {
        let text = fs::read(first.path(name)).unwrap();
        fs::remove_file(first.path(name)).unwrap();
        fs::write(first.path(name), text).unwrap();
    }
    let second = again(first, &[]);
    assert!(ran(&second).is_empty());
    let third = again(second, &["--set", "workload.command.shell='echo new > \"$creates\"'"]);
    third.exit(0).rows("status", &["ok"; 4]); // another workload
}

#[test]
fn without_reads_only_the_file_counts() {
    let job = "creates = \"{input}.out\"\n[inputs]\nvalues = [\"a\", \"b\"]\n[workload.command]\nargv = [\"cp\", \"job.toml\", \"{creates}\"]\n";
    let ran = TestJob::new(job).file("a.out", "by hand").run();
    ran.exit(0).rows("status,attempts", &["skipped,0", "ok,1"]);
    assert_eq!(fs::read_to_string(ran.path("a.out")).unwrap(), "by hand");
    let ran = again(ran, &["--resume"]);
    ran.exit(0).rows("status,attempts", &["skipped,0", "ok,1"]);
    fs::remove_file(ran.path("b.out")).unwrap();
    again(ran, &["--resume"]).exit(0).rows("status,attempts", &["skipped,0", "ok,1"]);
}

#[test]
fn a_row_is_kept_only_while_its_file_is_there() {
    let first = upper().run();
    ran(&first);
    fs::remove_file(first.path("out/2.up")).unwrap();
    let second = again(first, &["--resume"]);
    second.exit(0).rows("status", &["ok"; 4]);
    assert_eq!(ran(&second), ["in/2.txt"]);
}

#[test]
fn a_failure_leaves_no_half_file() {
    for shell in ["echo half > $creates; exit 1", "echo half > out-$input.txt; exit 1"] {
        let job = format!(
            "creates = \"out-{{input}}.txt\"\n[inputs]\nvalues = [\"a\"]\n[workload.command]\nshell = '{shell}'\n"
        );
        let ran = TestJob::new(&job).run();
        ran.exit(3).rows("status", &["failed"]);
        assert!(!ran.path("out-a.txt").exists(), "{shell}");
        assert_eq!(fs::read_to_string(ran.path("out-a.txt.failed")).unwrap(), "half\n");
        let ran = again(ran, &["--set", "workload.command.shell='echo whole > $creates'"]);
        ran.exit(0).rows("status", &["ok"]);
        assert!(!ran.path("out-a.txt.failed").exists());
        let ran = again(ran, &["--force"]);
        ran.exit(3);
        assert_eq!(
            fs::read_to_string(ran.path("out-a.txt")).unwrap_or_default().len(),
            if shell.contains("$creates") { 6 } else { 0 }
        );
        again(ran, &[]).exit(3).rows("status", &["failed"]); // what was left does not pass for made
    }
}

#[test]
fn a_task_that_makes_nothing_is_not_ok() {
    let job = "creates = [\"out/{input}.a\", \"out/{input}.b\"]\n[inputs]\nvalues = [1]\n[workload.command]\nshell = 'echo > \"$creates\"; $more'\nenv = { more = \"true\" }\n";
    let ran = TestJob::new(job).run();
    ran.exit(3).rows("status", &["failed"]);
    let error = &ran.report().column("error")[0];
    assert!(error.contains("it did not make `out/1.b`"), "{error}");
    assert_eq!(names(&ran.path("out")), ["1.a.failed"]);
    let folder = ["--set", "workload.command.shell='echo > \"$creates\"; mkdir \"$creates_1\"'"];
    let ran = again(ran, &folder);
    assert!(ran.report().column("error")[0].contains("but not as a file"));
    assert!(!ran.path("out/1.b").exists());
}

#[test]
fn a_file_that_was_there_and_is_not_made_is_a_failure() {
    let job = "creates = \"{input}.txt\"\n[inputs]\nvalues = [\"a\"]\n[workload.command]\nargv = [\"true\"]\n";
    let ran = TestJob::new(job).file("a.txt", "old").arg("--force").run();
    ran.exit(3);
    let error = &ran.report().column("error")[0];
    assert!(error.contains("which is as it was before"), "{error}");
    assert_eq!(fs::read_to_string(ran.path("a.txt")).unwrap(), "old");
}

#[test]
fn several_files_are_named_one_by_one_or_together() {
    let job = "creates = [\"out/{input}.a\", \"out/{input}.b\"]\n[inputs]\nvalues = [1]\n[workload.command]\n";
    for command in [
        "argv = [\"touch\", \"{creates}\"]",
        "argv = [\"touch\", \"{creates/0}\", \"{creates/1}\"]",
        "shell = 'touch \"$creates\" \"$creates_1\"'",
        "argv = [\"cp\", \"job.toml\", \"{creates/1}\"]\nstdout = \"{creates/0}\"",
        "argv = [\"cp\", \"job.toml\", \"out/1.b\"]\nstdout = \"out/{input}.a\"",
    ] {
        let ran = TestJob::new(&format!("{job}{command}\n")).run();
        ran.exit(0).rows("status", &["ok"]);
        assert_eq!(names(&ran.path("out")), ["1.a", "1.b"], "{command}");
        again(ran, &[]).exit(0).rows("status", &["skipped"]);
    }
}

#[test]
fn mistakes_are_told_before_a_task_runs() {
    let tail = "[inputs]\nvalues = [1, 2]\n[workload.command]\nshell = 'touch ran'\n";
    for (head, words) in [
        ("creates = \"out\"", "all 2 tasks would write to `out`"),
        ("creates = \"folder\"", "it is a folder"),
        ("creates = \"folder/\"", "names a folder"),
        ("creates = []", "`creates` is empty"),
        ("creates = 3", "`creates` must be"),
        ("creates = \"{input}.{slot}\"", "cannot name `{attempt}` or `{slot}`"),
        (&format!("creates = \"{}\"", "x".repeat(300)), "has 300 bytes"),
        ("reads = \"{input}\"", "`reads` needs `creates`"),
        ("creates = \"{input}\"\nreads = \"no-such-file\"", "not a file that is there"),
        ("creates = \"job.toml\"", "the job reads it"),
    ] {
        let test = TestJob::new(&format!("{head}\n{tail}"));
        fs::create_dir(test.folder().join("folder")).unwrap();
        let ran = test.run();
        ran.exit(2).stderr_has(words);
        assert!(!ran.path("ran").exists(), "{head}");
    }
    for (job, words) in [
        (format!("{tail}creates = \"x\"\n"), "it belongs above the first `[table]`"),
        (
            format!("creates = \"{{input}}\"\n{}", tail.replace("[1, 2]", "[1, 2]\nbatch = 2")),
            "`creates`",
        ),
        (tail.replace("touch ran'", "true'\nstdin = '{creates}'"), "write `creates = "),
        (
            format!(
                "creates = '{{input}}'\n{}",
                tail.replace("touch ran'", "true'\nstdin = '{creates/1}'")
            ),
            "the job creates 1 file",
        ),
    ] {
        TestJob::new(&job).run().exit(2).stderr_has(words);
    }
}

#[test]
fn what_is_wrong_for_one_task_is_its_row() {
    let job = "creates = \"out/{input.name}\"\n[inputs]\nvalues = [\"a/x\", \"b/x\", \"c/..\", \"d/sub\", \"e/y\"]\n[workload.command]\nshell = 'touch \"$creates\"'\n";
    let test = TestJob::new(job).arg("-j1");
    fs::create_dir_all(test.folder().join("out/sub")).unwrap();
    let ran = test.run();
    ran.exit(3).rows("status", &["ok", "failed", "failed", "failed", "ok"]);
    let errors = ran.report().column("error");
    assert!(errors[1].contains("`out/x`: task 1 writes it already"), "{}", errors[1]);
    assert!(errors[2].contains("a folder"), "{}", errors[2]);
    assert!(errors[3].contains("`out/sub`: it is a folder"), "{}", errors[3]);
    // A skipped task has its file, too.
    again(ran, &["-j1"])
        .exit(3)
        .rows("status", &["skipped", "failed", "failed", "failed", "skipped"]);
    let job = "creates = \"in/{input}\"\n[inputs]\nvalues = [\"../x\"]\n[workload.command]\nshell = 'touch \"$creates\"'\n";
    let ran = TestJob::new(job).run();
    ran.exit(3);
    assert!(!ran.path("x").exists());
}

#[test]
fn every_workload_under_every_model_makes_files() {
    let module = "def make(path):\n    with open(path, 'w') as file:\n        file.write('made')\n    return 'done'\n";
    let worker = "import json, sys\nsys.stdin.readline()\nprint(json.dumps({'ready': 1}), flush=True)\nfor line in sys.stdin:\n    request = json.loads(line)\n    open(request['args'][0], 'w').write('made')\n    print(json.dumps({'id': request['id'], 'ok': {'result': 'done'}}), flush=True)\n";
    for workload in [
        "[workload.command]\nshell = 'printf made > \"$creates\"; echo done'\n",
        "[workload.python]\nfunction = \"makes:make\"\nargs = [\"{creates}\"]\n",
        "[workload.worker]\nargv = [\"python3\", \"worker.py\"]\nargs = [\"{creates}\"]\n",
    ] {
        for model in MODELS {
            let job = format!(
                "model = \"{model}\"\ncreates = \"out/{{input}}.txt\"\n[inputs]\nvalues = [\"a\", \"b\"]\n{workload}"
            );
            let ran = TestJob::new(&job).file("makes.py", module).file("worker.py", worker).run();
            ran.exit(0).rows("input,status,result", &["a,ok,done", "b,ok,done"]);
            assert_eq!(names(&ran.path("out")), ["a.txt", "b.txt"], "{job}");
            assert_eq!(fs::read_to_string(ran.path("out/a.txt")).unwrap(), "made");
            fs::remove_file(ran.path("out/b.txt")).unwrap();
            let ran = again(ran, &[]);
            ran.exit(0).rows("input,status,result", &["a,skipped,done", "b,ok,done"]);
        }
    }
}

#[test]
fn downloads_are_made_under_every_model() {
    for model in MODELS {
        let server = Server::start();
        let url = server.url("/{input}");
        let job = format!(
            "creates = \"out/{{input}}.txt\"\n[inputs]\nvalues = [\"hello\", \"missing\", \"short\"]\n[workload.http]\nurl = \"{url}\"\nsave = \"{{creates}}\"\n"
        );
        let ran = TestJob::new(&job).args(["--model", model]).run();
        ran.exit(3).rows("status", &["ok", "failed", "failed"]);
        assert_eq!(fs::read_to_string(ran.path("out/hello.txt")).unwrap(), "hello", "{model}");
        assert!(names(&ran.path("out")).iter().all(|name| !name.starts_with('.')), "{model}");
        assert!(!ran.path("out/short.txt").exists());
        let ran = again(ran, &["--model", model]);
        ran.exit(3).rows("status", &["skipped", "failed", "failed"]);
        assert_eq!(server.asked("/hello"), 1, "{model}");
    }
}

#[test]
fn what_makes_no_files_is_a_failure_and_an_attempt_that_fails_leaves_nothing() {
    for workload in ["compute]\nfunction = \"factorial\"", "sleep]\nduration = \"1ms\""] {
        for model in MODELS {
            let job = format!(
                "creates = \"out/{{input}}\"\n[inputs]\nvalues = [3]\n[workload.{workload}\n"
            );
            let ran = TestJob::new(&job).args(["--model", model]).run();
            ran.exit(3).stderr_has("it did not make `out/3`");
        }
    }
    let job = "creates = \"out/{input}\"\n[inputs]\nvalues = [\"a\", \"b\"]\n[workload.command]\nshell = 'test $RUNNER_ATTEMPT = 1 || ! test -e out/$input.failed || test ! -e $creates || exit 9; echo $RUNNER_ATTEMPT >> $creates; test $RUNNER_ATTEMPT = 3'\n[retry]\nmax_attempts = 3\ndelay = '1ms'\n";
    for model in MODELS {
        let ran = TestJob::new(job).args(["--model", model]).run();
        ran.exit(0).rows("status,attempts", &["ok,3", "ok,3"]);
        assert_eq!(names(&ran.path("out")), ["a", "b"], "{model}");
        assert_eq!(fs::read_to_string(ran.path("out/a")).unwrap(), "3\n", "{model}");
    }
}

#[test]
fn a_block_is_made_again_if_its_bytes_have_changed() {
    let job = "creates = \"out/{block}\"\nreads = \"rule.txt\"\n[inputs]\nblocks = { file = \"all.txt\", parts = 2 }\n[workload.command]\nargv = [\"sh\", \"-c\", 'cat > \"$1\"', \"sh\", \"{creates}\"]\n";
    let test = TestJob::new(job).file("all.txt", "1\n2\n3\n4\n").file("rule.txt", "");
    let ran = test.run();
    ran.exit(0).rows("status", &["ok", "ok"]);
    fs::write(ran.path("all.txt"), "1\n2\n3\n5\n").unwrap();
    let ran = again(ran, &[]);
    ran.exit(0).rows("status", &["skipped", "ok"]);
    let made = |n: u8| fs::read_to_string(ran.path(format!("out/{n}"))).unwrap();
    assert_eq!(made(1) + &made(2), "1\n2\n3\n5\n");
}

#[test]
fn long_files_that_are_read_are_told_apart_under_every_model() {
    // So long that slots which share an event loop have it read elsewhere.
    let content = |last: &str| "x".repeat(600_000) + last;
    let job = "creates = \"out/{input}\"\nreads = [\"{input}.in\"]\n[inputs]\nvalues = [\"a\", \"b\", \"c\"]\n[workload.command]\nshell = 'wc -c < $input.in > $creates'\n[limits]\nconcurrency = 2\n";
    for model in MODELS {
        let test = TestJob::new(job).args(["--model", model]);
        let files = ["a", "b", "c"];
        let test =
            files.iter().fold(test, |test, name| test.file(format!("{name}.in"), content("1")));
        let ran = test.run();
        ran.exit(0).rows("status", &["ok"; 3]);
        fs::write(ran.path("a.in"), content("1")).unwrap(); // the same again
        fs::write(ran.path("b.in"), content("2")).unwrap();
        let ran = again(ran, &["--model", model]);
        ran.exit(0).rows("status", &["skipped", "ok", "skipped"]);
    }
}

#[test]
fn in_stages_the_file_is_the_whole_tasks() {
    let job = r#"
        creates = "out/{input}.txt"
        reads = "rule.txt"
        [inputs]
        values = ["a", "b"]
        [[stages]]
        name = "make"
        [stages.workload.command]
        shell = 'echo "$input" > "$creates"; echo "$input"'
        [stages.columns.word]
        regex = ".*"
        [[stages]]
        name = "check"
        [stages.workload.command]
        shell = 'grep -q a "$creates" && cat'
    "#;
    let ran = TestJob::new(job).file("rule.txt", "").run();
    ran.exit(3).rows("status,stage,word,result", &["ok,check,a,a", "failed,check,b,"]);
    assert_eq!(names(&ran.path("out")), ["a.txt", "b.txt.failed"]);
    let ran = again(ran, &[]);
    ran.exit(3).rows("status,stage,word,result", &["skipped,check,a,a", "failed,check,b,"]);
}

/// Whatever writes it: until the last stage is ok, the file has no name but `{creates}`, and that in every stage.
#[test]
fn a_file_of_an_earlier_stage_is_not_there_before_its_task_is_ok() {
    let server = Server::start();
    let makers = [
        "command]\nargv = ['printf', 'hello']\nstdout = '{creates}'".to_owned(),
        "command]\nshell = 'printf hello > \"$creates\"'".into(),
        format!("http]\nurl = '{}'\nsave = '{{creates}}'", server.url("/hello")),
    ];
    for model in ["threads", "processes", "async"] {
        for maker in &makers {
            let job = format!(
                "creates = 'out/{{input}}.txt'\n[inputs]\nvalues = ['a', 'b']\n\
                 [[stages]]\nname = 'make'\nmodel = '{model}'\n[stages.workload.{maker}\n\
                 [[stages]]\nname = 'check'\nmodel = '{model}'\n[stages.workload.command]\n\
                 shell = 'cat \"$creates\"; cat out/$input.txt; test $input = a'\n"
            );
            let ran = TestJob::new(&job).file("out/a.txt", "old").arg("--force").run();
            ran.exit(3).rows("status,stage,result", &["ok,check,helloold", "failed,check,hello"]);
            assert_eq!(fs::read_to_string(ran.path("out/a.txt")).unwrap(), "hello", "{maker}");
            assert_eq!(fs::read_to_string(ran.path("out/b.txt.failed")).unwrap(), "hello");
            assert_eq!(names(&ran.path("out")), ["a.txt", "b.txt.failed"], "{model} {maker}");
        }
    }
}

#[test]
fn a_dry_run_says_why() {
    let first = upper().run();
    fs::remove_file(first.path("out/1.up")).unwrap();
    fs::write(first.path("in/2.txt"), "other").unwrap();
    let second = again(first, &["--dry-run"]);
    second.exit(0);
    for words in [
        "runs: `out/1.up` is not there",
        "runs: `in/2.txt` has changed",
        "is skipped: it is up to date",
    ] {
        second.stdout_has(words);
    }
    let third = again(second, &["--dry-run=all", "--force"]);
    third.stdout_has("runs: --force");
    assert_eq!(names(&third.path("out")), ["2.up", "3.up", "4.up"]);
}

#[test]
fn all_tasks_are_shown_on_request() {
    let job = "[inputs]\nrange = { from = 1, to = 5000 }\n[workload.command]\nargv = [\"echo\", \"{input}\"]\n";
    let ran = TestJob::new(job).arg("--dry-run=all").run();
    ran.exit(0).stdout_has("5,000 tasks, as they would run\n");
    assert_eq!(ran.stdout().lines().filter(|line| line.contains("echo")).count(), 5000);
    assert!(ran.stdout().ends_with("  5000  echo 5000\n"));
    let ran = TestJob::new(job).arg("--dry-run").run();
    assert_eq!(ran.stdout().lines().count(), 11);
}

#[test]
fn a_job_that_needs_one_whose_tasks_are_up_to_date_runs() {
    let second = "needs = [\"job\"]\n[workload.command]\nargv = [\"true\"]\n";
    let first = upper().file("second.toml", second).run();
    let ran = again(first, &["second.toml"]);
    ran.exit(0);
    assert_eq!(ran.report().column("status"), ["skipped"; 4]);
    assert_eq!(ran.report_of("second").column("status"), ["ok"]);
}

#[test]
fn a_kill_leaves_nothing_that_passes_for_whole() {
    for shell in [
        "echo half > $creates; touch at-$input; sleep 60",
        "echo half > out/$input.txt; touch at-$input; sleep 60",
    ] {
        let job = format!(
            "creates = \"out/{{input}}.txt\"\n[inputs]\nvalues = [\"a\", \"b\", \"c\"]\n[workload.command]\nshell = '''case $input in a) echo whole > $creates;; *) {shell};; esac'''\n[limits]\nconcurrency = 2\n"
        );
        let running = TestJob::new(&job).spawn();
        running.wait_for_file("at-b", |_| true);
        running.wait_for_file("results/job.csv.partial", |text| text.contains("1,a,ok"));
        running.signal(libc::SIGKILL);
        let ran = running.wait();
        assert_eq!(fs::read_to_string(ran.path("out/a.txt")).unwrap(), "whole\n");
        let args = ["--fresh", "--set", "workload.command.shell='echo whole > $creates'"];
        let ran = again(ran, &args);
        ran.exit(0).rows("status", &["skipped", "ok", "ok"]);
        assert_eq!(fs::read_to_string(ran.path("out/b.txt")).unwrap(), "whole\n");
        let left = names(&ran.path("out"));
        assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
    }
}

/// A kill between what a task has made and its row: the row before it says what is no longer so.
#[test]
fn a_row_does_not_outlive_what_it_says() {
    let job = "creates = 'out/{input}'\n[inputs]\nvalues = ['a', 'b']\n[limits]\nconcurrency = 2\n[workload.command]\n\
               shell = 'test $input = a || test ! -e slow || { touch at; sleep 300; }; cat version > $creates; \
               test $input = b || test ! -e last || { touch at; mv $creates out/a; sleep 300; }; cat version'\n";
    for model in ["threads", "processes"] {
        let first =
            TestJob::new(job).args(["--model", model]).file("version", "v1").file("slow", "");
        let running = first.spawn();
        running.wait_for_file("at", |_| true);
        running.wait_for_file("results/job.csv.partial", |text| text.contains("a,ok"));
        running.signal(libc::SIGKILL);
        let ran = running.wait();
        for name in ["at", "out/a", "slow"] {
            fs::remove_file(ran.path(name)).unwrap();
        }
        let second = TestJob::again(ran).file("version", "v2").file("last", "");
        let running = second.args(["job.toml", "--resume", "--model", model]).spawn();
        running.wait_for_file("at", |_| true);
        running.signal(libc::SIGKILL);
        let ran = running.wait();
        fs::remove_file(ran.path("last")).unwrap();
        fs::write(ran.path("version"), "v3").unwrap();
        let ran = again(ran, &["--resume", "--model", model]);
        ran.exit(0);
        assert_eq!(fs::read_to_string(ran.path("out/a")).unwrap(), "v3", "{model}");
        assert_eq!(ran.report().column("result")[0], "v3", "{model}");
    }
}

/// Whatever cut the runs in between: a skipped task says what it said when it ran.
#[test]
fn what_rows_said_outlives_runs_that_are_cut() {
    let job = "creates = 'out/{input}.txt'\nreads = ['rule-{input}.txt']\n[inputs]\nrange = { from = 1, to = 9 }\n\
               [workload.command]\nshell = 'test ! -e slow || { touch at; sleep 300; }; echo $input > $creates; echo v=$input'\n\
               [columns.v]\nregex = 'v=(.*)'\ntotal = true\n[limits]\nconcurrency = 1\n";
    let values: Vec<_> = (1..=9).map(|value| value.to_string()).collect();
    for model in ["threads", "processes"] {
        let first = TestJob::new(job).args(["--model", model]);
        let mut ran = (1..=9).fold(first, |job, n| job.file(format!("rule-{n}.txt"), "old")).run();
        for (signal, go_on) in [
            (libc::SIGKILL, &["--resume"][..]),
            (libc::SIGINT, &["--resume"]),
            (libc::SIGINT, &[]),
            (libc::SIGKILL, &["--fresh"]),
        ] {
            fs::write(ran.path("rule-5.txt"), format!("new {signal} {}", go_on.len())).unwrap();
            let running =
                TestJob::again(ran).file("slow", "").args(["job.toml", "--model", model]).spawn();
            running.wait_for_file("at", |_| true);
            // The rows before it are there, and with a kill they are all that is.
            running.wait_for_file("results/job.csv.partial", |text| text.contains("4,4,skipped"));
            match signal {
                libc::SIGINT => running.stop(signal),
                _ => running.signal(signal),
            }
            ran = running.wait();
            let _ = (fs::remove_file(ran.path("slow")), fs::remove_file(ran.path("at")));
            ran = again(ran, &[go_on, &["--model", model]].concat());
            ran.exit(0);
            assert_eq!(ran.report().column("v"), values, "{signal} {go_on:?}");
            assert_eq!(ran.summary("job")["totals"], r#"{"v":45}"#);
            let left = names(&ran.path("results"));
            assert!(left.iter().all(|name| !name.contains("earlier")), "{left:?}");
        }
    }
}

#[test]
fn what_was_made_before_a_kill_and_has_no_row_is_made_again() {
    let job = "creates = \"out/{input}.txt\"\n[inputs]\nrange = { from = 1, to = 400 }\n[workload.command]\n\
               shell = 'echo $input > \"$creates\"; echo \"v=$input\"'\n\
               [columns.v]\nregex = 'v=(.*)'\n[limits]\nconcurrency = 2\n";
    for model in ["threads", "processes"] {
        let running = TestJob::new(job).args(["--model", model]).spawn();
        running.wait_for_file("out/40.txt", |_| true);
        running.signal(libc::SIGKILL);
        let mut ran = running.wait();
        for _ in 0..2 {
            ran = again(ran, &["--resume", "--model", model]);
            ran.exit(0);
            assert_eq!(ran.report().column("status"), ["ok"; 400]);
            let values: Vec<_> = (1..=400).map(|value| value.to_string()).collect();
            assert_eq!(ran.report().column("v"), values);
        }
        let ran = again(ran, &["--model", model]);
        ran.exit(0);
        assert_eq!(ran.report().column("status"), ["skipped"; 400]);
    }
}

#[test]
fn a_comparison_makes_everything_elsewhere() {
    let first = upper().run();
    ran(&first);
    let made = fs::read(first.path("results/.job.made")).unwrap();
    fs::write(first.path("in/1.txt"), "newer").unwrap();
    let compared = TestJob::again(first)
        .args(["compare", "job.toml", "--models", "sequential,threads", "--rounds", "2"])
        .run();
    compared.exit(0);
    let runs = ran(&compared).len();
    assert!(runs >= 16 && runs.is_multiple_of(4), "{runs}");
    assert_eq!(fs::read_to_string(compared.path("out/1.up")).unwrap(), "TEXT1");
    assert_eq!(names(&compared.path("out")).len(), 4);
    assert_eq!(fs::read(compared.path("results/.job.made")).unwrap(), made);
    assert!(
        names(&compared.path("results"))
            .iter()
            .all(|name| !name.starts_with(".compare") && !name.starts_with(".made"))
    );
}

#[test]
fn a_comparison_compares_what_is_written() {
    let args = ["compare", "job.toml", "--models", "sequential,threads", "--rounds", "2"];
    let job = |key: &str, shell: &str| {
        format!("{key}\n[inputs]\nvalues = [\"a\", \"b\"]\n[workload.command]\nshell = '{shell}'\n")
    };
    let output = "stdout = \"out/{input}.txt\"\nstderr = \"out/{input}.err\"\n";
    // Each run writes another text of the same length, or always the same.
    let other = "printf %s $(date +%s%N) | tail -c 12";
    for (text, same) in [
        (job("", "echo same; echo $$ >&2") + output, true),
        (job("", other) + output, false),
        (job("creates = \"out/{input}.txt\"", "echo same > $creates"), true),
        (job("creates = \"out/{input}.txt\"", &format!("{other} > $creates")), false),
        (job("creates = \"out/{input}.txt\"", &format!("{other} > out/$input.txt")), false),
    ] {
        let ran = TestJob::empty().file("job.toml", &text).file("out/a.txt", "mine").args(args);
        let ran = ran.run();
        ran.exit(0);
        let table = crate::support::Report::read(&ran.path("results/job.compare.csv"));
        let all_same = table.column("same_results").iter().all(|same| same == "true");
        assert_eq!(all_same, same, "{text}");
        if !text.contains("> out/") {
            assert_eq!(names(&ran.path("out")), ["a.txt"], "{text}");
            assert_eq!(fs::read_to_string(ran.path("out/a.txt")).unwrap(), "mine");
        }
    }
}

#[test]
fn a_compiler_compiles_what_has_changed() {
    let job = r#"
        creates = "obj/{input.stem}.o"
        reads = ["{input}", "all.h"]
        [inputs]
        glob = "src/*.c"
        [workload.command]
        argv = ["cc", "-c", "{input}", "-I.", "-o", "{creates}"]
    "#;
    let test = TestJob::new(job).file("all.h", "int total(void);\n");
    let test = (10..40).fold(test, |test, n| {
        let source = format!("#include \"all.h\"\nint f{n}(void) {{ return {n}; }}\n");
        test.file(format!("src/f{n}.c"), source)
    });
    let first = test.run();
    first.exit(0).rows("status", &["ok"; 30]);
    assert_eq!(names(&first.path("obj")).len(), 30);
    let second = again(first, &[]);
    second.exit(0).rows("status", &["skipped"; 30]);
    fs::write(second.path("src/f12.c"), "int f12(void) { return 120; }\n").unwrap();
    let third = again(second, &[]);
    third.exit(0);
    let statuses = third.report().column("status");
    let compiled: Vec<_> = (0..30).filter(|&row| statuses[row] == "ok").collect();
    assert_eq!(compiled, [2]);
    fs::write(third.path("src/f12.c"), "int f12(void) { return\n").unwrap();
    let fourth = again(third, &[]);
    fourth.exit(3);
    assert_eq!(fourth.summary("job")["up_to_date"], "29");
    fs::write(fourth.path("src/f12.c"), "int f12(void) { return 120; }\n").unwrap();
    // The object of before is there and fits, but the last run of the task was not ok.
    again(fourth, &[]).exit(0).rows("status", &{
        let mut expected = ["skipped"; 30];
        expected[2] = "ok";
        expected
    });
}

#[test]
fn what_a_pattern_has_found_is_not_what_its_task_makes() {
    for (creates, inputs) in [
        ("{input}", "glob = \"*.txt\""),
        ("./{input}", "glob = \"*.txt\""),
        ("{input}", "glob = \"[a].tx*\""),
        ("{a}", "matrix = { a = { glob = \"*.txt\" }, b = [1] }"),
        ("{a}", "zip = { a = { glob = \"*.txt\" }, b = [\"b.out\"] }"),
        ("{out}", "glob = \"*.txt\"\n[fields.out]\nvalue = \"{input.base}.txt\""),
    ] {
        let job = format!(
            "creates = \"{creates}\"\n[inputs]\n{inputs}\n[workload.command]\nargv = [\"touch\", \"{{creates}}\"]\n"
        );
        let ran = TestJob::new(&job).file("a.txt", "mine").arg("--dry-run").run();
        ran.stdout_has("fails: cannot write `");
        let ran = TestJob::again(ran).arg("job.toml").run();
        ran.exit(3).rows("status", &["failed"]);
        let error = ran.report().column("error")[0].clone();
        assert!(error.contains("it is the task's own input"), "{creates} {inputs}: {error}");
        assert_eq!(fs::read_to_string(ran.path("a.txt")).unwrap(), "mine");
    }
    // A list may name what there is to make, and a pattern one half of a pair.
    for (creates, inputs) in [
        ("{input}", "values = [\"a.txt\"]"),
        ("{b}", "zip = { a = { glob = \"*.toml\" }, b = [\"a.txt\"] }"),
    ] {
        let job = format!(
            "creates = \"{creates}\"\n[inputs]\n{inputs}\n[workload.command]\nargv = [\"touch\", \"{{creates}}\"]\n"
        );
        TestJob::new(&job).file("a.txt", "mine").run().exit(0).rows("status", &["skipped"]);
    }
}
