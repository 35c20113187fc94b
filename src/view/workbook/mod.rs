//! The workbook of a run: typed cells, in memory that does not grow with the rows.

mod cells;
mod extras;
mod sheets;

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rust_xlsxwriter::{Workbook as Book, XlsxError};
use sheets::{Formats, Sheets};

use crate::task::Status;
use crate::view::digest::status_of;
use crate::view::read::columns::Columns;
use crate::view::read::rows::Row;
use crate::view::run::{RunReport, Sink};

/// A workbook that is being written.
pub struct Workbook {
    book: Book,
    formats: Formats,
    tasks: Sheets,
    not_ok: Sheets,
    status: usize,
}

impl Workbook {
    /// An empty workbook for a report with these columns. Its rows wait in the folder of the report, in files without a
    /// name, so that nothing is left over and no memory is taken.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn new(columns: &Columns, folder: &Path) -> io::Result<Self> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        written(|| {
            let mut book = Book::new();
            book.set_tempdir(folder)?;
            let formats = Formats::new();
            let tasks = Sheets::new("Tasks", columns, &mut book, &formats)?;
            let not_ok = Sheets::new("Not ok", columns, &mut book, &formats)?;
            Ok(Self { book, formats, tasks, not_ok, status: columns.status })
        })
    }

    /// Writes the workbook into `file`. Returns what has to be said of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self, report: &RunReport, file: &mut File) -> io::Result<Vec<String>> {
        let Self { mut book, formats, tasks, not_ok, .. } = self;
        let mut notes = Vec::new();
        if tasks.cut > 0 {
            notes.push(format!(
                "{} cells are longer than the {} characters that a cell of a workbook holds: they are cut and end in `…`",
                tasks.cut,
                cells::LONGEST
            ));
        }
        written(|| {
            for sheet in tasks.finish()?.into_iter().chain(not_ok.finish()?) {
                book.push_worksheet(sheet);
            }
            book.push_worksheet(extras::summary(report, &notes, &formats)?);
            book.push_worksheet(extras::charts(report, &formats)?);
            book.save_to_writer(file)
        })?;
        Ok(notes)
    }
}

impl Sink for Workbook {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        let Self { book, formats, tasks, not_ok, status } = self;
        let is_ok = matches!(status_of(row.word(*status)), Some(Status::Ok | Status::Skipped));
        written(|| {
            tasks.add(row, book, formats)?;
            if is_ok { Ok(()) } else { not_ok.add(row, book, formats) }
        })
    }
}

/// What `write` writes. The library panics if the disk is full: that is an error like others here.
fn written<T>(write: impl FnOnce() -> Result<T, XlsxError>) -> io::Result<T> {
    match catch_unwind(AssertUnwindSafe(write)) {
        Ok(Ok(written)) => Ok(written),
        Ok(Err(XlsxError::IoError(error) | XlsxError::TempFileError(_, error))) => Err(error),
        Ok(Err(error)) => Err(io::Error::other(error.to_string())),
        Err(_) => {
            Err(io::Error::other("its rows could not be stored meanwhile; is the disk full?"))
        }
    }
}
