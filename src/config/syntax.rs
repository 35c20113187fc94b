//! All syntax errors of a file, without those that only follow from another one.
//!
//! The parser continues after an error, but not always in a way that helps: a header without its `]` or a key without
//! its `=` hides mistakes further down, and an array without its end takes the rest of the file for elements. So such
//! a place is mended in a copy of the text, byte for byte, and the copy is parsed again.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, Error};

use crate::base::Diagnostic;
use crate::base::diagnostic::{Place, Source};

/// How many places are mended, and how many mistakes are reported. A file that has more is not a job file, and may have
/// a million lines.
const ENOUGH: usize = 20;

/// Parses a file, or says all that is wrong with how it is written.
pub(crate) fn parse(source: &Arc<Source>) -> Result<DeTable<'_>, Vec<Diagnostic>> {
    #[cfg(test)]
    crate::config::counts::note_parsed(&source.name);
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        return Ok(root.into_inner());
    }
    let mut mistakes = Vec::new();
    let mut text = source.text.clone();
    let mut errors = sorted(errors);
    for _ in 0..ENOUGH {
        let Some((mistake, mended)) = mend(&text, &errors).filter(|(_, mended)| *mended != text)
        else {
            break;
        };
        mistakes.push(mistake);
        text = mended;
        errors = sorted(DeTable::parse_recoverable(&text).1);
    }
    // Several can be of one line, and are not told.
    let errors = errors.iter().take(10 * ENOUGH);
    mistakes.extend(errors.map(|error| Mistake::of(error, &source.text)));
    // Where several are told of one line, the first is the cause of the others.
    let line = |mistake: &Mistake| source.text[..mistake.span.start].matches('\n').count();
    mistakes.sort_by_key(|mistake| mistake.span.start);
    mistakes.dedup_by_key(|mistake| line(mistake));
    mistakes.truncate(ENOUGH);
    let place = |span: Range<usize>| Place::new(Arc::clone(source), span);
    Err(mistakes.into_iter().map(|m| Diagnostic::new(m.message).at(place(m.span))).collect())
}

#[derive(Debug)]
struct Mistake {
    span: Range<usize>,
    message: String,
}

impl Mistake {
    fn of(error: &Error, text: &str) -> Self {
        let span = span(error);
        let message = if error.message().starts_with("string values must be quoted") {
            let line = text[span.start..].lines().next().unwrap_or_default();
            let nothing = line.trim_start().is_empty() || line.trim_start().starts_with('#');
            if nothing { "a value is missing here" } else { "a string needs quotes" }
        } else {
            error.message()
        };
        Self { span, message: message.to_owned() }
    }
}

/// The first place that hides what comes after it, and the text without it.
fn mend(text: &str, errors: &[Error]) -> Option<(Mistake, String)> {
    if let Some(error) = errors.iter().find(|error| error.message().starts_with("unclosed table")) {
        let end = span(error).start;
        // The header keeps its length: its last letter makes room for the bracket.
        let last = text[..end].char_indices().next_back()?.0;
        let closed = format!("{}{}{}", &text[..last], "]".repeat(end - last), &text[end..]);
        let closed = (end - last == 1).then_some(closed)?;
        return Some((
            Mistake { span: span(error), message: "`[` is never closed".into() },
            closed,
        ));
    }
    if let Some(error) =
        errors.iter().find(|error| error.message().starts_with("key with no value"))
    {
        let start = line_start(text, span(error).start);
        let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        return Some((Mistake::of(error, text), blanked(text, start..end)));
    }
    let unclosed = |error: &Error| {
        let message = error.message();
        message.starts_with("unclosed array") || message.starts_with("unclosed inline table")
    };
    errors.iter().find(|error| unclosed(error))?;
    let of_the_inside = |error: &&Error| {
        ["array", "key-value pairs", "inline table"]
            .iter()
            .any(|word| error.message().contains(word))
    };
    let first = span(errors.iter().find(of_the_inside)?).start;
    let start = start_of_assignment(text, first)?;
    // If the text continues with a line of its own, that line was not meant for the inside.
    let end = if text[first..].trim().is_empty() { text.len() } else { line_start(text, first) };
    if start >= end {
        return None;
    }
    let message = "the array or table of this key is never closed".into();
    let key = start..start + text[start..].find('=')?;
    let key = key.start..key.start + text[key].trim_end().len();
    Some((Mistake { span: key, message }, blanked(text, start..end)))
}

