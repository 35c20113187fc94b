//! The protocol between the runner and its own worker processes: encoding and decoding, no I/O.
//!
//! JSON lines both ways, over the worker's standard input and output:
//! ```text
//! -> {"hello":1,"work":{"compute":"factorial"}}      <- {"ready":1}
//! -> [7,["5","6","x"]]                               tasks 7, 8 and 9, in a line with their arguments
//!                                                    <- [7,0,120,4,81234567,150,"120",""]
//!                                                    <- [8,0,130,0,81234800,140,"720",""]
//!                                                    <- [9,2]
//! end of input = finish and leave
//! ```
//! An answer is the sequence number, how it ended (0 ok, 1 failed, 3 given up), processor time in user mode and in the
//! kernel (null if not measured), the start on `CLOCK_MONOTONIC`, the time taken, the result and the error; all times
//! are nanoseconds. A result that is not a string counts as its JSON text, null as empty. `[9,2]` says that nothing
//! from 9 to the end of its line was run, since it was taken back (see [`crate::worker::shared_page`]).
//!
//! A Python worker says more: that a result is bytes, in base64 (4); that a result has no JSON of its own, where `error`
//! then names its class (5); that it is a text that a report cannot hold whole (7); that infinity is in it, where `error`
//! has it as Python writes it (8); `[9,6]` that it leaves, to be renewed; and after the error, the bytes by which the
//! interpreter has grown.
//!
//! A Python worker (`worker.py`) is greeted in its own way, its arguments are any JSON, and one with an event loop may
//! be asked to give up what it runs: `{"cancel":7}`.
//!
//! Arguments, results and errors are bytes. What is not UTF-8 is written as Python's `surrogateescape` has it: the
//! byte `0xNN` becomes `\udcNN`, so that any file name arrives as it is in either language.

mod text;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::base::json::write_text;
use crate::sys::CpuTime;
use crate::task::{Moment, Outcome, Payload, PayloadKind, Status};
use crate::workload::compute::Function;
use crate::workload::http;
use text::{Cursor, write_number};
pub(super) use text::{Text, has_half, unescape};

/// The version that both ends must speak.
pub const VERSION: u32 = 1;

/// A line of requests is closed once it is this long, so that the worker can start on it while the next is written.
const LINE_BYTES: usize = 32 << 10;

/// The first line to a worker: the work that it does.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub hello: u32,
    /// What to do with every argument.
    pub work: Work,
}

/// The work of a worker process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// Calls this built-in function.
    Compute(Function),
    /// Sends the requests that the arguments describe.
    Http(Box<http::Plan>),
    /// Waits for as long as the argument says.
    Sleep,
}

/// The first line from a worker: it is ready for requests.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// [`VERSION`].
    pub ready: u32,
}

/// Appends `message` as a line of JSON.
pub fn write_line(message: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, message).expect("these messages have no map with odd keys");
    out.push(b'\n');
}

/// A line that does not follow the protocol.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    fn new(line: &[u8]) -> Self {
        Self(String::from_utf8_lossy(&line[..line.len().min(200)]).trim_end().into())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a line of the protocol", self.0)
    }
}

impl std::error::Error for Malformed {}

/// A buffer of request lines.
#[derive(Debug, Default)]
pub struct RequestLines {
    bytes: Vec<u8>,
    line_start: Option<usize>,
}

impl RequestLines {
    /// Empties the buffer.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.line_start = None;
    }

    /// Appends the first line.
    pub fn hello(&mut self, work: &Work) {
        self.close();
        write_line(&Hello { hello: VERSION, work: work.clone() }, &mut self.bytes);
    }

    /// Appends a task. Sequence numbers follow one another.
    pub fn push(&mut self, seq: u64, arg: &[u8]) {
        self.push_with(seq, |bytes| write_text(arg, bytes));
    }

    fn push_with(&mut self, seq: u64, write: impl FnOnce(&mut Vec<u8>)) {
        let start = if let Some(start) = self.line_start {
            self.bytes.push(b',');
            start
        } else {
            let start = self.bytes.len();
            self.line_start = Some(start);
            self.bytes.push(b'[');
            write_number(seq, &mut self.bytes);
            self.bytes.extend_from_slice(b",[");
            start
        };
        write(&mut self.bytes);
        if self.bytes.len() - start >= LINE_BYTES {
            self.close();
        }
    }

    /// Appends a task whose argument is JSON already.
    pub fn push_json(&mut self, seq: u64, arg: &[u8]) {
        self.push_with(seq, |bytes| bytes.extend_from_slice(arg));
    }

    /// Appends the request to give up a task.
    pub fn cancel(&mut self, seq: u64) {
        self.close();
        self.bytes.extend_from_slice(b"{\"cancel\":");
        write_number(seq, &mut self.bytes);
        self.bytes.extend_from_slice(b"}\n");
    }

    /// Ends the last line.
    pub fn close(&mut self) {
        if self.line_start.take().is_some() {
            self.bytes.extend_from_slice(b"]]\n");
        }
    }

    /// What has been written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a line of requests: the first sequence number, and the arguments.
