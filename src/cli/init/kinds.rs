//! The kinds of job files that `runner init` writes: short ones that run at once, offline.

use std::fmt::Write;
use std::io;
use std::net::TcpListener;
use std::path::Path;

/// A kind: its name, what it is for, and its job file.
struct Kind {
    name: &'static str,
    meaning: &'static str,
    text: &'static str,
}

/// Makes the list; the texts stand beside this file.
macro_rules! kinds {
    ($($name:literal: $meaning:literal;)*) => {
        [$(Kind { name: $name, meaning: $meaning, text: include_str!(concat!($name, ".toml")) },)*]
    };
}

const KINDS: [Kind; 8] = kinds! {
    "command": "a program for each file";
    "shell": "a line of shell for every combination of parameters";
    "http": "pages, fetched";
    "api": "a question to an API for each input, sent as JSON";
    "python": "a Python function over some values";
    "worker": "a program that does one task after another";
    "stages": "what one stage makes is handed on to the next";
    "compare": "which model is the fastest?";
};

/// The names of the kinds.
pub(in crate::cli) fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name)
}

/// The kinds in a sentence.
pub(super) fn named() -> String {
    let all: Vec<_> = names().map(|name| format!("`{name}`")).collect();
    format!("the kinds are {}", all.join(", "))
}

/// The kinds and how to use them.
pub(super) fn list() -> String {
    let mut text = "runner init KIND FILE writes a job file that runs at once:\n".to_owned();
    for kind in &KINDS {
        let _ = writeln!(text, "  {:<9} {}", kind.name, kind.meaning);
    }
    text + "runner init FILE -- COMMAND… makes one of a command line, also of GNU parallel's and xargs':\n  \
            runner init thumbs.toml --glob 'photos/*.jpg' -- convert {} {.}.png\n"
}

/// The job file of this kind.
pub(super) fn text(name: &str) -> Option<&'static str> {
    KINDS.iter().find(|kind| kind.name == name).map(|kind| kind.text)
}

/// The text with the file's name, and a port that is free now.
pub(super) fn filled(text: &str, file: &Path) -> io::Result<String> {
    let text = text.replace("@FILE@", &file.display().to_string());
    if !text.contains("@PORT@") {
        return Ok(text);
    }
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    Ok(text.replace("@PORT@", &port.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_short_and_names_its_schema() {
        for Kind { name, text, .. } in KINDS {
            let lines = text.lines().count();
            assert!(lines <= 25, "{name} has {lines} lines");
            assert!(text.starts_with("#:schema ./job.schema.json\n\n"), "{name}");
            assert!(text.lines().all(|line| line.len() <= 110), "{name}");
        }
    }
}
