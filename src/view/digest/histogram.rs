//! Counts of times in buckets that grow with the times: any range in a few kilobytes.

/// A histogram of nanoseconds with `2^BITS` buckets for each doubling, so that each is at most `1 / 2^BITS` wide of its
/// value.
#[derive(Clone, Debug, Default)]
pub struct Histogram<const BITS: u32> {
    counts: Vec<u32>,
    total: u64,
}

/// What is drawn of all run times: within 0.2 %.
pub type Fine = Histogram<9>;

/// What is drawn of a part of them, of which there are many: within 7 %.
pub type Coarse = Histogram<4>;

impl<const BITS: u32> Histogram<BITS> {
    /// Counts a time.
    pub fn add(&mut self, nanos: u64) {
        let index = Self::index(nanos);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] = self.counts[index].saturating_add(1);
        self.total += 1;
    }

    /// Adds the counts of another one.
    pub fn merge(&mut self, other: &Self) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.total += other.total;
    }

    /// How many times were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The smallest bucket's middle such that at least this part of all times is not above it; `None` without a time.
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let rank = ((self.total as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|&count| {
            seen += u64::from(count);
            seen >= rank
        });
        Some(Self::middle(found?))
    }

    /// The buckets that are not empty: their middles, and their counts.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(index, &count)| (Self::middle(index), u64::from(count)))
    }

    fn index(nanos: u64) -> usize {
        // Below 2^BITS each value has a bucket of its own.
        let octave = (nanos | 1).ilog2().saturating_sub(BITS);
        ((u64::from(octave) << BITS) + (nanos >> octave)) as usize
    }

    fn middle(index: usize) -> u64 {
        let index = index as u64;
        let octave = (index >> BITS).saturating_sub(1);
        let low = (index - (octave << BITS)) << octave;
        low + (1 << octave) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_in_order() {
        let mut last = 0;
        for nanos in (0..40).flat_map(|shift| [1 << shift, (1 << shift) + (1 << shift) / 3]) {
            let index = Fine::index(nanos);
            assert!(index >= last, "{nanos}");
            last = index;
            let error = Fine::middle(index).abs_diff(nanos) as f64 / nanos as f64;
            assert!(error <= 1.0 / 512.0, "{nanos}: {error}");
        }
        assert!(Coarse::index(u64::MAX) < 2000);
    }

    #[test]
    fn quantiles_are_near_the_true_ones() {
        let mut histogram = Fine::default();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=1000).for_each(|n| histogram.add(n * 1_000_000));
        for (part, expected) in [(0.5, 500e6), (0.99, 990e6), (0.0, 1e6), (1.0, 1000e6)] {
            let found = histogram.quantile(part).unwrap() as f64;
            assert!((found / expected - 1.0).abs() < 0.003, "{part}: {found}");
        }
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        assert_eq!((twice.total(), twice.quantile(0.5)), (2000, histogram.quantile(0.5)));
    }
}
