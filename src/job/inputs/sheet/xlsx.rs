//! What the XML of an .xlsx sheet says of its cells. calamine reads the workbook, but ends at the first cell that it does
//! not know and does not hand on what is written there; so each cell is looked at here, too.

use std::fs::File;
use std::io::BufRead;

use calamine::{DataRef, XlsxError};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;

use super::cell::{Cell, iso_date, number};
use super::xml::{attribute, next, part, push_text, skip};
use crate::task::Kind;

/// The name of the part with the cells of the sheet that is called so.
pub(super) fn part_of(parts: &mut ZipArchive<File>, sheet: &str) -> Option<String> {
    let root = elements(parts, "_rels/.rels", "Relationship", &["Type", "Target"]);
    let book = root.into_iter().find(|of| of[0].ends_with("/officeDocument"));
    let book = book.map_or_else(|| "xl/workbook.xml".into(), |of| of[1].clone());
    let book = book.trim_start_matches('/').to_owned();
    let (folder, name) = book.rsplit_once('/').unwrap_or(("", &book));
    let sheets = elements(parts, &book, "sheet", &["name", "id"]);
    let id = sheets.into_iter().find(|of| of[0] == sheet)?[1].clone();
    let links = format!("{folder}/_rels/{name}.rels");
    let links = elements(parts, &links, "Relationship", &["Id", "Target"]);
    let target = links.into_iter().find(|of| of[0] == id)?[1].clone();
    let path = match target.strip_prefix('/') {
        Some(path) => path.to_owned(),
        None => format!("{folder}/{target}"),
    };
    called(parts, &path)
}

/// The name of a part as the archive has it: some have other letters or slashes than where it is referred to.
pub(super) fn called(parts: &ZipArchive<File>, path: &str) -> Option<String> {
    let plain = |name: &str| name.replace('\\', "/").to_ascii_lowercase();
    let path = plain(path.trim_start_matches('/'));
    let mut names = parts.file_names().filter_map(Result::ok);
    names.find(|name| plain(name) == path).map(|name| name.to_string())
}

/// The attributes that are called so, of all elements with this name in a part.
pub(super) fn elements<const N: usize>(
    parts: &mut ZipArchive<File>,
    name: &str,
    element: &str,
    attributes: &[&str; N],
) -> Vec<[String; N]> {
    let (mut all, mut buffer) = (Vec::new(), Vec::new());
    let Some(name) = called(parts, name) else { return all };
    let Ok(mut part) = part(parts, &name) else { return all };
    while let Ok(event) = next(&mut part, &mut buffer) {
        if let Event::Start(tag) = event
            && tag.local_name().as_ref() == element
        {
            all.push(attributes.map(|name| attribute(&tag, name).unwrap_or_default()));
        }
    }
    all
}

/// What kind of value a cell is said to have.
#[derive(Clone, Debug, Default, PartialEq)]
enum Type {
    #[default]
    Number,
    /// The number of a text of the workbook's.
    Shared,
    Bool,
    Error,
    /// A formula's text.
    Text,
    Date,
    Inline,
    Unknown(String),
}

/// A cell as it is written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Its row and column, from 0.
    pub place: (u32, u32),
    /// Likewise, if it says so itself.
    pub said: Option<(u32, u32)>,
    kind: Type,
    /// Whether its number may stand for a date.
    has_style: bool,
    has_formula: bool,
    /// What is in `<v>`.
    value: String,
    has_cdata: bool,
}

/// The cells of a sheet, in the order of its XML.
pub(super) struct Scan<R> {
    part: Reader<R>,
    buffer: Vec<u8>,
    spare: Vec<u8>,
    next: (u32, u32),
}

impl<R: BufRead> Scan<R> {
    /// The cells of the sheet in `part`.
    pub fn new(mut part: Reader<R>) -> Result<Self, String> {
        let mut buffer = Vec::new();
        while !matches!(next(&mut part, &mut buffer)?, Event::Start(tag) if tag.local_name().as_ref() == "sheetData")
        {
        }
        Ok(Self { part, buffer, spare: Vec::new(), next: (0, 0) })
    }

