//! What comes out: the rows, the summary, and what other programs read from them.

use std::fs;

use crate::support::{Report, TestJob, python, skip};

const COUNT: &str = "[inputs]\nvalues = [3, 1, 2]\n[workload.compute]\nfunction = \"count_down\"\n";

#[test]
fn the_columns_and_their_order() {
    let ran = TestJob::new(COUNT).run();
    let report = ran.exit(0).report();
    assert_eq!(
        report.header.join(","),
        "task,input,status,attempts,started_utc,queue_s,run_s,cpu_user_s,cpu_sys_s,peak_rss_bytes,slot,code,result,\
         output_bytes,error"
    );
    assert_eq!(
        report.select("task,input,status,attempts,code,result,error"),
        ["1,3,ok,1,,0,", "2,1,ok,1,,0,", "3,2,ok,1,,0,",]
    );
    for time in report.column("started_utc") {
        assert_eq!(time.len(), "2026-11-24 01:02:03.456".len(), "{time}");
        assert!(
            time.starts_with("20") && time.as_bytes()[10] == b' ' && time.as_bytes()[19] == b'.',
            "{time}"
        );
    }
    for column in ["queue_s", "run_s", "cpu_user_s"] {
        for cell in report.column(column) {
            assert!(cell.parse::<f64>().unwrap() >= 0.0 && !cell.contains('e'), "{column}: {cell}");
        }
    }
    assert!(
        report.column("peak_rss_bytes").iter().all(String::is_empty),
        "it is not measured, so it is empty"
    );
}

#[test]
fn rows_are_in_input_order_or_as_they_complete() {
    let job = |order: &str| {
        format!(
            "model = \"threads\"\n[inputs]\nvalues = [600, 1, 300]\n[workload.sleep]\nduration = \"{{input}}ms\"\n\
             [limits]\nconcurrency = 3\n[report]\norder = \"{order}\"\n"
        )
    };
    TestJob::new(&job("input")).run().exit(0).rows("task,input", &["1,600", "2,1", "3,300"]);
    TestJob::new(&job("completion")).run().exit(0).rows("task,input", &["2,1", "3,300", "1,600"]);
}

#[test]
fn the_summary_has_one_row_per_job_and_keeps_the_others() {
    let ran = TestJob::new(COUNT)
        .file("two.toml", "[inputs]\nrepeat = 3\n[workload.command]\nshell = 'exit $RUNNER_TASK'\n")
        .arg("two.toml")
        .file("results/summary.csv", "job,model,tasks,extra\nold,async,7,x\njob,async,9,y\n")
        .run();
    ran.exit(3);
    let summary = Report::read(&ran.path("results/summary.csv"));
    assert_eq!(
        summary.header.join(","),
        "job,model,concurrency,tasks,ok,failed,timeout,crashed,cancelled,skipped,wall_s,startup_s,tasks_per_s,\
         run_mean_s,run_stddev_s,run_min_s,run_p50_s,run_p90_s,run_p99_s,run_max_s,queue_p50_s,cpu_user_s,cpu_sys_s,\
         peak_rss_bytes,output_bytes,started_utc,finished_utc,reason,runner_version,cores,up_to_date,\
         due_p99_s,totals"
    );
    let mut jobs = summary.column("job");
    jobs.sort();
    assert_eq!(jobs, ["job", "old", "two"]);
    assert_eq!(ran.summary("old")["tasks"], "7");
    let two = ran.summary("two");
    assert_eq!(
        (two["tasks"].as_str(), two["failed"].as_str(), two["ok"].as_str()),
        ("3", "3", "0")
    );
    assert_eq!(two["skipped"], "0");
}

#[test]
fn the_summarys_figures_follow_from_the_rows() {
    let job = "[inputs]\nrange = { from = 1, to = 20 }\n[workload.command]\nshell = 'sleep 0.0$input; echo x'\n";
    let ran = TestJob::new(job).run();
    let report = ran.exit(0).report();
    let summary = ran.summary("job");
    let numbers = |column: &str| -> Vec<f64> {
        let mut numbers: Vec<f64> =
            report.column(column).iter().map(|cell| cell.parse().unwrap()).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    };
    let figure = |column: &str| -> f64 { summary[column].parse().unwrap() };
    let runs = numbers("run_s");
    let mean = runs.iter().sum::<f64>() / 20.0;
    let deviation = (runs.iter().map(|run| (run - mean).powi(2)).sum::<f64>() / 19.0).sqrt();
    for (column, expected) in [
        ("run_min_s", runs[0]),
        ("run_p50_s", runs[9]),
        ("run_p90_s", runs[17]),
        ("run_p99_s", runs[19]),
        ("run_max_s", runs[19]),
        ("run_mean_s", mean),
        ("run_stddev_s", deviation),
        ("queue_p50_s", numbers("queue_s")[9]),
        ("cpu_user_s", numbers("cpu_user_s").iter().sum()),
        ("output_bytes", 40.0),
        ("peak_rss_bytes", numbers("peak_rss_bytes")[19]),
    ] {
        let found = figure(column);
        assert!((found - expected).abs() < 2e-6, "{column}: {found} is not {expected}");
    }
    assert!(figure("wall_s") >= figure("startup_s"));
    assert!((figure("tasks_per_s") - 20.0 / figure("wall_s")).abs() < 0.1 * figure("tasks_per_s"));
}

