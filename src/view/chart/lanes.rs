//! A lane for each slot: what it did when.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::view::chart::axis::Scale;
use crate::view::chart::{BOTTOM, WIDE, escape, short};
use crate::view::digest::times::{Bar, Times};
use crate::view::page::words::status_class;

/// How many shades tell how busy a slot was.
const SHADES: usize = 5;

/// Lanes as markup: an attempt a bar, if there are few; else how busy each slot was.
pub fn draw(
    label: &str,
    times: &Times,
    (from, to): (i64, i64),
    describe: impl Fn(&Bar) -> String,
) -> String {
    let lanes = times.slots.len().max(1);
    let lane: f64 = match lanes {
        ..=8 => 22.0,
        9..=24 => 14.0,
        _ => 9.0,
    };
    let height = lane * lanes as f64;
    let mut marks = String::new();
    if let Some(bars) = &times.bars {
        let length = (to - from).max(1) as f64;
        let percent = |at: i64| 100.0 * (at - from) as f64 / length;
        for bar in bars {
            let x = percent(bar.start).clamp(0.0, 100.0);
            let width = (percent(bar.end) - x).max(0.0);
            let y = lane * (bar.slot as f64 - 1.0) + 1.0;
            let class = status_class(bar.status);
            let _ = write!(
                marks,
                r#"<rect class="bar {class}" x="{}%" y="{}" width="{}%" height="{}"><title>{}</title></rect>"#,
                short(x),
                short(y),
                short(width),
                short(lane - 2.0),
                escape(&describe(bar))
            );
        }
    } else {
        let paths = strips(times, lane);
        let _ = write!(
            marks,
            r#"<svg x="0" y="0" width="100%" height="{height}" viewBox="0 0 {WIDE} {height}" preserveAspectRatio="none">"#
        );
        for (shade, path) in paths {
            let _ = write!(marks, r#"<path class="shade{shade}" d="{path}"/>"#);
        }
        marks.push_str("</svg>");
    }
    let mut out = format!(
        r#"<svg class="chart lanes" role="img" aria-label="{}" width="100%" height="{}">"#,
        escape(label),
        height + BOTTOM
    );
    for index in 0..lanes {
        let y = short(lane * index as f64 + 1.0);
        let _ = write!(
            out,
            r#"<rect class="lane" x="0" y="{y}" width="100%" height="{}"/>"#,
            short(lane - 2.0)
        );
    }
    out.push_str(&marks);
    let mut axis = crate::view::chart::Chart::new("", height - crate::view::chart::TOP);
    axis.bottom(&Scale::elapsed((to - from) as f64 / 1e6));
    out.push_str(axis.body());
    out.push_str("</svg>");
    out
}

/// The paths of all lanes by shade, from 1 on.
fn strips(times: &Times, lane: f64) -> BTreeMap<usize, String> {
    let mut paths: BTreeMap<usize, String> = BTreeMap::new();
    let columns = times.axis.len().max(1);
    let merged = columns.div_ceil(240);
    let count = columns.div_ceil(merged);
    let x = |column: usize| (column * merged) as f64 * WIDE / columns as f64;
    for (index, track) in times.tracks.iter().enumerate() {
        let y = lane * index as f64 + 1.0;
        let shade = |column: usize| {
            let part = &track[column * merged..((column + 1) * merged).min(columns)];
            let room = part.len() as f64 * times.axis.width() as f64;
            let share = part.iter().sum::<f64>() / room;
            (share * SHADES as f64).ceil().clamp(0.0, SHADES as f64) as usize
        };
        let mut column = 0;
        while column < count {
            let start = column;
            let its = shade(column);
            while column < count && shade(column) == its {
                column += 1;
            }
            if its > 0 {
                let (left, right) = (x(start), x(column).min(WIDE));
                let _ = write!(
                    paths.entry(its).or_default(),
                    "M{} {}h{}v{}H{}z",
                    short(left),
                    short(y),
                    short(right - left),
                    short(lane - 2.0),
                    short(left)
                );
            }
        }
    }
    paths
}
