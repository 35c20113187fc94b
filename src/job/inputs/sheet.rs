//! `sheet`: a table in a workbook (.xlsx, .xls, .xlsb, .ods); one input a row.

mod bounds;
mod cell;
mod guard;
mod ods;
mod xlsb;
mod xlsx;
mod xml;
mod zip;

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Read};

use calamine::{Reader, SheetType, Xls, Xlsb, Xlsx, open_workbook_from_rs};

use super::InputError;
use super::csv::{Header, names, numbered};
use super::records::{InputFile, Records, Stop};
use super::text::workbook;
use crate::task::Fields;
use cell::Cell;
use ods::Refusal;

/// What the job file says of a table in a workbook.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SheetOptions {
    /// The sheet's name; `None`: the first one.
    pub sheet: Option<String>,
    /// Where the names of the columns are.
    pub header: Header,
    /// How many rows come before the header.
    pub skip_lines: u64,
    /// Whether an empty row is an input, since it is a place in `zip`.
    pub has_places: bool,
}

/// The rows of a sheet, after its header. A workbook is a zip archive of parts that refer to each other: it is read as
/// a whole.
pub(super) struct Rows {
    file: InputFile,
    sheet: String,
    names: Vec<String>,
    all: Vec<Row>,
    next: usize,
    /// The number of the row that is due, where empty ones are inputs, too.
    place: Option<u32>,
}

/// The cells of a row that are not empty, by their columns.
#[derive(Default)]
struct Row {
    /// From 1, as the spreadsheet shows it.
    number: u32,
    cells: Vec<(u32, Cell)>,
}

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
        let sheet = choose(&book.sheets(), options.sheet.as_deref(), file)?;
        let mut rows = read(&mut book, &sheet, file)?;
        rows.retain(|row| u64::from(row.number) > options.skip_lines);
        let width = |rows: &[Row]| {
            let last = rows.iter().filter_map(|row| row.cells.last());
            last.map(|(column, _)| *column as usize + 1).max().unwrap_or(0)
        };
        let is_header = options.header == Header::First;
        let before = if is_header { rows.first().map(|row| row.number) } else { None };
        let before = before.unwrap_or(u32::try_from(options.skip_lines).unwrap_or(u32::MAX));
        let place = options.has_places.then(|| before.saturating_add(1));
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
        Ok(Self { file: file.clone(), sheet, names, all: rows, next: 0, place })
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

/// `B7`.
fn cell_name((row, column): (u32, u32)) -> String {
    format!("{}{}", column_name(column as usize), row + 1)
}

/// A workbook of which no table has been read.
enum Book {
    Xls(Xls<BufReader<File>>),
    Xlsx(Box<Xlsx<BufReader<File>>>),
    Xlsb(Xlsb<BufReader<File>>),
    Ods(ods::Book),
}

impl Book {
    /// The names of its sheets, and whether they have tables.
    fn sheets(&self) -> Vec<(String, bool)> {
        let all = match self {
            Self::Xls(book) => book.sheets_metadata(),
            Self::Xlsx(book) => book.sheets_metadata(),
            Self::Xlsb(book) => book.sheets_metadata(),
            Self::Ods(book) => {
                return book.sheets.iter().map(|name| (name.clone(), true)).collect();
            }
        };
        all.iter().map(|sheet| (sheet.name.clone(), sheet.typ == SheetType::WorkSheet)).collect()
    }
}

/// The sheet that is `wanted`, else the first one that has a table.
fn choose(
    sheets: &[(String, bool)],
    wanted: Option<&str>,
    file: &InputFile,
) -> Result<String, InputError> {
    let mut tables = sheets.iter().filter(|(_, is_table)| *is_table).map(|(name, _)| name);
    let Some(wanted) = wanted else {
        let none = || file.error("the workbook has no sheet with a table");
        return tables.next().cloned().ok_or_else(none);
    };
    let all: Vec<_> = tables.map(|name| format!("`{name}`")).collect();
    let has = match all.len() {
        0 => "it has no sheet with a table".into(),
        1 => format!("its only sheet is {}", all[0]),
        _ => format!("its sheets are {}", all.join(", ")),
    };
    let message = match sheets.iter().find(|(name, _)| name == wanted) {
        Some((_, true)) => return Ok(wanted.to_owned()),
        Some((_, false)) => format!("sheet `{wanted}` is a chart or a dialog, not a table: {has}"),
        None => format!("has no sheet `{wanted}`: {has}"),
    };
    Err(file.error(message).about("sheet"))
}

