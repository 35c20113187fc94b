//! What the documentation shows is what the runner does: job files run, commands parse, links lead somewhere.
//!
//! The word after `toml` says what becomes of a block: nothing: it runs and every task ends ok; `check`: it plans;
//! `settings`: it is a `runner.toml`; `fragment`: it is TOML.

pub mod blocks;
mod coming_from;
mod links;
mod tables;

use std::collections::BTreeSet;
use std::fs;

use clap::Parser;
use runner::cli::Cli;

use crate::support::{TestJob, root, runner};
use blocks::{Block, blocks, documents, ends_in, read};

/// A folder with all that the documentation's job files read.
fn with_fixtures(job: TestJob) -> TestJob {
    let copied = |path: &str| fs::read(root().join(path)).unwrap();
    job.file("urls.txt", "http://127.0.0.1:9/\n")
        .file("links.csv", "url\nhttp://127.0.0.1:9/\n")
        .file("people.csv", "name,age\nAda,36\nAlan,41\n")
        .file("numbers.csv", "n\n3\n4\n")
        .file("heights.csv", copied("jobs/python/heights.csv"))
        .file("rows.py", copied("jobs/python/rows.py"))
        .file("squares.sh", copied("jobs/worker/squares.sh"))
        .file("square.py", block_that_starts_with("# square.py"))
        .file("powers.py", block_that_starts_with("# powers.py"))
        .file("list.txt", "photos/a.jpg\nphotos/b.jpg\n")
        .file("measure.toml", copied("jobs/pipeline/measure.toml"))
        .file("photos/a.jpg", "aaa")
        .file("photos/b.jpg", "bb")
        .file("data/x.txt", "one\ntwo\n")
        .file("site/index.html", "<title>a site</title>")
}

/// A program that the documentation shows.
fn block_that_starts_with(line: &str) -> String {
    let all = documents().iter().flat_map(|document| blocks(document)).collect::<Vec<_>>();
    let found = all.into_iter().find(|block| block.text.starts_with(line));
    found.unwrap_or_else(|| panic!("no block starts with `{line}`")).text
}

fn blocks_of(language: &str) -> Vec<Block> {
    let all = documents().into_iter().flat_map(|document| blocks(&document));
    all.filter(|block| block.language == language).collect()
}

#[test]
fn every_job_file_runs() {
    let blocks = blocks_of("toml");
    assert!(blocks.len() >= 10, "{} blocks", blocks.len());
    for block in blocks {
        let ran = with_fixtures(TestJob::new(&block.text)).run();
        assert_eq!(ran.output.status.code(), Some(0), "{block}\n{}", ran.stderr());
    }
}

#[test]
fn every_job_file_that_cannot_run_here_plans() {
    for block in blocks_of("toml check") {
        let job = TestJob::empty().file("job.toml", &block.text).arg("check").arg("job.toml");
        let needed = block.text.contains("job = \"measure\"").then_some("measure.toml");
        let ran = with_fixtures(job).args(needed).run();
        assert_eq!(ran.output.status.code(), Some(0), "{block}\n{}", ran.stderr());
    }
}

#[test]
fn every_runner_toml_is_one() {
    for block in blocks_of("toml settings") {
        let job = TestJob::empty()
            .file("runner.toml", &block.text)
            .file("job.toml", "inputs.repeat = 1\nworkload.sleep.duration = \"1ms\"");
        let ran = job.args(["check", "job.toml"]).run();
        assert_eq!(ran.output.status.code(), Some(0), "{block}\n{}", ran.stderr());
    }
}

#[test]
fn every_other_toml_block_is_toml() {
    let known = ["toml", "toml check", "toml settings", "toml fragment"];
    for block in documents().iter().flat_map(|document| blocks(document)) {
        if block.language.starts_with("toml") {
            assert!(known.contains(&block.language.as_str()), "{block}");
            let table = block.text.parse::<toml::Table>();
            table.unwrap_or_else(|error| panic!("{block}\n{error}"));
        }
    }
}

