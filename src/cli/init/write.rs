//! A draft as the text of a job file.

use std::fmt::Write;

use super::draft::{Append, Draft, List, Source, Words, array, quoted};
use super::pieces::{Fields, Part, Piece, Which, literal_of, pieces};
use super::shell::{Read, is_built_in, needs_bash, read, script};
use super::sources::{Keys, inputs};

/// How many tasks run at once where all are to, and it is not known how many there are.
const AT_ONCE: usize = 250;

/// The text of the job file, without its first lines; what could not be carried over is noted in `draft`.
pub(super) fn job(draft: &mut Draft) -> String {
    if draft.is_all_at_once {
        let count = tasks(&draft.sources).unwrap_or(AT_ONCE).clamp(1, 1000);
        draft.limit("concurrency", count.to_string());
    }
    if draft.is_shared && !draft.limits.contains(&("concurrency", "1".into())) {
        draft.left.push(
            "`-m`, `-X`: inputs are not shared out evenly to all that run at once: a task takes as many as fit"
                .into(),
        );
    }
    let (source, names) = inputs(draft);
    let mut fields = Fields::new(names);
    if draft.has_header {
        draft.dialect.columns.clone_from(&fields.names);
    }
    let command = command(draft, &mut fields);
    let folder = folder(draft, &mut fields);
    tag(draft, &mut fields);
    let mut text = String::new();
    table(&mut text, "inputs", source.into_iter().chain(std::mem::take(&mut draft.inputs)));
    let made = fields.made.iter().map(|(name, rule)| (name.as_str(), rule.clone()));
    table(&mut text, "fields", made);
    let env = std::mem::take(&mut draft.env);
    let command = command.into_iter().chain(std::mem::take(&mut draft.command)).chain(folder);
    table(&mut text, "workload.command", command);
    table(&mut text, "workload.command.env", env);
    table(&mut text, "limits", std::mem::take(&mut draft.limits));
    table(&mut text, "retry", std::mem::take(&mut draft.retry));
    text
}

/// How many there are, if that is known.
fn tasks(sources: &[Source]) -> Option<usize> {
    let count = |source: &Source| match &source.list {
        List::Values(values) => Some(values.len()),
        List::Lines(_) | List::Glob(_) => None,
    };
    let mut counts = sources.iter().map(count);
    let first = counts.next()??;
    counts.try_fold(first, |all, count| all.checked_mul(count?))
}

fn table<'a>(text: &mut String, name: &str, keys: impl IntoIterator<Item = (&'a str, String)>) {
    for (index, (key, value)) in keys.into_iter().enumerate() {
        if index == 0 {
            let _ = write!(text, "\n[{name}]\n");
        }
        let _ = writeln!(text, "{key} = {value}");
    }
}

/// The keys that say what runs.
fn command(draft: &mut Draft, fields: &mut Fields) -> Keys {
    let mut left = std::mem::take(&mut draft.left);
    let keys = match std::mem::take(&mut draft.words) {
        // Each input is a command itself.
        Words::None if draft.pipe.is_on => text_of(draft, "{}", fields, &mut left),
        Words::None => unquoted(draft, &plain_input(), fields, &mut left),
        Words::Arguments(words) => {
            let words = words
                .iter()
                .map(|word| pieces(word, &draft.dialect, &mut left))
                .collect::<Vec<_>>();
            if draft.is_batched() && words.iter().flatten().any(is_nth) {
                left.push("`{1}`, `{2}` of several inputs for one command".into());
            }
            argv(draft, words, fields, &mut left)
        }
        Words::Shell(text) => text_of(draft, &text, fields, &mut left),
    };
    draft.left = left;
    keys
}

fn plain_input() -> Vec<Piece> {
    vec![Piece::Input(Which::All, Part::Whole)]
}

fn is_nth(piece: &Piece) -> bool {
    matches!(piece, Piece::Input(Which::Nth(_), _))
}

