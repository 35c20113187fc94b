//! Connections: name, proxy, TCP, TLS. An error of this file is in the user's words already.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use super::head::{self, Head, Lines};
use super::plan::Tls;
use super::tls;

/// Makes the connections of a client.
#[derive(Clone, Debug)]
pub struct Connector {
    shared: Arc<Shared>,
    /// Whether an answer comes with its head as it was sent, so that it can be said what was left out of it.
    keeps_heads: bool,
}

#[derive(Debug)]
struct Shared {
    tcp: HttpConnector<Resolver>,
    proxies: Option<Matcher>,
    /// Whether HTTP/2 is wanted: by ALPN where there is TLS, else by prior knowledge.
    http2: bool,
    checks: Tls,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
    /// The host that has last ended a connection in the language of TLS, and what it said. It comes too late for the
    /// handshake, and hyper does not pass it on where no request was under way yet.
    alert: Mutex<Option<(String, String)>>,
}

impl Connector {
    /// A connector that goes through the proxies that the environment names.
    pub fn new(http2: bool, checks: Tls) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let proxies = names_a_proxy().then(Matcher::from_env);
        let shared =
            Shared { tcp, proxies, http2, checks, tls: OnceLock::new(), alert: Mutex::default() };
        Self { shared: Arc::new(shared), keeps_heads: false }
    }

    /// A connector for the same, whose connections keep the heads of answers.
    pub fn keeping_heads(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), keeps_heads: true }
    }

    /// Takes what `host` said when it ended a connection, if it was the last that did.
    pub fn take_alert(&self, host: &str) -> Option<String> {
        let mut alert = self.shared.alert.lock().unwrap_or_else(PoisonError::into_inner);
        alert.take_if(|(from, _)| from == host).map(|(_, words)| words)
    }

    /// The proxy that requests to `uri` are handed to as they are; TLS and SOCKS go through one unseen.
    pub fn forwards(&self, uri: &Uri) -> Option<Intercept> {
        let proxy = self.shared.proxies.as_ref()?.intercept(uri)?;
        let forwards =
            uri.scheme() == Some(&Scheme::HTTP) && proxy.uri().scheme() == Some(&Scheme::HTTP);
        forwards.then_some(proxy)
    }
}

fn names_a_proxy() -> bool {
    let names =
        ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    names.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let keeps_heads = self.keeps_heads;
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().to_owned();
            let mut stream = shared.connect(uri).await.map_err(ConnectError)?;
            if keeps_heads && stream.language != Language::Http2 {
                stream.raw_head = Some(RawHead::default());
            }
            if matches!(stream.transport, Transport::Tls(_)) {
                stream.alerts = Some((shared, host));
            }
            Ok(TokioIo::new(stream))
        })
    }
}

impl Shared {
    async fn connect(&self, uri: Uri) -> Result<Stream, String> {
        let proxy = self.proxies.as_ref().and_then(|proxies| proxies.intercept(&uri));
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let (stream, language) = match &proxy {
            None if self.http2 && !secure => (self.tcp(uri.clone()).await?, Language::Http2),
            None => (self.tcp(uri.clone()).await?, Language::Http1),
            Some(proxy) => self.tcp_through(proxy, &uri, secure).await?,
        };
        if !secure {
            return Ok(Stream::new(Transport::Plain(stream), language));
        }
        let config = self.tls.get_or_init(|| tls::config(self.http2, &self.checks)).clone()?;
        let stream = tls::connect(config, uri.host().unwrap_or_default(), stream).await?;
        let language = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Language::Http2,
            _ => Language::Http1,
        };
        Ok(Stream::new(Transport::Tls(Box::new(stream)), language))
    }

    async fn tcp(&self, uri: Uri) -> Result<TcpStream, String> {
        let target = authority(&uri);
        let stream = self.tcp.clone().call(uri).await;
        stream.map(TokioIo::into_inner).map_err(|error| failed(&error, &target))
    }

    /// A connection by way of `proxy`, and what is spoken over it.
    async fn tcp_through(
        &self,
        proxy: &Intercept,
        uri: &Uri,
        secure: bool,
    ) -> Result<(TcpStream, Language), String> {
        let address = proxy.uri().clone();
        let target = authority(&address);
        let scheme = address.scheme_str().unwrap_or_default().to_owned();
        if scheme == "http" && !secure {
            let stream = self.tcp(address).await;
            return stream
                .map(|stream| (stream, Language::Http1Proxy))
                .map_err(|error| format!("proxy: {error}"));
        }
        let stream = self.tunnel(&scheme, address, proxy, uri.clone()).await;
        stream
            .map(|stream| (stream.into_inner(), Language::Http1))
            .map_err(|error| format!("proxy: {}", failed(&*error, &target)))
    }

    /// A connection through `proxy`, which passes on what it does not see.
    async fn tunnel(
        &self,
        scheme: &str,
        address: Uri,
        proxy: &Intercept,
        uri: Uri,
    ) -> Result<TokioIo<TcpStream>, Box<dyn Error + Send + Sync>> {
        let tcp = self.tcp.clone();
        match scheme {
            "http" => {
                let mut tunnel = Tunnel::new(address, tcp);
                if let Some(auth) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                Ok(tunnel.call(uri).await?)
            }
            "socks5" | "socks5h" => {
                let mut socks = SocksV5::new(address, tcp).local_dns(scheme == "socks5");
                if let Some((user, password)) = proxy.raw_auth() {
                    socks = socks.with_auth(user.into(), password.into());
                }
                Ok(socks.call(uri).await?)
            }
            "socks4" | "socks4a" => {
                let mut socks = SocksV4::new(address, tcp).local_dns(scheme == "socks4");
                Ok(socks.call(uri).await?)
            }
            _ => Err(format!("`{scheme}` is not supported").into()),
        }
    }
}