fn open_book(file: &InputFile) -> Result<Book, InputError> {
    if !file.regular {
        return Err(file.error("is not a file: a workbook cannot be read from a pipe"));
    }
    let open = || file.open(&Stop::default()).map_err(|error| file.unreadable(&error));
    let mut first = Vec::new();
    let read = open()?.take(1 << 16).read_to_end(&mut first);
    read.map_err(|error| file.unreadable(&error))?;
    let locked = || file.error("has a password: save the workbook without one");
    let cannot = |why: String| file.error(format!("is not a workbook that can be read: {why}"));
    if !first.starts_with(b"PK") {
        if !workbook(&first) {
            return Err(file.error("is not a workbook: `csv` reads tables of text"));
        }
        bounds::of_xls(open()?).map_err(|message| file.error(message))?;
        let xls = match open_workbook_from_rs::<Xls<_>, _>(BufReader::new(open()?)) {
            Ok(book) => return Ok(Book::Xls(book)),
            Err(error) => error.to_string(),
        };
        // A new workbook with a password is stored like an old one.
        let xlsx = open_workbook_from_rs::<Xlsx<_>, _>(BufReader::new(open()?));
        let has_password = |error: &str| error.contains("assword");
        let is_locked = xlsx.err().is_some_and(|error| has_password(&error.to_string()));
        return Err(if is_locked || has_password(&xls) { locked() } else { cannot(xls) });
    }
    zip::refuse_bomb(&open()?).map_err(|message| file.error(message))?;
    bounds::of_ods(open()?).map_err(|message| file.error(message))?;
    bounds::of_texts(open()?).map_err(|message| file.error(message))?;
    match ods::Book::open(open()?) {
        Ok(book) => return Ok(Book::Ods(book)),
        Err(Refusal::Password) => return Err(locked()),
        Err(Refusal::Damaged(why)) => return Err(cannot(why)),
        Err(Refusal::Other) => {}
    }
    let why = match open_workbook_from_rs::<Xlsx<_>, _>(BufReader::new(open()?)) {
        Ok(book) => return Ok(Book::Xlsx(Box::new(book))),
        Err(error) => error.to_string(),
    };
    let xlsb = open_workbook_from_rs::<Xlsb<_>, _>(BufReader::new(open()?));
    xlsb.map(Book::Xlsb).map_err(|_| cannot(why))
}

/// All rows that have a cell.
fn read(book: &mut Book, sheet: &str, file: &InputFile) -> Result<Vec<Row>, InputError> {
    let mut rows = Gather::default();
    let again = || file.open(&Stop::default()).map_err(|error| file.unreadable(&error));
    let read = match book {
        Book::Ods(book) => book.read(sheet, &mut |row, column, cell| rows.add(row, column, cell)),
        Book::Xlsx(book) => read_xlsx(book, sheet, again()?, &mut rows),
        Book::Xlsb(book) => read_xlsb(book, sheet, again()?, &mut rows),
        Book::Xls(book) => read_xls(book, sheet, &mut rows),
    };
    let failed = |why: String| {
        let after = rows.last.map(|place| format!(" after cell {}", cell_name(place)));
        let after = after.unwrap_or_default();
        file.error(format!("sheet `{sheet}` cannot be read{after}: {why}"))
    };
    read.map_err(failed)?;
    Ok(rows.in_order())
}

/// Cell by cell: one far away must not make a table of millions of empty ones.
fn read_xlsx(
    book: &mut Xlsx<BufReader<File>>,
    sheet: &str,
    file: File,
    rows: &mut Gather,
) -> Result<(), String> {
    let is_1904 = book.has_1904_epoch();
    let mut cells = book.worksheet_cells_reader(sheet).map_err(|error| error.to_string())?;
    let mut parts = ::zip::ZipArchive::new(file).map_err(|error| error.to_string())?;
    let part = xlsx::part_of(&mut parts, sheet).ok_or("its part is not where it should be")?;
    let mut scan = xlsx::Scan::new(xml::part(&mut parts, &part)?)?;
    let lost = || "its cells are in a form that cannot be followed".to_owned();
    while let Some(written) = scan.next()? {
        let read = match cells.next_cell_with_formula_metadata() {
            Ok(Some(cell)) if written.said.is_some_and(|said| cell.pos != said) => {
                return Err(lost());
            }
            Ok(cell) => Ok(cell.ok_or_else(lost)?.value),
            Err(error) if xlsx::is_of_a_cell(&error) => Err(error),
            Err(error) => return Err(error.to_string()),
        };
        let (row, column) = written.place;
        rows.add(row, column, written.cell(read, is_1904))?;
    }
    match cells.next_cell() {
        Ok(None) => Ok(()),
        _ => Err(lost()),
    }
}

