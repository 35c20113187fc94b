//! `jsonl`: a file with a JSON object a line. The first one has the fields.

use std::collections::HashSet;
use std::fmt;
use std::io::{BufRead, BufReader, Seek, SeekFrom};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::job::inputs::InputError;
use crate::job::inputs::records::{Bytes, InputFile, Records};
use crate::task::{Fields, Kind, Value};

/// The objects of a JSON Lines file.
pub(super) struct Objects<R> {
    file: InputFile,
    reader: BufReader<R>,
    keys: Vec<String>,
    /// Read to learn the keys, and not handed out yet.
    first: Option<Fields>,
    position: u64,
    line_number: u64,
    line: Vec<u8>,
}

impl<R: Bytes> Objects<R> {
    /// Reads the first object of `reader`, which is `file`, opened. No object, no keys.
    pub fn new(file: InputFile, reader: R) -> Result<Self, InputError> {
        let reader = BufReader::with_capacity(1 << 16, reader);
        let (keys, line) = (Vec::new(), Vec::new());
        let mut objects =
            Self { file, reader, keys, first: None, position: 0, line_number: 0, line };
        if let Some(first) = objects.read().transpose()? {
            let values = first.0.iter().map(|(_, value)| value).collect();
            objects.keys = first.0.into_iter().map(|(key, _)| key).collect();
            if objects.keys.iter().any(String::is_empty) {
                return Err(objects.file.error_at(objects.line_number, "a key is empty"));
            }
            objects.first = Some(values);
        }
        Ok(objects)
    }

    /// The fields' names; none if there is no object at all.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The next line that is not blank.
    fn read(&mut self) -> Option<Result<Object, InputError>> {
        loop {
            self.line.clear();
            match self.reader.read_until(b'\n', &mut self.line) {
                Ok(0) => return None,
                Ok(length) => self.position += length as u64,
                Err(error) => return Some(Err(self.file.unreadable(&error))),
            }
            self.line_number += 1;
            let line = self.line.trim_ascii();
            let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
            if !line.is_empty() {
                let object = serde_json::from_slice(line).map_err(|error| complaint(line, &error));
                return Some(
                    object.map_err(|message| self.file.error_at(self.line_number, message)),
                );
            }
        }
    }

    /// The values of an object in the order of the keys.
    fn in_order(&self, object: Object) -> Result<Fields, InputError> {
        let mut values = vec![Value::null(); self.keys.len()];
        for (index, (key, value)) in object.0.into_iter().enumerate() {
            // Almost always the keys stand in the same order in every line.
            let same = self.keys.get(index).is_some_and(|known| *known == key);
            let place =
                if same { Some(index) } else { self.keys.iter().position(|known| *known == key) };
            let Some(place) = place else {
                let message = format!("the first object has no key `{key}`");
                return Err(self.file.error_at(self.line_number, message));
            };
            values[place] = value;
        }
        Ok(values.iter().collect())
    }
}

impl<R: Bytes> Records for Objects<R> {
    fn next_record(&mut self) -> Option<Result<Fields, InputError>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        let object = self.read()?;
        Some(object.and_then(|object| self.in_order(object)))
    }

    fn position(&self) -> u64 {
        if self.first.is_some() { 0 } else { self.position }
    }

    fn seek(&mut self, position: u64) -> Result<(), InputError> {
        self.first = None;
        self.position = position;
        let sought = self.reader.seek(SeekFrom::Start(position));
        sought.map(drop).map_err(|error| self.file.unreadable(&error))
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
                    entries.push((key, value_of(value).map_err(A::Error::custom)?));
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
    use std::io::Cursor;

    use super::*;
    use crate::job::inputs::records::Stream;

    fn open(text: &str) -> Result<Objects<Cursor<Vec<u8>>>, InputError> {
        let file = InputFile::find("-", "".as_ref()).unwrap();
        Objects::new(file, Cursor::new(text.as_bytes().to_vec()))
    }

    /// The rows, their values joined by `|`; an error as its message.
    fn rows(text: &str) -> Vec<String> {
        let stream = match open(text) {
            Ok(objects) => Stream::new(Box::new(objects)),
            Err(error) => return vec![error.to_string()],
        };
        let shown = |row: Result<Fields, InputError>| match row {
            Ok(fields) => {
                let values: Vec<_> = fields.iter().map(String::from_utf8_lossy).collect();
                values.join("|")
            }
            Err(error) => error.to_string(),
        };
        stream.map(shown).collect()
    }

    #[test]
    fn values_keep_their_text() {
        let text = "\u{feff}{\"a\": 0.10, \"b\": \"x\\n\"}\n\n\
            {\"b\": {\"c\": [1, 2]}, \"a\": null}\n{\"a\": 123456789012345678901234567890}";
        assert_eq!(open(text).unwrap().keys(), ["a", "b"]);
        let expected = ["0.10|x\n", "|{\"c\": [1, 2]}", "123456789012345678901234567890|"];
        assert_eq!(rows(text), expected);
        assert!(open("\n").unwrap().keys().is_empty());
    }

    #[test]
    fn a_bad_line_is_told_with_its_number() {
        for (line, message) in [
            ("[1]", "standard input line 3: expected an object, found an array"),
            ("17", "standard input line 3: expected an object, found a number"),
            ("{\"b\": 1}", "standard input line 3: the first object has no key `b`"),
            ("{\"a\": 1, \"a\": 2}", "standard input line 3: has the key `a` twice"),
            ("{\"a\": ]}", "standard input line 3: not JSON: expected value (column 7)"),
        ] {
            let rows = rows(&format!("{{\"a\": 1}}\n\n{line}\n{{\"a\": 2}}"));
            assert_eq!(rows, ["1", message], "{line}");
        }
        assert_eq!(rows("nothing"), ["standard input line 1: not JSON: expected ident (column 2)"]);
    }

    #[test]
    fn an_object_is_found_again() {
        let mut objects = open("{\"a\": 1}\n{\"a\": 22}\n").unwrap();
        let first = objects.position();
        objects.next_record();
        let second = objects.position();
        for (position, expected) in [(second, "22"), (first, "1")] {
            objects.seek(position).unwrap();
            assert_eq!(objects.next_record().unwrap().unwrap(), Fields::single_number(expected));
        }
    }
}
