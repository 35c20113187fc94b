//! Commands in odd surroundings: pipes with a name, what the runner has open itself, a launcher that is stopped.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::thread;

use crate::support::{MODELS, TestJob};

/// Stops whoever has started it.
const STOP_PARENT: &str = "import os, signal; os.kill(os.getppid(), signal.SIGSTOP)";

#[test]
fn a_task_that_stops_its_parent_stops_nobody() {
    for model in MODELS {
        let job = format!(
            "[inputs]\nvalues = [\"a\", \"b\", \"c\"]\n[workload.command]\n\
             argv = [\"python3\", \"-c\", \"{STOP_PARENT}; print('done')\"]"
        );
        let ran = TestJob::new(&job).args(["--model", model]).run();
        ran.exit(0).rows("result", &["done"; 3]);
    }
    for model in ["processes", "threads"] {
        let function = format!("def f(x):\n    {STOP_PARENT}\n    return x + 1\n");
        let job =
            "[inputs]\nrange = { from = 1, to = 3 }\n[workload.python]\nfunction = \"work:f\"";
        let ran = TestJob::new(job).file("work.py", function).args(["--model", model]).run();
        ran.exit(0).rows("result", &["2", "3", "4"]);
    }
}

#[test]
fn the_ends_of_children_are_heard_of_whatever_was_ignored_before() {
    const IGNORING: &[&str] = &[
        "python3",
        "-c",
        "import os, signal, sys\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nos.execvp(sys.argv[1], sys.argv[1:])",
    ];
    for model in MODELS {
        let job =
            "[inputs]\nvalues = [\"a\", \"b\"]\n[workload.command]\nargv = [\"echo\", \"{input}\"]";
        let job = TestJob::new(job).args(["--model", model]).under(IGNORING);
        job.run().exit(0).rows("status,result", &["ok,a", "ok,b"]);
    }
}

/// A job that counts the lines of a named pipe.
fn counting(model: &str, timeout: &str) -> TestJob {
    let job = format!(
        "[workload.command]\nargv = [\"sh\", \"-c\", 'n=0; while read -r line; do n=$((n+1)); done; echo \"$n lines\"']\n\
         stdin_file = \"pipe\"\n[limits]\n{timeout}"
    );
    let job = TestJob::new(&job).args(["--model", model]);
    let made = std::process::Command::new("mkfifo").arg(job.folder().join("pipe")).status();
    assert!(made.unwrap().success());
    job
}

#[test]
fn a_named_pipe_is_read_once_somebody_writes() {
    for model in MODELS {
        let job = counting(model, "");
        let pipe = job.folder().join("pipe");
        let writer = thread::spawn(move || {
            // This waits for a reader.
            let mut pipe = OpenOptions::new().write(true).open(pipe).unwrap();
            for line in ["a\n", "b\n"] {
                pipe.write_all(line.as_bytes()).unwrap();
            }
        });
        job.run().exit(0).rows("result", &["2 lines"]);
        writer.join().unwrap();
        // One that writes nothing has been there, too.
        let job = counting(model, "");
        let pipe = job.folder().join("pipe");
        let writer = thread::spawn(move || drop(OpenOptions::new().write(true).open(pipe)));
        job.run().exit(0).rows("result", &["0 lines"]);
        writer.join().unwrap();
        let ran = counting(model, "timeout = \"100ms\"").run();
        let error =
            "timed out after 100ms: no program writes to the pipe that is its standard input";
        ran.exit(3).rows("status,error", &[&format!("timeout,{error}")]);
    }
}

