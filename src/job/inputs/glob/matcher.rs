//! What a pattern matches, as shells have it: braces are written out, and each pattern that comes of them becomes a
//! regular expression over the characters of a name. In a name that is not UTF-8, a byte that is none is a character.

use regex::{Regex, RegexBuilder};

/// For so many patterns may one with braces stand.
const MOST: usize = 1_000;

/// What some patterns match.
#[derive(Clone, Debug)]
pub(in crate::job::inputs) struct Matcher(Regex);

impl Matcher {
    /// What `pattern` matches; or why it is not a pattern.
    pub fn of(pattern: &str) -> Result<Self, String> {
        Self::any(&expanded(pattern)?)
    }

    /// What any of `patterns` matches, which have no braces.
    pub fn any(patterns: &[String]) -> Result<Self, String> {
        let all: Vec<_> = patterns.iter().map(|one| path(one)).collect::<Result<_, _>>()?;
        let regex = RegexBuilder::new(&format!(r"(?s)\A(?:{})\z", all.join("|"))).build();
        regex.map(Self).map_err(|_| "it is too long".into())
    }

    /// Whether it matches `name`.
    pub fn is_match(&self, name: &[u8]) -> bool {
        if let Ok(name) = std::str::from_utf8(name) {
            return self.0.is_match(name);
        }
        let mut characters = String::new();
        for chunk in name.utf8_chunks() {
            characters.push_str(chunk.valid());
            characters.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        }
        self.0.is_match(&characters)
    }
}

/// The patterns that find folders: what comes before a `/**` at the end is one itself.
pub(super) fn with_tops(mut patterns: Vec<String>) -> Vec<String> {
    let tops = patterns.iter().filter_map(|pattern| pattern.strip_suffix("/**"));
    let tops: Vec<_> = tops.map(str::to_owned).filter(|top| !patterns.contains(top)).collect();
    patterns.extend(tops);
    patterns
}

