//! One value of a JSON text. Only what the pointer names is read: what else there is may be nested to any depth, and have
//! half a surrogate pair in its strings, as Python's `json` takes it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::base::text::without_mark;

/// What stands at a place of a JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// `null`.
    Null,
    /// The text of a string.
    Text(String),
    /// Anything else, as JSON: numbers as they are written, without blanks between the tokens.
    Json(String),
}

/// The value at `pointer` (RFC 6901) in `text`, which may start with a byte order mark; `None` if there is no such place.
///
/// # Errors
/// In words, if the text is not JSON to its end, or the value cannot be a text.
pub fn at(text: &[u8], pointer: &str) -> Result<Option<Found>, String> {
    let text = std::str::from_utf8(without_mark(text))
        .map_err(|error| format!("not JSON: it is not UTF-8 after byte {}", error.valid_up_to()))?;
    if text.trim_ascii().is_empty() {
        return Err("empty".into());
    }
    let keys: Vec<String> =
        pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~")).collect();
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = Seek(&keys)
        .deserialize(&mut reader)
        .and_then(|found| reader.end().map(|()| found))
        .map_err(|error| format!("not JSON: {}", in_words(&error)))?;
    found.map(read).transpose()
}

/// The value at `keys` in `text`, as it is written; `None` if there is none, or the text is not JSON.
pub fn inside<'a>(text: &'a str, keys: &[String]) -> Option<&'a RawValue> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = Seek(keys).deserialize(&mut reader).ok()?;
    reader.end().ok().and(found)
}

/// Without the place, if that is the only line.
fn in_words(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column", " at column")
}

fn read(value: &RawValue) -> Result<Found, String> {
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'n') => Ok(Found::Null),
        Some(b'"') => serde_json::from_str(json).map(Found::Text).map_err(|_| {
            "not a text at this place: the string has half a surrogate pair".to_owned()
        }),
        Some(b'[' | b'{') => Ok(Found::Json(compact(json))),
        _ => Ok(Found::Json(json.to_owned())),
    }
}

/// Without the blanks between the tokens, and with characters instead of escapes where JSON lets them stand.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(place) = rest.find(|c: char| c == '"' || c.is_ascii_whitespace()) {
        out.push_str(&rest[..place]);
        rest = &rest[place..];
        if !rest.starts_with('"') {
            rest = rest.trim_ascii_start();
            continue;
        }
        let (string, after) = rest.split_at(end_of_string(rest));
        let text = serde_json::from_str::<String>(string);
        match text.and_then(|text| serde_json::to_string(&text)) {
            Ok(string) => out.push_str(&string),
            Err(_) => out.push_str(string), // half a surrogate pair, which only an escape can be
        }
        rest = after;
    }
    out + rest
}

/// Behind the closing quote of the string that `json` starts with.
fn end_of_string(json: &str) -> usize {
    let mut is_escaped = false;
    let closes = |&(_, byte): &(usize, u8)| {
        let is_quote = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_quote
    };
    json.bytes().enumerate().skip(1).find(closes).map_or(json.len(), |(place, _)| place + 1)
}

/// Looks for the value at these keys.
struct Seek<'k>(&'k [String]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            return serde::Deserialize::deserialize(reader).map(Some);
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(None) };
        let mut found = None;
        while let Some(is_it) = members.next_key_seed(Key(first))? {
            if is_it {
                found = members.next_value_seed(Seek(rest))?; // of several the last one counts
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(None) };
        let is_index = first == "0" || !first.starts_with(['0', '+']);
        let index = first.parse::<usize>().ok().filter(|_| is_index);
        let (mut found, mut place) = (None, 0);
        loop {
            if index == Some(place) {
                let Some(value) = elements.next_element_seed(Seek(rest))? else { break };
                found = value;
            } else if elements.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
            place += 1;
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether a key is this one. It is read as bytes, since half a surrogate pair is no text.
struct Key<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<bool, E> {
        Ok(key == self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, pointer: &str) -> String {
        match at(text.as_bytes(), pointer) {
            Ok(None) => "nothing".into(),
            Ok(Some(Found::Null)) => "null".into(),
            Ok(Some(Found::Text(text))) => format!("text {text}"),
            Ok(Some(Found::Json(json))) => json,
            Err(error) => format!("error {error}"),
        }
    }

    #[test]
    fn a_value_is_read_whatever_stands_beside_it() {
        let deep = format!("{{\"b\":1,\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        for (text, pointer, expected) in [
            (r#"{"a":"x\ud83d","b":1}"#, "/b", "1"),
            (r#"{"\ud83d":0,"b":1}"#, "/b", "1"),
            (&deep, "/b", "1"),
            (r#"{"b":1,"a":{"$serde_json::private::Number":"abc"}}"#, "/b", "1"),
            (r#"{"b":{"$serde_json::private::Number":"7"}}"#, "/b/x", "nothing"),
            (
                r#"{"b":{"$serde_json::private::RawValue": "7 7"}}"#,
                "/b",
                r#"{"$serde_json::private::RawValue":"7 7"}"#,
            ),
            ("\u{feff}[1, 1e2, 1e400, 1.10, -0, 1E5]", "", "[1,1e2,1e400,1.10,-0,1E5]"),
            ("[1e2, 1e400, 1.10]", "/1", "1e400"),
            ("[1, 2]", "/01", "nothing"),
            ("[1, 2]", "/-", "nothing"),
            (r#"{"a": {"b": "c \" \u00e9\/"} }"#, "/a", r#"{"b":"c \" é/"}"#),
            (r#"{"a": ["\ud83d"] }"#, "/a", r#"["\ud83d"]"#),
            (r#"{"a/b": {"~": null}}"#, "/a~1b/~0", "null"),
            (r#"{"a": 1, "a": 2}"#, "/a", "2"),
            (r#"{"a": {"b": 1}, "a": {}}"#, "/a/b", "nothing"),
            (r#"{"a": "x"}"#, "/a/b", "nothing"),
            (r#"{"a": 1.5}"#, "/a/b", "nothing"),
            (r#"{"a": true}"#, "/a/b", "nothing"),
            (r#"{"a": null}"#, "/a/b", "nothing"),
            (r#"{"a": "\u00e9"}"#, "/a", "text é"),
            ("  \n", "/a", "error empty"),
        ] {
            assert_eq!(found(text, pointer), expected, "{pointer} in {text:.60}");
        }
    }

    #[test]
    fn what_cannot_be_read_has_a_reason() {
        for (text, pointer, reason) in [
            (r#"{"a":"x\ud83d"}"#, "/a", "half a surrogate pair"),
            (r#"{"a": 1} x"#, "/a", "trailing characters"),
            (r#"{"a": 1, "b"#, "/a", "EOF"),
            ("{\"a\": NaN}", "/a", "not JSON"),
            ("{\"a\": 1, \"b\": \"\n\"}", "/a", "control character"),
        ] {
            let said = found(text, pointer);
            assert!(said.starts_with("error") && said.contains(reason), "{text}: {said}");
        }
        assert!(at(b"{\"a\": 1, \"b\": \"\xff\"}", "/a").unwrap_err().contains("not UTF-8"));
    }
}
