//! The inputs of a draft as the keys of `[inputs]`, and the fields that they come to.

use regex::Regex;

use super::draft::{Draft, List, Source, Words, array, quoted};
use super::parallel::unescaped;
use super::peek::{count_lines, first_line, is_even};
use super::pieces::{self, Piece, Which};

/// Keys with their values as TOML.
pub(super) type Keys = Vec<(&'static str, String)>;

/// The keys of `[inputs]`, and the fields that they come to.
pub(super) fn inputs(draft: &mut Draft) -> (Keys, Vec<String>) {
    if draft.pipe.is_on {
        let keys = draft.piped();
        let is_block = keys.iter().any(|(key, _)| *key == "blocks");
        skip(draft, is_block.then_some("a block begins with the first line"));
        return (keys, Vec::new());
    }
    end(draft);
    let is_alone = draft.sources.len() < 2;
    skip(draft, (!is_alone).then_some("of several sources: the first line of each counts"));
    let (mut keys, names) = if is_alone { single(draft) } else { several(draft) };
    // A task takes the values of several inputs field by field, not input by input.
    if names.len() > 1 && draft.is_batched() {
        (draft.batch, draft.fits) = (None, None);
        draft.left.push(
            "several inputs for one command, each of several columns or sources: each is a command of its own"
                .into(),
        );
    }
    if let Some(batch) = draft.batch.filter(|count| *count > 1) {
        keys.push(("batch", batch.to_string()));
    } else if let Some(size) = &draft.fits {
        keys.push(("batch", quoted(size)));
    }
    (keys, names)
}

/// What stands from the input on that is named as their end is left out.
fn end(draft: &mut Draft) {
    let Some(end) = draft.end.take() else { return };
    let mut is_known = !draft.sources.is_empty();
    for source in &mut draft.sources {
        match &mut source.list {
            List::Values(values) => {
                let length = values.iter().position(|value| *value == end);
                values.truncate(length.unwrap_or(values.len()));
            }
            List::Lines(_) | List::Glob(_) => is_known = false,
        }
    }
    if !is_known {
        draft.note(&format!("-E {end}"), "what stands after it counts, too");
    }
}

/// Leaves out the first line, if that is asked for and nothing speaks against it.
fn skip(draft: &mut Draft, against: Option<&str>) {
    if !std::mem::take(&mut draft.skips) {
        return;
    }
    match against.or_else(|| draft.has_header.then_some("beside `--header`")) {
        Some(why) => draft.note("--skip-first-line", why),
        None => draft.inputs.push(("skip", "1".into())),
    }
}

/// Gives each column a name that a field can have, and no other one has.
fn usable(names: &mut [String], draft: &mut Draft) {
    for index in 0..names.len() {
        let (before, from) = names.split_at_mut(index);
        let name = &mut from[0];
        if name.is_empty() || before.contains(name) {
            let other = format!("column_{}", index + 1);
            draft.note("--header :", &format!("`{name}` cannot name a column: it is `{other}`"));
            *name = other;
        }
    }
}

fn single(draft: &mut Draft) -> (Keys, Vec<String>) {
    let list = draft.sources.pop().map_or_else(|| List::Lines("-".into()), |source| source.list);
    let columns = draft.columns.clone().or_else(|| draft.is_csv.then(|| ",".into()));
    match (list, columns) {
        (List::Values(values), None) => values_alone(draft, values),
        (List::Values(values), Some(between)) => split_values(draft, values, &between),
        (List::Lines(file), Some(between)) => split_lines(draft, &file, &between),
        // What `--header` stands for if nothing else is said.
        (List::Lines(file), None) if draft.has_header => split_lines(draft, &file, "\\t"),
        (List::Lines(file), None) => {
            if draft.trims == Some(true) {
                draft.note("--trim", "blanks around an input stay");
            }
            (vec![lines(&file, draft)], one_name())
        }
        (List::Glob(patterns), _) => (vec![("glob", glob(&patterns, draft))], one_name()),
    }
}

fn glob(patterns: &[String], draft: &Draft) -> String {
    let patterns: Vec<_> = patterns.iter().map(|pattern| draft.path(pattern)).collect();
    if let [pattern] = &patterns[..] { quoted(pattern) } else { array(&patterns) }
}

fn one_name() -> Vec<String> {
    vec!["input".into()]
}

fn lines(file: &str, draft: &Draft) -> (&'static str, String) {
    let mut keys = Vec::new();
    match &draft.separator {
        Some(separator) => keys.push(format!("separator = {}", quoted(separator))),
        None if draft.null => keys.push("null = true".into()),
        None if draft.has_words => keys.push("words = true".into()),
        None => {}
    }
    if draft.keeps_blank {
        keys.push("blank = \"keep\"".into());
    }
    let file = quoted(&draft.path(file));
    if keys.is_empty() {
        return ("lines", file);
    }
    ("lines", format!("{{ file = {file}, {} }}", keys.join(", ")))
}

fn values_alone(draft: &mut Draft, mut values: Vec<String>) -> (Keys, Vec<String>) {
    if draft.trims == Some(true) {
        values = values.iter().map(|value| value.trim().to_owned()).collect();
    }
    if draft.has_header && !values.is_empty() {
        let mut names = [values.remove(0)];
        usable(&mut names, draft);
        let rows: Vec<_> = values.into_iter().map(|value| vec![value]).collect();
        return tables(&names, &rows);
    }
    let group = draft.batch.filter(|count| *count > 1 && draft.is_grouped);
    let group = group.and_then(|count| usize::try_from(count).ok());
    if let Some(count) = group.filter(|count| values.len().is_multiple_of(*count)) {
        draft.batch = None;
        let names: Vec<_> = (1..=count).map(|number| format!("arg_{number}")).collect();
        let rows: Vec<_> = values.chunks(count).map(<[String]>::to_vec).collect();
        return tables(&names, &rows);
    }
    (vec![("values", array(&values))], one_name())
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
        draft.note(&format!("--colsep {between}"), "not a regular expression here");
        return values_alone(draft, values);
    };
    if draft.is_csv {
        draft.note("--csv", "of values after `:::`: quotes are characters like others");
    }
    let trims = draft.trims.unwrap_or(!draft.is_csv);
    let cell = |cell: &str| if trims { cell.trim() } else { cell }.to_owned();
    let cells = |value: &String| regex.split(value).map(cell).collect::<Vec<_>>();
    let mut rows: Vec<_> = values.iter().map(cells).collect();
    let width = rows.iter().map(Vec::len).max().unwrap_or(1);
    for row in &mut rows {
        row.resize(width, String::new());
    }
    let mut names =
        if draft.has_header && !rows.is_empty() { rows.remove(0) } else { numbered(width) };
    usable(&mut names, draft);
    tables(&names, &rows)
}

