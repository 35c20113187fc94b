//! `[workload.http]`: a request per task, by a client that the slots of a loop share.
//!
//! This file owns the plan and the worker; [`read`] has the table. The templates of a request are rendered to texts
//! ([`texts`]), which become a request ([`call`]) where it is sent: here, or in a worker process ([`away`]).
//! [`client`] sends it and follows redirects, [`connect`] makes connections, [`exchange`] reads the answer.

mod body;
mod call;
mod charset;
mod client;
mod connect;
mod cookie_date;
mod cookies;
mod decode;
mod download;
mod errors;
mod exchange;
mod expect;
mod framing;
mod head;
mod in_worker;
mod multipart;
mod part;
mod parts;
mod patience;
mod plan;
mod prescan;
mod proxies;
mod read;
mod redirect;
mod retry_after;
mod save;
mod sink;
mod stream;
mod text_buffer;
mod tls;
mod traffic;
mod unfinished;
mod uri;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex};

pub use client::Client;
pub use in_worker::{Server, unpack};
pub use plan::Plan;
use plan::{BodyKind, Compared};
pub use read::read;

use call::Call;
use client::{Failure, Progress};
use cookies::{Cookies, Jar};
use download::Download;
use exchange::Answer;
use parts::{BodyPart, Text};
use text_buffer::TextBuffer;

use crate::base::ByteSize;
use crate::base::lock;
use crate::config::Template;
use crate::task::{Attempt, Limit, Moment, Outcome, Status, Stop, Task, Values};
use crate::workload::columns::Column;
use crate::workload::command::Keep;
use crate::workload::read_files::ReadFiles;
use crate::workload::target::Target;

/// A request for every task.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What does not depend on the task.
    pub plan: Plan,
    method: Template,
    url: Template,
    query: Vec<(String, Template)>,
    body: Vec<BodyPart>,
    save: Option<Template>,
    /// What the job and its tasks read: nothing is saved over that.
    read: ReadFiles,
    /// In the order of the plan's names.
    headers: Vec<Text>,
    /// How much of a body is kept if something reads it, in bytes.
    max_body: u64,
    /// The cookies of the job, where its tasks share them.
    jar: Jar,
}

impl Spec {
    /// This request, with what `columns` read of an answer kept; all of the body if `output` says so, and up to `max_payload` for
    /// the next stage, if there is one.
    #[must_use]
    pub fn keeping(&self, columns: &[Column], output: Keep, max_payload: Option<ByteSize>) -> Self {
        let mut spec = self.clone();
        let reads_body = columns.iter().any(|column| column.header().is_none());
        let whole = output == Keep::Everything;
        spec.plan.keep.whole = whole;
        spec.plan.keep.payload = max_payload.map(ByteSize::bytes);
        let is_kept = whole || reads_body || spec.plan.keep.answers;
        spec.plan.keep.body = if is_kept { self.max_body } else { 0 };
        spec.plan.keep.text = reads_body.then_some(self.max_body);
        spec.plan.keep.nothing = self.max_body == 0;
        spec.plan.keep.headers =
            columns.iter().filter_map(Column::header).map(str::to_owned).collect();
        spec
    }

    /// Runs are compared: bodies are hashed; those that are saved get no name unless `names` says so.
    #[must_use]
    pub fn compared(mut self, names: bool) -> Self {
        self.plan.keep.compared = if names { Compared::Hashed } else { Compared::Unnamed };
        self
    }

    /// Whether the answers to requests that fail are kept, for rules that look into them.
    pub fn read_answers(&mut self, read: bool) {
        self.plan.keep.answers = read;
    }

    fn texts(&self, values: &Values<'_>, texts: &mut TextBuffer) {
        texts.clear();
        texts.push_with(|bytes| self.method.render(values, bytes));
        texts.push_with(|bytes| self.render_url(values, bytes));
        parts::push(&self.body, values, texts);
        if let Some(save) = &self.save {
            texts.push_with(|bytes| save.render(values, bytes));
        }
        for header in &self.headers {
            texts.push_with(|bytes| header.render(values, bytes));
        }
    }

    /// The URL with its query, whose pairs come after those that it has already.
    fn render_url(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        self.url.render(values, out);
        if self.query.is_empty() {
            return;
        }
        let url = &out[start..];
        let fragment = memchr::memchr(b'#', url).unwrap_or(url.len());
        let question = memchr::memchr(b'?', &url[..fragment]);
        let joint: &[u8] = match question {
            None => b"?",
            Some(at) if at + 1 == fragment || url[fragment - 1] == b'&' => b"",
            Some(_) => b"&",
        };
        out.truncate(start + fragment); // a fragment is not sent
        out.extend_from_slice(joint);
        parts::render_pairs(&self.query, values, out);
    }

