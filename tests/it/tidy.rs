//! What would otherwise go stale: the example jobs and the README.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

#[test]
fn the_example_with_a_server_ends_well_on_another_port() {
    let results = tempfile::tempdir().unwrap();
    // The example names a port, as an example must; a test takes one that is free.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/");
    ends_well(
        runner()
            .arg(root().join("jobs/download-sites.toml"))
            .arg("--results")
            .arg(results.path())
            .arg("--set")
            .arg(format!(
                r#"services.web.argv=["python3", "-m", "http.server", "{port}", "--bind", "127.0.0.1"]"#
            ))
            .args(["--set", &format!("services.web.ready={url}")])
            .args(["--set", &format!("workload.http.url={url}{{input}}")]),
    );
}

#[test]
fn the_example_with_stages_ends_well_on_another_port() {
    let results = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/");
    ends_well(
        runner()
            .arg(root().join("jobs/fetch-and-hash.toml"))
            .arg("--results")
            .arg(results.path())
            .arg("--set")
            .arg(format!(
                r#"services.web.argv=["python3", "-m", "http.server", "{port}", "--bind", "127.0.0.1"]"#
            ))
            .args(["--set", &format!("services.web.ready={url}")])
            .args(["--set", &format!("stages.fetch.workload.http.url={url}{{input}}")]),
    );
}

#[track_caller]
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
fn the_reference_names_every_key() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for key in runner::job::known_keys() {
        assert!(
            readme.contains(&format!("`{key}`")) || readme.contains(&format!("`[{key}")),
            "the README's reference does not name `{key}`"
        );
    }
}
