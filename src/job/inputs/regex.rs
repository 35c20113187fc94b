//! Regular expressions over data. Text is matched as text; of bytes that are not UTF-8, only what is found in them in
//! any encoding counts: `.` and `\w` stop at such a byte, and half a name must not pass for a whole one.

use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};

/// Why nothing is found in a datum.
const UNCERTAIN: &str = "has bytes that are not UTF-8, and what `regex` finds among them depends on their encoding: \
    name the file's `encoding`, for example \"windows-1252\"";

/// A letter that no expression names. It takes two bytes.
const LETTER: char = 'ƛ';

/// A regular expression of the job file.
#[derive(Clone, Debug)]
pub(super) struct FieldRegex {
    text: Regex,
    /// The same, in which a character is a byte; `None` if it names characters that are not.
    bytes: OnceLock<Option<Regex>>,
}

impl FieldRegex {
    /// The expression `text`, which knows Unicode.
    pub fn new(text: Regex) -> Self {
        Self { text, bytes: OnceLock::new() }
    }

    /// The names of its groups that have one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.text.capture_names().flatten()
    }

    /// What is to be sought in `datum`; or why that would not be certain.
    pub fn of(&self, datum: &[u8]) -> Result<&Regex, &'static str> {
        if std::str::from_utf8(datum).is_ok() {
            return Ok(&self.text);
        }
        let build = || RegexBuilder::new(self.text.as_str()).unicode(false).build().ok();
        let bytes = self.bytes.get_or_init(build).as_ref();
        bytes.filter(|bytes| self.is_certain(bytes, datum)).ok_or(UNCERTAIN)
    }

    /// Whether the same is found among bytes as where each that is not ASCII, or not UTF-8, is a letter.
    fn is_certain(&self, bytes: &Regex, datum: &[u8]) -> bool {
        let found = groups(bytes, datum, |at| at);
        [false, true].into_iter().all(|keeps_text| {
            let (text, places) = with_letters(datum, keeps_text);
            groups(&self.text, text.as_bytes(), |at| places[at]) == found
        })
    }
}

/// Where the groups of the match are.
fn groups(
    regex: &Regex,
    datum: &[u8],
    place: impl Fn(usize) -> usize,
) -> Option<Vec<Option<Range<usize>>>> {
    let captures = regex.captures(datum)?;
    let range = |group: regex::bytes::Match<'_>| place(group.start())..place(group.end());
    Some(captures.iter().map(|group| group.map(range)).collect())
}

/// The datum with a letter for each byte that is not ASCII, or only for those that are not UTF-8; and for each byte of
/// that, and its end, which byte of the datum it stands for.
fn with_letters(datum: &[u8], keeps_text: bool) -> (String, Vec<usize>) {
    let (mut text, mut places) = (String::new(), Vec::new());
    let mut add = |character: char, length: usize, at: &mut usize| {
        text.push(character);
        places.resize(text.len(), *at);
        *at += length;
    };
    let mut at = 0;
    for chunk in datum.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_ascii() || keeps_text {
                add(character, character.len_utf8(), &mut at);
            } else {
                (0..character.len_utf8()).for_each(|_| add(LETTER, 1, &mut at));
            }
        }
        chunk.invalid().iter().for_each(|_| add(LETTER, 1, &mut at));
    }
    places.push(at);
    (text, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depends_on_an_encoding_is_not_found() {
        let latin = b"caf\xe9 Gr\xf6\xdfe 12";
        for (pattern, found) in [
            (r".+ (\d+)", Some(&b"12"[..])),
            (r"(.+) \d+", Some(b"caf\xe9 Gr\xf6\xdfe")),
            (r"([^ ]+) \d+", Some(b"Gr\xf6\xdfe")),
            (r"^(\S+)", Some(b"caf\xe9")),
            (r"(\w+) \d+", None),
            (r"([a-zA-Zäöüß]+) \d+", None),
            (r"(Gr\w+)", None),
            (r"(\pL+)", None),
        ] {
            let regex = FieldRegex::new(Regex::new(pattern).unwrap());
            let group = regex
                .of(latin)
                .ok()
                .map(|regex| regex.captures(latin).unwrap().get(1).unwrap().as_bytes());
            assert_eq!(group, found, "{pattern}");
            assert!(regex.of("Größe 12".as_bytes()).is_ok());
        }
        let three = FieldRegex::new(Regex::new("^.{3}").unwrap());
        assert!(three.of(b"a\xff\xfe").is_ok());
        assert!(three.of("éé\u{e9}".as_bytes()).is_ok());
        assert!(three.of(b"\xc3\xa9\xc3\xa9\xff").is_err(), "characters, or bytes");
    }
}
