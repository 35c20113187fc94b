//! The driver of a process, which alone has its pipes and waits for its end.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::process::Pid;

use super::Settings;
use super::process::{Order, Process, Unready};
use crate::launcher::patiently;
use crate::launcher::{Ended, Exit, Port, Start, Strings};
use crate::sys::usage;
use crate::task::Moment;
use crate::worker::pipes::{Incoming, Outgoing};
use crate::worker::public_protocol;
use crate::worker::public_protocol::MAX_LINE;
use crate::workload::command::{cause_and_tail, how_it_ended};

/// How long a process may take to end after it has closed its standard output, before that counts as a fault.
const CLOSED_GRACE: Duration = Duration::from_secs(1);

/// Reads, writes and waits for a process.
#[derive(Debug)]
pub(super) struct Driver {
    port: Port,
    /// `None` once the process has been told to end.
    stdin: Option<Outgoing>,
    /// Whole lines, followed by the beginning of one.
    stdout: Incoming,
    /// The offset in those bytes of the line that is read next.
    line: usize,
    /// From there to here, there is no end of a line.
    searched: usize,
    /// Requests, which are written up to `sent`.
    out: Vec<u8>,
    sent: usize,
    /// The log's length when the process was started.
    pub(super) log_start: u64,
    /// A process that has more memory than this is renewed, in bytes; and which one that is, once it is known.
    max_memory: Option<u64>,
    pub(super) pid: Option<Pid>,
}

/// An event of a process.
enum Event {
    Received,
    /// Its standard output has ended.
    Closed,
    Ended(io::Result<Ended>),
}

impl Driver {
    /// Starts a process with the arguments and the environment of the slot `slot`.
    pub(super) async fn start(settings: &Settings, slot: usize) -> io::Result<Self> {
        let (stdin, stdin_end) = Outgoing::pair()?;
        let (stdout, stdout_end) = Incoming::pair()?;
        let mut driver = Self {
            port: settings.launcher.port()?,
            stdin: Some(stdin),
            stdout,
            line: 0,
            searched: 0,
            out: Vec::new(),
            sent: 0,
            log_start: settings.log.length(),
            max_memory: settings.spec.max_memory(),
            pid: None,
        };
        let (argv, spec) = (settings.spec.argv(slot), &settings.spec);
        let set = spec.environment(slot, settings.slots, settings.has_own_programs());
        let start = Start {
            program: settings.spec.program(),
            argv: &argv,
            set: &set,
            unset: &Strings::default(),
            cwd: Some(settings.spec.cwd()),
            stdin: Some(stdin_end.as_fd()),
            stdout: Some(stdout_end.as_fd()),
            stderr: Some(settings.log.fd()),
            extra: None,
        };
        patiently(|| driver.port.start(&start)).await?;
        driver.port.own_group()?;
        Ok(driver)
    }

    /// Sends the greeting and waits until the process is ready; returns for how many requests at a time.
    pub(super) async fn greet(
        &mut self,
        settings: &Settings,
        slots: usize,
    ) -> Result<usize, Unready> {
        public_protocol::write_hello(settings.mode, slots, &mut self.out);
        loop {
            let event = self.next().await;
            if let Some(line) = self.next_line() {
                if self.max_memory.is_some() || settings.watches_memory {
                    self.pid = self.port.pid().await?;
                }
                let mut ready = public_protocol::read_ready(&self.stdout.bytes[line], slots);
                self.forget_lines();
                if ready.is_ok() && !self.stdout.bytes.is_empty() {
                    ready = Err(public_protocol::said_unasked(&self.stdout.bytes));
                }
                return ready.map_err(|said| {
                    let tail = settings.log.tail(self.log_start);
                    Unready::Unfit(cause_and_tail(said, None, &tail))
                });
            }
            if self.stdout.bytes.len() > MAX_LINE {
                return Err(Unready::Unfit(too_long()));
            }
            if let Event::Ended(ended) = event {
                let ended = ended?;
                let how = how_it_ended(&ended.exit, settings.spec.name());
                if let Exit::NotStarted(..) = ended.exit {
                    return Err(Unready::Unfit(how));
                }
                let tail = settings.log.tail(self.log_start);
                let words = format!("it ended before it was ready: {how}");
                return Err(Unready::Ended(cause_and_tail(words, None, &tail)));
            }
        }
    }

