//! The replacement strings of a command line: `{}`, `{.}`, `{2/}` and the like, as templates and as shell variables.

use super::draft::quoted;

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it is.
    Text(String),
    /// An input, or a part of it.
    Input(Which, Part),
    /// A placeholder in the runner's own words, without its braces.
    Own(String),
    /// A replacement string that cannot be carried over, as it is.
    Left(String),
}

/// Which input is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// All that a task has.
    All,
    /// The one of this source, from 1; from -1 backwards.
    Nth(i32),
    /// The one of this column.
    Named(String),
}

/// What of a path is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// What an operator of a template takes of it.
    Operator(&'static str),
    /// What the first group of a regular expression takes of it, and what the field is called that has that.
    Regex(&'static str, &'static str),
}

/// GNU parallel's signs, and with `--plus`.
const SIGNS: [(&str, Part); 6] = [
    ("", Part::Whole),
    (".", Part::Operator("base")),
    ("/", Part::Operator("name")),
    ("//", Part::Operator("dir")),
    ("/.", Part::Operator("stem")),
    ("+.", Part::Operator("ext")),
];

const MORE_SIGNS: [(&str, Part); 7] = [
    ("..", Part::Regex("base2", r"(?s-u)^(.*?)(?:\.[^/.]*\.[^/.]*)?$")),
    ("...", Part::Regex("base3", r"(?s-u)^(.*?)(?:\.[^/.]*\.[^/.]*\.[^/.]*)?$")),
    ("/..", Part::Regex("stem2", r"(?s-u)^(?:.*/)?([^/]*?)(?:\.[^/.]*\.[^/.]*)?$")),
    ("/...", Part::Regex("stem3", r"(?s-u)^(?:.*/)?([^/]*?)(?:\.[^/.]*\.[^/.]*\.[^/.]*)?$")),
    ("+/", Part::Regex("parent", r"(?s-u)^(.*)/[^/]*$")),
    ("+..", Part::Regex("ext2", r"(?-u)\.([^/.]*\.[^/.]*)$")),
    ("+...", Part::Regex("ext3", r"(?-u)\.([^/.]*\.[^/.]*\.[^/.]*)$")),
];

/// As GNU parallel takes them, for which `.bashrc` is an extension and `a/` has an empty name.
const EXACT_SIGNS: [(&str, Part); 3] = [
    (".", Part::Regex("base", r"(?s-u)^(.*?)(?:\.[^/.]*)?$")),
    ("/", Part::Regex("name", r"(?-u)([^/]*)$")),
    ("/.", Part::Regex("stem", r"(?s-u)^(?:.*/)?([^/]*?)(?:\.[^/.]*)?$")),
];

impl Part {
    /// GNU parallel's sign for it.
    fn of(sign: &str, dialect: &Dialect) -> Option<Self> {
        let exact = if dialect.is_exact { &EXACT_SIGNS[..] } else { &[] };
        let more = if dialect.has_plus { &MORE_SIGNS[..] } else { &[] };
        let found = exact.iter().chain(&SIGNS).chain(more).find(|(known, _)| *known == sign);
        found.filter(|_| dialect.has_plus || sign != "+.").map(|(_, part)| *part)
    }
}

/// Whether the runner's operators take another part of this path than GNU parallel does.
pub(super) fn is_odd(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with('.') || (name.is_empty() && !path.is_empty())
}

