//! For every key and every kind of value that TOML has: what `runner check` takes is valid by the schema, and what is
//! valid `check` does not refuse for its kind. What a value has to be beyond its kind is `check`'s alone to say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use runner::config::schema::{Default, Key, Kind, Section, sections};

use super::validator::{as_json, mistakes};
use super::{file_with, schema};
use crate::support::{TestJob, runner};

/// Values of every kind, for any key.
const SINGLE: [&str; 14] = [
    "'a'",
    "'true'",
    "'1s'",
    "'1GiB'",
    "0",
    "1",
    "200",
    "-1",
    "1.5",
    "true",
    "false",
    "2020-01-02",
    "2020-01-02T10:00:00Z",
    "10:00:00",
];

/// What stands inside an array or a table.
const INNER: [&str; 10] = ["'a'", "0", "1", "200", "-1", "1.5", "true", "2020-01-02", "[]", "{}"];

/// What stands two levels deep.
const DEEP: [&str; 7] = ["'a'", "1", "1.5", "true", "2020-01-02", "[]", "{}"];

/// Values of every kind, and the default of `key`.
fn values(key: &Key) -> Vec<String> {
    let mut all: Vec<_> = SINGLE.iter().map(|&value| value.to_owned()).collect();
    all.extend(["[]", "{}"].map(str::to_owned));
    for inner in INNER {
        all.extend([format!("[{inner}]"), format!("{{ s = {inner} }}")]);
    }
    let is_single = matches!(
        key.kind,
        Kind::Text
            | Kind::Template
            | Kind::Boolean
            | Kind::Integer
            | Kind::Count
            | Kind::Number
            | Kind::Duration
            | Kind::Size
            | Kind::OneOf(_)
    );
    for deep in DEEP.iter().filter(|_| !is_single) {
        all.extend([format!("[[{deep}]]"), format!("[{{ s = {deep} }}]")]);
        all.extend([format!("{{ s = [{deep}] }}"), format!("{{ s = {{ s = {deep} }} }}")]);
    }
    all.extend(Some(key.default).and_then(|default| match default {
        Default::Is(value) => Some(value.to_owned()),
        _ => None,
    }));
    all
}

/// The kind of a value, and of what is in it.
fn shape(value: &toml::Value) -> String {
    match value {
        toml::Value::Array(array) => format!("{:?}", array.iter().map(shape).collect::<Vec<_>>()),
        toml::Value::Table(table) => {
            format!("{{{:?}}}", table.values().map(shape).collect::<Vec<_>>())
        }
        single => single.type_str().to_owned(),
    }
}

/// Whether a message complains about the kind of a value, not about what it says.
fn is_about_the_kind(message: &str) -> bool {
    const FOUND: [&str; 7] = [
        "an array",
        "a table",
        "the string",
        "the integer",
        "the number",
        "the boolean",
        "the date",
    ];
    FOUND.iter().any(|found| message.contains(&format!(", not {found}")))
}

#[test]
fn the_schema_and_check_agree_on_every_kind_of_value() {
    let (job, settings) = (schema(&["schema"]), schema(&["schema", "--runner-toml"]));
    let keys = sections().iter().flat_map(|section| section.keys().map(move |key| (section, key)));
    let files: Vec<_> = keys
        .flat_map(|(section, key)| values(key).into_iter().map(move |value| (section, key, value)))
        .map(|(section, key, value)| {
            let (text, line) = file_with(section, &format!("{} = {value}", key.name));
            (section, text, line)
        })
        .collect();
    let mut taken = BTreeSet::new();
    let mut disagreements = Vec::new();
    for ((section, text, line), errors) in files.iter().zip(errors_of(&files)) {
        let schema = if section.name.starts_with("runner.toml") { &settings } else { &job };
        let mistakes = mistakes(schema, &as_json(text));
        let line = text.lines().nth(line - 1).unwrap();
        let table: toml::Table = line.parse().unwrap();
        let (key, value) = table.iter().next().unwrap();
        let shape = (section.name, key.clone(), shape(value));
        if errors.iter().any(|message| is_about_the_kind(message)) {
            if mistakes.is_empty() {
                let told = format!("[{}] {line}: only `check`: {errors:?}", section.name);
                disagreements.push((Some(shape), told));
            }
        } else if !mistakes.is_empty() && errors.is_empty() {
            let told = format!("[{}] {line}: only the schema: {mistakes:?}", section.name);
            disagreements.push((None, told));
        } else if errors.is_empty() {
            taken.insert(shape);
        }
    }
    // Where `check` takes another value of that kind, it is not the kind that it complains about.
    disagreements.retain(|(shape, _)| shape.as_ref().is_none_or(|shape| !taken.contains(shape)));
    let all: Vec<_> = disagreements.into_iter().map(|(_, told)| told).collect();
    assert_eq!(all, [""; 0], "{}", all.join("\n"));
}

/// The errors of `runner check` that are at the given line of each file.
pub fn errors_of(files: &[(&Section, String, usize)]) -> Vec<Vec<String>> {
    let folder = TestJob::empty();
    let mut wanted = Vec::new();
    for (index, (section, text, line)) in files.iter().enumerate() {
        // A job is called after its file, and two of one name would be an error of their own.
        let path = folder.folder().join(format!("{index}/job{index}.toml"));
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(path.with_file_name("a.csv"), "a\n1\n").unwrap();
        if section.name.starts_with("runner.toml") {
            fs::write(path.with_file_name("runner.toml"), text).unwrap();
            fs::write(&path, "workload.sleep.duration = '1ms'\n").unwrap();
            wanted.push(format!("{index}/runner.toml:{line}"));
        } else {
            fs::write(&path, text).unwrap();
            wanted.push(format!("{index}/job{index}.toml:{line}"));
        }
    }
    let names: Vec<_> = (0..files.len()).map(|index| format!("{index}/job{index}.toml")).collect();
    let mut errors = BTreeMap::new();
    // Many files in one call are compared with each other, which takes its time.
    for some in names.chunks(50) {
        read_errors(some, folder.folder(), &mut errors);
    }
    wanted.iter().map(|place| errors.remove(place).unwrap_or_default()).collect()
}

/// What `runner check` says of these files, by file and line.
fn read_errors(names: &[String], folder: &Path, errors: &mut BTreeMap<String, Vec<String>>) {
    let output = runner().arg("check").args(names).current_dir(folder).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut message = None;
    for line in stderr.lines() {
        if let Some(place) = line.trim_start().strip_prefix("--> ") {
            let place = place.rsplit_once(':').expect("it has a column").0;
            let said: &mut Vec<String> = errors.entry(place.to_owned()).or_default();
            said.extend(message.take());
        } else if let Some((severity, said)) = line.split_once(": ")
            && ["error", "warning"].contains(&severity)
        {
            message = (severity == "error").then(|| said.to_owned());
        }
    }
}
