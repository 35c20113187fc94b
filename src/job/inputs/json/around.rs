//! What is around the array: the way to it at its pointer, and what follows it.

use super::Elements;
use super::skip::skip;
use crate::job::inputs::InputError;
use crate::task::Fields;

/// What is wrong with a document where an array is sought in it.
type Wrong = String;

impl Elements {
    /// Goes to the first element of the array at `pointer`.
    pub(super) fn find(&mut self, pointer: &str) -> Result<(), InputError> {
        let mut before = String::new();
        for part in pointer.split('/').skip(1) {
            let name = part.replace("~1", "/").replace("~0", "~");
            let mut keys = Vec::new();
            let (is_there, key) = match self.peek()? {
                Some(b'{') => (self.find_key(&name, &mut keys)?, Some(name.clone())),
                Some(b'[') => (self.find_index(&name)?, None),
                _ => (false, None),
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
            self.around.push(key);
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
        if self.peek()? == Some(b'}') {
            return Ok(false);
        }
        loop {
            let key = self.key()?.map_err(|wrong| self.not_json(&wrong))?;
            if key.as_deref() == Some(name) {
                return Ok(true);
            }
            if let Some(key) = key.filter(|_| others.len() < 10) {
                others.push(format!("`{key}`"));
            }
            if !self.is_followed(b'}')? {
                return Ok(false);
            }
        }
    }

    /// Enters the array that comes next, up to the element of this index.
    fn find_index(&mut self, index: &str) -> Result<bool, InputError> {
        let is_number = index == "0" || index.starts_with(|digit| matches!(digit, '1'..='9'));
        let Some(index) = index.parse::<u64>().ok().filter(|_| is_number) else {
            return Ok(false);
        };
        self.text.consume(1);
        if self.peek()? == Some(b']') {
            return Ok(false);
        }
        for _ in 0..index {
            if !self.is_followed(b']')? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Skips a value and says whether another one follows it, or the `end` of what it is in.
    fn is_followed(&mut self, end: u8) -> Result<bool, InputError> {
        self.skip_value()?.map_err(|wrong| self.not_json(&wrong))?;
        match self.peek()? {
            Some(b',') => self.text.consume(1),
            Some(byte) if byte == end => return Ok(false),
            Some(_) => return Err(self.not_json("no comma between two values")),
            None => return Err(self.not_json("it ends")),
        }
        Ok(true)
    }

    /// A document that is wrong on the way to the array.
    fn not_json(&self, wrong: &str) -> InputError {
        let file = self.text.file();
        match self.text.breakage() {
            Some(why) => file.error(why),
            None => file.error_at(self.text.line(0), format!("not JSON before the array: {wrong}")),
        }
    }

    /// Skips the next key of an object, up to its value; `None` if its name is not a text.
    fn key(&mut self) -> Result<Result<Option<String>, Wrong>, InputError> {
        if self.peek()? != Some(b'"') {
            return Ok(Err("an object has no key here".into()));
        }
        let length = self.value_length()?;
        let written = &self.text.window()[..length];
        let key = match serde_json::from_slice::<String>(written) {
            Ok(key) => Some(key),
            // Half a character, for example: JSON all the same.
            Err(_) if serde_json::from_slice::<serde::de::IgnoredAny>(written).is_ok() => None,
            Err(error) => return Ok(Err(super::skip::words(&error))),
        };
        self.text.consume(length);
        if self.peek()? != Some(b':') {
            return Ok(Err("no colon after a key".into()));
        }
        self.text.consume(1);
        Ok(Ok(key))
    }

    /// Skips the next value, of which the inner is JSON, or else says what is wrong.
    fn skip_value(&mut self) -> Result<Result<(), Wrong>, InputError> {
        self.peek()?;
        skip(&mut self.text)
    }

    /// What follows the array: a document that is cut there is not whole, and of two values of a key on the way to it
    /// nobody can tell which one was meant.
    pub(super) fn rest(&mut self) -> Result<Option<Fields>, InputError> {
        for level in (0..self.around.len()).rev() {
            while self.peek()? == Some(b',') {
                self.text.consume(1);
                if let Some(way) = self.around[level].clone() {
                    match self.key()? {
                        Err(wrong) => return Ok(Some(self.not_json_after(&wrong))),
                        Ok(key) if key.as_ref() == Some(&way) => {
                            let message =
                                format!("has the key `{way}` twice, which leads to the array");
                            return Ok(Some(self.torn(&message)));
                        }
                        Ok(_) => {}
                    }
                }
                if let Err(wrong) = self.skip_value()? {
                    return Ok(Some(self.not_json_after(&wrong)));
                }
            }
            let end = if self.around[level].is_some() { b'}' } else { b']' };
            match self.peek()? {
                Some(byte) if byte == end => self.text.consume(1),
                Some(_) => return Ok(Some(self.torn("not JSON after the array"))),
                None => {
                    let message = "the document ends after the array, before it is closed";
                    return Ok(Some(self.torn(message)));
                }
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

    fn not_json_after(&mut self, wrong: &str) -> Fields {
        self.torn(&format!("not JSON after the array: {wrong}"))
    }
}
