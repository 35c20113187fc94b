//! What Slurm says when something is wrong, by clients that say it: each line of the table of errors.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{NOTED, is_over, squares, starts};
use crate::support::{Ran, TestJob, wait_until};

const ON: [&str; 6] = ["--on", "slurm", "--set", "cluster.nodes=2", "--set", "cluster.shards=4"];

/// Clients that say what they are told to.
struct Fake(TempDir);

impl Fake {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("arrays")).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        let fake = Self(folder);
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cluster/fake_slurm.py");
        // Named after what it is called as.
        for client in ["sbatch", "squeue", "scancel", "scontrol", "sinfo"] {
            let place = fake.0.path().join("bin").join(client);
            fs::copy(&program, &place).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(place, mode).unwrap();
        }
        fake
    }

    fn tell(self, file: &str, text: &str) -> Self {
        fs::write(self.0.path().join(file), text).unwrap();
        self
    }

    fn without(self, client: &str) -> Self {
        fs::remove_file(self.0.path().join("bin").join(client)).unwrap();
        self
    }

    fn job(&self, text: &str) -> TestJob {
        self.equip(TestJob::new(text)).args(ON)
    }

    fn resume(&self, ran: Ran) -> TestJob {
        self.equip(TestJob::again(ran)).arg("job.toml").args(ON).arg("--resume")
    }

    fn equip(&self, job: TestJob) -> TestJob {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.0.path().join("bin").display());
        job.env("PATH", &path).env("FAKE", &self.0.path().display().to_string())
    }

    /// The calls of a client so far.
    fn calls(&self, client: &str) -> Vec<String> {
        let calls = fs::read_to_string(self.0.path().join(format!("{client}.calls")));
        calls.unwrap_or_default().lines().map(String::from).collect()
    }

    /// How many elements each call of `sbatch` asked for.
    fn sizes(&self) -> Vec<u32> {
        let of = |call: &String| {
            let array = call.split("--array=0-").nth(1)?;
            array.split('%').next()?.parse::<u32>().ok()
        };
        self.calls("sbatch").iter().filter_map(of).map(|last| last + 1).collect()
    }
}

#[track_caller]
fn is_exact(ran: &Ran) {
    ran.exit(0);
    squares(&ran.report(), 40);
    is_over(ran);
}

#[test]
fn without_its_clients_there_is_no_cluster() {
    let fake = Fake::new().without("sbatch");
    let text = "inputs.range = { from = 1, to = 9 }\nworkload.sleep.duration = '1ms'\n";
    let ran = fake.job(text).env("PATH", &fake.0.path().join("bin").display().to_string()).run();
    ran.exit(2)
        .stderr_has("--on slurm: no `sbatch` in the PATH; use a login node, or load its module");
    is_over(&ran);
}

#[test]
fn a_refusal_names_its_key_and_leaves_nothing() {
    for (code, words, said) in [
        (1, "Invalid partition name specified", "see `cluster.partition` (there is batch, short)"),
        (1, "Invalid account or account/partition combination specified", "see `cluster.account`"),
        (1, "Invalid qos specification", "see `cluster.qos`"),
        (1, "Requested node configuration is not available", "see `cluster.cpus`"),
        (1, "Memory specification can not be satisfied", "see `cluster.mem`"),
        (1, "Invalid generic resource (gres) specification", "see `cluster.gpus`"),
        (1, "Invalid feature specification", "see `cluster.constraint`"),
        (255, "Invalid --time specification", "see `cluster.time`"),
        (255, "unrecognized option '--frobnicate'", "unrecognized option '--frobnicate'"),
        (1, "Access/permission denied", "Access/permission denied"),
    ] {
        let complaint = format!("{code}\nsbatch: error: {words}\n");
        let fake = Fake::new().tell("sbatch", &complaint);
        let ran = fake.job(NOTED).run();
        ran.exit(2).stderr_has(&format!("slurm does not take it: {words}")).stderr_has(said);
        assert_eq!(fake.sizes(), [4], "it is asked once");
        is_over(&ran);
    }
}

#[test]
fn too_many_jobs_are_submitted_bit_by_bit() {
    let fake = Fake::new().tell("limit", "2");
    let ran = fake.job(NOTED).run();
    is_exact(&ran);
    let sizes = fake.sizes();
    assert_eq!(sizes[..2], [4, 2], "{sizes:?}");
    assert!(starts(ran.folder()).values().all(|starts| *starts == 1), "nothing ran twice");
}

#[test]
fn a_limit_that_leaves_room_for_nothing_is_an_error() {
    let fake = Fake::new().tell("limit", "0");
    let ran = fake.job(NOTED).run();
    ran.exit(2).stderr_has("slurm takes no more jobs: QOSMaxSubmitJobPerUserLimit");
    assert_eq!(fake.sizes(), [4, 2, 1]);
    is_over(&ran);
}