/// Lines with columns: a table of text if one character stands between them, else by a regular expression.
fn split_lines(draft: &mut Draft, file: &str, between: &str) -> (Keys, Vec<String>) {
    let plain = unescaped(between).replace("\\|", "|").replace("\\.", ".");
    let first = first_line(file);
    let mut chars = plain.chars();
    let is_sign = |c: char| {
        !c.is_alphanumeric()
            && c != '"'
            && (between != "." && !"|*+?^$()[]{}".contains(c) || between.len() == 2)
    };
    if draft.null || draft.separator.is_some() {
        draft.note(&format!("--colsep {between}"), "columns are those of lines");
        return (vec![lines(file, draft)], one_name());
    }
    if let (Some(c), None) = (chars.next(), chars.next())
        && is_sign(c)
    {
        return table_of_text(draft, file, first.as_deref(), c);
    }
    let regex = Regex::new(between).ok().zip(first.as_ref());
    let Some(count) = regex.map(|(regex, line)| regex.split(line).count()) else {
        draft.note(&format!("--colsep {between}"), "the columns cannot be told without the file");
        return (vec![lines(file, draft)], one_name());
    };
    if draft.has_header {
        draft.inputs.push(("skip", "1".into()));
        draft.note(
            "--header :",
            "the names stand between such columns: they are `column_1` and so on",
        );
    }
    draft.left.push(format!(
        "`--colsep {between}`: a line with more columns than the first: they are left out; one with fewer is a mistake"
    ));
    let names = numbered(count);
    let blank = if draft.trims == Some(false) { "" } else { r"\s*" };
    let groups: Vec<_> = names.iter().map(|name| format!("{blank}(?<{name}>.*?){blank}")).collect();
    let groups = groups.join(&format!("(?:{between})"));
    let regex = format!("^{groups}(?:(?:{between}).*)?$");
    let file = quoted(&draft.path(file));
    (vec![("lines", format!("{{ file = {file}, regex = {} }}", quoted(&regex)))], names)
}