/// Whose replacement strings they are.
#[expect(clippy::struct_excessive_bools, reason = "each is a set of strings of its own")]
#[derive(Clone, Debug, Default)]
pub(super) struct Dialect {
    /// What stands for the input: `{}`, or what `-I` says; empty for nothing.
    pub input: String,
    /// Whether GNU parallel's other ones are known.
    pub has_signs: bool,
    /// Whether those of its `--plus` are.
    pub has_plus: bool,
    /// Whether they are needed as it takes them.
    pub is_exact: bool,
    /// Whether the runner's own are.
    pub has_own: bool,
    /// Names of columns that are known, too.
    pub columns: Vec<String>,
    /// Other strings for signs: `--extensionreplace`.
    pub renamed: Vec<(String, &'static str)>,
}

/// Takes a word apart. What looks like a replacement string and cannot be carried over is added to `left`, and stays text.
pub(super) fn pieces(word: &str, dialect: &Dialect, left: &mut Vec<String>) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let (piece, length) = next(rest, dialect);
        let length = length.unwrap_or(first.len_utf8());
        match piece {
            Some(piece) => {
                if let Piece::Left(text) = &piece {
                    left.push(format!("`{text}`"));
                }
                if !text.is_empty() {
                    found.push(Piece::Text(std::mem::take(&mut text)));
                }
                found.push(piece);
            }
            None => text.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    if !text.is_empty() || found.is_empty() {
        found.push(Piece::Text(text));
    }
    found
}

/// The piece with which `rest` begins, and its length; nothing if it begins with text.
fn next(rest: &str, dialect: &Dialect) -> (Option<Piece>, Option<usize>) {
    if !dialect.input.is_empty() && rest.starts_with(&dialect.input) {
        return (Some(Piece::Input(Which::All, Part::Whole)), Some(dialect.input.len()));
    }
    let renamed = dialect.renamed.iter().find(|(name, _)| rest.starts_with(name));
    if let Some((name, sign)) = renamed {
        let bare = Dialect { has_signs: true, ..Dialect::default() };
        return (known(sign, &bare), Some(name.len()));
    }
    if dialect.has_signs
        && rest.starts_with("{=")
        && let Some(end) = rest.find("=}").filter(|end| *end > 1)
    {
        return (Some(Piece::Left(rest[..end + 2].to_owned())), Some(end + 2));
    }
    let Some(inside) = braced(rest) else { return (None, None) };
    let length = Some(inside.len() + 2);
    match known(inside, dialect) {
        Some(piece) => (Some(piece), length),
        None if dialect.has_plus && is_of_plus(inside) => {
            (Some(Piece::Left(format!("{{{inside}}}"))), length)
        }
        // Text in braces may have braces of its own.
        None => (None, None),
    }
}

/// What stands in the braces with which `text` begins.
fn braced(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('{')?;
    let end = inside.find(['{', '}'])?;
    inside[end..].starts_with('}').then(|| &inside[..end])
}

fn known(inside: &str, dialect: &Dialect) -> Option<Piece> {
    let first = inside.split(['.', '/', ':']).next().unwrap_or_default();
    if dialect.has_own && ["input", "task", "tasks", "slot", "attempt", "job"].contains(&first) {
        return Some(Piece::Own(inside.into()));
    }
    if !dialect.has_signs {
        return None;
    }
    match inside {
        "#" => return Some(Piece::Own("task".into())),
        "%" => return Some(Piece::Own("slot".into())),
        "##" if dialect.has_plus => return Some(Piece::Own("tasks".into())),
        "slot" if dialect.has_plus => return Some(Piece::Own("slot".into())),
        _ => {}
    }
    let part = |sign: &str| Part::of(sign, dialect);
    if let Some(part) = part(inside).filter(|part| *part != Part::Whole) {
        return Some(Piece::Input(Which::All, part));
    }
    let (number, sign) = numbered(inside);
    if let Ok(number) = number.parse::<i32>()
        && number != 0
    {
        return Some(Piece::Input(Which::Nth(number), part(sign)?));
    }
    dialect.columns.iter().find_map(|column| {
        let part = part(inside.strip_prefix(column.as_str())?)?;
        Some(Piece::Input(Which::Named(column.clone()), part))
    })
}

/// The number at the start, and the rest.
fn numbered(inside: &str) -> (&str, &str) {
    let digits = inside.strip_prefix('-').unwrap_or(inside);
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    inside.split_at(length + inside.len() - digits.len())
}

/// Whether it is a replacement string of `--plus` that is not known here.
fn is_of_plus(inside: &str) -> bool {
    const WORDS: [&str; 8] = ["choose_k", "uniq", "0%", "0#", "host", "sshlogin", "hgrp", "agrp"];
    let sign = numbered(inside).1;
    let starts = |c| sign.len() > 1 && sign.starts_with(c);
    WORDS.contains(&inside) || WORDS.contains(&sign) || starts([':', '#', '%', '/', '^', ','])
}

/// The fields that a task has, and what of them is needed as fields of their own.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Of each source, or of each column.
    pub names: Vec<String>,
    /// Fields that are made, each with its rule as TOML.
    pub made: Vec<(String, String)>,
    /// Whether the inputs of a task are the arguments of a shell.
    pub are_arguments: bool,
}

