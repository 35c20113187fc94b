//! A bounded pool of operating-system threads, each doing one task at a time.

use std::io;

use super::{Lane, in_threads, shares};
use crate::workload::Nature;

/// As many loops as slots, one slot each. Where the threads are another program's, one loop talks to all of them.
pub(super) fn run(slots: usize, nature: Nature, lane: Lane<'_>) -> io::Result<()> {
    let loops = if nature == Nature::Hosted { 1 } else { slots };
    in_threads(&shares(slots, loops), lane)
}
