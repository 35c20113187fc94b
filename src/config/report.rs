//! The settings of `[report]`.

use crate::base::setting::named;
use crate::config::{Planner, Table};
use crate::csv::Dialect;

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportSettings {
    /// For which reader.
    pub dialect: Dialect,
    /// In which order.
    pub order: Order,
    /// Whether text that a spreadsheet would calculate gets a leading `'`.
    pub formula_safe: bool,
    /// Whether rows say which machine the task ran on.
    pub host: bool,
    /// Whose whole output is kept in files.
    pub logs: Logs,
    /// What is made of the report when the job has ended.
    pub also: Formats,
}

impl ReportSettings {
    /// Reads the table of a job that `has_commands`, or may have, and these columns from outputs.
    pub(crate) fn read(
        table: Option<Table<'_>>,
        plan: &Planner<'_>,
        has_commands: bool,
        columns: &[&str],
    ) -> Self {
        let mut settings = Self::default();
        if let Some(mut table) = table {
            if let Some(dialect) = table.get::<Dialect>("dialect") {
                settings.dialect = dialect.into_inner();
            }
            if let Some(order) = table.get::<Order>("order") {
                settings.order = order.into_inner();
            }
            if let Some(formula_safe) = table.get::<bool>("formula_safe") {
                settings.formula_safe = formula_safe.into_inner();
            }
            if let Some(host) = table.get::<bool>("host") {
                settings.host = *host.get_ref();
                if settings.host && columns.contains(&"host") {
                    let message = "the report has a column `host` already";
                    plan.error_with_help(host.span(), message, "rename the one in `[columns]`");
                }
            }
            if let Some(logs) = table.get::<Logs>("logs") {
                settings.logs = *logs.get_ref();
                if settings.logs != Logs::None && !has_commands && !plan.is_default(&logs.span()) {
                    let message = "`logs` keeps the output of commands, and the job has none";
                    let help = "what Python functions and workers print is in `results/<job>.log`";
                    plan.warn(&logs.span(), message, help);
                }
            }
            if let Some(also) = table.get::<Vec<Format>>("also") {
                settings.also = also.into_inner().into_iter().collect();
            }
            table.finish();
        }
        settings
    }
}

impl Default for ReportSettings {
    fn default() -> Self {
        Self {
            dialect: Dialect::Csv,
            order: Order::Input,
            formula_safe: true,
            host: false,
            logs: Logs::None,
            also: Formats::default(),
        }
    }
}

/// What can be made of a report for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A page.
    Html,
    /// A workbook.
    Xlsx,
}

named!(Format, "a string: `html` or `xlsx`", "html" => Html, "xlsx" => Xlsx);

/// Which of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Formats {
    /// A page.
    pub html: bool,
    /// A workbook.
    pub xlsx: bool,
}

impl Formats {
    /// Whether it is none of them.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

impl FromIterator<Format> for Formats {
    fn from_iter<I: IntoIterator<Item = Format>>(formats: I) -> Self {
        let mut all = Self::default();
        for format in formats {
            match format {
                Format::Html => all.html = true,
                Format::Xlsx => all.xlsx = true,
            }
        }
        all
    }
}

/// In which order the rows stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// That of the inputs.
    Input,
    /// That in which the tasks ended.
    Completion,
}

named!(Order, "a string: `input` or `completion`", "input" => Input, "completion" => Completion);

/// Of which tasks the whole output is kept in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logs {
    /// Of none.
    None,
    /// Of those that are not ok.
    Failed,
    /// Of all.
    All,
}

named!(Logs, "a string: `none`, `failed` or `all`", "none" => None, "failed" => Failed, "all" => All);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for &(word, order) in Order::NAMES {
            assert_eq!(word.parse(), Ok(order));
            assert_eq!(order.to_string(), word);
        }
        for &(word, logs) in Logs::NAMES {
            assert_eq!(word.parse(), Ok(logs));
            assert_eq!(logs.to_string(), word);
        }
        for &(word, format) in Format::NAMES {
            assert_eq!(word.parse(), Ok(format));
            assert_eq!(format.to_string(), word);
        }
        let both: Formats = [Format::Html, Format::Xlsx].into_iter().collect();
        assert!(both.html && both.xlsx && Formats::default().is_none());
    }
}
