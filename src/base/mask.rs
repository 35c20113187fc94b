//! What must not be written down: the values of secrets, also percent-encoded, in base64 and in JSON. Everything that is
//! shown or kept passes through here; where there are no secrets, that costs a look at a flag.

mod relay;
mod stream;

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

pub use relay::Relay;
pub use stream::Stream;

/// What stands in the place of a secret.
pub const MASK: &[u8] = b"***";

/// How many bytes are copied at a time.
const PIECE: u64 = 64 << 10;

static IN_USE: AtomicBool = AtomicBool::new(false);
static MASKED: RwLock<Masked> = RwLock::new(Masked { forms: Vec::new(), finder: None });

struct Masked {
    forms: Vec<Vec<u8>>,
    finder: Option<AhoCorasick>,
}

/// From here on this value is masked.
pub fn add(value: &[u8]) {
    let mut masked = MASKED.write().unwrap_or_else(PoisonError::into_inner);
    for form in forms(value) {
        if form.len() >= 4 && !masked.forms.contains(&form) {
            masked.forms.push(form);
        }
    }
    let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&masked.forms);
    masked.finder = built.ok();
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
    let Some(finder) = &masked.finder else { return Cow::Borrowed(text) };
    if finder.find(text).is_none() {
        return Cow::Borrowed(text);
    }
    let (mut out, mut end) = (Vec::with_capacity(text.len()), 0);
    for found in finder.find_iter(text) {
        out.extend_from_slice(&text[end..found.start()]);
        out.extend_from_slice(MASK);
        end = found.end();
    }
    out.extend_from_slice(&text[end..]);
    Cow::Owned(out)
}

/// `text` without the end of a secret whose start was cut off.
pub fn after_cut(text: &[u8]) -> &[u8] {
    let is_rest = |form: &[u8], from: usize| text.starts_with(&form[from..]);
    let rest = longest(|form| {
        (1..form.len()).find(|&from| is_rest(form, from)).map(|from| form.len() - from)
    });
    &text[rest..]
}

/// `text` without the start of a secret whose end was cut off.
pub fn before_cut(text: &[u8]) -> &[u8] {
    let is_start = |form: &[u8], to: usize| text.ends_with(&form[..to]);
    let start = longest(|form| (1..form.len()).rev().find(|&to| is_start(form, to)));
    &text[..text.len() - start]
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
    let mut kept = Vec::new();
    loop {
        let is_last = from.take(PIECE).read_to_end(&mut kept)? == 0;
        let masked = MASKED.read().unwrap_or_else(PoisonError::into_inner);
        let longest = masked.forms.iter().map(Vec::len).max().unwrap_or(0);
        // A secret that begins after this may not have been read to its end.
        let sure = if is_last { kept.len() } else { kept.len().saturating_sub(longest) };
        let mut end = 0;
        for found in masked.finder.iter().flat_map(|finder| finder.find_iter(&kept)) {
            if found.start() > sure {
                break;
            }
            to.write_all(&kept[end..found.start()])?;
            to.write_all(MASK)?;
            end = found.end();
        }
        let sure = sure.max(end);
        to.write_all(&kept[end..sure])?;
        kept.drain(..sure);
        if is_last {
            return Ok(());
        }
    }
}

/// The forms in which a value may turn up.
fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![value.to_vec()];
    let encoded = |keep: &dyn Fn(u8) -> bool, space: &str, upper: bool| {
        let mut out = Vec::new();
        for &byte in value {
            match byte {
                b' ' => out.extend_from_slice(space.as_bytes()),
                byte if keep(byte) => out.push(byte),
                byte if upper => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
                byte => out.extend_from_slice(format!("%{byte:02x}").as_bytes()),
            }
        }
        out
    };
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let form_data = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
    let in_url = |byte: u8| byte.is_ascii_graphic() && !b"\"<>`{}#".contains(&byte);
    for upper in [true, false] {
        forms.push(encoded(&unreserved, "%20", upper));
        forms.push(encoded(&form_data, "+", upper));
        forms.push(encoded(&in_url, "%20", upper));
    }
    forms.extend(in_json(value));
    forms.push(in_html(value));
    // Base64 of something that has the value in it: what does not depend on the bytes around it, at each offset.
    for offset in 0..3 {
        let mut padded = vec![0; offset];
        padded.extend_from_slice(value);
        let skip = [0, 2, 3][offset];
        let whole = padded.len() / 3 * 4;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&padded);
            if let Some(part) = text.as_bytes().get(skip..whole.min(text.len())) {
                forms.push(part.to_vec());
            }
        }
        if offset == 0 {
            forms.push(STANDARD_NO_PAD.encode(value).into_bytes());
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

/// Within the quotes of JSON: as it is, with every `/` escaped, and in ASCII only.
fn in_json(value: &[u8]) -> Vec<Vec<u8>> {
    let mut quoted = Vec::new();
    crate::base::json::write_text(value, &mut quoted);
    let text = String::from_utf8_lossy(&quoted[1..quoted.len() - 1]).into_owned();
    let mut ascii = String::new();
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            let mut units = [0; 2];
            let units = character.encode_utf16(&mut units).iter();
            ascii.extend(units.map(|unit| format!("\\u{unit:04x}")));
        }
    }
    let forms = [text, ascii];
    let slashed = forms.iter().map(|form| form.replace('/', "\\/"));
    slashed.collect::<Vec<_>>().into_iter().chain(forms).map(String::into_bytes).collect()
}

/// As text of a page.
fn in_html(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in value {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            byte => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
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
        assert_eq!(after_cut(b"3t/k y\"+ and s3cr3t"), b" and s3cr3t");
        assert_eq!(before_cut(b"t/k and s3cr3t%2F"), b"t/k and ");
        assert_eq!((after_cut(b"whole"), before_cut(b"whole")), (&b"whole"[..], &b"whole"[..]));
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
}