    /// The next cell.
    pub fn next(&mut self) -> Result<Option<Written>, String> {
        loop {
            match next(&mut self.part, &mut self.buffer)? {
                Event::Start(tag) if tag.local_name().as_ref() == "row" => {
                    let row = attribute(&tag, "r").and_then(|row| row.parse::<u32>().ok());
                    self.next.0 = row.and_then(|row| row.checked_sub(1)).unwrap_or(self.next.0);
                }
                Event::End(tag) if tag.local_name().as_ref() == "row" => {
                    self.next = (self.next.0 + 1, 0);
                }
                Event::Start(tag) if tag.local_name().as_ref() == "c" => {
                    let mut cell = Written::of(&tag, self.next);
                    self.next.1 = cell.place.1 + 1;
                    cell.read(&mut self.part, &mut self.spare)?;
                    return Ok(Some(cell));
                }
                Event::End(tag) if tag.local_name().as_ref() == "sheetData" => return Ok(None),
                _ => {}
            }
        }
    }
}

impl Written {
    fn of(tag: &BytesStart<'_>, expected: (u32, u32)) -> Self {
        let mut cell = Self { place: expected, ..Self::default() };
        for attribute in tag.attributes().flatten() {
            let value = &*attribute.value;
            match attribute.key.0 {
                "r" => {
                    cell.said = place(value);
                    cell.place = cell.said.unwrap_or(expected);
                }
                "s" => cell.has_style = value != "0",
                "t" => {
                    cell.kind = match value {
                        "n" => Type::Number,
                        "s" => Type::Shared,
                        "b" => Type::Bool,
                        "e" => Type::Error,
                        "str" => Type::Text,
                        "d" => Type::Date,
                        "inlineStr" | "is" => Type::Inline,
                        other => Type::Unknown(other.to_owned()),
                    }
                }
                _ => {}
            }
        }
        cell
    }

    /// Reads what is between the cell's tags.
    fn read<R: BufRead>(
        &mut self,
        part: &mut Reader<R>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), String> {
        let (mut spare, mut is_value) = (Vec::new(), false);
        loop {
            let event = next(part, buffer)?;
            match &event {
                Event::Start(tag) => match tag.local_name().as_ref() {
                    "v" => is_value = true,
                    name => {
                        self.has_formula |= name == "f";
                        skip(part, tag, &mut spare)?;
                    }
                },
                Event::End(tag) => match tag.local_name().as_ref() {
                    "c" => return Ok(()),
                    _ => is_value = false,
                },
                _ if is_value => {
                    self.has_cdata |= matches!(event, Event::CData(_));
                    push_text(&event, &mut self.value)?;
                }
                _ => {}
            }
        }
    }

    /// What it holds, of which calamine has made `read`; `None` if it is empty.
    pub fn cell(self, read: Result<DataRef<'_>, XlsxError>, is_1904: bool) -> Option<Cell> {
        let value = self.value.trim_ascii();
        let is_empty = value.is_empty();
        match &self.kind {
            Type::Unknown(kind) => Some(Cell::None(format!("is of the unknown type `{kind}`"))),
            Type::Error if !is_empty => Some(Cell::error(value)),
            Type::Date if !is_empty => Some(iso_date(value)),
            Type::Bool if !is_empty => Some(truth(value)),
            Type::Number if !is_empty => Some(self.number(read, is_1904)),
            Type::Shared if !is_empty => match read {
                Ok(read @ DataRef::SharedString(_))
                    if self.value.bytes().all(|byte| byte.is_ascii_digit()) =>
                {
                    Cell::of_ref(&read, is_1904)
                }
                _ => Some(Cell::None(format!(
                    "refers to text {value} of the workbook, which does not have it"
                ))),
            },
            Type::Text if self.has_cdata => Cell::text(self.value),
            _ => match read {
                Ok(DataRef::Empty) if self.has_formula => Some(Cell::uncalculated()),
                Ok(read) => Cell::of_ref(&read, is_1904),
                Err(error) => Some(Cell::None(format!("cannot be read: {error}"))),
            },
        }
    }

    fn number(&self, read: Result<DataRef<'_>, XlsxError>, is_1904: bool) -> Cell {
        let number = number(&self.value);
        match read {
            _ if matches!(number, Cell::None(_)) => number,
            Ok(read @ DataRef::DateTime(_)) => Cell::of_ref(&read, is_1904).unwrap_or(number),
            Ok(DataRef::Float(_) | DataRef::Int(_)) => number,
            _ if !self.has_style => number,
            // Whether it is a date has not been found out.
            _ => Cell::None(format!(
                "holds `{}` in an unusual form: open and save the workbook in a spreadsheet program",
                self.value.escape_debug()
            )),
        }
    }
}

fn truth(value: &str) -> Cell {
    match value.to_ascii_lowercase().as_str() {
        "0" | "false" => Cell::Value("false".into(), Kind::Bare),
        "1" | "true" => Cell::Value("true".into(), Kind::Bare),
        _ => Cell::None(format!("holds `{value}`, which is neither true nor false")),
    }
}

