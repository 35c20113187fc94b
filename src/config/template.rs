//! Strings with placeholders: `convert {input} {input.stem}.png`. Parsed once, when the file is read.

mod demand;
mod exact;
mod parse;
mod value;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

pub use demand::Demand;
use demand::What;
pub(crate) use exact::exact_names;
pub(crate) use parse::{CREATES, created};
pub use parse::{Scope, StageScope, TemplateError};
pub use value::{ValueStep, ValueTemplate};

use crate::base::mask::MASK;
use crate::config::secrets::Secret;
use crate::task::{Fields, Payload, Values};

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
    /// The whole number in the field at this index, padded with zeros to this many characters.
    Padded(usize, usize),
    /// What stands at these keys in the JSON of the field at this index.
    Pointer(usize, Vec<String>),
    /// The task's number, padded with zeros to this many characters.
    Task(usize),
    /// The attempt's number.
    Attempt,
    /// The slot's number.
    Slot,
    /// The slot's name; these are those of all slots.
    SlotName(Arc<[String]>),
    /// What the stage before has handed on.
    Payload,
    /// The value of a secret; masked as long as no run has started.
    Secret(Arc<Secret>),
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
    /// Of a path: all of it without its extension.
    Base,
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

    /// This template with `text` before it.
    #[must_use]
    pub fn after(mut self, text: &str) -> Self {
        match self.parts.first_mut() {
            Some(Part::Literal(first)) => first.insert_str(0, text),
            _ => self.parts.insert(0, Part::Literal(text.to_owned())),
        }
        self
    }

    /// The text, if it is the same for every task; `{job}` is.
    pub fn literal(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it has a placeholder that only an attempt can fill.
    pub(crate) fn needs_attempt(&self) -> bool {
        let needs = |part: &Part| {
            matches!(part, Part::Task(_) | Part::Attempt | Part::Slot | Part::SlotName(_))
        };
        self.parts.iter().any(needs)
    }

    /// The field that it shows as it is, if it is nothing else.
    pub(crate) fn lone_field(&self) -> Option<usize> {
        match self.parts[..] {
            [Part::Field(field, Operator::Whole)] => Some(field),
            _ => None,
        }
    }

    /// A template that shows the slot's name; `names` are those of all slots.
    pub(crate) fn of_slot_name(names: &Arc<[String]>) -> Self {
        Self { parts: vec![Part::SlotName(Arc::clone(names))] }
    }

    /// A template that shows the field at this index.
    pub(crate) fn of_field(field: usize) -> Self {
        Self { parts: vec![Part::Field(field, Operator::Whole)] }
    }

    /// The fields that it shows, in whatever way.
    pub(crate) fn fields(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().filter_map(Part::field)
    }

    /// Whether it has an attempt's or a slot's number: those are others when the task runs again.
    pub(crate) fn is_of_an_attempt(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Attempt | Part::Slot | Part::SlotName(_)))
    }

    /// Whether it has a field.
    pub(crate) fn has_field(&self) -> bool {
        self.parts.iter().any(|part| part.field().is_some())
    }

    /// What its fields have to be, so that it can be filled.
    pub(crate) fn demands(&self) -> Vec<Demand> {
        let demand = |part: &Part| match part {
            Part::Padded(field, _) => Some(Demand { field: *field, what: What::WholeNumber }),
            Part::Pointer(field, keys) => {
                Some(Demand { field: *field, what: What::Json(keys.clone()) })
            }
            _ => None,
        };
        self.parts.iter().filter_map(demand).collect()
    }

    /// Why it cannot be filled with these fields, if it cannot.
    pub(crate) fn unmet(&self, fields: &Fields) -> Option<String> {
        self.demands().iter().find_map(|demand| demand.unmet(fields))
    }

    /// Of a batch, if it is a lone field: what it comes to for each input.
    pub fn render_each(&self, values: &Values<'_>) -> Option<Vec<Vec<u8>>> {
        let members = values.fields.members()?;
        let [part] = &self.parts[..] else { return None };
        let field = part.field().filter(|&field| field < members[0].len())?;
        let one = |member: &Fields| {
            let mut out = Vec::new();
            part.render_field(field, member, &mut out);
            out
        };
        Some(members.iter().map(one).collect())
    }

    /// Whether it has `{payload}`.
    pub(crate) fn has_payload(&self) -> bool {
        self.parts.contains(&Part::Payload)
    }

    /// Whether it has a secret.
    pub fn has_secret(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Secret(_)))
    }

    /// Whether it can be filled as soon as a task's own fields, the first `fields`, are known, and is the same at each
    /// attempt.
    pub fn is_of_input(&self, fields: usize) -> bool {
        !self.is_of_an_attempt() && !self.has_payload() && self.fields().all(|field| field < fields)
    }

    /// Whether it is the same for the whole job: text, and secrets.
    pub fn is_constant(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Literal(_) | Part::Secret(_)))
    }

    /// Whether it differs from task to task, or from attempt to attempt; `{slot}` alone does not.
    pub fn is_per_task(&self) -> bool {
        let is_per_task = |part: &Part| {
            !matches!(part, Part::Literal(_) | Part::Slot | Part::SlotName(_) | Part::Secret(_))
        };
        self.parts.iter().any(is_per_task)
    }

    /// Whether it has the task's number.
    pub fn has_task(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Task(_)))
    }

    /// Whether it has the name of the slot.
    pub fn has_slot_name(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::SlotName(_)))
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

    /// Appends the filled template to `out`. Values go in as they are, UTF-8 or not; those of a batch one a line.
    pub fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Field(field, _) | Part::Padded(field, _) | Part::Pointer(field, _) => {
                    part.render_fields(*field, values.fields, out);
                }
                Part::Task(0) => out.extend_from_slice(digits.format(values.task).as_bytes()),
                Part::Task(width) => pad(digits.format(values.task).as_bytes(), *width, out),
                Part::Attempt => out.extend_from_slice(digits.format(values.attempt).as_bytes()),
                Part::Slot => out.extend_from_slice(digits.format(values.slot).as_bytes()),
                Part::SlotName(names) => {
                    let name = values.slot.checked_sub(1).and_then(|slot| names.get(slot));
                    out.extend_from_slice(name.map_or("", String::as_str).as_bytes());
                }
                Part::Payload => {
                    out.extend_from_slice(values.payload.map(Payload::bytes).unwrap_or_default());
                }
                Part::Secret(secret) => out.extend_from_slice(secret.value().unwrap_or(MASK)),
            }
        }
    }
}

