//! The replacement strings of a command line: `{}`, `{.}`, `{2/}` and the like, as templates and as shell variables.

/// A piece of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it is.
    Text(String),
    /// An input, or a part of it.
    Input(Which, Part),
    /// A placeholder in the runner's own words, without its braces.
    Own(String),
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
    Base,
    Name,
    Dir,
    Stem,
    Ext,
}

impl Part {
    /// GNU parallel's sign for it.
    fn of(sign: &str) -> Option<Self> {
        Some(match sign {
            "" => Self::Whole,
            "." => Self::Base,
            "/" => Self::Name,
            "//" => Self::Dir,
            "/." => Self::Stem,
            "+." => Self::Ext,
            _ => return None,
        })
    }

    /// What the runner calls it.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Base => Some("base"),
            Self::Name => Some("name"),
            Self::Dir => Some("dir"),
            Self::Stem => Some("stem"),
            Self::Ext => Some("ext"),
        }
    }
}

/// Whose replacement strings they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Dialect {
    /// What stands for the input: `{}`, or what `-I` says; empty for nothing.
    pub input: String,
    /// Whether GNU parallel's other ones are known.
    pub has_signs: bool,
    /// Whether the runner's own are.
    pub has_own: bool,
    /// Names of columns that are known, too.
    pub columns: Vec<String>,
}

/// Takes a word apart. What looks like a replacement string and cannot be carried over is added to `left`, and stays text.
pub(super) fn pieces(word: &str, dialect: &Dialect, left: &mut Vec<String>) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let is_input = !dialect.input.is_empty() && rest.starts_with(&dialect.input);
        let (piece, length) = if is_input {
            (Some(Piece::Input(Which::All, Part::Whole)), dialect.input.len())
        } else if let Some(inside) = braced(rest) {
            let piece = known(inside, dialect);
            if piece.is_none() && dialect.has_signs && is_of_parallel(inside) {
                left.push(format!("`{{{inside}}}`"));
            }
            // Text in braces may have braces of its own.
            let length = if piece.is_some() { inside.len() + 2 } else { 1 };
            (piece, length)
        } else {
            (None, first.len_utf8())
        };
        match piece {
            Some(piece) => {
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
        "##" => return Some(Piece::Own("tasks".into())),
        _ => {}
    }
    if let Some(part) = Part::of(inside).filter(|part| *part != Part::Whole) {
        return Some(Piece::Input(Which::All, part));
    }
    let digits = inside.strip_prefix('-').unwrap_or(inside);
    let length =
        digits.bytes().take_while(u8::is_ascii_digit).count() + inside.len() - digits.len();
    if let Ok(number) = inside[..length].parse::<i32>()
        && number != 0
    {
        return Some(Piece::Input(Which::Nth(number), Part::of(&inside[length..])?));
    }
    dialect.columns.iter().find_map(|column| {
        let part = Part::of(inside.strip_prefix(column.as_str())?)?;
        Some(Piece::Input(Which::Named(column.clone()), part))
    })
}

/// Whether it is a replacement string of GNU parallel's that is not known here.
fn is_of_parallel(inside: &str) -> bool {
    let is_code = inside.len() > 1 && inside.starts_with('=') && inside.ends_with('=');
    is_code || ["..", "/..", "...", "/...", "+/", "+..", "+..."].contains(&inside)
}

/// The fields that a task has, and what of them a shell needs as fields of their own.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Of each source, or of each column.
    pub names: Vec<String>,
    /// Parts of fields, each with its name and its template.
    pub made: Vec<(String, String)>,
}

impl Fields {
    /// The fields that are meant; none if there is no such source.
    fn of<'a>(&'a self, which: &'a Which) -> Vec<&'a str> {
        match which {
            Which::All => self.names.iter().map(String::as_str).collect(),
            Which::Named(name) => vec![name],
            Which::Nth(number) => {
                let index = match *number {
                    number @ 1.. => usize::try_from(number - 1).ok(),
                    number => self.names.len().checked_sub(number.unsigned_abs() as usize),
                };
                let name = index.and_then(|index| self.names.get(index));
                name.into_iter().map(String::as_str).collect()
            }
        }
    }

    /// A word as templates: one, but for a lone `{}` of several sources. GNU parallel puts nothing in the place of a
    /// source that there is not; so does this, and says it.
    pub fn templates(&self, word: &[Piece], left: &mut Vec<String>) -> Vec<String> {
        if let [Piece::Input(Which::All, part)] = word {
            return self.names.iter().map(|name| placeholder(name, *part)).collect();
        }
        let mut text = String::new();
        for piece in word {
            match piece {
                Piece::Text(literal) => {
                    text.push_str(&literal.replace('{', "{{").replace('}', "}}"));
                }
                Piece::Own(name) => text.extend(["{", name.as_str(), "}"]),
                Piece::Input(which, part) => {
                    let names = self.of(which);
                    if names.is_empty() {
                        left.push(absent(which));
                    }
                    let all: Vec<_> = names.iter().map(|name| placeholder(name, *part)).collect();
                    text.push_str(&all.join(" "));
                }
            }
        }
        vec![text]
    }

    /// The shell variables of a piece, which the shell has as fields; those that are parts of one are noted.
    pub fn variables(&mut self, piece: &Piece, left: &mut Vec<String>) -> Vec<String> {
        match piece {
            Piece::Text(_) => Vec::new(),
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
            Piece::Input(which, part) => {
                let names: Vec<_> = self.of(which).into_iter().map(str::to_owned).collect();
                if names.is_empty() {
                    left.push(absent(which));
                }
                names.iter().map(|name| self.variable(name, *part)).collect()
            }
        }
    }

    fn variable(&mut self, name: &str, part: Part) -> String {
        let Some(of) = part.name() else { return variable_name(name) };
        let made = format!("{name}_{of}");
        if !self.made.iter().any(|(known, _)| *known == made) {
            self.made.push((made.clone(), placeholder(name, part)));
        }
        variable_name(&made)
    }
}

fn absent(which: &Which) -> String {
    match which {
        Which::Nth(number) => format!("`{{{number}}}`: there is no such source"),
        _ => "`{}`: there are no inputs".into(),
    }
}

fn placeholder(name: &str, part: Part) -> String {
    part.name().map_or_else(|| format!("{{{name}}}"), |part| format!("{{{name}.{part}}}"))
}

/// As the runner names the variable of a field.
fn variable_name(field: &str) -> String {
    let name =
        field.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect::<String>();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(word: &str, names: &[&str]) -> (Vec<String>, Vec<String>) {
        let dialect = Dialect { input: "{}".into(), has_signs: true, ..Dialect::default() };
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let mut left = Vec::new();
        let word = pieces(word, &dialect, &mut left);
        (Fields { names, made: Vec::new() }.templates(&word, &mut left), left)
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
    }

    #[test]
    fn what_is_not_known_is_said() {
        assert_eq!(template("{= s/a/b/ =}", &["input"]).1, ["`{= s/a/b/ =}`"]);
        assert_eq!(template("{..}", &["input"]).1, ["`{..}`"]);
    }
}
