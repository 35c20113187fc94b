//! The fields of JSON values: objects have one per key, in the order of first sight; other values are one field.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::earlier::Earlier;
use super::notes::Notes;
use super::records::InputFile;
use crate::base::diagnostic::{print_error, visible};
use crate::task::{Fields, Kind, Value};

/// How many values are looked at for the names of their fields, and in how many bytes.
pub(super) const SAMPLE: usize = 1_000;
pub(super) const SAMPLE_BYTES: usize = 8 << 20;

/// What the values of a file have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The names of the fields.
    pub names: Vec<String>,
    /// Whether the job file names them: then further keys are left out on purpose.
    pub is_given: bool,
    /// Whether the values are no objects: each is the field `input`.
    pub is_plain: bool,
    /// Whether values that are no objects are the field `input` beside objects: another file has only such.
    pub has_plain: bool,
}

impl Shape {
    /// The shape that the job file names.
    pub fn given(names: Vec<String>) -> Self {
        Self { names, is_given: true, ..Self::default() }
    }

    /// Takes the fields of the report that is resumed, if it is one of such objects.
    pub fn resume(&mut self, earlier: &Earlier) {
        if self.is_plain || self.is_given {
            return;
        }
        let fields = earlier.fields(&self.names);
        if fields.iter().any(|field| self.names.contains(field)) {
            self.names = fields;
        }
    }

    /// Takes in the keys of the object in `text`, if it is one.
    ///
    /// # Errors
    /// What is wrong with it, if it is none.
    pub fn learn(&mut self, text: &[u8], seen: &mut HashSet<String>) -> Result<(), String> {
        let object: Object =
            serde_json::from_slice(text).map_err(|error| complaint(text, &error))?;
        for (key, _) in object.0 {
            if seen.insert(key.clone()) {
                self.names.push(key);
            }
        }
        Ok(())
    }

    /// The input that the value in `text` is, which is no object, beside objects.
    fn plain(&self, text: &[u8]) -> Result<Fields, String> {
        let read = serde_json::from_slice::<&RawValue>(text).and_then(value_of);
        let value = read.map_err(|error| complaint(text, &error))?;
        let null = Value::null();
        let of = |name: &String| if name == PLAIN { &value } else { &null };
        Ok(self.names.iter().map(of).collect())
    }

    /// An input without a value.
    pub fn missing(&self) -> Fields {
        let mut fields = Fields::default();
        fields.pad_null(self.names.len());
        fields
    }

    /// The input that the value in `text` is; `None` if it is none, being empty; or what is wrong with it.
    pub fn fields(
        &self,
        text: &[u8],
        place: impl FnOnce(&str) -> String,
        notes: &Notes,
    ) -> Result<Option<Fields>, String> {
        if self.is_plain {
            let value: &RawValue =
                serde_json::from_slice(text).map_err(|error| complaint(text, &error))?;
            let value = value_of(value).map_err(|error| complaint(text, &error))?;
            return Ok(Some([&value].into_iter().collect()));
        }
        if self.has_plain && text.first() != Some(&b'{') {
            return self.plain(text).map(Some);
        }
        let object: Object =
            serde_json::from_slice(text).map_err(|error| complaint(text, &error))?;
        if object.0.is_empty() {
            return Ok(None);
        }
        if self.names.is_empty() {
            return Err("no object was there to name the fields: set `fields`".into());
        }
        let mut values = vec![None; self.names.len()];
        let mut further = None;
        for (index, (key, value)) in object.0.into_iter().enumerate() {
            // Almost always the keys stand in the same order in every line.
            let same = self.names.get(index).is_some_and(|known| *known == key);
            let place =
                if same { Some(index) } else { self.names.iter().position(|known| *known == key) };
            match place {
                Some(place) => values[place] = Some(value),
                None => further = further.or(Some(key)),
            }
        }
        if let Some(key) = further.filter(|_| !self.is_given) {
            notes.further_key(|| place(&format!("the key `{key}`")));
        }
        let null = Value::null();
        Ok(Some(values.iter().map(|value| value.as_ref().unwrap_or(&null)).collect()))
    }
}

/// What JSON is waited for.
pub(super) const FIRST_OBJECTS: &str =
    "its first 1000 objects, which name the fields; with `fields` they need not be waited for";

/// The field that a value is which is no object.
pub(super) const PLAIN: &str = "input";

/// Says after a second that something is waited for, until it is dropped.
pub(super) struct Waiting {
    _end: Option<std::sync::mpsc::Sender<()>>,
}

