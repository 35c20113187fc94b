//! A draft as the text of a job file.

use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader};

use regex::Regex;

use super::draft::{Draft, List, Words, array, quoted};
use super::parallel::unescaped;
use super::pieces::{Fields, pieces};
use super::shell::{Read, needs_bash, read, script};

/// The text of the job file, without its first lines; what could not be carried over is noted in `draft`.
pub(super) fn job(draft: &mut Draft) -> String {
    let (source, mut fields) = inputs(draft);
    if draft.has_header {
        draft.dialect.columns.clone_from(&fields.names);
    }
    let command = command(draft, &mut fields);
    let mut text = String::new();
    table(&mut text, "inputs", source.into_iter().chain(std::mem::take(&mut draft.inputs)));
    let made = fields
        .made
        .iter()
        .map(|(name, value)| (name.as_str(), format!("{{ value = {} }}", quoted(value))));
    table(&mut text, "fields", made);
    let env = std::mem::take(&mut draft.env);
    let command = command.into_iter().chain(std::mem::take(&mut draft.command));
    table(&mut text, "workload.command", command);
    table(
        &mut text,
        "workload.command.env",
        env.iter().map(|(name, value)| (name.as_str(), quoted(value))),
    );
    table(&mut text, "limits", std::mem::take(&mut draft.limits));
    table(&mut text, "retry", std::mem::take(&mut draft.retry));
    text
}

fn table<'a>(text: &mut String, name: &str, keys: impl IntoIterator<Item = (&'a str, String)>) {
    for (index, (key, value)) in keys.into_iter().enumerate() {
        if index == 0 {
            let _ = write!(text, "\n[{name}]\n");
        }
        let _ = writeln!(text, "{key} = {value}");
    }
}

type Keys = Vec<(&'static str, String)>;

/// The keys of `[inputs]`, and the fields that they come to.
fn inputs(draft: &mut Draft) -> (Keys, Fields) {
    let (keys, names) = if draft.blocks.is_some() {
        (draft.blocks_as_toml().into_iter().map(|blocks| ("blocks", blocks)).collect(), Vec::new())
    } else {
        let (mut keys, names) =
            if draft.sources.len() > 1 { several(draft) } else { single(draft) };
        if let Some(batch) = draft.batch {
            keys.push(("batch", batch.to_string()));
        } else if let Some(size) = &draft.fits {
            keys.push(("batch", quoted(size)));
        }
        (keys, names)
    };
    (keys, Fields { names, made: Vec::new() })
}

fn single(draft: &mut Draft) -> (Keys, Vec<String>) {
    let list = draft.sources.pop().map_or_else(|| List::Lines("-".into()), |source| source.list);
    match (list, draft.columns.clone()) {
        (List::Values(values), None) => values_alone(draft, values),
        (List::Values(values), Some(between)) => split_values(draft, values, &between),
        (List::Lines(file), Some(between)) => split_lines(draft, &file, &between),
        (List::Lines(file), None) => {
            if draft.has_header {
                draft.inputs.push(("skip", "1".into()));
            }
            (vec![lines(&file, draft)], one_name(draft))
        }
        (List::Glob(patterns), _) => {
            let glob =
                if let [pattern] = &patterns[..] { quoted(pattern) } else { array(&patterns) };
            (vec![("glob", glob)], one_name(draft))
        }
    }
}

/// The only field; of a group, as often as it may be named.
fn one_name(draft: &mut Draft) -> Vec<String> {
    let has_first = |text: &String| text.contains("{1");
    let is_named = match &draft.words {
        Words::Arguments(words) => words.iter().any(has_first),
        Words::Shell(text) => has_first(text),
        Words::None => false,
    };
    if draft.is_grouped && is_named {
        draft.left.push("`-N`: `{1}`, `{2}` are inputs of their own only after `:::`".into());
    }
    vec!["input".into()]
}

fn lines(file: &str, draft: &Draft) -> (&'static str, String) {
    let file = quoted(file);
    let text = match &draft.separator {
        Some(separator) => format!("{{ file = {file}, separator = {} }}", quoted(separator)),
        None if draft.null => format!("{{ file = {file}, null = true }}"),
        None => file,
    };
    ("lines", text)
}

fn values_alone(draft: &mut Draft, mut values: Vec<String>) -> (Keys, Vec<String>) {
    if draft.has_header && !values.is_empty() {
        let name = values.remove(0);
        let rows: Vec<_> = values.into_iter().map(|value| vec![value]).collect();
        return tables(&[name], &rows);
    }
    let group =
        draft.batch.filter(|_| draft.is_grouped).and_then(|count| usize::try_from(count).ok());
    if let Some(count) = group.filter(|count| values.len().is_multiple_of(*count)) {
        draft.batch = None;
        let names: Vec<_> = (1..=count).map(|number| format!("arg_{number}")).collect();
        let rows: Vec<_> = values.chunks(count).map(<[String]>::to_vec).collect();
        return tables(&names, &rows);
    }
    (vec![("values", array(&values))], one_name(draft))
}

/// Values that are tables.
fn tables(names: &[String], rows: &[Vec<String>]) -> (Keys, Vec<String>) {
    let row = |row: &Vec<String>| {
        let cells =
            names.iter().zip(row).map(|(name, cell)| format!("{} = {}", key(name), quoted(cell)));
        format!("    {{ {} }},\n", cells.collect::<Vec<_>>().join(", "))
    };
    let rows: String = rows.iter().map(row).collect();
    (vec![("values", format!("[\n{rows}]"))], names.to_vec())
}

/// A key as TOML.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(is_bare) { name.into() } else { quoted(name) }
}

fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("column_{number}")).collect()
}

fn split_values(draft: &mut Draft, values: Vec<String>, between: &str) -> (Keys, Vec<String>) {
    let Ok(regex) = Regex::new(between) else {
        draft.leave(&format!("--colsep {between}"), "not a regular expression here");
        return values_alone(draft, values);
    };
    let cells = |value: &String| regex.split(value).map(str::to_owned).collect::<Vec<_>>();
    let mut rows: Vec<_> = values.iter().map(cells).collect();
    let width = rows.iter().map(Vec::len).max().unwrap_or(1);
    for row in &mut rows {
        row.resize(width, String::new());
    }
    let names = if draft.has_header && !rows.is_empty() { rows.remove(0) } else { numbered(width) };
    tables(&names, &rows)
}

/// Lines with columns: a table of text if one character stands between them, else by a regular expression.
fn split_lines(draft: &mut Draft, file: &str, between: &str) -> (Keys, Vec<String>) {
    let plain = unescaped(between).replace("\\|", "|").replace("\\.", ".");
    let first = first_line(file);
    let mut chars = plain.chars();
    let is_sign = |c: char| {
        !c.is_alphanumeric()
            && (between != "." && !"|*+?^$()[]{}".contains(c) || between.len() == 2)
    };
    if let (Some(c), None) = (chars.next(), chars.next())
        && is_sign(c)
    {
        let cells =
            first.as_deref().map(|line| line.split(c).map(str::to_owned).collect::<Vec<_>>());
        let names = match (cells, draft.has_header) {
            (Some(cells), true) => cells,
            (None, true) => {
                draft.leave("--header", &format!("`{file}` is not there to read the names from"));
                Vec::new()
            }
            (cells, false) => numbered(cells.map_or(9, |cells| cells.len())),
        };
        let header = if draft.has_header { "" } else { "header = false, " };
        let (file, delimiter) = (quoted(file), quoted(&plain));
        let csv = format!("{{ file = {file}, {header}delimiter = {delimiter}, quotes = false }}");
        return (vec![("csv", csv)], names);
    }
    let regex = Regex::new(between).ok().zip(first.as_ref());
    let Some(count) = regex.map(|(regex, line)| regex.split(line).count()) else {
        draft.leave(&format!("--colsep {between}"), "the columns cannot be told without the file");
        return (vec![lines(file, draft)], one_name(draft));
    };
    if draft.has_header {
        draft.inputs.push(("skip", "1".into()));
    }
    let names = numbered(count);
    let groups: Vec<_> = names.iter().map(|name| format!("(?<{name}>.*?)")).collect();
    let regex = format!("^{}$", groups.join(&format!("(?:{between})")));
    (vec![("lines", format!("{{ file = {}, regex = {} }}", quoted(file), quoted(&regex)))], names)
}

