//! The statistics of a comparison: medians, bootstrap intervals, paired ratios and outliers. Pure: numbers in, numbers
//! out; the same seed gives the same intervals.

use fastrand::Rng;

use crate::base::{median, median_in_place};

/// A value and the interval in which it lies with 95 % confidence, in the unit of its samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The median.
    pub value: f64,
    /// `None` for a single sample, which says nothing about the spread.
    pub interval: Option<Interval>,
}

/// From `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// Whether all of `other` lies in this one.
    pub fn contains(self, other: Interval) -> bool {
        self.low <= other.low && other.high <= self.high
    }

    /// Whether the two have a value in common.
    pub fn touches(self, other: Interval) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

impl Estimate {
    /// This estimate with `map`, which must be increasing, applied to every value.
    #[must_use]
    pub fn map(self, map: impl Fn(f64) -> f64) -> Self {
        let interval = |Interval { low, high }| Interval { low: map(low), high: map(high) };
        Self { value: map(self.value), interval: self.interval.map(interval) }
    }

    /// The interval; for a single sample, the value itself.
    pub fn span(self) -> Interval {
        self.interval.unwrap_or(Interval { low: self.value, high: self.value })
    }
}

/// The number of resamples: at 4,000, the ends of the interval are off by about a percent of its length.
const RESAMPLES: usize = 4_000;

/// The upper limit of draws, however many samples there are; the interval of very many samples is short anyway.
const DRAWS: usize = 4_000_000;

