//! Inputs that stand in the job file itself: `values`, `matrix`, `zip`.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::base::diagnostic::nearest;
use crate::config::table::described;
use crate::config::{Document, Table, table};
use crate::task::{Fields, Value};

/// The names of some lists, and each with its place and its values.
type Lists = (Vec<String>, Vec<Spanned<Vec<Value>>>);

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

/// Every combination of some lists, the last one fastest. Only the lists are held.
#[derive(Debug)]
pub(super) struct Matrix {
    lists: Vec<Vec<Value>>,
    /// How many combinations there are.
    pub count: u64,
}

impl Matrix {
    /// Reads `matrix`.
    pub fn read(table: &mut Table<'_>) -> Option<(Vec<String>, Self)> {
        let (names, lists) = lists(table, "matrix")?;
        let lists: Vec<Vec<Value>> = lists.into_iter().map(Spanned::into_inner).collect();
        let count = lists.iter().try_fold(1_u64, |n, list| n.checked_mul(list.len() as u64));
        if count.is_none() {
            table.document().error(&table.span_of_key("matrix"), "there are too many combinations");
        }
        Some((names, Self { lists, count: count? }))
    }

    /// The combination at `index`, which is below the count.
    pub fn at(&self, mut index: u64) -> Fields {
        let mut chosen = vec![0; self.lists.len()];
        for (slot, list) in chosen.iter_mut().zip(&self.lists).rev() {
            *slot = (index % list.len() as u64) as usize;
            index /= list.len() as u64;
        }
        self.lists.iter().zip(chosen).map(|(list, at)| &list[at]).collect()
    }
}

/// Reads `zip`: lists side by side.
pub(super) fn zip(table: &mut Table<'_>) -> Option<Rows> {
    let (names, lists) = lists(table, "zip")?;
    let length = lists.first().map_or(0, |list| list.get_ref().len());
    let mut equal = true;
    for (name, list) in names.iter().zip(&lists) {
        let own = list.get_ref().len();
        if own != length {
            equal = false;
            let message = format!("`{name}` has {own} values, `{}` has {length}", names[0]);
            table.document().error_with_help(
                &list.span(),
                message,
                "the lists of `zip` are equally long",
            );
        }
    }
    let row = |index: usize| lists.iter().map(|list| &list.get_ref()[index]).collect();
    equal.then(|| (names, (0..length).map(row).collect()))
}

/// A table of lists: their names and their values.
fn lists(table: &mut Table<'_>, key: &'static str) -> Option<Lists> {
    let value = table.raw(key)?;
    let Some(entries) = value.get_ref().as_table() else {
        table.wrong_type(key, value, "a table of arrays");
        return None;
    };
    let document = table.document();
    if entries.is_empty() {
        document.error(&table.span_of_key(key), format!("`{key}` has no lists"));
        return None;
    }
    let named = check_names(entries, document);
    let lists = collect(entries.iter().map(|(name, value)| {
        let Some(array) = value.get_ref().as_array() else {
            table.wrong_type(name.get_ref(), value, "an array");
            return None;
        };
        let values =
            collect(array.iter().map(|element| scalar(name.get_ref(), element, document)))?;
        Some(Spanned::new(value.span(), values))
    }));
    named?;
    Some((entries.keys().map(|key| key.get_ref().to_string()).collect(), lists?))
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

fn check_names(entries: &DeTable<'_>, document: &Document) -> Option<()> {
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
fn collect<T, I: Iterator<Item = Option<T>>>(items: I) -> Option<Vec<T>> {
    items.collect::<Vec<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Kind;

    #[test]
    fn the_last_list_is_the_fastest() {
        let number = |text: &&str| Value { text: (*text).to_owned(), kind: Kind::Bare };
        let lists = [&["0.1", "0.01"][..], &["1", "2", "3"]];
        let lists = lists.iter().map(|list| list.iter().map(number).collect()).collect();
        let matrix = Matrix { lists, count: 6 };
        let rows: Vec<String> = (0..matrix.count)
            .map(|index| {
                let row = matrix.at(index);
                row.iter()
                    .map(|v| String::from_utf8_lossy(v).into_owned())
                    .collect::<Vec<_>>()
                    .join("/")
            })
            .collect();
        assert_eq!(rows, ["0.1/1", "0.1/2", "0.1/3", "0.01/1", "0.01/2", "0.01/3"]);
    }
}
