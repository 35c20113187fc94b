//! `[report] logs`: the whole output of commands, in files.

use std::fs;

use crate::support::{MODELS, Ran, TestJob};

fn log(ran: &Ran, name: &str) -> Option<String> {
    fs::read(ran.path("results/job.logs").join(name))
        .ok()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The files of the folder, in order.
fn names(ran: &Ran) -> Vec<String> {
    let entries = fs::read_dir(ran.path("results/job.logs")).expect("the folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const SHELL: &str = r#"
    [workload.command]
    shell = 'echo "out $input"; echo "err $input" >&2; case $input in f*) exit 3;; esac'
"#;

#[test]
fn outputs_are_kept_under_every_model() {
    let inputs = "[inputs]\nvalues = ['a', 'f', 'c']\n";
    for model in MODELS {
        let job = |logs: &str| format!("{inputs}{SHELL}[report]\nlogs = '{logs}'\n");
        let ran = TestJob::new(&job("all")).args(["--model", model]).run();
        ran.exit(3);
        assert_eq!(names(&ran), ["1.err", "1.out", "2.err", "2.out", "3.err", "3.out"], "{model}");
        assert_eq!(log(&ran, "1.out").unwrap(), "out a\n");
        assert_eq!(log(&ran, "2.err").unwrap(), "err f\n");
        // The next run is another one.
        let ran = TestJob::again(ran).file("job.toml", job("failed")).arg("job.toml");
        let ran = ran.file("results/job.logs/notes.txt", "mine").args(["--model", model]).run();
        ran.exit(3);
        assert_eq!(names(&ran), ["2.err", "2.out", "notes.txt"], "{model}");
        let ran = TestJob::new(&job("none")).args(["--model", model]).run();
        assert!(!ran.path("results/job.logs").exists());
    }
}

#[test]
fn long_outputs_are_whole() {
    let job = r#"
        [workload.command]
        argv = ["python3", "-c", "import sys\nfor i in range(40000):\n print(i)\n print(-i, file=sys.stderr)\nsys.exit(1)"]
        capture = "1KiB"
        [columns.last]
        regex = "(39999)"
        stream = "stderr"
        [report]
        logs = "failed"
    "#;
    let expected = |sign: &str| -> String {
        (0..40000).map(|i| if i == 0 { "0\n".into() } else { format!("{sign}{i}\n") }).collect()
    };
    for more in [&[][..], &["--output"][..]] {
        let ran = TestJob::new(job).args(more.iter().copied()).run();
        ran.exit(3).rows("status,last", &["failed,39999"]);
        assert!(log(&ran, "1.out").unwrap() == expected(""), "standard output");
        assert!(log(&ran, "1.err").unwrap() == expected("-"), "standard error");
        if !more.is_empty() {
            assert!(ran.stdout() == expected(""), "what is printed");
        }
    }
}

#[test]
fn the_last_attempt_counts() {
    let job = |logs: &str, ok_at: u8| {
        format!(
            "[workload.command]\nshell = 'echo $RUNNER_ATTEMPT; test $RUNNER_ATTEMPT = {ok_at}'\n[retry]\nmax_attempts = 3\ndelay = '1ms'\n[report]\nlogs = '{logs}'\n"
        )
    };
    let ran = TestJob::new(&job("failed", 9)).run();
    ran.exit(3);
    assert_eq!(log(&ran, "1.out").unwrap(), "3\n");
    let ran = TestJob::new(&job("failed", 2)).run();
    ran.exit(0);
    assert_eq!(log(&ran, "1.out"), None);
    let ran = TestJob::new(&job("all", 2)).run();
    assert_eq!(log(ran.exit(0), "1.out").unwrap(), "2\n");
}

#[test]
fn stages_have_files_of_their_own_and_a_file_that_is_missing_is_a_failure() {
    let staged = r#"
        [inputs]
        values = ["a"]
        [[stages]]
        name = "one"
        workload.command.argv = ["echo", "first"]
        [[stages]]
        name = "two"
        workload.command.argv = ["cat"]
        [report]
        logs = "all"
    "#;
    let ran = TestJob::new(staged).run();
    assert_eq!(names(ran.exit(0)), ["1.one.err", "1.one.out", "1.two.err", "1.two.out"]);
    assert_eq!(log(&ran, "1.two.out").unwrap(), "first\n");
    let creates = r#"
        creates = "out/{input}"
        [inputs]
        values = ["a", "b"]
        [workload.command]
        shell = 'echo "made $input"; test $input = b || echo x >"$creates"'
        [report]
        logs = "failed"
    "#;
    let ran = TestJob::new(creates).run();
    assert_eq!(names(ran.exit(3)), ["2.err", "2.out"]);
    assert_eq!(log(&ran, "2.out").unwrap(), "made b\n");
}

#[test]
fn what_is_no_stream_of_the_runner_has_no_file() {
    let job =
        "[workload.command]\nargv = ['echo', 'x']\nstdout = 'x.txt'\n[report]\nlogs = 'all'\n";
    let ran = TestJob::new(job).run();
    assert_eq!(names(ran.exit(0)), ["1.err"]);
    let job = "[workload.command]\nargv = ['nosuchdir/{task}']\n[report]\nlogs = 'all'\n";
    let ran = TestJob::new(job).run();
    assert!(names(ran.exit(3)).is_empty());
    let job = "[workload.sleep]\nduration = '0s'\n[report]\nlogs = 'all'\n";
    TestJob::new(job).run().exit(0);
    let own = "[workload.command]\nargv = ['echo', 'x']\nstdout = 'results/job.logs/{task}.out'\n[report]\nlogs = 'all'\n";
    TestJob::new(own).run().exit(3);
}

#[test]
fn a_resumed_job_keeps_the_outputs_of_the_rows_that_it_keeps() {
    let job = |inputs: &str, hang: &str| {
        let shell = format!("echo \"$input $MARK\"; test $input != {hang} || exec sleep 300");
        format!(
            "[inputs]\nvalues = {inputs}\n[workload.command]\nshell = '{shell}'\n[limits]\nconcurrency = 1\n[report]\nlogs = 'all'\n"
        )
    };
    // The first run ends b and c, then is killed in d.
    let first = TestJob::new(&job("['b', 'c', 'd', 'a']", "d")).env("MARK", "1").spawn();
    first.wait_for_file("results/job.csv.partial", |text| text.contains("\n2,c,ok"));
    first.wait_for_file("results/job.logs/2.out", |text| text == "c 1\n");
    first.signal(libc::SIGKILL);
    let ran = first.wait();
    // The second one does x, whose number is 1 now, and is killed in d, too.
    let args = ["--resume", "--accept-changes", "job.toml"];
    let next = job("['x', 'c', 'd', 'b']", "d");
    let second = TestJob::again(ran).file("job.toml", next).args(args).env("MARK", "2").spawn();
    second.wait_for_file("results/job.csv.partial", |text| text.contains("\n1,x,ok"));
    second.signal(libc::SIGKILL);
    let ran = second.wait();
    // The third one does the rest.
    let last = job("['new', 'b', 'd', 'x', 'c']", "nothing");
    let ran = TestJob::again(ran).file("job.toml", last).args(args).env("MARK", "3").run();
    ran.exit(0).rows("task,input", &["1,new", "2,b", "3,d", "4,x", "5,c"]);
    let outputs: Vec<_> = (1..=5).map(|task| log(&ran, &format!("{task}.out")).unwrap()).collect();
    assert_eq!(outputs, ["new 3\n", "b 1\n", "d 3\n", "x 2\n", "c 1\n"]);
    assert_eq!(names(&ran).len(), 10, "{:?}", names(&ran));
    // A finished report is resumed as well, and what is gone has no files.
    let less = job("['c', 'new', 'b', 'y']", "nothing");
    let ran = TestJob::again(ran).file("job.toml", less).args(args).env("MARK", "4").run();
    let outputs: Vec<_> = (1..=4).map(|task| log(&ran, &format!("{task}.out")).unwrap()).collect();
    assert_eq!(outputs, ["c 1\n", "new 3\n", "b 1\n", "y 4\n"]);
    assert_eq!(names(ran.exit(0)).len(), 8, "{:?}", names(&ran));
}

/// What stands beside a report is of that report.
#[test]
fn a_run_that_keeps_nothing_leaves_nothing_of_the_one_before() {
    let text = "inputs.repeat = 2\nreport.logs = 'all'\n[workload.command]\nshell = 'echo x'\n";
    let ran = TestJob::new(text).file("results/job.logs/mine.txt", "kept").run();
    assert!(ran.exit(0).path("results/job.logs/2.out").exists());
    let ran = TestJob::again(ran).args(["job.toml", "--set", "report.logs=none"]).run();
    ran.exit(0);
    assert!(!ran.path("results/job.logs/2.out").exists());
    assert!(ran.path("results/job.logs/mine.txt").exists(), "it is not the runner's");
}