    /// Whether no body is read at all.
    pub fn reads_no_body(&self) -> bool {
        self.max_body == 0
    }

    /// The cookies that the tasks share.
    pub fn client(&self) -> Client {
        Client::new(&self.plan, &self.jar)
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
        uri::host_of(&url)
    }

    /// Whether bodies are saved.
    pub fn saves(&self) -> bool {
        self.save.is_some()
    }

    /// Lets the tasks of several stages share their cookies, where those of each do.
    pub fn share_cookies<'a>(stages: impl Iterator<Item = &'a mut Self>) {
        let jar = Jar::default();
        for spec in stages.filter(|spec| spec.shares_cookies()) {
            spec.jar = jar.clone();
        }
    }

    /// Whether tasks share their cookies.
    pub fn shares_cookies(&self) -> bool {
        self.plan.cookies == Cookies::Job
    }

    /// The name of the file to which bodies go, if they do.
    pub fn save(&self) -> Option<&Template> {
        self.save.as_ref()
    }

    /// The file to which the body of one task goes, for a job in `folder`; `None` if there is none, or its name will not do,
    /// which the task itself says.
    pub fn target(&self, values: &Values<'_>, folder: &Path) -> Option<Target> {
        let (save, place) = (self.save.as_ref()?, self.plan.save.as_ref()?);
        let mut name = Vec::new();
        save.render(values, &mut name);
        let shown = String::from_utf8_lossy(&name).into_owned();
        place.place(folder, &name).ok().map(|place| place.target(shown))
    }

    /// Whether one task may save at `target`, for a job in `folder`.
    ///
    /// # Errors
    /// In words, if the task or its job reads that file.
    pub fn check_target(
        &self,
        target: &Target,
        values: &Values<'_>,
        folder: &Path,
    ) -> Result<(), String> {
        self.read.check(target, values, || self.sent_files(values, folder))
    }

    /// The files that the request of one task has in its body.
    fn sent_files(&self, values: &Values<'_>, folder: &Path) -> Vec<PathBuf> {
        let is_file = |part: usize| match &self.plan.body {
            BodyKind::None | BodyKind::Text | BodyKind::Json => false,
            BodyKind::File => true,
            BodyKind::Multipart(fields) => fields.get(part).is_some_and(|field| field.is_file),
        };
        let files = self.body.iter().enumerate().filter(|(part, _)| is_file(*part));
        let paths = files.map(|(_, part)| {
            let mut name = Vec::new();
            part.render(values, &mut name);
            folder.join(path(&name))
        });
        paths.collect()
    }

    /// One task as it would run, in words: the request, its headers and its body, with secrets masked.
    pub fn show(&self, values: &Values<'_>) -> String {
        let mut text = Vec::new();
        self.method.render(values, &mut text);
        text.make_ascii_uppercase();
        text.push(b' ');
        self.render_url(values, &mut text);
        for (header, value) in self.plan.headers.iter().zip(&self.headers) {
            text.extend_from_slice(format!("\n  {}: ", header.name).as_bytes());
            value.show(values, &mut text);
        }
        match &self.plan.body {
            BodyKind::None => {}
            BodyKind::Text | BodyKind::Json => self.show_body("\n\n  ", values, &mut text),
            BodyKind::File => self.show_body("\n\n  < ", values, &mut text),
            BodyKind::Multipart(fields) => {
                text.push(b'\n');
                for (field, part) in fields.iter().zip(&self.body) {
                    let sign = if field.is_file { "@" } else { "" };
                    text.extend_from_slice(format!("\n  {}={sign}", field.name).as_bytes());
                    part.render(values, &mut text);
                }
            }
        }
        if let Some(save) = &self.save {
            text.extend_from_slice(b" > ");
            save.render(values, &mut text);
        }
        String::from_utf8_lossy(&crate::base::mask::apply(&text)).into_owned()
    }

    fn show_body(&self, before: &str, values: &Values<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(before.as_bytes());
        self.body.iter().for_each(|part| part.render(values, out));
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
        // A file may be another one each time, of the same name.
        let sends_files = self.spec.plan.body.has_files();
        if sends_files || self.last.as_ref().is_none_or(|(texts, _)| *texts != self.texts) {
            match Call::new(&self.spec.plan, &self.folder, &self.texts) {
                Ok(call) => self.last = Some((self.texts.clone(), call)),
                Err(error) => return Outcome::not_started(error),
            }
        }
        let Some((_, call)) = &self.last else { unreachable!("it was just made") };
        let started = Moment::now();
        let stopped = attempt.stopped(started);
        let left = task.earlier.as_ref().and_then(|earlier| Left::take(&earlier.outcome));
        let ending =
            Ending { limit: &|| attempt.limit(), can_come: attempt.may_time_out(), stopped };
        // Pinned where it is made: it is large, and would be moved otherwise.
        pin!(self::attempt(&self.client, &self.spec.plan, call, left, ending)).await
    }
}

