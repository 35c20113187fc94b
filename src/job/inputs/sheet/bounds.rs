//! How large the tables of a workbook would be. A cell far away from the others makes a table of millions of empty ones
//! where a reader holds all of it, as that of .xls and .ods does; so this is found out before.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};

use quick_xml::events::{BytesStart, Event};

/// Cells, empty ones included, that are held. More of them take more than a GiB or two.
const MOST: u64 = 1 << 25;

/// Refuses tables of so many cells.
fn refuse(cells: u64) -> Result<(), String> {
    if cells <= MOST {
        return Ok(());
    }
    Err(format!(
        "its sheets have {cells} cells, empty ones included, of which at most {MOST} are held: delete cells that are far \
         away from the table, or write the table as CSV first"
    ))
}

/// The rows and columns that have a cell: a rectangle.
#[derive(Clone, Copy, Default)]
struct Area {
    rows: Option<(u64, u64)>,
    columns: Option<(u64, u64)>,
}

impl Area {
    fn add(&mut self, row: u64, column: u64) {
        let wider = |span: Option<(u64, u64)>, at: u64| {
            let (first, last) = span.unwrap_or((at, at));
            Some((first.min(at), last.max(at)))
        };
        self.rows = wider(self.rows, row);
        self.columns = wider(self.columns, column);
    }

    fn cells(&self) -> u64 {
        let length = |span: Option<(u64, u64)>| span.map_or(0, |(first, last)| last - first + 1);
        length(self.rows).saturating_mul(length(self.columns))
    }
}

/// Refuses an .xls file whose tables are too large. One that cannot be read is left to its reader.
pub(super) fn of_xls(file: File) -> Result<(), String> {
    let mut records = Vec::new();
    if let Ok(mut parts) = cfb::CompoundFile::open(file) {
        let stream = parts.open_stream("/Workbook").or_else(|_| parts.open_stream("/Book"));
        // A stream that ends too early is checked as far as it goes.
        let _ = stream.map(|mut stream| stream.read_to_end(&mut records));
    }
    refuse(cells_of_xls(&records))
}

/// How many cells the tables in these records have: [MS-XLS], 2.1.4 and 2.4.
fn cells_of_xls(records: &[u8]) -> u64 {
    // The sheets that the workbook names by where they start; a sheet can be named more than once.
    let mut named = Vec::new();
    let (mut areas, mut open) = (HashMap::<u64, Area>::new(), Vec::new());
    let mut at = 0;
    while let (Some(kind), Some(length)) = (word(records, at), word(records, at + 2)) {
        let end = at + 4 + length as usize;
        let data = records.get(at + 4..end).unwrap_or_default();
        match kind {
            0x0809 | 0x0409 | 0x0209 | 0x0009 => open.push(at as u64),
            0x000A => drop(open.pop()),
            0x0085 => named.extend(long(data, 0)),
            _ => {
                if let (Some(places), Some(&start)) = (places(kind, data), open.last()) {
                    let area = areas.entry(start).or_default();
                    for (row, column) in places {
                        area.add(row, column);
                    }
                }
            }
        }
        at = end;
    }
    let cells = |start: &u64| areas.get(start).map_or(0, Area::cells);
    named.iter().map(cells).fold(0, u64::saturating_add)
}

