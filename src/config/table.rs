//! One table of a job file. Its reader asks for the keys that it knows; [`Table::finish`] reports the others.

mod keys;
mod templates;
mod value;
mod values;

use std::borrow::Cow;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use value::Raw;

use crate::base::Diagnostic;
use crate::base::diagnostic::{Place, nearest};
use crate::config::Document;
use crate::config::schema;
use crate::task::{Kind, Value};

#[cfg(test)]
thread_local! {
    /// What readers have asked for in this thread, and of which table.
    pub(crate) static ASKED: std::cell::RefCell<Vec<(String, &'static str)>> = std::cell::RefCell::default();
}

/// A table of a job file.
#[derive(Debug)]
pub struct Table<'a> {
    document: &'a Document,
    entries: &'a DeTable<'a>,
    /// Dotted, empty for the file itself.
    name: String,
    span: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The file itself.
    pub(crate) fn root(document: &'a Document, entries: &'a DeTable<'a>) -> Self {
        Self { document, entries, name: String::new(), span: 0..0, asked: Vec::new() }
    }

    /// A whole `runner.toml`.
    pub(crate) fn of_settings(document: &'a Document, entries: &'a DeTable<'a>) -> Self {
        Self { name: schema::RUNNER_TOML.into(), ..Self::root(document, entries) }
    }

    /// All values in this table, for keys that the user chooses, with the places of their keys.
    pub(crate) fn values<T: DeserializeOwned>(&mut self) -> Vec<(String, T, Place)> {
        let entries: &'a DeTable<'a> = self.entries;
        let all = entries.iter().filter_map(|(key, value)| {
            let name = key.get_ref().clone().into_owned();
            let read = self.read::<T>(&name, value)?;
            Some((name, read.into_inner(), self.document.place(&key.span())))
        });
        all.collect()
    }

    /// The value of `key` as a `T`. A value that is none is reported at its place.
    pub fn get<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        let value = self.raw(key)?;
        self.read(key, value)
    }

    fn read<T: DeserializeOwned>(
        &self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Option<Spanned<T>> {
        let span = value.span();
        let misfit = match T::deserialize(Raw(value)) {
            Ok(parsed) => return Some(Spanned::new(span, parsed)),
            Err(misfit) => misfit,
        };
        if let Some(text) = self.document.argument_text(&span) {
            let text = Spanned::new(span.clone(), DeValue::String(Cow::Borrowed(text)));
            if let Ok(parsed) = T::deserialize(Raw(&text)) {
                return Some(Spanned::new(span, parsed));
            }
        }
        let words = misfit.words(key);
        let place = misfit.place.filter(|_| !self.document.is_argument(&span)).unwrap_or(span);
        self.document.error(&place, words);
        None
    }

    /// The values of the array at `key`, each at its place. Those that are no `T` are all reported.
    pub fn list<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
    ) -> Option<Spanned<Vec<Spanned<T>>>> {
        let value = self.raw(key)?;
        let DeValue::Array(values) = value.get_ref() else {
            self.wrong_type(key, value, "an array");
            return None;
        };
        let read: Vec<_> = values.iter().map(|value| self.read(key, value)).collect();
        Some(Spanned::new(value.span(), read.into_iter().collect::<Option<_>>()?))
    }

    /// The value of `key` as a `T`. A missing key is reported, too.
    pub fn require<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<Spanned<T>> {
        if self.has(key) {
            return self.get(key);
        }
        self.missing(key);
        None
    }

    /// The table at `key`.
    pub fn table(&mut self, key: &'static str) -> Option<Table<'a>> {
        self.ask(key);
        let (found, value) = self.entries.get_key_value(key)?;
        self.inner(key, found.span(), value)
    }

    /// The tables of the array at `key`: a `[[key]]` each. `None` if it is something else, which is reported.
    pub(crate) fn array_of_tables(&mut self, key: &'static str) -> Option<Vec<Table<'a>>> {
        let value = self.raw(key)?;
        let DeValue::Array(array) = value.get_ref() else {
            let found = described(value.get_ref());
            let message = format!("`{key}` must be an array of tables, not {found}");
            let help = format!("write `[[{}]]` above each", self.named(key));
            self.document.error_with_help(&self.span_of_key(key), message, help);
            return None;
        };
        let tables: Vec<_> =
            array.iter().map(|element| self.inner(key, element.span(), element)).collect();
        tables.into_iter().collect()
    }

    /// The keys of the table at `key`, in order; none if it is not a table.
    pub fn inner_keys(&self, key: &str) -> Vec<String> {
        match self.entries.get(key).map(Spanned::get_ref) {
            Some(DeValue::Table(inner)) => {
                inner.keys().map(|key| key.get_ref().clone().into_owned()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The text at `key`, if it is one; nothing is asked for or reported.
    pub fn text(&self, key: &str) -> Option<String> {
        match self.entries.get(key)?.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            _ => None,
        }
    }

    /// Its name as in a header, without the brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All tables in this one, for keys that the user chooses, with the places of their keys.
    pub(crate) fn tables(&mut self) -> Vec<(Spanned<String>, Table<'a>)> {
        let entries: &'a DeTable<'a> = self.entries;
        let all = entries.iter().filter_map(|(key, value)| {
            let name = key.get_ref().clone().into_owned();
            let table = self.inner(&name, key.span(), value)?;
            Some((Spanned::new(key.span(), name), table))
        });
        all.collect()
    }

    /// The keys of this table, which the user chooses, with their places.
    pub(crate) fn user_keys(&self) -> Vec<Spanned<String>> {
        let keys = self.entries.keys();
        keys.map(|key| Spanned::new(key.span(), key.get_ref().clone().into_owned())).collect()
    }

    /// The value of a key that the user chooses.
    pub(crate) fn user_value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries.get(key)
    }

    /// The table at a key that the user chooses, which has the keys of the table called `like`.
    pub(crate) fn user_table(&self, key: &str, like: &str) -> Option<Table<'a>> {
        let (found, value) = self.entries.get_key_value(key)?;
        let table = self.inner(key, found.span(), value)?;
        Some(Table { name: like.to_owned(), ..table })
    }

    /// Where the value of `inner` is in the table at `key`.
    pub(crate) fn span_inside(&self, key: &str, inner: &str) -> Range<usize> {
        match self.entries.get(key).map(Spanned::get_ref) {
            Some(DeValue::Table(table)) => {
                table.get(inner).map_or_else(|| self.span_of(key), Spanned::span)
            }
            _ => self.span_of(key),
        }
    }

    fn inner(
        &self,
        key: &str,
        key_span: Range<usize>,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Option<Table<'a>> {
        let DeValue::Table(entries) = value.get_ref() else {
            let found = described(value.get_ref());
            let message = format!("`{key}` must be a table, not {found}");
            self.document.error_with_help(
                &value.span(),
                message,
                format!("write `[{}]`", keys::shown(&self.named(key))),
            );
            return None;
        };
        let name = self.named(key);
        Some(Table { document: self.document, entries, name, span: key_span, asked: Vec::new() })
    }

    /// Whether the value of `key`, which the user has chosen, is a table.
    pub fn is_table(&self, key: &str) -> bool {
        matches!(self.entries.get(key).map(Spanned::get_ref), Some(DeValue::Table(_)))
    }

    /// The table at `key`, which the user has chosen.
    pub fn inner_table(&self, key: &str) -> Option<Table<'a>> {
        let (found, value) = self.entries.get_key_value(key)?;
        self.inner(key, found.span(), value)
    }

    /// Where the table is: its key, as in its header.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The place of the value of `key`; the table's place if it has no such key.
    pub fn span_of(&self, key: &str) -> Range<usize> {
        self.entries.get(key).map_or_else(|| self.span(), Spanned::span)
    }

    /// The place of `key`; the table's place if it has no such key.
    pub fn span_of_key(&self, key: &str) -> Range<usize> {
        self.entries.get_key_value(key).map_or_else(|| self.span(), |(key, _)| key.span())
    }

    /// Whether the table has this key.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether the table has a key that it cannot have.
    pub(crate) fn has_unknown(&self) -> bool {
        let section = schema::section(&self.name);
        let is_known = |key: &str| section.is_some_and(|section| section.key(key).is_some());
        self.entries.keys().any(|key| !is_known(key.get_ref()))
    }

    /// Reports that `key` is needed.
    pub fn missing(&self, key: &str) {
        if self.name.is_empty() {
            self.document
                .report(Diagnostic::new(format!("`{}` has no `{key}`", self.document.name())));
        } else {
            let message = format!("`[{}]` has no `{key}`", self.name);
            match self.misspelt(key) {
                Some(near) => {
                    let help = format!("did you mean `{key}` by `{near}`?");
                    self.document.error_with_help(&self.span, message, help);
                }
                None => self.document.error(&self.span, message),
            }
        }
    }

    /// Whether its section has this key.
    fn knows(&self, key: &str) -> bool {
        schema::section(&self.name).is_some_and(|section| section.key(key).is_some())
    }

    /// The key of the table by which `key` may be meant.
    fn misspelt(&self, key: &str) -> Option<&str> {
        let strange = self.entries.keys().map(Spanned::get_ref).filter(|other| !self.knows(other));
        strange.map(AsRef::as_ref).find(|other| nearest(other, [key]).is_some())
    }

    /// Reports that `key` is needed, without which nothing else is read, and the other keys that it cannot have.
    pub fn finish_without(self, key: &str) {
        self.missing(key);
        let near = self.misspelt(key);
        for other in self.entries.keys() {
            let name: &str = other.get_ref();
            if !self.knows(name) && near != Some(name) {
                self.unknown(name, &other.span());
            }
        }
    }

    /// Reports every key that it cannot have.
    pub fn finish(self) {
        debug_assert!(
            schema::section(&self.name).is_none() || self.asked.iter().all(|key| self.knows(key)),
            "a key of [{}] is read that the schema lacks, of {:?}",
            self.name,
            self.asked
        );
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            if self.knows(name) {
                // A reader may give up at a mistake; else the key would be ignored without a word.
                if self.document.troubles() == 0 {
                    self.document.error(&key.span(), format!("`{name}` has no effect here"));
                }
                continue;
            }
            self.unknown(name, &key.span());
        }
    }

    fn unknown(&self, name: &str, span: &Range<usize>) {
        let (message, help) = keys::explain(name, &self.name, &self.asked);
        let mut diagnostic = Diagnostic::new(message).at(self.document.place(span));
        if let Some(help) = help {
            diagnostic = diagnostic.help(help);
        }
        self.document.report(diagnostic);
    }

    /// The value of `key` as the file has it.
    pub(crate) fn raw(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.ask(key);
        self.entries.get(key)
    }

    fn ask(&mut self, key: &'static str) {
        #[cfg(test)]
        ASKED.with_borrow_mut(|all| all.push((self.name.clone(), key)));
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
    }

    /// The document that the table is a part of.
    pub(crate) fn document(&self) -> &'a Document {
        self.document
    }

    /// Reports a value of the wrong type.
    pub(crate) fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = described(value.get_ref());
        self.document.error(&value.span(), format!("`{key}` must be {expected}, not {found}"));
    }

    /// The text of a value: a string, or what was typed after `--set KEY=`.
    pub(crate) fn text_of(&self, value: &'a Spanned<DeValue<'a>>) -> Option<Cow<'a, str>> {
        match value.get_ref() {
            DeValue::String(text) => Some(Cow::Borrowed(text)),
            _ => self.document.argument_text(&value.span()).map(Cow::Borrowed),
        }
    }

    fn named(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

/// The text of a single value; a number is as the file has it, but for `_` between its digits.
pub(crate) fn scalar_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// A single value, a number still being one.
pub(crate) fn scalar(value: &DeValue<'_>) -> Option<Value> {
    let kind = match value {
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => Kind::Bare,
        _ => Kind::Text,
    };
    Some(Value { text: scalar_text(value)?, kind })
}

/// What kind of value it is, with its text where that is short.
pub(crate) fn described(value: &DeValue<'_>) -> String {
    let kind = match value {
        DeValue::Array(_) => return "an array".into(),
        DeValue::Table(_) => return "a table".into(),
        DeValue::String(text) => return format!("the string \"{text}\""),
        DeValue::Integer(_) => "the integer",
        DeValue::Float(_) => "the number",
        DeValue::Boolean(_) => "the boolean",
        DeValue::Datetime(_) => "the date",
    };
    format!("{kind} {}", scalar_text(value).unwrap_or_default())
}
