use proptest::prelude::*;

use super::*;
use crate::job::inputs::records::Stream;
use crate::job::inputs::text::TextOptions;
use crate::job::inputs::text::tests::text;

fn read(bytes: &[u8], options: LineOptions) -> Vec<String> {
    let text = text(bytes, TextOptions { has_nuls: options.null, ..TextOptions::default() });
    let shown = |fields: Result<Fields, InputError>| {
        let fields = fields.unwrap();
        let values: Vec<_> = fields.iter().map(String::from_utf8_lossy).collect();
        fields.cause().map_or(values.join("|"), str::to_owned)
    };
    Stream::new(Box::new(Lines::new(text.unwrap(), options, Arc::default()))).map(shown).collect()
}

#[test]
fn lines_end_with_lf_crlf_or_the_file() {
    let plain = LineOptions::default;
    for (text, options, expected) in [
        (&b"a\nb\n"[..], plain(), &["a", "b"][..]),
        ("\u{feff}a\r\nb\r".as_bytes(), plain(), &["a", "b"]),
        (b"\n a \n \r\n", plain(), &[" a "]),
        (b"", plain(), &[]),
        (b"\na\n", LineOptions { keep_blank: true, ..plain() }, &["", "a"]),
        (b"# x\na # b\n", LineOptions { comments: Some("#".into()), ..plain() }, &["a # b"]),
        (b"a\nb\0 \0\0c", LineOptions { null: true, ..plain() }, &["a\nb", " ", "c"]),
        (
            b"a,\nb,, ,c\n",
            LineOptions { separator: Some(b','), ..plain() },
            &["a", "\nb", " ", "c\n"],
        ),
        ("\u{feff}a\0b\0".as_bytes(), LineOptions { null: true, ..plain() }, &["a", "b"]),
    ] {
        assert_eq!(read(text, options), expected, "{text:?}");
    }
}

#[test]
fn a_regex_makes_fields() {
    let regex = regex::bytes::Regex::new(r"^(?P<ip>\S+) (?P<code>\d+)( (?P<rest>.*))?$").unwrap();
    let regex = FieldRegex::new(regex);
    let options = LineOptions { regex: Some(regex), ..LineOptions::default() };
    assert_eq!(options.fields(), ["ip", "code", "rest"]);
    let lines = read(b"h 200 x\nno\nh 404\n", options);
    assert_eq!(
        lines,
        ["h|200|x", "standard input line 2: `regex` does not match the line", "h|404|"]
    );
    let whole = |pattern: &str| {
        let regex = FieldRegex::new(regex::bytes::Regex::new(pattern).unwrap());
        let options = LineOptions { regex: Some(regex), ..LineOptions::default() };
        read(b"Gr\xf6\xdfe 1\nb 2\n", options)
    };
    assert_eq!(whole("(?P<name>.+) (?P<n>[0-9]+)"), ["Gr\u{fffd}\u{fffd}e|1", "b|2"]);
    let uncertain = whole(r"(?P<name>\w+) (?P<n>\d+)");
    assert!(uncertain[0].contains("line 1: has bytes that are not UTF-8"), "{uncertain:?}");
    assert!(uncertain[0].contains("name the file's `encoding`"), "{uncertain:?}");
    assert_eq!(uncertain[1], "b|2");
}

#[test]
fn lines_can_be_words() {
    let options = || LineOptions { has_words: true, ..LineOptions::default() };
    for (text, expected) in [
        (&b"a  b\tc\n\n d\n"[..], &["a", "b", "c", "d"][..]),
        (b"'a b'c \"d'e\" ''\n\\'f\\ g\r\n", &["a bc", "d'e", "", "'f g"]),
        (b"a\\\\b 'c\\d'\n", &["a\\b", "c\\d"]),
        (b"'a\nb\n", &["standard input line 1: a quote that is not closed in its line", "b"]),
        (b"a\\", &["a"]),
        (b"q\x0br\x0cs t\ru\r\n v\r", &["q\x0br\x0cs", "t\ru", "v"]),
        (b"j\\\nk 'l'\\\n\\\n\nm\\\r\nn", &["j\nk", "l\n\n", "m\r", "n"]),
        (b"a\\\n'b\nc", &["standard input line 1: a quote that is not closed in its line", "c"]),
        (b"a\\\n", &["standard input line 1: a backslash at the end of the file"]),
    ] {
        assert_eq!(read(text, options()), expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn nul_separated_inputs_come_back(inputs in prop::collection::vec("[a-z\n\r ]{1,8}", 0..20)) {
        let text = inputs.iter().flat_map(|input| [input, "\0"]).collect::<String>();
        let back = read(text.as_bytes(), LineOptions { null: true, ..LineOptions::default() });
        prop_assert_eq!(back, inputs);
    }
}
