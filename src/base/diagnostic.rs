//! Errors that point into a job file, or at an argument, rendered the way rustc does it.
//!
//! Reading a job collects [`Diagnostics`]; only `main` prints them. Nothing that a file contains reaches the terminal
//! raw: control characters are shown, not sent.

use std::fmt;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::json;

use crate::base::{event, mask};

/// A text that diagnostics point into, and its name for the user.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// A path as it was given, or "command line".
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A range of bytes in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    source: Arc<Source>,
    span: Range<usize>,
    label: Option<String>,
}

impl Place {
    /// The bytes `span` of `source`. A span of several lines is cut to its first one.
    pub fn new(source: Arc<Source>, span: Range<usize>) -> Self {
        let text = &source.text;
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
        let first_line = text[start..end].find(['\n', '\r']).map_or(end, |length| start + length);
        Self { span: start..first_line, source, label: None }
    }

    /// Its line and column, both from 1; columns are characters.
    fn position(&self) -> (usize, usize) {
        let before = &self.source.text[..self.span.start];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
    }

    /// Says something about this place, next to the underline.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

/// One mistake: what is wrong, where, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    message: String,
    is_warning: bool,
    places: Vec<Place>,
    helps: Vec<String>,
}

impl Diagnostic {
    /// A mistake with no place in a text (yet). `message` is a lower-case fragment.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_warning: false, places: Vec::new(), helps: Vec::new() }
    }

    /// Makes it something that may be meant, and is only told.
    #[must_use]
    pub fn as_warning(self) -> Self {
        Self { is_warning: true, ..self }
    }

    /// The failure to read `path`.
    pub fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::new(format!("failed to read `{}`: {}", path.display(), reason(error)))
    }

    /// Adds a place; the first one is the mistake's own, the others are related.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(help.into());
        self
    }

    /// What is wrong, without its place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The mistake's offset in its text, by which diagnostics are sorted.
    pub fn position(&self) -> usize {
        self.places.first().map_or(0, |place| place.span.start)
    }

    /// Writes it as an event.
    fn emit(&self) {
        event::emit(if self.is_warning { "warning" } else { "error" }, || {
            let mut members = json!({ "message": self.message });
            if let Some(place) = self.places.first() {
                let (line, column) = place.position();
                members["file"] = json!(place.source.name);
                members["line"] = json!(line);
                members["column"] = json!(column);
            }
            if !self.helps.is_empty() {
                members["help"] = json!(self.helps);
            }
            members
        });
    }

    fn render(&self, renderer: &Renderer) -> String {
        let level = if self.is_warning { Level::WARNING } else { Level::ERROR };
        let mut group = Group::with_title(level.primary_title(visible(&self.message)));
        for (index, place) in self.places.iter().enumerate() {
            // Places in one text share a snippet, so that it is shown once.
            let shown = |other: &Place| Arc::ptr_eq(&other.source, &place.source);
            if self.places[..index].iter().any(shown) {
                continue;
            }
            let annotations = self.places.iter().enumerate().filter(|(_, other)| shown(other));
            let snippet = Snippet::source(&place.source.text).path(visible(&place.source.name));
            group = group.element(snippet.annotations(annotations.map(|(index, other)| {
                let kind =
                    if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                kind.span(other.span.clone()).label(other.label.as_deref().map(visible))
            })));
        }
        for help in &self.helps {
            group = group.element(Level::HELP.message(visible(help)));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

/// All mistakes that were found, of all files.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Adds a mistake, unless it is there already (an argument applies to every file).
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if !self.0.contains(&diagnostic) {
            self.0.push(diagnostic);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many mistakes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The mistakes, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Prints all of them to standard error, in colour if the terminal wants it.
    pub fn print(&self) {
        let renderer = Renderer::styled();
        for diagnostic in &self.0 {
            diagnostic.emit();
            print_error(&format!("{}\n", diagnostic.render(&renderer)));
        }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        diagnostics.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Self {
        let mut all = Self::default();
        all.extend(diagnostics);
        all
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|diagnostic| writeln!(f, "{diagnostic}\n"))
    }
}

/// Prints an error that has nothing to do with a job file to standard error. The lines after the first one, such as the
/// end of a log, are shown as they are.
pub fn complain(message: impl Into<String>) {
    let mut message = message.into();
    mask::apply_to_string(&mut message);
    event::emit("error", || json!({ "message": message }));
    let (first, rest) = message.split_once('\n').unwrap_or((&message, ""));
    let title = Diagnostic::new(first).render(&Renderer::styled());
    let lines: Vec<_> = [title].into_iter().chain(rest.lines().map(visible)).collect();
    print_error(&format!("{}\n", lines.join("\n")));
}

/// Prints lines to standard error, without colours where nobody sees them. A failure, such as of a terminal that has been
/// closed, could not be reported anywhere.
pub fn print_error(lines: &str) {
    let _ = writeln!(anstream::stderr(), "{lines}");
}

/// An operating-system error as a lower-case fragment, without its number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// `text` with its control characters spelled out: a job file must not be able to move the cursor.
pub fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}

/// The candidate that `word` is probably a misspelling of.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate)
        })
        .filter(|&(distance, candidate)| distance <= candidate.chars().count().max(3) / 3)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { name: "jobs/a.toml".into(), text: text.into() })
    }

    #[test]
    fn an_error_shows_its_place_and_the_way_out() {
        let source = source("[limits]\nconcurency = 4\n");
        let shown = Diagnostic::new("unknown key `concurency`")
            .at(Place::new(source, 9..19))
            .help("did you mean `concurrency`?")
            .to_string();
        let expected = "\
error: unknown key `concurency`
 --> jobs/a.toml:2:1
  |
2 | concurency = 4
  | ^^^^^^^^^^
  |
  = help: did you mean `concurrency`?";
        assert_eq!(shown, expected);
    }

    #[test]
    fn two_places_of_one_file_share_a_snippet() {
        let source = source("a = 1\nb = 2\n");
        let shown = Diagnostic::new("two")
            .at(Place::new(source.clone(), 6..7).label("second"))
            .at(Place::new(source, 0..1).label("first"))
            .to_string();
        assert_eq!(shown.matches("-->").count(), 1, "{shown}");
        assert!(shown.contains("^ second") && shown.contains("- first"), "{shown}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let source =
            Arc::new(Source { name: "\x1b[2J".into(), text: "a = \"\x1b[31m\x07\"".into() });
        let shown = Diagnostic::new("bad \x1b[0m")
            .at(Place::new(source, 4..11).label("\x1b]0;"))
            .help("\x08");
        assert!(!shown.to_string().contains(|c: char| c.is_control() && c != '\n'));
    }

    #[test]
    fn a_span_is_kept_inside_its_line_and_its_text() {
        let source = source("ä = [\n1]");
        assert_eq!(Place::new(source.clone(), 1..99).span, 0..6);
        assert_eq!(Place::new(source, 50..99).span, 9..9);
    }

    #[test]
    fn the_nearest_word_is_suggested_if_it_is_near() {
        for (word, expected) in [
            ("concurency", Some("concurrency")),
            ("Timeout", Some("timeout")),
            ("ragne", Some("range")),
            ("xyz", None),
            ("csvv", Some("csv")),
        ] {
            assert_eq!(
                nearest(word, ["concurrency", "timeout", "range", "csv"]),
                expected,
                "{word}"
            );
        }
    }
}