impl Fields {
    pub fn new(names: Vec<String>) -> Self {
        Self { names, ..Self::default() }
    }

    /// The fields that are meant; none if there is no such source.
    fn of(&self, which: &Which) -> Vec<String> {
        match which {
            Which::All => self.names.clone(),
            Which::Named(name) => vec![name.clone()],
            Which::Nth(number) => {
                let index = match *number {
                    number @ 1.. => usize::try_from(number - 1).ok(),
                    number => self.names.len().checked_sub(number.unsigned_abs() as usize),
                };
                let name = index.and_then(|index| self.names.get(index));
                name.into_iter().cloned().collect()
            }
        }
    }

    /// A word as templates: one, but for a lone `{}` of several sources. GNU parallel puts nothing in the place of a
    /// source that there is not; so does this, and says it.
    pub fn templates(&mut self, word: &[Piece], left: &mut Vec<String>) -> Vec<String> {
        if let [Piece::Input(Which::All, part)] = word {
            let names = self.names.clone();
            return names.iter().map(|name| self.placeholder(name, *part)).collect();
        }
        let mut text = String::new();
        for piece in word {
            match piece {
                Piece::Text(literal) | Piece::Left(literal) => text.push_str(&literal_of(literal)),
                Piece::Own(name) => text.extend(["{", name.as_str(), "}"]),
                Piece::Input(which, part) => {
                    let names = self.of(which);
                    if names.is_empty() {
                        left.push(absent(which));
                    }
                    let all: Vec<_> =
                        names.iter().map(|name| self.placeholder(name, *part)).collect();
                    text.push_str(&all.join(" "));
                }
            }
        }
        vec![text]
    }

    /// The shell variables of a piece, which the shell has as fields; those that are parts of one are noted.
    pub fn variables(&mut self, piece: &Piece, left: &mut Vec<String>) -> Vec<String> {
        match piece {
            Piece::Text(_) | Piece::Left(_) => Vec::new(),
            Piece::Own(name) => match name.as_str() {
                "task" => vec!["RUNNER_TASK".into()],
                "slot" => vec!["RUNNER_SLOT".into()],
                "attempt" => vec!["RUNNER_ATTEMPT".into()],
                "job" => vec!["RUNNER_JOB".into()],
                name => {
                    left.push(format!("`{{{name}}}` in a shell"));
                    Vec::new()
                }
            },
            Piece::Input(which, part) if self.are_arguments => {
                if *part != Part::Whole {
                    left.push("a part of one of several inputs: all of it stands there".into());
                }
                match which {
                    Which::Nth(number @ 1..) => vec![number.to_string()],
                    Which::All => vec!["*".into()],
                    Which::Nth(_) | Which::Named(_) => {
                        left.push(absent(which));
                        Vec::new()
                    }
                }
            }
            Piece::Input(which, part) => {
                let names = self.of(which);
                if names.is_empty() {
                    left.push(absent(which));
                }
                names.iter().map(|name| self.variable(name, *part)).collect()
            }
        }
    }

    fn variable(&mut self, name: &str, part: Part) -> String {
        match part {
            Part::Whole if is_safe(name) => name.to_owned(),
            Part::Whole => {
                let number = self.names.iter().position(|known| known == name).unwrap_or_default();
                let value = self.placeholder(name, part);
                self.make(format!("field_{}", number + 1), &format!("value = {}", quoted(&value)))
            }
            Part::Operator(operator) => {
                let value = self.placeholder(name, part);
                self.make(made_name(name, operator), &format!("value = {}", quoted(&value)))
            }
            Part::Regex(..) => {
                let placeholder = self.placeholder(name, part);
                placeholder.trim_matches(['{', '}']).to_owned()
            }
        }
    }

