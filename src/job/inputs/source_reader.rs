//! Reads one source of `[inputs]`, or of a list of `matrix` or `zip`.

mod find;

use std::cell::RefCell;
use std::sync::Arc;

use toml::Spanned;

use super::blocks::Blocks;
use super::counted::Counted;
use super::csv::CsvOptions;
use super::earlier::Earlier;
use super::files::{Allowed, Files, Format};
use super::glob::Globs;
use super::lines::LineOptions;
use super::notes::Notes;
use super::options::{BlockSize, Named};
use super::plan::{Around, Found, counted};
use super::product::{Matrix, Product, Together};
use super::range::Range;
use super::records::{InputFile, Stop};
use super::sheet::SheetOptions;
use super::text::{Text, TextOptions};
use super::{Source, blocks, listed, options, places, product};
use crate::base::Diagnostic;
use crate::config::Table;
use crate::config::schema::INNER_SOURCES;

/// Reads sources.
pub(super) struct Reader<'a> {
    pub around: &'a Around<'a>,
    pub notes: Arc<Notes>,
    /// Whether a source may have no input.
    pub may_be_empty: bool,
    /// Whether the job ends at a datum that cannot be used.
    pub ends_at_bad: bool,
    /// The patterns that were read.
    pub patterns: RefCell<Vec<Globs>>,
}

