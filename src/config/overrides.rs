//! The changes of the command line to every job file: `--set KEY=VALUE` and its short forms.

use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use crate::base::diagnostic::{Place, Source};
use crate::base::{Diagnostic, Diagnostics};
use crate::config::Document;
use crate::config::schema;

/// The changes of the command line.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Overrides {
    /// `--set`: each is `KEY=VALUE`.
    pub set: Vec<String>,
    /// `--model`.
    pub model: Option<String>,
    /// `-j/--concurrency`.
    pub concurrency: Option<String>,
    /// `--limit`.
    pub limit: Option<u64>,
    /// `--group`: each is `NAME=N`.
    pub groups: Vec<String>,
    /// `--results`, from the current folder.
    pub results: Option<PathBuf>,
    /// `--resume`.
    pub resume: bool,
}

/// A key and the value that the command line gives it.
#[derive(Debug)]
pub(crate) struct Argument {
    /// The argument as it was typed, to point into.
    pub source: Arc<Source>,
    /// The parts of the key; never empty.
    path: Vec<Spanned<String>>,
    /// The span of the value in the source.
    pub value: Range<usize>,
}

/// Whether setting `key` of this table takes `other` out: of some keys only one can be meant, and that is the last.
fn replaces(table: &str, key: &str, other: &str) -> bool {
    let is_source = |key: &str| schema::sources().any(|source| source == key);
    let is_one = |key: &str| is_source(key) || key == "null";
    key != other
        && match (table, key, other) {
            ("inputs", "null", "lines") | ("inputs", "lines", "null") => false,
            ("inputs", ..) => is_one(key) && is_one(other),
            ("workload", ..)
            | ("workload.command", "argv" | "shell", "argv" | "shell")
            | ("workload.command", "stdin" | "stdin_file", "stdin" | "stdin_file") => true,
            _ => false,
        }
}

impl Overrides {
    /// The arguments, in the order in which they apply: the short forms are the more explicit ones, and win.
    pub(crate) fn arguments(&self) -> Result<Vec<Argument>, Diagnostics> {
        let mut arguments = Vec::new();
        let mut errors = Diagnostics::default();
        for text in &self.set {
            match Argument::parse(text) {
                Ok(argument) => arguments.push(argument),
                Err(error) => errors.push(error),
            }
        }
        let short = [
            ("--model ", &["model"][..], &self.model),
            ("--concurrency ", &["limits", "concurrency"], &self.concurrency),
        ];
        for (flag, path, value) in short {
            if let Some(value) = value {
                arguments.push(Argument::short(flag, path, value));
            }
        }
        if errors.is_empty() { Ok(arguments) } else { Err(errors) }
    }

    /// Whether `--set` sets the key with these parts.
    pub fn sets(&self, key: &[&str]) -> bool {
        let is_it = |argument: Argument| argument.path.iter().map(Spanned::get_ref).eq(key);
        self.set.iter().any(|text| Argument::parse(text).is_ok_and(is_it))
    }
}

impl Argument {
    fn parse(set: &str) -> Result<Self, Diagnostic> {
        const FLAG: &str = "--set ";
        let source = Arc::new(Source { name: "command line".into(), text: format!("{FLAG}{set}") });
        let mistake = |message: String, span: Range<usize>| {
            Diagnostic::new(message)
                .at(Place::new(Arc::clone(&source), span))
                .help("write `--set KEY=VALUE`, for example `--set limits.timeout=5s`")
        };
        let equals = end_of_key(set).ok_or_else(|| {
            mistake(format!("`{set}` has no value"), FLAG.len()..source.text.len())
        })?;
        let key = &set[..equals];
        let path = key_path(key, FLAG.len()).ok_or_else(|| {
            mistake(format!("`{key}` is not a key"), FLAG.len()..FLAG.len() + key.len())
        })?;
        let value = FLAG.len() + equals + 1..source.text.len();
        Ok(Self { source, path, value })
    }

