//! A bounded pool of worker processes. What works is in the child; here a slot only talks to it.

use std::io;

use super::{Lane, cores, in_threads, shares};

/// The slots, shared out among a loop per core: talking to children must not be what limits them.
pub(super) fn run(slots: usize, lane: Lane<'_>) -> io::Result<()> {
    in_threads(&shares(slots, slots.min(cores())), lane)
}
