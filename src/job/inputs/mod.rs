//! Where tasks come from: always lazily and in bounded memory.
//!
//! A [`Source`] yields inputs, [`Selection`] says which of them become tasks. Both are settled when the job is
//! planned; nothing but headers and samples is read before [`Inputs::open`].

mod blocks;
mod counted;
mod csv;
mod dealt;
mod derived;
mod earlier;
mod files;
mod filter;
mod finish;
mod glob;
mod json;
mod jsonl;
mod lines;
mod listed;
mod notes;
mod object;
mod once;
mod options;
mod own;
mod places;
mod plan;
mod product;
mod range;
mod records;
mod regex;
mod reported;
mod select;
mod sheet;
mod shuffle;
mod source;
mod source_reader;
mod stamp;
mod text;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use finish::Finish;
use glob::Globs;
use notes::Notes;
use records::Stream;
use select::Selection;
use source::{Source, open_files, open_report, shuffled};

pub(super) use dealt::planned as planned_elsewhere;
pub use dealt::{Dealt, DealtFacts, NumberedReader, Patterns};
pub(super) use own::{OwnFiles, Writes};
pub(super) use plan::{Around, read};
pub use records::Stop;
pub use reported::Reported;

use crate::config::FoundFiles;
use crate::task::Fields;

/// The inputs of a job, planned.
#[derive(Debug)]
pub struct Inputs {
    source: Source,
    selection: Selection,
    notes: Arc<Notes>,
    empty: Empty,
    /// The patterns of all sources, also of those whose files are known by now.
    patterns: Vec<Globs>,
}

/// A job's inputs while they are read. After an error there is none.
pub type InputReader = Box<dyn Iterator<Item = Result<Fields, InputError>> + Send>;

/// An input that turned out bad while running: which file, which line, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    message: String,
    /// The option that it is about, if it is about one.
    key: Option<&'static str>,
}

impl InputError {
    /// An error in these words.
    pub(crate) fn new(message: String) -> Self {
        Self { message, key: None }
    }

    /// The same about the option `key` of the source.
    fn about(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for InputError {}

/// What becomes of a datum that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadInput {
    /// A row that says why; the rest goes on.
    #[default]
    Row,
    /// The job is drained.
    Stop,
}

/// What no input at all means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Empty {
    /// The job had nothing to do, which its exit code says.
    #[default]
    Told,
    /// That is as good as any number.
    Ok,
}

impl Inputs {
    /// One task that has no fields.
    pub(super) fn once() -> Self {
        let (selection, notes) = (Selection::default(), Arc::default());
        Self { source: plan::once(), selection, notes, empty: Empty::Told, patterns: Vec::new() }
    }

    /// The number of tasks, if it is known without reading anything.
    pub fn tasks(&self) -> Option<u64> {
        match &self.source {
            // A datum that cannot be used is a task of its own, and ends the batch before it.
            Source::Counted(_) if self.is_batched() && self.can_be_bad() => None,
            Source::Counted(counted) => self.selection.count(counted.count()),
            Source::Dealt(source) => Some(source.dealt.count),
            _ => None,
        }
    }

    /// The number of tasks of the whole job, of which these may be a part, if it is known without reading anything.
    pub fn tasks_of_job(&self) -> Option<u64> {
        match &self.source {
            Source::Dealt(source) => source.dealt.facts.tasks,
            _ => self.tasks(),
        }
    }

    /// The patterns, for whoever knows the inputs by them alone.
    pub(crate) fn patterns(&self) -> Vec<Patterns> {
        self.patterns.iter().map(Patterns::of).collect()
    }

