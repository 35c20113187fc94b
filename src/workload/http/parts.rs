//! What a request is made of: texts of several kinds, rendered from templates.

use base64::Engine;
use toml::Spanned;

use super::multipart::Field;
use super::plan::BodyKind;
use super::read::{Reported, optional};
use crate::base::json::NotFinite;
use crate::config::ValueTemplate;
use crate::config::{Planner, Table, Template};
use crate::task::Values;
use crate::workload::http::text_buffer::TextBuffer;

/// A text of a header.
#[derive(Clone, Debug)]
pub enum Text {
    /// A template.
    Template(Template),
    /// A user and a password (RFC 7617).
    Basic(Template, Template),
}

impl Text {
    /// Whether it has a secret, or is one by its nature.
    pub fn has_secret(&self) -> bool {
        match self {
            Self::Template(template) => template.has_secret(),
            Self::Basic(..) => true,
        }
    }

    /// Appends it to `out`.
    pub fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Template(template) => template.render(values, out),
            Self::Basic(user, password) => {
                let mut plain = Vec::new();
                user.render(values, &mut plain);
                plain.push(b':');
                password.render(values, &mut plain);
                let encoded = base64::engine::general_purpose::STANDARD.encode(plain);
                out.extend_from_slice(b"Basic ");
                out.extend_from_slice(encoded.as_bytes());
            }
        }
    }

    /// Appends it to `out` as it may be shown.
    pub fn show(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Template(template) => template.render(values, out),
            Self::Basic(..) => out.extend_from_slice(b"Basic ***"),
        }
    }
}

/// A text of a body.
#[derive(Clone, Debug)]
pub enum BodyPart {
    /// A template.
    Template(Template),
    /// A value, as JSON.
    Json(ValueTemplate),
    /// Pairs, as a form.
    Form(Vec<(String, Template)>),
}

impl BodyPart {
    /// Whether it has a secret.
    pub fn has_secret(&self) -> bool {
        match self {
            Self::Template(template) => template.has_secret(),
            Self::Json(value) => value.has_secret(),
            Self::Form(pairs) => pairs.iter().any(|(_, value)| value.has_secret()),
        }
    }

    /// Appends it to `out`.
    pub fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Template(template) => template.render(values, out),
            Self::Json(value) => value.render(values, NotFinite::Text, out),
            Self::Form(pairs) => render_pairs(pairs, values, out),
        }
    }
}

/// Appends pairs in the form of `application/x-www-form-urlencoded`.
pub fn render_pairs(pairs: &[(String, Template)], values: &Values<'_>, out: &mut Vec<u8>) {
    let mut text = Vec::new();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        text.clear();
        value.render(values, &mut text);
        encode(name.as_bytes(), out);
        out.push(b'=');
        encode(&text, out);
    }
}

fn encode(text: &[u8], out: &mut Vec<u8>) {
    url::form_urlencoded::byte_serialize(text)
        .for_each(|part| out.extend_from_slice(part.as_bytes()));
}

/// The body of a request, planned.
pub struct Body {
    pub kind: BodyKind,
    /// The texts, in the order of the kind.
    pub parts: Vec<BodyPart>,
    /// The content type, where the job file need not say it.
    pub content_type: Option<&'static str>,
    /// Whether the method is POST unless the file says otherwise.
    pub posts: bool,
}

/// The keys that each say what is sent.
const KEYS: [&str; 5] = ["body", "json", "form", "multipart", "body_file"];

