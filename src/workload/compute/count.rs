//! Functions that count.

use std::hint::black_box;

use primal::{Primes, StreamingSieve};

use super::{Halt, Poll, check};

/// Steps between two polls: about 0.1 ms.
const STEPS: u64 = 1 << 16;

/// Up to here a sieve without polls takes about 1 ms.
const SMALL: u64 = 10_000_000;

/// Counts down to 0, really: each step is hidden from the optimiser.
pub(super) fn count_down(from: u64, poll: Poll<'_>) -> Result<Vec<u8>, Halt> {
    let mut left = from;
    loop {
        for _ in 0..left.min(STEPS) {
            left = black_box(left - 1);
        }
        if left == 0 {
            break;
        }
        check(poll)?;
    }
    Ok(left.to_string().into_bytes())
}

/// Counts the primes up to and including `limit` with a segmented sieve, whose memory grows with the square root of
/// the primes that it has reached.
pub(super) fn count_primes(limit: u64, poll: Poll<'_>) -> Result<Vec<u8>, Halt> {
    if limit <= SMALL {
        return Ok(StreamingSieve::prime_pi(limit as usize).to_string().into_bytes());
    }
    let mut primes = Primes::all().take_while(|&prime| prime as u64 <= limit);
    let mut total = 0;
    loop {
        let count = primes.by_ref().take(STEPS as usize).count();
        total += count;
        if count < STEPS as usize {
            break;
        }
        check(poll)?;
    }
    Ok(total.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_down_ends_at_zero() {
        for from in [0, 1, STEPS, STEPS + 1, 1_000_000] {
            assert_eq!(count_down(from, &|| None).unwrap(), b"0");
        }
    }

    #[test]
    fn primes_are_counted_with_the_limit() {
        // https://oeis.org/A006880, and the primes around one.
        for (limit, count) in [
            (0, "0"),
            (1, "0"),
            (2, "1"),
            (10, "4"),
            (96, "24"),
            (97, "25"),
            (1_000_000, "78498"),
            (SMALL, "664579"),
            (SMALL + 18, "664579"),
            (SMALL + 19, "664580"),
            (100_000_000, "5761455"),
        ] {
            assert_eq!(count_primes(limit, &|| None).unwrap(), count.as_bytes(), "{limit}");
        }
    }
}
