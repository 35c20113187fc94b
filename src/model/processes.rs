//! A bounded pool of worker processes. The work is done in the child; here a slot only talks to it.

use std::io;

use super::{RunLoop, cores, in_threads, shares};

/// The slots, distributed among one event loop per core, so that talking to children is not the bottleneck.
pub(super) fn run(slots: usize, run_loop: RunLoop<'_>) -> io::Result<()> {
    in_threads(&shares(slots, slots.min(cores())), run_loop)
}
