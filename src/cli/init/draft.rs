//! What a command line comes to, before it is written as a job file.

use super::pieces::Dialect;

/// A list of inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// Those of the command line.
    Values(Vec<String>),
    /// The lines of a file; `-` is standard input.
    Lines(String),
    /// The files that patterns find.
    Glob(Vec<String>),
}

/// The character that `-d` names, if it is one that `lines` takes.
pub(super) fn separator(text: &str) -> Option<String> {
    let text = if text == "\\t" { "\t" } else { text };
    let [byte] = text.as_bytes() else { return None };
    (byte.is_ascii() && !b"\n\r\"".contains(byte)).then(|| text.to_owned())
}

/// Whether it is a number of something.
pub(super) fn is_count(text: &str) -> bool {
    text.parse().is_ok_and(|count: u64| count > 0)
}

/// A source of inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub list: List,
    /// Whether it goes side by side with the one before it: `:::+`.
    pub is_linked: bool,
}

/// The command of each task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Words {
    /// An argument each.
    #[default]
    None,
    Arguments(Vec<String>),
    /// A text that a shell reads.
    Shell(String),
}

/// One file in pieces: `--pipe`.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    pub is_file: bool,
    pub size: Option<String>,
    pub keys: Vec<(&'static str, String)>,
}

/// A job to be.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub dialect: Dialect,
    pub words: Words,
    pub sources: Vec<Source>,
    /// Whether all sources go side by side.
    pub is_linked: bool,
    /// Whether NUL ends an input.
    pub null: bool,
    /// One character between inputs, instead of the ends of lines.
    pub separator: Option<String>,
    /// What stands between the columns of an input: a regular expression.
    pub columns: Option<String>,
    /// Whether the first input has the names.
    pub has_header: bool,
    /// How many inputs a task takes.
    pub batch: Option<u64>,
    /// The size into which its inputs have to fit, if it takes as many as do.
    pub fits: Option<String>,
    /// Whether `{1}`, `{2}` name the inputs of such a task.
    pub is_grouped: bool,
    pub blocks: Option<Blocks>,
    /// More keys, each with its value as TOML.
    pub inputs: Vec<(&'static str, String)>,
    pub command: Vec<(&'static str, String)>,
    pub env: Vec<(String, String)>,
    pub limits: Vec<(&'static str, String)>,
    pub retry: Vec<(&'static str, String)>,
    /// Words before the command, such as `nice -n 10`.
    pub before: Vec<String>,
    /// The options of a run that does the same.
    pub options: Vec<String>,
    /// What could not be carried over.
    pub left: Vec<String>,
}

/// A string as TOML.
pub(super) fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// Strings as TOML; many of them on lines of their own.
pub(super) fn array(all: &[String]) -> String {
    let all: Vec<_> = all.iter().map(|text| quoted(text)).collect();
    let is_long = all.iter().map(String::len).sum::<usize>() > 90;
    if is_long {
        format!("[\n    {},\n]", all.join(",\n    "))
    } else {
        format!("[{}]", all.join(", "))
    }
}

impl Draft {
    /// Whether a task takes several inputs.
    pub fn is_batched(&self) -> bool {
        self.batch.is_some() || self.fits.is_some()
    }

    /// Notes an option that has no counterpart.
    pub fn leave(&mut self, option: &str, why: &str) {
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        self.left.push(format!("`{option}`{why}"));
    }

    /// Sets a limit once.
    pub fn limit(&mut self, key: &'static str, value: String) {
        self.limits.retain(|(known, _)| *known != key);
        self.limits.push((key, value));
    }
}
