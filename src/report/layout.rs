//! The columns of one report, and the writer of its cells.

use std::time::Duration;

use crate::base::number::Sum;
use crate::config::ReportSettings;
use crate::csv::columns::{ATTEMPT_COLUMNS, COLUMN_OF_STAGES, column_names};
use crate::csv::{ReportReader, Writer, cells};
use crate::job::Job;

/// The layout of one report.
#[derive(Debug)]
pub(super) struct Layout {
    /// The names of all columns.
    pub(super) names: Vec<String>,
    /// How many of them are fields of the input.
    pub(super) fields: usize,
    /// How many of them come from the output.
    pub(super) columns: usize,
    /// The names of `[[stages]]`; empty for a job without stages.
    pub(super) stages: Vec<String>,
    /// The name of this machine, if rows have it.
    pub(super) host: Option<String>,
    /// Writes its cells.
    pub(super) csv: Writer,
    /// Which of those that come from the output have their sum in the summary.
    pub(super) totals: Vec<usize>,
    /// Which of them have a budget.
    pub(super) budgets: Vec<usize>,
    /// The longest time that one of those is for, if one is.
    pub(super) longest_budget: Option<Duration>,
}

impl Layout {
    /// The layout of the report of `job`.
    pub(super) fn of(job: &Job) -> Self {
        let columns = job.output_columns();
        let totals = job.stages.iter().flat_map(|stage| &stage.columns);
        let totals = totals.enumerate().filter(|(_, column)| column.total).map(|(at, _)| at);
        let budgets = job.stages.iter().flat_map(|stage| &stage.limits.budgets);
        let limits = budgets.clone().flat_map(|budget| &budget.limits);
        let budgets =
            budgets.filter_map(|budget| columns.iter().position(|name| *name == budget.column));
        Self {
            totals: totals.collect(),
            budgets: budgets.collect(),
            longest_budget: limits.filter_map(|limit| limit.per).max(),
            ..Self::of_stages(&job.fields, &columns, job.stage_names(), job.report)
        }
    }

    /// The layout of a report with these fields and output columns.
    pub(super) fn new(fields: &[String], columns: &[&str], settings: ReportSettings) -> Self {
        Self::of_stages(fields, columns, Vec::new(), settings)
    }

    fn of_stages(
        fields: &[String],
        columns: &[&str],
        stages: Vec<String>,
        settings: ReportSettings,
    ) -> Self {
        Self {
            names: column_names(fields, columns, &stages, settings.host),
            host: settings.host.then(node_name),
            stages,
            fields: fields.len(),
            columns: columns.len(),
            csv: Writer::new(settings.dialect, settings.formula_safe),
            totals: Vec::new(),
            budgets: Vec::new(),
            longest_budget: None,
        }
    }

    /// The layout of the file of attempts.
    pub(super) fn attempts(settings: ReportSettings, is_staged: bool) -> Self {
        let mut names = ATTEMPT_COLUMNS.map(str::to_owned).to_vec();
        if is_staged {
            names.insert(1, COLUMN_OF_STAGES.into());
        }
        Self { names, host: None, ..Self::new(&[], &[], settings) }
    }

    /// Adds the cells of a row in these columns of the output to their sums: each counts as what was printed, whatever the
    /// dialect has made of it.
    pub(super) fn add(&self, row: &[u8], columns: &[usize], sums: &mut Vec<Sum>) {
        sums.resize(columns.len(), Sum::default());
        let before = self.names.len() - 1 - self.columns; // `error` is last
        let cells: Vec<_> =
            cells(row, self.csv.delimiter).skip(before).take(self.columns).collect();
        let reading = ReportReader::new(Vec::new(), &self.csv);
        for (sum, &column) in sums.iter_mut().zip(columns) {
            let cell = cells.get(column).copied().unwrap_or_default();
            sum.add(&reading.of_written(cell));
        }
    }

    /// The name of a column of the output.
    pub(super) fn column(&self, column: usize) -> &str {
        let at = self.names.len() - 1 - self.columns + column;
        self.names.get(at).map_or("", String::as_str)
    }

    /// The header line.
    pub(super) fn header(&self) -> Vec<u8> {
        self.csv.header(&self.names)
    }
}

/// The name of this machine: in an allocation, what the scheduler calls it.
pub fn node_name() -> String {
    std::env::var("SLURMD_NODENAME")
        .unwrap_or_else(|_| rustix::system::uname().nodename().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv::Dialect;

    fn layout(dialect: Dialect, formula_safe: bool) -> Layout {
        Layout::new(&[], &[], ReportSettings { dialect, formula_safe, ..ReportSettings::default() })
    }

    #[test]
    fn headers_follow_the_dialect() {
        let names = "task,status,attempts,started_utc,queue_s,run_s,cpu_user_s,cpu_sys_s,peak_rss_bytes,slot,code,\
                     result,output_bytes,error";
        let header = |dialect| String::from_utf8(layout(dialect, true).header()).unwrap();
        assert_eq!(header(Dialect::Csv), format!("{names}\n"));
        assert_eq!(header(Dialect::Excel), format!("\u{feff}{names}\r\n"));
        assert_eq!(
            header(Dialect::ExcelSemicolon),
            format!("\u{feff}{}\r\n", names.replace(',', ";"))
        );
        let settings = ReportSettings::default();
        let header = Layout::new(&["=x".to_owned()], &[], settings).header();
        assert!(header.starts_with(b"task,'=x,status"));
    }
}
