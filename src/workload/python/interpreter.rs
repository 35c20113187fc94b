//! The interpreter of a job: a Python, an environment, or a program that stands before one.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;

use crate::config::program::{Places, Unusable};
use crate::config::{Planner, Table};

/// What is started, with the arguments that come before the runner's own.
#[derive(Debug)]
pub struct Executable {
    program: PathBuf,
    arguments: Vec<String>,
    /// As the job file has it.
    name: String,
    /// What a version manager's script has said that it comes to.
    asked: OnceLock<Result<PathBuf, String>>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a program, the folder of an environment, or an array: a program and its arguments"
)]
enum Given {
    One(String),
    Words(Vec<String>),
}

impl Executable {
    /// Reads `interpreter`: a name, a path, the folder of an environment, or the words of a command.
    pub fn read(table: &mut Table<'_>, places: &Places, plan: &Planner<'_>) -> Option<Self> {
        let given = table.get::<Given>("interpreter");
        if table.has("interpreter") && given.is_none() {
            return None;
        }
        let Some(given) = given else {
            let found = places.find(b"python3").or_else(|_| places.find(b"python"));
            let help = "name one: `interpreter = \"/path/to/python\"`, or the folder of a venv";
            let absent =
                |_| plan.error_with_help(table.span(), "there is no `python3` in the PATH", help);
            return found.map_err(absent).ok().map(|program| Self::new(program, &["python3"]));
        };
        let span = given.span();
        match given.into_inner() {
            Given::Words(words) if words.is_empty() => {
                plan.error(span, "`interpreter` is empty: its first element is the program");
                None
            }
            Given::Words(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                Self::find(&words, &span, places, plan)
            }
            Given::One(text) => {
                let path = plan.folder().join(&text);
                if path.is_dir() {
                    return Self::in_environment(&text, &path, &span, plan);
                }
                let words: Vec<&str> = text.split_whitespace().collect();
                let is_path = words.len() < 2 || path.exists();
                let words = if is_path { vec![&*text] } else { words };
                Self::find(&words, &span, places, plan)
            }
        }
    }

    fn new(program: PathBuf, words: &[&str]) -> Self {
        Self {
            program,
            arguments: words[1..].iter().map(|&word| word.to_owned()).collect(),
            name: words.join(" "),
            asked: OnceLock::new(),
        }
    }

    fn find(
        words: &[&str],
        span: &std::ops::Range<usize>,
        places: &Places,
        plan: &Planner<'_>,
    ) -> Option<Self> {
        if words.iter().any(|word| word.contains('\0')) {
            plan.error(span.clone(), "`interpreter` contains a NUL, which no program can be given");
            return None;
        }
        // A path that has blanks is not a command line.
        let file = plan.folder().join(words[0]);
        let found = match places.find(words[0].as_bytes()) {
            Err(Unusable::NotInPath) if words[0].contains(' ') && file.is_file() => Ok(file),
            found => found,
        };
        let absent = |error: Unusable| {
            let (message, help) = error.explain(words[0], plan.folder());
            plan.absent(span.clone(), message, help);
        };
        found.map_err(absent).ok().map(|program| Self::new(program, words))
    }

    fn in_environment(
        text: &str,
        folder: &Path,
        span: &std::ops::Range<usize>,
        plan: &Planner<'_>,
    ) -> Option<Self> {
        let inside = folder.join("bin/python");
        if inside.exists() {
            return Some(Self::new(inside, &[text]));
        }
        let message = format!("`{text}` is a folder without `bin/python`: no virtual environment");
        plan.absent(span.clone(), message, Some(format!("make one: `python3 -m venv {text}`")));
        None
    }

    /// As the job file has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The arguments that come before the runner's own.
    pub fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        self.arguments.iter().map(String::as_bytes)
    }

    /// What is started. It is used as it is, but for the script of a version manager, which takes several times as long
    /// to start as what it comes to: that is asked once.
    ///
    /// # Errors
    /// If it does not say.
    pub fn find_program(&self, folder: &Path) -> io::Result<&Path> {
        let asked = self.asked.get_or_init(|| {
            if self.arguments.is_empty() && is_version_manager(&self.program) {
                return ask(&self.program, folder);
            }
            Ok(self.program.clone())
        });
        asked.as_deref().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, &**error))
    }
}

fn is_version_manager(program: &Path) -> bool {
    let Ok(file) = std::fs::File::open(program) else { return false };
    let mut start = Vec::new();
    let _ = io::Read::read_to_end(&mut io::Read::take(file, 4096), &mut start);
    let has = |word: &[u8]| memchr::memmem::find(&start, word).is_some();
    start.starts_with(b"#!") && (has(b"pyenv") || has(b"asdf"))
}

fn ask(interpreter: &Path, folder: &Path) -> Result<PathBuf, String> {
    let asked = Command::new(interpreter)
        .args(["-c", "import sys; sys.stdout.write(sys.executable)"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    let name = interpreter.display();
    let output = asked.map_err(|error| format!("failed to run `{name}`: {error}"))?;
    if !output.status.success() || output.stdout.is_empty() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{name}` is not a Python: {}", words.trim()));
    }
    Ok(OsString::from_vec(output.stdout).into())
}
