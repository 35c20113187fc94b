//! Reads `[inputs]`: exactly one source, and what is selected of it.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;

use super::filter::Filter;
use super::glob::Glob;
use super::lines::Separator;
use super::listed::Matrix;
use super::range::Range;
use super::records::{InputFile, Kept};
use super::{Counted, Format, InputError, Inputs, Reported, Selection, Source, csv, jsonl, listed};
use crate::base::Diagnostic;
use crate::config::schema;
use crate::config::{Absent, Table, inside};
use crate::task::Fields;

/// What `[inputs]` has to know of the rest of the world.
pub(in crate::job) struct Around<'a> {
    /// Relative paths start here.
    pub folder: &'a Path,
    /// What becomes of a file that is not there.
    pub absent: Absent,
    /// What the job of this name leaves; `None` while that is not known.
    pub reported: &'a dyn Fn(&str) -> Option<Reported>,
    /// How many are taken at most, whatever the table says.
    pub limit: Option<u64>,
}

/// What `[inputs]` came to.
#[derive(Debug)]
pub(in crate::job) struct Planned {
    /// `None` if the fields cannot be told.
    pub fields: Option<Vec<String>>,
    /// `None` if there was a mistake, which has been noted.
    pub inputs: Option<Inputs>,
}

/// A source and the names of its fields. No names: there is no input that could tell.
type Found = (Option<Vec<String>>, Source);

/// Reads `[inputs]`.
pub(in crate::job) fn read(table: Option<Table<'_>>, around: &Around<'_>) -> Planned {
    let Some(mut table) = table else {
        let selection = Selection { limit: around.limit, ..Selection::default() };
        return Planned { fields: Some(Vec::new()), inputs: Some(once(selection)) };
    };
    let before = table.document().troubles();
    let present = mark_sources(&mut table);
    let found = match present[..] {
        [source] => source_of(source, &mut table, around),
        [] => no_source(&table),
        [first, second, ..] => {
            two_sources(first, second, &table);
            None
        }
    };
    let null = table.get::<bool>("null");
    if let Some(null) = null
        && !table.has("lines")
    {
        table.document().error(&null.span(), "`null` goes with `lines` only");
    }
    let fields = found.as_ref().and_then(|(fields, _)| fields.clone());
    let selection =
        selection(&mut table, fields.as_deref(), found.as_ref().map(|(_, source)| source));
    let document = table.document();
    table.finish();
    let limit = around.limit.or(selection.limit);
    let selection = Selection { limit, ..selection };
    let inputs = found
        .filter(|_| document.troubles() == before)
        .map(|(_, source)| Inputs { source, selection });
    Planned { fields, inputs }
}

/// One task that has no fields.
pub(super) fn once(selection: Selection) -> Inputs {
    Inputs { source: counted(Counted::Rows(vec![Fields::default()])), selection }
}

pub(super) fn counted(counted: Counted) -> Source {
    Source::Counted(Arc::new(counted))
}