/// A command that is a text for a shell.
fn text_of(draft: &mut Draft, text: &str, fields: &mut Fields, left: &mut Vec<String>) -> Keys {
    variables_of_parallel(draft, text, left);
    let mut text = pieces(text, &draft.dialect, left);
    if draft.pipe.is_file {
        return shell(draft, &with_file(&text, left), left);
    }
    if is_program(&text) {
        return unquoted(draft, &text, fields, left);
    }
    if draft.is_batched() && text.iter().any(is_nth) {
        fields.are_arguments = true;
        return arguments(draft, &text, fields, left);
    }
    let is_all = |piece: &Piece| matches!(piece, Piece::Input(Which::All, _));
    if draft.is_width_unknown && (text.iter().any(is_all) || appends(draft, &text, fields)) {
        left.push("`{}` of a table that is not there: the columns up to the last one with a number stand there".into());
    }
    match read(&text, fields.names.len() > 1) {
        Read::Words(words) if draft.is_batched() || !needs_built_in(draft, &words) => {
            argv(draft, words, fields, left)
        }
        _ => {
            if appends(draft, &text, fields) {
                text.push(Piece::Text(" ".into()));
                text.extend(plain_input());
            }
            without_inputs(draft, &mut text);
            if draft.is_batched() {
                left.push(
                    "several inputs for one shell: they stand in the variable, one a line".into(),
                );
            }
            let script = script(&text, fields, left);
            if takes_a_name(&text, fields) {
                left.push("the script has variables that are called as its inputs are".into());
            }
            shell(draft, &script, left)
        }
    }
}

/// Whether a program of the same name may print something else than what a shell has built in.
fn needs_built_in(draft: &Draft, words: &[Vec<Piece>]) -> bool {
    let is_bash = draft.shell.as_deref() == Some("bash");
    is_built_in(words, is_bash) || (draft.has_odd_values && is_built_in(words, false))
}

/// Whether an input is put after it.
fn appends<'a>(
    draft: &Draft,
    pieces: impl IntoIterator<Item = &'a Piece>,
    fields: &Fields,
) -> bool {
    let has_none = pieces.into_iter().all(|piece| matches!(piece, Piece::Text(_)));
    has_none && draft.append == Append::Otherwise && !fields.names.is_empty()
}

/// With `-N0`, replacement strings stand for nothing.
fn without_inputs(draft: &Draft, pieces: &mut Vec<Piece>) {
    if draft.append == Append::Nothing {
        pieces.retain(|piece| !matches!(piece, Piece::Input(..)));
    }
}

/// Whether the program is named by an input: then GNU parallel quotes none.
fn is_program(text: &[Piece]) -> bool {
    for piece in text {
        match piece {
            Piece::Text(text) if text.contains([' ', '\t', '\n', '=']) => return false,
            Piece::Text(_) => {}
            _ => return true,
        }
    }
    false
}

/// A text in which inputs stand as they are, for a shell to read.
fn unquoted(draft: &Draft, text: &[Piece], fields: &mut Fields, left: &mut Vec<String>) -> Keys {
    // A lone one would become an argument for each source.
    let text = [&[Piece::Text(String::new())], text].concat();
    let script = fields.templates(&text, left).concat();
    let words = [&draft.before[..], &[shell_name(draft, left), "-c".into(), script]].concat();
    vec![("argv", array(&words))]
}

/// A text in which the inputs are `$1`, `$2`.
fn arguments(draft: &Draft, text: &[Piece], fields: &mut Fields, left: &mut Vec<String>) -> Keys {
    let script = literal_of(&script(text, fields, left));
    let shell = shell_name(draft, left);
    let all: Vec<_> = fields.names.iter().map(|name| format!("{{{name}}}")).collect();
    let words = [shell.clone(), "-c".into(), script, shell];
    vec![("argv", array(&[&draft.before[..], &words, &all].concat()))]
}

/// `--cat`: a script that has its standard input in a file.
fn with_file(text: &[Piece], left: &mut Vec<String>) -> String {
    let mut fields = Fields::new(vec!["block_file".into()]);
    let mut text = text.to_vec();
    if text.iter().all(|piece| matches!(piece, Piece::Text(_))) {
        text.push(Piece::Text(" ".into()));
        text.extend(plain_input());
    }
    let command = script(&text, &mut fields, left);
    if !fields.made.is_empty() {
        left.push("a part of the name of a block's file".into());
    }
    format!(
        "block_file=$(mktemp) && cat > \"$block_file\" || exit\n({command}\n)\ncode=$?; rm -f \"$block_file\"; exit $code"
    )
}

