//! The client of a loop: hyper-util's pool of connections, redirects after it where there are any.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, LOCATION, PROXY_AUTHORIZATION};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_http::follow_redirect::FollowRedirect;
use tower_http::follow_redirect::policy::{Action, Attempt, FilterCredentials, Policy};
use tower_service::Service;

use super::call::Call;
use super::connect::{Connector, Gone};
use crate::workload::http::errors;

/// A connection that nobody has used for this long is closed: a list of links has many hosts.
const IDLE: Duration = Duration::from_secs(10);

/// A pool of connections, shared by the slots of a loop.
#[derive(Clone, Debug)]
pub struct Client {
    hyper: legacy::Client<Connector, Full<Bytes>>,
    connector: Connector,
}

/// How far an exchange has come: for whoever ends it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Watched only where there is a timeout to be explained.
    timed: bool,
    connection: RefCell<Option<CaptureConnection>>,
    /// The last status that was received.
    pub status: Cell<Option<u16>>,
    /// How long the server asks to be left alone.
    pub retry_after: Cell<Option<Duration>>,
    /// Whether the answer itself has started.
    pub answered: Cell<bool>,
    /// Size of the body so far, decompressed.
    pub bytes: Cell<u64>,
}

impl Progress {
    /// Of an exchange that is about to start.
    pub fn new(timed: bool) -> Self {
        Self { timed, ..Self::default() }
    }

    /// What is going on, for messages.
    pub fn doing(&self) -> &'static str {
        let connection = self.connection.borrow();
        let connected = connection.as_ref().is_none_or(|c| c.connection_metadata().is_some());
        match (self.answered.get(), connected) {
            (true, _) => "reading the body",
            (false, true) => "waiting for the response",
            (false, false) => "connecting",
        }
    }
}

/// Why there is no answer, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl Client {
    /// A client without connections yet; must be used on one runtime.
    pub fn new(http2: bool) -> Self {
        let connector = Connector::new(http2);
        let hyper = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector.clone());
        Self { hyper, connector }
    }

    /// Sends a request and returns the answer once its headers are there, after at most `redirects` redirects.
    ///
    /// # Errors
    /// If there is none.
    pub async fn send(
        &self,
        call: &Call,
        redirects: usize,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failure> {
        let response = self.hop(&|| call.request(), progress).await?;
        let response = if redirects > 0 && is_redirect(&response) {
            self.follow(response, call.request(), redirects, progress).await?
        } else {
            response
        };
        progress.answered.set(true);
        Ok(response)
    }

    /// Sends one request. One that came too late for a kept-alive connection is sent once more, if that does no harm.
    async fn hop(
        &self,
        request: &dyn Fn() -> Request<Full<Bytes>>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failure> {
        let mut again = true;
        loop {
            let mut request = request();
            if let Some(proxy) = self.connector.forwards(request.uri())
                && let Some(auth) = proxy.basic_auth()
            {
                request.headers_mut().insert(PROXY_AUTHORIZATION, auth.clone());
            }
            again &= request.method().is_idempotent();
            if progress.timed {
                *progress.connection.borrow_mut() = Some(capture_connection(&mut request));
            }
            match self.hyper.request(request).await {
                Ok(response) => {
                    progress.status.set(Some(response.status().as_u16()));
                    return Ok(response);
                }
                Err(error) if again && came_too_late(&error) => again = false,
                Err(error) => return Err(Failure(errors::no_answer(&error))),
            }
        }
    }

    /// Follows redirects, from an answer that is one.
    ///
    /// The middleware copies every request that it might have to send again; so it is asked only now, and given the
    /// first answer as if it had just come.
    async fn follow(
        &self,
        first: Response<Incoming>,
        request: Request<Full<Bytes>>,
        redirects: usize,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failure> {
        let hops = Hops { client: self, progress, first: Rc::new(Cell::new(Some(first))) };
        let limit = Limit {
            max: redirects,
            left: redirects,
            leaves_host: false,
            credentials: FilterCredentials::new().keep_all_extensions(),
        };
        FollowRedirect::with_policy(hops, limit).call(request).await
    }
}

fn is_redirect(response: &Response<Incoming>) -> bool {
    matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    ) && response.headers().contains_key(LOCATION)
}

fn came_too_late(error: &legacy::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<Gone>);
        }
        source = error.source();
    }
    false
}

/// The requests that a chain of redirects consists of.
#[derive(Clone)]
struct Hops<'a> {
    client: &'a Client,
    progress: &'a Progress,
    first: Rc<Cell<Option<Response<Incoming>>>>,
}

impl<'a> Service<Request<Full<Bytes>>> for Hops<'a> {
    type Response = Response<Incoming>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Failure>> + 'a>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let (client, progress, first) = (self.client, self.progress, self.first.take());
        Box::pin(async move {
            match first {
                Some(response) => Ok(response),
                None => client.hop(&|| request.clone(), progress).await,
            }
        })
    }
}

/// How many redirects are followed, and what is not told to another host.
#[derive(Clone)]
struct Limit {
    max: usize,
    left: usize,
    leaves_host: bool,
    credentials: FilterCredentials,
}

impl Policy<Full<Bytes>, Failure> for Limit {
    fn redirect(&mut self, attempt: &Attempt<'_>) -> Result<Action, Failure> {
        if self.left == 0 {
            return Err(Failure(format!("too many redirects ({})", self.max)));
        }
        self.left -= 1;
        let location = attempt.location();
        if !matches!(location.scheme_str(), Some("http" | "https")) || location.host().is_none() {
            return Err(Failure(format!("redirected to `{location}`, which is not HTTP")));
        }
        self.leaves_host = authority(location) != authority(attempt.previous());
        Policy::<Full<Bytes>, Failure>::redirect(&mut self.credentials, attempt)
    }

    fn on_request(&mut self, request: &mut Request<Full<Bytes>>) {
        if self.leaves_host {
            request.headers_mut().remove(HOST);
        }
        Policy::<Full<Bytes>, Failure>::on_request(&mut self.credentials, request);
    }

    fn clone_body(&self, body: &Full<Bytes>) -> Option<Full<Bytes>> {
        Some(body.clone())
    }
}

fn authority(uri: &Uri) -> Option<&str> {
    uri.authority().map(http::uri::Authority::as_str)
}
