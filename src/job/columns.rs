//! `[columns.NAME]`: report columns that are taken from a task's output.

use std::collections::HashSet;

use regex::bytes::Regex;
use serde_json::Value;
use toml::Spanned;

use crate::job::planner::Planner;
use crate::job::table::Table;
use crate::report::is_report_column;

/// A report column that is taken from the output.
#[derive(Debug)]
pub struct Column {
    /// Its name in the report.
    pub name: String,
    rule: Rule,
}

/// How the value is found in the output.
#[derive(Debug)]
enum Rule {
    /// The first group of the first match, or the whole match.
    Regex(Regex),
    /// A JSON pointer (RFC 6901) into the output.
    Json(String),
}

impl Column {
    /// The value in `output`; `None` if it has none.
    pub fn extract(&self, output: &[u8]) -> Option<Vec<u8>> {
        match &self.rule {
            Rule::Regex(regex) => {
                let captures = regex.captures(output)?;
                let group = captures.get(usize::from(regex.captures_len() > 1))?;
                Some(group.as_bytes().to_vec())
            }
            Rule::Json(pointer) => {
                let value: Value = serde_json::from_slice(output).ok()?;
                match value.pointer(pointer)? {
                    Value::Null => None,
                    Value::String(text) => Some(text.as_bytes().to_vec()),
                    other => Some(other.to_string().into_bytes()),
                }
            }
        }
    }

    fn read(name: &str, table: &mut Table<'_>, plan: &Planner<'_>) -> Option<Self> {
        let regex = table.get::<String>("regex");
        let json = table.get::<String>("json");
        let rule = match (regex, json) {
            (Some(_), Some(json)) => {
                plan.error(json.span(), format!("column `{name}` has both `regex` and `json`"));
                return None;
            }
            (Some(regex), None) => regex_rule(&regex, plan)?,
            (None, Some(json)) => json_rule(&json, plan)?,
            (None, None) => {
                // Not if it has one that was wrong, or one of a later day.
                if !["regex", "json", "header"].iter().any(|key| table.has(key)) {
                    let help = "say where its value is: `regex = \"…\"` or `json = \"/pointer\"`";
                    plan.error_with_help(
                        table.span(),
                        format!("column `{name}` has no rule"),
                        help,
                    );
                }
                return None;
            }
        };
        Some(Self { name: name.to_owned(), rule })
    }
}

fn regex_rule(regex: &Spanned<String>, plan: &Planner<'_>) -> Option<Rule> {
    Regex::new(regex.get_ref())
        .map_err(|error| {
            // Its last line is the reason; the others draw the place, which the diagnostic does.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            plan.error(regex.span(), format!("regex does not compile: {reason}"));
        })
        .map(Rule::Regex)
        .ok()
}

fn json_rule(pointer: &Spanned<String>, plan: &Planner<'_>) -> Option<Rule> {
    let text = pointer.get_ref();
    if text.is_empty() || text.starts_with('/') {
        return Some(Rule::Json(text.clone()));
    }
    let help = format!(
        "write `json = \"/{}\"`",
        text.trim_start_matches('$').replace('.', "/").trim_start_matches('/')
    );
    plan.error_with_help(pointer.span(), format!("`{text}` is not a JSON pointer"), help);
    None
}

/// Reads `[columns]`.
pub(super) fn read(table: Option<Table<'_>>, plan: &Planner<'_>) -> Vec<Column> {
    let Some(mut table) = table else { return Vec::new() };
    let mut columns = Vec::new();
    let fields: HashSet<_> = plan.fields().iter().map(|field| report_name(field)).collect();
    for (name, mut column) in table.tables() {
        let (span, name) = (name.span(), name.get_ref());
        if name.is_empty() {
            plan.error(span, "a column needs a name");
        } else if is_report_column(name) {
            plan.error(span, format!("the report has a column `{name}` already"));
        } else if fields.contains(name) {
            plan.error(span, format!("the report has the input field `{name}` already"));
        }
        columns.extend(Column::read(name, &mut column, plan));
        column.finish();
    }
    columns
}

/// The name of a field's column.
pub(super) fn report_name(field: &str) -> String {
    if is_report_column(field) { format!("input_{field}") } else { field.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Column {
        Column { name: "x".into(), rule: Rule::Regex(Regex::new(pattern).unwrap()) }
    }

    fn json(pointer: &str) -> Column {
        Column { name: "x".into(), rule: Rule::Json(pointer.into()) }
    }

    #[test]
    fn values_are_found_in_the_output() {
        for (column, output, expected) in [
            (regex(r"^(\d+) "), "17 a.txt\n", Some("17")),
            (regex(r"\d+"), "a 17", Some("17")),
            (regex(r"a(b)?"), "a", None),
            (regex(r"\d"), "none", None),
            (json("/loss"), r#"{"loss": 0.10}"#, Some("0.10")),
            (json("/a/1"), r#"{"a": [1, "x,y"]}"#, Some("x,y")),
            (json("/a"), r#"{"a": {"b": 1}}"#, Some(r#"{"b":1}"#)),
            (json("/a"), r#"{"a": null}"#, None),
            (json("/b"), r#"{"a": 1}"#, None),
            (json("/b"), "no json", None),
            (json(""), " 12\n", Some("12")),
        ] {
            let found = column.extract(output.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{column:?} of {output}");
        }
        assert_eq!(regex("a((?-u:.*))").extract(b"a\xff").as_deref(), Some(&b"\xff"[..]));
    }
}
