//! `sheet`: a table in a workbook (.xlsx, .xls, .xlsb, .ods); one input a row.

mod bounds;
mod guard;
mod zip;

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Read};

use calamine::{
    Data, DataRef, ExcelDateTime, Ods, Reader, Sheets, Xls, Xlsb, Xlsx, open_workbook_from_rs,
};

use super::InputError;
use super::csv::{Header, names, numbered};
use super::records::{InputFile, Records, Stop};
use super::text::workbook;
use crate::task::{Fields, Kind};

/// What the job file says of a table in a workbook.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SheetOptions {
    /// The sheet's name; `None`: the first one.
    pub sheet: Option<String>,
    /// Where the names of the columns are.
    pub header: Header,
    /// How many rows come before the header.
    pub skip_lines: u64,
}

/// The rows of a sheet, after its header. A workbook is a zip archive of parts that refer to each other: it is read as
/// a whole.
pub(super) struct Rows {
    file: InputFile,
    sheet: String,
    names: Vec<String>,
    all: Vec<Row>,
    next: usize,
}

/// The cells of a row that are not empty, by their columns.
#[derive(Default)]
struct Row {
    /// From 1, as the spreadsheet shows it.
    number: u32,
    cells: Vec<(u32, Cell)>,
}

/// The value of a cell.
enum Cell {
    Value(String, Kind),
    /// None that could be used: why.
    None(String),
}

/// Why the value of a formula is not there: the program that has written it did not calculate.
const UNCALCULATED: &str =
    "has a formula and no value: open and save the workbook in a spreadsheet program";

/// A sheet with more bytes of cells than this is refused, before it fills the memory.
const LARGEST: usize = 1 << 30;

impl Rows {
    /// Reads the sheet of `file`.
    pub fn open(file: &InputFile, options: &SheetOptions) -> Result<Self, InputError> {
        guard::guarded(|| Self::read(file, options)).unwrap_or_else(|| {
            Err(file.error("is a damaged workbook: open and save it in a spreadsheet program"))
        })
    }

    fn read(file: &InputFile, options: &SheetOptions) -> Result<Self, InputError> {
        let mut book = open_book(file)?;
        let all = book.sheet_names();
        let sheet = match &options.sheet {
            None => all.first().cloned().ok_or_else(|| file.error("the workbook has no sheet"))?,
            Some(name) if all.contains(name) => name.clone(),
            Some(name) => {
                let all: Vec<_> = all.iter().map(|name| format!("`{name}`")).collect();
                let has = if all.len() == 1 { "its only sheet is" } else { "its sheets are" };
                let message = format!("has no sheet `{name}`: {has} {}", all.join(", "));
                return Err(file.error(message).about("sheet"));
            }
        };
        let mut rows = read(&mut book, &sheet, file)?;
        rows.retain(|row| u64::from(row.number) > options.skip_lines);
        let width = |rows: &[Row]| {
            let last = rows.iter().filter_map(|row| row.cells.last());
            last.map(|(column, _)| *column as usize + 1).max().unwrap_or(0)
        };
        let names = match &options.header {
            Header::Given(names) => names.clone(),
            Header::None => numbered(width(&rows)),
            Header::First if rows.is_empty() => {
                return Err(file.error(format!("sheet `{sheet}` has no header row")));
            }
            Header::First => {
                let width = width(&rows);
                let header = rows.remove(0);
                let mut cells = vec![Cow::Borrowed(""); width];
                for (column, cell) in &header.cells {
                    if let Cell::Value(text, _) = cell {
                        cells[*column as usize] = Cow::Borrowed(text);
                    }
                }
                names(cells.iter().map(|cell| cell.as_bytes()))
                    .map_err(|message| file.error(message))?
            }
        };
        Ok(Self { file: file.clone(), sheet, names, all: rows, next: 0 })
    }

    /// The names of the columns.
    pub fn header(&self) -> &[String] {
        &self.names
    }

    /// The sheet's name.
    pub fn sheet(&self) -> &str {
        &self.sheet
    }

