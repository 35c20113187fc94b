//! The text of an element as a reader sees it: white space is one blank, but in what is preformatted.

use ego_tree::iter::Edge;
use scraper::{ElementRef, Node};

/// Elements that start a line of their own, so that their words do not run into those before.
const BREAKS: [&str; 16] = [
    "br", "p", "div", "li", "tr", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6", "section", "dt",
    "dd",
];

/// The text of `element`. It does not recur into the elements: they may be nested deeper than a stack is.
pub(super) fn of(element: ElementRef<'_>) -> String {
    let mut out = String::new();
    let is_kept = |name: &str| ["pre", "textarea"].contains(&name);
    let outer = element.ancestors().filter_map(ElementRef::wrap);
    let mut kept = outer.filter(|outer| is_kept(outer.value().name())).count();
    let mut hidden = 0_usize;
    for edge in element.traverse() {
        let (Edge::Open(node) | Edge::Close(node)) = edge;
        let is_open = matches!(edge, Edge::Open(_));
        let step = |count: &mut usize| *count = if is_open { *count + 1 } else { *count - 1 };
        match node.value() {
            Node::Text(text) if is_open && hidden == 0 => push(text, kept > 0, &mut out),
            Node::Element(found) => {
                let name = found.name();
                let is_inner = node.id() != element.id();
                if is_inner && hidden == 0 && BREAKS.contains(&name) {
                    blank(&mut out);
                }
                if is_kept(name) {
                    step(&mut kept);
                }
                if is_inner && ["script", "style"].contains(&name) {
                    step(&mut hidden);
                }
            }
            _ => {}
        }
    }
    out.trim().to_owned()
}

fn push(text: &str, kept: bool, out: &mut String) {
    if kept {
        return out.push_str(text);
    }
    for (index, word) in text.split(|c: char| c.is_ascii_whitespace()).enumerate() {
        if index > 0 {
            blank(out);
        }
        out.push_str(word);
    }
}

fn blank(out: &mut String) {
    if !out.is_empty() && !out.ends_with(|c: char| c.is_ascii_whitespace()) {
        out.push(' ');
    }
}
