//! The recorder: a thread that empties the buffers into the partial and keeps the job's figures. It keeps emptying them
//! even if nothing can be written any more, so that no slot waits forever.

use std::sync::{Arc, Mutex};
use std::time::Instant;
use std::{io, mem};

use crate::base::diagnostic::reason;
use crate::base::lock;
use crate::config::Order;
use crate::report::resume::start::Begun;
use crate::report::stats::{Counts, Distribution, Totals};
use crate::report::store::originals::Keeper;
use crate::report::store::partial::Partial;
use crate::report::store::row_order::Index;
use crate::report::store::state::{ENTRY, Entry, State};
use crate::report::write::attempts::Attempts;
use crate::report::write::batch::{Batch, RowInfo};
use crate::report::write::buffer::Shared;
use crate::report::write::disk_sync::Syncer;
use crate::report::write::reorder::{Enough, Pass, Reorder};
use crate::task::{Cancel, Cause, Level};

/// Batches of fewer bytes are written together with others: thousands of slots may have a row each.
const SMALL: usize = 16 << 10;

/// The number of bytes of rows that are written at once, unless a row is longer: what the processor's cache holds.
const PIECE: usize = 256 << 10;

/// What has been recorded so far.
#[derive(Debug)]
pub(in crate::report) struct Recorder {
    shared: Arc<Shared>,
    /// How many tasks of this run have ended, without the rows that are kept.
    pub(in crate::report) counts: Arc<Counts>,
    cancel: Arc<Cancel>,
    /// The file of the rows.
    pub(in crate::report) partial: Partial,
    /// The file of the rows of single attempts, if there is one.
    pub(in crate::report) attempts: Option<Attempts>,
    /// What resuming has to know about the rows.
    pub(in crate::report) state: State,
    /// The inputs that rows do not hold.
    pub(in crate::report) originals: Keeper,
    /// The length of the partial.
    pub(in crate::report) end: u64,
    /// Which row belongs to which task. Shared with the kept rows, which are added as their inputs are read.
    pub(in crate::report) index: Arc<Mutex<Index>>,
    /// The number of rows from an earlier run.
    pub(in crate::report) kept: u64,
    /// Counts and sums.
    pub(in crate::report) totals: Totals,
    /// Run times of the tasks that were started.
    pub(in crate::report) run: Distribution,
    /// Queue times of the tasks that were started.
    pub(in crate::report) queue: Distribution,
    /// The failure after which nothing is written any more.
    pub(in crate::report) broken: Option<String>,
    syncer: Option<Syncer>,
    reorder: Reorder,
    /// Whether what comes together is put into the order in which it ended.
    sorts: bool,
    /// What is written next: rows, their entries, and their tasks.
    rows: Vec<u8>,
    entries: Vec<u8>,
    tasks: Vec<u64>,
}

impl Recorder {
    /// A recorder that appends to the partial. If it has rows of an earlier run, all rows have to be copied into the
    /// order of the tasks anyway, so they are not reordered.
    pub(in crate::report) fn new(
        shared: Arc<Shared>,
        counts: Arc<Counts>,
        cancel: Arc<Cancel>,
        begun: Begun,
        attempts: Option<Attempts>,
        order: Order,
    ) -> Self {
        let Begun { partial, state, end, kept, index, .. } = begun;
        let originals = Keeper::new(state.path().with_extension("inputs"), shared.identities.seed);
        let sorts = order == Order::Completion && !lock(&index).only_counts();
        let reorder = match order {
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
            originals,
            end,
            index,
            kept,
            totals: Totals::default(),
            run: Distribution::new(),
            queue: Distribution::new(),
            broken: None,
            syncer: None,
            reorder,
            sorts,
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
            let last = self.shared.wakeup.wait(self.reorder.due());
            self.empty_buffers(if last { Pass::All } else { Pass::Ready });
            if last {
                if let Some(error) = self.syncer.take().as_ref().and_then(Syncer::failure) {
                    self.fail(&self.partial.path().display().to_string(), error);
                }
                return self;
            }
        }
    }

