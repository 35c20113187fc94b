//! The charset that a page names near its start, found as browsers find it: the HTML standard's prescan of a byte stream,
//! <https://html.spec.whatwg.org/multipage/parsing.html#prescan-a-byte-stream-to-determine-its-encoding>.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// The charset that a page names, in a `meta` or in an XML declaration.
pub(super) fn prescan(page: &[u8]) -> Option<&'static Encoding> {
    match page {
        [b'<', 0, b'?', 0, b'x', 0, ..] => return Some(UTF_16LE),
        [0, b'<', 0, b'?', 0, b'x', ..] => return Some(UTF_16BE),
        _ => {}
    }
    let mut scan = Scan { bytes: page, at: 0 };
    while let Some(offset) = memchr::memchr(b'<', scan.rest()) {
        scan.at += offset;
        if let Some(found) = scan.markup() {
            return Some(found);
        }
    }
    declared(page)
}

/// A name that was read as ASCII cannot be that of a charset with two bytes for it.
pub(super) fn readable(named: &'static Encoding) -> &'static Encoding {
    match named {
        _ if named == UTF_16LE || named == UTF_16BE => UTF_8,
        _ if named == X_USER_DEFINED => WINDOWS_1252,
        _ => named,
    }
}

/// The charset of the XML declaration that these bytes start with.
pub(super) fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let rest = bytes.strip_prefix(b"<?xml")?;
    let declaration = &rest[..memchr::memchr(b'>', rest)?];
    let at = memchr::memmem::find(declaration, b"encoding")?;
    let skip = |text: &[u8]| text.iter().take_while(|&&byte| byte <= b' ').count();
    let text = &declaration[at + b"encoding".len()..];
    let text = text[skip(text)..].strip_prefix(b"=")?;
    let text = &text[skip(text)..];
    let (&quote, text) = text.split_first().filter(|(quote, _)| b"\"'".contains(quote))?;
    let label = &text[..memchr::memchr(quote, text)?];
    if label.iter().any(|&byte| byte <= b' ') {
        return None;
    }
    Encoding::for_label(label).map(readable)
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at.min(self.bytes.len())..]
    }

    /// Goes on after the next of `text`, or to the end.
    fn pass(&mut self, text: &[u8]) {
        let found = memchr::memmem::find(self.rest(), text);
        self.at = found.map_or(self.bytes.len(), |offset| self.at + offset + text.len());
    }

    /// Passes what the `<` here begins. The charset, if that is a `meta` that names one.
    fn markup(&mut self) -> Option<&'static Encoding> {
        let rest = self.rest();
        if rest.starts_with(b"<!--") {
            self.at += 2; // its dashes may be those of its end
            self.pass(b"-->");
            return None;
        }
        let is_meta = rest.get(1..5).is_some_and(|name| name.eq_ignore_ascii_case(b"meta"))
            && rest.get(5).is_some_and(|&byte| is_blank(byte) || byte == b'/');
        if is_meta {
            self.at += 5;
            return self.meta();
        }
        let name = rest.get(1).map_or(1, |&byte| if byte == b'/' { 2 } else { 1 });
        match rest.get(name) {
            Some(letter) if letter.is_ascii_alphabetic() => {
                let length = rest.iter().position(|&byte| is_blank(byte) || byte == b'>');
                self.at += length.unwrap_or(rest.len());
                while self.attribute().is_some() {}
            }
            _ if matches!(rest.get(1), Some(b'!' | b'/' | b'?')) => self.pass(b">"),
            _ => self.at += 1,
        }
        None
    }

    fn meta(&mut self) -> Option<&'static Encoding> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let (mut is_content_type, mut is_in_content) = (false, None);
        let mut charset: Option<Option<&'static Encoding>> = None;
        while let Some((name, value)) = self.attribute() {
            if names.contains(&name) {
                continue;
            }
            match &name[..] {
                b"http-equiv" => is_content_type |= value == b"content-type",
                b"content" if charset.is_none() => {
                    if let Some(label) = in_content(&value) {
                        let encoding = Encoding::for_label(label);
                        if encoding.is_some() {
                            (charset, is_in_content) = (Some(encoding), Some(true));
                        }
                    }
                }
                b"charset" => {
                    (charset, is_in_content) = (Some(Encoding::for_label(&value)), Some(false));
                }
                _ => {}
            }
            names.push(name);
        }
        let counts = is_in_content.is_some_and(|is_in_content| !is_in_content || is_content_type);
        charset.flatten().filter(|_| counts).map(readable)
    }

    /// The next attribute of a tag, its name and value in lower case; `None` at the end of the tag.
    fn attribute(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.skip(|byte| is_blank(byte) || byte == b'/');
        if matches!(self.rest().first(), None | Some(b'>')) {
            return None;
        }
        let first = self.at;
        self.at += 1; // a name may begin with `=`
        self.skip(|byte| !is_blank(byte) && !b"=/>".contains(&byte));
        let name = self.bytes[first..self.at].to_ascii_lowercase();
        let end = self.at;
        self.skip(is_blank);
        if self.rest().first() != Some(&b'=') {
            self.at = end;
            return Some((name, Vec::new()));
        }
        self.at += 1;
        self.skip(is_blank);
        let quote = self.rest().first().copied().filter(|quote| b"\"'".contains(quote));
        let Some(quote) = quote else {
            let first = self.at;
            self.skip(|byte| !is_blank(byte) && byte != b'>');
            return Some((name, self.bytes[first..self.at].to_ascii_lowercase()));
        };
        let first = self.at + 1;
        let Some(length) = memchr::memchr(quote, &self.bytes[first..]) else {
            self.at = self.bytes.len(); // the end of the value is not here, so nothing after it is
            return None;
        };
        self.at = first + length + 1;
        Some((name, self.bytes[first..first + length].to_ascii_lowercase()))
    }

    fn skip(&mut self, is_passed: impl Fn(u8) -> bool) {
        self.at += self.rest().iter().take_while(|&&byte| is_passed(byte)).count();
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

/// `charset=` in the value of `content`, which is in lower case.
fn in_content(value: &[u8]) -> Option<&[u8]> {
    let mut rest = value;
    loop {
        rest = &rest[memchr::memmem::find(rest, b"charset")? + b"charset".len()..];
        let after = rest.trim_ascii_start();
        let Some(label) = after.strip_prefix(b"=") else { continue };
        let label = label.trim_ascii_start();
        let (&quote, quoted) = label.split_first()?;
        if b"\"'".contains(&quote) {
            return Some(&quoted[..memchr::memchr(quote, quoted)?]);
        }
        let length = label.iter().position(|&byte| is_blank(byte) || byte == b';');
        return Some(&label[..length.unwrap_or(label.len())]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_its_charset() {
        for (page, expected) in [
            (r#"<?xml version="1.0" encoding="windows-1251"?><html>"#, Some("windows-1251")),
            (r#"<?xml encoding="koi8-r"?><meta charset="gbk">"#, Some("GBK")),
            (r#" <?xml encoding="koi8-r"?>"#, None),
            (r#"<?xml version="1.0"?>encoding="koi8-r""#, None),
            ("<?xml encoding='utf-16'?>", Some("UTF-8")),
            ("<!--><meta charset=koi8-r>", Some("KOI8-R")),
            ("<!-- <meta charset=koi8-r> -->", None),
            ("<!---><meta charset=koi8-r>-->", Some("KOI8-R")),
            ("<div title='<meta charset=gbk>'></div><meta charset=koi8-r>", Some("KOI8-R")),
            ("<a href=x title=\"<meta charset=gbk>\n", None),
            ("<meta charset=nonsense><meta charset='utf-16le'>", Some("UTF-8")),
            (
                "<meta http-equiv=Content-Type content='text/html; CHARSET = \"koi8-r\"'>",
                Some("KOI8-R"),
            ),
            ("<meta content='text/html; charset=koi8-r'>", None),
            ("<meta content='charset=gbk' charset=koi8-r>", Some("KOI8-R")),
            ("<metadata charset=gbk><META/charset=koi8-r />", Some("KOI8-R")),
            ("<meta charset=koi8-r charset=gbk>", Some("KOI8-R")),
            ("</meta charset=gbk><? <meta charset=gbk ?><1 <meta charset=koi8-r>", Some("KOI8-R")),
            ("<meta charset", None),
            ("<", None),
            ("", None),
        ] {
            assert_eq!(prescan(page.as_bytes()).map(Encoding::name), expected, "{page}");
        }
        assert_eq!(prescan(b"<\0?\0x\0m\0l\0"), Some(UTF_16LE));
    }
}
