//! `lines`: a file with one input a line, or with another end of each.

use regex::bytes::Regex;

use super::InputError;
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
    /// Finds the fields, which are its named groups.
    pub regex: Option<Regex>,
}

impl LineOptions {
    /// The names of the fields.
    pub fn fields(&self) -> Vec<String> {
        match &self.regex {
            Some(regex) => regex.capture_names().flatten().map(str::to_owned).collect(),
            None => vec!["input".into()],
        }
    }
}

/// The lines of a file. The last one needs no end.
pub(super) struct Lines {
    text: Text,
    options: LineOptions,
}

impl Lines {
    /// The lines of `text`.
    pub fn new(text: Text, options: LineOptions) -> Self {
        Self { text, options }
    }

    /// The input of the next line; `None` if it is none.
    fn input(&mut self, length: usize) -> Option<Fields> {
        let line = self.without_end(&self.text.window()[..length]);
        // Separated by anything but the ends of lines, a name of blanks is a name.
        let is_blank =
            if self.end() == b'\n' { line.trim_ascii().is_empty() } else { line.is_empty() };
        let is_note =
            self.options.comments.as_ref().is_some_and(|note| line.starts_with(note.as_bytes()));
        if (is_blank && !self.options.keep_blank) || is_note {
            self.text.consume(length);
            return None;
        }
        if let Some(message) = self.text.undecodable(line) {
            return Some(self.text.bad(length, message));
        }
        let fields = match &self.options.regex {
            None => Some(Fields::single(line)),
            Some(regex) => matched(regex, line),
        };
        let Some(fields) = fields else {
            return Some(self.text.bad(length, "`regex` does not match the line"));
        };
        self.text.consume(length);
        Some(fields)
    }

    fn end(&self) -> u8 {
        self.options.separator.unwrap_or(if self.options.null { 0 } else { b'\n' })
    }

    fn without_end<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let bare = line.strip_suffix(&[self.end()]).unwrap_or(line);
        if self.end() == b'\n' { bare.strip_suffix(b"\r").unwrap_or(bare) } else { bare }
    }
}

/// The named groups of the match in `line`.
fn matched(regex: &Regex, line: &[u8]) -> Option<Fields> {
    let captures = regex.captures(line)?;
    let names = regex.capture_names().flatten();
    Some(names.map(|name| captures.name(name).map_or(&b""[..], |group| group.as_bytes())).collect())
}

impl TextRecords for Lines {
    fn text(&mut self) -> &mut Text {
        &mut self.text
    }

    fn read(&mut self) -> Result<Option<Fields>, InputError> {
        loop {
            let fields = match self.text.next_line(self.end())? {
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