impl Waiting {
    /// For `what` of `file`, if it can be long in coming.
    pub fn of(file: &InputFile, what: &str) -> Self {
        if file.regular {
            return Self { _end: None };
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        let message = format!("{file}: waiting for {what}");
        let thread = std::thread::Builder::new().name("waiting".into()).spawn(move || {
            let patience = std::time::Duration::from_secs(1);
            if receiver.recv_timeout(patience) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                print_error(&format!("{}\n", visible(&message)));
            }
        });
        Self { _end: thread.ok().map(|_| sender) }
    }
}

/// An object's keys and its values, in the order of the line.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries: Vec<(String, Value)> = Vec::new();
                let mut keys = HashSet::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    if !keys.insert(key.clone()) {
                        return Err(A::Error::custom(format!("has the key `{key}` twice")));
                    }
                    let value = value_of(value)
                        .map_err(|error| A::Error::custom(format!("not JSON: `{key}`: {error}")))?;
                    entries.push((key, value));
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// A string as it is, null as nothing, anything else as the line has it: `0.10` stays `0.10`.
fn value_of(value: &RawValue) -> serde_json::Result<Value> {
    Ok(match value.get() {
        "null" => Value::null(),
        string if string.starts_with('"') => {
            Value { text: serde_json::from_str(string)?, kind: Kind::Text }
        }
        other => Value { text: other.to_owned(), kind: Kind::Bare },
    })
}

/// The first escape in a line that is half of a pair without the other half.
fn lone_surrogate(line: &[u8]) -> Option<String> {
    let half = |rest: &[u8]| {
        let digits = rest.strip_prefix(b"\\u")?.get(..4)?;
        let digits = std::str::from_utf8(digits).ok()?;
        u16::from_str_radix(digits, 16).ok().filter(|half| (0xd800..0xe000).contains(half))
    };
    let mut rest = line;
    loop {
        rest = &rest[memchr::memchr(b'\\', rest)?..];
        let is_low = |half: u16| half >= 0xdc00;
        rest = match half(rest) {
            None => rest.get(2..)?,
            Some(first) if !is_low(first) && half(&rest[6..]).is_some_and(is_low) => &rest[12..],
            Some(_) => return Some(String::from_utf8_lossy(&rest[..6]).into_owned()),
        };
    }
}

/// What is wrong with a line.
fn complaint(line: &[u8], error: &serde_json::Error) -> String {
    let kind = match line[0] {
        b'[' => Some("an array"),
        b'"' => Some("a string"),
        b't' | b'f' => Some("a boolean"),
        b'n' => Some("null"),
        b'0'..=b'9' | b'-' => Some("a number"),
        _ => None,
    };
    if let (Some(kind), true) = (kind, error.is_data()) {
        return format!("expected an object, found {kind}");
    }
    if !error.is_eof()
        && let Some(surrogate) = lone_surrogate(line)
    {
        return format!("has the lone surrogate `{surrogate}`, which is half a character");
    }
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    if error.is_data() {
        message.to_owned()
    } else {
        format!("not JSON: {message} (column {})", error.column())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told() {
        let notes = Notes::default();
        let place = |what: &str| InputFile::stdin().complaint(7, what);
        let shape = Shape { names: vec!["a".into()], ..Shape::default() };
        for (text, message) in [
            ("[1]", "expected an object, found an array"),
            ("17", "expected an object, found a number"),
            ("{\"a\": 1, \"a\": 2}", "has the key `a` twice"),
            ("{\"a\": ]}", "not JSON: expected value (column 7)"),
            ("{\"a\": \"x", "not JSON: EOF while parsing a string (column 8)"),
            (
                r#"{"a": "\ud83d\ude00 \\ud800 \ud83d.", "b": 1}"#,
                r"has the lone surrogate `\ud83d`, which is half a character",
            ),
            (r#"{"a": "\uDC00"}"#, r"has the lone surrogate `\uDC00`, which is half a character"),
            ("nothing", "not JSON: expected ident (column 2)"),
        ] {
            let found = shape.fields(text.as_bytes(), place, &notes);
            assert_eq!(found, Err(message.to_owned()), "{text}");
        }
        assert_eq!(shape.fields(b"{}", place, &notes), Ok(None));
        assert!(notes.words().is_empty());
        let further = shape.fields(b"{\"b\": 1}", place, &notes).unwrap().unwrap();
        assert_eq!(further, [&Value::null()].into_iter().collect());
        assert!(notes.words()[0].starts_with("standard input line 7: the key `b`"));
    }
}
