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
mod glob;
mod json;
mod jsonl;
mod lines;
mod listed;
mod notes;
mod object;
mod options;
mod plan;
mod product;
mod range;
mod records;
mod reported;
mod select;
mod sheet;
mod shuffle;
mod sources;
mod text;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use blocks::Blocks;
use counted::Counted;
use dealt::DealtSource;
use files::Files;
use glob::Globs;
use notes::Notes;
use product::Product;
use records::{InputFile, Stream};
use select::Selection;
use shuffle::{Permutation, Shuffled};
use text::{Text, TextOptions};

pub(super) use dealt::planned as planned_elsewhere;
pub use dealt::{Dealt, DealtFacts, NumberedReader};
pub(super) use plan::{Around, read};
pub use records::Stop;
pub use reported::Reported;

use crate::csv::ReportReader;
use crate::task::Fields;

/// The inputs of a job, planned.
#[derive(Debug)]
pub struct Inputs {
    source: Source,
    selection: Selection,
    notes: Arc<Notes>,
    empty: Empty,
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

/// What yields the inputs.
#[derive(Debug)]
enum Source {
    /// Inputs that can be had by their number.
    Counted(Arc<Counted>),
    /// The records of files.
    Files(Arc<Files>),
    /// The report of a job that this one needs.
    Report(InputFile, ReportReader),
    /// The files of patterns.
    Glob(Globs),
    /// A big file in pieces.
    Blocks(Blocks),
    /// Sources and lists that go together.
    Product(Product),
    /// What another process has read.
    Dealt(DealtSource),
}

impl Inputs {
    /// One task that has no fields.
    pub(super) fn once() -> Self {
        let (selection, notes) = (Selection::default(), Arc::default());
        Self { source: plan::once(), selection, notes, empty: Empty::Told }
    }

    /// The number of tasks, if it is known without reading anything.
    pub fn tasks(&self) -> Option<u64> {
        match &self.source {
            Source::Counted(counted) => self.selection.count(counted.count()),
            Source::Dealt(source) => Some(source.dealt.count),
            _ => None,
        }
    }

