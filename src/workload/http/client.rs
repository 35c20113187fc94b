//! The client of a loop: hyper-util's pool of connections, and redirects where there are any.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::header::PROXY_AUTHORIZATION;
use http::{Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::body::{Sending, Taken};
use super::call::Call;
use super::connect::Connector;
use super::cookies::{Cookies, Jar};
use super::download::Download;
use super::plan::Plan;
use super::redirect;
use super::stream::{Gone, RawHead};
use super::traffic::Traffic;
use crate::workload::http::errors;

/// A connection that nobody has used for this long is closed: a list of links has many hosts.
const IDLE: Duration = Duration::from_secs(10);

/// The most header lines of an answer. 100 are hyper's own limit and cost no allocation, but are not enough for some
/// pages' policies and cookies.
const MOST_HEADERS: usize = 1000;

/// A pool of connections, shared by the slots of a loop.
#[derive(Clone, Debug)]
pub struct Client {
    /// Takes heads of up to [`MOST_HEADERS`] lines, some of which may be no headers.
    lenient: legacy::Client<Connector, Sending>,
    /// Takes only heads as they should be, of up to 100 lines, which costs less.
    strict: legacy::Client<Connector, Sending>,
    /// Takes a new connection for every request, and is otherwise like the lenient one.
    fresh: legacy::Client<Connector, Sending>,
    trust: Trust,
    connector: Connector,
    /// The cookies of all tasks, where they share them.
    jar: Option<Jar>,
    keeps_cookies: bool,
}

/// How far an exchange has come: for whoever ends it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Watched only where there is a timeout to be explained.
    timed: bool,
    connection: RefCell<Option<CaptureConnection>>,
    /// When the connection last took something of the request's body, where that is watched.
    pub(super) taken: Option<Taken>,
    /// The last status that was received.
    pub status: Cell<Option<u16>>,
    /// How long the server asks to be left alone.
    pub retry_after: Cell<Option<Duration>>,
    /// Whether the answer itself has started.
    pub answered: Cell<bool>,
    /// Size of the body so far, decoded.
    pub bytes: Cell<u64>,
    /// Whether the body was not read to its end, so that nobody knows its size.
    pub is_unread: Cell<bool>,
    /// What had to be left out of the answer, or is not sure about it, in words.
    pub left_out: RefCell<Option<String>>,
    /// Whether it was ended since nothing came.
    pub stalled: Cell<bool>,
    /// Where redirects have led, if there were any.
    pub redirected: RefCell<Option<Uri>>,
    /// The file that the body goes to, until it is whole; before, what an earlier attempt has left of it.
    pub(super) download: RefCell<Option<Download>>,
}

impl Progress {
    /// Of an exchange that is about to start, and may be ended since its time is over (`timed`), or since nothing comes or goes
    /// (`watched`).
    pub fn new(timed: bool, watched: bool) -> Self {
        let taken = watched.then(Taken::default);
        Self { timed: timed || watched, taken, ..Self::default() }
    }

    /// Where the answer to `call` came from in the end.
    pub fn source(&self, call: &Call) -> Uri {
        self.redirected.borrow().as_ref().unwrap_or(&call.uri).clone()
    }

    /// What comes and goes over the connection, if that is known.
    pub(super) fn traffic(&self) -> Option<Traffic> {
        let mut known = http::Extensions::new();
        self.connection.borrow().as_ref()?.connection_metadata().as_ref()?.get_extras(&mut known);
        known.remove::<Traffic>()
    }

