//! One task at a time: the baseline.

use std::io;

use super::{Lane, in_threads, shares};

/// One loop of one slot.
pub(super) fn run(lane: Lane<'_>) -> io::Result<()> {
    in_threads(&shares(1, 1), lane)
}
