//! The options of a source, as the job file has them: beside the file's name, in a table of the source's own.

use encoding_rs::Encoding;
use regex::bytes::{Regex, RegexBuilder};
use toml::Spanned;
use toml::de::DeValue;

use super::blocks::Cut;
use super::csv::{CsvOptions, Header};
use super::glob::GlobOptions;
use super::lines::LineOptions;
use super::regex::FieldRegex;
use super::sheet::SheetOptions;
use crate::base::ByteSize;
use crate::base::diagnostic::nearest;
use crate::config::table::described;
use crate::config::{Document, Table};

/// A source that has a name, or several, and maybe options.
pub(super) struct Named<'a> {
    /// The files or patterns.
    pub names: Vec<Spanned<String>>,
    /// Whether an array is written.
    pub is_array: bool,
    /// The options beside them.
    pub options: Option<Table<'a>>,
}

impl<'a> Named<'a> {
    /// The source `key` of `table`, whose files are called `name` in a table.
    pub fn read(table: &mut Table<'a>, key: &'static str, name: &'static str) -> Option<Self> {
        let value = table.raw(key)?;
        if !value.get_ref().is_table() {
            let (names, is_array) = names(table, key, value)?;
            return Some(Self { names, is_array, options: None });
        }
        let mut options = table.table(key)?;
        if !options.has(name) {
            options.finish_without(name);
            return None;
        }
        let value = options.raw(name)?;
        let (names, is_array) = names(&options, name, value)?;
        Some(Self { names, is_array, options: Some(options) })
    }

    /// Reports what is left of the options.
    pub fn finish(self) {
        if let Some(options) = self.options {
            options.finish();
        }
    }
}

/// A name, or an array of them, and which.
fn names<'a>(
    table: &Table<'a>,
    key: &str,
    value: &'a Spanned<DeValue<'a>>,
) -> Option<(Vec<Spanned<String>>, bool)> {
    let DeValue::Array(array) = value.get_ref() else {
        let Some(text) = table.text_of(value) else {
            table.wrong_type(key, value, "a string, an array of strings or a table");
            return None;
        };
        return Some((vec![Spanned::new(value.span(), text.into_owned())], false));
    };
    let name = |element: &Spanned<DeValue<'_>>| {
        if let DeValue::String(name) = element.get_ref() {
            return Some(Spanned::new(element.span(), name.clone().into_owned()));
        }
        table.wrong_type(key, element, "an array of strings");
        None
    };
    if array.is_empty() {
        table.document().error(&value.span(), format!("`{key}` is empty"));
        return None;
    }
    let names: Vec<_> = array.iter().map(name).collect();
    Some((names.into_iter().collect::<Option<_>>()?, true))
}

/// A regular expression.
pub(super) fn regex(pattern: &Spanned<String>, document: &Document) -> Option<Regex> {
    built(&RegexBuilder::new(pattern.get_ref()), pattern, document)
}

fn built(builder: &RegexBuilder, pattern: &Spanned<String>, document: &Document) -> Option<Regex> {
    builder
        .build()
        .map_err(|error| {
            // Its last line is the reason; the others draw the place, which the diagnostic does.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            document.error(&pattern.span(), format!("regex does not compile: {reason}"));
        })
        .ok()
}

/// `encoding`.
pub(super) fn encoding(table: &mut Table<'_>) -> Option<&'static Encoding> {
    /// Those that people write, for a suggestion.
    const COMMON: [&str; 12] = [
        "utf-8",
        "utf-16le",
        "utf-16be",
        "windows-1252",
        "windows-1251",
        "windows-1250",
        "iso-8859-1",
        "iso-8859-15",
        "shift_jis",
        "gbk",
        "big5",
        "euc-kr",
    ];
    let name = table.get::<String>("encoding")?;
    let found = Encoding::for_label(name.get_ref().trim().as_bytes());
    if let Some(encoding) = found.filter(|&encoding| encoding != encoding_rs::REPLACEMENT) {
        return Some(encoding);
    }
    let near = nearest(name.get_ref(), COMMON);
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "the names are those of the WHATWG, such as \"utf-8\", \"utf-16le\", \"windows-1252\", \"shift_jis\"; \
                 other texts are converted first, for example by `iconv -f CP850 -t UTF-8`"
            .into(),
    };
    let message = format!("`{}` is not a known encoding", name.get_ref());
    table.document().error_with_help(&name.span(), message, help);
    None
}

/// What stands between inputs of `lines`, where CR may: files of old systems end their lines with it.
const SEPARATOR: &str = "separator";

