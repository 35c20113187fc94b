//! `range = { from = 1, to = 100, step = 1 }`: exact, in decimals too, and never held in memory.

use std::fmt;
use std::str::FromStr;

use toml::Spanned;
use toml::de::DeValue;

use crate::config::Table;
use crate::config::table::scalar_text;
use crate::task::Fields;

/// Numbers from one to another, inclusive: `from + i * step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// `from` in units of the last decimal.
    from: i128,
    /// `step` in the same units.
    step: i128,
    /// How many decimals are printed: as many as `from` or `step` has.
    decimals: u32,
    /// How many numbers there are.
    pub count: u64,
}

impl Range {
    /// Reads the table.
    pub fn read(mut table: Table<'_>) -> Option<Self> {
        for key in ["from", "to"] {
            if !table.has(key) {
                table.missing(key);
            }
        }
        let (from, to) = (number(&mut table, "from"), number(&mut table, "to"));
        let step = if table.has("step") {
            number(&mut table, "step")
        } else {
            Some(Decimal { units: 1, decimals: 0 })
        };
        let place = if table.has("step") { table.span_of("step") } else { table.span() };
        let document = table.document();
        table.finish();
        match Self::new(from?, to?, step?) {
            Ok(range) => Some(range),
            Err((message, help)) => {
                document.error_with_help(&place, message, help);
                None
            }
        }
    }

    /// A range, or what is wrong with it and the way out.
    fn new(from: Decimal, to: Decimal, step: Decimal) -> Result<Self, (String, String)> {
        let too_large = || ("the range is too large".to_owned(), "use fewer digits".to_owned());
        // Counted in the finest of the three, printed in the finer of those that make up the values.
        let finest = from.decimals.max(to.decimals).max(step.decimals);
        let scaled = |number: Decimal| number.in_units_of(finest).ok_or_else(too_large);
        let (first, last, stride) = (scaled(from)?, scaled(to)?, scaled(step)?);
        if stride == 0 {
            return Err((
                "a step of 0 never gets there".into(),
                "leave `step` out for steps of 1".into(),
            ));
        }
        let distance = last.checked_sub(first).ok_or_else(too_large)?;
        if distance != 0 && (distance < 0) != (stride < 0) {
            let direction = if distance < 0 { "down" } else { "up" };
            let opposite = Decimal { units: -step.units, ..step };
            return Err((
                format!("a step of {step} never gets from {from} {direction} to {to}"),
                format!("write `step = {opposite}`"),
            ));
        }
        let count = (distance / stride).checked_add(1).and_then(|n| u64::try_from(n).ok());
        let decimals = from.decimals.max(step.decimals);
        let printed = |number: Decimal| number.in_units_of(decimals).ok_or_else(too_large);
        Ok(Self {
            from: printed(from)?,
            step: printed(step)?,
            decimals,
            count: count.ok_or_else(too_large)?,
        })
    }

    /// The number at `index`, which is below the count.
    pub fn at(&self, index: u64) -> Fields {
        let units = self.from + i128::from(index) * self.step;
        let mut digits = itoa::Buffer::new();
        if self.decimals > 0 {
            return Fields::single_number(Decimal { units, decimals: self.decimals }.to_string());
        }
        match i64::try_from(units) {
            Ok(units) => Fields::single_number(digits.format(units)),
            Err(_) => Fields::single_number(digits.format(units)),
        }
    }
}

/// The number at `key`, exactly as it is written.
fn number(table: &mut Table<'_>, key: &'static str) -> Option<Decimal> {
    let value = table.raw(key)?;
    match decimal(value) {
        Some(Ok(decimal)) => Some(decimal),
        Some(Err(message)) => {
            table.document().error(&value.span(), format!("`{key}` {message}"));
            None
        }
        None => {
            table.wrong_type(key, value, "a number");
            None
        }
    }
}

