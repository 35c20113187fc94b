//! `jsonl`: a file with a JSON object a line.

use std::collections::HashSet;
use std::sync::Arc;

use super::InputError;
use super::notes::Notes;
use super::object::{SAMPLE, SAMPLE_BYTES, Shape, Waiting};
use super::records::{Records, Stop};
use super::text::{LONGEST, Text};
use crate::task::Fields;

/// The objects of a JSON Lines file.
pub(super) struct Objects {
    text: Text,
    shape: Shape,
    notes: Arc<Notes>,
    over: bool,
}

impl Objects {
    /// The objects of `text`. Without a shape, the first ones tell it.
    pub fn new(text: Text, shape: Option<Shape>, notes: Arc<Notes>) -> Result<Self, InputError> {
        let is_known = shape.is_some();
        let mut objects = Self { text, shape: shape.unwrap_or_default(), notes, over: false };
        if !is_known {
            let _waiting = Waiting::of(objects.text.file());
            objects.learn()?;
        }
        Ok(objects)
    }

    /// What the objects have in common.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The text that it is read from.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// Looks at the first objects, and consumes none.
    fn learn(&mut self) -> Result<(), InputError> {
        let (mut at, mut objects, mut seen) = (0, 0, HashSet::new());
        let (mut wrong, mut is_right) = (None, false);
        while objects < SAMPLE && at < SAMPLE_BYTES {
            let rest = &self.text.window()[at..];
            let end = memchr::memchr(b'\n', rest);
            if end.is_none() && rest.len() < SAMPLE_BYTES && self.text.more()? {
                continue;
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
                    Err(message) => wrong = wrong.or(Some((at, message))),
                }
            }
            at += length;
        }
        match wrong {
            // Not one object: it is something else than JSON Lines.
            Some((at, message)) if !is_right => {
                Err(self.text.file().error_at(self.text.line(at), message))
            }
            _ => Ok(()),
        }
    }

    /// The length of the next line with its end. `None`: there is none.
    fn next_line(&mut self) -> Result<Option<usize>, InputError> {
        let mut seen = 0;
        loop {
            let window = self.text.window();
            if let Some(end) = memchr::memchr(b'\n', &window[seen..]) {
                return Ok(Some(seen + end + 1));
            }
            seen = window.len();
            if seen > LONGEST || !self.text.more()? {
                return Ok(Some(seen).filter(|&length| length > 0));
            }
        }
    }

    fn bad(&mut self, length: usize, message: &str) -> Fields {
        let cause = self.text.file().complaint(self.text.line(0), message);
        let bad = Fields::bad(cause, &self.text.window()[..length]);
        self.text.consume(length);
        bad
    }

    /// The input of the next line; `None` if it is none.
    fn input(&mut self, length: usize) -> Option<Fields> {
        let is_all = length == self.text.window().len() && !self.text.window().ends_with(b"\n");
        if length > LONGEST && is_all {
            self.over = true;
            return Some(self.bad(length, "a line that starts here is longer than 64 MiB"));
        }
        if is_all && let Some(why) = self.text.breakage().map(str::to_owned) {
            self.over = true;
            return Some(self.bad(length, &why));
        }
        let line = self.text.window()[..length].trim_ascii();
        if line.is_empty() {
            self.text.consume(length);
            return None;
        }
        if let Some(message) = self.text.undecodable(line) {
            return Some(self.bad(length, &message));
        }
        let text = &self.text;
        let place = |what: &str| text.file().complaint(text.line(0), what);
        let found = self.shape.fields(line, place, &self.notes);
        match found {
            Ok(fields) => {
                self.text.consume(length);
                fields
            }
            Err(message) => Some(self.bad(length, &message)),
        }
    }
}

impl Records for Objects {
    fn next_record(&mut self) -> Option<Result<Fields, InputError>> {
        while !self.over {
            match self.next_line() {
                Ok(Some(length)) => {
                    if let Some(fields) = self.input(length) {
                        return Some(Ok(fields));
                    }
                }
                Ok(None) => {
                    self.over = true;
                    let why = self.text.breakage().map(str::to_owned)?;
                    return Some(Ok(self.bad(0, &why)));
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    fn position(&self) -> u64 {
        self.text.position()
    }

    fn seek(&mut self, position: u64) -> Result<(), InputError> {
        self.over = false;
        self.text.seek(position)
    }

    fn make_seekable(&mut self, stop: &Stop) -> Result<(), InputError> {
        self.text.make_seekable(stop)
    }
}

#[cfg(test)]
mod tests;
