//! With real Slurm, where its packages can be had: `tests/slurm-cluster.sh get DIR` unpacks them, and
//! `RUNNER_SLURM=DIR cargo test` uses them. Without them the test says that it is skipped. One test, since one cluster
//! at a time is enough for a busy machine.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{NOTED, is_over, squares, starts};
use crate::support::{
    PATIENCE, Ran, Report, Running, TestJob, free_port, is_alive, root, send, skip, wait_until,
};

/// A cluster that ends with the test.
struct Slurm {
    folder: TempDir,
    base: PathBuf,
    env: Vec<(String, String)>,
}

impl Slurm {
    /// Starts one of three nodes; `None` if there is no Slurm here.
    fn start() -> Option<Self> {
        let Some(base) = std::env::var_os("RUNNER_SLURM").map(PathBuf::from) else {
            skip("RUNNER_SLURM does not say where Slurm is (`tests/slurm-cluster.sh get DIR`)");
            return None;
        };
        let folder = TempDir::new().unwrap();
        let mut slurm = Self { folder, base, env: Vec::new() };
        let up = slurm.script(&["up"], &[&four_ports().to_string(), "3"]);
        if !up.status.success() {
            skip(&format!("Slurm does not start: {}", String::from_utf8_lossy(&up.stderr)));
            return None;
        }
        let lib = slurm.base.join(format!("root/usr/lib/{}-linux-gnu", std::env::consts::ARCH));
        let bin = slurm.base.join("root/usr/bin");
        let path = std::env::var("PATH").unwrap_or_default();
        slurm.env = vec![
            ("PATH".into(), format!("{}:{path}", bin.display())),
            ("SLURM_CONF".into(), slurm.folder.path().join("slurm.conf").display().to_string()),
            ("LD_LIBRARY_PATH".into(), format!("{0}:{0}/slurm-wlm", lib.display())),
        ];
        Some(slurm)
    }

    fn script(&self, command: &[&str], rest: &[&str]) -> Output {
        Command::new(root().join("tests/slurm-cluster.sh"))
            .args(command)
            .arg(self.folder.path())
            .arg(&self.base)
            .args(rest)
            .output()
            .unwrap()
    }

