//! `json`: one document that has an array, read as a stream: an input is an element.

mod around;
mod scan;
mod skip;

use std::collections::HashSet;
use std::sync::Arc;

use super::InputError;
use super::earlier::Earlier;
use super::notes::Notes;
use super::object::{FIRST_OBJECTS, PLAIN, SAMPLE, SAMPLE_BYTES, Shape, Waiting};
use super::text::{LONGEST, Text, TextRecords};
use crate::task::Fields;
use scan::Scan;

/// The elements of an array in a document.
pub(super) struct Elements {
    text: Text,
    shape: Shape,
    notes: Arc<Notes>,
    /// The objects and arrays that the array is in, the outermost first: of an object, the key that leads to it.
    around: Vec<Option<String>>,
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
        let mut elements = Self { text, shape, notes, around: Vec::new(), before: Before::Start };
        elements.find(at)?;
        if !is_known {
            let _waiting = Waiting::of(elements.text.file(), FIRST_OBJECTS);
            elements.learn()?;
        }
        Ok(elements)
    }

    /// The elements of an array that was found before, of which each is sought: what is around it has been read.
    pub fn again(text: Text, shape: Shape, notes: Arc<Notes>) -> Self {
        Self { text, shape, notes, around: Vec::new(), before: Before::Unknown }
    }

    /// Takes the fields of the report that is resumed: see [`Shape::resume`].
    pub fn resume(&mut self, earlier: &Earlier) {
        self.shape.resume(earlier);
    }

    /// What the elements have in common.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The next byte that is not a blank, which is not consumed.
    fn peek(&mut self) -> Result<Option<u8>, InputError> {
        peek(&mut self.text)
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
                // One element has to be there; those after it need not be, however long they are.
                let most = if elements == 0 { LONGEST } else { SAMPLE_BYTES };
                if rest.len() > most || !self.text.more()? {
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
            self.shape = Shape { names: vec![PLAIN.into()], is_plain: true, ..Shape::default() };
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
            if length == 0 || length > LONGEST {
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
                Ok(None) if !self.text.options.has_places => self.text.consume(length),
                Ok(None) => {
                    self.text.consume(length);
                    return Ok(Some(self.shape.missing()));
                }
                Ok(fields) => {
                    self.text.consume(length);
                    return Ok(fields);
                }
                Err(message) => return Ok(Some(self.text.bad(length, message))),
            }
        }
    }
}

impl TextRecords for Elements {
    fn text(&mut self) -> &mut Text {
        &mut self.text
    }

    fn read(&mut self) -> Result<Option<Fields>, InputError> {
        self.element()
    }

    fn seek_text(&mut self, position: u64) -> Result<(), InputError> {
        self.before = Before::Unknown;
        self.text.seek(position)
    }
}

/// The next byte that is not blank; `None` at the end.
fn peek(text: &mut Text) -> Result<Option<u8>, InputError> {
    loop {
        let window = text.window();
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        if let Some(blanks) = window.iter().position(|byte| !is_blank(byte)) {
            text.consume(blanks);
            return Ok(text.window().first().copied());
        }
        let blanks = window.len();
        text.consume(blanks);
        if !text.more()? {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests;