/// Reads what is sent.
pub(super) fn body(table: &mut Table<'_>, plan: &Planner<'_>) -> Result<Body, Reported> {
    let given: Vec<_> = KEYS.into_iter().filter(|key| table.has(key)).collect();
    let text = optional(table, "body", plan);
    let json = table.any_template("json", NotFinite::Text, plan);
    let form = pairs(table, "form", plan);
    let multipart = multipart(table, plan);
    let file = optional(table, "body_file", plan);
    if let [first, second, ..] = given[..] {
        let message = format!("`{second}` beside `{first}`: a request has one body");
        plan.error(table.span_of_key(second), message);
        return Err(Reported);
    }
    let body =
        |kind, part, content_type, posts| Body { kind, parts: vec![part], content_type, posts };
    Ok(match given.first() {
        None => Body { kind: BodyKind::None, parts: Vec::new(), content_type: None, posts: false },
        Some(&"body") => {
            body(BodyKind::Text, BodyPart::Template(text?.ok_or(Reported)?), None, false)
        }
        Some(&"json") => {
            let json = BodyPart::Json(json.ok_or(Reported)?);
            body(BodyKind::Json, json, Some("application/json"), true)
        }
        Some(&"form") => {
            let form = BodyPart::Form(form?);
            body(BodyKind::Text, form, Some("application/x-www-form-urlencoded"), true)
        }
        Some(&"multipart") => {
            let (fields, parts): (Vec<_>, Vec<_>) = multipart?.into_iter().unzip();
            let parts = parts.into_iter().map(BodyPart::Template).collect();
            Body { kind: BodyKind::Multipart(fields), parts, content_type: None, posts: true }
        }
        Some(_) => {
            let file = BodyPart::Template(file?.ok_or(Reported)?);
            body(BodyKind::File, file, Some("application/octet-stream"), true)
        }
    })
}

/// A table of templates whose order is kept.
pub(super) fn pairs(
    table: &mut Table<'_>,
    key: &'static str,
    plan: &Planner<'_>,
) -> Result<Vec<(String, Template)>, Reported> {
    let names = table.inner_keys(key).len();
    let pairs = table.template_map(key, plan);
    if table.has(key) && (pairs.len() != names || table.text(key).is_some()) {
        return Err(Reported);
    }
    Ok(pairs)
}

fn multipart(
    table: &mut Table<'_>,
    plan: &Planner<'_>,
) -> Result<Vec<(Field, Template)>, Reported> {
    let Some(form) = table.table("multipart") else {
        return if table.has("multipart") { Err(Reported) } else { Ok(Vec::new()) };
    };
    let mut fields = Vec::new();
    for name in table.inner_keys("multipart") {
        let mut field = Field { name, is_file: false, content_type: None, filename: None };
        let template = if form.is_table(&field.name) {
            let mut file = form.inner_table(&field.name).ok_or(Reported)?;
            field.is_file = true;
            field.filename = file.get::<String>("filename").map(Spanned::into_inner);
            field.content_type = file.get::<String>("type").map(Spanned::into_inner);
            if !file.has("path") {
                file.missing("path");
            }
            let path = file.template("path", plan);
            file.finish();
            path
        } else {
            form.named_template(&field.name, plan)
        };
        fields.push((field, template.ok_or(Reported)?));
    }
    Ok(fields)
}

/// `auth`: the text of the header Authorization.
pub(super) fn auth(table: &mut Table<'_>, plan: &Planner<'_>) -> Result<Option<Text>, Reported> {
    let Some(mut auth) = table.table("auth") else {
        return if table.has("auth") { Err(Reported) } else { Ok(None) };
    };
    let span = auth.span();
    let bearer = optional_in(&mut auth, "bearer", plan);
    let user = optional_in(&mut auth, "user", plan);
    let password = optional_in(&mut auth, "password", plan);
    auth.finish();
    match (bearer?, user?, password?) {
        (Some(token), None, None) => Ok(Some(Text::Template(token.after("Bearer ")))),
        (None, Some(user), password) => {
            let password = password.unwrap_or_else(|| Template::constant(""));
            Ok(Some(Text::Basic(user, password)))
        }
        _ => {
            let help = "write `auth = { bearer = \"{secret.token}\" }`, or `auth = { user = \"…\", password = \"{secret.p}\" }`";
            plan.error_with_help(
                span,
                "`auth` needs either `bearer`, or `user` and `password`",
                help,
            );
            Err(Reported)
        }
    }
}

fn optional_in(
    table: &mut Table<'_>,
    key: &'static str,
    plan: &Planner<'_>,
) -> Result<Option<Template>, Reported> {
    optional(table, key, plan)
}

/// Appends the texts of a body to those of a request.
pub(super) fn push(parts: &[BodyPart], values: &Values<'_>, texts: &mut TextBuffer) {
    for part in parts {
        texts.push_with(|bytes| part.render(values, bytes));
    }
}
