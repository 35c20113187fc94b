//! `[columns.NAME]`: report columns that are taken from a task's output, or from the headers that came with it.

mod page;
mod page_text;

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::HashSet;

use scraper::{ElementRef, Html, Selector};
use toml::Spanned;

use crate::base::json::{self, Found};
use crate::base::setting::named;
use crate::base::text::without_mark;
use crate::base::{Pattern, Piece, Take, mask};
use crate::config::{Planner, Table};
use crate::csv::columns::{field_column, is_column_of};
use crate::workload::Workload;

/// A report column that is taken from the output.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name in the report.
    pub name: String,
    rule: Rule,
    /// Where a command writes what it is read from.
    pub stream: StreamName,
    /// Whether its sum is in the summary.
    pub total: bool,
}

/// A stream of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamName {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

impl StreamName {
    /// What it is called in messages.
    pub fn what(self) -> &'static str {
        match self {
            Self::Stdout => "the output",
            Self::Stderr => "standard error",
        }
    }
}

named!(StreamName, "a string: `stdout` or `stderr`", "stdout" => Stdout, "stderr" => Stderr);

named!(Take, "a string: `first` or `last`", "first" => First, "last" => Last);

/// How the value is found in the output.
#[derive(Clone, Debug)]
enum Rule {
    /// The first group of the first or last match, or the whole match.
    Regex(Pattern),
    /// A JSON pointer (RFC 6901) into the output.
    Json(String),
    /// A header of the response, lower-case.
    Header(String),
    /// The text of the first element of a page that this selector finds.
    Html(Box<Selector>),
}

impl Column {
    /// The header that it is read from; `None` if it is read from the output.
    pub fn header(&self) -> Option<&str> {
        match &self.rule {
            Rule::Header(name) => Some(name),
            Rule::Regex(_) | Rule::Json(_) | Rule::Html(_) => None,
        }
    }

    /// The values of `columns` in `output` or `headers`; `None` where they have none. A page is parsed once for all. And why
    /// a value is not there although it should be, if so: that an answer lacks a member is as good an answer as any.
    pub fn extract_all(
        columns: &[Self],
        output: &[u8],
        headers: &[(String, Vec<u8>)],
    ) -> (Vec<Option<Piece>>, Option<String>) {
        let page = LazyCell::new(|| Pages::of(output));
        let mut doubt = None;
        let value = |column: &Self| {
            let value = match &column.rule {
                Rule::Html(selector) => {
                    page.as_ref().map_err(String::clone).map(|page| page.first(selector))
                }
                _ => column.extract(output, headers),
            };
            value.unwrap_or_else(|why| {
                doubt.get_or_insert_with(|| column.doubt(&why));
                None
            })
        };
        (columns.iter().map(value).collect(), doubt)
    }

    /// Why it has no value, as its row says it.
    pub fn doubt(&self, why: &str) -> String {
        let what = match self.rule {
            Rule::Json(_) => format!("{} is ", self.stream.what()),
            Rule::Html(_) | Rule::Regex(_) | Rule::Header(_) => String::new(),
        };
        format!("column `{}` is empty: {what}{why}", self.name)
    }

    /// The expression that finds it, if that is its rule.
    pub fn pattern(&self) -> Option<&Pattern> {
        match &self.rule {
            Rule::Regex(pattern) => Some(pattern),
            Rule::Json(_) | Rule::Header(_) | Rule::Html(_) => None,
        }
    }

    /// The value in `output` or `headers`; `None` if they have none. It may have secrets, which later stages are given; what is
    /// shown of it is masked.
    ///
    /// # Errors
    /// In words, if the output is not what the rule reads.
    pub fn extract(
        &self,
        output: &[u8],
        headers: &[(String, Vec<u8>)],
    ) -> Result<Option<Piece>, String> {
        Ok(match &self.rule {
            Rule::Regex(pattern) => pattern.find(without_mark(output)),
            Rule::Json(pointer) => match json::at(output, pointer)? {
                None | Some(Found::Null) => None,
                Some(Found::Text(text) | Found::Json(text)) => Some(text.into_bytes().into()),
            },
            Rule::Header(name) => {
                let header = headers.iter().find(|(header, _)| header == name);
                header.map(|(_, value)| value.clone().into())
            }
            Rule::Html(selector) => Pages::of(output)?.first(selector),
        })
    }