/// Columns that one character stands between.
fn table_of_text(
    draft: &mut Draft,
    file: &str,
    first: Option<&str>,
    between: char,
) -> (Keys, Vec<String>) {
    let trims = draft.trims.unwrap_or(!(draft.is_csv && draft.columns.is_none()));
    let cells =
        first.map(|line| line.split(between).map(|cell| cell.trim_matches(['"', ' ']).to_owned()));
    let cells = cells.map(Iterator::collect::<Vec<_>>);
    let names = match (cells, draft.has_header) {
        (Some(cells), true) => cells,
        (Some(cells), false) => numbered(cells.len()),
        (None, true) => {
            draft.note("--header :", &format!("`{file}` is not there to read the names from"));
            Vec::new()
        }
        (None, false) => {
            draft.is_width_unknown = true;
            let Some(count) = columns_asked_for(draft) else {
                let option =
                    if draft.is_csv { "--csv".into() } else { format!("--colsep {between}") };
                draft.note(
                    &option,
                    "without the file nobody knows the columns: a line is one input",
                );
                return (vec![lines(file, draft)], one_name());
            };
            numbered(count)
        }
    };
    if !is_even(file, between, draft.is_csv) {
        draft.note(
            &if draft.is_csv { "--csv".into() } else { format!("--colsep {between}") },
            "a line with more or fewer columns than the first is a mistake here, and a blank one is no input",
        );
    }
    let mut keys = vec![format!("file = {}", quoted(&draft.path(file)))];
    if !draft.has_header {
        keys.push("header = false".into());
    }
    keys.push(format!("delimiter = {}", quoted(&between.to_string())));
    if !draft.is_csv {
        keys.push("quotes = false".into());
    }
    if trims {
        keys.push("trim = true".into());
    }
    (vec![("csv", format!("{{ {} }}", keys.join(", ")))], names)
}

/// The highest number of a column that the command names; `None` if it names none.
fn columns_asked_for(draft: &mut Draft) -> Option<usize> {
    let words: &[String] = match &draft.words {
        Words::None => &[],
        Words::Arguments(words) => words,
        Words::Shell(text) => std::slice::from_ref(text),
    };
    let others = [&draft.tag, &draft.folder].into_iter().flatten();
    let pieces = words.iter().chain(others);
    let pieces: Vec<_> =
        pieces.flat_map(|word| pieces::pieces(word, &draft.dialect, &mut Vec::new())).collect();
    let numbers: Vec<i32> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Input(Which::Nth(number), _) => Some(*number),
            _ => None,
        })
        .collect();
    if let Some(backwards) = numbers.iter().find(|number| **number < 0) {
        draft.note(&format!("{{{backwards}}}"), "of columns whose number nobody knows");
    }
    numbers.iter().max().and_then(|number| usize::try_from(*number).ok())
}