#[test]
fn an_array_that_is_too_large_is_halved() {
    let words = "1\nsbatch: error: Batch job submission failed: Invalid job array specification\n";
    let fake = Fake::new().tell("sbatch.1", words);
    let ran = fake.job(NOTED).run();
    is_exact(&ran);
    assert_eq!(fake.sizes(), [4, 2, 2]);
}

/// Limits are divided by the allocations that run at once, in however many arrays.
#[test]
fn several_arrays_run_no_more_at_once_than_one() {
    let fake = Fake::new().tell("hold", "").tell("most", "3");
    let running = fake.job(NOTED).args(["--set", "cluster.shards=8"]).spawn();
    wait_until("it was looked at twice", || (fake.calls("squeue").len() > 2).then_some(()));
    let at_once: Vec<_> = fake.calls("sbatch").iter().map(|call| call.contains("%1 ")).collect();
    assert_eq!(at_once, [true, true]);
    drop(running);
    // The others follow when these have ended.
    let fake = Fake::new().tell("most", "3");
    let ran = fake.job(NOTED).args(["--set", "cluster.shards=8"]).run();
    is_exact(&ran);
}

#[test]
fn what_will_never_start_is_said_and_taken_away() {
    for (reason, key) in [
        // The other reasons are told apart in `src/cluster/reason.rs`.
        ("PartitionTimeLimit", "time"),
        ("QOSMaxCpuPerJobLimit", "cpus"),
    ] {
        let fake = Fake::new().tell("hold", "").tell("reason", reason);
        let ran = fake.job(NOTED).run();
        ran.exit(2).stderr_has(&format!(
            "slurm will never start it: {reason}; change `cluster.{key}`, then run it again"
        ));
        assert!(!fake.calls("scancel").is_empty(), "it is not left in the queue");
        is_over(&ran);
    }
}

#[test]
fn a_start_in_a_distant_year_is_a_warning() {
    let fake = Fake::new();
    let job = fake.equip(TestJob::empty().file("job.toml", NOTED));
    let ran = job.args(["check", "--on", "slurm", "job.toml"]).run();
    ran.exit(0).stdout_has("4748-12-13");
    ran.stdout_has("sbatch --parsable --no-requeue").stdout_has("exec ");
    assert!(fake.sizes().is_empty(), "nothing is submitted");
}

#[test]
fn a_node_that_cannot_run_the_runner_stops_the_run() {
    for (code, said) in [
        ("126", "n1 cannot run `"),
        ("127", "n1 has no `"),
        ("132", "n1 cannot run `"),
        // The folder of the results is on a disk of the login node: the shell finds no runner there.
        ("127", "the folder of the results must be on a file system that all nodes see"),
    ] {
        let fake = Fake::new().tell("code", code);
        let ran = fake.job(NOTED).run();
        ran.exit(2).stderr_has(said).stderr_has("set `cluster.runner`");
        is_over(&ran);
    }
}

#[test]
fn a_submission_that_came_through_after_all_is_found() {
    for answer in ["1 does\nsbatch: error: Socket timed out on send/recv operation\n", "0 does\n"] {
        let greeting = if answer.starts_with('0') { "welcome to the cluster\n" } else { "" };
        let fake = Fake::new().tell("sbatch.1", answer).tell("greeting", greeting);
        let ran = fake.job(NOTED).run();
        is_exact(&ran);
        assert_eq!(fake.sizes(), [4], "it is not submitted twice");
        assert!(starts(ran.folder()).values().all(|starts| *starts == 1), "nothing ran twice");
    }
}

#[test]
fn a_submission_that_did_not_come_through_is_made_again() {
    let words =
        "1\nsbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n";
    let fake = Fake::new().tell("sbatch.1", words);
    let ran = fake.job(NOTED).run();
    is_exact(&ran);
    assert_eq!(fake.sizes(), [4, 4]);
}

#[test]
fn no_answer_changes_nothing() {
    let words = "1\nslurm_load_jobs error: Unable to contact slurm controller (connect failure)\n";
    let fake = Fake::new().tell("squeue.1", words).tell("squeue.2", words);
    // Long enough to be looked at.
    let ran = fake.job(&NOTED.replace("0.05", "1.5")).run();
    is_exact(&ran);
    ran.stderr_has("slurm does not answer, which changes nothing");
    assert!(starts(ran.folder()).values().all(|starts| *starts == 1), "nothing ran twice");
}

/// An answer without a row is none: whether an array is forgotten is said by name.
#[test]
fn no_row_is_no_answer() {
    let fake = Fake::new().tell("squeue.1", "0").tell("squeue.2", "0").tell("squeue.3", "0");
    let ran = fake.job(&NOTED.replace("0.05", "1.5")).run();
    is_exact(&ran);
    ran.stderr_has("`squeue` has no row of job 100");
    assert!(starts(ran.folder()).values().all(|starts| *starts == 1), "nothing ran twice");
}

