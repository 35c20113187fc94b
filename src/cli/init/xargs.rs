//! A command line of xargs'.

use super::MANY;
use super::draft::{Draft, List, Source, Words, is_count, quoted, separator};
use super::options::{Known, shown};

const KNOWN: Known = Known {
    letters: "adEILnPs",
    optional: "eil",
    names: &["arg-file", "delimiter", "max-args", "max-procs", "max-chars", "process-slot-var"],
    flags: &[
        "null",
        "eof",
        "replace",
        "max-lines",
        "no-run-if-empty",
        "verbose",
        "interactive",
        "exit",
        "open-tty",
        "show-limits",
        "version",
        "help",
    ],
};

/// Reads the words after `xargs`.
pub(super) fn read(words: &[String], draft: &mut Draft) {
    let (options, command) = KNOWN.split(words);
    let (mut batch, mut fits) = (None, Some(MANY.to_owned()));
    let mut is_split = true;
    draft.limit("concurrency", "1".into());
    for (name, value) in options {
        let text = value.as_deref().unwrap_or_default();
        match name.as_str() {
            "a" | "arg-file" => {
                draft.sources.push(Source { list: List::Lines(text.into()), is_linked: false });
            }
            "0" | "null" => (draft.null, is_split) = (true, false),
            "d" | "delimiter" => match text {
                "\n" | "\\n" => is_split = false,
                "\0" | "\\0" => (draft.null, is_split) = (true, false),
                _ => match separator(text) {
                    None => draft
                        .leave(&shown(&name, value.as_deref()), "an input ends with one character"),
                    found => (draft.separator, is_split) = (found, false),
                },
            },
            "I" | "i" | "replace" => {
                draft.dialect.input = if text.is_empty() { "{}".into() } else { text.into() };
                (batch, fits, is_split) = (None, None, false);
            }
            "n" | "max-args" if is_count(text) => {
                (batch, fits) = (text.parse().ok().filter(|count| *count > 1), None);
            }
            "s" | "max-chars" if is_count(text) && fits.is_some() => {
                let own: usize = command.iter().map(|word| word.len() + 1).sum();
                let own = own.max("echo\0".len()) as u64; // that is the command if there is none
                let left = text.parse().map_or(0, |most: u64| most.saturating_sub(own));
                fits = Some(format!("{}B", left.max(1)));
            }
            "L" | "l" | "max-lines" if text.is_empty() || text == "1" => {
                (batch, fits) = (None, None);
            }
            "P" | "max-procs" if is_count(text) => {
                draft.limit("concurrency", text.into());
            }
            "P" | "max-procs" => {
                draft.limits.clear();
                draft.leave(&shown(&name, value.as_deref()), "write a number as `concurrency`");
            }
            "r" | "no-run-if-empty" => draft.inputs.push(("empty", quoted("ok"))),
            "t" | "verbose" | "x" | "exit" => {}
            _ => draft.leave(&shown(&name, value.as_deref()), ""),
        }
    }
    (draft.batch, draft.fits) = (batch, fits);
    if is_split {
        draft.left.push(
            "xargs splits a line at blanks and reads quotes: here a line is one input".into(),
        );
    }
    let command = if command.is_empty() { vec!["echo".into()] } else { command.to_vec() };
    draft.words = Words::Arguments(command);
}