/// The median of `samples` and its interval, by the percentile bootstrap (Efron, Annals of Statistics 7, 1979): the
/// samples are resampled with replacement, and the middle 95 % of the resamples' medians are the interval.
pub fn estimate(samples: &[f64], seed: u64) -> Estimate {
    let value = median(samples);
    if samples.len() < 2 {
        return Estimate { value, interval: None };
    }
    let mut rng = Rng::with_seed(seed);
    let resamples = RESAMPLES.min(DRAWS / samples.len()).max(200);
    let mut drawn = vec![0.0; samples.len()];
    let mut medians: Vec<f64> = (0..resamples)
        .map(|_| {
            drawn.fill_with(|| samples[rng.usize(..samples.len())]);
            median_in_place(&mut drawn)
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    // As many medians lie below the low end as above the high one.
    let outside = resamples * 25 / 1000;
    let interval = Interval { low: medians[outside], high: medians[resamples - 1 - outside] };
    Estimate { value, interval: Some(interval) }
}

/// The ratio of the first to the second value of each pair; `None` without a pair.
pub fn ratio(pairs: &[(f64, f64)], seed: u64) -> Option<Estimate> {
    let ratios: Vec<f64> =
        pairs.iter().map(|(one, other)| one / other).filter(|ratio| ratio.is_finite()).collect();
    (!ratios.is_empty()).then(|| estimate(&ratios, seed))
}

/// A sample farther from the median than this number of median absolute deviations is an outlier: ten standard
/// deviations of a normal distribution, one of which is 1.4826 such deviations (Iglewicz and Hoaglin, 1993).
const FAR: f64 = 14.826;

/// The indices of the outliers.
pub fn outliers(samples: &[f64]) -> Vec<usize> {
    if samples.len() < 3 {
        return Vec::new();
    }
    let middle = median(samples);
    let distances: Vec<f64> = samples.iter().map(|sample| (sample - middle).abs()).collect();
    let scale = median(&distances);
    // If most samples are equal, any other one would be infinitely far away, which says nothing.
    let is_far = |distance: f64| scale > 0.0 && distance / scale > FAR;
    (0..samples.len()).filter(|&index| is_far(distances[index])).collect()
}

/// The standard deviation of the samples, as a part of their mean; `None` for fewer than two.
pub fn relative_deviation(samples: &[f64]) -> Option<f64> {
    if samples.len() < 2 {
        return None;
    }
    let mean = samples.iter().sum::<f64>() / samples.len() as f64;
    let squares: f64 = samples.iter().map(|sample| (sample - mean).powi(2)).sum();
    let deviation = (squares / (samples.len() - 1) as f64).sqrt();
    (mean > 0.0).then(|| deviation / mean)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_single_sample_has_no_interval() {
        assert_eq!(estimate(&[2.0], 1), Estimate { value: 2.0, interval: None });
        assert_eq!(estimate(&[2.0], 1).span(), Interval { low: 2.0, high: 2.0 });
    }

    #[test]
    fn five_samples_span_their_interval() {
        // Three or more of five draws are the smallest sample with a probability of 5.8 %, which is more than 2.5 %.
        let interval = estimate(&[1.0, 2.0, 3.0, 4.0, 5.0], 7).interval.unwrap();
        assert_eq!(interval, Interval { low: 1.0, high: 5.0 });
    }

    #[test]
    fn the_interval_has_the_length_that_theory_gives_it() {
        // The 95 % interval of the median of n uniform samples reaches from rank n/2 - 0.98 sqrt(n) to the mirror of it.
        let samples: Vec<f64> = (0..400).map(f64::from).collect();
        let interval = estimate(&samples, 3).interval.unwrap();
        assert!((interval.low - 179.9).abs() < 3.0, "{interval:?}");
        assert!((interval.high - 219.1).abs() < 3.0, "{interval:?}");
    }

    #[test]
    fn ninety_five_of_a_hundred_intervals_contain_the_true_median() {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut hold = 0;
        for seed in 0..400 {
            // Sums of uniform numbers are close to normal; the median of each is 3.
            let samples: Vec<f64> =
                (0..15).map(|_| (0..6).map(|_| rng.f64()).sum::<f64>()).collect();
            let interval = estimate(&samples, seed).interval.unwrap();
            hold += usize::from(interval.low <= 3.0 && 3.0 <= interval.high);
        }
        assert!((365..=398).contains(&hold), "{hold} of 400");
    }

    #[test]
    fn ratios_are_of_pairs() {
        // Both drift alike, so the ratio is exact though neither time is.
        let pairs: Vec<(f64, f64)> = (1..=9).map(|n| (2.0 * f64::from(n), f64::from(n))).collect();
        let found = ratio(&pairs, 1).unwrap();
        let interval = Some(Interval { low: 2.0, high: 2.0 });
        assert_eq!(found, Estimate { value: 2.0, interval });
        assert_eq!(ratio(&[], 1), None);
    }

    #[test]
    fn outliers_are_far_away() {
        let mut samples = vec![1.00, 1.01, 0.99, 1.02, 0.98];
        assert!(outliers(&samples).is_empty());
        samples.push(1.10); // MAD is 0.015
        assert!(outliers(&samples).is_empty());
        samples.push(1.50);
        assert_eq!(outliers(&samples), [6]);
        assert!(outliers(&[1.0, 1.0, 1.0, 2.0]).is_empty());
    }

    #[test]
    fn deviations_are_relative() {
        let deviation = relative_deviation(&[2.0, 4.0, 4.0, 6.0]).unwrap();
        assert!((deviation - (8.0_f64 / 3.0).sqrt() / 4.0).abs() < 1e-12);
        assert_eq!(relative_deviation(&[1.0]), None);
    }

    proptest! {
        #[test]
        fn an_interval_lies_within_the_samples_and_contains_the_median(
            samples in prop::collection::vec(0.001..1000.0_f64, 2..40),
            seed in any::<u64>(),
        ) {
            let found = estimate(&samples, seed);
            let Interval { low, high } = found.interval.unwrap();
            let smallest = samples.iter().copied().fold(f64::INFINITY, f64::min);
            let largest = samples.iter().copied().fold(0.0, f64::max);
            prop_assert!(smallest <= low && low <= found.value);
            prop_assert!(found.value <= high && high <= largest);
            prop_assert_eq!(estimate(&samples, seed), found);
        }

        #[test]
        fn what_scales_the_samples_scales_the_estimate(
            samples in prop::collection::vec(0.5..2.0_f64, 3..20),
            factor in 0.01..100.0_f64,
        ) {
            let scaled: Vec<f64> = samples.iter().map(|sample| sample * factor).collect();
            let (one, other) = (estimate(&samples, 5), estimate(&scaled, 5));
            prop_assert!((one.value * factor / other.value - 1.0).abs() < 1e-9);
            prop_assert!((one.span().low * factor / other.span().low - 1.0).abs() < 1e-9);
            prop_assert_eq!(outliers(&samples).is_empty(), outliers(&scaled).is_empty());
        }
    }
}
