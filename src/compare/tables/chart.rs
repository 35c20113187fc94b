//! A bar chart of wall times in characters, with a resolution of an eighth of a character.

use std::fmt::Write as _;
use std::time::Duration;

use crate::compare::figures::Figures;
use crate::report::terminal::human_duration;

/// The longest bar, in characters.
const WIDTH: usize = 50;

const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A line for each variant: its name, its bar, its median wall time.
pub(super) fn bars(figures: &[Figures], recommended: usize) -> String {
    let longest = figures.iter().map(|figures| figures.wall.value).fold(0.0, f64::max);
    let names: Vec<String> = figures.iter().map(Figures::name).collect();
    let name_width = names.iter().map(String::len).max().unwrap_or(0);
    let mut out = String::new();
    for (index, (figures, name)) in figures.iter().zip(&names).enumerate() {
        let mark = if index == recommended { '→' } else { ' ' };
        let wall = figures.wall.value;
        let bar = bar(wall / longest);
        let time = human_duration(Duration::try_from_secs_f64(wall).unwrap_or_default());
        let _ = writeln!(out, "{mark} {name:<name_width$}  {bar} {time}");
    }
    out
}

/// A bar of this fraction of the full width.
fn bar(part: f64) -> String {
    let eighths = if part.is_finite() { (part * (WIDTH * 8) as f64).round() as usize } else { 0 };
    let eighths = eighths.clamp(1, WIDTH * 8); // any time at all is visible
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_the_length_of_their_part() {
        assert_eq!(bar(1.0).chars().count(), WIDTH);
        assert_eq!(bar(0.5), "█".repeat(WIDTH / 2));
        assert_eq!(bar(0.0), "▏");
        assert_eq!(bar(0.51), format!("{}▌", "█".repeat(WIDTH / 2)));
        assert_eq!(bar(f64::NAN), "▏");
    }
}
