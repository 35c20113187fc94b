//! Cookies: those of a chain of redirects, or of a whole job.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex};

use cookie_store::{CookieStore, RawCookie};
use http::header::{COOKIE, SET_COOKIE};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Uri};
use serde::{Deserialize, Serialize};
use url::Url;

use super::cookie_date;

use crate::base::lock;

/// How long cookies are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cookies {
    /// They are not kept.
    None,
    /// For one attempt, along its redirects.
    #[default]
    Task,
    /// For the job: what one task is given, the others send.
    Job,
}

/// Cookies of one task, or of a job.
#[derive(Clone, Debug, Default)]
pub struct Jar(Arc<Mutex<CookieStore>>);

impl Jar {
    /// Keeps what an answer from `uri` sets.
    pub fn keep(&self, uri: &Uri, headers: &HeaderMap) {
        if !headers.contains_key(SET_COOKIE) {
            return;
        }
        let Ok(url) = Url::parse(&uri.to_string()) else { return };
        let set = headers.get_all(SET_COOKIE).iter();
        // Bytes become characters one by one, and bytes again when they are sent.
        let texts =
            set.map(|value| value.as_bytes().iter().map(|&byte| char::from(byte)).collect());
        let cookies = texts.filter_map(|text: String| {
            let expires = cookie_date::expires(&text);
            let mut cookie = RawCookie::parse(text).ok()?;
            if let Some(expires) = expires {
                cookie.set_expires(expires);
            }
            let width = Width::of(&cookie, uri);
            let is_kept = width != Width::TooWide && may_be_set(&cookie, uri);
            if width == Width::Host {
                cookie.unset_domain();
            }
            is_kept.then_some(cookie)
        });
        lock(&self.0).store_response_cookies(cookies.map(RawCookie::into_owned), &url);
    }

    /// Adds what is to be sent to `uri`. A cookie that the job file sends by itself gives way to one of its name.
    pub fn send(&self, uri: &Uri, headers: &mut HeaderMap) {
        let store = lock(&self.0);
        if store.iter_any().next().is_none() {
            return;
        }
        let Ok(url) = Url::parse(&uri.to_string()) else { return };
        // Longer paths first, then older cookies (RFC 6265, 5.4): many servers take the first one of a name.
        let mut matching = store.matches(&url);
        matching.sort_by_key(|cookie| Reverse(cookie.path.len()));
        let mut cookies: Vec<(Vec<u8>, Vec<u8>)> =
            matching.iter().map(|cookie| (narrow(cookie.name()), narrow(cookie.value()))).collect();
        if cookies.is_empty() {
            return;
        }
        let own = headers.get(COOKIE).map(|own| own.as_bytes().to_vec()).unwrap_or_default();
        for pair in own.split(|&byte| byte == b';').map(<[u8]>::trim_ascii) {
            let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let (name, value) = pair.split_at(equals);
            if !pair.is_empty() && !cookies.iter().any(|(known, _)| known == name) {
                cookies.push((name.to_vec(), value.get(1..).unwrap_or_default().to_vec()));
            }
        }
        let pairs: Vec<_> =
            cookies.iter().map(|(name, value)| [name, &b"="[..], value].concat()).collect();
        if let Ok(mut value) = HeaderValue::from_bytes(&pairs.join(&b"; "[..])) {
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
    }
}

/// Whether an answer from `uri` may set a cookie: one whose name promises that it is safe has to be (RFC 6265bis, 4.1.3).
fn may_be_set(cookie: &RawCookie<'_>, uri: &Uri) -> bool {
    let is_named = |prefix: &str| {
        cookie.name().get(..prefix.len()).is_some_and(|name| name.eq_ignore_ascii_case(prefix))
    };
    let is_safe = cookie.secure() == Some(true) && uri.scheme() == Some(&Scheme::HTTPS);
    let is_of_host = cookie.domain().is_none() && cookie.path() == Some("/");
    (is_safe || !(is_named("__Secure-") || is_named("__Host-")))
        && (is_of_host || !is_named("__Host-"))
}

/// How wide a cookie's domain is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    /// The hosts of one owner, or no domain at all.
    Fit,
    /// All hosts under a suffix where anybody can have one (`com`, `co.uk`, `github.io`), which is the host itself: the
    /// cookie is for that host alone (RFC 6265, 5.3).
    Host,
    /// Such a suffix: the cookie would go to strangers.
    TooWide,
}

impl Width {
    fn of(cookie: &RawCookie<'_>, uri: &Uri) -> Self {
        let Some(domain) = cookie.domain().filter(|domain| !domain.is_empty()) else {
            return Self::Fit;
        };
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        // As the list has them: in lower case, and names with other letters as DNS has them.
        let domain =
            url::Host::parse(domain).map_or(domain.to_ascii_lowercase(), |name| name.to_string());
        let domain = domain.trim_end_matches('.');
        let is_suffix = psl::suffix_str(domain).is_none_or(|suffix| suffix == domain);
        match is_suffix {
            false => Self::Fit,
            true if domain == host.trim_end_matches('.') => Self::Host,
            true => Self::TooWide,
        }
    }
}

