//! How busy the slots of a stage are, counted while it runs, for the progress bar and to name the bottleneck.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Counts what a stage does.
#[derive(Debug)]
pub struct Meter {
    /// The stage's name in `[[stages]]`.
    pub name: String,
    slots: AtomicUsize,
    ended: AtomicU64,
    busy_nanos: AtomicU64,
}

impl Meter {
    /// A meter for this number of slots, all idle so far.
    pub fn new(name: &str, slots: usize) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            name: name.to_owned(),
            slots: AtomicUsize::new(slots),
            ended: zero(),
            busy_nanos: zero(),
        }
    }

    /// Sets the number of slots.
    pub fn resize(&self, slots: usize) {
        self.slots.store(slots, Ordering::Relaxed);
    }

    /// How many slots it has.
    pub fn slots(&self) -> usize {
        self.slots.load(Ordering::Relaxed)
    }

    /// Adds the time for which a slot was busy with an attempt.
    pub fn busy(&self, run: Duration) {
        self.busy_nanos.fetch_add(run.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Counts a task that has left the stage, however it ended.
    pub fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// How many tasks have left the stage.
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// The share of `wall` for which its slots were busy, in percent, at most 100.
    pub fn busy_percent(&self, wall: Duration) -> f64 {
        let busy = self.busy_nanos.load(Ordering::Relaxed) as f64 / 1e9;
        let slots = self.slots() as f64 * wall.as_secs_f64();
        if slots > 0.0 { (100.0 * busy / slots).min(100.0) } else { 0.0 }
    }
}

/// Each stage's busy share, the bottleneck first: `bottleneck hash, busy 97 %; fetch 12 %`.
pub fn bottleneck(meters: &[Arc<Meter>], wall: Duration) -> Option<String> {
    let mut shares: Vec<_> =
        meters.iter().map(|meter| (meter.busy_percent(wall), &meter.name[..])).collect();
    let last = shares.iter().map(|(share, _)| *share).enumerate();
    let (slowest, _) = last.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let (share, name) = shares.remove(slowest);
    let mut text = format!("bottleneck {name}, busy {share:.0} %");
    for (share, name) in shares {
        let _ = write!(text, "; {name} {share:.0} %");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_stage_is_the_bottleneck() {
        let meters = [Arc::new(Meter::new("fetch", 16)), Arc::new(Meter::new("hash", 2))];
        meters[0].busy(Duration::from_millis(1600));
        meters[1].busy(Duration::from_millis(1900));
        let wall = Duration::from_secs(1);
        let said = bottleneck(&meters, wall).unwrap();
        assert_eq!(said, "bottleneck hash, busy 95 %; fetch 10 %");
        assert_eq!(bottleneck(&[], wall), None);
        assert!(meters[0].busy_percent(Duration::ZERO).abs() < f64::EPSILON);
    }
}
