//! The rows of the report before, for tasks that are skipped: what they said then is said again.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::csv::cells;
use crate::report::JobFacts;
use crate::report::layout::Layout;
use crate::report::resume::start::Begun;
use crate::report::resume::verify;
use crate::report::store::state::Identify;
use crate::task::{Fields, Status};

/// The rows of tasks that were ok, or were skipped since they had been ok before, by their inputs.
#[derive(Debug)]
pub struct EarlierRows {
    report: File,
    /// Where each row is, and its length.
    rows: HashMap<u128, (u64, u32)>,
    identify: Identify,
    delimiter: u8,
    /// How many cells come before those that are kept.
    before: usize,
}

impl EarlierRows {
    /// The rows of the report that is about to be replaced; `None` if no task can be skipped, or if there is none that
    /// has the same columns and is as the runner wrote it.
    pub(in crate::report) fn open(job: &JobFacts, layout: &Layout, begun: &Begun) -> Option<Self> {
        if !job.has_creates || begun.origin.has_rows() {
            return None;
        }
        let report = File::open(job.report()).ok()?;
        let (header, found) = (layout.header(), begun.state.found()?);
        let mut start = vec![0; header.len()];
        report.read_exact_at(&mut start, 0).ok()?;
        if start != header || !found.fits(&header) {
            return None;
        }
        let mut rows = HashMap::new();
        // Rows before one that is another one are as they were written.
        let _ = verify::agree(&report, header.len() as u64, begun.state.file(), |entry| {
            if matches!(entry.status, Status::Ok | Status::Skipped) {
                rows.insert(entry.identity, (entry.offset, entry.length));
            }
        });
        let identify = Identify::new(found.seed, job.own_fields);
        let (delimiter, before) = (layout.csv.delimiter, 1 + layout.fields + 1);
        Some(Self { report, rows, identify, delimiter, before })
    }

    /// What stands after the status in the row of the task with this input, with the line end; `None` if it has none.
    pub fn after_status(&self, fields: &Fields) -> Option<Vec<u8>> {
        let &(offset, length) = self.rows.get(&self.identify.clone().of(fields))?;
        let mut row = vec![0; length as usize];
        self.report.read_exact_at(&mut row, offset).ok()?;
        let cut: usize =
            cells(&row, self.delimiter).take(self.before).map(|cell| cell.len() + 1).sum();
        (cut <= row.len()).then(|| row.split_off(cut - 1))
    }
}
