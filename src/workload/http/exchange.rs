//! One request and all of its answer.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Seek};
use std::pin::pin;
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RANGE};
use http::{HeaderMap, Method, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::call::Call;
use super::client::{Client, Failure, Progress};
use super::decode::{Broken, Coding, Decoder};
use super::download::{Download, Rest};
use super::framing::{self, Due, Mismatch};
use super::patience::patiently;
use super::plan::{Compared, Keep, Plan};
use super::sink::{Raw, Sink};
use super::{charset, expect, part, retry_after};
use crate::base::ByteSize;
use crate::task::{Moment, NoPayload, Payload, clock};
use crate::workload::http::errors;

/// What is kept of an answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// The start of the body.
    pub body: Vec<u8>,
    /// The body as UTF-8, where that is something else.
    pub text: Option<Vec<u8>>,
    /// All of the body, if it was to be kept and is longer.
    pub whole: Option<File>,
    /// What is for the next stage, if there is one.
    pub payload: Option<Result<Payload, NoPayload>>,
    /// The hash of the body, if runs are compared.
    pub hash: Option<u64>,
    /// The headers that were asked for.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What is wrong with it, if anything.
    pub complaint: Option<String>,
}

/// Sends `call` and reads the answer to its end. A download that `progress` has is taken up again.
///
/// # Errors
/// If there is no whole answer. `progress` says how far it came.
pub async fn exchange(
    client: &Client,
    plan: &Plan,
    call: &Call,
    progress: &Progress,
) -> Result<Answer, Failure> {
    if let Some(save) = &call.save {
        save.check().map_err(Failure)?;
        let is_other =
            |download: &mut Download| !download.is_of(call) || !download.file.is_for(save);
        progress.download.borrow_mut().take_if(is_other);
    }
    // What is seldom needed is boxed: this future is made anew for every request.
    let has_start = progress.download.borrow().is_some();
    let (mut response, rest) = if has_start {
        Box::pin(send_for_rest(client, plan, call, progress)).await?
    } else {
        (send(client, plan, call, progress).await?, Rest::Anew)
    };
    let mut method = call.method.clone();
    if rest != Rest::Follows
        && let Some(fallback) = fallback(plan, &response)
    {
        progress.answered.set(false);
        let call = Box::new(call.by(fallback));
        response = Box::pin(send(client, plan, &call, progress)).await?;
        method = call.method;
    }
    pin!(read(plan, call, (response, method), rest, progress)).await
}

/// The answer to the question for the rest of a download; to the call itself, if the server refuses.
async fn send_for_rest(
    client: &Client,
    plan: &Plan,
    call: &Call,
    progress: &Progress,
) -> Result<(Response<Incoming>, Rest), Failure> {
    let resumed = progress.download.borrow().as_ref().and_then(|download| {
        let validator = download.validator().filter(|_| !call.is_range())?;
        Some(call.after(download.written, validator))
    });
    let response = send(client, plan, resumed.as_ref().unwrap_or(call), progress).await?;
    let source = progress.source(call);
    let rest = match &mut *progress.download.borrow_mut() {
        Some(download) if resumed.is_some() => {
            download.rest(response.status(), response.headers(), &source)
        }
        _ => Rest::Anew,
    };
    if rest != Rest::Refused {
        return Ok((response, rest));
    }
    progress.download.replace(None);
    progress.answered.set(false);
    Ok((send(client, plan, call, progress).await?, Rest::Anew))
}

/// The method to try after an answer that is not what was expected, unless the server asks to be left alone.
fn fallback(plan: &Plan, response: &Response<Incoming>) -> Option<Method> {
    let status = response.status();
    let method = plan.fallback.as_ref()?;
    let is_busy =
        [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status);
    let is_refused = !is_busy && expect::check(&plan.expect, status.as_u16()).is_err();
    Method::from_bytes(method.as_bytes()).ok().filter(|_| is_refused)
}

