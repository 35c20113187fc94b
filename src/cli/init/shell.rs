//! A command line that a shell reads: words where no shell is needed, else a script with variables.

use super::pieces::{Fields, Piece, Which};
use super::place::{Around, Place};

/// What a shell does with a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// It splits it into these words and does nothing else.
    Words(Vec<Vec<Piece>>),
    /// More.
    Script,
}

/// Words that a shell takes for its own, at the start of a command, and that are no programs.
const BUILT_IN: &str = ". : [[ alias bg bind builtin caller case cd command compgen coproc declare dirs disown do enable \
                        eval exec exit export fc fg for function getopts hash help history if jobs kill let local mapfile \
                        popd pushd pwd read readarray readonly return select set shift shopt source suspend test time times \
                        trap type typeset ulimit umask unalias unset until wait while";

/// Whether a shell is needed for `text`; `has_several`: `{}` stands for several inputs.
pub(super) fn read(text: &[Piece], has_several: bool) -> Read {
    let mut reader = Reader { has_several, ..Reader::default() };
    for piece in text {
        match piece {
            Piece::Text(text) => {
                if reader.text(text).is_none() {
                    return Read::Script;
                }
            }
            Piece::Left(_) => return Read::Script,
            other => reader.piece(other.clone()),
        }
    }
    if reader.quote != Quote::None || reader.is_escaped {
        return Read::Script;
    }
    reader.end_of_word();
    // Blanks between several inputs split a word, unless they are quoted.
    let is_split = |word: &Vec<Piece>| word.len() > 1 && word.iter().any(is_all);
    if has_several && (reader.is_all_quoted || reader.words.iter().any(is_split)) {
        return Read::Script;
    }
    let first = reader.words.first().and_then(|word| match &word[..] {
        [Piece::Text(text), ..] => Some(text.as_str()),
        _ => None,
    });
    let is_own = first.is_some_and(|first| {
        BUILT_IN.split(' ').any(|own| own == first) || first.contains('=') || is_function(first)
    });
    if is_own || reader.words.is_empty() { Read::Script } else { Read::Words(reader.words) }
}

fn is_all(piece: &Piece) -> bool {
    matches!(piece, Piece::Input(Which::All, _))
}

/// Whether a shell's `echo`, `printf`, `true` and `false` may take these words otherwise than the programs of these names
/// do. Those of bash do so only where a word begins with a dash, or has what only they know.
pub(super) fn is_built_in(words: &[Vec<Piece>], is_bash: bool) -> bool {
    let [name, rest @ ..] = words else { return false };
    let [Piece::Text(name)] = &name[..] else { return false };
    let is_known = ["echo", "printf", "true", "false"].contains(&name.as_str());
    let is_odd = |word: &Vec<Piece>| match &word[..] {
        [Piece::Text(first), ..] => {
            is_odd_word(first) || first.contains("%q") || first.contains("%(")
        }
        _ => false,
    };
    is_known && (!is_bash || rest.iter().any(is_odd))
}

/// Whether it looks like an option, or has what `echo` may take for an escape.
pub(super) fn is_odd_word(word: &str) -> bool {
    word.starts_with('-') || word.contains('\\')
}

