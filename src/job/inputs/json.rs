//! `json`: one document that has an array, read as a stream: an input is an element.

use std::collections::HashSet;
use std::sync::Arc;

use super::InputError;
use super::notes::Notes;
use super::object::{SAMPLE, SAMPLE_BYTES, Shape, Waiting};
use super::text::{LONGEST, Text, TextRecords};
use crate::task::Fields;

/// The elements of an array in a document.
pub(super) struct Elements {
    text: Text,
    shape: Shape,
    notes: Arc<Notes>,
    /// How many objects and arrays the array is in.
    depth: usize,
    /// What came before the place where it is read.
    before: Before,
}

/// What an element of an array comes after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Start,
    Comma,
    Element,
    /// Either: it was sought.
    Unknown,
}

/// Finds the end of a value, piece by piece.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    /// A number or a word, which ends before what follows it.
    in_word: bool,
}

impl Scan {
    /// Looks at the next bytes; says how many of them belong to the value, if it ends in them.
    fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if self.in_string {
                if self.is_escaped {
                    self.is_escaped = false;
                    at += 1;
                    continue;
                }
                at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
                self.is_escaped = bytes[at] == b'\\';
                self.in_string = self.is_escaped;
                at += 1;
                if !self.in_string && self.depth == 0 {
                    return Some(at);
                }
                continue;
            }
            match byte {
                b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' if self.in_word => {
                    return Some(at);
                }
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                b',' if self.depth == 0 => return Some(at),
                _ if self.depth == 0 && !byte.is_ascii_whitespace() => self.in_word = true,
                _ => {}
            }
            at += 1;
        }
        None
    }
}

impl Elements {
    /// The elements of the array at the pointer `at` (RFC 6901) of `text`. Without a shape, the first ones tell it.
    pub fn new(
        text: Text,
        at: &str,
        shape: Option<Shape>,
        notes: Arc<Notes>,
    ) -> Result<Self, InputError> {
        let is_known = shape.is_some();
        let shape = shape.unwrap_or_default();
        let mut elements = Self { text, shape, notes, depth: 0, before: Before::Start };
        elements.find(at)?;
        if !is_known {
            let _waiting = Waiting::of(elements.text.file());
            elements.learn()?;
        }
        Ok(elements)
    }

    /// Takes the fields of the report that is resumed: see [`Shape::resume`].
    pub fn resume(&mut self, columns: &[String]) {
        self.shape.resume(columns);
    }

    /// What the elements have in common.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Goes to the first element of the array at `pointer`.
    fn find(&mut self, pointer: &str) -> Result<(), InputError> {
        let mut before = String::new();
        for part in pointer.split('/').skip(1) {
            let name = part.replace("~1", "/").replace("~0", "~");
            let mut keys = Vec::new();
            let is_there = match self.peek()? {
                Some(b'{') => self.find_key(&name, &mut keys)?,
                Some(b'[') => self.find_index(&name)?,
                _ => false,
            };
            if !is_there {
                let place =
                    if before.is_empty() { "the document".into() } else { format!("`{before}`") };
                let has = if keys.is_empty() { "" } else { ": it has " };
                let message = format!(
                    "{place} has no `{name}`, which `at = \"{pointer}\"` names{has}{}",
                    keys.join(", ")
                );
                return Err(self.text.file().error(message).about("at"));
            }
            self.depth += 1;
            before = format!("{before}/{part}");
        }
        let found = match self.peek()? {
            Some(b'[') => {
                self.text.consume(1);
                return Ok(());
            }
            None => {
                let why = self.text.breakage().unwrap_or("has no document");
                return Err(self.text.file().error(why));
            }
            Some(b'{') => "an object",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            Some(b'0'..=b'9' | b'-') => "a number",
            Some(_) => return Err(self.text.file().error_at(self.text.line(0), "not JSON")),
        };
        let line = self.text.line(0);
        let place = if before.is_empty() { "the document".into() } else { format!("`{before}`") };
        let help = match self.arrays(pointer) {
            arrays if !arrays.is_empty() => format!(": set `at` to {}", arrays.join(" or ")),
            _ if pointer.is_empty() && found == "an object" => {
                ": `at` names an array in it; a file with an object a line is read by `jsonl`"
                    .into()
            }
            _ => String::new(),
        };
        let message = format!("{place} is {found}, not an array{help}");
        Err(self.text.file().error_at(line, message).about("at"))
    }

