//! One request and all of its answer.

use std::fs::File;
use std::io::{self, Seek};
use std::pin::{Pin, pin};
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::call::Call;
use super::client::{Client, Failure, Progress};
use super::decode::{Broken, Coding, Decoder};
use super::download::{self, Download, Rest};
use super::plan::{Keep, Plan};
use super::sink::{Raw, Sink};
use super::{charset, expect, retry_after};
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
    }
    // What is seldom needed is boxed: this future is made anew for every request.
    let has_start = progress.download.borrow().is_some();
    let (mut response, rest) = if has_start {
        Box::pin(send_for_rest(client, plan, call, progress)).await?
    } else {
        (send(client, plan, call, progress).await?, Rest::Anew)
    };
    let mut method = call.method.clone();
    if let Some(fallback) = fallback(plan, &response) {
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
    let rest = match &*progress.download.borrow() {
        Some(download) => download.rest(response.status(), response.headers()),
        None => Rest::Anew,
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

/// Ends what sends nothing for too long. It is pinned, since its future is large, and would be moved here otherwise.
async fn patiently<T>(
    plan: &Plan,
    progress: &Progress,
    what: Pin<&mut impl Future<Output = Result<T, Failure>>>,
) -> Result<T, Failure> {
    let Some(stall) = plan.stall else { return what.await };
    tokio::select! {
        biased;
        done = what => done,
        () = clock::sleep_until(Moment::now() + stall) => Err(stalled(stall, progress)),
    }
}

fn stalled(stall: Duration, progress: &Progress) -> Failure {
    progress.stalled.set(true);
    let stall = humantime::format_duration(stall);
    Failure(format!("stalled: nothing came for {stall} while {}", progress.doing()))
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
    let mut answer = Answer {
        headers: kept_headers(headers, &plan.keep),
        complaint: expect::check(&plan.expect, effective.as_u16()).err(),
        ..Answer::default()
    };
    if answer.complaint.is_some() {
        progress.retry_after.set(retry_after::read(headers, SystemTime::now()));
    }
    if answer.complaint.is_none()
        && !is_rest
        && !call.is_range()
        && let Some(part) = download::unasked(status, headers)
    {
        return Err(Failure(part));
    }
    // An error page does not take the place of what was asked for.
    let save = call.save.as_ref().filter(|_| answer.complaint.is_none());
    let is_fallback = plan.fallback.is_some() && method != call.method;
    if plan.keep.nothing || (is_fallback && save.is_none() && !plan.keep.wants_body()) {
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
        let download = Download::new(file, status, headers, length, as_sent);
        progress.download.replace(Some(download));
    }
    let content_type = headers.get(CONTENT_TYPE).filter(|_| plan.keep.text.is_some());
    let content_type = content_type.map(|value| value.as_bytes().to_vec());
    let mut sink = Sink::new(&plan.keep, raw, save.is_some(), progress);
    if is_rest {
        sink.read_back()?;
    }
    let given = is_rest.then(|| headers.clone());
    let whole = pin!(read_body(plan, response, &coded, &mut sink)).await?;
    if let Some(headers) = given
        && let Some(missing) = missing(progress, &headers)
    {
        return Err(Failure(missing)); // what there is waits for the next attempt
    }
    if save.is_some() {
        sink.end_raw().map_err(Failure)?;
        let download = progress.download.take();
        download.map_or(Ok(()), |download| download.file.finish()).map_err(Failure)?;
    }
    finish(&mut answer, sink, plan)?;
    if let Some(limit) = plan.keep.text {
        let why = if whole { coded.kept } else { Some(too_long(limit, coded.length, progress)) };
        read_text(&mut answer, content_type.as_deref(), why, (plan, progress));
    }
    Ok(answer)
}

fn missing(progress: &Progress, headers: &HeaderMap) -> Option<String> {
    progress.download.borrow().as_ref()?.missing(headers)
}

/// Takes what the sink has kept.
fn finish(answer: &mut Answer, mut sink: Sink<'_>, plan: &Plan) -> Result<(), Failure> {
    answer.payload = sink.payload();
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
}

impl Coded {
    fn of(plan: &Plan, response: &Response<Incoming>, method: &Method) -> Result<Self, Failure> {
        let headers = response.headers();
        let length = response.body().size_hint().exact();
        // Headers of a body that is not sent say what it would have been.
        if *method == Method::HEAD || response.body().is_end_stream() {
            return Ok(Self { codings: Vec::new(), kept: None, length });
        }
        let values = headers.get_all(CONTENT_ENCODING).iter().map(http::HeaderValue::as_bytes);
        let codings = Coding::list(values);
        let mut codings = if plan.decode {
            codings.map_err(Failure)?
        } else if codings.as_ref().is_ok_and(Vec::is_empty) {
            Vec::new()
        } else {
            let kept =
                "the body is encoded, and `decode = false` keeps it so: `[columns]` cannot read it";
            return Ok(Self { codings: Vec::new(), kept: Some(kept.into()), length });
        };
        codings.extend(transfer_codings(headers)?);
        Ok(Self { codings, kept: None, length })
    }
}

/// What was done to the body for its way, besides cutting it into chunks, which hyper undoes.
fn transfer_codings(headers: &HeaderMap) -> Result<Vec<Coding>, Failure> {
    if !headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(CONTENT_LENGTH) {
        return Ok(Vec::new());
    }
    let mut texts = Vec::new();
    for value in headers.get_all(TRANSFER_ENCODING) {
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let words = text.split(',').map(|word| word.trim().to_owned());
        texts.extend(words.filter(|word| word != "chunked"));
    }
    Coding::list(texts.iter().map(String::as_bytes)).map_err(Failure)
}

/// Reads a body. False: it is longer than a text may be, and nobody wanted the rest.
async fn read_body(
    plan: &Plan,
    response: Response<Incoming>,
    coded: &Coded,
    sink: &mut Sink<'_>,
) -> Result<bool, Failure> {
    let mut decoder = (!coded.codings.is_empty()).then(|| Decoder::new(&coded.codings));
    let progress = sink.progress;
    let mut body = response.into_body();
    loop {
        let frame = patiently(plan, progress, pin!(async { Ok(body.frame().await) })).await?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| {
            Failure(errors::broken_body(&error, progress.bytes.get(), coded.length))
        })?;
        let Some(chunk) = frame.data_ref() else { continue };
        if let Some(decoder) = &mut decoder {
            sink.take_raw(chunk).map_err(Failure)?;
            let pushed = decoder.push(chunk, &mut |piece| sink.take(piece));
            pushed.map_err(|broken| broken_coding(broken, progress))?;
        } else {
            sink.take(chunk).map_err(Failure)?;
        }
        if sink.has_enough() {
            progress.is_unread.set(true);
            return Ok(false);
        }
    }
    let finished = decoder.map_or(Ok(()), |decoder| decoder.finish());
    finished.map_err(|broken| broken_coding(broken, progress))?;
    Ok(plan.keep.text.is_none_or(|limit| progress.bytes.get() <= limit))
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