    /// Serves until the process has ended; returns how, and its fault if it was ended because of one.
    pub(super) async fn serve(&mut self, process: &Process) -> (io::Result<Ended>, Option<String>) {
        let mut fault = None;
        let mut closed: Option<Moment> = None;
        loop {
            if fault.is_none() {
                fault = self.pass_on(process).err();
                if fault.is_some() {
                    process.close();
                    self.kill();
                }
            }
            let order = self.take_orders(process);
            if order == Order::Kill {
                self.kill();
            }
            let patience = async {
                match closed {
                    Some(closed) if fault.is_none() && order == Order::Serve => {
                        tokio::time::sleep(CLOSED_GRACE.saturating_sub(closed.elapsed())).await;
                    }
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                            event = self.next() => match event {
                                Event::Received => {}
                                Event::Closed => closed = Some(Moment::now()),
                                Event::Ended(ended) => {
                                    if fault.is_none() {
            fault = self.pass_on(process).err();
            }
            return (ended, fault);
                                }
                            },
                            () = process.woken() => {}
                            () = patience => {
                                fault = Some("the worker closed its standard output".into());
                                process.close();
                                self.kill();
                            }
                        }
        }
    }

    fn take_orders(&mut self, process: &Process) -> Order {
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        let order = process.take_orders(&mut self.out);
        self.write();
        if order != Order::Serve && !self.has_to_write() {
            self.stdin = None;
        }
        order
    }

    /// Passes every whole line that has been received on to its request. The error says what is wrong with a line.
    fn pass_on(&mut self, process: &Process) -> Result<(), String> {
        let now = Moment::now();
        let mut result = Ok(());
        while let Some(line) = self.next_line() {
            let answer = public_protocol::read_answer(&self.stdout.bytes[line]);
            let unwritten = (self.out.len() - self.sent) as u64;
            result = answer.and_then(|answer| process.settle(answer, unwritten, now));
            if result.is_err() {
                break;
            }
        }
        self.forget_lines();
        if self.stdout.bytes.len() > MAX_LINE {
            return Err(too_long());
        }
        if let (Some(most), Some(pid)) = (self.max_memory, self.pid)
            && usage::of_tree(pid).resident > most
        {
            process.let_leave();
        }
        result
    }

    /// The range of the next whole line, without its end.
    fn next_line(&mut self) -> Option<Range<usize>> {
        let Some(length) = memchr::memchr(b'\n', &self.stdout.bytes[self.searched..]) else {
            self.searched = self.stdout.bytes.len();
            return None;
        };
        let line = self.line..self.searched + length;
        self.line = line.end + 1;
        self.searched = self.line;
        Some(line)
    }

    fn forget_lines(&mut self) {
        self.stdout.bytes.drain(..self.line);
        self.searched -= self.line;
        self.line = 0;
    }

    /// Waits for an event, and writes meanwhile. Cancel-safe.
    async fn next(&mut self) -> Event {
        loop {
            let has_to_write = self.has_to_write();
            tokio::select! {
                biased;
                more = self.stdout.receive() => {
                    return if more { Event::Received } else { Event::Closed };
                }
                () = writable(self.stdin.as_ref()), if has_to_write => self.write(),
                ended = self.port.ended() => {
                    self.stdout.receive_rest();
                    return Event::Ended(ended);
                }
            }
        }
    }

    /// How many bytes of the requests that it was given the process has not read. None of which that is unknown, since its
    /// input has been ended.
    pub(super) fn unread(&self) -> u64 {
        let written = self.stdin.as_ref().map_or(0, Outgoing::unread);
        written + (self.out.len() - self.sent) as u64
    }

    fn has_to_write(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Writes as much as the pipe takes. A process that does not read any more is noticed by its end or a timeout.
    fn write(&mut self) {
        self.sent = match &mut self.stdin {
            Some(stdin) => stdin.write(&self.out, self.sent),
            None => self.out.len(),
        };
    }

    fn kill(&mut self) {
        let _ = self.port.signal(libc::SIGKILL); // it may have ended already
    }
}

fn too_long() -> String {
    format!("the worker wrote a line of more than {} MiB", MAX_LINE >> 20)
}

async fn writable(stdin: Option<&Outgoing>) {
    match stdin {
        Some(stdin) => stdin.writable().await,
        None => std::future::pending().await,
    }
}
