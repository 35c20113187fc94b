//! Nothing that a run has started outlives it, however it dies.
//!
//! Each run has a mark in its environment, which all that it starts inherits: so they are found wherever they have
//! gone, and nothing else is.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::models::children;
use crate::pausing::wait_until_stopped;
use crate::support::{Running, TestJob, is_alive, send, wait_until};

/// Within this everything must be gone. It takes milliseconds; but the machines that test have other things to do.
const SOON: Duration = Duration::from_secs(30);

/// What tries to get away: ignores signals, has a session of its own, has forked twice, is in the background.
const RUNAWAYS: &str = r#"trap "" TERM INT HUP
setsid sleep 300 &
(setsid sh -c "trap \"\" TERM; sleep 300; :" &)
sh -c "(sleep 300 &) &"
sleep 300 &"#;

/// The processes of one test.
struct Mark(String);

impl Mark {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}-{count}-{:x}", std::process::id(), fastrand::u64(..)))
    }

    fn put_on(&self, job: TestJob) -> TestJob {
        job.env("RUNNER_TEST_MARK", &self.0)
    }

    /// All processes that have it and are alive. A zombie has no environment any more.
    fn processes(&self) -> Vec<i32> {
        let mark = format!("RUNNER_TEST_MARK={}", self.0);
        let has_mark = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(has_mark)
            .filter(|&pid| is_alive(pid))
            .collect()
    }
}

impl Drop for Mark {
    /// A test that fails leaves nothing behind either.
    fn drop(&mut self) {
        self.processes().into_iter().for_each(kill);
    }
}

