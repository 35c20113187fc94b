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
    Stream::new(Box::new(Lines::new(text.unwrap(), options))).map(shown).collect()
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
    let regex = Regex::new(r"^(?P<ip>\S+) (?P<code>\d+)( (?P<rest>.*))?$").unwrap();
    let options = LineOptions { regex: Some(regex), ..LineOptions::default() };
    assert_eq!(options.fields(), ["ip", "code", "rest"]);
    let lines = read(b"h 200 x\nno\nh 404\n", options);
    assert_eq!(
        lines,
        ["h|200|x", "standard input line 2: `regex` does not match the line", "h|404|"]
    );
}

proptest! {
    #[test]
    fn nul_separated_inputs_come_back(inputs in prop::collection::vec("[a-z\n\r ]{1,8}", 0..20)) {
        let text = inputs.iter().flat_map(|input| [input, "\0"]).collect::<String>();
        let back = read(text.as_bytes(), LineOptions { null: true, ..LineOptions::default() });
        prop_assert_eq!(back, inputs);
    }
}