/// A delimiter, quote or escape: one ASCII character.
fn character(table: &mut Table<'_>, key: &'static str) -> Option<u8> {
    let text = table.get::<String>(key)?;
    if let [byte] = text.get_ref().as_bytes()
        && byte.is_ascii()
        && (!matches!(byte, b'\n' | b'\r' | b'"') || (key == SEPARATOR && *byte == b'\r'))
    {
        return Some(*byte);
    }
    let help = match text.get_ref().as_str() {
        "\\t" | "tab" | "TAB" => format!("a tab is written `{key} = \"\\t\"`, in double quotes"),
        "\\s+" | " +" => {
            "columns that blanks keep apart are fields of `lines` with a `regex`".into()
        }
        _ => format!("for example `{key} = \";\"`"),
    };
    let message =
        format!("`{key}` must be one ASCII character, not the string \"{}\"", text.get_ref());
    table.document().error_with_help(&text.span(), message, help);
    None
}

fn header(table: &mut Table<'_>) -> Header {
    let Some(value) = table.raw("header") else { return Header::First };
    match value.get_ref() {
        DeValue::Boolean(true) => Header::First,
        DeValue::Boolean(false) => Header::None,
        DeValue::Array(_) => {
            let names =
                table.get::<Vec<String>>("header").map(Spanned::into_inner).unwrap_or_default();
            let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
            if let Some((_, name)) = twice {
                table
                    .document()
                    .error(&value.span(), format!("`header` has the name `{name}` twice"));
            } else if names.is_empty() || names.iter().any(String::is_empty) {
                table.document().error(&value.span(), "`header` needs a name for each column");
            }
            Header::Given(names)
        }
        other => {
            let message = format!(
                "`header` must be `true`, `false` or an array of names, not {}",
                described(other)
            );
            table.document().error(&value.span(), message);
            Header::First
        }
    }
}

fn comments(table: &mut Table<'_>) -> Option<String> {
    let comments = table.get::<String>("comments")?;
    if comments.get_ref().is_empty() {
        table.document().error(&comments.span(), "`comments` is empty: every line would be one");
        return None;
    }
    Some(comments.into_inner())
}

/// The options of `lines`.
pub(super) fn lines(table: &mut Table<'_>) -> LineOptions {
    let null = table.get::<bool>("null").is_some_and(Spanned::into_inner);
    let separator = character(table, SEPARATOR);
    if null && separator.is_some() {
        let message = "`null` and `separator` both say what ends an input";
        table.document().error_with_help(
            &table.span_of(SEPARATOR),
            message,
            "leave one of them out",
        );
    }
    let blank = table.get::<String>("blank");
    if let Some(blank) =
        blank.as_ref().filter(|blank| !["keep", "skip"].contains(&&**blank.get_ref()))
    {
        let message = format!("`blank` must be \"keep\" or \"skip\", not \"{}\"", blank.get_ref());
        table.document().error(&blank.span(), message);
    }
    let has_words = table.get::<bool>("words").is_some_and(Spanned::into_inner);
    if has_words {
        let others = ["null", "separator", "regex", "blank"];
        for other in others.into_iter().filter(|other| table.has(other)) {
            let message = format!("`words` says what an input is, and so does `{other}`");
            table.document().error_with_help(
                &table.span_of(other),
                message,
                "leave one of them out",
            );
        }
    }
    let comments = comments(table);
    let pattern = table.get::<String>("regex");
    let regex = pattern.as_ref().and_then(|pattern| {
        let regex = FieldRegex::new(regex(pattern, table.document())?);
        if regex.names().next().is_none() {
            let help = "name what becomes a field: `(?P<name>…)`";
            table.document().error_with_help(&pattern.span(), "`regex` has no named group", help);
        }
        Some(regex)
    });
    LineOptions {
        null,
        separator,
        keep_blank: blank.is_some_and(|blank| blank.get_ref() == "keep"),
        comments,
        has_words,
        regex,
    }
}

/// The options of `csv`.
pub(super) fn csv(table: &mut Table<'_>) -> CsvOptions {
    let options = CsvOptions {
        delimiter: character(table, "delimiter"),
        header: header(table),
        no_quotes: table.get::<bool>("quotes").is_some_and(|quotes| !quotes.into_inner()),
        escape: character(table, "escape"),
        skip_lines: table.get::<u64>("skip_lines").map_or(0, Spanned::into_inner),
        comments: comments(table),
        trim: table.get::<bool>("trim").is_some_and(Spanned::into_inner),
    };
    if options.escape.is_some() && options.escape == options.delimiter {
        table.document().error(&table.span_of("escape"), "`escape` and `delimiter` are the same");
    }
    options
}