/// Whether it is a function that bash has exported.
fn is_function(name: &str) -> bool {
    std::env::var_os(format!("BASH_FUNC_{name}%%")).is_some()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Quote {
    #[default]
    None,
    Single,
    Double,
}

#[derive(Default)]
struct Reader {
    has_several: bool,
    /// Whether one of several inputs stands in quotes.
    is_all_quoted: bool,
    quote: Quote,
    is_escaped: bool,
    words: Vec<Vec<Piece>>,
    /// The word that is being read; an empty one may be quoted.
    word: Option<Vec<Piece>>,
}

impl Reader {
    /// `None` if a shell is needed.
    fn text(&mut self, text: &str) -> Option<()> {
        for c in text.chars() {
            match (self.quote, c) {
                _ if self.is_escaped => {
                    self.is_escaped = false;
                    if self.quote == Quote::Double && !"$`\"\\".contains(c) {
                        self.push('\\');
                    }
                    if c == '\n' {
                        return None;
                    }
                    self.push(c);
                }
                (Quote::Single, '\'') | (Quote::Double, '"') => self.quote = Quote::None,
                (Quote::Single, c) => self.push(c),
                (_, '\\') => {
                    self.is_escaped = true;
                    self.word.get_or_insert_default();
                }
                (_, '$' | '`') => return None,
                (Quote::None, '\'') => self.open(Quote::Single),
                (Quote::None, '"') => self.open(Quote::Double),
                (Quote::None, ' ' | '\t') => self.end_of_word(),
                (
                    Quote::None,
                    '|' | '&' | ';' | '<' | '>' | '(' | ')' | '*' | '?' | '[' | '{' | '}' | '\n',
                ) => {
                    return None;
                }
                (Quote::None, '~' | '#' | '!' | '=') if self.word.is_none() => return None,
                (Quote::None, '~') if self.is_after(['=', ':']) => return None,
                (_, c) => self.push(c),
            }
        }
        Some(())
    }

    fn open(&mut self, quote: Quote) {
        self.quote = quote;
        self.word.get_or_insert_default();
    }

    fn push(&mut self, c: char) {
        let word = self.word.get_or_insert_default();
        match word.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => word.push(Piece::Text(c.into())),
        }
    }

    /// Whether the word that is being read ends with one of these.
    fn is_after(&self, signs: [char; 2]) -> bool {
        let last = self.word.as_ref().and_then(|word| word.last());
        matches!(last, Some(Piece::Text(text)) if text.ends_with(signs))
    }

    fn piece(&mut self, piece: Piece) {
        if std::mem::take(&mut self.is_escaped) && self.quote == Quote::Double {
            self.push('\\'); // there it stays
        }
        self.is_all_quoted |= self.has_several && self.quote != Quote::None && is_all(&piece);
        self.word.get_or_insert_default().push(piece);
    }

    fn end_of_word(&mut self) {
        if let Some(mut word) = self.word.take() {
            if word.is_empty() {
                word.push(Piece::Text(String::new()));
            }
            self.words.push(word);
        }
    }
}

/// `text` with variables in the place of replacement strings, quoted as its place in the text needs.
pub(super) fn script(text: &[Piece], fields: &mut Fields, left: &mut Vec<String>) -> String {
    let mut out = String::new();
    let mut place = Place::default();
    for piece in text {
        if let Piece::Text(text) | Piece::Left(text) = piece {
            place.read(text);
            out.push_str(text);
            continue;
        }
        let around = place.piece();
        if place.take_backslash() {
            match around {
                Around::Document | Around::Double => out.push('\\'), // there it stays
                _ => {
                    out.pop(); // the backslash is not the variable's
                }
            }
        }
        let shown = |name: &String| match (around, name.as_str()) {
            (Around::Sum | Around::Comment, _) => format!("${name}"),
            (Around::Double | Around::Document | Around::PlainDocument, _) => {
                format!("${{{name}}}")
            }
            (Around::Single, _) => format!("'\"${name}\"'"),
            (Around::Escapes, _) => format!("'\"${name}\"$'"),
            (_, "*") => "\"$@\"".into(),
            (Around::Command | Around::Ticks, _) => format!("\"${name}\""),
        };
        if around == Around::PlainDocument {
            left.push("an input in a here-document with quotes around its end: it stands there as a variable".into());
        }
        let variables = fields.variables(piece, left);
        out.push_str(&variables.iter().map(shown).collect::<Vec<_>>().join(" "));
    }
    out
}

/// Whether a script has what `sh` may not know.
pub(super) fn needs_bash(script: &str) -> bool {
    let signs = ["[[", "<(", ">(", "$'", "<<<", "&>", "|&", "pipefail", "${!"];
    signs.iter().any(|sign| script.contains(sign)) || has_range(script)
}

/// `{1..9}`.
fn has_range(script: &str) -> bool {
    let mut opened = script.match_indices('{').map(|(at, _)| &script[at + 1..]);
    opened.any(|rest| {
        let inside = rest.split('}').next().unwrap_or_default();
        let is_short = inside.len() < 20 && !inside.contains([' ', '$']);
        is_short && (inside.contains("..") || inside.contains(','))
    })
}

#[cfg(test)]
mod tests {
    use super::super::pieces::{Dialect, pieces};
    use super::*;

    fn parsed(text: &str) -> Vec<Piece> {
        let dialect = Dialect { input: "{}".into(), has_signs: true, ..Dialect::default() };
        pieces(text, &dialect, &mut Vec::new())
    }

    fn fields() -> Fields {
        Fields::new(vec!["input".into()])
    }

    fn words(text: &str) -> Option<Vec<String>> {
        let Read::Words(words) = read(&parsed(text), false) else { return None };
        let mut fields = fields();
        Some(words.iter().flat_map(|word| fields.templates(word, &mut Vec::new())).collect())
    }

