//! Where tasks come from: always lazily and in bounded memory.
//!
//! A [`Source`] yields inputs, [`Selection`] says which of them become tasks. Both are settled when the job is
//! planned; nothing but headers is read before [`Inputs::open`].

mod csv;
mod filter;
mod glob;
mod jsonl;
mod lines;
mod listed;
mod plan;
mod range;
mod records;
mod reported;
mod select;

use std::fmt;
use std::sync::Arc;

use filter::Filter;
use glob::Glob;
use lines::{Lines, Separator};
use listed::Matrix;
use range::Range;
use records::{InputFile, Kept, Records, Stream};
use select::{Select, Shuffled};

pub(super) use plan::{Around, read};
pub use reported::Reported;

use crate::csv::ReportReader;
use crate::task::Fields;

/// The inputs of a job, planned.
#[derive(Debug)]
pub struct Inputs {
    source: Source,
    selection: Selection,
}

/// A job's inputs while they are read. After an error there is none.
pub type InputReader = Box<dyn Iterator<Item = Result<Fields, InputError>> + Send>;

/// An input that turned out bad while running: which file, which line, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError(String);

impl InputError {
    fn new(message: String) -> Self {
        Self(message)
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InputError {}

/// What yields the inputs.
#[derive(Debug)]
enum Source {
    /// Inputs that can be had by their number.
    Counted(Arc<Counted>),
    /// The records of a file.
    File { file: InputFile, format: Format, kept: Kept },
    /// The files of a pattern.
    Glob(Glob),
}

/// Inputs of which each can be had by its number, from 0.
#[derive(Debug)]
enum Counted {
    /// 1 to n.
    Repeat(u64),
    Range(Range),
    Matrix(Matrix),
    Rows(Vec<Fields>),
}

/// How a file holds its records.
#[derive(Clone, Debug)]
enum Format {
    Lines(Separator),
    /// With the header that was there when the job was planned.
    Csv(Vec<String>),
    /// With the keys of the first object, likewise.
    Jsonl(Vec<String>),
    /// The report of a job that this one needs.
    Report(ReportReader),
}

/// Which inputs become tasks; applied in this order.
#[derive(Clone, Debug, Default)]
struct Selection {
    filter: Option<Arc<Filter>>,
    shuffle: Option<u64>,
    skip: u64,
    limit: Option<u64>,
}

impl Inputs {
    /// One task that has no fields.
    pub(super) fn once() -> Self {
        plan::once(Selection::default())
    }

    /// The number of tasks, if it is known without reading anything.
    pub fn tasks(&self) -> Option<u64> {
        let Source::Counted(counted) = &self.source else { return None };
        if self.selection.filter.is_some() {
            return None;
        }
        let left = counted.count().saturating_sub(self.selection.skip);
        Some(self.selection.limit.map_or(left, |limit| left.min(limit)))
    }

    /// Whether the next input can be as long in coming as somebody else likes (a pipe, a terminal): such inputs are
    /// read by a thread of their own.
    pub fn can_block(&self) -> bool {
        match &self.source {
            Source::File { file, .. } => file.can_block(),
            Source::Counted(_) | Source::Glob(_) => false,
        }
    }

    /// Whether they are the rows of a report, which is there only when the job that makes it has ended.
    pub fn are_reported(&self) -> bool {
        matches!(&self.source, Source::File { format: Format::Report(_), .. })
    }

    /// Whether standard input is read.
    pub(super) fn reads_stdin(&self) -> bool {
        matches!(&self.source, Source::File { file, .. } if file.is_stdin())
    }

    /// Starts reading. What was read from a pipe cannot be read again.
    ///
    /// # Errors
    /// A file that cannot be read (any more).
    pub fn open(&self) -> Result<InputReader, InputError> {
        let Selection { filter, shuffle, skip, limit } = self.selection.clone();
        if let Some(seed) = shuffle {
            let shuffled = self.shuffled(seed, filter.as_deref())?;
            return Ok(Box::new(Select::new(shuffled, None, skip, limit)));
        }
        match &self.source {
            Source::Counted(counted) => {
                let counted = Arc::clone(counted);
                let count = counted.count();
                if filter.is_none() {
                    // Straight to the first one: a skip of a billion should not count to it.
                    let first = skip.min(count);
                    let end = limit.map_or(count, |limit| count.min(first.saturating_add(limit)));
                    return Ok(Box::new((first..end).map(move |index| Ok(counted.at(index)))));
                }
                let all = (0..count).map(move |index| Ok(counted.at(index)));
                Ok(Box::new(Select::new(all, filter, skip, limit)))
            }
            Source::File { file, format, kept } => {
                let records = open_file(file, format, kept)?;
                Ok(Box::new(Select::new(Stream::new(records), filter, skip, limit)))
            }
            Source::Glob(glob) => Ok(Box::new(Select::new(glob.open(), filter, skip, limit))),
        }
    }

    fn shuffled(&self, seed: u64, filter: Option<&Filter>) -> Result<Shuffled, InputError> {
        let passes = |fields: &Fields| filter.is_none_or(|filter| filter.passes(fields));
        match &self.source {
            Source::Counted(counted) => Ok(Shuffled::of_counted(counted, seed, passes)),
            Source::File { file, format, kept } => {
                Shuffled::of_records(open_file(file, format, kept)?, seed, passes)
            }
            Source::Glob(glob) => Shuffled::of_paths(glob.open(), seed, passes),
        }
    }
}

impl Counted {
    fn count(&self) -> u64 {
        match self {
            Counted::Repeat(count) => *count,
            Counted::Range(range) => range.count,
            Counted::Matrix(matrix) => matrix.count,
            Counted::Rows(rows) => rows.len() as u64,
        }
    }

    fn at(&self, index: u64) -> Fields {
        match self {
            Counted::Repeat(_) => Fields::single_number(itoa::Buffer::new().format(index + 1)),
            Counted::Range(range) => range.at(index),
            Counted::Matrix(matrix) => matrix.at(index),
            Counted::Rows(rows) => rows[index as usize].clone(),
        }
    }
}

/// The records of a file: those that were kept when the job was planned, else from the start.
fn open_file(
    file: &InputFile,
    format: &Format,
    kept: &Kept,
) -> Result<Box<dyn Records>, InputError> {
    if let Some(records) = kept.take() {
        return Ok(records);
    }
    if !file.regular && !matches!(format, Format::Lines(_)) {
        return Err(file.error("can be read only once"));
    }
    let reader = file.open().map_err(|error| file.unreadable(&error))?;
    let file = file.clone();
    let changed = || file.error("has other fields now than when the job was planned");
    match format {
        Format::Lines(separator) => Ok(Box::new(Lines::new(file, reader, *separator))),
        Format::Csv(header) => {
            let rows = csv::Rows::new(file.clone(), reader)?;
            if rows.header() == header { Ok(Box::new(rows)) } else { Err(changed()) }
        }
        Format::Report(reading) => {
            let rows = csv::Rows::of_report(file.clone(), reader, reading.clone())?;
            if rows.header() == reading.columns() { Ok(Box::new(rows)) } else { Err(changed()) }
        }
        Format::Jsonl(keys) => {
            let objects = jsonl::Objects::new(file.clone(), reader)?;
            if objects.keys() == keys { Ok(Box::new(objects)) } else { Err(changed()) }
        }
    }
}
