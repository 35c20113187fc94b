//! Times, rates and sizes of other tools' command lines, as a job file has them.

/// Seconds, or a number with the letter of a unit.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let unit = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => 86400.0,
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

/// Seconds as a duration of a job file.
pub(super) fn duration(seconds: f64) -> String {
    if seconds.fract() == 0.0 {
        format!("{seconds}s")
    } else {
        format!("{}ms", (seconds * 1000.0).round())
    }
}

/// A start in each of these intervals, in seconds, as a rate.
pub(super) fn rate(seconds: f64) -> String {
    let units = [(1.0, "s"), (60.0, "m"), (3600.0, "h")];
    let fits = |(unit, _): &&(f64, &str)| {
        let starts = unit / seconds;
        starts >= 1.0 && (starts - starts.round()).abs() < 1e-9
    };
    let (unit, name) = units.iter().find(fits).unwrap_or(&(3600.0, "h"));
    let starts = unit / seconds;
    if (starts - starts.round()).abs() < 1e-9 {
        return format!("{}/{name}", starts.round());
    }
    format!("{starts:.3}/{name}")
}

/// A load as a value of a job file: a number, or a part of the cores.
pub(super) fn load(text: &str) -> Option<String> {
    let is_above_zero =
        |text: &str| text.parse::<f64>().is_ok_and(|load| load.is_finite() && load > 0.0);
    match text.strip_suffix('%') {
        Some(part) => is_above_zero(part).then(|| format!("\"{text}\"")),
        None => is_above_zero(text).then(|| text.to_owned()),
    }
}

/// A size in parallel's units: `1M` is 1,048,576 bytes, `1m` 1,000,000.
pub(super) fn size(text: &str) -> Option<String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok().filter(|number| *number > 0)?;
    let unit = match &text[digits.len()..] {
        "" => "B",
        "k" => "kB",
        "m" => "MB",
        "g" => "GB",
        "K" | "Ki" => "KiB",
        "M" | "Mi" => "MiB",
        "G" | "Gi" => "GiB",
        _ => return None,
    };
    Some(format!("{number}{unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_become_rates() {
        for (pause, expected) in [
            ("0.5", "2/s"),
            ("1", "1/s"),
            ("10", "6/m"),
            ("2m", "30/h"),
            ("0.3", "200/m"),
            ("7200", "0.500/h"),
        ] {
            assert_eq!(rate(seconds(pause).unwrap()), expected, "{pause}");
        }
    }

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(size("10M").as_deref(), Some("10MiB"));
        assert_eq!(size("1k").as_deref(), Some("1kB"));
        assert_eq!(size("x"), None);
        assert_eq!(duration(1.5), "1500ms");
        assert_eq!(duration(90.0), "90s");
        assert_eq!(seconds("200%"), None);
    }
}
