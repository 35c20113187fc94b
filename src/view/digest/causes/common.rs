//! What errors of the same cause have in common: the lines that say what happened, with `…` for what differs.

use std::sync::LazyLock;

use regex::Regex;

use crate::report::terminal::before_frames;
use crate::view::text;

/// How much of a message, and how much of a line of output, is looked at, from its start and from its end, in bytes.
const MESSAGE: usize = 600;
const LINE: usize = 200;

/// The most lines of an output that make a cause.
const LINES: usize = 4;

/// What a line that tells of an error has. Programs often say more after it: where their log is, how to see a backtrace.
static ERROR: LazyLock<Regex> = LazyLock::new(|| {
    let words =
        "(?i)error|fatal|fail|panic|exception|cannot|can't|unable|denied|abort|no such|not found";
    Regex::new(words).expect("it is one")
});

/// What a task's last stage says, without what earlier ones, one of `stages` each, had to say: that follows it.
pub fn of_last_stage<'a, 'b>(error: &'a str, stages: impl Iterator<Item = &'b str>) -> &'a str {
    let ends = stages.filter_map(|stage| error.find(&format!("; {stage}: ")));
    &error[..ends.min().unwrap_or(error.len())]
}

/// Appends what errors of the same cause have in common, with `…` instead of the fields of the input, numbers, and what
/// stands in quotes: what a Python function has raised, without where; of an output the lines that tell of errors, and
/// the last one.
pub fn common(error: &str, fields: &[&[u8]], out: &mut String) {
    if let Some(raised) = before_frames(error) {
        fold(&without(&text::ends(raised.as_bytes(), MESSAGE), fields), out);
        return;
    }
    let (cause, said) = match error.trim_end().split_once(": ") {
        Some((cause, said)) if cause.len() <= 80 && !cause.contains('\n') => (cause, said),
        _ => ("", error.trim_end()),
    };
    if !cause.is_empty() {
        fold(cause, out);
        out.push_str(": ");
    }
    // The class of an error, and not how a program ended: what it says begins with its message.
    let is_class = !cause.is_empty() && !cause.contains(' ');
    out.push_str(&lines(said, is_class, fields).join("\n"));
}

/// The lines of `said` that tell of errors, and its last one; of a message also its first one, and no line that shows a
/// place, which is indented.
fn lines(said: &str, is_message: bool, fields: &[&[u8]]) -> Vec<String> {
    let end = if said.contains('\n') { "\n" } else { r"\n" };
    let all: Vec<&str> = said.split(end).map(str::trim_end).collect();
    let mut shown: Vec<String> = Vec::new();
    let mut goes_on = is_message;
    for (index, line) in all.iter().enumerate() {
        let is_last = index + 1 == all.len();
        // The start of what was cut off is a part of a line.
        let is_cut = line.starts_with('…') && !is_last;
        let is_place = line.starts_with([' ', '\t']);
        let tells = !is_place && ERROR.is_match(line);
        let is_end = is_last && !(is_message && is_place);
        if !is_cut && (tells || is_end || (goes_on && !line.is_empty())) {
            let line = without(&text::ends(line.as_bytes(), LINE), fields);
            let mut folded = String::new();
            fold(&line, &mut folded);
            if !shown.contains(&folded) {
                shown.push(folded);
            }
        }
        // `panicked at main.rs:1:2:`, and the next line says why.
        goes_on = tells && line.ends_with(':');
    }
    if shown.len() > LINES {
        shown.drain(LINES - 1..shown.len() - 1);
    }
    shown
}

/// `text` with `…` instead of the fields of the input.
fn without(text: &str, fields: &[&[u8]]) -> String {
    let fields = fields.iter().filter_map(|field| std::str::from_utf8(field).ok());
    let long = fields.filter(|field| field.chars().count() >= 3);
    long.fold(text.to_owned(), |text, field| text.replace(field, "…"))
}

/// Appends `text` with `…` for numbers and for what stands in quotes.
fn fold(text: &str, out: &mut String) {
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let folded = match c {
            '0'..='9' if is_kept(out) => {
                let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                out.push_str(&rest[..digits]);
                rest = &rest[digits..];
                before = '0';
                continue;
            }
            '0'..='9' => Some(after_number(rest)),
            '\'' | '"' | '`' | '‘' | '“' | '«' if !before.is_alphanumeric() => {
                after_quoted(c, after)
            }
            _ => None,
        };
        if let Some(left) = folded {
            if !out.ends_with('…') {
                out.push('…');
            }
            before = '0';
            rest = left;
            continue;
        }
        // `127.0.0.1:8080` and `12-34` are one thing.
        let joins = matches!(c, '.' | ':' | '-' | '/' | ',') && out.ends_with('…');
        if !(joins && after.starts_with(|next: char| next.is_ascii_digit())) {
            out.push(c);
        }
        before = c;
        rest = after;
    }
}