/// A writer that says nothing before the child does is waited for by the child itself.
#[test]
fn a_pipe_that_somebody_has_open_is_handed_over() {
    let job = "[workload.command]\nshell = 'touch here; read -r line; echo \"$line\"'\nstdin_file = \"pipe\"";
    let job = TestJob::new(job);
    let made = std::process::Command::new("mkfifo").arg(job.folder().join("pipe")).status();
    assert!(made.unwrap().success());
    let folder = job.folder().to_owned();
    let writer = thread::spawn(move || {
        let mut pipe = OpenOptions::new().write(true).open(folder.join("pipe")).unwrap();
        crate::support::wait_until("the child runs", || folder.join("here").exists().then_some(()));
        pipe.write_all(b"hello\n").unwrap();
    });
    job.run().exit(0).rows("result", &["hello"]);
    writer.join().unwrap();
}

#[test]
fn what_the_runner_has_open_is_written_to_where_it_is() {
    const INTO_FILE: &[&str] = &["sh", "-c", "(echo before; \"$@\"; echo after) >> log 2>&1", "sh"];
    const INTO_PIPE: &[&str] = &["sh", "-c", "(echo before; \"$@\"; echo after) 2>&1", "sh"];
    for path in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/stderr"] {
        let key = if path.ends_with('r') { "stderr" } else { "stdout" };
        let job = |wrapper| {
            let job = format!(
                "[inputs]\nrepeat = 2\n[workload.command]\nshell = 'echo hello; echo hello >&2'\n{key} = \"{path}\""
            );
            TestJob::new(&job).args(["--no-progress", "-q"]).under(wrapper)
        };
        let ran = job(INTO_FILE).run();
        let wanted = "before\nhello\nhello\nafter\n";
        assert_eq!(fs::read_to_string(ran.path("log")).unwrap(), wanted, "{path}");
        ran.rows("status", &["ok", "ok"]);
        assert_eq!(job(INTO_PIPE).run().stdout(), wanted, "{path}");
    }
    let job = "[workload.command]\nargv = [\"echo\"]\nstdout = \"/dev/fd/9\"";
    TestJob::new(job).run().exit(2).stderr_has("`/dev/stdout` and `/dev/stderr` only");
}

#[test]
fn the_report_of_another_job_is_not_written_over() {
    let other =
        "[inputs]\nvalues = [\"x\", \"y\"]\n[workload.command]\nargv = [\"echo\", \"{input}\"]";
    let writer = "[inputs]\nvalues = [\"c\", \"d\"]\n[workload.command]\nargv = [\"echo\", \"no report\"]\nstdout = \"results/{input}.csv\"";
    for files in [["c.toml", "e.toml"], ["e.toml", "c.toml"]] {
        let job = TestJob::empty().file("c.toml", other).file("e.toml", writer).args(files);
        let ran = job.run();
        ran.exit(3);
        assert_eq!(ran.report_of("c").select("status,result"), ["ok,x", "ok,y"]);
        assert_eq!(
            ran.report_of("e").select("status,error"),
            [
                "failed,cannot write `results/c.csv`: it is a file of the report of the job `c`",
                "ok,"
            ]
        );
    }
}

/// Whoever goes on writing to a file that has its name already, whichever of the two it is.
#[test]
fn a_child_that_is_left_behind_and_can_write_to_a_file_is_told() {
    let names = "stdout = 'out'\nstderr = 'err'";
    for (keys, left, is_told) in [
        (names, "", true),
        (names, ">/dev/null", true),
        (names, "2>/dev/null", true),
        (names, ">/dev/null 2>&1", false),
        ("stdout = 'both'\nstderr = 'both'", "", true),
        ("stdout = 'out'", "2>/dev/null", true),
        ("stdout = '/dev/null'\nstderr = '/dev/null'", "", false),
    ] {
        let shell = format!("(setsid sleep 60 {left} &) ; echo done");
        let ran = TestJob::new(&format!("[workload.command]\nshell = '{shell}'\n{keys}\n")).run();
        ran.exit(0);
        let error = ran.report().column("error")[0].clone();
        let is_there = error.contains("a process that the command has left behind");
        assert_eq!(is_there, is_told, "{keys} {left}: {error}");
    }
}
