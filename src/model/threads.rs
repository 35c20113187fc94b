//! A bounded pool of operating-system threads, each doing one task at a time.

use std::io;

use super::{RunLoop, in_threads, shares};

/// An event loop per slot.
pub(super) fn run(slots: usize, run_loop: RunLoop<'_>) -> io::Result<()> {
    in_threads(&shares(slots, slots), run_loop)
}
