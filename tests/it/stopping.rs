//! Signals, and runners that are killed: the report that is left, and the children that are not.

use rustix::process::Signal;

use crate::models::children;
use crate::support::{TestJob, is_alive, wait_until};

const SLOW: &str = r"
    [inputs]
    repeat = 50
    [workload.command]
    shell = 'echo $$; sleep 0.3'
    [limits]
    concurrency = 2
";

fn started(text: &str) -> bool {
    text.lines().count() >= 3
}

#[test]
fn the_first_signal_drains() {
    let running = TestJob::new(SLOW).spawn();
    running.wait_for_file("results/job.csv.partial", started);
    running.signal(Signal::INT.as_raw());
    let ran = running.wait();
    ran.exit(130);
    let report = ran.report();
    let statuses = report.column("status");
    assert_eq!(statuses.len(), 50, "every task has a row");
    assert!(statuses.iter().all(|status| status == "ok" || status == "cancelled"), "{statuses:?}");
    assert!(statuses.iter().any(|status| status == "cancelled"));
    let cancelled = report.select("status,attempts,started_utc,run_s");
    assert!(cancelled.contains(&"cancelled,0,,".to_owned()), "{cancelled:?}");
    assert!(!ran.path("results/job.csv.partial").exists());
    assert_eq!(ran.summary("job")["tasks"], "50");
}

#[test]
fn the_second_signal_ends_running_tasks() {
    let job = "[inputs]\nrepeat = 4\n[workload.command]\nshell = 'touch started-$RUNNER_TASK; echo $$; exec sleep 300'\n[limits]\nconcurrency = 2\n";
    let running = TestJob::new(job).spawn();
    running.wait_for_file("started-1", |_| true);
    running.wait_for_file("started-2", |_| true);
    running.stop(Signal::TERM.as_raw());
    let ran = running.wait();
    ran.exit(143);
    let report = ran.report();
    assert_eq!(report.column("status"), ["cancelled"; 4]);
    for pid in report.column("result").iter().filter(|pid| !pid.is_empty()) {
        assert!(!is_alive(pid.parse().unwrap()));
    }
}

#[test]
fn computations_stop_at_the_second_signal_under_every_model() {
    for model in ["sequential", "threads", "processes", "async"] {
        let job = "[inputs]\nvalues = [1, 18446744073709551615]\n[workload.compute]\nfunction = \"count_down\"\n";
        let running = TestJob::new(job).args(["--model", model, "-j", "1"]).spawn();
        running.wait_for_file("results/job.csv.partial", |text| text.lines().count() >= 2);
        running.stop(Signal::INT.as_raw());
        running.wait().exit(130).rows("status", &["ok", "cancelled"]);
    }
}

#[test]
fn a_killed_runner_leaves_its_partial_and_no_child() {
    let job = r"
        [inputs]
        repeat = 50
        [workload.command]
        shell = 'setsid sleep 300 & (sleep 300 &) ; sleep 0.1; echo $!'
        [limits]
        concurrency = 2
    ";
    let running = TestJob::new(job).spawn();
    running.wait_for_file("results/job.csv.partial", |text| text.lines().count() >= 4);
    let launcher = children(running.pid());
    let below: Vec<i32> = launcher.iter().copied().flat_map(children).collect();
    assert!(!below.is_empty(), "there are children");
    running.signal(Signal::KILL.as_raw());
    for pid in launcher.iter().chain(&below) {
        wait_until("no child is left", || (!is_alive(*pid)).then_some(()));
    }
    let text = running.wait_for_file("results/job.csv.partial", |_| true);
    let leftovers: Vec<i32> = text
        .lines()
        .skip(1)
        .filter_map(|row| row.split(',').find(|cell| cell.len() > 2 && cell.parse::<i32>().is_ok()))
        .map(|pid| pid.parse().unwrap())
        .collect();
    for pid in leftovers {
        wait_until("no grandchild is left", || (!is_alive(pid)).then_some(()));
    }
}

#[test]
fn a_partial_report_is_never_overwritten() {
    let job = "[inputs]\nrepeat = 2\n[workload.compute]\nfunction = \"count_down\"\narg = 1\n";
    let ran = TestJob::new(job).file("results/job.csv.partial", "task,status\n1,ok\n").run();
    ran.exit(2).stderr_has("results/job.csv.partial").stderr_has("--fresh");
    assert_eq!(
        std::fs::read_to_string(ran.path("results/job.csv.partial")).unwrap(),
        "task,status\n1,ok\n"
    );
    let fresh = TestJob::new(job)
        .file("results/job.csv.partial", "task,status\n1,ok\n")
        .arg("--fresh")
        .run();
    fresh.exit(0).rows("status", &["ok", "ok"]);
    assert!(!fresh.path("results/job.csv.partial").exists());
}

