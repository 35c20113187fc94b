//! Many tasks in flight on an event loop: the model `async`.

use std::io;

use super::{RunLoop, cores, in_threads, shares};
use crate::model::Nature;

/// The slots that one event loop serves before a second one is worth its cost.
const SLOTS_PER_LOOP: usize = 64;

/// One event loop with all the slots. For work that waits, another one for every further 64 slots, at most one per
/// core; computations share one, as they do in any event loop, and so do slots that share a program.
pub(super) fn run(slots: usize, nature: Nature, run_loop: RunLoop<'_>) -> io::Result<()> {
    let loops = match nature {
        Nature::Computes | Nature::Hosted => 1,
        Nature::Waits | Nature::Requests | Nature::Process => {
            slots.div_ceil(SLOTS_PER_LOOP).min(cores())
        }
    };
    in_threads(&shares(slots, loops), run_loop)
}
