//! Numbers and texts of the protocol: any bytes as a JSON string and back, and the dense form read without a parser.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

pub(super) fn write_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The bytes that a JSON string with quotes and escapes stands for.
pub(in crate::worker) fn unescape(json: &[u8]) -> Option<Vec<u8>> {
    serde_json::from_slice::<Text>(json).ok().map(|text| text.0)
}

/// Whether a JSON string has half of a surrogate pair that stands for no byte.
pub(in crate::worker) fn has_half(json: &[u8]) -> bool {
    // U+D800 to U+DC7F in WTF-8: ED A0 80 to ED B1 BF.
    let has_half = |wtf8: &[u8]| {
        memchr::memchr_iter(0xED, wtf8).any(|at| matches!(wtf8.get(at + 1), Some(0xA0..=0xB1)))
    };
    let mut json = serde_json::Deserializer::from_slice(json);
    json.deserialize_bytes(Wtf8(has_half)).unwrap_or_default()
}

/// The bytes that a JSON string stands for.
pub(in crate::worker) struct Text(pub(in crate::worker) Vec<u8>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Wtf8(|wtf8: &[u8]| Text(fold_surrogates(wtf8))))
    }
}

/// Makes something of a string, which `serde_json` hands over as WTF-8.
struct Wtf8<F>(F);

impl<T, F: FnOnce(&[u8]) -> T> Visitor<'_> for Wtf8<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<T, E> {
        Ok((self.0)(bytes))
    }
}

/// Turns lone surrogates `\udc80` to `\udcff`, which `serde_json` returns as three bytes of WTF-8, into one byte each.
fn fold_surrogates(wtf8: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(wtf8.len());
    let mut rest = wtf8;
    while let Some(at) = memchr::memchr(0xED, rest) {
        bytes.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        // U+DC80 to U+DCFF: ED B2 80 to ED B3 BF; the low eight bits of the code point are the byte.
        if let &[_, second @ (0xB2 | 0xB3), third, ..] = rest {
            bytes.push(((second & 3) << 6) | (third & 0x3F));
            rest = &rest[3..];
        } else {
            bytes.push(0xED);
            rest = &rest[1..];
        }
    }
    bytes.extend_from_slice(rest);
    bytes
}

/// Reads the dense form from the front of a line.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    pub(super) line: &'a [u8],
    pub(super) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a [u8]) -> Self {
        Self { line, rest: line }
    }

    pub(super) fn is_at(&self, expected: &[u8]) -> bool {
        self.rest.starts_with(expected)
    }

    pub(super) fn eat(&mut self, expected: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        let mut digits = 0;
        while let Some(digit) = self.rest.get(digits).filter(|byte| byte.is_ascii_digit()) {
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            digits += 1;
        }
        self.rest = &self.rest[digits..];
        (digits > 0).then_some(number)
    }

    pub(super) fn next_number(&mut self) -> Option<u64> {
        self.eat(b",")?;
        self.number()
    }

    /// The text of a result in the report, if it is of a simple kind: a string, null or an integer.
    pub(super) fn value(&mut self) -> Option<Vec<u8>> {
        if self.is_at(b"\"") {
            return self.text().map(Cow::into_owned);
        }
        if self.is_at(b"null,") {
            self.eat(b"null")?;
            return Some(Vec::new());
        }
        let sign = usize::from(self.is_at(b"-"));
        let digits = self.rest[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(sign + digits);
        if digits == 0 || rest.first() != Some(&b',') {
            return None;
        }
        self.rest = rest;
        Some(number.to_vec())
    }

    /// A string, which is borrowed if nothing in it is escaped.
    pub(super) fn text(&mut self) -> Option<Cow<'a, [u8]>> {
        let inside = self.rest.strip_prefix(b"\"")?;
        let mut end = memchr::memchr2(b'"', b'\\', inside)?;
        if inside[end] == b'"' {
            self.rest = &inside[end + 1..];
            return Some(Cow::Borrowed(&inside[..end]));
        }
        while inside[end] == b'\\' {
            let next = end + 2; // an escaped character does not end the string
            end = next + memchr::memchr2(b'"', b'\\', inside.get(next..)?)?;
        }
        let json = &self.rest[..end + 2];
        self.rest = &inside[end + 1..];
        unescape(json).map(Cow::Owned)
    }
}
