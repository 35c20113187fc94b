//! What must not be written down: the values of secrets, also percent-encoded, in base64 and in JSON. Everything that is
//! shown or kept passes through here; where there are no secrets, that costs a look at a flag.

mod forms;
mod loose;
mod relay;
mod stream;
mod wrapped;

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use regex::bytes::{NoExpand, Regex};

use forms::{forms, in_base64};
pub use relay::Relay;
pub use stream::Stream;

/// What stands in the place of a secret.
pub const MASK: &[u8] = b"***";

/// How many bytes are copied at a time.
const PIECE: u64 = 64 << 10;

static IN_USE: AtomicBool = AtomicBool::new(false);
static MASKED: RwLock<Masked> = RwLock::new(Masked {
    values: Vec::new(),
    forms: Vec::new(),
    base64: Vec::new(),
    finder: None,
    wrapped: None,
    loose: None,
});

struct Masked {
    values: Vec<Vec<u8>>,
    /// The forms that are looked for in what comes in pieces, too.
    forms: Vec<Vec<u8>>,
    /// Those of them that may be broken into lines.
    base64: Vec<Vec<u8>>,
    finder: Option<AhoCorasick>,
    /// Finds what is broken into lines.
    wrapped: Option<AhoCorasick>,
    /// Finds a value in mixtures of forms.
    loose: Option<Regex>,
}

/// From here on this value is masked.
pub fn add(value: &[u8]) {
    let mut masked = MASKED.write().unwrap_or_else(PoisonError::into_inner);
    for form in forms(value) {
        if form.len() >= 4 && !masked.forms.contains(&form) {
            masked.forms.push(form);
        }
    }
    for form in in_base64(value) {
        if form.len() >= wrapped::SHORTEST && !masked.base64.contains(&form) {
            masked.base64.push(form);
        }
    }
    let finder = |forms: &[Vec<u8>]| {
        AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(forms).ok()
    };
    masked.finder = finder(&masked.forms);
    masked.wrapped = finder(&masked.base64);
    masked.values.push(value.to_vec());
    masked.loose = loose::finder(&masked.values);
    IN_USE.store(true, Ordering::Release);
}

/// Whether there is anything to mask.
pub fn is_in_use() -> bool {
    IN_USE.load(Ordering::Acquire)
}

/// `text` with every secret replaced.
pub fn apply(text: &[u8]) -> Cow<'_, [u8]> {
    if !is_in_use() || text.is_empty() {
        return Cow::Borrowed(text);
    }
    let masked = MASKED.read().unwrap_or_else(PoisonError::into_inner);
    let text = masked.without_forms(text);
    let Some(loose) = masked.loose.as_ref().filter(|loose| loose.is_match(&text)) else {
        return text;
    };
    Cow::Owned(loose.replace_all(&text, NoExpand(MASK)).into_owned())
}

/// What may be shown of the part of `text` at `place`, if that begins or ends within a secret: its part would not be known
/// for one. `None` if it has secrets as a whole, or none.
pub fn cut(text: &[u8], place: Range<usize>) -> Option<Vec<u8>> {
    if !is_in_use() || place.is_empty() {
        return None;
    }
    let masked = MASKED.read().unwrap_or_else(PoisonError::into_inner);
    let mut secrets = masked.places(text);
    secrets.retain(|secret| secret.start < place.end && place.start < secret.end);
    if secrets.iter().all(|secret| place.start <= secret.start && secret.end <= place.end) {
        return None;
    }
    let (mut shown, mut at) = (Vec::new(), place.start);
    for secret in secrets {
        if secret.end.min(place.end) <= at {
            continue; // within the one before
        }
        shown.extend_from_slice(text.get(at..secret.start).unwrap_or_default());
        shown.extend_from_slice(MASK);
        at = secret.end.min(place.end);
    }
    shown.extend_from_slice(&text[at..place.end]);
    Some(shown)
}

impl Masked {
    /// Where secrets are in `text`, in any form or mixture of forms, the first one first.
    fn places(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut places = self.find(text);
        let mixtures = self.loose.iter().flat_map(|loose| loose.find_iter(text));
        places.extend(mixtures.map(|found| found.range()));
        places.sort_by_key(|place| (place.start, place.end));
        places
    }

    fn without_forms<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let found = self.find(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut out, mut end) = (Vec::with_capacity(text.len()), 0);
        for found in found {
            out.extend_from_slice(&text[end..found.start]);
            out.extend_from_slice(MASK);
            end = found.end;
        }
        out.extend_from_slice(&text[end..]);
        Cow::Owned(out)
    }

    /// Where there is a secret in one of the usual forms, in order.
    fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let plain = self.finder.iter().flat_map(|finder| finder.find_iter(text));
        let mut found: Vec<_> = plain.map(|found| found.range()).collect();
        found.extend(self.wrapped.iter().flat_map(|finder| wrapped::find(finder, text)));
        found.sort_unstable_by_key(|range| range.start);
        found.dedup_by(|later, earlier| {
            let overlaps = later.start < earlier.end;
            if overlaps {
                earlier.end = earlier.end.max(later.end);
            }
            overlaps
        });
        found
    }
}

