//! From the slots to the recorder: rows are encoded where they are made and collected in buffers, which the recorder
//! empties. A slot never waits for the disk, only for room in its own buffer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;

use crate::base::lock;
use crate::csv::cells;
use crate::report::Identities;
use crate::report::layout::Layout;
use crate::report::resume::kept_rows::KeptRows;
use crate::report::stats::Totals;
use crate::report::store::identify::Identify;
use crate::report::store::{originals, state};
use crate::report::terminal::task_output::Printer;
use crate::report::write::batch::{Batch, RowInfo};
use crate::report::write::remarks::{Remarks, clipped};
use crate::report::write::row::Encoder;
use crate::report::write::wakeup::Wakeup;
use crate::task::{Calendar, Record, Status};

/// A buffer with this number of bytes is emptied at once: more would not fit into the processor's cache.
const HEAVY: usize = 64 << 10;

/// The number of bytes at which a buffer is full if there are few buffers.
const FULL: usize = 1 << 20;

/// The number of bytes at which all buffers together are full, apart from a row each: a disk that hangs must not fill
/// the memory.
const ALL_FULL: usize = 64 << 20;

/// Takes the records of the slots of one event loop.
#[derive(Debug)]
pub struct RowBuffer {
    shared: Arc<Shared>,
    rows: Arc<PendingRows>,
    encoder: Encoder,
    identify: Identify,
    row: Vec<u8>,
    /// The row of an attempt that has been noted but not handed on.
    attempt: Vec<u8>,
    /// The input of the row, if the row does not hold it.
    original: Vec<u8>,
    /// Errors that have been reported to the terminal already.
    seen: Vec<String>,
}

