//! Requests in a worker process: how they are told what to do, and how they answer.
//!
//! The runner fills the templates and sends the texts; the worker answers what the private protocol has no field for
//! (status, sizes, headers, body) as texts in the place of a result.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{self, Runtime};

use super::Left;
use super::call::Call;
use super::client::Client;
use super::cookies::Jar;
use super::download::Download;
use super::plan::Plan;
use crate::base::ByteSize;
use crate::task::{NoPayload, Outcome, PayloadKind, RareParts, Status, payload};
use crate::workload::http::text_buffer::TextBuffer;

/// The worker process's side.
#[derive(Debug)]
pub struct Server {
    plan: Plan,
    runtime: Runtime,
    client: Client,
    /// What broken downloads have left, by the texts of their requests, the latest last.
    left: RefCell<Vec<(TextBuffer, Download)>>,
}

/// Broken downloads that are kept for their next attempt, which may come to another process.
const MOST_LEFT: usize = 16;

impl Server {
    /// A server for requests of this plan.
    ///
    /// # Errors
    /// If the system gives no event loop.
    pub fn new(plan: Plan) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let client = Client::new(&plan, &Jar::default());
        Ok(Self { plan, runtime, client, left: RefCell::default() })
    }

    /// Sends the request that `arg` describes, and waits for the answer.
    pub fn run(&self, arg: &[u8]) -> Outcome {
        let Some(texts) = TextBuffer::decode(arg) else {
            return Outcome::not_started("the request is garbled: a bug of the runner");
        };
        // This process was started in the job's folder; made absolute, since links are looked at.
        let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let call = match Call::new(&self.plan, &folder, &texts) {
            Ok(call) => call,
            Err(error) => return Outcome::not_started(error),
        };
        // Nothing stops it but the end of the process.
        let ending =
            super::Ending { limit: &|| None, can_come: false, stopped: std::future::pending() };
        let left = self.take_left(&texts);
        let attempt = super::attempt(&self.client, &self.plan, &call, left, ending);
        let outcome = self.runtime.block_on(attempt);
        self.keep_left(texts, &outcome);
        pack(outcome)
    }

    fn take_left(&self, texts: &TextBuffer) -> Option<Download> {
        let mut left = self.left.borrow_mut();
        let at = left.iter().position(|(known, _)| known == texts)?;
        Some(left.remove(at).1)
    }

    fn keep_left(&self, texts: TextBuffer, outcome: &Outcome) {
        let Some(download) = Left::take(outcome) else { return };
        let mut left = self.left.borrow_mut();
        if left.len() >= MOST_LEFT {
            left.remove(0);
        }
        left.push((texts, download));
    }
}

/// Puts what the protocol does not know into the result.
fn pack(mut outcome: Outcome) -> Outcome {
    let mut texts = TextBuffer::default();
    texts.push(if outcome.status == Status::Timeout { "timeout" } else { "" });
    texts.push(outcome.code.map_or(String::new(), |code| code.to_string()));
    texts.push(outcome.output_bytes.map_or(String::new(), |bytes| bytes.to_string()));
    texts.push(
        outcome.rare().retry_after.map_or(String::new(), |pause| pause.as_millis().to_string()),
    );
    texts.push(outcome.rare().output_hash.map_or(String::new(), |hash| hash.to_string()));
    texts.push(std::mem::take(&mut outcome.output));
    let payload = take_payload(&mut outcome);
    texts.push(if payload.is_some() { "1" } else { "" });
    texts.push(payload.unwrap_or_default());
    let RareParts { whole_output, text, headers, refused_by, .. } = outcome.take_rare();
    texts.push(leave_whole_output(whole_output, &mut outcome).as_os_str().as_bytes());
    texts.push(if text.is_some() { "1" } else { "" });
    texts.push(text.unwrap_or_default());
    texts.push(refused_by.as_deref().unwrap_or_default());
    for (name, value) in headers {
        texts.push(name);
        texts.push(value);
    }
    outcome.result.clear();
    texts.encode(&mut outcome.result);
    outcome
}

/// Takes the bytes that go to the next stage.
fn take_payload(outcome: &mut Outcome) -> Option<Vec<u8>> {
    let payload = outcome.payload.take().and_then(Arc::into_inner)?;
    if let Err(error) = payload.load() {
        outcome.withhold(&NoPayload::Io(error));
        return None;
    }
    Some(payload.bytes().to_vec())
}