async fn send(
    client: &Client,
    plan: &Plan,
    call: &Call,
    progress: &Progress,
) -> Result<Response<Incoming>, Failure> {
    patiently(plan, progress, pin!(client.send(call, plan.redirects, progress))).await
}

/// Reads an answer whose headers are there.
async fn read(
    plan: &Plan,
    call: &Call,
    (response, method): (Response<Incoming>, Method),
    rest: Rest,
    progress: &Progress,
) -> Result<Answer, Failure> {
    let (status, headers) = (response.status(), response.headers());
    // The rest of a file and its start are the whole.
    let is_rest = rest == Rest::Follows;
    let effective = if is_rest { StatusCode::OK } else { status };
    let of_whole =
        progress.download.borrow().as_ref().filter(|_| is_rest).map(|one| one.kept.clone());
    let mut answer = Answer {
        headers: of_whole.unwrap_or_else(|| kept_headers(headers, &plan.keep)),
        complaint: expect::check(&plan.expect, effective.as_u16()).err(),
        ..Answer::default()
    };
    if answer.complaint.is_some() {
        progress.retry_after.set(retry_after::read(headers, SystemTime::now()));
    }
    if answer.complaint.is_none() && !is_rest {
        let is_named = expect::names(&plan.expect, status.as_u16());
        if let Some(words) = part::wrong(status, headers, call.header(RANGE), is_named) {
            return Err(Failure(words));
        }
    }
    // An error page does not take the place of what was asked for, nor does the word that it is as it was.
    let is_new = answer.complaint.is_none() && status != StatusCode::NOT_MODIFIED;
    let save = call.save.as_ref().filter(|_| is_new);
    let is_fallback = plan.fallback.is_some() && method != call.method;
    let is_for_rules = plan.keep.answers && answer.complaint.is_some();
    let is_wanted = save.is_some() || is_for_rules || plan.keep.wants_body();
    if plan.keep.nothing || (is_fallback && !is_wanted) {
        progress.is_unread.set(!response.body().is_end_stream());
        return Ok(answer);
    }
    let coded = Coded::of(plan, &response, &method)?;
    let raw = match save {
        Some(save) => Raw::of(save, call.uri.path(), headers, &coded.codings),
        None => Raw::Decoded,
    };
    if let Some(save) = save
        && !is_rest
    {
        let as_sent = coded.codings.is_empty();
        let length = response.body().size_hint().exact();
        let file = save.create().map_err(Failure)?;
        let source = progress.source(call);
        let answer_head = (status, headers);
        let mut download = Download::new((file, call), answer_head, source, length, as_sent);
        download.kept.clone_from(&answer.headers);
        progress.download.replace(Some(download));
    }
    let content_type = (plan.keep.text.is_some() || is_for_rules)
        .then(|| headers.get_all(CONTENT_TYPE).iter().map(http::HeaderValue::as_bytes))
        .and_then(charset::content_type);
    let mut sink = Sink::new(&plan.keep, raw, save.is_some(), progress);
    if is_rest {
        sink.read_back()?;
    }
    let whole = pin!(read_body(plan, response, &coded, &mut sink)).await?;
    if is_rest && let Some(missing) = missing(progress) {
        return Err(Failure(missing)); // what there is waits for the next attempt
    }
    if save.is_some() {
        sink.end_raw().map_err(Failure)?;
        pass_on(progress).await?;
        let download = progress.download.take();
        let download = download.filter(|_| plan.keep.compared != Compared::Unnamed);
        download.map_or(Ok(()), |download| download.file.finish()).map_err(Failure)?;
    }
    finish(&mut answer, sink, plan)?;
    if let Some(limit) = plan.keep.text {
        let why = if whole { coded.kept } else { Some(too_long(limit, coded.length, progress)) };
        read_text(&mut answer, content_type.as_deref(), why, (plan, progress));
    } else if is_for_rules {
        answer.text =
            charset::to_utf8(content_type.as_deref(), &answer.body).unwrap_or_default().utf8;
    }
    if is_for_rules
        && progress.bytes.get() > plan.keep.body
        && let Some(complaint) = &mut answer.complaint
    {
        let (size, limit) = (progress.bytes.get(), ByteSize::new(plan.keep.body));
        let _ = write!(
            complaint,
            "; the body has {size} bytes, and a `json:` rule needs all of it: raise `max_body` above {limit}"
        );
    }
    Ok(answer)
}

