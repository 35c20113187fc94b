//! `--output=ordered`, `--output=lines` and `--tag`.

use std::io::{BufRead, BufReader};

use crate::http::server::Server;
use crate::support::{MODELS, TestJob};

/// Each task waits for the one after it.
const BACKWARDS: &str = "[inputs]\nvalues = [\"1\", \"2\", \"3\"]\n[workload.command]\nshell = '''\necho start $input\nif [ $input != 3 ]; then while [ ! -e done$((input + 1)) ]; do sleep 0.01; done; fi\nyes $input | head -c 300001\n: > done$input'''\ncapture = \"1KiB\"\n[limits]\nconcurrency = 3\n";

#[test]
fn ordered_outputs_are_in_input_order() {
    for model in ["threads", "processes", "async"] {
        let args = ["--output=ordered", "-q", "--model", model];
        let ran = TestJob::new(BACKWARDS).args(args).run();
        let of = |task: &str| {
            format!("start {task}\n{}", &format!("{task}\n").repeat(150_001)[..300_001])
        };
        assert!(ran.exit(0).stdout() == ["1", "2", "3"].map(of).concat(), "{model}");
    }
}

#[test]
fn every_kind_prints_lines_with_their_tags_under_every_model() {
    let server = Server::start();
    for (workload, lines) in [
        ("command]\nargv = ['printf', 'x\\ny']".to_owned(), &["x", "y"][..]),
        (format!("http]\nurl = '{}'", server.url("/hello")), &["hello"]),
        ("compute]\nfunction = 'count_primes'\narg = 20".to_owned(), &["8"]),
        ("python]\nfunction = 'mine:work'\nargs = []".to_owned(), &["[1,\"a\"]"]),
        ("sleep]\nduration = '1ms'".to_owned(), &[]),
    ] {
        for model in MODELS {
            for when in ["--output", "--output=ordered", "--output=lines"] {
                let text = format!("[inputs]\nvalues = ['a', 'b']\n[workload.{workload}\n");
                let ran = TestJob::new(&text)
                    .file("mine.py", "def work():\n    return [1, 'a']\n")
                    .args([when, "-q", "--tag", "{task}:{input}", "--model", model])
                    .run();
                let stdout = ran.exit(0).stdout();
                for tag in ["1:a\t", "2:b\t"] {
                    let own: Vec<_> =
                        stdout.lines().filter_map(|line| line.strip_prefix(tag)).collect();
                    assert_eq!(own, lines, "{model} {when} {workload}: {stdout}");
                }
                assert_eq!(stdout.lines().count(), 2 * lines.len(), "{stdout}");
            }
        }
    }
}

#[test]
fn lines_come_while_the_task_runs() {
    let text = "[inputs]\nvalues = ['a']\n[workload.command]\nshell = 'printf \"x\\ny\"; while [ ! -e go ]; do sleep 0.01; done; printf z'\n";
    for model in MODELS {
        let mut running =
            TestJob::new(text).args(["--output=lines", "-q", "--model", model]).spawn();
        let mut reader = BufReader::new(running.child.stdout.take().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "x\n", "{model}");
        std::fs::write(running.folder().join("go"), "").unwrap();
        line.clear();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "yz\n", "{model}");
        line.clear();
        assert_eq!(reader.read_line(&mut line).unwrap(), 0, "{model}: nothing is printed twice");
        assert!(running.child.wait().unwrap().success());
    }
}

#[test]
fn lines_of_stages_and_retries_are_printed_once() {
    let text = "[inputs]\nvalues = ['a', 'b']\n[[stages]]\nname = 'first'\nworkload.command.shell = 'echo in; test $input = a'\n[[stages]]\nname = 'second'\nworkload.command.argv = ['cat']\n";
    let ran = TestJob::new(text).args(["--output=lines", "-q", "--tag", "{input}"]).run();
    let mut lines: Vec<_> = ran.exit(3).stdout().lines().map(String::from).collect();
    lines.sort();
    assert_eq!(lines, ["a\tin", "b\tin"]);
    let text = "[workload.command]\nshell = 'echo again; exit 1'\n[retry]\nmax_attempts = 2\ndelay = '1ms'\n";
    let ran = TestJob::new(text).args(["--output=lines", "-q"]).run();
    assert_eq!(ran.exit(3).stdout(), "again\nagain\n");
}

#[test]
fn a_resumed_run_does_not_wait_for_what_it_keeps() {
    let text = "[inputs]\nvalues = ['1', '2', '3']\n[workload.command]\nshell = 'echo $input; test $input = 1 || test -e good'\n";
    let ran = TestJob::new(text).arg("-q").run();
    ran.exit(3);
    let ran = TestJob::again(ran)
        .file("good", "")
        .args(["job.toml", "--resume=failed", "--output=ordered", "-q"])
        .run();
    assert_eq!(ran.exit(0).stdout(), "2\n3\n");
}

#[test]
fn a_tag_that_names_no_field_runs_nothing() {
    let text = "[inputs]\nvalues = ['a']\n[workload.command]\nshell = 'echo > ran'\n";
    for (tag, said) in [("{inptu}", "`inptu`"), ("{input", "never closed")] {
        let ran = TestJob::new(text).args(["--output", "--tag", tag]).run();
        ran.exit(2).stderr_has("--tag").stderr_has(said);
        assert!(!ran.path("ran").exists() && !ran.path("results").exists());
    }
    TestJob::new(text).args(["--tag", "{input}"]).run().exit(2).stderr_has("--output");
}

#[test]
fn a_closed_pipe_stops_the_run() {
    let text = "[inputs]\nrange = { from = 1, to = 2000 }\n[workload.command]\nshell = 'echo $input; test $input = 1 || sleep 0.02'\n[limits]\nconcurrency = 2\n";
    for when in ["--output", "--output=ordered", "--output=lines"] {
        let mut running = TestJob::new(text).args([when, "--no-progress"]).spawn();
        let mut line = String::new();
        let mut reader = BufReader::with_capacity(1, running.child.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        drop(reader);
        let status = crate::support::wait_until("it ends", || running.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(3), "{when}");
        running.wait_for_file(crate::support::STDERR, |said| {
            said.contains("standard output was closed") && said.contains("--resume")
        });
        let report = running.wait_for_file("results/job.csv", |_| true);
        assert_eq!(report.lines().count(), 2001, "{when}");
        assert!(report.contains(",cancelled,"), "{when}");
    }
}

#[test]
fn secrets_are_masked_in_what_is_printed() {
    let text = "[secrets]\nkey = { env = 'THE_KEY' }\n[workload.command]\nshell = 'head -c 70000 /dev/zero | tr \"\\0\" x; echo $KEY; echo end'\nenv = { KEY = '{secret.key}' }\ncapture = '1KiB'\n";
    for model in MODELS {
        for when in ["--output", "--output=ordered", "--output=lines"] {
            let ran = TestJob::new(text)
                .env("THE_KEY", "hunter2hunter2")
                .args([when, "-q", "--model", model])
                .run();
            let stdout = ran.exit(0).stdout();
            assert!(stdout.ends_with("x***\nend\n"), "{model} {when}");
        }
    }
}