/// What a user has set for clients of Slurm is for the user, and what tasks find in their environment is the caller's.
#[test]
fn the_variables_of_users_change_no_answer_and_reach_the_tasks() {
    let text = "inputs.range = { from = 1, to = 8 }\n\
                workload.command.shell = 'echo $input >> ran; sleep 1; printf %s \"$LC_ALL $SQUEUE_PARTITION\"'\n\
                limits.concurrency = 1\n";
    let fake = Fake::new();
    let job = fake.job(text).env("SQUEUE_PARTITION", "short").env("SCANCEL_INTERACTIVE", "true");
    let ran = job.env("LC_ALL", "C.UTF-8").run();
    ran.exit(0);
    assert_eq!(ran.report().column("result"), ["C.UTF-8 short"; 8]);
    assert!(starts(ran.folder()).values().all(|starts| *starts == 1), "nothing ran twice");
    let running =
        fake.equip(TestJob::new(text)).args(ON).env("SCANCEL_INTERACTIVE", "true").spawn();
    running.wait_for_file("ran", |text| !text.is_empty());
    running.signal(libc::SIGINT);
    let ran = running.wait();
    ran.exit(130);
    assert!(ran.report().column("status").iter().any(|status| status == "cancelled"));
}

/// Those that run are told to end, and the answer is lost: they are told again, and end what they have begun.
#[test]
fn a_stop_that_is_asked_for_twice_kills_nothing() {
    let text = "inputs.range = { from = 1, to = 8 }\n\
                workload.command.shell = 'echo $input >> ran; while [ ! -e go ]; do sleep 0.05; done'\n\
                limits.concurrency = 1\n";
    let lost = "1 does\nscancel: error: Kill job error on job id 100: Socket timed out on send/recv operation\n";
    let fake = Fake::new().tell("scancel.2", lost);
    let running = fake.job(text).spawn();
    running.wait_for_file("ran", |text| text.lines().count() == 2);
    running.signal(libc::SIGINT);
    wait_until("they are told again", || (fake.calls("scancel").len() >= 4).then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(500)); // until they have heard it
    fs::write(running.folder().join("go"), "").unwrap();
    let ran = running.wait();
    ran.exit(130);
    let status = ran.report().column("status");
    assert_eq!(status.iter().filter(|status| *status == "ok").count(), 2, "{status:?}");
}

#[test]
fn what_the_scheduler_has_forgotten_or_given_away_does_not_count_twice() {
    for (file, text) in [("forgets", "100"), ("other_name", "somebody")] {
        let fake = Fake::new().tell(file, text);
        let ran = fake.job(NOTED).run();
        is_exact(&ran);
    }
}

#[test]
fn one_that_could_not_be_launched_is_submitted_again() {
    let fake = Fake::new().tell("hold", "").tell("reason", "launch failed requeued held");
    let running = fake.job(NOTED).spawn();
    wait_until("it is taken away", || (!fake.calls("scancel").is_empty()).then_some(()));
    fs::remove_file(fake.0.path().join("hold")).unwrap();
    fs::remove_file(fake.0.path().join("reason")).unwrap();
    let ran = running.wait();
    is_exact(&ran);
    assert!(fake.sizes().len() > 1);
}

#[test]
fn one_that_somebody_takes_away_while_it_waits_is_not_started_again() {
    let fake = Fake::new().tell("hold", "");
    let running = fake.job(NOTED).spawn();
    wait_until("it was looked at", || (!fake.calls("squeue").is_empty()).then_some(()));
    for index in 0..3 {
        fs::write(fake.0.path().join(format!("arrays/100/{index}.gone")), "").unwrap();
    }
    fs::write(fake.0.path().join("arrays/100/3.end"), "CA 0").unwrap();
    let ran = running.wait();
    ran.exit(3);
    assert_eq!(ran.report().column("status"), ["cancelled"; 40]);
    assert!(
        ran.report().column("error").iter().all(|why| why.starts_with("its element was cancelled"))
    );
    fs::remove_file(fake.0.path().join("hold")).unwrap();
    is_exact(&fake.resume(ran).run());
}

#[test]
fn a_large_array_is_one_call() {
    let fake = Fake::new().tell("hold", "").tell("most", "50001");
    let text = "inputs.range = { from = 1, to = 60000 }\nworkload.command.argv = ['true']\n";
    let sizes = ["--set", "cluster.shards=50000", "--set", "cluster.nodes=1000"];
    let ran = fake.job(text).args(sizes).arg("--detach").run();
    ran.exit(0).stderr_has("50000 shards go on");
    assert_eq!(fake.sizes(), [50_000]);
}

#[test]
fn inputs_of_a_pipe_survive_their_driver() {
    let fake = Fake::new();
    let text = "inputs.lines = '-'\nworkload.command.argv = ['echo', '<{input}>']\n";
    let ran = fake.job(text).arg("--detach").stdin("a\nb\nc\n").run();
    ran.exit(0);
    let ran = fake.resume(ran).stdin("x\n").run();
    ran.exit(0).stderr_has("standard input is not read: the run on the cluster keeps the inputs");
    ran.rows("task,input,status,result", &["1,a,ok,<a>", "2,b,ok,<b>", "3,c,ok,<c>"]);
    is_over(&ran);
}
