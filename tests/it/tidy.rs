//! What would otherwise go stale: the example jobs here, the documentation in a file of its own.

pub mod docs;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{free_port, root, runner};

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
