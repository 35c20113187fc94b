//! `runner report`: pages and workbooks of reports.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;

use crate::support::{Ran, TestJob, runner, skip};

/// What is in a job whose page must not be fooled by its tasks.
const NASTY: &str = r#"
[inputs]
values = ["</script><img src=x onerror=alert(1)>", "=cmd|'/c calc'!A0", "\u001b[2J\u202Eevil", "🦀", "007"]
[workload.command]
shell = 'printf "%s" "$input" >&2; test "$input" = 007'
"#;

/// Makes the page of a report in the folder of a run.
fn report(ran: Ran, args: &[&str]) -> Ran {
    TestJob::again(ran).arg("report").args(args.iter().copied()).run()
}

/// The page at `path`, with the rules that hold for every page.
#[track_caller]
fn page(ran: &Ran, path: &str) -> String {
    let page = fs::read_to_string(ran.path(path)).unwrap();
    assert!(page.len() <= 1_000_000, "{} bytes", page.len());
    assert!(page.contains("default-src &#39;none&#39;"), "it has a policy");
    for outside in ["http://", "https://", " src=\"", "@import", " style=\"", " onload", "<img"] {
        let found = page.find(outside);
        assert_eq!(
            found,
            None,
            "{outside}: {:?}",
            found.map(|at| &page[at.saturating_sub(80)..at + 80])
        );
    }
    assert_eq!(page.matches("<script").count(), 1);
    for (open, close) in [("<svg", "</svg>"), ("<table", "</table>"), ("<details", "</details>")] {
        let opened = page.matches(open).count();
        assert_eq!(opened, page.matches(close).count(), "{open}");
    }
    assert_eq!(page.matches("<th ").count(), page.matches("scope=").count(), "heads have a scope");
    // A screen reader lists the regions of a page by their labels.
    let labels = page.split("role=\"region\" aria-label=\"").skip(1);
    let mut labels: Vec<_> = labels.map(|rest| rest.split('"').next().unwrap()).collect();
    let all = labels.len();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), all, "each region has a label of its own: {labels:?}");
    page
}

/// The text of the first `<p class="verdict">`.
#[track_caller]
fn verdict(page: &str) -> &str {
    let start = page.find("class=\"verdict\">").expect("it says whether it worked") + 16;
    &page[start..start + page[start..].find('<').unwrap()]
}

const HEADER: &str = "task,input,status,attempts,started_utc,queue_s,run_s,cpu_user_s,cpu_sys_s,peak_rss_bytes,slot,code,\
                      result,output_bytes,error\n";

/// A row that started this many milliseconds after midnight and ran for as many.
fn row(task: u64, status: &str, (start, run): (u64, u64), slot: u64, error: &str) -> String {
    let (hours, minutes, seconds) = (start / 3_600_000, start / 60_000 % 60, start / 1000 % 60);
    let day = 1 + hours / 24;
    format!(
        "{task},in{task},{status},1,2026-01-{day:02} {:02}:{minutes:02}:{seconds:02}.{:03},0.001,{}.{:03},0.01,0.001,1000,\
         {slot},0,,5,{error}\n",
        hours % 24,
        start % 1000,
        run / 1000,
        run % 1000
    )
}

/// The page of a report with these rows, and what was said meanwhile.
#[track_caller]
fn page_of(rows: &str) -> (String, Ran) {
    let text = format!("{HEADER}{rows}");
    let ran = TestJob::empty().file("results/x.csv", text).args(["report", "results/x.csv"]).run();
    ran.exit(0).stdout_has("results/x.html");
    (page(&ran, "results/x.html"), ran)
}

