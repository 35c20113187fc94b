//! One process of a worker program: its pipes, the requests that are in flight to it, and how it came to its end.
//!
//! A task of its own, the [`Driver`], reads, writes and waits for the process. Slots put requests in flight through the
//! [`Process`] that they share, and each is told what became of its own.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::Settings;
use crate::engine::clock::Moment;
use crate::host::launcher::{Ended, Exit, Port, Start, Strings, is_crowded};
use crate::host::lines::{self, Answer, MAX_LINE};
use crate::workload::command::{cause_and_tail, how_it_ended};

/// Long lines should not stop half-way. The system may refuse, since it limits what one user has in pipes.
const PIPE_BYTES: usize = 256 << 10;
const READ_BYTES: usize = 64 << 10;
/// A process that has closed its standard output has this long to end, before that is taken amiss.
const CLOSED: Duration = Duration::from_secs(1);
/// How often a start is tried while too many descriptors are on their way to the launcher.
const MAX_TRIES: u32 = 1000;

/// A process that is ready for requests, as the slots see it.
#[derive(Debug)]
pub struct Process {
    state: Mutex<State>,
    /// There is something to write, or an order.
    wake: Notify,
    /// It has ended, and every request that was in flight has been told.
    over: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    /// What is to be written next.
    out: Vec<u8>,
    flight: HashMap<u64, oneshot::Sender<Ending>>,
    /// The number of the last request.
    last: u64,
    order: Order,
    /// Set when it takes no more requests.
    closed: bool,
    /// Of its own accord, while nothing was in flight, it has done what it should not.
    fault: Option<String>,
    /// Peak resident memory in bytes, once it has ended.
    peak_rss: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    #[default]
    Serve,
    /// Its input ends.
    Leave,
    Kill,
}

/// What became of a request.
#[derive(Debug)]
pub enum Ending {
    /// It was answered, at this moment.
    Answered(Answer, Moment),
    /// The process has ended without an answer.
    Died(Death),
}

/// The end of a process, as a request that was in flight sees it.
#[derive(Clone, Debug)]
pub enum Death {
    /// The runner has ended it, for the sake of another request.
    Ended,
    /// It died of this one: no other was in flight. How, in words.
    OfThis(String),
    /// It died, and it cannot be told of which request. How, in words.
    OfOne,
}

/// Why there is no process that is ready.
#[derive(Debug)]
pub enum Unready {
    /// It has ended too early: another may do better.
    Ended(String),
    /// So will the next one.
    Unfit(String),
    /// The system did not give what it takes.
    System(io::Error),
}

impl From<io::Error> for Unready {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Process {
    /// Starts a process for up to `slots` requests at a time, with what the slot `slot` is given. With it comes how
    /// many it takes.
    pub async fn start(
        settings: &Settings,
        slots: usize,
        slot: usize,
    ) -> Result<(Arc<Self>, usize), Unready> {
        let mut driver = Driver::start(settings, slot).await?;
        let ready = driver.greet(settings, slots);
        let Ok(ready) = tokio::time::timeout(settings.spec.ready_timeout(), ready).await else {
            let limit = humantime::format_duration(settings.spec.ready_timeout());
            let tail = settings.log.tail(driver.log_start);
            let words = format!("it did not say that it is ready within {limit}");
            // Dropping the port kills it.
            return Err(Unready::Unfit(cause_and_tail(words, None, &tail)));
        };
        let slots = ready?;
        let process = Arc::new(Self {
            state: Mutex::default(),
            wake: Notify::new(),
            over: CancellationToken::new(),
        });
        let log = Arc::clone(&settings.log);
        let name = settings.spec.name().to_owned();
        let shared = Arc::clone(&process);
        tokio::spawn(async move {
            let log_start = driver.log_start;
            let (exit, wrong) = driver.serve(&shared).await;
            let words = |ended: &io::Result<Ended>| {
                let cause = match (&wrong, ended) {
                    (Some(wrong), _) => wrong.clone(),
                    (None, Ok(ended)) => {
                        format!("the worker died: {}", how_it_ended(&ended.exit, &name))
                    }
                    (None, Err(error)) => format!("the worker died: {error}"),
                };
                cause_and_tail(cause, None, &log.tail(log_start))
            };
            shared.bury(&words(&exit), wrong.as_ref(), exit.ok().map(|ended| ended.peak_rss));
        });
        Ok((process, slots))
    }

