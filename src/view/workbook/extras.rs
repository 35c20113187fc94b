//! The sheets beside the rows: the summary, and charts of the workbook's own.

use rust_xlsxwriter::{Chart, ChartType, Format, Worksheet, XlsxError};

use crate::csv::TimestampReader;
use crate::task::Status;
use crate::view::page::over_time;
use crate::view::page::run_times;
use crate::view::read::summary::SummaryRow;
use crate::view::run::RunReport;
use crate::view::workbook::cells;
use crate::view::workbook::sheets::Formats;

/// The columns of the summary that are texts, whatever they look like.
const TEXTS: [&str; 4] = ["job", "model", "reason", "runner_version"];

/// The sheet of figures: the job's row of the summary, turned by a quarter.
pub fn summary(
    report: &RunReport,
    notes: &[String],
    formats: &Formats,
) -> Result<Worksheet, XlsxError> {
    let mut sheet = Worksheet::new();
    sheet.set_name("Summary")?;
    sheet.set_column_width(0, 22)?;
    sheet.set_column_width(1, 44)?;
    let wrapped = Format::new().set_text_wrap();
    let mut row = 0;
    let names = report.summary.as_ref().map(SummaryRow::columns).unwrap_or_default();
    for (name, text) in &names {
        sheet.write_string_with_format(row, 0, name.as_str(), &formats.head)?;
        let number = if TEXTS.contains(&name.as_str()) { None } else { exact(text) };
        if let Some(micros) =
            TimestampReader::default().micros(text.as_bytes()).filter(|_| name.ends_with("_utc"))
        {
            sheet.write_number_with_format(row, 1, cells::day(micros), &formats.time)?;
        } else if let Some(number) = number {
            sheet.write_number(row, 1, number)?;
        } else {
            sheet.write_string_with_format(row, 1, cells::fitting(text.clone()).0, &wrapped)?;
        }
        row += 1;
    }
    if names.is_empty() {
        let tally = &report.digest.tally;
        let counts = Status::ALL.map(|status| (status.name(), tally.get(status)));
        for (name, count) in [("tasks", tally.total())].into_iter().chain(counts) {
            sheet.write_string_with_format(row, 0, name, &formats.head)?;
            sheet.write_number(row, 1, count as f64)?;
            row += 1;
        }
    }
    for note in report.cuts.iter().chain(&report.notes).chain(notes) {
        row += 1;
        sheet.write_string_with_format(row, 0, "note", &formats.head)?;
        sheet.write_string_with_format(row, 1, cells::fitting(note.clone()).0, &wrapped)?;
    }
    Ok(sheet)
}

/// A number of the summary: its decimals may be more than a cell keeps.
fn exact(text: &str) -> Option<f64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_number && text.len() <= 24)
}

/// A number with the digits that people read.
fn digits(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// The sheet of charts, with the numbers that they show.
pub fn charts(report: &RunReport, formats: &Formats) -> Result<Worksheet, XlsxError> {
    let mut sheet = Worksheet::new();
    sheet.set_name("Charts")?;
    let over_time = over_time::series(report);
    let heads = ["from (s)", "ok", "not ok", "at once"];
    let columns = [&over_time.from, &over_time.ok, &over_time.not_ok, &over_time.at_once];
    for (column, (head, values)) in (0_u16..).zip(heads.into_iter().zip(columns)) {
        sheet.write_string_with_format(0, column, head, &formats.head)?;
        for (row, value) in (1_u32..).zip(values) {
            sheet.write_number(row, column, digits(*value))?;
        }
    }
    let runs = run_times::counts(&report.digest.runs);
    for (column, head) in [(5, "run time from (s)"), (6, "to (s)"), (7, "tasks")] {
        sheet.write_string_with_format(0, column, head, &formats.head)?;
        sheet.set_column_width(column, 16)?;
    }
    for (row, (from, to, count)) in (1_u32..).zip(&runs) {
        sheet.write_number(row, 5, digits(*from))?;
        sheet.write_number(row, 6, digits(*to))?;
        sheet.write_number(row, 7, *count as f64)?;
    }
    let last = over_time.from.len() as u32;
    if last > 0 {
        let mut chart = Chart::new(ChartType::ColumnStacked);
        chart.title().set_name("Tasks that ended, over time");
        chart.x_axis().set_name("seconds");
        for (column, name) in [(1, "ok"), (2, "not ok")] {
            chart
                .add_series()
                .set_name(name)
                .set_categories(("Charts", 1, 0, last, 0))
                .set_values(("Charts", 1, column, last, column))
                .set_gap(0);
        }
        sheet.insert_chart(1, 9, &chart)?;
    }
    let last = runs.len() as u32;
    if last > 0 {
        let mut chart = Chart::new(ChartType::Column);
        chart.title().set_name("Run times: how many tasks took how long");
        chart.x_axis().set_name("seconds");
        chart.legend().set_hidden();
        chart
            .add_series()
            .set_categories(("Charts", 1, 5, last, 5))
            .set_values(("Charts", 1, 7, last, 7))
            .set_gap(0);
        sheet.insert_chart(17, 9, &chart)?;
    }
    Ok(sheet)
}
