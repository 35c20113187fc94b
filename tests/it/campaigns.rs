//! Runs that are stopped, robbed of their workers or of their disk at random moments, and gone on with until they are
//! done. At the end every task has exactly one row and is ok, every side effect is there, and no child is left.
//!
//! `RUNNER_CRASH_SECONDS` and `RUNNER_CRASH_SEED` as in `crash.rs`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::crash::{campaign, no_child_is_left};
use crate::models::children;
use crate::support::{Ran, Report, Running, STDERR, TestJob};

const TASKS: usize = 600;

/// A line into a file of its own for every start of a task.
const COMMANDS: &str = r#"
    [inputs]
    range = { from = 1, to = 600 }
    [workload.command]
    shell = 'echo x >> "did/$input"; sleep 0.005'
    [limits]
    concurrency = 4
    grace = "100ms"
"#;

/// Starts it once more, in the same folder.
fn resume(earlier: Option<Ran>, job: &str) -> TestJob {
    let test = earlier.map_or_else(TestJob::empty, TestJob::again);
    test.file("job.toml", job).file("did/.kept", "").args(["--resume", "-q", "job.toml"])
}

/// Waits for up to so many milliseconds; says whether the run is still going on.
fn goes_on(running: &mut Running, millis: u64) -> bool {
    let until = Instant::now() + Duration::from_millis(millis);
    while running.child.try_wait().unwrap().is_none() {
        if Instant::now() >= until {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Checks a report that is whole: one row a task, and nothing but what is ok or `stopped`.
fn check_report(report: &Report, stopped: &str) -> usize {
    let numbers: Vec<_> = (1..=report.rows.len()).map(|number| number.to_string()).collect();
    assert_eq!((report.column("task"), report.column("input")), (numbers.clone(), numbers));
    assert_eq!(report.rows.len(), TASKS);
    let statuses = report.column("status");
    assert!(statuses.iter().all(|status| status == "ok" || status == stopped), "{statuses:?}");
    statuses.iter().filter(|status| *status == "ok").count()
}

/// How often each command has run.
fn ran(folder: &Path) -> HashMap<String, usize> {
    let count = |number: usize| {
        let text = fs::read_to_string(folder.join(format!("did/{number}"))).unwrap_or_default();
        (number.to_string(), text.lines().count())
    };
    (1..=TASKS).map(count).collect()
}

#[test]
fn whatever_is_stopped_nothing_is_lost_and_nothing_that_was_done_is_repeated() {
    campaign(8, |rng| {
        let (mut ended, mut done): (Option<Ran>, HashMap<_, _>) = (None, HashMap::new());
        for stops in 0.. {
            let mut running = resume(ended.take(), COMMANDS).spawn();
            let signal = if rng.bool() { Signal::INT } else { Signal::TERM };
            let signals = rng.usize(1..=3);
            let mut sent = 0;
            while sent < signals
                && goes_on(&mut running, rng.u64(if sent == 0 { 30..600 } else { 0..60 }))
            {
                let pid = Pid::from_raw(running.pid()).unwrap();
                sent += usize::from(kill_process(pid, signal).is_ok());
            }
            let last = running.wait();
            no_child_is_left(last.folder());
            let times = ran(last.folder());
            for (input, before) in &done {
                assert_eq!(times[input], *before, "{input} was ok, and ran again");
            }
            let report = last.path("results/job.csv");
            if last.path("results/job.csv.partial").exists() || !report.exists() {
                assert!(sent > 0, "{}", last.stderr());
            } else {
                let report = Report::read(&report);
                let ok = check_report(&report, "cancelled");
                let inputs = report.column("input").into_iter().zip(report.column("status"));
                let ok_now = inputs.filter(|(_, status)| status == "ok");
                done = ok_now.map(|(input, _)| (input.clone(), times[&input])).collect();
                if ok == TASKS {
                    let all = times.values().all(|count| (1..=stops + 1).contains(count));
                    assert!(all, "{times:?} in {stops} stops");
                    return format!("done after {stops} stops");
                }
                assert!(sent > 0, "{}", last.stderr());
            }
            let code = last.output.status.code(); // none: the signal came before the runner took any
            assert!([Some(130), Some(143), None].contains(&code), "{code:?} {}", last.stderr());
            ended = Some(last);
        }
        unreachable!("the loop ends with the job")
    });
}

#[test]
fn whichever_worker_dies_a_resumed_job_gets_done() {
    let job = r#"
        model = "processes"
        [inputs]
        range = { from = 1, to = 600 }
        [workload.compute]
        function = "count_down"
        arg = 400000
        [limits]
        concurrency = 3
    "#;
    campaign(8, |rng| {
        let mut ended: Option<Ran> = None;
        for runs in 1.. {
            let mut running = resume(ended.take(), job).spawn();
            // Workers that are killed before they are ready end the job after a while, as they should: it is resumed.
            while runs < 8 && goes_on(&mut running, rng.u64(20..150)) {
                let workers: Vec<_> =
                    children(running.pid()).into_iter().flat_map(children).collect();
                let victim =
                    if rng.u8(..20) == 0 { Some(running.pid()) } else { rng.choice(workers) };
                if let Some(pid) = victim.and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL); // it may have ended
                }
            }
            let last = running.wait();
            no_child_is_left(last.folder());
            if last.output.status.code() == Some(0) {
                assert_eq!(check_report(&last.report(), "ok"), TASKS);
                return format!("done in {runs} runs");
            }
            if last.output.status.code() == Some(3) {
                check_report(&last.report(), "crashed");
            }
            ended = Some(last);
        }
        unreachable!("the loop ends with the job")
    });
}

/// A file system of its own for the results; needs to be root.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(results: &Path) -> Option<Self> {
        fs::create_dir_all(results).unwrap();
        let disk = Self(results.to_owned());
        disk.option("size=64k").then_some(disk)
    }

    fn option(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&self.0);
        mount.output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn however_often_the_disk_is_full_nothing_is_lost() {
    campaign(8, |rng| {
        let first = resume(None, COMMANDS);
        let Some(disk) = Disk::mount(&first.folder().join("results")) else {
            return "skipped: a small file system needs root and mount(8)".into();
        };
        let mut kilobytes = 64;
        let mut job = first;
        for runs in 1.. {
            let mut running = job.spawn();
            if rng.u8(..4) == 0 && goes_on(&mut running, rng.u64(50..500)) {
                running.signal(Signal::KILL.as_raw());
            }
            let last = running.wait();
            no_child_is_left(last.folder());
            match last.output.status.code() {
                Some(0) => {
                    assert_eq!(check_report(&last.report(), "ok"), TASKS);
                    let times = ran(last.folder());
                    assert!(times.values().all(|count| (1..=runs).contains(count)), "{times:?}");
                    drop(disk);
                    return format!("done in {runs} runs with {kilobytes} KiB");
                }
                Some(6) => {
                    let said = fs::read_to_string(last.path(STDERR)).unwrap();
                    assert!(said.contains("no space left on device"), "{said}");
                }
                code => assert_eq!(code, None, "{}", last.stderr()),
            }
            kilobytes += rng.usize(4..40);
            assert!(disk.option(&format!("remount,size={kilobytes}k")));
            job = resume(Some(last), COMMANDS);
        }
        unreachable!("the loop ends with the job")
    });
}
