//! The rows of an earlier run that the report keeps, found by the inputs as they come.

use std::sync::{Arc, Mutex};

use crate::report::resume::finished_inputs::Finished;
use crate::report::stats::Counts;
use crate::report::store::row_order::Index;
use crate::report::store::state::Identify;
use crate::report::write::buffer::lock;
use crate::task::Fields;

/// Rows of an earlier run, waiting for their inputs.
#[derive(Debug)]
pub struct Kept {
    waiting: Mutex<Waiting>,
    index: Arc<Mutex<Index>>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Waiting {
    /// `None` when no more inputs are asked for.
    finished: Option<Finished>,
    identify: Identify,
    /// Rows whose inputs have not come, although all inputs have.
    gone: u64,
}

impl Kept {
    pub(in crate::report) fn new(
        finished: Finished,
        identify: Identify,
        index: Arc<Mutex<Index>>,
        counts: Arc<Counts>,
    ) -> Self {
        let waiting = Waiting { finished: Some(finished), identify, gone: 0 };
        Self { waiting: Mutex::new(waiting), index, counts }
    }

    /// Whether the task of this number and input is finished. If so, it has its row, and others like it do not.
    pub fn claim(&self, task: u64, fields: &Fields) -> bool {
        let mut waiting = lock(&self.waiting);
        let identity = waiting.identify.of(fields);
        let Some(row) = waiting.finished.as_mut().and_then(|finished| finished.claim(identity))
        else {
            return false;
        };
        lock(&self.index).add(task, row);
        self.counts.keep();
        true
    }

    /// All inputs have been asked for: rows that are still waiting have lost theirs.
    pub fn inputs_ended(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.gone = waiting.finished.take().map_or(waiting.gone, |finished| finished.left());
    }

    /// No more inputs will be asked for. Rows that are still waiting stand behind all others, since their inputs may be
    /// there all the same. Returns how many rows are left out, because their inputs are not.
    pub(in crate::report) fn close(&self) -> u64 {
        let mut waiting = lock(&self.waiting);
        if let Some(finished) = waiting.finished.take() {
            let unclaimed = finished.unclaimed();
            lock(&self.index).add_behind(&unclaimed);
            for _ in unclaimed {
                self.counts.keep();
            }
        }
        waiting.gone
    }
}
