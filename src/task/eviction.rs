//! Ending the youngest attempt, so that others have room: it runs again later and is not charged for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::task::clock;

/// What runs in which slot since when, and which of it must make room.
#[derive(Debug)]
pub struct Evictions(Box<[Seat]>);

/// On cache lines of its own: every slot writes to its seat for every task.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Seat {
    /// About when the attempt started, 0 if there is none.
    since: AtomicU64,
    evicted: AtomicBool,
    notify: Notify,
}

impl Evictions {
    /// Nothing runs in any of `slots` slots yet.
    pub fn new(slots: usize) -> Self {
        Self((0..slots).map(|_| Seat::default()).collect())
    }

    /// An attempt starts in this slot, from 1.
    pub fn begin(&self, slot: usize) {
        let seat = self.seat(slot);
        if seat.evicted.load(Ordering::Relaxed) {
            seat.evicted.store(false, Ordering::SeqCst);
        }
        seat.since.store(clock::roughly(), Ordering::Release);
    }

    /// The attempt in this slot has ended.
    pub fn end(&self, slot: usize) {
        self.seat(slot).since.store(0, Ordering::Release);
    }

    /// Ends the youngest attempt, unless an earlier one that had to make room has not ended yet. Returns its slot.
    pub fn evict_youngest(&self) -> Option<usize> {
        let running = |seat: &Seat| seat.since.load(Ordering::Acquire);
        if self.0.iter().any(|seat| running(seat) > 0 && seat.evicted.load(Ordering::SeqCst)) {
            return None;
        }
        let seats = self.0.iter().enumerate().filter(|(_, seat)| running(seat) > 0);
        let (index, seat) = seats.max_by_key(|(_, seat)| running(seat))?;
        seat.evicted.store(true, Ordering::SeqCst);
        seat.notify.notify_waiters();
        Some(index + 1)
    }

    /// Ready as soon as the attempt in this slot must make room.
    pub async fn evicted(&self, slot: usize) {
        let seat = self.seat(slot);
        loop {
            let notified = seat.notify.notified(); // counts from here, so that no eviction is missed
            if seat.evicted.load(Ordering::SeqCst) {
                return;
            }
            notified.await;
        }
    }

    /// Whether the attempt in this slot must make room.
    pub fn is_evicted(&self, slot: usize) -> bool {
        self.seat(slot).evicted.load(Ordering::Relaxed)
    }

    fn seat(&self, slot: usize) -> &Seat {
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
            std::thread::sleep(std::time::Duration::from_millis(30)); // the clock is only roughly right
        }
        assert_eq!(evictions.evict_youngest(), Some(1));
        assert!(evictions.is_evicted(1) && !evictions.is_evicted(3));
        assert_eq!(evictions.evict_youngest(), None, "the first one has not ended yet");
        evictions.end(1);
        assert_eq!(evictions.evict_youngest(), Some(3));
        evictions.begin(1);
        assert!(!evictions.is_evicted(1), "that was for the attempt before");
    }
}
