//! The variables that the text of a shell names: which fields it needs, and which names are probably misspelt.

use std::collections::BTreeSet;
use std::ops::Range;

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
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    let (mut in_double, mut in_single) = (false, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if !in_single => at += 1,
            b'\'' if !in_double => in_single = !in_single,
            b'"' if !in_single => in_double = !in_double,
            b'$' => {
                if let Some(named) = name_at(text, at, in_single) {
                    at += 1;
                    found.push(named);
                }
            }
            _ => {}
        }
        at += 1;
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
/// no other word of the text, such as in `read x`, `for x in` and `x=1`.
pub(super) fn unset(text: &str, is_set: impl Fn(&str) -> bool) -> Vec<Named> {
    let mut told = BTreeSet::new();
    let all = named(text);
    let in_text = |name: &str| {
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
    let is_odd = |named: &Named| {
        named.is_plain
            && !is_set(&named.name)
            && !OF_THE_SHELL.contains(&named.name.as_str())
            && !in_text(&named.name)
    };
    all.into_iter().filter(is_odd).filter(|named| told.insert(named.name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(text: &str) -> Vec<String> {
        let set = |name: &str| ["input", "HOME"].contains(&name);
        unset(text, set).into_iter().map(|named| named.name).collect()
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
        ] {
            assert_eq!(odd(text), expected, "{text}");
        }
        let text = "echo \"${inptu}!\"";
        assert_eq!(&text[unset(text, |_| false)[0].span.clone()], "${inptu}");
    }
}