    fn short(flag: &str, path: &[&str], value: &str) -> Self {
        let source = Source { name: "command line".into(), text: format!("{flag}{value}") };
        let key = 0..flag.trim_end().len();
        Self {
            path: path.iter().map(|&part| Spanned::new(key.clone(), part.to_owned())).collect(),
            value: flag.len()..source.text.len(),
            source: Arc::new(source),
        }
    }

    /// Changes `root` as the argument, the one at `index` of `document`, says.
    pub fn apply<'a>(&'a self, root: &mut DeTable<'a>, document: &Document, index: usize) {
        let start = document.start_of(index);
        let mut tables = &self.path[..self.path.len() - 1];
        let mut table = root;
        if let [stages, stage, inner @ ..] = tables
            && stages.get_ref() == "stages"
            && table.get("stages").is_some_and(|value| value.get_ref().is_array())
        {
            // What is in a stage is called as at the top of a file.
            let help = stages_help(table);
            let Some(found) = stage_at(stage.get_ref(), table) else {
                let place = part_at(stage, start).span();
                let message = format!("the job has no stage `{}`", stage.get_ref());
                return document.error_with_help(&place, message, help);
            };
            (table, tables) = (found, inner);
        }
        self.set_below(table, tables, document, start);
    }

    /// Sets the last part of the key in the table that `tables` lead to.
    fn set_below<'a>(
        &'a self,
        mut table: &mut DeTable<'a>,
        tables: &'a [Spanned<String>],
        document: &Document,
        start: usize,
    ) {
        let last = self.path.last().expect("a key has a part");
        let mut name = String::new();
        for part in tables {
            table = remove_rivals(table, &name, part.get_ref());
            if name == "inputs" {
                name_option(table, part.get_ref());
            }
            table = table_at(&part_at(part, start), table);
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(part.get_ref());
        }
        let table = remove_rivals(table, &name, last.get_ref());
        let value = self.value(start);
        // A key that is there stays where it is: the order of keys is the order of fields. But what is said here is not a
        // default any more.
        let known = table.get_key_value(last.get_ref().as_str()).map(|(key, _)| key.span());
        if known.is_some_and(|span| document.is_default(&span)) {
            table.remove(last.get_ref().as_str());
        }
        table.insert(part_at(last, start), value);
    }

    /// The value, as TOML if it is some.
    fn value(&self, start: usize) -> Spanned<DeValue<'_>> {
        let text = &self.source.text[self.value.clone()];
        let span = self.value.start + start..self.value.end + start;
        let value = match DeValue::parse(text) {
            Ok(value) => shifted(value, span.start).into_inner(),
            Err(_) => DeValue::String(Cow::Borrowed(text)),
        };
        Spanned::new(span, value)
    }
}

