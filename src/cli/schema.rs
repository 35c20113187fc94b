//! `runner schema`: the JSON Schema of job files and of `runner.toml`, made from the one table of keys.
//!
//! What editors know of JSON Schema is little: Taplo reads draft 4 and nothing that stands beside a `$ref`, tombi takes an
//! object that does not say `additionalProperties` for a closed one. So there is only what draft 4 has, every object says
//! it, and a `$ref` stands alone. What a file has to have (one source, one kind of work) is `runner check`'s to say: an
//! editor would complain while the file is being written.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::config::schema::{self, Default, Key, Kind, RUNNER_TOML, Section};

/// Which file a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaOf {
    /// A job file.
    Job,
    /// A `runner.toml`.
    RunnerToml,
}

/// What a schema of this program is called, before the version.
const TITLES: [&str; 2] = ["A job file of runner ", "A runner.toml of runner "];

/// The text of a schema, with a line break at its end.
pub fn schema(of: SchemaOf) -> String {
    let (name, title) = match of {
        SchemaOf::Job => ("", TITLES[0]),
        SchemaOf::RunnerToml => (RUNNER_TOML, TITLES[1]),
    };
    let mut writer = Writer::default();
    let section = schema::section(name).expect("the list has both files");
    let mut root = Map::new();
    root.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
    root.insert("title".into(), json!(format!("{title}{}", env!("CARGO_PKG_VERSION"))));
    root.append(&mut writer.object(section, section.keys()));
    root.insert("definitions".into(), Value::Object(writer.definitions));
    format!("{:#}\n", Value::Object(root))
}

/// Whether `text` is a schema that some version of this program has written.
pub fn is_one(text: &str) -> bool {
    let schema: Option<Value> = serde_json::from_str(text).ok();
    let title = schema.as_ref().and_then(|schema| schema.get("title")?.as_str());
    title.is_some_and(|title| TITLES.iter().any(|ours| title.starts_with(ours)))
}

/// What is to be said of the schemas that these job files name in a line `#:schema …`: each that another version of this
/// program has written is named once.
pub fn outdated(files: &[PathBuf]) -> Vec<String> {
    let mut schemas: Vec<PathBuf> = files.iter().filter_map(|file| named_in(file)).collect();
    schemas.sort();
    schemas.dedup();
    schemas.retain(|path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        is_one(&text) && text != schema(SchemaOf::Job)
    });
    let say = |path: &PathBuf| {
        let path = path.display();
        format!("`{path}` is of another version: `runner schema > {path}` writes it again")
    };
    schemas.iter().map(say).collect()
}

/// The schema that a job file names: a file, not an address.
fn named_in(file: &Path) -> Option<PathBuf> {
    // A pipe can be read once, and the job is in it.
    let text = file.is_file().then(|| std::fs::read_to_string(file).ok()).flatten()?;
    let mut comments = text.lines().take_while(|line| line.starts_with('#'));
    let named = comments.find_map(|line| line.strip_prefix("#:schema "))?.trim();
    let named = named.trim_start_matches("./");
    (!named.contains("://")).then(|| file.with_file_name(named))
}

/// Writes objects, and collects those that are referred to.
#[derive(Default)]
struct Writer {
    definitions: Map<String, Value>,
}

impl Writer {
    /// A table with the keys of `section`.
    fn object(
        &mut self,
        section: &Section,
        keys: impl Iterator<Item = &'static Key>,
    ) -> Map<String, Value> {
        let mut properties = Map::new();
        for key in keys {
            let at = if section.name.is_empty() {
                key.name.to_owned()
            } else {
                format!("{}.{}", section.name, key.name)
            };
            properties.insert(key.name.into(), self.property(key, &at));
        }
        let mut object = Map::new();
        object.insert("type".into(), json!("object"));
        object.insert("properties".into(), Value::Object(properties));
        object.insert("additionalProperties".into(), json!(false));
        object
    }

    /// The value of a key, with what is said of it, unless that would stand beside a `$ref`.
    fn property(&mut self, key: &Key, at: &str) -> Value {
        let mut value = self.value(key.kind, at, Some(key.meaning));
        let object = value.as_object_mut().expect("every schema here is an object");
        if object.contains_key("$ref") {
            return value;
        }
        let (default, words) = match key.default {
            Default::None => (None, String::new()),
            Default::Words(words) => (None, format!(" (default: {words})")),
            Default::Is(value) => (parsed(value), format!(" (default: {value})")),
        };
        object.insert("description".into(), json!(format!("{}{words}", key.meaning)));
        object.extend(default.map(|default| ("default".into(), default)));
        value
    }

