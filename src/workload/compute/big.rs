//! Multiplication of big integers that can be stopped.
//!
//! The library multiplies in one go, which takes seconds for millions of digits. So products above a size are split
//! here, by Karatsuba's method, into products that take milliseconds, and a stop is asked for before each of those.

use dashu_int::{UBig, Word};

use super::{Halt, Poll, check};

/// Words of the longer operand, up to which the library multiplies in one go: 9 ms for two of them.
const LEAF: usize = 1 << 14;

/// Words of both operands, up to which nobody asks for a stop: a few microseconds.
const TINY: usize = 1 << 7;

/// `a * b`.
pub(super) fn multiply(a: &UBig, b: &UBig, poll: Poll<'_>) -> Result<UBig, Halt> {
    let (long, short) = if words(a) >= words(b) { (a, b) } else { (b, a) };
    if words(long) <= LEAF {
        if words(long) + words(short) > TINY {
            check(poll)?;
        }
        return Ok(long * short);
    }
    let half = words(long).div_ceil(2);
    let (low, high) = split(long, half);
    if words(short) <= half {
        let (low, high) = (multiply(&low, short, poll)?, multiply(&high, short, poll)?);
        return Ok(low + (high << bits(half)));
    }
    let (short_low, short_high) = split(short, half);
    let bottom = multiply(&low, &short_low, poll)?;
    let top = multiply(&high, &short_high, poll)?;
    let sums = multiply(&(low + high), &(short_low + short_high), poll)?;
    join(bottom, sums, top, half, poll)
}

/// `a * a`, which takes two thirds of a product's time.
pub(super) fn square(a: &UBig, poll: Poll<'_>) -> Result<UBig, Halt> {
    if words(a) <= LEAF {
        if words(a) > TINY {
            check(poll)?;
        }
        return Ok(a.sqr());
    }
    let half = words(a).div_ceil(2);
    let (low, high) = split(a, half);
    let bottom = square(&low, poll)?;
    let top = square(&high, poll)?;
    let sums = square(&(low + high), poll)?;
    join(bottom, sums, top, half, poll)
}

/// Karatsuba's product from that of the lower halves, of the sums of both halves and of the upper halves. At millions
/// of words even adding takes milliseconds.
fn join(bottom: UBig, sums: UBig, top: UBig, half: usize, poll: Poll<'_>) -> Result<UBig, Halt> {
    let middle = sums - &bottom;
    check(poll)?;
    let middle = middle - &top;
    check(poll)?;
    let upper = (top << bits(half)) + middle;
    check(poll)?;
    Ok((upper << bits(half)) + bottom)
}

/// 10 to the power of `exponent`.
pub(super) fn power_of_ten(exponent: usize, poll: Poll<'_>) -> Result<UBig, Halt> {
    let mut power = UBig::ONE;
    for bit in (0..usize::BITS - exponent.leading_zeros()).rev() {
        power = square(&power, poll)?;
        if exponent >> bit & 1 == 1 {
            power *= 5u8;
        }
    }
    Ok(power << exponent)
}

/// The product of all `factors`, as a balanced tree, so that the operands are of about the same length.
pub(super) fn product(factors: &[Word], poll: Poll<'_>) -> Result<UBig, Halt> {
    /// Factors, up to which one after the other is the faster way.
    const FEW: usize = 16;
    if factors.len() <= FEW {
        return Ok(factors.iter().fold(UBig::ONE, |product, &factor| product * factor));
    }
    let (left, right) = factors.split_at(factors.len() / 2);
    multiply(&product(left, poll)?, &product(right, poll)?, poll)
}

fn words(number: &UBig) -> usize {
    number.as_words().len()
}

fn bits(words: usize) -> usize {
    words * Word::BITS as usize
}

/// The lowest `words` words, and the rest.
fn split(number: &UBig, words: usize) -> (UBig, UBig) {
    let (low, high) = number.as_words().split_at(words.min(number.as_words().len()));
    (UBig::from_words(low), UBig::from_words(high))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::task::Stop;

    /// A number of `words` words without a pattern.
    fn number(words: usize, seed: u64) -> UBig {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut words: Vec<Word> = (0..words).map(|_| random.u64(1..)).collect();
        if let Some(word) = words.get_mut(3) {
            *word = 0;
        }
        UBig::from_words(&words)
    }

    #[test]
    fn products_are_those_of_the_library() {
        for (a, b) in [
            (0, 1),
            (1, 1),
            (LEAF + 1, 0),
            (LEAF + 1, 1),
            (LEAF + 1, LEAF / 2 + 2),
            (LEAF, LEAF),
            (3 * LEAF + 5, LEAF + 1),
            (3 * LEAF, 2 * LEAF + 7),
        ] {
            let (a, b) = (number(a, 1), number(b, 2));
            assert_eq!(multiply(&a, &b, &|| None).unwrap(), &a * &b);
            assert_eq!(square(&a, &|| None).unwrap(), a.sqr());
        }
        // Halves that are all zero.
        let power = UBig::ONE << bits(2 * LEAF);
        assert_eq!(multiply(&power, &power, &|| None).unwrap(), UBig::ONE << bits(4 * LEAF));
    }

    #[test]
    fn powers_of_ten() {
        for exponent in [0, 1, 2, 19, 1_000] {
            let text = format!("1{}", "0".repeat(exponent));
            assert_eq!(power_of_ten(exponent, &|| None).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_stop_ends_a_product_half_way() {
        let a = number(4 * LEAF, 1);
        let polls = Cell::new(0);
        let poll = || {
            polls.set(polls.get() + 1);
            (polls.get() == 3).then_some(Stop::Killed)
        };
        assert!(matches!(multiply(&a, &a, &poll), Err(Halt::Stopped(Stop::Killed))));
        assert_eq!(polls.get(), 3);
    }
}
