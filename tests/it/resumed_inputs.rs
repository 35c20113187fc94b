//! `--resume`: which inputs are those of an earlier run.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::support::{MODELS, Ran, TestJob};

/// Each task says what it has got, and on a file that it ran.
const TOLD: &str = "[workload.python]\nfunction = 'told.py:told'\n[limits]\nconcurrency = 1\n";

const TOLD_PY: &str = "import json\ndef told(input):\n    text = json.dumps(input)\n\
    \x20   print(text, file=open('ran.txt', 'a'))\n    return text\n";

/// Runs the job again in the folder of an earlier run, as if `ran.txt` had not been there.
fn again(earlier: Ran, args: &[&str]) -> Ran {
    let _ = fs::remove_file(earlier.path("ran.txt"));
    TestJob::again(earlier).arg("job.toml").args(args.iter().copied()).run()
}

fn ran(ran: &Ran) -> Vec<String> {
    let text = fs::read_to_string(ran.path("ran.txt")).unwrap_or_default();
    text.lines().map(String::from).collect()
}

/// A report has the same cell for both: what a task did with the one is not what it does with the other.
#[test]
fn a_number_is_not_the_text_that_is_written_like_it() {
    let (bare, texts) = (["1", "true", "null", "[1]"], ["\"1\"", "\"true\"", "\"\"", "\"[1]\""]);
    let toml = |values: &[&str]| format!("values = [{}]", values.join(", ").replace("null", "2"));
    let json = |values: &[&str]| {
        let objects: Vec<_> =
            values.iter().map(|value| format!("{{\"input\": {value}}}")).collect();
        (objects.join("\n"), format!("[{}]", objects.join(",")))
    };
    for model in MODELS {
        let sources = ["jsonl = 'in'", "json = 'in'", "values"];
        for source in sources.into_iter().take(if model == "threads" { 3 } else { 1 }) {
            let job = |values: &[&str]| match source {
                "values" => format!("[inputs]\n{}\n{TOLD}", toml(values)),
                _ => format!("[inputs]\n{source}\n{TOLD}"),
            };
            let input = |values: &[&str]| match source {
                "json = 'in'" => json(values).1,
                _ => json(values).0,
            };
            let (bare, texts) = match source {
                "values" => (&["1", "0.5"][..], &["\"1\"", "\"0.5\""][..]),
                _ => (&bare[..], &texts[..]),
            };
            let run = |values: &[&str], earlier: Option<Ran>| {
                let Some(earlier) = earlier else {
                    let test = TestJob::new(&job(values))
                        .file("in", input(values))
                        .file("told.py", TOLD_PY);
                    return test.args(["--model", model]).run();
                };
                fs::write(earlier.path("job.toml"), job(values)).unwrap();
                fs::write(earlier.path("in"), input(values)).unwrap();
                again(earlier, &["--resume", "--model", model])
            };
            let first = run(bare, None);
            first.exit(0).rows("result", bare);
            let same = run(bare, Some(first));
            assert_eq!(ran(&same), [""; 0], "{model}: {source}");
            let other = run(texts, Some(same));
            other.exit(0);
            assert_eq!(ran(&other), texts, "{model}: {source}");
            assert_eq!(other.report().column("result").len(), texts.len());
            // Where both are there, each has its own row, whichever comes first.
            let both: Vec<_> = bare.iter().chain(texts).copied().collect();
            let both_run = run(&both, Some(other));
            assert_eq!(ran(&both_run), bare, "{model}: {source}");
            let turned: Vec<_> = both.iter().rev().copied().collect();
            let turned_run = run(&turned, Some(both_run));
            turned_run.exit(0);
            assert_eq!(ran(&turned_run), [""; 0], "{model}: {source}");
        }
    }
}

/// Nor is a file of the one up to date for the other.
#[test]
fn a_file_of_a_number_is_made_again_for_its_text() {
    let job = |value: &str| {
        format!(
            "creates = 'made-{{input}}'\nreads = 'told.py'\n[inputs]\nvalues = [{value}]\n{TOLD}"
        )
    };
    let python = TOLD_PY.replace("return text", "open(f'made-{input}', 'w').write(text)");
    let mut last = TestJob::new(&job("1")).file("told.py", python).run();
    for (value, has_run) in [("1", false), ("'1'", true), ("'1'", false), ("1", true)] {
        last.exit(0);
        fs::write(last.path("job.toml"), job(value)).unwrap();
        last = again(last, &[]);
        assert_eq!(!ran(&last).is_empty(), has_run, "{value}");
    }
    last.exit(0);
}

