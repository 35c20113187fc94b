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
/// `dispensable`, the first of them first, and with shorter names of jobs; then without those at the right, and at last with
/// shorter cells.
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
        names.cells.iter_mut().for_each(|name| *name = cut(name, longest));
    }
    // A mark and a name say nothing without one more.
    let fewest = if columns.first().is_some_and(|column| column.name.is_empty()) { 3 } else { 2 };
    while width_of(&columns) > width && columns.len() > fewest {
        columns.pop();
    }
    rendered(&columns, &widths(&columns, width))
}

/// How wide each column is, that all of them fit into `width`. Names are cut rather than numbers.
fn widths(columns: &[Column], width: usize) -> Vec<usize> {
    let mut widths: Vec<_> = columns.iter().map(Column::width).collect();
    let frame = columns.len() * 3 + 1;
    let is_name = |at: usize| ["job", "model"].contains(&columns[at].name);
    while widths.iter().sum::<usize>() + frame > width {
        let all = 0..columns.len();
        let name = all.clone().filter(|&at| is_name(at) && widths[at] > 2);
        let Some(widest) = name
            .max_by_key(|&at| widths[at])
            .or_else(|| all.filter(|&at| widths[at] > 1).max_by_key(|&at| widths[at]))
        else {
            break;
        };
        widths[widest] -= 1;
    }
    widths
}

/// A text in at most so many columns of the terminal.
fn cut(text: &str, width: usize) -> String {
    console::truncate_str(text, width, "…").into_owned()
}

/// The width of a table: two blanks and one between the columns, and its frame.
fn width_of(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.width() + 3).sum::<usize>() + 1
}

fn rendered(columns: &[Column], widths: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    let fitted = || columns.iter().zip(widths);
    table.set_header(fitted().map(|(column, &width)| cut(column.name, width)));
    let rows = columns.first().map_or(0, |column| column.cells.len());
    for row in 0..rows {
        table.add_row(fitted().map(|(column, &width)| cut(&column.cells[row], width)));
    }
    for (column, shown) in columns.iter().zip(table.column_iter_mut()) {
        if !["", "job", "model"].contains(&column.name) {
            shown.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}