/// The patterns of the folders that what one of `patterns` finds is in.
pub(super) fn ancestors(patterns: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for pattern in patterns {
        let mut folder = String::new();
        let mut parts = pattern.split('/').filter(|part| !part.is_empty()).peekable();
        while let Some(part) = parts.next() {
            let is_any = part == "**";
            if parts.peek().is_none() && !is_any {
                break;
            }
            folder.push_str(part);
            all.push(folder.clone());
            folder.push('/');
            if is_any {
                break; // all that is below is one of them
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// The patterns that one with braces stands for.
pub(super) fn expanded(pattern: &str) -> Result<Vec<String>, String> {
    let Some((open, cuts)) = braces(pattern)? else { return Ok(vec![pattern.to_owned()]) };
    let end = cuts.last().map_or(open, |close| close + 1);
    let tails = expanded(&pattern[end..])?;
    let (mut all, mut from) = (Vec::new(), open + 1);
    for cut in cuts {
        for middle in expanded(&pattern[from..cut])? {
            all.extend(tails.iter().map(|tail| format!("{}{middle}{tail}", &pattern[..open])));
            if all.len() > MOST {
                return Err(format!("its braces stand for more than {MOST} patterns"));
            }
        }
        from = cut + 1;
    }
    Ok(all)
}

/// Where the first braces open that have a comma, and the places of their commas and of their end. Others are characters,
/// as in a shell.
fn braces(pattern: &str) -> Result<Option<(usize, Vec<usize>)>, String> {
    let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut found: Option<(usize, Vec<usize>)> = None;
    let mut at = 0;
    while let Some(byte) = pattern.as_bytes().get(at) {
        match byte {
            b'\\' => at += 1,
            b'[' => at += class(&pattern[at + 1..]).map_or(0, |(_, length)| length),
            b'{' => open.push((at, Vec::new())),
            b',' => open.last_mut().into_iter().for_each(|(_, cuts)| cuts.push(at)),
            b'}' => {
                if let Some((from, mut cuts)) = open.pop() {
                    refuse_sequence(&pattern[from..=at])?;
                    cuts.push(at);
                    if cuts.len() > 1 && found.as_ref().is_none_or(|(first, _)| from < *first) {
                        found = Some((from, cuts));
                    }
                    if open.is_empty() && found.is_some() {
                        return Ok(found);
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    if open.is_empty() {
        return Ok(found);
    }
    Err("its `{` is not closed: `[{]` is the character".into())
}

/// `{1..9}` is numbers to some shells and characters to others.
fn refuse_sequence(braces: &str) -> Result<(), String> {
    let inner = &braces[1..braces.len() - 1];
    let is_end = |end: &str| {
        end.parse::<i64>().is_ok()
            || (end.len() == 1 && end.bytes().all(|it| it.is_ascii_alphabetic()))
    };
    match inner.split_once("..") {
        Some((first, last)) if is_end(first) && is_end(last.split("..").next().unwrap_or("")) => {
            Err(format!(
                "`{braces}` is not understood: write `{{{first},…}}`, or an array of patterns"
            ))
        }
        _ => Ok(()),
    }
}

/// A path of a pattern as a regular expression.
fn path(pattern: &str) -> Result<String, String> {
    let parts: Vec<_> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let mut regex = String::new();
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        match (*part, is_last) {
            ("**", true) => regex.push_str(".+"),
            ("**", false) => regex.push_str("(?:[^/]+/)*"),
            (part, _) => {
                name(part, &mut regex)?;
                regex.push_str(if is_last { "" } else { "/" });
            }
        }
    }
    Ok(regex)
}

/// Adds the regular expression of a part of a path, which no file has without a character: `*` is not the folder itself.
fn name(part: &str, regex: &mut String) -> Result<(), String> {
    if part.bytes().all(|byte| byte == b'*') {
        regex.push_str("[^/]+");
        return Ok(());
    }
    let mut at = 0;
    while let Some(character) = part[at..].chars().next() {
        at += character.len_utf8();
        match character {
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => {
                let (class, length) = class(&part[at..])?;
                regex.push_str(&class);
                at += length;
            }
            '\\' => {
                let next = part[at..].chars().next().ok_or("it ends with a backslash")?;
                push(next, regex);
                at += next.len_utf8();
            }
            character => push(character, regex),
        }
    }
    Ok(())
}

/// Adds a character that stands for itself: `\x{2d}`, if it is not a letter or a digit.
fn push(character: char, regex: &mut String) {
    if character.is_alphanumeric() {
        regex.push(character);
    } else {
        regex.push_str(r"\x");
        regex.extend(character.escape_unicode().skip(2));
    }
}

/// The class of which `rest` is what follows its `[`, as a regular expression, and its length. It has no `/`.
fn class(rest: &str) -> Result<(String, usize), String> {
    const OPEN: &str = "its `[` is not closed: `[[]` is the character";
    let is_negated = rest.starts_with(['!', '^']);
    let mut set = String::from(if is_negated { "[^/" } else { "[[" });
    let first = usize::from(is_negated);
    let mut at = first;
    loop {
        let inner = &rest[at..];
        let character = inner.chars().next().ok_or(OPEN)?;
        if character == ']' && at > first {
            set.push_str(if is_negated { "]" } else { "]&&[^/]]" });
            return Ok((set, at + 1));
        }
        if let Some((kind, _)) = inner.strip_prefix("[:").and_then(|kind| kind.split_once(":]")) {
            let kind_of = characters(kind).ok_or_else(|| format!("`[:{kind}:]` is not known"))?;
            set.push_str(kind_of);
            at += kind.len() + 4;
            continue;
        }
        let (low, length) = member(inner).ok_or(OPEN)?;
        at += length;
        push(low, &mut set);
        let high = rest[at..].strip_prefix('-').filter(|high| !high.starts_with(']'));
        if let Some((high, length)) = high.and_then(member) {
            if high < low {
                return Err(format!("its range `{low}-{high}` goes down"));
            }
            set.push('-');
            push(high, &mut set);
            at += 1 + length;
        }
    }
}

/// The first character of a class, and how much stands for it.
fn member(class: &str) -> Option<(char, usize)> {
    let mut characters = class.chars();
    match characters.next()? {
        '\\' => characters.next().map(|escaped| (escaped, 1 + escaped.len_utf8())),
        plain => Some((plain, plain.len_utf8())),
    }
}

/// The characters of a kind, inside a class.
fn characters(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "alnum" => r"\p{Alphabetic}\p{Nd}",
        "alpha" => r"\p{Alphabetic}",
        "blank" => r"\x20\t",
        "cntrl" => r"\p{Cc}",
        "digit" => "0-9",
        "graph" => r"[^\s\p{Cc}]",
        "lower" => r"\p{Lowercase}",
        "print" => r"\P{Cc}",
        "punct" => r"[:punct:]\p{P}\p{S}",
        "space" => r"\s",
        "upper" => r"\p{Uppercase}",
        "word" => r"\w",
        "xdigit" => "0-9A-Fa-f",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_characters_as_in_a_shell() {
        for (pattern, matched, others) in [
            ("?.txt", &["a.txt", "é.txt", "я.txt"][..], &["ab.txt", "/.txt", "éa.txt"][..]),
            ("[é].t", &["é.t"], &["e.t", "\u{c3}.t"]),
            ("[!a].t", &["b.t", "é.t"], &["a.t", "/.t", "bb.t"]),
            ("[^a-c]", &["d", "я"], &["a", "b"]),
            ("[а-я]", &["ж"], &["a"]),
            ("[[:digit:][:upper:]_]x", &["1x", "Éx", "_x"], &["ax", "éx"]),
            ("[![:alpha:]]", &["1", "-"], &["é", "a"]),
            ("[]a-]", &["]", "a", "-"], &["b"]),
            ("[a\\]b]\\*", &["]*", "b*"], &["]x"]),
            ("[.-0]", &[".", "0"], &["/"]),
            ("**/c", &["c", "a/c", "a/b/c"], &["ac", "a/cc"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "b/a"]),
            ("a/**/b", &["a/b", "a/x/y/b"], &["ab", "a/xb"]),
            ("a**", &["a", "abc"], &["a/b"]),
            ("*", &["a", ".a"], &["", "a/b"]),
            ("***", &["a"], &["", "a/b"]),
            ("*/**", &["a/b", "a/b/c"], &["", "a", "/b"]),
            ("**/*", &["a", "a/b"], &[""]),
            ("a//b", &["a/b"], &["ab"]),
            ("{,sub/}c", &["c", "sub/c"], &["sub/", "/c"]),
            ("{s/**,o}/c", &["s/c", "s/x/c", "o/c"], &["o/x/c", "s/c/d"]),
            ("{a,b{1,2}}[{,}]", &["a{", "b1,", "b2}"], &["b", "b1"]),
            ("a}.+(b)", &["a}.+(b)"], &["a}..(b)"]),
            ("\\{a\\}", &["{a}"], &["a"]),
            ("{}{x}{a..}", &["{}{x}{a..}"], &["x", "a.."]),
            ("{a{b,c}}{d}", &["{ab}{d}", "{ac}{d}"], &["abd", "ab}d"]),
            ("{a{b},c{}}", &["a{b}", "c{}"], &["ab", "c"]),
        ] {
            let matcher = Matcher::of(pattern).unwrap();
            for name in matched {
                assert!(matcher.is_match(name.as_bytes()), "{pattern} {name}");
            }
            for name in others {
                assert!(!matcher.is_match(name.as_bytes()), "{pattern} {name}");
            }
        }
        let one = Matcher::of("?a*").unwrap();
        assert!(one.is_match(b"\xffa\xfe") && !one.is_match(b"\xff\xffa"));
    }

    #[test]
    fn what_is_not_a_pattern_says_why() {
        for (pattern, why) in [
            ("a[", "its `[` is not closed"),
            ("a{b", "its `{` is not closed"),
            ("a{b,{c}", "its `{` is not closed"),
            ("a{1..12}", "`{1..12}` is not understood"),
            ("{x,{a..e..2}}", "`{a..e..2}` is not understood"),
            ("[z-a]", "its range `z-a` goes down"),
            ("[[:digits:]]", "`[:digits:]` is not known"),
            ("a\\", "it ends with a backslash"),
            (&"{a,b}".repeat(12), "its braces stand for more than 1000 patterns"),
        ] {
            let error = Matcher::of(pattern).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }
}
