//! How connections are made: name, proxy, TCP, TLS. An error of this file is in the user's words already.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::{fmt, io};

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::either::Either;
use tower_service::Service;

use super::plan::{Plan, Tls};
use super::proxies::Proxies;
use super::stream::{Alerts, Language, Stream};
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
    proxies: Option<Proxies>,
    /// Whether HTTP/2 is wanted: by ALPN where there is TLS, else by prior knowledge.
    http2: bool,
    /// Whether connections note when something comes or goes.
    watches: bool,
    checks: Tls,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
    alerts: Alerts,
}

impl Connector {
    /// A connector that goes through the proxies that the environment names.
    pub fn new(plan: &Plan) -> Self {
        let (http2, checks, watches) = (plan.http2, plan.tls.clone(), plan.stall.is_some());
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let proxies = Proxies::from_env();
        let (tls, alerts) = (OnceLock::new(), Alerts::default());
        let shared = Shared { tcp, proxies, http2, watches, checks, tls, alerts };
        Self { shared: Arc::new(shared), keeps_heads: false }
    }

    /// A connector for the same, whose connections keep the heads of answers.
    pub fn keeping_heads(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), keeps_heads: true }
    }

    /// Takes what `host` said when it ended a connection, if it was the last that did.
    pub fn take_alert(&self, host: &str) -> Option<String> {
        self.shared.alerts.take(host)
    }

    /// The proxy that requests to `uri` are handed to as they are; TLS and SOCKS go through one unseen.
    pub fn forwards(&self, uri: &Uri) -> Option<Intercept> {
        let proxy = self.shared.proxies.as_ref()?.of(uri).ok()??;
        let forwards =
            uri.scheme() == Some(&Scheme::HTTP) && proxy.uri().scheme() == Some(&Scheme::HTTP);
        forwards.then_some(proxy)
    }
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
            if keeps_heads {
                stream.keep_heads();
            }
            if shared.watches {
                stream.watch();
            }
            stream.tell(&shared.alerts, host);
            Ok(TokioIo::new(stream))
        })
    }
}

impl Shared {
    async fn connect(&self, uri: Uri) -> Result<Stream, String> {
        let proxy = self.proxies.as_ref().map_or(Ok(None), |proxies| proxies.of(&uri))?;
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let (stream, language) = match &proxy {
            None if self.http2 && !secure => (self.tcp(uri.clone()).await?, Language::Http2),
            None => (self.tcp(uri.clone()).await?, Language::Http1),
            Some(proxy) => self.tcp_through(proxy, &uri, secure).await?,
        };
        if !secure {
            return Ok(Stream::new(Either::Left(stream), language));
        }
        let config = self.tls.get_or_init(|| tls::config(self.http2, &self.checks)).clone()?;
        let stream = tls::connect(config, uri.host().unwrap_or_default(), stream).await?;
        let language = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Language::Http2,
            _ => Language::Http1,
        };
        Ok(Stream::new(Either::Right(Box::new(stream)), language))
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
        if scheme == "http" {
            let stream = self.tcp(address).await;
            let stream = match stream {
                Ok(stream) => ask_for_tunnel(stream, proxy, uri, &target).await,
                Err(error) => Err(error),
            };
            return stream
                .map(|stream| (stream, Language::Http1))
                .map_err(|error| format!("proxy: {error}"));
        }
        let stream = self.tunnel(&scheme, address, proxy, uri.clone()).await;
        stream
            .map(|stream| (stream.into_inner(), Language::Http1))
            .map_err(|error| format!("proxy: {}", failed(&*error, &target)))
    }

    /// A connection through a SOCKS `proxy`, which passes on what it does not see.
    async fn tunnel(
        &self,
        scheme: &str,
        address: Uri,
        proxy: &Intercept,
        uri: Uri,
    ) -> Result<TokioIo<TcpStream>, Box<dyn Error + Send + Sync>> {
        let tcp = self.tcp.clone();
        match scheme {
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

/// The longest head that a proxy may answer `CONNECT` with, in bytes.
const LONGEST_HEAD: usize = 16 << 10;

/// Has the proxy at `target` pass on whatever comes over `stream` to the host of `uri`. hyper-util has this, too, but does
/// not say with which status it was refused.
async fn ask_for_tunnel(
    mut stream: TcpStream,
    proxy: &Intercept,
    uri: &Uri,
    target: &str,
) -> Result<TcpStream, String> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("{target} closed the connection after `CONNECT`"),
        _ => format!("{target} did not answer `CONNECT`: {error}"),
    };
    let host = authority(uri);
    let mut request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n").into_bytes();
    if let Some(auth) = proxy.basic_auth() {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(auth.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.map_err(failed)?;
    let mut head = Vec::new();
    // Byte by byte: what follows the head belongs to whoever is at the other end.
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        head.push(stream.read_u8().await.map_err(failed)?);
        if head.len() > LONGEST_HEAD {
            return Err(format!("{target} answered `CONNECT` with an endless head"));
        }
    }
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1").and_then(|rest| rest.split_once(' '));
    let status = status.map_or("", |(_, status)| status.trim());
    match status.get(..3).filter(|code| code.parse::<u16>().is_ok()) {
        Some(code) if code.starts_with('2') => Ok(stream),
        Some("407") => Err(format!("{target} wants a user and password (status {status})")),
        Some(_) => Err(format!("{target} answered `CONNECT` with status {status}")),
        None => Err(format!("{target} answered `CONNECT` with something that is not HTTP")),
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
