//! The report as a whole: from records to files.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::publish::Publish;
use super::*;
use crate::config::{Order, ReportSettings};
use crate::report::write::row::tests::{SETTINGS, record, unrun};
use crate::task::{Cause, Level, Moment, Record, Status};

mod resume;

/// A job `a` with one field `input`, whose report goes to a folder of its own.
struct Fixture {
    folder: tempfile::TempDir,
    order: Order,
    begin: Begin,
    identity: [u8; 32],
    cancel: Arc<Cancel>,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            order: Order::Input,
            begin: Begin::Anew,
            identity: [0; 32],
            cancel: Arc::default(),
        }
    }

    fn results(&self) -> PathBuf {
        self.folder.path().join("results")
    }

    fn start(&self) -> Result<Report, ReportError> {
        self.start_in(self.results())
    }

    fn start_in(&self, results: PathBuf) -> Result<Report, ReportError> {
        let options = Options {
            results: results.clone(),
            begin: self.begin,
            output: None,
            progress: progress::Mode::Off,
            claims: Arc::default(),
            standing: Standing::Kept,
            written: None,
            identities: None,
        };
        let job = JobFacts {
            name: "a".into(),
            folder: self.folder.path().to_owned(),
            results,
            settings: ReportSettings { order: self.order, ..SETTINGS },
            shared_dialect: csv::Dialect::Csv,
            has_attempts: false,
            identity: self.identity,
            own_fields: 1,
            has_creates: false,
            names_by_number: false,
        };
        let layout = Layout::new(&["input".into()], &[], SETTINGS);
        Report::start(job, layout, &options, None, Arc::clone(&self.cancel))
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.results().join(name)).ok()
    }
}

fn facts() -> RunFacts {
    RunFacts {
        is_enough: false,
        model: "threads",
        concurrency: 2,
        started: Moment::now(),
        before: Before::default(),
        startup: Duration::ZERO,
        services: ServiceTimes::default(),
        held: Duration::ZERO,
        calendar: Calendar::now(),
        due_p99: None,
        reason: String::new(),
        cpu: None,
        worker_peak: None,
        own_peak: None,
        notes: Vec::new(),
        saw_a_part: false,
        busy: None,
    }
}

/// The first cell of every row.
fn tasks(report: &str) -> Vec<&str> {
    report.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect()
}

fn failed(number: u64, error: &str) -> Record {
    let mut failed = record(number);
    failed.outcome.status = Status::Failed;
    failed.outcome.error = error.into();
    failed
}

fn wait_until(what: impl Fn() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < Duration::from_secs(10), "nothing happened");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn rows_come_in_input_order_and_the_partial_goes() {
    let fixture = Fixture::new();
    let report = fixture.start().unwrap();
    assert!(fixture.read("a.csv.partial").unwrap().starts_with("task,input,status"));
    let (mut one, mut other) = (report.buffer(), report.buffer());
    other.put(&record(2));
    one.put(&unrun(3));
    one.put(&record(1));
    let summary = report.finish(facts()).unwrap();
    assert_eq!(tasks(&fixture.read("a.csv").unwrap()), ["1", "2", "3"]);
    assert_eq!(fixture.read("a.csv.partial"), None);
    let tally = summary.totals.tally;
    assert_eq!((tally.total(), tally.get(Status::Ok), tally.get(Status::Cancelled)), (3, 2, 1));
    assert_eq!(summary.run.unwrap().p50, Duration::from_millis(1500));
    assert_eq!(summary.reason, "set in the job file");
    assert!(fixture.read("summary.csv").unwrap().contains("\na,threads,2,3,2,0,0,0,1,0,"));
    let left: Vec<_> = fs::read_dir(fixture.results()).unwrap().collect();
    assert_eq!(left.len(), 4, "report, state, summary and its lock: {left:?}");
}

#[test]
fn completion_order_is_that_of_the_records() {
    let fixture = Fixture { order: Order::Completion, ..Fixture::new() };
    let report = fixture.start().unwrap();
    let mut buffer = report.buffer();
    for number in [3, 1, 2] {
        buffer.put(&record(number));
    }
    report.finish(facts()).unwrap();
    assert_eq!(tasks(&fixture.read("a.csv").unwrap()), ["3", "1", "2"]);
}

#[test]
fn a_row_is_in_the_partial_soon() {
    let fixture = Fixture::new();
    let report = fixture.start().unwrap();
    let put = Instant::now();
    report.buffer().put(&record(1)); // as if its event loop were held from now on
    wait_until(|| fixture.read("a.csv.partial").unwrap().contains("\n1,"));
    assert!(put.elapsed() >= Duration::from_millis(40), "rows are written one by one");
    wait_until(|| report.counts().get(Status::Ok) == 1);
}

#[test]
fn many_rows_from_many_threads_are_all_there() {
    let fixture = Fixture::new();
    let report = fixture.start().unwrap();
    thread::scope(|scope| {
        for first in 1..=4 {
            let mut buffer = report.buffer();
            scope.spawn(move || {
                for number in (first..=40_000).step_by(4) {
                    buffer.put(&record(number));
                    if buffer.is_full() {
                        buffer.wait_for_room();
                    }
                }
            });
        }
    });
    report.finish(facts()).unwrap();
    let expected: Vec<_> = (1..=40_000).map(|number| number.to_string()).collect();
    assert_eq!(tasks(&fixture.read("a.csv").unwrap()), expected);
}

