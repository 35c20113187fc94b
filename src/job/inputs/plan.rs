//! Reads `[inputs]`: exactly one source, and what is selected of it.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;

use super::counted::Counted;
use super::derived::{Derived, Rules};
use super::earlier::Earlier;
use super::filter::Filter;
use super::notes::Notes;
use super::own::OwnFiles;
use super::select::{BatchSize, Selection};
use super::source_reader::Reader;
use super::{BadInput, Empty, Inputs, Reported, Source};
use crate::base::Diagnostic;
use crate::config::schema;
use crate::config::{Absent, Table, inside};
use crate::task::Fields;

/// What `[inputs]` has to know of the rest of the world.
pub(in crate::job) struct Around<'a> {
    /// Relative paths start here.
    pub folder: &'a Path,
    /// The job's name.
    pub job: &'a str,
    /// What becomes of a file that is not there.
    pub absent: Absent,
    /// What the job of this name leaves; `None` while that is not known.
    pub reported: &'a dyn Fn(&str) -> Option<Reported>,
    /// How many are taken at most, whatever the table says.
    pub limit: Option<u64>,
    /// The folder of the report that is resumed.
    pub resumed: Option<&'a Path>,
    /// Whether its texts are safe for spreadsheets.
    pub formula_safe: bool,
    /// The fields that `[fields]` makes.
    pub made: Vec<String>,
    /// What no pattern finds.
    pub own: Arc<OwnFiles>,
}

impl Around<'_> {
    /// The names in the report that is resumed.
    pub(super) fn earlier(&self) -> Earlier {
        let open = |results| Earlier::open(results, self.job, self.formula_safe, &self.made);
        self.resumed.map(open).unwrap_or_default()
    }
}

/// What `[inputs]` and `[fields]` came to.
#[derive(Debug)]
pub(in crate::job) struct Planned {
    /// `None` if the fields cannot be told.
    pub fields: Option<Vec<String>>,
    /// How many of them are the source's own, by which a task is known.
    pub own: usize,
    /// Whether a task takes several inputs.
    pub is_batched: bool,
    /// Whether an input hands something to the first stage.
    pub has_payload: bool,
    /// `None` if there was a mistake, which has been noted.
    pub inputs: Option<Inputs>,
}

/// A source and the names of its fields. No names: there is no input that could tell.
pub(super) type Found = (Option<Vec<String>>, Source);