fn kill(pid: i32) {
    // It may have gone by itself.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// A run in full swing: two tasks and a service, with all that these have left behind.
struct Scene {
    mark: Mark,
    running: Running,
    launcher: i32,
    /// All but the runner and its launcher.
    below: Vec<i32>,
}

impl Scene {
    /// Tasks are commands with runaways.
    fn commands() -> Self {
        let tasks = format!(
            "[workload.command]\nshell = '''{RUNAWAYS}\ntouch started-$RUNNER_TASK; while :; do sleep 300; done'''"
        );
        // Of each command and of the service: a shell and what it waits for, and four that try to get away.
        Self::set(&tasks, "threads", 3 * 6, &["started-1", "started-2"])
    }

    /// Tasks are waits in worker processes.
    fn workers() -> Self {
        Self::set("[workload.sleep]\nduration = '300s'", "processes", 6 + 2, &[])
    }

    fn set(tasks: &str, model: &str, least: usize, files: &[&str]) -> Self {
        let job = format!(
            "[inputs]\nrepeat = 2\n{tasks}\n[limits]\nconcurrency = 2\n[services.s]\nargv = ['sh', '-c', '''{RUNAWAYS}\necho up; while :; do sleep 300; done''']\nready = {{ line = 'up' }}\n"
        );
        let mark = Mark::new();
        let running = mark.put_on(TestJob::new(&job).args(["--model", model])).spawn();
        for file in files {
            running.wait_for_file(file, |_| true);
        }
        let launcher =
            wait_until("there is a launcher", || children(running.pid()).first().copied());
        let below = wait_until("all are there", || {
            let mut all = mark.processes();
            all.retain(|&pid| pid != running.pid() && pid != launcher);
            (all.len() >= least).then_some(all)
        });
        Self { mark, running, launcher, below }
    }

    /// All that were there are gone, and soon.
    fn is_gone_since(&self, start: Instant, what: &str) {
        wait_until("nothing is left", || {
            let left: Vec<_> = self.below.iter().filter(|&&pid| is_alive(pid)).collect();
            assert!(start.elapsed() < SOON, "{what}: left are {left:?} of {:?}", self.below);
            left.is_empty().then_some(())
        });
        println!("{what}: {} were gone after {:?}", self.below.len(), start.elapsed());
    }
}

#[test]
fn nothing_outlives_a_killed_runner() {
    for scene in [Scene::commands(), Scene::workers()] {
        let start = Instant::now();
        kill(scene.running.pid());
        scene.is_gone_since(start, "kill -9 of the runner");
        wait_until("the launcher is gone, too", || scene.mark.processes().is_empty().then_some(()));
    }
}

#[test]
fn nothing_outlives_a_killed_group() {
    for scene in [Scene::commands(), Scene::workers()] {
        let start = Instant::now();
        let group = Pid::from_raw(scene.running.pid()).unwrap();
        kill_process_group(group, Signal::KILL).unwrap();
        scene.is_gone_since(start, "kill -9 of the runner's group");
        wait_until("the launcher is gone, too", || scene.mark.processes().is_empty().then_some(()));
    }
}

#[test]
fn nothing_outlives_a_killed_launcher_and_the_report_is_there() {
    for scene in [Scene::commands(), Scene::workers()] {
        let start = Instant::now();
        kill(scene.launcher);
        scene.is_gone_since(start, "kill -9 of the launcher");
        let Scene { mark, mut running, .. } = scene;
        // What a worker did is done again by another; a job that lost its service drains.
        wait_until("it ends", || {
            running.signal(libc::SIGTERM);
            std::thread::sleep(Duration::from_millis(50));
            running.child.try_wait().unwrap()
        });
        let ran = running.wait();
        assert_eq!(ran.report().rows.len(), 2);
        assert_eq!(mark.processes(), Vec::<i32>::new());
    }
}

#[test]
fn nothing_outlives_a_runner_that_leaves_at_the_third_signal() {
    for mut scene in [Scene::commands(), Scene::workers()] {
        let start = wait_until("it leaves", || {
            let start = Instant::now();
            scene.running.signal(libc::SIGINT);
            std::thread::sleep(Duration::from_millis(20));
            scene.running.child.try_wait().unwrap().map(|_| start)
        });
        scene.is_gone_since(start, "the third signal");
    }
}

#[test]
fn nothing_outlives_a_runner_that_is_killed_while_it_is_paused() {
    for scene in [Scene::commands(), Scene::workers()] {
        scene.running.signal(libc::SIGTSTP);
        wait_until_stopped(scene.running.pid());
        let start = Instant::now();
        kill(scene.running.pid());
        scene.is_gone_since(start, "kill -9 of a paused runner");
    }
}

#[test]
fn nothing_outlives_a_runner_that_is_killed_while_its_launcher_is_stopped() {
    for scene in [Scene::commands(), Scene::workers()] {
        scene.running.signal(libc::SIGSTOP); // it would resume the launcher
        wait_until_stopped(scene.running.pid());
        send(scene.launcher, libc::SIGSTOP);
        wait_until_stopped(scene.launcher);
        let start = Instant::now();
        kill(scene.running.pid());
        scene.is_gone_since(start, "kill -9 of a runner whose launcher is stopped");
        wait_until("the launcher is gone, too", || scene.mark.processes().is_empty().then_some(()));
    }
}

#[test]
fn no_direct_child_outlives_runner_and_launcher() {
    for scene in [Scene::commands(), Scene::workers()] {
        let direct = children(scene.launcher);
        assert!(direct.len() >= 3, "two tasks and a service: {direct:?}");
        // So that it cannot see to them in between.
        scene.running.signal(libc::SIGSTOP);
        let start = Instant::now();
        kill(scene.launcher);
        kill(scene.running.pid());
        wait_until("no direct child is left", || {
            // Some of its children were adopted: they had lost their parents before.
            let started: Vec<_> = direct.iter().filter(|&&pid| is_alive(pid)).collect();
            assert!(start.elapsed() < SOON, "left are {started:?} of {direct:?}");
            let own = started.iter().filter(|&&&pid| is_group_leader(pid)).count();
            (own == 0).then_some(())
        });
    }
}

/// What the launcher starts leads a group and is in the launcher's session; a runaway does neither, or has its own.
fn is_group_leader(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    matches!(fields[..], [_, _, group, session, ..] if group == pid.to_string() && session != group)
}

#[test]
fn nothing_outlives_a_run_that_ends_well() {
    let mark = Mark::new();
    let job = format!(
        "[inputs]\nrepeat = 3\n[workload.command]\nshell = '''({RUNAWAYS}) >&- 2>&-\n:'''\n[services.s]\nargv = ['sh', '-c', '''{RUNAWAYS}\necho up; while :; do sleep 300; done''']\nready = {{ line = 'up' }}\n[limits]\ngrace = '100ms'\n"
    );
    mark.put_on(TestJob::new(&job)).run().exit(0).rows("status", &["ok"; 3]);
    assert_eq!(mark.processes(), Vec::<i32>::new());
}

/// Random signals at random moments, for some seconds: the report is whole, and nothing is left.
#[test]
fn a_signal_at_any_moment_leaves_a_whole_report() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        let mark = Mark::new();
        let model = ["sequential", "threads", "processes", "async"][random.usize(..4)];
        let workload = [
            "command]\nshell = 'sleep 0.01 & setsid sleep 300 >&- 2>&- & wait %1; echo $RUNNER_TASK'",
            "sleep]\nduration = '5ms'",
            "compute]\nfunction = 'count_down'\narg = 100000",
        ][random.usize(..3)];
        let service = "[services.s]\nargv = ['sh', '-c', 'echo up; exec sleep 300']\nready = { line = 'up' }\n";
        let service = if random.bool() { service } else { "" };
        let job = format!(
            "[inputs]\nrepeat = 60\n[workload.{workload}\n[limits]\nconcurrency = 3\ngrace = '100ms'\n{service}"
        );
        let mut running = mark.put_on(TestJob::new(&job).args(["--model", model])).spawn();
        running.wait_for_file("results/job.csv.partial", |_| true);
        for _ in 0..random.usize(1..=2) {
            std::thread::sleep(Duration::from_micros(random.u64(..200_000)));
            if running.child.try_wait().unwrap().is_none() {
                running.signal(if random.bool() { libc::SIGINT } else { libc::SIGTERM });
            }
        }
        let ran = running.wait();
        let code = ran.output.status.code();
        assert!(matches!(code, Some(0 | 130 | 143)), "{code:?} {}", ran.stderr());
        let report = ran.report();
        let tasks: Vec<String> = (1..=60).map(|task| task.to_string()).collect();
        assert_eq!(report.column("task"), tasks, "{model} {workload}");
        for status in report.column("status") {
            assert!(matches!(status.as_str(), "ok" | "cancelled"), "{status}: {model} {workload}");
        }
        assert!(!ran.path("results/job.csv.partial").exists());
        assert_eq!(mark.processes(), Vec::<i32>::new(), "{model} {workload}");
    }
}