///
/// # Errors
/// If the line does not start correctly; errors in the rest are found when the arguments are read.
pub fn read_requests(line: &[u8]) -> Result<(u64, Args<'_>), Malformed> {
    let mut cursor = Cursor::new(line);
    let start = |cursor: &mut Cursor<'_>| {
        cursor.eat(b"[")?;
        let first = cursor.number()?;
        cursor.eat(b",[")?;
        Some(first)
    };
    let first = start(&mut cursor).ok_or_else(|| Malformed::new(line))?;
    Ok((first, Args { cursor, some: false }))
}

/// The arguments of a line of requests, in order.
#[derive(Debug)]
pub struct Args<'a> {
    cursor: Cursor<'a>,
    some: bool,
}

impl<'a> Iterator for Args<'a> {
    type Item = Result<Cow<'a, [u8]>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_at(b"]]") {
            return None;
        }
        let separator: &[u8] = if self.some { b"," } else { b"" };
        self.some = true;
        let arg = self.cursor.eat(separator).and_then(|()| self.cursor.text());
        Some(arg.ok_or_else(|| Malformed::new(self.cursor.line)))
    }
}

/// An answer of a worker.
#[derive(Debug)]
pub enum Reply {
    /// The task with this sequence number ended.
    Done(u64, Outcome),
    /// The task with this sequence number was given up on request.
    Cancelled(u64, Outcome),
    /// Nothing from this sequence number to the end of its line was run.
    TakenBack(u64),
    /// The worker takes nothing more, and is about to end.
    Leaving,
}

/// The codes for how a task ended, and for "taken back".
const OK: u64 = 0;
const FAILED: u64 = 1;
const TAKEN_BACK: u64 = 2;
const CANCELLED: u64 = 3;
/// Ok, and the result is bytes, in base64.
const BINARY: u64 = 4;
/// Ok, and the error is something to be said of the result.
const NOTED: u64 = 5;
const LEAVING: u64 = 6;
/// Ok, and the result is a text with a NUL, or with bytes that are not UTF-8.
const ESCAPED: u64 = 7;
/// Ok, and the error is the result as Python writes it, since JSON has no infinity; what is to be said of the result may
/// follow on a line of its own.
const INFINITE: u64 = 8;

/// Appends the answer for a task that was run. Only what a worker knows about an outcome is passed on: whether it is ok
/// or failed, times, result and error.
pub fn write_answer(seq: u64, outcome: &Outcome, out: &mut Vec<u8>) {
    out.push(b'[');
    write_number(seq, out);
    out.extend_from_slice(if outcome.status == Status::Ok { b",0," } else { b",1," });
    match outcome.cpu {
        Some(cpu) => {
            write_number(cpu.user.as_nanos() as u64, out);
            out.push(b',');
            write_number(cpu.system.as_nanos() as u64, out);
        }
        None => out.extend_from_slice(b"null,null"),
    }
    for number in [outcome.started.as_nanos(), outcome.run.as_nanos() as u64] {
        out.push(b',');
        write_number(number, out);
    }
    for text in [&outcome.result[..], outcome.error.as_bytes()] {
        out.push(b',');
        write_text(text, out);
    }
    out.extend_from_slice(b"]\n");
}

/// Appends the answer that nothing from `seq` to the end of its line was run.
pub fn write_taken_back(seq: u64, out: &mut Vec<u8>) {
    out.push(b'[');
    write_number(seq, out);
    out.extend_from_slice(b",2]\n");
}

/// Reads one answer, with or without its line break.
///
/// # Errors
/// If the line is malformed.
pub fn read_reply(line: &[u8]) -> Result<Reply, Malformed> {
    // The runner's own workers write the form that the first reader knows; serde_json costs four times as much.
    read_dense(line).or_else(|| read_any(line)).ok_or_else(|| Malformed::new(line))
}

/// The fields of an answer, except for the texts.
struct Numbers {
    status: u64,
    cpu: Option<(u64, u64)>,
    started: u64,
    run: u64,
    /// The bytes by which the worker has grown, if it says so.
    grown: Option<u64>,
}

