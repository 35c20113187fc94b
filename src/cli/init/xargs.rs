//! A command line of xargs'.

use super::MANY;
use super::draft::{Draft, List, Source, Words, quoted};
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
    let mut batch = Some(MANY);
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
                _ => draft
                    .leave(&shown(&name, value.as_deref()), "inputs are lines, or end with NUL"),
            },
            "I" | "i" | "replace" => {
                draft.dialect.input = if text.is_empty() { "{}".into() } else { text.into() };
                (batch, is_split) = (None, false);
            }
            "n" | "max-args" if text.parse().is_ok_and(|count: u64| count > 0) => {
                batch = text.parse().ok().filter(|count| *count > 1);
            }
            "L" | "l" | "max-lines" if text.is_empty() || text == "1" => batch = None,
            "P" | "max-procs" if text.parse().is_ok_and(|count: u64| count > 0) => {
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
    draft.batch = batch;
    if is_split {
        draft.left.push(
            "xargs splits a line at blanks and reads quotes: here a line is one input".into(),
        );
    }
    let command = if command.is_empty() { vec!["echo".into()] } else { command.to_vec() };
    draft.words = Words::Arguments(command);
}
