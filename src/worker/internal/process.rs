//! A slot's connection to a worker process: the pipes for its requests and answers, and its page.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::Pid;

use crate::launcher::Launcher;
use crate::worker::internal::child::{Child, Program, WorkerEnds};
use crate::worker::pipes::{Incoming, Outgoing};
use crate::worker::private_protocol::{Ready, RequestLines, VERSION, Work};
use crate::worker::shared_page::RunnerPage;

/// How long a worker may take to end when its input has ended. It has nothing to do then.
const LEAVE: Duration = Duration::from_secs(1);
/// How long a worker that has closed its pipe may take to end.
const CLOSED: Duration = Duration::from_millis(200);

/// One slot's session to a worker process. It is killed when the last session to it is dropped.
#[derive(Debug)]
pub struct Process {
    /// The task that the worker is running, and answers that it has not yet written.
    pub page: RunnerPage,
    /// The process at the other end.
    pub child: Rc<Child>,
    /// Its number, if it is looked how much memory it uses.
    pub pid: Option<Pid>,
    requests: Outgoing,
    /// Whole lines, followed by the beginning of one.
    answers: Incoming,
    /// Up to here, the last line of the answers has been looked through for its end.
    searched: usize,
    /// Requests, written to the pipe as far as `sent`.
    lines: RequestLines,
    sent: usize,
}

/// The runner's ends of a session.
#[derive(Debug)]
pub struct Session {
    page: RunnerPage,
    requests: Outgoing,
    answers: Incoming,
}

/// An event of a worker.
#[derive(Debug)]
pub enum Event {
    /// Answers have been received.
    Received,
    /// It has ended, as described, with this peak of resident memory in bytes, if that could be measured.
    Ended(String, Option<u64>),
}

/// The worker's ends of a session: requests, answers and page.
pub type SessionEnds = [OwnedFd; 3];

impl Session {
    /// A new session, and the worker's ends of it.
    ///
    /// # Errors
    /// If there are no descriptors or no memory left.
    pub fn create() -> io::Result<(Self, SessionEnds)> {
        let (requests, request_end) = Outgoing::pair()?;
        let (answers, answer_end) = Incoming::pair()?;
        let (page, page_end) = RunnerPage::create()?;
        let session = Self { page, requests, answers };
        Ok((session, [request_end, answer_end, page_end]))
    }
}

impl Process {
    /// Starts a worker process for one slot and returns when it is ready.
    ///
    /// # Errors
    /// If it cannot be started or does not become ready; the message has what it wrote, how it ended and the end of its
    /// standard error.
    pub async fn start(launcher: &Launcher, program: &Program, work: &Work) -> io::Result<Self> {
        let (session, [stdin, stdout, extra]) = Session::create()?;
        let ends = WorkerEnds { stdin, stdout: Some(stdout), extra: Some(extra) };
        let child = Child::start(launcher, program, ends).await?;
        let mut process = Self::new(session, Rc::new(child));
        process.greet(work).await?;
        Ok(process)
    }

    /// A slot's connection to a worker that is ready.
    pub fn new(session: Session, child: Rc<Child>) -> Self {
        let Session { page, requests, answers } = session;
        Self {
            page,
            child,
            pid: None,
            requests,
            answers,
            searched: 0,
            lines: RequestLines::default(),
            sent: 0,
        }
    }

    async fn greet(&mut self, work: &Work) -> io::Result<()> {
        self.lines.hello(work); // written while waiting for the answer
        loop {
            let event = self.next().await;
            let received = &self.answers.bytes;
            if let Some(end) = memchr::memchr(b'\n', received) {
                let line = &received[..=end];
                if matches!(serde_json::from_slice(line), Ok(Ready { ready: VERSION })) {
                    self.answers.bytes.drain(..=end);
                    return Ok(());
                }
                let said = String::from_utf8_lossy(&line[..line.len().min(500)]).into_owned();
                return Err(self.unready(&said).await);
            }
            if let Event::Ended(how, _) = event {
                let ending = self.child.describe_end(&how);
                let message = format!("a worker process ended before it was ready: {ending}");
                return Err(io::Error::other(message));
            }
        }
    }

    async fn unready(&mut self, said: &str) -> io::Error {
        self.child.kill();
        let (how, _) = self.child.ended().await;
        let said = said.trim_end();
        let ending = self.child.describe_end(how);
        io::Error::other(format!(
            "a worker process wrote `{said}` instead of being ready: {ending}"
        ))
    }

    /// Waits for an event, and writes meanwhile. Cancel-safe.
    pub async fn next(&mut self) -> Event {
        loop {
            let has_to_write = self.has_to_write();
            let is_closed = self.answers.has_ended();
            tokio::select! {
                biased;
                received = self.answers.receive() => if received { return Event::Received },
                () = self.requests.writable(), if has_to_write => self.write(),
                ended = self.child.ended() => {
                    let (how, peak_rss) = ended.clone();
                    self.answers.receive_rest();
                    return Event::Ended(how, peak_rss);
                }
                // It still runs, but cannot answer any more.
                () = tokio::time::sleep(CLOSED), if is_closed && !self.child.has_ended() => {
                    self.child.close();
                }
            }
        }
    }

    /// Ends it by ending its input, and waits a little. Returns its peak resident memory in bytes.
    pub async fn leave(self) -> Option<u64> {
        let Self { requests, child, .. } = self;
        drop(requests);
        // Dropping it kills it if it has not ended by then.
        tokio::time::timeout(LEAVE, child.ended()).await.ok()?.1
    }

    /// Passes every whole line that has been received to `each`, until one fails.
    pub fn drain_lines<E>(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let received = &mut self.answers.bytes;
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &received[self.searched..]) {
            let end = self.searched + length;
            let line = &received[start..end];
            start = end + 1;
            self.searched = start;
            each(line)?;
        }
        received.drain(..start);
        self.searched = received.len();
        Ok(())
    }

    /// Whether a part of `lines` has not been written.
    fn has_to_write(&self) -> bool {
        self.sent < self.lines.as_bytes().len()
    }

    /// Empties the lines; the old ones must have been written, or the worker must be dead.
    pub fn new_lines(&mut self) -> &mut RequestLines {
        self.lines.clear();
        self.sent = 0;
        &mut self.lines
    }

    /// Asks the worker to give up the task `seq`, for which it answers in any case.
    pub fn cancel(&mut self, seq: u64) {
        self.lines.cancel(seq);
        self.write();
    }

    /// Writes as much of `lines` as the pipe takes. A worker that does not read any more is noticed by its end.
    pub fn write(&mut self) {
        self.sent = self.requests.write(self.lines.as_bytes(), self.sent);
    }
}
