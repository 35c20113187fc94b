//! Where a redirect leads, and what is sent there: as browsers and curl do it.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION,
    PROXY_AUTHORIZATION, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method, StatusCode, Uri};
use url::Url;

use super::uri;

/// Where an answer of this status sends one on to, as it stands in its headers.
pub(super) fn location(status: StatusCode, headers: &HeaderMap) -> Option<&[u8]> {
    let redirects = matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = headers.get(LOCATION).filter(|_| redirects)?.as_bytes().trim_ascii();
    (!location.is_empty()).then_some(location)
}

/// The URL that `location` means in an answer from `uri`.
///
/// # Errors
/// In words, if it means none.
pub(super) fn target(uri: &Uri, location: &[u8]) -> Result<Uri, String> {
    let text = uri::as_text(location);
    let bad = |why: &str| format!("redirected to `{}`, which is {why}", text.escape_debug());
    let base = Url::parse(&uri.to_string()).map_err(|_| bad("not a URL"))?;
    let mut url = base.join(&text).map_err(|_| bad("not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(bad("not HTTP"));
    }
    let _ = url.set_username("").and_then(|()| url.set_password(None)); // a URL of http can have them
    url.set_fragment(None);
    Uri::try_from(url.as_str()).map_err(|_| bad("not a URL"))
}

/// Whether both are of one scheme, host and port: what is for one is for the other.
pub(super) fn same_origin(one: &Uri, other: &Uri) -> bool {
    let origin = |uri: &Uri| Url::parse(&uri.to_string()).map(|url| url.origin()).ok();
    one.authority() == other.authority() && one.scheme() == other.scheme()
        || origin(one).is_some_and(|known| Some(known) == origin(other))
}

/// The method at the target of a redirect of this status.
pub(super) fn method(status: StatusCode, method: &Method) -> Method {
    match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if *method == Method::POST => Method::GET,
        StatusCode::SEE_OTHER if *method != Method::HEAD => Method::GET,
        _ => method.clone(),
    }
}

/// Drops what describes a body that is not sent any more.
pub(super) fn drop_body_headers(headers: &mut HeaderMap) {
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

/// Drops what another host is not told.
pub(super) fn drop_secrets(headers: &mut HeaderMap) {
    for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE, HOST] {
        headers.remove(name);
    }
    let secret: Vec<_> = headers
        .iter()
        .filter(|(_, value)| value.is_sensitive())
        .map(|(name, _)| name.clone())
        .collect();
    for name in secret {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        for (location, expected) in [
            (&b"/b"[..], Ok("http://a.example/b")),
            (b"b c?d=e f#g", Ok("http://a.example/x/b%20c?d=e%20f")),
            (b"//b.example", Ok("http://b.example/")),
            (b"https://u:p@b.example/", Ok("https://b.example/")),
            (b"/gr\xc3\xb6\xc3\x9fe", Ok("http://a.example/gr%C3%B6%C3%9Fe")),
            (b"/gr\xf6\xdfe?\xfc", Ok("http://a.example/gr%F6%DFe?%FC")),
            ("http://bücher.example/".as_bytes(), Ok("http://xn--bcher-kva.example/")),
            (b"ftp://b.example/", Err("redirected to `ftp://b.example/`, which is not HTTP")),
            (b"http://", Err("redirected to `http://`, which is not a URL")),
        ] {
            let found = target(&Uri::from_static("http://a.example/x/y"), location);
            let found = found.map(|uri| uri.to_string());
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(location));
        }
    }

    #[test]
    fn origins() {
        let same = |one, other| same_origin(&Uri::from_static(one), &Uri::from_static(other));
        assert!(same("http://a.example/x", "http://a.example:80/y"));
        assert!(!same("http://a.example/", "https://a.example/"));
        assert!(!same("http://a.example/", "http://a.example:81/"));
        assert!(!same("http://a.example/", "http://b.example/"));
    }
}
