//! The builder that every test reads through: a job file in a folder of its own, a run, and what came of it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take before a test gives up; generous, since it only matters when something hangs.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What a behaviour is tested under if several models share it.
pub const MODELS: [&str; 4] = ["sequential", "threads", "processes", "async"];

/// Standard error goes to a file, so that a test can wait for what is said there.
pub const STDERR: &str = ".stderr";

/// A port that the system had to give. Somebody else may get it before it is used, which has not been seen yet.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The `runner` under test.
pub fn runner() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.env_remove("NO_COLOR").env("LC_ALL", "C");
    // What is kept between runs is the tests' own.
    command.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    let restore = || {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
            // SAFETY: it may be called between fork and exec, and installs no handler.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: `restore` makes system calls only. Tests that run under `nohup` or in the background have signals ignored,
    // which the runner would rightly leave so.
    unsafe { command.pre_exec(restore) };
    command
}

/// A job in a folder of its own, about to be run.
pub struct TestJob {
    folder: TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    wrapper: &'static [&'static str],
}

impl TestJob {
    /// The job file `job.toml` with this text.
    pub fn new(text: &str) -> Self {
        Self::empty().file("job.toml", text).arg("job.toml")
    }

    /// No job file yet.
    pub fn empty() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        Self { folder, args: Vec::new(), env: Vec::new(), stdin: Vec::new(), wrapper: &[] }
    }

    /// One more run in the folder of an earlier one.
    pub fn again(earlier: Ran) -> Self {
        Self { folder: earlier.folder, ..Self::empty() }
    }

    /// One more file, its folder made where needed.
    pub fn file(self, path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().expect("it is below the folder")).unwrap();
        fs::write(path, contents).unwrap();
        self
    }

    /// One more file that can be executed.
    pub fn program(self, path: &str, contents: &str) -> Self {
        let program = self.file(path, contents);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(program.folder.path().join(path), mode).unwrap();
        program
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(String::from));
        self
    }

    /// A variable of the runner's environment, and so of all that it starts.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub fn stdin(mut self, text: impl AsRef<[u8]>) -> Self {
        self.stdin = text.as_ref().to_vec();
        self
    }

    /// Has this program start the runner.
    pub fn under(mut self, wrapper: &'static [&'static str]) -> Self {
        self.wrapper = wrapper;
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self) -> Command {
        let mut command = runner();
        if let [program, args @ ..] = self.wrapper {
            let runner = command;
            command = Command::new(program);
            command.args(args).arg(runner.get_program()).env_remove("NO_COLOR");
            command.envs(runner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        }
        command.args(&self.args).current_dir(self.folder.path());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        // As a shell does it: what is sent to its group is not sent to the tests.
        command.process_group(0);
        let stderr = fs::File::create(self.folder.path().join(STDERR)).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        command
    }

    /// Runs it to its end.
    pub fn run(self) -> Ran {
        let mut running = self.spawn();
        let stdin = std::mem::take(&mut running.job.stdin);
        // A runner that does not read its input closes the pipe: that is its right.
        let _ = running.child.stdin.take().expect("it is piped").write_all(&stdin);
        running.wait()
    }

    /// Starts it; its standard input stays open.
    pub fn spawn(self) -> Running {
        let child = self.command().spawn().expect("the runner starts");
        Running { child, job: self }
    }
}

/// A run that has not ended yet. One that is dropped is killed.
pub struct Running {
    pub child: Child,
    job: TestJob,
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn folder(&self) -> &Path {
        self.job.folder.path()
    }

    /// Runs another runner in the same folder.
    pub fn another(&self, args: &[&str]) -> Output {
        runner().args(args).current_dir(self.folder()).output().expect("the runner starts")
    }

    /// Sends a signal to the runner, and to nothing else.
    pub fn signal(&self, signal: i32) {
        send(self.pid(), signal);
    }

    /// Waits until `path`, below the job's folder, satisfies `enough`.
    pub fn wait_for_file(&self, path: &str, enough: impl Fn(&str) -> bool) -> String {
        let path = self.folder().join(path);
        wait_until(&format!("{} is as wanted", path.display()), || {
            let text = fs::read(&path).ok()?;
            let text = String::from_utf8_lossy(&text).into_owned();
            enough(&text).then_some(text)
        })
    }

