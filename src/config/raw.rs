//! A job file that has been read and parsed: once, however often it is planned.

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
        let name = file.display().to_string();
        let parsed = text(file)
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

/// The text of a job file.
fn text(file: &Path) -> Result<String, Diagnostic> {
    #[cfg(test)]
    crate::config::counts::note_read(file);
    let bytes = std::fs::read(file).map_err(|error| Diagnostic::unreadable(file, &error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = memchr::memchr_iter(b'\n', &error.as_bytes()[..valid]).count() + 1;
        Diagnostic::new(format!(
            "`{}` is not UTF-8: line {line} is the first that is not",
            file.display()
        ))
        .help("save the file as UTF-8")
    })?;
    if text.trim().is_empty() {
        return Err(Diagnostic::new(format!("`{}` is empty", file.display()))
            .help("a job needs at least `[workload.command]` with `argv = [\"…\"]`"));
    }
    Ok(text)
}
