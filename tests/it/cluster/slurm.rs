//! With real Slurm, where its packages can be had: `tests/slurm-cluster.sh get` unpacks them, and
//! `RUNNER_SLURM=DIR cargo test` uses them. Without them these tests say that they are skipped. One test, since one
//! cluster at a time is enough for a busy machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{NOTED, is_over, squares, starts};
use crate::support::{Report, Running, TestJob, root, skip, wait_until};

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
        // Four ports in a row that nobody else uses, most likely.
        let port = 20_000 + std::process::id() % 10_000 * 4;
        let up = slurm.script(&["up"], &[&port.to_string(), "3"]);
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

fn has_begun(running: &Running, tasks: usize) {
    running.wait_for_file("ran", |text| text.lines().count() >= tasks);
}

#[test]
fn a_cluster_under_slurm_does_what_this_machine_does() {
    let Some(slurm) = Slurm::start() else { return };
    happy(&slurm);
    refusals(&slurm);
    a_shard_dies(&slurm);
    the_driver_dies(&slurm);
    a_time_limit(&slurm);
    somebody_cancels(&slurm);
    a_stop(&slurm);
}

fn happy(slurm: &Slurm) {
    let ran = slurm.job(NOTED).run();
    ran.exit(0);
    squares(&ran.report(), 40);
    assert!(starts(ran.folder()).values().all(|starts| *starts == 1));
    let shards = Report::read(&ran.path("results/job.cluster.csv"));
    assert_eq!(shards.column("state"), ["done"; 6]);
    assert!(shards.column("node").iter().all(|node| ["n1", "n2", "n3"].contains(&node.as_str())));
    is_over(&ran);
}

fn refusals(slurm: &Slurm) {
    for (set, said) in [
        ("cluster.partition=nowhere", "see `cluster.partition` (there is all, short)"),
        ("cluster.constraint=nowhere", "see `cluster.constraint`"),
        ("cluster.options=[\"--frobnicate\"]", "unrecognized option '--frobnicate'"),
    ] {
        let ran = slurm.job(NOTED).args(["--set", set]).run();
        ran.exit(2).stderr_has(said);
        is_over(&ran);
    }
    let ran = slurm
        .job(NOTED)
        .args(["--set", "cluster.partition=short", "--set", "cluster.time=10m"])
        .run();
    ran.exit(2).stderr_has("never start it: PartitionTimeLimit; change `cluster.time`");
    is_over(&ran);
}

fn a_shard_dies(slurm: &Slurm) {
    let running = slurm.job(NOTED).spawn();
    has_begun(&running, 5);
    if let Some((pid, _)) = shard(running.folder()) {
        kill(pid);
    }
    let ran = running.wait();
    ran.exit(0);
    squares(&ran.report(), 40);
    is_over(&ran);
}

fn the_driver_dies(slurm: &Slurm) {
    let running = slurm.job(NOTED).spawn();
    has_begun(&running, 5);
    running.signal(libc::SIGKILL);
    let ran = running.wait();
    let ran = slurm.again(TestJob::again(ran)).run();
    ran.exit(0);
    squares(&ran.report(), 40);
    assert!(starts(ran.folder()).values().all(|starts| *starts == 1), "nothing ran twice");
    is_over(&ran);
}

/// The limit is a minute, and the controller rounds what it is told: with one slow shard it is drained and goes on.
fn a_time_limit(slurm: &Slurm) {
    let text = "inputs.range = { from = 1, to = 90 }\n\
                workload.command.shell = 'echo $input >> ran; sleep 1; echo $((input * input))'\n\
                limits.concurrency = 1\ncluster = { time = '1m', lead = '30s' }\n";
    let ran = slurm.job(text).args(["--set", "cluster.shards=1"]).run();
    ran.exit(0);
    squares(&ran.report(), 90);
    assert!(starts(ran.folder()).values().all(|starts| *starts == 1), "nothing ran twice");
    let shards = Report::read(&ran.path("results/job.cluster.csv"));
    assert!(shards.rows.len() > 1, "{:?}", shards.rows);
    is_over(&ran);
}

fn somebody_cancels(slurm: &Slurm) {
    let running = slurm.job(NOTED).spawn();
    has_begun(&running, 3);
    let id = running.wait_for_file("results/.job.run/sub/0001.job", |text| !text.is_empty());
    slurm.client("scancel", &[&format!("{}_5", id.trim())]);
    let ran = running.wait();
    let status = ran.report().column("status");
    assert_eq!(status.len(), 40);
    assert!(status.iter().all(|status| status == "ok" || status == "cancelled"), "{status:?}");
    is_over(&ran);
}

fn a_stop(slurm: &Slurm) {
    let running = slurm.job(NOTED).spawn();
    has_begun(&running, 5);
    running.signal(libc::SIGINT);
    let ran = running.wait();
    ran.exit(130);
    assert_eq!(ran.report().rows.len(), 40);
    is_over(&ran);
    wait_until("nothing is queued", || {
        slurm.client("squeue", &["-h"]).trim().is_empty().then_some(())
    });
    let ran = TestJob::again(ran).arg("job.toml").arg("--resume").run();
    ran.exit(0);
    squares(&ran.report(), 40);
}

/// A controller that goes away for a while changes nothing.
#[test]
fn a_controller_may_be_away() {
    let Some(slurm) = Slurm::start() else { return };
    let running = slurm.job(NOTED).spawn();
    has_begun(&running, 3);
    // Its end is in order: a controller that is killed may give numbers twice when it is back, and drains nodes for that.
    let pid = slurm.pid("slurmctld");
    crate::support::send(pid, libc::SIGTERM);
    wait_until("the controller has ended", || (!crate::support::is_alive(pid)).then_some(()));
    let up = Command::new(slurm.base.join("root/usr/sbin/slurmctld-wlm"))
        .envs(slurm.env.iter().map(|(name, value)| (name, value)))
        .status()
        .unwrap();
    assert!(up.success());
    let ran = running.wait();
    ran.exit(0);
    squares(&ran.report(), 40);
    is_over(&ran);
}