#[test]
fn a_page_says_whether_it_worked_and_its_numbers_are_those_of_the_summary() {
    let ran = TestJob::new(
        "[inputs]\nrange = { from = 1, to = 20 }\n[workload.command]\nshell = 'test $input -lt 19'\n[limits]\nconcurrency = 2\n",
    )
    .run();
    let summary = ran.exit(3).summary("job");
    let ran = report(ran, &["results/job.csv"]);
    ran.exit(0).stdout_has("results/job.html\n");
    let page = page(&ran, "results/job.html");
    assert_eq!(verdict(&page), "2 of 20 tasks are not ok: 2 failed.");
    assert_eq!((summary["tasks"].as_str(), summary["ok"].as_str()), ("20", "18"));
    for text in [
        "<dt>Ok</dt><dd>18<small>90 %",
        "<dt>Not ok</dt><dd>2<small>10 %",
        "in 2 slots under",
        "exit code 1",
    ] {
        assert!(page.contains(text), "{text} is not in the page");
    }
    for id in ["failures", "throughput", "run-times", "slowest"] {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
    assert!(
        !ran.path("results")
            .read_dir()
            .unwrap()
            .any(|file| { file.unwrap().file_name().to_string_lossy().ends_with(".tmp") })
    );
}

/// By the nearest rank, over the run times of all tasks that ran.
#[test]
fn percentiles_are_those_of_the_rows() {
    let mut rows = String::new();
    let mut times: Vec<u64> = (1..=200).map(|task| (task * 7919) % 4001 + 1).collect();
    for (task, time) in (1..).zip(&times) {
        let status = if task % 9 == 0 { "failed" } else { "ok" };
        rows += &row(task, status, (task * 10, *time), task % 4 + 1, "");
    }
    times.sort_unstable();
    let (page, _) = page_of(&rows);
    let start = page.find("Half of 200 tasks").expect("it says how long they took");
    let said = &page[start..start + page[start..].find(';').unwrap()];
    let figures = said.split(" up to ").skip(1).map(|figure| {
        let (number, unit) = figure.split_once(' ').unwrap();
        let unit = unit.split(',').next().unwrap();
        number.parse::<f64>().unwrap() * if unit == "ms" { 1.0 } else { 1000.0 }
    });
    let ranks =
        [50, 90, 99].map(|per_cent| times[(times.len() * per_cent).div_ceil(100) - 1] as f64);
    // Three digits are shown.
    for (figure, time) in figures.zip(ranks) {
        assert!((figure / time - 1.0).abs() < 0.006, "{figure} for {time} in {said}");
    }
}

#[test]
fn text_of_tasks_stays_text() {
    let ran = TestJob::new(NASTY).run();
    ran.exit(3);
    let ran = report(ran, &["--html", "results/job.csv"]);
    ran.exit(0);
    let page = page(&ran, "results/job.html");
    assert!(page.contains("&#60;/script&#62;&#60;img"), "the input is shown");
    assert!(page.contains("=cmd|") && page.contains("🦀"), "as it is, not as a cell has it");
    assert!(
        page.contains("\\u{202e}evil") && !page.contains('\u{202e}') && !page.contains('\u{1b}')
    );
}

#[test]
fn every_dialect_gives_the_same_page() {
    let mut pages = Vec::new();
    for dialect in ["csv", "excel", "excel-semicolon"] {
        let text = format!(
            "[inputs]\ncsv = \"in.csv\"\n[workload.command]\nshell = 'echo \"a;b,c\"; exit $code'\n[report]\n\
             dialect = \"{dialect}\"\n"
        );
        let ran = TestJob::new(&text).file("in.csv", "x,code\n1.5,0\n=1,3\n\"a;b\"\"\",0\n").run();
        ran.exit(3);
        let ran = report(ran, &["results/job.csv"]);
        ran.exit(0);
        let page = page(&ran, "results/job.html");
        assert_eq!(verdict(&page), "1 of 3 tasks is not ok: 1 failed.", "{dialect}");
        let cells: Vec<_> =
            ["x=1.5, input_code=0", "x==1, input_code=3", "x=a;b&#34;, input_code=0"]
                .into_iter()
                .filter(|cell| page.contains(cell))
                .collect();
        pages.push(cells);
    }
    assert_eq!(pages[0].len(), 3, "{pages:?}");
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:?}");
}

