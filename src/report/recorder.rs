//! The recorder: a thread that empties the trays into the partial and keeps the job's figures. It never stops emptying
//! them, even when nothing can be written any more, so that no slot waits for it in vain.

use std::mem;
use std::sync::Arc;

use crate::engine::cancel::{Cancel, Cause, Level};
use crate::report::attempts::Attempts;
use crate::report::order::Index;
use crate::report::outbox::{Batch, Shared, lock};
use crate::report::partial::Partial;
use crate::report::stats::{Counts, Distribution, Totals};

/// A batch of fewer bytes is written together with others: thousands of slots may have a row each.
const SMALL: usize = 16 << 10;

/// What has been recorded so far.
#[derive(Debug)]
pub(super) struct Recorder {
    shared: Arc<Shared>,
    counts: Arc<Counts>,
    cancel: Arc<Cancel>,
    /// Where the rows are.
    pub(super) partial: Partial,
    /// Where the rows of single attempts are, if they are kept.
    pub(super) attempts: Option<Attempts>,
    /// The length of the partial.
    end: u64,
    /// Which row is where.
    pub(super) index: Index,
    /// Counts and sums.
    pub(super) totals: Totals,
    /// Run times of the tasks that were started.
    pub(super) run: Distribution,
    /// Queue times of the tasks that were started.
    pub(super) queue: Distribution,
    /// Why nothing is written any more.
    pub(super) broken: Option<String>,
    gathered: Batch,
    spare: Batch,
}

impl Recorder {
    /// Records behind the `header` that the partial has already.
    pub(super) fn new(
        shared: Arc<Shared>,
        counts: Arc<Counts>,
        cancel: Arc<Cancel>,
        partial: Partial,
        attempts: Option<Attempts>,
        header: u64,
    ) -> Self {
        Self {
            shared,
            counts,
            cancel,
            partial,
            attempts,
            end: header,
            index: Index::new(header),
            totals: Totals::default(),
            run: Distribution::new(),
            queue: Distribution::new(),
            broken: None,
            gathered: Batch::default(),
            spare: Batch::default(),
        }
    }

    /// Records until the report is closed.
    pub(super) fn run(mut self) -> Self {
        loop {
            let last = self.shared.bell.wait();
            self.empty_trays();
            if last {
                return self;
            }
        }
    }

    fn empty_trays(&mut self) {
        let shared = Arc::clone(&self.shared);
        lock(&shared.trays).retain(|tray| {
            // Asked first: who has let go of the tray does not fill it any more.
            let in_use = Arc::strong_count(tray) > 1;
            if tray.is_empty() {
                return in_use;
            }
            let mut batch = lock(&tray.batch);
            let small = batch.size() < SMALL;
            if small {
                self.gathered.append(&mut batch);
            } else {
                mem::swap(&mut *batch, &mut self.spare);
            }
            tray.emptied();
            drop(batch);
            if !small {
                let mut spare = mem::take(&mut self.spare);
                self.record(&mut spare);
                self.spare = spare;
            }
            in_use
        });
        let mut gathered = mem::take(&mut self.gathered);
        self.record(&mut gathered);
        self.gathered = gathered;
    }

    fn record(&mut self, batch: &mut Batch) {
        if let Some(attempts) = &mut self.attempts
            && let Err(message) = attempts.append(&batch.attempts)
        {
            self.cancel.raise(Level::Drain, Cause::Report(message));
        }
        self.write(batch);
        for (queue, run) in batch.rows.iter().filter_map(|row| row.times) {
            self.queue.add(queue);
            self.run.add(run);
        }
        self.totals.merge(&batch.totals);
        self.counts.add(&batch.totals.tally);
        batch.clear();
    }

    fn write(&mut self, batch: &Batch) {
        if self.broken.is_some() {
            return;
        }
        let written = match self.partial.append(&batch.bytes) {
            Ok(()) => batch.bytes.len(),
            Err((written, error)) => {
                let message =
                    format!("failed to write `{}`: {error}", self.partial.path().display());
                self.cancel.raise(Level::Drain, Cause::Report(message.clone()));
                self.broken = Some(message);
                written
            }
        };
        let limit = self.end + written as u64;
        for row in &batch.rows {
            if self.end + u64::from(row.length) > limit {
                break;
            }
            self.index.add(row.task, self.end, row.length);
            self.end += u64::from(row.length);
        }
        if self.broken.is_some() {
            let _ = self.partial.truncate(self.end); // half a row would spoil what was kept
        }
    }
}
