//! Every key of a job file and of a `runner.toml`, with its kind, its default and a sentence on it. This is the only
//! list: suggestions for unknown keys, what `--set` replaces, and the tables of the documentation are held to it.
//!
//! What a key comes to is its reader's affair; [`Table`](crate::config::Table) sees to it that both know the same keys.

mod keys;
mod kind;

use std::fmt;

pub use kind::Kind;

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What its value can be.
    pub kind: Kind,
    /// What holds without it.
    pub default: Default,
    /// What it is for: a fragment, for help and documentation.
    pub meaning: &'static str,
}

/// What holds where a key is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Nothing.
    None,
    /// This value, as TOML.
    Is(&'static str),
    /// What these words say.
    Words(&'static str),
}

/// As it stands in the documentation.
impl fmt::Display for Default {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("-"),
            Self::Is(value) => write!(f, "`{value}`"),
            Self::Words(words) => f.write_str(words),
        }
    }
}

/// A table and the keys that it can have.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Dotted, as in a header; empty for a job file itself. A part that is `*` stands for any name.
    pub name: &'static str,
    /// In the order of the documentation, in groups.
    groups: &'static [&'static [Key]],
}

impl Section {
    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// Its key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

/// The sections of a `runner.toml` begin with this.
pub const RUNNER_TOML: &str = "runner.toml";

/// All sections: those of a job file, then those of a `runner.toml`.
pub fn sections() -> &'static [Section] {
    &keys::SECTIONS
}

/// The section of the table that is called `table`, if its keys are not the user's to choose. What a stage has besides
/// its own keys is as at the top of a file.
pub fn section(table: &str) -> Option<&'static Section> {
    let find = |name: &str| sections().iter().find(|section| matches(section.name, name));
    find(table).or_else(|| find(table.strip_prefix("stages.")?))
}

fn matches(pattern: &str, table: &str) -> bool {
    let mut names = table.split('.');
    pattern.split('.').all(|part| names.next().is_some_and(|name| part == "*" || part == name))
        && names.next().is_none()
}

/// The sources, of which `[inputs]` has one.
pub fn sources() -> impl Iterator<Item = &'static str> {
    names(keys::SOURCES)
}

/// Whether this source can be a list of `matrix` or `zip`.
pub fn is_inner(source: &str) -> bool {
    INNER_SOURCES.contains(&source)
}

/// The sources that can be a list of `matrix` or `zip`.
pub const INNER_SOURCES: [&str; 10] =
    ["lines", "csv", "jsonl", "json", "sheet", "glob", "range", "repeat", "values", "zip"];

/// What a stage has, and a job without `[[stages]]`.
pub fn of_a_stage() -> impl Iterator<Item = &'static str> {
    names(keys::OF_A_STAGE)
}

/// The limits of a stage; the others are those of a whole job.
pub fn limits_of_a_stage() -> impl Iterator<Item = &'static str> {
    names(keys::LIMITS_OF_A_STAGE)
}

fn names(keys: &'static [Key]) -> impl Iterator<Item = &'static str> {
    keys.iter().map(|key| key.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_their_sections() {
        for (table, expected) in [
            ("", Some("")),
            ("limits", Some("limits")),
            ("stages", Some("stages")),
            ("stages.limits", Some("stages.limits")),
            ("stages.retry", Some("retry")),
            ("stages.columns.loss", Some("columns.*")),
            ("services.db.ready", Some("services.*.ready")),
            ("workload.command.env", None),
            ("columns.a.b", None),
        ] {
            assert_eq!(section(table).map(|section| section.name), expected, "{table}");
        }
    }

    #[test]
    fn no_key_is_listed_twice() {
        for section in sections() {
            let mut names: Vec<_> = section.keys().map(|key| key.name).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "[{}]", section.name);
        }
    }
}