impl Part {
    /// The field that it shows.
    fn field(&self) -> Option<usize> {
        match self {
            Self::Field(field, _) | Self::Padded(field, _) | Self::Pointer(field, _) => {
                Some(*field)
            }
            _ => None,
        }
    }

    #[inline]
    fn render_fields(&self, field: usize, fields: &Fields, out: &mut Vec<u8>) {
        let Some(members) = fields.members().filter(|members| field < members[0].len()) else {
            return self.render_field(field, fields, out);
        };
        for (index, member) in members.iter().enumerate() {
            if index > 0 {
                out.push(b'\n');
            }
            self.render_field(field, member, out);
        }
    }

    #[inline]
    fn render_field(&self, field: usize, fields: &Fields, out: &mut Vec<u8>) {
        let value = fields.get(field);
        match self {
            Self::Field(_, operator) => operator.apply(value, out),
            Self::Padded(_, width) => pad(value.trim_ascii(), *width, out),
            Self::Pointer(_, keys) => out.extend(demand::at(value, keys).unwrap_or_default()),
            _ => {}
        }
    }
}

/// Appends a whole number with zeros before its digits, as `printf %04d` does.
fn pad(number: &[u8], width: usize, out: &mut Vec<u8>) {
    let (sign, digits) = match number {
        [b'-', digits @ ..] => (&b"-"[..], digits),
        [b'+', digits @ ..] | digits => (&b""[..], digits),
    };
    out.extend_from_slice(sign);
    let zeros = width.saturating_sub(sign.len() + digits.len());
    out.resize(out.len() + zeros, b'0');
    out.extend_from_slice(digits);
}

impl Operator {
    /// The operators and their names.
    const ALL: [(&'static str, Operator); 6] = [
        ("base", Operator::Base),
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
            Operator::Base => {
                let ext = path.extension().map_or(0, |ext| ext.len() + 1);
                let bare = without_end(value);
                return out.extend_from_slice(&bare[..bare.len() - ext]);
            }
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

/// A path without the `/` and `/.` at its end.
fn without_end(mut path: &[u8]) -> &[u8] {
    loop {
        let end = path.iter().rposition(|&byte| byte != b'/').map_or(path.len(), |last| last + 1);
        let bare = &path[..end];
        match bare.strip_suffix(b"/.") {
            Some(rest) if !rest.is_empty() => path = rest,
            _ => return bare,
        }
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
            ("{input.base}.png", "a/b.tar.png"),
            ("{task:04}", "0007"),
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
            ("{input.base}", "a.d/b", "a.d/b"),
            ("{input.base}", "a.d/.b", "a.d/.b"),
            ("{input.base}", "a.d/b.c/", "a.d/b"),
            ("{input.base}", "d/a.tar.gz/.", "d/a.tar"),
            ("{input.base}", "d/a.gz//././", "d/a"),
            ("{input.base}", "./.", "."),
            ("{input.base}", "/.", "/."),
            ("{input:04}", "7", "0007"),
            ("{input:04}", " -7 ", "-007"),
            ("{input:02}", "12345", "12345"),
            ("{input/a/1}", r#"{"a": [1, "x y"]}"#, "x y"),
            ("{input/a}", r#"{"a": [1, 2.50]}"#, "[1, 2.50]"),
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