impl Reader<'_> {
    /// The source under this key; how it is joined with others, if it is not the only one.
    pub fn source_of(
        &self,
        source: &'static str,
        table: &mut Table<'_>,
        joined: Option<Together>,
    ) -> Option<Found> {
        let input = || Some(vec!["input".to_owned()]);
        match source {
            "values" => {
                let (fields, rows) = listed::values(table)?;
                Some((Some(fields), counted(Counted::Rows(rows))))
            }
            "zip" => self.together(table, "zip", Together::Zip),
            "matrix" => self.together(table, "matrix", Together::Matrix),
            "range" => {
                let range = Range::read(table.table("range")?)?;
                Some((input(), counted(Counted::Range(range))))
            }
            "repeat" => {
                let count = table.get::<u64>("repeat")?.into_inner();
                Some((input(), counted(Counted::Repeat(count))))
            }
            "glob" => self.glob(table).map(|globs| {
                self.patterns.borrow_mut().push(globs.clone());
                (input(), Source::Glob(globs))
            }),
            "blocks" => {
                let fields = blocks::FIELDS.map(str::to_owned).to_vec();
                self.blocks(table).map(|blocks| (Some(fields), Source::Blocks(blocks)))
            }
            "job" => self.report(table),
            _ => self.files(source, table, joined),
        }
    }

    fn glob(&self, table: &mut Table<'_>) -> Option<Globs> {
        let mut named = Named::read(table, "glob", "pattern")?;
        let options = named.options.as_mut().map(options::glob).unwrap_or_default();
        let patterns: Vec<_> = named.names.iter().map(|name| name.get_ref().as_str()).collect();
        let globs = Globs::new(&patterns, &options, self.around.folder);
        let span = named.names[0].span();
        let globs = globs.map_err(|message| table.document().error(&span, message)).ok();
        let globs = globs.map(|globs| globs.without(&self.around.own));
        named.finish();
        globs
    }

    /// `job`: a name that no job has is said where the order of the jobs is made.
    fn report(&self, table: &mut Table<'_>) -> Option<Found> {
        let name = table.get::<String>("job")?;
        let Some(reported) = (self.around.reported)(name.get_ref()) else {
            let message = format!("what `{}` reports is not known yet", name.get_ref());
            let place = table.document().place(&name.span());
            table.document().report_absent(Diagnostic::new(message).at(place));
            return None;
        };
        // Who does not read the outputs need not know that they are cut.
        let is_used = table.document().may_use("result");
        let notes = if is_used { Arc::clone(&self.notes) } else { Arc::default() };
        Some((Some(reported.fields(table.has("batch"))), reported.source(notes)))
    }

    /// `lines`, `csv`, `jsonl`, `json`, `sheet`.
    fn files(
        &self,
        source: &'static str,
        table: &mut Table<'_>,
        joined: Option<Together>,
    ) -> Option<Found> {
        let mut named = Named::read(table, source, "file")?;
        let before = table.document().errors();
        let (mut format, mut text) = match &mut named.options {
            Some(options) => format_of(source, options),
            None => (default_format(source), TextOptions::default()),
        };
        if let Format::Lines(lines) = &mut format {
            lines.null |= table.get::<bool>("null").is_some_and(Spanned::into_inner);
            text.has_nuls = lines.null;
        }
        let has_said = named.options.as_ref().is_some_and(|options| options.has("blank"));
        if joined == Some(Together::Zip) && !has_said {
            keep_places(&mut format, &mut text);
        }
        let named_place = named.names[0].span();
        let found = self.find(&named, table);
        let places = named.options.as_ref().map(|options| {
            ["at", "sheet"].map(|key| (key, options.has(key).then(|| options.span_of(key))))
        });
        named.finish();
        let (found, is_plural) = found?;
        if table.document().errors() != before {
            return None;
        }
        if found.is_empty() {
            return Some((None, counted(Counted::Rows(Vec::new()))));
        }
        let earlier = match format {
            // The report of several sources has the fields of all of them.
            Format::Jsonl(_) | Format::Json(..) if joined.is_none() => {
                self.around.earlier().with(is_plural, table.has("batch"))
            }
            _ => Earlier::default(),
        };
        let emptiness = self.may_be_empty || found.len() > 1;
        let allowed = Allowed { emptiness, bad_files: !self.ends_at_bad };
        let notes = Arc::clone(&self.notes);
        let files = Files::learn(found, format, text, is_plural, earlier, notes, allowed);
        let files = files.map_err(|error| {
            let mut places = places.into_iter().flatten();
            let place = places.find(|(key, _)| Some(*key) == error.key).and_then(|(_, it)| it);
            self.wrong(table, &place.unwrap_or(named_place), error.message);
        });
        let files = files.ok()?;
        Some((files.fields(), Source::Files(Arc::new(files))))
    }

    /// Notes what is wrong with a file, which a needed job may yet make.
    fn wrong(&self, table: &Table<'_>, span: &std::ops::Range<usize>, message: String) {
        let document = table.document();
        self.around.absent.note(document, Diagnostic::new(message).at(document.place(span)));
    }

    fn blocks(&self, table: &mut Table<'_>) -> Option<Blocks> {
        let mut named = Named::read(table, "blocks", "file")?;
        let mut text = TextOptions { has_nuls: true, ..TextOptions::default() };
        let read = match &mut named.options {
            Some(table) => {
                text.encoding = options::encoding(table);
                options::blocks(table)
            }
            None => Some((BlockSize::Bytes(1 << 20), blocks::Cut::End(b"\n".to_vec()), false)),
        };
        let (name, second) = (named.names[0].clone(), named.names.get(1).cloned());
        named.finish();
        if let Some(second) = second {
            let message =
                "`blocks` cuts one file: several are inputs of their own, for example by `glob`";
            table.document().error(&second.span(), message);
            return None;
        }
        let (size, cut, header) = read?;
        let file = InputFile::find(name.get_ref(), self.around.folder);
        let file = file.map_err(|message| self.wrong(table, &name.span(), message)).ok()?;
        let size = match size {
            BlockSize::Bytes(size) => size,
            BlockSize::Parts(parts) => {
                let length = self.length_of(&file, text, &parts, table)?;
                length.div_ceil(*parts.get_ref()).max(1)
            }
        };
        Some(Blocks { file, size, cut, header, text })
    }

    /// The length of a file that is to be cut into parts.
    fn length_of(
        &self,
        file: &InputFile,
        text: TextOptions,
        parts: &Spanned<u64>,
        table: &Table<'_>,
    ) -> Option<u64> {
        let cannot = |why: &str| {
            let message = format!("{file} cannot be cut into `parts`: {why}");
            table.document().error_with_help(&parts.span(), message, "set `size` instead");
        };
        if !file.regular {
            cannot("its length is not known before it is read");
            return None;
        }
        let opened = Text::open(file, text, &Stop::default());
        let opened =
            opened.map_err(|error| self.wrong(table, &parts.span(), error.message)).ok()?;
        if opened.is_converted() {
            cannot("its length is not known before it is decompressed or decoded");
            return None;
        }
        std::fs::metadata(file.path()).map(|data| data.len()).ok()
    }

    /// `matrix` and `zip`: lists and sources.
    fn together(
        &self,
        table: &mut Table<'_>,
        key: &'static str,
        together: Together,
    ) -> Option<Found> {
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
        let are_named = listed::check_names(entries, document);
        let mut inner = table.table(key)?;
        let keys = inner.user_keys();
        let lists = listed::collect(keys.iter().map(|name| self.list(&mut inner, name, together)));
        are_named?;
        let lists = lists?;
        let names: Vec<String> = keys.iter().map(|name| name.get_ref().clone()).collect();
        let mut fields: Vec<String> = Vec::new();
        for (name, (own, _)) in keys.iter().zip(&lists) {
            let own = match own.as_deref() {
                Some([_]) | None => vec![name.get_ref().clone()],
                Some(own) => own.to_vec(),
            };
            for field in own {
                if fields.contains(&field) {
                    document.error(&name.span(), format!("`{key}` has the field `{field}` twice"));
                    return None;
                }
                fields.push(field);
            }
        }
        let is_known = lists.iter().all(|(own, _)| own.is_some());
        let sources: Vec<Source> = lists.into_iter().map(|(_, source)| source).collect();
        if let Some((name, _)) =
            keys.iter().zip(&sources).skip(1).find(|(_, source)| source.once().is_some())
        {
            let message = format!(
                "`{}` can be read only once: only the first source of `{key}` can be such",
                name.get_ref()
            );
            document.error(&name.span(), message);
            return None;
        }
        let source = self.joined(together, names, sources, &keys, table)?;
        Some((is_known.then_some(fields), source))
    }

    /// A list of `matrix` or `zip`, or a source: a table with the key of one.
    fn list(
        &self,
        table: &mut Table<'_>,
        name: &Spanned<String>,
        together: Together,
    ) -> Option<Found> {
        let document = table.document();
        let value = table.user_value(name.get_ref())?;
        if let Some(array) = value.get_ref().as_array() {
            let rows = listed::list(name.get_ref(), array, document)?;
            return Some((Some(vec![name.get_ref().clone()]), counted(Counted::Rows(rows))));
        }
        if !value.get_ref().is_table() {
            table.wrong_type(name.get_ref(), value, "an array");
            return None;
        }
        let mut inner = table.user_table(name.get_ref(), "inputs")?;
        let present: Vec<_> =
            INNER_SOURCES.into_iter().filter(|source| inner.raw(source).is_some()).collect();
        inner.raw("null");
        let found = match present[..] {
            [source] => self.source_of(source, &mut inner, Some(together)),
            [] => {
                let names: Vec<_> =
                    INNER_SOURCES.iter().map(|source| format!("`{source}`")).collect();
                let help = format!("a source is a table with one of {}", names.join(", "));
                let message = format!("`{}` has no source", name.get_ref());
                document.error_with_help(&value.span(), message, help);
                return None;
            }
            [_, second, ..] => {
                let message = format!("`{}` has two sources", name.get_ref());
                document.error(&inner.span_of_key(second), message);
                return None;
            }
        };
        inner.finish();
        found
    }

    /// What can be had by its number is; else the first one is read as a stream, and the others before it.
    fn joined(
        &self,
        together: Together,
        names: Vec<String>,
        sources: Vec<Source>,
        keys: &[Spanned<String>],
        table: &Table<'_>,
    ) -> Option<Source> {
        let key = if together == Together::Matrix { "matrix" } else { "zip" };
        let is_listed = |source: &Source| matches!(source, Source::Counted(_));
        if together == Together::Zip && sources.iter().all(is_listed) {
            return zip(&sources, keys, table);
        }
        if !is_listed(&sources[0]) {
            let mut sources = sources.into_iter();
            let first = Box::new(sources.next()?);
            let others = sources.collect();
            let may_be_empty = self.may_be_empty;
            return Some(Source::Product(Product { together, names, first, others, may_be_empty }));
        }
        let stop = Stop::default();
        let held = |(source, name): (&Source, &Spanned<String>)| {
            // A list of the job file may be empty: that is not a mistake in a source.
            let may_be_empty = self.may_be_empty || is_listed(source) || together == Together::Zip;
            let held = product::hold(source, name.get_ref(), may_be_empty, &stop);
            held.map_err(|error| self.wrong(table, &name.span(), error.message)).ok()
        };
        let held = listed::collect(sources.iter().zip(keys).map(held))?;
        if together == Together::Zip {
            let blanks: Vec<_> = sources.iter().map(Source::blanks).collect();
            let held = places::without_ends(held, &blanks);
            let others = held.into_iter().map(Source::Counted).collect::<Vec<_>>();
            return zip(&others, keys, table);
        }
        let matrix = Matrix::new(held);
        if matrix.is_none() {
            table.document().error(&table.span_of_key(key), "there are too many combinations");
        }
        Some(counted(Counted::Matrix(matrix?)))
    }
}

