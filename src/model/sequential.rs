//! One task at a time: the baseline.

use std::io;

use super::{RunLoop, in_threads, shares};

/// One event loop with one slot.
pub(super) fn run(run_loop: RunLoop<'_>) -> io::Result<()> {
    in_threads(&shares(1, 1), run_loop)
}
