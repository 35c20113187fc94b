//! The shape of `src/`: imports run one way, and unsafe code and `/proc` have one place.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The top modules of the crate: each imports only from those before it. `src/lib.rs` says what each owns.
const LAYERS: [&str; 19] = [
    "sys", "base", "task", "csv", "model", "config", "launcher", "workload", "job", "worker",
    "report", "view", "engine", "compare", "cluster", "batch", "cli", "fuzz", "main",
];

/// A line of production code: its file from `src/` on, its number and its text without a comment.
struct Line {
    file: String,
    number: usize,
    text: String,
}

impl Line {
    fn layer(&self) -> &str {
        self.file.split('/').next().unwrap().trim_end_matches(".rs")
    }
}

/// All lines of `src/` but those of tests: what stands in a module `tests`, or below `#[cfg(test)]` to the file's end.
fn production_lines() -> Vec<Line> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut lines = Vec::new();
    for path in files_below(&src) {
        let file = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let is_test = |part: &str| ["tests", "tests.rs", "testing.rs"].contains(&part);
        if file.split('/').any(is_test) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let numbered = production.lines().zip(1..);
        lines.extend(numbered.map(|(line, number)| Line {
            file: file.clone(),
            number,
            text: line.split("//").next().unwrap().to_owned(),
        }));
    }
    lines
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The top modules that a line names: `crate::x`, or each `x` of `use crate::{x, y::z};`.
fn layers_named(text: &str) -> Vec<&str> {
    let mut named = Vec::new();
    for rest in text.split("crate::").skip(1) {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        if let Some(group) = rest.strip_prefix('{') {
            let parts = group.split([',', '}']).map(str::trim);
            named.extend(parts.filter_map(|part| part.split(|c| !is_name(c)).next()));
        } else {
            named.extend(rest.split(|c| !is_name(c)).next());
        }
    }
    named.retain(|name| !name.is_empty());
    named
}

#[test]
fn imports_run_one_way() {
    let rank = |layer: &str| LAYERS.iter().position(|name| *name == layer);
    let mut wrong = String::new();
    for line in production_lines() {
        if line.file == "lib.rs" {
            continue;
        }
        let Some(own) = rank(line.layer()) else {
            panic!(
                "src/{} is in no layer: add `{}` to LAYERS and to src/lib.rs",
                line.file,
                line.layer()
            );
        };
        for named in layers_named(&line.text) {
            if rank(named).is_some_and(|other| other > own) {
                let _ = writeln!(
                    wrong,
                    "src/{}:{}: `{}` imports `{named}`, which stands below it: move what it needs to `{}` or above, or \
                     this code to `{named}` or below",
                    line.file,
                    line.number,
                    line.layer(),
                    line.layer(),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_list_of_layers_is_that_of_the_crate_documentation() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    let documented: Vec<_> =
        rows.filter_map(|row| row.split('`').nth(1)).filter(|name| LAYERS.contains(name)).collect();
    let modules: Vec<_> = LAYERS
        .into_iter()
        .filter(|name| !["main", "fuzz"].contains(name))
        .filter(|name| text.contains(&format!("mod {name};")))
        .collect();
    assert_eq!(documented, modules);
}

#[test]
fn unsafe_code_and_proc_have_one_place() {
    let wrong: Vec<_> = production_lines()
        .into_iter()
        .filter(|line| line.layer() != "sys")
        .filter(|line| {
            let words = line.text.split(|c: char| !c.is_alphanumeric() && c != '_');
            words.clone().any(|word| word == "unsafe") || line.text.contains("\"/proc/")
        })
        .map(|line| format!("src/{}:{}: belongs into src/sys/", line.file, line.number))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