fn narrow(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(jar: &Jar, uri: &str, own: Option<&str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(own) = own {
            headers.insert(COOKIE, own.parse().unwrap());
        }
        jar.send(&uri.parse().unwrap(), &mut headers);
        headers.get(COOKIE).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_go_back_where_they_came_from() {
        let jar = Jar::default();
        assert_eq!(sent(&jar, "http://a.example/", Some("x=1")).as_deref(), Some("x=1"));
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, "seen=1; Path=/".parse().unwrap());
        headers.append(SET_COOKIE, "deep=2; Path=/deep".parse().unwrap());
        headers.append(SET_COOKIE, "safe=3; Secure".parse().unwrap());
        jar.keep(&"http://a.example/".parse().unwrap(), &headers);
        assert_eq!(sent(&jar, "http://a.example/", None).as_deref(), Some("seen=1"));
        assert_eq!(sent(&jar, "http://b.example/", None), None);
        assert_eq!(
            sent(&jar, "http://a.example/x", Some("seen=0; own=2")).as_deref(),
            Some("seen=1; own=2")
        );
        let deep = sent(&jar, "http://a.example/deep/x", None).unwrap();
        assert_eq!(deep, "deep=2; seen=1");
    }

    #[test]
    fn no_cookie_is_for_all_hosts_of_a_top_level_domain() {
        let jar = Jar::default();
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, "evil=1; Domain=.example".parse().unwrap());
        headers.append(SET_COOKIE, "wide=2; Domain=a.example".parse().unwrap());
        jar.keep(&"http://b.a.example/".parse().unwrap(), &headers);
        assert_eq!(sent(&jar, "http://c.example/", None), None);
        assert_eq!(sent(&jar, "http://c.a.example/", None).as_deref(), Some("wide=2"));
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, "own=1; Domain=localhost".parse().unwrap());
        jar.keep(&"http://localhost/".parse().unwrap(), &headers);
        assert_eq!(sent(&jar, "http://localhost/x", None).as_deref(), Some("own=1"));
    }

    #[test]
    fn no_cookie_is_for_all_hosts_of_strangers() {
        for (host, domain, other, is_sent) in [
            ("a.co.uk", "co.uk", "b.co.uk", false),
            ("a.co.uk", ".CO.UK", "b.co.uk", false),
            ("a.co.uk", "co.uk.", "b.co.uk", false),
            ("x.a.co.uk", "a.co.uk", "y.a.co.uk", true),
            ("a.github.io", "github.io", "b.github.io", false),
            ("github.io", "github.io", "b.github.io", false),
            ("github.io", "github.io", "github.io", true),
            ("a.xn--55qx5d.cn", "公司.cn", "b.xn--55qx5d.cn", false),
            ("a.b.internal", "b.internal", "c.b.internal", true),
            ("a.internal", "internal", "b.internal", false),
            ("127.0.0.1", "127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "0.0.1", "128.0.0.1", false),
            ("[::1]", "[::1]", "[::1]", true),
        ] {
            let jar = Jar::default();
            let mut headers = HeaderMap::new();
            let cookie = format!("a=1; Domain={domain}");
            headers.append(SET_COOKIE, HeaderValue::from_bytes(cookie.as_bytes()).unwrap());
            jar.keep(&format!("http://{host}/").parse().unwrap(), &headers);
            let sent = sent(&jar, &format!("http://{other}/"), None).is_some();
            assert_eq!(sent, is_sent, "{host} {domain} {other}");
        }
    }

    #[test]
    fn a_name_that_promises_safety_keeps_its_word() {
        for (uri, set, is_kept) in [
            ("https://a.example/", "__Host-a=1; Secure; Path=/", true),
            ("https://a.example/", "__Host-a=1; Secure; Path=/; Domain=a.example", false),
            ("https://a.example/", "__Host-a=1; Secure", false),
            ("https://a.example/", "__secure-a=1; Path=/", false),
            ("https://a.example/", "__Secure-a=1; Secure", true),
            ("http://a.example/", "__Secure-a=1; Secure", false),
            ("http://a.example/", "__Other-a=1", true),
        ] {
            let jar = Jar::default();
            let mut headers = HeaderMap::new();
            headers.append(SET_COOKIE, set.parse().unwrap());
            jar.keep(&uri.parse().unwrap(), &headers);
            assert_eq!(sent(&jar, uri, None).is_some(), is_kept, "{uri} {set}");
        }
    }

    #[test]
    fn a_cookie_ends_at_its_date_in_whatever_way_that_is_written() {
        for (date, is_kept) in [
            ("Thu, 01 Jan 2020 00:00:00 GMT", false),
            ("Thu, 01 Jan 2020 00:00:00 +0000", false),
            ("Wed Jan 01 2020 00:00:00 GMT+0000 (UTC)", false),
            ("Thu, 01 Jan 2199 00:00:00", true),
            ("never", true),
        ] {
            let jar = Jar::default();
            let mut headers = HeaderMap::new();
            headers.append(SET_COOKIE, "session=old".parse().unwrap());
            headers.append(SET_COOKIE, format!("session=new; Expires={date}").parse().unwrap());
            jar.keep(&"http://a.example/".parse().unwrap(), &headers);
            let expected = is_kept.then_some("session=new");
            assert_eq!(sent(&jar, "http://a.example/", None).as_deref(), expected, "{date}");
        }
    }

    #[test]
    fn longer_paths_go_first_then_older_cookies() {
        let jar = Jar::default();
        let mut headers = HeaderMap::new();
        for set in
            ["sid=root; Path=/", "z=1; Path=/", "sid=deep; Path=/d", "a=2; Path=/", "z=3; Path=/"]
        {
            headers.append(SET_COOKIE, set.parse().unwrap());
        }
        jar.keep(&"http://a.example/d/login".parse().unwrap(), &headers);
        let sent = sent(&jar, "http://a.example/d/page", None);
        assert_eq!(sent.as_deref(), Some("sid=deep; sid=root; z=3; a=2"));
    }
}