    /// What a value of this kind looks like; `at` is the dotted name of its key.
    fn value(&mut self, kind: Kind, at: &str, meaning: Option<&str>) -> Value {
        match kind {
            Kind::Text | Kind::Template | Kind::Duration => json!({"type": "string"}),
            Kind::Size => json!({"anyOf": [{"type": "string"}, {"type": "integer", "enum": [0]}]}),
            Kind::Boolean => json!({"type": "boolean"}),
            Kind::Integer => json!({"type": "integer", "minimum": 0}),
            Kind::Count => json!({"type": "integer", "minimum": 1}),
            Kind::Number => json!({"type": "number"}),
            Kind::OneOf(words) => json!({"type": "string", "enum": words}),
            Kind::Any => json!({}),
            Kind::Single => single(),
            Kind::Datum => json!({"not": {"type": "array"}, "additionalProperties": single()}),
            Kind::Array(of) => json!({"type": "array", "items": self.value(*of, at, None)}),
            Kind::Map(of) => {
                let each = self.entry(*of, &format!("{at}.*"));
                json!({"type": "object", "additionalProperties": each})
            }
            Kind::Named => {
                let each = self.reference(&format!("{at}.*"), meaning);
                json!({"type": "object", "additionalProperties": each})
            }
            Kind::Tables => json!({"type": "array", "items": self.reference(at, meaning)}),
            Kind::Keys => self.reference(at, meaning),
            Kind::Inner(keys) => {
                let mut properties = Map::new();
                for (name, kind) in keys {
                    properties.insert((*name).to_owned(), self.value(*kind, at, None));
                }
                json!({"type": "object", "properties": properties, "additionalProperties": false})
            }
            Kind::Either(kinds) => {
                let any: Vec<_> = kinds.iter().map(|kind| self.value(*kind, at, meaning)).collect();
                json!({"anyOf": any})
            }
        }
    }

    /// The value of a name that the user chooses. A number or a boolean there is taken for its text.
    fn entry(&mut self, kind: Kind, at: &str) -> Value {
        match kind {
            Kind::Template => json!({"type": ["string", "number", "boolean"]}),
            Kind::Either(kinds) => {
                let any: Vec<_> = kinds.iter().map(|kind| self.entry(*kind, at)).collect();
                json!({"anyOf": any})
            }
            kind => self.value(kind, at, None),
        }
    }

    /// A reference to the table that is called `at`.
    fn reference(&mut self, at: &str, meaning: Option<&str>) -> Value {
        let is_source = ["inputs.matrix.*", "inputs.zip.*"].contains(&at);
        let section = schema::section(if is_source { "inputs" } else { at })
            .unwrap_or_else(|| panic!("`{at}` has a section"));
        let name = if is_source {
            "inputs.matrix.NAME".to_owned()
        } else {
            section.name.replace('*', "NAME")
        };
        if !self.definitions.contains_key(&name) {
            // It may be needed again while it is written.
            self.definitions.insert(name.clone(), Value::Null);
            let is_wanted =
                |key: &&Key| !is_source || key.name == "null" || schema::is_inner(key.name);
            let mut object = Map::new();
            object.extend(meaning.map(|meaning| ("description".into(), json!(meaning))));
            object.append(&mut self.object(section, section.keys().filter(is_wanted)));
            self.definitions.insert(name.clone(), Value::Object(object));
        }
        json!({"$ref": format!("#/definitions/{name}")})
    }
}

/// What is no array and no table. A list of types would leave out dates, for which JSON has none. Within an `anyOf`, tombi
/// does not see what has no type.
fn single() -> Value {
    json!({"not": {"type": ["array", "object"]}})
}

/// A default as JSON.
fn parsed(value: &str) -> Option<Value> {
    let table: toml::Table = format!("x = {value}").parse().ok()?;
    serde_json::to_value(table.get("x")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `look` with every schema in `value`.
    fn walk(value: &Value, look: &mut impl FnMut(&Map<String, Value>)) {
        let Value::Object(object) = value else { return };
        look(object);
        for (key, inner) in object {
            match (key.as_str(), inner) {
                ("properties" | "definitions", Value::Object(named)) => {
                    named.values().for_each(|inner| walk(inner, look));
                }
                ("anyOf", Value::Array(all)) => all.iter().for_each(|inner| walk(inner, look)),
                ("items" | "additionalProperties" | "not", inner) => walk(inner, look),
                _ => {}
            }
        }
    }

    #[test]
    fn it_has_only_what_editors_know() {
        const KNOWN: [&str; 14] = [
            "$schema",
            "$ref",
            "title",
            "description",
            "default",
            "type",
            "enum",
            "minimum",
            "items",
            "properties",
            "additionalProperties",
            "anyOf",
            "not",
            "definitions",
        ];
        for of in [SchemaOf::Job, SchemaOf::RunnerToml] {
            let schema: Value = serde_json::from_str(&schema(of)).unwrap();
            let mut count = 0;
            walk(&schema, &mut |object| {
                count += 1;
                let strange = object.keys().find(|key| !KNOWN.contains(&key.as_str()));
                assert_eq!(strange, None, "{object:?}");
                assert!(!object.contains_key("$ref") || object.len() == 1, "{object:?}");
                let is_table = object.get("type").is_some_and(|kind| kind == "object");
                assert!(!is_table || object.contains_key("additionalProperties"), "{object:?}");
                let target = object.get("$ref").and_then(Value::as_str);
                let is_there = |target: &str| schema.pointer(target.trim_start_matches('#'));
                assert!(target.is_none_or(|target| is_there(target).is_some()), "{target:?}");
            });
            assert!(count > 20, "{count}");
        }
    }

    #[test]
    fn a_schema_of_any_version_is_recognised() {
        assert!(is_one(&schema(SchemaOf::Job)) && is_one(&schema(SchemaOf::RunnerToml)));
        assert!(is_one(r#"{"title": "A job file of runner 9.9"}"#));
        assert!(!is_one("{}") && !is_one("no JSON"));
    }
}