    #[test]
    fn words_without_a_shell() {
        for (text, expected) in [
            ("wc -l {}", &["wc", "-l", "{input}"][..]),
            ("a 'b c' \"d e\" f\\ g ''", &["a", "b c", "d e", "f g", ""]),
            ("x'y'\"{}\"z", &["xy{input}z"]),
            ("awk '{print $1}' {}", &["awk", "{{print $1}}", "{input}"]),
            ("grep -c \"a\\\"b\\n\" {}", &["grep", "-c", "a\"b\\n", "{input}"]),
            ("a=b#c~", &[]),
        ] {
            let expected = (!expected.is_empty())
                .then(|| expected.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
            assert_eq!(words(text), expected, "{text}");
        }
        for text in [
            "a | b",
            "a > {}",
            "a $x",
            "cd x",
            "a *",
            "echo {1..3}",
            "a 'b",
            "{ a; }",
            "A=1 b",
            "~/x",
            "a b=~/x",
            "a b:~/x",
            "a =b",
            "test a",
        ] {
            assert_eq!(words(text), None, "{text}");
        }
    }

    #[test]
    fn a_script_has_quoted_variables() {
        for (text, expected) in [
            ("a {} > {.}.x", "a \"$input\" > \"$input_base\".x"),
            ("a \"<{}>\" | b", "a \"<${input}>\" | b"),
            ("a '<{}>' | b", "a '<'\"$input\"'>' | b"),
            ("a $((1 + {})) {}", "a $((1 + $input)) \"$input\""),
            ("a \\\"{} | b {#}", "a \\\"\"$input\" | b \"$RUNNER_TASK\""),
            ("a \"$(b {}) {}\" {}", "a \"$(b \"$input\") ${input}\" \"$input\""),
            ("a `b {}` \"`b {}`\"", "a `b \"$input\"` \"`b \"$input\"`\""),
            ("a $((({} + 1) * 2)){}", "a $((($input + 1) * 2))\"$input\""),
            ("(a '(' {}) {}", "(a '(' \"$input\") \"$input\""),
            ("a \\{}", "a \"$input\""),
            ("a $'{}\\n\\'{}' {}", "a $''\"$input\"$'\\n\\''\"$input\"$'' \"$input\""),
            ("a \"$'{}'\" # it's {}\nb {}", "a \"$'${input}'\" # it's $input\nb \"$input\""),
            ("a#'{}' ${#x} {}", "a#''\"$input\"'' ${#x} \"$input\""),
            (
                "a <<E; b {}\n'{}' \"{}\" \\{}\nE\nc {}",
                "a <<E; b \"$input\"\n'${input}' \"${input}\" \\\\${input}\nE\nc \"$input\"",
            ),
            (
                "a <<-E <<F\n{}\n\tE\n{}\nE{}\nF\n{}",
                "a <<-E <<F\n${input}\n\tE\n${input}\nE${input}\nF\n\"$input\"",
            ),
            ("a <<E\n$(b {})\nE\n{}", "a <<E\n$(b \"$input\")\nE\n\"$input\""),
            ("\"$(a <<E\n{}\nE\n)\" {}", "\"$(a <<E\n${input}\nE\n)\" \"$input\""),
            ("a <<<{} $((1<<{})) {}", "a <<<\"$input\" $((1<<$input)) \"$input\""),
        ] {
            assert_eq!(script(&parsed(text), &mut fields(), &mut Vec::new()), expected);
        }
        let mut fields = fields();
        script(&parsed("{.} {/} {.};"), &mut fields, &mut Vec::new());
        let made: Vec<_> =
            fields.made.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            made,
            ["input_base={ value = \"{input.base}\" }", "input_name={ value = \"{input.name}\" }"]
        );
    }

    #[test]
    fn a_document_in_which_no_variable_counts_is_told() {
        for end in ["'E'", "\"E\"", "\\E"] {
            let mut left = Vec::new();
            let text = parsed(&format!("a <<{end}\nit's {{}}\nE\nb {{}}"));
            let expected = format!("a <<{end}\nit's ${{input}}\nE\nb \"$input\"");
            assert_eq!(script(&text, &mut fields(), &mut left), expected);
            assert_eq!(left.len(), 1, "{left:?}");
        }
    }

    #[test]
    fn bash_is_told() {
        for (script, expected) in [
            ("[[ a == b ]]", true),
            ("echo {1..3}", true),
            ("awk '{print $1, $2}'", false),
            ("echo \"${input}\"", false),
        ] {
            assert_eq!(needs_bash(script), expected, "{script}");
        }
    }
}
