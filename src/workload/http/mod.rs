//! `[workload.http]`: a request per task, by a client that the slots of a loop share.
//!
//! This file owns the plan and the worker; [`read`] has the table. The templates of a request are rendered to texts
//! ([`texts`]), which become a request ([`call`]) where it is sent: here, or in a worker process ([`away`]).
//! [`client`] sends it and follows redirects, [`connect`] makes connections, [`exchange`] reads the answer.

mod call;
mod client;
mod connect;
mod errors;
mod exchange;
mod expect;
mod in_worker;
mod plan;
mod read;
mod retry_after;
mod save;
mod text_buffer;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use client::Client;
pub use in_worker::{Server, unpack};
pub use plan::Plan;
pub use read::read;

use call::Call;
use client::{Failure, Progress};
use exchange::Answer;
use text_buffer::TextBuffer;

use crate::base::ByteSize;
use crate::config::Template;
use crate::task::{Attempt, Moment, Outcome, Status, Stop, Task, Values};
use crate::workload::columns::Column;

/// A request for every task.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What does not depend on the task.
    pub plan: Plan,
    method: Template,
    url: Template,
    body: Option<Template>,
    save: Option<Template>,
    /// In the order of the plan's names.
    headers: Vec<Template>,
    /// How much of a body is kept if something reads it, in bytes.
    max_body: u64,
}

impl Spec {
    /// This request, with what `columns` read of an answer kept; all of the body if `whole`, and up to `max_payload` for
    /// the next stage, if there is one.
    #[must_use]
    pub fn keeping(&self, columns: &[Column], whole: bool, max_payload: Option<ByteSize>) -> Self {
        let mut spec = self.clone();
        let reads_body = columns.iter().any(|column| column.header().is_none());
        spec.plan.keep.whole = whole;
        spec.plan.keep.payload = max_payload.map(ByteSize::bytes);
        spec.plan.keep.body = if whole || reads_body { self.max_body } else { 0 };
        spec.plan.keep.headers =
            columns.iter().filter_map(Column::header).map(str::to_owned).collect();
        spec
    }

    fn texts(&self, values: &Values<'_>, texts: &mut TextBuffer) {
        texts.clear();
        let all = [&self.method, &self.url].into_iter();
        for template in all.chain(&self.body).chain(&self.save).chain(&self.headers) {
            texts.push_with(|bytes| template.render(values, bytes));
        }
    }

    /// Appends what a worker process has to know of one task.
    pub fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        let mut texts = TextBuffer::default();
        self.texts(values, &mut texts);
        texts.encode(out);
    }

    /// The host that one task asks first, with its port unless that is the usual one; `None` if its URL is none.
    pub fn host(&self, values: &Values<'_>) -> Option<String> {
        let mut url = Vec::new();
        self.url.render(values, &mut url);
        call::host_of(&url)
    }

    /// One task as it would run, in words.
    pub fn show(&self, values: &Values<'_>) -> String {
        let mut text = Vec::new();
        self.method.render(values, &mut text);
        text.make_ascii_uppercase();
        text.push(b' ');
        self.url.render(values, &mut text);
        if let Some(save) = &self.save {
            text.extend_from_slice(b" > ");
            save.render(values, &mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// The requests of one slot.
#[derive(Debug)]
pub struct Worker {
    spec: Spec,
    folder: PathBuf,
    client: Client,
    /// The last request: many jobs send the same one again and again.
    last: Option<(TextBuffer, Call)>,
    texts: TextBuffer,
}

impl Worker {
    /// A worker for `spec`, which says what is kept; relative paths start in `folder`.
    pub fn new(spec: Spec, folder: &Path, client: Client) -> Self {
        Self { spec, folder: folder.to_owned(), client, last: None, texts: TextBuffer::default() }
    }

    /// Attempts one task.
    pub async fn run(&mut self, task: &Task, attempt: &Attempt<'_>) -> Outcome {
        self.spec.texts(&attempt.values(task), &mut self.texts);
        if self.last.as_ref().is_none_or(|(texts, _)| *texts != self.texts) {
            match Call::new(&self.spec.plan, &self.folder, &self.texts) {
                Ok(call) => self.last = Some((self.texts.clone(), call)),
                Err(error) => return Outcome::not_started(error),
            }
        }
        let Some((_, call)) = &self.last else { unreachable!("it was just made") };
        let started = Moment::now();
        let stopped = attempt.stopped(started);
        self::attempt(&self.client, &self.spec.plan, call, attempt.timeout, stopped).await
    }
}

/// Sends one request and reads the answer, unless `stopped` comes first; `timeout` is for its words.
async fn attempt(
    client: &Client,
    plan: &Plan,
    call: &Call,
    timeout: Option<Duration>,
    stopped: impl Future<Output = Stop>,
) -> Outcome {
    let started = Moment::now();
    let progress = Progress::new(timeout.is_some());
    let ended = tokio::select! {
        biased;
        answer = exchange::exchange(client, plan, call, &progress) => Ok(answer),
        stop = stopped => Err(stop),
    };
    let mut outcome = Outcome::new(Status::Ok, started, started.elapsed());
    outcome.code = progress.status.get().map(i32::from);
    outcome.retry_after = progress.retry_after.get();
    outcome.output_bytes = progress.answered.get().then(|| progress.bytes.get());
    match ended {
        Ok(Ok(answer)) => fill(&mut outcome, answer),
        Ok(Err(Failure(words))) => {
            outcome.status = Status::Failed;
            outcome.error = words;
        }
        Err(stop) => {
            outcome.status = stop.status();
            outcome.error = stop_words(stop, timeout, &progress);
        }
    }
    outcome
}

fn fill(outcome: &mut Outcome, answer: Answer) {
    outcome.output = answer.body;
    outcome.whole_output = answer.whole.map(Arc::new);
    outcome.headers = answer.headers.into();
    match answer.payload {
        Some(Ok(payload)) => outcome.payload = Some(Arc::new(payload)),
        Some(Err(no_payload)) => outcome.withhold(&no_payload),
        None => {}
    }
    if let Some(complaint) = answer.complaint {
        outcome.status = Status::Failed;
        outcome.error = complaint;
    }
}

fn stop_words(stop: Stop, timeout: Option<Duration>, progress: &Progress) -> String {
    match (stop, timeout) {
        (Stop::Timeout, Some(timeout)) => {
            let timeout = humantime::format_duration(timeout);
            format!("timed out while {} after {timeout}", progress.doing())
        }
        _ => stop.words(timeout),
    }
}