#[test]
fn stages_have_charts_of_their_own() {
    let ran = TestJob::new(
        "inputs.repeat = 4\n[[stages]]\nname = \"first\"\nworkload.sleep.duration = \"2ms\"\n[[stages]]\nname = \"then\"\n\
         workload.sleep.duration = \"1ms\"\n",
    )
    .run();
    ran.exit(0);
    let ran = report(ran, &["results/job.csv"]);
    ran.exit(0);
    let page = page(&ran, "results/job.html");
    assert_eq!(verdict(&page), "All 4 tasks are ok.");
    for text in [
        "In flight, by stage",
        "Run times of the stage first",
        "Run times of the stage then",
        "Limited by the stage",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn attempts_stand_where_they_ran() {
    let ran = TestJob::new(
        "inputs.repeat = 3\n[workload.command]\nshell = 'test $RUNNER_ATTEMPT -gt 1'\n[retry]\nmax_attempts = 2\ndelay = \"5ms\"\n",
    )
    .run();
    ran.exit(0);
    let ran = report(ran, &["results/job.csv"]);
    ran.exit(0);
    let page = page(&ran, "results/job.html");
    assert!(page.contains("Throughput: attempts ended a second"), "the file of attempts is used");
    assert!(page.contains("<dt>Attempts</dt><dd>6<small>3 tasks more than once"));
}

#[test]
fn runs_of_any_size_have_a_page() {
    let (none, _) = page_of("");
    assert_eq!(verdict(&none), "There is no task.");
    let (one, _) = page_of(&row(1, "ok", (0, 50), 1, ""));
    assert_eq!(verdict(&one), "The only task is ok.");
    assert!(one.contains("Run times"));
    let (short, _) = page_of(&(0..50).map(|n| row(n + 1, "ok", (n, 1), 1, "")).collect::<String>());
    assert!(short.contains("Throughput: tasks ended a second") && short.contains("Drift"));
    let day = 86_400_000;
    let (year, _) = page_of(
        &(0..30).map(|n| row(n + 1, "ok", (n * day, 12 * day), n % 12 + 1, "")).collect::<String>(),
    );
    assert!(year.contains("It took 41 d 0 h"), "{}", verdict(&year));
    let (failed, _) =
        page_of(&(0..9).map(|n| row(n + 1, "timeout", (n, 1), 1, "timed out")).collect::<String>());
    assert_eq!(verdict(&failed), "None of 9 tasks is ok: 9 timed out.");
    let (one, _) = page_of(&row(7, "cancelled", (0, 1), 1, ""));
    assert!(
        one.contains("Task 7 was cancelled") && !one.contains("were cancelled"),
        "{}",
        verdict(&one)
    );
}

#[test]
fn many_slots_errors_and_long_texts_keep_a_page_small() {
    let mut rows = String::new();
    for task in 0..10_000_u64 {
        let word: String = task.to_string().bytes().map(|digit| char::from(digit + 49)).collect();
        let error = format!("\"exit code 1: {word}{}\"", "<&\"\"'".repeat(200));
        rows.push_str(&row(task + 1, "failed", (task, 900), task % 1000 + 1, &error));
    }
    let (page, _) = page_of(&rows);
    assert!(page.contains("in 1,000 slots") && page.contains("many other causes"));
    // All 64 slots one by one, with as many changes as there is room for.
    let busy: String = (0..20_000_u64)
        .map(|n| row(n + 1, "ok", (n * 7, 1 + n * n % 97), n % 64 + 1, ""))
        .collect();
    let (page, _) = page_of(&busy);
    assert!(page.contains("64 slots, one line each"));
}

#[test]
fn what_is_cut_or_changed_is_said() {
    let whole: String = (0..5).map(|n| row(n + 1, "ok", (n, 1), 1, "")).collect();
    let cut = format!("{HEADER}{}", &whole[..whole.len() - 30]);
    let run = |name: &str, text: &str| {
        let job = TestJob::empty().file(format!("results/{name}"), text);
        job.args(["report", &format!("results/{name}")]).run()
    };
    let ran = run("x.csv", &cut);
    ran.exit(2)
        .stderr_has("the file is cut: its last row")
        .stderr_has("4 rows before it were read");
    assert!(
        verdict(&page(&ran, "results/x.html"))
            .starts_with("The report is incomplete. In what is there, all 4")
    );

    let ran = run("x.csv", &format!("{HEADER}{whole}6,ragged\n{}", row(7, "ok", (9, 1), 1, "")));
    ran.exit(2)
        .stderr_has("1 row is not as the runner wrote it")
        .stderr_has("row 6 (2 cells, 15 columns)");
    let ran = run("x.csv", &format!("{HEADER}{whole}{}", row(6, "OK", (9, 1), 1, "")));
    ran.exit(2).stderr_has("row 6 (its status is `OK`, which there is not)");
    let ran = run("x.csv", &format!("{HEADER}{whole}x{}", row(6, "ok", (9, 1), 1, "")));
    ran.exit(2).stderr_has("row 6 (its task is `x6`, which is no number)");

    // What a run writes last may be on its way.
    let ran = run("x.csv.partial", &cut);
    ran.exit(0).stderr_has("the file is cut");
    let page_of_partial = page(&ran, "results/x.html");
    assert!(
        verdict(&page_of_partial)
            .starts_with("The run was killed or has crashed. Of what it did, all 4")
    );
    assert!(page_of_partial.contains("runner --resume"));

    let old = "task,input,status,run_s,error\n1,a,ok,0.5,\n2,b,failed,0.1,no\n";
    let ran = run("old.csv", old);
    ran.exit(0).stderr_has("no column `attempts`, `started_utc`");
    assert_eq!(verdict(&page(&ran, "results/old.html")), "1 of 2 tasks is not ok: 1 failed.");
    let summary = "job,tasks,wall_s\nx,9,1\n".to_owned();
    let job = TestJob::empty().file("results/x.csv", format!("{HEADER}{whole}"));
    let ran = job.file("results/summary.csv", summary).args(["report", "results/x.csv"]).run();
    ran.exit(2).stderr_has("the job has 9 tasks, and the report has 5 rows");
}

#[test]
fn what_is_not_a_report_is_refused_with_the_way_out() {
    for (name, text, said) in [
        ("x.csv", "name,age\nx,1\n", "is not a report: its header does not start with `task`"),
        ("x.csv", "task,input\n1,2\n", "is not a report: it has no column `status`"),
        ("x.csv", "", "it is empty"),
        ("x.csv", "\u{0}\u{1}\u{2}", "is not a report"),
        ("summary.csv", "job\n", "is the summary of all jobs"),
        ("x.attempts.csv", "task\n", "results/x.csv`"),
        ("x.toml", "", "is a job file: name its report"),
    ] {
        let job = TestJob::empty().file(format!("results/{name}"), text);
        let ran = job.args(["report", &format!("results/{name}")]).run();
        ran.exit(2).stderr_has(said);
        assert!(!ran.path("results/x.html").exists(), "{name}");
    }
    TestJob::empty().args(["report", "none.csv"]).run().exit(2).stderr_has("there is no report");
    let ran = TestJob::empty().file("results/x.csv", HEADER).args(["report", "results"]).run();
    ran.exit(2).stderr_has("is a folder");
}

#[test]
fn a_page_that_cannot_be_written_leaves_the_old_one() {
    let job = TestJob::empty().file("results/x.csv", HEADER).file("results/x.html/in-the-way", "");
    let ran = job.args(["report", "results/x.csv"]).run();
    ran.exit(6).stderr_has("failed to write `results/x.html`");

    let job = TestJob::empty().file("results/x.csv", HEADER).file("results/x.html", "old");
    let results = job.folder().join("results");
    fs::set_permissions(&results, fs::Permissions::from_mode(0o555)).unwrap();
    let is_root = fs::write(results.join("probe"), "").is_ok();
    let ran = job.args(["report", "results/x.csv"]).run();
    fs::set_permissions(ran.path("results"), fs::Permissions::from_mode(0o755)).unwrap();
    if !is_root {
        ran.exit(6);
        assert_eq!(fs::read_to_string(ran.path("results/x.html")).unwrap(), "old");
    }
}

#[test]
fn a_running_job_has_a_page() {
    let job = TestJob::new(
        "[inputs]\nvalues = [1, 1, 600000]\n[workload.sleep]\nduration = \"{input}ms\"\n[limits]\nconcurrency = 1\n",
    )
    .spawn();
    job.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 3);
    let output = job.another(&["report", "results/job.csv"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read_to_string(job.folder().join("results/job.html")).unwrap();
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    if locks.contains("FLOCK") {
        assert_eq!(verdict(&page), "So far all 2 tasks are ok.");
    }
    job.stop(libc::SIGINT);
    job.wait().exit(130);
}

#[test]
fn a_pattern_may_name_all_files_of_a_folder() {
    let ran = TestJob::new("inputs.repeat = 2\nworkload.sleep.duration = \"1ms\"").run();
    let files: Vec<String> =
        ["job.csv", "summary.csv"].map(|name| format!("results/{name}")).to_vec();
    let mut args = vec!["report"];
    args.extend(files.iter().map(String::as_str));
    let ran = TestJob::again(ran).args(args).run();
    ran.exit(0).stdout_has("results/job.html");
    assert!(!ran.path("results/summary.html").exists());
}

#[test]
fn the_help_says_what_a_report_is() {
    let output = runner().args(["report", "--help"]).output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(help.contains("results/<job>.csv"), "{help}");
}

#[test]
fn the_page_of_a_million_rows_is_made_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    let mut text = String::from(HEADER);
    // A debug build reads these in a few seconds; a histogram of all rows would show already.
    for task in 0..150_000_u64 {
        let _ = write!(text, "{}", row(task + 1, "ok", (task, 1 + task % 50), task % 8 + 1, ""));
    }
    fs::write(&path, text).unwrap();
    let peak = peak_of(&path);
    assert!(peak < 64 << 20, "{} MiB", peak >> 20);
}

/// The peak memory of making the page of the report at `path`, in bytes.
fn peak_of(path: &Path) -> u64 {
    let program = "import os, sys, resource, subprocess\n\
                   subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n\
                   print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)";
    let runner = env!("CARGO_BIN_EXE_runner");
    let said = crate::support::python(program, [runner, "report", path.to_str().unwrap()]);
    said.trim().parse().unwrap()
}

/// Reads sheets of the workbook at `path`: a line for each cell, `Sheet!A1 type value`.
#[track_caller]
fn workbook(path: &Path) -> String {
    // The parts of a workbook are XML in a zip: enough of both is in Python.
    let program = r#"
import sys, zipfile, re
import xml.etree.ElementTree as X
N = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
links = {r.get("Id"): r.get("Target") for r in X.fromstring(z.read("xl/_rels/workbook.xml.rels"))}
shared = []
if "xl/sharedStrings.xml" in z.namelist():
    shared = ["".join(t.text or "" for t in s.iter(N + "t")) for s in X.fromstring(z.read("xl/sharedStrings.xml"))]
styles = X.fromstring(z.read("xl/styles.xml"))
dates = [int(f.get("numFmtId")) >= 164 for f in styles.find(N + "cellXfs")]
plain = lambda t: re.sub("_x([0-9A-F]{4})_", lambda m: chr(int(m[1], 16)), t)
for sheet in X.fromstring(z.read("xl/workbook.xml")).find(N + "sheets"):
    name = sheet.get("name")
    root = X.fromstring(z.read("xl/" + links[sheet.get(R)]))
    pane, sieve = root.find(".//" + N + "pane"), root.find(N + "autoFilter")
    print(name, "pane", pane is not None and pane.get("ySplit"), "filter", sieve is not None and sieve.get("ref"), sep="\t")
    for c in root.iter(N + "c"):
        assert c.find(N + "f") is None, "a formula"
        kind, value = c.get("t", "n"), c.findtext(N + "v")
        if kind == "inlineStr": value = plain("".join(t.text or "" for t in c.iter(N + "t")))
        elif kind == "s": value = plain(shared[int(value)])
        elif dates[int(c.get("s", 0))]: kind = "date"
        print(name, c.get("r"), {"n": "number", "date": "date"}.get(kind, "text"), repr(value), sep="\t")
print("charts", sum(n.startswith("xl/charts/chart") for n in z.namelist()), sep="\t")
"#;
    crate::support::python(program, [path])
}

#[test]
fn cells_of_a_workbook_have_types() {
    let ran = TestJob::new(
        "[inputs]\ncsv = \"in.csv\"\n[workload.command]\nargv = [\"printf\", \"%s\", \"{x}\"]\n[columns.y]\nregex = '(.*)'\n",
    )
    .file("in.csv", "x\n007\n1.5\n=1+1\nMARCH1\n12345678901234567890\n-0\n1e5\n🦀\n42\n+49123\n")
    .run();
    ran.exit(0);
    let ran = report(ran, &["--xlsx", "results/job.csv"]);
    ran.exit(0).stdout_has("results/job.xlsx\n");
    assert!(!ran.path("results/job.html").exists(), "nobody asked for it");
    let book = workbook(&ran.path("results/job.xlsx"));
    for line in [
        "Tasks\tpane\t1\tfilter\tA1:P11",
        "Tasks\tA2\tnumber\t'1'",
        "Tasks\tB2\ttext\t'007'",
        "Tasks\tB3\tnumber\t'1.5'",
        "Tasks\tB4\ttext\t'=1+1'",
        "Tasks\tB5\ttext\t'MARCH1'",
        "Tasks\tB6\ttext\t'12345678901234567890'",
        "Tasks\tB7\ttext\t'-0'",
        "Tasks\tB8\ttext\t'1e5'",
        "Tasks\tB9\ttext\t'🦀'",
        "Tasks\tB10\tnumber\t'42'",
        "Tasks\tB11\ttext\t'+49123'",
        "Tasks\tC2\ttext\t'ok'",
        "Tasks\tO4\ttext\t'=1+1'",
        "Not ok\tpane\t1\tfilter\tA1:P1",
        "Summary\tA1\ttext\t'job'",
        "Summary\tB1\ttext\t'job'",
        "charts\t2",
    ] {
        assert!(book.contains(&format!("{line}\n")), "{line} is not in\n{book}");
    }
    assert!(book.contains("Tasks\tE2\tdate\t"), "{book}");
    assert!(
        !ran.path("results")
            .read_dir()
            .unwrap()
            .any(|file| { file.unwrap().file_name().to_string_lossy().starts_with(".tmp") })
    );
}

#[test]
fn cells_that_are_too_long_are_cut_and_rows_that_are_not_ok_stand_apart() {
    let long = "ä".repeat(40_000);
    let rows = format!(
        "{}{}{}",
        row(1, "ok", (0, 1), 1, ""),
        row(2, "failed", (1, 1), 1, &long),
        row(3, "ok", (2, 1), 1, "a\u{1}b_x0041_")
    );
    let job = TestJob::empty().file("results/x.csv", format!("{HEADER}{rows}"));
    let ran = job.args(["report", "--xlsx", "--html", "results/x.csv"]).run();
    ran.exit(0)
        .stdout_has("results/x.html\nresults/x.xlsx\n")
        .stderr_has("1 cells are longer than the 32767");
    let book = workbook(&ran.path("results/x.xlsx"));
    assert!(book.contains(&format!("Not ok\tO2\ttext\t'{}…'", "ä".repeat(32_766))));
    assert!(
        book.contains("Tasks\tO4\ttext\t'a\\x01b_x0041_'"),
        "{}",
        &book[book.find("Tasks\tO4").unwrap_or(0)..][..60]
    );
    assert!(book.contains("Summary\tB1\tnumber\t'3'"), "without a summary, it has the counts");
}

#[test]
fn a_run_makes_what_also_says_however_it_ends() {
    let job = |shell: &str, also: &str| {
        format!("inputs.repeat = 2\nworkload.command.shell = '{shell}'\n[report]\nalso = {also}\n")
    };
    let ran = TestJob::new(&job("true", "[\"html\", \"xlsx\"]")).run();
    ran.exit(0).stdout_has("results/job.csv\nresults/job.html\nresults/job.xlsx\n");
    assert_eq!(verdict(&page(&ran, "results/job.html")), "All 2 tasks are ok.");

    let ran = TestJob::new(&job("exit 3", "[\"html\"]")).run();
    ran.exit(3);
    assert_eq!(verdict(&page(&ran, "results/job.html")), "None of 2 tasks is ok: 2 failed.");
    assert!(!ran.path("results/job.xlsx").exists());

    let ran =
        TestJob::new(&job("true", "[\"html\"]")).file("results/job.html/in-the-way", "").run();
    ran.exit(0)
        .stderr_has("failed to write `results/job.html`")
        .rows("task,status", &["1,ok", "2,ok"]);

    let ran = TestJob::new(&job("true", "[\"pdf\"]")).run();
    ran.exit(2).stderr_has("must be `html` or `xlsx`, not `pdf`");

    let stopped = TestJob::new(
        "[inputs]\nvalues = [1, 600000, 1]\n[workload.sleep]\nduration = \"{input}ms\"\n[limits]\nconcurrency = 1\n[report]\nalso = [\"html\"]\n",
    )
    .spawn();
    stopped.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 2);
    stopped.stop(libc::SIGINT);
    let ran = stopped.wait();
    ran.exit(130);
    assert_eq!(
        verdict(&page(&ran, "results/job.html")),
        "2 of 3 tasks are not ok: 2 were cancelled."
    );
}

#[test]
fn a_comparison_has_a_page() {
    let ran = TestJob::empty()
        .file("job.toml", "inputs.repeat = 4\nworkload.sleep.duration = \"2ms\"\n")
        .args([
            "compare",
            "job.toml",
            "--rounds",
            "2",
            "--warmup",
            "0",
            "--models",
            "threads,async",
            "-j",
            "1,2,4",
        ])
        .run();
    ran.exit(0);
    let ran = report(ran, &["results/job.compare.csv"]);
    ran.exit(0).stdout_has("results/job.compare.html");
    let page = page(&ran, "results/job.compare.html");
    assert!(verdict(&page).starts_with("Recommended: "), "{}", verdict(&page));
    for text in [
        "<section id=\"times\"",
        "<section id=\"sweep\"",
        "Universal Scalability Law",
        "runner compare --apply",
        "concurrency = ",
        "<section id=\"rounds\"",
    ] {
        assert!(page.contains(text), "{text}");
    }
    let ran = report(ran, &["--xlsx", "results/job.compare.csv"]);
    ran.exit(2).stderr_has("a comparison has no workbook");
    let ran = report(ran, &["results/job.rounds.csv"]);
    ran.exit(2).stderr_has("results/job.compare.csv`");
}

/// A browser that shows pages without a screen, if there is one.
fn browser() -> Option<&'static str> {
    let names = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];
    let folders = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&folders).collect();
    names.into_iter().find(|name| folders.iter().any(|folder| folder.join(name).is_file()))
}