/// The variables that GNU parallel sets.
fn variables_of_parallel(draft: &mut Draft, text: &str, left: &mut Vec<String>) {
    for (name, value) in [("PARALLEL_SEQ", "{task}"), ("PARALLEL_JOBSLOT", "{slot}")] {
        if text.contains(name) {
            draft.env.push((name, quoted(value)));
        }
    }
    let others = [
        "PARALLEL_PID",
        "PARALLEL_TMP",
        "PARALLEL_SSH",
        "PARALLEL_ARGHOSTGROUPS",
        "PARALLEL_HOSTGROUPS",
    ];
    for name in others.iter().filter(|name| text.contains(**name)) {
        left.push(format!("the variable `{name}`"));
    }
}

/// Whether a script sets or reads a variable that has the name of a field.
fn takes_a_name(text: &[Piece], fields: &Fields) -> bool {
    let is_taken = |text: &str, name: &str| {
        text.match_indices(name).any(|(at, _)| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let (before, after) = (&text[..at], &text[at + name.len()..]);
            !before.ends_with(is_part)
                && !after.starts_with(is_part)
                && (before.ends_with(['$', '{'])
                    || after.starts_with('=')
                    || after.starts_with(" in ")
                    || before.ends_with("read ")
                    || before.ends_with("-r "))
        })
    };
    let texts = text.iter().filter_map(|piece| match piece {
        Piece::Text(text) | Piece::Left(text) => Some(text),
        _ => None,
    });
    let names = || fields.names.iter().chain(fields.made.iter().map(|(name, _)| name));
    texts.into_iter().any(|text| names().any(|name| is_taken(text, name)))
}

fn argv(
    draft: &mut Draft,
    mut words: Vec<Vec<Piece>>,
    fields: &mut Fields,
    left: &mut Vec<String>,
) -> Keys {
    let is_lone = |word: &Vec<_>| word.len() == 1;
    if appends(draft, words.iter().flatten(), fields) {
        words.push(plain_input());
    }
    for word in &mut words {
        without_inputs(draft, word);
    }
    let has_input = |word: &Vec<Piece>| {
        word.iter().any(|piece| match piece {
            Piece::Input(..) => true,
            Piece::Own(name) => name.starts_with("input"),
            Piece::Text(_) | Piece::Left(_) => false,
        })
    };
    if draft.is_batched() && words.iter().any(|word| has_input(word) && !is_lone(word)) {
        left.push("several inputs inside of a word: they stand there one a line".into());
    }
    let words: Vec<_> = words.iter().flat_map(|word| fields.templates(word, left)).collect();
    vec![("argv", array(&[&draft.before[..], &words].concat()))]
}

fn shell(draft: &Draft, script: &str, left: &mut Vec<String>) -> Keys {
    let mut keys = vec![("shell", quoted(script))];
    let mut shell = shell_name(draft, left);
    if shell == "sh" && needs_bash(script) {
        shell = "bash".into();
    }
    let with: Vec<_> = [&draft.before[..], &[shell.clone(), "-c".into()]].concat();
    if with.len() > 2 || shell != "sh" {
        keys.push(("shell_with", array(&with)));
    }
    keys
}

fn shell_name(draft: &Draft, left: &mut Vec<String>) -> String {
    if let Some(foreign) = &draft.foreign_shell {
        left.push(format!("`{foreign}`, your shell: `sh` reads the command"));
    }
    draft.shell.clone().unwrap_or_else(|| "sh".into())
}

/// `cwd`, if there is one.
fn folder(draft: &mut Draft, fields: &mut Fields) -> Option<(&'static str, String)> {
    let folder = draft.folder.take()?;
    let folder = draft.path(&folder);
    let text = pieces(&folder, &draft.dialect, &mut draft.left);
    let text =
        fields.templates(&[&[Piece::Text(String::new())], &text[..]].concat(), &mut draft.left);
    Some(("cwd", quoted(&text.concat())))
}

/// The option that puts a tag before each line.
fn tag(draft: &mut Draft, fields: &mut Fields) {
    let Some(tag) = draft.tag.take() else { return };
    if draft.pipe.is_on {
        draft.left.push("`--tag` with `--pipe`".into());
        return;
    }
    let text = pieces(&tag, &draft.dialect, &mut draft.left);
    let text =
        fields.templates(&[&[Piece::Text(String::new())], &text[..]].concat(), &mut draft.left);
    draft.options.push(format!("--tag {}", super::quoted_word(&text.concat())));
}
