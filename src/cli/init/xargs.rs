//! A command line of xargs'.

use super::MANY;
use super::draft::{Append, Draft, Words, is_count, separator};
use super::options::{Given, Known};

const KNOWN: Known = Known {
    letters: "adEILnPs",
    optional: "eil",
    names: "argfile delimiter maxargs maxprocs maxchars processslotvar",
    flags: "null eof replace maxlines norunifempty verbose interactive exit opentty showlimits version help",
};

/// How it finds its inputs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Items {
    /// Words, between which blanks stand, with quotes around them.
    Words,
    /// Lines without leading blanks, with quotes: `-I`.
    Quoted,
    /// What ends with NUL or another character, as it is.
    Plain,
}

/// How many of them a command gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Each {
    /// As many as fit.
    Many,
    Count(u64),
    /// One, where `-I` says.
    Replaced,
    /// Those of so many lines: `-L1`.
    Lines(u64),
}

/// Reads the words after `xargs`.
pub(super) fn read(words: &[String], draft: &mut Draft) {
    let (options, command) = KNOWN.split(words);
    let (mut items, mut each) = (Items::Words, Each::Many);
    let (mut most, mut is_empty_ok) = (None, false);
    draft.limit("concurrency", "1".into());
    for given in options {
        let text = given.text();
        match given.name.as_str() {
            "0" | "null" => {
                (draft.null, draft.separator) = (true, None);
                items = Items::Plain;
            }
            "d" | "delimiter" => items = delimiter(&given, items, draft),
            "I" | "i" | "replace" => {
                draft.dialect.input = if text.is_empty() { "{}".into() } else { text.into() };
                each = Each::Replaced;
            }
            // Of these three the last one holds, but for `-n 1` after `-I`.
            "n" | "maxargs" if text == "1" && each == Each::Replaced => {}
            "n" | "maxargs" if is_count(text) => {
                each = Each::Count(text.parse().unwrap_or(1));
                draft.dialect.input.clear();
            }
            "s" | "maxchars" if is_count(text) => most = Some(given),
            "L" | "l" | "maxlines" if text.is_empty() || is_count(text) => {
                each = Each::Lines(text.parse().unwrap_or(1));
                draft.dialect.input.clear();
            }
            "r" | "norunifempty" => is_empty_ok = true,
            _ => option(&given, draft),
        }
    }
    if each == Each::Replaced && items == Items::Words {
        items = Items::Quoted;
    }
    (draft.batch, draft.fits) = match (each, &most) {
        (Each::Many, most) => (None, Some(size(most.as_ref(), command))),
        (Each::Count(count) | Each::Lines(count), _) => (Some(count), None),
        (Each::Replaced, _) => (None, None),
    };
    if let Some(most) = most.filter(|_| each != Each::Many) {
        draft.leave(&most, "");
    }
    if each == Each::Replaced {
        draft.append = Append::Never;
    }
    match (items, each) {
        (Items::Words, Each::Lines(_)) => draft.left.push(
            "xargs splits a line at blanks and reads quotes: here a line is one input".into(),
        ),
        (Items::Words, _) => draft.has_words = true,
        (Items::Quoted, _) => draft.left.push(
            "xargs takes blanks off the start of a line and reads quotes: here a line is as it is"
                .into(),
        ),
        (Items::Plain, _) => draft.keeps_blank = true,
    }
    if is_empty_ok || each == Each::Replaced {
        draft.allow_empty();
    } else {
        draft.left.push(
            "without `-r` xargs runs the command once if there is no input: here nothing runs"
                .into(),
        );
    }
    // It also stops where a signal has ended the command.
    draft.limit("stop_on", "[\"exit:255\", \"crashed\"]".into());
    let command = if command.is_empty() { vec!["echo".into()] } else { command.to_vec() };
    draft.words = Words::Arguments(command);
}

fn option(given: &Given, draft: &mut Draft) {
    let text = given.text();
    match given.name.as_str() {
        "a" | "argfile" => {
            draft.sources.clear(); // the last one holds
            draft.file(text);
        }
        "P" | "maxprocs" if is_count(text) => draft.limit("concurrency", text.into()),
        "P" | "maxprocs" if text == "0" => draft.is_all_at_once = true,
        "e" | "eof" | "E" if text.is_empty() => {}
        "t" | "verbose" | "x" | "exit" => {}
        _ => draft.leave(given, ""),
    }
}

fn delimiter(given: &Given, items: Items, draft: &mut Draft) -> Items {
    let byte = byte(given.text());
    let found = byte.and_then(|byte| separator(char::from(byte).encode_utf8(&mut [0; 4])));
    match byte {
        Some(b'\n') => (draft.null, draft.separator) = (false, None),
        Some(0) => (draft.null, draft.separator) = (true, None),
        _ if found.is_some() => draft.separator = found,
        Some(_) => {
            draft.leave(given, "this one cannot end an input");
            return items;
        }
        None => {
            draft.leave(given, "an input ends with one character");
            return items;
        }
    }
    Items::Plain
}

/// The character that `-d` names: itself, or as C writes it.
fn byte(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [byte] => Some(*byte),
        [b'\\', b'x', ..] => u8::from_str_radix(&text[2..], 16).ok(),
        [b'\\', b'0'..=b'7', ..] => u8::from_str_radix(&text[1..], 8).ok(),
        [b'\\', letter] => Some(match letter {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'\\' => b'\\',
            _ => return None,
        }),
        _ => None,
    }
}

/// What is left for the inputs of the size that `-s` allows.
fn size(most: Option<&Given>, command: &[String]) -> String {
    let Some(most) = most else { return MANY.into() };
    let own: usize = command.iter().map(|word| word.len() + 1).sum();
    let own = own.max("echo\0".len()) as u64; // that is the command if there is none
    let left = most.text().parse().map_or(0, |most: u64| most.saturating_sub(own));
    format!("{}B", left.max(1))
}
