//! Numbers as texts have them, and their sums: exact to twelve decimals, whatever the order in which they come.

use std::fmt;

/// The decimals that are exact.
const DECIMALS: i32 = 12;
const ONE: i128 = 10_i128.pow(DECIMALS as u32);

/// A number that a text is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// In units of 10^-12.
    Exact(i128),
    /// One that has more decimals, or is too big.
    Float(f64),
}

impl Number {
    /// Reads a number as JSON and CSV files have them; `None` if `text` is something else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = !(whole.is_empty() && decimals.is_empty())
            && whole.bytes().chain(decimals.bytes()).all(|byte| byte.is_ascii_digit());
        is_number.then(|| {
            let exact = exact(whole, decimals, exponent, mantissa.starts_with('-'));
            exact.map_or_else(|| Self::Float(text.parse().unwrap_or(f64::NAN)), Self::Exact)
        })
    }

    /// In units of 10^-12, rounded up; the largest there are if it is too big.
    pub fn units(self) -> i128 {
        match self {
            Self::Exact(units) => units,
            Self::Float(value) => (value * ONE as f64).ceil() as i128,
        }
    }
}

fn exact(whole: &str, decimals: &str, exponent: i32, is_negative: bool) -> Option<i128> {
    let mut units = 0_i128;
    for byte in whole.bytes().chain(decimals.bytes()) {
        units = units.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    if units == 0 {
        return Some(0);
    }
    let shift = DECIMALS.checked_add(exponent)?.checked_sub(i32::try_from(decimals.len()).ok()?)?;
    let factor = 10_i128.checked_pow(shift.unsigned_abs())?;
    let units = if shift >= 0 {
        units.checked_mul(factor)?
    } else {
        (units % factor == 0).then_some(units / factor)?
    };
    Some(if is_negative { -units } else { units })
}

/// Writes units of 10^-12 as a decimal number.
pub fn in_decimals(units: i128) -> String {
    let (whole, decimals) =
        (units.unsigned_abs() / ONE as u128, units.unsigned_abs() % ONE as u128);
    let sign = if units < 0 { "-" } else { "" };
    let text = format!("{sign}{whole}.{decimals:012}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The sum of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    units: i128,
    /// What could not be added exactly.
    rest: Option<f64>,
    /// How many values were something else, or too large.
    strange: u64,
}

impl Sum {
    /// Adds the value of a cell; an empty one has none.
    pub fn add(&mut self, cell: &[u8]) {
        match Number::parse(cell) {
            Some(Number::Exact(units)) => self.add_units(units),
            Some(Number::Float(value)) if value.is_finite() => self.add_float(value),
            Some(Number::Float(_)) => self.strange += 1, // with it the sum would say nothing
            None => self.strange += u64::from(!cell.trim_ascii().is_empty()),
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.add_units(other.units);
        if let Some(rest) = other.rest {
            self.add_float(rest);
        }
        self.strange += other.strange;
    }

    fn add_units(&mut self, units: i128) {
        match self.units.checked_add(units) {
            Some(sum) => self.units = sum,
            None => self.add_float(units as f64 / ONE as f64),
        }
    }

    fn add_float(&mut self, value: f64) {
        *self.rest.get_or_insert_default() += value;
    }

    /// In units of 10^-12, rounded up.
    pub fn units(&self) -> i128 {
        self.units.saturating_add(self.rest.map_or(0, |rest| Number::Float(rest).units()))
    }

    /// How many values were not numbers, or too large to be added.
    pub fn strange(&self) -> u64 {
        self.strange
    }
}

/// A number as JSON has them.
impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rest) = self.rest else { return f.write_str(&in_decimals(self.units)) };
        let sum = self.units as f64 / ONE as f64 + rest;
        if sum.is_finite() { write!(f, "{sum:?}") } else { f.write_str("null") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are() {
        for (text, units) in [
            ("0", 0),
            ("17", 17 * ONE),
            (" -1.5 ", -ONE * 3 / 2),
            ("+2.", 2 * ONE),
            (".25", ONE / 4),
            ("1e3", 1000 * ONE),
            ("1.5E-3", ONE * 3 / 2000),
            ("0.000000000001", 1),
            ("1.0000000000000000", ONE),
            ("0e999", 0),
        ] {
            assert_eq!(Number::parse(text.as_bytes()), Some(Number::Exact(units)), "{text}");
        }
        for text in
            ["", "-", ".", "abc", "1,5", "0x10", "nan", "inf", "1e", "1 2", "--1", "1_0", "1e1.5"]
        {
            assert_eq!(Number::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Number::parse(b"1e-13"), Some(Number::Float(1e-13)));
        assert_eq!(Number::parse(b"1e300"), Some(Number::Float(1e300)));
        assert_eq!(Number::Float(1e300).units(), i128::MAX);
        assert_eq!(Number::Float(1e-13).units(), 1);
    }

    #[test]
    fn sums_are_exact_in_any_order() {
        let sum = |cells: &[&str]| {
            let mut sum = Sum::default();
            for cell in cells {
                sum.add(cell.as_bytes());
            }
            sum
        };
        for (cells, expected) in [
            (&["0.1", "0.2"][..], "0.3"),
            (&["1", "-1"], "0"),
            (&["100", "", "5"], "105"),
            (&["-0.5"], "-0.5"),
            (&[], "0"),
            (&["1e30", "1"], "1e30"),
            (&["1e308", "1e308"], "null"),
        ] {
            assert_eq!(sum(cells).to_string(), expected);
            let mut merged = Sum::default();
            cells.iter().rev().for_each(|cell| merged.merge(&sum(&[cell])));
            assert_eq!(merged.to_string(), expected);
        }
        assert_eq!(sum(&["1", "x", " ", "n/a"]).strange(), 2);
        let with_huge = sum(&["1", "1e400"]);
        assert_eq!((with_huge.strange(), with_huge.to_string()), (1, "1".to_owned()));
        assert_eq!(in_decimals(-ONE / 8), "-0.125");
    }
}
