//! `[secrets]`: values that are used and never shown. A template has only the way to one; its value is read when a run
//! starts, and [`crate::base::mask`] keeps it out of everything that is written down.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use encoding_rs::{Encoding, UTF_8};
use toml::Spanned;

use crate::base::diagnostic::reason;
use crate::base::mask;
use crate::base::text::without_mark;
use crate::config::{Planner, Table};

/// A shorter text would be found, and masked, everywhere.
const SHORTEST: usize = 4;

/// A value that is used and never shown.
pub struct Secret {
    name: String,
    source: Source,
    value: OnceLock<Vec<u8>>,
}

/// Where the value of a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// A variable of the environment.
    Env(String),
    /// A file, absolute; a line break at its end does not count.
    File(PathBuf),
    /// What a program prints; likewise. It runs in the job's folder.
    Command(Vec<String>, PathBuf),
}

impl Secret {
    /// The value; `None` if no run has started.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.get().map(Vec::as_slice)
    }

    /// Whether it is in a file.
    pub fn is_file(&self) -> bool {
        self.file().is_some()
    }

    /// The file that it is in, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            _ => None,
        }
    }

    /// Its name in the job file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the value, and sees to it that it is masked from here on.
    ///
    /// # Errors
    /// In words, if it is not there, or too short.
    pub fn resolve(&self) -> Result<(), String> {
        if self.value.get().is_some() {
            return Ok(());
        }
        let value = self.source.read().map_err(|why| format!("secret `{}`: {why}", self.name))?;
        if value.len() < SHORTEST {
            return Err(format!(
                "secret `{}` has {} bytes: a text of less than {SHORTEST} cannot be masked",
                self.name,
                value.len()
            ));
        }
        mask::add(&value);
        let _ = self.value.set(value); // another job of the same file may have been first
        Ok(())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.source == other.source
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Source {
    /// What is wrong with it, as far as that can be seen without reading it.
    fn look(&self) -> Option<String> {
        match self {
            Self::Env(name) => std::env::var_os(name)
                .is_none()
                .then(|| format!("the environment variable `{name}` is not set")),
            Self::File(path) => std::fs::metadata(path)
                .err()
                .map(|error| format!("failed to read `{}`: {}", path.display(), reason(&error))),
            Self::Command(argv, folder) => {
                let program = argv.first().map_or("", String::as_str);
                let paths = std::env::var_os("PATH").unwrap_or_default();
                let is_there = if program.contains('/') {
                    folder.join(program).is_file()
                } else {
                    std::env::split_paths(&paths).any(|path| path.join(program).is_file())
                };
                (!is_there).then(|| format!("program not found: `{program}`"))
            }
        }
    }

    fn read(&self) -> Result<Vec<u8>, String> {
        use std::os::unix::ffi::OsStringExt;
        let mut value = match self {
            Self::Env(name) => std::env::var_os(name)
                .ok_or_else(|| format!("the environment variable `{name}` is not set"))?
                .into_vec(),
            Self::File(path) => std::fs::read(path).map_err(|error| {
                format!("failed to read `{}`: {}", path.display(), reason(&error))
            })?,
            Self::Command(argv, folder) => output(argv, folder)?,
        };
        if matches!(self, Self::File(_)) {
            value = as_utf8(value);
        }
        if !matches!(self, Self::Env(_)) {
            let end = value.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |at| at + 1);
            value.truncate(end);
        }
        Ok(value)
    }
}

/// A text as UTF-8, without the byte order mark that programs on Windows put there: PowerShell writes UTF-16.
fn as_utf8(text: Vec<u8>) -> Vec<u8> {
    match Encoding::for_bom(&text) {
        Some((encoding, mark)) if encoding != UTF_8 => {
            match encoding.decode_without_bom_handling_and_without_replacement(&text[mark..]) {
                Some(text) => text.into_owned().into_bytes(),
                None => text,
            }
        }
        _ => without_mark(&text).to_vec(),
    }
}

fn output(argv: &[String], folder: &Path) -> Result<Vec<u8>, String> {
    let [program, rest @ ..] = argv else { return Err("`command` is empty".into()) };
    let output = Command::new(program)
        .args(rest)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("failed to start `{program}`: {}", reason(&error)))?;
    if !output.status.success() {
        return Err(format!("`{program}` failed: {}", output.status));
    }
    Ok(output.stdout)
}

/// Reads `[secrets]`. What is wrong with one is reported at its place; where one `may_come`, only a file has to be there now.
pub(crate) fn read(
    table: Option<Table<'_>>,
    plan: &Planner<'_>,
    may_come: bool,
) -> Vec<Arc<Secret>> {
    let Some(mut table) = table else { return Vec::new() };
    let mut secrets = Vec::new();
    for (name, mut secret) in table.tables() {
        let source = source(&name, &mut secret, plan);
        secret.finish();
        let Some((source, place)) = source else { continue };
        let has_to_be_there = !may_come || matches!(source, Source::File(_));
        if let Some(why) = source.look().filter(|_| has_to_be_there) {
            plan.absent(place, format!("secret `{}`: {why}", name.get_ref()), None);
        }
        secrets.push(Arc::new(Secret { name: name.into_inner(), source, value: OnceLock::new() }));
    }
    secrets
}

fn source(
    name: &Spanned<String>,
    table: &mut Table<'_>,
    plan: &Planner<'_>,
) -> Option<(Source, std::ops::Range<usize>)> {
    let env =
        table.get::<String>("env").map(|env| (Source::Env(env.get_ref().clone()), env.span()));
    let file = table.get::<PathBuf>("file");
    let file = file.map(|file| (Source::File(plan.folder().join(file.get_ref())), file.span()));
    let command = table.get::<Vec<String>>("command");
    let command = command.map(|command| {
        let span = command.span();
        (Source::Command(command.into_inner(), plan.folder().to_owned()), span)
    });
    let mut given: Vec<_> = [env, file, command].into_iter().flatten().collect();
    if given.len() > 1 {
        plan.error(name.span(), format!("secret `{}` has more than one source", name.get_ref()));
        return None;
    }
    let found = given.pop();
    if found.is_none() && !["env", "file", "command"].iter().any(|key| table.has(key)) {
        let help = "say where it is: `env = \"API_KEY\"`, `file = \"…\"` or `command = [\"…\"]`";
        plan.error_with_help(
            name.span(),
            format!("secret `{}` has no source", name.get_ref()),
            help,
        );
    }
    found
}
