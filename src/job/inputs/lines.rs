//! `lines`: a file with one input a line, or with another end of each.

use std::collections::VecDeque;
use std::sync::Arc;

use super::InputError;
use super::notes::Notes;
use super::regex::FieldRegex;
use super::text::{Text, TextRecords};
use crate::task::Fields;

/// What the job file says of lines.
#[derive(Clone, Debug, Default)]
pub(super) struct LineOptions {
    /// Whether NUL ends a record: names of files can have newlines.
    pub null: bool,
    /// What stands between inputs, instead of the ends of lines.
    pub separator: Option<u8>,
    /// Whether blank lines are inputs, too.
    pub keep_blank: bool,
    /// What a line starts with that is a note.
    pub comments: Option<String>,
    /// Whether a line is words, as xargs reads them.
    pub has_words: bool,
    /// Finds the fields, which are its named groups.
    pub regex: Option<FieldRegex>,
}

impl LineOptions {
    /// The names of the fields.
    pub fn fields(&self) -> Vec<String> {
        match &self.regex {
            Some(regex) => regex.names().map(str::to_owned).collect(),
            None => vec!["input".into()],
        }
    }
}

/// The lines of a file. The last one needs no end.
pub(super) struct Lines {
    text: Text,
    options: LineOptions,
    notes: Arc<Notes>,
    /// The next words of the line, and how much of the text each is with the blanks after it: what has been read up to one
    /// is a position.
    words: VecDeque<(Fields, usize)>,
    /// Whether the text goes on at a word that is not the first one of its line.
    is_inside: bool,
}

impl Lines {
    /// The lines of `text`.
    pub fn new(text: Text, options: LineOptions, notes: Arc<Notes>) -> Self {
        Self { text, options, notes, words: VecDeque::new(), is_inside: false }
    }

    /// A CR alone ends no line, as in a shell; a whole file of such ends is most likely meant otherwise.
    fn note_lone_ends(&self, line: &[u8]) {
        if self.end() == b'\n' && !line.ends_with(b"\n") && self.without_end(line).contains(&b'\r')
        {
            self.notes.lone_ends(|| self.text.file().to_string());
        }
    }

    /// The input of the next line; `None` if it is none.
    fn input(&mut self, length: usize) -> Result<Option<Fields>, InputError> {
        if self.text.position() == 0 {
            self.note_lone_ends(&self.text.window()[..length]);
        }
        let is_inside = std::mem::take(&mut self.is_inside);
        let line = self.without_end(&self.text.window()[..length]);
        // Separated by anything but the ends of lines, a name of blanks is a name.
        let is_blank =
            if self.end() == b'\n' { line.trim_ascii().is_empty() } else { line.is_empty() };
        let is_note = !is_inside
            && self.options.comments.as_ref().is_some_and(|note| line.starts_with(note.as_bytes()));
        if (is_blank && !self.options.keep_blank) || is_note {
            self.text.consume(length);
            return Ok(None);
        }
        if let Some(message) = self.text.undecodable(line) {
            return Ok(Some(self.text.bad(length, message)));
        }
        if self.options.has_words {
            return self.first_word(length);
        }
        let fields = match &self.options.regex {
            None => Ok(Fields::single(line)),
            Some(regex) if is_blank && self.text.options.has_places => {
                Ok(regex.names().map(|_| "").collect())
            }
            Some(regex) => matched(regex, line),
        };
        Ok(Some(match fields {
            Ok(fields) => {
                self.text.consume(length);
                fields
            }
            Err(message) => self.text.bad(length, message),
        }))
    }

