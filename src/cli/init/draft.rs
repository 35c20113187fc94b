//! What a command line comes to, before it is written as a job file.

use std::path::{Path, PathBuf};

use super::options::Given;
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
    // `+2` is a number, too, and means something else to these programs.
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse().is_ok_and(|count: u64| count > 0)
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

/// When an input is put after a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Append {
    /// If it has no replacement string.
    #[default]
    Otherwise,
    /// Never: it is asked for where it is to stand.
    Never,
    /// Never, and a replacement string stands for nothing: `-N0`.
    Nothing,
}

/// Standard input or a file in pieces: `--pipe`.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe {
    /// Whether there is any; else what is said of it means nothing.
    pub is_on: bool,
    pub size: Option<String>,
    pub end: Option<String>,
    pub start: Option<String>,
    /// Whether what starts a record is a regular expression.
    pub is_regex: bool,
    /// Whether a command is given the name of a file.
    pub is_file: bool,
}

/// A job to be.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub dialect: Dialect,
    pub words: Words,
    pub append: Append,
    /// What reads a text; `sh` if nothing is said.
    pub shell: Option<String>,
    /// The user's own shell, if its variables are written otherwise.
    pub foreign_shell: Option<String>,
    pub sources: Vec<Source>,
    /// From the folder of the job file to this one; nothing if it is the same.
    pub way: PathBuf,
    /// Whether all sources go side by side, those that are shorter begun anew.
    pub is_linked: bool,
    /// Whether NUL ends an input.
    pub null: bool,
    /// One character between inputs, instead of the ends of lines.
    pub separator: Option<String>,
    /// Whether blank lines are inputs.
    pub keeps_blank: bool,
    /// Whether lines are words, as xargs reads them.
    pub has_words: bool,
    /// What stands between the columns of an input: a regular expression.
    pub columns: Option<String>,
    /// Whether quotes may stand around columns.
    pub is_csv: bool,
    /// Whether blanks around columns go; `None`: as usual.
    pub trims: Option<bool>,
    /// Whether nobody knows how many columns there are.
    pub is_width_unknown: bool,
    /// Whether the first input has the names.
    pub has_header: bool,
    /// Whether the first line is left out.
    pub skips: bool,
    /// Whether one of the values is nothing that a built-in command and a program are sure to take alike: it begins with
    /// a dash or has a backslash.
    pub has_odd_values: bool,
    /// How many inputs a task takes.
    pub batch: Option<u64>,
    /// The size into which its inputs have to fit, if it takes as many as do.
    pub fits: Option<String>,
    /// Whether the inputs are shared out evenly to all that run at once: `-X`.
    pub is_shared: bool,
    /// Whether `{1}`, `{2}` name the inputs of such a task.
    pub is_grouped: bool,
    /// Whether `batch` counts lines: with `--pipe` these are a record.
    pub counts_lines: bool,
    /// The input at which they end: `-E`.
    pub end: Option<String>,
    pub pipe: Pipe,
    /// Whether all tasks run at once.
    pub is_all_at_once: bool,
    /// More keys, each with its value as TOML.
    pub inputs: Vec<(&'static str, String)>,
    pub command: Vec<(&'static str, String)>,
    pub env: Vec<(&'static str, String)>,
    pub limits: Vec<(&'static str, String)>,
    pub retry: Vec<(&'static str, String)>,
    /// The folder to run in, with replacement strings.
    pub folder: Option<String>,
    /// Words before the command, such as `nice -n 10`.
    pub before: Vec<String>,
    /// The options of a run that does the same.
    pub options: Vec<String>,
    /// How its output is shown: a value of `--output`.
    pub output: Option<&'static str>,
    /// What stands before each line of it, with replacement strings.
    pub tag: Option<String>,
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
        self.batch.is_some_and(|count| count > 1) || self.fits.is_some()
    }

    /// Notes an option that has no counterpart.
    pub fn leave(&mut self, option: &Given, why: &str) {
        self.note(&option.shown(), why);
    }

    /// Notes what has no counterpart.
    pub fn note(&mut self, what: &str, why: &str) {
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        self.left.push(format!("`{what}`{why}"));
    }

    /// Sets a limit once.
    pub fn limit(&mut self, key: &'static str, value: String) {
        self.limits.retain(|(known, _)| *known != key);
        self.limits.push((key, value));
    }

    /// No input at all is nothing to complain of.
    pub fn allow_empty(&mut self) {
        if !self.inputs.iter().any(|(key, _)| *key == "empty") {
            self.inputs.push(("empty", quoted("ok")));
        }
    }

    /// How the job file names a file that is named from here.
    pub fn path(&self, name: &str) -> String {
        let is_moved =
            name != "-" && !self.way.as_os_str().is_empty() && Path::new(name).is_relative();
        if is_moved { self.way.join(name).display().to_string() } else { name.to_owned() }
    }

    /// Adds a file of inputs.
    pub fn file(&mut self, name: &str) {
        self.sources.push(Source { list: List::Lines(name.into()), is_linked: false });
    }
}