fn missing(progress: &Progress) -> Option<String> {
    progress.download.borrow().as_ref()?.missing()
}

/// Takes what the sink has kept.
fn finish(answer: &mut Answer, mut sink: Sink<'_>, plan: &Plan) -> Result<(), Failure> {
    answer.payload = sink.payload();
    answer.hash = sink.hash();
    if let Some(mut whole) = sink.whole.take() {
        whole.rewind().map_err(|error| Failure(error.to_string()))?; // it is read from its start
        answer.whole = Some(whole);
    }
    answer.body = sink.kept;
    let is_read = plan.keep.answers && answer.complaint.is_some();
    if plan.keep.text.is_none() && !plan.keep.whole && !is_read {
        answer.body.clear();
    }
    Ok(())
}

/// Makes a text of the body for `[columns]`; `why` it cannot be, if so.
fn read_text(
    answer: &mut Answer,
    content_type: Option<&[u8]>,
    why: Option<String>,
    (plan, progress): (&Plan, &Progress),
) {
    let text = why.map_or_else(|| charset::to_utf8(content_type, &answer.body), Err);
    match text {
        Ok(text) => {
            answer.text = text.utf8;
            if let Some(doubt) = text.doubt {
                let mut said = progress.left_out.borrow_mut();
                *said =
                    Some(said.take().map_or(doubt.clone(), |other| format!("{other}; {doubt}")));
            }
            if !plan.keep.whole
                && let Some(text) = answer.text.take()
            {
                answer.body = text; // nobody else reads it
            }
        }
        Err(why) => {
            answer.complaint.get_or_insert(why);
            // A column of a part would be wrong without a word.
            if plan.keep.whole { answer.text = Some(Vec::new()) } else { answer.body.clear() }
        }
    }
}

fn too_long(limit: u64, length: Option<u64>, progress: &Progress) -> String {
    let read = progress.bytes.get();
    let size = match length.filter(|&length| length >= read) {
        Some(length) => format!("{length} bytes"),
        None if progress.is_unread.get() => format!("more than {limit} bytes"),
        None => format!("{read} bytes"),
    };
    let limit = ByteSize::new(limit);
    format!("the body has {size}, and `[columns]` need all of it: raise `max_body` above {limit}")
}

fn kept_headers(headers: &HeaderMap, keep: &Keep) -> Vec<(String, Vec<u8>)> {
    let values = keep.headers.iter().filter_map(|name| {
        let values: Vec<_> =
            headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
        let joined = charset::header_to_utf8(&values.join(&b", "[..]));
        (!values.is_empty()).then(|| (name.clone(), joined))
    });
    values.collect()
}

/// How a body is coded.
struct Coded {
    /// Those that are undone, in the order in which they were applied.
    codings: Vec<Coding>,
    /// Why the body is not text, if a coding is kept.
    kept: Option<String>,
    length: Option<u64>,
    /// How much has to come.
    due: Due,
}

impl Coded {
    fn of(plan: &Plan, response: &Response<Incoming>, method: &Method) -> Result<Self, Failure> {
        let (status, headers) = (response.status(), response.headers());
        let length = response.body().size_hint().exact();
        // Headers of a body that is not sent say what it would have been.
        if framing::has_no_body(status, method) {
            return Ok(Self { codings: Vec::new(), kept: None, length: None, due: Due::default() });
        }
        let is_empty = response.body().is_end_stream();
        let values = headers.get_all(CONTENT_ENCODING).iter().map(http::HeaderValue::as_bytes);
        let (mut codings, kept) = match Coding::list(values) {
            _ if is_empty => (Vec::new(), None),
            Ok(codings) if plan.decode || codings.is_empty() => (codings, None),
            Err(words) if plan.decode => return Err(Failure(words)),
            _ => (Vec::new(), Some(KEPT.to_owned())),
        };
        let transfer = framing::transfer_codings(headers).map_err(Failure)?;
        let is_coded = headers.contains_key(CONTENT_ENCODING);
        let due = Due::of((status, headers), method, &transfer, is_coded);
        codings.extend(transfer);
        Ok(Self { codings, kept, length, due })
    }
}