/// Whether a number after this text says what happened, rather than to what.
fn is_kept(before: &str) -> bool {
    ["exit code ", "signal ", "status "].iter().any(|words| before.ends_with(words))
}

/// What follows the number, or word of hexadecimal digits, at the start of `text`.
fn after_number(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_hexdigit() && c != 'x').unwrap_or(text.len());
    // `3 bad` has a number, `3rd` and `2bad` have not all of it.
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let is_word = text[end..].starts_with(char::is_alphanumeric);
    &text[if is_word { digits } else { end }..]
}

/// What follows the closing quote, if there is one on this line.
fn after_quoted(open: char, text: &str) -> Option<&str> {
    let close = match open {
        '‘' => '’',
        '“' => '”',
        '«' => '»',
        '`' => '`',
        same => same,
    };
    let end = text.char_indices().take(400).take_while(|(_, c)| *c != '\n').find(|&(at, c)| {
        let after = text[at + c.len_utf8()..].chars().next();
        (c == close || (open == '`' && c == '\'')) && !after.is_some_and(char::is_alphanumeric)
    });
    end.map(|(at, c)| &text[at + c.len_utf8()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(error: &str, field: &str) -> String {
        let mut out = String::new();
        common(error, &[field.as_bytes()], &mut out);
        out
    }

    #[test]
    fn what_differs_is_folded() {
        for (error, common) in [
            ("exit code 1: wc: data/x.txt: No such file", "exit code 1: wc: …: No such file"),
            ("connection to 127.0.0.1:8080 refused", "connection to … refused"),
            ("took 1.5 s, not 2", "took … s, not …"),
            ("no key 'a b' in \"c\"", "no key … in …"),
            ("can't read it, don't know why", "can't read it, don't know why"),
            ("at 0xdeadbeef and 7f3a9c", "at … and …"),
            ("the 3rd of 2bad", "the …rd of …"),
            (
                "exit code 1: Traceback\n  line 3\nValueError: bad value",
                "exit code 1: ValueError: bad value",
            ),
            (r"exit code 1: a\nb 7", "exit code 1: b …"),
            ("", ""),
        ] {
            assert_eq!(folded(error, "data/x.txt"), common, "{error}");
        }
    }

    #[test]
    fn what_was_raised_is_told_and_not_where() {
        let frames = "\n  File \"/a/fn.py\", line 3, in f\n    raise RuntimeError(reason)";
        for (said, common) in [
            ("RuntimeError: disk full", "RuntimeError: disk full"),
            ("RuntimeError: no such user", "RuntimeError: no such user"),
            ("KeyError: 'k'", "KeyError: …"),
            ("ValueError: bad\n1 note", "ValueError: bad\n… note"),
        ] {
            assert_eq!(folded(&format!("{said}{frames}"), "data/x.txt"), common);
            let staged = format!("{said}{frames}; one: exit code 0: a warning\\nmore");
            let own = of_last_stage(&staged, ["one", "two"].into_iter());
            assert_eq!(folded(own, "data/x.txt"), common);
        }
        let long = format!("ValueError: {}{frames}", "long ".repeat(1000));
        assert!(!folded(&long, "x").contains("raise"));
        // Of a program, whose output was cut within its frames.
        let cut = format!("exit code 1: …x{frames}\nOSError: full").replace('\n', r"\n");
        assert_eq!(folded(&cut, "x"), "exit code 1: OSError: full");
    }

    #[test]
    fn a_last_line_that_is_always_the_same_does_not_hide_an_error() {
        for (output, common) in [
            ("start\nfatal: no memory\nsee the log", "fatal: no memory\nsee the log"),
            ("cannot open file 3\nsee the log", "cannot open file …\nsee the log"),
            ("…ror: x\nerror 1\nerror 2\nend", "error …\nend"),
            (
                "thread 'main' panicked at a.rs:1:2:\nboom\nnote: run with it",
                "thread … panicked at a.rs:…:\nboom\nnote: run with it",
            ),
            ("Error: boom\n    at f (a.js:1)\n\nNode.js v18.2.0", "Error: boom\nNode.js v…"),
            ("fail a\nfail b\nfail c\nfail d\nfail e", "fail a\nfail b\nfail c\nfail e"),
        ] {
            let error = format!("exit code 2: {}", output.replace('\n', r"\n"));
            assert_eq!(folded(&error, "x"), format!("exit code 2: {common}"));
        }
        // What a worker answers.
        let answer = "TypeError: boom\n    at f (a.js:1)\n    at g (a.js:2)";
        assert_eq!(folded(answer, "x"), "TypeError: boom");
    }
}
