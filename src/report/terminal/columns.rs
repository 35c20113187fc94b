//! Tables that fit the terminal: a narrow one does without some of their columns.

use comfy_table::{CellAlignment, Table, presets};
use console::measure_text_width;

/// The shortest that a name of a job is cut to.
const SHORTEST_NAME: usize = 8;

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// What stands above it.
    pub name: &'static str,
    /// Its cells.
    pub cells: Vec<String>,
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| measure_text_width(cell));
        cells.max().unwrap_or_default().max(self.name.len())
    }
}

/// The table of these columns, in at most `width` columns of the terminal, if that is known: without those that are
/// `dispensable`, the first of them first, and with shorter names of jobs.
pub fn fitting(mut columns: Vec<Column>, dispensable: &[&str], width: Option<u16>) -> String {
    let width = width.map_or(usize::MAX, usize::from);
    for name in dispensable {
        if width_of(&columns) <= width {
            break;
        }
        columns.retain(|column| column.name != *name);
    }
    let surplus = width_of(&columns).saturating_sub(width);
    if surplus > 0
        && let Some(names) = columns.first_mut().filter(|column| column.name == "job")
    {
        let longest = names.width().saturating_sub(surplus).max(SHORTEST_NAME);
        let short = |name: &str| console::truncate_str(name, longest, "…").into_owned();
        names.cells.iter_mut().for_each(|name| *name = short(name));
    }
    rendered(&columns)
}

/// The width of a table: two blanks and one between the columns, and its frame.
fn width_of(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.width() + 3).sum::<usize>() + 1
}

fn rendered(columns: &[Column]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(columns.iter().map(|column| column.name));
    let rows = columns.first().map_or(0, |column| column.cells.len());
    for row in 0..rows {
        table.add_row(columns.iter().map(|column| &column.cells[row]));
    }
    for (column, shown) in columns.iter().zip(table.column_iter_mut()) {
        if !["", "job", "model"].contains(&column.name) {
            shown.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}
