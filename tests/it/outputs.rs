//! Files that tasks write: whole or not at all, in folders made for them, never over something else.

use crate::support::{MODELS, Ran, TestJob};

fn job(inputs: &str, command: &str) -> TestJob {
    TestJob::new(&format!("[inputs]\n{inputs}\n[workload.command]\n{command}\n"))
}

#[test]
fn folders_are_made_and_names_come_with_success() {
    let ran = job(
        "values = [\"a\", \"b\"]",
        "shell = 'echo $input; echo warned >&2'\nstdout = \"out/deep/{input}.txt\"\nstderr = \"err/{input}.log\"",
    )
    .run();
    ran.exit(0).rows("status,result,output_bytes", &["ok,,2", "ok,,2"]);
    for name in ["a", "b"] {
        let read = |path: String| std::fs::read_to_string(ran.path(path)).unwrap();
        assert_eq!(read(format!("out/deep/{name}.txt")), format!("{name}\n"));
        assert_eq!(read(format!("err/{name}.log")), "warned\n");
    }
}

#[test]
fn what_a_failure_leaves_is_never_put_over_something_else() {
    for model in MODELS {
        // Its own input, the source of the inputs, and the file of another task.
        let own = TestJob::new("[inputs]\nglob = 'o/*.failed'\n[workload.command]\nargv = ['false']\nstdout = '{input.base}'\n")
            .file("o/x.failed", "precious")
            .args(["--model", model])
            .run();
        own.exit(3);
        assert!(own.report().column("error")[0].contains("its output is not kept"), "{model}");
        assert_eq!(std::fs::read_to_string(own.path("o/x.failed")).unwrap(), "precious", "{model}");
        let source = TestJob::new(
            "[inputs]\nlines = 't.failed'\n[workload.command]\nargv = ['false']\nstdout = 't'\n",
        )
        .file("t.failed", "one\n")
        .args(["--model", model])
        .run();
        source.exit(3);
        assert_eq!(std::fs::read_to_string(source.path("t.failed")).unwrap(), "one\n", "{model}");
        let other = job(
            "values = ['a.failed', 'a']",
            "argv = ['sh', '-c', 'echo $0; test $0 != a', '{input}']\nstdout = 'o/{input}'",
        );
        let other = other.args(["-j", "1", "--model", model]).run();
        other.exit(3).rows("status", &["ok", "failed"]);
        assert_eq!(
            std::fs::read_to_string(other.path("o/a.failed")).unwrap(),
            "a.failed\n",
            "{model}"
        );
    }
    for (inputs, creates) in
        [("glob = 'o/*.failed'", "{input.base}"), ("lines = 'o/x.failed'", "o/x")]
    {
        let made = TestJob::new(&format!(
            "creates = \"{creates}\"\n[inputs]\n{inputs}\n[workload.command]\nshell = 'echo bad > {{creates}}; false'\n"
        ));
        let made = made.file("o/x.failed", "precious\n").run();
        made.exit(3);
        let kept = std::fs::read_to_string(made.path("o/x.failed")).unwrap();
        assert_eq!(kept, "precious\n", "{creates}");
    }
    // One that is ok does not remove it, either.
    let ok = TestJob::new("[inputs]\nglob = '*.failed'\n[workload.command]\nargv = ['echo', '1']\nstdout = '{input.base}'\n")
        .file("x.failed", "precious")
        .run();
    ok.exit(0);
    let read = |name: &str| std::fs::read_to_string(ok.path(name)).unwrap();
    assert_eq!((read("x"), read("x.failed")), ("1\n".into(), "precious".into()));
}