/// What the browser made of the page at `path`, and what it said meanwhile; whatever it fetches, it asks `proxy` for it.
fn shown(
    browser: &str,
    path: &Path,
    theme: &str,
    proxy: &std::net::TcpListener,
) -> (String, String) {
    let home = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--enable-logging=stderr",
        ])
        .arg(format!("--proxy-server={}", proxy.local_addr().unwrap()))
        .arg("--proxy-bypass-list=<-loopback>")
        .arg(format!("--user-data-dir={}", home.path().display()))
        .arg(format!("--blink-settings=preferredColorScheme={theme}"))
        .args(["--virtual-time-budget=3000", "--dump-dom"])
        .arg(format!("file://{}", path.display()))
        .env("HOME", home.path())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_browser_shows_a_page_as_it_is_and_fetches_nothing() {
    let Some(browser) = browser() else {
        return skip("there is no chromium");
    };
    let ran = TestJob::new(NASTY).run();
    let ran = report(ran, &["results/job.csv"]);
    ran.exit(0);
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    for theme in ["0", "1"] {
        let (dom, said) = shown(browser, &ran.path("results/job.html"), theme, &proxy);
        if dom.is_empty() {
            return skip(&format!("{browser} shows nothing here: {said}"));
        }
        // A style or a script that the policy refuses would be said here, and so would anything that a task has slipped in.
        assert!(!said.contains("CONSOLE"), "{said}");
        assert!(dom.contains("<th scope=\"col\"><button type=\"button\">"), "the script ran");
        assert!(dom.contains("4 of 5 tasks are not ok: 4 failed."));
        assert!(!dom.contains("<img"), "what looks like markup is text");
    }
    while let Ok((mut asked, _)) = proxy.accept() {
        let mut line = [0; 200];
        let length = std::io::Read::read(&mut asked, &mut line).unwrap_or(0);
        let line = String::from_utf8_lossy(&line[..length]).into_owned();
        let is_its_own = ["google", "gvt1"].iter().any(|name| line.contains(name));
        assert!(is_its_own, "the page asked for {line}");
    }
}

