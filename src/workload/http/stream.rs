//! A connection in use: what is spoken over it, what comes back too late, and the heads of answers as they were sent.

use std::error::Error;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::head::{self, Head, Lines};
use super::tls;
use crate::base::lock;
use crate::sys::unsent;
use crate::task::Moment;

/// A connection in use, with or without TLS.
#[derive(Debug)]
pub struct Stream {
    transport: Transport,
    language: Language,
    usage: Usage,
    /// The head of the answer that is coming in.
    head: Head,
    /// Where it goes, if it is kept.
    raw_head: Option<RawHead>,
    /// What comes and goes, if that is asked for.
    traffic: Option<Traffic>,
    /// Why nothing can be written any more, if so. The server may have answered before: what has come is still read.
    unwritable: Option<io::ErrorKind>,
    /// Whom to tell if the server ends it in the language of TLS, and its name.
    alerts: Option<(Alerts, String)>,
}

/// The host that has last ended a connection in the language of TLS, and what it said. It comes too late for the
/// handshake, and hyper does not pass it on where no request was under way yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Alerts(Arc<Mutex<Option<(String, String)>>>);

impl Alerts {
    /// Takes what `host` said, if it was the last that did.
    pub fn take(&self, host: &str) -> Option<String> {
        self.lock().take_if(|(from, _)| from == host).map(|(_, words)| words)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(String, String)>> {
        lock(&self.0)
    }
}

/// The head of the last answer of a connection as it came: it comes with the response.
#[derive(Clone, Debug, Default)]
pub(super) struct RawHead(Arc<Mutex<Vec<u8>>>);

impl RawHead {
    /// What was left out of it, if anything was: the response has this number of `headers`.
    pub fn left_out(&self, headers: usize) -> Option<Lines> {
        head::left_out(&self.lock(), headers)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        lock(&self.0)
    }
}

/// What came and went over a connection: it comes with what is known of the connection.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    counts: Arc<Counts>,
    descriptor: RawFd,
    is_shared: bool,
}

#[derive(Debug, Default)]
struct Counts {
    /// When something last came or went.
    last: AtomicU64,
    /// All that was written, in bytes.
    written: AtomicU64,
}

impl Traffic {
    fn of(transport: &Transport, language: Language) -> Self {
        let tcp = match transport {
            Either::Left(tcp) => tcp,
            Either::Right(tls) => tls.get_ref().0,
        };
        let is_shared = language == Language::Http2;
        Self { counts: Arc::default(), descriptor: tcp.as_raw_fd(), is_shared }
    }

    /// Whether several requests are under way at once, so that what comes and goes may be of others.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// When something last came or went; the clock's start if nothing has yet.
    pub fn last(&self) -> Moment {
        Moment::from_nanos(self.counts.last.load(Ordering::Relaxed))
    }

    /// How much has been written so far, in bytes.
    pub fn written(&self) -> u64 {
        self.counts.written.load(Ordering::Relaxed)
    }

    /// How many bytes of a request are still on their way: the system takes them long before the server does.
    pub fn unsent(&self) -> usize {
        unsent(self.descriptor).unwrap_or(0)
    }

    fn note(&self) {
        self.counts.last.store(Moment::now().as_nanos(), Ordering::Relaxed);
    }

    fn wrote(&self, bytes: usize) {
        self.counts.written.fetch_add(bytes as u64, Ordering::Relaxed);
        self.note();
    }
}

/// What is spoken over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// To the server itself.
    Http1,
    /// To a proxy, which wants whole URLs.
    Http1Proxy,
    /// Several requests at once.
    Http2,
}

/// What was last done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usage {
    /// Nothing yet.
    Fresh,
    /// The first request was written.
    Asked,
    /// Something was read.
    Answered,
    /// A further request was written.
    AskedAgain,
}

/// Plain, or with TLS.
type Transport = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A kept-alive connection that was gone before anything of an answer came: the request was too late for it, and may
/// be sent again on another.
#[derive(Debug)]
pub(super) struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server closed the connection before it answered")
    }
}

impl Error for Gone {}

impl Stream {
    /// A connection over which nothing has been sent yet.
    pub fn new(transport: Transport, language: Language) -> Self {
        Self {
            transport,
            language,
            usage: Usage::Fresh,
            head: Head::default(),
            raw_head: None,
            traffic: None,
            unwritable: None,
            alerts: None,
        }
    }