/// Leaves a body that is too long for the answer in a file, which [`unpack`] removes; an empty path if there is none.
fn leave_whole_output(body: Option<Arc<File>>, outcome: &mut Outcome) -> PathBuf {
    let Some(mut body) = body.and_then(Arc::into_inner) else {
        return PathBuf::new();
    };
    // The body's own file has no name, so that it goes with a process that is killed. A name is given to a copy, just
    // before the answer.
    let left = tempfile::Builder::new().prefix("runner-body-").tempfile().and_then(|mut copy| {
        io::copy(&mut body, &mut copy)?;
        std::path::absolute(copy.into_temp_path().keep().map_err(|error| error.error)?)
    });
    left.unwrap_or_else(|error| {
        fail_to_keep(outcome, &error);
        PathBuf::new()
    })
}

/// Opens what [`leave_whole_output`] has left, and removes its name.
fn take_whole_output(outcome: &mut Outcome, path: &[u8]) {
    if path.is_empty() {
        return;
    }
    let path = Path::new(OsStr::from_bytes(path));
    match File::open(path).and_then(|file| std::fs::remove_file(path).map(|()| file)) {
        Ok(file) => outcome.rare_mut().whole_output = Some(Arc::new(file)),
        Err(error) => fail_to_keep(outcome, &error),
    }
}

fn fail_to_keep(outcome: &mut Outcome, error: &io::Error) {
    outcome.status = Status::Failed;
    outcome.error = format!("failed to keep the body: {error}");
}

/// Takes it out again; an outcome that came to be on the way, such as a crash, stays as it is.
pub fn unpack(mut outcome: Outcome) -> Outcome {
    let Some(texts) = TextBuffer::decode(&outcome.result) else { return outcome };
    let mut texts = texts.iter();
    if texts.next() == Some(b"timeout") {
        outcome.status = Status::Timeout; // one that stalled
    }
    let mut number = || std::str::from_utf8(texts.next().unwrap_or_default()).unwrap_or_default();
    outcome.code = number().parse().ok();
    outcome.output_bytes = number().parse().ok();
    if let Ok(pause) = number().parse() {
        outcome.rare_mut().retry_after = Some(Duration::from_millis(pause));
    }
    if let Ok(hash) = number().parse() {
        outcome.rare_mut().output_hash = Some(hash);
    }
    outcome.output = texts.next().unwrap_or_default().to_vec();
    let has_payload = texts.next().is_some_and(|text| !text.is_empty());
    let payload = texts.next().unwrap_or_default();
    if has_payload {
        match payload::of_bytes(PayloadKind::Bytes, payload.to_vec(), ByteSize::new(u64::MAX)) {
            Ok(payload) => outcome.payload = Some(Arc::new(payload)),
            Err(no_payload) => outcome.withhold(&no_payload),
        }
    }
    take_whole_output(&mut outcome, texts.next().unwrap_or_default());
    let has_text = texts.next().is_some_and(|text| !text.is_empty());
    let text = texts.next().unwrap_or_default();
    if has_text {
        outcome.rare_mut().text = Some(text.to_vec());
    }
    let refused_by = String::from_utf8_lossy(texts.next().unwrap_or_default());
    if !refused_by.is_empty() {
        outcome.rare_mut().refused_by = Some(refused_by.into());
    }
    let mut headers = Vec::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        headers.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    }
    if !headers.is_empty() {
        outcome.rare_mut().headers = headers.into();
    }
    outcome.result.clear();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Moment;

    #[test]
    fn an_outcome_comes_back() {
        let mut outcome = Outcome::new(Status::Failed, Moment::now(), Duration::ZERO);
        outcome.code = Some(404);
        outcome.output_bytes = Some(1 << 40);
        outcome.rare_mut().retry_after = Some(Duration::from_secs(30));
        outcome.rare_mut().refused_by = Some("b.example:81".into());
        outcome.output = b"not\nfound\xff".to_vec();
        outcome.rare_mut().headers = [("server".into(), b"x".to_vec())].into();
        outcome.rare_mut().text = Some("not\nfound".into());
        outcome.error = "status 404".into();
        let back = unpack(pack(outcome.clone()));
        assert_eq!(format!("{back:?}"), format!("{outcome:?}"));
    }

    #[test]
    fn an_outcome_without_an_answer_stays() {
        let outcome = Outcome::not_started("refused");
        let back = unpack(pack(outcome.clone()));
        assert_eq!((back.code, back.output_bytes), (None, None));
        assert_eq!(format!("{:?}", unpack(outcome.clone())), format!("{outcome:?}"));
    }
}
