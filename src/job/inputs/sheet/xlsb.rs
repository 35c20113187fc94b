//! What the records of an .xlsb sheet say of its cells ([MS-XLSB] 2.1.4 and 2.4). calamine reads the values, but passes
//! over the records that it does not know, and their cells look empty; so each is looked at here, too.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};

use zip::ZipArchive;

use super::cell::Cell;
use super::xlsx::{called, elements};

/// The kinds of record that are wanted here.
const ROW: u16 = 0x00;
const FORMULA_ERROR: u16 = 0x0B;
const RICH_TEXT: u16 = 0x3E;
const SHEET: u16 = 0x9C;
const BEGIN_CELLS: u16 = 0x91;
const END_CELLS: u16 = 0x92;

/// The records of a part.
struct RecordReader<R> {
    part: R,
    data: Vec<u8>,
}

impl<R: BufRead> RecordReader<R> {
    fn new(part: R) -> Self {
        Self { part, data: Vec::new() }
    }

    /// The kind of the next record, whose data is there then; `None` at the end.
    fn next(&mut self) -> Result<Option<u16>, String> {
        let fail = |error: std::io::Error| error.to_string();
        let mut kind = match self.byte() {
            Ok(byte) => u16::from(byte),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        if kind & 0x80 != 0 {
            kind = kind & 0x7F | u16::from(self.byte().map_err(fail)? & 0x7F) << 7;
        }
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte().map_err(fail)?;
            length |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        self.data.clear();
        // Not reserved beforehand: a damaged length must not take the memory.
        let read = self.part.by_ref().take(length).read_to_end(&mut self.data).map_err(fail)?;
        if read as u64 == length { Ok(Some(kind)) } else { Err("a record is cut off".into()) }
    }

    fn byte(&mut self) -> std::io::Result<u8> {
        let mut byte = [0];
        self.part.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn number(&self, at: usize) -> Result<u32, String> {
        let bytes = self.data.get(at..at + 4).ok_or("a record is too short")?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// The text at `at`, and where it ends.
    fn text(&self, at: usize) -> Result<(String, usize), String> {
        let end = at + 4 + 2 * self.number(at)? as usize;
        let units = self.data.get(at + 4..end).ok_or("a record is too short")?;
        let units = units.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
        let text: String =
            char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect();
        Ok((text, end))
    }
}

/// A cell that is not blank.
#[derive(Debug, PartialEq)]
pub(super) struct Written {
    /// Its row and column, from 0.
    pub place: (u32, u32),
    /// What it holds; `None` if calamine reads that.
    pub own: Option<Cell>,
}

/// The cells of a sheet, in the order of its records.
pub(super) struct Scan<R> {
    records: RecordReader<R>,
    row: u32,
}

/// The name of the part with the cells of the sheet that is called so.
pub(super) fn part_of(parts: &mut ZipArchive<File>, sheet: &str) -> Result<String, String> {
    const LOST: &str = "its part is not where it should be";
    let book = called(parts, "xl/workbook.bin").ok_or(LOST)?;
    let part = parts.by_name(&book).map_err(|error| error.to_string())?;
    let mut records = RecordReader::new(BufReader::new(part));
    let id = loop {
        let kind = records.next()?.ok_or(LOST)?;
        // Its state and its number come first. One that has no part has no id.
        if kind != SHEET || records.number(8)? == u32::MAX {
            continue;
        }
        let (id, end) = records.text(8)?;
        if records.text(end)?.0 == sheet {
            break id;
        }
    };
    drop(records);
    let links = elements(parts, "xl/_rels/workbook.bin.rels", "Relationship", &["Id", "Target"]);
    let link = links.into_iter().find(|link| link[0] == id).ok_or(LOST)?;
    Ok(called(parts, &format!("xl/{}", link[1])).ok_or(LOST)?)
}

impl<R: Read> Scan<BufReader<R>> {
    /// The cells of the sheet in `part`.
    pub fn new(part: R) -> Result<Self, String> {
        let mut records = RecordReader::new(BufReader::new(part));
        while records.next()?.ok_or("it has no cells")? != BEGIN_CELLS {}
        Ok(Self { records, row: 0 })
    }

    /// The next cell.
    pub fn next(&mut self) -> Result<Option<Written>, String> {
        loop {
            let kind = self.records.next()?.ok_or("its end is missing")?;
            let own = match kind {
                ROW => {
                    self.row = self.records.number(0)?;
                    continue;
                }
                END_CELLS => return Ok(None),
                0x02..=0x0A => None,
                FORMULA_ERROR => Some(Cell::error(shown(self.records.data.get(8)))),
                // Of texts with formats, the formats follow.
                RICH_TEXT => match Cell::text(self.records.text(9)?.0) {
                    Some(cell) => Some(cell),
                    None => continue,
                },
                // Forms of the above that say no column. No program is known to write them.
                0x0C..=0x12 | 0x3D => return Err("it has short cells: save it as .xlsx".into()),
                // A blank cell, and what is none.
                _ => continue,
            };
            return Ok(Some(Written { place: (self.row, self.records.number(0)?), own }));
        }
    }
}

/// An error as a spreadsheet shows it ([MS-XLSB] 2.5.98.2).
fn shown(code: Option<&u8>) -> &'static str {
    match code {
        Some(0x00) => "#NULL!",
        Some(0x07) => "#DIV/0!",
        Some(0x0F) => "#VALUE!",
        Some(0x17) => "#REF!",
        Some(0x1D) => "#NAME?",
        Some(0x24) => "#NUM!",
        Some(0x2A) => "#N/A",
        Some(0x2B) => "#GETTING_DATA",
        _ => "of a formula",
    }
}