    /// Has each answer come with its head, where that is text.
    pub fn keep_heads(&mut self) {
        self.raw_head = (self.language != Language::Http2).then(RawHead::default);
    }

    /// Has it note when something comes or goes.
    pub fn watch(&mut self) {
        self.traffic = Some(Traffic::of(&self.transport, self.language));
    }

    /// Has `alerts` be told what the server, `host`, says when it ends the connection, if it can say anything.
    pub fn tell(&mut self, alerts: &Alerts, host: String) {
        if matches!(self.transport, Either::Right(_)) {
            self.alerts = Some((alerts.clone(), host));
        }
    }

    /// Notes why the server has ended the connection, if it has said so.
    #[cold]
    fn note_alert(&self, error: &io::Error) {
        if let Some((alerts, host)) = self.alerts.as_ref().filter(|_| tls::is_alert(error)) {
            *alerts.lock() = Some((host.clone(), tls::words(error, host)));
        }
    }

    /// Whether a request that was written is the next to be answered, and not the first. HTTP/1 writes a request after
    /// it has read the answer to the one before; HTTP/2 knows by itself which it has to send again.
    fn is_late(&self) -> bool {
        self.usage == Usage::AskedAgain && self.language != Language::Http2
    }

    /// Holds back the error of a connection that the server has closed: a server that does not want a body answers before it
    /// has read it, and closes. What reading comes to tells.
    fn held_back<T>(&mut self, done: Poll<io::Result<T>>, cx: &Context<'_>) -> Poll<io::Result<T>> {
        match done {
            Poll::Ready(Err(error)) if self.language != Language::Http2 && is_closed(&error) => {
                self.unwritable = Some(error.kind());
                cx.waker().wake_by_ref(); // to read
                Poll::Pending
            }
            done => done,
        }
    }

    fn wrote(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let written = ready!(written);
        self.usage = match self.usage {
            Usage::Fresh | Usage::Asked => Usage::Asked,
            Usage::Answered | Usage::AskedAgain => Usage::AskedAgain,
        };
        if let (Some(traffic), Ok(bytes)) = (&self.traffic, &written) {
            traffic.wrote(*bytes);
        }
        let written = ready!(self.held_back(Poll::Ready(written), cx));
        if written.is_err() && self.is_late() {
            return Poll::Ready(Err(io::Error::other(Gone)));
        }
        Poll::Ready(written)
    }
}

/// Whether an answer that begins like this is a success.
fn is_success(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.") && answer.get(8..10) == Some(b" 2")
}

/// Whether it says that the other end is closed.
fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = match self.language {
            Language::Http1 => Connected::new(),
            Language::Http1Proxy => Connected::new().proxy(true),
            Language::Http2 => Connected::new().negotiated_h2(),
        };
        let connected = match &self.raw_head {
            Some(head) => connected.extra(head.clone()),
            None => connected,
        };
        match &self.traffic {
            Some(traffic) => connected.extra(traffic.clone()),
            None => connected,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.transport).poll_read(cx, buffer));
        let some = buffer.filled().len() > before;
        if let Err(error) = &read {
            self.note_alert(error);
        }
        if self.is_late() && !some {
            return Poll::Ready(Err(io::Error::other(Gone)));
        }
        // The error was told once, to whoever wrote: without it, a body that was cut would seem to be whole. A success is not
        // one if nobody knows how much of the request has come.
        let is_success = self.usage != Usage::Answered && is_success(&buffer.filled()[before..]);
        if let Some(kind) = self.unwritable.filter(|_| !some || is_success) {
            buffer.set_filled(before);
            return Poll::Ready(Err(kind.into()));
        }
        if some {
            let this = &mut *self;
            this.traffic.iter().for_each(Traffic::note);
            if this.usage != Usage::Answered {
                this.usage = Usage::Answered;
                if let Some(raw_head) = &this.raw_head {
                    this.head.begin();
                    raw_head.lock().clear();
                }
            }
            if let Some(raw_head) = this.raw_head.as_ref().filter(|_| this.head.is_open()) {
                this.head.see(&buffer.filled()[before..], &mut raw_head.lock());
            }
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.unwritable.is_some() {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.transport).poll_write(cx, bytes);
        self.wrote(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.unwritable.is_some() {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.transport).poll_write_vectored(cx, slices);
        self.wrote(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unwritable.is_some() {
            return Poll::Pending;
        }
        let flushed = Pin::new(&mut self.transport).poll_flush(cx);
        self.held_back(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}
