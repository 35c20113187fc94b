//! The command line: what it prints, where, and its exit codes.

use crate::http::server::Server;
use crate::support::{MODELS, TestJob, runner};

const JOB: &str =
    "[inputs]\nvalues = [\"a\", \"b\"]\n[workload.command]\nargv = [\"echo\", \"hi {input}\"]\n";

#[test]
fn run_is_the_default_command() {
    let ran = TestJob::new(JOB).run();
    ran.exit(0).stdout_has("results/job.csv").stdout_has("summary.csv");
    TestJob::empty().file("j.toml", JOB).args(["run", "j.toml"]).run().exit(0);
}

#[test]
fn files_and_a_subcommand_do_not_come_together() {
    TestJob::new(JOB).arg("check").arg("job.toml").run().exit(2);
    TestJob::empty().arg("check").run().exit(2).stderr_has("FILE");
}

#[test]
fn an_option_before_a_command_is_not_passed_over() {
    for (args, said) in [
        (&["--dry-run", "run", "job.toml"][..], "`--dry-run` goes after `run`"),
        (&["--set", "no.such=1", "check", "job.toml"], "`--set` goes after `check`"),
        (&["--limit", "1", "compare", "job.toml"], "`--limit` goes after `compare`"),
        (&["-q", "status"], "`--quiet` does not go with `status`"),
    ] {
        let ran = TestJob::empty().file("job.toml", JOB).args(args.iter().copied()).run();
        ran.exit(2).stderr_has(said);
        assert!(!ran.path("results").exists(), "nothing ran");
    }
    TestJob::new(JOB).arg("--dry-run").run().exit(0).stdout_has("echo 'hi a'");
    let ran = TestJob::empty().file("job.toml", JOB).args(["--limit", "1", "job.toml"]).run();
    ran.exit(0).rows("task,input", &["1,a"]);
    let ran = TestJob::empty().file("x.toml", JOB).args(["status", "x.toml"]).run();
    ran.exit(2).stderr_has("`x.toml` is a file: name the folder of the reports");
}

#[test]
fn completion_knows_models_and_kinds() {
    for (shell, model, kind) in [
        ("bash", "compgen -W \"sequential ", "command shell http"),
        ("zsh", ":MODEL:(sequential ", "(command shell http"),
        ("fish", "auto sequential threads", "'command shell http"),
    ] {
        let ran = TestJob::empty().args(["completions", shell]).run();
        ran.exit(0).stdout_has(model).stdout_has(kind);
    }
}

#[test]
fn check_prints_the_plan_and_runs_nothing() {
    let ran = TestJob::empty()
        .file("job.toml", format!("description = \"Says hi\"\n{JOB}[limits]\ntimeout = \"5s\"\n"))
        .args(["check", "job.toml"])
        .run();
    ran.exit(0)
        .stdout_has("Says hi")
        .stdout_has("threads")
        .stdout_has("auto: commands")
        .stdout_has("5s")
        .stdout_has("echo 'hi a'");
    assert!(!ran.path("results").exists());
}

#[test]
fn dry_run_shows_the_first_tasks_and_runs_nothing() {
    let ran = TestJob::new(JOB).arg("--dry-run").run();
    ran.exit(0).stdout_has("echo 'hi a'").stdout_has("echo 'hi b'");
    assert!(!ran.path("results").exists());
}

#[test]
fn output_prints_each_tasks_output_whole() {
    let job = "[inputs]\nvalues = [1, 2, 3]\n[workload.command]\nshell = 'for i in 1 2 3; do echo $input; sleep 0.02; done; yes $input | head -c 300000'\ncapture = \"1KiB\"\n";
    let ran = TestJob::new(job).args(["--output", "-q", "-j", "3", "--model", "threads"]).run();
    let stdout = ran.exit(0).stdout();
    assert_eq!(stdout.len(), 3 * (6 + 300_000));
    let mut changes = 0;
    let lines: Vec<&str> = stdout.lines().collect();
    for pair in lines.windows(2) {
        changes += usize::from(pair[0] != pair[1]);
    }
    assert_eq!(changes, 2, "the outputs are not mixed");
}

