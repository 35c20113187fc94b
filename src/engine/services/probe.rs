//! Finding out whether a service is ready: asking again and again, a little apart.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::log::Log;
use crate::job::{Address, Ready};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// How long one look may take: a program that accepts connections may not answer them yet.
const LOOK: Duration = Duration::from_secs(5);

/// How much of an answer is heard out.
const REST_BYTES: u64 = 1 << 20;

/// How long to look for somebody else at the address, and to hear an answer out.
const GLANCE: Duration = Duration::from_millis(200);

/// The address where the service is going to be, if somebody is there before it is started: an answer would say
/// nothing of the service then.
pub async fn taken(ready: &Ready) -> Option<&Address> {
    let address = ready.address()?;
    matches!(timeout(GLANCE, connect(address)).await, Ok(Some(_))).then_some(address)
}

/// Returns as soon as the service is ready. Loses nothing if it is dropped before.
pub async fn until_ready(ready: &Ready, log: &mut Log) {
    loop {
        let is_ready = match ready {
            Ready::AtOnce => true,
            Ready::Url(url) => {
                let request = format!(
                    "GET {} HTTP/1.0\r\nHost: {}\r\nUser-Agent: runner\r\nConnection: close\r\n\r\n",
                    url.target, url.authority
                );
                timeout(LOOK, answers(&url.address, &request)).await.unwrap_or(false)
            }
            Ready::Tcp(address) => matches!(timeout(LOOK, connect(address)).await, Ok(Some(_))),
            Ready::Line(regex) => log.has_new_line(regex),
        };
        if is_ready {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn connect(address: &Address) -> Option<TcpStream> {
    TcpStream::connect((address.host.as_str(), address.port)).await.ok()
}

/// Whether this request gets any answer that is one of HTTP.
async fn answers(address: &Address, request: &str) -> bool {
    const START: &[u8; 5] = b"HTTP/";
    let Some(mut stream) = connect(address).await else { return false };
    let mut start = [0; START.len()];
    let answered = stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_exact(&mut start).await.is_ok()
        && start == *START;
    if answered {
        // A server that is hung up on fills the log with complaints.
        let mut rest = Vec::new();
        let _ = timeout(GLANCE, stream.take(REST_BYTES).read_to_end(&mut rest)).await;
    }
    answered
}