/// Commands that need a shell's quoting are not looked at.
#[test]
fn every_command_is_one_that_runs() {
    let all: Vec<Block> = documents().iter().flat_map(|document| blocks(document)).collect();
    let mut count = 0;
    for (block, command) in all.iter().flat_map(|block| block.commands().map(move |c| (block, c))) {
        let is_plain = !command.contains(['\'', '"', '\\', '|', '<', '>', '$']);
        match command.split_whitespace().collect::<Vec<_>>()[..] {
            ["runner", ref args @ ..] if is_plain && !args.is_empty() => {
                parses(block, args);
                plans(block, args, &all);
                count += 1;
            }
            ["python3", script, ..] => assert!(root().join(script).is_file(), "{block}"),
            _ => {}
        }
    }
    assert!(count >= 10, "{count} commands");
}

/// The command line accepts it.
fn parses(block: &Block, args: &[&str]) {
    let words = ["runner"].iter().chain(args);
    if let Err(error) = Cli::try_parse_from(words) {
        assert_eq!(error.exit_code(), 0, "{block}\n{error}"); // `--help` is an error of this kind
    }
}

/// The job files that it names plan: those that a document shows as in a folder of their own, else those of the
/// repository.
fn plans(block: &Block, args: &[&str], all: &[Block]) {
    let named: BTreeSet<&str> = args.iter().copied().filter(|word| is_job(word)).collect();
    if named.is_empty() {
        return;
    }
    let is_named = |block: &&Block| block.path().is_some_and(|path| named.contains(path));
    let shown: Vec<_> = all.iter().filter(is_named).collect();
    let folder = shown.iter().fold(with_fixtures(TestJob::empty()), |folder, block| {
        folder.file(block.path().expect("it has one"), &block.text)
    });
    let sets = args.windows(2).filter(|pair| pair[0] == "--set").flatten();
    let folder = if shown.is_empty() { root() } else { folder.folder() };
    let files = named.iter().flat_map(|name| files(name));
    let output = runner().current_dir(folder).arg("check").args(files).args(sets).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{block}\n{stderr}");
}

fn is_job(word: &str) -> bool {
    ends_in(word, "toml") && !word.contains('=')
}

/// The files of the repository that a pattern names; a name that is none is left for the runner to complain of.
fn files(pattern: &str) -> Vec<String> {
    let Some(folder) = pattern.strip_suffix("/*.toml") else { return vec![pattern.to_owned()] };
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> =
        names.filter(|name| is_job(name)).map(|name| format!("{folder}/{name}")).collect();
    files.sort();
    files
}

#[test]
fn every_measured_command_has_its_mark_and_its_output() {
    let mut count = 0;
    for document in documents() {
        let text = read(&document);
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(command) = line.strip_prefix("<!-- measured: ") else { continue };
            let command = command.strip_suffix(" -->").expect("the mark ends where its line does");
            assert_eq!(lines.next(), Some("```console"), "{command}");
            let shown = lines.next().and_then(|line| line.strip_prefix("$ "));
            assert_eq!(shown, Some(command), "python3 benches/chapter.py writes it");
            assert!(lines.next().is_some_and(|line| line != "```"), "{command} shows nothing");
            assert!(!command.contains(['\'', '"', '\\']), "{command} is split at spaces");
            count += 1;
        }
    }
    assert!(count >= 7, "{count} marked blocks");
}

/// The report that the README shows has the columns that its job writes.
#[test]
fn the_report_of_the_readme_is_the_one_that_a_run_writes() {
    let blocks = blocks("README.md");
    let job = blocks.iter().find(|block| block.path() == Some("jobs/words.toml"));
    let report = blocks.iter().find(|block| block.language == "csv").expect("it shows a report");
    let ran = with_fixtures(TestJob::new(&job.expect("it shows a job").text)).run();
    let shown = report.text.lines().next().expect("a header").split(',');
    assert_eq!(ran.report().header, shown.collect::<Vec<_>>());
}

#[test]
fn the_readme_takes_three_minutes() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 250, "README.md has {lines} lines: what is more belongs into docs/");
}

/// The toolchain that is promised is the one that is tested.
#[test]
fn the_minimum_rust_version_is_the_same_everywhere() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let version = manifest["package"]["rust-version"].as_str().unwrap();
    for (document, promise) in [
        ("README.md", format!("Rust {version} or later")),
        ("CONTRIBUTING.md", format!("Rust {version} or later")),
        (".github/workflows/ci.yml", format!("toolchain: \"{version}\"")),
    ] {
        assert!(read(document).contains(&promise), "{document} does not say `{promise}`");
    }
}