    fn placeholder(&mut self, name: &str, part: Part) -> String {
        // The runner's own placeholders come first.
        let is_own = ["task", "attempt", "job", "slot"].contains(&name);
        let field = if is_own { format!("input_{name}") } else { name.to_owned() };
        match part {
            Part::Whole => format!("{{{field}}}"),
            Part::Operator(operator) => format!("{{{field}.{operator}}}"),
            Part::Regex(suffix, regex) => {
                let rule = format!("from = {}, regex = {}", quoted(name), quoted(regex));
                format!("{{{}}}", self.make(made_name(name, suffix), &rule))
            }
        }
    }

    /// The name of a field that has this rule.
    fn make(&mut self, name: String, rule: &str) -> String {
        let rule = format!("{{ {rule} }}");
        if !self.made.iter().any(|(known, _)| *known == name) {
            self.made.push((name.clone(), rule));
        }
        name
    }
}

/// The name of a field that is a part of another one: one that a shell can name.
fn made_name(name: &str, part: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let start = if plain.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
    format!("{start}{plain}_{part}")
}

/// Text in a template.
pub(super) fn literal_of(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

fn absent(which: &Which) -> String {
    match which {
        Which::Nth(number) => format!("`{{{number}}}`: there is no such source"),
        _ => "`{}`: there are no inputs".into(),
    }
}

/// Whether a shell has the field as a variable of this name, and no other: one that is taken gets a prefix.
fn is_safe(name: &str) -> bool {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_name)
        && std::env::var_os(name).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(word: &str, names: &[&str]) -> (Vec<String>, Vec<String>) {
        let dialect =
            Dialect { input: "{}".into(), has_signs: true, has_plus: true, ..Dialect::default() };
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let mut left = Vec::new();
        let word = pieces(word, &dialect, &mut left);
        (Fields::new(names).templates(&word, &mut left), left)
    }

    #[test]
    fn replacement_strings_become_placeholders() {
        for (word, expected) in [
            ("{}", "{input}"),
            ("{.}.png", "{input.base}.png"),
            ("x{/}", "x{input.name}"),
            ("{//}/{/.}", "{input.dir}/{input.stem}"),
            ("{#}-{%}", "{task}-{slot}"),
            ("{1}{1.}{-1/}", "{input}{input.base}{input.name}"),
            ("{print $1}", "{{print $1}}"),
            ("a{{}}", "a{{{input}}}"),
            ("", ""),
            ("{input}", "{{input}}"),
            ("{+.}", "{input.ext}"),
            ("{..}{1/...}", "{input_base2}{input_stem3}"),
        ] {
            assert_eq!(template(word, &["input"]), (vec![expected.to_owned()], vec![]), "{word}");
        }
    }

    #[test]
    fn sources_are_told_apart() {
        let names = ["arg_1", "arg_2"];
        assert_eq!(template("{}", &names).0, ["{arg_1}", "{arg_2}"]);
        assert_eq!(template("x{}", &names).0, ["x{arg_1} {arg_2}"]);
        assert_eq!(template("{2}-{1/.}-{-1}", &names).0, ["{arg_2}-{arg_1.stem}-{arg_2}"]);
        assert_eq!(template("{3}", &names).1, ["`{3}`: there is no such source"]);
        assert_eq!(template("{1}{1/}", &["task"]).0, ["{input_task}{input_task.name}"]);
    }

    #[test]
    fn odd_paths_are_told() {
        for path in [".bashrc", "a/.x", "a/", "..", "/"] {
            assert!(is_odd(path), "{path}");
        }
        for path in ["", "a", "a.b", ".d/x", "./x.y"] {
            assert!(!is_odd(path), "{path}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        for word in ["{= s/a/b/ =}", "{= s/{/}/ =}", "{=2 $_++ =}", "{%.jpg}", "{1:-x}", "{uniq}"] {
            assert_eq!(template(word, &["input"]).1, [format!("`{word}`")]);
        }
    }
}