#[test]
fn figures_that_pandas_or_a_spreadsheet_has_written_are_read_or_said() {
    let rows = "1,a,ok,1,2026-01-01 00:00:00.000,1e-05,1.5e-05,0.1,0.2,2539520.0,1.0,0.0,,5.0,\n\
                2,b,ok,1,2026-01-01 00:00:00.001,2E-05,2.5e-05,0.1,0.2,2539521.0,1.0,0.0,,5.0,\n";
    let (page, _) = page_of(rows);
    assert!(page.contains("25 µs") && page.contains("600 ms"), "{page}");
    let text = format!("{HEADER}{rows}").replace('\n', "\r");
    let job = TestJob::empty().file("results/x.csv", text);
    let ran = job.args(["report", "results/x.csv"]).run();
    ran.exit(0);
    assert!(fs::read_to_string(ran.path("results/x.html")).unwrap().contains("25 µs"));

    let strange = rows.replace("2E-05", "12:30").replace("2539521.0", "2.4 MB");
    let job = TestJob::empty().file("results/x.csv", format!("{HEADER}{strange}"));
    let ran = job.args(["report", "results/x.csv"]).run();
    ran.exit(2)
        .stderr_has("1 cell of `queue_s` cannot be read as a number")
        .stderr_has("1 cell of `peak_rss_bytes` cannot be read as a number");
    let strange = rows.replace("2026-01-01 00:00:00.001", "01.01.2026 00:00");
    let job = TestJob::empty().file("results/x.csv", format!("{HEADER}{strange}"));
    let ran = job.args(["report", "results/x.csv"]).run();
    ran.exit(2).stderr_has("1 task has a `started_utc` that cannot be read");
}