#[test]
fn a_killed_launcher_is_said_and_leaves_nothing() {
    let job = "[inputs]\nrepeat = 6\n[workload.command]\nshell = 'echo $$ > pid-$RUNNER_TASK; exec sleep 300'\n[limits]\nconcurrency = 2\n";
    let running = TestJob::new(job).spawn();
    running.wait_for_file("pid-1", |text| !text.is_empty());
    running.wait_for_file("pid-2", |text| !text.is_empty());
    let launcher = children(running.pid())[0];
    rustix::process::kill_process(rustix::process::Pid::from_raw(launcher).unwrap(), Signal::KILL)
        .unwrap();
    for task in ["pid-1", "pid-2"] {
        let pid: i32 = running.wait_for_file(task, |_| true).trim().parse().unwrap();
        wait_until("its children are gone", || (!is_alive(pid)).then_some(()));
    }
    running.wait_for_file("pid-3", |text| !text.is_empty());
    running.wait_for_file("pid-4", |text| !text.is_empty());
    running.stop(Signal::INT.as_raw());
    let ran = running.wait();
    assert_eq!(ran.report().rows.len(), 6);
    let statuses = ran.report().column("status");
    assert!(statuses[..2].iter().all(|status| status == "crashed"), "{statuses:?}");
}

#[test]
fn a_signal_stops_the_jobs_that_follow() {
    let running = TestJob::new(SLOW).file("later.toml", SLOW).arg("later.toml").spawn();
    running.wait_for_file("results/job.csv.partial", started);
    running.signal(Signal::HUP.as_raw());
    let ran = running.wait();
    ran.exit(129);
    assert!(!ran.path("results/later.csv").exists());
}

#[test]
fn who_kills_a_job_of_a_trillion_inputs_does_not_wait_for_their_rows() {
    let job = "[inputs]\nrange = { from = 1, to = 1_000_000_000_000 }\n[workload.sleep]\nduration = \"1ms\"\n[limits]\nconcurrency = 1\n";
    let running = TestJob::new(job).spawn();
    running.wait_for_file("results/job.csv.partial", started);
    running.stop(Signal::INT.as_raw());
    let ran = running.wait();
    ran.exit(130).stderr_has("have no row");
    assert!(ran.path("results/job.csv").exists());
}

/// Runs what it is given on a terminal of its own, and closes that when a task has started.
const TERMINAL: &str = "
import os, pty, signal, sys, time
pid, terminal = pty.fork()
if pid == 0:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
    os.execv(sys.argv[1], sys.argv[1:])
while not os.path.exists('started'):
    time.sleep(0.005)
os.close(terminal)
sys.exit(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))
";

#[test]
fn a_terminal_that_is_closed_stops_the_run() {
    let job = "[inputs]\nrepeat = 500\n[workload.command]\nshell = 'echo > started; sleep 0.2'\n[limits]\nconcurrency = 1\n";
    let ran = TestJob::new(job).under(&["python3", "-c", TERMINAL]).run();
    ran.exit(129);
    let statuses = ran.report().column("status");
    assert_eq!(statuses.len(), 500);
    assert_eq!((&*statuses[0], &*statuses[499]), ("ok", "cancelled"));
    assert!(!ran.path("results/job.csv.partial").exists());
}

/// Runs what it is given on a terminal of its own, and reads that until it has ended.
const WATCHED: &str = "
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
try:
    while os.read(terminal, 4096):
        pass
except OSError:
    pass  # so it ends
sys.exit(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))
";

/// Asks for a password as programs do: on the terminal, whatever standard input is.
const PROMPT: &str = "
import os, sys
try:
    os.open('/dev/tty', os.O_RDWR)
except OSError as error:
    sys.exit(f'no terminal: {error.strerror}')
";

#[test]
fn a_program_that_asks_on_the_terminal_fails_at_once() {
    let job = "[workload.command]\nargv = ['python3', 'ask.py']\n";
    let ran = TestJob::new(job).file("ask.py", PROMPT).under(&["python3", "-c", WATCHED]).run();
    ran.exit(3);
    let error = ran.report().column("error").remove(0);
    assert!(error.contains("no terminal: No such device or address"), "{error}");
}
