//! A worker's process: its port, its standard error and its end. It belongs to one slot, or several share it.

use std::cell::Cell;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::Pid;
use tokio::sync::{Notify, OnceCell};

use crate::launcher::patiently;
use crate::launcher::{Ended, Exit, HasNul, Launcher, Port, Start, Strings};
use crate::sys::THIS_PROGRAM;
use crate::sys::signal_name;
use crate::worker::serve::SERVE_ARG;
use crate::workload::command::{cause_and_tail, how_it_ended};

/// What is shown of a dead worker's standard error.
const TAIL_BYTES: u64 = 32 << 10;

/// The program that is started as a worker, and its folder.
#[derive(Debug)]
pub struct Program {
    path: CString,
    argv: Strings,
    set: Strings,
    folder: CString,
}

impl Program {
    /// This program, with the argument that makes it a worker.
    ///
    /// # Errors
    /// If the folder's path contains a NUL.
    pub fn own(folder: &Path) -> io::Result<Self> {
        Self::new(THIS_PROGRAM, &["runner-worker", SERVE_ARG], &[""; 0], folder)
    }

    /// Any program, with these arguments, the first being its own name, and these variables, `NAME=value` each.
    ///
    /// # Errors
    /// If a string contains a NUL.
    pub fn new(
        path: impl AsRef<Path>,
        argv: &[impl AsRef<[u8]>],
        set: &[impl AsRef<[u8]>],
        folder: &Path,
    ) -> io::Result<Self> {
        let has_nul = |_| io::Error::other("a worker cannot be given a NUL");
        Ok(Self {
            path: CString::new(path.as_ref().as_os_str().as_bytes())?,
            argv: strings(argv).map_err(has_nul)?,
            set: strings(set).map_err(has_nul)?,
            folder: CString::new(folder.as_os_str().as_bytes())?,
        })
    }
}

fn strings(values: &[impl AsRef<[u8]>]) -> Result<Strings, HasNul> {
    let mut strings = Strings::default();
    values.iter().try_for_each(|value| strings.push(value)).map(|()| strings)
}

/// The descriptors for a worker: its standard input, its standard output and its descriptor 3. The runner's copies are
/// closed once it has started.
#[derive(Debug)]
pub struct WorkerEnds {
    /// Descriptor 0.
    pub stdin: OwnedFd,
    /// Descriptor 1; `None` for the null device.
    pub stdout: Option<OwnedFd>,
    /// Descriptor 3, if it gets one.
    pub extra: Option<OwnedFd>,
}

/// A worker's process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Child {
    /// Its program, for messages.
    name: String,
    /// Of its own: if the launcher dies, a new process gets a new one.
    port: Port,
    /// Its standard error: a file in memory, which does not have to be read meanwhile.
    stderr: File,
    ended: OnceCell<(String, Option<u64>)>,
    was_killed: Cell<bool>,
    has_closed: Cell<bool>,
    settled: Cell<bool>,
    /// Who was running what when it ended.
    pub death_report: DeathReport,
}

impl Child {
    /// Starts `program`.
    ///
    /// # Errors
    /// If there are no descriptors left, or the launcher has died and no other can be started.
    pub async fn start(
        launcher: &Launcher,
        program: &Program,
        ends: WorkerEnds,
    ) -> io::Result<Self> {
        let stderr = memfd_create("worker-stderr", MemfdFlags::CLOEXEC)?;
        let mut port = launcher.port()?;
        let start = Start {
            program: &program.path,
            argv: &program.argv,
            set: &program.set,
            unset: &Strings::default(),
            cwd: Some(&program.folder),
            stdin: Some(ends.stdin.as_fd()),
            stdout: ends.stdout.as_ref().map(AsFd::as_fd),
            stderr: Some(stderr.as_fd()),
            extra: ends.extra.as_ref().map(AsFd::as_fd),
        };
        patiently(|| port.start(&start)).await?;
        let name = program.path.to_string_lossy().into_owned();
        Ok(Self::of(name, port, stderr.into()))
    }

    /// Takes over, by a port that is free, a process that another one has forked, with its standard error.
    ///
    /// # Errors
    /// If the launcher has died.
    pub fn adopt(mut port: Port, pid: i32, stderr: File) -> io::Result<Self> {
        port.adopt(pid)?;
        Ok(Self::of(format!("process {pid}"), port, stderr))
    }

    /// Its number, as long as it runs.
    pub async fn pid(&self) -> Option<Pid> {
        self.port.pid().await.ok().flatten()
    }

