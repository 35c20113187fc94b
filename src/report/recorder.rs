//! The recorder: a thread that empties the trays into the partial and keeps the job's figures. It never stops emptying
//! them, even when nothing can be written any more, so that no slot waits for it in vain.

use std::sync::{Arc, Mutex};
use std::{io, mem};

use crate::engine::cancel::{Cancel, Cause, Level};
use crate::report::attempts::Attempts;
use crate::report::begin::Begun;
use crate::report::order::Index;
use crate::report::outbox::{Batch, RowInfo, Shared, lock};
use crate::report::partial::Partial;
use crate::report::state::{ENTRY, Entry, State};
use crate::report::stats::{Counts, Distribution, Totals};
use crate::report::sync::Syncer;

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
    /// What resuming has to know of them.
    pub(super) state: State,
    /// The length of the partial.
    end: u64,
    /// Which row is whose. Shared with the inputs, whose finished ones have their rows already.
    pub(super) index: Arc<Mutex<Index>>,
    /// So many rows are from an earlier run.
    pub(super) kept: u64,
    /// Counts and sums.
    pub(super) totals: Totals,
    /// Run times of the tasks that were started.
    pub(super) run: Distribution,
    /// Queue times of the tasks that were started.
    pub(super) queue: Distribution,
    /// Why nothing is written any more.
    pub(super) broken: Option<String>,
    syncer: Option<Syncer>,
    gathered: Batch,
    spare: Batch,
    entries: Vec<u8>,
}

impl Recorder {
    /// Records behind what the partial has already.
    pub(super) fn new(
        shared: Arc<Shared>,
        counts: Arc<Counts>,
        cancel: Arc<Cancel>,
        begun: Begun,
        attempts: Option<Attempts>,
    ) -> Self {
        let Begun { partial, state, end, kept, index, .. } = begun;
        Self {
            shared,
            counts,
            cancel,
            partial,
            state,
            attempts,
            end,
            index,
            kept,
            totals: Totals::default(),
            run: Distribution::new(),
            queue: Distribution::new(),
            broken: None,
            syncer: None,
            gathered: Batch::default(),
            spare: Batch::default(),
            entries: Vec::new(),
        }
    }

    /// How many rows this run has written.
    pub(super) fn written(&self) -> u64 {
        self.state.entries() - self.kept
    }

    /// Records until the report is closed.
    pub(super) fn run(mut self) -> Self {
        loop {
            let last = self.shared.bell.wait();
            self.empty_trays();
            if last {
                if let Some(error) = self.syncer.take().as_ref().and_then(Syncer::failure) {
                    self.fail(&self.partial.path().display().to_string(), error);
                }
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

    /// Entries first: a row that is there has its entry, whenever the runner is killed.
    fn write(&mut self, batch: &Batch) {
        if self.broken.is_some() || batch.rows.is_empty() {
            return;
        }
        let first = self.state.entries();
        if first + batch.rows.len() as u64 >= u64::from(u32::MAX) {
            let error = io::Error::other("more than 4,294,967,294 rows");
            return self.fail(&self.partial.path().display().to_string(), &error);
        }
        let described = self.describe(batch);
        let bytes = batch.rows[..described].iter().map(|row| row.length as usize).sum();
        let written = match self.partial.append(&batch.bytes[..bytes]) {
            Ok(()) => bytes,
            Err((written, error)) => {
                self.fail(&self.partial.path().display().to_string(), &error);
                written
            }
        };
        let limit = self.end + written as u64;
        let mut index = lock(&self.index);
        let mut next = first;
        for row in &batch.rows[..described] {
            if self.end + u64::from(row.length) > limit {
                break;
            }
            index.add(row.task, next);
            next += 1;
            self.end += u64::from(row.length);
        }
        drop(index);
        if self.broken.is_some() {
            let _ = self.partial.truncate(self.end); // half a row would spoil what was kept
            let _ = self.state.truncate(next);
        }
        self.synced();
    }

    /// Writes the entries of a batch, and says of how many rows.
    fn describe(&mut self, batch: &Batch) -> usize {
        self.entries.clear();
        self.entries.reserve(batch.rows.len() * ENTRY);
        let mut offset = self.end;
        for row in &batch.rows {
            let &RowInfo { identity, length, check, status, .. } = row;
            Entry { identity, offset, length, check, status }.push(&mut self.entries);
            offset += u64::from(length);
        }
        match self.state.append(&self.entries) {
            Ok(()) => batch.rows.len(),
            Err((written, error)) => {
                self.fail(&self.state.path().display().to_string(), &error);
                written
            }
        }
    }

    /// Nothing is written any more, and nothing new started.
    fn fail(&mut self, path: &str, error: &io::Error) {
        if self.broken.is_none() {
            let message = format!("failed to write `{path}`: {error}");
            self.cancel.raise(Level::Drain, Cause::Report(message.clone()));
            self.broken = Some(message);
        }
    }

    /// Has the rows brought to the disk within a second, as far as the system has a thread for that.
    fn synced(&mut self) {
        if self.syncer.is_none()
            && let (Ok(partial), Ok(state)) =
                (self.partial.file().try_clone(), self.state.file().try_clone())
        {
            let cancel = Arc::clone(&self.cancel);
            let path = self.partial.path().display().to_string();
            let on_failure = move |error: &io::Error| {
                let message = format!("failed to write `{path}`: {error}");
                cancel.raise(Level::Drain, Cause::Report(message));
            };
            self.syncer = Syncer::start([state, partial], on_failure).ok();
        }
        if let Some(syncer) = &self.syncer {
            syncer.written();
        }
    }
}
