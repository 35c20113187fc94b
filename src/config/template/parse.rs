//! The parser of templates. Its errors say where in the template, and what could have been meant.

use std::ops::Range;
use std::sync::Arc;

use super::{Operator, Part};
use crate::base::diagnostic::nearest;
use crate::config::secrets::Secret;

/// What a template may refer to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// The job's name.
    pub job: &'a str,
    /// The fields of the inputs; `None` while they are not known, so that one mistake in the inputs is not reported
    /// once more at every placeholder.
    pub fields: Option<&'a [String]>,
    /// In which stage the template is.
    pub stage: StageScope<'a>,
    /// How many tasks there are, if that is known before they are read.
    pub tasks: Option<u64>,
    /// The job's `[secrets]`.
    pub secrets: &'a [Arc<Secret>],
    /// The names of the slots, if they have names.
    pub slots: Option<&'a Arc<[String]>>,
}

/// What a template may refer to besides fields, by the stage that it is in.
#[derive(Clone, Copy, Debug, Default)]
pub enum StageScope<'a> {
    /// The job has no stages.
    #[default]
    None,
    /// The first stage of a job whose inputs hand it something; with the columns of all stages and their stages' names,
    /// if the job has stages.
    Fed(&'a [(String, String)]),
    /// The first stage, and the columns of all stages with the stages' names: it can refer to none of them.
    First(&'a [(String, String)]),
    /// A later stage, and the columns of itself and of those after it.
    Later(&'a [(String, String)]),
}

impl<'a> StageScope<'a> {
    /// The stage of the column `name`, which is not known yet.
    fn to_come(self, name: &str) -> Option<&'a str> {
        let (Self::First(columns) | Self::Later(columns) | Self::Fed(columns)) = self else {
            return None;
        };
        columns.iter().find(|(column, _)| column == name).map(|(_, stage)| &stage[..])
    }

    /// The placeholders that are not fields here.
    fn built_in(self) -> &'static [&'static str] {
        match self {
            Self::None => &BUILT_IN[..4],
            Self::First(_) | Self::Later(_) | Self::Fed(_) => &BUILT_IN,
        }
    }
}

/// A mistake in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Bytes of the template.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub help: String,
}

/// Placeholders that are not fields; the last one only in stages.
const BUILT_IN: [&str; 5] = ["task", "attempt", "job", "slot", "payload"];

/// What a task is to create; the further ones are `creates/1` and so on.
pub(crate) const CREATES: &str = "creates";

/// The same, counted from 0.
const FIRST_CREATED: &str = "creates/0";

/// The placeholder for the file at `index` of `creates`.
pub(crate) fn created(index: usize) -> String {
    if index == 0 { CREATES.into() } else { format!("{CREATES}/{index}") }
}

