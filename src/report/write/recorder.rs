//! The recorder: a thread that empties the buffers into the partial and keeps the job's figures. It never stops emptying
//! them, even when nothing can be written any more, so that no slot waits for it in vain.

use std::sync::{Arc, Mutex};
use std::time::Instant;
use std::{io, mem};

use crate::config::Order;
use crate::report::resume::start::Begun;
use crate::report::stats::{Counts, Distribution, Totals};
use crate::report::store::partial::Partial;
use crate::report::store::row_order::Index;
use crate::report::store::state::{ENTRY, Entry, State};
use crate::report::write::attempts::Attempts;
use crate::report::write::buffer::{Batch, RowInfo, Shared, lock};
use crate::report::write::disk_sync::Syncer;
use crate::report::write::reorder::{Enough, Pass, Reorder};
use crate::task::{Cancel, Cause, Level};

/// A batch of fewer bytes is written together with others: thousands of slots may have a row each.
const SMALL: usize = 16 << 10;

/// So many bytes of rows are written at once, unless a row is longer: what the processor's cache holds.
const PIECE: usize = 256 << 10;

/// What has been recorded so far.
#[derive(Debug)]
pub(in crate::report) struct Recorder {
    shared: Arc<Shared>,
    counts: Arc<Counts>,
    cancel: Arc<Cancel>,
    /// Where the rows are.
    pub(in crate::report) partial: Partial,
    /// Where the rows of single attempts are, if they are kept.
    pub(in crate::report) attempts: Option<Attempts>,
    /// What resuming has to know of them.
    pub(in crate::report) state: State,
    /// The length of the partial.
    pub(in crate::report) end: u64,
    /// Which row is whose. Shared with the inputs, whose finished ones have their rows already.
    pub(in crate::report) index: Arc<Mutex<Index>>,
    /// So many rows are from an earlier run.
    pub(in crate::report) kept: u64,
    /// Counts and sums.
    pub(in crate::report) totals: Totals,
    /// Run times of the tasks that were started.
    pub(in crate::report) run: Distribution,
    /// Queue times of the tasks that were started.
    pub(in crate::report) queue: Distribution,
    /// Why nothing is written any more.
    pub(in crate::report) broken: Option<String>,
    syncer: Option<Syncer>,
    sequence: Reorder,
    /// What is written next: rows, their entries, and whose they are.
    rows: Vec<u8>,
    entries: Vec<u8>,
    tasks: Vec<u64>,
}

impl Recorder {
    /// Records behind what the partial has already. Rows of an earlier run have to be copied into the order of the tasks
    /// anyway.
    pub(in crate::report) fn new(
        shared: Arc<Shared>,
        counts: Arc<Counts>,
        cancel: Arc<Cancel>,
        begun: Begun,
        attempts: Option<Attempts>,
        order: Order,
    ) -> Self {
        let Begun { partial, state, end, kept, index, .. } = begun;
        let sequence = match order {
            Order::Input if kept == 0 => Reorder::in_order(),
            _ => Reorder::as_they_come(),
        };
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
            sequence,
            rows: Vec::new(),
            entries: Vec::new(),
            tasks: Vec::new(),
        }
    }

    /// How many rows this run has written.
    pub(in crate::report) fn written(&self) -> u64 {
        self.state.entries() - self.kept
    }

    /// Records until the report is closed.
    pub(in crate::report) fn run(mut self) -> Self {
        loop {
            let last = self.shared.wakeup.wait(self.sequence.due());
            self.empty_trays(if last { Pass::All } else { Pass::Ready });
            if last {
                if let Some(error) = self.syncer.take().as_ref().and_then(Syncer::failure) {
                    self.fail(&self.partial.path().display().to_string(), error);
                }
                return self;
            }
        }
    }

    /// Takes what is in the buffers, and writes what may be written of it.
    fn empty_trays(&mut self, which: Pass) {
        let shared = Arc::clone(&self.shared);
        let now = Instant::now();
        let mut gathered = self.sequence.spare();
        lock(&shared.buffers).retain(|buffer| {
            // Asked first: who has let go of the buffer does not fill it any more.
            let in_use = Arc::strong_count(buffer) > 1;
            if buffer.is_empty() {
                return in_use;
            }
            let mut batch = lock(&buffer.batch);
            if batch.size() < SMALL {
                gathered.append(&mut batch);
                buffer.emptied();
                return in_use;
            }
            let full = mem::replace(&mut *batch, self.sequence.spare());
            buffer.emptied();
            drop(batch);
            self.take(full, now);
            in_use
        });
        self.take(gathered, now);
        while self.write(which, now) {}
    }

    fn take(&mut self, batch: Batch, now: Instant) {
        if let Some(attempts) = &mut self.attempts
            && let Err(message) = attempts.append(&batch.attempts)
        {
            self.cancel.raise(Level::Drain, Cause::Report(message));
        }
        for (queue, run) in batch.rows.iter().filter_map(|row| row.times) {
            self.queue.add(queue);
            self.run.add(run);
        }
        self.totals.merge(&batch.totals);
        self.counts.add(&batch.totals.tally);
        self.sequence.take(batch, now);
    }

    /// Writes a piece of what may be written; says whether there may be more.
    ///
    /// Entries first: a row that is there has its entry, whenever the runner is killed.
    fn write(&mut self, which: Pass, now: Instant) -> bool {
        let Self { rows, entries, tasks, end, .. } = self;
        rows.clear();
        entries.clear();
        tasks.clear();
        let more = self.sequence.pass(which, now, |info, row| {
            let &RowInfo { identity, length, check, status, .. } = info;
            Entry { identity, offset: *end + rows.len() as u64, length, check, status }
                .push(entries);
            rows.extend_from_slice(row);
            tasks.push(info.task);
            if rows.len() >= PIECE { Enough::Yes } else { Enough::No }
        });
        if self.broken.is_none() && !tasks.is_empty() {
            self.write_piece();
        }
        more
    }

    fn write_piece(&mut self) {
        let first = self.state.entries();
        if first + self.tasks.len() as u64 >= u64::from(u32::MAX) {
            let error = io::Error::other("more than 4,294,967,294 rows");
            return self.fail(&self.partial.path().display().to_string(), &error);
        }
        let described = match self.state.append(&self.entries) {
            Ok(()) => self.tasks.len(),
            Err((written, error)) => {
                self.fail(&self.state.path().display().to_string(), &error);
                written
            }
        };
        let written = match self.partial.append(&self.rows[..self.length_of(described)]) {
            Ok(()) => described,
            Err((bytes, error)) => {
                self.fail(&self.partial.path().display().to_string(), &error);
                (0..=described).rfind(|&rows| self.length_of(rows) <= bytes).unwrap_or(0)
            }
        };
        let mut index = lock(&self.index);
        for (task, row) in self.tasks[..written].iter().zip(first..) {
            index.add(*task, row);
        }
        drop(index);
        self.end += self.length_of(written) as u64;
        if self.broken.is_some() {
            let _ = self.partial.truncate(self.end); // half a row would spoil what was kept
            let _ = self.state.truncate(first + written as u64);
        }
        self.synced();
    }

    /// The length of the first `rows` rows of a piece, in bytes.
    fn length_of(&self, rows: usize) -> usize {
        let entry = self.entries.chunks_exact(ENTRY).nth(rows).and_then(Entry::read);
        entry.map_or(self.rows.len(), |entry| (entry.offset - self.end) as usize)
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
