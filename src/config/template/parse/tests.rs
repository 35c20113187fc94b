//! How templates are read, and what is said of mistakes in them.

use proptest::prelude::*;

use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn error(text: &str, fields: &[&str]) -> TemplateError {
    let fields = names(fields);
    parse(text, &Scope { job: "j", fields: Some(&fields), ..Scope::default() }).unwrap_err()
}

#[test]
fn mistakes_are_told_with_their_place_and_the_way_out() {
    for (text, span, message, help) in [
        ("a{inptu}", 1..8, "unknown field `inptu`", "did you mean `{input}`?"),
        ("{inptu.stem}", 0..12, "unknown field `inptu.stem`", "did you mean `{input.stem}`?"),
        (
            "{input.base.stem}",
            0..17,
            "unknown field `input.base.stem`",
            "a placeholder has one operator at most, such as `{input.stem}`",
        ),
        ("{zzz}", 0..5, "unknown field `zzz`", "the inputs have `{input}`, `{size}`"),
        ("x {input", 2..3, "`{` is never closed", "close it with `}`, or write `{{` for a brace"),
        ("{in{put}", 0..1, "`{` is never closed", "close it with `}`, or write `{{` for a brace"),
        ("ä}", 2..3, "`}` without a `{` before it", "write `}}` for a brace"),
        ("{}", 0..2, "empty placeholder", "write `{input}` for the input, or `{{}}` for braces"),
        ("{print $1}", 0..10, "unknown field `print $1`", "write `{{` and `}}` for braces"),
    ] {
        let expected = TemplateError { span, message: message.into(), help: help.into() };
        assert_eq!(error(text, &["input", "size"]), expected);
    }
    assert!(error("{input.size}", &["input"]).help.contains("`{input.stem}`"));
}

#[test]
fn slots_may_have_names_and_a_field_of_that_name_wins() {
    let names: Arc<[String]> = names(&["a", "b"]).into();
    let fields = ["slot.name".to_owned()];
    let scope = Scope { job: "j", slots: Some(&names), ..Scope::default() };
    let part = Part::SlotName(Arc::clone(&names));
    let parsed = parse("{slot.name}", &Scope { fields: Some(&[]), ..scope });
    assert_eq!(parsed, Ok(vec![part]));
    let parsed = parse("{slot.name}", &Scope { fields: Some(&fields), ..scope });
    assert_eq!(parsed, Ok(vec![Part::Field(0, Operator::Whole)]));
    let none = error("{slot.name}", &["slot"]);
    assert_eq!(none.message, "`{slot.name}` has no value here: the slots have no names");
}

#[test]
fn a_field_that_is_called_like_a_placeholder_is_reached_by_a_prefix() {
    let fields = names(&["a", "task", "x.stem"]);
    let scope = Scope { job: "j", fields: Some(&fields), ..Scope::default() };
    assert_eq!(parse("{task}", &scope), Ok(vec![Part::Task(0)]));
    assert_eq!(parse("{input_task}", &scope), Ok(vec![Part::Field(1, Operator::Whole)]));
    assert_eq!(parse("{input_task.url}", &scope), Ok(vec![Part::Field(1, Operator::Url)]));
    assert_eq!(parse("{x.stem}", &scope), Ok(vec![Part::Field(2, Operator::Whole)]));
    assert_eq!(error("{input_task}", &["a"]).message, "unknown field `input_task`");
}

proptest! {
    #[test]
    fn escaped_text_is_a_literal(text in "\\PC{0,20}") {
        let escaped = text.replace('{', "{{").replace('}', "}}");
        let parts = parse(&escaped, &Scope { job: "j", fields: Some(&[]), ..Scope::default() }).unwrap();
        let expected = if text.is_empty() { vec![] } else { vec![Part::Literal(text)] };
        prop_assert_eq!(parts, expected);
    }

    #[test]
    fn whatever_is_written_is_parsed_or_placed_inside_it(text in "[{}a-c.ä]{0,12}") {
        let fields = names(&["a", "b"]);
        if let Err(error) = parse(&text, &Scope { job: "j", fields: Some(&fields), ..Scope::default() }) {
            prop_assert!(text.get(error.span.clone()).is_some_and(|place| !place.is_empty()));
        }
    }
}