    fn read(
        name: &str,
        table: &mut Table<'_>,
        plan: &Planner<'_>,
        workload: Option<&Workload>,
    ) -> Option<Self> {
        let rules = [
            ("regex", table.get::<String>("regex")),
            ("json", table.get::<String>("json")),
            ("header", table.get::<String>("header")),
            ("html", table.get::<String>("html")),
        ];
        let take = table.get::<Take>("take");
        let stream = read_stream(table, plan, workload);
        let total = table.get::<bool>("total").is_some_and(Spanned::into_inner);
        let mut given = rules.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let Some((key, value)) = given.next() else {
            // Not if it has one that was wrong.
            if !["regex", "json", "header", "html"].iter().any(|key| table.has(key)) {
                if workload.is_some_and(Workload::returns_values) {
                    let rule = Rule::Json(member(name));
                    return Some(Self { name: name.to_owned(), rule, stream, total });
                }
                let help = "say where its value is: `regex = \"…\"`, `json = \"/pointer\"`, `html = \"selector\"` or `header = \"…\"`";
                plan.error_with_help(table.span(), format!("column `{name}` has no rule"), help);
            }
            return None;
        };
        if let Some((other, value)) = given.next() {
            plan.error(value.span(), format!("column `{name}` has both `{key}` and `{other}`"));
            return None;
        }
        if let Some(take) = take.as_ref().filter(|_| key != "regex") {
            let message = format!(
                "column `{name}`: `take` chooses among the matches of a `regex`, which `{key}` has none of"
            );
            plan.error_with_help(take.span(), message, "leave `take` out, or write a `regex`");
            return None;
        }
        let rule = match key {
            "regex" => regex_rule(&value, take.map(Spanned::into_inner).unwrap_or_default(), plan)?,
            "json" => json_rule(&value, plan)?,
            "html" => html_rule(&value, plan)?,
            _ => header_rule(&value, plan, workload)?,
        };
        if key != "header"
            && let Some(Workload::Http(spec)) = workload
            && spec.reads_no_body()
        {
            let message =
                format!("`max_body = \"0B\"` reads no body, so column `{name}` would be empty");
            plan.error(value.span(), message);
        }
        Some(Self { name: name.to_owned(), rule, stream, total })
    }
}

/// An output as a page, and what it is without its secrets, if it has any.
struct Pages {
    page: Html,
    masked: Option<Html>,
}

impl Pages {
    fn of(output: &[u8]) -> Result<Self, String> {
        let parse = |text: &[u8]| page::parse(&String::from_utf8_lossy(text));
        let masked = match mask::apply(output) {
            Cow::Owned(masked) => Some(parse(&masked)?),
            Cow::Borrowed(_) => None,
        };
        Ok(Self { page: parse(output)?, masked })
    }

    /// The text of the first element that `selector` finds. An element may have a part of a secret.
    fn first(&self, selector: &Selector) -> Option<Piece> {
        let value = first(&self.page, selector)?;
        let shown = self.masked.as_ref().map(|page| first(page, selector).unwrap_or_default());
        let shown = shown.filter(|shown| *shown != *mask::apply(&value));
        Some(Piece { value, shown })
    }
}

/// `stream`, which only a command has two of.
fn read_stream(
    table: &mut Table<'_>,
    plan: &Planner<'_>,
    workload: Option<&Workload>,
) -> StreamName {
    let Some(stream) = table.get::<StreamName>("stream") else { return StreamName::default() };
    if let Some(kind) = workload.map(Workload::kind).filter(|kind| *kind != "command") {
        let message = format!("`{kind}` has no streams to choose from, only `command` has");
        plan.error_with_help(stream.span(), message, "leave `stream` out");
    }
    stream.into_inner()
}

/// The text of the first element of the page that `selector` finds. A parser moves elements, so that the first one that it has
/// made may stand behind others.
fn first(page: &Html, selector: &Selector) -> Option<Vec<u8>> {
    let mut elements = page.tree.root().descendants().filter_map(ElementRef::wrap);
    elements
        .find(|element| selector.matches(element))
        .map(|found| page_text::of(found).into_bytes())
}