/// Host and port, as in messages.
fn authority(uri: &Uri) -> String {
    let port =
        uri.port_u16().unwrap_or(if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
    format!("{}:{port}", uri.host().unwrap_or_default())
}

/// Why there is no connection to `target`, in words.
fn failed(error: &(dyn Error + 'static), target: &str) -> String {
    let mut last = error;
    loop {
        if let Some(lookup) = last.downcast_ref::<LookupError>() {
            return lookup.to_string();
        }
        if let Some(error) = last.downcast_ref::<io::Error>() {
            return match error.kind() {
                io::ErrorKind::ConnectionRefused => format!("connection refused by {target}"),
                io::ErrorKind::TimedOut => format!("{target} did not answer when connecting"),
                _ => format!("failed to connect to {target}: {error}"),
            };
        }
        match last.source() {
            Some(source) => last = source,
            None => return format!("failed to connect to {target}: {last}"),
        }
    }
}

/// Why there is no connection, in words.
#[derive(Debug)]
pub struct ConnectError(String);

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ConnectError {}

/// The system's resolver, whose errors name the host.
#[derive(Clone, Debug)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = LookupError;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, LookupError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LookupError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = name.as_str().to_owned();
        let lookup = self.0.call(name);
        Box::pin(async move { lookup.await.map_err(|error| LookupError { host, error }) })
    }
}

#[derive(Debug)]
struct LookupError {
    host: String,
    error: io::Error,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host name not found: {}", self.host)?;
        // That it is not known is what was just said; that nobody could be asked is news.
        let error = self.error.to_string();
        let detail = error.rsplit(": ").next().unwrap_or_default();
        if !detail.contains("not known") {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

impl Error for LookupError {}

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
    /// Whom to tell if the server ends it in the language of TLS, and its name.
    alerts: Option<(Arc<Shared>, String)>,
}

/// The head of the last answer of a connection as it came: it comes with the response.
#[derive(Clone, Debug, Default)]
pub struct RawHead(Arc<Mutex<Vec<u8>>>);

impl RawHead {
    /// What was left out of it, if anything was: the response has this number of `headers`.
    pub(super) fn left_out(&self, headers: usize) -> Option<Lines> {
        head::left_out(&self.lock(), headers)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is spoken over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Http1,
    /// To a proxy, which wants whole URLs.
    Http1Proxy,
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

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A kept-alive connection that was gone before anything of an answer came: the request was too late for it, and may
/// be sent again on another.
#[derive(Debug)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server closed the connection before it answered")
    }
}

impl Error for Gone {}

impl Stream {
    fn new(transport: Transport, language: Language) -> Self {
        Self {
            transport,
            language,
            usage: Usage::Fresh,
            head: Head::default(),
            raw_head: None,
            alerts: None,
        }
    }

    /// Notes why the server has ended the connection, if it has said so.
    #[cold]
    fn note_alert(&self, error: &io::Error) {
        if let Some((shared, host)) = self.alerts.as_ref().filter(|_| tls::is_alert(error)) {
            let mut alert = shared.alert.lock().unwrap_or_else(PoisonError::into_inner);
            *alert = Some((host.clone(), tls::words(error, host)));
        }
    }

    /// Whether a request that was written is the next to be answered, and not the first. HTTP/1 writes a request after
    /// it has read the answer to the one before; HTTP/2 knows by itself which it has to send again.
    fn is_late(&self) -> bool {
        self.usage == Usage::AskedAgain && self.language != Language::Http2
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let written = ready!(written);
        self.usage = match self.usage {
            Usage::Fresh | Usage::Asked => Usage::Asked,
            Usage::Answered | Usage::AskedAgain => Usage::AskedAgain,
        };
        if written.is_err() && self.is_late() {
            return Poll::Ready(Err(io::Error::other(Gone)));
        }
        Poll::Ready(written)
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = match self.language {
            Language::Http1 => Connected::new(),
            Language::Http1Proxy => Connected::new().proxy(true),
            Language::Http2 => Connected::new().negotiated_h2(),
        };
        match &self.raw_head {
            Some(head) => connected.extra(head.clone()),
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
        let read = ready!(match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        });
        let some = buffer.filled().len() > before;
        if let Err(error) = &read {
            self.note_alert(error);
        }
        if self.is_late() && !some {
            return Poll::Ready(Err(io::Error::other(Gone)));
        }
        if some {
            let this = &mut *self;
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
        let written = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
