//! The forms in which programs write a value: as it is, percent-encoded, in base64, in JSON and on pages.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use crate::base::json;

/// The forms in which a value may turn up.
pub(super) fn forms(value: &[u8]) -> Vec<Vec<u8>> {
    // The name of a host is lower-case, whatever was written.
    let mut forms = vec![value.to_vec(), value.to_ascii_lowercase()];
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
    let component = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
    let in_url = |byte: u8| byte.is_ascii_graphic() && !b"\"<>`{}#".contains(&byte);
    let in_query = |byte: u8| byte.is_ascii_graphic() && !b"\"<>#'".contains(&byte);
    let in_path = |byte: u8| byte.is_ascii_graphic() && !b"\"<>`{}#?^".contains(&byte);
    let in_user = |byte: u8| byte.is_ascii_graphic() && !b"\"<>`{}#?^/:;=@[\\]|".contains(&byte);
    for upper in [true, false] {
        forms.push(encoded(&unreserved, "%20", upper));
        forms.push(encoded(&form_data, "+", upper));
        for keep in [&component as &dyn Fn(u8) -> bool, &in_url, &in_query, &in_path, &in_user] {
            forms.push(encoded(keep, "%20", upper));
        }
    }
    forms.extend(in_json(value));
    forms.push(in_html(value));
    forms.extend(in_base64(value));
    forms.extend(misread(value));
    forms.sort();
    forms.dedup();
    forms
}

/// Base64 of something that has the value in it: what does not depend on the bytes around it, at each offset.
pub(super) fn in_base64(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
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
            forms.push(URL_SAFE_NO_PAD.encode(value).into_bytes());
        }
    }
    forms
}

/// As text that is read in another charset than it was written in: Windows' or UTF-8, the latter with U+FFFD for what is none.
fn misread(value: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let read = |encoding: &'static Encoding, bytes: &[u8]| {
        encoding.decode_without_bom_handling(bytes).0.into_owned().into_bytes()
    };
    // Without what Windows' has not, it would be another text.
    let written = std::str::from_utf8(value).ok().map(|text| WINDOWS_1252.encode(text));
    let written = written.and_then(|(bytes, _, is_lossy)| (!is_lossy).then(|| bytes.into_owned()));
    let misread = [read(WINDOWS_1252, value), read(UTF_8, value)];
    let is_ascii = value.is_ascii();
    let forms = written.map(|bytes| [read(UTF_8, &bytes), bytes]).into_iter().flatten();
    misread.into_iter().chain(forms).filter(move |_| !is_ascii)
}

/// Within the quotes of JSON: as it is, with every `/` escaped, and in ASCII only.
fn in_json(value: &[u8]) -> Vec<Vec<u8>> {
    let mut quoted = Vec::new();
    json::write_text(value, &mut quoted);
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
    // As Go, .NET, Rails and Gson write it, which keep out of HTML.
    let for_html = |set: &str, upper: bool| {
        let mut out = String::new();
        for character in ascii.replace("\\\"", "\"").chars() {
            let _ = match (set.contains(character), character) {
                (true, _) if upper => write!(out, "\\u{:04X}", u32::from(character)),
                (true, _) => write!(out, "\\u{:04x}", u32::from(character)),
                (false, '"') => out.write_str("\\\""),
                (false, _) => out.write_char(character),
            };
        }
        out
    };
    let mut forms = vec![text, ascii.clone()];
    for set in ["&<>", "&<>'=", "&<>'\"+`"] {
        forms.extend([for_html(set, true), for_html(set, false)]);
    }
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