    /// The first word of the next line; `None` if it has none. The line may go on in those after it.
    fn first_word(&mut self, mut length: usize) -> Result<Option<Fields>, InputError> {
        loop {
            let line = self.text.window()[..length].strip_suffix(b"\n");
            let found = match line {
                Some(line) => words(line, false),
                None => words(&self.text.window()[..length], true),
            };
            match found {
                Ok(words) => {
                    if words.is_empty() {
                        self.text.consume(length);
                    }
                    let ends = words.iter().skip(1).map(|word| word.start).chain([length]);
                    let mut from = 0;
                    for (word, end) in words.iter().zip(ends) {
                        self.words.push_back((Fields::single(&word.value), end - from));
                        from = end;
                    }
                    return Ok(self.next_word());
                }
                Err(Flaw::Unclosed) => {
                    let message = "a quote that is not closed in its line";
                    return Ok(Some(self.text.bad(length, message)));
                }
                Err(Flaw::GoesOn) => match self.text.next_line_from(length, b'\n')? {
                    Some(Ok(longer)) if longer > length => length = longer,
                    Some(Err(bad)) => return Ok(Some(bad)),
                    // The end that was escaped is that of the file.
                    _ => {
                        let message = "a backslash at the end of the file";
                        return Ok(Some(self.text.bad(length, message)));
                    }
                },
            }
        }
    }

    /// The next word of the line that was read last.
    fn next_word(&mut self) -> Option<Fields> {
        let (word, length) = self.words.pop_front()?;
        self.text.consume(length);
        Some(word)
    }

    fn end(&self) -> u8 {
        self.options.separator.unwrap_or(if self.options.null { 0 } else { b'\n' })
    }

    fn without_end<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let bare = line.strip_suffix(&[self.end()]).unwrap_or(line);
        if self.end() == b'\n' { bare.strip_suffix(b"\r").unwrap_or(bare) } else { bare }
    }
}

/// Why a line has no words.
enum Flaw {
    /// A quote is open at its end.
    Unclosed,
    /// A backslash stands before its end, which belongs to the word then.
    GoesOn,
}

/// A word of a line.
struct Word {
    value: Vec<u8>,
    /// Where it starts in the line.
    start: usize,
}

/// The words of a line, as xargs reads them: a quote lasts until the next one of its kind, and outside of quotes a
/// backslash makes the next character a plain one. Nothing but blanks and ends of lines stands between words.
fn words(line: &[u8], is_last: bool) -> Result<Vec<Word>, Flaw> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote = None;
    let mut bytes = line.iter().copied().enumerate().peekable();
    while let Some((start, byte)) = bytes.next() {
        let begin = || Word { value: Vec::new(), start };
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), b'\n') => return Err(Flaw::Unclosed),
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_with(begin);
            }
            (None, b'\\') => match bytes.next() {
                Some((_, next)) => word.get_or_insert_with(begin).value.push(next),
                None if is_last => {}
                None => return Err(Flaw::GoesOn),
            },
            (None, b' ' | b'\t' | b'\n') => words.extend(word.take()),
            (None, b'\r') if matches!(bytes.peek(), None | Some((_, b'\n'))) => {
                words.extend(word.take());
            }
            _ => word.get_or_insert_with(begin).value.push(byte),
        }
    }
    words.extend(word);
    if quote.is_some() { Err(Flaw::Unclosed) } else { Ok(words) }
}

/// The named groups of the match in `line`.
fn matched(regex: &FieldRegex, line: &[u8]) -> Result<Fields, &'static str> {
    let captures = regex.of(line)?.captures(line).ok_or("`regex` does not match the line")?;
    let group = |name| captures.name(name).map_or(&b""[..], |group| group.as_bytes());
    Ok(regex.names().map(group).collect())
}

impl TextRecords for Lines {
    fn text(&mut self) -> &mut Text {
        &mut self.text
    }

    fn read(&mut self) -> Result<Option<Fields>, InputError> {
        if let Some(word) = self.next_word() {
            return Ok(Some(word));
        }
        loop {
            let fields = match self.text.next_line(self.end())? {
                None => return Ok(None),
                Some(Ok(length)) => self.input(length)?,
                Some(Err(bad)) => Some(bad),
            };
            if fields.is_some() {
                return Ok(fields);
            }
        }
    }

    fn seek_text(&mut self, position: u64) -> Result<(), InputError> {
        self.words.clear();
        if !self.options.has_words || position == 0 {
            return self.text.seek(position);
        }
        // A blank stands before a word that is not the first one of its line, and the end of a line before one that is.
        self.text.seek(position - 1)?;
        while self.text.window().is_empty() && self.text.more()? {}
        let before = self.text.window().first().copied();
        self.is_inside = matches!(before, Some(b' ' | b'\t'));
        self.text.consume(before.iter().len());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