/// A worker that is younger may not be ready yet. Three that are killed before they are would end the job, as they
/// should; so there are never two in a row.
const YOUTH: Duration = Duration::from_millis(500);

#[test]
fn workers_that_are_killed_at_random_cost_no_more_than_a_task_each() {
    for workload in ["sleep]\nduration = '10ms'", "compute]\nfunction = 'count_down'\narg = 500000"]
    {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let job = format!(
            "model = 'processes'\n[inputs]\nrepeat = 400\n[workload.{workload}\n[limits]\nconcurrency = 3\n"
        );
        let mut running = TestJob::new(&job).spawn();
        running.wait_for_file("results/job.csv.partial", |text| text.lines().count() > 3);
        let (mut kills, mut births, mut killed_a_young_one) = (0, HashMap::new(), false);
        while running.child.try_wait().unwrap().is_none() && kills < 25 {
            let now = Instant::now();
            let mut workers: Vec<i32> =
                children(running.pid()).into_iter().flat_map(children).collect();
            let mut is_young = |pid| now - *births.entry(pid).or_insert(now) < YOUTH;
            let young: Vec<i32> = workers.iter().copied().filter(|&pid| is_young(pid)).collect();
            if killed_a_young_one {
                workers.retain(|pid| !young.contains(pid));
            }
            if let Some(&worker) = random.choice(&workers) {
                let pid = Pid::from_raw(worker).unwrap();
                kills += usize::from(kill_process(pid, Signal::KILL).is_ok());
                killed_a_young_one = young.contains(&worker);
            }
            std::thread::sleep(Duration::from_millis(random.u64(10..80)));
        }
        let ran = running.wait();
        let report = ran.report();
        let tasks: Vec<String> = (1..=400).map(|task| task.to_string()).collect();
        assert_eq!(report.column("task"), tasks, "{}", ran.stderr());
        let statuses = report.column("status");
        let count = |word: &str| statuses.iter().filter(|status| *status == word).count();
        assert!(count("crashed") <= kills, "{} crashed at {kills} kills", count("crashed"));
        assert_eq!(count("crashed") + count("ok"), 400, "{}", ran.stderr());
        println!("{kills} kills, {} crashed", count("crashed"));
        ran.exit(if count("crashed") > 0 { 3 } else { 0 });
    }
}
