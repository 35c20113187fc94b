//! What would otherwise go stale: the example jobs and the README.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{TestJob, runner};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn example_jobs() -> Vec<PathBuf> {
    let mut jobs: Vec<_> = fs::read_dir(root().join("jobs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect();
    jobs.sort();
    jobs
}

#[test]
fn every_example_job_plans() {
    let jobs = example_jobs();
    assert!(jobs.len() >= 6, "{jobs:?}");
    let output = runner().arg("check").args(&jobs).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_example_job_is_described() {
    for job in example_jobs() {
        let text = fs::read_to_string(&job).unwrap();
        assert!(text.contains("description = ") && text.contains('#'), "{}", job.display());
    }
}

#[test]
fn the_example_jobs_all_end_well() {
    let results = tempfile::tempdir().unwrap();
    let output =
        runner().args(example_jobs()).arg("--results").arg(results.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
}

/// The fenced blocks of the README in this language.
fn readme_blocks(language: &str) -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut blocks = Vec::new();
    let mut current: Option<String> = None;
    for line in readme.lines() {
        match &mut current {
            Some(block) if line.starts_with("```") => {
                blocks.push(std::mem::take(block));
                current = None;
            }
            Some(block) => block.extend([line, "\n"]),
            None if line.trim_end() == format!("```{language}") => current = Some(String::new()),
            None => {}
        }
    }
    blocks
}

#[test]
fn every_job_file_in_the_readme_runs() {
    let blocks = readme_blocks("toml");
    assert!(blocks.len() >= 3, "{} blocks", blocks.len());
    for block in blocks {
        let mut test = TestJob::new(&block);
        for (path, contents) in [
            ("urls.txt", "a\nb\n"),
            ("people.csv", "name,age\nAda,36\nAlan,41\n"),
            ("photos/a.jpg", "aaa"),
            ("photos/b.jpg", "bb"),
            ("data/x.txt", "one\ntwo\n"),
        ] {
            test = test.file(path, contents);
        }
        let ran = test.run();
        assert_eq!(ran.output.status.code(), Some(0), "{block}\n{}", ran.stderr());
    }
}

#[test]
fn the_reference_names_every_key() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for key in [
        "name",
        "description",
        "model",
        "values",
        "range",
        "lines",
        "null",
        "csv",
        "jsonl",
        "glob",
        "matrix",
        "zip",
        "repeat",
        "where",
        "shuffle",
        "skip",
        "limit",
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
        "function",
        "arg",
        "duration",
        "concurrency",
        "timeout",
        "grace",
        "deadline",
        "rate",
        "burst",
        "per_host",
        "stop_after_failures",
        "on_stop",
        "min_free_memory",
        "max_attempts",
        "delay",
        "max_delay",
        "on",
        "regex",
        "json",
        "dialect",
        "order",
        "formula_safe",
        "ready",
    ] {
        assert!(
            readme.contains(&format!("`{key}`")),
            "the README's reference does not name `{key}`"
        );
    }
}
