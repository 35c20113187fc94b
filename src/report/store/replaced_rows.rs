//! Which rows of a partial count no more, for who reads one without resuming it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::report::resume::verify;
use crate::report::store::state::{self, About, Entry, State};

/// The rows of a partial whose tasks have been started again since, or have another row by now.
#[derive(Debug)]
pub struct ReplacedRows(HashMap<u64, Entry>);

impl ReplacedRows {
    /// As the state at this path has them, which is written before the rows; `None` if it is not that of this partial.
    pub fn of(partial: &File, state: &Path) -> Option<Self> {
        let state = File::open(state).ok()?;
        let header = State::header_of(&state).filter(|header| header.about == About::Partial)?;
        let mut start = vec![0; header.length.min(state::LONGEST_HEADER) as usize];
        partial.read_exact_at(&mut start, 0).ok().filter(|()| header.fits(&start))?;
        let mut rows = HashMap::new();
        let read = verify::entries(&state, u64::MAX, |entry| {
            if entry.is_replaced {
                rows.insert(entry.offset, *entry);
            }
            true
        });
        read.ok().map(|()| Self(rows))
    }

    /// Whether the row with these bytes, which starts at `offset`, is one of them.
    pub fn has(&self, offset: u64, row: &[u8]) -> bool {
        self.0.get(&offset).is_some_and(|entry| {
            entry.length as usize == row.len()
                && state::check(row, entry.identity, entry.status) == entry.check
        })
    }
}
