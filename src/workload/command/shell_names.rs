//! The variables that the text of a shell names: which fields it needs, and which names are probably misspelt.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::base::diagnostic::nearest;
use crate::config::program::OF_A_TASK;
use crate::config::{Planner, Table};

/// A variable in a shell's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// Without its `$`.
    pub name: String,
    /// Where it is, with its `$`.
    pub span: Range<usize>,
    /// Whether the shell itself would put it in, and says nothing of what to do where it is not set.
    pub is_plain: bool,
}

/// What a shell sets by itself.
const OF_THE_SHELL: [&str; 33] = [
    "_",
    "BASH",
    "BASHPID",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_COMMAND",
    "BASH_LINENO",
    "BASH_REMATCH",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_VERSINFO",
    "BASH_VERSION",
    "COLUMNS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "HOSTNAME",
    "IFS",
    "LINENO",
    "LINES",
    "OLDPWD",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "PIPESTATUS",
    "PPID",
    "PWD",
    "RANDOM",
    "REPLY",
    "SECONDS",
];

/// The variables in `text`, in order.
pub(super) fn named(text: &str) -> Vec<Named> {
    let dollars = outside_escapes(text).filter(|(_, byte, _)| *byte == b'$');
    dollars.filter_map(|(at, _, in_single)| name_at(text, at, in_single)).collect()
}

/// The bytes of `text` that no backslash takes its meaning, but for quotes and comments: where, which, and whether single
/// quotes are around it.
fn outside_escapes(text: &str) -> impl Iterator<Item = (usize, u8, bool)> {
    let (mut in_double, mut in_single, mut is_escaped) = (false, false, false);
    let (mut in_comment, mut is_between) = (false, true);
    text.bytes().enumerate().filter_map(move |(at, byte)| {
        let begins_word = std::mem::replace(&mut is_between, b" \t\n;&|(".contains(&byte));
        in_comment |= byte == b'#' && begins_word && !(in_double || in_single || is_escaped);
        in_comment &= byte != b'\n';
        if std::mem::take(&mut is_escaped) || in_comment {
            return None;
        }
        match byte {
            b'\\' if !in_single => is_escaped = true,
            b'\'' if !in_double => in_single = !in_single,
            b'"' if !in_single => in_double = !in_double,
            _ => return Some((at, byte, in_single)),
        }
        None
    })
}

/// The first place of each `{name}` in `text` that looks like a field of a template: braces of the shell's own (`${x}`,
/// `{a,b}`, `{1..3}`, `{ list; }`) do not, and what stands in single quotes is for another program, such as awk or jq.
fn placeholders(text: &str) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    for (at, byte, in_single) in outside_escapes(text) {
        if byte != b'{' || in_single || text[..at].ends_with('$') {
            continue;
        }
        let end = text[at..].find('}').map(|length| at + length);
        let name = end.map_or("", |end| &text[at + 1..end]);
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && !name.contains("..")
            && name.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'/')
            });
        if is_name && found.iter().all(|other| other.name != name) {
            let span = at..at + name.len() + 2;
            found.push(Named { name: name.to_owned(), span, is_plain: true });
        }
    }
    found
}

fn name_at(text: &str, dollar: usize, in_single: bool) -> Option<Named> {
    let rest = &text[dollar + 1..];
    let (braced, rest) = rest.strip_prefix('{').map_or((false, rest), |rest| (true, rest));
    let (length, rest) =
        rest.strip_prefix('#').map_or((0, rest), |rest| (usize::from(braced), rest));
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let name = &rest[..end];
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    // `${x:-y}`, `${x=y}`, `${x+y}` and `${x?}` say what to do where it is not set; `${!x}` and the like are not names.
    let next = rest[end..].trim_start_matches(':');
    let says = braced && next.starts_with(['-', '=', '+', '?']);
    let start = dollar + 1 + usize::from(braced) + length;
    let span = dollar..start + end + usize::from(braced && rest[end..].starts_with('}'));
    Some(Named { name: name.to_owned(), span, is_plain: !in_single && !says })
}

/// The first place of each name in `text` that nothing sets: no variable of the child, none of the shell's own, and
/// not the text itself.
fn unset(text: &str, is_set: impl Fn(&str) -> bool) -> Vec<Named> {
    needed(text, |name| !is_set(name) && !OF_THE_SHELL.contains(&name))
}

/// The first place of each of these names that the shell puts in as it comes: it is no other word of the text, such as
/// in `read x`, `for x in` and `x=1`.
fn needed(text: &str, is_one: impl Fn(&str) -> bool) -> Vec<Named> {
    let mut told = BTreeSet::new();
    let all = named(text);
    let in_text = |name: &str| {
        if text.contains(&format!("${{{name}=")) || text.contains(&format!("${{{name}:=")) {
            return true;
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        text.match_indices(name).any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + name.len()..]);
            !before.ends_with(is_part)
                && !after.starts_with(is_part)
                && !before.ends_with('$')
                && !before.ends_with("${")
                && !before.ends_with("${#")
        })
    };
    let is_odd = |named: &Named| named.is_plain && is_one(&named.name) && !in_text(&named.name);
    all.into_iter().filter(is_odd).filter(|named| told.insert(named.name.clone())).collect()
}

/// Whether one of these words is a shell, which puts in what `$name` stands for.
fn has_shell(words: &[String]) -> bool {
    const SHELLS: [&str; 8] = ["sh", "ash", "bash", "busybox", "dash", "ksh", "mksh", "zsh"];
    let base = |word: &str| word.rsplit('/').next().is_some_and(|name| SHELLS.contains(&name));
    words.iter().any(|word| base(word))
}