    /// Puts a request in flight: `write` appends its line, with its number. `None` if the process takes no more.
    pub fn send(&self, write: impl FnOnce(u64, &mut Vec<u8>)) -> Option<InFlight<'_>> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        state.last += 1;
        let id = state.last;
        write(id, &mut state.out);
        let (sender, ending) = oneshot::channel();
        state.flight.insert(id, sender);
        drop(state);
        self.wake.notify_one();
        Some(InFlight { process: self, id, ending, sent: Moment::now() })
    }

    /// Whether it takes requests.
    pub fn is_open(&self) -> bool {
        !self.lock().closed
    }

    /// Ready when it has ended.
    pub async fn ended(&self) {
        self.over.cancelled().await;
    }

    /// What it did wrong of its own accord, and its peak resident memory in bytes, once it has ended.
    pub fn remains(&self) -> (Option<String>, Option<u64>) {
        let mut state = self.lock();
        (state.fault.take(), state.peak_rss)
    }

    /// Lets it leave, by the end of its input.
    pub fn let_leave(&self) {
        self.order(Order::Leave);
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.order(Order::Kill);
    }

    fn order(&self, order: Order) {
        let mut state = self.lock();
        state.order = state.order.max(order);
        state.closed = true;
        drop(state);
        self.wake.notify_one();
    }

    /// Tells a request that it has been answered. The error says what the answer is instead.
    fn settle(&self, answer: Answer, now: Moment) -> Result<(), String> {
        let mut state = self.lock();
        let id = answer.id;
        if let Some(request) = state.flight.remove(&id) {
            let _ = request.send(Ending::Answered(answer, now)); // nobody may wait for it any more
            return Ok(());
        }
        // That which was stopped meanwhile is no fault.
        if state.order == Order::Kill {
            Ok(())
        } else if id >= 1 && id <= state.last {
            Err(format!("the worker answered request {id} twice"))
        } else {
            Err(format!("the worker answered request {id}, which there is not"))
        }
    }

    /// Tells all that are left.
    fn bury(&self, words: &str, wrong: Option<&String>, peak_rss: Option<u64>) {
        let mut state = self.lock();
        state.closed = true;
        state.peak_rss = peak_rss;
        let death = match (state.order, state.flight.len()) {
            (Order::Kill, _) => Death::Ended,
            (_, 1) => Death::OfThis(words.to_owned()),
            _ => Death::OfOne,
        };
        if state.flight.is_empty() && wrong.is_some() && state.order == Order::Serve {
            state.fault = Some(words.to_owned());
        }
        for (_, request) in state.flight.drain() {
            let _ = request.send(Ending::Died(death.clone()));
        }
        drop(state);
        self.over.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

/// A request that is in flight. One that is dropped is forgotten: nobody waits for its answer.
#[derive(Debug)]
pub struct InFlight<'a> {
    process: &'a Process,
    id: u64,
    ending: oneshot::Receiver<Ending>,
    /// When it was sent.
    pub sent: Moment,
}

impl InFlight<'_> {
    /// What becomes of it. Loses nothing if it is dropped before it is ready.
    pub async fn ending(&mut self) -> Ending {
        // The driver has been dropped with its runtime.
        (&mut self.ending).await.unwrap_or(Ending::Died(Death::Ended))
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.process.lock().flight.remove(&self.id);
    }
}

