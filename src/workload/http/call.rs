//! One request, ready to be sent: what the templates of a task came to, checked.

use std::borrow::Cow;
use std::path::Path;

use base64::Engine;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, IF_RANGE, RANGE, USER_AGENT,
};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use url::Url;

use super::body::{Content, Part, Sending};
use super::plan::{BodyKind, Plan};
use super::save::Place;
use super::{multipart, redirect};
use crate::workload::http::text_buffer::TextBuffer;

/// Says who asks, as good manners have it.
const AGENT: &str = concat!("runner/", env!("CARGO_PKG_VERSION"));

/// A request, and where its body goes.
#[derive(Clone, Debug)]
pub struct Call {
    /// GET and so on.
    pub method: Method,
    /// Absolute, without user and password.
    pub uri: Uri,
    headers: HeaderMap,
    content: Content,
    /// Whether something in the URL or the content is a secret.
    has_secret: bool,
    /// Where the body of the answer is saved.
    pub save: Option<Place>,
}

impl Call {
    /// The request that `texts` describe: see [`super::Spec::render`] for their order.
    ///
    /// # Errors
    /// In words, if they describe none. Nothing has been sent then.
    pub fn new(plan: &Plan, folder: &Path, texts: &TextBuffer) -> Result<Self, String> {
        let mut texts = texts.iter();
        let mut next = || texts.next().unwrap_or_default();
        let method = method(next())?;
        let url = next();
        let (uri, credentials) = uri(url)?;
        let (content, content_type) = content(plan, &mut next, folder)?;
        let save = plan.save.as_ref().map(|save| save.place(folder, next())).transpose()?;
        let mut headers = HeaderMap::with_capacity(plan.headers.len() + 5);
        for header in &plan.headers {
            let mut value = header_value(&header.name, next())?;
            value.set_sensitive(header.is_secret);
            headers.append(header_name(&header.name)?, value);
        }
        if let Some(content_type) = content_type {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(header_value("content-type", content_type.as_bytes())?);
        }
        if let Some(credentials) = credentials {
            headers.entry(AUTHORIZATION).or_insert(credentials);
        }
        if !plan.http2 {
            // The client would make it anew for every request. HTTP/2 has the URL for it, and does not want both.
            headers.entry(HOST).or_insert(host(&uri)?);
        }
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if plan.decode && !headers.contains_key(RANGE) {
            headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static(CODINGS));
        }
        Ok(Self { method, uri, headers, content, has_secret: plan.has_secret, save })
    }

    /// The request, to be sent. It may be asked for again.
    pub fn request(&self) -> Request<Sending> {
        let mut request = Request::new(self.content.sending());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// The headers, to be changed.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// This call by another method, without its body.
    pub fn by(&self, method: Method) -> Self {
        let mut call = self.clone();
        call.method = method;
        call.content = Content::none();
        redirect::drop_body_headers(&mut call.headers);
        call
    }

    /// Whether a part of the answer is asked for by the job file itself.
    pub fn is_range(&self) -> bool {
        self.headers.contains_key(RANGE)
    }

    /// This call, for what comes after `start` bytes, as long as `validator` still fits; else for everything.
    pub fn after(&self, start: u64, validator: &HeaderValue) -> Self {
        let mut call = self.clone();
        if let Ok(range) = HeaderValue::try_from(format!("bytes={start}-")) {
            call.headers.insert(RANGE, range);
            call.headers.insert(IF_RANGE, validator.clone());
        }
        call
    }

    /// The call that an answer of `status` sends one on to.
    ///
    /// # Errors
    /// In words, if it leads nowhere, or would tell a secret to another host.
    pub fn redirected(&self, status: StatusCode, location: &[u8]) -> Result<Self, String> {
        let uri = redirect::target(&self.uri, location)?;
        let method = redirect::method(status, &self.method);
        let keeps_body = method == self.method;
        let mut call = if keeps_body { self.clone() } else { self.by(method) };
        if !redirect::same_origin(&self.uri, &uri) {
            if keeps_body && self.has_secret && self.sends_something() {
                let host = uri.host().unwrap_or_default();
                return Err(format!(
                    "redirected to another host, `{host}`, which is not sent the secrets of the body"
                ));
            }
            redirect::drop_secrets(&mut call.headers);
        }
        call.uri = uri;
        Ok(call)
    }

    fn sends_something(&self) -> bool {
        !matches!(&self.content, Content::Bytes(bytes) if bytes.is_empty())
    }
}

