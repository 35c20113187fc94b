//! Every relative link of the documentation leads to a file that is there, and to a heading in it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::blocks::{documents, ends_in, prose, read};
use crate::support::root;

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut count = 0;
    for document in documents() {
        // A link may begin on one line and end on the next; what `code` shows is not a link.
        for (number, line) in prose(&document) {
            for found in link.captures_iter(&line) {
                let target = &found[1];
                if !target.contains("://") && !target.starts_with("mailto:") {
                    count += 1;
                    let broken = follow(&document, target).err();
                    assert_eq!(broken, None, "{document}:{number}: ({target})");
                }
            }
        }
    }
    assert!(count >= 50, "{count} links");
}

/// The pages for those who change the program name files that are there.
#[test]
fn every_source_file_that_is_named_is_there() {
    let source = Regex::new(r"(?:src|tests|benches|fuzz)/[a-z_0-9/]*(?:\.[a-z]+)?").unwrap();
    for document in ["docs/architecture.md", "CONTRIBUTING.md", "benches/README.md"] {
        for named in source.find_iter(&read(document)) {
            assert!(root().join(named.as_str()).exists(), "{document}: {}", named.as_str());
        }
    }
}

#[test]
fn every_folder_of_the_source_is_in_the_layout() {
    let architecture = read("docs/architecture.md");
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let line = format!("\nsrc/{}/ ", entry.file_name().display());
        let is_listed = !entry.path().is_dir() || architecture.contains(&line);
        assert!(is_listed, "docs/architecture.md does not list{line}");
    }
}

#[test]
fn every_benchmark_is_described() {
    let described = read("benches/README.md");
    for entry in fs::read_dir(root().join("benches")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_script = ends_in(&name, "py") || ends_in(&name, "rs");
        assert!(!is_script || described.contains(&format!("({name})")), "benches/{name}");
    }
}

fn follow(document: &str, target: &str) -> Result<(), String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(p, a)| (p, Some(a)));
    let path = match path {
        "" => root().join(document),
        path => root().join(document).parent().expect("it is below the root").join(path),
    };
    if !path.exists() {
        return Err("no such file".to_owned());
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let anchors = anchors(&path);
    if anchors.iter().any(|known| known == anchor) {
        return Ok(());
    }
    Err(format!("no such heading; there are {}", anchors.join(", ")))
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(path: &Path) -> Vec<String> {
    let path = path.canonicalize().unwrap();
    let name = path.strip_prefix(root().canonicalize().unwrap()).expect("it is in the repository");
    let mut seen: HashMap<String, usize> = HashMap::new();
    let lines = prose(name.to_str().unwrap());
    let headings = lines.iter().filter_map(|(_, line)| {
        let heading = line.trim_start_matches('#');
        (heading.len() < line.len()).then(|| heading.strip_prefix(' ')).flatten()
    });
    headings
        .map(|heading| {
            let anchor = slug(heading);
            let count = seen.entry(anchor.clone()).or_default();
            *count += 1;
            if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) }
        })
        .collect()
}

fn slug(heading: &str) -> String {
    static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap());
    let text = LINK.replace_all(heading.trim(), "$1").to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn anchors_are_those_of_github() {
    for (heading, anchor) in [
        ("`[inputs]`: where the tasks come from", "inputs-where-the-tasks-come-from"),
        ("`[columns.NAME]`: more", "columnsname-more"),
        ("Threads, processes or async?", "threads-processes-or-async"),
        ("A *job* that needs `a_b`", "a-job-that-needs-a_b"),
        ("[Unreleased](x.md)", "unreleased"),
    ] {
        assert_eq!(slug(heading), anchor);
    }
}
