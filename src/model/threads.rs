//! A bounded pool of operating-system threads, each doing one task at a time.

use std::io;

use super::{Lane, in_threads, shares};

/// As many loops as slots, one slot each.
pub(super) fn run(slots: usize, lane: Lane<'_>) -> io::Result<()> {
    in_threads(&shares(slots, slots), lane)
}
