//! What the value of a key can be.

use std::fmt;

/// What the value of a key can be, as far as TOML can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A string with placeholders.
    Template,
    /// `true` or `false`.
    Boolean,
    /// A whole number of 0 or more.
    Integer,
    /// A whole number above 0.
    Count,
    /// Any number.
    Number,
    /// A string such as `"1m 30s"`.
    Duration,
    /// A string such as `"64KiB"`, or 0, which needs no unit.
    Size,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// Any value.
    Any,
    /// Any value that is no array and no table: a date, too, for which JSON has no type.
    Single,
    /// A [`Single`](Self::Single), or a table of them.
    Datum,
    /// An array, of these.
    Array(&'static Kind),
    /// A table of these, with keys that the user chooses.
    Map(&'static Kind),
    /// A table with keys of its own: it has a section.
    Keys,
    /// Tables with names that the user chooses: they share a section.
    Named,
    /// An array of tables: they share a section.
    Tables,
    /// A table with these keys, within the value of another key.
    Inner(&'static [(&'static str, Kind)]),
    /// Any of these kinds.
    Either(&'static [Kind]),
}

impl Kind {
    /// What several are called.
    fn plural(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Either(kinds) => listed(kinds.iter().map(|kind| kind.plural())),
            other => format!("{other}s"),
        }
    }
}

/// As it stands in the documentation.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Template => "template",
            Self::Boolean => "boolean",
            Self::Count => "count",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Any | Self::Single | Self::Datum => "value",
            Self::Array(Self::Any | Self::Single | Self::Datum | Self::Inner(_)) => "array",
            Self::Keys | Self::Named | Self::Map(Self::Any) | Self::Inner(_) => "table",
            Self::Tables => "array of tables",
            Self::Array(kind) => return write!(f, "array of {}", kind.plural()),
            Self::Map(kind) => return write!(f, "table of {}", kind.plural()),
            Self::OneOf(words) => {
                return f.write_str(&listed(words.iter().map(|word| format!("`\"{word}\"`"))));
            }
            Self::Either(kinds) => {
                return f.write_str(&listed(kinds.iter().map(ToString::to_string)));
            }
        })
    }
}

/// `a`, `a or b`, `a, b or c`.
fn listed(all: impl Iterator<Item = String>) -> String {
    let all: Vec<_> = all.collect();
    match &all[..] {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => all.concat(),
    }
}
