//! What went wrong with an answer, in the user's words.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;

use super::connect::ConnectError;
use super::stream::GONE;
use super::tls;

/// Why there is no answer at all. `alert` is what the host said when it last ended a connection.
pub(super) fn no_answer(error: &legacy::Error, host: &str, alert: Option<&str>) -> String {
    let said = || alert.map(|alert| format!("TLS: {alert}"));
    let mut source = error.source();
    let mut last = None;
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<ConnectError>() {
            return error.to_string();
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
                return said().unwrap_or_else(|| GONE.into());
            }
            if error.is_parse() {
                let words = error.to_string();
                if words.contains("head is too large") {
                    return TOO_LARGE.into(); // hyper calls an endless body so, too
                }
                return format!("the answer is not HTTP: {}", in_words(&words));
            }
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>) {
                return format!("TLS: {}", tls::words(error, host));
            }
            let words = connection_lost(error).map(|words| said().unwrap_or(words));
            return words.unwrap_or_else(|| error.to_string());
        }
        last = Some(error);
        source = error.source();
    }
    let words = last.map_or_else(|| error.to_string(), ToString::to_string);
    if words.contains("frame with invalid size") {
        return "the server does not speak HTTP/2: leave `http2` out".into();
    }
    words
}

const TOO_LARGE: &str = "the answer is not HTTP: its head has too many lines or bytes, or its `Content-Length` \
                         is a number that no body can have";

/// What hyper says of a head, in words.
fn in_words(said: &str) -> &str {
    match said {
        _ if said.contains("unexpected transfer-encoding") => {
            "it is of HTTP/1.0, which has no transfer-encoding"
        }
        _ if said.contains("HTTP version") => "it does not begin with `HTTP/1.1` or `HTTP/1.0`",
        _ if said.contains("header parsed") => "its head has a line that cannot be read",
        _ => said,
    }
}

fn connection_lost(error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::ConnectionReset => {
            Some("the server reset the connection before it answered".into())
        }
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => Some(GONE.into()),
        _ => None,
    }
}

/// Why a body ended after `read` of `length` bytes. `error` is what reading it came to.
pub(super) fn broken_body(error: &(dyn Error + 'static), read: u64, length: Option<u64>) -> String {
    let of = length.map_or(String::new(), |length| format!(" of {length}"));
    let cut = format!("body cut short after {read}{of} bytes");
    let (mut source, mut last) = (Some(error), error);
    while let Some(error) = source {
        last = error;
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
            return cut;
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            match io.kind() {
                io::ErrorKind::UnexpectedEof => return cut,
                io::ErrorKind::ConnectionReset => {
                    return format!("{cut}: the server reset the connection");
                }
                _ => {}
            }
            // The error of another layer inside, which `source` skips.
            if let Some(inner) = io.get_ref() {
                source = Some(inner);
                continue;
            }
        }
        source = error.source();
    }
    let said = last.to_string();
    let chunks = said.to_lowercase().contains("chunk");
    if chunks {
        format!("{cut}: its chunks are not as HTTP has them ({said})")
    } else {
        format!("{cut}: {said}")
    }
}