pub(super) fn parse(text: &str, scope: &Scope<'_>) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut position = 0;
    while let Some(offset) = text[position..].find(['{', '}']) {
        let brace = position + offset;
        literal.push_str(&text[position..brace]);
        let rest = &text[brace..];
        if rest.starts_with("{{") || rest.starts_with("}}") {
            literal.push_str(&rest[..1]);
            position = brace + 2;
            continue;
        }
        if rest.starts_with('}') {
            return Err(TemplateError {
                span: brace..brace + 1,
                message: "`}` without a `{` before it".into(),
                help: "write `}}` for a brace".into(),
            });
        }
        let inside = brace + 1;
        let Some(length) =
            text[inside..].find(['{', '}']).filter(|end| text[inside + end..].starts_with('}'))
        else {
            return Err(TemplateError {
                span: brace..inside,
                message: "`{` is never closed".into(),
                help: "close it with `}`, or write `{{` for a brace".into(),
            });
        };
        let end = inside + length;
        match placeholder(&text[inside..end], scope) {
            Ok(Part::Literal(text)) => literal.push_str(&text),
            Ok(part) => {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(part);
            }
            Err((message, help)) => {
                return Err(TemplateError { span: brace..end + 1, message, help });
            }
        }
        position = end + 1;
    }
    literal.push_str(&text[position..]);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

/// The part that `{name}` stands for, or what is wrong with it and the way out.
fn placeholder(name: &str, scope: &Scope<'_>) -> Result<Part, (String, String)> {
    match name {
        "" => {
            let help = "write `{input}` for the input, or `{{}}` for braces";
            return Err(("empty placeholder".into(), help.into()));
        }
        "task" => return Ok(Part::Task(0)),
        "attempt" => return Ok(Part::Attempt),
        "slot" => return Ok(Part::Slot),
        "job" => return Ok(Part::Literal(scope.job.into())),
        "payload" => match scope.stage {
            StageScope::None => {}
            StageScope::Later(_) | StageScope::Fed(_) => return Ok(Part::Payload),
            StageScope::First(_) => {
                let message = "the first stage has no `{payload}`: no stage comes before it";
                return Err((message.into(), "an input is a field, such as `{input}`".into()));
            }
        },
        _ => {}
    }
    let Some(fields) = scope.fields else {
        return Ok(Part::Field(0, Operator::Whole));
    };
    let name = if name == FIRST_CREATED { CREATES } else { name };
    let built_in = scope.stage.built_in();
    if let Some(index) = field(name, fields, built_in) {
        return Ok(Part::Field(index, Operator::Whole));
    }
    if let Some((base, operator)) = name.rsplit_once('.')
        && let Some(index) = field(base, fields, built_in)
    {
        let found = Operator::ALL.iter().find(|(known, _)| *known == operator);
        return match found {
            Some(&(_, operator)) => Ok(Part::Field(index, operator)),
            None => Err(unknown_operator(base, operator)),
        };
    }
    if let Some(found) = named_elsewhere(name, scope) {
        return found;
    }
    if name.starts_with(CREATES)
        && let Some(message) = not_created(name, fields)
    {
        return Err(message);
    }
    if let Some(part) = padded(name, fields, built_in).or_else(|| pointer(name, fields, built_in)) {
        return part;
    }
    if name == "tasks" {
        return scope.tasks.map(|tasks| Part::Literal(tasks.to_string())).ok_or_else(|| {
            let message = "the number of `{tasks}` is not known before the inputs are read";
            (
                message.into(),
                "it is known of `values`, `range`, `repeat`, `matrix` and `zip`, without `where`"
                    .into(),
            )
        });
    }
    let base = name.rsplit_once('.').map_or(name, |(base, _)| base);
    if let Some(stage) = scope.stage.to_come(name).or_else(|| scope.stage.to_come(base)) {
        return Err((
            format!("`{base}` is a column of the stage `{stage}`, which has not ended by then"),
            "a stage can read the inputs' fields and the columns of the stages before it".into(),
        ));
    }
    if name == "payload" {
        let help = "only a stage after the first of `[[stages]]` is handed one, or the first of a job whose inputs are `blocks`";
        return Err(("this job has no `{payload}`".into(), help.into()));
    }
    Err(unknown_field(name, fields, built_in))
}

/// What is wrong with a placeholder for a file of `creates` that there is not.
fn not_created(name: &str, fields: &[String]) -> Option<(String, String)> {
    let created = fields.iter().filter(|field| *field == CREATES || is_further(field)).count();
    if name == CREATES && created == 0 {
        let help = "write `creates = \"out/…\"` above the first table of the job file";
        return Some(("the job creates nothing that `{creates}` could name".into(), help.into()));
    }
    let files = if created == 1 { "1 file".into() } else { format!("{created} files") };
    let help = "the first is `{creates}`, the second `{creates/1}`";
    (is_further(name) && created > 0)
        .then(|| (format!("`{{{name}}}`: the job creates {files}"), help.into()))
}

/// Whether it is the name of a file of `creates` after the first.
pub(super) fn is_further(name: &str) -> bool {
    let number = name.strip_prefix(CREATES).and_then(|rest| rest.strip_prefix('/'));
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// `{field:04}` and `{task:04}`.
fn padded(
    name: &str,
    fields: &[String],
    built_in: &[&str],
) -> Option<Result<Part, (String, String)>> {
    let (base, width) = name.rsplit_once(':')?;
    let index = field(base, fields, built_in);
    if index.is_none() && base != "task" {
        return None;
    }
    let is_width =
        width.len() > 1 && width.starts_with('0') && width.bytes().all(|b| b.is_ascii_digit());
    match width.parse::<usize>() {
        Ok(width @ 1..=99) if is_width => Some(Ok(match index {
            Some(index) => Part::Padded(index, width),
            None => Part::Task(width),
        })),
        _ => {
            let help =
                format!("write `{{{base}:04}}` for a whole number of four digits, with zeros");
            Some(Err((format!("`:{width}` is not a width"), help)))
        }
    }
}

/// `{field/a/0}`: what stands there in the field's JSON.
fn pointer(
    name: &str,
    fields: &[String],
    built_in: &[&str],
) -> Option<Result<Part, (String, String)>> {
    let cuts = name.match_indices('/').map(|(at, _)| at).rev();
    let mut bases = cuts.map(|at| (&name[..at], &name[at + 1..]));
    bases.find_map(|(base, keys)| {
        let index = field(base, fields, built_in)?;
        let key = |key: &str| key.replace("~1", "/").replace("~0", "~");
        Some(Ok(Part::Pointer(index, keys.split('/').map(key).collect())))
    })
}

/// `{slot.name}`, `{secret.name}` and `{env.NAME}`, where no field has that name.
fn named_elsewhere(name: &str, scope: &Scope<'_>) -> Option<Result<Part, (String, String)>> {
    if let Some(secret) = name.strip_prefix("secret.") {
        let found = scope.secrets.iter().find(|known| known.name() == secret);
        return Some(found.map(|found| Part::Secret(Arc::clone(found))).ok_or_else(|| {
            let near = nearest(secret, scope.secrets.iter().map(|known| known.name()));
            let help = match near {
                Some(near) => format!("did you mean `{{secret.{near}}}`?"),
                None => format!("write `[secrets]` with `{secret} = {{ env = \"…\" }}`"),
            };
            (format!("unknown secret `{secret}`"), help)
        }));
    }
    if name == "slot.name" {
        return Some(scope.slots.map(|names| Part::SlotName(Arc::clone(names))).ok_or_else(|| {
            let help = "name them: `slots = [\"0\", \"1\"]` in the `[limits]` of the workload";
            ("`{slot.name}` has no value here: the slots have no names".into(), help.into())
        }));
    }
    let variable = name.strip_prefix("env.")?;
    let value = std::env::var(variable).map(Part::Literal);
    Some(value.map_err(|error| {
        let why = match error {
            std::env::VarError::NotPresent => "is not set",
            std::env::VarError::NotUnicode(_) => "is not UTF-8",
        };
        let help = format!("set it: `{variable}=… runner …`");
        (format!("the environment variable `{variable}` {why}"), help)
    }))
}

/// The index of the field that a placeholder calls `name`.
fn field(name: &str, fields: &[String], built_in: &[&str]) -> Option<usize> {
    if built_in.contains(&name) {
        return None;
    }
    let called = fields.iter().position(|field| field == name);
    called.or_else(|| fields.iter().position(|field| reachable_as(field, fields, built_in) == name))
}

fn unknown_operator(field: &str, operator: &str) -> (String, String) {
    let names: Vec<_> =
        Operator::ALL.iter().map(|(name, _)| format!("`{{{field}.{name}}}`")).collect();
    (
        format!("unknown operator `.{operator}`"),
        format!(
            "there is {}; what stands in a field's JSON is `{{{field}/{operator}}}`",
            names.join(", ")
        ),
    )
}

/// A replacement string of GNU parallel's, and what it is called here.
fn of_parallel(name: &str, fields: &[String]) -> Option<(String, String)> {
    let sign = name.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = &name[..name.len() - sign.len()];
    let index = if number.is_empty() { 0 } else { number.parse::<usize>().ok()?.checked_sub(1)? };
    let ours = match (number, sign) {
        ("", "#") => "task".into(),
        ("", "%") => "slot".into(),
        ("", "") => return None,
        _ => {
            let field = fields.get(index)?;
            match sign {
                "" => field.clone(),
                "." => format!("{field}.base"),
                "/" => format!("{field}.name"),
                "//" => format!("{field}.dir"),
                "/." => format!("{field}.stem"),
                _ => return None,
            }
        }
    };
    Some((format!("`{{{name}}}` is a sign of GNU parallel's"), format!("write `{{{ours}}}`")))
}

fn unknown_field(name: &str, fields: &[String], built_in: &[&str]) -> (String, String) {
    if let Some(found) = of_parallel(name, fields) {
        return found;
    }
    let message = if name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '))
    {
        format!("unknown field `{name}`")
    } else {
        // It looks like code that has braces of its own, such as JSON or awk.
        return (format!("unknown field `{name}`"), "write `{{` and `}}` for braces".into());
    };
    let known: Vec<String> =
        fields.iter().map(|field| reachable_as(field, fields, built_in)).collect();
    let base = name.split_once('.').map_or(name, |(base, _)| base);
    let candidates = known.iter().map(String::as_str).chain(built_in.iter().copied());
    let help = match nearest(base, candidates) {
        Some(near) if near == base => {
            format!("a placeholder has one operator at most, such as `{{{base}.stem}}`")
        }
        Some(near) => format!("did you mean `{{{}}}`?", name.replacen(base, near, 1)),
        None if known.is_empty() => {
            "this job's inputs have no fields; there is `{task}`, `{attempt}`, `{job}`, `{slot}`"
                .into()
        }
        None => {
            let fields: Vec<_> = known.iter().map(|field| format!("`{{{field}}}`")).collect();
            format!("the inputs have {}", fields.join(", "))
        }
    };
    (message, help)
}

/// The name by which a template reaches a field.
fn reachable_as(field: &str, fields: &[String], built_in: &[&str]) -> String {
    let mut name = field.to_owned();
    while built_in.contains(&&name[..]) || (name != field && fields.contains(&name)) {
        name.insert_str(0, "input_");
    }
    name
}

#[cfg(test)]
mod tests;