#[test]
fn what_is_recommended_is_read_in_the_words_of_a_spreadsheet_or_said() {
    let header = "job,model,concurrency,rounds,tasks,ok,wall_median_s,startup_s,tasks_per_s,speedup,same_results,\
                  recommended,reason,warnings\n";
    let rows = "cp,threads,4,1,9,9,2.0,0.1,4.5,2,YES,YES,simple,\ncp,async,4,1,9,9,1.9,0.1,4.6,2,YES,NO,no,\n";
    let run = |yes: &str, no: &str| {
        let text = format!("{header}{}", rows.replace("YES", yes).replace("NO", no));
        let job = TestJob::empty().file("results/cp.compare.csv", text);
        let rounds = "job,round,model,concurrency,tasks,ok,wall_s\n\
                      cp,1,threads,4,9,9,2.0\ncp,1,async,4,9,9,1.9\n";
        let job = job.file("results/cp.rounds.csv", rounds);
        job.args(["report", "results/cp.compare.csv"]).run()
    };
    for (yes, no) in [("true", "false"), ("True", "False"), ("WAHR", "FALSCH"), ("1", "0")] {
        let ran = run(yes, no);
        ran.exit(0);
        let page = page(&ran, "results/cp.compare.html");
        assert!(page.contains("Recommended: threads with 4 slots"), "{yes}: {page}");
    }
    run("oui!", "non").exit(2).stderr_has("cells of `recommended` cannot be read");
}

