//! Mistakes in job files, each told at its place.

use super::*;

#[test]
fn a_mistake_in_an_argument_points_at_it() {
    let files = Files::new(SLEEP).job("b.toml", SLEEP).set("limits.timeout=10 parsecs");
    let expected = "\
error: `timeout`: `10 parsecs` is not a duration; write for example \"500ms\", \"30s\" or \"1m 30s\"
 --> command line:1:22
  |
1 | --set limits.timeout=10 parsecs
  |                      ^^^^^^^^^^

";
    assert_eq!(files.errors(), expected);
    let mut files = Files::new(SLEEP).set("limts.timeout=5s");
    files.overrides.concurrency = Some("0".into());
    files.overrides.model = Some("thread".into());
    assert_eq!(
        files.messages(),
        [
            "unknown key `limts`",
            "`model` must be `sequential`, `threads`, `async`, `processes` or `auto`, not `thread`",
            "`concurrency` must be an integer above 0 (at most a million), \"cores\", a share of them such as \"50%\", or a range such as \"4..200\", not the integer `0`",
        ]
    );
}

#[test]
fn all_mistakes_of_all_files_are_told() {
    let files =
        Files::new(&format!("modle = \"async\"\ntimeout = 1\n{SLEEP}[limits]\nconcurency = 4\n"))
            .job(
                "b.toml",
                "[workload.sleep]\nduration = \"{x}\"\nneeds = 1\n[needs]\nmax_attempts = 2\n",
            )
            .job("c.toml", "")
            .job("sub", "");
    fs::remove_file(files.folder.path().join("sub")).unwrap();
    fs::create_dir(files.folder.path().join("sub")).unwrap();
    let expected = "\
error: unknown key `modle`
 --> a.toml:1:1
  |
1 | modle = \"async\"
  | ^^^^^
  |
  = help: did you mean `model`?

error: unknown key `timeout`
 --> a.toml:2:1
  |
2 | timeout = 1
  | ^^^^^^^
  |
  = help: it belongs in `[limits]`

error: unknown key `concurency`
 --> a.toml:6:1
  |
6 | concurency = 4
  | ^^^^^^^^^^
  |
  = help: did you mean `concurrency`?

error: unknown field `x`
 --> b.toml:2:13
  |
2 | duration = \"{x}\"
  |             ^^^
  |
  = help: this job's inputs have no fields; there is `{task}`, `{attempt}`, `{job}`, `{slot}`

error: unknown key `needs`
 --> b.toml:3:1
  |
3 | needs = 1
  | ^^^^^
  |
  = help: it belongs above the first `[table]` of the file

error: `needs` must be an array, not a table
 --> b.toml:4:1
  |
4 | [needs]
  | ^^^^^^^

error: `c.toml` is empty
 |
 = help: a job needs at least `[workload.command]` with `argv = [\"…\"]`

error: failed to read `sub`: is a directory

";
    assert_eq!(files.errors(), expected);
}

#[test]
fn every_bad_line_is_told_once() {
    let text = "name = \nmodel = \"async\n[inputs\nrepeat = 3\nlimit = = 4\n[workload.sleep]\nduration = \"1s\"\n";
    let errors = Files::new(text).errors();
    let places: Vec<_> = errors.lines().filter_map(|line| line.split_once("--> ")).collect();
    let lines: Vec<_> = places.iter().map(|(_, place)| &place[.."a.toml:1".len()]).collect();
    assert_eq!(lines, ["a.toml:1", "a.toml:2", "a.toml:3", "a.toml:5"], "{errors}");
}

#[test]
fn two_of_what_there_is_one_of_name_both_places() {
    let text = format!(
        "[inputs]\nrepeat = 3\nlines = \"x\"\n{SLEEP}[workload.compute]\nfunction = \"count_down\"\narg = 1\n"
    );
    let errors = Files::new(&text).errors();
    assert!(
        errors.starts_with(
            "\
error: `[inputs]` has two sources, `repeat` and `lines`
 --> a.toml:3:1
  |
2 | repeat = 3
  | ------ first
3 | lines = \"x\"
  | ^^^^^ second
  |
  = help: a job has one; leave one out, or make it two jobs
"
        ),
        "{errors}"
    );
    assert_eq!(errors.matches("error:").count(), 2, "{errors}");
}

