//! The tables of keys in `docs/job-file.md`.
//!
//! Each stands below a mark with the name of its table of the job file: `top`, `inputs`, `columns.*`. A row is a key, its
//! kind, its default and its meaning.

use std::collections::BTreeSet;

use runner::config::schema::{self, sections};

use super::blocks::read;

const HEADER: &str = "| key | kind | default | meaning |";

/// A table of keys.
pub struct KeyTable {
    /// Of the job file; `top` is the top of it.
    pub name: String,
    pub keys: Vec<Key>,
}

/// One row.
#[derive(Debug)]
pub struct Key {
    pub name: String,
    pub kind: String,
    pub default: String,
    pub meaning: String,
}

/// All tables, in the order of the document.
pub fn key_tables() -> Vec<KeyTable> {
    let text = read("docs/job-file.md");
    let mut lines = text.lines();
    let mut tables = Vec::new();
    while let Some(line) = lines.next() {
        let Some(mark) = line.strip_prefix("<!-- keys: ") else { continue };
        let name = mark.strip_suffix(" -->").expect("the mark ends where its line does");
        assert_eq!(lines.next(), Some(HEADER), "{name}");
        assert_eq!(lines.next(), Some("|---|---|---|---|"), "{name}");
        let keys = lines.by_ref().take_while(|line| line.starts_with('|')).map(Key::of).collect();
        tables.push(KeyTable { name: name.to_owned(), keys });
    }
    tables
}

impl Key {
    fn of(row: &str) -> Self {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, default, meaning] = cells[..] else { panic!("{row} has four cells") };
        let name = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
        let name = name.unwrap_or_else(|| panic!("{row} begins with a key in `code`")).to_owned();
        Self { name, kind: kind.into(), default: default.into(), meaning: meaning.into() }
    }
}

#[test]
fn every_key_is_described_as_the_schema_has_it() {
    let mut documented = BTreeSet::new();
    for table in key_tables() {
        let section = if table.name == "top" { "" } else { &table.name }.to_owned();
        let rows = table.keys.into_iter();
        documented.extend(rows.map(|key| (section.clone(), key.name, key.kind, key.default)));
    }
    let mut known = BTreeSet::new();
    for section in sections() {
        // The same keys as elsewhere.
        if ["stages.limits", "runner.toml.cluster"].contains(&section.name)
            || section.name.starts_with("runner.toml.defaults.")
        {
            continue;
        }
        let row = |key: &schema::Key| {
            (section.name.into(), key.name.into(), key.kind.to_string(), key.default.to_string())
        };
        known.extend(section.keys().map(row));
    }
    let missing: Vec<_> = known.difference(&documented).collect();
    let strange: Vec<_> = documented.difference(&known).collect();
    assert!(
        missing.is_empty() && strange.is_empty(),
        "missing: {missing:#?}, and there is {strange:#?}"
    );
}

#[test]
fn every_key_says_all_of_itself() {
    for table in key_tables() {
        for key in table.keys {
            let is_empty =
                [&key.kind, &key.default, &key.meaning].iter().any(|cell| cell.is_empty());
            assert!(!is_empty, "[{}]: {key:?}", table.name);
        }
    }
}