#[test]
fn a_spreadsheet_is_safe_from_what_is_in_the_inputs() {
    let job = r#"
        [inputs]
        values = ["=1+1", "+a", "-1.5", "@x", "\tt", "-x", "a,b", "q\"q", "l1\nl2", "ü€😀"]
        [workload.command]
        argv = ["printf", "%s", "{input}"]
    "#;
    let ran = TestJob::new(job).run();
    let report = ran.exit(0).report();
    assert_eq!(
        report.column("input"),
        ["'=1+1", "'+a", "-1.5", "'@x", "'\tt", "'-x", "a,b", "q\"q", "l1\nl2", "ü€😀",]
    );
    assert_eq!(
        report.column("result"),
        ["'=1+1", "'+a", "-1.5", "'@x", "t", "'-x", "a,b", "q\"q", "l1\\nl2", "ü€😀",]
    );
    let plain = TestJob::new(job).args(["--set", "report.formula_safe=false"]).run();
    assert_eq!(plain.exit(0).report().column("input")[0], "=1+1");
}

#[test]
fn dialects() {
    let dialect = |name: &str| {
        let job = "[inputs]\nvalues = [\"a;b\", 0.50]\n[workload.command]\nargv = [\"echo\", \"{input}\"]\n";
        let ran = TestJob::new(job).args(["--set", &format!("report.dialect={name}")]).run();
        ran.exit(0);
        fs::read_to_string(ran.path("results/job.csv")).unwrap()
    };
    let plain = dialect("csv");
    assert!(plain.starts_with("task,input,") && !plain.contains('\r'));
    let excel = dialect("excel");
    assert!(
        excel.starts_with("\u{feff}task,input,") && excel.matches("\r\n").count() == 3,
        "{excel:?}"
    );
    let semicolon = dialect("excel-semicolon");
    assert!(semicolon.starts_with("\u{feff}task;input;status;"), "{semicolon:?}");
    assert!(
        semicolon.contains("1;\"a;b\";ok;1;") && semicolon.contains("2;0,50;ok;1;"),
        "{semicolon:?}"
    );
}

#[test]
fn pythons_csv_module_reads_thousands_of_awkward_cells_back() {
    let make = r#"
import json, random, sys
random.seed(5)
parts = ['a', ',', '"', '\n', '\r', ' ', "'", '=', '@', 'é', '日本', ';', '\t', '1', '-', '%', '{', '\\', '']
with open(sys.argv[1], 'w') as f:
    for i in range(3000):
        f.write(json.dumps({'text': ''.join(random.choice(parts) for _ in range(random.randrange(12)))}) + '\n')
"#;
    let job = "[inputs]\njsonl = \"in.jsonl\"\n[workload.command]\nargv = [\"printf\", \"%s\", \"{text}\"]\n";
    let test = TestJob::new(job);
    python(make, [test.folder().join("in.jsonl")]);
    let ran = test.run();
    ran.exit(0);
    let check = r#"
import csv, json, sys
want = [json.loads(line)['text'] for line in open(sys.argv[1])]
rows = list(csv.DictReader(open(sys.argv[2], newline='', encoding='utf-8')))
assert len(rows) == len(want) == 3000
for i, (row, text) in enumerate(zip(rows, want)):
    assert row['task'] == str(i + 1) and row['status'] == 'ok', row
    cell = row['text']
    bare = text.lstrip("'")
    if cell != text: assert cell[0] == "'" and bare[0] in '=+-@\t\r\n', text; cell = cell[1:]
    assert cell == text, (cell, text)
    assert int(row['output_bytes']) == len(text.encode())
print('all equal')
"#;
    assert_eq!(python(check, [ran.path("in.jsonl"), ran.path("results/job.csv")]), "all equal\n");
}

#[test]
fn sha256_of_every_file_equals_what_python_says() {
    let library = python("import json, os; print(os.path.dirname(json.__file__))", [""; 0]);
    let job = format!(
        "[inputs]\nglob = \"{}/**/*.py\"\n[workload.compute]\nfunction = \"sha256\"\n",
        library.trim()
    );
    let ran = TestJob::new(&job).run();
    ran.exit(0);
    let check = r"
import csv, hashlib, sys
rows = list(csv.DictReader(open(sys.argv[1], newline='')))
for row in rows: assert row['result'] == hashlib.sha256(open(row['input'], 'rb').read()).hexdigest(), row
print(len(rows) > 3)
";
    assert_eq!(python(check, [ran.path("results/job.csv")]), "True\n");
}

