//! `jsonl`: a file with a JSON object a line.

use std::collections::HashSet;
use std::sync::Arc;

use super::InputError;
use super::earlier::Earlier;
use super::notes::Notes;
use super::object::{FIRST_OBJECTS, SAMPLE, SAMPLE_BYTES, Shape, Waiting};
use super::text::{LONGEST, Text, TextRecords};
use crate::task::Fields;

/// The objects of a JSON Lines file.
pub(super) struct Objects {
    text: Text,
    shape: Shape,
    notes: Arc<Notes>,
    /// What is wrong with its first line, if none of the first ones is an object.
    foreign: Option<InputError>,
}

/// What is said of a value that its line does not end.
const GOES_ON: &str = "EOF while parsing";

/// The way out for values over several lines.
const PRETTY: &str = ": one over several lines is not JSON Lines: `json` reads a document with an array of objects, \
    however they are written";

impl Objects {
    /// The objects of `text`. Without a shape, the first ones tell it.
    pub fn new(text: Text, shape: Option<Shape>, notes: Arc<Notes>) -> Result<Self, InputError> {
        let is_known = shape.is_some();
        let mut objects = Self { text, shape: shape.unwrap_or_default(), notes, foreign: None };
        if !is_known {
            let _waiting = Waiting::of(objects.text.file(), FIRST_OBJECTS);
            objects.learn()?;
        }
        Ok(objects)
    }

    /// Takes the fields of the report that is resumed: see [`Shape::resume`].
    pub fn resume(&mut self, earlier: &Earlier) {
        self.shape.resume(earlier);
    }

    /// What the objects have in common.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Looks at the first objects, and consumes none.
    fn learn(&mut self) -> Result<(), InputError> {
        let (mut at, mut objects, mut seen) = (0, 0, HashSet::new());
        let (mut wrong, mut is_right) = (None, false);
        while objects < SAMPLE {
            // One object has to be there; those after it need not be, however long they are.
            let most = if is_right { SAMPLE_BYTES } else { LONGEST };
            if at >= most {
                break;
            }
            let rest = &self.text.window()[at..];
            let end = memchr::memchr(b'\n', rest);
            let is_long = end.is_none() && rest.len() > most;
            if end.is_none() && !is_long && self.text.more()? {
                continue;
            }
            if is_long {
                let long = || (at, "a line that starts here is longer than 64 MiB".to_owned());
                wrong = wrong.or_else(|| (!is_right).then(long));
                break;
            }
            let rest = &self.text.window()[at..];
            if rest.is_empty() {
                break;
            }
            let length = end.map_or(rest.len(), |end| end + 1);
            let line = rest[..length].trim_ascii();
            if !line.is_empty() {
                objects += 1;
                match self.shape.learn(line, &mut seen) {
                    Ok(()) => is_right = true,
                    Err(message) if line == b"[" => {
                        wrong = wrong.or_else(|| Some((at, format!("{message}{PRETTY}"))));
                    }
                    Err(message) => wrong = wrong.or(Some((at, message))),
                }
            }
            at += length;
        }
        // Not one object: it is something else than JSON Lines, or cut in the first.
        if let Some((at, message)) = wrong.filter(|_| !is_right)
            && self.text.breakage().is_none()
        {
            let goes_on = objects > 1 && message.contains(GOES_ON);
            let way_out = if goes_on { PRETTY } else { "" };
            let message = format!("{message}{way_out}");
            self.foreign = Some(self.text.file().error_at(self.text.line(at), message));
        }
        Ok(())
    }

    /// What is wrong with a file that has lines, if it seems to be something else than JSON Lines.
    pub fn foreign(&mut self) -> Option<InputError> {
        self.foreign.take()
    }

    /// The input of the next line; `None` if it is none.
    fn input(&mut self, length: usize) -> Option<Fields> {
        let line = self.text.window()[..length].trim_ascii();
        if line.is_empty() {
            self.text.consume(length);
            return self.text.options.has_places.then(|| self.shape.missing());
        }
        if let Some(message) = self.text.undecodable(line) {
            return Some(self.text.bad(length, message));
        }
        let text = &self.text;
        let place = |what: &str| text.file().complaint(text.line(0), what);
        match self.shape.fields(line, place, &self.notes) {
            Ok(fields) => {
                self.text.consume(length);
                fields.or_else(|| self.text.options.has_places.then(|| self.shape.missing()))
            }
            Err(message) => Some(self.text.bad(length, message)),
        }
    }
}

impl TextRecords for Objects {
    fn text(&mut self) -> &mut Text {
        &mut self.text
    }

    fn read(&mut self) -> Result<Option<Fields>, InputError> {
        loop {
            let fields = match self.text.next_line(b'\n')? {
                None => return Ok(None),
                Some(Ok(length)) => self.input(length),
                Some(Err(bad)) => Some(bad),
            };
            if fields.is_some() {
                return Ok(fields);
            }
        }
    }
}

#[cfg(test)]
mod tests;
