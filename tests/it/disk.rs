//! Results that cannot be written, or not where they should be: the run says so with exit code 6, and what was done is
//! kept where that is possible.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ran, Running, TestJob, runner, skip};

/// Tasks that wait until the file `go` is there.
const JOB: &str = r"
    [inputs]
    repeat = 6
    [workload.command]
    shell = 'test $RUNNER_TASK -lt 4 || while ! test -e go; do sleep 0.01; done'
    [limits]
    concurrency = 2
";

/// Starts it; returns when the first tasks have their rows.
fn begin() -> Running {
    let running = TestJob::new(JOB).spawn();
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() == 4);
    running
}

fn end(running: Running) -> Ran {
    fs::write(running.folder().join("go"), "").unwrap();
    running.wait()
}

fn resume(ran: Ran) -> Ran {
    TestJob::again(ran).args(["--resume", "job.toml"]).run()
}

const ALL: [&str; 6] = ["1,ok", "2,ok", "3,ok", "4,ok", "5,ok", "6,ok"];

#[test]
fn a_folder_that_is_removed_is_made_again() {
    let running = begin();
    fs::remove_dir_all(running.folder().join("results")).unwrap();
    let ran = end(running);
    ran.exit(0).rows("task,status", &ALL);
    resume(ran).exit(0).rows("task,status", &ALL);
}

#[test]
fn a_folder_that_has_become_a_file_is_said_and_what_is_lost() {
    let running = begin();
    let results = running.folder().join("results");
    fs::remove_dir_all(&results).unwrap();
    fs::write(&results, "in the way").unwrap();
    let ran = end(running);
    ran.exit(6).stderr_has("failed to write `results/job.csv`");
    ran.stderr_has("`results/job.csv.partial` was removed, so its 6 rows are lost");
    assert_eq!(fs::read_to_string(&results).unwrap(), "in the way");
}

#[test]
fn a_partial_that_somebody_else_writes_to_does_not_become_the_report() {
    let running = begin();
    let partial = running.folder().join("results/job.csv.partial");
    let mut rows = fs::OpenOptions::new().append(true).open(&partial).unwrap();
    std::io::Write::write_all(&mut rows, b"7,what,is,this\n").unwrap();
    let ran = end(running);
    ran.exit(6).stderr_has("another program changed `results/job.csv.partial`");
    assert!(!ran.path("results/job.csv").exists());
    let text = fs::read_to_string(&partial).unwrap();
    assert!(text.contains("7,what,is,this") && text.lines().count() == 8, "{text}");
    let resumed = resume(ran);
    resumed.exit(2).stderr_has("is not what the runner wrote");
}

/// A folder in which nothing can be made, moved or removed, not even by root.
struct Immutable(PathBuf);

impl Immutable {
    fn make(folder: &Path) -> Option<Self> {
        let folder = Self(folder.to_owned());
        folder.chattr("+i").then_some(folder)
    }

    fn chattr(&self, mode: &str) -> bool {
        let done = Command::new("chattr").arg(mode).arg(&self.0).output();
        done.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        self.chattr("-i");
    }
}

#[test]
fn a_folder_that_turns_read_only_leaves_the_partial_to_go_on_with() {
    let running = begin();
    let Some(immutable) = Immutable::make(&running.folder().join("results")) else {
        return skip("it needs root, chattr and a file system that knows it");
    };
    let ran = end(running);
    drop(immutable);
    ran.exit(6).stderr_has("results/job.csv").stderr_has(
        "the 6 rows written so far are kept in `results/job.csv.partial`, in the order in which tasks ended",
    );
    let resumed = resume(ran);
    resumed.exit(0).rows("task,status", &ALL);
    assert!(resumed.summary("job")["reason"].ends_with("resumed: 6 of 6 kept"));
}

#[test]
fn a_folder_that_is_read_only_from_the_start_runs_nothing() {
    let test = TestJob::new("[workload.command]\nargv = ['touch', 'ran']\n");
    let results = test.folder().join("results");
    fs::create_dir(&results).unwrap();
    let Some(immutable) = Immutable::make(&results) else {
        return skip("it needs root, chattr and a file system that knows it");
    };
    let ran = test.run();
    drop(immutable);
    ran.exit(6).stderr_has("failed to write `results/job.csv.partial`");
    assert!(!ran.path("ran").exists());
}

#[test]
fn a_limit_on_the_size_of_files_is_like_a_full_disk() {
    let job = "[inputs]\nrepeat = 100000\n[workload.compute]\nfunction = 'count_down'\narg = 1\n";
    let test = TestJob::new(job);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 200; exec \"$0\" job.toml"]).arg(runner().get_program());
    command.current_dir(test.folder()).process_group(0);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("file too large") && said.contains("job.csv.partial"), "{said}");
    let ran = test.arg("--resume").run();
    assert_eq!(ran.exit(0).report().rows.len(), 100_000);
}
