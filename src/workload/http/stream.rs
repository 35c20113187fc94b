//! A connection in use: what is spoken over it, what comes back too late, and the heads of answers as they were sent.

use std::error::Error;
use std::os::fd::AsRawFd;
use std::pin::Pin;
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
use super::traffic::Traffic;
use crate::base::lock;
use crate::sys::{has_hung_up, unsent};

/// A connection in use, with or without TLS.
#[derive(Debug)]
pub struct Stream {
    transport: Transport,
    language: Language,
    usage: Usage,
    /// How much was written of a request that began after an answer to another, in bytes; `None` once something has come.
    again: Option<usize>,
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
pub(super) struct Gone {
    /// Whether it is known that nothing of the request has come to the server, which has closed before.
    pub is_untouched: bool,
}

/// What is said of such a connection.
pub(super) const GONE: &str = "the server closed the connection before it answered";

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(GONE)
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
            again: None,
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
        self.traffic = Some(Traffic::of(self.tcp(), self.language));
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
            return Poll::Ready(Err(self.gone(false)));
        }
        if let (Some(again), Ok(bytes)) = (&mut self.again, &written) {
            *again += bytes;
        }
        Poll::Ready(written)
    }

    /// Looks, before `bytes` are written, whether the server has closed the connection since its last answer. Nobody may have
    /// read so far yet, and a request that is written all the same could not be sent again for certain: unless it is a `GET`,
    /// which always may be.
    fn is_open_for(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.usage != Usage::Answered || self.language == Language::Http2 || !is_request(bytes) {
            return Ok(());
        }
        self.again = Some(0);
        if !bytes.starts_with(b"GET ") && has_hung_up(self.tcp()) {
            self.usage = Usage::AskedAgain;
            return Err(self.gone(true));
        }
        Ok(())
    }

    /// The error of a kept-alive connection that has ended without an answer, after an end `in_order` or with an error.
    ///
    /// An end in order says how much has come to the server before it: if nothing of this request has, the server has never
    /// seen it. (With TLS more bytes are on their way than were written, by less than the first of its records.)
    fn gone(&self, in_order: bool) -> io::Error {
        let is_left = |written| {
            written == 0
                || in_order && unsent(self.tcp().as_raw_fd()).is_some_and(|left| left >= written)
        };
        io::Error::other(Gone { is_untouched: self.again.is_some_and(is_left) })
    }

    fn tcp(&self) -> &TcpStream {
        match &self.transport {
            Either::Left(tcp) => tcp,
            Either::Right(tls) => tls.get_ref().0,
        }
    }
}

/// Whether a request begins here, and not a piece of a body.
fn is_request(bytes: &[u8]) -> bool {
    let end = memchr::memchr(b'\r', bytes).unwrap_or(bytes.len());
    bytes[..end].ends_with(b" HTTP/1.1")
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
            let in_order =
                read.as_ref().err().is_none_or(|end| end.kind() == io::ErrorKind::UnexpectedEof);
            return Poll::Ready(Err(self.gone(in_order)));
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
            this.again = None;
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
        self.is_open_for(bytes)?;
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
        self.is_open_for(slices.first().map_or(&[], |slice| slice))?;
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const POST: &[u8] = b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\nx";

    /// A connection over which a request of this much was written and answered, and its other end.
    async fn answered(size: usize) -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut theirs = listener.accept().await.unwrap().0;
        let mut stream = Stream::new(Either::Left(ours), Language::Http1);
        let block = vec![b'x'; size];
        let _ =
            tokio::time::timeout(std::time::Duration::from_millis(300), stream.write_all(&block))
                .await;
        theirs.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 99]).await.unwrap() > 0);
        (stream, theirs)
    }

    fn is_untouched(error: &io::Error) -> bool {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Gone>()).unwrap().is_untouched
    }

    #[tokio::test]
    async fn nothing_is_written_to_a_server_that_has_closed() {
        let (mut stream, mut theirs) = answered(10).await;
        theirs.shutdown().await.unwrap();
        while !has_hung_up(stream.tcp()) {
            tokio::task::yield_now().await;
        }
        assert!(is_untouched(&stream.write(POST).await.unwrap_err()));
        assert!(is_untouched(&stream.read(&mut [0; 9]).await.unwrap_err()));
        drop(stream);
        let mut came = Vec::new();
        theirs.read_to_end(&mut came).await.unwrap();
        assert_eq!(came, [b'x'; 10]);
    }

    #[tokio::test]
    async fn a_request_that_came_to_the_server_may_have_done_something() {
        let (mut stream, mut theirs) = answered(10).await;
        stream.write_all(POST).await.unwrap();
        theirs.read_exact(&mut [0; 10]).await.unwrap();
        theirs.read_exact(&mut [0; POST.len()]).await.unwrap();
        drop(theirs);
        assert!(!is_untouched(&stream.read(&mut [0; 9]).await.unwrap_err()));
    }

    #[tokio::test]
    async fn a_request_that_was_still_on_its_way_when_the_server_closed_has_done_nothing() {
        // The server does not read, so that a second request does not come through.
        let (mut stream, mut theirs) = answered(32 << 20).await;
        let left = unsent(stream.tcp().as_raw_fd()).unwrap();
        assert!(left > 0);
        (stream.usage, stream.again) = (Usage::AskedAgain, Some(left)); // as if all that were the second
        theirs.shutdown().await.unwrap();
        assert!(is_untouched(&stream.read(&mut [0; 9]).await.unwrap_err()));
    }
}