#[tokio::test]
async fn a_slot_that_waits_for_room_gets_it() {
    let fixture = Fixture::new();
    let report = fixture.start().unwrap();
    let mut buffer = report.buffer();
    let mut big = record(1);
    big.outcome.result = vec![b'x'; 2 << 20];
    buffer.put(&big);
    buffer.room().await;
    assert!(!buffer.is_full());
    let summary = report.finish(facts()).unwrap();
    assert_eq!(
        summary.warnings,
        [
            "column `result` of task 1 has 2097152 characters: whole in the report, but a spreadsheet cuts a cell at 32767"
        ]
    );
}

#[test]
fn what_a_killed_run_left_is_not_overwritten() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.results()).unwrap();
    fs::write(fixture.results().join("a.csv.partial"), "rows").unwrap();
    assert!(fixture.start().unwrap_err().is_refusal());
    assert_eq!(fixture.read("a.csv.partial").unwrap(), "rows");
    Fixture { begin: Begin::Fresh, ..fixture }.start().unwrap();
}

#[test]
fn a_job_that_could_not_start_leaves_nothing() {
    let fixture = Fixture::new();
    drop(fixture.start().unwrap());
    assert_eq!(fixture.read("a.csv.partial"), None);
    let report = fixture.start().unwrap();
    report.buffer().put(&record(1));
    drop(report);
    assert_eq!(tasks(&fixture.read("a.csv.partial").unwrap()), ["1"]);
}

#[test]
fn a_folder_that_is_removed_meanwhile_costs_no_row() {
    let fixture = Fixture::new();
    let report = fixture.start().unwrap();
    report.buffer().put(&record(1));
    wait_until(|| report.counts().ended() == 1);
    fs::remove_dir_all(fixture.results()).unwrap();
    report.finish(facts()).unwrap();
    assert_eq!(tasks(&fixture.read("a.csv").unwrap()), ["1"]);
}

#[test]
fn different_failures_are_kept_for_the_terminal() {
    let fixture = Fixture::new();
    let report = fixture.start().unwrap();
    let mut buffers = [report.buffer(), report.buffer()];
    for (number, error) in (1..).zip(["x", "x", "y", "x", "z", "w"]) {
        buffers[number as usize % 2].put(&failed(number, error));
    }
    let failures = report.finish(facts()).unwrap().failures;
    let said: Vec<_> = failures.iter().map(|f| (f.task, f.error.as_str())).collect();
    assert_eq!(said, [(1, "x"), (3, "y"), (5, "z")]);
}

#[test]
fn a_folder_that_cannot_be_written_is_one_error() {
    let fixture = Fixture::new();
    fs::write(fixture.results(), "a file").unwrap();
    let error = fixture.start().unwrap_err();
    assert!(error.is_write());
    assert!(error.to_string().starts_with("failed to write `"), "{error}");
}

/// Says on the terminal itself that a test does not run here: what a test prints that passes is kept from it.
fn skip(reason: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}

/// A folder on a disk of 256 KiB; needs to be root.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(folder.path());
        let mounted = rustix::process::geteuid().is_root()
            && mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_drains_the_job_and_keeps_whole_rows() {
    let Some(disk) = SmallDisk::mount() else {
        return skip("a small disk could not be mounted, which needs root");
    };
    let fixture = Fixture::new();
    let report = fixture.start_in(disk.path().to_owned()).unwrap();
    let mut buffer = report.buffer();
    for number in 1..=20_000 {
        buffer.put(&record(number));
        buffer.wait_for_room();
    }
    wait_until(|| fixture.cancel.level() == Level::Drain);
    assert!(matches!(fixture.cancel.cause(), Some(Cause::Report(_))));
    let error = report.finish(facts()).unwrap_err();
    assert!(error.is_write());
    let partial = fs::read_to_string(disk.path().join("a.csv.partial")).unwrap();
    let kept = tasks(&partial).len();
    assert!(partial.ends_with(",done,,\n"), "half a row");
    let expected = format!("no space left on device; the {kept} rows written so far are kept in `");
    assert!(error.to_string().contains(&expected), "{error}");
}

#[test]
fn a_disk_too_full_to_sort_on_keeps_every_row() {
    let Some(disk) = SmallDisk::mount() else {
        return skip("a small disk could not be mounted, which needs root");
    };
    let fixture = Fixture::new();
    let report = fixture.start_in(disk.path().to_owned()).unwrap();
    let mut buffer = report.buffer();
    buffer.put(&record(2_000));
    let partial = disk.path().join("a.csv.partial");
    wait_until(|| tasks(&fs::read_to_string(&partial).unwrap()).len() == 1); // the others come too late for the order
    (1..2_000).for_each(|number| buffer.put(&record(number)));
    let error = report.finish(facts()).unwrap_err();
    assert!(error.to_string().contains("the 2000 rows written so far are kept"), "{error}");
    let partial = fs::read_to_string(&partial).unwrap();
    assert_eq!(tasks(&partial).len(), 2_000);
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 2, "no temporary file is left");
}
