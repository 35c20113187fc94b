//! The level: how many tasks at once suit work that waits, found while it runs.
//!
//! A pilot says how many slots ought to keep the machine busy; whether more would end more tasks a second only shows. So
//! the level doubles as long as that pays, and returns to the last one that paid: slots join, and those that are not needed
//! end between two tasks. Nothing is killed for it. Where memory gets short, the level is halved.

use std::fmt;
use std::time::Duration;

/// A higher level has to end this many times the tasks a second of the last one.
const PAYS: f64 = 1.15;
/// A rate counts after this time (tasks are counted with a delay of up to 100 ms), and after this number of tasks.
const LEAST_TIME: Duration = Duration::from_millis(400);
const LEAST_TASKS: u64 = 8;
/// With a smaller part of the machine idle, more slots are of no use.
const IDLE: f64 = 0.25;
/// If processors are waited for during this part of the time, they are busy, whatever else is idle.
const CROWDED: f64 = 0.5;
/// How many tasks for each slot have to be left for a higher level to be worth its start.
const WORTHWHILE: u64 = 4;
/// Memory is short if it is waited for during this part of the time, or if less than this is left, in bytes.
const STALLED: f64 = 0.2;
const LEAST_MEMORY: u64 = 64 << 20;
/// What was done about short memory is given this time to show.
const RELIEF: Duration = Duration::from_secs(1);

/// What can be seen of the job and the machine at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// How long the level has been looked for.
    pub at: Duration,
    /// How many tasks have ended so far.
    pub ended: u64,
    /// How many have not; `None` if that is unknown.
    pub left: Option<u64>,
    /// The part of the machine that was idle since the last step, if known.
    pub idle: Option<f64>,
    /// For what part of that time processors were waited for, if known.
    pub crowded: Option<f64>,
    /// For what part of that time memory was waited for, if known.
    pub stalled: Option<f64>,
    /// The available memory in bytes, if known.
    pub memory: Option<u64>,
    /// How many slots the available memory has room for, if known.
    pub room: Option<usize>,
}

/// The search for a level.
#[derive(Clone, Debug)]
pub struct Level {
    /// How many slots there are.
    slots: usize,
    /// The least and the most that there may be.
    least: usize,
    most: usize,
    /// The last level that paid, and its tasks a second.
    paid: Option<(usize, f64)>,
    /// Where the current stretch began: when, and how many tasks had ended.
    since: (Duration, u64),
    /// Whether every slot has ended a task since the last step: those before do not show what the level is worth.
    is_warm: bool,
    /// Whether it is not looked for any higher.
    is_settled: bool,
    found: Found,
}

/// What the search has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Pays(usize),
    /// The first number pays, the second does not.
    PaysNot(usize, usize),
    ShortOfMemory(usize),
}

impl Level {
    /// The search from `slots` slots, which may become `most` or, if memory is short, `least`. With `may_grow` false only
    /// memory is looked at.
    pub fn new(slots: usize, (least, most): (usize, usize), may_grow: bool) -> Self {
        Self {
            slots,
            least: least.min(slots),
            most,
            paid: None,
            since: (Duration::ZERO, 0),
            is_warm: false,
            is_settled: !may_grow,
            found: Found::Nothing,
        }
    }

    /// The search from here on, at which `ended` tasks had ended.
    #[must_use]
    pub fn from(self, at: Duration, ended: u64) -> Self {
        Self { since: (at, ended), ..self }
    }

    /// How many slots there are to be from now on, if that changes.
    pub fn step(&mut self, seen: &Seen) -> Option<usize> {
        if Self::is_short(seen) {
            let slots = (self.slots / 2).max(self.least);
            let waits = seen.at.saturating_sub(self.since.0) < RELIEF && self.is_settled;
            if slots == self.slots || waits {
                return None;
            }
            self.is_settled = true;
            self.found = Found::ShortOfMemory(slots);
            return Some(self.go(slots, seen));
        }
        if self.is_settled {
            return None;
        }
        let ended = seen.ended.saturating_sub(self.since.1);
        if !self.is_warm {
            if ended >= self.slots as u64 {
                (self.is_warm, self.since) = (true, (seen.at, seen.ended));
            }
            return None;
        }
        let took = seen.at.saturating_sub(self.since.0);
        if ended < LEAST_TASKS.max(self.slots as u64) || took < LEAST_TIME {
            return None;
        }
        self.judge(ended as f64 / took.as_secs_f64(), seen)
    }

