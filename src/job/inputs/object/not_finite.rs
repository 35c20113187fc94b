//! `NaN`, `Infinity` and `-Infinity`: JSON does not know them, and Python, which writes them all the same, reads them as numbers.

use std::borrow::Cow;

const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];

/// How long the word is with which `rest` starts, if no letter follows it.
pub(in crate::job::inputs) fn word_at(rest: &[u8]) -> Option<usize> {
    let word = WORDS.into_iter().find(|word| rest.starts_with(word))?;
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (!rest.get(word.len()).is_some_and(goes_on)).then_some(word.len())
}

/// Whether there may be such a word in `bytes`, or the beginning of one.
pub(in crate::job::inputs) fn has_word(bytes: &[u8]) -> bool {
    memchr::memchr2(b'N', b'I', bytes).is_some()
}

/// A text that is JSON but for such words, and the same with numbers in their places.
pub(super) struct Numbers<'t> {
    text: &'t [u8],
    json: Vec<u8>,
}

impl<'t> Numbers<'t> {
    /// Of `text`, whose values at this depth may be such words; `None` if there is none.
    ///
    /// # Errors
    /// If one is deeper: whoever reads that value as JSON could not. The message names it.
    pub fn of(text: &'t [u8], depth: usize) -> Result<Option<Self>, String> {
        if !has_word(text) {
            return Ok(None);
        }
        let (mut json, mut at, mut now) = (Cow::Borrowed(text), 0, 0_usize);
        while let Some(&byte) = text.get(at) {
            at += match byte {
                b'"' => string_length(&text[at..]),
                b'[' | b'{' => {
                    now += 1;
                    1
                }
                b']' | b'}' => {
                    now = now.saturating_sub(1);
                    1
                }
                b'N' | b'I' | b'-' if may_be_value(&text[..at]) => match word_at(&text[at..]) {
                    Some(length) if now > depth => {
                        let word = String::from_utf8_lossy(&text[at..at + length]);
                        return Err(format!(
                            "has `{word}` inside a value, which JSON does not know"
                        ));
                    }
                    Some(length) => {
                        put_number(&mut json.to_mut()[at..at + length]);
                        length
                    }
                    None => 1,
                },
                _ => 1,
            };
        }
        Ok(match json {
            Cow::Borrowed(_) => None,
            Cow::Owned(json) => Some(Self { text, json }),
        })
    }

    /// With numbers in the places of the words.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// What stands in the text where `value` is in the JSON.
    pub fn written<'a>(&'a self, value: &'a str) -> &'a str {
        let start = (value.as_ptr() as usize).checked_sub(self.json.as_ptr() as usize);
        let written = start.and_then(|start| self.text.get(start..start + value.len()));
        written.and_then(|written| str::from_utf8(written).ok()).unwrap_or(value)
    }
}

/// Whether a value may come after this.
fn may_be_value(before: &[u8]) -> bool {
    matches!(before.trim_ascii_end().last(), None | Some(b':' | b'[' | b','))
}

/// A number that is as long as the word that stands here.
fn put_number(word: &mut [u8]) {
    let sign = usize::from(word.starts_with(b"-"));
    word[sign..].fill(b'1');
}

/// How long the string is that starts here, with its quotes.
fn string_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', rest.get(at..).unwrap_or_default()) {
        at += found + 1;
        if rest[at - 1] == b'"' {
            return at;
        }
        at += 1; // what an escape is of
    }
    rest.len()
}
