//! The text of a body as UTF-8, as a browser finds its charset: the byte order mark, then the header, then the page.

use std::borrow::Cow;
use std::sync::LazyLock;

use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use regex::bytes::Regex;

use super::prescan;

/// A page says its charset near its start, or not at all. Browsers look at 1,024 bytes at least.
const PRESCAN: usize = 16 << 10;

/// What a body is, as far as its charset goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Page,
    /// A page that is XML.
    Xhtml,
    Xml,
    Json,
    Text,
    /// An image, an archive: it has no charset.
    Bytes,
}

/// A body as a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// As UTF-8; `None` if the body is that already, or is not text.
    pub utf8: Option<Vec<u8>>,
    /// What is not sure about it, in words.
    pub doubt: Option<String>,
}

/// `body` as a text.
///
/// # Errors
/// In words, if it is in a charset that is not read, by browsers neither.
pub(super) fn to_utf8(content_type: Option<&[u8]>, body: &[u8]) -> Result<Text, String> {
    if let Some((encoding, length)) = Encoding::for_bom(body) {
        return Ok(decode(encoding, &body[length..]).or_own(&body[length..]));
    }
    let header = content_type.map(String::from_utf8_lossy).unwrap_or_default();
    let kind = kind(&header, body);
    let label = label_in_header(&header);
    let in_header = label.as_ref().and_then(|label| Encoding::for_label(label.as_bytes()));
    let named = in_header.or_else(|| match kind {
        Kind::Page => prescan::prescan(start(body)),
        Kind::Xhtml | Kind::Xml => in_xml(body), // to which a `meta` is an element like any other
        Kind::Json => wide_json(body),
        Kind::Text | Kind::Bytes => None,
    });
    if named == Some(REPLACEMENT) {
        let label = label.as_deref().filter(|_| in_header.is_some()).unwrap_or("its charset");
        return Err(format!("the body is in `{label}`, which is not read, by browsers neither"));
    }
    if kind == Kind::Json && is_unicode_json(body) {
        return Ok(Text::default());
    }
    if named.is_none_or(|encoding| encoding == UTF_8) && std::str::from_utf8(body).is_ok() {
        return Ok(Text::default());
    }
    let encoding = match (named, kind) {
        (Some(encoding), _) => return Ok(decode(encoding, body)),
        // What browsers take it for. JSON is always Unicode, and other bytes stay what they are.
        (None, Kind::Page | Kind::Xhtml | Kind::Xml | Kind::Text) => WINDOWS_1252,
        (None, Kind::Json) => {
            let doubt = Some("the body is not UTF-8, as JSON has to be".to_owned());
            return Ok(Text { utf8: None, doubt });
        }
        (None, Kind::Bytes) => return Ok(Text::default()),
    };
    let mut text = decode(encoding, body);
    text.doubt = label.map(|label| {
        format!("the charset of the body, `{label}`, is not known: read as {}", encoding.name())
    });
    Ok(text)
}

impl Text {
    /// With a mark before it, even a text that is UTF-8 is not the body itself.
    fn or_own(mut self, rest: &[u8]) -> Self {
        self.utf8.get_or_insert_with(|| rest.to_vec());
        self
    }
}

fn decode(encoding: &'static Encoding, body: &[u8]) -> Text {
    let (text, has_errors) = encoding.decode_without_bom_handling(body);
    let doubt = has_errors.then(|| {
        let name = encoding.name();
        format!("the body has bytes that are not {name}: they are read as U+FFFD")
    });
    let utf8 = match text {
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => Some(text.into_bytes()),
    };
    Text { utf8, doubt }
}

/// The value of a header as UTF-8: what is no UTF-8 is Latin-1, as RFC 9110 has it from its forerunners.
pub(super) fn header_to_utf8(value: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(value) {
        Ok(_) => value.to_vec(),
        Err(_) => value.iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes(),
    }
}

fn kind(header: &str, body: &[u8]) -> Kind {
    let essence = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match &essence[..] {
        "text/html" => Kind::Page,
        "application/xhtml+xml" => Kind::Xhtml,
        "text/xml" | "application/xml" => Kind::Xml,
        "application/json" | "text/json" => Kind::Json,
        _ if essence.ends_with("+xml") => Kind::Xml,
        _ if essence.ends_with("+json") || essence.ends_with("ndjson") => Kind::Json,
        _ if essence.starts_with("text/") || essence.ends_with("javascript") => Kind::Text,
        "" => match body.trim_ascii_start() {
            [b'<', b'?', b'x', b'm', b'l', ..] => Kind::Xml,
            [b'<', ..] => Kind::Page,
            [b'{' | b'[', ..] => Kind::Json,
            _ => Kind::Bytes,
        },
        _ => Kind::Bytes,
    }
}

