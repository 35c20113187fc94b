//! Charts as SVG of our own, drawn for any width: marks stretch, text does not.
//!
//! A chart has no size of its own: places along it are percentages, and lines and areas stand in a nested drawing that
//! is stretched. So text has the same size on a telephone as on a desk. Colours are classes: the page's style sheet
//! knows both themes.

pub mod area;
pub mod axis;
pub mod lanes;
pub mod plot;

use std::fmt::Write;

use askama::filters::{Escaper, Html};

/// Text with the characters that have a meaning in HTML written such that they have none.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let _ = Html.write_escaped_str(&mut out, text); // a string takes everything
    out
}

/// A chart that is being drawn.
#[derive(Debug)]
pub struct Chart {
    label: String,
    height: f64,
    body: String,
    /// What stands above all marks.
    above: String,
}

/// The room above the marks, for the highest label.
pub const TOP: f64 = 20.0;

/// The room below the marks, for the labels of the horizontal axis.
pub const BOTTOM: f64 = 24.0;

/// How wide the nested drawing is in its own units.
pub const WIDE: f64 = 1000.0;

impl Chart {
    /// An empty chart with marks of this height; `label` says what it shows to those who do not see it.
    pub fn new(label: &str, height: f64) -> Self {
        Self { label: label.to_owned(), height, body: String::new(), above: String::new() }
    }

    /// The height of the marks.
    pub fn height(&self) -> f64 {
        self.height
    }

    /// What has been drawn so far.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Adds markup.
    pub fn push(&mut self, markup: std::fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(markup);
    }

    /// Adds a text above all marks at the left.
    fn text_above(&mut self, y: f64, text: &str) {
        let (y, text) = (short(y), escape(text));
        let _ = write!(self.above, r#"<text x="0" y="{y}" class="y">{text}</text>"#);
    }

    /// Adds a text at this percentage of the width; `anchor` is `start`, `middle` or `end`.
    pub fn text(&mut self, (percent, y): (f64, f64), class: &str, anchor: &str, text: &str) {
        let text = escape(text);
        self.push(format_args!(
            r#"<text x="{}%" y="{}" class="{class}" text-anchor="{anchor}">{text}</text>"#,
            short(percent),
            short(y)
        ));
    }

    /// Adds paths that are stretched over the whole width; they are [`WIDE`] units wide and as high as the marks.
    pub fn stretched(&mut self, markup: &str) {
        let height = self.height;
        self.push(format_args!(
            r#"<svg x="0" y="{TOP}" width="100%" height="{height}" viewBox="0 0 {WIDE} {height}" preserveAspectRatio="none">{markup}</svg>"#
        ));
    }

    /// Adds horizontal lines at these values of a scale, with their labels.
    pub fn grid(&mut self, scale: &axis::Scale) {
        for (value, label) in &scale.ticks {
            let y = short(TOP + self.height * (1.0 - scale.part(*value)));
            self.push(format_args!(r#"<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>"#));
            if *value > scale.low {
                let above = TOP + self.height * (1.0 - scale.part(*value)) - 4.0;
                self.text_above(above, label);
            }
        }
    }

    /// Adds the labels of the horizontal axis. Where there is little room, every second one is hidden.
    pub fn bottom(&mut self, scale: &axis::Scale) {
        let base = TOP + self.height;
        for (index, (value, label)) in scale.ticks.iter().enumerate() {
            let percent = 100.0 * scale.part(*value);
            let anchor = match percent {
                ..4.0 => "start",
                4.0..=96.0 => "middle",
                _ => "end",
            };
            let class = if index % 2 == 1 { "x odd" } else { "x" };
            let x = short(percent);
            let (from, to) = (base, base + 5.0);
            self.push(format_args!(
                r#"<line class="tick" x1="{x}%" x2="{x}%" y1="{from}" y2="{to}"/>"#
            ));
            self.text((percent, base + 18.0), class, anchor, label);
        }
    }

    /// The chart as markup.
    pub fn finish(self) -> String {
        let height = TOP + self.height + BOTTOM;
        let label = escape(&self.label);
        format!(
            r#"<svg class="chart" role="img" aria-label="{label}" width="100%" height="{height}">{}{}</svg>"#,
            self.body, self.above
        )
    }
}

/// A coordinate with at most two decimals.
pub fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_a_label() {
        let mut chart = Chart::new("\"><script>", 100.0);
        chart.text((50.0, 1.0), "x", "middle", "</svg>'&");
        let markup = chart.finish();
        assert!(markup.contains("aria-label=\"&#34;&#62;&#60;script&#62;\""), "{markup}");
        assert!(markup.contains(">&#60;/svg&#62;&#39;&#38;</text>"), "{markup}");
        assert_eq!(
            (short(1.0), short(-0.001), short(2.345)),
            ("1".into(), "0".into(), "2.35".into())
        );
    }
}
