//! The arguments of `runner report`.

use std::path::PathBuf;

use clap::Args;

use crate::config::Formats;

/// The arguments of `runner report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Reports: `results/<job>.csv`, the `.csv.partial` of a run that has not ended, or `results/<job>.compare.csv`.
    #[arg(required = true, value_name = "REPORT")]
    pub reports: Vec<PathBuf>,
    /// Write a page that any browser shows, beside the report (the default).
    #[arg(long)]
    html: bool,
    /// Write a workbook with typed cells, beside the report.
    #[arg(long)]
    xlsx: bool,
}

impl ReportArgs {
    /// What is to be written.
    pub fn formats(&self) -> Formats {
        Formats { html: self.html || !self.xlsx, xlsx: self.xlsx }
    }
}
