//! The proxies that the environment names. hyper-util leaves out what it cannot read, and the request would go to the
//! server itself: here that is an error of the request.

use std::ffi::OsString;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use url::Url;

/// In place of a proxy that will not do, so that it is known for which requests it would be.
const PLACEHOLDER: &str = "http://unusable.invalid";

/// What can be spoken to a proxy.
const SCHEMES: [&str; 5] = ["http", "socks4", "socks4a", "socks5", "socks5h"];

/// The proxies for requests.
#[derive(Debug)]
pub(super) struct Proxies {
    matcher: Matcher,
    /// What is wrong with the one for `http`, if anything.
    http: Option<String>,
    /// What is wrong with the one for `https`, if anything.
    https: Option<String>,
}

impl Proxies {
    /// Those of the environment; `None` if it names none.
    pub fn from_env() -> Option<Self> {
        Self::read(&|name| std::env::var_os(name))
    }

    fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<Self> {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = variable(name)?.to_string_lossy().into_owned();
                (!value.is_empty()).then_some((*name, value))
            })
        };
        // A server that runs CGI programs sets `HTTP_PROXY` to whatever its client has sent as the header `Proxy`.
        let is_cgi = variable("REQUEST_METHOD").is_some();
        // In lower case first, as curl has it.
        let all = ["all_proxy", "ALL_PROXY"];
        let http = if is_cgi { &["http_proxy"][..] } else { &["http_proxy", "HTTP_PROXY"] };
        let http = first(http).or_else(|| first(&all));
        let https = first(&["https_proxy", "HTTPS_PROXY"]).or_else(|| first(&all));
        if http.is_none() && https.is_none() {
            return None;
        }
        let ((http, wrong_http), (https, wrong_https)) = (checked(http), checked(https));
        let no = first(&["no_proxy", "NO_PROXY"]).map_or(String::new(), |(_, hosts)| hosts);
        if no.trim() == "*" {
            return None;
        }
        let no = no.split_ascii_whitespace().collect::<Vec<_>>().join(",");
        let matcher = Matcher::builder().http(http).https(https).no(no).build();
        Some(Self { matcher, http: wrong_http, https: wrong_https })
    }

    /// The proxy for requests to `uri`, if there is one.
    ///
    /// # Errors
    /// In words, if it will not do.
    pub fn of(&self, uri: &Uri) -> Result<Option<Intercept>, String> {
        let Some(proxy) = self.matcher.intercept(uri) else { return Ok(None) };
        let wrong = if uri.scheme_str() == Some("https") { &self.https } else { &self.http };
        wrong.clone().map_or(Ok(Some(proxy)), Err)
    }
}

/// What the matcher gets of a setting, and what is wrong with it.
fn checked(setting: Option<(&'static str, String)>) -> (String, Option<String>) {
    let Some((name, value)) = setting else { return (String::new(), None) };
    match check(&value) {
        Ok(url) => (url, None),
        // The value may have a password.
        Err(why) => {
            (PLACEHOLDER.into(), Some(format!("the proxy in `{name}` cannot be used: {why}")))
        }
    }
}

/// The URL of a proxy, which has no scheme where it is HTTP.
fn check(value: &str) -> Result<String, String> {
    let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    // The parser would leave them out.
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("it has a blank or a control character".into());
    }
    let parsed = Url::parse(&url).map_err(|error| error.to_string())?;
    let scheme = parsed.scheme();
    if !SCHEMES.contains(&scheme) {
        let known = "`http`, `socks4`, `socks4a`, `socks5` or `socks5h`";
        return Err(format!("`{}` is not supported, only {known}", scheme.escape_debug()));
    }
    if parsed.host_str().is_none_or(str::is_empty) {
        return Err("it has no host".into());
    }
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let url = format!("{scheme}://{rest}"); // in lower case, as the matcher wants it
    let uri = Uri::try_from(&url).map_err(|error| error.to_string())?;
    if uri.host().is_none_or(str::is_empty) {
        return Err("it has no host".into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], url: &'static str) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let Some(proxies) = Proxies::read(&variable) else { return Ok(None) };
        let proxy = proxies.of(&Uri::from_static(url))?;
        Ok(proxy.map(|proxy| proxy.uri().to_string()))
    }

    #[test]
    fn a_proxy_that_will_not_do_is_an_error() {
        for value in [
            "socks://127.0.0.1:1",
            "ftp://127.0.0.1:1",
            "htp://127.0.0.1:1",
            "https://127.0.0.1:1",
            "http://127.0.0.1:99999",
            "http://[bad",
            "http://",
            "socks5://",
            "http://pro xy:1",
            " http://127.0.0.1:1",
            "\"http://127.0.0.1:1\"",
            "http://user:secret@",
            "://",
        ] {
            for name in ["http_proxy", "HTTP_PROXY", "all_proxy"] {
                let error = of(&[(name, value)], "http://a.example/").unwrap_err();
                assert!(error.starts_with(&format!("the proxy in `{name}` cannot be used")));
                assert!(!error.contains("secret"), "{error}");
                let spared = [(name, value), ("no_proxy", "a.example")];
                assert_eq!(of(&spared, "http://a.example/"), Ok(None), "{value}");
            }
            assert_eq!(of(&[("https_proxy", value)], "http://a.example/"), Ok(None), "{value}");
            assert!(of(&[("https_proxy", value)], "https://a.example/").is_err(), "{value}");
        }
    }

    #[test]
    fn proxies() {
        for (variables, expected) in [
            (&[("http_proxy", "http://p:1")][..], Some("http://p:1/")),
            (&[("http_proxy", "p:1")], Some("http://p:1/")),
            (&[("http_proxy", "p:1/")], Some("http://p:1/")),
            (&[("http_proxy", "p")], Some("http://p/")),
            (&[("http_proxy", "HTTP://p:1")], Some("http://p:1/")),
            (&[("all_proxy", "SOCKS5://u:w@p:1")], Some("socks5://p:1/")),
            (&[("http_proxy", ""), ("all_proxy", "p:2")], Some("http://p:2/")),
            (&[("HTTP_PROXY", ""), ("http_proxy", "p:1")], Some("http://p:1/")),
            (&[("HTTP_PROXY", "p:1"), ("REQUEST_METHOD", "GET")], None),
            (&[("http_proxy", "p:1"), ("no_proxy", "*")], None),
            (&[("no_proxy", "*")], None),
            (&[("http_proxy", "p:1"), ("no_proxy", "b.example a.example")], None),
            (&[("http_proxy", "p:1"), ("no_proxy", " b.example , a.example ")], None),
            (
                &[("http_proxy", "p:1"), ("no_proxy", "b.example"), ("NO_PROXY", "*")],
                Some("http://p:1/"),
            ),
            (&[("http_proxy", "p:1"), ("HTTP_PROXY", "p:2")], Some("http://p:1/")),
            (&[], None),
        ] {
            let found = of(variables, "http://a.example/");
            assert_eq!(found, Ok(expected.map(str::to_owned)), "{variables:?}");
        }
        let all = [("http_proxy", "p:1"), ("no_proxy", " * ")];
        assert_eq!(of(&all, "http://127.0.0.1/"), Ok(None)); // an address, too
    }
}
