//! Reading whole files: what a job file comes to, and what is said of one that is wrong.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::diagnostic::Diagnostics;

/// A folder of files and the arguments of a call.
struct Files {
    folder: tempfile::TempDir,
    jobs: Vec<PathBuf>,
    overrides: Overrides,
}

/// A workload that every test can use.
const SLEEP: &str = "[workload.sleep]\nduration = \"1ms\"\n";

impl Files {
    /// A job file `a.toml` with this text.
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, jobs: Vec::new(), overrides: Overrides::default() }.job("a.toml", text)
    }

    /// A job file of these inputs, which sleeps.
    fn inputs(inputs: &str) -> Self {
        Self::new(&format!("[inputs]\n{inputs}\n{SLEEP}"))
    }

    fn job(mut self, name: &str, text: &str) -> Self {
        self.jobs.push(self.folder.path().join(name));
        self.file(name, text)
    }

    fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn set(mut self, set: &str) -> Self {
        self.overrides.set.push(set.into());
        self
    }

    fn read(&self) -> Result<Vec<Job>, Diagnostics> {
        read(&self.jobs, &self.overrides)
    }

    fn plan(&self) -> Job {
        match self.read() {
            Ok(mut jobs) => jobs.remove(0),
            Err(errors) => panic!("{errors}"),
        }
    }

    /// What is wrong, as it is shown.
    fn errors(&self) -> String {
        let shown = self.read().expect_err("it is wrong").to_string();
        shown.replace(&format!("{}/", self.folder.path().display()), "")
    }

    /// What is wrong, a message each.
    fn messages(&self) -> Vec<String> {
        let Err(errors) = self.read() else { return vec!["nothing is wrong".into()] };
        let folder = format!("{}/", self.folder.path().display());
        errors.iter().map(|error| error.message().replace(&folder, "")).collect()
    }

    /// The rows of the inputs, their values joined by `|`; an error as its message.
    fn rows(&self) -> Vec<String> {
        let reader = match self.plan().inputs.open() {
            Ok(reader) => reader,
            Err(error) => return vec![error.to_string()],
        };
        let shown = |row: Result<Fields, InputError>| match row {
            Ok(fields) => fields.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join("|"),
            Err(error) => error.to_string(),
        };
        reader.map(shown).collect()
    }
}

#[test]
fn every_source_yields_its_inputs() {
    for (inputs, fields, rows) in [
        (
            "values = [1, 0.10, \"x\", true, 1_000]",
            "input",
            &["1", "0.10", "x", "true", "1000"][..],
        ),
        ("values = [{ a = 1, b = \"x\" }, { b = 2 }]", "a b", &["1|x", "|2"]),
        ("range = { from = 1, to = 2, step = 0.5 }", "input", &["1.0", "1.5", "2.0"]),
        ("range = { from = 3, to = 1, step = -1 }", "input", &["3", "2", "1"]),
        ("repeat = 3", "input", &["1", "2", "3"]),
        ("matrix = { z = [0.10, 1], a = [1, 2] }", "z a", &["0.10|1", "0.10|2", "1|1", "1|2"]),
        ("zip = { z = [1, 2], a = [\"x\", \"y\"] }", "z a", &["1|x", "2|y"]),
        ("lines = \"lines.txt\"", "input", &["one", "two"]),
        ("lines = \"nul.txt\"\nnull = true", "input", &["a\nb", "c"]),
        ("csv = \"data/d.csv\"", "x y", &["1|2", "3|"]),
        ("jsonl = \"d.jsonl\"", "a b", &["1.50|[1]", "|x"]),
        ("glob = \"data/*\"", "input", &["data/d.csv"]),
        ("values = []", "input", &[]),
    ] {
        let files = Files::inputs(inputs)
            .file("lines.txt", "one\ntwo\n")
            .file("nul.txt", "a\nb\0c")
            .file("data/d.csv", "\u{feff}x,y\n1,2\n3,\n")
            .file("d.jsonl", "{\"a\": 1.50, \"b\": [1]}\n{\"b\": \"x\"}\n");
        assert_eq!(files.rows(), rows, "{inputs}");
        assert_eq!(files.plan().fields.join(" "), fields, "{inputs}");
    }
}