/// The Content-Type that counts if there are several, as the Fetch standard has it: the last one that is valid, and of two of
/// the same type the one that names a charset.
pub(super) fn content_type<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut chosen: Option<&[u8]> = None;
    for value in values {
        let text = String::from_utf8_lossy(value);
        let is_valid = essence(&text)
            .split_once('/')
            .is_some_and(|(kind, subtype)| !kind.is_empty() && !subtype.is_empty() && kind != "*");
        let keeps = chosen.is_some_and(|before| {
            let before = String::from_utf8_lossy(before);
            let has_charset =
                label_in_header(&before).is_some() && label_in_header(&text).is_none();
            !is_valid || (has_charset && essence(&before) == essence(&text))
        });
        if !keeps {
            chosen = Some(value);
        }
    }
    chosen.map(<[u8]>::to_vec)
}

/// The type of a Content-Type, without its parameters.
fn essence(header: &str) -> String {
    header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// `charset=` of a Content-Type: the first that is known, else the first.
fn label_in_header(header: &str) -> Option<String> {
    let (mut labels, mut rest) = (Vec::new(), header);
    while let Some((_, parameters)) = rest.split_once(';') {
        let name = parameters.split([';', '=']).next().unwrap_or_default();
        rest = &parameters[name.len()..];
        let Some(value) = rest.strip_prefix('=') else { continue };
        let (value, after) = parameter_value(value);
        rest = after;
        if name.trim().eq_ignore_ascii_case("charset") && !value.is_empty() {
            labels.push(value);
        }
    }
    let known = labels.iter().position(|label| Encoding::for_label(label.as_bytes()).is_some());
    let first = known.unwrap_or_default();
    (first < labels.len()).then(|| labels.swap_remove(first))
}

/// The value of a parameter, which may be quoted and then have any character in it; and what follows.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.trim_start().strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        return (value.trim().trim_matches('\'').to_owned(), rest);
    };
    let (mut value, mut characters) = (String::new(), quoted.char_indices());
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[place + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

static XML: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?is-u)^\s*<\?xml\s[^>]*?encoding\s*=\s*["']([^"']+)"#)
        .expect("it is a valid regex")
});

fn in_xml(body: &[u8]) -> Option<&'static Encoding> {
    let found = XML.captures(start(body))?;
    Encoding::for_label(&found[1]).map(prescan::readable)
}

fn start(body: &[u8]) -> &[u8] {
    &body[..body.len().min(PRESCAN)]
}

/// Whether JSON is UTF-8, whatever its header says (RFC 8259, 8.1 and 11). Two charsets may look like it: UTF-16 has zeros,
/// and ISO-2022 escapes.
fn is_unicode_json(body: &[u8]) -> bool {
    memchr::memchr2(0, 0x1b, body).is_none() && std::str::from_utf8(body).is_ok()
}

