//! What a child gets, and what is reported about its end.

use std::ffi::CStr;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use super::testing::{launcher, runtime};
use super::*;

fn strings(values: &[&str]) -> Strings {
    let mut strings = Strings::default();
    for value in values {
        strings.push(value).unwrap();
    }
    strings
}

/// Runs `sh` with these arguments; returns how it ended and its standard output.
fn run(
    port: &mut Port,
    argv: &[&str],
    set: &[&str],
    unset: &[&str],
    cwd: Option<&CStr>,
) -> (Ended, String) {
    let mut file = tempfile::tempfile().unwrap();
    let [argv, set, unset] = [strings(argv), strings(set), strings(unset)];
    let (stdin, stderr, extra) = (None, None, None);
    let stdout = Some(file.as_fd());
    let (argv, set, unset) = (&argv, &set, &unset);
    let start = Start { program: c"/bin/sh", argv, set, unset, cwd, stdin, stdout, stderr, extra };
    port.start(&start).unwrap();
    let ended = runtime_of(port.ended()).unwrap();
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    (ended, text)
}

thread_local! {
    static RUNTIME: tokio::runtime::Runtime = runtime();
}

fn runtime_of<F: Future>(future: F) -> F::Output {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

fn port(launcher: &Launcher) -> Port {
    runtime_of(async { launcher.port() }).unwrap()
}

/// The pid that a child writes into this file, a line.
fn pid_in(file: &Path) -> i32 {
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        if text.ends_with('\n') {
            return text.trim().parse().unwrap();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// A zombie counts as dead: orphans are adopted by a process's first thread, on which no test runs.
fn wait_until_dead(pid: i32) {
    let is_alive =
        || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while is_alive() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_child_gets_its_arguments_environment_and_folder() {
    let launcher = launcher();
    let mut port = port(&launcher);
    let argv = ["sh", "-c", "echo $# $1 $NEW $HOME ${CARGO_MANIFEST_DIR-none}; pwd", "sh", "a b"];
    let (ended, text) =
        run(&mut port, &argv, &["NEW=new", "HOME=x"], &["CARGO_MANIFEST_DIR"], Some(c"/"));
    assert!(matches!(ended.exit, Exit::Code(0)), "{ended:?}");
    assert_eq!(text, "1 a b new x none\n/\n");
    assert!(ended.peak_rss > 100_000 && ended.ended > ended.started);
}

#[test]
fn ends_are_told_apart() {
    let launcher = launcher();
    let mut port = port(&launcher);
    let (ended, _) = run(&mut port, &["sh", "-c", "exit 3"], &[], &[], None);
    assert!(matches!(ended.exit, Exit::Code(3)), "{ended:?}");
    let (ended, _) = run(&mut port, &["sh", "-c", "kill -9 $$"], &[], &[], None);
    assert!(matches!(ended.exit, Exit::Signal(9)), "{ended:?}");
    let (ended, _) = run(&mut port, &["sh"], &[], &[], Some(c"/nowhere"));
    assert!(
        matches!(&ended.exit, Exit::NotStarted(Step::Folder, error) if error.raw_os_error() == Some(2))
    );
}

#[test]
fn a_long_request_travels_in_memory_and_a_too_long_one_is_said() {
    let launcher = launcher();
    let mut port = port(&launcher);
    let long = vec!["x".repeat(100_000); 6];
    let mut argv = vec!["sh", "-c", "echo $# ${#6}", "sh"];
    argv.extend(long.iter().map(String::as_str));
    let (ended, text) = run(&mut port, &argv, &[], &[], None);
    assert!(matches!(ended.exit, Exit::Code(0)), "{ended:?}");
    assert_eq!(text, "6 100000\n");
    let longer = "x".repeat(300_000);
    argv.push(&longer);
    let (ended, _) = run(&mut port, &argv, &[], &[], None);
    let too_long = Some(libc::E2BIG);
    assert!(
        matches!(&ended.exit, Exit::NotStarted(Step::Execute, error) if error.raw_os_error() == too_long),
        "{ended:?}"
    );
}

#[test]
fn a_signal_reaches_the_group_and_what_is_left_of_it_is_killed() {
    let launcher = launcher();
    let mut port = port(&launcher);
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let script = format!("(trap '' TERM; exec sleep 300) & echo $! > {}; wait", pid_file.display());
    let [argv, none] = [strings(&["sh", "-c", &script]), Strings::default()];
    let start = Start {
        program: c"/bin/sh",
        argv: &argv,
        set: &none,
        unset: &none,
        cwd: None,
        stdin: None,
        stdout: None,
        stderr: None,
        extra: None,
    };
    port.start(&start).unwrap();
    assert!(runtime_of(port.started()).unwrap().is_some());
    let pid = pid_in(&pid_file);
    port.signal(libc::SIGTERM).unwrap();
    let ended = runtime_of(port.ended()).unwrap();
    assert!(matches!(ended.exit, Exit::Signal(libc::SIGTERM)), "{ended:?}");
    wait_until_dead(pid);
}

#[test]
fn nothing_is_left_when_the_launcher_is_stopped() {
    let launcher = launcher();
    let mut port = port(&launcher);
    let script = "setsid sleep 300 & (setsid sleep 300 & echo $!); echo $!";
    let (_, text) = run(&mut port, &["sh", "-c", script], &[], &[], None);
    let pids: Vec<&str> = text.lines().collect();
    assert_eq!(pids.len(), 2);
    launcher.stop();
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid}");
    }
}

#[test]
fn the_child_of_a_dropped_port_is_killed() {
    let launcher = launcher();
    let mut first = port(&launcher);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pid");
    let [argv, none] = [
        strings(&["sh", "-c", &format!("echo $$ > {}; exec sleep 300", path.display())]),
        Strings::default(),
    ];
    let (program, set, unset) = (c"/bin/sh", &none, &none);
    let (cwd, stdin, stdout, stderr, extra) = (None, None, None, None, None);
    first
        .start(&Start { program, argv: &argv, set, unset, cwd, stdin, stdout, stderr, extra })
        .unwrap();
    let pid = pid_in(&path);
    drop(first);
    wait_until_dead(pid);
    let (ended, _) = run(&mut port(&launcher), &["sh", "-c", ""], &[], &[], None);
    assert!(matches!(ended.exit, Exit::Code(0)), "the launcher keeps working: {ended:?}");
}
