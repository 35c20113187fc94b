//! A bar chart of wall times in characters, with a resolution of an eighth of a character.

use std::fmt::Write as _;
use std::time::Duration;

use console::{Alignment, measure_text_width};

use crate::compare::figures::Figures;
use crate::report::terminal::human_duration;

/// The longest bar, in characters.
const WIDTH: usize = 50;

const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// The shortest bar of the longest time that is worth drawing, in characters.
const NARROWEST: usize = 4;

/// A line for each variant: its name, its bar, its median wall time; in at most `width` columns of the terminal, if that is
/// known. Where there is no room for bars, there are none, and names are cut.
pub(super) fn bars(figures: &[Figures], recommended: usize, width: Option<u16>) -> String {
    let lines = figures.iter().map(|figures| {
        let wall = figures.wall.value;
        let time = human_duration(Duration::try_from_secs_f64(wall).unwrap_or_default());
        (figures.name(), wall, time)
    });
    drawn(&lines.collect::<Vec<_>>(), recommended, width.map_or(usize::MAX, usize::from))
}

fn drawn(lines: &[(String, f64, String)], recommended: usize, width: usize) -> String {
    let longest = lines.iter().map(|(_, wall, _)| *wall).fold(0.0, f64::max);
    let widest = |texts: &mut dyn Iterator<Item = &String>| {
        texts.map(|text| measure_text_width(text)).max().unwrap_or(0)
    };
    let times = widest(&mut lines.iter().map(|(_, _, time)| time));
    let room = width.saturating_sub(2 + 2 + 1 + times); // a mark, and blanks between
    let mut names = widest(&mut lines.iter().map(|(name, ..)| name));
    if names + NARROWEST > room {
        names = names.min(room.saturating_sub(NARROWEST).max(NARROWEST));
    }
    let bars = room.saturating_sub(names).min(WIDTH);
    let mut out = String::new();
    for (index, (name, wall, time)) in lines.iter().enumerate() {
        let mark = if index == recommended { '→' } else { ' ' };
        let name = console::pad_str(name, names, Alignment::Left, Some("…"));
        let bar = if bars < NARROWEST { String::new() } else { bar(wall / longest, bars) + " " };
        let line = format!("{mark} {name}  {bar}{time}");
        let _ = writeln!(out, "{}", console::truncate_str(&line, width, "…"));
    }
    out
}

/// A bar of this fraction of the full `width`.
fn bar(part: f64, width: usize) -> String {
    let eighths = if part.is_finite() { (part * (width * 8) as f64).round() as usize } else { 0 };
    let eighths = eighths.clamp(1, width * 8); // any time at all is visible
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_the_length_of_their_part() {
        assert_eq!(bar(1.0, WIDTH).chars().count(), WIDTH);
        assert_eq!(bar(0.5, WIDTH), "█".repeat(WIDTH / 2));
        assert_eq!(bar(0.0, WIDTH), "▏");
        assert_eq!(bar(0.51, WIDTH), format!("{}▌", "█".repeat(WIDTH / 2)));
        assert_eq!(bar(f64::NAN, WIDTH), "▏");
    }

    #[test]
    fn a_chart_fits_its_terminal() {
        let lines = [("sequential at 1", 9.0), ("数据处理 at 128", 1.0)]
            .map(|(name, wall)| (name.to_owned(), wall, format!("{wall} s")));
        for width in 20..250 {
            let chart = drawn(&lines, 1, width);
            let widest = chart.lines().map(measure_text_width).max().unwrap();
            assert!(widest <= width, "{width}:\n{chart}");
            assert_eq!(chart.lines().count(), 2);
            let (one, other) = chart.split_once('\n').unwrap();
            assert!(one.ends_with("9 s") && other.ends_with("1 s\n"), "{chart}");
        }
        assert_eq!(drawn(&lines, 1, 250), drawn(&lines, 1, usize::MAX));
    }
}