/// Where the `=` is that ends the key; one inside quotes is a part of the key.
fn end_of_key(set: &str) -> Option<usize> {
    let mut quote = None;
    set.char_indices().find_map(|(index, c)| {
        match (quote, c) {
            (None, '=') => return Some(index),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
        None
    })
}

/// The parts of a key, dotted and quoted as TOML has it; places count from `offset`.
fn key_path(key: &str, offset: usize) -> Option<Vec<Spanned<String>>> {
    if key.contains(['\n', '#', '[', '{']) {
        return None;
    }
    let line = format!("{key}=0");
    let document = DeTable::parse(&line).ok()?;
    let mut table = document.get_ref();
    let mut path = Vec::new();
    loop {
        let (part, value) = table.iter().next()?;
        let span = part.span();
        let part = part.get_ref().clone().into_owned();
        path.push(Spanned::new(span.start + offset..span.end + offset, part));
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}

fn part_at(part: &Spanned<String>, start: usize) -> Spanned<DeString<'_>> {
    let span = part.span();
    Spanned::new(span.start + start..span.end + start, Cow::Borrowed(part.get_ref().as_str()))
}

/// `[[stages]]`, if the file has them.
fn stages_of<'t, 'a>(root: &'t mut DeTable<'a>) -> Option<&'t mut DeArray<'a>> {
    match root.get_mut("stages").map(Spanned::get_mut) {
        Some(DeValue::Array(stages)) => Some(stages),
        _ => None,
    }
}

/// The stage that is called `name`.
fn stage_at<'t, 'a>(name: &str, root: &'t mut DeTable<'a>) -> Option<&'t mut DeTable<'a>> {
    stages_of(root)?.iter_mut().find_map(|stage| match stage.get_mut() {
        DeValue::Table(stage) if stage_name(stage) == Some(name) => Some(stage),
        _ => None,
    })
}

fn stage_name<'t>(stage: &'t DeTable<'_>) -> Option<&'t str> {
    match stage.get("name")?.get_ref() {
        DeValue::String(name) => Some(name),
        _ => None,
    }
}

/// Which stages there are.
fn stages_help(root: &DeTable<'_>) -> String {
    let Some(DeValue::Array(stages)) = root.get("stages").map(Spanned::get_ref) else {
        return "it has none".into();
    };
    let names = stages.iter().filter_map(|stage| match stage.get_ref() {
        DeValue::Table(stage) => stage_name(stage).map(|name| format!("`{name}`")),
        _ => None,
    });
    format!("its stages are {}", names.collect::<Vec<_>>().join(", "))
}

/// A source that is written by its name alone becomes a table, since an option of it is set.
fn name_option(table: &mut DeTable<'_>, source: &str) {
    let key = match source {
        "lines" | "csv" | "jsonl" | "json" | "sheet" | "blocks" => "file",
        "glob" => "pattern",
        _ => return,
    };
    let Some(value) = table.get_mut(source) else { return };
    if value.get_ref().is_table() {
        return;
    }
    let span = value.span();
    let name = std::mem::replace(value.get_mut(), DeValue::Table(DeTable::new()));
    if let DeValue::Table(inner) = value.get_mut() {
        inner.insert(Spanned::new(span.clone(), Cow::Borrowed(key)), Spanned::new(span, name));
    }
}

/// The table at `key`, which is made where there is none.
fn table_at<'t, 'a>(
    key: &Spanned<DeString<'a>>,
    table: &'t mut DeTable<'a>,
) -> &'t mut DeTable<'a> {
    let is_table =
        table.get(key.get_ref().as_ref()).is_some_and(|value| value.get_ref().is_table());
    if !is_table {
        let value = Spanned::new(key.span(), DeValue::Table(DeTable::new()));
        table.insert(key.clone(), value);
    }
    match table.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) => inner,
        _ => unreachable!("it is a table, or has just been made one"),
    }
}

/// Removes from the table called `name` what cannot stand beside `key`.
fn remove_rivals<'t, 'a>(table: &'t mut DeTable<'a>, name: &str, key: &str) -> &'t mut DeTable<'a> {
    let others = table.keys().map(|other| other.get_ref().clone());
    let rivals: Vec<_> = others.filter(|other| replaces(name, key, other)).collect();
    for rival in rivals {
        table.remove(rival.as_ref());
    }
    table
}

