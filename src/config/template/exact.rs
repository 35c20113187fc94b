//! Fields whose names look like more than a name, such as `km/h`: the exact name wins, which is worth a remark.

use std::ops::Range;

use super::Operator;
use super::parse::{CREATES, is_further};

/// The placeholders of `text` that are exact names of `fields` and would mean something else if no field had them:
/// where they are, and what is to be said.
pub(crate) fn exact_names(text: &str, fields: &[String]) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    let mut position = 0;
    while let Some(brace) = text[position..].find('{').map(|offset| position + offset) {
        let inside = brace + 1;
        if text[inside..].starts_with('{') {
            position = inside + 1;
            continue;
        }
        let Some(length) = text[inside..].find('}') else { break };
        let name = &text[inside..inside + length];
        position = inside + length + 1;
        if fields.iter().any(|field| field == name)
            && let Some(other) = other_meaning(name, fields)
        {
            found.push((
                brace..position,
                format!("`{{{name}}}` is the field `{name}`, not {other}"),
            ));
        }
    }
    found
}

/// What `name` would stand for if it were not a field.
fn other_meaning(name: &str, fields: &[String]) -> Option<String> {
    if name == CREATES || is_further(name) {
        return None;
    }
    if name == "tasks" {
        return Some("the number of tasks".into());
    }
    if let Some(variable) = name.strip_prefix("env.") {
        return Some(format!("the environment variable `{variable}`"));
    }
    if let Some(secret) = name.strip_prefix("secret.") {
        return Some(format!("the secret `{secret}`"));
    }
    if let Some((base, width)) = name.rsplit_once(':') {
        return Some(format!("`{base}` at the width `{width}`"));
    }
    if let Some((base, key)) = name.split_once('/') {
        return Some(format!("what stands at `{key}` in the JSON of `{base}`"));
    }
    let (base, operator) = name.rsplit_once('.')?;
    let is_operator = Operator::ALL.iter().any(|(known, _)| *known == operator);
    (is_operator && fields.iter().any(|field| field == base))
        .then(|| format!("the `.{operator}` of `{base}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_be_taken_for_something_else_is_said() {
        let fields = ["tasks", "km/h", "a:b", "env.x", "x", "x.stem", "x.y", "creates/1"];
        let fields = fields.map(str::to_owned);
        let said = |text: &str| {
            let found = exact_names(text, &fields);
            found.into_iter().map(|(span, said)| (text[span].to_owned(), said)).collect::<Vec<_>>()
        };
        for (text, place, meaning) in [
            ("{x} {tasks}", "{tasks}", "the number of tasks"),
            ("{{{km/h}}}", "{km/h}", "what stands at `h` in the JSON of `km`"),
            ("ä{a:b}", "{a:b}", "`a` at the width `b`"),
            ("{env.x}", "{env.x}", "the environment variable `x`"),
            ("{x.stem}", "{x.stem}", "the `.stem` of `x`"),
        ] {
            let [(found, message)] = &said(text)[..] else { panic!("{text}") };
            assert_eq!(found, place);
            assert!(message.ends_with(&format!("not {meaning}")), "{message}");
        }
        for text in ["{x}", "{x.y}", "{{tasks}}", "{x:04}", "{x/a}", "{creates/1}", "{tasks", "}{"]
        {
            assert!(said(text).is_empty(), "{text}");
        }
    }
}