/// What a user, another job or an earlier run has called so; only an earlier failure of that name gives way.
#[test]
fn what_a_failure_leaves_goes_over_no_file_that_may_be_anybodys() {
    let command = "argv = ['sh', '-c', 'echo half; test -e good']\nstdout = 'o/{input}'";
    let creates = "shell = 'echo half > $creates; test -e good'";
    for (above, command) in [("", command), ("creates = 'o/{input}'\n", creates)] {
        let text = format!(
            "{above}[inputs]\nvalues = ['x']\n[workload.command]\n{command}\n[retry]\nmax_attempts = 2\ndelay = '1ms'\n"
        );
        let mut ran = TestJob::new(&text).file("o/x.failed", "precious").run();
        let left = |ran: &Ran| std::fs::read_to_string(ran.path("o/x.failed")).ok();
        for is_good in [false, true] {
            if is_good {
                ran = TestJob::again(ran).file("good", "").arg("job.toml").run();
            }
            ran.exit(if is_good { 0 } else { 3 });
            assert_eq!(left(&ran).as_deref(), Some("precious"), "{above} {is_good}");
            let error = ran.report().column("error")[0].clone();
            let is_told = error.contains("not known to be what a failed task has left")
                && error.contains("is not kept");
            assert_eq!(is_told, !is_good, "{above} {error}");
        }
        for file in ["o/x.failed", "o/x", "good"] {
            std::fs::remove_file(ran.path(file)).unwrap();
        }
        // Its own gives way, from attempt to attempt and from run to run, until somebody has written to it.
        for _ in 0..2 {
            ran = TestJob::again(ran).arg("job.toml").run();
            ran.exit(3);
            assert_eq!(left(&ran).as_deref(), Some("half\n"), "{above}");
            let error = ran.report().column("error")[0].clone();
            assert!(!error.contains("is not kept"), "{above} {error}");
        }
        std::fs::write(ran.path("o/x.failed"), "half\nand notes\n").unwrap();
        ran = TestJob::again(ran).arg("job.toml").run();
        ran.exit(3);
        assert_eq!(left(&ran).as_deref(), Some("half\nand notes\n"), "{above}");
        std::fs::remove_file(ran.path("o/x.failed")).unwrap();
        TestJob::again(ran).arg("job.toml").run().exit(3);
    }
    // What another job has made, in a call of its own.
    let ran = job("values = ['x.failed']", "argv = ['echo', 'whole']\nstdout = 'o/{input}'").run();
    ran.exit(0);
    let text = "name = 'other'\n[inputs]\nvalues = ['x']\n[workload.command]\nargv = ['false']\nstdout = 'o/{input}'\n";
    let ran = TestJob::again(ran).file("job.toml", text).arg("job.toml").run();
    ran.exit(3);
    assert_eq!(std::fs::read_to_string(ran.path("o/x.failed")).unwrap(), "whole\n");
}

#[test]
fn a_failure_leaves_a_good_file_alone() {
    let ran = job("values = [\"a\"]", "shell = 'echo half; exit 1'\nstdout = \"good-{input}.txt\"")
        .file("good-a.txt", "yesterday")
        .run();
    ran.exit(3);
    assert_eq!(std::fs::read_to_string(ran.path("good-a.txt")).unwrap(), "yesterday");
    assert_eq!(std::fs::read_to_string(ran.path("good-a.txt.failed")).unwrap(), "half\n");
    assert_eq!(
        std::fs::read_dir(ran.folder())
            .unwrap()
            .filter(|entry| {
                entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part")
            })
            .count(),
        0
    );
}

#[test]
fn a_retry_that_is_ok_leaves_no_failure_behind() {
    let ran = job(
        "values = [\"a\"]",
        "shell = 'echo $RUNNER_ATTEMPT; test $RUNNER_ATTEMPT = 2'\nstdout = \"{input}.txt\"\n\
         [retry]\nmax_attempts = 2\ndelay = \"1ms\"",
    )
    .run();
    ran.exit(0);
    assert_eq!(std::fs::read_to_string(ran.path("a.txt")).unwrap(), "2\n");
    assert!(!ran.path("a.txt.failed").exists());
}

#[test]
fn an_input_leads_nowhere_else() {
    let outside = tempfile::tempdir().unwrap();
    let test = job(
        "values = [\"../escaped\", \"/tmp/x\", \"link/x\", \"ok\"]",
        "argv = [\"echo\", \"x\"]\nstdout = \"in/{input}.txt\"",
    );
    std::fs::create_dir(test.folder().join("in")).unwrap();
    std::os::unix::fs::symlink(outside.path(), test.folder().join("in/link")).unwrap();
    let ran = test.run();
    ran.exit(3).rows("status,attempts", &["failed,1", "ok,1", "failed,1", "ok,1"]);
    let errors = ran.report().column("error");
    assert!(errors[0].contains("`in/../escaped.txt`: it leads out of `in/`"), "{}", errors[0]);
    assert!(errors[2].contains("a link leads out of"), "{}", errors[2]);
    assert!(!ran.path("escaped.txt").exists() && ran.path("in/tmp/x.txt").exists());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn what_a_pattern_finds_elsewhere_may_be_written_beside() {
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("a.txt"), "x").unwrap();
    let pattern = format!("glob = \"{}/*.txt\"", other.path().display());
    let ran = job(&pattern, "argv = [\"cat\", \"{input}\"]\nstdout = \"{input}.out\"").run();
    ran.exit(0);
    assert_eq!(std::fs::read_to_string(other.path().join("a.txt.out")).unwrap(), "x");
}

