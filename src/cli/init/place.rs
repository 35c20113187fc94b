//! What surrounds a place in a script: quotes, substitutions, here-documents.

/// What surrounds a place in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Around {
    /// `$(…)`, `(…)`, and the script itself.
    Command,
    Ticks,
    Single,
    Double,
    /// `$'…'`, with backslashes.
    Escapes,
    /// `$((…))`, in which quotes cannot stand, and are not needed.
    Sum,
    /// A here-document, in which quotes are characters like others.
    Document,
    /// One whose end is quoted: in it, variables are, too.
    PlainDocument,
    /// From `#` to the end of the line.
    Comment,
}

/// How a here-document ends.
#[derive(Debug, Default)]
struct End {
    word: String,
    /// Whether tabs may stand before it: `<<-`.
    may_be_indented: bool,
    is_quoted: bool,
}

/// A place in a script: what surrounds it, the innermost last.
#[derive(Debug, Default)]
pub(super) struct Place {
    around: Vec<Around>,
    is_escaped: bool,
    /// What stands right before it; a blank at the start.
    before: Option<char>,
    /// The here-documents that begin after this line, and those that have begun, the innermost last.
    announced: Vec<End>,
    ends: Vec<End>,
    /// The line of a here-document up to here; `None` if it cannot be its end.
    line: Option<String>,
}

impl Place {
    fn innermost(&self) -> Around {
        self.around.last().copied().unwrap_or(Around::Command)
    }

    /// What surrounds the piece that stands here.
    pub(super) fn piece(&mut self) -> Around {
        self.before = Some('x');
        self.line = None;
        self.innermost()
    }

    /// Whether a backslash stands before it, which then counts no more.
    pub(super) fn take_backslash(&mut self) -> bool {
        std::mem::take(&mut self.is_escaped)
    }

    pub(super) fn read(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let length = self.step(c, rest);
            self.before = rest[..length].chars().next_back();
            rest = &rest[length..];
        }
    }

    /// Reads what `rest`, which begins with `c`, has first, and returns its length.
    fn step(&mut self, c: char, rest: &str) -> usize {
        use Around::{Command, Comment, Double, Escapes, Single, Sum, Ticks};
        let innermost = self.innermost();
        if matches!(innermost, Around::Document | Around::PlainDocument) && self.is_end(c) {
            return c.len_utf8();
        }
        if std::mem::take(&mut self.is_escaped) {
            return c.len_utf8();
        }
        if let Some((around, length)) = self.opened(innermost, c, rest) {
            self.around.push(around);
            return length;
        }
        if innermost == Command && c == '<' && rest.starts_with("<<") {
            return self.announce(rest);
        }
        let is_end = matches!(
            (innermost, c),
            (Single | Escapes, '\'')
                | (Double, '"')
                | (Ticks, '`')
                | (Command | Sum, ')')
                | (Comment, '\n')
        );
        if is_end {
            self.around.pop();
        }
        if c == '\n' && self.innermost() == Command {
            self.begin_documents();
        }
        // `$((` has opened one.
        if is_end && innermost == Sum && self.innermost() != Sum && rest.starts_with("))") {
            2
        } else {
            c.len_utf8()
        }
    }

    /// What begins here, and how long its beginning is.
    fn opened(&mut self, innermost: Around, c: char, rest: &str) -> Option<(Around, usize)> {
        use Around::{
            Command, Comment, Document, Double, Escapes, PlainDocument, Single, Sum, Ticks,
        };
        let is_word_start = || self.before.is_none_or(|c| " \t\n;&|(".contains(c));
        match (innermost, c) {
            (Single | PlainDocument | Comment, _) => None,
            (_, '\\') => {
                self.is_escaped = true;
                None
            }
            (Escapes, _) => None,
            (_, '$') if rest.starts_with("$((") => Some((Sum, 3)),
            (_, '$') if rest.starts_with("$(") => Some((Command, 2)),
            (Command | Ticks, '$') if rest.starts_with("$'") => Some((Escapes, 2)),
            (Command, '#') if is_word_start() => Some((Comment, 1)),
            (Command | Ticks, '(') => Some((Command, 1)),
            (Sum, '(') => Some((Sum, 1)),
            (Command | Ticks, '\'') => Some((Single, 1)),
            (Command | Ticks, '"') => Some((Double, 1)),
            (Command | Double | Sum | Document, '`') => Some((Ticks, 1)),
            _ => None,
        }
    }

    /// Reads `<<` and what ends the document that it announces; or `<<<`, which announces none.
    fn announce(&mut self, rest: &str) -> usize {
        if rest.starts_with("<<<") {
            return 3;
        }
        let may_be_indented = rest.starts_with("<<-");
        let start = if may_be_indented { 3 } else { 2 };
        let word = rest[start..].trim_start_matches([' ', '\t']);
        let length = word.find([' ', '\t', '\n', ';', '&', '|', '<', '>', '(', ')']);
        let word = &word[..length.unwrap_or(word.len())];
        // `1 << 2` in `((…))` announces none, either.
        if word.is_empty() || word.starts_with(|c: char| c.is_ascii_digit() || c == '$') {
            return 2;
        }
        let is_quoted = word.contains(['\'', '"', '\\']);
        let bare = word.replace(['\'', '"', '\\'], "");
        self.announced.push(End { word: bare, may_be_indented, is_quoted });
        rest.find(word).unwrap_or(start) + word.len()
    }

    /// The line that announces documents has ended.
    fn begin_documents(&mut self) {
        for end in self.announced.drain(..).rev() {
            self.around.push(if end.is_quoted { Around::PlainDocument } else { Around::Document });
            self.ends.push(end);
            self.line = Some(String::new());
        }
    }

    /// Reads a character of a document; whether it is the one that ends it.
    fn is_end(&mut self, c: char) -> bool {
        if c != '\n' || self.is_escaped {
            if let Some(line) = &mut self.line {
                line.push(c);
            }
            return false;
        }
        let line = self.line.replace(String::new());
        let is_end = line.zip(self.ends.last()).is_some_and(|(line, end)| {
            let line = if end.may_be_indented { line.trim_start_matches('\t') } else { &line };
            line == end.word
        });
        if is_end {
            self.around.pop();
            self.ends.pop();
            self.is_escaped = false;
        }
        is_end
    }
}