impl RowBuffer {
    pub(in crate::report) fn new(shared: Arc<Shared>) -> Self {
        let rows = shared.new_rows();
        let encoder = Encoder::new(Arc::clone(&shared.layout), shared.calendar);
        let identify = Identify::new(shared.identities, shared.own_fields);
        Self {
            shared,
            rows,
            encoder,
            identify,
            row: Vec::new(),
            attempt: Vec::new(),
            original: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Hands a record on, with the attempt that was noted for it. Never blocks: check [`RowBuffer::is_full`] before the
    /// next task.
    pub fn put(&mut self, record: &Record) {
        let is_unstarted =
            record.outcome.status == Status::Cancelled && record.first_started.is_none();
        if let Some(kept) = self.shared.kept.as_ref().filter(|_| is_unstarted)
            && kept.stays(record.task.number)
        {
            return;
        }
        self.row.clear();
        let encoded = self.encoder.push_row(&mut self.row, record);
        if let Some(too_long) = encoded.too_long {
            self.shared.remarks.too_long(record.task.number, too_long);
        }
        self.note_failure(record);
        self.push(record, encoded.has_whole_input);
    }

    /// Hands on the record of a task that was skipped; after the status its row has `rest`, if an earlier one had that.
    pub fn put_skipped(&mut self, record: &Record, rest: Option<&[u8]>) {
        let Some(rest) = rest else { return self.put(record) };
        self.row.clear();
        let has_whole_input = self.encoder.push_skipped(&mut self.row, record, rest);
        self.push(record, has_whole_input);
    }

    fn push(&mut self, record: &Record, has_whole_input: bool) {
        if let Some(kept) = &self.shared.kept {
            kept.replace(record.task.number);
        }
        let identity = self.identify.of(&record.task.fields);
        let layout = &self.shared.layout;
        if !has_whole_input {
            originals::push(&mut self.original, identity, &record.task.fields, layout.fields);
        }
        if !layout.totals.is_empty() {
            layout.add(&self.row, &layout.totals, &mut lock(&self.rows.batch).totals.sums);
        }
        let notes = (&self.attempt[..], &self.original[..]);
        let bytes = self.rows.push(record, &self.row, identity, notes);
        self.attempt.clear();
        self.original.clear();
        self.shared.wake(bytes);
        if let Some(printer) = &self.shared.printer {
            printer.print(record);
        }
    }

    /// Notes the last attempt of a task for `<job>.attempts.csv`: it is handed on with the task's record, or by
    /// [`RowBuffer::put_attempt`] if the record does not follow at once.
    pub fn note_attempt(&mut self, record: &Record) {
        self.attempt.clear();
        self.encoder.push_attempt(&mut self.attempt, record);
    }

    /// Hands on the attempt that was noted. Never blocks.
    pub fn put_attempt(&mut self) {
        let bytes = self.rows.push_attempt(&self.attempt);
        self.attempt.clear();
        self.shared.wake(bytes);
    }

    /// Drops the attempt that was noted: its task gets no row here.
    pub fn forget_attempt(&mut self) {
        self.attempt.clear();
    }

    /// Whether the recorder has to catch up before more records come.
    pub fn is_full(&self) -> bool {
        self.rows.is_full(self.shared.full())
            || self.shared.printer.as_ref().is_some_and(|printer| printer.is_full())
    }

    /// Ready when there is room again. Does not borrow the buffer, so that other slots of the event loop can use it.
    pub fn room(&self) -> impl Future<Output = ()> + use<> {
        let rows = Arc::clone(&self.rows);
        let shared = Arc::clone(&self.shared);
        async move {
            rows.room(&shared).await;
            if let Some(printer) = &shared.printer {
                printer.wait_for_room().await;
            }
        }
    }

    /// Blocks this thread until there is room, for callers without a runtime.
    pub fn wait_for_room(&self) {
        while self.is_full() {
            thread::sleep(Duration::from_micros(200));
        }
    }

    fn note_failure(&mut self, record: &Record) {
        let status = record.outcome.status;
        let error = clipped(&record.outcome.error);
        let nothing_to_tell = matches!(status, Status::Ok | Status::Cancelled | Status::Skipped)
            || self.shared.remarks.enough_failures.load(Ordering::Relaxed)
            || self.seen.iter().any(|seen| seen == error);
        if !nothing_to_tell {
            self.seen.push(error.to_owned());
            self.shared.remarks.failure(record.task.number, status, error);
        }
    }
}

/// What the buffers of a report share with its recorder.
#[derive(Debug)]
pub(in crate::report) struct Shared {
    pub(in crate::report) layout: Arc<Layout>,
    pub(in crate::report) calendar: Calendar,
    /// How identities of inputs are made.
    pub(in crate::report) identities: Identities,
    /// How many fields count for them.
    pub(in crate::report) own_fields: usize,
    pub(in crate::report) buffers: Mutex<Vec<Arc<PendingRows>>>,
    /// The number of bytes at which a buffer is full.
    pub(in crate::report) full: AtomicUsize,
    pub(in crate::report) wakeup: Wakeup,
    pub(in crate::report) remarks: Remarks,
    /// The rows of an earlier run.
    pub(in crate::report) kept: Option<Arc<KeptRows>>,
    /// Prints whole outputs, with `--output`.
    pub(in crate::report) printer: Option<Arc<Printer>>,
}

impl Shared {
    pub(in crate::report) fn full(&self) -> usize {
        self.full.load(Ordering::Relaxed)
    }

    /// Wakes the recorder for a buffer with this number of bytes.
    pub(in crate::report) fn wake(&self, bytes: usize) {
        self.wakeup.wake(if bytes >= HEAVY.min(self.full()) { Wakeup::NOW } else { Wakeup::SOON });
    }
}

impl Shared {
    /// Rows of one more buffer.
    pub(in crate::report) fn new_rows(&self) -> Arc<PendingRows> {
        let rows = Arc::new(PendingRows::default());
        let mut buffers = lock(&self.buffers);
        buffers.push(Arc::clone(&rows));
        self.full.store((ALL_FULL / buffers.len()).min(FULL), Ordering::Relaxed);
        rows
    }

    /// Has the recorder take what there is.
    pub(in crate::report) fn wakeup_now(&self) {
        self.wakeup.wake(Wakeup::NOW);
    }

    /// Notes, for the terminal, a failure in a row that was made elsewhere.
    pub(in crate::report) fn note_made(&self, row: &MadeRow<'_>) {
        let is_failure = matches!(row.status, Status::Failed | Status::Timeout | Status::Crashed);
        if !is_failure || self.remarks.enough_failures.load(Ordering::Relaxed) {
            return;
        }
        let last = cells(row.bytes, self.layout.csv.delimiter).last().unwrap_or_default();
        let text = String::from_utf8_lossy(last);
        let text = text.trim_end_matches(['\r', '\n']);
        let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let error = quoted.map_or_else(|| text.to_owned(), |text| text.replace("\"\"", "\""));
        self.remarks.failure(row.task, row.status, clipped(&error));
    }
}

/// A row that was made elsewhere, as bytes, and what it says.
#[derive(Debug)]
pub(in crate::report) struct MadeRow<'a> {
    pub(in crate::report) task: u64,
    pub(in crate::report) status: Status,
    pub(in crate::report) identity: u128,
    pub(in crate::report) bytes: &'a [u8],
    /// Queue and run time of a task that was started.
    pub(in crate::report) times: (Option<Duration>, Option<Duration>),
    pub(in crate::report) totals: Totals,
}

/// The rows of one buffer that the recorder has not taken yet.
#[derive(Debug, Default)]
pub(in crate::report) struct PendingRows {
    pub(in crate::report) batch: Mutex<Batch>,
    /// The size of `batch`, for reading without the lock.
    bytes: AtomicUsize,
    notify: Notify,
}

impl PendingRows {
    /// Returns how many bytes there are now.
    fn push(
        &self,
        record: &Record,
        row: &[u8],
        identity: u128,
        (attempt, original): (&[u8], &[u8]),
    ) -> usize {
        let status = record.outcome.status;
        let check = state::check(row, identity, status);
        let mut batch = lock(&self.batch);
        batch.push(record, row, (identity, check));
        batch.attempts.extend_from_slice(attempt);
        batch.originals.extend_from_slice(original);
        self.filled(&batch)
    }

