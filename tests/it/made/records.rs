//! What is known of made files from one attempt, task or run to the next.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{again, names};
use crate::support::{MODELS, Ran, TestJob};

/// Equal inputs whose files are called by their numbers.
#[test]
fn of_equal_inputs_each_skipped_task_says_what_it_said() {
    let job = "creates = 'out/{task}.txt'\n[inputs]\nvalues = ['same', 'same', 'other', 'same']\n[workload.command]\n\
               shell = 'test ! -e cut || exit 1; echo \"score $RUNNER_TASK\" | tee \"$creates\"'\n\
               [columns.score]\nregex = 'score (\\d+)'\ntotal = true\n";
    for model in MODELS {
        let mut ran = TestJob::new(job).args(["--model", model]).run();
        ran.exit(0).rows("task,status,score", &["1,ok,1", "2,ok,2", "3,ok,3", "4,ok,4"]);
        for _ in 0..2 {
            ran = again(ran, &["--model", model]);
            let rows = ["1,skipped,1", "2,skipped,2", "3,skipped,3", "4,skipped,4"];
            ran.exit(0).rows("task,status,score", &rows);
            assert_eq!(ran.summary("job")["totals"], r#"{"score":10}"#, "{model}");
        }
        // The report of a run that leaves tasks out lacks their rows, and the ones before it have them.
        ran = again(ran, &["--model", model, "--limit", "1"]);
        ran.exit(0).rows("task,status,score", &["1,skipped,1"]);
        fs::remove_file(ran.path("out/2.txt")).unwrap();
        fs::write(ran.path("cut"), "").unwrap();
        ran = again(ran, &["--model", model]);
        ran.exit(3).rows("task,status", &["1,skipped", "2,failed", "3,skipped", "4,skipped"]);
        fs::remove_file(ran.path("cut")).unwrap();
        again(ran, &["--model", model]).exit(0);
    }
}

/// A `'` that protects a text is no part of it where nothing is protected, and what was bare is protected where all is.
#[test]
fn what_a_skipped_task_said_is_written_with_the_formula_safe_of_now() {
    // The tests' own reader of reports knows commas only.
    let columns = |ran: &Ran, delimiter: u8, names: &[&str]| {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .from_path(ran.path("results/job.csv"))
            .unwrap();
        let header = reader.headers().unwrap().clone();
        let at = |name: &&str| header.iter().position(|other| other == *name).unwrap();
        let places: Vec<usize> = names.iter().map(at).collect();
        let row = |row: Result<csv::StringRecord, _>| {
            let row = row.unwrap();
            places.iter().map(|&place| row[place].to_owned()).collect::<Vec<_>>()
        };
        reader.records().map(row).collect::<Vec<_>>()
    };
    let said_columns = ["result", "a", "b", "n", "code", "output_bytes"];
    for (dialect, delimiter) in [("csv", b','), ("excel-semicolon", b';')] {
        let job = format!(
            "creates = 'out/{{input}}'\n[inputs]\nvalues = ['a', 'b']\n[workload.command]\n\
             shell = \"\"\"echo \"=x; 1.5 '=y\" | tee \"$creates\" \"\"\"\n[report]\ndialect = '{dialect}'\n\
             [columns.a]\nregex = '(=x; 1.5)'\n[columns.b]\nregex = \"('=y)\"\n[columns.n]\nregex = '([0-9.]+)'\n"
        );
        for (before, now) in [("true", "false"), ("false", "true")] {
            let safe = |value| format!("report.formula_safe={value}");
            let first = TestJob::new(&job).args(["--set", &safe(before)]).run();
            first.exit(0);
            let took = columns(&first, delimiter, &["run_s", "started_utc"]);
            let mut ran = first;
            let mut said = Vec::new();
            for _ in 0..2 {
                ran = again(ran, &["--set", &safe(now)]);
                ran.exit(0);
                assert_eq!(columns(&ran, delimiter, &["status"]), [["skipped"], ["skipped"]]);
                let times = columns(&ran, delimiter, &["run_s", "started_utc"]);
                assert_eq!(times, took, "{dialect} {now}");
                said.push(columns(&ran, delimiter, &said_columns));
            }
            let made = again(ran, &["--force", "--set", &safe(now)]);
            made.exit(0);
            let made = columns(&made, delimiter, &said_columns);
            assert_eq!(said, vec![made; 2], "{dialect} {now}");
        }
    }
}

#[test]
fn inputs_that_have_other_numbers_now_say_what_they_said() {
    let job = "creates = 'out/{input}.txt'\n[inputs]\nlines = 'list.txt'\n[workload.command]\n\
               shell = 'echo \"$input\" > \"$creates\"; echo \"v=$input\"'\n[columns.v]\nregex = 'v=(.*)'\n";
    let ran = TestJob::new(job).file("list.txt", "a\nb\nc\n").run();
    ran.exit(0).rows("status,v", &["ok,a", "ok,b", "ok,c"]);
    fs::write(ran.path("list.txt"), "c\nnew\na\n").unwrap();
    again(ran, &[]).exit(0).rows("status,v", &["skipped,c", "ok,new", "skipped,a"]);
}

/// However the job's folder is called, and whichever of its files it still makes.
#[test]
fn a_half_file_is_known_by_every_path_and_in_every_order() {
    let job = |creates: &str, shell: &str| {
        format!("creates = {creates}\n[workload.command]\nshell = '{shell}'\n")
    };
    let half = "echo half > b.txt; echo half > a.txt; touch at; sleep 300";
    let whole = "echo whole > b.txt; echo whole > a.txt";
    for (path, creates) in [
        ("../here/real/job.toml", "['a.txt', 'b.txt']"),
        ("link/job.toml", "['a.txt', 'b.txt']"),
        ("real/job.toml", "['b.txt', 'a.txt']"),
        ("real/job.toml", "['b.txt']"),
    ] {
        let test = TestJob::empty();
        let folder = test.folder().file_name().unwrap().to_str().unwrap().to_owned();
        let path = path.replace("here", &folder);
        let running = test
            .file("real/job.toml", job("['a.txt', 'b.txt']", half))
            .arg("real/job.toml")
            .spawn();
        running.wait_for_file("real/at", |_| true);
        running.signal(libc::SIGKILL);
        let ran = running.wait();
        assert_eq!(fs::read_to_string(ran.path("real/b.txt")).unwrap(), "half\n");
        symlink("real", ran.path("link")).unwrap();
        let test = TestJob::again(ran).file("real/job.toml", job(creates, whole));
        let ran = test.args([path.as_str(), "--fresh"]).run();
        ran.exit(0).rows("status", &["ok"]);
        assert_eq!(fs::read_to_string(ran.path("real/b.txt")).unwrap(), "whole\n", "{path}");
        let ran = TestJob::again(ran).arg("real/job.toml").run();
        ran.exit(0).rows("status", &["skipped"]);
    }
}

/// Whether the other task has run in this call, in an earlier one, or not yet.
#[test]
fn what_a_failure_leaves_is_not_another_tasks_file() {
    for output in [
        "shell = 'cat \"$input\" > \"$creates\"; ! grep -q bad \"$input\"'",
        "shell = 'cat \"$input\"; ! grep -q bad \"$input\"'\nstdout = '{creates}'",
        "shell = 'cat \"$input\"; ! grep -q bad \"$input\"'\nstdout = 'out/{input.name}'",
    ] {
        for model in MODELS {
            let job = format!(
                "creates = 'out/{{input.name}}'\nreads = '{{input}}'\n[inputs]\nglob = 'in/*'\n[workload.command]\n{output}\n"
            );
            let args = ["--model", model];
            let test = TestJob::new(&job).file("in/x", "bad").file("in/x.failed", "other");
            let mut ran = test.args(args).run();
            let other = format!("{model} {output}");
            for (text, status) in
                [("bad", "failed,ok"), ("good", "ok,skipped"), ("bad once more", "failed,skipped")]
            {
                if text != "bad" {
                    fs::write(ran.path("in/x"), text).unwrap();
                    ran = again(ran, &args);
                }
                assert_eq!(ran.report().column("status").join(","), status, "{other}");
                let left = fs::read_to_string(ran.path("out/x.failed")).unwrap();
                assert_eq!(left, "other", "{model} {output} {text}");
            }
            assert_eq!(names(&ran.path("out")), ["x", "x.failed"], "{other}");
            assert_eq!(fs::read_to_string(ran.path("out/x")).unwrap(), "good", "{other}");
        }
    }
}

/// Two stages of which the second is attempted again.
fn two_stages(model: &str, first: &str, second: &str) -> TestJob {
    TestJob::new(&format!(
        "creates = 'out/{{input}}'\n[inputs]\nvalues = ['x']\n\
         [[stages]]\nname = 'one'\nmodel = '{model}'\n[stages.workload.command]\nshell = '''{first}'''\n\
         [[stages]]\nname = 'two'\nmodel = '{model}'\n[stages.workload.command]\nshell = '''{second}'''\n\
         [stages.retry]\nmax_attempts = 2\ndelay = '1ms'\n"
    ))
}

#[test]
fn a_later_stage_is_attempted_again_with_what_it_began_with() {
    let second = "echo \"header $RUNNER_ATTEMPT\" >> FILE; test $RUNNER_ATTEMPT -gt 1 || exit 75; echo body >> FILE";
    let whole =
        "cat $creates; test $RUNNER_ATTEMPT -gt 1 || exit 75; echo more'''\nstdout = '''{creates}";
    for model in ["threads", "processes", "async"] {
        for file in ["$creates", "out/$input"] {
            let ran = two_stages(model, "true", &second.replace("FILE", file)).run();
            ran.exit(0).rows("status,attempts", &["ok,3"]);
            let made = fs::read_to_string(ran.path("out/x")).unwrap();
            assert_eq!(made, "header 2\nbody\n", "{model} {file}");
            assert_eq!(names(&ran.path("out")), ["x"], "{model} {file}");

            let half = format!("test $RUNNER_ATTEMPT -gt 1 || {{ echo half > {file}; exit 75; }}");
            let ran = two_stages(model, "true", &half).run();
            ran.exit(3).rows("status", &["failed"]);
            assert!(ran.report().column("error")[0].contains("did not make `out/x`"));
            assert_eq!(names(&ran.path("out")), ["x.failed"], "{model} {file}");

            let made = format!("echo made > {file}");
            let ran = two_stages(model, &made, "test $RUNNER_ATTEMPT -gt 1").run();
            ran.exit(0).rows("status,attempts", &["ok,3"]);
            assert_eq!(fs::read_to_string(ran.path("out/x")).unwrap(), "made\n", "{model} {file}");

            let ran = two_stages(model, "echo made > $creates", whole).run();
            ran.exit(0).rows("status,attempts", &["ok,3"]);
            assert_eq!(fs::read_to_string(ran.path("out/x")).unwrap(), "made\nmore\n", "{model}");

            let ran = two_stages(model, &made, &second.replace("FILE", file)).run();
            ran.exit(3).rows("status,stage", &["failed,two"]);
            let error = ran.report().column("error")[0].clone();
            assert!(error.contains("it cannot be attempted again"), "{error}");
            assert!(error.contains("`out/x`, which an earlier stage has made"), "{error}");
            assert_eq!(names(&ran.path("out")), ["x.failed"], "{model} {file}");
            let left = fs::read_to_string(ran.path("out/x.failed")).unwrap();
            assert_eq!(left, "made\nheader 1\n", "{model} {file}");
        }
    }
}

/// Backups link what is there, and somebody may change a mode; neither makes a file.
#[test]
fn a_new_link_or_mode_is_not_taken_for_writing() {
    let job = "creates = 'out/{input}'\n[inputs]\nvalues = ['a', 'b']\n[workload.command]\n\
               shell = 'touch at-$input; until test -e go; do sleep 0.02; done; test $input = a'\n\
               [limits]\nconcurrency = 1\n";
    for model in ["threads", "async"] {
        let test = TestJob::new(job).file("out/a", "good").file("out/b", "good");
        let running = test.args(["--force", "--model", model]).spawn();
        running.wait_for_file("at-a", |_| true);
        let folder = running.folder().to_owned();
        fs::hard_link(folder.join("out/a"), folder.join("snap-a")).unwrap();
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(folder.join("out/b"), mode).unwrap();
        fs::write(folder.join("go"), "").unwrap();
        let ran = running.wait();
        ran.exit(3).rows("status", &["failed", "failed"]);
        let error = ran.report().column("error")[0].clone();
        assert!(error.contains("which is as it was before"), "{error}");
        assert_eq!(names(&ran.path("out")), ["a", "b"], "{model}");
    }
}

#[test]
fn of_several_files_all_get_their_names_or_none() {
    let job = "creates = ['out/{input}.a', 'out/{input}.b']\n[inputs]\nvalues = ['x']\n[workload.command]\n\
               shell = 'echo new > \"$creates\"; echo new > \"$creates_1\"; mkdir out/x.b'\n";
    for model in MODELS {
        let ran = TestJob::new(job).file("out/x.a", "old").args(["--model", model]).run();
        ran.exit(3).rows("status", &["failed"]);
        let error = ran.report().column("error")[0].clone();
        assert!(error.contains("cannot write `out/x.b`"), "{error}");
        assert_eq!(fs::read_to_string(ran.path("out/x.a")).unwrap(), "old", "{model}");
        assert_eq!(names(&ran.path("out")), ["x.a", "x.a.failed", "x.b", "x.b.failed"]);
    }
}
