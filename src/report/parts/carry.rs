//! The rows that one start of a part takes over from the starts before it.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use super::{PartFiles, PartRow, is_final};
use crate::job::Job;
use crate::report::ReportError;
use crate::report::layout::Layout;
use crate::report::store::originals;
use crate::report::store::partial::{Leftover, Partial};
use crate::report::store::state::{self, Entry, Header, State};
use crate::report::write::attempts;

/// The number of bytes of rows that are written at once.
const PIECE: usize = 256 << 10;

/// Begins a start of a part, with the rows of the starts before it: `earlier` has the best one first. Returns the tasks
/// that have a row by now. An earlier start that cannot be read does not count.
///
/// # Errors
/// If rows cannot be written.
pub fn carry_on(
    into: &PartFiles,
    earlier: &[PartFiles],
    job: &Job,
    seed: u64,
) -> Result<HashSet<u64>, ReportError> {
    let layout = Layout::of(job);
    let (text, delimiter) = (layout.header(), layout.csv.delimiter);
    let header = Header { seed, ..Header::new(job.identity, &text) };
    let mut carrier = Carrier {
        partial: Partial::take(&into.partial(), Leftover::Discard)?,
        state: State::open(&into.state(), header)?,
        end: text.len() as u64,
        rows: Vec::new(),
        entries: Vec::new(),
        tasks: HashSet::new(),
    };
    let write = |path: PathBuf| move |error: io::Error| ReportError::writing(&path, &error);
    carrier.partial.append(&text).map_err(|(_, error)| write(into.partial())(error))?;
    for from in earlier {
        let mut own = HashSet::new();
        let mut failure = None;
        let read = from.rows((&text, delimiter), seed, |row| {
            if is_final(row.status) && carrier.tasks.insert(row.task) {
                own.insert(row.task);
                failure = carrier.put(row).err();
            }
            failure.as_ref().map_or(Ok(()), |_| Err(io::Error::other("not written")))
        });
        if let Some(error) = failure {
            return Err(write(into.partial())(error));
        }
        drop(read); // what it has before it cannot be read any further is good
        if !own.is_empty() {
            originals::carry(&from.originals(), &into.originals(), seed)
                .map_err(write(into.originals()))?;
            attempts::carry(&from.attempts(), &into.attempts(), delimiter, |task| {
                own.contains(&task)
            })
            .map_err(write(into.attempts()))?;
        }
    }
    carrier.flush().map_err(write(into.partial()))?;
    Ok(carrier.tasks)
}

/// Writes the rows that are carried on.
struct Carrier {
    partial: Partial,
    state: State,
    end: u64,
    rows: Vec<u8>,
    entries: Vec<u8>,
    tasks: HashSet<u64>,
}

impl Carrier {
    fn put(&mut self, row: &PartRow<'_>) -> io::Result<()> {
        let &PartRow { status, identity, bytes, .. } = row;
        let check = state::check(bytes, identity, status);
        let length = bytes.len() as u32;
        Entry { identity, offset: self.end, length, check, status, is_replaced: false }
            .push(&mut self.entries);
        self.rows.extend_from_slice(bytes);
        self.end += bytes.len() as u64;
        if self.rows.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.state.append(&self.entries).map_err(|(_, error)| error)?;
        self.partial.append(&self.rows).map_err(|(_, error)| error)?;
        self.entries.clear();
        self.rows.clear();
        Ok(())
    }
}