/// The row and column, from 0, of a cell that is called `B7`.
fn place(name: &str) -> Option<(u32, u32)> {
    let end = name.find(|letter: char| !letter.is_ascii_alphabetic())?;
    let (letters, digits) = name.split_at(end);
    if !(1..=3).contains(&letters.len()) {
        return None;
    }
    let value = |letter: u8| u32::from(letter.to_ascii_uppercase() - b'A') + 1;
    let column = letters.bytes().fold(0, |column, letter| column * 26 + value(letter));
    Some((digits.parse::<u32>().ok()?.checked_sub(1)?, column - 1))
}

/// Whether the rest of the sheet can be read in spite of this.
pub(super) fn is_of_a_cell(error: &XlsxError) -> bool {
    matches!(
        error,
        XlsxError::CellError(_)
            | XlsxError::CellTAttribute(_)
            | XlsxError::ParseFloat(_)
            | XlsxError::Unexpected(_)
            | XlsxError::UnexpectedNode(_)
            | XlsxError::Unrecognized { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::super::xml::reader;
    use super::*;

    /// The cells of a sheet with this in its row 2; calamine has made nothing of them.
    fn scanned(row: &str) -> Vec<Written> {
        let sheet = format!(
            "<worksheet><dimension ref=\"A1\"/><sheetData><row/><row r=\"2\">{row}</row></sheetData>"
        );
        let mut scan = Scan::new(reader(sheet.as_bytes())).unwrap();
        std::iter::from_fn(|| scan.next().unwrap()).collect()
    }

    /// What a cell holds, of which calamine has made this.
    fn made(cell: &str, read: Result<DataRef<'_>, XlsxError>) -> Option<Cell> {
        scanned(cell).remove(0).cell(read, false)
    }

    fn bare(text: &str) -> Cell {
        Cell::Value(text.into(), Kind::Bare)
    }

    #[test]
    fn cells_have_places() {
        let row = "<c r=\"B2\"><v>1</v></c><c/><x:c r=\"aa9\"/><c r=\"?\"><f>a</f></c>";
        let places: Vec<_> = scanned(row).iter().map(|cell| cell.place).collect();
        assert_eq!(places, [(1, 1), (1, 2), (8, 26), (1, 27)]);
    }

    #[test]
    fn a_number_is_what_is_written() {
        let float = || Ok(DataRef::Float(1.0));
        assert_eq!(made("<c><v>9007199254740993</v></c>", float()), Some(bare("9007199254740993")));
        assert_eq!(made("<c><v><![CDATA[12]]></v></c>", Ok(DataRef::Empty)), Some(bare("12")));
        assert_eq!(made("<c><v>&#49;</v></c>", Ok(DataRef::Empty)), Some(bare("1")));
        for wrong in ["NaN", "1,5", "abc", "1E400"] {
            let cell = made(&format!("<c><v>{wrong}</v></c>"), Ok(DataRef::String(wrong.into())));
            assert!(matches!(&cell, Some(Cell::None(why)) if why.contains(wrong)), "{cell:?}");
        }
        let styled = made("<c s=\"3\"><v><![CDATA[45000]]></v></c>", Ok(DataRef::Empty));
        assert!(matches!(styled, Some(Cell::None(_))), "it may be a date");
        assert_eq!(made("<c s=\"3\"/>", Ok(DataRef::Empty)), None);
        assert_eq!(made("<c><f>1+1</f><v/></c>", Ok(DataRef::Empty)), Some(Cell::uncalculated()));
    }

    #[test]
    fn what_calamine_does_not_know_is_said_of_its_cell() {
        let unknown = || Err(XlsxError::Unexpected("x"));
        for (cell, expected) in [
            ("<c t=\"e\"><v>#SPILL!</v></c>", "is the error #SPILL!"),
            ("<c t=\"s\"><v>99</v></c>", "refers to text 99 of the workbook"),
            ("<c t=\"b\"><v>2</v></c>", "neither true nor false"),
            ("<c t=\"z\"><v>2</v></c>", "the unknown type `z`"),
        ] {
            let made = made(cell, unknown());
            assert!(matches!(&made, Some(Cell::None(why)) if why.contains(expected)), "{made:?}");
        }
        let zero = made("<c t=\"s\"><v>x</v></c>", Ok(DataRef::SharedString("the first")));
        assert!(matches!(zero, Some(Cell::None(_))), "{zero:?}");
    }
}