/// Whether nobody knows what `text` sets: it reads another file or evaluates a text, or has one that is taken as it is.
fn is_opaque(text: &str) -> bool {
    let reads = |word: &str| [".", "source", "eval"].contains(&word);
    let is_taken =
        ["<<'", "<<\"", "<<\\", "<<-'", "<<-\"", "<<-\\"].iter().any(|here| text.contains(here));
    is_taken || text.split(|c: char| c.is_whitespace() || ";&|({".contains(c)).any(reads)
}

/// Warns of what is probably not meant in the text that these words run: a `$name` that is neither a field nor any other
/// variable, or that is not the field of that name, and a `{field}`. `names` are those of the variables that it is given,
/// `renamed` those that fields would have and the ones that they have instead.
pub(super) fn warn(
    (words, text): (&[String], &str),
    (names, renamed): (&[&str], &[(String, &str)]),
    table: &Table<'_>,
    plan: &Planner<'_>,
) {
    if !plan.knows_fields() || !has_shell(words) {
        return;
    }
    warn_of_placeholders(text, names, table, plan);
    if is_opaque(text) {
        return;
    }
    let new_name = |name: &str| {
        let found = renamed.iter().find(|(own, _)| own == name);
        found.map(|(_, new)| *new)
    };
    for named in needed(text, |name| new_name(name).is_some()) {
        let place = plan.inside(&table.span_of("shell"), text, &named.span);
        let name = &named.name;
        let message =
            format!("`${name}` is not the field: programs act on a variable of that name");
        let help = format!("the field is `${}`", new_name(name).unwrap_or_default());
        plan.warn(&place, message, help);
    }
    let is_inherited = |name: &str| std::env::var_os(name).is_some() && !OF_A_TASK.contains(&name);
    let is_set = |name: &str| {
        names.contains(&name) || is_inherited(name) || new_name(name).is_some() // of that it is told
    };
    for named in unset(text, is_set) {
        let place = plan.inside(&table.span_of("shell"), text, &named.span);
        let help = if let Some(near) = nearest(&named.name, names.iter().copied()) {
            format!("did you mean `${near}`?")
        } else {
            let fields = names.iter().filter(|name| !name.starts_with("RUNNER_"));
            let fields: Vec<_> = fields.map(|name| format!("`${name}`")).collect();
            if fields.is_empty() {
                "the inputs have no fields".into()
            } else {
                format!("there is {}", fields.join(", "))
            }
        };
        let message = format!("nothing sets `${}`: it will be empty", named.name);
        plan.warn(&place, message, help);
    }
}

/// A `{field}` in a shell's text stays as it is, which is probably not meant.
fn warn_of_placeholders(text: &str, names: &[&str], table: &Table<'_>, plan: &Planner<'_>) {
    for named in placeholders(text) {
        let field = named.name.split(['.', ':', '/']).next().unwrap_or_default();
        if !names.contains(&field) {
            continue;
        }
        let place = plan.inside(&table.span_of("shell"), text, &named.span);
        let message =
            format!("`{{{}}}` is not filled in: a shell has the fields as variables", named.name);
        let help = if named.name == field {
            format!("write `\"${field}\"`")
        } else {
            "only `argv` fills it in; or make a field of it in `[fields]`, which the shell has, too"
                .into()
        };
        plan.warn(&place, message, help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(text: &str) -> Vec<String> {
        let set = |name: &str| ["input", "HOME"].contains(&name);
        unset(text, set).into_iter().map(|named| named.name).collect()
    }

    #[test]
    fn placeholders_are_told_from_braces_of_the_shell() {
        let names = |text: &str| -> Vec<String> {
            placeholders(text).into_iter().map(|named| named.name).collect()
        };
        assert_eq!(names("echo {input} \"{input.stem}\" {input}"), ["input", "input.stem"]);
        for text in [
            "echo ${input} \"${input}\"",
            "echo {a,b} {1..3} {a..c}",
            "{ echo x; }",
            "awk '{print}' '{input}'",
            "f() { true; }",
            "echo \\{input}",
            "find . -exec true {} +",
            "echo {",
        ] {
            assert!(names(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_nobody_can_know_is_not_warned_of() {
        for text in [". ./env.sh; echo $x", "source env\necho $x", "eval \"$input\"; echo $x"] {
            assert!(is_opaque(text), "{text}");
        }
        assert!(is_opaque("cat <<'E'\n$x\nE") && !is_opaque("cat <<E\n$x\nE"));
        assert!(!is_opaque("ls ./source.txt ; ls .."));
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert!(has_shell(&words(&["nice", "/bin/bash", "-c"])));
        assert!(!has_shell(&words(&["perl", "-e"])));
    }

    #[test]
    fn names_that_nothing_sets_are_found() {
        for (text, expected) in [
            ("echo \"$input $inptu\" $HOME $1 $? $$ $#", &["inptu"][..]),
            ("x=1; echo $x; for f in *; do echo $f; done; read -r line; echo $line", &[]),
            ("awk '{ print $NF, $name }' \"$input\"", &[]),
            ("echo \"it's $nmae\"", &["nmae"]),
            ("echo \\$cost ${maybe:-no} ${#lenght}", &["lenght"]),
            ("echo $RANDOM $PWD $_", &[]),
            ("echo $a $a ${a}", &["a"]),
            ("# $comment, it's one\necho $a#$b", &["a", "b"]),
            (": \"${x:=5}\" ${y=6}; echo $x $y ${z-7} $z", &["z"]),
        ] {
            assert_eq!(odd(text), expected, "{text}");
        }
        let text = "echo \"${inptu}!\"";
        assert_eq!(&text[unset(text, |_| false)[0].span.clone()], "${inptu}");
    }
}
