//! Many tasks in flight on an event loop: the model `async`.

use std::io;

use super::{Lane, cores, in_threads, shares};
use crate::model::Nature;

/// Slots that one loop serves before another one pays.
const SLOTS_A_LOOP: usize = 64;

/// One loop with all the slots. For work that waits, one more for every further 64 slots, at most one per core;
/// computations keep to one, as they do in life, and so do slots that share a program.
pub(super) fn run(slots: usize, nature: Nature, lane: Lane<'_>) -> io::Result<()> {
    let loops = match nature {
        Nature::Computes | Nature::Hosted => 1,
        Nature::Waits | Nature::Requests | Nature::Process => {
            slots.div_ceil(SLOTS_A_LOOP).min(cores())
        }
    };
    in_threads(&shares(slots, loops), lane)
}
