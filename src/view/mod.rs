//! Reports for people: pages and workbooks, made from the files of a report in one pass and in bounded memory.
//!
//! `read` finds the files and reads their rows; `digest` gathers what a page says of them; `run` does both for a run.
//! `chart` draws; `page` has the pages. What is here knows nothing of a job that runs: it reads what others have written,
//! so an old report can be looked at again.

mod args;
mod chart;
mod compare;
mod digest;
mod page;
mod read;
mod run;
mod text;
mod workbook;

use std::io::Write;
use std::path::{Path, PathBuf};

pub use args::ReportArgs;

use crate::base::diagnostic::{complain, reason};
use crate::config::Formats;
use crate::report::publish::replace;
use crate::report::{Summary, terminal};
use crate::task::Exit;
use compare::ComparisonReport;
pub use compare::ENOUGH;
use read::files::{Files, Kind, is_companion};
use run::{RunReport, Trouble};
use workbook::Workbook;

/// Makes what `args` asks for of each of its reports, and prints where it is.
pub fn run(args: &ReportArgs) -> Exit {
    let is_one_of_many = |path: &&PathBuf| args.reports.len() > 1 && is_companion(path);
    let mut exits = Vec::new();
    for path in args.reports.iter().filter(|path| !is_one_of_many(path)) {
        match write(path, args.formats()) {
            Ok(written) => {
                let paths = written.paths.iter().map(|path| path.display().to_string());
                let lines: String = paths.map(|path| terminal::escaped(&path) + "\n").collect();
                terminal::say(&lines);
                written.warnings.iter().for_each(|warning| terminal::warn(warning));
                exits.push(if written.is_whole { Exit::Ok } else { Exit::Usage });
                if let Some(failure) = written.failure {
                    complain(failure.message);
                    exits.push(failure.exit);
                }
            }
            Err(failure) => {
                complain(failure.message);
                exits.push(failure.exit);
            }
        }
    }
    Exit::of_jobs(&exits)
}

/// Makes what a job wants of its report, now that it has ended. What cannot be made is a warning: the report is there.
pub fn also(summary: &mut Summary, formats: Formats) {
    if formats.is_none() {
        return;
    }
    match write(&summary.report, formats) {
        Ok(written) => {
            summary.pages = written.paths;
            summary.warnings.extend(written.warnings);
            summary.warnings.extend(written.failure.map(|failure| failure.message));
        }
        Err(failure) => summary.warnings.push(failure.message),
    }
}

/// What was written of a report.
#[derive(Debug)]
struct Written {
    paths: Vec<PathBuf>,
    /// What is incomplete or odd.
    warnings: Vec<String>,
    /// Whether the report itself was whole.
    is_whole: bool,
    /// Why one of two was not written.
    failure: Option<Failure>,
}

/// Why nothing was written of a report.
#[derive(Debug)]
struct Failure {
    message: String,
    exit: Exit,
}

impl Failure {
    fn usage(message: String) -> Self {
        Self { message, exit: Exit::Usage }
    }

    fn writing(path: &Path, error: &std::io::Error) -> Self {
        let message = format!("failed to write `{}`: {}", path.display(), reason(error));
        Self { message, exit: Exit::NotWritten }
    }
}

fn write(path: &Path, formats: Formats) -> Result<Written, Failure> {
    let files = Files::of(path).map_err(Failure::usage)?;
    match files.kind {
        Kind::Comparison => write_comparison(&files, formats),
        _ => {
            write_run(files.clone(), formats).or_else(|failure| write_page(files, formats, failure))
        }
    }
}

/// Writes the page alone, since the workbook was not written: what fails there need not fail here.
fn write_page(files: Files, formats: Formats, failure: Failure) -> Result<Written, Failure> {
    if !(formats.html && formats.xlsx && failure.exit == Exit::NotWritten) {
        return Err(failure);
    }
    match write_run(files, Formats { xlsx: false, ..formats }) {
        Ok(written) => Ok(Written { failure: Some(failure), ..written }),
        Err(other) if other.message == failure.message => Err(failure),
        Err(other) => {
            Err(Failure { message: format!("{}; {}", other.message, failure.message), ..failure })
        }
    }
}

fn write_run(files: Files, formats: Formats) -> Result<Written, Failure> {
    let (html, xlsx) = (files.output("html"), files.output("xlsx"));
    let folder = files.folder.clone();
    let read = RunReport::read(files, |columns| {
        formats.xlsx.then(|| Workbook::new(columns, &folder)).transpose()
    });
    let (mut report, workbook) = read.map_err(|trouble| match trouble {
        Trouble::Unusable(message) => Failure::usage(message),
        Trouble::Sink(error) => Failure::writing(&xlsx, &error),
    })?;
    let mut written = Written {
        paths: Vec::new(),
        warnings: Vec::new(),
        is_whole: report.cuts.is_empty() || report.files.kind != Kind::Run,
        failure: None,
    };
    let shown = report.files.main.display().to_string();
    let odd = report.cuts.iter().chain(&report.notes);
    written.warnings.extend(odd.map(|warning| format!("{shown}: {warning}")));
    // The page takes some figures out of the report, so it comes last.
    if let Some(workbook) = workbook {
        let mut notes = Vec::new();
        replace(&xlsx, |file| {
            notes = workbook.finish(&report, file)?;
            Ok(())
        })
        .map_err(|error| Failure::writing(&xlsx, &error))?;
        written
            .warnings
            .extend(notes.into_iter().map(|note| format!("{}: {note}", xlsx.display())));
        written.paths.push(xlsx);
    }
    if formats.html {
        let markup = page::run::markup(&mut report);
        put(&html, &markup)?;
        written.paths.insert(0, html);
    }
    Ok(written)
}

fn write_comparison(files: &Files, formats: Formats) -> Result<Written, Failure> {
    if formats.xlsx {
        let shown = files.main.display();
        return Err(Failure::usage(format!(
            "a comparison has no workbook: `{shown}` has few rows, and opens in a spreadsheet as it is; leave out --xlsx"
        )));
    }
    let html = files.output("html");
    let report = ComparisonReport::read(files).map_err(Failure::usage)?;
    put(&html, &page::compare::page(&report).markup())?;
    let shown = report.file.display();
    let warnings = report.cuts.iter().map(|warning| format!("{shown}: {warning}"));
    Ok(Written {
        warnings: warnings.collect(),
        is_whole: report.cuts.is_empty(),
        failure: None,
        paths: vec![html],
    })
}

/// Writes a page, whole or not at all.
fn put(path: &Path, markup: &str) -> Result<(), Failure> {
    replace(path, |file| file.write_all(markup.as_bytes()))
        .map_err(|error| Failure::writing(path, &error))
}
