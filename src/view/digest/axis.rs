//! Buckets of time whose width doubles when they no longer reach far enough: a run of 50 ms and one of a year take the
//! same room, and neither has to be known before.

/// The width of a bucket at first, in microseconds: finer than that, timestamps do not tell.
const NARROWEST: i64 = 1000;

/// Divides time into at most `room` buckets.
#[derive(Clone, Debug)]
pub struct Axis {
    room: usize,
    /// How often the width has doubled.
    doublings: u32,
    /// The number, from 1970 on, of the bucket with index 0.
    base: i64,
    /// The numbers of the first and the last bucket that are in use.
    used: Option<(i64, i64)>,
}

/// What becomes of the values in the buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Each two become one; if `odd`, the first one stays alone.
    Fold { odd: bool },
    /// They move up by this many buckets; the last ones are empty.
    Shift(usize),
}

/// Values that can be added up in a bucket.
pub trait Merge: Default {
    /// Adds `other`.
    fn merge(&mut self, other: Self);
}

impl Merge for f64 {
    fn merge(&mut self, other: Self) {
        *self += other;
    }
}

impl Change {
    /// Does it to the values of a series.
    pub fn apply<T: Merge>(self, series: &mut Vec<T>) {
        let room = series.len();
        match self {
            Change::Fold { odd } => {
                let mut old = std::mem::take(series).into_iter();
                if odd {
                    series.extend(old.next());
                }
                while let Some(mut first) = old.next() {
                    if let Some(second) = old.next() {
                        first.merge(second);
                    }
                    series.push(first);
                }
                series.resize_with(room, T::default);
                series.truncate(room);
            }
            Change::Shift(by) => {
                series.truncate(room - by);
                series.splice(0..0, (0..by).map(|_| T::default()));
            }
        }
    }
}

impl Axis {
    /// With `room` buckets, at first of one millisecond.
    pub fn new(room: usize) -> Self {
        Self { room, doublings: 0, base: 0, used: None }
    }

    /// Makes room for the time from `from` to `to`, in microseconds, and says what has to become of all series first.
    pub fn cover(&mut self, from: i64, to: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        let Some((first, last)) = self.used else {
            while self.number(to) - self.number(from) >= self.room as i64 {
                self.doublings += 1;
            }
            self.base = self.number(from);
            self.used = Some((self.base, self.number(to)));
            return changes;
        };
        let mut used = (first.min(self.number(from)), last.max(self.number(to)));
        if used == (first, last) {
            return changes;
        }
        while used.1 - used.0 >= self.room as i64 {
            changes.push(Change::Fold { odd: self.base.rem_euclid(2) == 1 });
            self.doublings += 1;
            self.base = self.base.div_euclid(2);
            used = (used.0.div_euclid(2), used.1.div_euclid(2));
        }
        // The first bucket always has index 0, so values only ever move up.
        if used.0 < self.base {
            changes.push(Change::Shift((self.base - used.0) as usize));
            self.base = used.0;
        }
        self.used = Some(used);
        changes
    }

    fn number(&self, micros: i64) -> i64 {
        // The same as a division by the width, which takes many times as long: millions of rows come here several times.
        micros.div_euclid(NARROWEST) >> self.doublings
    }

    /// The index of the bucket with this time, which has to be covered.
    pub fn index(&self, micros: i64) -> usize {
        let index = (self.number(micros) - self.base).max(0) as usize;
        index.min(self.room - 1)
    }

    /// The time at which the bucket with this index starts.
    pub fn start(&self, index: usize) -> i64 {
        (self.base + index as i64) * self.width()
    }

    /// How long a bucket is, in microseconds.
    pub fn width(&self) -> i64 {
        NARROWEST << self.doublings
    }

    /// How many buckets are in use, from index 0 on.
    pub fn len(&self) -> usize {
        self.used.map_or(0, |(_, last)| (last - self.base + 1).max(0) as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(times: &[i64]) -> (Axis, Vec<f64>) {
        let mut axis = Axis::new(16);
        let mut series = vec![0.0; 16];
        for &time in times {
            axis.cover(time, time).into_iter().for_each(|change| change.apply(&mut series));
            series[axis.index(time)] += 1.0;
        }
        (axis, series)
    }

    #[test]
    fn buckets_widen_when_time_goes_on() {
        let (axis, series) = filled(&[0, 1000, 15_000]);
        assert_eq!((axis.width(), axis.len()), (1000, 16));
        assert_eq!((series[0], series[1], series[15]), (1.0, 1.0, 1.0));
        let (axis, series) = filled(&[0, 1000, 15_000, 16_000]);
        assert_eq!((axis.width(), axis.len()), (2000, 9));
        assert_eq!((series[0], series[7], series[8]), (2.0, 1.0, 1.0));
        let year = 365 * 86_400 * 1_000_000;
        assert_eq!(filled(&[0, year]).0.len(), filled(&[year, 0]).0.len());
    }

    proptest! {
        #[test]
        fn every_time_is_in_its_bucket(times in prop::collection::vec(-1_000_000..1_000_000_i64, 1..60)) {
            let (axis, series) = filled(&times);
            let mut expected = vec![0.0; 16];
            for &time in &times {
                expected[axis.index(time)] += 1.0;
            }
            prop_assert_eq!(series, expected);
            for &time in &times {
                let start = axis.start(axis.index(time));
                prop_assert!((start..start + axis.width()).contains(&time));
            }
            prop_assert!(axis.len() <= 16);
        }
    }
}
