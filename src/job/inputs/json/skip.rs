//! Passing over a JSON value that is not wanted, however long it is: it has to be JSON all the same.

use std::io::{self, Read};

use serde::de::IgnoredAny;
use serde_json::Deserializer;

use super::peek;
use crate::job::inputs::InputError;
use crate::job::inputs::object::{has_word, word_at};
use crate::job::inputs::text::Text;

/// A value that is longer is read member by member, so that it needs no memory.
const WHOLE: usize = 256 << 10;

/// How deep arrays and objects may be in each other, as `serde_json` has it.
const DEEPEST: usize = 128;

/// Consumes the next value of `text`, which begins here; or says why it is not JSON.
pub(super) fn skip(text: &mut Text) -> Result<Result<(), String>, InputError> {
    skip_at(text, 0)
}

fn skip_at(text: &mut Text, depth: usize) -> Result<Result<(), String>, InputError> {
    if let Some(length) = word(text)? {
        text.consume(length);
        return Ok(Ok(()));
    }
    loop {
        let window = text.window();
        let mut values = Deserializer::from_slice(window).into_iter::<IgnoredAny>();
        match values.next() {
            // What follows a number may yet be a part of it.
            Some(Ok(_)) if values.byte_offset() < window.len() => {
                let length = values.byte_offset();
                text.consume(length);
                return Ok(Ok(()));
            }
            // What JSON does not know and Python does is found member by member.
            Some(Err(error)) if !error.is_eof() && has_word(window) => break,
            Some(Err(error)) if !error.is_eof() => return Bytes::skip(text),
            _ => {}
        }
        if window.len() >= WHOLE {
            break;
        }
        if !text.more()? {
            return Bytes::skip(text);
        }
    }
    match text.window().first() {
        Some(b'[') if depth < DEEPEST => skip_members(text, b']', depth),
        Some(b'{') if depth < DEEPEST => skip_members(text, b'}', depth),
        _ => Bytes::skip(text),
    }
}

/// How long the next value is, if it is `NaN` or one of its like.
fn word(text: &mut Text) -> Result<Option<usize>, InputError> {
    /// `-Infinity`, and the byte after it.
    const LONGEST: usize = 10;
    if !matches!(text.window().first(), Some(b'N' | b'I' | b'-')) {
        return Ok(None);
    }
    while text.window().len() < LONGEST && text.more()? {}
    Ok(word_at(text.window()))
}

/// Consumes the array or the object that begins here, and ends with `end`.
fn skip_members(text: &mut Text, end: u8, depth: usize) -> Result<Result<(), String>, InputError> {
    let wrong = |words: &str| Ok(Err(words.to_owned()));
    text.consume(1);
    let mut next = peek(text)?;
    while next != Some(end) {
        if end == b'}' {
            if next != Some(b'"') {
                return wrong("an object has no key here");
            }
            if let Err(why) = skip_at(text, depth + 1)? {
                return Ok(Err(why));
            }
            if peek(text)? != Some(b':') {
                return wrong("no colon between a key and its value");
            }
            text.consume(1);
            peek(text)?;
        }
        if let Err(why) = skip_at(text, depth + 1)? {
            return Ok(Err(why));
        }
        next = peek(text)?;
        match next {
            Some(b',') => {
                text.consume(1);
                next = peek(text)?;
                if next == Some(end) {
                    return wrong("a comma before the end");
                }
            }
            Some(byte) if byte == end => {}
            Some(_) => return wrong("no comma between two values"),
            None => return wrong("it ends"),
        }
    }
    text.consume(1);
    Ok(Ok(()))
}

/// A text as a parser takes it, byte by byte: for a value that is long and has no members, and to find what is wrong.
struct Bytes<'a> {
    text: &'a mut Text,
    /// How many bytes were given. The last one has not been consumed.
    given: usize,
    failed: Option<InputError>,
}

impl Bytes<'_> {
    fn skip(text: &mut Text) -> Result<Result<(), String>, InputError> {
        let mut bytes = Bytes { text, given: 0, failed: None };
        let mut values = Deserializer::from_reader(&mut bytes).into_iter::<IgnoredAny>();
        let found = values.next();
        let length = values.byte_offset();
        drop(values);
        if let Some(error) = bytes.failed {
            return Err(error);
        }
        // What follows a number is looked at, and is not a part of it.
        if length == bytes.given && length > 0 {
            bytes.text.consume(1);
        }
        Ok(match found {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(words(&error)),
            None => Err("it ends".into()),
        })
    }
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given > 0 {
            self.text.consume(1);
        }
        while self.text.window().is_empty() {
            match self.text.more() {
                Ok(true) => {}
                Ok(false) => {
                    self.given = 0;
                    return Ok(0);
                }
                Err(error) => {
                    self.failed = Some(error);
                    return Err(io::ErrorKind::Other.into());
                }
            }
        }
        let (Some(place), Some(byte)) = (buffer.first_mut(), self.text.window().first()) else {
            return Ok(0);
        };
        *place = *byte;
        self.given += 1;
        Ok(1)
    }
}

/// What is wrong with a value.
pub(super) fn words(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.split(" at line ").next().unwrap_or_default().to_owned()
}