/// JSON in UTF-16 starts with an ASCII character, of which one byte is zero.
fn wide_json(body: &[u8]) -> Option<&'static Encoding> {
    match body {
        [0, _, 0, _, ..] => Some(UTF_16BE),
        [_, 0, _, 0, ..] => Some(UTF_16LE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content_type: &str, body: &[u8]) -> String {
        let content_type = Some(content_type.as_bytes()).filter(|header| !header.is_empty());
        let text = to_utf8(content_type, body).unwrap().utf8.unwrap_or_else(|| body.to_vec());
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn a_charset_is_found_where_browsers_find_it() {
        for (content_type, body, expected) in [
            ("text/html; charset=Shift_JIS", &b"\x93\xfa\x96{"[..], "日本"),
            ("text/html; Charset=\"gbk\"", b"\xd6\xd0\xce\xc4", "中文"),
            ("text/html; charset=iso-8859-1", b"Gr\xf6\xdfe \x80", "Größe €"),
            ("text/html; charset=utf-16", b"\xff\xfea\0b\0", "ab"),
            ("text/html; charset=latin1", b"\xef\xbb\xbfGr\xc3\xb6", "Grö"), // the mark wins
            (
                "text/html",
                b"<meta charset=\"windows-1251\">\xcf\xf0\xe8",
                "<meta charset=\"windows-1251\">При",
            ),
            (
                "text/html",
                b"<META http-equiv=Content-Type content='text/html; charset=koi8-r'>\xf0\xd2\xc9",
                "<META http-equiv=Content-Type content='text/html; charset=koi8-r'>При",
            ),
            ("text/html; x=\"a;charset=gbk\"; charset=koi8-r", b"\xf0\xd2\xc9", "При"),
            ("text/html; charset=\"koi8-r", b"\xf0\xd2\xc9", "При"),
            (
                "text/html",
                b"<meta name=d content=\"what charset=gbk means\"><meta/charset=koi8-r>\xf0",
                "<meta name=d content=\"what charset=gbk means\"><meta/charset=koi8-r>П",
            ),
            (
                "text/html",
                b"<meta data-charset=gbk><meta name='a>' charset = 'koi8-r'/>\xf0",
                "<meta data-charset=gbk><meta name='a>' charset = 'koi8-r'/>П",
            ),
            (
                "application/xhtml+xml",
                b"<?xml version='1.0' encoding='koi8-r'?>\xf0",
                "<?xml version='1.0' encoding='koi8-r'?>П",
            ),
            ("", b"<!-- <meta charset=gbk> --><p>\xf6", "<!-- <meta charset=gbk> --><p>ö"),
            ("text/html; charset=nonsense", b"<p>\xf6", "<p>ö"),
            ("text/html", "<p>ö".as_bytes(), "<p>ö"),
            ("text/plain", b"Gr\xf6\xdfe", "Größe"),
            (
                "application/xml",
                b"<?xml version='1.0' encoding='iso-8859-2'?>\xb1",
                "<?xml version='1.0' encoding='iso-8859-2'?>ą",
            ),
            ("application/json; charset=iso-8859-1", b"{\"n\":\"\xf6\"}", "{\"n\":\"ö\"}"),
            ("application/json; charset=iso-8859-1", "{\"n\":\"ö\"}".as_bytes(), "{\"n\":\"ö\"}"),
            ("application/json; charset=iso-2022-jp", b"[\"\x1b$B$\"\x1b(B\"]", "[\"あ\"]"),
            (
                "application/xhtml+xml",
                "<html><head><meta charset=\"koi8-r\"/>ö".as_bytes(),
                "<html><head><meta charset=\"koi8-r\"/>ö",
            ),
            ("text/html", b"<?xml encoding='koi8-r'?>\xf0", "<?xml encoding='koi8-r'?>П"),
            ("application/json", b"\xef\xbb\xbf{}", "{}"),
            ("application/json", b"{\0}\0", "{}"),
            ("application/json", b"\0{\0}", "{}"),
            ("text/html; charset=utf-8", b"a\xffb", "a\u{fffd}b"),
            ("", b"", ""),
        ] {
            assert_eq!(text(content_type, body), expected, "{content_type}");
        }
    }

    #[test]
    fn of_several_content_types_the_last_valid_one_counts() {
        for (values, expected) in [
            (&["text/html", "text/html; charset=koi8-r"][..], "text/html; charset=koi8-r"),
            (&["text/html; charset=koi8-r", "text/html"], "text/html; charset=koi8-r"),
            (&["text/html; charset=koi8-r", "text/plain"], "text/plain"),
            (&["text/html; charset=gbk", "text/html; charset=koi8-r"], "text/html; charset=koi8-r"),
            (&["text/html", "nonsense", "*/*"], "text/html"),
            (&["nonsense"], "nonsense"),
        ] {
            let found = content_type(values.iter().map(|value| value.as_bytes()));
            assert_eq!(found.as_deref(), Some(expected.as_bytes()));
        }
        assert_eq!(content_type(std::iter::empty()), None);
    }

    #[test]
    fn other_bytes_stay_what_they_are() {
        for content_type in ["image/png", "application/octet-stream", ""] {
            let text = to_utf8(Some(content_type.as_bytes()), b"\x89PNG\xff");
            assert_eq!(text, Ok(Text::default()));
        }
    }

    #[test]
    fn what_is_not_sure_is_said() {
        let doubt = |content_type: &str, body: &[u8]| {
            to_utf8(Some(content_type.as_bytes()), body).map(|text| text.doubt.unwrap_or_default())
        };
        for (content_type, body, said) in [
            ("text/html; charset=utf-8", &b"a\xff"[..], "bytes that are not UTF-8"),
            ("text/html; charset=euc-jp", b"a\xff", "bytes that are not EUC-JP"),
            ("text/html", b"\xef\xbb\xbfa\xff", "bytes that are not UTF-8"),
            ("text/html; charset=martian", b"a\xff", "`martian`, is not known"),
            ("application/json", b"\"\xff\"", "the body is not UTF-8"),
        ] {
            assert!(doubt(content_type, body).unwrap().contains(said), "{content_type}");
        }
        for (content_type, body) in [
            ("text/html", &b"a\xff"[..]),
            ("text/html; charset=martian", b"a"),
            ("text/html; charset=martian; charset=latin1", b"a\xff"),
            ("text/html; charset=martian", b"<meta charset=koi8-r>a\xff"),
            ("image/png; charset=martian", b"\xff"),
            ("text/html; charset=", b"\xff"),
        ] {
            assert_eq!(doubt(content_type, body), Ok(String::new()), "{content_type}");
        }
        let error = doubt("text/html; charset=iso-2022-kr", b"a").unwrap_err();
        assert!(error.contains("in `iso-2022-kr`, which is not read"), "{error}");
        assert!(doubt("text/html", b"<meta charset=hz-gb-2312>").is_err());
    }

    #[test]
    fn headers_are_latin_1_where_they_are_no_utf8() {
        assert_eq!(header_to_utf8(b"Gr\xf6\xdfe"), "Größe".as_bytes());
        assert_eq!(header_to_utf8("Größe".as_bytes()), "Größe".as_bytes());
    }
}