    fn client(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(self.base.join("root/usr/bin").join(program))
            .args(args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn job(&self, text: &str) -> TestJob {
        let job =
            self.env.iter().fold(TestJob::new(text), |job, (name, value)| job.env(name, value));
        job.args(ON)
    }

    fn again(&self, job: TestJob) -> TestJob {
        let job = self.env.iter().fold(job, |job, (name, value)| job.env(name, value));
        job.arg("job.toml").args(ON).arg("--resume")
    }

    fn pid(&self, name: &str) -> i32 {
        let file = self.folder.path().join(format!("run/{name}.pid"));
        fs::read_to_string(file).unwrap().trim().parse().unwrap()
    }

    /// Ends a node as a loss of power does: its daemon, what watches over its jobs, and the jobs.
    fn kill_node(&self, name: &str, shard: i32) {
        let stat = fs::read_to_string(format!("/proc/{shard}/stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
        let step = parent.and_then(|parent| parent.parse().ok()).filter(|parent| *parent > 1);
        [Some(self.pid(&format!("slurmd-{name}"))), step, Some(shard)]
            .into_iter()
            .flatten()
            .for_each(kill);
    }

    /// Nothing of a run is left with the scheduler.
    fn is_idle(&self) {
        wait_until("nothing is queued", || {
            self.client("squeue", &["-h"]).trim().is_empty().then_some(())
        });
    }
}

/// The first of four ports in a row that nobody uses now.
fn four_ports() -> u16 {
    wait_until("there are four free ports in a row", || {
        let first = free_port();
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        (first < u16::MAX - 4 && (first..first + 4).all(is_free)).then_some(first)
    })
}

impl Drop for Slurm {
    fn drop(&mut self) {
        self.script(&["down"], &[]);
    }
}

const ON: [&str; 6] = ["--on", "slurm", "--set", "cluster.nodes=3", "--set", "cluster.shards=6"];

/// The process on this machine that runs an element of the job: its number, and its node.
fn shard(folder: &Path) -> Option<(i32, String)> {
    let run = folder.join("results/.job.run");
    fs::read_dir("/proc").unwrap().find_map(|entry| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let is_shard = line.contains(" shard ") && line.contains(run.to_str()?);
        let env = fs::read(entry.path().join("environ")).ok()?;
        let env = String::from_utf8_lossy(&env).into_owned();
        let node = env.split('\0').find_map(|line| line.strip_prefix("SLURMD_NODENAME="))?;
        is_shard.then(|| (pid, node.to_owned()))
    })
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

fn run(job: TestJob) -> Ran {
    ended(job.spawn())
}

/// Waits for its end, for longer than other tests do: Slurm needs its time for many things.
fn ended(mut running: Running) -> Ran {
    for _ in 0..5 {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && running.child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(20));
        }
    }
    running.wait()
}

fn has_begun(running: &Running, tasks: usize) {
    running.wait_for_file("ran", |text| text.lines().count() >= tasks);
}

#[test]
fn a_cluster_under_slurm_does_what_this_machine_does() {
    let Some(slurm) = Slurm::start() else { return };
    // The time limit is a minute at least, and needs one node; meanwhile the others have their turn.
    let limited = a_time_limit(&slurm);
    happy(&slurm);
    a_secret_of_the_setup(&slurm);
    refusals(&slurm);
    a_shard_dies(&slurm);
    the_driver_dies(&slurm);
    the_driver_leaves(&slurm);
    somebody_cancels(&slurm);
    a_full_disk(&slurm);
    a_stop(&slurm);
    the_controller_is_away(&slurm);
    a_time_limit_has_passed(limited);
    a_node_dies(&slurm);
    slurm.is_idle();
}

/// Each has a row, and ran once.
#[track_caller]
fn is_exact(ran: &Ran, tasks: u64) {
    ran.exit(0);
    squares(&ran.report(), tasks);
    assert!(starts(ran.folder()).values().all(|starts| *starts == 1), "nothing ran twice");
    is_over(ran);
}

/// The login shell has something to say, on the login node and on the nodes.
fn happy(slurm: &Slurm) {
    let job = slurm.job(NOTED).file("greeting", "echo 'welcome to the cluster'\n");
    let greeting = job.folder().join("greeting").display().to_string();
    let ran = run(job.env("BASH_ENV", &greeting));
    is_exact(&ran, 40);
    let shards = Report::read(&ran.path("results/job.cluster.csv"));
    assert_eq!(shards.column("state"), ["done"; 6]);
    assert!(shards.column("node").iter().all(|node| ["n1", "n2", "n3"].contains(&node.as_str())));
    let log = fs::read_to_string(ran.path("results/job.log")).unwrap();
    assert_eq!(log.matches("welcome to the cluster").count(), 6, "{log}");
}

/// What the setup of an allocation provides need not be there on the login node.
fn a_secret_of_the_setup(slurm: &Slurm) {
    let text = "[inputs]\nrepeat = 2\n[secrets]\nkey = { env = 'RUNNER_TEST_KEY' }\n\
                [workload.command]\nshell = 'test \"$KEY\" = abcdef'\nenv = { KEY = '{secret.key}' }\n";
    let setup = ["--set", "cluster.setup='export RUNNER_TEST_KEY=abcdef'"];
    run(slurm.job(text).args(setup)).exit(0).rows("status", &["ok", "ok"]);
}

fn refusals(slurm: &Slurm) {
    for (set, said) in [
        ("cluster.partition=nowhere", "see `cluster.partition` (there is all, short)"),
        ("cluster.constraint=nowhere", "see `cluster.constraint`"),
        ("cluster.options=[\"--frobnicate\"]", "unrecognized option '--frobnicate'"),
    ] {
        let ran = run(slurm.job(NOTED).args(["--set", set]));
        ran.exit(2).stderr_has(said);
        is_over(&ran);
    }
    let never = ["--set", "cluster.partition=short", "--set", "cluster.time=10m"];
    let ran = run(slurm.job(NOTED).args(never));
    ran.exit(2).stderr_has("never start it: PartitionTimeLimit; change `cluster.time`");
    is_over(&ran);
}

fn a_shard_dies(slurm: &Slurm) {
    let running = slurm.job(NOTED).spawn();
    has_begun(&running, 5);
    if let Some((pid, _)) = shard(running.folder()) {
        kill(pid);
    }
    let ran = ended(running);
    ran.exit(0);
    squares(&ran.report(), 40);
    is_over(&ran);
}

fn the_driver_dies(slurm: &Slurm) {
    let running = slurm.job(NOTED).spawn();
    has_begun(&running, 5);
    running.signal(libc::SIGKILL);
    let ran = ended(running);
    is_exact(&run(slurm.again(TestJob::again(ran))), 40);
}

fn the_driver_leaves(slurm: &Slurm) {
    let ran = run(slurm.job(NOTED).arg("--detach"));
    ran.exit(0).stderr_has("6 shards go on");
    is_exact(&run(slurm.again(TestJob::again(ran))), 40);
}

/// With one slow shard: it is drained before the limit, and goes on in another allocation.
fn a_time_limit(slurm: &Slurm) -> Running {
    let text = "inputs.range = { from = 1, to = 75 }\n\
                workload.command.shell = 'echo $input >> ran; sleep 1; echo $((input * input))'\n\
                limits.concurrency = 1\ncluster = { time = '1m', lead = '30s' }\n";
    slurm.job(text).args(["--set", "cluster.shards=1"]).spawn()
}

fn a_time_limit_has_passed(running: Running) {
    let ran = ended(running);
    is_exact(&ran, 75);
    let shards = Report::read(&ran.path("results/job.cluster.csv"));
    assert!(shards.rows.len() > 1, "{:?}", shards.rows);
}

fn somebody_cancels(slurm: &Slurm) {
    let running = slurm.job(NOTED).spawn();
    has_begun(&running, 3);
    let id = running.wait_for_file("results/.job.run/sub/0001.job", |text| !text.is_empty());
    slurm.client("scancel", &[&format!("{}_5", id.trim())]);
    let ran = ended(running);
    let status = ran.report().column("status");
    assert_eq!(status.len(), 40);
    assert!(status.iter().all(|status| status == "ok" || status == "cancelled"), "{status:?}");
    is_over(&ran);
    let ran = run(slurm.again(TestJob::again(ran)));
    ran.exit(0);
    squares(&ran.report(), 40);
}

/// The nodes cannot write rows; where they can again, the run goes on.
fn a_full_disk(slurm: &Slurm) {
    let long = r#"printf "%0300d\n" "$((input * input))""#;
    let text = NOTED.replace(r#"echo "$((input * input))""#, long);
    let ran = run(slurm.job(&text).args(["--set", "cluster.setup=ulimit -f 1"]));
    ran.exit(6).stderr_has("rows cannot be written on n");
    let ran = run(slurm.again(TestJob::again(ran)));
    ran.exit(0);
    assert_eq!(ran.report().column("status"), ["ok"; 40]);
    is_over(&ran);
}

fn a_stop(slurm: &Slurm) {
    let running = slurm.job(NOTED).spawn();
    has_begun(&running, 5);
    running.signal(libc::SIGINT);
    let ran = ended(running);
    ran.exit(130);
    assert_eq!(ran.report().rows.len(), 40);
    is_over(&ran);
    // What was begun there is finished here.
    let ran = TestJob::again(ran).arg("job.toml").arg("--resume").run();
    is_exact(&ran, 40);
}

/// A controller that goes away for a while changes nothing.
fn the_controller_is_away(slurm: &Slurm) {
    let running = slurm.job(NOTED).spawn();
    has_begun(&running, 3);
    // Its end is in order: a controller that is killed may give numbers twice when it is back, and drains nodes for
    // that. The campaign does that, too.
    let pid = slurm.pid("slurmctld");
    send(pid, libc::SIGTERM);
    wait_until("the controller has ended", || (!is_alive(pid)).then_some(()));
    let up = Command::new(slurm.base.join("root/usr/sbin/slurmctld-wlm"))
        .envs(slurm.env.iter().map(|(name, value)| (name, value)))
        .status()
        .unwrap();
    assert!(up.success());
    let ran = ended(running);
    is_exact(&ran, 40);
}

/// The whole node, with all that runs on it: its shard goes on where it was, on another one.
fn a_node_dies(slurm: &Slurm) {
    let text = NOTED.replace("0.05", "0.5");
    let running = slurm.job(&text).spawn();
    has_begun(&running, 9);
    let (pid, node) = wait_until("a shard runs", || shard(running.folder()));
    slurm.kill_node(&node, pid);
    let ran = ended(running);
    ran.exit(0).stderr_has(&format!("its node was lost on {node}"));
    squares(&ran.report(), 40);
    is_over(&ran);
}
