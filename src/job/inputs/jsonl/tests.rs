use super::*;
use crate::job::inputs::records::{Records, Stream};
use crate::job::inputs::text::TextOptions;
use crate::job::inputs::text::tests::text;

fn open(jsonl: &str, shape: Option<Shape>) -> Objects {
    Objects::new(text(jsonl.as_bytes(), TextOptions::default()).unwrap(), shape, Arc::default())
        .unwrap()
}

/// The fields' names and the rows, values joined by `|`; what is wrong with one in words.
fn rows(jsonl: &str, shape: Option<Shape>) -> Vec<String> {
    let objects = open(jsonl, shape);
    let names = objects.shape().names.join("|");
    let shown = |row: Result<Fields, InputError>| {
        let row = row.unwrap();
        let values: Vec<_> = row.iter().map(String::from_utf8_lossy).collect();
        row.cause().map_or(values.join("|"), str::to_owned)
    };
    [names].into_iter().chain(Stream::new(Box::new(objects)).map(shown)).collect()
}

#[test]
fn values_keep_their_text_and_all_keys_are_fields() {
    let text = "\u{feff}{\"a\": 0.10, \"b\": \"x\\n\"}\n\n{}\n{\"b\": {\"c\": [1, 2]}, \"a\": null}\n\
                {\"a\": 123456789012345678901234567890, \"z\": true}";
    let expected =
        ["a|b|z", "0.10|x\n|", "|{\"c\": [1, 2]}|", "123456789012345678901234567890||true"];
    assert_eq!(rows(text, None), expected);
    let given = Shape::given(vec!["z".into(), "a".into()]);
    assert_eq!(rows(text, Some(given))[1..], ["|0.10", "|", "true|123456789012345678901234567890"]);
    assert_eq!(rows("\n", None), [""]);
}

#[test]
fn the_first_object_can_be_longer_than_the_sample() {
    let long = "x".repeat(SAMPLE_BYTES + 5);
    let jsonl = format!("{{\"a\": \"{long}\", \"b\": 1}}\n{{\"a\": \"{long}\"}}\n{{\"b\": 2}}\n");
    let rows = rows(&jsonl, None);
    let lengths: Vec<_> = rows.iter().map(String::len).collect();
    assert_eq!((&rows[0][..], lengths), ("a|b", vec![3, long.len() + 2, long.len() + 1, 2]));
}

#[test]
fn a_torn_line_is_one_row_with_its_number() {
    let rows = rows("{\"a\": 1}\n\n{\"a\": \n17\n{\"a\": 2}\n{\"a\"", None);
    assert_eq!(rows[..2], ["a", "1"]);
    assert!(rows[2].starts_with("standard input line 3: not JSON"), "{rows:?}");
    assert_eq!(rows[3..5], ["standard input line 4: expected an object, found a number", "2"]);
    assert!(rows[5].starts_with("standard input line 6: not JSON"), "{rows:?}");
}

#[test]
fn a_key_that_comes_late_is_said_once() {
    let mut jsonl = "{\"a\": 1}\n".repeat(SAMPLE);
    jsonl.push_str("{\"a\": 2, \"b\": 3}\n{\"b\": 4}\n");
    let notes = Arc::<Notes>::default();
    let text = text(jsonl.as_bytes(), TextOptions::default()).unwrap();
    let objects = Objects::new(text, None, Arc::clone(&notes)).unwrap();
    assert_eq!(Stream::new(Box::new(objects)).count(), SAMPLE + 2);
    let said = notes.words();
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("standard input line 1001: the key `b` is not a field"),
        "{said:?}"
    );
    assert!(said[0].contains("2 objects have"), "{said:?}");
}

#[test]
fn an_object_is_found_again() {
    let mut objects = open("{\"a\": 1}\n{\"a\": 22}\n", None);
    let first = objects.position();
    objects.next_record();
    let second = objects.position();
    for (position, expected) in [(second, "22"), (first, "1")] {
        objects.seek(position).unwrap();
        assert_eq!(objects.next_record().unwrap().unwrap(), Fields::single_number(expected));
    }
}
