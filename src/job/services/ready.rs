//! `ready`: how a service shows that the job can start.

use std::fmt;
use std::str::FromStr;

use regex::bytes::Regex;
use toml::Spanned;
use toml::de::DeValue;

use crate::base::setting::deserialize_from_str;
use crate::config::{Planner, Table};

/// How a service shows that the job can start.
#[derive(Clone, Debug)]
pub enum Ready {
    /// It does not: the job starts as soon as the program has been started.
    AtOnce,
    /// Something answers an HTTP request for this URL, whatever it says.
    Url(Url),
    /// Something accepts connections at this address.
    Tcp(Address),
    /// It writes a line that matches.
    Line(Regex),
}

impl Ready {
    /// The address where it is going to listen.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Url(url) => Some(&url.address),
            Self::Tcp(address) => Some(address),
            Self::AtOnce | Self::Line(_) => None,
        }
    }
}

impl fmt::Display for Ready {
    /// The condition: `ready when …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce => f.write_str("it has been started"),
            Self::Url(url) => write!(f, "http://{}{} answers", url.authority, url.target),
            Self::Tcp(address) => write!(f, "{address} accepts connections"),
            Self::Line(regex) => write!(f, "a line of its output matches `{regex}`"),
        }
    }
}

/// A place to connect to: host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or a number; that of IPv6 without its brackets.
    pub host: String,
    /// Above 0.
    pub port: u16,
}

impl Address {
    /// `host:port`, or `host` where there is a default port.
    fn parse(text: &str, default_port: Option<u16>) -> Result<Self, String> {
        let bad = || format!("invalid address `{text}`: write for example \"127.0.0.1:8000\"");
        // The colons of an IPv6 number are within brackets.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let port = port.parse().ok().filter(|&port| port > 0);
                (host, Some(port.ok_or_else(bad)?))
            }
            _ => (text, default_port),
        };
        let number = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = number.unwrap_or(host);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let fits = !host.is_empty()
            && host.chars().all(|c| is_plain(c) || number.is_some() && matches!(c, ':' | '%'));
        match port {
            Some(port) if fits => Ok(Self { host: host.into(), port }),
            _ => Err(bad()),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, None)
    }
}

deserialize_from_str!(Address, "an address such as \"127.0.0.1:8000\"");

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// An `http` URL, as far as asking for it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The address to connect to.
    pub address: Address,
    /// As it was written: the header `Host`.
    pub authority: String,
    /// The path and the query, from the first `/` on.
    pub target: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            let wrong = format!("`{text}`: a service's `https` is not asked");
            return Err(format!("{wrong}; use `tcp = \"host:port\"` or `line = \"…\"`"));
        }
        let bad = || format!("invalid URL `{text}`: write for example \"http://127.0.0.1:8000/\"");
        let rest = text.strip_prefix("http://").ok_or_else(bad)?;
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let target = target.split('#').next().unwrap_or_default();
        if target.contains(|c: char| c.is_control() || c == ' ') {
            return Err(bad());
        }
        let address = Address::parse(authority, Some(80)).map_err(|_| bad())?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { address, authority: authority.into(), target: format!("{slash}{target}") })
    }
}

deserialize_from_str!(Url, "a URL such as \"http://127.0.0.1:8000/\"");

/// Reads `ready`. `None` if there was a mistake, which has been noted.
pub(super) fn read(table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Ready> {
    let Some(value) = table.raw("ready") else { return Some(Ready::AtOnce) };
    if let Some(text) = table.text_of(value) {
        return plain(&text).map_err(|message| plan.error(value.span(), message)).ok();
    }
    if !matches!(value.get_ref(), DeValue::Table(_)) {
        table.wrong_type("ready", value, "a table such as `{ url = \"http://127.0.0.1:8000/\" }`");
        return None;
    }
    let mut ready = table.table("ready")?;
    let url = ready.get::<Url>("url").map(Spanned::into_inner).map(Ready::Url);
    let tcp = ready.get::<Address>("tcp").map(Spanned::into_inner).map(Ready::Tcp);
    let line = ready.get::<String>("line").and_then(|regex| line(&regex, plan));
    let given = ["url", "tcp", "line"].iter().filter(|key| ready.has(key)).count();
    if given != 1 && !ready.has_unknown() {
        let help = "`url` answers, `tcp` accepts connections, or a `line` of its output matches";
        let message = format!("`ready` has exactly one of `url`, `tcp` and `line`, not {given}");
        plan.error_with_help(ready.span(), message, help);
    }
    ready.finish();
    if given == 1 { url.or(tcp).or(line) } else { None }
}

/// A URL and an address cannot be mistaken for each other; a line could be for both.
fn plain(text: &str) -> Result<Ready, String> {
    if text.contains("://") {
        return text.parse().map(Ready::Url);
    }
    let help = "a line of output is written `{ line = \"…\" }`";
    text.parse().map(Ready::Tcp).map_err(|error: String| format!("`ready`: {error}; {help}"))
}

fn line(regex: &Spanned<String>, plan: &Planner<'_>) -> Option<Ready> {
    Regex::new(regex.get_ref())
        .map_err(|error| {
            // Its last line is the reason; the others draw the place, which the diagnostic does.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            plan.error(regex.span(), format!("regex does not compile: {reason}"));
        })
        .map(Ready::Line)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, host, port) in [
            ("127.0.0.1:8000", "127.0.0.1", 8000),
            ("localhost:1", "localhost", 1),
            ("[::1]:65535", "::1", 65535),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string(), text);
        }
        for text in ["", "8000", "localhost", ":8000", "a:0", "a:65536", "a b:1", "::1", "[::1]"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn urls() {
        for (text, address, target) in [
            ("http://127.0.0.1:8000/", "127.0.0.1:8000", "/"),
            ("http://localhost", "localhost:80", "/"),
            ("http://[::1]/health?x=1#top", "[::1]:80", "/health?x=1"),
            ("http://a:1?x", "a:1", "/?x"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.address.to_string().as_str(), url.target.as_str()), (address, target));
        }
        for text in ["http://", "http:///x", "http://u@h/", "ftp://a/", "a", "http://a/ b"] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
        let error = "https://a/".parse::<Url>().unwrap_err();
        assert!(error.contains("tcp = "), "{error}");
    }

    #[test]
    fn a_plain_string_is_a_url_or_an_address() {
        assert!(matches!(plain("http://a:1/"), Ok(Ready::Url(_))));
        assert!(matches!(plain("a:1"), Ok(Ready::Tcp(_))));
        assert!(plain("listening").unwrap_err().contains("line = "));
    }
}
