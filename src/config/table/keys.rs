//! Unknown keys: what each could be, by the list of all keys.

use std::borrow::Cow;

use crate::base::diagnostic::nearest;
use crate::config::schema;
use crate::config::schema::{RUNNER_TOML, Section};

/// What other tools call our keys, each with the section where it stands here.
const OTHER_WORDS: [(&[&str], &str, &str); 8] = [
    (&["attempts", "max_retries", "retries", "tries"], "max_attempts", "retry"),
    (
        &["jobs", "max_workers", "n_jobs", "parallel", "parallelism", "workers"],
        "concurrency",
        "limits",
    ),
    (&["args", "cmd", "command", "run"], "argv", "workload.command"),
    (&["chdir", "directory", "workdir", "working_directory"], "cwd", "workload.command"),
    (&["environment"], "env", "workload.command"),
    (&["memory", "ram"], "mem", "cluster"),
    (&["cores", "cpus_per_task", "threads"], "cpus", "cluster"),
    (
        &["follow", "follow_redirects", "allow_redirects", "max_redirects"],
        "redirects",
        "workload.http",
    ),
];

/// A key of which one letter may be wrong in another table than the one that is meant has at least this many.
const LONG: usize = 5;

/// What is wrong with `key` in `table`, and the way out. Of a table that has no section, `asked` are the keys.
pub(super) fn explain(key: &str, table: &str, asked: &[&'static str]) -> (String, Option<String>) {
    let unknown = format!("unknown key `{key}`");
    let keys: Vec<&str> = match schema::section(table) {
        Some(section) => section.keys().map(|key| key.name).collect(),
        None => asked.to_vec(),
    };
    if ["creates", "reads"].contains(&key) && !table.starts_with(RUNNER_TOML) {
        // In whichever table it stands, the whole task is meant.
        return (unknown, Some(format!("it belongs {}", place("", table))));
    }
    if let Some(near) = nearest(key, keys.iter().copied()) {
        return (unknown, Some(format!("did you mean `{near}`?")));
    }
    // What the table itself calls otherwise is meant there, whichever table has a key of this name.
    let of_table = OTHER_WORDS.iter().find(|(words, _, at)| *at == table && words.contains(&key));
    if let Some((_, name, _)) = of_table {
        return (unknown, Some(format!("did you mean `{name}`?")));
    }
    let others = || schema::sections().iter().filter(|section| !section.name.contains('*'));
    if let Some(section) = others().find(|section| section.key(key).is_some()) {
        return (unknown, Some(format!("it belongs {}", place(section.name, table))));
    }
    let all = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let has = (!keys.is_empty()).then(|| format!("{} has {all}", subject(table)));
    let meant =
        |name: &str, section: &str| format!("did you mean `{name}` {}?", place(section, table));
    let word = OTHER_WORDS.iter().find(|(words, ..)| words.contains(&key));
    if let Some((_, name, section)) = word.filter(|(.., section)| is_alike(section, table)) {
        let is_here = keys.contains(name);
        let help = if is_here { format!("did you mean `{name}`?") } else { meant(name, section) };
        return (unknown, Some(help));
    }
    let near = |section: &'static Section| {
        let near = nearest(key, section.keys().map(|key| key.name))?;
        Some(meant(near, section.name))
    };
    let mut alike = others().filter(|section| is_alike(section.name, table));
    let near = if key.len() < LONG { None } else { alike.find_map(near) };
    (unknown, near.or(has))
}

/// Where in the files the section is, for somebody who is at `table`.
fn place(section: &str, table: &str) -> Cow<'static, str> {
    match section {
        _ if is_alike(section, table) && section.starts_with(RUNNER_TOML) => {
            format!("in `[{}]`", shown(section)).into()
        }
        RUNNER_TOML => "in a `runner.toml` beside the job file".into(),
        "limits" | "retry" | "report" if table == RUNNER_TOML => {
            format!("in `[defaults.{section}]`").into()
        }
        _ if table.starts_with(RUNNER_TOML) => "in a job file".into(),
        "" => "above the first `[table]` of the file".into(),
        _ => format!("in `[{section}]`").into(),
    }
}

/// Whether both are of the same kind of file.
fn is_alike(section: &str, table: &str) -> bool {
    section.starts_with(RUNNER_TOML) == table.starts_with(RUNNER_TOML)
}

/// Who has the keys of `table`.
fn subject(table: &str) -> Cow<'static, str> {
    match table {
        "" => "a job".into(),
        RUNNER_TOML => "a `runner.toml`".into(),
        _ => format!("`[{}]`", shown(table)).into(),
    }
}

/// The name of a table as its file has it.
pub(super) fn shown(table: &str) -> &str {
    table.strip_prefix(RUNNER_TOML).map_or(table, |name| name.trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_explained() {
        for (key, table, message, help) in [
            (
                "concurency",
                "limits",
                "unknown key `concurency`",
                Some("did you mean `concurrency`?"),
            ),
            ("rate", "retry", "unknown key `rate`", Some("it belongs in `[limits]`")),
            ("formula_safe", "", "unknown key `formula_safe`", Some("it belongs in `[report]`")),
            (
                "duration",
                "limits",
                "unknown key `duration`",
                Some("it belongs in `[workload.sleep]`"),
            ),
            (
                "timeouts",
                "",
                "unknown key `timeouts`",
                Some("did you mean `timeout` in `[limits]`?"),
            ),
            (
                "end",
                "inputs.range",
                "unknown key `end`",
                Some("`[inputs.range]` has `from`, `to`, `step`"),
            ),
            (
                "retries",
                "limits",
                "unknown key `retries`",
                Some("did you mean `max_attempts` in `[retry]`?"),
            ),
            (
                "directory",
                "workload.command",
                "unknown key `directory`",
                Some("did you mean `cwd`?"),
            ),
            (
                "deadline",
                "stages.limits",
                "unknown key `deadline`",
                Some("it belongs in `[limits]`"),
            ),
            ("memory", "cluster", "unknown key `memory`", Some("did you mean `mem`?")),
            ("cores", "cluster", "unknown key `cores`", Some("did you mean `cpus`?")),
            ("follow", "workload.http", "unknown key `follow`", Some("did you mean `redirects`?")),
            ("resluts", RUNNER_TOML, "unknown key `resluts`", Some("did you mean `results`?")),
            (
                "model",
                "limits",
                "unknown key `model`",
                Some("it belongs above the first `[table]` of the file"),
            ),
            (
                "xyz",
                "retry",
                "unknown key `xyz`",
                Some("`[retry]` has `max_attempts`, `delay`, `max_delay`, `on`, `never`"),
            ),
        ] {
            let expected = (message.to_owned(), help.map(str::to_owned));
            assert_eq!(explain(key, table, &[]), expected, "{key} in {table}");
        }
    }
}
