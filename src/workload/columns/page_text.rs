//! The text of an element as a reader sees it: white space is one blank, but in what is preformatted.

use scraper::{ElementRef, Node};

/// Elements that start a line of their own, so that their words do not run into those before.
const BREAKS: [&str; 16] = [
    "br", "p", "div", "li", "tr", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6", "section", "dt",
    "dd",
];

/// The text of `element`.
pub(super) fn of(element: ElementRef<'_>) -> String {
    let mut out = String::new();
    let is_kept = |element: &ElementRef<'_>| ["pre", "textarea"].contains(&element.value().name());
    let kept = is_kept(&element)
        || element.ancestors().filter_map(ElementRef::wrap).any(|outer| is_kept(&outer));
    write(element, kept, &mut out);
    out.trim().to_owned()
}

fn write(element: ElementRef<'_>, kept: bool, out: &mut String) {
    for child in element.children() {
        match child.value() {
            Node::Text(text) if kept => out.push_str(text),
            Node::Text(text) => {
                for (index, word) in text.split(|c: char| c.is_ascii_whitespace()).enumerate() {
                    if index > 0 {
                        blank(out);
                    }
                    out.push_str(word);
                }
            }
            Node::Element(found) => {
                let breaks = BREAKS.contains(&found.name());
                if breaks {
                    blank(out);
                }
                if let Some(inner) = ElementRef::wrap(child)
                    && !["script", "style"].contains(&found.name())
                {
                    write(inner, kept || ["pre", "textarea"].contains(&found.name()), out);
                }
                if breaks {
                    blank(out);
                }
            }
            _ => {}
        }
    }
}

fn blank(out: &mut String) {
    if !out.is_empty() && !out.ends_with(|c: char| c.is_ascii_whitespace()) {
        out.push(' ');
    }
}