/// `value` with all its places moved by `by` bytes.
pub(crate) fn shifted(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span().start + by..value.span().end + by;
    let value = match value.into_inner() {
        DeValue::Array(mut array) => {
            for element in array.iter_mut() {
                let taken = std::mem::replace(element, Spanned::new(0..0, DeValue::Boolean(false)));
                *element = shifted(taken, by);
            }
            DeValue::Array(array)
        }
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(key, value)| {
                    let span = key.span().start + by..key.span().end + by;
                    (Spanned::new(span, key.into_inner()), shifted(value, by))
                })
                .collect(),
        ),
        value => value,
    };
    Spanned::new(span, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(file: &str, sets: &[&str]) -> String {
        let overrides = Overrides {
            set: sets.iter().map(|&set| set.to_owned()).collect(),
            ..Overrides::default()
        };
        let arguments = overrides.arguments().unwrap();
        let source = Arc::new(Source { name: "a.toml".into(), text: file.into() });
        let document = Document::new(source, None, &arguments);
        let mut root = DeTable::parse(file).unwrap().into_inner();
        for (index, argument) in arguments.iter().enumerate() {
            argument.apply(&mut root, &document, index);
        }
        show(&DeValue::Table(root))
    }

    fn show(value: &DeValue<'_>) -> String {
        match value {
            DeValue::Table(table) => {
                let entries =
                    table.iter().map(|(k, v)| format!("{}={}", k.get_ref(), show(v.get_ref())));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
            }
            DeValue::Array(array) => format!("{}", array.len()),
            DeValue::String(text) => format!("'{text}'"),
            DeValue::Integer(number) => number.to_string(),
            other => other.type_str().into(),
        }
    }

    #[test]
    fn a_set_reaches_every_key() {
        for (file, set, expected) in [
            ("", "limits.timeout=5s", "{limits={timeout='5s'}}"),
            (
                "[limits]\ngrace = \"1s\"",
                "limits.concurrency=5",
                "{limits={grace='1s' concurrency=5}}",
            ),
            ("model = \"async\"", "model=threads", "{model='threads'}"),
            ("", "a.\"b.c=\".d=x=y", "{a={b.c=={d='x=y'}}}"),
            ("inputs = 3", "inputs.repeat=2", "{inputs={repeat=2}}"),
            ("", "inputs.values=[1,2]", "{inputs={values=2}}"),
            ("", "description=", "{description=''}"),
        ] {
            assert_eq!(applied(file, &[set]), expected, "{set}");
        }
    }

    #[test]
    fn a_set_reaches_into_a_stage() {
        let file = "[[stages]]\nname = 'a'\n[stages.workload.command]\nargv = ['x']\n[[stages]]\nname = 'b'";
        let mut root = DeTable::parse(file).unwrap().into_inner();
        let arguments = [
            Argument::parse("stages.a.limits.timeout=5s").unwrap(),
            Argument::parse("stages.a.workload.command.shell=ls").unwrap(),
            Argument::parse("stages.c.model=threads").unwrap(),
        ];
        let source = Arc::new(Source { name: "a.toml".into(), text: file.into() });
        let document = Document::new(source, None, &arguments);
        for (index, argument) in arguments.iter().enumerate() {
            argument.apply(&mut root, &document, index);
        }
        let DeValue::Array(stages) = root.get("stages").unwrap().get_ref() else { unreachable!() };
        assert_eq!(
            show(stages[0].get_ref()),
            "{name='a' workload={command={shell='ls'}} limits={timeout='5s'}}"
        );
        let (errors, _) = document.into_errors();
        assert_eq!(errors[0].message(), "the job has no stage `c`");
    }

    #[test]
    fn a_source_or_a_kind_replaces_the_other() {
        let file =
            "[inputs]\nlines = \"a\"\nnull = true\nlimit = 1\n[workload.command]\nargv = [\"x\"]";
        assert_eq!(
            applied(file, &["inputs.repeat=2", "workload.compute.arg=1"]),
            "{inputs={limit=1 repeat=2} workload={compute={arg=1}}}"
        );
        assert_eq!(
            applied(file, &["inputs.lines=-", "workload.command.shell=ls"]),
            "{inputs={lines='-' null=boolean limit=1} workload={command={shell='ls'}}}"
        );
    }

    #[test]
    fn what_is_no_argument_is_told() {
        for (set, message) in [
            ("limits.timeout", "`limits.timeout` has no value"),
            ("=5", "`` is not a key"),
            ("a b=5", "`a b` is not a key"),
            ("[a]\nb=5", "`[a]\nb` is not a key"),
        ] {
            let error = Argument::parse(set).unwrap_err();
            assert_eq!(error.message(), message);
        }
    }
}
