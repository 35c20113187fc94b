//! Scales with ticks at round values.

use std::time::Duration;

use crate::report::terminal::human_duration;

/// A scale from one value to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// Where it starts.
    pub low: f64,
    /// Where it ends, above `low`.
    pub high: f64,
    /// Whether equal distances are equal ratios.
    pub is_log: bool,
    /// Round values on it, and what they are called.
    pub ticks: Vec<(f64, String)>,
}

impl Scale {
    /// Where a value stands on it, from 0 to 1.
    pub fn part(&self, value: f64) -> f64 {
        let part = if self.is_log {
            (value.max(f64::MIN_POSITIVE) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        part.clamp(0.0, 1.0)
    }

    /// From 0 to at least `highest`, in a few steps of 1, 2 or 5 times a power of ten.
    pub fn counts(highest: f64) -> Self {
        Self::round(highest, 3.0, &number)
    }

    /// The same for whole things.
    pub fn whole(highest: f64) -> Self {
        let mut scale = Self::counts(highest.max(1.0));
        scale.ticks.retain(|(value, _)| value.fract().abs() < 1e-9);
        scale
    }

    /// From 0 to the highest of these, each of them marked, from the highest down where there is room.
    pub fn of(values: &[f64]) -> Self {
        let high = values.iter().copied().fold(0.0, f64::max).max(1.0) * 1.05;
        let mut sorted = values.to_vec();
        sorted.sort_by(|one, other| other.total_cmp(one));
        let mut ticks: Vec<(f64, String)> = Vec::new();
        for value in sorted {
            if ticks.last().is_none_or(|(last, _)| last - value >= high / 24.0) {
                ticks.push((value, number(value)));
            }
        }
        ticks.reverse();
        Self { low: 0.0, high, is_log: false, ticks }
    }

    /// From 0 to at least so many seconds.
    pub fn seconds(highest: f64) -> Self {
        let unit = match highest {
            120.0.. => 60.0,
            _ => 1.0,
        };
        let mut scale = Self::round(highest / unit, 3.0, &|value| span(value * unit));
        scale.high *= unit;
        scale.ticks.iter_mut().for_each(|(value, _)| *value *= unit);
        scale
    }

    fn round(highest: f64, steps: f64, name: &dyn Fn(f64) -> String) -> Self {
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = round_up(highest / steps);
        let count = (highest / step - 1e-9).ceil().max(1.0);
        let ticks = (0..=count as u32).map(|n| f64::from(n) * step);
        Self {
            low: 0.0,
            high: count * step,
            is_log: false,
            ticks: ticks.map(|value| (value, name(value))).collect(),
        }
    }

    /// Time that has passed, exactly to `seconds`.
    pub fn elapsed(seconds: f64) -> Self {
        let seconds = if seconds > 0.0 { seconds } else { 0.001 };
        let step = time_step(seconds / 8.0);
        let count = (seconds / step + 1e-9).floor();
        let ticks = (0..=count as u32).map(|n| f64::from(n) * step);
        Self {
            low: 0.0,
            high: seconds,
            is_log: false,
            ticks: ticks.map(|value| (value, span(value))).collect(),
        }
    }

    /// From one number of seconds to another one, above it.
    pub fn between_seconds(low: f64, high: f64) -> Self {
        let step = round_up((high - low) / 6.0);
        let first = (low / step).ceil() as u64;
        let last = (high / step).floor() as u64;
        let ticks = (first..=last).map(|n| n as f64 * step);
        let mut ticks: Vec<_> = ticks.map(|value| (value, span(value))).collect();
        // Labels of three digits cannot tell steps apart that are too small.
        ticks.dedup_by(|one, other| one.1 == other.1);
        if ticks.is_empty() {
            ticks.push((low, span(low)));
        }
        Self { low, high, is_log: false, ticks }
    }

    /// Seconds, such that each doubling takes the same room.
    pub fn log_seconds(low: f64, high: f64) -> Self {
        let mut ticks = Vec::new();
        let decades = (high / low).log10();
        let steps: &[f64] = match decades {
            ..3.0 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let mut decade = 10_f64.powf(low.log10().floor());
        while decade <= high {
            let values = steps.iter().map(|step| step * decade);
            ticks.extend(values.filter(|value| (low..=high).contains(value)));
            decade *= if decades >= 6.0 { 100.0 } else { 10.0 };
        }
        let ticks = ticks.into_iter().map(|value| (value, span(value))).collect();
        Self { low, high, is_log: true, ticks }
    }
}

/// The next of 1, 2, 5, 10 … that is not below `value`.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// The next round time that is not below so many seconds.
fn time_step(seconds: f64) -> f64 {
    const STEPS: [f64; 26] = [
        1.0,
        2.0,
        5.0,
        10.0,
        15.0,
        30.0,
        60.0,
        120.0,
        300.0,
        600.0,
        900.0,
        1800.0,
        3600.0,
        7200.0,
        10_800.0,
        21_600.0,
        43_200.0,
        86_400.0,
        172_800.0,
        604_800.0,
        1_209_600.0,
        2_592_000.0,
        5_184_000.0,
        7_776_000.0,
        15_552_000.0,
        31_536_000.0,
    ];
    if seconds < 1.0 {
        return round_up(seconds);
    }
    STEPS.into_iter().find(|step| *step >= seconds).unwrap_or_else(|| round_up(seconds))
}

/// A time as the label of a tick: short, since it is round.
pub fn span(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        0.0 => "0".to_owned(),
        ..60.0 => human_duration(Duration::from_secs_f64(seconds)),
        60.0..3600.0 if whole.is_multiple_of(60) => format!("{} min", whole / 60),
        3600.0..86_400.0 if whole.is_multiple_of(3600) => format!("{} h", whole / 3600),
        86_400.0.. if whole.is_multiple_of(86_400) => format!("{} d", whole / 86_400),
        _ => human_duration(Duration::from_secs_f64(seconds)),
    }
}

/// A number as the label of a tick.
pub fn number(value: f64) -> String {
    match value {
        1e9.. => format!("{} G", crate::csv::number::thousandths(value / 1e9)),
        1e6.. => format!("{} M", crate::csv::number::thousandths(value / 1e6)),
        1e3.. => indicatif::HumanCount(value.round() as u64).to_string(),
        _ => crate::csv::number::thousandths(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&Scale::counts(7.0)), ["0", "5", "10"]);
        assert_eq!(labels(&Scale::counts(2900.0)), ["0", "1,000", "2,000", "3,000"]);
        assert_eq!(labels(&Scale::counts(0.0)), ["0", "0.5", "1"]);
        assert_eq!(labels(&Scale::whole(1.0)), ["0", "1"]);
        assert_eq!(labels(&Scale::of(&[1.0, 2.0, 64.0, 32.0])), ["2", "32", "64"]);
        assert_eq!(labels(&Scale::seconds(0.0014)), ["0", "500 µs", "1 ms", "1.5 ms"]);
        assert_eq!(labels(&Scale::seconds(400.0)), ["0", "5 min", "10 min"]);
        assert_eq!(
            labels(&Scale::elapsed(0.05)),
            ["0", "10 ms", "20 ms", "30 ms", "40 ms", "50 ms"]
        );
        assert_eq!(
            labels(&Scale::elapsed(7000.0)),
            ["0", "15 min", "30 min", "45 min", "1 h", "1 h 15 min", "1 h 30 min", "1 h 45 min"]
        );
        assert_eq!(labels(&Scale::elapsed(4e7)).last(), Some(&"420 d"));
        assert_eq!(
            labels(&Scale::log_seconds(0.001, 20.0)),
            ["1 ms", "10 ms", "100 ms", "1 s", "10 s"]
        );
        assert!(labels(&Scale::elapsed(0.0)).len() > 1);
    }

    #[test]
    fn values_stand_where_they_belong() {
        let scale = Scale::log_seconds(0.01, 1.0);
        assert!((scale.part(0.1) - 0.5).abs() < 1e-9);
        assert!(scale.part(0.0).abs() < 1e-9 && (scale.part(9.0) - 1.0).abs() < 1e-9);
        assert!((Scale::elapsed(8.0).part(2.0) - 0.25).abs() < 1e-9);
    }
}