/// Several sources: every combination of them, or side by side.
fn several(draft: &mut Draft) -> (Keys, Vec<String>) {
    let mut sources = std::mem::take(&mut draft.sources);
    let mut names: Vec<_> = (1..=sources.len()).map(|number| format!("arg_{number}")).collect();
    if draft.has_header {
        for (name, source) in names.iter_mut().zip(&mut sources) {
            match &mut source.list {
                List::Values(values) if !values.is_empty() => *name = values.remove(0),
                _ => draft.note("--header", "only of values after `:::`"),
            }
        }
    }
    usable(&mut names, draft);
    if let Some(between) = draft.columns.clone() {
        draft.note(&format!("--colsep {between}"), "of several sources");
    }
    fill_empty(&mut sources, draft);
    let linked = std::mem::take(&mut draft.is_linked);
    let mut groups: Vec<Vec<(String, Source)>> = Vec::new();
    for (name, source) in names.iter().cloned().zip(sources) {
        match groups.last_mut().filter(|_| linked || source.is_linked) {
            Some(group) => group.push((name, source)),
            None => groups.push(vec![(name, source)]),
        }
    }
    for group in &mut groups {
        level(group, linked, draft);
    }
    let is_zip = groups.len() == 1;
    let lists: Vec<_> = groups
        .iter()
        .enumerate()
        .map(|(at, group)| side_by_side(group, at, is_zip, draft))
        .collect();
    let key = if is_zip { "zip" } else { "matrix" };
    (vec![(key, format!("{{ {} }}", lists.join(", ")))], names)
}

/// A list without inputs among others: GNU parallel puts nothing in its place, and a product with it has no task.
fn fill_empty(sources: &mut [Source], draft: &mut Draft) {
    if sources.iter().all(|source| length(source, draft) == Some(0)) {
        return;
    }
    for source in sources {
        match &mut source.list {
            List::Values(values) if values.is_empty() => values.push(String::new()),
            List::Lines(file) if count_lines(file) == Some(0) => {
                let file = file.clone();
                draft.note(&file, "as long as it has no line, there is no task");
            }
            _ => {}
        }
    }
}

/// How many inputs it has, if that is known.
fn length(source: &Source, draft: &Draft) -> Option<usize> {
    match &source.list {
        List::Values(values) => Some(values.len()),
        List::Lines(file) if !draft.null && draft.separator.is_none() && !draft.has_words => {
            count_lines(file)
        }
        List::Lines(_) | List::Glob(_) => None,
    }
}

/// Lists that go together; `is_alone`: nothing else goes with them.
fn side_by_side(group: &[(String, Source)], at: usize, is_alone: bool, draft: &Draft) -> String {
    let lists: Vec<_> =
        group.iter().map(|(name, source)| list(name, &source.list, draft)).collect();
    match &lists[..] {
        [list] => list.clone(),
        _ if is_alone => lists.join(", "),
        _ => format!("linked_{} = {{ zip = {{ {} }} }}", at + 1, lists.join(", ")),
    }
}

fn list(name: &str, list: &List, draft: &Draft) -> String {
    let value = match list {
        List::Values(values) => array(values),
        List::Lines(file) => {
            let (key, file) = lines(file, draft);
            format!("{{ {key} = {file} }}")
        }
        List::Glob(patterns) => format!("{{ glob = {} }}", glob(patterns, draft)),
    };
    format!("{} = {value}", key(name))
}

/// With `--link` GNU parallel begins a short list anew, and after `:::+` it leaves the rest of a long one out.
fn level(group: &mut [(String, Source)], begins_anew: bool, draft: &mut Draft) {
    if group.len() < 2 {
        return;
    }
    let all: Vec<_> = group.iter().map(|(_, source)| length(source, draft)).collect();
    let lengths = all.iter().flatten().copied();
    let most = if begins_anew { lengths.max() } else { lengths.min() }.unwrap_or_default();
    for ((_, source), length) in group.iter_mut().zip(all) {
        match &mut source.list {
            List::Values(values) => {
                *values = values.iter().cycle().take(most).cloned().collect();
            }
            List::Lines(file) if length != Some(most) => {
                let file = file.clone();
                draft.note(&file, "what goes side by side has to be equally long here");
            }
            List::Lines(_) | List::Glob(_) => {}
        }
    }
}
