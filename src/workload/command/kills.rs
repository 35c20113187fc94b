//! Kills by the system's memory limit while a command ran: the shell that it ran in may have hidden them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::sys;
use crate::task::{Outcome, Status};

/// The commands of a run that run at the same time.
#[derive(Debug, Default)]
pub struct Together {
    running: AtomicUsize,
    /// How many have begun.
    begun: AtomicU64,
}

/// What is watched while one of them runs.
#[derive(Debug)]
pub struct KillWatch {
    together: Arc<Together>,
    /// How many processes had been killed before; `None` if the system does not tell.
    before: Option<u64>,
    /// How many commands had begun, this one included; `None` if others ran already.
    begun: Option<u64>,
}

impl Together {
    /// One more begins.
    pub(super) fn begin(self: &Arc<Self>) -> KillWatch {
        let others = self.running.fetch_add(1, Ordering::Relaxed);
        let begun = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        KillWatch {
            together: Arc::clone(self),
            before: sys::oom_kills(),
            begun: (others == 0).then_some(begun),
        }
    }
}

impl KillWatch {
    /// Says so in the outcome of a command that has just ended if a process was killed. If no other one ran, it was its
    /// own, whatever its shell says; else it may have been another's.
    pub(super) fn tell(&self, outcome: &mut Outcome) {
        let Some(said) = sys::said_of_kills(self.before) else { return };
        let was_alone = self.begun == Some(self.together.begun.load(Ordering::Relaxed));
        match (outcome.status, was_alone) {
            (Status::Cancelled, _) => {}
            (Status::Ok, false) => {
                outcome.append(&format!("{said}, perhaps one of another task"));
            }
            (_, true) => outcome.fail(said),
            (_, false) => outcome.note(said),
        }
    }
}

impl Drop for KillWatch {
    fn drop(&mut self) {
        self.together.running.fetch_sub(1, Ordering::Relaxed);
    }
}
