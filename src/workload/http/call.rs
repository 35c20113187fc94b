//! One request, ready to be sent: what the templates of a task came to, checked.

use std::borrow::Cow;
use std::path::Path;

use base64::Engine;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, IF_RANGE, RANGE,
    TRANSFER_ENCODING, USER_AGENT,
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
        if save.is_some() && method == Method::HEAD {
            return Err(NO_BODY.into());
        }
        let mut headers = HeaderMap::with_capacity(plan.headers.len() + 5);
        for header in &plan.headers {
            let mut value = match header_value(&header.name, next()) {
                Err(_) if header.is_secret => return Err(unfit_secret(&header.name)),
                value => value?,
            };
            value.set_sensitive(header.is_secret);
            headers.append(header_name(&header.name)?, value);
        }
        if let Some(content_type) = content_type {
            let own = headers.get(CONTENT_TYPE);
            let value = own.map_or(Ok(content_type.clone()), |own| {
                multipart::with_boundary(own.as_bytes(), &content_type)
            })?;
            headers.insert(CONTENT_TYPE, header_value("content-type", value.as_bytes())?);
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
        say_empty(&method, &content, &mut headers);
        correct_length(&content, &mut headers);
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
        say_empty(&call.method, &call.content, &mut call.headers);
        call
    }

    /// The first header of this name.
    pub fn header(&self, name: HeaderName) -> Option<&HeaderValue> {
        self.headers.get(name)
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Whether it is a GET without a body: the only request of whose answer a part can be asked for.
    pub fn is_plain_get(&self) -> bool {
        self.method == Method::GET && !self.sends_something()
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
        !self.content.is_empty()
    }
}

/// Says of a request that usually has a body that it has none: many servers refuse it otherwise (RFC 9110, 8.6).
fn say_empty(method: &Method, content: &Content, headers: &mut HeaderMap) {
    let has_one = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    if has_one && content.is_empty() && !headers.contains_key(TRANSFER_ENCODING) {
        headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
    }
}

/// A length that the job file sends by itself, perhaps copied from another request, gives way to the real one: a wrong one
/// would cut the body, or have the server wait for more.
fn correct_length(content: &Content, headers: &mut HeaderMap) {
    if headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, content.length().into());
    }
}

/// What is wrong with `save` where the method is `HEAD`.
pub(super) const NO_BODY: &str =
    "the answer to `HEAD` has no body, so `save` has nothing to save: leave `method` out";

/// What is wrong with JSON whose fields are not UTF-8 (RFC 8259, 8.1).
const NOT_UTF_8: &str = "a value of `json` is not UTF-8, which JSON has to be: set the `encoding` of the inputs, or \
                         take a column of the stage before in place of `{payload}`";

/// Whether JSON has a byte that is not UTF-8: it stands there as half of a pair, `\udc80` and so on.
fn has_raw_byte(json: &[u8]) -> bool {
    let (mut at, mut is_second) = (0, false);
    while let Some(before) = memchr::memchr(b'\\', &json[at..]) {
        let start = at + before;
        let digits = json.get(start + 1..start + 6).and_then(|escape| escape.strip_prefix(b"u"));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        match unit {
            Some(0xdc80..=0xdcff) if !is_second || before > 0 => return true,
            _ => is_second = matches!(unit, Some(0xd800..=0xdbff)),
        }
        at = (start + if unit.is_some() { 6 } else { 2 }).min(json.len());
    }
    false
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
        BodyKind::Json => {
            let text = next();
            if std::str::from_utf8(text).is_err() || has_raw_byte(text) {
                return Err(NOT_UTF_8.into());
            }
            (Content::Bytes(Bytes::copy_from_slice(text)), None)
        }
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

/// What is wrong with a header that has a secret, which is not shown.
fn unfit_secret(name: &str) -> String {
    format!("header `{name}`: a secret in it has a character that a header cannot have")
}

/// Reads a URL: with what a browser would repair (spaces, umlauts) repaired, and a user and password taken out of it.
pub(super) fn uri(text: &[u8]) -> Result<(Uri, Option<HeaderValue>), String> {
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
impl Call {
    /// A request for `uri`.
    pub fn get(uri: &Uri) -> Self {
        let (headers, content) = (HeaderMap::new(), Content::none());
        let (method, uri) = (Method::GET, uri.clone());
        Self { method, uri, headers, content, has_secret: false, save: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_found_in_json() {
        for (json, expected) in [
            (r#"{"a":"Gr\udcf6"}"#, true),
            (r#""\ud83d\udc00 \udc80""#, true),
            (r#""\ud83d \udc80""#, true),
            (r#""\ud83d\udc80\n\\udc80 \u00e9 \udc00""#, false),
            (r#""Größe\"#, false),
            ("\"\\u", false),
        ] {
            assert_eq!(has_raw_byte(json.as_bytes()), expected, "{json}");
        }
    }

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
            let found = uri(text.as_bytes()).map(|(uri, _)| uri.to_string());
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
            let error = uri(text.as_bytes()).unwrap_err();
            assert!(error.contains(&format!("control character (`{shown}`)")), "{error}");
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
