//! A server on the loopback that answers each path in a way of its own, right or wrong.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// `hello ` twenty times, compressed.
const GZIP: [u8; 29] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 203, 72, 205, 201, 201, 87, 200, 160, 59, 9, 0, 47, 250, 248,
    72, 120, 0, 0, 0,
];
const DEFLATE: [u8; 17] =
    [120, 156, 203, 72, 205, 201, 201, 87, 200, 160, 59, 9, 0, 119, 186, 44, 17];

/// How often each path was asked for.
type Counts = Arc<Mutex<HashMap<String, usize>>>;

/// Runs until the tests end.
pub struct Server {
    address: SocketAddr,
    counts: Counts,
}

impl Server {
    pub fn start() -> Self {
        Self::serve(|stream, counts| talk(&mut BufReader::new(stream), counts))
    }

    /// With this certificate of `tests/it/certs`.
    pub fn start_tls(certificate: &str) -> Self {
        let file = |name: &str| format!("{}/tests/it/certs/{name}.pem", env!("CARGO_MANIFEST_DIR"));
        let certificate = CertificateDer::from_pem_file(file(certificate)).unwrap();
        let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        Self::serve(move |stream, counts| {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            talk(&mut BufReader::new(rustls::StreamOwned::new(connection, stream)), counts)
        })
    }

    /// Speaks HTTP/2 only, without TLS, and answers with the version and the host that it was asked for.
    pub fn start_http2() -> Self {
        Self::serve(|stream, _| {
            stream.set_nonblocking(true)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
                let answer = service_fn(async |request: Request<Incoming>| {
                    let host = request.headers().contains_key("host");
                    let said = format!("{:?} {} {host}", request.version(), request.uri().path());
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(said))))
                });
                let connection = http2::Builder::new(TokioExecutor::new());
                connection.serve_connection(stream, answer).await.map_err(io::Error::other)
            })
        })
    }

    fn serve(talk: impl Fn(TcpStream, &Counts) -> io::Result<()> + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Counts::default();
        let counting = Arc::clone(&counts);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (talk, counts) = (talk.clone(), Arc::clone(&counting));
                thread::spawn(move || {
                    let _ = talk(stream, &counts); // a client may leave as it likes
                });
            }
        });
        Self { address, counts }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often `path` was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.counts.lock().unwrap().get(path).copied().unwrap_or(0)
    }
}

/// Answers requests until one of both closes the connection.
fn talk(stream: &mut BufReader<impl Read + Write>, counts: &Counts) -> io::Result<()> {
    for number in 1.. {
        let Some((head, body)) = request(stream)? else { return Ok(()) };
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let path = target.strip_prefix("http://nosuch.invalid").unwrap_or(&target);
        let path = path.split('?').next().unwrap_or_default();
        let asked = {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(path.to_owned()).or_default();
            *count += 1;
            *count
        };
        let out = stream.get_mut();
        match path {
            "/echo" => whole(out, "200 OK", "", (head + &body).as_bytes())?,
            "/json" => whole(out, "200 OK", "", b"{\"loss\": 0.25}")?,
            "/broken" => whole(out, "500 Oh", "", b"")?,
            "/gzip" => whole(out, "200 OK", "content-encoding: gzip\r\n", &GZIP)?,
            "/deflate" => whole(out, "200 OK", "content-encoding: deflate\r\n", &DEFLATE)?,
            "/not-gzip" => {
                whole(out, "200 OK", "content-encoding: gzip\r\n", b"not compressed at all")?;
            }
            "/gzip-cut" => whole(out, "200 OK", "content-encoding: gzip\r\n", &GZIP[..20])?,
            "/redirect" => whole(out, "302 Found", "location: /hello\r\n", b"")?,
            "/loop" => whole(out, "302 Found", "location: /loop\r\n", b"")?,
            "/to" => {
                let location = target.split_once('?').map_or("", |(_, url)| url);
                whole(out, "307 Moved", &format!("location: {location}\r\n"), b"")?;
            }
            // The first time it is too busy, and asks for a second.
            "/busy" if asked == 1 => whole(out, "503 Busy", "retry-after: 1\r\n", b"")?,
            // Answers after a while with how many are asking for it now.
            "/crowd" => {
                *counts.lock().unwrap().entry("now".into()).or_default() += 1;
                thread::sleep(Duration::from_millis(20));
                let now = counts.lock().unwrap()["now"];
                whole(out, "200 OK", "", now.to_string().as_bytes())?;
                *counts.lock().unwrap().entry("now".into()).or_default() -= 1;
            }
            "/late" if number > 1 => return Ok(()), // a connection that was kept alive ends just now
            "/hello" | "/late" | "/busy" => whole(out, "200 OK", "", b"hello")?,
            "/huge" => huge(out)?,
            "/close" => return Ok(()),
            "/close-headers" => return out.write_all(b"HTTP/1.1 200 OK\r\nserver: ha"),
            "/short" => return head_and(out, "content-length: 100", &[b'x'; 50]),
            "/long" => return head_and(out, "content-length: 5", &[b'x'; 50]),
            "/chunks-cut" => {
                return head_and(out, "transfer-encoding: chunked", b"5\r\nhello\r\n9\r\n");
            }
            "/garbage" => return out.write_all(b"SSH-2.0-OpenSSH_9.6\r\n"),
            "/stall" => stall(stream)?,
            "/stall-headers" => {
                out.write_all(b"HTTP/1.1 200 OK\r\nserver: ha")?;
                stall(stream)?;
            }
            "/stall-body" => {
                head_and(out, "content-length: 100", &[b'x'; 50])?;
                stall(stream)?;
            }
            _ => whole(out, "404 Not Found", "", b"not found")?,
        }
    }
    Ok(())
}

/// The head and the body of the next request; `None` if there is none.
fn request(stream: &mut impl BufRead) -> io::Result<Option<(String, String)>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body)?;
    Ok(Some((head, String::from_utf8_lossy(&body).into_owned())))
}

fn whole(out: &mut impl Write, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nserver: hand-made\r\n{headers}content-length: {length}\r\n\r\n"
    );
    out.write_all(&[head.as_bytes(), body].concat())?;
    out.flush()
}

fn head_and(out: &mut impl Write, header: &str, body: &[u8]) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n");
    out.write_all(&[head.as_bytes(), body].concat())
}

fn huge(out: &mut impl Write) -> io::Result<()> {
    let block = vec![b'0'; 1 << 20];
    write!(out, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 100 * block.len())?;
    for _ in 0..99 {
        out.write_all(&block)?;
    }
    out.write_all(&block[3..])?;
    out.write_all(b"end")
}

/// Says nothing until the client has gone.
fn stall(stream: &mut impl Read) -> io::Result<()> {
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}
