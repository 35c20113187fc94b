//! One request, ready to be sent: what the templates of a task came to, checked.

use std::path::Path;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, IF_RANGE, RANGE,
    TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};

use super::body::{Content, Part, Sending};
use super::plan::{BodyKind, Plan};
use super::save::Place;
use super::{multipart, redirect, uri};
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
        let (uri, credentials) = uri::read(url)?;
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
            headers.entry(HOST).or_insert(uri::host(&uri)?);
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
    fn methods() {
        assert_eq!(method(b"get"), Ok(Method::GET));
        assert_eq!(method(b"PURGE").unwrap().as_str(), "PURGE");
        assert_eq!(method(b"GE T"), Err("`GE T` is not an HTTP method".into()));
        assert_eq!(method(b""), Err("`` is not an HTTP method".into()));
    }
}
