//! Inputs that stand in the job file itself: `values`, and the lists of `matrix` and `zip`.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::base::diagnostic::nearest;
use crate::config::table::described;
use crate::config::{Document, Table, table};
use crate::task::{Fields, Value};

/// Rows and the names of their fields.
type Rows = (Vec<String>, Vec<Fields>);

/// Reads `values`: scalars, or tables with a field per key.
pub(super) fn values(table: &mut Table<'_>) -> Option<Rows> {
    let value = table.raw("values")?;
    let DeValue::Array(array) = value.get_ref() else {
        table.wrong_type("values", value, "an array");
        return None;
    };
    let document = table.document();
    if array.iter().all(|element| element.get_ref().is_table()) && !array.is_empty() {
        return records(array, document);
    }
    let rows: Option<Vec<Fields>> = collect(array.iter().map(|element| {
        let value = table::scalar(element.get_ref());
        if value.is_none() {
            let mixed = array.iter().any(|other| other.get_ref().is_table());
            let message = if mixed && element.get_ref().is_table() {
                "`values` has scalars and tables".to_owned()
            } else {
                format!(
                    "an input must be a string, a number, a boolean or a table, not {}",
                    described(element.get_ref())
                )
            };
            document.error(&element.span(), message);
        }
        value.map(|value| Fields::from_iter([&value]))
    }));
    Some((vec!["input".into()], rows?))
}

/// Tables: the first one has the fields; what another one lacks is empty.
fn records(array: &DeArray<'_>, document: &Document) -> Option<Rows> {
    let tables: Vec<_> = array.iter().filter_map(|element| element.get_ref().as_table()).collect();
    let names: Vec<String> = tables.first()?.keys().map(|key| key.get_ref().to_string()).collect();
    check_names(tables.first()?, document)?;
    let rows = collect(tables.iter().map(|table| {
        let mut known = true;
        for key in table.keys().filter(|key| !names.iter().any(|name| name == key.get_ref())) {
            known = false;
            let help = match nearest(key.get_ref(), names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "the first table has all the fields".into(),
            };
            let message = format!("the first table has no `{}`", key.get_ref());
            document.error_with_help(&key.span(), message, help);
        }
        let values = collect(names.iter().map(|name| match table.get(name.as_str()) {
            Some(value) => scalar(name, value, document),
            None => Some(Value::null()),
        }))?;
        known.then(|| values.iter().collect())
    }))?;
    Some((names, rows))
}

/// A list of `matrix` or `zip`: one field called `name`.
pub(super) fn list(name: &str, array: &DeArray<'_>, document: &Document) -> Option<Vec<Fields>> {
    let values = collect(array.iter().map(|element| scalar(name, element, document)))?;
    Some(values.iter().map(|value| [value].into_iter().collect()).collect())
}

fn scalar(name: &str, value: &Spanned<DeValue<'_>>, document: &Document) -> Option<Value> {
    let scalar = table::scalar(value.get_ref());
    if scalar.is_none() {
        let found = described(value.get_ref());
        let message =
            format!("a value of `{name}` must be a string, a number or a boolean, not {found}");
        document.error(&value.span(), message);
    }
    scalar
}

pub(super) fn check_names(entries: &DeTable<'_>, document: &Document) -> Option<()> {
    let span: Option<Range<usize>> =
        entries.keys().find(|key| key.get_ref().is_empty()).map(Spanned::span);
    match span {
        Some(span) => {
            document.error(&span, "a field needs a name");
            None
        }
        None => Some(()),
    }
}

/// Collects after all have been looked at, so that all mistakes are reported.
pub(super) fn collect<T, I: Iterator<Item = Option<T>>>(items: I) -> Option<Vec<T>> {
    items.collect::<Vec<_>>().into_iter().collect()
}
