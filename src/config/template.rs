//! Strings with placeholders: `convert {input} {input.stem}.png`. Parsed once, when the file is read.

mod parse;
mod value;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use parse::{Scope, StageScope, TemplateError};
pub use value::ValueTemplate;

use crate::task::{Payload, Values};

/// A string with placeholders, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Never two literals in a row.
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Text as it is.
    Literal(String),
    /// The field at this index, through an operator.
    Field(usize, Operator),
    /// The task's number.
    Task,
    /// The attempt's number.
    Attempt,
    /// The slot's number.
    Slot,
    /// What the stage before has handed on.
    Payload,
}

/// What is taken of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    /// All of it.
    Whole,
    /// Of a path: the file's name without its extension.
    Stem,
    /// Of a path: the file's name.
    Name,
    /// Of a path: the extension without its dot; empty if there is none.
    Ext,
    /// Of a path: the folder; `.` for a bare name, so that `{input.dir}/x` stays relative.
    Dir,
    /// Percent-encoded for a part of a URL: all but RFC 3986's unreserved characters.
    Url,
}

impl Template {
    /// Parses `text`.
    ///
    /// # Errors
    /// A mistake, and where in the text it is.
    pub fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, TemplateError> {
        parse::parse(text, scope).map(|parts| Self { parts })
    }

    /// A template without placeholders.
    pub fn constant(text: impl Into<String>) -> Self {
        Self { parts: vec![Part::Literal(text.into())] }
    }

    /// The text, if it is the same for every task; `{job}` is.
    pub fn literal(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it has `{payload}`.
    pub(crate) fn has_payload(&self) -> bool {
        self.parts.contains(&Part::Payload)
    }

    /// Whether it differs from task to task, or from attempt to attempt; `{slot}` alone does not.
    pub fn is_per_task(&self) -> bool {
        let is_per_task = |part: &Part| !matches!(part, Part::Literal(_) | Part::Slot);
        self.parts.iter().any(is_per_task)
    }

    /// Whether a NUL stands in it, which no program can be given.
    pub fn has_nul(&self) -> bool {
        let has_nul = |part: &Part| matches!(part, Part::Literal(text) if text.contains('\0'));
        self.parts.iter().any(has_nul)
    }

    /// The text before the first placeholder.
    pub fn prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }

    /// Appends the filled template to `out`. Values go in as they are, UTF-8 or not.
    pub fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field(index, operator) => operator.apply(values.fields.get(*index), out),
                Part::Task => out.extend_from_slice(digits.format(values.task).as_bytes()),
                Part::Attempt => out.extend_from_slice(digits.format(values.attempt).as_bytes()),
                Part::Slot => out.extend_from_slice(digits.format(values.slot).as_bytes()),
                Part::Payload => {
                    out.extend_from_slice(values.payload.map(Payload::bytes).unwrap_or_default());
                }
            }
        }
    }
}

impl Operator {
    /// The operators and their names.
    const ALL: [(&'static str, Operator); 5] = [
        ("stem", Operator::Stem),
        ("name", Operator::Name),
        ("ext", Operator::Ext),
        ("dir", Operator::Dir),
        ("url", Operator::Url),
    ];

    fn apply(self, value: &[u8], out: &mut Vec<u8>) {
        let path = Path::new(OsStr::from_bytes(value));
        let part = match self {
            Operator::Whole => return out.extend_from_slice(value),
            Operator::Url => return percent_encode(value, out),
            Operator::Stem => path.file_stem(),
            Operator::Name => path.file_name(),
            Operator::Ext => path.extension(),
            Operator::Dir => Some(match path.parent() {
                Some(folder) if folder.as_os_str().is_empty() => OsStr::new("."),
                Some(folder) => folder.as_os_str(),
                None if path.has_root() => OsStr::new("/"),
                None => OsStr::new("."),
            }),
        };
        out.extend_from_slice(part.unwrap_or_default().as_bytes());
    }
}

fn percent_encode(value: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in value {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte);
        } else {
            out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Fields;

    fn render(template: &str, input: impl AsRef<[u8]>) -> Vec<u8> {
        let fields = ["input".to_owned()];
        let scope = Scope { job: "a-job", fields: Some(&fields), ..Scope::default() };
        let mut out = Vec::new();
        let input = Fields::single(input);
        let values = Values { fields: &input, task: 7, attempt: 2, slot: 3, payload: None };
        Template::parse(template, &scope).unwrap().render(&values, &mut out);
        out
    }

    #[test]
    fn placeholders() {
        for (template, expected) in [
            ("{input}", "a/b.tar.gz"),
            ("x{input.stem}.png", "xb.tar.png"),
            ("{input.name}", "b.tar.gz"),
            ("{input.ext}", "gz"),
            ("{input.dir}/c", "a/c"),
            ("{input.url}", "a%2Fb.tar.gz"),
            ("{task}/{attempt}/{slot}/{job}", "7/2/3/a-job"),
            ("{{{task}}}", "{7}"),
            ("", ""),
        ] {
            assert_eq!(render(template, "a/b.tar.gz"), expected.as_bytes(), "{template}");
        }
    }

    #[test]
    fn paths_without_some_part() {
        for (template, input, expected) in [
            ("{input.dir}", "b", "."),
            ("{input.dir}", "/b", "/"),
            ("{input.dir}", "/", "/"),
            ("{input.dir}", "", "."),
            ("{input.ext}", "b", ""),
            ("{input.stem}", ".hidden", ".hidden"),
            ("{input.name}", "..", ""),
        ] {
            assert_eq!(render(template, input), expected.as_bytes(), "{template} of {input}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_pass_through() {
        assert_eq!(render("<{input}>", b"d/\xff.x"), b"<d/\xff.x>");
        assert_eq!(render("{input.stem}", b"d/\xff.x"), b"\xff");
        assert_eq!(render("{input.url}", b"\xff "), b"%FF%20");
    }

    #[test]
    fn the_job_is_a_literal() {
        let scope = Scope { job: "a-job", fields: Some(&[]), ..Scope::default() };
        let template = Template::parse("{job}: {{}}", &scope).unwrap();
        assert_eq!(template.literal(), Some("a-job: {}"));
        assert_eq!(Template::parse("", &scope).unwrap().literal(), Some(""));
        assert_eq!(Template::parse("{task}", &scope).unwrap().literal(), None);
    }
}
