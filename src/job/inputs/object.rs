//! The fields of JSON values: objects have one per key, in the order of first sight; other values are one field.

mod not_finite;

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::earlier::Earlier;
use super::notes::Notes;
use super::records::InputFile;
use crate::base::diagnostic::{print_error, visible};
use crate::task::{Fields, Kind, Value};
use not_finite::Numbers;
pub(super) use not_finite::{has_word, word_at};

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
        for (key, _) in object_in(text)? {
            if seen.insert(key.clone()) {
                self.names.push(key);
            }
        }
        Ok(())
    }

    /// The input that the value in `text` is, which is no object, beside objects.
    fn plain(&self, text: &[u8]) -> Result<Fields, String> {
        let value = value_in(text)?;
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
            return Ok(Some([&value_in(text)?].into_iter().collect()));
        }
        if self.has_plain && text.first() != Some(&b'{') {
            return self.plain(text).map(Some);
        }
        let object = object_in(text)?;
        if object.is_empty() {
            return Ok(None);
        }
        if self.names.is_empty() {
            return Err("no object was there to name the fields: set `fields`".into());
        }
        let mut values = vec![None; self.names.len()];
        let mut further = None;
        for (index, (key, value)) in object.into_iter().enumerate() {
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
type Object = Vec<(String, Value)>;

/// The object in `text`, or what is wrong with it.
fn object_in(text: &[u8]) -> Result<Object, String> {
    read(text, 1, |json, numbers| {
        let mut json = serde_json::Deserializer::from_slice(json);
        let object = Entries { numbers }.deserialize(&mut json)?;
        json.end().map(|()| object)
    })
}

/// The value in `text`, or what is wrong with it.
fn value_in(text: &[u8]) -> Result<Value, String> {
    read(text, 0, |json, numbers| value_of(serde_json::from_slice(json)?, numbers))
}

/// What `parse` reads in `text`, of whose values those at this depth may be `NaN` or another number that JSON does not know.
fn read<T>(
    text: &[u8],
    depth: usize,
    parse: impl Fn(&[u8], Option<&Numbers<'_>>) -> serde_json::Result<T>,
) -> Result<T, String> {
    let error = match parse(text, None) {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    let Some(numbers) = Numbers::of(text, depth)? else { return Err(complaint(text, &error)) };
    parse(numbers.json(), Some(&numbers)).map_err(|error| complaint(text, &error))
}

/// Reads an object.
struct Entries<'n> {
    numbers: Option<&'n Numbers<'n>>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = Object;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Object, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut entries: Object = Vec::new();
        let mut keys = HashSet::new();
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            if !keys.insert(key.clone()) {
                return Err(A::Error::custom(format!("has the key `{key}` twice")));
            }
            let value = value_of(value, self.numbers)
                .map_err(|error| A::Error::custom(format!("not JSON: `{key}`: {error}")))?;
            entries.push((key, value));
        }
        Ok(entries)
    }
}

/// A string as it is, null as nothing, anything else as the line has it: `0.10` stays `0.10`.
fn value_of(value: &RawValue, numbers: Option<&Numbers<'_>>) -> serde_json::Result<Value> {
    Ok(match value.get() {
        "null" => Value::null(),
        string if string.starts_with('"') => {
            Value { text: serde_json::from_str(string)?, kind: Kind::Text }
        }
        other => {
            let text = numbers.map_or(other, |numbers| numbers.written(other));
            Value { text: text.to_owned(), kind: Kind::Bare }
        }
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

/// Why a text is no JSON that has bytes of an encoding of which nothing was said.
pub(super) const NOT_UTF8: &str =
    "not JSON: it is not UTF-8: name the file's `encoding`, for example \"windows-1252\"";

/// What is wrong with a line.
fn complaint(line: &[u8], error: &serde_json::Error) -> String {
    let kind = match line[0] {
        b'[' => Some("an array"),
        b'"' => Some("a string"),
        b't' | b'f' => Some("a boolean"),
        b'n' => Some("null"),
        b'0'..=b'9' | b'-' | b'N' | b'I' => Some("a number"),
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
    if !error.is_data() && std::str::from_utf8(line).is_err() {
        return NOT_UTF8.into();
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
            ("NaN", "expected an object, found a number"),
            (r#"{"a": [1, NaN]}"#, "has `NaN` inside a value, which JSON does not know"),
            (
                r#"{"a": {"b": -Infinity}}"#,
                "has `-Infinity` inside a value, which JSON does not know",
            ),
            (r#"{"a": NaN, "b": ]}"#, "not JSON: expected value (column 17)"),
            (r#"{"a": NaNs}"#, "not JSON: expected value (column 7)"),
            ("{NaN: 1}", "not JSON: key must be a string (column 2)"),
        ] {
            let found = shape.fields(text.as_bytes(), place, &notes);
            assert_eq!(found, Err(message.to_owned()), "{text}");
        }
        assert_eq!(
            shape.fields(b"{\"a\": \"Gr\xf6\xdfe\"}", place, &notes),
            Err(NOT_UTF8.to_owned())
        );
        assert_eq!(shape.fields(b"{}", place, &notes), Ok(None));
        assert!(notes.words().is_empty());
        let further = shape.fields(b"{\"b\": 1}", place, &notes).unwrap().unwrap();
        assert_eq!(further, [&Value::null()].into_iter().collect());
        assert!(notes.words()[0].starts_with("standard input line 7: the key `b`"));
    }

    #[test]
    fn numbers_that_are_not_finite_are_read_as_python_reads_them() {
        let notes = Notes::default();
        let place = |what: &str| what.to_owned();
        let names = || vec!["a".to_owned(), "b".to_owned()];
        let bare = |text: &str| Value { text: text.into(), kind: Kind::Bare };
        let text = |text: &str| Value { text: text.into(), kind: Kind::Text };
        let shape = Shape { names: names(), ..Shape::default() };
        for (line, expected) in [
            (r#"{"a": NaN, "b": 1}"#, [bare("NaN"), bare("1")]),
            (r#"{"b":-Infinity,"a":Infinity}"#, [bare("Infinity"), bare("-Infinity")]),
            (r#"{"a": "NaN, \" NaN", "b":NaN }"#, [text("NaN, \" NaN"), bare("NaN")]),
            (r#"{"a": [1, {"x": "NaN"}], "b":	NaN}"#, [bare(r#"[1, {"x": "NaN"}]"#), bare("NaN")]),
            (r#"{"a": -1, "b": Infinity, "NaN": 2}"#, [bare("-1"), bare("Infinity")]),
        ] {
            let found = shape.fields(line.as_bytes(), place, &notes).unwrap().unwrap();
            assert_eq!(found, expected.iter().collect(), "{line}");
        }
        let mut learned = Shape::default();
        learned.learn(br#"{"a": NaN, "b": -Infinity}"#, &mut HashSet::new()).unwrap();
        assert_eq!(learned.names, names());
        let plain = Shape { names: vec!["input".into()], is_plain: true, ..Shape::default() };
        let found = plain.fields(b"-Infinity", place, &notes).unwrap().unwrap();
        assert_eq!(found, [&bare("-Infinity")].into_iter().collect());
        let error = plain.fields(b"{\"a\": NaN}", place, &notes).unwrap_err();
        assert_eq!(error, "has `NaN` inside a value, which JSON does not know");
    }
}