/// Reads `[inputs]` and `[fields]`.
pub(in crate::job) fn read(
    table: Option<Table<'_>>,
    derived: Option<Table<'_>>,
    around: &Around<'_>,
) -> Planned {
    let notes = Arc::<Notes>::default();
    let Some(mut table) = table else {
        let selection = Selection { limit: around.limit, ..Selection::default() };
        let rules = Rules::read(derived, Some(&[]));
        let derived = rules.and_then(|rules| Derived::of(rules, around.job, selection.count(1)));
        let found = Some((Some(Vec::new()), once()));
        return planned(found, derived, selection, Empty::Told, notes);
    };
    let before = table.document().troubles();
    let present = mark_sources(&mut table);
    let empty = match word(&mut table, "empty", ["ok", "told"]) {
        Some("ok") => Empty::Ok,
        _ => Empty::Told,
    };
    let reader = Reader {
        around,
        notes: Arc::clone(&notes),
        may_be_empty: empty == Empty::Ok,
        ends_at_bad: table.raw("bad_input").and_then(|value| value.get_ref().as_str())
            == Some("stop"),
        patterns: RefCell::default(),
    };
    let found = match present[..] {
        [source] => reader.source_of(source, &mut table, None),
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
    let own = found.as_ref().and_then(|(fields, _)| fields.clone());
    let errors = table.document().errors();
    let rules = Rules::read(derived, own.as_deref());
    let all = own.map(|own| rules.as_ref().map_or(own, |rules| rules.names.clone()));
    // A mistake in `[fields]` is not one more wherever their names stand.
    let all = all.filter(|_| table.document().errors() == errors);
    let source = found.as_ref().map(|(_, source)| source);
    let selection = selection(&mut table, all.as_deref(), source);
    let document = table.document();
    table.finish();
    let limit = around.limit.or(selection.limit);
    let selection = Selection { limit, ..selection };
    let tasks = source.and_then(|source| count(source, &selection));
    let has_rules = rules.is_some();
    let derived = rules.and_then(|rules| Derived::of(rules, around.job, tasks));
    let all = all.filter(|_| derived.is_some() == has_rules);
    let found = if document.troubles() == before {
        found
    } else {
        found.map(|(fields, _)| (fields, once()))
    };
    let is_sound = document.troubles() == before;
    let mut planned = planned(found, derived, selection, empty, notes);
    planned.fields = planned.fields.filter(|_| all.is_some());
    planned.inputs = planned.inputs.filter(|_| is_sound);
    if let Some(inputs) = &mut planned.inputs {
        inputs.patterns = reader.patterns.take();
    }
    planned
}

fn planned(
    found: Option<Found>,
    derived: Option<Derived>,
    mut selection: Selection,
    empty: Empty,
    notes: Arc<Notes>,
) -> Planned {
    let names = found.as_ref().and_then(|(fields, _)| fields.clone());
    let own = names.as_ref().map_or(0, Vec::len);
    let made = derived.as_ref().map_or(Vec::new(), |derived| derived.names.clone());
    let is_batched = selection.batch.is_some();
    let fields = names.map(|names| {
        let size = is_batched.then(|| BATCH_SIZE.to_owned());
        names.into_iter().chain(made).chain(size).collect()
    });
    selection.derived = derived.map(Arc::new);
    let has_payload = matches!(found, Some((_, Source::Blocks(_))));
    let inputs =
        found.map(|(_, source)| Inputs { source, selection, notes, empty, patterns: Vec::new() });
    Planned { fields, own, is_batched, has_payload, inputs }
}

/// How many tasks come of `source`, if that is known before the fields of its inputs are made. Batches end at an input of
/// which one cannot be made.
fn count(source: &Source, selection: &Selection) -> Option<u64> {
    match source {
        Source::Counted(counted) if selection.batch.is_none() => selection.count(counted.count()),
        _ => None,
    }
}

/// The field that says how many inputs a batch has.
pub(super) const BATCH_SIZE: &str = "batch_size";

/// One task that has no fields.
pub(super) fn once() -> Source {
    counted(Counted::Rows(vec![Fields::default()]))
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
        return Some((Some(Vec::new()), once()));
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

/// A key that is one of these words.
fn word(
    table: &mut Table<'_>,
    key: &'static str,
    words: [&'static str; 2],
) -> Option<&'static str> {
    let value = table.get::<String>(key)?;
    let found = words.into_iter().find(|word| word == value.get_ref());
    if found.is_none() {
        let message = format!(
            "`{key}` must be \"{}\" or \"{}\", not \"{}\"",
            words[0],
            words[1],
            value.get_ref()
        );
        table.document().error(&value.span(), message);
    }
    found
}

/// The names in words.
fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn selection(
    table: &mut Table<'_>,
    fields: Option<&[String]>,
    source: Option<&Source>,
) -> Selection {
    let filter = table.get::<String>("where").and_then(|text| {
        let parsed = Filter::parse(text.get_ref(), fields);
        let document = table.document();
        match parsed {
            Ok((filter, doubtful)) => {
                for span in doubtful.numbers {
                    document.remark_exact_number(text.get_ref(), &text.span(), &span);
                }
                for span in doubtful.constants {
                    let place = inside(document, &text.span(), text.get_ref(), &span);
                    let condition = &text.get_ref()[span];
                    let help = format!("the inputs have {}", listed(fields.unwrap_or_default()));
                    let message = format!(
                        "`{condition}` asks for no field: all inputs pass it, or none does"
                    );
                    document.warn(&place, message, help);
                }
                Some(filter)
            }
            Err(error) => {
                let place = inside(document, &text.span(), text.get_ref(), &error.span);
                document.error_with_help(&place, error.message, error.help);
                None
            }
        }
    });
    let shuffle = table.get::<u64>("shuffle");
    if let (Some(seed), Some(file)) = (&shuffle, source.and_then(Source::once)) {
        let message = format!("{file} cannot be shuffled: it can be read only once");
        let help = "write it to a file first, or leave `shuffle` out";
        table.document().error_with_help(&seed.span(), message, help);
    }
    let batch = table.get::<BatchSize>("batch");
    if let Some(batch) = &batch {
        let document = table.document();
        if batch.get_ref().is_zero() {
            document.error(&batch.span(), "`batch` must be above 0");
        } else if matches!(source, Some(Source::Blocks(_))) {
            let help = "a larger `size` has more of the file in a task";
            document.error_with_help(&batch.span(), "`blocks` are not batched", help);
        } else if fields.is_some_and(|fields| fields.iter().any(|field| field == BATCH_SIZE)) {
            let message = "the inputs have a field `batch_size`, which is what `batch` calls the number of inputs";
            let help = "give the field another name: `header` of `csv` can";
            document.error_with_help(&batch.span(), message, help);
        } else if fields.is_some_and(<[_]>::is_empty) {
            document.error(&batch.span(), "`batch` needs inputs that have a field");
        }
    }
    let bad_input = match word(table, "bad_input", ["row", "stop"]) {
        Some("stop") => BadInput::Stop,
        _ => BadInput::Row,
    };
    Selection {
        derived: None,
        filter: filter.map(Arc::new),
        shuffle: shuffle.map(Spanned::into_inner),
        skip: table.get::<u64>("skip").map_or(0, Spanned::into_inner),
        limit: table.get::<u64>("limit").map(Spanned::into_inner),
        batch: batch.map(Spanned::into_inner).filter(|size| !size.is_zero()),
        bad_input,
    }
}