#[test]
fn every_kind_prints_its_output_under_every_model() {
    let server = Server::start();
    let sequence: Vec<_> = (1..=9999).map(|number| number.to_string()).collect();
    let sequence = sequence.join(" ") + "\n";
    let worker = "import json, sys\nsys.stdin.readline()\nprint('{\"ready\":1}', flush=True)\nfor line in sys.stdin:\n    id = json.loads(line)['id']\n    print(json.dumps({'id': id, 'ok': {'result': [1, 'a']}}), flush=True)\n";
    for (workload, printed) in [
        ("command]\nargv = ['printf', 'a\\nb\\377']".to_owned(), &b"a\nb\xff"[..]),
        (
            "command]\nargv = ['seq', '-s', ' ', '9999']\ncapture = '1B'".to_owned(),
            sequence.as_bytes(),
        ),
        (format!("http]\nurl = '{}'", server.url("/hello")), b"hello"),
        (format!("http]\nurl = '{}'\nmax_body = '1B'", server.url("/hello")), b"hello"),
        ("compute]\nfunction = 'count_primes'\narg = 20".to_owned(), b"8\n"),
        ("python]\nfunction = 'mine:work'\nargs = []".to_owned(), b"[1,\"a\"]\n"),
        ("worker]\nargv = ['python3', 'worker.py']".to_owned(), b"[1, \"a\"]\n"),
        ("sleep]\nduration = '1ms'".to_owned(), b""),
    ] {
        for model in MODELS {
            let ran = TestJob::new(&format!("[inputs]\nrepeat = 2\n[workload.{workload}\n"))
                .file("worker.py", worker)
                .file("mine.py", "def work():\n    return [1, 'a']\n")
                .args(["--output", "-q", "--model", model])
                .run();
            let is_printed = ran.exit(0).output.stdout == printed.repeat(2);
            assert!(is_printed, "{model}: {workload}: {:?}", ran.stdout());
        }
    }
}

#[test]
fn quiet_prints_nothing() {
    let ran = TestJob::new(JOB).arg("-q").run();
    assert_eq!((ran.exit(0).stdout(), ran.stderr()), (String::new(), String::new()));
}

#[test]
fn no_task_is_exit_4_and_a_failed_one_exit_3() {
    TestJob::new("[inputs]\nvalues = []\n[workload.sleep]\nduration = \"1s\"\n")
        .run()
        .exit(4)
        .stderr_has("nothing to run");
    TestJob::new("[workload.command]\nargv = [\"false\"]\n").run().exit(3);
    let mixed = TestJob::new(JOB)
        .file("none.toml", "[inputs]\nvalues = []\n[workload.sleep]\nduration = \"1s\"\n")
        .arg("none.toml")
        .run();
    mixed.exit(0);
}

#[test]
fn the_first_failures_are_said() {
    let job = "[inputs]\nvalues = [\"x\"]\n[workload.command]\nshell = 'echo the disk is on fire >&2; exit 9'\n";
    let ran = TestJob::new(job).run();
    ran.exit(3);
    let all = ran.stdout() + &ran.stderr();
    assert!(all.contains("exit code 9") && all.contains("the disk is on fire"), "{all}");
}

#[test]
fn limit_and_concurrency_and_results() {
    let ran = TestJob::new(JOB)
        .args(["--limit", "1", "-j", "7", "--model", "threads", "--results", "out/deep"])
        .run();
    ran.exit(0);
    let summary = std::fs::read_to_string(ran.path("out/deep/summary.csv")).unwrap();
    assert!(summary.contains("\njob,threads,7,1,1,"), "{summary}");
}

#[test]
fn a_closed_standard_output_loses_nothing() {
    let mut running = TestJob::new(JOB).args(["--output", "-j", "2"]).spawn();
    drop(running.child.stdout.take());
    let status = crate::support::wait_until("it ends", || running.child.try_wait().unwrap());
    // Whether the second task has begun before the first one's output is printed is not certain.
    assert!([Some(0), Some(3)].contains(&status.code()), "{status}");
    assert!(running.folder().join("results/job.csv").exists());
}

#[test]
fn too_few_open_files_are_one_error() {
    let job = "[inputs]\nrepeat = 900\n[workload.command]\nargv = [\"true\"]\n";
    let test = TestJob::new(job);
    let runner = runner();
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 512; exec \"$0\" job.toml -j 400"])
        .arg(runner.get_program())
        .current_dir(test.folder())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("open files") && stderr.contains("ulimit -n"), "{stderr}");
}

#[test]
fn few_open_files_are_enough_for_few_slots() {
    const FEW: &[&str] = &["sh", "-c", "ulimit -n 64; exec \"$@\"", "sh"];
    for workload in ["command]\nargv = [\"true\"]", "sleep]\nduration = \"1ms\""] {
        let job = format!("[inputs]\nrepeat = 20\n[workload.{workload}\n");
        TestJob::new(&job).arg("-j2").under(FEW).run().exit(0);
    }
}

#[test]
fn output_that_cannot_be_printed_is_said() {
    let test = TestJob::new(JOB);
    let mut command = runner();
    command.args(["job.toml", "--output"]).current_dir(test.folder());
    command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("no space left") && stderr.contains("results/job.csv"), "{stderr}");
    assert!(test.folder().join("results/job.csv").exists());
}

