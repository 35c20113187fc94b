//! `runner schema`: it accepts every job file that we show, and refuses what `runner check` refuses.

mod agreement;
mod validator;

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use runner::config::schema::{Key, Kind, Section, sections};
use serde_json::Value;

use crate::support::{TestJob, root, runner};
use crate::tidy::docs::blocks::{Block, blocks, documents};
use agreement::errors_of;
use validator::{as_json, mistakes};

/// The committed copies, and how each is made.
const COPIES: [(&str, &[&str]); 2] = [
    ("docs/job.schema.json", &["schema"]),
    ("docs/runner.schema.json", &["schema", "--runner-toml"]),
];

fn printed(args: &[&str]) -> String {
    let output = runner().args(args).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn schema(args: &[&str]) -> Value {
    serde_json::from_str(&printed(args)).unwrap()
}

#[test]
fn the_copies_in_the_documentation_are_what_the_program_prints() {
    for (copy, args) in COPIES {
        let kept = fs::read_to_string(root().join(copy)).unwrap_or_default();
        let again = format!("write it again: cargo run -- {} > {copy}", args.join(" "));
        assert!(kept == printed(args), "{copy} is out of date; {again}");
    }
}

/// Every job file and every `runner.toml` of the repository and of its documentation, with the text of each.
fn shown(language: &[&str]) -> Vec<(String, String)> {
    let all = documents().into_iter().flat_map(|document| blocks(&document));
    let wanted = all.filter(|block: &Block| language.contains(&block.language.as_str()));
    wanted.map(|block| (block.to_string(), block.text)).collect()
}

fn job_files() -> Vec<PathBuf> {
    let folders = ["jobs", "jobs/online", "jobs/pipeline", "jobs/python", "jobs/worker"];
    let entries = folders.iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

fn jobs() -> Vec<(String, String)> {
    let files = job_files().into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (path.display().to_string(), text)
    });
    files.chain(shown(&["toml", "toml check"])).collect()
}

