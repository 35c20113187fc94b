//! Cookies: those of a chain of redirects, or of a whole job.

use std::sync::{Arc, Mutex, PoisonError};

use cookie_store::{CookieStore, RawCookie};
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Uri};
use serde::{Deserialize, Serialize};
use url::Url;

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
        let cookies = texts.filter_map(|text: String| RawCookie::parse(text).ok());
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .store_response_cookies(cookies.map(RawCookie::into_owned), &url);
    }

    /// Adds what is to be sent to `uri`. A cookie that the job file sends by itself gives way to one of its name.
    pub fn send(&self, uri: &Uri, headers: &mut HeaderMap) {
        let store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if store.iter_any().next().is_none() {
            return;
        }
        let Ok(url) = Url::parse(&uri.to_string()) else { return };
        let mut cookies: Vec<(Vec<u8>, Vec<u8>)> = store
            .get_request_values(&url)
            .map(|(name, value)| (narrow(name), narrow(value)))
            .collect();
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
        assert!(
            deep.contains("seen=1") && deep.contains("deep=2") && !deep.contains("safe"),
            "{deep}"
        );
    }
}
