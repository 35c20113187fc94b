use super::*;
use crate::job::inputs::records::Stream;
use crate::job::inputs::text::TextOptions;
use crate::job::inputs::text::tests::text;

/// The fields' names and the rows, values joined by `|`; what is wrong in words.
fn rows(json: &str, at: &str) -> Vec<String> {
    let text = text(json.as_bytes(), TextOptions::default()).unwrap();
    let elements = match Elements::new(text, at, None, Arc::default()) {
        Ok(elements) => elements,
        Err(error) => return vec![error.to_string()],
    };
    let names = elements.shape().names.join("|");
    let shown = |row: Result<Fields, InputError>| {
        let row = row.unwrap();
        let values: Vec<_> = row.iter().map(String::from_utf8_lossy).collect();
        row.cause().map_or(values.join("|"), str::to_owned)
    };
    [names].into_iter().chain(Stream::new(Box::new(elements)).map(shown)).collect()
}

#[test]
fn the_first_element_can_be_longer_than_the_sample() {
    let long = "x".repeat(SAMPLE_BYTES + 5);
    let rows = rows(&format!("[{{\"a\": \"{long}\"}}, {{\"a\": 2}}]"), "");
    assert_eq!((&rows[0][..], rows[1].len(), &rows[2..]), ("a", long.len(), &["2".to_owned()][..]));
}

#[test]
fn the_elements_of_an_array_are_inputs() {
    for (json, at, expected) in [
        (
            "[{\"a\": 1, \"b\": \"]x\\\"\"},\n {\"a\": [1, {}], \"c\": null}, {}]",
            "",
            &["a|b|c", "1|]x\"|", "[1, {}]||"][..],
        ),
        ("{\"n\": 2, \"items\": [{\"a\": 1}], \"more\": [\"[\"]}\n", "/items", &["a", "1"]),
        (
            "{\"d\": [[], {\"x/y\": [1, \"b\", true, [2]]}]}",
            "/d/1/x~1y",
            &["input", "1", "b", "true", "[2]"],
        ),
        ("[ ]", "", &[""]),
        (
            "[1,2",
            "",
            &["input", "1", "standard input line 1: an element starts here and never ends"],
        ),
        (
            "{\"items\": [{\"a\": 1}]",
            "/items",
            &[
                "a",
                "1",
                "standard input line 1: the document ends after the array, before it is closed",
            ],
        ),
        (
            "[{\"a\": 1}, 7, {\"a\": 2}]",
            "",
            &["a", "1", "standard input line 1: expected an object, found a number", "2"],
        ),
        (
            "[{\"a\": 1}]\n[{\"a\": 2}]",
            "",
            &[
                "a",
                "1",
                "standard input line 2: more follows the document: a file with a value a line is read by `jsonl`",
            ],
        ),
    ] {
        assert_eq!(rows(json, at), expected, "{json}");
    }
}

#[test]
fn a_key_on_the_way_that_stands_twice_is_told() {
    for (json, at, twice) in [
        ("{\"r\": [1], \"n\": {\"r\": 1}, \"r\": [2]}", "/r", Some("r")),
        ("{\"r\": [1], \"\\u0072\": 2}", "/r", Some("r")),
        ("{\"a\": {\"r\": [1], \"a\": 1}, \"r\": 3, \"a\": {}}", "/a/r", Some("a")),
        ("{\"a\": {\"r\": [1], \"b\": [\"}\"], \"r\": 2}}", "/a/r", Some("r")),
        ("{\"a\": [0, {\"r\": [1]}, {\"r\": 4}, \"r\"], \"b\": {\"a\": 1}}", "/a/1/r", None),
    ] {
        let said = twice.map(|key| {
            format!("standard input line 1: has the key `{key}` twice, which leads to the array")
        });
        let expected: Vec<_> =
            ["input".to_owned(), "1".to_owned()].into_iter().chain(said).collect();
        assert_eq!(rows(json, at), expected, "{json}");
    }
    let torn = rows("{\"r\": [1], \"x\" 2, 3]", "/r");
    let wrong = "standard input line 1: not JSON after the array: no colon after a key";
    assert_eq!(torn[2], wrong);
}