/// The pointer to the member of an object that is called `name`.
fn member(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn regex_rule(regex: &Spanned<String>, take: Take, plan: &Planner<'_>) -> Option<Rule> {
    Pattern::new(regex.get_ref(), take)
        .map_err(|reason| plan.error(regex.span(), format!("regex does not compile: {reason}")))
        .map(Rule::Regex)
        .ok()
}

fn json_rule(pointer: &Spanned<String>, plan: &Planner<'_>) -> Option<Rule> {
    let text = pointer.get_ref();
    if text.is_empty() || text.starts_with('/') {
        return Some(Rule::Json(text.clone()));
    }
    let help = format!(
        "write `json = \"/{}\"`",
        text.trim_start_matches('$').replace('.', "/").trim_start_matches('/')
    );
    plan.error_with_help(pointer.span(), format!("`{text}` is not a JSON pointer"), help);
    None
}

fn html_rule(selector: &Spanned<String>, plan: &Planner<'_>) -> Option<Rule> {
    let text = selector.get_ref();
    if let Ok(parsed) = Selector::parse(text) {
        return Some(Rule::Html(Box::new(parsed)));
    }
    // The parser's own words are those of its programmers.
    let message = match text.trim() {
        "" => "the CSS selector is empty".to_owned(),
        text if text.contains("::") => {
            format!(
                "`{text}` is not a CSS selector of elements: `::` begins what is not an element"
            )
        }
        text => format!("`{text}` is not a CSS selector"),
    };
    let help = "such as `title`, `#price` or `div.author > a`";
    plan.error_with_help(selector.span(), message, help);
    None
}

fn header_rule(
    header: &Spanned<String>,
    plan: &Planner<'_>,
    workload: Option<&Workload>,
) -> Option<Rule> {
    if let Some(kind) = workload.map(Workload::kind).filter(|kind| *kind != "http") {
        let help = "a `regex` or `json` reads the output";
        plan.error_with_help(
            header.span(),
            format!("`{kind}` has no headers, only `http` has"),
            help,
        );
        return None;
    }
    http::HeaderName::from_bytes(header.get_ref().as_bytes())
        .map_err(|_| {
            let message = format!("`{}` is not a header name", header.get_ref());
            plan.error(header.span(), message);
        })
        .map(|name| Rule::Header(name.as_str().to_owned()))
        .ok()
}

/// Reads `[columns]` of a job that does this `workload`, if that is known.
pub fn read(
    table: Option<Table<'_>>,
    plan: &Planner<'_>,
    workload: Option<&Workload>,
) -> Vec<Column> {
    let Some(mut table) = table else { return Vec::new() };
    let mut columns = Vec::new();
    let fields: HashSet<_> =
        plan.fields().iter().map(|field| field_column(field, plan.stages())).collect();
    for (name, mut column) in table.tables() {
        let (span, name) = (name.span(), name.get_ref());
        if name.is_empty() {
            plan.error(span, "a column needs a name");
        } else if is_column_of(name, plan.stages()) {
            plan.error(span, format!("the report has a column `{name}` already"));
        } else if let Some(stage) = plan.passed_column(name) {
            plan.error(span, format!("the stage `{stage}` has a column `{name}` already"));
        } else if fields.contains(name) {
            plan.error(span, format!("the report has the input field `{name}` already"));
        }
        columns.extend(Column::read(name, &mut column, plan, workload));
        column.finish();
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Column {
        Column {
            name: "x".into(),
            rule: Rule::Regex(Pattern::new(pattern, Take::First).unwrap()),
            stream: StreamName::Stdout,
            total: false,
        }
    }

    fn json(pointer: &str) -> Column {
        Column {
            name: "x".into(),
            rule: Rule::Json(pointer.into()),
            stream: StreamName::Stdout,
            total: false,
        }
    }

    #[test]
    fn values_are_found_in_the_output() {
        for (column, output, expected) in [
            (regex(r"^(\d+) "), "17 a.txt\n", Some("17")),
            (regex(r"\d+"), "a 17", Some("17")),
            (regex(r"a(b)?"), "a", None),
            (regex(r"\d"), "none", None),
            (json("/loss"), r#"{"loss": 0.10}"#, Some("0.10")),
            (json("/a/1"), r#"{"a": [1, "x,y"]}"#, Some("x,y")),
            (json("/a"), r#"{"a": {"b": 1}}"#, Some(r#"{"b":1}"#)),
            (json("/a"), r#"{"a": null}"#, None),
            (json("/b"), r#"{"a": 1}"#, None),
            (json("/b"), "no json", None),
            (json(""), " 12\n", Some("12")),
            (json("/a"), "\u{feff}{\"a\": 1}", Some("1")),
            (regex("^a"), "\u{feff}a", Some("a")),
        ] {
            let found = column.extract(output.as_bytes(), &[]).unwrap_or_default();
            let found = found.map(|piece| piece.value);
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{column:?} of {output}");
        }
        let rule = Rule::Header("server".into());
        let server = Column { name: "x".into(), rule, stream: StreamName::Stdout, total: false };
        let headers = [("server".to_owned(), b"nginx".to_vec())];
        assert_eq!(server.extract(b"", &headers).unwrap(), Some(b"nginx".to_vec().into()));
        assert_eq!(server.extract(b"server: nginx", &[]), Ok(None));
        let html = |selector: &str| Column {
            name: "x".into(),
            stream: StreamName::default(),
            total: false,
            rule: Rule::Html(Box::new(Selector::parse(selector).unwrap())),
        };
        let page = "<TITLE>\n A &amp; B &#8211;\tC\n</TITLE><p class=x>one <b>two</b><br>three<pre>a\n  b</pre><noscript><b>yes</b> no</noscript><script>x()</script><template><h1>no</h1><template>no</template></template>";
        for (selector, expected) in [
            ("title", Some("A & B \u{2013} C")),
            ("p.x", Some("one two three")),
            ("pre", Some("a\n  b")),
            ("h1", None),
            ("noscript b", Some("yes")),
            ("body", Some("one two three a\n  byes no")),
            ("script", Some("x()")),
        ] {
            let expected = vec![expected.map(|text| text.as_bytes().to_vec().into())];
            assert_eq!(
                Column::extract_all(&[html(selector)], page.as_bytes(), &[]),
                (expected, None)
            );
        }
        let (values, doubt) =
            Column::extract_all(&[html("td")], "<table><tr><td>".repeat(4000).as_bytes(), &[]);
        assert_eq!(values, [None]);
        assert_eq!(doubt.unwrap(), "column `x` is empty: elements nested more than 2000 deep");
        let found = regex("a((?-u:.*))").extract(b"a\xff", &[]).unwrap();
        assert_eq!(found, Some(b"\xff".to_vec().into()));
    }
}