/// The codings that are undone, as `curl --compressed` has them.
const CODINGS: &str = "gzip, deflate, br, zstd";

/// What is sent, and its content type where the job file does not set it.
fn content<'a>(
    plan: &Plan,
    next: &mut impl FnMut() -> &'a [u8],
    folder: &Path,
) -> Result<(Content, Option<String>), String> {
    Ok(match &plan.body {
        BodyKind::None => (Content::none(), None),
        BodyKind::Text => (Content::Bytes(Bytes::copy_from_slice(next())), None),
        BodyKind::File => {
            let file = Part::file(&folder.join(super::path(next())))?;
            (Content::Parts([file].into()), None)
        }
        BodyKind::Multipart(fields) => {
            let (content, kind) = multipart::content(fields, next, folder)?;
            (content, Some(kind))
        }
    })
}

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

/// Reads a method; `get` is taken for `GET`.
pub(super) fn method(text: &[u8]) -> Result<Method, String> {
    let bad = || format!("`{}` is not an HTTP method", String::from_utf8_lossy(text));
    let method = Method::from_bytes(&text.to_ascii_uppercase()).map_err(|_| bad())?;
    if method == Method::CONNECT { Err("CONNECT is for proxies".into()) } else { Ok(method) }
}

/// Reads the name of a header.
pub(super) fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is not a header name"))
}

/// Reads the value of the header `name`.
pub(super) fn header_value(name: &str, value: &[u8]) -> Result<HeaderValue, String> {
    HeaderValue::from_bytes(value).map_err(|_| {
        let value = String::from_utf8_lossy(value);
        format!(
            "header `{name}`: `{}` has a character that a header cannot have",
            value.escape_debug()
        )
    })
}

/// Reads a URL: with what a browser would repair (spaces, umlauts) repaired, and a user and password taken out of it.
pub(super) fn uri(text: &[u8]) -> Result<(Uri, Option<HeaderValue>), String> {
    let bad = |why: &str| format!("`{}` is not a URL: {why}", String::from_utf8_lossy(text));
    // The url crate costs ten times as much, and gives nothing for a URL that is in order.
    if text.iter().all(|&byte| byte.is_ascii_graphic() && !b"\\\"<>^`{|}@".contains(&byte))
        && let Ok(uri) = Uri::try_from(text)
        && is_http(&uri)
    {
        return Ok((uri, None));
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

fn is_http(uri: &Uri) -> bool {
    let scheme = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
    scheme && uri.authority().map(Authority::host).is_some_and(|host| !host.is_empty())
}

/// The header that names the host, with the port unless it is the scheme's own.
fn host(uri: &Uri) -> Result<HeaderValue, String> {
    let host = uri.host().unwrap_or_default();
    let usual = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    match uri.port_u16().filter(|port| *port != usual) {
        Some(port) => header_value("host", format!("{host}:{port}").as_bytes()),
        None => header_value("host", host.as_bytes()),
    }
}

/// The host of a URL in lower case, with its port unless that is the usual one.
pub(super) fn host_of(url: &[u8]) -> Option<String> {
    let (uri, _) = uri(url).ok()?;
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
        ] {
            let found = uri(text.as_bytes()).map(|(uri, _)| uri.to_string());
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(found, expected, "{text}");
        }
        let (latin, _) = uri(b"http://a/gr\xf6\xdfe").unwrap();
        assert_eq!(latin, "http://a/gr%F6%DFe");
    }

    #[test]
    fn a_user_and_password_become_a_header() {
        let (_, credentials) = uri(b"http://user:p%40ss@a.example/").unwrap();
        assert_eq!(credentials.unwrap(), "Basic dXNlcjpwQHNz");
        assert_eq!(uri(b"http://a.example/").unwrap().1, None);
    }

    #[test]
    fn methods() {
        assert_eq!(method(b"get"), Ok(Method::GET));
        assert_eq!(method(b"PURGE").unwrap().as_str(), "PURGE");
        assert_eq!(method(b"GE T"), Err("`GE T` is not an HTTP method".into()));
        assert_eq!(method(b""), Err("`` is not an HTTP method".into()));
    }
}