    /// The files that are read, as far as they have names.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        if let Source::Dealt(source) = &self.source {
            return source.dealt.facts.files.clone();
        }
        let files = match &self.source {
            Source::Files(files) => &files.all[..],
            Source::Blocks(blocks) => std::slice::from_ref(&blocks.file),
            Source::Report(file, _) => std::slice::from_ref(file),
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

    /// Whether no input at all is as good as any number.
    pub fn may_be_empty(&self) -> bool {
        self.empty == Empty::Ok
    }

    /// What an empty source is called, and what came near; to be said when there was no task.
    pub fn why_empty(&self) -> Option<String> {
        self.source.why_empty()
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

    /// Whether an input can be a datum that cannot be used. The runner makes some inputs itself, which saves each of a
    /// million tasks a look.
    pub fn can_be_bad(&self) -> bool {
        !matches!(self.source, Source::Counted(_)) || self.selection.derived.is_some()
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
        let mut skipped = 0;
        let inputs = match (self.selection.shuffle, &self.source) {
            (Some(seed), source) => shuffled(source, seed, &stop)?,
            // Straight to the first one: a skip of a billion should not count to it.
            (None, Source::Counted(counted)) if self.selection.filter.is_none() => {
                skipped = self.selection.skip;
                counted.from(skipped)
            }
            (None, source) => source.open(&stop)?,
        };
        if !self.can_be_bad() && self.selection.keeps_all_after(skipped) {
            return Ok(inputs);
        }
        Ok(self.selection.of(inputs, skipped, Arc::clone(&self.notes), stop))
    }
}

impl Source {
    fn open(&self, stop: &Stop) -> Result<InputReader, InputError> {
        Ok(match self {
            Source::Counted(counted) => counted.from(0),
            Source::Files(files) if files.once().is_some() => {
                let (files, stop) = (Arc::clone(files), stop.clone());
                lazily(move || Ok(Box::new(Stream::new(files.open(&stop)?))))
            }
            Source::Files(files) => Box::new(Stream::new(files.open(stop)?)),
            Source::Report(file, reading) => {
                Box::new(Stream::new(open_report(file, reading, stop)?))
            }
            Source::Glob(globs) => globs.open(stop),
            Source::Blocks(blocks) => blocks.open(stop)?,
            Source::Product(product) => product.open(stop)?,
            Source::Dealt(source) => source.open()?,
        })
    }

    fn can_block(&self) -> bool {
        match self {
            Source::Files(files) => files.all.iter().any(InputFile::can_block),
            Source::Blocks(blocks) => blocks.file.can_block(),
            Source::Product(product) => product.first.can_block(),
            Source::Counted(_) | Source::Glob(_) | Source::Report(..) | Source::Dealt(_) => false,
        }
    }

    fn reads_stdin(&self) -> bool {
        match self {
            Source::Files(files) => files.all.iter().any(InputFile::is_stdin),
            Source::Blocks(blocks) => blocks.file.is_stdin(),
            Source::Product(product) => product.first.reads_stdin(),
            Source::Counted(_) | Source::Glob(_) | Source::Report(..) | Source::Dealt(_) => false,
        }
    }

    /// What can be read only once, if it has that.
    fn once(&self) -> Option<&InputFile> {
        match self {
            Source::Files(files) => files.once(),
            Source::Blocks(blocks) => Some(&blocks.file).filter(|file| !file.regular),
            Source::Product(product) => product.first.once(),
            Source::Counted(_) | Source::Glob(_) | Source::Report(..) | Source::Dealt(_) => None,
        }
    }

    fn why_empty(&self) -> Option<String> {
        match self {
            Source::Files(files) => match &files.all[..] {
                [file] => Some(format!("{file} has no record")),
                [first, .., last] => Some(format!(
                    "none of {} files has a record, from {first} to {last}",
                    files.all.len()
                )),
                [] => None,
            },
            Source::Glob(globs) => Some(globs.near()),
            Source::Blocks(blocks) => Some(format!("{} is empty", blocks.file)),
            Source::Product(product) => product.first.why_empty(),
            Source::Counted(_) | Source::Report(..) | Source::Dealt(_) => None,
        }
    }

    fn understood(&self) -> Vec<(&'static str, String)> {
        match self {
            Source::Files(files) => files.learned().understood.clone(),
            Source::Product(product) => product.first.understood(),
            _ => Vec::new(),
        }
    }
}

/// Inputs that are opened when the first one is asked for, since opening them can take as long as somebody else likes.
fn lazily(open: impl FnOnce() -> Result<InputReader, InputError> + Send + 'static) -> InputReader {
    let mut open = Some(open);
    let mut inputs: Option<InputReader> = None;
    Box::new(std::iter::from_fn(move || {
        if let Some(open) = open.take() {
            match open() {
                Ok(opened) => inputs = Some(opened),
                Err(error) => return Some(Err(error)),
            }
        }
        inputs.as_mut()?.next()
    }))
}

fn shuffled(source: &Source, seed: u64, stop: &Stop) -> Result<InputReader, InputError> {
    let by_number = |counted: Arc<Counted>| -> InputReader {
        let permutation = Permutation::new(counted.count(), seed);
        Box::new((0..counted.count()).map(move |place| Ok(counted.at(permutation.at(place)))))
    };
    Ok(match source {
        Source::Counted(counted) => by_number(Arc::clone(counted)),
        Source::Product(product) => by_number(Arc::new(Counted::Rows(product.hold(stop)?))),
        Source::Files(files) => Box::new(Shuffled::of_records(files.open(stop)?, seed, stop)?),
        Source::Report(file, reading) => {
            Box::new(Shuffled::of_records(open_report(file, reading, stop)?, seed, stop)?)
        }
        Source::Glob(globs) => Box::new(Shuffled::of_paths(globs.open(stop), seed, stop)?),
        Source::Dealt(source) => source.open()?, // they were shuffled before they were dealt
        Source::Blocks(blocks) => {
            Box::new(Shuffled::of_records(blocks.records(stop)?, seed, stop)?)
        }
    })
}

fn open_report(
    file: &InputFile,
    reading: &ReportReader,
    stop: &Stop,
) -> Result<Box<dyn records::Records>, InputError> {
    let text = Text::open(file, TextOptions { has_nuls: true, ..TextOptions::default() }, stop)?;
    let rows = csv::Rows::of_report(text, reading.clone())?;
    if rows.header() == reading.columns() {
        return Ok(Box::new(rows));
    }
    Err(file.error("has other fields now than when the job was planned"))
}