    /// Takes the rows from the buffers, and writes those that may be written.
    fn empty_buffers(&mut self, which: Pass) {
        let shared = Arc::clone(&self.shared);
        let now = Instant::now();
        let mut gathered = self.reorder.spare();
        lock(&shared.buffers).retain(|buffer| {
            // Checked first: a buffer whose owner has dropped it is not filled any more.
            let in_use = Arc::strong_count(buffer) > 1;
            if buffer.is_empty() {
                return in_use;
            }
            let mut batch = lock(&buffer.batch);
            if batch.size() < SMALL || self.sorts {
                gathered.append(&mut batch);
                buffer.emptied();
                return in_use;
            }
            let full = mem::replace(&mut *batch, self.reorder.spare());
            buffer.emptied();
            drop(batch);
            self.take(full, now);
            in_use
        });
        if self.sorts {
            gathered.sort_by_end();
        }
        self.take(gathered, now);
        while self.write(which, now) {}
    }

    fn take(&mut self, batch: Batch, now: Instant) {
        if let Some(attempts) = &mut self.attempts
            && let Err(message) = attempts.append(&batch.attempts)
        {
            self.cancel.raise(Level::Drain, Cause::Report(message));
        }
        if !batch.originals.is_empty()
            && self.broken.is_none()
            && let Err(error) = self.originals.append(&batch.originals)
        {
            self.fail(&self.originals.path().display().to_string(), &error);
        }
        for row in &batch.rows {
            row.times.0.into_iter().for_each(|queue| self.queue.add(queue));
            row.times.1.into_iter().for_each(|run| self.run.add(run));
        }
        self.totals.merge(&batch.totals);
        self.counts.add(&batch.totals.tally);
        self.reorder.take(batch, now);
    }

    /// Writes a piece of what may be written; returns whether there may be more.
    ///
    /// Entries are written first: whenever the runner is killed, every row has its entry.
    fn write(&mut self, which: Pass, now: Instant) -> bool {
        let Self { rows, entries, tasks, end, .. } = self;
        rows.clear();
        entries.clear();
        tasks.clear();
        let more = self.reorder.pass(which, now, |info, row| {
            let &RowInfo { identity, length, check, status, .. } = info;
            let offset = *end + rows.len() as u64;
            Entry { identity, offset, length, check, status, is_replaced: false }.push(entries);
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
            let _ = self.partial.truncate(self.end); // half a row would spoil the kept ones
            let _ = self.state.truncate(first + written as u64);
        }
        self.synced();
    }

    /// The length of the first `rows` rows of a piece, in bytes.
    fn length_of(&self, rows: usize) -> usize {
        let entry = self.entries.chunks_exact(ENTRY).nth(rows).and_then(Entry::read);
        entry.map_or(self.rows.len(), |entry| (entry.offset - self.end) as usize)
    }

    /// Drains the job: nothing is written any more, and no task is started.
    fn fail(&mut self, path: &str, error: &io::Error) {
        if self.broken.is_none() {
            let message = format!("failed to write `{path}`: {}", reason(error));
            self.cancel.raise(Level::Drain, Cause::Report(message.clone()));
            self.broken = Some(message);
        }
    }

    /// Has the rows synced to the disk within a second, if the system can start a thread for that.
    fn synced(&mut self) {
        if self.syncer.is_none()
            && let (Ok(partial), Ok(state)) =
                (self.partial.file().try_clone(), self.state.file().try_clone())
        {
            let cancel = Arc::clone(&self.cancel);
            let path = self.partial.path().display().to_string();
            let on_failure = move |error: &io::Error| {
                let message = format!("failed to write `{path}`: {}", reason(error));
                cancel.raise(Level::Drain, Cause::Report(message));
            };
            self.syncer = Syncer::start([state, partial], on_failure).ok();
        }
        if let Some(syncer) = &self.syncer {
            syncer.written();
        }
    }
}