/// The rows and columns of the first and the last cell that a record has.
fn places(kind: u64, data: &[u8]) -> Option<[(u64, u64); 2]> {
    let first = (word(data, 0)?, word(data, 2)?);
    match kind {
        // A number, a text, a truth value, a short number, a shared text, a formula.
        0x0203..=0x0205 | 0x00D6 | 0x027E | 0x00FD | 0x0006 => Some([first; 2]),
        // Short numbers side by side.
        0x00BD => Some([first, (first.0, word(data, data.len().checked_sub(2)?)?)]),
        // The size of the sheet, which is believed before there is a cell; some claim all that a sheet can have.
        0x0200 => {
            let (rows, columns) = (long(data, 4)?, word(data, 10)?);
            (rows.saturating_mul(columns) > MOST).then_some([(0, 0), (rows, columns)])
        }
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(word(bytes, at)? | word(bytes, at + 2)? << 16)
}

/// Refuses a workbook of which a part says that it has so many texts that holding their places takes the memory: the
/// reader believes it before it has read one.
pub(super) fn of_texts(file: File) -> Result<(), String> {
    let Ok(mut parts) = zip::ZipArchive::new(file) else { return Ok(()) };
    let is_texts = |name: &str| name.to_ascii_lowercase().ends_with("sharedstrings.xml");
    let names: Vec<_> =
        parts.file_names().filter_map(Result::ok).map(|it| it.to_string()).collect();
    for name in names.iter().filter(|name| is_texts(name)) {
        let Ok(part) = parts.by_name(name) else { continue };
        let size = part.size();
        if let Some(count) =
            texts_said(BufReader::new(part)).filter(|&count| count > MOST.max(size))
        {
            return Err(format!(
                "is damaged: its list of texts is said to have {count}, in {size} bytes: open and save it in a \
                 spreadsheet program"
            ));
        }
    }
    Ok(())
}

/// How many texts a list is said to have.
fn texts_said(list: impl std::io::BufRead) -> Option<u64> {
    let mut reader = quick_xml::Reader::from_reader(list);
    let mut buffer = Vec::new();
    loop {
        match reader.read_event_into(&mut buffer).ok()? {
            Event::Eof => return None,
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == "sst" => {
                let count = super::xml::attribute(&tag, "uniqueCount")?;
                return Some(count.parse().unwrap_or(u64::MAX)).filter(|_| is_number(&count));
            }
            _ => {}
        }
        buffer.clear();
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Refuses an .ods file whose tables are too large. One that cannot be read is left to its reader.
pub(super) fn of_ods(file: File) -> Result<(), String> {
    let Ok(mut parts) = zip::ZipArchive::new(file) else { return Ok(()) };
    let Ok(content) = parts.by_name("content.xml") else { return Ok(()) };
    refuse(cells_of_ods(BufReader::new(content)))
}

/// How many cells the tables in this document have, and how many are held on the way to them.
fn cells_of_ods(content: impl std::io::BufRead) -> u64 {
    /// No sheet has more rows or columns.
    const ROWS: u64 = 1 << 20;
    const COLUMNS: u64 = 1 << 14;
    let mut reader = quick_xml::Reader::from_reader(content);
    let (mut buffer, mut total) = (Vec::new(), 0_u64);
    let (mut area, mut row, mut repeats) = (Area::default(), 0, 1);
    // In this row: the cells before, and those that have something in them.
    let (mut column, mut last) = (0, 0);
    while let Ok(event) = reader.read_event_into(&mut buffer) {
        match event {
            Event::Eof => break,
            Event::Start(tag) | Event::Empty(tag) if tag.name().0 == "table:table-row" => {
                repeats = repeated(&tag, "table:number-rows-repeated").min(ROWS);
                (column, last) = (0, 0);
            }
            Event::Start(tag) | Event::Empty(tag) if is_cell(&tag) => {
                let from = column;
                let count = repeated(&tag, "table:number-columns-repeated");
                column = (column + count.min(COLUMNS)).min(COLUMNS);
                if has_value(&tag) && column > from {
                    area.add(row, from);
                    area.add(row + repeats - 1, column - 1);
                    last = column;
                }
            }
            Event::End(tag) if tag.name().0 == "table:table-row" => {
                row += repeats;
                total = total.saturating_add(last);
            }
            Event::End(tag) if tag.name().0 == "table:table" => {
                total = total.saturating_add(area.cells());
                (area, row) = (Area::default(), 0);
            }
            _ => {}
        }
        if total > MOST {
            break;
        }
        buffer.clear();
    }
    total
}

fn is_cell(tag: &BytesStart<'_>) -> bool {
    matches!(tag.name().0, "table:table-cell" | "table:covered-table-cell")
}

/// Whether a cell is not empty.
fn has_value(tag: &BytesStart<'_>) -> bool {
    tag.attributes().flatten().any(|attribute| {
        let name = attribute.key.0;
        name.starts_with("office:") || name == "table:formula"
    })
}

fn repeated(tag: &BytesStart<'_>, name: &str) -> u64 {
    let found = tag.attributes().flatten().find(|attribute| attribute.key.0 == name);
    let number = found.and_then(|attribute| attribute.value.parse().ok());
    number.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workbook of records: globals that name the sheets, and a sheet with cells at these places.
    fn xls(sheets: usize, cells: &[(u16, u16)]) -> Vec<u8> {
        let record = |kind: u16, data: &[u8]| {
            [&kind.to_le_bytes()[..], &(data.len() as u16).to_le_bytes(), data].concat()
        };
        let start = (4 + sheets * 8 + 4) as u32;
        let mut all = record(0x0809, &[]);
        (0..sheets).for_each(|_| all.extend(record(0x0085, &start.to_le_bytes())));
        all.extend([record(0x000A, &[]), record(0x0809, &[])].concat());
        for (row, column) in cells {
            let place = [row.to_le_bytes(), column.to_le_bytes()].concat();
            all.extend(record(0x0203, &[&place[..], &[0; 10]].concat()));
        }
        all.extend(record(0x000A, &[]));
        all
    }

    #[test]
    fn cells_far_away_make_a_large_table() {
        assert_eq!(cells_of_xls(&xls(1, &[(3, 2), (5, 4)])), 9);
        assert_eq!(cells_of_xls(&xls(2, &[(0, 0), (65535, 255)])), 2 << 24);
        assert!(refuse(cells_of_xls(&xls(3, &[(0, 0), (65535, 255)]))).is_err());
        assert!(refuse(cells_of_xls(&xls(1, &[(0, 0), (65535, 65535)]))).is_err());
        assert_eq!(cells_of_xls(&xls(1, &[])[..20]), 0);
    }

    #[test]
    fn a_list_of_texts_says_how_many_it_has() {
        for (list, said) in [
            ("<?xml version=\"1.0\"?><sst uniqueCount=\"7\"><si/></sst>", Some(7)),
            ("<x:sst count='9' uniqueCount='99999999999'/>", Some(99_999_999_999)),
            ("<sst uniqueCount=\"99999999999999999999999\"/>", Some(u64::MAX)),
            ("<sst uniqueCount=\"-1\"/>", None),
            ("<sst/>", None),
            ("", None),
        ] {
            assert_eq!(texts_said(list.as_bytes()), said, "{list}");
        }
    }

    #[test]
    fn repeated_cells_make_a_large_table() {
        let cell = |repeats: u32, value: &str| {
            format!("<table:table-cell table:number-columns-repeated=\"{repeats}\"{value}/>")
        };
        let (full, empty) = (" office:value-type=\"string\"", "");
        let row = |repeats: u32, cells: &str| {
            format!(
                "<table:table-row table:number-rows-repeated=\"{repeats}\">{cells}</table:table-row>"
            )
        };
        let cells = |rows: &[String]| {
            let table = format!("<x><table:table>{}</table:table></x>", rows.concat());
            cells_of_ods(table.as_bytes())
        };
        let small = row(1, &(cell(2, full) + &cell(1000, empty)));
        let rest = row(1_000_000, &cell(1024, empty));
        assert_eq!(cells(&[small.clone(), small.clone(), rest]), 2 + 2 + 4);
        assert!(refuse(cells(&[small.clone(), row(1_048_576, &cell(40, full))])).is_err());
        assert!(refuse(cells(&vec![row(1, &cell(16_384, full)); 2100])).is_err());
        let far = row(1, &(cell(16_000, empty) + &cell(1, full)));
        assert!(refuse(cells(&[small, row(40_000, &cell(1, empty)), far])).is_err());
    }
}
