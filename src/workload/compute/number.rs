//! Big integers as the cell `result`.
//!
//! A number of more than 1,000 digits is too long for a spreadsheet's cell: it becomes `{"digits":35660,"sha256":"..."}`, how
//! many decimal digits it has and the SHA-256 of its bytes, the most significant first, without leading zeros. The
//! decimal text is not digested, since it takes four times as long to make as a factorial takes to compute. To check
//! one with Python:
//!
//! ```python
//! n = math.factorial(10000); print(hashlib.sha256(n.to_bytes((n.bit_length() + 7) // 8, "big")).hexdigest())
//! ```

use std::fmt::Write;

use dashu_int::ops::BitTest;
use dashu_int::{UBig, Word};
use sha2::{Digest, Sha256};

use super::big::power_of_ten;
use super::{Halt, Poll, check};

/// Digits, up to which a number is shown as it is.
const SHORT: usize = 1_000;

/// Bits, up to which a number is converted to count its digits.
const FEW_BITS: usize = 4_096;

/// Words that are digested between two polls.
const BLOCK: usize = 8_192;

/// The number itself, or what [`digits_and_digest`] says of a long one.
pub(super) fn short_or_digest(number: &UBig, poll: Poll<'_>) -> Result<Vec<u8>, Halt> {
    if number.bit_len() <= FEW_BITS {
        let text = number.to_string();
        if text.len() <= SHORT {
            return Ok(text.into_bytes());
        }
    }
    digits_and_digest(number, poll)
}

/// How many digits the number has, and the digest of its bytes.
pub(super) fn digits_and_digest(number: &UBig, poll: Poll<'_>) -> Result<Vec<u8>, Halt> {
    let digits = digits(number, poll)?;
    let digest = hex(&digest(number, poll)?);
    Ok(format!(r#"{{"digits":{digits},"sha256":"{digest}"}}"#).into_bytes())
}

/// The number of decimal digits, exactly.
fn digits(number: &UBig, poll: Poll<'_>) -> Result<usize, Halt> {
    let bits = number.bit_len();
    if bits <= FEW_BITS {
        return Ok(number.to_string().len());
    }
    let (&[.., second, first], words) = (number.as_words(), number.as_words().len()) else {
        unreachable!("it has more than two words");
    };
    let top = (u128::from(first) << Word::BITS | u128::from(second)) as f64;
    let low_bits = (words - 2) * Word::BITS as usize;
    let log = top.log10() + low_bits as f64 * std::f64::consts::LOG10_2;
    // The rounding of the greatest numbers that are computed here is below 1e-7.
    let nearest = log.round();
    if (log - nearest).abs() > 1e-6 {
        return Ok(log as usize + 1);
    }
    let exponent = nearest as usize;
    Ok(if *number >= power_of_ten(exponent, poll)? { exponent + 1 } else { exponent })
}

/// The SHA-256 of the number's bytes.
fn digest(number: &UBig, poll: Poll<'_>) -> Result<[u8; 32], Halt> {
    let mut hasher = Sha256::new();
    let mut bytes = Vec::with_capacity(BLOCK.min(number.as_words().len()) * size_of::<Word>());
    for (index, words) in number.as_words().rchunks(BLOCK).enumerate() {
        bytes.clear();
        words.iter().rev().for_each(|word| bytes.extend_from_slice(&word.to_be_bytes()));
        let zeros = match index {
            0 => bytes.iter().take_while(|&&byte| byte == 0).count(),
            _ => 0,
        };
        hasher.update(&bytes[zeros..]);
        if words.len() == BLOCK {
            check(poll)?;
        }
    }
    Ok(hasher.finalize().into())
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(number: &UBig) -> usize {
        digits(number, &|| None).unwrap()
    }

    #[test]
    fn digits_are_exact_around_powers_of_ten() {
        for exponent in [0, 1, 18, 19, 1_232, 1_233, 1_234, 5_000, 123_456] {
            let power = power_of_ten(exponent, &|| None).unwrap();
            assert_eq!(count(&power), exponent + 1);
            assert_eq!(count(&(&power + 1u8)), exponent + 1);
            assert_eq!(count(&(&power * 3u8)), exponent + 1);
            assert_eq!(count(&(&power * 9u8)), exponent + 1);
            assert_eq!(count(&(power - 1u8)), exponent.max(1));
        }
    }

    #[test]
    fn a_digest_is_that_of_the_big_endian_bytes() {
        for shift in [3, 8, 64, 500_000, 64 * BLOCK - 1, 64 * BLOCK, 64 * BLOCK + 9] {
            let number = (UBig::from(0x0123_4567_89ab_cdef_u64) << shift) + 77u8;
            let expected: [u8; 32] = Sha256::digest(number.to_be_bytes()).into();
            assert_eq!(digest(&number, &|| None).unwrap(), expected);
        }
    }

    #[test]
    fn short_numbers_are_shown() {
        let power = power_of_ten(SHORT - 1, &|| None).unwrap();
        assert_eq!(short_or_digest(&power, &|| None).unwrap(), power.to_string().as_bytes());
        let shown = short_or_digest(&(power * 10u8), &|| None).unwrap();
        assert!(shown.starts_with(br#"{"digits":1001,"#));
    }
}
