//! One request and all of its answer.

use std::error::Error;
use std::fs::File;
use std::future::{Ready, ready};
use std::io::{self, Seek, Write};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tower_http::decompression::Decompression;
use tower_service::Service;

use super::call::Call;
use super::client::{Client, Failure, Progress};
use super::plan::{Keep, Plan};
use super::save::Unfinished;
use super::{expect, retry_after};
use crate::base::ByteSize;
use crate::task::payload::Collector;
use crate::task::{NoPayload, Payload};
use crate::workload::http::errors;

/// What is kept of an answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// The start of the body.
    pub body: Vec<u8>,
    /// All of the body, if it was to be kept and is longer.
    pub whole: Option<File>,
    /// What is for the next stage, if there is one.
    pub payload: Option<Result<Payload, NoPayload>>,
    /// The headers that were asked for.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What is wrong with it, if anything.
    pub complaint: Option<String>,
}

/// Sends `call` and reads the answer to its end.
///
/// # Errors
/// If there is no whole answer. `progress` says how far it came.
pub async fn exchange(
    client: &Client,
    plan: &Plan,
    call: &Call,
    progress: &Progress,
) -> Result<Answer, Failure> {
    let response = client.send(call, plan.redirects, progress).await?;
    progress.retry_after.set(retry_after::read(response.headers(), SystemTime::now()));
    let mut answer = Answer {
        headers: kept_headers(response.headers(), &plan.keep),
        complaint: expect::check(&plan.expect, response.status().as_u16()).err(),
        ..Answer::default()
    };
    // An error page does not take the place of what was asked for.
    let save = call.save.as_ref().filter(|_| answer.complaint.is_none());
    let file = save.map(super::save::Place::create).transpose().map_err(Failure)?;
    let payload = plan.keep.payload.map(|limit| Collector::new(ByteSize::new(limit)));
    let mut sink =
        Sink { keep: &plan.keep, kept: Vec::new(), whole: None, payload, file, progress };
    read_body(response, &call.method, &mut sink).await?;
    if let Some(file) = sink.file {
        file.finish().map_err(Failure)?;
    }
    answer.body = sink.kept;
    answer.payload = sink.payload.as_mut().map(Collector::finish);
    if let Some(mut whole) = sink.whole {
        whole.rewind().map_err(|error| Failure(error.to_string()))?; // it is read from its start
        answer.whole = Some(whole);
    }
    Ok(answer)
}

fn kept_headers(headers: &HeaderMap, keep: &Keep) -> Vec<(String, Vec<u8>)> {
    let values = keep.headers.iter().filter_map(|name| {
        let values: Vec<_> =
            headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
        (!values.is_empty()).then(|| (name.clone(), values.join(&b", "[..])))
    });
    values.collect()
}

/// Where a body goes: counted, its start kept, all of it saved.
struct Sink<'a> {
    keep: &'a Keep,
    kept: Vec<u8>,
    whole: Option<File>,
    payload: Option<Collector>,
    file: Option<Unfinished>,
    progress: &'a Progress,
}

impl Sink<'_> {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        self.progress.bytes.set(self.progress.bytes.get() + chunk.len() as u64);
        if let Some(payload) = &mut self.payload {
            payload.add(chunk);
        }
        let room = self.keep.body.saturating_sub(self.kept.len() as u64);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if self.keep.whole && chunk.len() > room {
            self.take_whole(chunk)
                .map_err(|error| Failure(format!("failed to keep the body: {error}")))?;
        }
        self.kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        self.file.as_mut().map_or(Ok(()), |file| file.write(chunk)).map_err(Failure)
    }
}

impl Sink<'_> {
    /// Goes on in a file once there is too much for memory.
    fn take_whole(&mut self, chunk: &[u8]) -> io::Result<()> {
        if self.whole.is_none() {
            let mut file = tempfile::tempfile()?;
            file.write_all(&self.kept)?;
            self.whole = Some(file);
        }
        self.whole.as_mut().map_or(Ok(()), |file| file.write_all(chunk))
    }
}

async fn read_body(
    response: Response<Incoming>,
    method: &Method,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    let encoding = match response.headers().get(CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
        // Headers of a body that is not sent say what it would have been.
        _ if *method == Method::HEAD || response.body().is_end_stream() => None,
        Some(b"gzip") => Some("gzip"),
        Some(b"deflate") => Some("deflate"),
        _ => None,
    };
    if encoding.is_some() {
        // The middleware wraps every body; so it is given only those that it has something to do for.
        let decoded = Decompression::new(Given(Some(response))).call(Request::new(())).await;
        let decoded = decoded.unwrap_or_else(|never| match never {});
        return drain(decoded.into_body(), None, encoding, sink).await;
    }
    let length = response.body().size_hint().exact();
    drain(response.into_body(), length, None, sink).await
}

async fn drain<B>(
    body: B,
    length: Option<u64>,
    encoding: Option<&str>,
    sink: &mut Sink<'_>,
) -> Result<(), Failure>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let error: Box<dyn Error + Send + Sync> = error.into();
            let read = sink.progress.bytes.get();
            Failure(errors::broken_body(&*error, read, length, encoding))
        })?;
        if let Some(chunk) = frame.data_ref() {
            sink.take(chunk)?;
        }
    }
    Ok(())
}

/// A service that has its answer already.
struct Given(Option<Response<Incoming>>);

impl Service<Request<()>> for Given {
    type Response = Response<Incoming>;
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Response<Incoming>, std::convert::Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(self.0.take().expect("it is called once")))
    }
}