/// The sources that the table has, in its order. All keys are asked for, so that what is left is unknown.
fn mark_sources(table: &mut Table<'_>) -> Vec<&'static str> {
    let mut present: Vec<_> =
        schema::sources().filter(|source| table.raw(source).is_some()).collect();
    present.sort_by_key(|source| table.span_of_key(source).start);
    present
}

/// A table that the command line made, for a limit alone, needs no source.
fn no_source(table: &Table<'_>) -> Option<Found> {
    if table.document().is_argument(&table.span()) {
        return Some((Some(Vec::new()), counted(Counted::Rows(vec![Fields::default()]))));
    }
    // If there is one of a later day, or one that is misspelt, that is said of it.
    if !table.has_unknown() {
        let names: Vec<_> = schema::sources().map(|source| format!("`{source}`")).collect();
        let help = format!("give it one of {}", names.join(", "));
        table.document().error_with_help(&table.span(), "`[inputs]` has no source", help);
    }
    None
}

fn two_sources(first: &str, second: &str, table: &Table<'_>) {
    let document = table.document();
    let place = |key: &str, label: &str| document.place(&table.span_of_key(key)).label(label);
    document.report(
        Diagnostic::new(format!("`[inputs]` has two sources, `{first}` and `{second}`"))
            .at(place(second, "second"))
            .at(place(first, "first"))
            .help("a job has one; leave one out, or make it two jobs"),
    );
}

fn source_of(source: &'static str, table: &mut Table<'_>, around: &Around<'_>) -> Option<Found> {
    let input = || Some(vec!["input".to_owned()]);
    match source {
        "values" => {
            let (fields, rows) = listed::values(table)?;
            Some((Some(fields), counted(Counted::Rows(rows))))
        }
        "zip" => {
            let (fields, rows) = listed::zip(table)?;
            Some((Some(fields), counted(Counted::Rows(rows))))
        }
        "matrix" => {
            let (fields, matrix) = Matrix::read(table)?;
            Some((Some(fields), counted(Counted::Matrix(matrix))))
        }
        "range" => {
            let range = Range::read(table.table("range")?)?;
            Some((input(), counted(Counted::Range(range))))
        }
        "repeat" => {
            let count = table.get::<u64>("repeat")?.into_inner();
            Some((input(), counted(Counted::Repeat(count))))
        }
        "glob" => {
            let pattern = table.get::<String>("glob")?;
            let glob = Glob::new(pattern.get_ref(), around.folder);
            let glob =
                glob.map_err(|message| table.document().error(&pattern.span(), message)).ok()?;
            Some((input(), Source::Glob(glob)))
        }
        "job" => report_source(table, around),
        _ => file_source(source, table, around),
    }
}

/// `job`: a name that no job has is said where the order of the jobs is made.
fn report_source(table: &mut Table<'_>, around: &Around<'_>) -> Option<Found> {
    let name = table.get::<String>("job")?;
    let Some(reported) = (around.reported)(name.get_ref()) else {
        let message = format!("what `{}` reports is not known yet", name.get_ref());
        let place = table.document().place(&name.span());
        table.document().report_absent(Diagnostic::new(message).at(place));
        return None;
    };
    Some((Some(reported.fields()), reported.source()))
}

/// `lines`, `csv`, `jsonl`.
fn file_source(source: &'static str, table: &mut Table<'_>, around: &Around<'_>) -> Option<Found> {
    let name: Spanned<String> = table.get(source)?;
    let document = table.document();
    let place = || document.place(&name.span());
    let wrong =
        |message: String| around.absent.note(document, Diagnostic::new(message).at(place()));
    let file = InputFile::find(name.get_ref(), around.folder).map_err(wrong).ok()?;
    let (fields, format, kept) = match source {
        "lines" => {
            let null = table.get::<bool>("null").is_some_and(Spanned::into_inner);
            let separator = if null { Separator::Nul } else { Separator::Newline };
            (Some(vec!["input".into()]), Format::Lines(separator), Kept::default())
        }
        "csv" => {
            let (header, kept) = read_header(&file).map_err(|error| wrong(error.0)).ok()?;
            (Some(header.clone()), Format::Csv(header), kept)
        }
        _ => {
            let (keys, kept) = read_keys(&file).map_err(|error| wrong(error.0)).ok()?;
            // An empty file says nothing of its fields, and has no input that would need them.
            (Some(keys.clone()).filter(|keys| !keys.is_empty()), Format::Jsonl(keys), kept)
        }
    };
    Some((fields, Source::File { file, format, kept }))
}

fn read_header(file: &InputFile) -> Result<(Vec<String>, Kept), InputError> {
    let reader = file.open().map_err(|error| file.unreadable(&error))?;
    let rows = csv::Rows::new(file.clone(), reader)?;
    let header = rows.header().to_vec();
    Ok((header, if file.regular { Kept::default() } else { Kept::new(Box::new(rows)) }))
}

fn read_keys(file: &InputFile) -> Result<(Vec<String>, Kept), InputError> {
    let reader = file.open().map_err(|error| file.unreadable(&error))?;
    let objects = jsonl::Objects::new(file.clone(), reader)?;
    let keys = objects.keys().to_vec();
    Ok((keys, if file.regular { Kept::default() } else { Kept::new(Box::new(objects)) }))
}

fn selection(
    table: &mut Table<'_>,
    fields: Option<&[String]>,
    source: Option<&Source>,
) -> Selection {
    let filter = table.get::<String>("where").and_then(|text| {
        let parsed = Filter::parse(text.get_ref(), fields);
        let document = table.document();
        parsed
            .map_err(|error| {
                let place = inside(document, &text.span(), text.get_ref(), &error.span);
                document.error_with_help(&place, error.message, error.help);
            })
            .ok()
    });
    let shuffle = table.get::<u64>("shuffle");
    if let (Some(seed), Some(Source::File { file, .. })) = (&shuffle, source)
        && !file.regular
    {
        let message = format!("{file} cannot be shuffled: it can be read only once");
        let help = "write it to a file first, or leave `shuffle` out";
        table.document().error_with_help(&seed.span(), message, help);
    }
    Selection {
        filter: filter.map(Arc::new),
        shuffle: shuffle.map(Spanned::into_inner),
        skip: table.get::<u64>("skip").map_or(0, Spanned::into_inner),
        limit: table.get::<u64>("limit").map(Spanned::into_inner),
    }
}