    fn fields(&self, row: &Row) -> Fields {
        let place = |message: String| format!("{} row {}: {message}", self.file, row.number);
        let mut fields = Fields::default();
        let mut raw = String::new();
        for (column, cell) in &row.cells {
            let column = *column as usize;
            let name = column_name(column);
            let (text, kind) = match cell {
                Cell::Value(text, kind) => (text, *kind),
                Cell::None(why) => {
                    return Fields::bad(
                        place(format!("cell {name}{} {why}", row.number)),
                        raw.as_bytes(),
                    );
                }
            };
            if column >= self.names.len() {
                let message = format!(
                    "cell {name}{} stands beyond the last of the {} columns",
                    row.number,
                    self.names.len()
                );
                return Fields::bad(place(message), text.as_bytes());
            }
            raw.push_str(text);
            fields.pad_null(column);
            fields.push_of(text, kind);
        }
        fields.pad_null(self.names.len());
        fields
    }
}

/// `A`, `B`, …, `AA`, as spreadsheets call a column.
fn column_name(mut column: usize) -> String {
    let mut name = String::new();
    loop {
        name.insert(0, char::from(b'A' + (column % 26) as u8));
        if column < 26 {
            return name;
        }
        column = column / 26 - 1;
    }
}

fn open_book(file: &InputFile) -> Result<Sheets<BufReader<File>>, InputError> {
    if !file.regular {
        return Err(file.error("is not a file: a workbook cannot be read from a pipe"));
    }
    let open = || file.open(&Stop::default()).map_err(|error| file.unreadable(&error));
    let mut first = Vec::new();
    let read = open()?.take(1 << 16).read_to_end(&mut first);
    read.map_err(|error| file.unreadable(&error))?;
    if first.starts_with(b"PK") {
        zip::refuse_bomb(&open()?).map_err(|message| file.error(message))?;
    }
    let locked = || file.error("has a password: save the workbook without one");
    let is_zip = first.starts_with(b"PK");
    if !is_zip && !workbook(&first) {
        return Err(file.error("is not a workbook: `csv` reads tables of text"));
    }
    let mut why = String::new();
    let mut note = |error: String| {
        if why.is_empty() {
            why = error;
        }
    };
    let too_large = |message: String| file.error(message);
    if is_zip {
        bounds::of_ods(open()?).map_err(too_large)?;
    }
    if !is_zip {
        bounds::of_xls(open()?).map_err(too_large)?;
        match open_workbook_from_rs::<Xls<_>, _>(BufReader::new(open()?)) {
            Ok(book) => return Ok(Sheets::Xls(book)),
            Err(error) if error.to_string().contains("assword") => return Err(locked()),
            Err(error) => note(error.to_string()),
        }
    }
    match open_workbook_from_rs::<Xlsx<_>, _>(BufReader::new(open()?)) {
        Ok(book) => return Ok(Sheets::Xlsx(book)),
        Err(error) if error.to_string().contains("assword") => return Err(locked()),
        Err(error) => note(error.to_string()),
    }
    if is_zip {
        match open_workbook_from_rs::<Ods<_>, _>(BufReader::new(open()?)) {
            Ok(book) => return Ok(Sheets::Ods(book)),
            Err(error) if error.to_string().contains("assword") => return Err(locked()),
            Err(error) if memchr::memmem::find(&first, b"opendocument").is_some() => {
                why = error.to_string();
            }
            Err(_) => {}
        }
        if let Ok(book) = open_workbook_from_rs::<Xlsb<_>, _>(BufReader::new(open()?)) {
            return Ok(Sheets::Xlsb(book));
        }
    }
    Err(file.error(format!("is not a workbook that can be read: {why}")))
}

/// All rows that have a cell.
fn read(
    book: &mut Sheets<BufReader<File>>,
    sheet: &str,
    file: &InputFile,
) -> Result<Vec<Row>, InputError> {
    let failed = |error: String| file.error(format!("sheet `{sheet}` cannot be read: {error}"));
    let mut rows = Gather::default();
    // Cell by cell where that is possible: one cell far away must not make a table of millions of empty ones.
    if let Sheets::Xlsx(book) = book {
        let mut cells =
            book.worksheet_cells_reader(sheet).map_err(|error| failed(error.to_string()))?;
        loop {
            let cell = cells.next_cell_with_formula_metadata();
            let Some(cell) = cell.map_err(|error| failed(error.to_string()))? else { break };
            let value = match (&cell.value, &cell.formula) {
                (DataRef::Empty, Some(_)) => Some(Cell::None(UNCALCULATED.into())),
                (value, _) => value_ref(value),
            };
            let added = rows.add(cell.pos.0, cell.pos.1, value);
            added.map_err(|message| file.error(message))?;
        }
        return Ok(rows.in_order());
    }
    if let Sheets::Xlsb(book) = book {
        let mut cells =
            book.worksheet_cells_reader(sheet).map_err(|error| failed(error.to_string()))?;
        while let Some(cell) = cells.next_cell().map_err(|error| failed(error.to_string()))? {
            let (row, column) = cell.get_position();
            let added = rows.add(row, column, value_ref(cell.get_value()));
            added.map_err(|message| file.error(message))?;
        }
        return Ok(rows.in_order());
    }
    let range = book.worksheet_range(sheet).map_err(|error| failed(error.to_string()))?;
    let (first_row, first_column) = range.start().unwrap_or_default();
    for (row, column, data) in range.used_cells() {
        let (row, column) = (first_row + row as u32, first_column + column as u32);
        rows.add(row, column, value(data)).map_err(|message| file.error(message))?;
    }
    Ok(rows.in_order())
}

