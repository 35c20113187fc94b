//! Values with templates inside: what a job file gives to a function. Rendered as JSON.

use super::{Operator, Part};
use crate::base::json;
use crate::base::json::NotFinite;
use crate::config::Template;
use crate::task::payload::View;
use crate::task::{Kind, Payload, Values};

/// A number, a boolean, a template, or an array or table of such, at any depth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueTemplate {
    /// The same for every task: its JSON.
    Constant(Vec<u8>),
    /// A template that is a lone `{field}`: it keeps its type.
    Field(usize),
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

impl From<Template> for ValueTemplate {
    fn from(template: Template) -> Self {
        match &template.parts[..] {
            [Part::Field(index, Operator::Whole)] => Self::Field(*index),
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

    /// Appends the value as JSON to `out`, on one line.
    pub fn render(&self, values: &Values<'_>, not_finite: NotFinite, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        match self {
            Self::Constant(json) => out.extend_from_slice(json),
            Self::Field(index) => {
                let value = values.fields.get(*index);
                match values.fields.kind(*index) {
                    Kind::Bare => json::write_bare(value, not_finite, out),
                    Kind::Text => json::write_text(value, out),
                }
            }
            Self::Task => out.extend_from_slice(digits.format(values.task).as_bytes()),
            Self::Attempt => out.extend_from_slice(digits.format(values.attempt).as_bytes()),
            Self::Slot => out.extend_from_slice(digits.format(values.slot).as_bytes()),
            Self::Payload => match values.payload.map(Payload::view) {
                Some(View::Json(json)) => out.extend_from_slice(json),
                Some(View::Text(text)) => json::write_text(text.as_bytes(), out),
                Some(View::Bytes(bytes)) => json::write_text(bytes, out),
                None => out.extend_from_slice(b"null"),
            },
            Self::Text(template) => {
                if let Some(each) = template.render_each(values) {
                    out.push(b'[');
                    for (index, text) in each.iter().enumerate() {
                        if index > 0 {
                            out.push(b',');
                        }
                        json::write_text(text, out);
                    }
                    return out.push(b']');
                }
                let mut text = Vec::new();
                template.render(values, &mut text);
                json::write_text(&text, out);
            }
            Self::Array(elements) => Self::render_array(elements, values, not_finite, out),
            Self::Object(entries) => Self::render_object(entries, values, not_finite, out),
        }
    }

    /// Appends these values as a JSON array.
    pub fn render_array(
        elements: &[Self],
        values: &Values<'_>,
        not_finite: NotFinite,
        out: &mut Vec<u8>,
    ) {
        out.push(b'[');
        for (index, element) in elements.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            element.render(values, not_finite, out);
        }
        out.push(b']');
    }

    /// Appends these values as a JSON object.
    pub fn render_object(
        entries: &[(String, Self)],
        values: &Values<'_>,
        not_finite: NotFinite,
        out: &mut Vec<u8>,
    ) {
        out.push(b'{');
        for (index, (name, value)) in entries.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            json::write_text(name.as_bytes(), out);
            out.push(b':');
            value.render(values, not_finite, out);
        }
        out.push(b'}');
    }
}
