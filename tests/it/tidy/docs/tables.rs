//! The tables of keys in `docs/job-file.md`.
//!
//! Each stands below a mark with the name of its table of the job file: `top`, `inputs`, `columns.*`. A row is a key, its
//! kind, its default and its meaning.

use std::collections::BTreeSet;

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
fn every_key_that_the_runner_knows_is_described() {
    let tables = key_tables();
    let documented: BTreeSet<&str> =
        tables.iter().flat_map(|table| &table.keys).map(|key| key.name.as_str()).collect();
    for key in runner::config::known_keys() {
        assert!(documented.contains(key), "`{key}` has no row in docs/job-file.md");
    }
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
