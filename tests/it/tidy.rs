//! What would otherwise go stale: the example jobs and the README.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use runner::cli::Cli;

use crate::support::{TestJob, free_port, runner};

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
    let mut jobs = example_jobs();
    let has_server = ["download-sites.toml", "fetch-and-hash.toml"];
    jobs.retain(|job| !has_server.iter().any(|name| job.ends_with(name)));
    ends_well(runner().args(jobs).arg("--results").arg(results.path()));
}

#[test]
fn the_example_of_two_jobs_ends_well() {
    let results = tempfile::tempdir().unwrap();
    let jobs = ["jobs/pipeline/digest.toml", "jobs/pipeline/measure.toml"];
    ends_well(
        runner()
            .args(jobs.map(|job| root().join(job)))
            .args(["--jobs", "2", "--results"])
            .arg(results.path()),
    );
}

#[test]
fn the_example_workers_all_end_well() {
    let results = tempfile::tempdir().unwrap();
    let mut jobs = vec!["jobs/worker/factors.toml", "jobs/worker/squares.toml"];
    if Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success()) {
        jobs.push("jobs/worker/waits.toml");
    }
    let jobs = jobs.into_iter().map(|job| root().join(job));
    ends_well(runner().args(jobs).arg("--results").arg(results.path()));
}

/// The example names a port, as an example must; a test takes one that is free. `url` is the key of what is fetched.
#[track_caller]
fn ends_well_on_another_port(job: &str, url: &str) {
    let results = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = format!("http://127.0.0.1:{port}/");
    let argv = format!(r#"["python3", "-m", "http.server", "{port}", "--bind", "127.0.0.1"]"#);
    ends_well(
        runner()
            .arg(root().join(job))
            .arg("--results")
            .arg(results.path())
            .args(["--set", &format!("services.web.argv={argv}")])
            .args(["--set", &format!("services.web.ready={server}")])
            .args(["--set", &format!("{url}={server}{{input}}")]),
    );
}

#[test]
fn the_example_with_a_server_ends_well_on_another_port() {
    ends_well_on_another_port("jobs/download-sites.toml", "workload.http.url");
}

#[test]
fn the_example_with_stages_ends_well_on_another_port() {
    ends_well_on_another_port("jobs/fetch-and-hash.toml", "stages.fetch.workload.http.url");
}

fn ends_well(command: &mut Command) {
    let output = command.output().unwrap();
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
fn every_measured_command_of_the_readme_is_one_that_runs() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut lines = readme.lines();
    let mut count = 0;
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("<!-- measured: ") else { continue };
        let command = command.strip_suffix(" -->").expect("the mark ends where its line does");
        assert_eq!(lines.next(), Some("```console"), "{command}");
        let shown = lines.next().and_then(|line| line.strip_prefix("$ "));
        assert_eq!(shown, Some(command), "python3 benches/chapter.py writes it");
        assert!(lines.next().is_some_and(|line| line != "```"), "{command} shows nothing");

        // No quotes: then words are what stands between spaces, for a shell as here.
        assert!(!command.contains(['\'', '"', '\\']), "{command}");
        let words: Vec<&str> = command.split(' ').collect();
        Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{command}: {error}"));
        let is_job = |word: &str| Path::new(word).extension().is_some_and(|ext| ext == "toml");
        let files: Vec<&&str> = words.iter().filter(|word| is_job(word)).collect();
        assert!(!files.is_empty(), "{command} names no job");
        let sets = words.windows(2).filter(|pair| pair[0] == "--set");
        let mut check = runner();
        check.current_dir(root()).arg("check").args(files);
        for set in sets {
            check.args(set);
        }
        ends_well(&mut check);
        count += 1;
    }
    assert!(count >= 4, "{count} marked blocks");
}

#[test]
fn the_reference_names_every_key() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for key in runner::config::known_keys() {
        assert!(
            readme.contains(&format!("`{key}`")) || readme.contains(&format!("`[{key}")),
            "the README's reference does not name `{key}`"
        );
    }
}
