//! `runner` without arguments: what is here, and what to do next.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::schema::RUNNER_TOML;
use crate::report::terminal::escaped;

/// Where job files are looked for.
const FOLDERS: [&str; 2] = [".", "jobs"];

/// How many of them are shown.
const SHOWN: usize = 20;

/// Whether nothing was asked for.
pub fn is_asked() -> bool {
    std::env::args_os().len() == 1
}

/// What is here, and what to do next.
pub fn text() -> String {
    let jobs: Vec<_> = FOLDERS.iter().flat_map(|folder| jobs_in(Path::new(folder))).collect();
    let mut text = String::new();
    if jobs.is_empty() {
        text.push_str("no job files here, nor in `jobs`\n");
    } else {
        text.push_str("job files:\n");
    }
    for (path, description) in jobs.iter().take(SHOWN) {
        let line = format!("  {:<32} {description}", path.display().to_string());
        let _ = writeln!(text, "{}", escaped(line.trim_end()));
    }
    if jobs.len() > SHOWN {
        let _ = writeln!(text, "  and {} more", jobs.len() - SHOWN);
    }
    text.push_str("\nnext:\n");
    let mut next = |command: String, meaning: &str| {
        let _ = writeln!(text, "  {:<32} {meaning}", escaped(&command));
    };
    if let Some((path, _)) = jobs.first() {
        let path = path.display();
        next(format!("runner check {path}"), "read and plan it, run nothing");
        next(format!("runner {path}"), "run it");
        next("runner init".into(), "list the kinds of job files that can be written");
    } else {
        next("runner init command job.toml".into(), "write a job file that runs at once");
        next("runner init".into(), "list the other kinds");
    }
    next("runner --help".into(), "all commands and options");
    text
}

/// The job files of a folder, each with the first line of its description.
fn jobs_in(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.extension().is_some_and(|extension| extension == "toml")
            && path.file_name().is_none_or(|name| name != RUNNER_TOML)
    });
    paths.sort();
    let jobs = paths.into_iter().filter_map(|path| {
        let description = description(&path)?;
        Some((path.strip_prefix(".").map(Path::to_owned).unwrap_or(path), description))
    });
    jobs.collect()
}

/// The first line of a job's description; `None` if the file is not a job.
fn description(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let Ok(job) = text.parse::<toml::Table>() else {
        // One with a mistake is a job file, too.
        return ["[workload", "[[stages]]"]
            .iter()
            .any(|sign| text.contains(sign))
            .then(String::new);
    };
    if !job.contains_key("workload") && !job.contains_key("stages") {
        return None;
    }
    let description = job.get("description").and_then(|value| value.as_str()).unwrap_or_default();
    Some(description.lines().next().unwrap_or_default().to_owned())
}
