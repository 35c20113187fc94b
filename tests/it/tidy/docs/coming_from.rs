//! The lines of other tools in `docs/coming-from.md` print what the job files below them print.

use std::process::Command;

use super::blocks::{blocks, read};
use super::with_fixtures;
use crate::support::{TestJob, skip};

const PAGE: &str = "docs/coming-from.md";

/// Stands above a line and the job file that does the same.
const MARK: &str = "<!-- prints the same -->\n```sh\n";

#[test]
fn a_job_file_prints_what_the_other_tool_prints() {
    let blocks = blocks(PAGE);
    let text = read(PAGE);
    let mut count = 0;
    for pair in blocks.windows(2) {
        let [line, job] = pair else { continue };
        if !text.contains(&format!("{MARK}{}", line.text)) {
            continue;
        }
        count += 1;
        let ran = with_fixtures(TestJob::new(&job.text)).args(["-q", "--output=ordered"]).run();
        assert_eq!(ran.output.status.code(), Some(0), "{job}\n{}", ran.stderr());
        let program = if line.text.contains("parallel") { "parallel" } else { "xargs" };
        if Command::new(program).arg("--version").output().is_err() {
            skip(&format!("{program} is not installed"));
            continue;
        }
        let folder = with_fixtures(TestJob::empty());
        let mut bash = Command::new("bash");
        bash.args(["-c", &line.text]).current_dir(folder.folder());
        let real = bash.output().unwrap().stdout;
        assert_eq!(ran.stdout(), String::from_utf8_lossy(&real), "{line}\n{job}");
    }
    assert!(count >= 5, "{count}");
}

/// The sentence above the table says what the table says.
#[test]
fn the_use_cases_are_counted() {
    let text = read(PAGE);
    let rows: Vec<_> = text.lines().filter(|line| line.split('|').count() == 6).collect();
    let count = |word: &str| {
        rows.iter()
            .filter(|row| row.split('|').nth(3).is_some_and(|cell| cell.trim() == word))
            .count()
    };
    let (works, clumsy, none) = (count("works"), count("clumsy"), count("-"));
    let said = format!(
        "{} things that people do with these tools: {works} work, {clumsy} are clumsy",
        works + clumsy + none
    );
    assert!(text.contains(&said), "{said}");
    assert!(text.contains(&format!("and {none} (-) are not possible")), "{none}");
}

#[test]
fn a_job_file_makes_what_snakemake_makes() {
    let blocks = blocks(PAGE);
    let is_rule = |text: &str| text.starts_with("rule small:");
    let [rule, job] =
        blocks.windows(2).find(|pair| is_rule(&pair[0].text)).expect("it is on the page")
    else {
        unreachable!("it is a pair");
    };
    let ran = with_fixtures(TestJob::new(&job.text)).run();
    ran.exit(0);
    let folder = with_fixtures(TestJob::empty()).file("Snakefile", &rule.text);
    let mut names: Vec<_> = std::fs::read_dir(ran.path("small"))
        .unwrap()
        .map(|entry| format!("small/{}", entry.unwrap().file_name().display()))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let mut snakemake = Command::new("snakemake");
    snakemake
        .args(["--cores", "1", "--quiet", "--nolock"])
        .args(&names)
        .current_dir(folder.folder());
    let Ok(output) = snakemake.env("HOME", folder.folder()).output() else {
        skip("snakemake is not installed");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in names {
        let unpacked = |file: &std::path::Path| {
            Command::new("gzip").args(["-dc"]).arg(file).output().unwrap().stdout
        };
        let theirs = unpacked(&folder.folder().join(&name));
        assert_eq!(unpacked(&ran.path(&name)), theirs, "{name}");
    }
}
