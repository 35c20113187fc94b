//! Values with templates inside: what a job file gives to a function. Rendered as JSON.

use serde::Serialize;

use super::demand::value_at;
use super::{Operator, Part};
use crate::base::json;
use crate::base::json::NotFinite;
use crate::config::Template;
use crate::task::payload::View;
use crate::task::{Fields, Kind, Payload, PayloadKind, Values};

/// A number, a boolean, a template, or an array or table of such, at any depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueTemplate {
    /// The same for every task: its JSON.
    Constant(Vec<u8>),
    /// A template that is a lone `{field}`: it keeps its type.
    Field(usize),
    /// A lone `{field/a}`: what stands at these keys keeps its type, too.
    Pointer(usize, Vec<String>),
    /// A lone `{task}`: a number.
    Task,
    /// A lone `{attempt}`: a number.
    Attempt,
    /// A lone `{slot}`: a number.
    Slot,
    /// A lone `{payload}`: the value that the stage before has handed on, or its text.
    Payload,
    /// Any other template: text.
    Text(Template),
    /// Several.
    Array(Vec<ValueTemplate>),
    /// Named ones.
    Object(Vec<(String, ValueTemplate)>),
}

/// A step into a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ValueStep<'a> {
    /// To the element with this number, from 0.
    Index(usize),
    /// To the member of this name.
    Name(&'a str),
}

impl From<Template> for ValueTemplate {
    fn from(template: Template) -> Self {
        match &template.parts[..] {
            [Part::Field(index, Operator::Whole)] => Self::Field(*index),
            [Part::Pointer(index, keys)] => Self::Pointer(*index, keys.clone()),
            [Part::Task(0)] => Self::Task,
            [Part::Attempt] => Self::Attempt,
            [Part::Slot] => Self::Slot,
            [Part::Payload] => Self::Payload,
            _ => match template.literal() {
                Some(text) => {
                    let mut out = Vec::new();
                    json::write_text(text.as_bytes(), &mut out);
                    Self::Constant(out)
                }
                None => Self::Text(template),
            },
        }
    }
}

impl ValueTemplate {
    /// Whether it has a secret.
    pub fn has_secret(&self) -> bool {
        match self {
            Self::Text(template) => template.has_secret(),
            Self::Array(elements) => elements.iter().any(Self::has_secret),
            Self::Object(entries) => entries.iter().any(|(_, value)| value.has_secret()),
            _ => false,
        }
    }

    /// The ways into the value to each lone `{payload}` in it, this value's own `way` first.
    pub fn payloads<'a>(&'a self, way: Vec<ValueStep<'a>>, found: &mut Vec<Vec<ValueStep<'a>>>) {
        let to = |step| way.iter().copied().chain([step]).collect();
        match self {
            Self::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    element.payloads(to(ValueStep::Index(index)), found);
                }
            }
            Self::Object(members) => {
                for (name, member) in members {
                    member.payloads(to(ValueStep::Name(name)), found);
                }
            }
            Self::Payload => found.push(way),
            _ => {}
        }
    }

    /// Appends the value as JSON for a Python function, as one of its arguments: bytes and texts that are told apart by
    /// their kind alone begin with a mark, half of a surrogate pair that no escaped byte is.
    pub fn render_for_python(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Array(elements) => {
                return json::write_array(elements, out, |value, out| {
                    value.render_for_python(values, out);
                });
            }
            Self::Object(members) => {
                return json::write_object(members, out, |value, out| {
                    value.render_for_python(values, out);
                });
            }
            _ => {}
        }
        let start = out.len();
        self.render(values, NotFinite::Python, out);
        let payload = if let Self::Payload = self { values.payload } else { None };
        let mark = match payload.map(Payload::kind) {
            Some(PayloadKind::Binary) => "\\udc00",
            Some(PayloadKind::Escaped) => "\\udc01",
            Some(PayloadKind::Bytes | PayloadKind::Json) | None => return,
        };
        out.splice(start + 1..=start, mark.bytes());
    }

    /// Appends the value as JSON to `out`, on one line.
    pub fn render(&self, values: &Values<'_>, not_finite: NotFinite, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        match self {
            Self::Constant(json) => out.extend_from_slice(json),
            Self::Field(index) => match values.fields.members() {
                // The array that stands in the report cannot have numbers that JSON has not.
                Some(members) if *index < members[0].len() => {
                    json::write_array(members, out, |member, out| {
                        write_field(member, *index, not_finite, out);
                    });
                }
                _ => write_field(values.fields, *index, not_finite, out),
            },
            Self::Pointer(index, keys) => match values.fields.members() {
                Some(members) if *index < members[0].len() => {
                    json::write_array(members, out, |member, out| {
                        write_value_at(member.get(*index), keys, out);
                    });
                }
                _ => write_value_at(values.fields.get(*index), keys, out),
            },
            Self::Task => out.extend_from_slice(digits.format(values.task).as_bytes()),
            Self::Attempt => out.extend_from_slice(digits.format(values.attempt).as_bytes()),
            Self::Slot => out.extend_from_slice(digits.format(values.slot).as_bytes()),
            Self::Payload => {
                let exact = values.payload.and_then(Payload::exact);
                if let Some(exact) = exact.filter(|_| not_finite == NotFinite::Python) {
                    return out.extend_from_slice(exact);
                }
                match values.payload.map(Payload::view) {
                    Some(View::Json(json)) => out.extend_from_slice(json),
                    Some(View::Text(text)) => json::write_text(text.as_bytes(), out),
                    Some(View::Bytes(bytes)) => json::write_text(bytes, out),
                    None => out.extend_from_slice(b"null"),
                }
            }
            Self::Text(template) => {
                if let Some(each) = template.render_each(values) {
                    return json::write_array(each, out, |text, out| json::write_text(&text, out));
                }
                let mut text = Vec::new();
                template.render(values, &mut text);
                json::write_text(&text, out);
            }
            Self::Array(elements) => {
                json::write_array(elements, out, |value, out| {
                    value.render(values, not_finite, out);
                });
            }
            Self::Object(members) => {
                json::write_object(members, out, |value, out| {
                    value.render(values, not_finite, out);
                });
            }
        }
    }
}

/// Appends the field at `index`, which keeps its type.
fn write_field(fields: &Fields, index: usize, not_finite: NotFinite, out: &mut Vec<u8>) {
    match fields.kind(index) {
        Kind::Bare => json::write_bare(fields.get(index), not_finite, out),
        Kind::Text => json::write_text(fields.get(index), out),
    }
}

/// Appends what stands at `keys` in the JSON `value`, on one line; its task fails before, if there is nothing.
fn write_value_at(value: &[u8], keys: &[String], out: &mut Vec<u8>) {
    let Some(found) = value_at(value, keys) else { return out.extend_from_slice(b"null") };
    json::write_on_one_line(found.get().as_bytes(), out);
}