#[test]
fn factorials_have_the_digits_and_digest_of_the_number() {
    let job = "[inputs]\nvalues = [0, 1, 5, 1000, 3000]\n[workload.compute]\nfunction = \"factorial\"\n[columns.digits]\njson = \"/digits\"\n";
    let ran = TestJob::new(job).run();
    ran.exit(0).rows("input,digits", &["0,1", "1,1", "5,3", "1000,2568", "3000,9131"]);
}

#[test]
fn rows_are_in_the_partial_while_the_job_runs() {
    let job = "[inputs]\nvalues = [1, 600000]\n[workload.sleep]\nduration = \"{input}ms\"\n";
    let running = TestJob::new(job).args(["--model", "sequential"]).spawn();
    let partial =
        running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 2);
    assert!(partial.starts_with("task,input,status,"), "{partial}");
    assert!(partial.contains("\n1,1,ok,1,"), "{partial}");
}

#[test]
fn a_results_folder_that_cannot_be_written_is_said_and_nothing_runs() {
    let job = "[workload.command]\nargv = [\"touch\", \"ran\"]\n";
    let ran = TestJob::new(job).file("results", "a file, not a folder").run();
    ran.exit(6).stderr_has("results");
    assert!(!ran.path("ran").exists());
}

#[test]
fn a_report_on_a_full_disk_keeps_what_was_written_and_says_so() {
    let test = TestJob::new(
        "[inputs]\nrepeat = 2000000\n[workload.compute]\nfunction = \"count_down\"\narg = 1\n",
    );
    let results = test.folder().join("results");
    fs::create_dir(&results).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(&results)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        return skip("a small file system needs root and mount(8)");
    }
    let ran = test.run();
    let exit = ran.output.status.code();
    let partial = fs::read_to_string(results.join("job.csv.partial"));
    let unmounted = std::process::Command::new("umount").arg(&results).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(exit, Some(6), "{}", ran.stderr());
    ran.stderr_has("no space left").stderr_has("job.csv.partial");
    let partial = partial.expect("what was done is kept");
    assert!(
        partial.starts_with("task,input,status,") && partial.lines().count() > 100,
        "{}",
        partial.len()
    );
}

#[test]
fn tables_of_several_runs_have_the_dialect_of_runner_toml() {
    let job = "[inputs]\nvalues = [\"a\"]\n[workload.sleep]\nduration = \"1ms\"\n";
    let settings = "[defaults.report]\ndialect = \"excel-semicolon\"\n";
    let ran = TestJob::new(job).file("runner.toml", settings).run();
    ran.exit(0);
    let args =
        ["compare", "job.toml", "--models", "threads,async", "--rounds", "1", "--warmup", "0"];
    let ran = TestJob::again(ran).args(args).run();
    ran.exit(0);
    for name in ["summary", "job.compare", "job.rounds"] {
        let text = fs::read_to_string(ran.path(format!("results/{name}.csv"))).unwrap();
        assert!(text.starts_with("\u{feff}job;"), "{name}: {text}");
        assert!(text.contains("\r\njob;") && text.contains(";0,0"), "{name}: {text}");
    }
    let ran = TestJob::again(ran).args(["report", "results/job.compare.csv"]).run();
    ran.exit(0);
    let ran = TestJob::again(ran).arg("status").run();
    ran.exit(0).stdout_has("1 task, all ok");
}

#[test]
fn a_report_with_decimal_commas_hands_on_its_times_with_points() {
    let first = "[inputs]\nvalues = [\"a\"]\n[workload.sleep]\nduration = \"1ms\"\n[report]\ndialect = \"excel-semicolon\"\n";
    let second = "[inputs]\njob = \"job\"\n[workload.command]\nargv = [\"echo\", \"{started_utc} {wall}\"]\n"
        .replace(" {wall}", " {run_s}");
    let ran = TestJob::new(first).file("b.toml", second).arg("b.toml").run();
    ran.exit(0);
    let said = ran.report_of("b").column("result").concat();
    assert!(!said.contains(',') && said.matches('.').count() == 2, "{said}");
}

#[test]
fn a_run_without_inputs_says_whose_report_stays_or_replaces_it() {
    for (key, code, rows) in [("", 4, 1), ("empty = 'ok'\n", 0, 0)] {
        let job = format!("[inputs]\ncsv = 'in.csv'\n{key}[workload.command]\nargv = ['true']\n");
        let first = TestJob::new(&job).file("in.csv", "a\n1\n").run();
        first.exit(0);
        fs::write(first.path("in.csv"), "a\n").unwrap();
        let ran = TestJob::again(first).args(["job.toml", "--fresh"]).run();
        ran.exit(code);
        assert_eq!(ran.report().rows.len(), rows, "{key}");
        assert_eq!(
            ran.stderr().contains("is of an earlier run, and this one had no task"),
            rows == 1
        );
    }
}
