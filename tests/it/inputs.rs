//! The sources of `[inputs]`, and what is done to them before they become tasks.

use std::os::unix::ffi::OsStrExt;

use crate::support::TestJob;

/// Echoes the fields, so that `result` shows what a task was given.
fn job(inputs: &str, echo: &str) -> TestJob {
    TestJob::new(&format!(
        "[inputs]\n{inputs}\n[workload.command]\nargv = [\"printf\", \"%s\", \"{echo}\"]\n"
    ))
}

#[test]
fn values_are_scalars_or_tables() {
    job(r#"values = ["a b", 1.50, 7, true]"#, "{input}")
        .run()
        .exit(0)
        .rows("task,input,result", &["1,a b,a b", "2,1.50,1.50", "3,7,7", "4,true,true"]);
    job(r#"values = [{ a = 1, b = "x" }, { a = 2, b = "y" }]"#, "{a}-{b}")
        .run()
        .exit(0)
        .rows("a,b,result", &["1,x,1-x", "2,y,2-y"]);
    job(r"values = [1, { a = 1 }]", "x").run().exit(2);
}

#[test]
fn ranges_count_without_float_noise() {
    job("range = { from = 0, to = 0.5, step = 0.1 }", "{input}")
        .run()
        .exit(0)
        .rows("result", &["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
    job("range = { from = 3, to = 1, step = -1 }", "{input}")
        .run()
        .exit(0)
        .rows("result", &["3", "2", "1"]);
    job("range = { from = 1, to = 3, step = 0 }", "{input}").run().exit(2).stderr_has("step");
}

#[test]
fn lines_of_a_file_and_of_standard_input() {
    job("lines = \"in.txt\"", "{input}")
        .file("in.txt", "one\n two \n\nthree")
        .run()
        .exit(0)
        .rows("result,input", &["one,one", "two, two ", ",", "three,three"]);
    job("lines = \"-\"", "{input}").stdin("a\nb\n").run().exit(0).rows("result", &["a", "b"]);
    job("lines = \"-\"\nnull = true", "{input}")
        .stdin("a\nb\0c\0")
        .run()
        .exit(0)
        .rows("result", &["a\\nb", "c"]);
}

#[test]
fn a_csv_gives_a_field_per_column_and_a_bom_is_skipped() {
    let text = "\u{feff}name,size\r\n\"x, y\",3\n\"li\nne\",\"\"\"q\"\"\"\n";
    let ran = job("csv = \"in.csv\"", "{name}|{size}").file("in.csv", text).run();
    ran.exit(0).rows("name,size,result", &["x, y,3,x, y|3", "li\nne,\"q\",li\\nne|\"q\""]);
}

#[test]
fn a_ragged_csv_drains_the_job_and_keeps_what_was_done() {
    let ran = job("csv = \"in.csv\"", "{a}").file("in.csv", "a,b\n1,2\n3\n4,5\n").run();
    ran.exit(2).stderr_has("in.csv").stderr_has("line 3").rows("a,status", &["1,ok"]);
}

#[test]
fn a_csv_with_duplicate_headers_is_refused() {
    job("csv = \"in.csv\"", "x")
        .file("in.csv", "a,a\n1,2\n")
        .run()
        .exit(2)
        .stderr_has("in.csv")
        .stderr_has("`a`");
}

#[test]
fn json_lines() {
    let text = "{\"a\": 1.50, \"b\": \"x\"}\n{\"b\": null}\n{\"a\": [1, 2]}\n";
    job("jsonl = \"in.jsonl\"", "{a}{b}")
        .file("in.jsonl", text)
        .run()
        .exit(0)
        .rows("a,b", &["1.50,x", ",", "[1, 2],"]);
    let ran = job("jsonl = \"in.jsonl\"", "{a}").file("in.jsonl", "{\"a\": 1}\n[2]\n").run();
    ran.exit(2).stderr_has("in.jsonl").stderr_has("line 2").rows("a,status", &["1,ok"]);
}

#[test]
fn a_glob_takes_files_sorted_and_says_when_there_are_none() {
    let ran = job("glob = \"in/**/*.txt\"", "{input.name}|{input.stem}|{input.ext}|{input.dir}")
        .file("in/b.txt", "")
        .file("in/a.txt", "")
        .file("in/sub/c.txt", "")
        .file("in/.hidden/d.txt", "")
        .file("in/e.md", "")
        .run();
    ran.exit(0).rows(
        "input,result",
        &["in/a.txt,a.txt|a|txt|in", "in/b.txt,b.txt|b|txt|in", "in/sub/c.txt,c.txt|c|txt|in/sub"],
    );
    job("glob = \"none/*.txt\"", "x").run().exit(4);
}

#[test]
fn file_names_that_are_not_utf_8_reach_the_command_as_they_are() {
    let test = job("glob = \"in/*\"", "{input}").file("in/x", "");
    let name = std::ffi::OsStr::from_bytes(b"in/\xff y");
    std::fs::write(test.folder().join(name), "content").unwrap();
    let ran = test.args(["--set", "workload.command.argv=[\"cat\", \"{input}\"]"]).run();
    ran.exit(0).rows("result", &["", "content"]);
}

#[test]
fn a_matrix_varies_the_last_key_fastest_and_zip_goes_side_by_side() {
    job("matrix = { lr = [0.10, 0.01], seed = [1, 2] }", "{lr}/{seed}")
        .run()
        .exit(0)
        .rows("result", &["0.10/1", "0.10/2", "0.01/1", "0.01/2"]);
    job("zip = { a = [1, 2], b = [\"x\", \"y\"] }", "{a}{b}")
        .run()
        .exit(0)
        .rows("result", &["1x", "2y"]);
    job("zip = { a = [1, 2], b = [1] }", "{a}").run().exit(2).stderr_has("equally long");
}

#[test]
fn where_shuffle_skip_limit_apply_in_this_order() {
    let source = "range = { from = 1, to = 20 }";
    job(&format!("{source}\nwhere = \"input > 4 and input != 6 and input <= 9\""), "{input}")
        .run()
        .exit(0)
        .rows("task,result", &["1,5", "2,7", "3,8", "4,9"]);
    job(&format!("{source}\nskip = 3\nlimit = 2"), "{input}")
        .run()
        .exit(0)
        .rows("task,result", &["1,4", "2,5"]);
    let shuffled =
        || job(&format!("{source}\nshuffle = 7"), "{input}").run().exit(0).report().column("input");
    let mut order = shuffled();
    assert_eq!(order, shuffled(), "a seed gives one order");
    order.sort_by_key(|number| number.parse::<u32>().unwrap());
    assert_eq!(order, (1..=20).map(|number| number.to_string()).collect::<Vec<_>>());
    job(&format!("{source}\nwhere = \"inptu > 4\""), "x").run().exit(2).stderr_has("inptu");
}

#[test]
fn no_inputs_is_one_task() {
    TestJob::new("[workload.command]\nargv = [\"echo\", \"{task}-{attempt}-{job}-{slot}\"]\n")
        .run()
        .exit(0)
        .rows("task,result", &["1,1-1-job-1"]);
}

#[test]
fn fields_with_names_of_report_columns_are_prefixed() {
    job(r#"values = [{ status = "x", task = 9 }]"#, "{status}{input_task}{task}")
        .run()
        .exit(0)
        .rows("task,input_status,input_task,status,result", &["1,x,9,ok,x91"]);
}

#[test]
fn url_encoding() {
    job(r#"values = ["a b/ü&c"]"#, "{input.url}")
        .run()
        .exit(0)
        .rows("result", &["a%20b%2F%C3%BC%26c"]);
}

#[test]
fn relative_paths_start_at_the_job_file() {
    let ran = TestJob::empty()
        .file(
            "sub/job.toml",
            "[inputs]\nlines = \"in.txt\"\n[workload.command]\nargv = [\"cat\", \"{input}\"]\n",
        )
        .file("sub/in.txt", "data.txt\n")
        .file("sub/data.txt", "found")
        .arg("sub/job.toml")
        .run();
    ran.exit(0).rows("result", &["found"]);
}

#[test]
fn a_pipe_is_read_as_it_comes() {
    use std::io::Write;
    let mut running = job("lines = \"-\"", "{input}").spawn();
    let mut pipe = running.child.stdin.take().unwrap();
    pipe.write_all(b"first\n").unwrap();
    running.wait_for_file("results/job.csv.partial", |text| text.contains("first"));
    pipe.write_all(b"second\n").unwrap();
    drop(pipe);
    running.wait().exit(0).rows("result", &["first", "second"]);
}
