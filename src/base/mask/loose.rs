//! A value in any mixture of the ways in which its characters may be written: as they are, percent-encoded, escaped as in JSON,
//! Rust or Python, as entities of HTML, its blanks run together.

use std::fmt::Write;

use regex::bytes::{Regex, RegexBuilder};

/// Longer values are masked as they are and in the usual forms only: nobody mixes those of a key file.
const LONGEST: usize = 1 << 10;

/// How much memory the expression may take, in bytes.
const SIZE: usize = 64 << 20;

/// Finds any of `values`; `None` if there are none.
pub(super) fn finder(values: &[Vec<u8>]) -> Option<Regex> {
    let fits = |value: &&Vec<u8>| (4..=LONGEST).contains(&value.len());
    let mut values: Vec<_> = values.iter().filter(fits).collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.len())); // of two that begin alike, the longer
    let patterns: Vec<_> = values.into_iter().map(|value| pattern(value)).collect();
    if patterns.is_empty() {
        return None;
    }
    let pattern = patterns.join("|");
    RegexBuilder::new(&pattern).unicode(false).size_limit(SIZE).build().ok()
}

fn pattern(value: &[u8]) -> String {
    let mut out = String::new();
    let mut was_blank = false;
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            let is_blank = character.is_ascii_whitespace();
            if is_blank && was_blank {
                out.push('*'); // a run of blanks may have become one
            }
            was_blank = is_blank;
            write_character(character, &mut out);
        }
        for &byte in chunk.invalid() {
            was_blank = false;
            let _ = write!(out, r"(?:\x{byte:02x}|(?:%|\\x)(?i:{byte:02x}))");
        }
    }
    out
}

fn write_character(character: char, out: &mut String) {
    let (mut bytes, mut units) = ([0; 4], [0; 2]);
    let bytes = character.encode_utf8(&mut bytes).as_bytes();
    let units = character.encode_utf16(&mut units);
    let code = u32::from(character);
    out.push_str("(?:");
    each(out, bytes, |out, byte| write!(out, "%(?i:{byte:02x})"));
    out.push('|');
    each(out, bytes, |out, byte| write!(out, r"\\x(?i:{byte:02x})"));
    out.push('|');
    each(out, units, |out, unit| write!(out, r"\\u(?i:{unit:04x})"));
    let _ = write!(out, r"|\\u\{{0*(?i:{code:x})\}}|&#(?:0*{code}|(?i:x0*{code:x}));");
    out.push_str(match character {
        '\n' => r"|\\n|\s",
        '\r' => r"|\\r|\s",
        '\t' => r"|\\t|\s",
        '\0' => r"|\\0",
        '\u{8}' => r"|\\b",
        '\u{c}' => r"|\\f|\s",
        ' ' => r"|\+|\s",
        '"' => r#"|\\+"|&quot;"#,
        '\'' => r"|\\+'|&apos;",
        '\\' => r"|\\\\|/",
        '/' => r"|\\/",
        '&' => "|&amp;",
        '<' => "|&lt;",
        '>' => "|&gt;",
        _ => "",
    });
    out.push('|'); // itself last: the others may begin with it
    each(out, bytes, |out, byte| write!(out, r"\x{byte:02x}"));
    out.push(')');
}

fn each<T: Copy>(
    out: &mut String,
    parts: &[T],
    mut write: impl FnMut(&mut String, T) -> std::fmt::Result,
) {
    for &part in parts {
        let _ = write(out, part);
    }
}