#[test]
fn two_tasks_do_not_write_one_file() {
    let ran = job(
        "values = [\"a/x\", \"b/x\", \"c/y\"]",
        "argv = [\"echo\", \"{input}\"]\nstdout = \"out/{input.name}\"",
    )
    .arg("-j1")
    .run();
    ran.exit(3).rows("status", &["ok", "failed", "ok"]);
    let error = &ran.report().column("error")[1];
    assert!(error.contains("`out/x`: task 1 writes it already"), "{error}");
    assert_eq!(std::fs::read_to_string(ran.path("out/x")).unwrap(), "a/x\n");
}

#[test]
fn stages_and_jobs_do_not_write_one_file_either() {
    let stages = r#"
        [inputs]
        values = ["a"]
        [[stages]]
        name = "one"
        [stages.workload.command]
        shell = 'echo one; echo e >&2'
        stderr = "{input}.txt"
        [[stages]]
        name = "two"
        [stages.workload.command]
        argv = ["cat"]
        stdout = "{input}.txt"
    "#;
    let ran = TestJob::new(stages).run();
    ran.exit(3).rows("status,stage", &["failed,two"]);
    assert!(ran.report().column("error")[0].contains("another stage"));
    let second = "[inputs]\nvalues = [\"a\"]\n[workload.command]\nargv = [\"echo\", \"2\"]\nstdout = \"{input}.txt\"\n";
    let ran = job("values = [\"a\"]", "argv = [\"echo\", \"1\"]\nstdout = \"{input}.txt\"")
        .file("second.toml", second)
        .arg("second.toml")
        .run();
    ran.exit(3);
    let error = &ran.report_of("second").column("error")[0];
    assert!(error.contains("task 1 of the job `job` writes it already"), "{error}");
}

#[test]
fn nothing_is_written_over_an_input() {
    let ran = job("values = [\"a.txt\"]", "argv = [\"sort\", \"{input}\"]\nstdout = \"{input}\"")
        .file("a.txt", "b\na\n")
        .run();
    ran.exit(3);
    assert!(ran.report().column("error")[0].contains("`a.txt`: it is the task's own input"));
    assert_eq!(std::fs::read_to_string(ran.path("a.txt")).unwrap(), "b\na\n");
    let ran = job("lines = \"list.txt\"", "argv = [\"echo\", \"x\"]\nstdout = \"{input}.txt\"")
        .file("list.txt", "list\n")
        .run();
    ran.exit(3);
    assert!(ran.report().column("error")[0].contains("`list.txt`: the job reads it"));
    let ran =
        job("values = [\"job\"]", "argv = [\"echo\", \"x\"]\nstdout = \"results/{input}.csv\"")
            .run();
    ran.exit(3);
    assert!(ran.report().column("error")[0].contains("a file of the job's report"));
}

#[test]
fn what_is_wrong_for_every_task_is_told_before_the_first() {
    for (stdout, words) in [
        ("out/", "names a folder"),
        ("folder", "it is a folder"),
        ("same.txt", "all 2 tasks would write to `same.txt`"),
        ("job.toml", "the job reads it"),
        (&"x".repeat(300), "has 300 bytes"),
    ] {
        let test = job("values = [1, 2]", &format!("argv = [\"echo\"]\nstdout = \"{stdout}\""));
        std::fs::create_dir(test.folder().join("folder")).unwrap();
        let ran = test.run();
        ran.exit(2).stderr_has(words);
    }
    job("values = [1, 2]", "argv = [\"echo\"]\nstdout = \"/dev/null\"").run().exit(0);
    let long = format!("values = [\"{}\"]", "x".repeat(300));
    let ran = job(&long, "argv = [\"touch\", \"ran\"]\nstdout = \"{input}\"").run();
    ran.exit(3);
    assert!(ran.report().column("error")[0].contains("the name has 300 bytes"));
    assert!(!ran.path("ran").exists());
}

