//! The runner's end of the launcher: starting it, and asking it to start children, a [`Port`] per slot.
//!
//! What the launcher does and why it exists is said in [`launch`].

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{RecvFlags, recv};
use rustix::process::{Resource, Rlimit, getpid, getrlimit, set_child_subreaper, setrlimit};
use tokio::io::unix::AsyncFd;

pub use crate::host::socket::is_crowded;
pub use crate::host::wire::{HasNul, Strings};
pub use crate::sys::Step;

use crate::engine::clock::Moment;
use crate::engine::task::CpuTime;
use crate::host::wire::{ANSWER_BYTES, Answer, Ends, MAX_DESCRIPTORS, MAX_INLINE, StartRequest};
use crate::host::{launch, socket, tree, wire};
use crate::sys;

/// The soft limit of open files that the runner was started with, if it has raised it; else 0.
static ORIGINAL_OPEN_FILES: AtomicU64 = AtomicU64::new(0);

/// Raises the soft limit of open files as far as it goes: a slot needs a handful. Children get the original one, since
/// a high one breaks programs that use `select` or close every descriptor that there could be.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let Some(original) = limit.current.filter(|_| limit.current != limit.maximum) else { return };
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok() {
        ORIGINAL_OPEN_FILES.store(original, Ordering::Relaxed);
    }
}

/// The launcher, shared by all slots. Should it die, everything below it is killed, and the next [`Launcher::port`]
/// starts another.
#[derive(Debug)]
pub struct Launcher {
    program: fn() -> Command,
    process: Mutex<Option<Process>>,
}

/// A launcher that runs.
#[derive(Debug)]
struct Process {
    child: Child,
    /// The life line too: when it is closed, the launcher kills every child and leaves.
    control: OwnedFd,
}

impl Launcher {
    /// Starts the launcher.
    ///
    /// # Errors
    /// If the system does not give a process.
    pub fn start() -> io::Result<Self> {
        Self::start_with(|| {
            let mut command = Command::new("/proc/self/exe");
            command.arg0("runner-launcher").arg(launch::LAUNCH_ARG);
            command
        })
    }

    /// Starts the launcher as the program that `program` makes, which must come to call [`launch::main`].
    pub(crate) fn start_with(program: fn() -> Command) -> io::Result<Self> {
        // Should the launcher be killed, what it leaves comes to this process.
        set_child_subreaper(Some(getpid()))?;
        Ok(Self { program, process: Mutex::new(Some(Process::start(program)?)) })
    }

    /// A port for one slot. Must be called on the runtime of the slot's loop.
    ///
    /// # Errors
    /// If there are no descriptors left, or the launcher has died and no other can be started.
    pub fn port(&self) -> io::Result<Port> {
        let (ours, theirs) = socket::pair()?;
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let offered = process.as_ref().map(|process| process.offer(&theirs));
        match offered {
            Some(Err(error)) if !is_gone(&error) => return Err(error),
            Some(Ok(())) => {}
            Some(Err(_)) | None => {
                if let Some(dead) = process.take() {
                    dead.end();
                }
                process.insert(Process::start(self.program)?).offer(&theirs)?;
            }
        }
        Port::new(ours)
    }

    /// Ends the launcher, and with it every process that is left of its children; waits for that.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(process) = process.take() {
            process.end();
        }
    }
}

impl Process {
    fn start(program: fn() -> Command) -> io::Result<Self> {
        let (control, theirs) = socket::pair()?;
        // A group of its own: what is typed at the terminal is the runner's affair.
        let child = program().stdin(theirs).stdout(Stdio::null()).process_group(0).spawn()?;
        let process = Self { child, control };
        let limit = ORIGINAL_OPEN_FILES.load(Ordering::Relaxed);
        socket::send(&process.control, &limit.to_ne_bytes(), &[])?;
        Ok(process)
    }

    fn offer(&self, port: &OwnedFd) -> io::Result<()> {
        socket::send_patiently(&self.control, &[0], &[port.as_fd()])
    }