    /// The pointers to the arrays in the object that comes next at `pointer`, as far as it is in the window.
    fn arrays(&self, pointer: &str) -> Vec<String> {
        let mut values = serde_json::Deserializer::from_slice(self.text.window()).into_iter();
        let Some(Ok(serde_json::Value::Object(object))) = values.next() else {
            return Vec::new();
        };
        let arrays = object.iter().filter(|(_, value)| value.is_array());
        arrays
            .map(|(key, _)| format!("\"{pointer}/{}\"", key.replace('~', "~0").replace('/', "~1")))
            .collect()
    }

    /// Enters the object that comes next, up to the value of `name`. Notes the first other keys for a message.
    fn find_key(&mut self, name: &str, others: &mut Vec<String>) -> Result<bool, InputError> {
        self.text.consume(1);
        loop {
            if self.peek()? != Some(b'"') {
                return Ok(false);
            }
            let length = self.value_length()?;
            let key = self.text.window().get(..length).map(serde_json::from_slice::<String>);
            let is_it = matches!(&key, Some(Ok(key)) if key == name);
            if let Some(Ok(key)) = key
                && others.len() < 10
            {
                others.push(format!("`{key}`"));
            }
            self.text.consume(length);
            if self.peek()? != Some(b':') {
                return Ok(false);
            }
            self.text.consume(1);
            if is_it {
                return Ok(true);
            }
            self.skip_value()?;
            if self.peek()? != Some(b',') {
                return Ok(false);
            }
            self.text.consume(1);
        }
    }

    /// Enters the array that comes next, up to the element of this index.
    fn find_index(&mut self, index: &str) -> Result<bool, InputError> {
        let Ok(index) = index.parse::<u64>() else { return Ok(false) };
        self.text.consume(1);
        for _ in 0..index {
            self.skip_value()?;
            if self.peek()? != Some(b',') {
                return Ok(false);
            }
            self.text.consume(1);
        }
        Ok(!matches!(self.peek()?, None | Some(b']')))
    }

    /// The next byte that is not a blank, which is not consumed.
    fn peek(&mut self) -> Result<Option<u8>, InputError> {
        loop {
            let window = self.text.window();
            if let Some(blanks) = window.iter().position(|byte| !byte.is_ascii_whitespace()) {
                self.text.consume(blanks);
                return Ok(self.text.window().first().copied());
            }
            self.text.consume(window.len());
            if !self.text.more()? {
                return Ok(None);
            }
        }
    }

    /// How long the next value is, all of which is then in the window; 0 if it does not end.
    fn value_length(&mut self) -> Result<usize, InputError> {
        self.peek()?;
        let (mut scan, mut seen) = (Scan::default(), 0);
        loop {
            let window = self.text.window();
            if let Some(length) = scan.advance(&window[seen..]) {
                return Ok(seen + length);
            }
            seen = window.len();
            if seen > LONGEST || !self.text.more()? {
                return Ok(0);
            }
        }
    }

    fn skip_value(&mut self) -> Result<(), InputError> {
        self.peek()?;
        let mut scan = Scan::default();
        loop {
            let window = self.text.window();
            if let Some(length) = scan.advance(window) {
                self.text.consume(length);
                return Ok(());
            }
            self.text.consume(window.len());
            if !self.text.more()? {
                return Ok(());
            }
        }
    }

    /// Looks at the first elements, and consumes none.
    fn learn(&mut self) -> Result<(), InputError> {
        let (mut at, mut elements, mut seen) = (0, 0, HashSet::new());
        let (mut scan, mut scanned, mut has_objects) = (Scan::default(), 0, false);
        while elements < SAMPLE && at < SAMPLE_BYTES {
            let rest = &self.text.window()[at..];
            let gap = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
            let blanks =
                if scanned == 0 { rest.iter().take_while(|byte| gap(byte)).count() } else { 0 };
            at += blanks;
            let rest = &rest[blanks..];
            if scanned == 0 && rest.first() == Some(&b']') {
                break;
            }
            let Some(length) = scan.advance(&rest[scanned..]).map(|length| scanned + length) else {
                scanned = rest.len();
                if rest.len() > SAMPLE_BYTES || !self.text.more()? {
                    break;
                }
                continue;
            };
            has_objects |= rest[0] == b'{';
            let _ = self.shape.learn(&rest[..length], &mut seen); // what is wrong is a row
            elements += 1;
            at += length.max(1);
            (scan, scanned) = (Scan::default(), 0);
        }
        if elements > 0 && !has_objects {
            self.shape = Shape { names: vec!["input".into()], is_plain: true, ..Shape::default() };
        }
        Ok(())
    }