/// What an older runner has written says no kinds, and is resumed by the texts, as it was.
#[test]
fn a_report_of_an_older_runner_is_still_resumed() {
    /// Where its state says that kinds are told.
    const TELLS_KINDS: u64 = 81;
    let job = format!("[inputs]\nvalues = ['a', 'b']\n{TOLD}");
    let first = TestJob::new(&job).file("told.py", TOLD_PY).run();
    first.exit(0);
    let state =
        File::options().read(true).write(true).open(first.path("results/.job.state")).unwrap();
    let mut tells = [0];
    state.read_exact_at(&mut tells, TELLS_KINDS).unwrap();
    assert_eq!(tells, [1]);
    state.write_all_at(&[0], TELLS_KINDS).unwrap();
    fs::write(first.path("job.toml"), job.replace("'b'", "'b', 7")).unwrap();
    let more = again(first, &["--resume"]);
    more.exit(0).rows("result", &["\"a\"", "\"b\"", "7"]);
    assert_eq!(ran(&more), ["7"]);
    let nothing = again(more, &["--resume"]);
    nothing.exit(0);
    assert_eq!(ran(&nothing), [""; 0]);
}

/// Who reads a report has only its texts, and finds the bytes that a task had in spite of that.
#[test]
fn numbers_in_a_report_that_another_job_reads_hide_no_bytes() {
    let first = "[inputs]\njsonl = 'in'\n[workload.command]\nargv = ['true']\n";
    let second =
        "needs = ['a']\n[inputs]\njob = 'a'\n[workload.command]\nargv = ['echo', '{n} {t}']\n";
    let test = TestJob::empty().file("a.toml", first).file("b.toml", second);
    let ran = test.file("in", "{\"n\": 1, \"t\": \"'=x\"}\n{\"n\": 2, \"t\": \"=x\"}\n");
    let ran = ran.args(["a.toml", "b.toml"]).run();
    ran.exit(0);
    assert_eq!(ran.report_of("b").column("result"), ["1 '=x", "2 =x"]);
}

/// A report writes a name as it has to, and the fields of the objects are the same when it is resumed.
#[test]
fn fields_are_known_again_whatever_their_columns_are_called() {
    let names = [
        "@id",
        "=x",
        "1.5",
        "1,5",
        "a;b",
        "it's\n\"",
        "status",
        "input_status",
        "code",
        "stage",
        "host",
        "n_run_s",
    ];
    let line = |names: &mut dyn Iterator<Item = &&str>| {
        let members: Vec<_> = names.map(|name| format!("{name:?}: {:?}", name.len())).collect();
        format!("{{{}}}", members.join(", "))
    };
    let (first, turned) = (line(&mut names.iter()), line(&mut names.iter().rev()));
    let rest = "[fields.error]\nvalue = 'x'\n[fields.input_code]\nvalue = 'y'\n";
    let stages = "[[stages]]\nname = 'n'\nworkload.command.argv = ['true']\n";
    let plain = "[workload.command]\nargv = ['true']\n[columns.loss]\nregex = '(x)'\n";
    for (settings, work) in [
        ("dialect = 'csv'", plain),
        ("dialect = 'excel'\nhost = true", stages),
        ("dialect = 'excel-semicolon'", stages),
        ("dialect = 'excel-semicolon'\nformula_safe = false\nhost = true", plain),
    ] {
        for (source, list) in [("jsonl", false), ("json", true)] {
            let job = format!("[inputs]\n{source} = 'in'\n{work}{rest}[report]\n{settings}\n");
            let text = |lines: &[&str]| {
                if list { format!("[{}]", lines.join(",")) } else { lines.join("\n") }
            };
            let first = TestJob::new(&job).file("in", text(&[&first])).run();
            first.exit(0);
            let header = |ran: &Ran| {
                let text = fs::read_to_string(ran.path("results/job.csv")).unwrap();
                text.split("started_utc").next().unwrap().to_owned()
            };
            let columns = header(&first);
            fs::write(
                first.path("in"),
                text(&["{\"a key of today\": 1}", &turned, "{\"host\": 3}"]),
            )
            .unwrap();
            let resumed = again(first, &["--resume"]);
            resumed.exit(0);
            assert_eq!(header(&resumed), columns);
            let reason = &resumed.summary("job")["reason"];
            assert!(reason.contains("resumed: 1 of 3 kept"), "{settings}: {reason}");
        }
    }
}

/// The report has the fields of all sources: none of them is those of one.
#[test]
fn objects_beside_other_sources_are_resumed_as_well() {
    for together in ["matrix", "zip"] {
        let job = format!(
            "[inputs.{together}]\no = {{ jsonl = 'in' }}\np = {{ json = 'in2' }}\nb = [1]\n[workload.command]\n\
             argv = ['sh', '-c', 'echo {{a}} >> ran.txt']\n"
        );
        let test = TestJob::new(&job).file("in", "{\"a\": 1, \"z\": 2}");
        let first = test.file("in2", "[{\"c\": 1, \"d\": 2}]").run();
        first.exit(0).rows("a,z,c,d,b", &["1,2,1,2,1"]);
        let resumed = again(first, &["--resume"]);
        resumed.exit(0);
        assert_eq!(ran(&resumed), [""; 0]);
    }
}