fn decimal(value: &Spanned<DeValue<'_>>) -> Option<Result<Decimal, String>> {
    match value.get_ref() {
        DeValue::Integer(integer) => {
            let units = i128::from_str_radix(integer.as_str(), integer.radix());
            let too_large = |_| format!("is too large: {integer}");
            Some(units.map(|units| Decimal { units, decimals: 0 }).map_err(too_large))
        }
        DeValue::Float(_) => scalar_text(value.get_ref()).map(|text| text.parse()),
        _ => None,
    }
}

/// A decimal number, exact: `units / 10^decimals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decimal {
    units: i128,
    decimals: u32,
}

impl Decimal {
    fn in_units_of(self, decimals: u32) -> Option<i128> {
        self.units.checked_mul(10_i128.checked_pow(decimals.checked_sub(self.decimals)?)?)
    }
}

impl FromStr for Decimal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("must be a finite number, not {text}");
        let too_large = || format!("has too many digits: {text}");
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().map_err(|_| bad())?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if !digits.trim_start_matches(['+', '-']).bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let units: i128 = digits.parse().map_err(|_| too_large())?;
        let decimals = i32::try_from(fraction.len()).ok().and_then(|n| n.checked_sub(exponent));
        let decimals = decimals.filter(|n| n.abs() < 38).ok_or_else(too_large)?;
        if let Ok(decimals) = u32::try_from(decimals) {
            return Ok(Self { units, decimals });
        }
        let factor = 10_i128.checked_pow(decimals.unsigned_abs());
        let units = factor.and_then(|factor| units.checked_mul(factor)).ok_or_else(too_large)?;
        Ok(Self { units, decimals: 0 })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let width = self.decimals as usize + 1;
        let digits = format!("{:0>width$}", self.units.unsigned_abs());
        let (whole, fraction) = digits.split_at(digits.len() - self.decimals as usize);
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &str, to: &str, step: &str) -> Result<Range, (String, String)> {
        let number = |text: &str| text.parse().unwrap();
        Range::new(number(from), number(to), number(step))
    }

    #[test]
    fn numbers_are_exact() {
        for (from, to, step, expected) in [
            ("1", "3", "1", "1 2 3"),
            ("3", "-1", "-2", "3 1 -1"),
            ("1", "6", "2", "1 3 5"),
            ("5", "5", "1", "5"),
            ("5", "5", "-1", "5"),
            ("0", "0.5", "0.1", "0.0 0.1 0.2 0.3 0.4 0.5"),
            ("0.10", "0.3", "0.1", "0.10 0.20 0.30"),
            ("-0.05", "0.05", "0.05", "-0.05 0.00 0.05"),
            ("1", "2.5", "1", "1 2"),
            ("1e-3", "3e-3", "1e-3", "0.001 0.002 0.003"),
            ("1e3", "2e3", "1e3", "1000 2000"),
            (
                "170141183460469231731687303715884105720",
                "170141183460469231731687303715884105720",
                "1",
                "170141183460469231731687303715884105720",
            ),
        ] {
            let range = range(from, to, step).unwrap();
            let values: Vec<_> = (0..range.count)
                .map(|index| String::from_utf8(range.at(index).get(0).to_vec()).unwrap())
                .collect();
            assert_eq!(values.join(" "), expected, "{from} to {to} by {step}");
        }
    }

    #[test]
    fn a_huge_range_is_only_counted() {
        let range = range("1", "10000000000000000000", "1").unwrap();
        assert_eq!(range.count, 10_000_000_000_000_000_000);
        assert_eq!(range.at(range.count - 1).get(0), b"10000000000000000000");
    }

    #[test]
    fn a_step_that_never_gets_there_is_told() {
        assert!(range("1", "3", "0").is_err());
        let (message, help) = range("3", "1", "1").unwrap_err();
        assert_eq!(message, "a step of 1 never gets from 3 down to 1");
        assert_eq!(help, "write `step = -1`");
        assert!(range("1", "3", "-0.5").is_err());
    }

    #[test]
    fn what_is_no_decimal_is_told() {
        for text in ["inf", "-inf", "nan", "1e99", "1e-99", "1.5e", "1-2"] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }
}
