//! `job`: the rows of another job's report.

use std::path::PathBuf;
use std::sync::Arc;

use super::Source;
use super::counted::Counted;
use super::notes::Notes;
use super::plan::BATCH_SIZE;
use super::records::InputFile;
use crate::csv::columns::is_report_column;
use crate::csv::{InputColumns, OpenOriginals, ReportReader, Writer};
use crate::job::{Job, Stage};
use crate::workload::Workload;

/// What a job leaves to one that reads its report.
#[derive(Clone, Debug)]
pub struct Reported {
    path: PathBuf,
    reading: ReportReader,
    /// The job had nothing to run. Then there is no new report, and an older one must not pass for it.
    nothing: bool,
}

impl Reported {
    /// What `job` is going to leave; `open` opens what knows the inputs of its rows.
    pub fn of(job: &Job, open: OpenOriginals) -> Self {
        let inputs = InputColumns { fields: job.fields.len(), own: job.own_fields, open };
        let planned = Self::planned(job);
        Self { reading: planned.reading.with_inputs(inputs), ..planned }
    }

    /// The same, to plan with only.
    pub fn planned(job: &Job) -> Self {
        let path = job.results.join(format!("{}.csv", job.name));
        let writer = Writer::new(job.report.dialect, job.report.formula_safe);
        let reading = ReportReader::new(job.report_columns(), &writer);
        let is_command = |stage: &Stage| matches!(stage.workload, Workload::Command(_));
        let reading = match job.stages.last() {
            Some(stage) if is_command(stage) => reading.showing_outputs(),
            _ => reading,
        };
        Self { path, reading, nothing: false }
    }

    /// The job has turned out to have no task.
    #[must_use]
    pub fn with_nothing(self) -> Self {
        Self { nothing: true, ..self }
    }

    /// The names of the fields that a reader has: the columns, but `input_task` of a report that has read another
    /// one's `task` makes way for its own `task`, which is called that in the reader's report. For a reader that batches
    /// its inputs, so does the `batch_size` of those that it reads.
    pub(super) fn fields(&self, is_batched: bool) -> Vec<String> {
        let field = |column: &String| {
            let bare = column.trim_start_matches("input_");
            let is_size = is_batched && bare == BATCH_SIZE;
            let makes_way = bare.len() < column.len() && is_report_column(bare) || is_size;
            if makes_way { format!("input_{column}") } else { column.clone() }
        };
        self.reading.columns().iter().map(field).collect()
    }

    /// Its rows; what is noted of them goes to `notes`.
    pub(super) fn source(self, notes: Arc<Notes>) -> Source {
        if self.nothing {
            return super::plan::counted(Counted::Rows(Vec::new()));
        }
        Source::Report(InputFile::report(self.path), self.reading, notes)
    }
}