    fn judge(&mut self, rate: f64, seen: &Seen) -> Option<usize> {
        if let Some((slots, before)) = self.paid
            && rate < before * PAYS
        {
            self.is_settled = true;
            self.found = Found::PaysNot(slots, self.slots);
            return Some(self.go(slots, seen));
        }
        if self.paid.is_some() {
            self.found = Found::Pays(self.slots);
        }
        self.paid = Some((self.slots, rate));
        let next = (2 * self.slots).min(self.most);
        if next == self.slots || !Self::has_room(next, seen) {
            self.is_settled = true;
            return None;
        }
        Some(self.go(next, seen))
    }

    fn has_room(slots: usize, seen: &Seen) -> bool {
        seen.idle.is_none_or(|idle| idle >= IDLE)
            && seen.crowded.is_none_or(|part| part < CROWDED)
            && seen.room.is_none_or(|room| slots <= room)
            && seen.left.is_none_or(|left| left >= WORTHWHILE * slots as u64)
    }

    fn is_short(seen: &Seen) -> bool {
        seen.stalled.is_some_and(|part| part >= STALLED)
            || seen.memory.is_some_and(|bytes| bytes < LEAST_MEMORY)
    }

    fn go(&mut self, slots: usize, seen: &Seen) -> usize {
        self.slots = slots;
        (self.is_warm, self.since) = (false, (seen.at, seen.ended));
        slots
    }
}

impl fmt::Display for Level {
    /// What was found, for the summary's `reason`; nothing if nothing was.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.found {
            Found::Nothing => Ok(()),
            Found::Pays(slots) => write!(f, ", settled at {slots}"),
            Found::PaysNot(slots, more) => {
                write!(f, ", settled at {slots}: {more} ended no more tasks a second")
            }
            Found::ShortOfMemory(slots) => write!(f, ", lowered to {slots}: memory was short"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Seen = Seen {
        at: Duration::ZERO,
        ended: 0,
        left: None,
        idle: Some(0.9),
        crowded: Some(0.0),
        stalled: Some(0.0),
        memory: Some(8 << 30),
        room: None,
    };

    /// Runs tasks of 100 ms, of which `scales_to` can be done at once, and returns the levels.
    fn levels(mut level: Level, scales_to: usize, calm: Seen) -> (Vec<usize>, String) {
        let (mut slots, mut ended) = (level.slots, 0.0);
        let mut levels = vec![slots];
        for look in 1..400 {
            ended += slots.min(scales_to) as f64 / 2.0;
            let at = Duration::from_millis(50 * look);
            let seen = Seen { at, ended: ended as u64, ..calm };
            if let Some(next) = level.step(&seen) {
                slots = next;
                levels.push(slots);
            }
        }
        (levels, level.to_string())
    }

    #[test]
    fn it_grows_as_long_as_that_pays() {
        let from = |slots, most| Level::new(slots, (2, most), true);
        let (found, words) = levels(from(16, 100), 1000, CALM);
        assert_eq!((found, &*words), (vec![16, 32, 64, 100], ", settled at 100"));
        let (found, words) = levels(from(16, 100), 32, CALM);
        assert_eq!(found, [16, 32, 64, 32]);
        assert_eq!(words, ", settled at 32: 64 ended no more tasks a second");
        assert_eq!(levels(from(16, 16), 1000, CALM), (vec![16], String::new()));
        assert_eq!(levels(from(2, 64), 2, CALM).0, [2, 4, 2]);
    }

    #[test]
    fn it_does_not_grow_where_that_is_of_no_use() {
        let found = |calm| levels(Level::new(16, (2, 64), true), 1000, calm).0;
        assert_eq!(found(Seen { idle: Some(0.1), ..CALM }), [16]);
        assert_eq!(found(Seen { crowded: Some(0.8), ..CALM }), [16]);
        assert_eq!(found(Seen { room: Some(20), ..CALM }), [16]);
        assert_eq!(found(Seen { left: Some(40), ..CALM }), [16], "they end too soon");
        let unknown = Seen { idle: None, crowded: None, stalled: None, memory: None, ..CALM };
        assert_eq!(found(unknown), [16, 32, 64]);
        assert_eq!(levels(Level::new(16, (2, 64), false), 1000, CALM).0, [16]);
    }

    #[test]
    fn short_memory_lowers_it() {
        let short = Seen { memory: Some(1 << 20), ..CALM };
        let (found, words) = levels(Level::new(16, (2, 64), true), 1000, short);
        assert_eq!((found, &*words), (vec![16, 8, 4, 2], ", lowered to 2: memory was short"));
        let stalled = Seen { stalled: Some(0.5), ..CALM };
        assert_eq!(levels(Level::new(4, (1, 4), false), 1000, stalled).0, [4, 2, 1]);
    }
}