/// What a broken download has left, for the next attempt: in the outcome of the last one.
struct Left(Mutex<Option<Download>>);

impl Left {
    /// Takes it out of an outcome, if it has one.
    fn take(outcome: &Outcome) -> Option<Download> {
        let left = outcome.rare().left.as_ref()?.downcast_ref::<Self>()?;
        lock(&left.0).take()
    }
}

/// A path as a template has rendered it.
fn path(text: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(text))
}

/// How an attempt may have to end early.
struct Ending<'a, F> {
    /// The limit of its time when that has passed, for words.
    limit: &'a dyn Fn() -> Option<Limit>,
    /// Whether there may be one.
    can_come: bool,
    stopped: F,
}

/// Sends one request and reads the answer, unless it has to end first. `left` is what an earlier attempt has left of the
/// same download.
async fn attempt(
    client: &Client,
    plan: &Plan,
    call: &Call,
    left: Option<Download>,
    ending: Ending<'_, impl Future<Output = Stop>>,
) -> Outcome {
    let started = Moment::now();
    let progress = Progress::new(ending.can_come, plan.stall.is_some());
    progress.download.replace(left);
    let ended = {
        let exchange = pin!(exchange::exchange(client, plan, call, &progress));
        tokio::select! {
            biased;
            answer = exchange => Ok(answer),
            stop = ending.stopped => Err(stop),
        }
    };
    if ended.is_err() || progress.stalled.get() {
        progress.give_up_connection();
    }
    let mut outcome = Outcome::new(Status::Ok, started, started.elapsed());
    outcome.code = progress.status.get().map(i32::from);
    if let Some(pause) = progress.retry_after.get() {
        outcome.rare_mut().retry_after = Some(pause);
    }
    if let (Some(429 | 503), Some(uri)) = (outcome.code, &*progress.redirected.borrow()) {
        let host = uri::host_of(uri.to_string().as_bytes());
        outcome.rare_mut().refused_by = host.map(String::into_boxed_str);
    }
    let is_known = progress.answered.get() && !progress.is_unread.get();
    outcome.output_bytes = is_known.then(|| progress.bytes.get());
    match ended {
        Ok(Ok(answer)) => fill(&mut outcome, answer),
        Ok(Err(Failure(words))) => {
            outcome.status = if progress.stalled.get() { Status::Timeout } else { Status::Failed };
            outcome.error = words;
        }
        Err(stop) => {
            outcome.status = stop.status();
            outcome.error = stop_words(stop, (ending.limit)(), &progress);
        }
    }
    if outcome.error.is_empty()
        && let Some(left_out) = progress.left_out.take()
    {
        outcome.error = left_out;
    }
    let download = progress.download.take().filter(|download| download.validator().is_some());
    if let Some(download) = download.filter(|_| outcome.status != Status::Ok) {
        outcome.rare_mut().left = Some(Arc::new(Left(Mutex::new(Some(download)))));
    }
    outcome
}

fn fill(outcome: &mut Outcome, answer: Answer) {
    outcome.output = answer.body;
    if answer.text.is_some() || answer.whole.is_some() || !answer.headers.is_empty() {
        let rare = outcome.rare_mut();
        rare.text = answer.text;
        rare.whole_output = answer.whole.map(Arc::new);
        rare.headers = answer.headers.into();
    }
    if let Some(hash) = answer.hash {
        outcome.rare_mut().output_hash = Some(hash);
    }
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

fn stop_words(stop: Stop, limit: Option<Limit>, progress: &Progress) -> String {
    match (stop, limit) {
        (Stop::Timeout, Some(limit)) => {
            format!("timed out while {} after {limit}", progress.doing())
        }
        _ => stop.words(limit),
    }
}