#[test]
fn mistakes() {
    for (text, messages) in [
        (
            "[inputs]\nrepeat = -1",
            &["`repeat` must be an integer of 0 or more, not the integer `-1`"][..],
        ),
        ("[inputs]\nlimit = 1", &["`[inputs]` has no source"]),
        ("[inputs]\nlimit = 1\nrepaet = 2", &["unknown key `repaet`"]),
        ("[inputs]\njob = \"x\"", &["unknown job `x`: none of the files has this name"]),
        ("inputs = 3", &["`inputs` must be a table, not the integer 3"]),
        ("[inputs]\nlines = \"nowhere\"", &["failed to read `nowhere`: no such file or directory"]),
        ("[inputs]\ncsv = \".\"", &["failed to read `.`: is a directory"]),
        (
            "[inputs]\njsonl = \"two.csv\"",
            &["`two.csv` line 1: not JSON: expected value (column 1)"],
        ),
        (
            "[inputs]\nlines = \"-\"\nshuffle = 1",
            &["standard input cannot be shuffled: it can be read only once"],
        ),
        ("[inputs]\nrepeat = 1\nnull = true", &["`null` goes with `lines` only"]),
        (
            "[inputs]\nglob = \"a[\"",
            &["`a[` is not a pattern: its `[` is not closed: `[[]` is the character"],
        ),
        ("[inputs]\nrange = { from = 1 }", &["`[inputs.range]` has no `to`"]),
        ("[inputs]\nrange = { from = 1, to = 2, step = 0 }", &["a step of 0 never gets there"]),
        ("[inputs]\nrange = { from = 1, to = inf }", &["`to` must be a finite number, not inf"]),
        (
            "[inputs]\nrange = { from = 1, to = \"x\" }",
            &["`to` must be a number, not the string \"x\""],
        ),
        ("[inputs]\nvalues = [1, { a = 1 }]", &["`values` has scalars and tables"]),
        (
            "[inputs]\nvalues = [[1]]",
            &["an input must be a string, a number, a boolean or a table, not an array"],
        ),
        ("[inputs]\nvalues = [{ a = 1 }, { b = 1 }]", &["the first table has no `b`"]),
        ("[inputs]\nzip = { a = [1], b = [] }", &["`b` has 0 values, `a` has 1"]),
        ("[inputs]\nmatrix = { a = 1 }", &["`a` must be an array, not the integer 1"]),
        ("[inputs]\nrepeat = 1\nwhere = \"inptu == 1\"", &["unknown field `inptu`"]),
        (
            "[limits]\nconcurrency = 0",
            &[
                "`concurrency` must be an integer above 0 (at most a million), \"cores\", a share of them such as \"50%\", or a range such as \"4..200\", not the integer `0`",
            ],
        ),
        (
            "[limits]\ntimeout = 5",
            &["`timeout` must be a duration above 0 such as \"30s\", not the integer `5`"],
        ),
        ("[columns.a]\nregex = \"(\"", &["regex does not compile: unclosed group"]),
        ("[columns.a]\njson = \"$.a\"", &["`$.a` is not a JSON pointer"]),
        ("[columns.a]\njson = \"/a\"\nregex = \"a\"", &["column `a` has both `regex` and `json`"]),
        ("[columns.a]", &["column `a` has no rule"]),
        ("[columns.a]\nheader = \"x\"", &["`sleep` has no headers, only `http` has"]),
        ("[columns.status]\nregex = \"a\"", &["the report has a column `status` already"]),
        (
            "[inputs]\nrepeat = 1\n[columns.input]\nregex = \"a\"",
            &["the report has the input field `input` already"],
        ),
        (
            "[report]\ndialect = \"tsv\"",
            &["`dialect` must be `csv`, `excel` or `excel-semicolon`, not `tsv`"],
        ),
        ("name = \"a b\"", &["`name`: invalid job name `a b`: use letters, digits, `_` and `-`"]),
        (
            "name = \"summary\"",
            &["`name`: `summary` is the name of the report of all jobs; choose another"],
        ),
        ("description = 3", &["`description` must be a string, not the integer `3`"]),
    ] {
        let tables = text.find('[').unwrap_or(text.len());
        let (top, rest) =
            text.split_at(if text.starts_with("inputs") { text.len() } else { tables });
        let files = Files::new(&format!("{top}\n{rest}\n{SLEEP}")).file("two.csv", "x,x\n");
        assert_eq!(files.messages(), messages, "{text}");
    }
}

#[test]
fn mistakes_in_sources() {
    for (text, messages) in [
        (
            "[inputs]\ncsv = { file = \"two.csv\", delimiter = \";;\" }",
            &["`delimiter` must be one ASCII character, not the string \";;\""][..],
        ),
        (
            "[inputs]\ncsv = { file = \"two.csv\", encoding = \"utf-9\" }",
            &["`utf-9` is not a known encoding"],
        ),
        (
            "[inputs]\nlines = { file = \"two.csv\", null = true, separator = \",\" }",
            &["`null` and `separator` both say what ends an input"],
        ),
        (
            "[inputs]\nlines = { file = \"two.csv\", regex = \"x\" }",
            &["`regex` has no named group"],
        ),
        (
            "[inputs]\nsheet = \"two.csv\"",
            &["`two.csv`: is not a workbook: `csv` reads tables of text"],
        ),
        ("[inputs]\nrepeat = 3\nbatch = 0", &["`batch` must be above 0"]),
        ("[inputs]\nrepeat = 3\n[fields.x]\nvalue = \"{x}\"", &["the field `x` needs itself"]),
        (
            "[inputs]\nmatrix = { a = [1], b = { lines = \"empty\" } }",
            &["`b` is empty, so there is no combination"],
        ),
    ] {
        let files =
            Files::new(&format!("{text}\n{SLEEP}")).file("two.csv", "x,x\n").file("empty", "");
        assert_eq!(files.messages(), messages, "{text}");
    }
}