/// The options of `sheet`.
pub(super) fn sheet(table: &mut Table<'_>) -> SheetOptions {
    SheetOptions {
        sheet: table.get::<String>("sheet").map(Spanned::into_inner),
        header: header(table),
        skip_lines: table.get::<u64>("skip_lines").map_or(0, Spanned::into_inner),
        has_places: false,
    }
}

/// `fields` of `jsonl` and `json`.
pub(super) fn json_fields(table: &mut Table<'_>) -> Option<Vec<String>> {
    let fields = table.get::<Vec<String>>("fields")?;
    let names = fields.get_ref();
    let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
    if let Some((_, name)) = twice {
        table.document().error(&fields.span(), format!("`fields` has the name `{name}` twice"));
    } else if names.is_empty() || names.iter().any(String::is_empty) {
        table.document().error(&fields.span(), "`fields` needs the names of keys");
    }
    Some(fields.into_inner())
}

/// `at` of `json`.
pub(super) fn pointer(table: &mut Table<'_>) -> String {
    let Some(at) = table.get::<String>("at") else { return String::new() };
    let text = at.get_ref();
    if !text.is_empty() && !text.starts_with('/') {
        let help = format!(
            "write `at = \"/{}\"`",
            text.trim_start_matches(['$', '#']).replace('.', "/").trim_start_matches('/')
        );
        table.document().error_with_help(
            &at.span(),
            format!("`{text}` is not a JSON pointer"),
            help,
        );
    }
    at.into_inner()
}

/// The options of `glob`.
pub(super) fn glob(table: &mut Table<'_>) -> GlobOptions {
    let except = match table.raw("except") {
        Some(value) if value.get_ref().is_array() => {
            table.get::<Vec<String>>("except").map(Spanned::into_inner).unwrap_or_default()
        }
        Some(_) => table.get::<String>("except").map(Spanned::into_inner).into_iter().collect(),
        None => Vec::new(),
    };
    GlobOptions {
        except,
        hidden: table.get::<bool>("hidden").is_some_and(Spanned::into_inner),
        follow: table.get::<bool>("follow").is_some_and(Spanned::into_inner),
    }
}

/// How big blocks are.
pub(super) enum BlockSize {
    Bytes(u64),
    Parts(Spanned<u64>),
}

/// The options of `blocks`: their size, where they are cut, and whether the first line belongs to each.
pub(super) fn blocks(table: &mut Table<'_>) -> Option<(BlockSize, Cut, bool)> {
    const SIZE: u64 = 1 << 20;
    let size = table.get::<ByteSize>("size");
    let parts = parts(table);
    let end = table.get::<String>("record_end");
    let start = table.get::<String>("record_start");
    let header = table.get::<bool>("header").is_some_and(Spanned::into_inner);
    let document = table.document();
    let both = |one: &str, other: &str| {
        let message = format!("`blocks` has `{one}` or `{other}`, not both");
        document.error(&table.span_of_key(other), message);
    };
    if size.is_some() && parts.is_some() {
        both("size", "parts");
        return None;
    }
    if end.is_some() && start.is_some() {
        both("record_end", "record_start");
        return None;
    }
    if let Some(size) = size.as_ref().filter(|size| size.get_ref().bytes() == 0) {
        document.error(&size.span(), "`size` must be above 0");
        return None;
    }
    if let Some(end) = end.as_ref().filter(|end| end.get_ref().is_empty()) {
        document.error(&end.span(), "`record_end` is empty");
        return None;
    }
    let cut = match &start {
        Some(start) => {
            let mut builder = RegexBuilder::new(start.get_ref());
            builder.multi_line(true); // in the middle of a file, `^` means the start of a line
            Cut::Start(built(&builder, start, document)?)
        }
        None => Cut::End(end.map_or_else(|| b"\n".to_vec(), |end| end.into_inner().into_bytes())),
    };
    let size = match parts {
        Some(parts) => BlockSize::Parts(parts),
        None => BlockSize::Bytes(size.map_or(SIZE, |size| size.get_ref().bytes())),
    };
    Some((size, cut, header))
}

fn parts(table: &mut Table<'_>) -> Option<Spanned<u64>> {
    let value = table.raw("parts")?;
    let cores = crate::model::cores() as u64;
    match value.get_ref() {
        DeValue::String(text) if text == "cores" => return Some(Spanned::new(value.span(), cores)),
        DeValue::Integer(_) => {
            let parts = table.get::<u64>("parts")?;
            if *parts.get_ref() > 0 {
                return Some(parts);
            }
        }
        _ => {}
    }
    table.wrong_type("parts", value, "a number above 0 or \"cores\"");
    None
}
