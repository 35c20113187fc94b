//! `lines`: a file with one input a line, or NUL-separated.

use regex::bytes::Regex;

use super::InputError;
use super::records::{Records, Stop};
use super::text::{LONGEST, Text};
use crate::task::Fields;

/// What the job file says of lines.
#[derive(Clone, Debug, Default)]
pub(super) struct LineOptions {
    /// Whether NUL ends a record: names of files can have newlines.
    pub null: bool,
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
    over: bool,
}

impl Lines {
    /// The lines of `text`.
    pub fn new(text: Text, options: LineOptions) -> Self {
        Self { text, options, over: false }
    }

    /// The text that it is read from.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// The length of the next line with its end, and of the end. `None`: there is none.
    fn next_line(&mut self) -> Result<Option<(usize, usize)>, InputError> {
        let mut seen = 0;
        loop {
            let window = self.text.window();
            if let Some(found) = self.end(window, seen) {
                return Ok(Some(found));
            }
            seen = window.len();
            if seen > LONGEST {
                return Ok(Some((seen, 0)));
            }
            if !self.text.more()? {
                return Ok((seen > 0).then_some((seen, 0)));
            }
        }
    }

    #[inline]
    fn end(&self, window: &[u8], seen: usize) -> Option<(usize, usize)> {
        let end = if self.options.null { 0 } else { b'\n' };
        let length = seen + memchr::memchr(end, &window[seen..])? + 1;
        let is_crlf = !self.options.null && window[..length].ends_with(b"\r\n");
        Some((length, 1 + usize::from(is_crlf)))
    }

    fn bad(&mut self, length: usize, message: &str) -> Fields {
        let cause = self.text.file().complaint(self.text.line(0), message);
        let bad = Fields::bad(cause, &self.text.window()[..length]);
        self.text.consume(length);
        bad
    }

    /// The input of the next line; `None` if it is none.
    fn input(&mut self, length: usize, end: usize) -> Option<Fields> {
        let is_last = end == 0;
        if is_last && length > LONGEST {
            self.over = true;
            return Some(self.bad(length, "a line that starts here is longer than 64 MiB"));
        }
        if is_last && let Some(why) = self.text.breakage().map(str::to_owned) {
            self.over = true;
            return Some(self.bad(length, &why));
        }
        let window = self.text.window();
        let mut line = &window[..length - end];
        if is_last && !self.options.null {
            line = line.strip_suffix(b"\r").unwrap_or(line);
        }
        // Separated by NUL, a name of blanks is a name.
        let is_blank =
            if self.options.null { line.is_empty() } else { line.trim_ascii().is_empty() };
        let is_note =
            self.options.comments.as_ref().is_some_and(|note| line.starts_with(note.as_bytes()));
        if (is_blank && !self.options.keep_blank) || is_note {
            self.text.consume(length);
            return None;
        }
        if let Some(message) = self.text.undecodable(line) {
            return Some(self.bad(length, &message));
        }
        let fields = match &self.options.regex {
            None => Some(Fields::single(line)),
            Some(regex) => matched(regex, line),
        };
        match fields {
            Some(fields) => {
                self.text.consume(length);
                Some(fields)
            }
            None => Some(self.bad(length, "`regex` does not match the line")),
        }
    }
}

/// The named groups of the match in `line`.
fn matched(regex: &Regex, line: &[u8]) -> Option<Fields> {
    let captures = regex.captures(line)?;
    let names = regex.capture_names().flatten();
    Some(names.map(|name| captures.name(name).map_or(&b""[..], |group| group.as_bytes())).collect())
}

impl Records for Lines {
    fn next_record(&mut self) -> Option<Result<Fields, InputError>> {
        while !self.over {
            match self.next_line() {
                Ok(Some((length, end))) => {
                    if let Some(fields) = self.input(length, end) {
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
