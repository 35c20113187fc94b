//! What a page consists of. The template (`templates/page.html`) escapes every text of it; only drawings are markup already.

use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

/// The style sheet.
const STYLE: &str = include_str!("style.css");

/// What makes tables sortable: the page can be read without it.
const SCRIPT: &str = include_str!("script.js");

/// A page.
#[derive(Debug, Default, Template)]
#[template(path = "page.html", escape = "html", config = "src/view/askama.toml")]
pub struct Page {
    /// Its title.
    pub title: String,
    /// What it is of, above the title.
    pub kicker: String,
    /// The class of the verdict: `good`, `bad` or `open`.
    pub verdict: &'static str,
    /// The head sentences: the first one says whether it worked.
    pub head: Vec<String>,
    /// What is incomplete or odd.
    pub warnings: Vec<String>,
    /// The parts of a whole, as a bar; empty for none.
    pub parts: Vec<Part>,
    /// The figures of the first screen.
    pub tiles: Vec<Tile>,
    /// The sections.
    pub sections: Vec<Section>,
    /// Names and values at the end.
    pub facts: Vec<(String, String)>,
    /// What has made it, and when.
    pub made: String,
}

/// A part of a whole.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is.
    pub name: String,
    /// How many.
    pub count: String,
    /// Where it starts, in percent of the whole.
    pub from: String,
    /// How much of the whole it is, in percent.
    pub width: String,
    /// The class of its colour.
    pub class: &'static str,
}

/// A figure of the first screen.
#[derive(Clone, Debug)]
pub struct Tile {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What else there is to say of it.
    pub note: String,
}

/// A section.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Its name in links.
    pub id: &'static str,
    /// Its title.
    pub title: String,
    /// What it shows, in words.
    pub text: String,
    /// What is in it.
    pub blocks: Vec<Block>,
    /// Whether its blocks take the whole width.
    pub is_wide: bool,
}

/// A part of a section.
#[derive(Clone, Debug)]
pub enum Block {
    /// A chart, with the table of its numbers.
    Chart(Figure),
    /// A table.
    Table(Table),
    /// Texts that are unfolded one by one, below a line that unfolds their list.
    Details(String, Vec<Detail>),
    /// A command, or lines of a file.
    Code(String),
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it shows.
    pub title: String,
    /// What the colours mean: class and words.
    pub legend: Vec<(&'static str, String)>,
    /// The drawing, as markup.
    pub drawing: String,
    /// Its numbers.
    pub table: Table,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The heads of the columns, and whether each has numbers.
    pub head: Vec<(String, bool)>,
    /// The rows; the first cell of each names it.
    pub rows: Vec<Vec<Cell>>,
    /// What was left out.
    pub rest: String,
}

/// A cell of a table.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// Its text.
    pub text: String,
    /// Whether it is a number.
    pub is_number: bool,
    /// The class of a mark before the text; empty for none.
    pub mark: &'static str,
    /// How long a bar in it is, in percent; empty for none.
    pub bar: String,
    /// What it is sorted by; empty for its text.
    pub sort: String,
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A number, and what is sorted by.
    pub fn number(text: impl Into<String>, value: f64) -> Self {
        Self { text: text.into(), is_number: true, sort: value.to_string(), ..Self::default() }
    }

    /// Whether it has more text than fits into a narrow column.
    fn is_wide(&self) -> bool {
        self.text.chars().count() > 22
    }

    /// The same with a bar of this part of the width.
    pub fn with_bar(self, part: f64) -> Self {
        Self { bar: crate::view::chart::short(100.0 * part.clamp(0.0, 1.0)), ..self }
    }

    /// The same with a mark of this class.
    pub fn with_mark(self, mark: &'static str) -> Self {
        Self { mark, ..self }
    }
}

impl Table {
    /// A table with these heads; a head that starts with `#` is that of numbers.
    pub fn new(caption: impl Into<String>, head: &[&str]) -> Self {
        let head = head.iter().map(|name| match name.strip_prefix('#') {
            Some(name) => (name.to_owned(), true),
            None => ((*name).to_owned(), false),
        });
        Self { caption: caption.into(), head: head.collect(), ..Self::default() }
    }
}

/// A text that is unfolded.
#[derive(Clone, Debug)]
pub struct Detail {
    /// What is always shown.
    pub summary: String,
    /// The class of a mark before it.
    pub mark: &'static str,
    /// Names and values.
    pub facts: Vec<(&'static str, String)>,
    /// The text.
    pub text: String,
}

impl Page {
    /// The page, as markup.
    pub fn markup(&self) -> String {
        self.render().expect("a template writes to memory, which does not fail")
    }

    fn style() -> &'static str {
        STYLE
    }

    fn script() -> &'static str {
        SCRIPT
    }

    /// What the page may do: show itself. Nothing in it, wherever it comes from, can load or run anything else.
    fn policy() -> String {
        let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
        format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; \
             form-action 'none'",
            hash(STYLE),
            hash(SCRIPT)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_in_a_page_stays_text() {
        let bad = "</script><img src=x onerror=alert(1)>\"'&=cmd|'/c calc'!A0";
        let cell = Cell { mark: "s-ok", ..Cell::text(bad) };
        let table = Table {
            rows: vec![vec![cell.clone(), cell]],
            rest: bad.into(),
            ..Table::new(bad, &[bad, "#b"])
        };
        let detail = Detail {
            summary: bad.into(),
            mark: "s-ok",
            facts: vec![("a", bad.into())],
            text: bad.into(),
        };
        let figure = Figure {
            title: bad.into(),
            legend: vec![("s-ok", bad.into())],
            drawing: String::new(),
            table: table.clone(),
        };
        let blocks = vec![
            Block::Chart(figure),
            Block::Table(table),
            Block::Details(bad.into(), vec![detail]),
            Block::Code(bad.into()),
        ];
        let page = Page {
            title: bad.into(),
            kicker: bad.into(),
            verdict: "bad",
            head: vec![bad.into(); 2],
            warnings: vec![bad.into()],
            tiles: vec![Tile { name: bad.into(), value: bad.into(), note: bad.into() }],
            sections: vec![Section {
                id: "a",
                title: bad.into(),
                text: bad.into(),
                blocks,
                is_wide: false,
            }],
            facts: vec![(bad.into(), bad.into())],
            made: bad.into(),
            ..Page::default()
        };
        let markup = page.markup();
        assert!(!markup.contains("<img") && !markup.contains("</script><"), "{markup}");
        assert_eq!(markup.matches("<script>").count(), 1);
        assert_eq!(markup.matches("</script>").count(), 1);
    }

    #[test]
    fn style_and_script_close_no_tag() {
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</"));
        assert!(SCRIPT.len() < 8 << 10 && !SCRIPT.contains('\r') && !STYLE.contains('\r'));
        for outside in ["http:", "https:", "url(", "@import", "fetch("] {
            assert!(!STYLE.contains(outside) && !SCRIPT.contains(outside), "{outside}");
        }
    }
}