    /// The files that are read, as far as they have names.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        if let Source::Dealt(source) = &self.source {
            return source.dealt.facts.files.clone();
        }
        let files = match &self.source {
            Source::Files(files) => &files.all[..],
            Source::Blocks(blocks) => std::slice::from_ref(&blocks.file),
            Source::Report(file, ..) => std::slice::from_ref(file),
            _ => &[],
        };
        files.iter().filter(|file| file.regular).map(|file| file.path().to_owned()).collect()
    }

    /// The folders that a pattern names: what is found there may be written beside.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        match &self.source {
            Source::Glob(globs) => globs.roots(),
            Source::Dealt(source) => source.dealt.facts.folders.clone(),
            _ => Vec::new(),
        }
    }

    /// What tells the files that patterns find from others, if there are any.
    pub(crate) fn found_files(&self) -> Option<FoundFiles> {
        let globs = self.patterns.clone();
        (!globs.is_empty())
            .then(|| FoundFiles::new(move |real| globs.iter().any(|globs| globs.finds(real))))
    }

    /// Whether the next input can be as long in coming as somebody else likes (a pipe, a terminal): such inputs are
    /// read by a thread of their own.
    pub fn can_block(&self) -> bool {
        self.source.can_block()
    }

    /// Whether they are the rows of a report, which is there only when the job that makes it has ended.
    pub fn are_reported(&self) -> bool {
        matches!(&self.source, Source::Report(..))
    }

    /// The number of the task whose input was read last, where inputs do not count from 1.
    pub fn numbers(&self) -> Option<Arc<AtomicU64>> {
        match &self.source {
            Source::Dealt(source) => Some(Arc::clone(&source.number)),
            _ => None,
        }
    }

    /// Whether a task takes several inputs.
    pub(crate) fn is_batched(&self) -> bool {
        match &self.source {
            Source::Dealt(source) => source.dealt.facts.is_batched,
            _ => self.selection.batch.is_some(),
        }
    }

    /// Whether an input hands something to the first stage.
    pub(crate) fn has_payload(&self) -> bool {
        match &self.source {
            Source::Dealt(source) => source.dealt.facts.has_payload,
            source => matches!(source, Source::Blocks(_)),
        }
    }

    /// Whether they are the blocks of a file.
    pub fn are_blocks(&self) -> bool {
        matches!(self.source, Source::Blocks(_))
    }

    /// Whether no input at all is as good as any number.
    pub fn may_be_empty(&self) -> bool {
        self.empty == Empty::Ok
    }

    /// What an empty source is called, and what came near, or what has left out all; to be said when there was no task.
    pub fn why_empty(&self) -> Option<String> {
        let left_out = match &self.source {
            Source::Counted(counted) if self.selection.filter.is_none() => {
                counted.count().min(self.selection.skip)
            }
            _ => self.notes.count_left_out(),
        };
        self.selection.why_none(left_out).or_else(|| self.source.why_empty())
    }

    /// What was noticed while they were read and cost no row.
    pub fn notes(&self) -> Vec<String> {
        self.notes.words()
    }

    /// How the source was understood: what, and in words.
    pub fn understood(&self) -> Vec<(&'static str, String)> {
        self.source.understood()
    }

    /// Whether standard input is read.
    pub fn reads_stdin(&self) -> bool {
        self.source.reads_stdin()
    }

    /// Whether an input can be a datum that cannot be used. Of some inputs it is known before that none is, which saves
    /// each of a million tasks a look.
    pub fn can_be_bad(&self) -> bool {
        let can_be_made_bad = self.selection.derived.as_ref().is_some_and(|it| it.can_fail);
        can_be_made_bad
            || match &self.source {
                Source::Counted(counted) => counted.can_be_bad(),
                _ => true,
            }
    }

    /// Reads all inputs, besides their reading for the tasks, and hands each to `take` with its task's number. It ends at
    /// one that cannot be read, of which that reading tells.
    ///
    /// # Errors
    /// A file that cannot be read (any more).
    pub fn look_through(
        &self,
        stop: Stop,
        mut take: impl FnMut(u64, &Fields),
    ) -> Result<(), InputError> {
        let numbers = self.numbers();
        self.notes.unchanged(|| {
            let inputs = self.open_until(stop)?;
            for (index, fields) in (1..).zip(inputs.map_while(Result::ok)) {
                let number = numbers.as_ref().map(|number| number.load(Ordering::Relaxed));
                take(number.unwrap_or(index), &fields);
            }
            Ok(())
        })
    }

    /// Starts reading. What was read from a pipe cannot be read again.
    ///
    /// # Errors
    /// A file that cannot be read (any more).
    pub fn open(&self) -> Result<InputReader, InputError> {
        self.open_until(Stop::default())
    }

    /// Starts reading, which `stop` can end at any time.
    ///
    /// # Errors
    /// A file that cannot be read (any more).
    pub fn open_until(&self, stop: Stop) -> Result<InputReader, InputError> {
        let (mut skipped, mut selection) = (0, self.selection.clone());
        // Straight to the first one: a skip of a billion should not count to it.
        if let Source::Counted(_) = &self.source
            && self.selection.filter.is_none()
        {
            skipped = self.selection.skip;
        }
        let (derived, filter) = (selection.derived.clone(), selection.filter.clone());
        let finish = Finish { derived, filter };
        let inputs = match (self.selection.shuffle, &self.source) {
            (Some(seed), source) => shuffled(source, seed, skipped, &finish, &stop)?,
            (None, Source::Counted(counted)) => counted.from(skipped),
            (None, Source::Files(files)) => {
                selection.derived = None;
                open_files(files, finish, &stop)?
            }
            (None, Source::Report(file, reading, notes)) => {
                selection.derived = None;
                Box::new(Stream::new(open_report(file, reading, notes, &stop)?).finished(finish))
            }
            (None, source) => source.open(&stop)?,
        };
        if !self.can_be_bad() && self.selection.keeps_all_after(skipped) {
            return Ok(inputs);
        }
        Ok(selection.of(inputs, skipped, Arc::clone(&self.notes), stop))
    }
}