#[test]
fn a_full_standard_output_is_no_success() {
    let test = TestJob::new(JOB);
    let commands: [&[&str]; 7] = [
        &["schema"],
        &["man"],
        &["models"],
        &["check", "job.toml"],
        &["job.toml", "--dry-run=all"],
        &["completions", "bash"],
        &["job.toml", "--json", "--no-progress"],
    ];
    for words in commands {
        let mut command = runner();
        command.args(words).current_dir(test.folder());
        command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{words:?}: {stderr}");
        assert!(stderr.contains("failed to write to standard output: no space left"), "{stderr}");
    }
}

#[test]
fn output_that_cannot_be_kept_until_it_is_printed_is_said() {
    let job = "inputs.repeat = 2\n[workload.command]\nshell = 'head -c 3000000 /dev/zero'\n";
    for order in ["--output", "--output=ordered"] {
        let ran = TestJob::new(job).env("TMPDIR", "/nonexistent").args(["-q", order]).run();
        ran.exit(6)
            .stderr_has("not all output could be kept")
            .stderr_has("`/nonexistent` (TMPDIR)");
        assert_eq!(ran.stdout(), "", "{order}: a part of an output looks like all of it");
    }
}

#[test]
fn inputs_that_are_empty_by_a_slip_cost_no_report() {
    let job = "[inputs]\nlines = \"in.txt\"\n[workload.compute]\nfunction = \"count_down\"\n";
    let test =
        TestJob::new(job).file("in.txt", "").file("results/job.csv", "task,result\n1,precious\n");
    let ran = test.run();
    ran.exit(4).stderr_has("nothing to run");
    let report = std::fs::read_to_string(ran.path("results/job.csv")).unwrap();
    assert_eq!(report, "task,result\n1,precious\n");
    assert!(!ran.path("results/job.csv.partial").exists());
}

#[test]
fn models_prints_the_guide() {
    let output = runner().arg("models").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["sequential", "threads", "processes", "async"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn no_colour_where_nobody_sees_it() {
    let ran = TestJob::new("x = 1\n").run();
    assert!(!ran.exit(2).stderr().contains('\x1b'));
}

#[test]
fn a_counter_line_stands_in_for_the_bar_off_a_terminal() {
    let job = "[inputs]\nrepeat = 80\n[workload.sleep]\nduration = \"100ms\"\n";
    let ran = TestJob::new(job).args(["--model", "sequential"]).run();
    let text = ran.exit(0).stderr();
    assert!(
        text.contains(" of 80 tasks") && !text.contains('\x1b') && text.lines().count() < 10,
        "{text:?}"
    );
}

#[test]
fn small_mistakes_are_named_with_the_way_out() {
    let command = "[workload.command]\nargv = [\"echo\", \"{input}\"]\n";
    let values = "[inputs]\nvalues = [\"a\"]\n";
    let check =
        |text: String| TestJob::empty().file("job.toml", text).args(["check", "job.toml"]).run();
    for (text, said) in [
        (format!("{values}{command}[cluster]\nmemory = \"4GiB\"\n"), "did you mean `mem`?"),
        (format!("{values}{command}[cluster]\ncores = 4\n"), "did you mean `cpus`?"),
        (
            format!("{values}[workload.http]\nurl = \"http://x/\"\nfollow = true\n"),
            "did you mean `redirects`?",
        ),
        (
            format!("{values}[workload.http]\nurl = \"ftp://x/{{input}}\"\n"),
            "a URL starts with http:// or https://",
        ),
        (
            format!("{values}{command}[limits]\nmemory = 2\n"),
            "write the unit, for example \"2GiB\"",
        ),
        (format!("{values}{command}capture = 2048\n"), "write the unit, for example \"2GiB\""),
        (
            format!("[inputs]\ncsv = {{ fiel = \"x\" }}\n{command}"),
            "did you mean `file` by `fiel`?",
        ),
        (format!("[inputs]\nlines = \"\"\n{command}"), "the name of the file is empty"),
    ] {
        check(text).exit(2).stderr_has(said);
    }
    let shell = |text: &str| check(format!("{values}[workload.command]\nshell = '{text}'\n"));
    let ran = shell("echo {input} ${input} {input.stem}");
    ran.exit(0).stderr_has("`{input}` is not filled in").stderr_has("write `\"$input\"`");
    ran.stderr_has("only `argv` fills it in");
    for text in ["echo ${input} {a,b}", "echo {x}", "{ echo $input; }"] {
        let said = shell(text).stderr();
        assert!(!said.contains("is not filled in"), "{text}: {said}");
    }
}