fn read_xlsb(
    book: &mut Xlsb<BufReader<File>>,
    sheet: &str,
    file: File,
    rows: &mut Gather,
) -> Result<(), String> {
    let is_1904 = book.has_1904_epoch();
    let mut cells = book.worksheet_cells_reader(sheet).map_err(|error| error.to_string())?;
    let mut parts = ::zip::ZipArchive::new(file).map_err(|error| error.to_string())?;
    let part = xlsb::part_of(&mut parts, sheet)?;
    let mut scan = xlsb::Scan::new(parts.by_name(&part).map_err(|error| error.to_string())?)?;
    while let Some(written) = scan.next()? {
        let (row, column) = written.place;
        let cell = match written.own {
            Some(cell) => Some(cell),
            None => match cells.next_cell().map_err(|error| error.to_string())? {
                Some(cell) if cell.get_position() == written.place => {
                    Cell::of_ref(cell.get_value(), is_1904)
                }
                _ => return Err("its cells are in a form that cannot be followed".into()),
            },
        };
        rows.add(row, column, cell)?;
    }
    Ok(())
}

fn read_xls(book: &mut Xls<BufReader<File>>, sheet: &str, rows: &mut Gather) -> Result<(), String> {
    let is_1904 = book.has_1904_epoch();
    let range = book.worksheet_range(sheet).map_err(|error| error.to_string())?;
    let (first_row, first_column) = range.start().unwrap_or_default();
    for (row, column, data) in range.used_cells() {
        let (row, column) = (first_row + row as u32, first_column + column as u32);
        rows.add(row, column, Cell::of(data, is_1904))?;
    }
    Ok(())
}

#[derive(Default)]
struct Gather {
    rows: Vec<Row>,
    bytes: usize,
    /// The place of the last cell.
    last: Option<(u32, u32)>,
}

impl Gather {
    fn add(&mut self, row: u32, column: u32, cell: Option<Cell>) -> Result<(), String> {
        self.last = Some((row, column));
        let Some(cell) = cell else { return Ok(()) };
        let (Cell::Value(text, _) | Cell::None(text)) = &cell;
        self.bytes += text.len() + size_of::<(u32, Cell)>();
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

    /// The rows and their cells by their places, whatever order the file has them in.
    fn in_order(mut self) -> Vec<Row> {
        if !self.rows.is_sorted_by(|one, next| one.number < next.number) {
            self.rows.sort_by_key(|row| row.number);
            self.rows.dedup_by(|next, row| {
                let is_same = next.number == row.number;
                if is_same {
                    row.cells.append(&mut next.cells);
                }
                is_same
            });
        }
        self.rows.iter_mut().for_each(Row::settle);
        self.rows
    }
}

impl Row {
    /// Puts its cells in order. Of two in one place nobody can tell which one is meant.
    fn settle(&mut self) {
        if self.cells.is_sorted_by(|(one, _), (next, _)| one < next) {
            return;
        }
        self.cells.sort_by_key(|(column, _)| *column);
        self.cells.dedup_by(|(next, _), (column, cell)| {
            let is_same = next == column;
            if is_same {
                *cell = Cell::None("is there twice".into());
            }
            is_same
        });
    }
}

impl Records for Rows {
    fn next_record(&mut self) -> Option<Result<Fields, InputError>> {
        let row = self.all.get(self.next)?;
        if let Some(place) = &mut self.place {
            let is_missing = row.number > *place;
            *place = place.saturating_add(1);
            if is_missing {
                return Some(Ok(self.fields(&Row::default())));
            }
        }
        self.next += 1;
        Some(Ok(self.fields(row)))
    }

    fn position(&mut self) -> u64 {
        self.next as u64
    }

    fn place(&mut self) -> Option<String> {
        let row = self.all.get(self.next.checked_sub(1)?)?;
        Some(format!("{} row {}", self.file, row.number))
    }

    fn seek(&mut self, position: u64) -> Result<(), InputError> {
        self.next = position as usize;
        Ok(())
    }

    fn make_seekable(&mut self, _: &Stop) -> Result<(), InputError> {
        Ok(())
    }
}
