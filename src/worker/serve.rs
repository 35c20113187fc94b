//! The worker process: runs the tasks that the runner sends over standard input, one after another, in a plain blocking
//! loop. [`crate::worker::private_protocol`] describes the lines, [`crate::worker::shared_page`] the page that the
//! runner watches meanwhile.

use std::io::{self, BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use rustix::fd::AsFd;

use crate::base::diagnostic::print_error;
use crate::task::{Moment, Outcome, Status, Stop};
use crate::worker::private_protocol;
use crate::worker::private_protocol::{Hello, Ready, VERSION, Work};
use crate::worker::shared_page::WorkerPage;
use crate::workload::{compute, http, sleep};

/// The only argument of a worker process.
pub const SERVE_ARG: &str = "__serve";

/// How long an answer waits for further ones, if there are any.
const BLOCK: Duration = Duration::from_millis(1);

/// Runs a worker process from its first line to its end.
pub fn main() -> ! {
    // Panics of tasks are caught and reported with the task; others are printed below.
    std::panic::set_hook(Box::new(|_| {}));
    let served = catch_unwind(|| serve(io::stdin().lock())).unwrap_or_else(|panic| {
        Err(io::Error::other(format!("panicked: {}", panic_message(&*panic))))
    });
    if let Err(error) = served {
        print_error(&error.to_string());
        std::process::exit(1);
    }
    std::process::exit(0)
}

fn serve(input: impl Read) -> io::Result<()> {
    let mut input = BufReader::with_capacity(256 << 10, input);
    let mut line = Vec::new();
    if !next_line(&mut input, &mut line)? {
        return Ok(());
    }
    let hello: Hello = serde_json::from_slice(&line)?;
    if hello.hello != VERSION {
        return Err(io::Error::other(format!("the runner speaks version {}", hello.hello)));
    }
    let tasks = TaskRunner::new(hello.work)?;
    let mut answers = Answers::new(WorkerPage::inherited()?);
    answers.write_ready()?;
    while next_line(&mut input, &mut line)? {
        run_line(&line, &tasks, &mut answers)?;
    }
    Ok(())
}

/// Runs tasks, with the state that is kept from task to task.
enum TaskRunner {
    Compute(compute::Function),
    Http(Box<http::Server>),
    Sleep,
}

impl TaskRunner {
    fn new(work: Work) -> io::Result<Self> {
        Ok(match work {
            Work::Compute(function) => Self::Compute(function),
            Work::Http(plan) => Self::Http(Box::new(http::Server::new(*plan)?)),
            Work::Sleep => Self::Sleep,
        })
    }
}

/// Reads a whole line. Returns false if the input has ended.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    input.read_until(b'\n', line)?;
    Ok(line.ends_with(b"\n")) // half a line means that the runner has died
}

/// Runs the tasks of one line of requests.
fn run_line(line: &[u8], tasks: &TaskRunner, answers: &mut Answers) -> io::Result<()> {
    let (first, args) = private_protocol::read_requests(line).map_err(io::Error::other)?;
    let mut now = Moment::now();
    for (seq, arg) in (first..).zip(args) {
        let arg = arg.map_err(io::Error::other)?;
        if !answers.page.start(seq, now) {
            answers.taken_back(seq)?;
            break;
        }
        let outcome = run(tasks, &arg);
        now = Moment::now();
        answers.add(seq, &outcome, now)?;
    }
    // Written first, so that every answer is in the pipe when nothing runs.
    answers.flush(now)?;
    answers.page.rest();
    Ok(())
}

/// Runs one task. It is not stopped from within: the runner kills the process.
fn run(tasks: &TaskRunner, arg: &[u8]) -> Outcome {
    let started = Moment::now();
    let poll: &dyn Fn() -> Option<Stop> = &|| None;
    let folder = Path::new(""); // this process was started in the job's folder
    let outcome = catch_unwind(AssertUnwindSafe(|| match tasks {
        TaskRunner::Compute(function) => compute::run(*function, arg, folder, poll),
        TaskRunner::Http(server) => server.run(arg),
        TaskRunner::Sleep => sleep::run(arg, poll),
    }));
    outcome.unwrap_or_else(|panic| {
        let error = format!("panicked: {}", panic_message(&*panic));
        Outcome { error, ..Outcome::new(Status::Failed, started, started.elapsed()) }
    })
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

/// Answers on their way to the pipe, kept in the page's journal until a block of them is written.
struct Answers {
    page: WorkerPage,
    encoded: Vec<u8>,
    flushed: Moment,
}

impl Answers {
    fn new(page: WorkerPage) -> Self {
        Self { page, encoded: Vec::new(), flushed: Moment::now() }
    }

    fn write_ready(&mut self) -> io::Result<()> {
        private_protocol::write_line(&Ready { ready: VERSION }, &mut self.encoded);
        write_all(&self.encoded)
    }

    fn add(&mut self, seq: u64, outcome: &Outcome, now: Moment) -> io::Result<()> {
        self.encoded.clear();
        private_protocol::write_answer(seq, outcome, &mut self.encoded);
        self.record(now)?;
        if now.since(self.flushed) >= BLOCK { self.flush(now) } else { Ok(()) }
    }

    fn taken_back(&mut self, seq: u64) -> io::Result<()> {
        self.encoded.clear();
        private_protocol::write_taken_back(seq, &mut self.encoded);
        self.record(Moment::now())
    }

    fn record(&mut self, now: Moment) -> io::Result<()> {
        if self.page.record(&self.encoded) {
            return Ok(());
        }
        self.flush(now)?;
        if self.page.record(&self.encoded) {
            return Ok(());
        }
        write_all(&self.encoded) // larger than the journal
    }

    fn flush(&mut self, now: Moment) -> io::Result<()> {
        if !self.page.recorded().is_empty() {
            write_all(self.page.recorded())?;
            self.page.clear();
        }
        self.flushed = now;
        Ok(())
    }
}

/// Writes to standard output without the standard library's buffer.
fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    let output = io::stdout();
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(output.as_fd(), bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}