#[test]
fn inputs_are_selected_in_order() {
    for (more, tasks, rows) in [
        ("limit = 2", Some(2), &["1", "2"][..]),
        ("skip = 8", Some(2), &["9", "10"]),
        ("skip = 20", Some(0), &[]),
        ("where = \"input > 5\"\nskip = 1\nlimit = 2", None, &["7", "8"]),
        ("shuffle = 7\nlimit = 0", Some(0), &[]),
    ] {
        let files = Files::inputs(&format!("repeat = 10\n{more}"));
        assert_eq!(files.rows(), rows, "{more}");
        assert_eq!(files.plan().inputs.tasks(), tasks, "{more}");
    }
}

#[test]
fn every_source_can_be_shuffled() {
    let csv = (0..50).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    let objects = (0..50).map(|n| format!("{{\"x\": {n}}}")).collect::<Vec<_>>().join("\n");
    for source in ["csv = \"d.csv\"", "jsonl = \"d.jsonl\"", "lines = \"lines\"", "glob = \"f/*\""]
    {
        let mut files = Files::inputs(&format!("{source}\nshuffle = 1"))
            .file("d.csv", format!("x\n{csv}"))
            .file("d.jsonl", &objects)
            .file("lines", &csv);
        for n in 0..50 {
            files = files.file(&format!("f/{n:02}"), "");
        }
        let shuffled = files.rows();
        let mut sorted = shuffled.clone();
        sorted.sort_by_key(|row| row.trim_start_matches("f/").parse::<u64>().unwrap());
        assert_ne!(shuffled, sorted, "{source}");
        let plain = files.set("inputs.where=\"'a' != 'b'\"");
        assert_eq!(plain.rows(), shuffled, "{source}");
        assert_eq!(sorted.len(), 50, "{source}");
    }
}

#[test]
fn a_file_that_is_bad_while_running_says_where() {
    let files = Files::inputs("csv = \"d.csv\"").file("d.csv", "x,y\n1,2\n3\n4,5\n");
    assert_eq!(files.rows(), ["1|2", "`d.csv` line 3: expected 2 columns, found 1"]);
    let files = Files::inputs("jsonl = \"d.jsonl\"").file("d.jsonl", "{\"a\": 1}\n7\n");
    assert_eq!(files.rows(), ["1", "`d.jsonl` line 2: expected an object, found a number"]);
}

#[test]
fn without_inputs_there_is_one_task() {
    let files = Files::new(SLEEP);
    assert_eq!(files.rows(), [""]);
    assert_eq!(files.plan().inputs.tasks(), Some(1));
    assert!(files.plan().fields.is_empty());
    let mut limited = Files::new(SLEEP);
    limited.overrides.limit = Some(5);
    assert_eq!(limited.rows(), [""]);
}

#[test]
fn a_job_has_what_the_file_says() {
    let text = format!(
        "name = \"j\"\ndescription = \"d\"\nmodel = \"async\"\n{SLEEP}\
         [limits]\nconcurrency = 7\ntimeout = \"30s\"\ngrace = \"1s\"\n\
         [columns.loss]\njson = \"/loss\"\n\
         [report]\ndialect = \"excel\"\norder = \"completion\"\nformula_safe = false\n"
    );
    let job = Files::new(&text).plan();
    assert_eq!((job.name.as_str(), job.description.as_deref()), ("j", Some("d")));
    assert_eq!(job.stages[0].model, Model::Async);
    assert_eq!(job.stages[0].concurrency, 7);
    assert_eq!(job.stages[0].timeout, Some(Duration::from_secs(30)));
    assert_eq!(job.stages[0].grace, Duration::from_secs(1));
    assert_eq!(job.stages[0].columns[0].name, "loss");
    let report =
        ReportSettings { dialect: Dialect::Excel, order: Order::Completion, formula_safe: false };
    assert_eq!(job.report, report);
    assert!(job.folder.is_absolute());
}