/// Why `[columns]` have no text of a body that stays encoded.
const KEPT: &str =
    "the body is encoded, and `decode = false` keeps it so: `[columns]` cannot read it";

/// Reads a body. False: it is longer than a text may be, and nobody wanted the rest.
async fn read_body(
    plan: &Plan,
    response: Response<Incoming>,
    coded: &Coded,
    sink: &mut Sink<'_>,
) -> Result<bool, Failure> {
    let mut decoder = (!coded.codings.is_empty()).then(|| Decoder::new(&coded.codings));
    let progress = sink.progress;
    let is_http2 = response.version() == Version::HTTP_2;
    let (mut body, before, mut sent) = (response.into_body(), progress.bytes.get(), 0);
    loop {
        let frame = patiently(plan, progress, pin!(async { Ok(body.frame().await) })).await?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| {
            let length = coded.length.map(|length| before + length); // of a rest, that is the whole
            Failure(errors::broken_body(&error, progress.bytes.get(), length))
        })?;
        let Some(chunk) = frame.data_ref() else { continue };
        sent += chunk.len() as u64;
        if let Some(decoder) = &mut decoder {
            sink.take_raw(chunk).map_err(Failure)?;
            let pushed = decoder.push(chunk, &mut |piece| sink.take(piece));
            pushed.map_err(|broken| broken_coding(broken, progress))?;
        } else {
            sink.take(chunk).map_err(Failure)?;
        }
        if has_waiting(progress)? {
            Box::pin(pass_on(progress)).await?;
        }
        if sink.has_enough() {
            progress.is_unread.set(true);
            return Ok(false);
        }
    }
    let finished = decoder.map_or(Ok(()), |decoder| decoder.finish());
    finished.map_err(|broken| broken_coding(broken, progress))?;
    // hyper takes a stream that was reset without an error for one that has ended.
    if is_http2 && coded.due.is_unknown() && !body.is_end_stream() {
        return Err(Failure(format!("body cut short after {sent} bytes: the stream was reset")));
    }
    if let Err(mismatch) = coded.due.check(sent, progress.bytes.get() - before) {
        if matches!(mismatch, Mismatch::Long(..)) {
            progress.download.take(); // nothing comes after it
        }
        return Err(Failure(mismatch.to_string()));
    }
    Ok(plan.keep.text.is_none_or(|limit| progress.bytes.get() <= limit))
}

/// How long a device or a pipe that is full is left alone.
const FULL: Duration = Duration::from_millis(1);

/// Waits until the device or pipe that the body goes to has taken what has come.
async fn pass_on(progress: &Progress) -> Result<(), Failure> {
    while has_waiting(progress)? {
        clock::sleep_until(Moment::now() + FULL).await;
    }
    Ok(())
}

/// Whether a device or a pipe has not taken all yet.
fn has_waiting(progress: &Progress) -> Result<bool, Failure> {
    let mut download = progress.download.borrow_mut();
    let Some(download) = download.as_mut() else { return Ok(false) };
    download.file.pass_on().map(|is_done| !is_done).map_err(Failure)
}

fn broken_coding(broken: Broken, progress: &Progress) -> Failure {
    let read = progress.bytes.get();
    Failure(match broken {
        Broken::Not(coding, why) => format!("the body is not {}: {why}", coding.name()),
        Broken::Cut(coding) => {
            format!("body cut short after {read} bytes: its {} data has no end", coding.name())
        }
        Broken::Sink(words) => words,
    })
}

/// Keeping a body failed.
pub(super) fn not_kept(error: &io::Error) -> String {
    format!("failed to keep the body: {error}")
}