#[test]
fn mistakes_in_limits_and_retries() {
    for (text, messages) in [
        (
            "[limits]\nrate = \"fast\"",
            &["`rate`: `fast` is not a rate; write for example \"50/s\", \"100/m\" or \"0.5/s\""][..],
        ),
        ("[limits]\nburst = 3", &["`burst` says nothing without a `rate`"]),
        ("[limits]\nper_host = 3", &["`per_host` is for `http`, and the workload is `sleep`"]),
        (
            "[limits]\nstop_after_failures = 0",
            &[
                "`stop_after_failures` must be an integer above 0 or a share such as \"5%\", not the integer `0`",
            ],
        ),
        ("[limits]\non_stop = \"stop\"", &["`on_stop` must be `drain` or `kill`, not `stop`"]),
        (
            "[limits]\nmin_free_memory = \"much\"",
            &["`min_free_memory`: `much` is not a size; write for example \"64KiB\" or \"1MB\""],
        ),
        (
            "[limits]\nmax_load = \"much\"",
            &[
                "`max_load` must be a number above 0, or a share of the cores such as \"80%\", not `much`",
            ],
        ),
        (
            "[retry]\nmax_attempts = 0",
            &["`max_attempts` must be an integer above 0, not the integer `0`"],
        ),
        (
            "[retry]\ndelay = \"3s\"\nmax_delay = \"1s\"",
            &["`max_delay` must not be below `delay`, 3s"],
        ),
        (
            "[retry]\non = [\"failed\", \"fail\", \"exit:75\", \"http:429\"]",
            &[
                "`on` must be of `failed`, `timeout`, `crashed`, `exit:75`, `http:429`, `http:5xx` and the like, not `fail`",
            ],
        ),
        (
            "[retry]\non = [\"failed\", \"exit:75\", \"http:429\"]",
            &["`exit:75` never happens to a `sleep`", "`http:429` never happens to a `sleep`"],
        ),
        ("[retry]\non = []", &["`on` names nothing to retry"]),
    ] {
        assert_eq!(Files::new(&format!("{text}\n{SLEEP}")).messages(), messages, "{text}");
    }
}

#[test]
fn a_cause_of_retries_that_is_none_is_told_at_its_place() {
    let errors = Files::new(&format!("[retry]\non = [\"failed\", \"never\"]\n{SLEEP}")).errors();
    assert!(errors.contains("--> a.toml:2:17"), "{errors}");
    let errors = Files::new(&format!("[retry]\non = [\"failed\", \"exit:1\"]\n{SLEEP}")).errors();
    assert!(errors.contains("--> a.toml:2:17"), "{errors}");
}

#[test]
fn workloads_are_needed_and_known() {
    for (text, messages) in [
        ("model = \"async\"", &["`a.toml` has no workload"][..]),
        ("[workload]", &["`[workload]` has no kind"]),
        ("[workload.slep]", &["unknown key `slep`"]),
        ("[workload.python]\nfunction = \"x\"", &["`x` does not name a function"]),
        ("[[stages]]\nname = \"x\"", &["the stage has no workload"]),
    ] {
        assert_eq!(Files::new(text).messages(), messages, "{text}");
    }
}

#[test]
fn a_mistake_in_the_inputs_is_not_told_again_at_every_placeholder() {
    let text = "[inputs]\ncsv = \"nowhere.csv\"\n[workload.sleep]\nduration = \"{x}\"\n";
    assert_eq!(
        Files::new(text).messages(),
        ["failed to read `nowhere.csv`: no such file or directory"]
    );
}

#[test]
fn two_jobs_of_one_name_are_told() {
    let named = format!("name = \"a\"\n{SLEEP}");
    let files = Files::new(SLEEP).job("b.toml", &named);
    assert_eq!(files.messages(), ["two jobs are called `a`: `a.toml` and `b.toml`"]);
    assert!(files.errors().contains("b.toml:1:8"), "{}", files.errors());
    let mut files = Files::new(SLEEP);
    files.jobs.push(files.folder.path().join("./a.toml"));
    assert_eq!(files.messages(), ["`./a.toml` is given twice"]);
    let files =
        Files::inputs("lines = \"-\"").job("b.toml", &format!("[inputs]\nlines = \"-\"\n{SLEEP}"));
    assert_eq!(files.messages(), ["two jobs read standard input, `a` and `b`"]);
}

#[test]
fn a_file_that_is_no_text_is_told_with_its_line() {
    let files = Files::new("").file("a.toml", b"name = \"a\"\n# \xff\n");
    assert_eq!(files.messages(), ["`a.toml` is not UTF-8: line 2 is the first that is not"]);
    let mut files = Files::new(SLEEP);
    files.jobs = vec![files.folder.path().join("nowhere.toml")];
    assert_eq!(files.messages(), ["failed to read `nowhere.toml`: no such file or directory"]);
    let files = Files::new(SLEEP).job("a b.toml", SLEEP);
    assert_eq!(files.messages().len(), 1);
}
