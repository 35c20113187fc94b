//! Plots of points: intervals with the runs that they come from, and curves through measured points.

use std::fmt::Write;

use crate::view::chart::axis::Scale;
use crate::view::chart::{Chart, TOP, area, escape, short};

/// A row of a plot of intervals.
#[derive(Clone, Debug)]
pub struct Interval {
    /// What was measured.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Where it lies, for 95 of 100.
    pub range: Option<(f64, f64)>,
    /// The single measurements, and whether each is an outlier.
    pub points: Vec<(f64, bool)>,
    /// Whether it is the one that is recommended.
    pub is_best: bool,
}

/// How high a row is.
const ROW: f64 = 40.0;

/// A plot of intervals, one below the other.
pub fn intervals(
    label: &str,
    rows: &[Interval],
    scale: &Scale,
    name: impl Fn(f64) -> String,
) -> String {
    let mut chart = Chart::new(label, ROW * rows.len() as f64 - TOP + 4.0);
    for (value, _) in &scale.ticks {
        let x = short(100.0 * scale.part(*value));
        let bottom = TOP + chart.height();
        chart
            .push(format_args!(r#"<line class="grid" x1="{x}%" x2="{x}%" y1="4" y2="{bottom}"/>"#));
    }
    for (index, row) in rows.iter().enumerate() {
        let y = ROW * index as f64 + 28.0;
        let x = |value: f64| short(100.0 * scale.part(value));
        let best = if row.is_best { " best" } else { "" };
        let mark = if row.is_best { "→ " } else { "" };
        let text = format!("{mark}{}: {}", row.name, name(row.value));
        chart.text((0.0, y - 14.0), &format!("name{best}"), "start", &text);
        if let Some((low, high)) = row.range {
            chart.push(format_args!(
                r#"<line class="interval{best}" x1="{}%" x2="{}%" y1="{y}" y2="{y}"/>"#,
                x(low),
                x(high)
            ));
        }
        for (point, is_outlier) in &row.points {
            let class = if *is_outlier { "round outlier" } else { "round" };
            let said = escape(&name(*point));
            chart.push(format_args!(
                r#"<circle class="{class}" cx="{}%" cy="{y}" r="3.5"><title>{said}</title></circle>"#,
                x(*point)
            ));
        }
        chart.push(format_args!(
            r#"<line class="value{best}" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>"#,
            x(row.value),
            y - 8.0,
            y + 8.0
        ));
    }
    chart.bottom(scale);
    chart.finish()
}

/// A curve, and the points that it should go through.
#[derive(Clone, Debug)]
pub struct Curve<'a> {
    /// The class of its colour.
    pub class: &'a str,
    /// The measured points.
    pub points: Vec<(f64, f64)>,
    /// The curve.
    pub line: Vec<(f64, f64)>,
}

/// Curves over a horizontal and a vertical scale.
pub fn curves(
    label: &str,
    curves: &[Curve<'_>],
    (x, y): (&Scale, &Scale),
    say: impl Fn(f64, f64) -> String,
) -> String {
    let mut chart = Chart::new(label, 200.0);
    chart.grid(y);
    let mut paths = String::new();
    for curve in curves {
        let line: Vec<_> =
            curve.line.iter().map(|&(at, value)| Some((x.part(at), y.part(value)))).collect();
        let path = area::line(&line, chart.height());
        let _ = write!(paths, r#"<path class="line {}" d="{path}"/>"#, curve.class);
    }
    chart.stretched(&paths);
    for curve in curves {
        for &(at, value) in &curve.points {
            let (cx, cy) = (100.0 * x.part(at), TOP + chart.height() * (1.0 - y.part(value)));
            chart.push(format_args!(
                r#"<circle class="dot {}" cx="{}%" cy="{}" r="4"><title>{}</title></circle>"#,
                curve.class,
                short(cx),
                short(cy),
                escape(&say(at, value))
            ));
        }
    }
    chart.bottom(x);
    chart.finish()
}
