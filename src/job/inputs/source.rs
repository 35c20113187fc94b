//! What yields inputs, and how each kind is opened.

use std::sync::Arc;

use super::blocks::Blocks;
use super::counted::Counted;
use super::dealt::DealtSource;
use super::files::Files;
use super::finish::Finish;
use super::glob::Globs;
use super::notes::Notes;
use super::places::Blanks;
use super::product::Product;
use super::records::{InputFile, Records, Stop, Stream};
use super::shuffle::{Permutation, Shuffled};
use super::text::{Text, TextOptions};
use super::{InputError, InputReader, csv};
use crate::csv::ReportReader;

/// What yields the inputs.
#[derive(Debug)]
pub(super) enum Source {
    /// Inputs that can be had by their number.
    Counted(Arc<Counted>),
    /// The records of files.
    Files(Arc<Files>),
    /// The report of a job that this one needs.
    Report(InputFile, ReportReader, Arc<Notes>),
    /// The files of patterns.
    Glob(Globs),
    /// A big file in pieces.
    Blocks(Blocks),
    /// Sources and lists that go together.
    Product(Product),
    /// What another process has read.
    Dealt(DealtSource),
}

impl Source {
    pub fn open(&self, stop: &Stop) -> Result<InputReader, InputError> {
        Ok(match self {
            Source::Counted(counted) => counted.from(0),
            Source::Files(files) => open_files(files, Finish::default(), stop)?,
            Source::Report(file, reading, notes) => {
                Box::new(Stream::new(open_report(file, reading, notes, stop)?))
            }
            Source::Glob(globs) => globs.open(stop),
            Source::Blocks(blocks) => blocks.open(stop)?,
            Source::Product(product) => product.open(stop)?,
            Source::Dealt(source) => source.open()?,
        })
    }

    pub fn can_block(&self) -> bool {
        match self {
            Source::Files(files) => files.all.iter().any(InputFile::can_block),
            Source::Blocks(blocks) => blocks.file.can_block(),
            Source::Product(product) => product.first.can_block(),
            Source::Counted(_) | Source::Glob(_) | Source::Report(..) | Source::Dealt(_) => false,
        }
    }

    pub fn reads_stdin(&self) -> bool {
        match self {
            Source::Files(files) => files.all.iter().any(InputFile::is_stdin),
            Source::Blocks(blocks) => blocks.file.is_stdin(),
            Source::Product(product) => product.first.reads_stdin(),
            Source::Counted(_) | Source::Glob(_) | Source::Report(..) | Source::Dealt(_) => false,
        }
    }

    /// What can be read only once, if it has that.
    pub fn once(&self) -> Option<&InputFile> {
        match self {
            Source::Files(files) => files.once(),
            Source::Blocks(blocks) => Some(&blocks.file).filter(|file| !file.regular),
            Source::Product(product) => product.first.once(),
            Source::Counted(_) | Source::Glob(_) | Source::Report(..) | Source::Dealt(_) => None,
        }
    }

    /// What tells its blank inputs from others, if it has some since they are places.
    pub fn blanks(&self) -> Option<Blanks> {
        let Source::Files(files) = self else { return None };
        files.text.has_places.then(|| Blanks { besides: usize::from(files.says_file) })
    }

    pub fn why_empty(&self) -> Option<String> {
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
            Source::Blocks(blocks) if blocks.header => {
                Some(format!("{} has nothing after its header line", blocks.file))
            }
            Source::Blocks(blocks) => Some(format!("{} is empty", blocks.file)),
            Source::Product(product) => product.first.why_empty(),
            Source::Counted(_) | Source::Report(..) | Source::Dealt(_) => None,
        }
    }

    pub fn understood(&self) -> Vec<(&'static str, String)> {
        match self {
            Source::Files(files) => files.learned().understood.clone(),
            Source::Product(product) => product.first.understood(),
            _ => Vec::new(),
        }
    }
}

/// The records of files, as `finish` has them.
pub(super) fn open_files(
    files: &Arc<Files>,
    finish: Finish,
    stop: &Stop,
) -> Result<InputReader, InputError> {
    if files.once().is_none() {
        return Ok(Box::new(Stream::new(files.open(stop)?).finished(finish)));
    }
    let (files, stop) = (Arc::clone(files), stop.clone());
    Ok(lazily(move || Ok(Box::new(Stream::new(files.open(&stop)?).finished(finish)))))
}

/// Inputs that are opened when the first one is asked for, since opening them can take as long as somebody else likes.
pub(super) fn lazily(
    open: impl FnOnce() -> Result<InputReader, InputError> + Send + 'static,
) -> InputReader {
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

/// The inputs in the order of `seed`, without the first ones of those that can be had by their number: `skipped`.
pub(super) fn shuffled(
    source: &Source,
    seed: u64,
    skipped: u64,
    finish: &Finish,
    stop: &Stop,
) -> Result<InputReader, InputError> {
    let by_number = |counted: Arc<Counted>| -> InputReader {
        let permutation = Permutation::new(counted.count(), seed);
        let places = skipped..counted.count().max(skipped);
        Box::new(places.map(move |place| Ok(counted.at(permutation.at(place)))))
    };
    Ok(match source {
        Source::Counted(counted) => by_number(Arc::clone(counted)),
        Source::Product(product) => by_number(Arc::new(Counted::Rows(product.hold(stop)?))),
        Source::Files(files) => {
            Box::new(Shuffled::of_records(files.open(stop)?, seed, finish, stop)?)
        }
        Source::Report(file, reading, notes) => Box::new(Shuffled::of_records(
            open_report(file, reading, notes, stop)?,
            seed,
            finish,
            stop,
        )?),
        Source::Glob(globs) => Box::new(Shuffled::of_paths(globs.open(stop), seed, stop)?),
        Source::Dealt(source) => source.open()?, // they were shuffled before they were dealt
        Source::Blocks(blocks) => {
            Box::new(Shuffled::of_records(blocks.records(stop)?, seed, &Finish::default(), stop)?)
        }
    })
}

/// The rows of the report of another job.
pub(super) fn open_report(
    file: &InputFile,
    reading: &ReportReader,
    notes: &Arc<Notes>,
    stop: &Stop,
) -> Result<Box<dyn Records>, InputError> {
    let text = Text::open(file, TextOptions { has_nuls: true, ..TextOptions::default() }, stop)?;
    let rows = csv::Rows::of_report(text, reading.clone(), Arc::clone(notes))?;
    if rows.header() == reading.columns() {
        return Ok(Box::new(rows));
    }
    Err(file.error("has other fields now than when the job was planned"))
}
