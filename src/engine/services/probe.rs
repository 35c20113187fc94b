//! Finding out whether a service is ready, by repeated probes.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::log::Log;
use crate::job::{Address, Ready};

/// The time between two probes.
const PAUSE: Duration = Duration::from_millis(20);

/// How long one probe may take: a program that accepts connections may not answer them yet.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of an answer is read.
const REST_BYTES: u64 = 1 << 20;

/// How long to check for another program at the address, and to read the rest of an answer.
const SHORT_TIMEOUT: Duration = Duration::from_millis(200);

/// The address of the service, if another program is there before the service is started: an answer would then say
/// nothing about the service.
pub async fn taken(ready: &Ready) -> Option<&Address> {
    let address = ready.address()?;
    matches!(timeout(SHORT_TIMEOUT, connect(address)).await, Ok(Some(_))).then_some(address)
}

/// Returns as soon as the service is ready. Cancel-safe.
pub async fn until_ready(ready: &Ready, log: &mut Log) {
    loop {
        let is_ready = match ready {
            Ready::AtOnce => true,
            Ready::Url(url) => {
                let request = format!(
                    "GET {} HTTP/1.0\r\nHost: {}\r\nUser-Agent: runner\r\nConnection: close\r\n\r\n",
                    url.target, url.authority
                );
                timeout(PROBE_TIMEOUT, answers(&url.address, &request)).await.unwrap_or(false)
            }
            Ready::Tcp(address) => {
                matches!(timeout(PROBE_TIMEOUT, connect(address)).await, Ok(Some(_)))
            }
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

/// Whether this request gets any HTTP answer.
async fn answers(address: &Address, request: &str) -> bool {
    const START: &[u8; 5] = b"HTTP/";
    let Some(mut stream) = connect(address).await else { return false };
    let mut start = [0; START.len()];
    let answered = stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_exact(&mut start).await.is_ok()
        && start == *START;
    if answered {
        // A server whose client closes the connection early fills its log with complaints.
        let mut rest = Vec::new();
        let _ = timeout(SHORT_TIMEOUT, stream.take(REST_BYTES).read_to_end(&mut rest)).await;
    }
    answered
}
