//! One worker process: its pipes, its page, and how it came to its end.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::host::launcher::{Ended, Exit, Launcher, Port, Start, Strings, is_crowded};
use crate::host::page::RunnerPage;
use crate::host::protocol::{Ready, RequestLines, VERSION, Work};
use crate::host::serve::SERVE_ARG;
use crate::sys::signal_name;

/// What is started as a worker, and where.
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
    /// If the folder cannot be named to the system.
    pub fn own(folder: &Path) -> io::Result<Self> {
        Self::new("/proc/self/exe", &["runner-worker", SERVE_ARG], &[], folder)
    }

    /// Any program, for tests.
    pub(super) fn new(path: &str, argv: &[&str], set: &[&str], folder: &Path) -> io::Result<Self> {
        let strings = |values: &[&str]| {
            let mut strings = Strings::default();
            values.iter().try_for_each(|value| strings.push(value)).map(|()| strings)
        };
        let has_nul = |_| io::Error::other("a worker cannot be given a NUL");
        Ok(Self {
            path: CString::new(path)?,
            argv: strings(argv).map_err(has_nul)?,
            set: strings(set).map_err(has_nul)?,
            folder: CString::new(folder.as_os_str().as_bytes())?,
        })
    }
}

/// Blocks of answers and lines of requests should not stop half-way. The system may refuse, since it limits what one
/// user has in pipes; then they do.
const PIPE_BYTES: usize = 256 << 10;
const READ_BYTES: usize = 64 << 10;
/// What is shown of a dead worker's standard error.
const TAIL_BYTES: u64 = 4096;
/// How long a worker may take to leave when its input has ended. It has nothing to do then.
const LEAVE: Duration = Duration::from_secs(1);
/// How often a start is tried while too many descriptors are on their way to the launcher.
const MAX_TRIES: u32 = 1000;

/// A worker process that has started. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    /// What the worker runs now, and answers that it has not written yet.
    pub page: RunnerPage,
    /// Of its own: if the launcher dies, a new process gets a new one.
    port: Port,
    requests: pipe::Sender,
    answers: Answers,
    /// Its standard error: a file in memory, so that nobody has to read it meanwhile.
    stderr: File,
    /// Requests, written to the pipe as far as `sent`.
    lines: RequestLines,
    sent: usize,
}

/// What comes from the worker.
#[derive(Debug)]
struct Answers {
    /// `None` once it has ended.
    pipe: Option<pipe::Receiver>,
    /// Whole lines, then the beginning of one.
    received: Vec<u8>,
}

/// What happened to a worker.
#[derive(Debug)]
pub enum Event {
    /// It has answered something.
    Received,
    /// It has ended, as described, with this peak of resident memory in bytes, if that could be measured.
    Ended(String, Option<u64>),
}

