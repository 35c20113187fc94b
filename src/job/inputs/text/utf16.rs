//! UTF-16 without a byte order mark: what its first bytes look like.

use std::sync::LazyLock;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use regex::Regex;

/// What no text has: controls but those that lay it out, and what is no character.
static FOREIGN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[\p{Cn}\p{Co}\p{Cc}--\t\n\x0b\x0c\r]").ok());

/// The name of the UTF-16 that bytes look like. No other text has NULs.
pub(super) fn without_mark(bytes: &[u8]) -> Option<&'static str> {
    let bytes = &bytes[..bytes.len() & !1];
    memchr::memchr(0, bytes)?;
    latin(bytes).or_else(|| any(bytes))
}

/// A text of Latin letters: NULs all at odd or all at even places, and many of them.
fn latin(bytes: &[u8]) -> Option<&'static str> {
    let zeros: Vec<usize> = memchr::memchr_iter(0, bytes).collect();
    let odd = zeros.first()? % 2;
    let is_latin = zeros.len() > 1
        && zeros.iter().all(|zero| zero % 2 == odd)
        && zeros.len() * 10 >= bytes.len() / 2 * 4;
    is_latin.then_some(if odd == 1 { "utf-16le" } else { "utf-16be" })
}

/// Of other scripts, blanks, delimiters and line breaks have NULs, and maybe a letter here and there, at any place. Of the
/// two ways to read them the right one has these characters.
fn any(bytes: &[u8]) -> Option<&'static str> {
    let names = [(UTF_16LE, "utf-16le"), (UTF_16BE, "utf-16be")];
    let read =
        names.into_iter().filter_map(|(encoding, name)| Some((ascii(bytes, encoding)?, name)));
    read.max_by_key(|(count, _)| *count).map(|(_, name)| name)
}

/// How many ASCII characters bytes have in this encoding; `None`: they are not text in it, or more likely another one.
fn ascii(bytes: &[u8], encoding: &'static Encoding) -> Option<usize> {
    let last = bytes.last_chunk::<2>()?;
    let last = if encoding == UTF_16LE { last[1] } else { last[0] };
    // The second half of a pair may be cut off.
    let whole = &bytes[..bytes.len() - 2 * usize::from(last & 0xfc == 0xd8)];
    let text = encoding.decode_without_bom_handling_and_without_replacement(whole)?;
    let (mut all, mut ascii, mut plain, mut ends) = (0, 0, 0, 0);
    for char in text.chars() {
        all += 1;
        ascii += usize::from(char.is_ascii());
        ends += usize::from(matches!(char, '\n' | '\r'));
        plain += usize::from(is_of_letters(char));
    }
    let foreign = FOREIGN.as_ref()?.find_iter(&text).count();
    // In another text every second byte would have to be a control character, or it has bytes that are not UTF-8 anyway.
    let is_text = plain * 10 >= all * 7 || std::str::from_utf8(bytes).is_err();
    // A text with a NUL or two has line breaks of its own.
    let bytes_of_ends = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    let are_ends = bytes_of_ends <= 2 * ends || ascii > 1 && ascii * 10 >= all;
    (all > 1 && ascii > 0 && foreign * 50 <= all && is_text && are_ends).then_some(ascii)
}

/// Whether it is of a script of letters, whose first byte is a control character, or a sign such as a dash or an emoji.
fn is_of_letters(char: char) -> bool {
    char < '\u{2070}' || char == '\u{fe0f}' || char > '\u{ffff}'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn texts_of_any_script_are_recognised() {
        let long = "строка с ёлкой 😀, и ещё одна\n".repeat(100);
        for text in [
            "a,b\n1,2\n",
            "имя,город\nАнна,Москва\nИван,Омск\n",
            "name,город\nАнна,Москва\nИван,Омск\n",
            "имя\n",
            "a,b\n1,x\n2,y😀\n",
            "😀\n",
            "όνομα,πόλη\nΆννα,Αθήνα\n",
            "שם,עיר\nדנה,חיפה\n",
            "اسم,مدينة\nعلي,دبي\n",
            "ชื่อ,เมือง\nแอน,กรุงเทพ\n",
            "नाम,शहर\nअन्ना,दिल्ली\n",
            "ਨਾਮ,ਸ਼ਹਿਰ\nਅੰਨਾ,ਦਿੱਲੀ\n",
            "名前,一覧\n一,東京\n\u{3000}二,Ā\n",
            "이름,도시\n안나,서울\n",
            "id,note\n1,great\n2,thanks 😀\n3,ok then, see you\n",
            "Ā\nĀb\nĀĀĀĀ\nxyz\n",
            &long,
        ] {
            for (bytes, name) in [
                (utf16(text, u16::to_le_bytes), "utf-16le"),
                (utf16(text, u16::to_be_bytes), "utf-16be"),
            ] {
                let cut = &bytes[..bytes.len().min(4096)];
                assert_eq!(without_mark(cut), Some(name), "{text}");
            }
        }
    }

    #[test]
    fn other_texts_are_not() {
        for bytes in [
            &b"a\0b\n"[..],
            b"x\0f\n",
            b"a,b\n1,x\0y\n",
            b"a,b\n1,x\0\0y\n2,z\n",
            b"a\0b\nc\n",
            b"caf\xe9,1\nth\xe9\0,2\n",
            b"id,name\n1,a\0\n2,b\0c\n3,d\n",
            b"1\n2\n\0\n3\n",
            b"1\t2\n\0\t3\n",
            b"\0",
            b"a",
            b"\0\n",
            "имя\nАнна\0\nИван\n".as_bytes(),
            "名前\n一\0\n二\n".as_bytes(),
        ] {
            assert_eq!(without_mark(bytes), None, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
