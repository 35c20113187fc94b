//! `summary.csv`: one row for each job, whatever was there before.

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::report::stats::{Spread, Totals};
use crate::report::{Before, ServiceTimes};
use crate::sys::CpuTime;
use crate::task::Outcome;

pub(crate) fn summary(job: &str) -> Summary {
    let ms = Duration::from_millis;
    let mut totals = Totals { cpu: Some(CpuTime::default()), ..Totals::default() };
    for status in [Status::Ok, Status::Ok, Status::Failed] {
        totals.add(&Outcome::new(status, crate::task::Moment::from_nanos(0), ms(1)));
    }
    let run = Spread {
        mean: ms(3),
        stddev: None,
        min: ms(1),
        p50: ms(2),
        p90: ms(4),
        p99: ms(5),
        max: ms(6),
    };
    Summary {
        is_enough: false,
        job: job.into(),
        model: "threads",
        concurrency: 2,
        reason: "set in the job file".into(),
        totals,
        column_totals: Vec::new(),
        kept: 0,
        ended: 3,
        before: Before::default(),
        wall: ms(1500),
        startup: ms(1),
        services: ServiceTimes::default(),
        held: Duration::ZERO,
        run: Some(run),
        queue: Some(run),
        due_p99: None,
        started: UNIX_EPOCH,
        finished: UNIX_EPOCH + ms(1500),
        report: format!("results/{job}.csv").into(),
        failures: Vec::new(),
        notes: Vec::new(),
        busy: None,
        pages: Vec::new(),
        warnings: Vec::new(),
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(summary: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("summary.csv"), summary).unwrap();
        Self(folder)
    }

    fn put(&self, job: &str) -> Option<String> {
        self.put_in(job, Dialect::Csv)
    }

    fn put_in(&self, job: &str, dialect: Dialect) -> Option<String> {
        replace_row(self.0.path(), &summary(job), dialect).unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    /// The first columns of every row.
    fn rows(&self, columns: usize) -> Vec<String> {
        let start = |line: &str| line.split(',').take(columns).collect::<Vec<_>>().join(",");
        self.read("summary.csv").lines().skip(1).map(start).collect()
    }
}

#[test]
fn a_row_is_exact() {
    let folder = Folder::with("");
    assert_eq!(folder.put("a"), None);
    let cores = std::thread::available_parallelism().unwrap();
    assert_eq!(
        folder.read("summary.csv"),
        format!(
            "job,model,concurrency,tasks,ok,failed,timeout,crashed,cancelled,skipped,wall_s,startup_s,\
             tasks_per_s,run_mean_s,run_stddev_s,run_min_s,run_p50_s,run_p90_s,run_p99_s,run_max_s,queue_p50_s,\
             cpu_user_s,cpu_sys_s,peak_rss_bytes,output_bytes,started_utc,finished_utc,reason,runner_version,\
             cores,up_to_date,due_p99_s,totals\n\
             a,threads,2,3,2,1,0,0,0,0,1.5,0.001,2,0.003,,0.001,0.002,0.004,0.005,0.006,0.002,0,0,,,\
             1970-01-01 00:00:00.000,1970-01-01 00:00:01.500,set in the job file,{},{cores},0,,\n",
            env!("CARGO_PKG_VERSION")
        )
    );
}

#[test]
fn a_job_replaces_its_own_row_only() {
    let folder = Folder::with("");
    for job in ["a", "b", "a", "c"] {
        folder.put(job);
    }
    assert_eq!(folder.rows(2), ["a,threads", "b,threads", "c,threads"]);
}

#[test]
fn rows_of_other_versions_are_matched_by_column() {
    let folder =
        Folder::with("job,ok,mood,model\nold,7,\"good, \"\"really\"\"\",async\na,1,bad,async\n");
    let warning = folder.put("a").unwrap();
    assert!(warning.contains("columns that this version does not know (mood)"), "{warning}");
    assert_eq!(folder.rows(5), ["old,async,,,7", "a,threads,2,3,2"]);
    assert!(
        folder
            .read("summary.csv")
            .lines()
            .next()
            .unwrap()
            .ends_with(",runner_version,cores,up_to_date,due_p99_s,totals")
    );
    assert!(folder.read("summary.csv.bak").starts_with("job,ok,mood,model\nold,7,"));
    assert_eq!(folder.put("b"), None);
}

#[test]
fn a_file_that_is_not_a_summary_is_moved_aside() {
    let folder = Folder::with("shopping list\nmilk\n");
    let warning = folder.put("a").unwrap();
    assert!(
        warning.contains("was not a summary (its header does not start with `job`)"),
        "{warning}"
    );
    assert_eq!(folder.read("summary.csv.bad"), "shopping list\nmilk\n");
    fs::write(folder.0.path().join("summary.csv"), "job,ok\na,1,2,3\n").unwrap();
    assert!(folder.put("b").unwrap().contains("summary.csv.bad2"));
    assert_eq!(folder.read("summary.csv.bad2"), "job,ok\na,1,2,3\n");
    assert_eq!(folder.rows(1), ["b"]);
}

#[test]
fn each_dialect_reads_what_another_has_written() {
    let folder = Folder::with("");
    folder.put("a");
    let plain = folder.read("summary.csv");
    assert_eq!(folder.put_in("b", Dialect::ExcelSemicolon), None);
    let text = folder.read("summary.csv");
    assert!(text.starts_with("\u{feff}job;model;"), "{text}");
    assert!(text.contains("\r\na;threads;") && text.contains(";1,5;0,001;"), "{text}");
    assert!(text.contains(";1970-01-01 00:00:01,500;set in the job file;"), "{text}");
    assert_eq!(rows(folder.0.path(), ["job", "ok"]).unwrap()[1], ["b", "2"]);
    assert_eq!(folder.put("b"), None);
    assert_eq!(folder.read("summary.csv").lines().nth(1), plain.lines().nth(1));
}
