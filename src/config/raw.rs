//! A job file that has been read and parsed: once, however often it is planned.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self_cell::self_cell;
use toml::Spanned;
use toml::de::DeTable;

use crate::base::Diagnostic;
use crate::base::diagnostic::Source;
use crate::config::syntax;

type Entries<'a> = DeTable<'a>;

self_cell!(
    /// A text and the tables in it, which point into the text.
    pub(crate) struct Parsed {
        owner: Arc<Source>,
        #[covariant]
        dependent: Entries,
    }

    impl {Debug}
);

impl Parsed {
    /// Parses a text, or says all that is wrong with how it is written.
    pub fn parse(source: Source) -> Result<Self, Vec<Diagnostic>> {
        Self::try_new(Arc::new(source), syntax::parse)
    }

    /// The text.
    pub fn source(&self) -> &Arc<Source> {
        self.borrow_owner()
    }

    /// What is in it.
    pub fn root(&self) -> &DeTable<'_> {
        self.borrow_dependent()
    }
}

/// A job file as it was when it was read.
#[derive(Debug)]
pub(crate) struct RawFile {
    /// As it was given.
    pub file: PathBuf,
    /// What is in it, or why that cannot be told.
    pub parsed: Result<Parsed, Vec<Diagnostic>>,
}

impl RawFile {
    /// Reads a file.
    pub fn read(file: &Path) -> Self {
        let name = if is_stdin(file) { STDIN_NAME.into() } else { file.display().to_string() };
        let parsed = text(file, &name)
            .map_err(|error| vec![error])
            .and_then(|text| Parsed::parse(Source { name, text }));
        Self { file: file.to_owned(), parsed }
    }

    /// The file as it was read elsewhere.
    pub fn of(file: &Path, text: String) -> Self {
        let parsed = Parsed::parse(Source { name: file.display().to_string(), text });
        Self { file: file.to_owned(), parsed }
    }

    /// Whether it has this key in this table.
    pub fn has(&self, table: &str, key: &str) -> bool {
        let table = self.parsed.as_ref().ok().and_then(|parsed| parsed.root().get(table));
        let table = table.and_then(|table: &Spanned<_>| table.get_ref().as_table());
        table.is_some_and(|table| table.contains_key(key))
    }
}

/// What standard input is called in messages.
const STDIN_NAME: &str = "standard input";

/// Whether this is the job file on standard input.
pub(crate) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// What a job is called if it does not say so itself.
pub(crate) fn stem(file: &Path) -> Cow<'_, str> {
    if is_stdin(file) {
        return "stdin".into();
    }
    file.file_stem().unwrap_or_default().to_string_lossy()
}

/// The text of a job file.
fn text(file: &Path, name: &str) -> Result<String, Diagnostic> {
    #[cfg(test)]
    crate::config::counts::note_read(file);
    let bytes = bytes(file).map_err(|error| Diagnostic::unreadable(Path::new(name), &error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = memchr::memchr_iter(b'\n', &error.as_bytes()[..valid]).count() + 1;
        Diagnostic::new(format!("`{name}` is not UTF-8: line {line} is the first that is not"))
            .help("save the file as UTF-8")
    })?;
    if text.trim().is_empty() {
        let name = if is_stdin(file) { name.to_owned() } else { format!("`{name}`") };
        return Err(Diagnostic::new(format!("{name} is empty"))
            .help("a job needs at least `[workload.command]` with `argv = [\"…\"]`"));
    }
    Ok(text)
}

fn bytes(file: &Path) -> io::Result<Vec<u8>> {
    if !is_stdin(file) {
        return std::fs::read(file);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}