#[derive(Default)]
struct Gather {
    rows: Vec<Row>,
    bytes: usize,
}

impl Gather {
    fn add(&mut self, row: u32, column: u32, cell: Option<Cell>) -> Result<(), String> {
        let Some(cell) = cell else { return Ok(()) };
        if let Cell::Value(text, _) = &cell {
            self.bytes += text.len() + size_of::<(u32, Cell)>();
        }
        if self.bytes > LARGEST {
            return Err("the sheet is larger than 1 GiB: write it as CSV first".into());
        }
        let number = row + 1;
        if self.rows.last().is_none_or(|last| last.number != number) {
            self.rows.push(Row { number, cells: Vec::new() });
        }
        if let Some(row) = self.rows.last_mut() {
            row.cells.push((column, cell));
        }
        Ok(())
    }

    /// The rows; their cells by column, whatever order the file has them in.
    fn in_order(mut self) -> Vec<Row> {
        self.rows.iter_mut().for_each(|row| row.cells.sort_by_key(|(column, _)| *column));
        self.rows
    }
}

/// `None` if it is empty.
fn value(data: &Data) -> Option<Cell> {
    Some(match data {
        Data::Empty => return None,
        Data::String(text) if text.is_empty() => return None,
        Data::Int(number) => Cell::Value(number.to_string(), Kind::Bare),
        Data::Float(number) => Cell::Value(number.to_string(), Kind::Bare),
        Data::Bool(value) => Cell::Value(value.to_string(), Kind::Bare),
        Data::String(text) | Data::DurationIso(text) => Cell::Value(text.clone(), Kind::Text),
        Data::DateTimeIso(text) => Cell::Value(text.replacen('T', " ", 1), Kind::Text),
        Data::DateTime(time) => Cell::Value(date(time), Kind::Text),
        Data::Error(error) => Cell::None(format!("is the error {error}")),
    })
}

fn value_ref(data: &DataRef<'_>) -> Option<Cell> {
    value(&Data::from(data.clone()))
}

/// A date or a time as reports have them: `2024-01-31`, `2024-01-31 12:30:00.000`, `12:30:00`; a duration in hours.
fn date(time: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
    let fraction = if milli == 0 { String::new() } else { format!(".{milli:03}") };
    if time.is_duration() {
        let total = (time.as_f64() * 86_400_000.0).round().max(0.0) as u64;
        let (hours, rest) = (total / 3_600_000, total % 3_600_000);
        return format!("{hours}:{:02}:{:02}{fraction}", rest / 60_000, rest % 60_000 / 1_000);
    }
    if (0.0..1.0).contains(&time.as_f64()) {
        return format!("{hour:02}:{minute:02}:{second:02}{fraction}");
    }
    let day = format!("{year:04}-{month:02}-{day:02}");
    match (hour, minute, second, milli) {
        (0, 0, 0, 0) => day,
        _ => format!("{day} {hour:02}:{minute:02}:{second:02}.{milli:03}"),
    }
}

impl Records for Rows {
    fn next_record(&mut self) -> Option<Result<Fields, InputError>> {
        let row = self.all.get(self.next)?;
        self.next += 1;
        Some(Ok(self.fields(row)))
    }

    fn position(&mut self) -> u64 {
        self.next as u64
    }

    fn seek(&mut self, position: u64) -> Result<(), InputError> {
        self.next = position as usize;
        Ok(())
    }

    fn make_seekable(&mut self, _: &Stop) -> Result<(), InputError> {
        Ok(())
    }
}
