//! Rows of a partial that count no more: a resumed run appends what has run again, and the rows that it had before stay in
//! the file until the report is there.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use xxhash_rust::xxh3::Xxh3;

use crate::report::ReplacedRows;
use crate::view::read::columns::Columns;
use crate::view::read::figures;
use crate::view::read::files::{Files, Kind};
use crate::view::read::rows::{End, Row, Rows};

/// Tells which rows count no more.
#[derive(Debug)]
pub enum Replaced {
    /// None: the report is whole, and has one row for each task.
    None,
    /// Those that the state knows.
    Known(ReplacedRows),
    /// The state is gone. Of several rows with the same number and the same input the last one counts, which starts here.
    Last(HashMap<u128, u64>),
}

impl Replaced {
    /// Those of the report in `files`, which is opened as `file`, and of which `rows` reads as much as is looked at.
    pub fn of<R: Read>(
        files: &Files,
        file: &File,
        columns: &Columns,
        rows: impl FnOnce() -> Option<Rows<R>>,
    ) -> Self {
        if !is_partial(files.kind) {
            return Self::None;
        }
        let state = files.beside(&format!(".{}.state", files.job));
        if let Some(known) = ReplacedRows::of(file, &state) {
            return Self::Known(known);
        }
        let (mut last, Some(mut rows)) = (HashMap::new(), rows()) else { return Self::None };
        loop {
            let offset = rows.offset();
            let Ok(Some((row, End::Whole))) = rows.next() else { return Self::Last(last) };
            last.extend(task_of(&row, columns).map(|task| (task, offset)));
        }
    }

    /// Whether this row, which starts at `offset`, is one of them.
    pub fn has(&self, offset: u64, row: &Row<'_>, columns: &Columns) -> bool {
        match self {
            Self::None => false,
            Self::Known(known) => known.has(offset, row.bytes()),
            Self::Last(last) => {
                let own = task_of(row, columns).and_then(|task| last.get(&task));
                own.is_some_and(|&last| last > offset)
            }
        }
    }
}

/// The text of a report. Of a partial, as much as was there when it was opened: what comes later may have replaced rows that
/// are read before it.
#[derive(Debug)]
pub struct Text<'a> {
    file: &'a File,
    /// Where it ends; not known of a report, which may come through a pipe.
    end: Option<u64>,
}

impl<'a> Text<'a> {
    /// That of a report of this kind.
    ///
    /// # Errors
    /// If its length cannot be told.
    pub fn of(file: &'a File, kind: Kind) -> io::Result<Self> {
        let end = is_partial(kind).then(|| file.metadata().map(|meta| meta.len())).transpose()?;
        Ok(Self { file, end })
    }

    /// A reader of it; of a partial, from its start, each for itself.
    ///
    /// # Errors
    /// If there cannot be one.
    pub fn reader(&self) -> io::Result<Box<dyn Read>> {
        let file = self.file.try_clone()?;
        Ok(match self.end {
            None => Box::new(file),
            Some(end) => Box::new(Piece { file, at: 0, end }),
        })
    }
}

/// A piece of a file, whose own place stays what it is.
struct Piece {
    file: File,
    at: u64,
    end: u64,
}

impl Read for Piece {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = (self.end - self.at).min(into.len() as u64);
        let read = self.file.read_at(&mut into[..left as usize], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Whether it is a partial: of a run that goes on, or that will.
fn is_partial(kind: Kind) -> bool {
    !matches!(kind, Kind::Run | Kind::Comparison)
}

/// What tells the task of a row from others. The number alone does not: where inputs have moved since the run before, another
/// task had it then.
fn task_of(row: &Row<'_>, columns: &Columns) -> Option<u128> {
    let mut hash = Xxh3::new();
    hash.update(&figures::integer(row.word(0))?.to_le_bytes());
    for field in columns.fields.clone() {
        let text = row.text(field);
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(&text);
    }
    (row.len() == columns.names.len()).then(|| hash.digest128())
}