/// `text` without the end of a secret whose start was cut off.
pub fn after_cut(text: &[u8]) -> &[u8] {
    let is_rest = |form: &[u8], from: usize| text.starts_with(&form[from..]);
    let rest = longest(|form| {
        (1..form.len()).find(|&from| is_rest(form, from)).map(|from| form.len() - from)
    });
    let rest = rest.max(in_wrapped(|forms| wrapped::end_after_cut(forms, text)));
    &text[rest..]
}

/// `text` without the start of a secret whose end was cut off.
pub fn before_cut(text: &[u8]) -> &[u8] {
    let is_start = |form: &[u8], to: usize| text.ends_with(&form[..to]);
    let start = longest(|form| (1..form.len()).rev().find(|&to| is_start(form, to)));
    let start = start.max(in_wrapped(|forms| wrapped::start_before_cut(forms, text)));
    &text[..text.len() - start]
}

/// What `length` finds of the forms that may be broken into lines.
fn in_wrapped(length: impl FnOnce(&[Vec<u8>]) -> usize) -> usize {
    if !is_in_use() {
        return 0;
    }
    let masked = MASKED.read().unwrap_or_else(PoisonError::into_inner);
    length(&masked.base64)
}

/// The most that `length` finds of any form of a secret.
fn longest(length: impl Fn(&[u8]) -> Option<usize>) -> usize {
    if !is_in_use() {
        return 0;
    }
    let masked = MASKED.read().unwrap_or_else(PoisonError::into_inner);
    masked.forms.iter().filter_map(|form| length(form)).max().unwrap_or(0)
}

/// Replaces every secret in `text`.
pub fn apply_to(text: &mut Vec<u8>) {
    if let Cow::Owned(masked) = apply(text) {
        *text = masked;
    }
}

/// Replaces every secret in a string.
pub fn apply_to_string(text: &mut String) {
    if let Cow::Owned(masked) = apply(text.as_bytes()) {
        *text = String::from_utf8_lossy(&masked).into_owned();
    }
}

