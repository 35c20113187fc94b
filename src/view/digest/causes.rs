//! Failures, grouped by what caused them: errors that differ only in numbers, names in quotes or the input are one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::task::Status;
use crate::view::text;

/// Up to so many causes are counted at a time.
const CAUSES: usize = 1000;

/// How much of an error is looked at, from its start and from its end, in bytes.
const LOOKED_AT: usize = 600;

/// A task that is not ok.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotOk {
    /// The task.
    pub task: u64,
    /// What it was made from.
    pub input: String,
    /// How it ended.
    pub status: Status,
    /// Its `code`.
    pub code: String,
    /// How often it was attempted.
    pub attempts: u64,
    /// Its error.
    pub error: String,
}

/// Tasks that are not ok for the same cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Their error, with `…` for what differs.
    pub text: String,
    /// How many they are.
    pub count: u64,
    /// One of them: that whose row came first.
    pub example: NotOk,
}

/// The causes of all failures.
#[derive(Debug, Default)]
pub struct Causes {
    found: HashMap<u64, Cause>,
    hasher: RandomState,
    /// How many tasks have causes that were too rare to be kept.
    others: u64,
    scratch: String,
}

impl Causes {
    /// Counts a task that is not ok, whose error and fields are these; `describe` says all of it.
    pub fn add(
        &mut self,
        (status, code): (Status, &[u8]),
        error: &[u8],
        fields: &[&[u8]],
        describe: impl FnOnce() -> NotOk,
    ) {
        self.scratch.clear();
        common(error, fields, &mut self.scratch);
        let key = self.hasher.hash_one((status as u8, code, &self.scratch));
        if let Some(cause) = self.found.get_mut(&key) {
            cause.count += 1;
            return;
        }
        if self.found.len() == CAUSES {
            self.forget_rare();
        }
        let cause = Cause { text: self.scratch.clone(), count: 1, example: describe() };
        self.found.insert(key, cause);
    }

    /// Makes room by leaving out the rarer half.
    fn forget_rare(&mut self) {
        let mut counts: Vec<u64> = self.found.values().map(|cause| cause.count).collect();
        let (_, &mut middle, _) = counts.select_nth_unstable(CAUSES / 2);
        self.found.retain(|_, cause| {
            let is_kept = cause.count > middle;
            self.others += if is_kept { 0 } else { cause.count };
            is_kept
        });
    }

    /// The causes, the most frequent first, and how many tasks have others. If there are any, counts may be too small.
    pub fn sorted(&self) -> (Vec<&Cause>, u64) {
        let mut causes: Vec<_> = self.found.values().collect();
        causes.sort_by_key(|cause| (std::cmp::Reverse(cause.count), cause.example.task));
        (causes, self.others)
    }
}

/// Appends what errors of the same cause have in common: the cause, then the last line, where the reason stands;
/// with `…` instead of the fields of the input, numbers, and what stands in quotes.
fn common(error: &[u8], fields: &[&[u8]], out: &mut String) {
    let text = text::ends(error, LOOKED_AT);
    let text = text.trim_end();
    let (cause, said) = match text.split_once(": ") {
        Some((cause, said)) if cause.len() <= 80 && !cause.contains('\n') => (cause, said),
        _ => ("", text),
    };
    let last =
        [r"\n", "\n"].iter().filter_map(|end| said.rfind(end).map(|at| at + end.len())).max();
    let mut said = said[last.unwrap_or(0)..].to_owned();
    for field in fields.iter().filter_map(|field| std::str::from_utf8(field).ok()) {
        if field.chars().count() >= 3 {
            said = said.replace(field, "…");
        }
    }
    if !cause.is_empty() {
        fold(cause, out);
        out.push_str(": ");
    }
    fold(&said, out);
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
        common(error.as_bytes(), &[field.as_bytes()], &mut out);
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

    fn not_ok(task: u64) -> NotOk {
        let (input, code, error) = (String::new(), String::new(), String::new());
        NotOk { task, input, status: Status::Failed, code, attempts: 1, error }
    }

    #[test]
    fn frequent_causes_outlast_any_number_of_rare_ones() {
        let mut causes = Causes::default();
        let mut add = |task: u64, error: &str| {
            causes.add((Status::Failed, b"1"), error.as_bytes(), &[], || not_ok(task));
        };
        let letters = |n: u64| -> String {
            n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect()
        };
        for task in 0..10_000 {
            add(2 * task + 2, &letters(task));
            add(2 * task + 1, &format!("bad value {task}"));
        }
        let (sorted, others) = causes.sorted();
        assert_eq!((sorted[0].text.as_str(), sorted[0].count), ("bad value …", 10_000));
        let counted: u64 = sorted.iter().map(|cause| cause.count).sum();
        assert_eq!(counted + others, 20_000);
        assert!(sorted.len() <= CAUSES && others > 8000);
    }
}
