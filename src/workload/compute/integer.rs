//! Functions whose values are big integers.

use dashu_int::ops::BitTest;
use dashu_int::{UBig, Word};
use primal::Sieve;

use super::big::{multiply, product, square};
use super::{Halt, Poll, check, number};

/// Bits, from which a few additions take a millisecond.
const LONG: usize = 1 << 23;

/// n!, as digits and a digest.
///
/// Prime swing: n! is the square of floor(n/2)! times a product of prime powers below n, the swing. Peter Luschny,
/// <http://www.luschny.de/math/factorial/SwingIntro.pdf>. A third faster than a product tree over the odd numbers.
pub(super) fn factorial(n: u64, poll: Poll<'_>) -> Result<Vec<u8>, Halt> {
    let odd = odd_factorial(n, &Sieve::new(n as usize), poll)?;
    // Legendre: the power of two in n!.
    let twos = n - u64::from(n.count_ones());
    number::digits_and_digest(&(odd << twos as usize), poll)
}

/// n! without its factors of two.
fn odd_factorial(n: u64, sieve: &Sieve, poll: Poll<'_>) -> Result<UBig, Halt> {
    if n < 3 {
        return Ok(UBig::ONE);
    }
    let half = odd_factorial(n / 2, sieve, poll)?;
    let swing = product(&odd_swing(n, sieve), poll)?;
    multiply(&square(&half, poll)?, &swing, poll)
}

/// The odd part of the swing of n, as factors that fill their words. A prime is in it once for every odd number among
/// n/p, n/p^2, n/p^3, ... rounded down.
fn odd_swing(n: u64, sieve: &Sieve) -> Vec<Word> {
    let mut factors = Vec::new();
    let mut factor: Word = 1;
    for prime in sieve.primes_from(3).map(|prime| prime as u64).take_while(|&prime| prime <= n) {
        let mut rest = n / prime;
        let mut power = 1;
        while rest > 0 {
            if rest & 1 == 1 {
                power *= prime;
            }
            rest /= prime;
        }
        factor = factor.checked_mul(power).unwrap_or_else(|| {
            factors.push(factor);
            power
        });
    }
    factors.push(factor);
    factors
}

/// The n-th Fibonacci number: F(0) = 0, F(1) = 1.
///
/// Fast doubling with two squares a step: F(2k+1) = 4 F(k)^2 - F(k-1)^2 + 2 (-1)^k and F(2k-1) = F(k)^2 + F(k-1)^2.
/// GMP's manual, "Fibonacci Numbers Algorithm".
pub(super) fn fibonacci(n: u64, poll: Poll<'_>) -> Result<Vec<u8>, Halt> {
    if n == 0 {
        return Ok(b"0".to_vec());
    }
    // F(k) and F(k-1), where k is the leading bits of n.
    let (mut this, mut before) = (UBig::ONE, UBig::ZERO);
    let mut odd = true;
    for bit in (0..n.ilog2()).rev() {
        let (square, square_before) = (square(&this, poll)?, square(&before, poll)?);
        let below = &square + &square_before;
        if below.bit_len() > LONG {
            check(poll)?;
        }
        let above = (square << 2) - square_before;
        let above = if odd { above - 2u8 } else { above + 2u8 };
        let doubled = &above - &below;
        odd = n >> bit & 1 == 1;
        (this, before) = if odd { (above, doubled) } else { (doubled, below) };
    }
    number::short_or_digest(&this, poll)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Result<Vec<u8>, Halt>) -> String {
        String::from_utf8(value.unwrap()).unwrap()
    }

    #[test]
    fn factorials_are_the_plain_products() {
        let mut plain = UBig::ONE;
        for n in 0..2_000_u64 {
            plain *= n.max(1);
            let odd = odd_factorial(n, &Sieve::new(n as usize), &|| None).unwrap();
            assert_eq!(odd << (n - u64::from(n.count_ones())) as usize, plain, "{n}");
        }
    }

    #[test]
    fn factorials_have_the_digits_and_digest_of_pythons() {
        // n = math.factorial(10000); hashlib.sha256(n.to_bytes((n.bit_length() + 7) // 8)).hexdigest()
        assert_eq!(
            text(factorial(10_000, &|| None)),
            r#"{"digits":35660,"sha256":"d1090bf3794b0feb63aef81c1796e65d51bbb834f6a822c1062711d90ef2cd99"}"#
        );
        assert_eq!(
            text(factorial(300_000, &|| None)),
            r#"{"digits":1512852,"sha256":"82723cf31f2cdf66a9d1bd9324e3ba23dadeb7f50faf6ccb7349804aeb735f75"}"#
        );
        assert!(text(factorial(0, &|| None)).starts_with(r#"{"digits":1,"#));
    }

    #[test]
    fn fibonacci_numbers_are_the_plain_sums() {
        let (mut this, mut next) = (UBig::ZERO, UBig::ONE);
        for n in 0..1_000 {
            assert_eq!(text(fibonacci(n, &|| None)), this.to_string());
            (this, next) = (next.clone(), this + next);
        }
    }

    #[test]
    fn long_fibonacci_numbers_are_digested() {
        // F(4782) is the first with 1,000 digits, F(4786) the last.
        assert_eq!(text(fibonacci(4_786, &|| None)).len(), 1_000);
        assert_eq!(
            text(fibonacci(4_787, &|| None)),
            r#"{"digits":1001,"sha256":"9e322f656a8c4cd60103760a6c768cd79e3587ff95e03747c332f3f11a355ec3"}"#
        );
        assert_eq!(
            text(fibonacci(5_000_000, &|| None)),
            r#"{"digits":1044938,"sha256":"dcbe65d683d613ef73e6a7116d33b63efe29343c510c8e5d734185bfae6f1a6c"}"#
        );
    }
}
