//! Mistakes in job files: each one clear message at its place, all of them together, exit 2, and nothing run.

use std::fs;

use crate::support::{Ran, TestJob};

const WORK: &str = "[workload.compute]\nfunction = \"count_down\"\narg = 1\n";

/// A job file that is refused: exit 2, these texts on standard error, and nothing written.
#[track_caller]
fn refused(text: &str, says: &[&str]) -> Ran {
    let ran = TestJob::new(text).run();
    ran.exit(2);
    for part in says {
        ran.stderr_has(part);
    }
    assert!(!ran.path("results").exists(), "nothing is run, nothing is written");
    ran
}

#[test]
fn no_file_is_a_usage_error() {
    TestJob::empty().run().exit(2).stderr_has("no job files here").stderr_has("runner --help");
}

#[test]
fn a_missing_file_a_directory_an_empty_file() {
    TestJob::empty()
        .arg("missing.toml")
        .run()
        .exit(2)
        .stderr_has("missing.toml")
        .stderr_has("no such file");
    TestJob::empty().file("d/x", "").arg("d").run().exit(2).stderr_has("directory");
    refused("", &["job.toml", "workload"]);
}

#[test]
fn a_file_that_is_not_utf_8_is_said_with_its_place() {
    let ran = TestJob::empty()
        .file("job.toml", b"name = \"a\"\ndescription = \"\xff\"\n")
        .arg("job.toml")
        .run();
    ran.exit(2).stderr_has("job.toml").stderr_has("UTF-8").stderr_has("2");
}

#[test]
fn every_syntax_error_is_said() {
    let text = "model = \n[inputs\nrepeat = 3\n[workload.compute]\nfunction = count_down\n";
    let ran = refused(text, &["job.toml:1:", "job.toml:2:", "job.toml:5:"]);
    assert_eq!(ran.stderr().matches("error").count(), 3, "{}", ran.stderr());
}

#[test]
fn a_misspelt_key_gets_a_suggestion_at_its_place() {
    let text = format!("[inputs]\nrepeat = 3\n{WORK}[limits]\nconcurency = 4\n");
    refused(&text, &["job.toml:7:1", "unknown key `concurency`", "did you mean `concurrency`?"]);
}

#[test]
fn all_mistakes_of_all_files_are_reported_together() {
    let ran = TestJob::empty()
        .file("a.toml", format!("modle = \"async\"\n[inputs]\nrepeat = \"x\"\n{WORK}"))
        .file("b.toml", format!("[limits]\ntimeout = \"10 parsecs\"\n{WORK}"))
        .file("c.toml", WORK)
        .args(["a.toml", "b.toml", "c.toml"])
        .run();
    ran.exit(2)
        .stderr_has("a.toml:1:1")
        .stderr_has("a.toml:3:10")
        .stderr_has("b.toml:2:11")
        .stderr_has("10 parsecs");
    assert!(!ran.path("results").exists());
}

#[test]
fn values_of_the_wrong_type_or_range() {
    refused(&format!("[limits]\nconcurrency = 0\n{WORK}"), &["job.toml:2:15", "above 0"]);
    refused(
        &format!("[limits]\nconcurrency = 9223372036854775807\n{WORK}"),
        &["job.toml:2:15", "million"],
    );
    refused(&format!("[limits]\nconcurrency = \"many\"\n{WORK}"), &["job.toml:2:15", "cores"]);
    refused(&format!("[limits]\ntimeout = 5\n{WORK}"), &["job.toml:2:11"]);
    refused(&format!("model = \"thread\"\n{WORK}"), &["job.toml:1:9", "threads"]);
    refused(&format!("name = \"a/b\"\n{WORK}"), &["job.toml:1:8"]);
    refused(&format!("name = \"summary\"\n{WORK}"), &["job.toml:1:8", "the report of all jobs"]);
}

#[test]
fn one_source_and_one_workload() {
    refused(&format!("[inputs]\nrepeat = 3\nvalues = [1]\n{WORK}"), &["repeat", "values", "one"]);
    refused(&format!("{WORK}[workload.sleep]\nduration = \"1s\"\n"), &["compute", "sleep", "one"]);
    refused("[inputs]\nrepeat = 3\n", &["workload"]);
    refused("[workload.comand]\nargv = [\"true\"]\n", &["comand", "command"]);
}

#[test]
fn templates_are_checked_when_the_file_is_read() {
    let job = |argument: &str| {
        format!("[inputs]\nvalues = [1]\n[workload.command]\nargv = [\"echo\", \"{argument}\"]\n")
    };
    refused(&job("{inptu}"), &["job.toml:4:", "inptu", "input"]);
    refused(&job("{input"), &["job.toml:4:", "brace"]);
    refused(&job("{input.stm}"), &["job.toml:4:", "stem"]);
    let braces = TestJob::new(&job("{{{input}}}")).run();
    braces.exit(0).rows("result", &["{1}"]);
}

#[test]
fn a_program_that_is_missing_is_one_error_not_ten_thousand_rows() {
    refused(
        "[inputs]\nrepeat = 10000\n[workload.command]\nargv = [\"no-such-program-here\"]\n",
        &["job.toml:4:", "no-such-program-here"],
    );
}

#[test]
fn a_regex_that_does_not_compile() {
    refused(&format!("{WORK}[columns.n]\nregex = \"(\"\n"), &["job.toml:5:9", "regex"]);
}

#[test]
fn a_column_that_the_report_has_already() {
    refused(&format!("{WORK}[columns.status]\nregex = \"x\"\n"), &["status"]);
}

#[test]
fn two_jobs_of_one_name() {
    let ran = TestJob::empty()
        .file("a.toml", format!("name = \"same\"\n{WORK}"))
        .file("b.toml", format!("name = \"same\"\n{WORK}"))
        .args(["a.toml", "b.toml"])
        .run();
    ran.exit(2).stderr_has("same").stderr_has("b.toml").stderr_has("a.toml");
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let ran = TestJob::new("\"a\\u001b[31m\" = 1\n").run();
    assert!(!ran.exit(2).stderr().contains('\x1b'), "{:?}", ran.stderr());
}

#[test]
fn set_reaches_every_key() {
    let text = format!("[inputs]\nrepeat = 3\n{WORK}");
    let ran = TestJob::new(&text)
        .args(["--set", "inputs.values=[4, 5]", "--set", "workload.compute.function=factorial"])
        .args(["--set", "workload.compute.arg={input}", "--set", "limits.timeout=5s"])
        .args(["--set", "name=other", "--set", "report.dialect=excel"])
        .run();
    ran.exit(0);
    let bytes = fs::read(ran.path("results/other.csv")).unwrap();
    assert!(bytes.starts_with(b"\xef\xbb\xbftask,input,"), "{}", String::from_utf8_lossy(&bytes));
    assert_eq!(ran.summary("other")["tasks"], "2");
}

#[test]
fn a_mistake_in_set_points_at_it() {
    let text = format!("[inputs]\nrepeat = 3\n{WORK}");
    TestJob::new(&text)
        .args(["--set", "limits.timeout=soon"])
        .run()
        .exit(2)
        .stderr_has("--set")
        .stderr_has("limits.timeout=soon");
    TestJob::new(&text)
        .args(["--set", "limits.timeuot=5s"])
        .run()
        .exit(2)
        .stderr_has("did you mean `timeout`?");
    TestJob::new(&text).args(["--set", "limits"]).run().exit(2).stderr_has("KEY=VALUE");
}