#[test]
fn every_job_file_that_we_show_is_valid() {
    let schema = schema(&["schema"]);
    let jobs = jobs();
    assert!(jobs.len() > 30, "{}", jobs.len());
    for (name, text) in jobs {
        assert_eq!(mistakes(&schema, &as_json(&text)), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn every_runner_toml_that_we_show_is_valid() {
    let schema = schema(&["schema", "--runner-toml"]);
    for (name, text) in shown(&["toml settings"]) {
        assert_eq!(mistakes(&schema, &as_json(&text)), Vec::<String>::new(), "{name}");
    }
}

const SCRIPT: &str = "
import json, jsonschema, sys, tomllib
schema = json.load(open('job.schema.json'))
jsonschema.Draft4Validator.check_schema(schema)
jsonschema.Draft7Validator.check_schema(schema)
for text in json.load(sys.stdin):
    for validator in jsonschema.Draft4Validator, jsonschema.Draft7Validator:
        for error in validator(schema).iter_errors(tomllib.loads(text)):
            sys.exit(f'{text}\\n{error.json_path}: {error.message}')
";

/// A second opinion, of a validator that others wrote.
#[test]
fn python_thinks_so_too() {
    let has_both = ["-c", "import jsonschema, tomllib"];
    if !Command::new("python3").args(has_both).output().is_ok_and(|o| o.status.success()) {
        println!("skipped: Python has no `jsonschema` or no `tomllib`");
        return;
    }
    let texts: Vec<_> = jobs().into_iter().map(|(_, text)| text).collect();
    let job = TestJob::empty().file("job.schema.json", printed(&["schema"]));
    let input = job.folder().join("texts.json");
    fs::write(&input, serde_json::to_string(&texts).unwrap()).unwrap();
    let output = Command::new("python3")
        .args(["-W", "ignore", "-c", SCRIPT])
        .current_dir(job.folder())
        .stdin(fs::File::open(input).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The editors' own checkers, where they are installed.
#[test]
fn editors_think_so_too() {
    let folder = TestJob::empty().file("job.schema.json", printed(&["schema"]));
    for (index, (_, text)) in jobs().into_iter().enumerate() {
        let text = format!("#:schema ./job.schema.json\n\n{text}");
        fs::write(folder.folder().join(format!("job{index}.toml")), text).unwrap();
    }
    let names: Vec<_> = (0..jobs().len()).map(|index| format!("job{index}.toml")).collect();
    for (program, args) in [
        ("tombi", &["lint", "--offline"][..]),
        ("check-jsonschema", &["--schemafile", "job.schema.json"]),
        ("taplo", &["lint"]),
    ] {
        let Some(program) = in_path(program) else {
            println!("skipped: `{program}` is not installed (pip install {program})");
            continue;
        };
        let output =
            Command::new(program).args(args).args(&names).current_dir(folder.folder()).output();
        let output = output.unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
    }
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A value that is not of this kind.
fn wrong(kind: Kind) -> Option<&'static str> {
    fn takes_booleans(kind: Kind) -> bool {
        match kind {
            Kind::Boolean | Kind::Any => true,
            Kind::Either(kinds) => kinds.iter().any(|&kind| takes_booleans(kind)),
            _ => false,
        }
    }
    match kind {
        Kind::Any => None,
        kind if takes_booleans(kind) => Some("7"),
        _ => Some("true"),
    }
}

/// A job file, or a `runner.toml`, that has the table of this section with this line in it, and the line's number.
fn file_with(section: &Section, line: &str) -> (String, usize) {
    let name = section.name.replace('*', "s");
    let name = name.strip_prefix("runner.toml").map_or(&name[..], |name| name.trim_matches('.'));
    let is_table = |table: &str| name == table || name.starts_with(&format!("{table}."));
    let before = match name {
        "" => String::new(),
        "stages" => "[[stages]]\n".into(),
        "stages.limits" => "[[stages]]\nname = 'a'\n[stages.limits]\n".into(),
        _ if is_table("services.s.ready") => {
            "[services.s]\nargv = ['true']\n[services.s.ready]\n".into()
        }
        _ => format!("[{name}]\n"),
    };
    let number = before.lines().count() + 1;
    let needs_work = !is_table("workload")
        && !is_table("stages")
        && !section.name.starts_with("runner.toml")
        && !line.starts_with("workload ");
    let work = if needs_work { "[workload.sleep]\nduration = '1ms'\n" } else { "" };
    // What a reader wants before it looks at another key.
    let needed = match name {
        "workload.command" | "workload.worker" | "services.s" => "argv = ['true']",
        "workload.http" => "url = 'http://127.0.0.1/'",
        "workload.python" => "function = 'math:sqrt'",
        "workload.compute" => "function = 'factorial'",
        "workload.http.multipart.s" => "path = 'a.csv'",
        "inputs.glob" => "pattern = '*'",
        "inputs.range" => "from = 1\nto = 2",
        _ if name.starts_with("inputs.") => "file = 'a.csv'",
        _ => "",
    };
    let key = line.split(' ').next().unwrap();
    let needed = needed.lines().filter(|needed| !needed.starts_with(&format!("{key} ")));
    let needed = needed.collect::<Vec<_>>().join("\n");
    (format!("{before}{line}\n{needed}\n{work}"), number)
}

/// For every key of the list, a file in which its value is of another kind.
fn wrong_files() -> Vec<(&'static Section, &'static Key, String, usize)> {
    let keys = sections().iter().flat_map(|section| section.keys().map(move |key| (section, key)));
    let files = keys.filter_map(|(section, key)| {
        let (text, line) = file_with(section, &format!("{} = {}", key.name, wrong(key.kind)?));
        Some((section, key, text, line))
    });
    files.collect()
}

#[test]
fn the_schema_refuses_a_value_of_the_wrong_kind_for_every_key() {
    let (job, settings) = (schema(&["schema"]), schema(&["schema", "--runner-toml"]));
    let files = wrong_files();
    assert!(files.len() > 180, "{}", files.len());
    for (section, key, text, _) in files {
        let schema = if section.name.starts_with("runner.toml") { &settings } else { &job };
        assert_ne!(mistakes(schema, &as_json(&text)), [""; 0], "{}: {text}", key.name);
        let (without, _) = file_with(section, "");
        assert_eq!(mistakes(schema, &as_json(&without)), [""; 0], "{without}");
    }
}

#[test]
fn so_does_check() {
    let files = wrong_files();
    let tried: Vec<_> =
        files.iter().map(|(section, _, text, line)| (*section, text.clone(), *line)).collect();
    let mut silent = Vec::new();
    for ((section, key, text, _), errors) in files.iter().zip(errors_of(&tried)) {
        if errors.is_empty() {
            silent.push(format!("[{}] {}\n{text}", section.name, key.name));
        }
    }
    assert!(silent.is_empty(), "{} keys: {}", silent.len(), silent.join("\n---\n"));
}

#[test]
fn an_unknown_key_is_refused() {
    let schema = schema(&["schema"]);
    for text in
        ["x = 1", "limits.x = 1", "stages = [{ x = 1 }]", "columns.a.x = 1", "workload.x.y = 1"]
    {
        assert_eq!(mistakes(&schema, &as_json(text)).len(), 1, "{text}");
    }
}