    fn end(self) {
        let Self { mut child, control } = self;
        drop(control);
        if !child.wait().is_ok_and(|status| status.success()) {
            // It was killed, and so could not see to it.
            tree::kill_descendants();
        }
    }
}

/// What to start.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Where the program is; absolute.
    pub program: &'a CStr,
    /// Its arguments, the first being its own name.
    pub argv: &'a Strings,
    /// Variables to set besides the runner's own, `NAME=value` each, no name twice.
    pub set: &'a Strings,
    /// Names of the runner's variables that it does not get.
    pub unset: &'a Strings,
    /// Its working folder; the runner's, if there is none.
    pub cwd: Option<&'a CStr>,
    /// Standard input; null, if there is none.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Standard output; null, if there is none.
    pub stdout: Option<BorrowedFd<'a>>,
    /// Standard error; null, if there is none.
    pub stderr: Option<BorrowedFd<'a>>,
    /// Becomes its descriptor 3.
    pub extra: Option<BorrowedFd<'a>>,
}

/// How a start ended.
#[derive(Debug)]
pub struct Ended {
    /// What the child said or suffered.
    pub exit: Exit,
    /// When the launcher started it.
    pub started: Moment,
    /// When the launcher heard of its end.
    pub ended: Moment,
    /// Processor time of the child and of those that it waited for.
    pub cpu: CpuTime,
    /// Peak resident memory in bytes, of the largest of them.
    pub peak_rss: u64,
}

/// How a child ended.
#[derive(Debug)]
pub enum Exit {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It never ran: what failed, and why.
    NotStarted(Step, io::Error),
}

/// A slot's line to the launcher: one child at a time. When it is dropped, the child that runs is killed.
#[derive(Debug)]
pub struct Port {
    socket: AsyncFd<OwnedFd>,
    is_running: bool,
    /// The answer, if it came when something else was asked for.
    ended: Option<Ended>,
    /// Kept from start to start.
    message: Vec<u8>,
}