impl Process {
    /// Starts a worker process and returns when it is ready.
    ///
    /// # Errors
    /// If it cannot be started, or is not ready: then with what it said, how it ended and the tail of its standard
    /// error.
    pub async fn start(launcher: &Launcher, program: &Program, work: &Work) -> io::Result<Self> {
        let (request_end, requests) = pipe_with(PipeFlags::CLOEXEC)?;
        let (answers, answer_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let _ = fcntl_setpipe_size(&requests, PIPE_BYTES);
        let _ = fcntl_setpipe_size(&answers, PIPE_BYTES);
        let (page, page_end) = RunnerPage::create()?;
        let stderr = memfd_create("worker-stderr", MemfdFlags::CLOEXEC)?;
        let mut process = Self {
            page,
            port: launcher.port()?,
            requests: pipe::Sender::from_owned_fd(requests)?,
            answers: Answers {
                pipe: Some(pipe::Receiver::from_owned_fd(answers)?),
                received: Vec::new(),
            },
            stderr: stderr.into(),
            lines: RequestLines::default(),
            sent: 0,
        };
        process.launch(program, [request_end, answer_end, page_end]).await?;
        process.greet(work).await?;
        Ok(process)
    }

    /// Hands the worker's ends over to the launcher; ours are closed here.
    async fn launch(&mut self, program: &Program, ends: [OwnedFd; 3]) -> io::Result<()> {
        let [stdin, stdout, page] = ends;
        let start = Start {
            program: &program.path,
            argv: &program.argv,
            set: &program.set,
            unset: &Strings::default(),
            cwd: Some(&program.folder),
            stdin: Some(stdin.as_fd()),
            stdout: Some(stdout.as_fd()),
            stderr: Some(self.stderr.as_fd()),
            extra: Some(page.as_fd()),
        };
        for _ in 0..MAX_TRIES {
            match self.port.start(&start) {
                // Too many descriptors are on their way: other slots are starting too.
                Err(error) if is_crowded(&error) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                done => return done,
            }
        }
        self.port.start(&start)
    }

    async fn greet(&mut self, work: &Work) -> io::Result<()> {
        self.lines.hello(work); // written while waiting for the answer
        loop {
            let event = self.next().await;
            let received = &self.answers.received;
            if let Some(end) = memchr::memchr(b'\n', received) {
                let line = &received[..=end];
                if matches!(serde_json::from_slice(line), Ok(Ready { ready: VERSION })) {
                    self.answers.received.drain(..=end);
                    return Ok(());
                }
                let said = String::from_utf8_lossy(&line[..line.len().min(500)]).into_owned();
                return Err(self.unready(&said).await);
            }
            if let Event::Ended(how, _) = event {
                let obituary = self.obituary(&how);
                let message = format!("a worker process ended before it was ready: {obituary}");
                return Err(io::Error::other(message));
            }
        }
    }

    async fn unready(&mut self, said: &str) -> io::Error {
        self.kill();
        let how = describe(&self.port.ended().await);
        let said = said.trim_end();
        let obituary = self.obituary(&how);
        io::Error::other(format!(
            "a worker process said `{said}` instead of being ready: {obituary}"
        ))
    }

    /// Waits until something happens, and writes on meanwhile. Loses nothing if it is dropped before it is ready.
    pub async fn next(&mut self) -> Event {
        loop {
            let has_to_write = self.has_to_write();
            tokio::select! {
                biased;
                received = self.answers.receive() => if received { return Event::Received },
                _ = self.requests.writable(), if has_to_write => self.write(),
                ended = self.port.ended() => {
                    self.answers.receive_rest();
                    return Event::Ended(describe(&ended), ended.ok().map(|ended| ended.peak_rss));
                }
            }
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.port.signal(libc::SIGKILL); // if it is gone already, that is as good
    }

    /// Lets it leave, by the end of its input, and waits for that; but not for long. Its peak resident memory in bytes.
    pub async fn leave(self) -> Option<u64> {
        let Self { requests, mut port, .. } = self;
        drop(requests);
        // Dropping the port kills what has not left by then.
        let ended = tokio::time::timeout(LEAVE, port.ended()).await.ok()?;
        ended.ok().map(|ended| ended.peak_rss)
    }

    /// Passes every whole line that has been received to `each`, until one fails.
    pub fn drain_lines<E>(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let received = &mut self.answers.received;
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &received[start..]) {
            let line = &received[start..start + length];
            start += length + 1;
            each(line)?;
        }
        received.drain(..start);
        Ok(())
    }

    /// Whether some of `lines` has not been written.
    fn has_to_write(&self) -> bool {
        self.sent < self.lines.as_bytes().len()
    }

    /// Starts new lines; the old ones must have been written, or the worker is dead.
    pub fn new_lines(&mut self) -> &mut RequestLines {
        self.lines.clear();
        self.sent = 0;
        &mut self.lines
    }

    /// Writes as much of `lines` as the pipe takes. That the worker does not read any more shows by its end.
    pub fn write(&mut self) {
        while self.has_to_write() {
            match self.requests.try_write(&self.lines.as_bytes()[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.sent = self.lines.as_bytes().len(),
            }
        }
    }

    /// How the worker ended, and the end of its standard error.
    pub fn obituary(&self, ended: &str) -> String {
        let tail = self.stderr_tail();
        let tail = String::from_utf8_lossy(&tail);
        let tail = tail.trim();
        if tail.is_empty() { ended.to_owned() } else { format!("{ended}: {tail}") }
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

impl Answers {
    /// Reads some more. False, and never again ready: there is no more. Cancel-safe.
    async fn receive(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return std::future::pending().await };
        self.received.reserve(READ_BYTES);
        let more = matches!(pipe.read_buf(&mut self.received).await, Ok(count) if count > 0);
        if !more {
            self.pipe = None;
        }
        more
    }

    /// Reads what a dead worker has left in its pipe.
    fn receive_rest(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        self.received.reserve(READ_BYTES);
        while pipe.try_read_buf(&mut self.received).is_ok_and(|count| count > 0) {
            self.received.reserve(READ_BYTES);
        }
    }
}

/// How a worker ended, in words.
fn describe(ended: &io::Result<Ended>) -> String {
    match ended {
        Ok(Ended { exit: Exit::Code(code), .. }) => format!("exit code {code}"),
        Ok(Ended { exit: Exit::Signal(signal), .. }) => signal_name(*signal),
        Ok(Ended { exit: Exit::NotStarted(step, error), .. }) => {
            format!("it could not be started ({step:?}): {error}")
        }
        Err(error) => error.to_string(),
    }
}