    fn of(name: String, port: Port, stderr: File) -> Self {
        Self {
            name,
            port,
            stderr,
            ended: OnceCell::new(),
            was_killed: Cell::default(),
            has_closed: Cell::default(),
            settled: Cell::default(),
            death_report: DeathReport::default(),
        }
    }

    /// What is left of it for who only holds it: it is killed when the port is dropped.
    pub fn into_parts(self) -> (Port, File) {
        (self.port, self.stderr)
    }

    /// A task was settled by an answer of this process.
    pub fn has_settled(&self) {
        self.settled.set(true);
    }

    /// Whether anything has come of it so far.
    pub fn is_fruitful(&self) -> bool {
        self.settled.get()
    }

    /// Waits for its end: a description of it, and its peak resident memory in bytes, if that could be measured.
    /// Cancel-safe.
    pub async fn ended(&self) -> &(String, Option<u64>) {
        self.ended
            .get_or_init(async || {
                let ended = self.port.ended().await;
                (describe(&ended, &self.name), ended.ok().map(|ended| ended.peak_rss))
            })
            .await
    }

    /// Whether its end has been noticed.
    pub fn has_ended(&self) -> bool {
        self.ended.initialized()
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.was_killed.set(true);
        let _ = self.port.signal(libc::SIGKILL); // it may have ended already
    }

    /// Ends it because it has closed the pipe for its answers, which the running task must have done.
    pub fn close(&self) {
        self.has_closed.set(true);
        let _ = self.port.signal(libc::SIGKILL);
    }

    /// Whether the runner has ended it, so that no task is to blame.
    pub fn was_killed(&self) -> bool {
        self.was_killed.get()
    }

    /// Has what is left of its group killed when it ends.
    pub fn own_group(&self) {
        let _ = self.port.own_group(); // a launcher that has died has killed everything
    }

    /// The message on how it ended, with the end of its standard error.
    pub fn describe_end(&self, ended: &str) -> String {
        let ended = if self.has_closed.get() { "it closed its pipes" } else { ended };
        cause_and_tail(ended.to_owned(), None, &self.stderr_tail())
    }

    fn stderr_tail(&self) -> Vec<u8> {
        let size = self.stderr.metadata().map_or(0, |metadata| metadata.len());
        let start = size.saturating_sub(TAIL_BYTES);
        let mut tail = vec![0; (size - start) as usize];
        match self.stderr.read_exact_at(&mut tail, start) {
            Ok(()) => tail,
            Err(_) => Vec::new(),
        }
    }
}

/// What is said of a process that ended as it should.
pub const ENDED_WELL: &str = "exit code 0";

/// How a worker ended, in words.
fn describe(ended: &io::Result<Ended>, name: &str) -> String {
    match ended {
        Ok(Ended { exit: Exit::Code(code), .. }) => format!("exit code {code}"),
        Ok(Ended { exit: Exit::Signal(signal), .. }) => signal_name(*signal),
        Ok(Ended { exit, .. }) => how_it_ended(exit, name),
        Err(error) => error.to_string(),
    }
}

/// Finds out how many tasks were running in a process when it died: it counts the slots that have tasks in flight
/// there, and what each of them reports.
#[derive(Debug, Default)]
pub struct DeathReport {
    busy: Cell<usize>,
    reported: Cell<usize>,
    running: Cell<usize>,
    all: Notify,
}

impl DeathReport {
    /// Records that a slot has tasks in flight there.
    pub fn enter(&self) {
        self.busy.update(|busy| busy + 1);
    }

    /// Records that a slot has no tasks in flight there any more.
    pub fn leave(&self) {
        self.busy.update(|busy| busy - 1);
        self.tell();
    }

    /// After the end, a slot that had tasks in flight reports whether one of them was running. Ready when all such
    /// slots have, with the number of tasks that were running.
    pub async fn report(&self, was_running: bool) -> usize {
        self.reported.update(|reported| reported + 1);
        self.running.update(|running| running + usize::from(was_running));
        self.tell();
        loop {
            let all = self.all.notified();
            if self.reported == self.busy {
                return self.running.get();
            }
            all.await;
        }
    }

    fn tell(&self) {
        if self.reported == self.busy {
            self.all.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_report_waits_for_all_slots() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let death_report = DeathReport::default();
        (0..4).for_each(|_| death_report.enter());
        death_report.leave();
        let all = async {
            tokio::join!(death_report.report(true), death_report.report(false), async {
                tokio::task::yield_now().await;
                death_report.report(true).await
            })
        };
        assert_eq!(runtime.block_on(all), (2, 2, 2));
    }
}
