//! Ctrl-Z: the runner, its children and its clock stand still until they are let go on.

use std::time::{Duration, Instant};

use crate::models::children;
use crate::support::{PATIENCE, TestJob, wait_until};

/// A second's work in small steps, so that what a pause takes away shows.
const STEPS: &str =
    "shell = 'touch started; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done; echo done'";

/// Longer than the timeout of the jobs.
const PAUSE: Duration = Duration::from_millis(3300);

/// The letter of a process's state: `T` is stopped.
fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

pub fn wait_until_stopped(pid: i32) {
    // A shell that has a child by `vfork` waits for that to execute its program: if that is stopped before, so is the
    // shell, but its state is `D`.
    wait_until(&format!("process {pid} is stopped"), || {
        state(pid).filter(|state| matches!(state, 'T' | 'D'))
    });
}

fn job(workload: &str) -> String {
    format!(
        "[inputs]\nrepeat = 2\n[workload.{workload}\n[limits]\ntimeout = \"3s\"\nconcurrency = 2\n[services.s]\nargv = ['sh', '-c', 'echo up; while :; do sleep 0.01; done']\nready = {{ line = 'up' }}"
    )
}

/// Pauses a run in the midst of its tasks for longer than these may take.
fn pause_in_the_midst(job: &str, args: [&str; 2], is_started: impl Fn(&TestJobRun) -> bool) {
    let run = TestJobRun(TestJob::new(job).args(args).spawn());
    let start = Instant::now();
    while !is_started(&run) {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(2));
    }
    let TestJobRun(running) = run;
    running.signal(libc::SIGTSTP);
    wait_until_stopped(running.pid());
    let below: Vec<i32> = children(running.pid()).into_iter().flat_map(children).collect();
    assert!(below.len() > 1, "the service and a task: {below:?}");
    for &pid in &below {
        wait_until_stopped(pid);
    }
    std::thread::sleep(PAUSE);
    running.signal(libc::SIGCONT);
    for &pid in &below {
        wait_until("it goes on", || (state(pid) != Some('T')).then_some(()));
    }
    let ran = running.wait();
    let report = ran.exit(0).report();
    assert_eq!(report.column("status"), ["ok", "ok"], "{report:?}");
    for run in report.column("run_s") {
        let run: f64 = run.parse().unwrap();
        assert!(run < 2.9, "the pause was counted: {run} s");
    }
    let wall: f64 = ran.summary("job")["wall_s"].parse().unwrap();
    assert!(wall < 10.0, "{wall}");
}

struct TestJobRun(crate::support::Running);

impl TestJobRun {
    fn has_started(&self) -> bool {
        self.0.folder().join("started").exists()
    }

    /// For tasks that leave no trace: the service is up, and the workers are.
    fn has_workers(&self, count: usize) -> bool {
        let launcher = children(self.0.pid());
        let below: Vec<i32> = launcher.into_iter().flat_map(children).collect();
        let partial = self.0.folder().join("results/job.csv.partial").exists();
        partial && below.len() > count
    }
}

#[test]
fn a_pause_of_commands_counts_for_nothing() {
    pause_in_the_midst(&job(&format!("command]\n{STEPS}")), ["--model", "threads"], |run| {
        run.has_started()
    });
}

#[test]
fn a_pause_of_worker_processes_counts_for_nothing() {
    let job = job("sleep]\nduration = '1s'");
    pause_in_the_midst(&job, ["--model", "processes"], |run| run.has_workers(2));
}

#[test]
fn a_pause_of_waits_in_the_runner_counts_for_nothing() {
    // A task of another kind shows in `children`: the service is the one, its `sleep` the other.
    let job =
        job("sleep]\nduration = '1s'").replace("while :; do sleep 0.01; done", "sleep 300 & wait");
    let job = job.replace("[limits]", "[services.t]\nargv = ['sleep', '300']\n[limits]");
    pause_in_the_midst(&job, ["--model", "async"], |run| run.has_workers(1));
}

#[test]
fn a_paused_run_can_be_ended() {
    let job = "[workload.command]\nshell = 'echo $$ > pid; exec sleep 300'\n";
    let mut running = TestJob::new(job).spawn();
    let pid = running.wait_for_file("pid", |text| text.ends_with('\n')).trim().parse().unwrap();
    running.signal(libc::SIGTSTP);
    wait_until_stopped(running.pid());
    wait_until_stopped(pid);
    running.signal(libc::SIGTERM);
    running.signal(libc::SIGCONT);
    wait_until("it ends", || {
        running.signal(libc::SIGTERM);
        std::thread::sleep(Duration::from_millis(100));
        running.child.try_wait().unwrap()
    });
    running.wait().exit(143).rows("status", &["cancelled"]);
    assert!(!crate::support::is_alive(pid));
}

#[test]
fn a_pause_that_is_taken_back_at_once_is_none() {
    let job = "[inputs]\nrepeat = 40\n[workload.command]\nargv = ['sleep', '0.02']\n[limits]\nconcurrency = 2\n";
    let mut running = TestJob::new(job).spawn();
    running.wait_for_file("results/job.csv.partial", |_| true);
    while running.child.try_wait().unwrap().is_none() {
        running.signal(libc::SIGTSTP);
        running.signal(libc::SIGCONT);
        std::thread::sleep(Duration::from_millis(10));
    }
    running.wait().exit(0).rows("status", &["ok"; 40]);
}