fn reply(
    seq: u64,
    numbers: &Numbers,
    (result, kind): (Vec<u8>, PayloadKind),
    error: &[u8],
) -> Option<Reply> {
    let status = match numbers.status {
        OK | BINARY | NOTED | ESCAPED | INFINITE => Status::Ok,
        FAILED => Status::Failed,
        CANCELLED => Status::Cancelled,
        _ => return None,
    };
    let started = Moment::from_nanos(numbers.started);
    // Start and end are converted separately, which leaves out a pause between them.
    let ended = numbers.started.checked_add(numbers.run).map(Moment::from_nanos);
    let run = ended.map_or(Duration::from_nanos(numbers.run), |ended| ended.since(started));
    let mut outcome = Outcome::new(status, started, run);
    outcome.cpu = numbers.cpu.map(|(user, system)| CpuTime {
        user: Duration::from_nanos(user),
        system: Duration::from_nanos(system),
    });
    outcome.peak_rss = numbers.grown;
    (outcome.result, outcome.result_kind) = match numbers.status {
        BINARY => (BASE64_STANDARD.decode(&result).ok()?, PayloadKind::Binary),
        ESCAPED => (result, PayloadKind::Escaped),
        _ => (result, kind),
    };
    if numbers.status == INFINITE {
        let mut lines = error.splitn(2, |&byte| byte == b'\n');
        let exact = lines.next().unwrap_or_default();
        let payload = Payload::of_python(outcome.result_kind, outcome.result.clone(), exact);
        outcome.payload = Some(Arc::new(payload));
        if let Some(words) = lines.next() {
            outcome.rare_mut().note = Some(String::from_utf8_lossy(words).into());
        }
        return Some(Reply::Done(seq, outcome));
    }
    let words = String::from_utf8_lossy(error).into_owned();
    if numbers.status == NOTED {
        outcome.rare_mut().note = Some(words.into());
    } else {
        outcome.error = words;
    }
    Some(if status == Status::Cancelled {
        Reply::Cancelled(seq, outcome)
    } else {
        Reply::Done(seq, outcome)
    })
}

fn read_dense(line: &[u8]) -> Option<Reply> {
    let mut cursor = Cursor::new(line);
    cursor.eat(b"[")?;
    let seq = cursor.number()?;
    let status = cursor.next_number()?;
    if status == TAKEN_BACK || status == LEAVING {
        let reply = if status == LEAVING { Reply::Leaving } else { Reply::TakenBack(seq) };
        return cursor.is_at(b"]").then_some(reply);
    }
    let cpu = if cursor.is_at(b",null,null") {
        cursor.eat(b",null,null")?;
        None
    } else {
        Some((cursor.next_number()?, cursor.next_number()?))
    };
    let (started, run) = (cursor.next_number()?, cursor.next_number()?);
    cursor.eat(b",")?;
    let kind = kind(cursor.is_at(b"\""));
    let result = (cursor.value()?, kind);
    cursor.eat(b",")?;
    let error = cursor.text()?;
    let grown = if cursor.is_at(b",") { Some(cursor.next_number()?) } else { None };
    cursor.eat(b"]")?;
    reply(seq, &Numbers { status, cpu, started, run, grown }, result, &error)
}

/// The kind of a result.
fn kind(is_text: bool) -> PayloadKind {
    if is_text { PayloadKind::Bytes } else { PayloadKind::Json }
}

/// Reads an answer in any other form of JSON, such as results that are not strings.
fn read_any(line: &[u8]) -> Option<Reply> {
    type Fields<'a> = (u64, u64, Option<u64>, Option<u64>, u64, u64, &'a RawValue, Text);
    /// The same, and the bytes by which the worker has grown.
    type More<'a> = (u64, u64, Option<u64>, Option<u64>, u64, u64, &'a RawValue, Text, u64);
    let (fields, grown): (Fields<'_>, _) = if line.trim_ascii_end().ends_with(b"\"]") {
        (serde_json::from_slice(line).ok()?, None)
    } else {
        let (seq, status, user, system, started, run, result, error, grown): More<'_> =
            serde_json::from_slice(line).ok()?;
        ((seq, status, user, system, started, run, result, error), Some(grown))
    };
    let (seq, status, user, system, started, run, result, error) = fields;
    let kind = kind(result.get().starts_with('"'));
    let result = match result.get() {
        "null" => Vec::new(),
        text if text.starts_with('"') => unescape(text.as_bytes())?,
        json => json.as_bytes().to_vec(),
    };
    let numbers = Numbers { status, cpu: user.zip(system), started, run, grown };
    reply(seq, &numbers, (result, kind), &error.0)
}

#[cfg(test)]
mod tests;