#[test]
fn a_link_and_a_mode_are_kept() {
    use std::os::unix::fs::PermissionsExt;
    let test = job("values = [\"a\"]", "argv = [\"echo\", \"new\"]\nstdout = \"{input}.txt\"")
        .file("real.txt", "old");
    let real = test.folder().join("real.txt");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("real.txt", test.folder().join("a.txt")).unwrap();
    let ran = test.run();
    ran.exit(0);
    assert_eq!(std::fs::read_to_string(ran.path("real.txt")).unwrap(), "new\n");
    assert!(std::fs::symlink_metadata(ran.path("a.txt")).unwrap().is_symlink());
    assert_eq!(
        std::fs::metadata(ran.path("real.txt")).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_linked_folder_is_the_folder_it_leads_to() {
    let linked = |inputs: &str, command: &str| {
        let test = job(inputs, command);
        std::fs::create_dir_all(test.folder().join("lk/real")).unwrap();
        std::os::unix::fs::symlink("real", test.folder().join("lk/alias")).unwrap();
        test
    };
    let both = "values = [\"real\", \"alias\"]";
    let ran = linked(both, "argv = [\"echo\", \"{input}\"]\nstdout = \"lk/{input}/new/x.txt\"")
        .args(["--concurrency", "1"])
        .run();
    ran.exit(3).rows("status", &["ok", "failed"]);
    let errors = ran.report().column("error");
    assert_eq!(errors[1], "cannot write `lk/alias/new/x.txt`: task 1 writes it already");
    assert_eq!(std::fs::read_to_string(ran.path("lk/real/new/x.txt")).unwrap(), "real\n");

    let made = format!(
        "creates = \"lk/{{input}}/z.txt\"\n[inputs]\n{both}\n[workload.command]\nshell = 'echo $input > $creates'\n"
    );
    let test = TestJob::new(&made);
    std::fs::create_dir_all(test.folder().join("lk/real")).unwrap();
    std::os::unix::fs::symlink("real", test.folder().join("lk/alias")).unwrap();
    let ran = test.args(["--concurrency", "1"]).run();
    ran.exit(3).rows("status", &["ok", "failed"]);
    assert!(ran.report().column("error")[1].contains("task 1 writes it already"));

    let ran = linked(
        "values = [\"a\"]",
        "shell = 'echo out; echo err >&2'\nstdout = \"lk/real/s{input}\"\nstderr = \"lk/alias/s{input}\"",
    )
    .run();
    ran.exit(0);
    assert_eq!(std::fs::read_to_string(ran.path("lk/real/sa")).unwrap(), "out\nerr\n");
}

#[test]
fn a_linked_folder_does_not_hide_the_report() {
    let names = [
        "job.csv",
        "job.csv.partial",
        ".job.state",
        "summary.csv",
        ".job.status.json",
        ".summary.lock",
        "job.limit.csv",
    ];
    let test = job(
        &format!("values = {names:?}"),
        "argv = [\"echo\", \"{input}\"]\nstdout = \"lnk/{input}\"",
    );
    std::fs::create_dir_all(test.folder().join("results")).unwrap();
    std::os::unix::fs::symlink("results", test.folder().join("lnk")).unwrap();
    let ran = test.run();
    ran.exit(3).rows("status", &["failed"; 7]);
    for error in ran.report().column("error") {
        assert!(error.contains("it is a file of the job's report"), "{error}");
    }
}

#[test]
fn no_input_is_written_over_by_another_task() {
    for model in MODELS {
        let test = job(
            "glob = { pattern = [\"d/*\", \"./e/**/x*\"], except = \"d/*.old\" }",
            "argv = [\"tr\", \"a-z\", \"A-Z\"]\nstdin_file = \"{input}\"\nstdout = \"{input}.out\"",
        );
        let files = ["d/a", "d/a.out", "d/b", "d/b.out.old", "e/x", "e/y"];
        let test = files.iter().fold(test, |test, file| test.file(file, "keep me\n"));
        std::fs::rename(test.folder().join("d/b.out.old"), test.folder().join("d/b.old")).unwrap();
        let ran = test.args(["--model", model, "-j", "1"]).run();
        ran.exit(3).rows(
            "input,status,error",
            &[
                "d/a,failed,cannot write `d/a.out`: it is one of the inputs",
                "d/a.out,ok,",
                "d/b,ok,",
                "./e/x,ok,",
            ],
        );
        assert_eq!(std::fs::read_to_string(ran.path("d/a.out")).unwrap(), "keep me\n", "{model}");
    }
}

#[test]
fn no_input_of_a_matrix_is_written_over() {
    let test = job(
        "matrix = { y = [\"b\"], f = { glob = \"d/*\" } }",
        "argv = [\"cat\", \"{f}\"]\nstdout = \"d/{y}.txt\"",
    );
    let ran = test.file("d/a.txt", "a\n").file("d/b.txt", "keep me\n").run();
    let errors = ["one of the inputs", "the task's own input"];
    let errors = errors.map(|why| format!("cannot write `d/b.txt`: it is {why}"));
    ran.exit(3).rows("error", &errors.each_ref().map(String::as_str));
    assert_eq!(std::fs::read_to_string(ran.path("d/b.txt")).unwrap(), "keep me\n");
}