    /// A document that is not what it should be from here on.
    fn torn(&mut self, message: &str) -> Fields {
        self.text.cut().unwrap_or_else(|| self.text.last_bad(self.text.window().len(), message))
    }

    /// Reads the comma before an element, and says whether there is one; or what is wrong there.
    fn comma(&mut self) -> Result<Result<bool, Fields>, InputError> {
        let before = std::mem::replace(&mut self.before, Before::Unknown);
        let wrong = match (self.peek()?, before) {
            (None, _) => return Ok(Err(self.torn("the document ends inside its array"))),
            (Some(b','), Before::Element | Before::Unknown) => {
                self.text.consume(1);
                self.before = Before::Comma;
                return self.comma();
            }
            (Some(b','), Before::Start | Before::Comma) => {
                self.before = Before::Comma;
                return Ok(Err(self.text.bad(1, "not JSON: no element before this comma")));
            }
            (Some(b']'), Before::Comma) => "not JSON: no element after the last comma",
            (Some(b']'), _) => return Ok(Ok(false)),
            (Some(_), Before::Element) => "not JSON: no comma before this element",
            (Some(_), _) => return Ok(Ok(true)),
        };
        Ok(Err(self.wrong_element(wrong)?))
    }

    /// The datum that the next element is, or the lack of one.
    fn wrong_element(&mut self, message: &str) -> Result<Fields, InputError> {
        let is_none = self.peek()? == Some(b']');
        let length = if is_none { 0 } else { self.value_length()? };
        self.before = if is_none { Before::Unknown } else { Before::Element };
        if length == 0 && !is_none {
            return Ok(self.torn(message));
        }
        Ok(self.text.bad(length, message))
    }

    fn element(&mut self) -> Result<Option<Fields>, InputError> {
        loop {
            match self.comma()? {
                Err(bad) => return Ok(Some(bad)),
                Ok(false) => {
                    self.text.consume(1);
                    return self.rest();
                }
                Ok(true) => {}
            }
            let length = self.value_length()?;
            if length == 0 {
                let is_long = self.text.window().len() > LONGEST;
                return Ok(Some(self.torn(if is_long {
                    "an element that starts here is longer than 64 MiB"
                } else {
                    "an element starts here and never ends"
                })));
            }
            self.before = Before::Element;
            let text = &self.text;
            let value = &text.window()[..length];
            let found = if let Some(message) = text.undecodable(value) {
                Err(message)
            } else {
                let place = |what: &str| text.file().complaint(text.line(0), what);
                self.shape.fields(value, place, &self.notes)
            };
            match found {
                Ok(None) => self.text.consume(length),
                Ok(fields) => {
                    self.text.consume(length);
                    return Ok(fields);
                }
                Err(message) => return Ok(Some(self.text.bad(length, message))),
            }
        }
    }

    /// What follows the array: a document that is cut there is not whole.
    fn rest(&mut self) -> Result<Option<Fields>, InputError> {
        let mut scan = Scan { depth: self.depth, ..Scan::default() };
        while self.depth > 0 {
            let window = self.text.window();
            if let Some(length) = scan.advance(window) {
                self.text.consume(length);
                break;
            }
            self.text.consume(window.len());
            if !self.text.more()? {
                let message = "the document ends after the array, before it is closed";
                return Ok(Some(self.torn(message)));
            }
        }
        Ok(match self.peek()? {
            None => self.text.cut(),
            Some(_) => {
                Some(self.torn(
                    "more follows the document: a file with a value a line is read by `jsonl`",
                ))
            }
        })
    }
}

impl TextRecords for Elements {
    fn text(&mut self) -> &mut Text {
        &mut self.text
    }

    fn read(&mut self) -> Result<Option<Fields>, InputError> {
        self.element()
    }

    fn sought(&mut self) {
        self.before = Before::Unknown;
    }
}

#[cfg(test)]
mod tests;
