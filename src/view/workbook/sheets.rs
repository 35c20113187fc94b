//! Sheets of rows: each row is written when it comes, and one sheet follows another when it is full.

use rust_xlsxwriter::{Color, Format, Workbook, Worksheet, XlsxError};

use crate::csv::TimestampReader;
use crate::task::Status;
use crate::view::digest::status_of;
use crate::view::read::columns::Columns;
use crate::view::read::figures;
use crate::view::read::rows::Row;
use crate::view::workbook::cells;

/// How many rows a sheet has, its head included.
pub const ROWS: u32 = 1_048_576;

/// From so many rows the widths of columns are taken.
const MEASURED: u32 = 1000;

/// The narrowest and the widest column, in characters.
const WIDTHS: (usize, usize) = (6, 60);

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    Seconds,
    Time,
    Status,
    /// Text that may be a number.
    Text,
}

/// The formats of cells.
#[derive(Debug)]
pub struct Formats {
    /// Of the head.
    pub head: Format,
    /// Of a time.
    pub time: Format,
    not_ok: Format,
}

impl Formats {
    /// The formats of all sheets.
    pub fn new() -> Self {
        Self {
            head: Format::new().set_bold().set_background_color(Color::RGB(0x00E8_EDF2)),
            time: Format::new().set_num_format("yyyy-mm-dd hh:mm:ss.000"),
            not_ok: Format::new()
                .set_font_color(Color::RGB(0x00A3_3C00))
                .set_background_color(Color::RGB(0x00FD_E9DD)),
        }
    }
}

/// Sheets of one name: `Tasks`, `Tasks 2` and so on.
pub struct Sheets {
    name: &'static str,
    names: Vec<String>,
    kinds: Vec<Kind>,
    done: Vec<Worksheet>,
    /// The next row of the last sheet.
    row: u32,
    widths: Vec<usize>,
    stamps: TimestampReader,
    /// How many cells were too long.
    pub cut: u64,
}

impl Sheets {
    /// The first sheet, with its head.
    pub fn new(
        name: &'static str,
        columns: &Columns,
        book: &mut Workbook,
        formats: &Formats,
    ) -> Result<Self, XlsxError> {
        let kinds = (0..columns.names.len()).map(|at| kind(columns, at)).collect();
        let widths = columns.names.iter().map(|name| name.chars().count() + 3).collect();
        let mut sheets = Self {
            name,
            names: columns.names.clone(),
            kinds,
            done: Vec::new(),
            row: 0,
            widths,
            stamps: TimestampReader::default(),
            cut: 0,
        };
        sheets.open(book, formats)?;
        Ok(sheets)
    }

    fn open(&mut self, book: &mut Workbook, formats: &Formats) -> Result<(), XlsxError> {
        let mut sheet = book.new_worksheet_with_constant_memory()?;
        let name = match self.done.len() {
            0 => self.name.to_owned(),
            before => format!("{} {}", self.name, before + 1),
        };
        sheet.set_name(name)?;
        sheet.set_freeze_panes(1, 0)?;
        for (column, name) in self.names.iter().enumerate() {
            let (name, _) = cells::fitting(name.clone());
            sheet.write_string_with_format(0, column as u16, name, &formats.head)?;
        }
        self.done.push(sheet);
        self.row = 1;
        Ok(())
    }

    /// Adds a row.
    pub fn add(
        &mut self,
        row: &Row<'_>,
        book: &mut Workbook,
        formats: &Formats,
    ) -> Result<(), XlsxError> {
        if self.row == ROWS {
            self.open(book, formats)?;
        }
        for column in 0..self.kinds.len() {
            self.add_cell(row, column, formats)?;
        }
        self.row += 1;
        Ok(())
    }

    fn add_cell(
        &mut self,
        row: &Row<'_>,
        column: usize,
        formats: &Formats,
    ) -> Result<(), XlsxError> {
        let word = row.word(column);
        if word.is_empty() {
            return Ok(());
        }
        let Some(sheet) = self.done.last_mut() else { return Ok(()) };
        let (line, place) = (self.row, column as u16);
        let width;
        match self.kinds[column] {
            Kind::Integer
                if let Some(value) = figures::integer(word).filter(|value| *value < 1 << 53) =>
            {
                sheet.write_number(line, place, value as f64)?;
                width = word.len();
            }
            Kind::Seconds if let Some(value) = figures::nanos(word) => {
                sheet.write_number(line, place, value as f64 / 1e9)?;
                width = word.len();
            }
            Kind::Time if let Some(micros) = self.stamps.micros(word) => {
                sheet.write_number_with_format(line, place, cells::day(micros), &formats.time)?;
                width = 23;
            }
            Kind::Status => {
                let text = String::from_utf8_lossy(word).into_owned();
                width = text.len();
                match status_of(word) {
                    Some(Status::Ok | Status::Skipped) => sheet.write_string(line, place, text)?,
                    _ => sheet.write_string_with_format(line, place, text, &formats.not_ok)?,
                };
            }
            _ => {
                let text = String::from_utf8_lossy(&row.text(column)).into_owned();
                width = text.len();
                if let Some(number) = cells::number(&text) {
                    sheet.write_number(line, place, number)?;
                } else {
                    let (text, is_cut) = cells::fitting(text);
                    self.cut += u64::from(is_cut);
                    sheet.write_string(line, place, text)?;
                }
            }
        }
        if line <= MEASURED && self.done.len() == 1 {
            self.widths[column] = self.widths[column].max(width + 2);
        }
        Ok(())
    }

    /// The sheets, with their filters and the widths of their columns.
    pub fn finish(mut self) -> Result<Vec<Worksheet>, XlsxError> {
        let last_column = self.names.len().saturating_sub(1) as u16;
        let last = self.done.len().saturating_sub(1);
        for (index, sheet) in self.done.iter_mut().enumerate() {
            let rows = if index == last { self.row } else { ROWS };
            sheet.autofilter(0, 0, rows.saturating_sub(1), last_column)?;
            for (column, width) in self.widths.iter().enumerate() {
                let width = (*width).clamp(WIDTHS.0, WIDTHS.1);
                sheet.set_column_width(column as u16, width as f64)?;
            }
        }
        Ok(self.done)
    }
}

/// What the cells of the column at `at` are.
fn kind(columns: &Columns, at: usize) -> Kind {
    let is = |column: Option<usize>| column == Some(at);
    let stages = &columns.stages;
    if at == columns.status {
        Kind::Status
    } else if is(columns.started) {
        Kind::Time
    } else if at == 0
        || [columns.attempts, columns.peak, columns.slot, columns.output].into_iter().any(is)
    {
        Kind::Integer
    } else if [columns.queue, columns.run, columns.cpu_user, columns.cpu_sys].into_iter().any(is)
        || stages.iter().any(|stage| stage.run == at || is(stage.queue))
    {
        Kind::Seconds
    } else {
        Kind::Text
    }
}
