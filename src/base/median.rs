//! The median.

/// The median of `samples`, which must not be empty; of an even number, the mean of the middle two.
pub fn median(samples: &[f64]) -> f64 {
    median_in_place(&mut samples.to_vec())
}

/// The same, and puts the samples into another order.
pub fn median_in_place(samples: &mut [f64]) -> f64 {
    let middle = samples.len() / 2;
    let is_even = samples.len().is_multiple_of(2);
    let (below, &mut upper, _) = samples.select_nth_unstable_by(middle, f64::total_cmp);
    if !is_even {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    f64::midpoint(lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_known() {
        for (samples, expected) in [
            (&[3.0][..], 3.0),
            (&[4.0, 1.0], 2.5),
            (&[5.0, 1.0, 3.0], 3.0),
            (&[4.0, 1.0, 3.0, 2.0], 2.5),
        ] {
            assert!((median(samples) - expected).abs() < 1e-12, "{samples:?}");
        }
    }
}