#[test]
fn a_workbook_has_the_texts_of_a_report_as_they_were() {
    let job = |dialect: &str, safe: bool| {
        let ran = TestJob::new(&format!(
            "[inputs]\nvalues = [\"'=1\", \"=2\", \"1,234\"]\n[workload.command]\nargv = [\"printf\", \"%s\", \
             \"{{input}}\"]\n[report]\ndialect = \"{dialect}\"\nformula_safe = {safe}\nalso = [\"xlsx\"]\n"
        ))
        .run();
        ran.exit(0);
        let now = workbook(&ran.path("results/job.xlsx"));
        let later = report(ran, &["results/job.csv", "--xlsx"]);
        later.exit(0);
        assert_eq!(workbook(&later.path("results/job.xlsx")), now);
        now
    };
    for (dialect, safe) in [("csv", false), ("csv", true), ("excel-semicolon", true)] {
        let cells = job(dialect, safe);
        for (cell, text) in
            [("B2", "\"'=1\""), ("B3", "'=2'"), ("B4", "'1,234'"), ("M4", "'1,234'")]
        {
            let line = format!("Tasks\t{cell}\ttext\t{text}");
            assert!(cells.contains(&line), "{dialect} {safe}: {line}\n{cells}");
        }
    }
}

#[test]
fn attempts_of_a_resumed_run_stand_where_they_ran() {
    let job = "[inputs]\nrange = { from = 1, to = 6 }\n[workload.command]\nshell = 'echo x >> ran.$input; \
               if [ $input -gt 3 ] && [ ! -e go ]; then sleep 300; fi; [ $(wc -l < ran.$input) -gt 1 ]'\n\
               [limits]\nconcurrency = 4\n[retry]\nmax_attempts = 3\ndelay = \"1ms\"\n";
    let running = TestJob::new(job).spawn();
    running.wait_for_file("ran.4", |text| !text.is_empty());
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() > 3);
    running.signal(libc::SIGKILL);
    let ran = TestJob::again(running.wait()).file("go", "").args(["job.toml", "--resume"]).run();
    ran.exit(0);
    let ran = report(ran, &["results/job.csv"]);
    ran.exit(0).stderr_has("3 tasks were done by an earlier run");
    assert!(!ran.stderr().contains("there is no file that says when"), "{}", ran.stderr());
}

/// Rows and the summary are two files: what one says and the other does not is said.
#[test]
fn a_report_that_is_not_that_of_the_summary_is_said() {
    let shell = "shell = '[ $RUNNER_TASK != 2 ]'";
    let job = format!("inputs.repeat = 4\nmodel = 'threads'\n[workload.command]\n{shell}\n");
    let text = |ran: &Ran| fs::read_to_string(ran.path("results/job.csv")).unwrap();
    let said = |ran: Ran, words: &str| {
        let ran = report(ran, &["--html", "--xlsx", "results/job.csv"]);
        ran.exit(2).stderr_has(words);
        assert!(page(&ran, "results/job.html").contains("The report is incomplete."));
        ran
    };
    let ran = TestJob::new(&job).run();
    let whole = text(ran.exit(3));
    let row = whole.lines().nth(3).unwrap();
    fs::write(ran.path("results/job.csv"), format!("{whole}{row}\n")).unwrap();
    let ran = said(ran, "1 row has the number of a task that has a row already, such as task 3");
    fs::write(ran.path("results/job.csv"), whole.replace(",failed,", ",ok,")).unwrap();
    let ran = said(ran, "3 ok, where the report has 4, 1 failed, where the report has 0");
    let day = &row[row.find(",ok,1,").unwrap() + 6..][..10];
    fs::write(ran.path("results/job.csv"), whole.replace(day, "2999-01-01")).unwrap();
    let ran = said(ran, "the times in `summary.csv` are not those of the rows");
    fs::write(ran.path("results/job.csv"), &whole).unwrap();
    let ran = report(ran, &["results/job.csv"]);
    ran.exit(0);
    // A job that was skipped since has a row without figures; the report is that of before.
    let summary = ran.path("results/summary.csv");
    let header = fs::read_to_string(&summary).unwrap().lines().next().unwrap().to_owned();
    let cells = |name: &str| match name {
        "job" => "job",
        "skipped" => "1",
        "tasks" | "ok" => "0",
        _ => "",
    };
    let row: Vec<_> = header.split(',').map(cells).collect();
    fs::write(summary, format!("{header}\n{}\n", row.join(","))).unwrap();
    report(ran, &["results/job.csv"]).exit(0);
}