impl Port {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = sys::watch(socket)?;
        Ok(Self { socket, is_running: false, ended: None, message: Vec::new() })
    }

    /// Starts a child; [`Port::ended`] tells of its end, or that it could not be started.
    ///
    /// # Errors
    /// If the launcher has died. `ETOOMANYREFS` (or `EAGAIN`) if too much is on its way to it: try again a little later.
    pub fn start(&mut self, start: &Start<'_>) -> io::Result<()> {
        assert!(!self.is_running, "one child at a time");
        let present = [start.stdin, start.stdout, start.stderr, start.extra];
        let ends = Ends::new(present.map(|end| end.is_some()));
        let strings = [start.argv, start.set, start.unset];
        StartRequest::encode(&mut self.message, ends, [Some(start.program), start.cwd], strings);
        let mut descriptors = [self.socket.get_ref().as_fd(); MAX_DESCRIPTORS];
        let mut count = 0;
        for end in present.into_iter().flatten() {
            descriptors[count] = end;
            count += 1;
        }
        if self.message.len() <= MAX_INLINE {
            self.send(&self.message, &descriptors[..count])?;
        } else {
            let mut memory = File::from(memfd_create("start", MemfdFlags::CLOEXEC)?);
            memory.write_all(&self.message)?;
            self.message = Vec::new(); // it is rarely that big, and then this is not where time goes
            descriptors[count] = memory.as_fd();
            self.send(&wire::start_in_memory(), &descriptors[..=count])?;
        }
        self.is_running = true;
        Ok(())
    }

    /// Waits for the end of the child that was started last. Loses nothing if it is dropped before it is ready.
    ///
    /// # Errors
    /// If the launcher has died, and the child with it.
    pub async fn ended(&mut self) -> io::Result<Ended> {
        loop {
            if let Some(ended) = self.ended.take() {
                self.is_running = false;
                return Ok(ended);
            }
            self.hear().await?;
        }
    }

    /// When the launcher started the child that runs; `None` if it has ended by now. A start may have to wait for its
    /// turn, which is not the child's time.
    ///
    /// # Errors
    /// If the launcher has died.
    pub async fn started(&mut self) -> io::Result<Option<Moment>> {
        self.send(&wire::when(), &[])?;
        let since = self.hear().await?;
        Ok(since.filter(|_| self.ended.is_none()))
    }

    /// Sends a signal to the group of the running child; none, if it has ended. After one that ends it, whatever is
    /// left of its group at its end is killed.
    ///
    /// # Errors
    /// If the launcher has died.
    pub fn signal(&mut self, signal: i32) -> io::Result<()> {
        self.send(&wire::signal(signal), &[])
    }

    fn send(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let sent = socket::send(self.socket.get_ref(), message, descriptors);
        sent.map_err(|error| if is_gone(&error) { gone() } else { error })
    }

    /// Hears one answer: keeps a child's end, returns since when one runs.
    async fn hear(&mut self) -> io::Result<Option<Moment>> {
        let mut bytes = [0; ANSWER_BYTES];
        loop {
            let mut ready = self.socket.readable().await?;
            match recv(self.socket.get_ref(), &mut bytes, RecvFlags::DONTWAIT) {
                Ok((_, 0)) | Err(rustix::io::Errno::CONNRESET) => return Err(gone()),
                Ok((_, length)) => match Answer::decode(&bytes[..length])? {
                    Answer::Running(since) => return Ok(Some(since)),
                    answer => {
                        // Nothing follows an end, so the call that would find nothing can be saved.
                        ready.clear_ready();
                        self.ended = Ended::of(answer);
                        return Ok(None);
                    }
                },
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Ended {
    /// `None` if the answer is not about an end.
    fn of(answer: Answer) -> Option<Self> {
        match answer {
            Answer::Running(_) => None,
            Answer::Ended { started, ended, reaped } => {
                let status = ExitStatus::from_raw(reaped.status);
                let exit = match status.code() {
                    Some(code) => Exit::Code(code),
                    None => Exit::Signal(status.signal().unwrap_or(0)),
                };
                Some(Self { exit, started, ended, cpu: reaped.cpu, peak_rss: reaped.peak_rss })
            }
            Answer::NotStarted { at, step, errno } => {
                let exit = Exit::NotStarted(step, io::Error::from_raw_os_error(errno));
                Some(Self { exit, started: at, ended: at, cpu: CpuTime::default(), peak_rss: 0 })
            }
        }
    }
}

/// Whether the other end of a socket has gone.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the launcher of commands has died")
}

/// A launcher for unit tests, which are not the program that it is executed from.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    const ENTRY: &str = "RUNNER_TEST_IS_LAUNCHER";

    /// The launcher, in this test program: it runs the one test below, which serves.
    pub(crate) fn launcher() -> Launcher {
        Launcher::start_with(|| {
            let mut command = Command::new("/proc/self/exe");
            command.args([
                "--exact",
                "host::launcher::testing::entry",
                "--test-threads=1",
                "--nocapture",
            ]);
            command.env(ENTRY, "1");
            command
        })
        .unwrap()
    }

    #[test]
    fn entry() {
        if std::env::var_os(ENTRY).is_some() {
            launch::main();
        }
    }

    /// A runtime as a loop has it.
    pub(crate) fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
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

    /// Runs `sh -c script` with more arguments, gives its end and its standard output.
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
        let start =
            Start { program: c"/bin/sh", argv, set, unset, cwd, stdin, stdout, stderr, extra };
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

    /// A zombie is dead, too: orphans are adopted by a process's first thread, on which no test runs.
    fn wait_until_dead(pid: i32) {
        let is_alive = || {
            fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
        };
        while is_alive() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_child_gets_its_arguments_environment_and_folder() {
        let launcher = launcher();
        let mut port = port(&launcher);
        let argv =
            ["sh", "-c", "echo $# $1 $NEW $HOME ${CARGO_MANIFEST_DIR-none}; pwd", "sh", "a b"];
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
        let script =
            format!("(trap '' TERM; exec sleep 300) & echo $! > {}; wait", pid_file.display());
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
        assert!(matches!(ended.exit, Exit::Code(0)), "the launcher goes on: {ended:?}");
    }
}