/// Does what a process needs: the only one that has its pipes.
#[derive(Debug)]
struct Driver {
    port: Port,
    /// `None` once it has been told to leave.
    stdin: Option<pipe::Sender>,
    /// `None` once it has ended.
    stdout: Option<pipe::Receiver>,
    /// Whole lines, then the beginning of one.
    received: Vec<u8>,
    /// Where in `received` the line starts that is to be read next.
    line: usize,
    /// From there to here, no line ends.
    searched: usize,
    /// Requests, written as far as `sent`.
    out: Vec<u8>,
    sent: usize,
    /// The log's length when the process was started.
    log_start: u64,
}

/// What happened to a process.
enum Event {
    Received,
    /// Its standard output has ended.
    Closed,
    Ended(io::Result<Ended>),
}

impl Driver {
    async fn start(settings: &Settings, slot: usize) -> io::Result<Self> {
        let (stdin_end, stdin) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stdout, stdout_end) = pipe_with(PipeFlags::CLOEXEC)?;
        let _ = fcntl_setpipe_size(&stdin, PIPE_BYTES);
        let _ = fcntl_setpipe_size(&stdout, PIPE_BYTES);
        let mut driver = Self {
            port: settings.launcher.port()?,
            stdin: Some(pipe::Sender::from_owned_fd(stdin)?),
            stdout: Some(pipe::Receiver::from_owned_fd(stdout)?),
            received: Vec::new(),
            line: 0,
            searched: 0,
            out: Vec::new(),
            sent: 0,
            log_start: settings.log.length(),
        };
        let (argv, set) = (settings.spec.argv(slot), settings.spec.environment(slot));
        let start = Start {
            program: settings.spec.program(),
            argv: &argv,
            set: &set,
            unset: &Strings::default(),
            cwd: Some(settings.spec.cwd()),
            stdin: Some(stdin_end.as_fd()),
            stdout: Some(stdout_end.as_fd()),
            stderr: Some(settings.log.file().as_fd()),
            extra: None,
        };
        let mut tries = 0;
        while let Err(error) = driver.port.start(&start) {
            tries += 1;
            if !is_crowded(&error) || tries == MAX_TRIES {
                return Err(error);
            }
            // Too many descriptors are on their way: other slots are starting too.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        driver.port.own_group()?;
        Ok(driver)
    }