    /// Has no other request take the connection, which may be dead: one of HTTP/2 stays open when a request over it is given
    /// up.
    pub fn give_up_connection(&self) {
        if let Some(connection) = &*self.connection.borrow()
            && let Some(connected) = &*connection.connection_metadata()
        {
            connected.poison();
        }
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
    /// A client without connections yet; must be used on one runtime. `jar` has the cookies of the job.
    pub fn new(plan: &Plan, jar: &Jar) -> Self {
        let connector = Connector::new(plan);
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        let strict = builder.build(connector.clone());
        builder
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_max_headers(MOST_HEADERS);
        let lenient = builder.build(connector.keeping_heads());
        let fresh = builder.pool_max_idle_per_host(0).build(connector.keeping_heads());
        let jar = (plan.cookies == Cookies::Job).then(|| jar.clone());
        let keeps_cookies = plan.cookies != Cookies::None;
        Self { lenient, strict, fresh, trust: Trust::default(), connector, jar, keeps_cookies }
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
        let mut response = self.hop(call, self.jar.as_ref(), progress).await?;
        progress.redirected.take(); // of a request before
        if redirects > 0 && redirect::location(response.status(), response.headers()).is_some() {
            // Boxed, since most requests do without it.
            response = Box::pin(self.follow(call, response, redirects, progress)).await?;
        }
        progress.answered.set(true);
        Ok(response)
    }

    /// Follows the redirect that `response` to `call` is, and those after it.
    async fn follow(
        &self,
        call: &Call,
        mut response: Response<Incoming>,
        redirects: usize,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failure> {
        let mut jar = self.jar.clone();
        let mut onward: Option<Call> = None;
        let mut left = redirects;
        while let Some(location) = redirect::location(response.status(), response.headers()) {
            if left == 0 {
                return Err(Failure(format!("too many redirects ({redirects})")));
            }
            left -= 1;
            let from = onward.as_ref().unwrap_or(call);
            if self.keeps_cookies && self.jar.is_none() {
                jar.get_or_insert_default().keep(&from.uri, response.headers());
            }
            let next = from.redirected(response.status(), location).map_err(Failure)?;
            response = self.hop(&next, jar.as_ref(), progress).await?;
            onward = Some(next);
        }
        progress.redirected.replace(onward.map(|call| call.uri));
        Ok(response)
    }

    /// Notes what was left out of an answer's head.
    ///
    /// # Errors
    /// If the answer cannot be understood without it.
    fn look_at_head(
        &self,
        response: &Response<Incoming>,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let head = response.extensions().get::<RawHead>();
        let left_out = head.and_then(|head| head.left_out(response.headers().len()));
        let Some(lines) = left_out else {
            self.trust.gain();
            return Ok(());
        };
        self.trust.lose();
        if lines.is_vital {
            return Err(Failure(lines.words));
        }
        *progress.left_out.borrow_mut() = Some(lines.words);
        Ok(())
    }

    /// Sends one request. One that came too late for a kept-alive connection is sent once more, if that does no harm: on a
    /// new one, since others that are kept may be gone, too.
    async fn hop(
        &self,
        call: &Call,
        jar: Option<&Jar>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failure> {
        let mut is_late = false;
        loop {
            let mut request = call.request();
            if let Some(jar) = jar {
                jar.send(&call.uri, request.headers_mut());
            }
            if let Some(proxy) = self.connector.forwards(request.uri())
                && let Some(auth) = proxy.basic_auth()
            {
                request.headers_mut().insert(PROXY_AUTHORIZATION, auth.clone());
            }
            let is_idempotent = request.method().is_idempotent();
            // What is read strictly may have to be asked for again.
            let is_strict = is_idempotent && !is_late && self.trust.is_earned();
            let hyper = match (is_late, is_strict) {
                (true, _) => &self.fresh,
                (false, true) => &self.strict,
                (false, false) => &self.lenient,
            };
            if progress.timed {
                *progress.connection.borrow_mut() = Some(capture_connection(&mut request));
            }
            if let Some(taken) = &progress.taken {
                request.body_mut().tell(taken);
            }
            match hyper.request(request).await {
                Ok(response) => {
                    progress.status.set(Some(response.status().as_u16()));
                    if let Some(jar) = &self.jar {
                        jar.keep(&call.uri, response.headers());
                    }
                    progress.left_out.take(); // of a redirect
                    if !is_strict {
                        self.look_at_head(&response, progress)?;
                    }
                    return Ok(response);
                }
                Err(error) if !is_late && may_be_sent_again(&error, is_idempotent) => {
                    is_late = true;
                }
                Err(error) if is_strict && has_odd_head(&error) => self.trust.lose(),
                Err(error) => {
                    let host = call.uri.host().unwrap_or_default();
                    let alert = self.connector.take_alert(host);
                    return Err(Failure(errors::no_answer(&error, host, alert.as_deref())));
                }
            }
        }
    }
}

/// Whether the servers have answered so well that their answers are read strictly.
#[derive(Clone, Debug, Default)]
struct Trust(Arc<AtomicU32>);

impl Trust {
    /// After this number of faultless answers. Until then a server is not asked twice for what it did not write well.
    const ENOUGH: u32 = 64;
    const LOST: u32 = u32::MAX;

    fn is_earned(&self) -> bool {
        (Self::ENOUGH..Self::LOST).contains(&self.0.load(Ordering::Relaxed))
    }

    /// An answer was as it should be.
    fn gain(&self) {
        let gained = |count| (count < Self::ENOUGH).then(|| count + 1);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, gained); // enough is enough
    }

    /// An answer was not: none is expected to be from now on.
    fn lose(&self) {
        self.0.store(Self::LOST, Ordering::Relaxed);
    }
}

/// Whether the lenient client may be able to read the answer.
fn has_odd_head(error: &legacy::Error) -> bool {
    let source = error.source().and_then(<dyn Error>::downcast_ref::<hyper::Error>);
    source.is_some_and(|error| {
        // hyper has names for these errors for servers only.
        let words = error.to_string();
        error.is_parse() && (words.contains("head is too large") || words.contains("header parsed"))
    })
}

/// Whether a request that has failed like this came too late for a kept-alive connection, and does no harm if it is sent once
/// more: it is idempotent, or the server has not got anything of it (RFC 9110, 9.2.2).
fn may_be_sent_again(error: &legacy::Error, is_idempotent: bool) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            let gone = error.get_ref().and_then(|inner| inner.downcast_ref::<Gone>());
            return gone.is_some_and(|gone| is_idempotent || gone.is_untouched);
        }
        source = error.source();
    }
    false
}
