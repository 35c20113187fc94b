//! The paths of stepped areas, lines and bands.

use std::fmt::Write;

use crate::view::chart::{WIDE, short};

/// The area between two series of parts of the height, from 0 to 1, that stand in steps of equal width, or of the width
/// up to `cover` (of 1) in all.
pub fn steps(low: &[f64], high: &[f64], height: f64) -> String {
    let count = high.len().max(1) as f64;
    let x = |index: usize| short(index as f64 * WIDE / count);
    let y = |part: f64| short(height * (1.0 - part));
    let mut path = String::new();
    let bottom = |index: usize| low.get(index).copied().unwrap_or(0.0);
    // Each run of columns with something in it is an area of its own, so that nothing is drawn where there is nothing.
    let mut index = 0;
    while index < high.len() {
        if high[index] <= bottom(index) {
            index += 1;
            continue;
        }
        let start = index;
        let _ = write!(path, "M{} {}", x(index), y(bottom(index)));
        while index < high.len() && high[index] > bottom(index) {
            let _ = write!(path, "V{}H{}", y(high[index]), x(index + 1));
            index += 1;
        }
        for back in (start..index).rev() {
            let _ = write!(path, "V{}H{}", y(bottom(back)), x(back));
        }
        path.push('Z');
    }
    path
}

/// A line through points of the width and the height, each from 0 to 1; `None` breaks it.
pub fn line(points: &[Option<(f64, f64)>], height: f64) -> String {
    let mut path = String::new();
    let mut is_down = false;
    for point in points {
        let Some((x, y)) = point else {
            is_down = false;
            continue;
        };
        let command = if is_down { 'L' } else { 'M' };
        let _ = write!(path, "{command}{} {}", short(x * WIDE), short(height * (1.0 - y)));
        is_down = true;
    }
    path
}

/// The area between two lines of the same points, with gaps where there are none.
pub fn band(points: &[Option<(f64, f64, f64)>], height: f64) -> String {
    let mut path = String::new();
    for part in points.split(Option::is_none) {
        let part: Vec<_> = part.iter().flatten().collect();
        let Some((first, _)) = part.split_first() else { continue };
        let _ = write!(path, "M{} {}", short(first.0 * WIDE), short(height * (1.0 - first.1)));
        let forth = part.iter().skip(1).map(|(x, low, _)| (x, low));
        let back = part.iter().rev().map(|(x, _, high)| (x, high));
        for (x, y) in forth.chain(back) {
            let _ = write!(path, "L{} {}", short(x * WIDE), short(height * (1.0 - y)));
        }
        path.push('Z');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_leave_gaps() {
        assert_eq!(
            steps(&[], &[0.5, 0.0, 1.0], 100.0),
            "M0 100V50H333.33V100H0ZM666.67 100V0H1000V100H666.67Z"
        );
        assert_eq!(steps(&[0.5], &[0.5], 100.0), "");
        assert_eq!(line(&[Some((0.0, 0.0)), None, Some((1.0, 1.0))], 10.0), "M0 10M1000 0");
        assert_eq!(
            band(&[Some((0.0, 0.0, 1.0)), Some((1.0, 0.0, 1.0)), None], 10.0),
            "M0 10L1000 10L1000 0L0 0Z"
        );
    }
}