    /// Says hello and waits until the process is ready: for how many requests at a time.
    async fn greet(&mut self, settings: &Settings, slots: usize) -> Result<usize, Unready> {
        lines::write_hello(settings.mode, slots, &mut self.out);
        loop {
            let event = self.next().await;
            if let Some(line) = self.next_line() {
                let ready = lines::read_ready(&self.received[line], slots);
                self.forget_lines();
                return ready.map_err(|said| {
                    let tail = settings.log.tail(self.log_start);
                    Unready::Unfit(cause_and_tail(said, None, &tail))
                });
            }
            if self.received.len() > MAX_LINE {
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

    /// Serves until the process has ended: how, and what it did wrong if it was ended for that.
    async fn serve(&mut self, process: &Process) -> (io::Result<Ended>, Option<String>) {
        let mut wrong = None;
        let mut closed: Option<Moment> = None;
        loop {
            if wrong.is_none() {
                wrong = self.pass_on(process).err();
                if wrong.is_some() {
                    process.lock().closed = true;
                    self.kill();
                }
            }
            let order = self.take_orders(process);
            if order == Order::Kill {
                self.kill();
            }
            let patience = async {
                match closed {
                    Some(closed) if wrong.is_none() && order == Order::Serve => {
                        tokio::time::sleep(CLOSED.saturating_sub(closed.elapsed())).await;
                    }
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                event = self.next() => match event {
                    Event::Received => {}
                    Event::Closed => closed = Some(Moment::now()),
                    Event::Ended(ended) => {
                        if wrong.is_none() {
                            wrong = self.pass_on(process).err();
                        }
                        return (ended, wrong);
                    }
                },
                () = process.wake.notified() => {}
                () = patience => {
                    wrong = Some("the worker closed its standard output".into());
                    process.lock().closed = true;
                    self.kill();
                }
            }
        }
    }

    fn take_orders(&mut self, process: &Process) -> Order {
        let mut state = process.lock();
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        if self.out.is_empty() {
            std::mem::swap(&mut self.out, &mut state.out);
        } else {
            self.out.append(&mut state.out);
        }
        let order = state.order;
        drop(state);
        self.write();
        if order != Order::Serve && !self.has_to_write() {
            self.stdin = None;
        }
        order
    }

    /// Passes every whole line that has been received on to its request. The error says what else came.
    fn pass_on(&mut self, process: &Process) -> Result<(), String> {
        let now = Moment::now();
        let mut result = Ok(());
        while let Some(line) = self.next_line() {
            let answer = lines::read_answer(&self.received[line]);
            result = answer.and_then(|answer| process.settle(answer, now));
            if result.is_err() {
                break;
            }
        }
        self.forget_lines();
        if self.received.len() > MAX_LINE {
            return Err(too_long());
        }
        result
    }

    /// Where the next whole line is, without its end.
    fn next_line(&mut self) -> Option<Range<usize>> {
        let Some(length) = memchr::memchr(b'\n', &self.received[self.searched..]) else {
            self.searched = self.received.len();
            return None;
        };
        let line = self.line..self.searched + length;
        self.line = line.end + 1;
        self.searched = self.line;
        Some(line)
    }

    fn forget_lines(&mut self) {
        self.received.drain(..self.line);
        self.searched -= self.line;
        self.line = 0;
    }

    /// Waits until something happens, and writes on meanwhile. Loses nothing if it is dropped before it is ready.
    async fn next(&mut self) -> Event {
        loop {
            let has_to_write = self.has_to_write();
            tokio::select! {
                biased;
                more = receive(&mut self.stdout, &mut self.received) => {
                    return if more { Event::Received } else { Event::Closed };
                }
                () = writable(self.stdin.as_ref()), if has_to_write => self.write(),
                ended = self.port.ended() => {
                    self.receive_rest();
                    return Event::Ended(ended);
                }
            }
        }
    }

    /// Reads what a dead process has left in its pipe; what others hold open is not waited for.
    fn receive_rest(&mut self) {
        let Some(stdout) = self.stdout.take() else { return };
        self.received.reserve(READ_BYTES);
        while stdout.try_read_buf(&mut self.received).is_ok_and(|count| count > 0) {
            self.received.reserve(READ_BYTES);
        }
    }

    fn has_to_write(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Writes as much as the pipe takes. That the process does not read any more shows by its end, or by a timeout.
    fn write(&mut self) {
        while self.has_to_write() {
            let Some(stdin) = &self.stdin else {
                self.sent = self.out.len();
                return;
            };
            match stdin.try_write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.sent = self.out.len(),
            }
        }
    }

    fn kill(&mut self) {
        let _ = self.port.signal(libc::SIGKILL); // if it is gone already, that is as good
    }
}

fn too_long() -> String {
    format!("the worker wrote a line of more than {} MiB", MAX_LINE >> 20)
}

/// Reads some more. False, and never again ready: there is no more. Cancel-safe.
async fn receive(stdout: &mut Option<pipe::Receiver>, received: &mut Vec<u8>) -> bool {
    let Some(pipe) = stdout else { return std::future::pending().await };
    received.reserve(READ_BYTES);
    let more = matches!(pipe.read_buf(received).await, Ok(count) if count > 0);
    if !more {
        *stdout = None;
    }
    more
}

async fn writable(stdin: Option<&pipe::Sender>) {
    match stdin {
        Some(stdin) => drop(stdin.writable().await),
        None => std::future::pending().await,
    }
}