#[test]
fn the_command_line_changes_the_file() {
    let files = Files::inputs("lines = \"missing\"\nnull = true")
        .set("inputs.repeat=3")
        .set("limits.timeout=5s")
        .set("name=7")
        .set("description=true")
        .set("columns.n.regex=\\d+");
    let job = files.plan();
    assert_eq!(job.inputs.tasks(), Some(3));
    assert_eq!(job.stages[0].timeout, Some(Duration::from_secs(5)));
    assert_eq!((job.name.as_str(), job.description.as_deref()), ("7", Some("true")));
    assert_eq!(job.stages[0].columns[0].name, "n");

    let mut files = Files::inputs("repeat = 3");
    files.overrides.model = Some("processes".into());
    files.overrides.concurrency = Some("3".into());
    files.overrides.limit = Some(2);
    let job = files.plan();
    assert_eq!((job.stages[0].model, job.stages[0].concurrency), (Model::Processes, 3));
    assert_eq!(job.inputs.tasks(), Some(2));
}

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
            "`concurrency` must be an integer above 0 (at most a million) or \"cores\", not the integer `0`",
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
        ("[inputs]\njob = \"x\"", &["there is no job `x` among the files"]),
        ("inputs = 3", &["`inputs` must be a table, not the integer 3"]),
        ("[inputs]\nlines = \"nowhere\"", &["failed to read `nowhere`: no such file or directory"]),
        ("[inputs]\ncsv = \".\"", &["failed to read `.`: is a directory"]),
        ("[inputs]\ncsv = \"two.csv\"", &["`two.csv` line 1: columns 1 and 2 are both called `x`"]),
        (
            "[inputs]\njsonl = \"two.csv\"",
            &["`two.csv` line 1: not JSON: expected value (column 1)"],
        ),
        (
            "[inputs]\nlines = \"-\"\nshuffle = 1",
            &["standard input cannot be shuffled: it can be read only once"],
        ),
        ("[inputs]\nrepeat = 1\nnull = true", &["`null` goes with `lines` only"]),
        ("[inputs]\nglob = \"a[\"", &["`a[` is no pattern: unclosed character class; missing ']'"]),
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
            "[inputs]\nmatrix = { code = [1], input_code = [1] }",
            &[
                "the inputs have a field `code`, which is `input_code` in the report, and a field `input_code`",
            ],
        ),
        (
            "[limits]\nconcurrency = 0",
            &[
                "`concurrency` must be an integer above 0 (at most a million) or \"cores\", not the integer `0`",
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
        (
            "name = \"a b\"",
            &["`name`: `a b` is no name of a job: letters, digits, `_` and `-` make one"],
        ),
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
fn retries_and_limits_have_defaults() {
    let limits = "deadline = \"1h\"\nrate = \"100/m\"\nstop_after_failures = \"5%\"\non_stop = \"kill\"\nmin_free_memory = \"1GiB\"";
    let retry = "max_attempts = 3\ndelay = \"2m\"";
    let mut job = Files::new(&format!("[limits]\n{limits}\n[retry]\n{retry}\n{SLEEP}")).plan();
    assert_eq!(job.limits.deadline, Some(Duration::from_hours(1)));
    assert_eq!(job.limits.stop_after, StopAfter::Share { percent: 5.0, running: Running::Kill });
    assert_eq!(job.limits.min_free_memory, Some(ByteSize::new(1 << 30)));
    let pace = job.stages[0].pace.unwrap();
    assert_eq!((pace.rate.to_string().as_str(), pace.burst), ("100/m", 1));
    let retry = job.stages.remove(0).retry.unwrap();
    assert_eq!((retry.max_attempts, retry.max_delay), (3, Duration::from_mins(2)));
    assert_eq!(
        retry.on.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["failed", "timeout", "crashed"]
    );
    let once = Files::new(&format!("[retry]\nmax_attempts = 1\n{SLEEP}")).plan();
    assert!(once.stages[0].retry.is_none() && once.stages[0].pace.is_none());
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