    /// Drains, then kills. Two signals that come at once are one to the kernel, so the first is seen to have arrived
    /// before the second is sent.
    pub fn stop(&self, signal: i32) {
        for said in ["stopping: ", "ending the running tasks"] {
            self.signal(signal);
            self.wait_for_file(STDERR, |text| text.contains(said));
        }
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ran {
        drop(self.child.stdin.take());
        let stdout = read_aside(self.child.stdout.take().expect("it is piped"));
        let status = wait_until("the runner ends", || self.child.try_wait().unwrap());
        let stderr = fs::read(self.folder().join(STDERR)).unwrap();
        let output = Output { status, stdout: stdout.join().unwrap(), stderr };
        let job = std::mem::replace(&mut self.job, TestJob::empty());
        Ran { output, folder: job.folder }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_aside(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Sends a signal to a process that is there.
pub fn send(pid: i32, signal: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
    rustix::process::kill_process(pid, signal).expect("the process is there");
}

/// Looks again and again until there is something to see.
pub fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What came of a run.
pub struct Ran {
    pub output: Output,
    folder: TempDir,
}

impl Ran {
    #[track_caller]
    pub fn exit(&self, code: i32) -> &Self {
        let stderr = self.stderr();
        assert_eq!(
            self.output.status.code(),
            Some(code),
            "stderr:\n{stderr}\nstdout:\n{}",
            self.stdout()
        );
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    #[track_caller]
    pub fn stdout_has(&self, text: &str) -> &Self {
        assert!(self.stdout().contains(text), "{text:?} is not in stdout:\n{}", self.stdout());
        self
    }

    #[track_caller]
    pub fn stderr_has(&self, text: &str) -> &Self {
        assert!(self.stderr().contains(text), "{text:?} is not in stderr:\n{}", self.stderr());
        self
    }

    /// The report of the job `job`.
    #[track_caller]
    pub fn report(&self) -> Report {
        self.report_of("job")
    }

    #[track_caller]
    pub fn report_of(&self, job: &str) -> Report {
        Report::read(&self.path(format!("results/{job}.csv")))
    }

    /// The summary's row of this job, by column.
    #[track_caller]
    pub fn summary(&self, job: &str) -> HashMap<String, String> {
        let summary = Report::read(&self.path("results/summary.csv"));
        let column = summary.column("job");
        let row =
            column.iter().position(|name| name == job).expect("the job has a row in the summary");
        summary.header.iter().cloned().zip(summary.rows[row].iter().cloned()).collect()
    }

    /// The report's rows in these columns, as `1,ok` lines, are these.
    #[track_caller]
    pub fn rows(&self, columns: &str, rows: &[&str]) -> &Self {
        assert_eq!(self.report().select(columns), rows, "stderr:\n{}", self.stderr());
        self
    }
}

/// A CSV file as another program would read it.
#[derive(Debug, PartialEq)]
pub struct Report {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Report {
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
        let mut rows: Vec<Vec<String>> = reader
            .records()
            .map(|record| record.expect("a well-formed row").iter().map(String::from).collect())
            .collect();
        assert!(!rows.is_empty(), "{} has no header", path.display());
        let header = rows.remove(0);
        Self { header, rows }
    }

    #[track_caller]
    pub fn column(&self, name: &str) -> Vec<String> {
        let index = self.header.iter().position(|column| column == name);
        let index = index.unwrap_or_else(|| panic!("no column {name} in {:?}", self.header));
        self.rows.iter().map(|row| row[index].clone()).collect()
    }

    /// The rows in these columns, comma-separated.
    #[track_caller]
    pub fn select(&self, columns: &str) -> Vec<String> {
        let columns: Vec<_> = columns.split(',').map(|name| self.column(name)).collect();
        (0..self.rows.len())
            .map(|row| {
                columns.iter().map(|column| column[row].as_str()).collect::<Vec<_>>().join(",")
            })
            .collect()
    }
}

/// Says that a test does not run here, and why: on the terminal itself, since what is printed by a test that passes is
/// kept from it.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}

/// Runs Python with this program; tests may rely on Python 3.
#[track_caller]
pub fn python<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let output =
        Command::new("python3").arg("-c").arg(program).args(args).output().expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a process with this id exists and is not a zombie.
pub fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit(')').next().map(|rest| !rest.trim_start().starts_with(['Z', 'X']))
        })
        .unwrap_or(false)
}
