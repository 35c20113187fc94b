//! Text of the user's and of programs, for people: readable whatever is in it, and never longer than there is room.

/// `bytes` as text with at most about `limit` characters from its start and as many from its end.
pub fn ends(bytes: &[u8], limit: usize) -> String {
    if bytes.len() <= 2 * limit {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let start = String::from_utf8_lossy(&bytes[..floor(bytes, limit)]);
    let end = String::from_utf8_lossy(&bytes[floor(bytes, bytes.len() - limit)..]);
    format!("{start} … {end}")
}

/// The last place up to `at` where a character starts.
fn floor(bytes: &[u8], at: usize) -> usize {
    let is_start = |&at: &usize| bytes.get(at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (at.saturating_sub(3)..=at).rev().find(is_start).unwrap_or(at)
}

/// `text` on one line, with at most `limit` characters.
pub fn line(bytes: &[u8], limit: usize) -> String {
    let text = ends(bytes, 2 * limit);
    let text = text.trim().replace('\n', r"\n");
    if text.chars().count() <= limit {
        return visible(&text);
    }
    let cut: String = text.chars().take(limit.saturating_sub(1)).chain(['…']).collect();
    visible(&cut)
}

/// `text` with control characters, and those that change the order in which text is shown, spelled out. Line breaks and
/// tabs stay.
pub fn visible(text: &str) -> String {
    let is_hidden = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if !text.contains(is_hidden) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if is_hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(ends(b"short", 10), "short");
        assert_eq!(ends("äöüäöüäöüäöü".as_bytes(), 5), "äö … äöü");
        assert_eq!(line("a\nb".as_bytes(), 9), r"a\nb");
        assert_eq!(line("äöüäöü".as_bytes(), 4), "äöü…");
    }

    #[test]
    fn what_hides_is_shown() {
        assert_eq!(visible("a\u{1b}[2J\u{202e}b\n\tü🦀"), "a\\u{1b}[2J\\u{202e}b\n\tü🦀");
    }
}