#[test]
fn what_is_not_an_array_is_told() {
    for (json, at, said) in [
        (
            "{\"items\": [], \"n\": 1}",
            "",
            "the document is an object, not an array: set `at` to \"/items\"",
        ),
        ("{\"items\": 5}", "/items", "`/items` is a number, not an array"),
        (
            "{\"a\": {\"b\": []}}",
            "/a/c",
            "`/a` has no `c`, which `at = \"/a/c\"` names: it has `b`",
        ),
        ("", "", "has no document"),
        ("nonsense", "", "null"),
    ] {
        let rows = rows(json, at);
        assert!(rows[0].contains(said), "{rows:?}");
    }
}

#[test]
fn what_no_json_reader_takes_is_a_row_and_the_rest_goes_on() {
    let missing = |what: &str| format!("standard input line 1: not JSON: no {what}");
    let (first, last) =
        (missing("element before this comma"), missing("element after the last comma"));
    let between = missing("comma before this element");
    for (json, expected) in [
        ("[1,,2]", ["1", &first, "2"]),
        ("[,1,2]", [&first[..], "1", "2"]),
        ("[1,2 , ]", ["1", "2", &last]),
        ("[1 2,3]", ["1", &between, "3"]),
        ("[{\"a\": 1} {\"a\": 2}, {\"a\": 3}]", ["1", &between, "3"]),
    ] {
        assert_eq!(rows(json, "")[1..], expected, "{json}");
    }
    let ends = rows("[1,", "");
    assert_eq!(ends[2], "standard input line 1: the document ends inside its array");
}

/// Too long to be parsed at once, before and after the array.
#[test]
fn long_values_that_are_passed_over_are_json() {
    let long = "y".repeat(400_000);
    let member = "{\"a\": [1, -2.5e3, \"\\u00e9\\\"]\"], \"b\": {}, \"c\": [[], null]}, ";
    let part = |end: &str| {
        format!("{{\"s\": \"{long}\", \"m\": [{}{end}], \"e\": [ ] }}", member.repeat(9_000))
    };
    let document =
        |before: &str, after: &str| format!("{{\"x\": {before}, \"i\": [7], \"y\": {after}}}");
    let right = part("true");
    assert_eq!(rows(&document(&right, &right), "/i"), ["input", "7"]);
    for end in
        ["tru", "1,", ",1", "1 2", "{\"a\" 1}", "{1: 2}", "01", "\"\u{1}\"", "[1}", "{\"a\": 1,}"]
    {
        let wrong = part(end);
        let before = rows(&document(&wrong, "0"), "/i");
        assert!(before[0].contains("not JSON before the array"), "{end}: {before:?}");
        let after = rows(&document("0", &wrong), "/i");
        assert_eq!(&after[..2], ["input", "7"], "{end}");
        assert!(after[2].contains("not JSON after the array"), "{end}: {after:?}");
    }
    let cut = document("0", &right);
    let cut = rows(&cut[..cut.len() - 20], "/i");
    assert!(cut[2].contains("not JSON after the array"), "{cut:?}");
}

#[test]
fn what_python_writes_for_numbers_that_are_not_finite_is_read() {
    assert_eq!(rows("[NaN, -Infinity , 1]", "")[1..], ["NaN", "-Infinity", "1"]);
    let loss =
        "{\"a\": NaN, \"b\": {\"i\": [{\"x\": Infinity}], \"c\": [-Infinity, {}]}, \"d\":NaN}";
    assert_eq!(rows(loss, "/b/i"), ["x", "Infinity"]);
    let long = format!("[{}NaN]", "0, ".repeat(200_000));
    let document = format!("{{\"a\": {long}, \"i\": [7], \"b\": {long}}}");
    assert_eq!(rows(&document, "/i"), ["input", "7"]);
    let wrong = rows("{\"a\": [NaNs], \"i\": [7]}", "/i");
    assert!(wrong[0].contains("not JSON before the array"), "{wrong:?}");
}
