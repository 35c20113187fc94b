//! What a template needs of a field, so that it can be filled: a row whose field is something else fails.

use serde_json::value::RawValue;

use crate::base::json;
use crate::task::Fields;

/// What the field at some index has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    pub(super) field: usize,
    pub(super) what: What,
}

/// What a field has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A whole number, since it is padded with zeros.
    WholeNumber,
    /// JSON that has something at these keys.
    Json(Vec<String>),
}

impl Demand {
    /// Why `fields` do not meet it, if they do not. Of a batch, each member has to.
    pub fn unmet(&self, fields: &Fields) -> Option<String> {
        match fields.members() {
            Some(members) if self.field < members[0].len() => {
                members.iter().find_map(|member| self.unmet_by(member.get(self.field)))
            }
            _ => self.unmet_by(fields.get(self.field)),
        }
    }

    fn unmet_by(&self, value: &[u8]) -> Option<String> {
        let shown = || {
            let text = String::from_utf8_lossy(value);
            let short: String = text.chars().take(40).collect();
            if short.len() < text.len() { format!("`{short}…`") } else { format!("`{short}`") }
        };
        match &self.what {
            What::WholeNumber => {
                let number = value.trim_ascii();
                let digits =
                    number.strip_prefix(b"-").or(number.strip_prefix(b"+")).unwrap_or(number);
                let is_whole = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
                (!is_whole).then(|| {
                    format!("{} is not a whole number, so it cannot be padded with zeros", shown())
                })
            }
            What::Json(keys) => {
                let path = || format!("/{}", keys.join("/"));
                at(value, keys).is_none().then(|| match value {
                    [] => format!("an empty field has nothing at `{}`", path()),
                    _ => format!("{} has nothing at `{}`", shown(), path()),
                })
            }
        }
    }
}

/// What stands at `keys` in the JSON `value`: a string as it is, null as nothing, anything else as JSON.
pub(super) fn at(value: &[u8], keys: &[String]) -> Option<Vec<u8>> {
    let found = value_at(value, keys)?;
    Some(match found.get() {
        "null" => Vec::new(),
        text if text.starts_with('"') => serde_json::from_str::<String>(text).ok()?.into_bytes(),
        json => json.as_bytes().to_vec(),
    })
}

/// The JSON at `keys` in the JSON `value`.
pub(super) fn value_at<'a>(value: &'a [u8], keys: &[String]) -> Option<&'a RawValue> {
    json::inside(str::from_utf8(value).ok()?, keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_something_else_is_told() {
        let whole = Demand { field: 0, what: What::WholeNumber };
        for (value, is_met) in
            [("7", true), (" -07 ", true), ("", false), ("7.0", false), ("x", false), ("-", false)]
        {
            assert_eq!(whole.unmet(&Fields::single(value)).is_none(), is_met, "{value}");
        }
        let json = Demand { field: 0, what: What::Json(vec!["a".into(), "1".into()]) };
        for (value, is_met) in [
            (r#"{"a": [1, null]}"#, true),
            (r#"{"a": [1]}"#, false),
            (r#"{"\ud83d": 1, "a": [1, 2], "b": "\ud83d"}"#, true),
            ("x", false),
            (r#"{"a": 1}"#, false),
        ] {
            assert_eq!(json.unmet(&Fields::single(value)).is_none(), is_met, "{value}");
        }
        for key in ["+1", "01", "-", "-1", "2"] {
            let json = Demand { field: 0, what: What::Json(vec![key.into()]) };
            assert!(json.unmet(&Fields::single("[1, 2]")).is_some(), "{key}");
        }
    }
}