    /// Adds a row that was made elsewhere. Returns how many bytes there are now.
    pub(in crate::report) fn push_made(&self, row: &MadeRow<'_>) -> usize {
        let mut batch = lock(&self.batch);
        batch.bytes.extend_from_slice(row.bytes);
        batch.rows.push(RowInfo {
            task: row.task,
            length: row.bytes.len() as u32,
            check: state::check(row.bytes, row.identity, row.status),
            identity: row.identity,
            status: row.status,
            times: row.times,
            ended: None,
        });
        batch.totals.merge(&row.totals);
        self.filled(&batch)
    }

    /// Adds what stands in other files than the rows.
    pub(in crate::report) fn push_notes(&self, attempts: &[u8], originals: &[u8]) {
        let mut batch = lock(&self.batch);
        batch.attempts.extend_from_slice(attempts);
        batch.originals.extend_from_slice(originals);
        self.filled(&batch);
    }

    /// Returns how many bytes there are now.
    fn push_attempt(&self, row: &[u8]) -> usize {
        let mut batch = lock(&self.batch);
        batch.attempts.extend_from_slice(row);
        self.filled(&batch)
    }

    fn filled(&self, batch: &Batch) -> usize {
        let bytes = batch.size();
        self.bytes.store(bytes, Ordering::SeqCst);
        bytes
    }

    /// Whether there is nothing to take. A slot that adds rows after this check wakes the recorder.
    pub(in crate::report) fn is_empty(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) == 0
    }

    pub(in crate::report) fn is_full(&self, full: usize) -> bool {
        self.bytes.load(Ordering::SeqCst) >= full
    }

    async fn room(&self, shared: &Shared) {
        loop {
            let notified = self.notify.notified(); // created before the check, so that no emptying is missed
            if !self.is_full(shared.full()) {
                return;
            }
            notified.await;
        }
    }

    /// Records that the batch has been taken; to be called while it is still locked.
    pub(in crate::report) fn emptied(&self) {
        self.bytes.store(0, Ordering::SeqCst);
        self.notify.notify_waiters();
    }
}