/// Attempts that take less than a microsecond are time, too.
#[test]
fn short_run_times_add_up() {
    let mut text = HEADER.to_owned();
    for task in 1..=2000 {
        let slot = 1 + task % 2;
        let row = format!("{task},x,ok,1,2026-01-01 00:00:00.000,0,0.0000019,0,0,,{slot},0,,0,\n");
        text.push_str(&row);
    }
    let ran = TestJob::empty().file("results/x.csv", text).args(["report", "results/x.csv"]).run();
    ran.exit(0);
    let page = page(&ran, "results/x.html");
    let table = &page[page.find("What each slot did").unwrap()..];
    assert!(table.contains("1.9 ms") || table.contains("1.90 ms"), "1,000 times 1.9 µs");
}

#[test]
fn a_workbook_that_cannot_be_made_prevents_no_page() {
    let job = TestJob::empty()
        .file("results/x.csv", format!("{HEADER}{}", row(1, "ok", (0, 1), 1, "")))
        .file("results/x.xlsx/in-the-way", "");
    let ran = job.args(["report", "--html", "--xlsx", "results/x.csv"]).run();
    ran.exit(6).stdout_has("results/x.html\n").stderr_has("failed to write `results/x.xlsx`");
    fs::remove_file(ran.path("results/x.html")).unwrap();
    fs::create_dir(ran.path("results/x.html")).unwrap();
    let ran = report(ran, &["--html", "--xlsx", "results/x.csv"]);
    ran.exit(6).stderr_has("`results/x.html`").stderr_has("`results/x.xlsx`");
}

/// A comparison that was killed leaves its rounds beside the result of the one before.
#[test]
fn rounds_of_another_comparison_are_not_shown() {
    let job = "inputs.repeat = 2\n[workload.sleep]\nduration = '60ms'\n";
    let args = ["compare", "job.toml", "--rounds", "2", "--warmup", "0", "--models", "sequential"];
    let ran = TestJob::empty().file("job.toml", job).args(args).run();
    ran.exit(0);
    let rounds = fs::read_to_string(ran.path("results/job.rounds.csv")).unwrap();
    let ran = report(ran, &["results/job.compare.csv"]);
    ran.exit(0);
    let fewer = rounds.lines().take(2).collect::<Vec<_>>().join("\n") + "\n";
    for (text, said) in [
        (fewer, "is of another comparison"),
        (rounds.replace(",false\n", ",\n"), "is of another comparison, which did not end"),
        (rounds.replace(",sequential,1,2,2,0.", ",sequential,1,2,2,7."), "of another comparison"),
    ] {
        assert_ne!(text, rounds);
        fs::write(ran.path("results/job.rounds.csv"), text).unwrap();
        let output = runner()
            .current_dir(ran.folder())
            .args(["report", "results/job.compare.csv"])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("the single runs are not shown") && error.contains(said), "{error}");
    }
}

/// What a resumed run has run again is there once, although the rows that it had before still stand in the partial.
#[test]
fn rows_that_a_resumed_run_has_replaced_are_not_counted() {
    let job = "[inputs]\nlines = 'in.txt'\n[limits]\nconcurrency = 1\n[workload.command]\n\
               shell = 'test -e good || exit 7; test $input != slow || { touch at; sleep 300; }'\n";
    let text = "a\nb\na\nslow\nc\n";
    let first = TestJob::new(job).file("in.txt", text).run();
    first.exit(3);
    fs::write(first.path("good"), "").unwrap();
    let running = TestJob::again(first).args(["job.toml", "--resume=failed"]).spawn();
    running.wait_for_file("at", |_| true);
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 9);
    let seen = |folder: &Path| {
        for kind in ["--html", "--xlsx"] {
            let mut report = runner();
            report.current_dir(folder).args(["report", "results/job.csv.partial", kind]);
            let made = report.output().unwrap();
            assert!(made.status.success(), "{made:?}");
        }
        fs::read_to_string(folder.join("results/job.html")).unwrap()
    };
    let said = |folder: &Path| verdict(&seen(folder)).to_owned();
    assert_eq!(said(running.folder()), "So far 2 of 5 tasks are not ok: 2 failed.");
    running.signal(Signal::KILL.as_raw());
    let killed = running.wait();
    let after =
        "The run was killed or has crashed. Of what it did, 2 of 5 tasks are not ok: 2 failed.";
    assert_eq!(said(&killed.path("")), after);
    // Without the state, the later row of a task is its row; that of the same number and another input is another task's.
    fs::remove_file(killed.path("results/.job.state")).unwrap();
    assert_eq!(said(&killed.path("")), after);
    let partial = killed.path("results/job.csv.partial");
    let text = fs::read_to_string(&partial).unwrap();
    let (start, last) = text.trim_end().rsplit_once('\n').unwrap();
    fs::write(&partial, format!("{start}\n{}\n", last.replacen(",a,", ",other,", 1))).unwrap();
    let more =
        "The run was killed or has crashed. Of what it did, 3 of 6 tasks are not ok: 3 failed.";
    assert_eq!(said(&killed.path("")), more);
}
