//! Writing JSON: any bytes as a string, and numbers as job files have them as numbers. And reading one value of it.

mod at;
mod object;

use dashu_int::UBig;

pub use at::{Found, at, inside};
pub use object::Object;

/// How numbers that JSON cannot express are written. A job file may have them: `inf` and `nan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFinite {
    /// As a string of the text in the job file. The output is valid JSON.
    Text,
    /// As Python's `json` reads and writes them: `Infinity`, `-Infinity`, `NaN`.
    Python,
}

/// Writes an array of what `write` writes of each.
pub fn write_array<T>(
    elements: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (index, element) in elements.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(element, out);
    }
    out.push(b']');
}

/// Writes an object of these names, with what `write` writes of each value.
pub fn write_object<'n, T: 'n>(
    members: impl IntoIterator<Item = &'n (String, T)>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(&'n T, &mut Vec<u8>),
) {
    out.push(b'{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(name.as_bytes(), out);
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

/// Writes bytes as a JSON string; a byte that is not UTF-8 becomes `\udc80` to `\udcff`, as with Python's
/// `surrogateescape`.
pub fn write_text(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if bytes.iter().all(|&byte| is_plain(byte) && byte < 0x80) {
        out.extend_from_slice(bytes);
    } else {
        for chunk in bytes.utf8_chunks() {
            chunk.valid().bytes().for_each(|byte| write_escaped(byte, out));
            for byte in chunk.invalid() {
                out.extend_from_slice(format!("\\udc{byte:02x}").as_bytes());
            }
        }
    }
    out.push(b'"');
}

fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

fn write_escaped(byte: u8, out: &mut Vec<u8>) {
    match byte {
        byte if is_plain(byte) => out.push(byte),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        byte => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
    }
}

/// Writes a number, a boolean, an array or an object of a job file or a JSON file as JSON; an empty text stands for
/// null. Digits are kept as they are, however many there are.
pub fn write_bare(text: &[u8], not_finite: NotFinite, out: &mut Vec<u8>) {
    match text {
        [] => out.extend_from_slice(b"null"),
        [b'0', b'x', digits @ ..] => write_in_decimal(digits, 16, out),
        [b'0', b'o', digits @ ..] => write_in_decimal(digits, 8, out),
        [b'0', b'b', digits @ ..] => write_in_decimal(digits, 2, out),
        [b'i' | b'n' | b'I' | b'N', ..] | [b'+' | b'-', b'i' | b'n' | b'I' | b'N', ..] => {
            write_not_finite(text, not_finite, out);
        }
        [b'+', number @ ..] => out.extend_from_slice(number),
        _ => write_on_one_line(text, out),
    }
}

/// Writes JSON on one line: a line break stands between its parts, since one in a text is escaped.
pub fn write_on_one_line(json: &[u8], out: &mut Vec<u8>) {
    let mut rest = json;
    while let Some(place) = memchr::memchr2(b'\n', b'\r', rest) {
        out.extend_from_slice(&rest[..place]);
        out.push(b' ');
        rest = &rest[place + 1..];
    }
    out.extend_from_slice(rest);
}

#[cold]
fn write_in_decimal(digits: &[u8], radix: u32, out: &mut Vec<u8>) {
    let number =
        str::from_utf8(digits).ok().and_then(|text| UBig::from_str_radix(text, radix).ok());
    match number {
        Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
        None => write_text(digits, out), // the parser of the job file lets no such text through
    }
}

#[cold]
fn write_not_finite(text: &[u8], not_finite: NotFinite, out: &mut Vec<u8>) {
    out.extend_from_slice(match (not_finite, text) {
        (NotFinite::Text, _) => return write_text(text, out),
        (NotFinite::Python, b"inf" | b"+inf" | b"Infinity") => b"Infinity",
        (NotFinite::Python, b"-inf" | b"-Infinity") => b"-Infinity",
        (NotFinite::Python, _) => b"NaN",
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(text: &str, not_finite: NotFinite) -> String {
        let mut out = Vec::new();
        write_bare(text.as_bytes(), not_finite, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_as_a_job_file_has_them() {
        for (text, expected) in [
            ("", "null"),
            ("true", "true"),
            ("0", "0"),
            ("-17", "-17"),
            ("+5", "5"),
            ("0.10", "0.10"),
            ("+1e06", "1e06"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("0b101", "5"),
            ("0xffffffffffffffffffffffff", "79228162514264337593543950335"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("{\"a\": [null, 1]}", "{\"a\": [null, 1]}"),
            ("[\r\n1,\n\"\\n\"\r]\n", "[  1, \"\\n\" ] "),
            ("-inf", "\"-inf\""),
            ("nan", "\"nan\""),
            ("NaN", "\"NaN\""),
        ] {
            assert_eq!(bare(text, NotFinite::Text), expected, "{text}");
        }
        for (text, expected) in [
            ("inf", "Infinity"),
            ("+inf", "Infinity"),
            ("-inf", "-Infinity"),
            ("-nan", "NaN"),
            ("NaN", "NaN"),
            ("Infinity", "Infinity"),
            ("-Infinity", "-Infinity"),
        ] {
            assert_eq!(bare(text, NotFinite::Python), expected, "{text}");
        }
    }

    #[test]
    fn any_bytes_are_a_string() {
        let mut out = Vec::new();
        write_text(b"a\"\\\n\x01\xff\xc3\xa9", &mut out);
        assert_eq!(out, "\"a\\\"\\\\\\n\\u0001\\udcff\u{e9}\"".as_bytes());
    }
}
