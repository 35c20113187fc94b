//! Ctrl-Z: the runner, its children and its clock stand still until they are let go on.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::models::children;
use crate::support::{MODELS, Report, Running, TestJob, send, skip, wait_until};

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
fn pause_in_the_midst(job: &str, model: &str, has_started: impl Fn(&Running) -> bool) {
    let running = TestJob::new(job).args(["--model", model]).spawn();
    wait_until("tasks are running", || has_started(&running).then_some(()));
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

/// Whether the pool is being started or has been, and there are more processes than this below the launcher: the only
/// trace of tasks that leave none.
fn has_more_children(running: &Running, count: usize) -> bool {
    let partial = running.folder().join("results/job.csv.partial").exists();
    partial && children(running.pid()).into_iter().flat_map(children).count() > count
}

#[test]
fn a_pause_of_commands_counts_for_nothing() {
    pause_in_the_midst(&job(&format!("command]\n{STEPS}")), "threads", |running| {
        running.folder().join("started").exists()
    });
}

#[test]
fn a_pause_of_worker_processes_counts_for_nothing() {
    let job = job("sleep]\nduration = '1s'");
    pause_in_the_midst(&job, "processes", |running| has_more_children(running, 2));
}

#[test]
fn a_pause_of_waits_in_the_runner_counts_for_nothing() {
    // They have no process: a second service shows that the first one is up, and that they are next.
    let job = job("sleep]\nduration = '1s'") + "\n[services.t]\nargv = ['sleep', '300']";
    pause_in_the_midst(&job, "async", |running| has_more_children(running, 1));
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

/// Tasks that end when they may, one at a time.
const GATED: &str = "[inputs]\nrepeat = 12\n[workload.command]\nshell = 'touch started-$input; until test -e go-$input; do sleep 0.01; done'\n[limits]\nconcurrency = 1\n";

#[test]
fn a_pause_that_is_taken_back_at_once_is_none() {
    for model in MODELS {
        let running = TestJob::new(GATED).args(["--model", model]).spawn();
        for task in 1..=12 {
            running.wait_for_file(&format!("started-{task}"), |_| true);
            // One of each: a runner that has stopped after the CONT stays stopped, and starts no further task.
            running.signal(libc::SIGTSTP);
            running.signal(libc::SIGCONT);
            std::fs::write(running.folder().join(format!("go-{task}")), "").unwrap();
        }
        running.wait().exit(0).rows("status", &["ok"; 12]);
    }
}

/// In a container, the session and the process group may be those of a process outside, which has no number there.
#[test]
fn a_pause_in_a_container() {
    const CONTAINER: &[&str] = &[
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        "\"$@\"; exit $?",
        "sh",
    ];
    let mut may = Command::new(CONTAINER[0]);
    let may = may.args(&CONTAINER[1..]).arg("true").output();
    if !may.is_ok_and(|output| output.status.success()) {
        return skip("it needs unshare and the right to make namespaces");
    }
    let running = TestJob::new(GATED).under(CONTAINER).spawn();
    running.wait_for_file("started-1", |_| true);
    let shell = children(running.pid())[0];
    let runner = children(shell)[0];
    send(runner, libc::SIGTSTP);
    wait_until_stopped(runner);
    send(runner, libc::SIGCONT);
    for task in 1..=12 {
        std::fs::write(running.folder().join(format!("go-{task}")), "").unwrap();
    }
    running.wait().exit(0).rows("status", &["ok"; 12]);
}

/// A shell with job control in a terminal of its own: it runs its arguments as a job, in which Ctrl-Z is typed when
/// the first task runs, and brings that back by one `fg`. The exit code is the job's.
const SHELL: &str = r#"
import os, pty, signal, sys, threading, time

def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)

def shell():
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execv(sys.argv[1], sys.argv[1:])
    for gate in range(1, 4):
        status = os.waitpid(job, os.WUNTRACED)[1]
        if not os.WIFSTOPPED(status):
            print("not stopped:", status, flush=True)
            os._exit(97)
        os.tcsetpgrp(0, os.getpgrp())
        open(f"go-{gate}", "w").close()
        os.tcsetpgrp(0, job)
        os.killpg(job, signal.SIGCONT)
    for gate in range(4, 13):
        open(f"go-{gate}", "w").close()
    status = os.waitpid(job, os.WUNTRACED)[1]
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 98)

pid, terminal = pty.fork()
if pid == 0:
    shell()

def show():
    try:
        while text := os.read(terminal, 4096):
            sys.stdout.buffer.write(text)
    except OSError:
        pass  # the end

shown = threading.Thread(target=show)
shown.start()
for gate in range(1, 4):
    wait_for(f"started-{gate}")
    os.write(terminal, b"\x1a")
status = os.waitpid(pid, 0)[1]
shown.join()
sys.exit(os.WEXITSTATUS(status))
"#;

#[test]
fn ctrl_z_and_fg_in_a_terminal() {
    for model in MODELS {
        let job = TestJob::new(GATED);
        let mut shell = Command::new("python3");
        shell.args(["-c", SHELL, env!("CARGO_BIN_EXE_runner"), "job.toml", "--model", model]);
        let log = std::fs::File::create(job.folder().join("terminal")).unwrap();
        shell.current_dir(job.folder()).stdin(Stdio::null()).stdout(log).process_group(0);
        let mut shell = Group(shell.spawn().expect("python3"));
        let status = wait_until("the job ends", || shell.0.try_wait().unwrap());
        let shown = std::fs::read_to_string(job.folder().join("terminal")).unwrap();
        assert_eq!(status.code(), Some(0), "{model}: {shown}");
        let report = Report::read(&job.folder().join("results/job.csv"));
        assert_eq!(report.column("status"), ["ok"; 12], "{model}: {shown}");
    }
}

/// A child that is killed if the test fails; whoever reads its terminal is hung up on.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
