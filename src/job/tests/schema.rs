//! The list of all keys, and what reads them.

use super::*;
use crate::config::schema::{Default, Kind, Section, sections};
use crate::config::table::ASKED;

/// A job file that has the table of this section, with these lines in it.
fn job(section: &Section, lines: &str) -> Option<String> {
    const SERVICE: &str = "[services.s]\nargv = ['true']\n";
    let is_given = |key: &str| lines.starts_with(&format!("{key} = "));
    let command = if is_given("workload") { "" } else { "[workload.command]\nargv = ['true']\n" };
    let stage =
        |name: &str| format!("[[stages]]\nname = '{name}'\nworkload.sleep.duration = '1s'\n");
    // What is given takes the place of what is needed.
    let needed = match section.name {
        "inputs.range" => "from = 1\nto = 2\n",
        "workload.http.auth" => "user = 'u'\n",
        "workload.http.multipart.*" => "path = 'a.csv'\n",
        "secrets.*" => "env = 'PATH'\n",
        "inputs.glob" => "pattern = '*'\n",
        name if name.starts_with("inputs.") => "file = 'a.csv'\n",
        "stages" => "name = 'a'\nworkload = { sleep = { duration = '1s' } }\n",
        "workload.http" => "url = 'http://127.0.0.1/'\n",
        "workload.compute" => "function = 'factorial'\narg = 5\n",
        "workload.python" => "function = 'math:sqrt'\n",
        "workload.sleep" => "duration = '1s'\n",
        "workload.command" | "workload.worker" | "services.*" => "argv = ['true']\n",
        _ => "",
    };
    let needed =
        needed.lines().filter(|line| !line.split_once(" = ").is_some_and(|(key, _)| is_given(key)));
    let lines = format!("{lines}\n{}\n", needed.collect::<Vec<_>>().join("\n"));
    Some(match section.name {
        "" => format!("{lines}{command}"),
        "columns.*" => format!("[columns.c]\n{lines}{command}"),
        "fields.*" => format!("[fields.s]\n{lines}{command}"),
        "services.*" => format!("[services.s]\n{lines}{command}"),
        "secrets.*" => format!("[secrets.s]\n{lines}{command}"),
        name if name.starts_with("workload.http.") => {
            let name = name.replace('*', "s");
            format!("[workload.http]\nurl = 'http://127.0.0.1/'\n[{name}]\n{lines}")
        }
        "services.*.ready" => format!("{SERVICE}[services.s.ready]\n{lines}{command}"),
        "stages" => format!("[[stages]]\n{lines}{}", stage("b")),
        "stages.limits" => format!("{}[stages.limits]\n{lines}", stage("a")),
        name if name.starts_with("runner.toml") => return None,
        // Their readers look into files: see the tests of the inputs.
        name if name == "fields.*" || (name.starts_with("inputs.") && name != "inputs.range") => {
            return None;
        }
        name if name.starts_with("workload") => format!("[{name}]\n{lines}"),
        name => format!("[{name}]\n{lines}{command}"),
    })
}

#[test]
fn every_key_of_the_list_is_read() {
    for section in sections() {
        for key in section.keys() {
            // No reader can do with this value, which is why it has to say so.
            let line = format!("{} = 1979-05-27", key.name);
            let Some(text) = job(section, &line) else { continue };
            ASKED.take();
            let messages = Files::new(&text).messages();
            let name =
                section.name.replace('*', if section.name == "columns.*" { "c" } else { "s" });
            assert!(
                ASKED.take().contains(&(name.clone(), key.name)),
                "[{name}] {}: nobody reads it; {messages:?}",
                key.name
            );
            let is_wrong = messages != ["nothing is wrong"];
            assert!(is_wrong || key.kind == Kind::Any, "[{name}] {} takes a date", key.name);
        }
    }
}

#[test]
fn a_misspelt_key_has_a_suggestion() {
    for section in sections() {
        for key in section.keys().filter(|key| key.name.len() > 2) {
            let last = key.name.chars().last().unwrap();
            let misspelt = format!("{}{last}", key.name);
            if section.key(&misspelt).is_some() {
                continue;
            }
            let Some(text) = job(section, &format!("{misspelt} = 1")) else { continue };
            let errors = Files::new(&text).errors();
            let expected = format!("unknown key `{misspelt}`");
            // Another key of the same section may be as near.
            let near = section.keys().map(|key| format!("did you mean `{}`?", key.name));
            let has_help = near.into_iter().any(|help| errors.contains(&help));
            assert!(errors.contains(&expected) && has_help, "{errors}\n{text}");
        }
    }
}

#[test]
fn a_default_that_is_written_changes_nothing() {
    let planned = |text: &str| {
        let files = Files::new(text).file("a.csv", "a\n1\n");
        let job = Job { identity: [0; 32], texts: Texts::default(), ..files.plan() };
        format!("{job:?}").replace(&files.folder.path().display().to_string(), "")
    };
    let mut tried = 0;
    for section in sections() {
        for key in section.keys() {
            let Default::Is(default) = key.default else { continue };
            if section.name == "inputs.sheet" || key.name == "shell_with" {
                continue; // there is no workbook here, and no `shell`
            }
            let rest = match (section.name, key.name) {
                ("inputs", "null") => "lines = 'a.csv'\n",
                ("inputs", _) => "repeat = 3\n",
                ("limits" | "stages.limits", "burst") => "rate = '1/s'\n",
                ("retry", "max_attempts") => "",
                ("retry", _) => "max_attempts = 3\n",
                ("columns.*", _) => "regex = 'x'\n",
                _ => "",
            };
            let with = job(section, &format!("{} = {default}\n{rest}", key.name));
            let Some((with, without)) = with.zip(job(section, rest)) else { continue };
            assert_eq!(planned(&with), planned(&without), "{with}");
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried}");
}

#[test]
fn the_list_names_the_kinds_of_workloads() {
    let workload = sections().iter().find(|section| section.name == "workload").unwrap();
    let listed: Vec<_> = workload.keys().map(|key| key.name).collect();
    assert_eq!(listed, crate::workload::KINDS);
}
