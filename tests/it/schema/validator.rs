//! As much of a JSON Schema validator as our schemas need; that they need no more is tested beside what writes them.

use serde_json::Value;

/// A TOML text as JSON. A date becomes `null`: no schema names its type, some take whatever is no array.
#[track_caller]
pub fn as_json(text: &str) -> Value {
    let table = text.parse::<toml::Table>().unwrap_or_else(|error| panic!("{text}\n{error}"));
    value(&toml::Value::Table(table))
}

fn value(of: &toml::Value) -> Value {
    match of {
        toml::Value::String(text) => text.clone().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(is) => (*is).into(),
        toml::Value::Datetime(_) => Value::Null,
        toml::Value::Array(array) => array.iter().map(value).collect(),
        toml::Value::Table(table) => {
            table.iter().map(|(key, inner)| (key.clone(), value(inner))).collect()
        }
    }
}

/// What `schema` has against `value`, each with its place.
pub fn mistakes(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Check { root: schema, found: &mut found }.value(schema, value, "");
    found
}

struct Check<'a> {
    root: &'a Value,
    found: &'a mut Vec<String>,
}

impl Check<'_> {
    fn value(&mut self, schema: &Value, value: &Value, at: &str) {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let root = self.root;
            let schema = root.pointer(target.trim_start_matches('#')).expect("it is there");
            return self.value(schema, value, at);
        }
        if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
            let fits = |schema: &Value| {
                let mut found = Vec::new();
                Check { root: self.root, found: &mut found }.value(schema, value, at);
                found.is_empty()
            };
            if !any.iter().any(fits) {
                self.found.push(format!("{at}: none of these"));
            }
            return;
        }
        let excluded = schema.get("not").map(types).unwrap_or_default();
        if excluded.iter().any(|kind| is_of(kind, value)) {
            return self.found.push(format!("{at}: {}", excluded.join(" or ")));
        }
        let kinds = types(schema);
        if kinds.is_empty() && schema.get("additionalProperties").is_none() {
            return; // whatever it is
        }
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(kind, value)) {
            return self.found.push(format!("{at}: not {}", kinds.join(" or ")));
        }
        let is_listed = |words: &Value| words.as_array().is_some_and(|all| all.contains(value));
        if !schema.get("enum").is_none_or(is_listed) {
            self.found.push(format!("{at}: not one of the words"));
        }
        let least = schema.get("minimum").and_then(Value::as_f64);
        if least.is_some_and(|least| value.as_f64().is_some_and(|number| number < least)) {
            self.found.push(format!("{at}: too small"));
        }
        self.inside(schema, value, at);
    }

    fn inside(&mut self, schema: &Value, value: &Value, at: &str) {
        for (index, element) in value.as_array().into_iter().flatten().enumerate() {
            self.value(&schema["items"], element, &format!("{at}/{index}"));
        }
        for (key, inner) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{key}");
            let known = schema.get("properties").and_then(|all| all.get(key));
            match known.or(schema.get("additionalProperties")) {
                Some(Value::Bool(false)) => self.found.push(format!("{at}: unknown")),
                Some(schema) => self.value(schema, inner, &at),
                None => panic!("{at}: the schema does not say what else there may be"),
            }
        }
    }
}

/// The types that a schema names.
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.and_then(Value::as_str).into_iter().collect(),
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is not used"),
    }
}
