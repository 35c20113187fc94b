//! .ods. What a cell shows, the text of an image that hangs on it and a value that was never calculated are told apart by
//! the elements that they stand in, which calamine does not hand on; so this reads them.

use std::fs::File;
use std::io::{BufRead, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;

use super::cell::{Cell, iso_date, iso_duration, number};
use super::xml::{next, part, push_text, skip, value};
use crate::task::Kind;

/// No sheet has more rows or columns.
const ROWS: u32 = 1 << 20;
const COLUMNS: u32 = 1 << 14;

const CONTENT: &str = "content.xml";
const TABLE: &str = "table:table";
const ROW: &str = "table:table-row";

/// What a cell shows in place of a value. Older writers say nowhere else that it is an error.
const ERRORS: [&str; 7] = ["#N/A", "#VALUE!", "#REF!", "#DIV/0!", "#NUM!", "#NAME?", "#NULL!"];

/// Where a cell goes that was read: its row and column, from 0.
pub(super) type Add<'a> = dyn FnMut(u32, u32, Option<Cell>) -> Result<(), String> + 'a;

/// A workbook, of which nothing has been read but the names of its sheets.
pub(super) struct Book {
    parts: ZipArchive<File>,
    /// The names of its sheets.
    pub sheets: Vec<String>,
}

/// Why a file is not such a workbook that can be read.
pub(super) enum Refusal {
    /// It is something else.
    Other,
    Password,
    Damaged(String),
}

impl Book {
    /// The workbook in `file`.
    pub fn open(file: File) -> Result<Self, Refusal> {
        let mut parts = ZipArchive::new(file).map_err(|_| Refusal::Other)?;
        let kind = whole(&mut parts, "mimetype");
        if kind.is_none() && parts.by_name(CONTENT).is_err() {
            return Err(Refusal::Other);
        }
        let kind = kind.unwrap_or_default();
        if !kind.is_empty() && !kind.contains("opendocument.spreadsheet") {
            return Err(Refusal::Damaged(format!("it is `{}`", kind.trim_ascii())));
        }
        if whole(&mut parts, "META-INF/manifest.xml")
            .is_some_and(|manifest| manifest.contains("encryption-data"))
        {
            return Err(Refusal::Password);
        }
        let sheets = part(&mut parts, CONTENT).and_then(|mut content| names(&mut content));
        let sheets = sheets.map_err(Refusal::Damaged)?;
        Ok(Self { parts, sheets })
    }

    /// Reads the cells of the sheet that is called so.
    pub fn read(&mut self, sheet: &str, add: &mut Add<'_>) -> Result<(), String> {
        let mut content = part(&mut self.parts, CONTENT)?;
        if find(&mut content, |name| name == sheet)? {
            read_table(&mut content, add)?;
        }
        Ok(())
    }
}

/// The beginning of a part, as text.
fn whole(parts: &mut ZipArchive<File>, name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    parts.by_name(name).ok()?.take(1 << 20).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn names<R: BufRead>(content: &mut Reader<R>) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    find(content, |name| {
        all.push(name.to_owned());
        false
    })?;
    Ok(all)
}

/// Moves on to the rows of the first sheet whose name is `wanted`. False: there is none.
fn find<R: BufRead>(
    content: &mut Reader<R>,
    mut wanted: impl FnMut(&str) -> bool,
) -> Result<bool, String> {
    let (mut buffer, mut spare) = (Vec::new(), Vec::new());
    loop {
        match next(content, &mut buffer)? {
            Event::Start(tag) => match tag.name().0 {
                "office:document-content" | "office:body" | "office:spreadsheet" => {}
                TABLE => {
                    let name = attribute(&tag, "table:name").unwrap_or_default();
                    if wanted(&name) {
                        return Ok(true);
                    }
                    skip(content, &tag, &mut spare)?;
                }
                _ => skip(content, &tag, &mut spare)?,
            },
            Event::End(tag) if tag.name().0 == "office:document-content" => return Ok(false),
            _ => {}
        }
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    tag.attributes().flatten().find(|attribute| attribute.key.0 == name).as_ref().map(value)
}

fn repeated(tag: &BytesStart<'_>, name: &str) -> u32 {
    attribute(tag, name).and_then(|count| count.parse().ok()).unwrap_or(1)
}

fn read_table<R: BufRead>(content: &mut Reader<R>, add: &mut Add<'_>) -> Result<(), String> {
    let (mut buffer, mut spare, mut row) = (Vec::new(), Vec::new(), 0);
    loop {
        match next(content, &mut buffer)? {
            Event::Start(tag) => match tag.name().0 {
                ROW => {
                    let after = row + repeated(&tag, "table:number-rows-repeated").min(ROWS - row);
                    let cells = read_row(content, &mut spare)?;
                    let rows = if cells.is_empty() { row..row } else { row..after };
                    for row in rows {
                        for (column, cell) in &cells {
                            add(row, *column, Some(cell.clone()))?;
                        }
                    }
                    row = after;
                }
                "table:table-header-rows" | "table:table-row-group" | "table:table-rows" => {}
                _ => skip(content, &tag, &mut spare)?,
            },
            Event::End(tag) if tag.name().0 == TABLE => return Ok(()),
            _ => {}
        }
    }
}

fn read_row<R: BufRead>(
    content: &mut Reader<R>,
    buffer: &mut Vec<u8>,
) -> Result<Vec<(u32, Cell)>, String> {
    let (mut cells, mut column, mut inner) = (Vec::new(), 0, Vec::new());
    loop {
        match next(content, buffer)? {
            Event::Start(tag) if is_cell(tag.name().0) => {
                let count = repeated(&tag, "table:number-columns-repeated").min(COLUMNS - column);
                let shown = read_text(content, &mut inner)?;
                if let Some(cell) = Written::of(&tag).cell(shown) {
                    cells.extend((column..column + count).map(|column| (column, cell.clone())));
                }
                column += count;
            }
            Event::Start(tag) => skip(content, &tag, &mut inner)?,
            Event::End(tag) if tag.name().0 == ROW => return Ok(cells),
            _ => {}
        }
    }
}

fn is_cell(name: &str) -> bool {
    matches!(name, "table:table-cell" | "table:covered-table-cell")
}

/// The text of a cell: its paragraphs, and not those of a note, an image or a box that hangs on it. `None`: there is none.
fn read_text<R: BufRead>(
    content: &mut Reader<R>,
    buffer: &mut Vec<u8>,
) -> Result<Option<String>, String> {
    let (mut text, mut has_paragraph, mut spare) = (String::new(), false, Vec::new());
    // How many elements of a paragraph are open.
    let mut depth = 0_usize;
    loop {
        let event = next(content, buffer)?;
        match &event {
            Event::Start(tag) => {
                let name = tag.name().0;
                match (name, depth) {
                    ("text:p" | "text:h", 0) => {
                        if has_paragraph {
                            text.push('\n');
                        }
                        (has_paragraph, depth) = (true, 1);
                    }
                    ("text:list" | "text:list-item" | "text:section", 0) => {}
                    ("text:note" | "text:ruby-text", _) | (_, 0) => skip(content, tag, &mut spare)?,
                    _ if name.starts_with("text:") => {
                        depth += 1;
                        push_space(tag, &mut text);
                    }
                    _ => skip(content, tag, &mut spare)?,
                }
            }
            Event::End(tag) if depth == 0 && is_cell(tag.name().0) => {
                return Ok(has_paragraph.then_some(text));
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            _ if depth > 0 => push_text(&event, &mut text)?,
            _ => {}
        }
    }
}

/// Adds the white space that an element stands for, if it does.
fn push_space(tag: &BytesStart<'_>, text: &mut String) {
    match tag.name().0 {
        "text:s" => {
            let count = repeated(tag, "text:c").min(1 << 20);
            text.extend((0..count).map(|_| ' '));
        }
        "text:tab" => text.push('\t'),
        "text:line-break" => text.push('\n'),
        _ => {}
    }
}

/// What is written of a cell's value.
#[derive(Default)]
struct Written {
    kind: Option<String>,
    value: Option<String>,
    has_formula: bool,
    is_error: bool,
    /// Whether the writer says which values are errors.
    is_typed: bool,
}

impl Written {
    fn of(tag: &BytesStart<'_>) -> Self {
        let mut written = Self::default();
        let mut kind_of_value = None;
        for attribute in tag.attributes().flatten() {
            let kind = match attribute.key.0 {
                "office:value-type" => {
                    written.kind = Some(value(&attribute));
                    continue;
                }
                "calcext:value-type" => {
                    written.is_error = attribute.value == "error";
                    written.is_typed = true;
                    continue;
                }
                "table:formula" => {
                    written.has_formula = true;
                    continue;
                }
                "office:value" => "float",
                "office:date-value" => "date",
                "office:time-value" => "time",
                "office:boolean-value" => "boolean",
                "office:string-value" => "string",
                _ => continue,
            };
            (written.value, kind_of_value) = (Some(value(&attribute)), Some(kind));
        }
        if written.kind.is_none() {
            written.kind = kind_of_value.map(str::to_owned);
        }
        written
    }

    /// The cell, which shows this, if it shows anything; `None` if it is empty.
    fn cell(self, shown: Option<String>) -> Option<Cell> {
        // A result that is an empty text is shown all the same.
        let is_calculated = shown.is_some();
        let shown = shown.unwrap_or_default();
        if self.is_error {
            return Some(Cell::error(if shown.is_empty() { "of a formula" } else { &shown }));
        }
        let shows_error =
            !self.is_typed && (ERRORS.contains(&&*shown) || is_numbered_error(&shown));
        let kind = self.kind.as_deref().unwrap_or("string");
        if matches!(kind, "string" | "void") {
            if self.has_formula && shows_error {
                return Some(Cell::error(&shown));
            }
            if self.has_formula && self.kind.is_none() && !is_calculated {
                return Some(Cell::uncalculated());
            }
            return Cell::text(self.value.unwrap_or(shown));
        }
        if shows_error {
            return Some(Cell::error(&shown));
        }
        Some(match (kind, self.value) {
            (_, None) if self.has_formula => Cell::uncalculated(),
            (_, None) if shown.is_empty() => return None,
            (_, None) => Cell::None(format!("shows `{shown}` and has no value")),
            ("float" | "percentage" | "currency", Some(value)) => number(&value),
            ("date", Some(value)) => iso_date(&value),
            ("time", Some(value)) => iso_duration(&value),
            ("boolean", Some(value)) if matches!(&*value, "true" | "TRUE" | "1") => {
                Cell::Value("true".into(), Kind::Bare)
            }
            ("boolean", Some(value)) if matches!(&*value, "false" | "FALSE" | "0") => {
                Cell::Value("false".into(), Kind::Bare)
            }
            (kind, Some(value)) => {
                Cell::None(format!("holds `{value}`, which is not a {kind} that can be used"))
            }
        })
    }
}

/// `Err:508`.
fn is_numbered_error(shown: &str) -> bool {
    shown
        .strip_prefix("Err:")
        .is_some_and(|number| number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::super::xml::reader;
    use super::*;

    /// The cells of the row that has these, by column.
    fn cells(written: &str) -> Vec<(u32, Cell)> {
        let content = format!(
            "<office:document-content><office:scripts/><office:body><office:spreadsheet>\
             <table:table table:name=\"A&amp;B\"><table:shapes><draw:frame><text:p>box</text:p>\
             </draw:frame></table:shapes><table:table-row-group><table:table-row>{written}\
             </table:table-row></table:table-row-group></table:table>\
             </office:spreadsheet></office:body></office:document-content>"
        );
        assert_eq!(names(&mut reader(content.as_bytes())).unwrap(), ["A&B"]);
        let mut content = reader(content.as_bytes());
        assert!(find(&mut content, |name| name == "A&B").unwrap());
        let mut all = Vec::new();
        let add = &mut |row: u32, column: u32, cell: Option<Cell>| {
            assert_eq!(row, 0);
            all.extend(cell.map(|cell| (column, cell)));
            Ok(())
        };
        read_table(&mut content, add).unwrap();
        all
    }

    /// The only cell, with these attributes and this content.
    fn cell(attributes: &str, inner: &str) -> Option<Cell> {
        let all = cells(&format!("<table:table-cell {attributes}>{inner}</table:table-cell>"));
        all.into_iter().map(|(_, cell)| cell).next()
    }

    fn value(attributes: &str, inner: &str) -> String {
        match cell(attributes, inner) {
            Some(Cell::Value(text, _)) => text,
            other => panic!("{attributes} {inner}: {other:?}"),
        }
    }

    const STRING: &str = "office:value-type=\"string\"";

    #[test]
    fn errors_are_no_values() {
        let float = "office:value-type=\"float\" office:value=\"0\"";
        for (attributes, shown) in [
            (
                "table:formula=\"of:=1/0\" office:value-type=\"string\" office:string-value=\"\" \
                 calcext:value-type=\"error\"",
                "#DIV/0!",
            ),
            (float, "#N/A"),
            (float, "Err:508"),
            ("table:formula=\"of:=X\" office:value-type=\"string\"", "#NAME?"),
        ] {
            let cell = cell(attributes, &format!("<text:p>{shown}</text:p>"));
            assert_eq!(cell, Some(Cell::error(shown)));
        }
        assert_eq!(value(STRING, "<text:p>#N/A</text:p>"), "#N/A", "a text that somebody typed");
        let uncalculated =
            ["table:formula=\"of:=1\"", "table:formula=\"of:=1\" office:value-type=\"float\""];
        for attributes in uncalculated {
            assert_eq!(cell(attributes, ""), Some(Cell::uncalculated()));
        }
        let empty = "table:formula=\"of:=X\" office:value-type=\"string\" office:string-value=\"\"";
        assert_eq!(cell(empty, ""), None);
        assert_eq!(cell("table:formula=\"of:=&quot;&quot;\"", "<text:p/>"), None);
        let typed =
            "table:formula=\"of:=X\" office:value-type=\"string\" calcext:value-type=\"string\"";
        assert_eq!(value(typed, "<text:p>#N/A</text:p>"), "#N/A", "a formula's text");
        for attributes in [
            "office:value-type=\"float\" office:value=\"abc\"",
            "office:value-type=\"float\" office:value=\"\"",
            "office:value-type=\"boolean\" office:boolean-value=\"x\"",
        ] {
            let cell = cell(attributes, "");
            assert!(matches!(&cell, Some(Cell::None(why)) if why.contains("be used")), "{cell:?}");
        }
    }

    #[test]
    fn only_the_paragraphs_of_a_cell_are_its_text() {
        let boxed =
            "<draw:frame><draw:text-box><text:p>boxed</text:p></draw:text-box></draw:frame>";
        let note =
            "<office:annotation><dc:date>2024</dc:date><text:p>n</text:p></office:annotation>";
        let own = "<text:p>a<text:s text:c=\"2\"/><text:span>b<text:tab/></text:span>&lt;</text:p>";
        let inner = format!("{note}{boxed}{own}<text:p>c{boxed}<![CDATA[&]]></text:p>{boxed}");
        assert_eq!(value(STRING, &inner), "a  b\t<\nc&");
        assert_eq!(value("", "<text:p>untyped</text:p>"), "untyped");
        assert_eq!(cell("", boxed), None);
        let ruby = "<text:p><text:ruby><text:ruby-base>a</text:ruby-base><text:ruby-text>b\
                    </text:ruby-text></text:ruby>c</text:p>";
        assert_eq!(value(STRING, ruby), "ac");
    }

    #[test]
    fn values_are_written_as_those_of_other_workbooks() {
        for (attributes, expected) in [
            ("office:value-type=\"time\" office:time-value=\"PT08H05M09S\"", "08:05:09"),
            ("office:value-type=\"time\" office:time-value=\"-PT01H30M00S\"", "-1:30:00"),
            ("office:value-type=\"date\" office:date-value=\"2024-01-31T00:00:00\"", "2024-01-31"),
            ("office:value-type=\"float\" office:value=\"9007199254740993\"", "9007199254740993"),
            ("office:value-type=\"boolean\" office:boolean-value=\"true\"", "true"),
            ("office:value-type=\"string\" office:string-value=\"a&#10;b\"", "a\nb"),
        ] {
            assert_eq!(value(attributes, "<text:p>shown</text:p>"), expected);
        }
    }

    #[test]
    fn repeated_cells_are_so_many() {
        let seven = "office:value-type=\"float\" office:value=\"7\"";
        let row = format!(
            "<table:table-cell table:number-columns-repeated=\"3\"/>\
             <table:table-cell table:number-columns-repeated=\"2\" {seven}/>\
             <table:covered-table-cell table:number-columns-repeated=\"99999\"/>"
        );
        let columns: Vec<u32> = cells(&row).into_iter().map(|(column, _)| column).collect();
        assert_eq!(columns, [3, 4]);
    }
}