/// Lists side by side.
fn zip(lists: &[Source], keys: &[Spanned<String>], table: &Table<'_>) -> Option<Source> {
    let count = |source: &Source| match source {
        Source::Counted(counted) => counted.count(),
        _ => 0,
    };
    let length = lists.first().map_or(0, count);
    let mut equal = true;
    for (name, list) in keys.iter().zip(lists) {
        if count(list) != length {
            equal = false;
            let (name, first) = (name.get_ref(), keys[0].get_ref());
            let mut message =
                format!("`{name}` has {} values, `{first}` has {length}", count(list));
            let flaw = |list: &Source| match list {
                Source::Counted(counted) => counted.flaw().map(str::to_owned),
                _ => None,
            };
            if let Some(flaw) = flaw(list).or_else(|| flaw(&lists[0])) {
                message = format!("{message}: {flaw}");
            }
            let span = table.span_inside("zip", name);
            table.document().error_with_help(&span, message, "the lists of `zip` are equally long");
        }
    }
    if !equal {
        return None;
    }
    let lists = lists.iter().filter_map(|list| match list {
        Source::Counted(counted) => Some(Arc::clone(counted)),
        _ => None,
    });
    Some(counted(Counted::Matrix(Matrix::side_by_side(lists.collect()))))
}

/// What is blank is a place beside others. Where inputs are words, a blank line has none.
fn keep_places(format: &mut Format, text: &mut TextOptions) {
    text.has_places = true;
    match format {
        Format::Lines(lines) if lines.has_words => text.has_places = false,
        Format::Lines(lines) => lines.keep_blank = true,
        Format::Sheet(sheet) => sheet.has_places = true,
        Format::Csv(_) | Format::Jsonl(_) | Format::Json(..) => {}
    }
}

fn default_format(source: &str) -> Format {
    match source {
        "lines" => Format::Lines(LineOptions::default()),
        "csv" => Format::Csv(CsvOptions::default()),
        "jsonl" => Format::Jsonl(None),
        "json" => Format::Json(None, String::new()),
        _ => Format::Sheet(SheetOptions::default()),
    }
}

fn format_of(source: &str, table: &mut Table<'_>) -> (Format, TextOptions) {
    let encoding = if source == "sheet" { None } else { options::encoding(table) };
    let format = match source {
        "lines" => Format::Lines(options::lines(table)),
        "csv" => Format::Csv(options::csv(table)),
        "jsonl" => Format::Jsonl(options::json_fields(table)),
        "json" => Format::Json(options::json_fields(table), options::pointer(table)),
        _ => Format::Sheet(options::sheet(table)),
    };
    (format, TextOptions { encoding, ..TextOptions::default() })
}