/// Copies all that there is to read, with every secret replaced.
///
/// # Errors
/// If it cannot be read or written.
pub fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    if !is_in_use() {
        return io::copy(from, to).map(drop);
    }
    let (mut stream, mut piece, mut out) = (Stream::default(), Vec::new(), Vec::new());
    while from.take(PIECE).read_to_end(&mut piece)? > 0 {
        stream.push(&piece, &mut out);
        to.write_all(&out)?;
        piece.clear();
        out.clear();
    }
    stream.finish(&mut out);
    to.write_all(&out)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    use super::*;

    fn masked(text: &str) -> String {
        String::from_utf8_lossy(&apply(text.as_bytes())).into_owned()
    }

    #[test]
    fn a_secret_is_masked_in_every_form() {
        add(b"s3cr3t/k y\"+");
        assert_eq!(masked("a s3cr3t/k y\"+ b"), "a *** b");
        assert_eq!(masked("?k=s3cr3t%2Fk%20y%22%2B&"), "?k=***&");
        assert_eq!(masked("?k=s3cr3t%2fk%20y%22%2b&"), "?k=***&");
        assert_eq!(masked("k=s3cr3t%2Fk+y%22%2B"), "k=***");
        assert_eq!(masked(r#"{"k":"s3cr3t/k y\"+"}"#), r#"{"k":"***"}"#);
        for user in ["u:", "us:", "use:", ""] {
            let text =
                base64::engine::general_purpose::STANDARD.encode(format!("{user}s3cr3t/k y\"+"));
            let found = masked(&format!("Basic {text}"));
            assert!(found.contains("***") && found.len() < 24, "{text}: {found}");
        }
        assert_eq!(masked(r#"{"k":"s3cr3t\/k y\"+"}"#), r#"{"k":"***"}"#);
        assert_eq!(masked("<p>s3cr3t/k y&quot;+</p>"), "<p>***</p>");
        add("s3cr3t-ü😀".as_bytes());
        assert_eq!(masked(r"s3cr3t-\u00fc\ud83d\ude00"), "***");
        assert_eq!(masked("nothing here"), "nothing here");
        let text = b"a=s3cr3t/k y\"+;b=s3cr3t%2Fk+y%22%2B;";
        let shown = |place| cut(text, place).map(|shown| String::from_utf8(shown).unwrap());
        assert_eq!(shown(0..text.len()), None);
        assert_eq!(shown(14..17), None);
        assert_eq!(shown(2..14), None, "a whole one is masked later");
        assert_eq!(shown(2..13).as_deref(), Some("***"));
        assert_eq!(shown(0..20).as_deref(), Some("a=***;b=***"));
        assert_eq!(shown(5..16).as_deref(), Some("***;b"));
        add(b"Hunter+two's  <Key>&");
        for text in [
            r"Hunter\u002Btwo\u0027s  \u003cKey\u003e\u0026",
            r"Hunter\u002btwo's  \u003CKey\u003E\u0026",
            r"Hunter+two\'s  <Key>&",
            "hunter+two's  <key>&",
            "Hunter+two's <Key>&",
            "Hunter%2Btwo's%20%20%3CKey%3E%26",
            "Hunter%2btwo%27s++%3cKey>&",
            "Hunter&#43;two&#x27;s  &lt;Key&gt;&amp;",
            r"Hunter\x2btwo\u{27}s  <Key>&",
        ] {
            assert_eq!(masked(&format!("[{text}]")), "[***]");
        }
        assert_eq!(masked("Hunter+one's  <Key>&"), "Hunter+one's  <Key>&");
        add("lïne1\n\x01\t'é'".as_bytes());
        let text = "lïne1\n\x01\t'é'";
        for text in [
            text.escape_debug().to_string(),
            text.escape_default().to_string(),
            text.as_bytes().escape_ascii().to_string(),
            format!("{text:?}"),
        ] {
            assert_eq!(masked(&text).trim_matches('"'), "***", "{text}");
        }
        assert_eq!(after_cut(b"3t/k y\"+ and s3cr3t"), b" and s3cr3t");
        assert_eq!(before_cut(b"t/k and s3cr3t%2F"), b"t/k and ");
        assert_eq!(
            (after_cut(b"[whole]"), before_cut(b"[whole]")),
            (&b"[whole]"[..], &b"[whole]"[..])
        );
        wrapped_base64_is_masked();
        for size in 1..20 {
            let (mut stream, mut out) = (Stream::default(), Vec::new());
            for piece in b"a s3cr3t/k y\"+ s3cr3t/ s3cr3t/k".chunks(size) {
                stream.push(piece, &mut out);
            }
            stream.finish(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), "a *** s3cr3t/ s3cr3t/k");
        }
        let at = |place: usize| format!("{}s3cr3t/k y\"+", "x".repeat(place));
        for place in [0, 65_520, 65_530, 65_536, 131_070] {
            let mut out = Vec::new();
            copy(&mut at(place).as_bytes(), &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), format!("{}***", "x".repeat(place)));
        }
    }

    fn wrapped_base64_is_masked() {
        let secret = (0..90).map(|n| char::from(b'a' + n % 26)).collect::<String>() + "-long";
        add(secret.as_bytes());
        for before in ["", "u", "us", "use", "a text of some length before it: "] {
            let text = STANDARD_NO_PAD.encode(format!("{before}{secret} and after it"));
            for (width, end) in
                [(76, "\n"), (64, "\r\n"), (57, "\n  "), (20, "\\n"), (76, "\\r\\n")]
            {
                let lines: Vec<_> =
                    text.as_bytes().chunks(width).map(String::from_utf8_lossy).collect();
                let text = lines.join(end) + "\n";
                let found = masked(&text);
                assert!(found.contains("***") && found.len() < 90, "{before}{width}: {found}");
                let joined = found.replace(['\n', '\r', ' '], "");
                assert!(joined.len() < 90, "{found}");
                for size in [1, 10, 100] {
                    let (mut stream, mut out) = (Stream::default(), Vec::new());
                    let whole = format!("log line\n{text}more\n");
                    whole.as_bytes().chunks(size.max(end.len())).for_each(|piece| {
                        stream.push(piece, &mut out);
                    });
                    stream.finish(&mut out);
                    let found = String::from_utf8(out).unwrap();
                    assert!(size < 100 || found.contains("***"), "{before}{width}: {found}");
                    assert!(found.starts_with("log line\n") && found.ends_with("more\n"));
                }
                let shown = cut(text.as_bytes(), 0..text.len() / 2).unwrap();
                assert!(shown.ends_with(MASK) && shown.len() < before.len() * 4 / 3 + 8, "{width}");
                let cut = &text.as_bytes()[text.len() / 2..];
                assert!(after_cut(cut).len() < 60, "{width}");
                let start = before_cut(&text.as_bytes()[..text.len() / 2]);
                assert!(start.len() < before.len() * 4 / 3 + 8, "{before}{width}");
            }
        }
        let (mut stream, mut out) = (Stream::default(), Vec::new());
        stream.push(b"listening on 8000Y\n", &mut out);
        assert_eq!(out, b"listening on 8000Y\n"); // nothing is held back for long
        assert_eq!(masked("one\ntwo\nthree\n"), "one\ntwo\nthree\n");
    }
}