fn first_line(file: &str) -> Option<String> {
    let mut line = String::new();
    BufReader::new(File::open(file).ok()?).read_line(&mut line).ok()?;
    Some(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Several sources: every combination of them, or side by side.
fn several(draft: &mut Draft) -> (Keys, Vec<String>) {
    let sources = std::mem::take(&mut draft.sources);
    let is_zip = draft.is_linked || sources[1..].iter().all(|source| source.is_linked);
    if !is_zip && sources.iter().any(|source| source.is_linked) {
        draft.leave(":::+", "beside `:::` it cannot be told: all sources are combined");
    }
    let mut lists: Vec<_> = sources.into_iter().map(|source| source.list).collect();
    let mut names: Vec<_> = (1..=lists.len()).map(|number| format!("arg_{number}")).collect();
    if draft.has_header {
        for (name, list) in names.iter_mut().zip(&mut lists) {
            match list {
                List::Values(values) if !values.is_empty() => *name = values.remove(0),
                _ => draft.leave("--header", "only of values after `:::`"),
            }
        }
    }
    if is_zip {
        level(&mut lists);
    }
    let list = |(name, list): (&String, &List)| {
        let value = match list {
            List::Values(values) => array(values),
            List::Lines(file) => {
                let (key, file) = lines(file, draft);
                format!("{{ {key} = {file} }}")
            }
            List::Glob(patterns) => format!("{{ glob = {} }}", array(patterns)),
        };
        format!("{} = {value}", key(name))
    };
    let lists: Vec<_> = names.iter().zip(&lists).map(list).collect();
    let key = if is_zip { "zip" } else { "matrix" };
    (vec![(key, format!("{{ {} }}", lists.join(", ")))], names)
}

/// GNU parallel begins a short list anew.
fn level(lists: &mut [List]) {
    let length = |list: &List| if let List::Values(values) = list { values.len() } else { 0 };
    let longest = lists.iter().map(length).max().unwrap_or_default();
    for list in lists {
        if let List::Values(values) = list
            && !values.is_empty()
        {
            *values = values.iter().cycle().take(longest).cloned().collect();
        }
    }
}

/// The keys that say what runs.
fn command(draft: &mut Draft, fields: &mut Fields) -> Keys {
    let mut left = std::mem::take(&mut draft.left);
    let keys = match std::mem::take(&mut draft.words) {
        Words::None => {
            // Each input is a command itself.
            let all =
                fields.names.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(" ");
            let words = ["sh", "-c", &all].map(str::to_owned);
            vec![("argv", array(&[&draft.before[..], &words].concat()))]
        }
        Words::Arguments(words) => {
            let words = words.iter().map(|word| pieces(word, &draft.dialect, &mut left)).collect();
            argv(draft, words, fields, &mut left)
        }
        Words::Shell(text) => {
            let mut text = pieces(&text, &draft.dialect, &mut left);
            match read(&text) {
                Read::Words(words) => argv(draft, words, fields, &mut left),
                Read::Script => {
                    if !has_input(&text) && !fields.names.is_empty() {
                        text.extend(pieces(" {}", &super::plain(), &mut left));
                    }
                    if draft.is_batched() {
                        left.push(
                            "several inputs for one shell: they stand in the variable, one a line"
                                .into(),
                        );
                    }
                    shell(draft, &script(&text, fields, &mut left))
                }
            }
        }
    };
    draft.left = left;
    keys
}

fn has_input(pieces: &[super::pieces::Piece]) -> bool {
    use super::pieces::Piece;
    pieces.iter().any(|piece| match piece {
        Piece::Input(..) => true,
        Piece::Own(name) => name.starts_with("input"),
        Piece::Text(_) => false,
    })
}

fn argv(
    draft: &mut Draft,
    mut words: Vec<Vec<super::pieces::Piece>>,
    fields: &Fields,
    left: &mut Vec<String>,
) -> Keys {
    let is_lone = |word: &Vec<_>| word.len() == 1;
    if !words.iter().any(|word| has_input(word)) && !fields.names.is_empty() {
        words.push(pieces("{}", &super::plain(), left));
    }
    if draft.is_batched() && words.iter().any(|word| has_input(word) && !is_lone(word)) {
        left.push("several inputs inside of a word: they stand there one a line".into());
    }
    let words: Vec<_> = words.iter().flat_map(|word| fields.templates(word, left)).collect();
    vec![("argv", array(&[&draft.before[..], &words].concat()))]
}

fn shell(draft: &Draft, script: &str) -> Keys {
    let mut keys = vec![("shell", quoted(script))];
    let shell = if needs_bash(script) { "bash" } else { "sh" };
    let with: Vec<_> = [&draft.before[..], &[shell.to_owned(), "-c".into()]].concat();
    if with.len() > 2 || shell != "sh" {
        keys.push(("shell_with", array(&with)));
    }
    keys
}