/// The text with nothing at `range`, and everything else at its place.
fn blanked(text: &str, range: Range<usize>) -> String {
    let blank: String = text[range.clone()].chars().flat_map(blank).collect();
    format!("{}{blank}{}", &text[..range.start], &text[range.end..])
}

/// As many bytes that mean nothing.
fn blank(c: char) -> impl Iterator<Item = char> {
    std::iter::repeat_n(if c == '\n' { '\n' } else { ' ' }, c.len_utf8())
}

/// Where the last `key =` before `position` starts that opens something.
fn start_of_assignment(text: &str, position: usize) -> Option<usize> {
    let mut end = position;
    loop {
        let start = line_start(text, end);
        let line = &text[start..position];
        let opens = line
            .split_once('=')
            .is_some_and(|(_, value)| value.trim_start().starts_with(['[', '{']));
        if opens {
            return Some(start);
        }
        end = start.checked_sub(1)?;
    }
}

fn line_start(text: &str, position: usize) -> usize {
    text[..position].rfind('\n').map_or(0, |newline| newline + 1)
}

fn sorted(mut errors: Vec<Error>) -> Vec<Error> {
    errors.sort_by_key(|error| span(error).start);
    errors
}

fn span(error: &Error) -> Range<usize> {
    error.span().unwrap_or(0..0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lines that are wrong, and what is said of them.
    fn mistakes(text: &str) -> Vec<String> {
        let source = Arc::new(Source { name: "a".into(), text: text.into() });
        let errors = parse(&source).unwrap_err();
        let line = |error: &Diagnostic| text[..error.position()].matches('\n').count() + 1;
        errors.iter().map(|error| format!("{}: {}", line(error), error.message())).collect()
    }

    #[test]
    fn every_bad_line_is_told_once() {
        for (text, expected) in [
            (
                "name = x\nrepeat = # nothing\nlimit == 3 4\n",
                &[
                    "1: a string needs quotes",
                    "2: a value is missing here",
                    "3: extra `=`, expected nothing",
                ][..],
            ),
            (
                "[limits\ntimeout = \"5s\nx y = 4\n",
                &[
                    "1: `[` is never closed",
                    "2: invalid basic string, expected `\"`",
                    "3: key with no value, expected `=`",
                ],
            ),
            (
                "a = 1\nvalues = [1,\n 2\nlimit = 3\n[x]\nb = \"c\nd = z\n",
                &[
                    "2: the array or table of this key is never closed",
                    "6: invalid basic string, expected `\"`",
                    "7: a string needs quotes",
                ],
            ),
            ("a = [1, 2\n", &["1: the array or table of this key is never closed"]),
            (
                "a = { b = 1\n[c]\nd = e\n",
                &["1: the array or table of this key is never closed", "3: a string needs quotes"],
            ),
            ("a = 1\na = 2\n", &["2: duplicate key"]),
            (
                "a \"x\"\nb c = 1\n[d]\ne\nf = 1s\n",
                &[
                    "1: key with no value, expected `=`",
                    "2: key with no value, expected `=`",
                    "4: key with no value, expected `=`",
                    "5: a string needs quotes",
                ],
            ),
        ] {
            assert_eq!(mistakes(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_or_told(text in "[a\\[\\]{}=, \n\"'#ä.1-]{0,40}") {
            let source = Arc::new(Source { name: "a".into(), text });
            if let Err(errors) = parse(&source) {
                prop_assert!(!errors.is_empty());
            }
        }
    }
}
