//! Ending the youngest attempt to make room for others: it runs again later, and the ended attempt is not charged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::task::clock;

/// Since when each slot has been running an attempt, and which attempt must make room. Slots are counted through all
/// stages.
#[derive(Debug)]
pub struct Evictions(Box<[SlotState]>);

/// The state of one slot, on its own cache lines since every slot writes to it for every task.
#[derive(Debug, Default)]
#[repr(align(128))]
struct SlotState {
    /// Roughly when the attempt started; 0 if there is none.
    since: AtomicU64,
    evicted: AtomicBool,
    notify: Notify,
}

impl Evictions {
    /// The state of `slots` slots, all idle.
    pub fn new(slots: usize) -> Self {
        Self((0..slots).map(|_| SlotState::default()).collect())
    }

    /// Records that an attempt starts in this slot, counted from 1.
    pub fn begin(&self, slot: usize) {
        let state = self.state(slot);
        if state.evicted.load(Ordering::Relaxed) {
            state.evicted.store(false, Ordering::SeqCst);
        }
        state.since.store(clock::roughly(), Ordering::Release);
    }

    /// Records that the attempt in this slot has ended.
    pub fn end(&self, slot: usize) {
        self.state(slot).since.store(0, Ordering::Release);
    }

    /// Ends the youngest attempt, unless an earlier one that had to make room has not ended yet. Returns its slot.
    pub fn evict_youngest(&self) -> Option<usize> {
        let running = |state: &SlotState| state.since.load(Ordering::Acquire);
        if self.0.iter().any(|state| running(state) > 0 && state.evicted.load(Ordering::SeqCst)) {
            return None;
        }
        let states = self.0.iter().enumerate().filter(|(_, state)| running(state) > 0);
        let (index, state) = states.max_by_key(|(_, state)| running(state))?;
        state.evicted.store(true, Ordering::SeqCst);
        state.notify.notify_waiters();
        Some(index + 1)
    }

    /// Ready as soon as the attempt in this slot must make room.
    pub async fn evicted(&self, slot: usize) {
        let state = self.state(slot);
        loop {
            let notified = state.notify.notified(); // created before the check, so that no eviction is missed
            if state.evicted.load(Ordering::SeqCst) {
                return;
            }
            notified.await;
        }
    }

    /// Whether the attempt in this slot must make room.
    pub fn is_evicted(&self, slot: usize) -> bool {
        self.state(slot).evicted.load(Ordering::Relaxed)
    }

    fn state(&self, slot: usize) -> &SlotState {
        &self.0[slot - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_youngest_makes_room_one_at_a_time() {
        let evictions = Evictions::new(3);
        assert_eq!(evictions.evict_youngest(), None, "nothing runs");
        for slot in [3, 1] {
            evictions.begin(slot);
            std::thread::sleep(std::time::Duration::from_millis(30)); // the clock is coarse
        }
        assert_eq!(evictions.evict_youngest(), Some(1));
        assert!(evictions.is_evicted(1) && !evictions.is_evicted(3));
        assert_eq!(evictions.evict_youngest(), None, "the first one has not ended yet");
        evictions.end(1);
        assert_eq!(evictions.evict_youngest(), Some(3));
        evictions.begin(1);
        assert!(!evictions.is_evicted(1), "that was for the previous attempt");
    }
}
