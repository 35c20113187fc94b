//! Which keys there are, to say of an unknown one what it could be.

use crate::base::diagnostic::nearest;
use crate::config::runner_toml;

/// Every key, by its table; `*` is any name. [`check`] keeps it complete.
const HOMES: [(&str, &[&str]); 16] = [
    (
        "",
        &[
            "name",
            "description",
            "model",
            "inputs",
            "workload",
            "limits",
            "retry",
            "columns",
            "report",
            "services",
            "stages",
            "needs",
            "exclusive",
        ],
    ),
    ("stages", &["name", "model", "workload", "limits", "retry", "columns", "max_payload"]),
    (
        "inputs",
        &[
            "values", "range", "lines", "null", "csv", "jsonl", "glob", "matrix", "zip", "repeat",
            "job", "where", "shuffle", "skip", "limit",
        ],
    ),
    (
        "limits",
        &[
            "concurrency",
            "per_host",
            "rate",
            "burst",
            "timeout",
            "grace",
            "deadline",
            "min_free_memory",
            "stop_after_failures",
            "on_stop",
            "group",
        ],
    ),
    ("retry", &["max_attempts", "delay", "max_delay", "on"]),
    ("report", &["dialect", "order", "formula_safe"]),
    (
        "workload.command",
        &[
            "argv",
            "shell",
            "env",
            "cwd",
            "stdin",
            "stdin_file",
            "stdout",
            "stderr",
            "success_codes",
            "capture",
        ],
    ),
    ("workload.compute", &["function", "arg"]),
    (
        "workload.http",
        &[
            "url",
            "method",
            "headers",
            "body",
            "expect_status",
            "save",
            "redirects",
            "max_body",
            "http2",
        ],
    ),
    (
        "workload.python",
        &["function", "path", "interpreter", "init", "args", "kwargs", "env", "as_bytes"],
    ),
    ("workload.sleep", &["duration"]),
    ("workload.worker", &["argv", "args", "kwargs", "env", "cwd", "ready_timeout"]),
    ("columns.*", &["regex", "json", "header"]),
    ("services.*", &["argv", "env", "cwd", "ready", "timeout"]),
    (runner_toml::TABLE, &["results", "groups", "defaults"]),
    ("runner.toml.defaults", &["limits", "retry", "report"]),
];

/// Every key that a job file can have, without its table.
pub fn known_keys() -> impl Iterator<Item = &'static str> {
    HOMES.iter().flat_map(|(_, keys)| keys.iter().copied())
}

/// Sees to it, in tests, that the list has what `table` is asked for.
pub(super) fn check(table: &str, asked: &[&'static str]) {
    let home = HOMES.iter().find(|(home, _)| matches(home, table));
    let is_listed = |key: &&str| home.is_none_or(|(_, keys)| keys.contains(key));
    debug_assert!(asked.iter().all(is_listed), "[{table}]: {asked:?}");
}

/// What is wrong with `key` in `table`, of which `asked` are the keys that it can have, and the way out.
pub(super) fn explain(key: &str, table: &str, asked: &[&'static str]) -> (String, Option<String>) {
    let unknown = format!("unknown key `{key}`");
    if let Some(near) = nearest(key, asked.iter().copied()) {
        return (unknown, Some(format!("did you mean `{near}`?")));
    }
    let elsewhere = |all: &'static [(&'static str, &'static [&'static str])]| {
        all.iter()
            .find(|(home, keys)| !home.ends_with('*') && keys.contains(&key))
            .map(|(home, _)| *home)
    };
    if let Some(home) = elsewhere(&HOMES) {
        let home = match home {
            runner_toml::TABLE => "in a `runner.toml` beside the job file".into(),
            _ if table == runner_toml::TABLE && ["limits", "retry", "report"].contains(&home) => {
                format!("in `[defaults.{home}]`")
            }
            _ if table.starts_with(runner_toml::TABLE) => "in a job file".into(),
            "" => "above the first `[table]` of the file".into(),
            _ => format!("in `[{home}]`"),
        };
        return (unknown, Some(format!("it belongs {home}")));
    }
    let keys: Vec<_> = asked.iter().map(|key| format!("`{key}`")).collect();
    let of = match table {
        "" => "a job".into(),
        runner_toml::TABLE => "a `runner.toml`".into(),
        _ => format!("`[{}]`", shown(table)),
    };
    (unknown, (!keys.is_empty()).then(|| format!("{of} has {}", keys.join(", "))))
}

/// The name of a table as its file has it.
pub(super) fn shown(table: &str) -> &str {
    table.strip_prefix(runner_toml::TABLE).map_or(table, |name| name.trim_start_matches('.'))
}

/// A table of a stage is like the one at the top of a file.
fn matches(pattern: &str, table: &str) -> bool {
    let table = table.strip_prefix("stages.").unwrap_or(table);
    match pattern.strip_suffix('*') {
        Some(prefix) => table.strip_prefix(prefix).is_some_and(|name| !name.contains('.')),
        None => pattern == table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_explained() {
        let limits = ["concurrency", "timeout", "grace"];
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
                "model",
                "limits",
                "unknown key `model`",
                Some("it belongs above the first `[table]` of the file"),
            ),
            (
                "xyz",
                "limits",
                "unknown key `xyz`",
                Some("`[limits]` has `concurrency`, `timeout`, `grace`"),
            ),
        ] {
            let expected = (message.to_owned(), help.map(str::to_owned));
            assert_eq!(explain(key, table, &limits), expected, "{key} in {table}");
        }
    }
}
