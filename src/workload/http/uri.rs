//! The URLs of requests: read as curl and browsers read them, and the hosts that they name.

use std::borrow::Cow;

use base64::Engine;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use url::Url;

use super::call;

/// A text as UTF-8: bytes that are none are percent-encoded one by one, as curl and browsers do in URLs.
pub(super) fn as_text(text: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(text) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for &byte in text {
        if byte.is_ascii() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(percent_encoding::percent_encode_byte(byte));
        }
    }
    Cow::Owned(encoded)
}

/// Reads a URL: with what a browser would repair (spaces, umlauts) repaired, and a user and password taken out of it.
pub(super) fn read(text: &[u8]) -> Result<(Uri, Option<HeaderValue>), String> {
    let shown = String::from_utf8_lossy(text);
    let bad = |why: &str| format!("`{}` is not a URL: {why}", shown.escape_debug());
    // The url crate costs ten times as much, and gives nothing for a URL that is in order.
    if text.iter().all(|&byte| byte.is_ascii_graphic() && !b"\\\"<>^`{|}@".contains(&byte))
        && !has_dots(text)
        && let Ok(uri) = Uri::try_from(text)
        && is_http(&uri)
        && has_fit_port(&uri)
    {
        return Ok((uri, None));
    }
    // A browser drops them, and would ask for something else; curl refuses.
    if let Some(byte) = text.iter().find(|byte| byte.is_ascii_control()) {
        let shown = char::from(*byte).escape_debug();
        return Err(bad(&format!(
            "it has a control character (`{shown}`); `{{field.url}}` encodes what is in a field"
        )));
    }
    let mut url = Url::parse(&as_text(text)).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => bad("it has to start with http:// or https://"),
        error => bad(&error.to_string()),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it has to start with http:// or https://"));
    }
    let credentials = credentials(&url);
    let _ = url.set_username("").and_then(|()| url.set_password(None)); // a URL of http can have them
    url.set_fragment(None);
    let uri = Uri::try_from(url.as_str()).map_err(|error| bad(&error.to_string()))?;
    if is_http(&uri) { Ok((uri, credentials)) } else { Err(bad("it has no host")) }
}

/// Whether there may be a `.` or `..` between slashes, perhaps encoded, which is resolved as curl and browsers do it.
fn has_dots(text: &[u8]) -> bool {
    text.windows(2).any(|two| two == b"/.")
        || text.windows(4).any(|four| four.eq_ignore_ascii_case(b"/%2e"))
}

fn is_http(uri: &Uri) -> bool {
    let scheme = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
    scheme && uri.authority().map(Authority::host).is_some_and(|host| !host.is_empty())
}

/// Whether what stands after the host is a port, or nothing: the http crate takes what is none for the usual port.
fn has_fit_port(uri: &Uri) -> bool {
    let Some(authority) = uri.authority() else { return false };
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => true,
        Some(port) => {
            let digits = &port[1..];
            let is_plain =
                digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
            is_plain && authority.port_u16().is_some()
        }
        None => false, // a user stands before it
    }
}

/// The header that names the host, with the port unless it is the scheme's own.
pub(super) fn host(uri: &Uri) -> Result<HeaderValue, String> {
    let host = uri.host().unwrap_or_default();
    let usual = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    match uri.port_u16().filter(|port| *port != usual) {
        Some(port) => call::header_value("host", format!("{host}:{port}").as_bytes()),
        None => call::header_value("host", host.as_bytes()),
    }
}

/// The host of a URL in lower case, with its port unless that is the usual one.
pub(super) fn host_of(url: &[u8]) -> Option<String> {
    let (uri, _) = read(url).ok()?;
    host(&uri).ok()?.to_str().ok().map(str::to_ascii_lowercase)
}

/// The header that a user and password in a URL stand for.
fn credentials(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<_>>();
    let mut plain = decode(url.username());
    plain.push(b':');
    plain.extend(decode(url.password().unwrap_or_default()));
    let encoded = base64::engine::general_purpose::STANDARD.encode(plain);
    let mut value = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, expected) in [
            ("http://a.example/b?c=d", Ok("http://a.example/b?c=d")),
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080/")),
            ("http://[::1]:80/", Ok("http://[::1]:80/")),
            ("https://a.example/b c#d", Ok("https://a.example/b%20c")),
            ("http://a.example/b#d", Ok("http://a.example/b")),
            ("http://a.example/x/../b", Ok("http://a.example/b")),
            ("http://a.example/x y/../b", Ok("http://a.example/b")),
            ("http://a.example/x/%2E%2e/./b", Ok("http://a.example/b")),
            ("http://a.example/.b?c=/../d", Ok("http://a.example/.b?c=/../d")),
            ("http://bücher.example/ü", Ok("http://xn--bcher-kva.example/%C3%BC")),
            ("http://u:p@a.example/", Ok("http://a.example/")),
            (
                "a.example/b",
                Err("`a.example/b` is not a URL: it has to start with http:// or https://"),
            ),
            (
                "ftp://a.example",
                Err("`ftp://a.example` is not a URL: it has to start with http:// or https://"),
            ),
            ("http://", Err("`http://` is not a URL: empty host")),
            ("http://a b/", Err("`http://a b/` is not a URL: invalid international domain name")),
            ("", Err("`` is not a URL: it has to start with http:// or https://")),
            ("http://a.example:0080/b", Ok("http://a.example/b")),
            ("http://a.example:/b", Ok("http://a.example/b")),
            (
                "http://a.example:99999/",
                Err("`http://a.example:99999/` is not a URL: invalid port number"),
            ),
            (
                "http://a.example:80x/",
                Err("`http://a.example:80x/` is not a URL: invalid port number"),
            ),
            (
                "http://a.example:8.0/",
                Err("`http://a.example:8.0/` is not a URL: invalid port number"),
            ),
            (
                "https://a.example:+44/",
                Err("`https://a.example:+44/` is not a URL: invalid port number"),
            ),
            ("http://[::1]:1,234/", Err("`http://[::1]:1,234/` is not a URL: invalid port number")),
        ] {
            let found = read(text.as_bytes()).map(|(uri, _)| uri.to_string());
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(found, expected, "{text}");
        }
        for (text, shown) in [
            ("http://a.example/a\r\nb", "\\r"),
            ("http://a.example/a\tb", "\\t"),
            ("http://a.example/a\n", "\\n"),
            ("\0http://a.example/a", "\\0"),
            ("http://a.example/\u{7f}", "\\u{7f}"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.contains(&format!("control character (`{shown}`)")), "{error}");
        }
        let (latin, _) = read(b"http://a/gr\xf6\xdfe").unwrap();
        assert_eq!(latin, "http://a/gr%F6%DFe");
    }

    #[test]
    fn a_user_and_password_become_a_header() {
        let (_, credentials) = read(b"http://user:p%40ss@a.example/").unwrap();
        assert_eq!(credentials.unwrap(), "Basic dXNlcjpwQHNz");
        assert_eq!(read(b"http://a.example/").unwrap().1, None);
    }
}
