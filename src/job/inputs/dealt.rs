//! Inputs that another process has read: their fields are known, and each comes with its task's number.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::glob::{GlobOptions, Globs};
use super::own::OwnFiles;
use super::{InputError, InputReader, Inputs, Selection, Source};
use crate::task::Fields;

/// Inputs with the numbers of their tasks.
pub type NumberedReader = Box<dyn Iterator<Item = Result<(u64, Fields), InputError>> + Send>;

/// Opens them.
pub type OpenNumbered = Box<dyn Fn() -> Result<NumberedReader, InputError> + Send + Sync>;

/// What planning a job has found out about all of its inputs.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DealtFacts {
    /// The names of the fields.
    pub fields: Vec<String>,
    /// How many of them are the source's own.
    pub own: usize,
    /// Whether a task takes several inputs.
    pub is_batched: bool,
    /// Whether an input hands something to the first stage.
    pub has_payload: bool,
    /// The files that were read, which no task may write.
    pub files: Vec<PathBuf>,
    /// The folders that a pattern named.
    pub folders: Vec<PathBuf>,
    /// How many tasks the whole job has, if that was known.
    #[serde(default)]
    pub tasks: Option<u64>,
    /// The patterns, as far as they tell the files that they find from others: no task may write one of those.
    #[serde(default)]
    pub patterns: Vec<Patterns>,
}

/// Patterns of the inputs, as they were written.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Patterns {
    globs: Vec<String>,
    options: GlobOptions,
    /// The folder of the job, in which they begin.
    folder: PathBuf,
    /// What they do not find, since the runner writes it.
    own: OwnFiles,
}

impl Patterns {
    pub(super) fn of(globs: &Globs) -> Self {
        let (written, options, folder) = globs.written();
        Self {
            globs: written.iter().map(|pattern| (*pattern).to_owned()).collect(),
            options: options.clone(),
            folder: folder.to_owned(),
            own: globs.own().cloned().unwrap_or_default(),
        }
    }

    /// `None` if they cannot be read: whoever has written them could.
    fn globs(&self) -> Option<Globs> {
        let patterns: Vec<_> = self.globs.iter().map(String::as_str).collect();
        let globs = Globs::new(&patterns, &self.options, &self.folder).ok()?;
        Some(globs.without(&Arc::new(self.own.clone())))
    }
}

/// A part of the inputs of a job.
pub struct Dealt {
    /// What is known of all of them.
    pub facts: DealtFacts,
    /// How many there are in this part.
    pub count: u64,
    /// Opens this part.
    pub open: OpenNumbered,
}

impl fmt::Debug for Dealt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dealt").field("count", &self.count).finish_non_exhaustive()
    }
}

/// A part of the inputs as a source: it tells the number of the input that it has yielded last.
#[derive(Debug)]
pub(super) struct DealtSource {
    pub dealt: Arc<Dealt>,
    pub number: Arc<AtomicU64>,
}

impl DealtSource {
    pub fn open(&self) -> Result<InputReader, InputError> {
        let number = Arc::clone(&self.number);
        let numbered = (self.dealt.open)()?;
        Ok(Box::new(numbered.map(move |input| {
            input.map(|(of_task, fields)| {
                number.store(of_task, Ordering::Relaxed); // read by the thread that has asked
                fields
            })
        })))
    }
}

/// What `[inputs]` has come to elsewhere.
pub(in crate::job) fn planned(dealt: &Arc<Dealt>) -> super::plan::Planned {
    let source = DealtSource { dealt: Arc::clone(dealt), number: Arc::default() };
    super::plan::Planned {
        fields: Some(dealt.facts.fields.clone()),
        own: dealt.facts.own,
        is_batched: dealt.facts.is_batched,
        has_payload: dealt.facts.has_payload,
        inputs: Some(Inputs {
            source: Source::Dealt(source),
            selection: Selection::default(),
            notes: Arc::default(),
            empty: super::Empty::Told,
            patterns: dealt.facts.patterns.iter().filter_map(Patterns::globs).collect(),
        }),
    }
}
