//! Pages, parsed within bounds. A browser, too, nests no elements without end, and time that a parser takes is time in which
//! a loop does nothing else.

use std::time::Duration;

use ego_tree::NodeRef;
use ego_tree::iter::Edge;
use html5ever::ParseOpts;
use html5ever::driver::parse_document;
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::TreeBuilderOpts;
use scraper::{Html, HtmlTreeSink, Node};

use crate::sys;

/// How deep elements may be nested. Pages of people have some dozens of levels; browsers stop at 512.
const DEEPEST: usize = 2_000;

/// How many bytes are parsed before the clock is looked at again.
const PIECE: usize = 8 << 10;

/// Within this processor time a page of any size has to be parsed, and for this many bytes there is as much again.
const PATIENCE: (Duration, usize) = (Duration::from_secs(1), 10 << 20);

/// The page.
///
/// # Errors
/// In words, if it is not one that can be parsed within the bounds.
pub(super) fn parse(text: &str) -> Result<Html, String> {
    let limit = PATIENCE.0 * u32::try_from(1 + text.len() / PATIENCE.1).unwrap_or(u32::MAX);
    parse_within(text, limit)
}

fn parse_within(text: &str, limit: Duration) -> Result<Html, String> {
    // Without scripts, what is for readers without scripts is part of the page.
    let tree_builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let options = ParseOpts { tree_builder, ..ParseOpts::default() };
    let mut parser = parse_document(HtmlTreeSink::new(Html::new_document()), options);
    let start = processor_time();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(PIECE));
        parser.process(StrTendril::from(piece));
        rest = after;
        let tree = &parser.tokenizer.sink.sink.0.borrow().tree;
        // What comes next goes where the last node went, or above.
        if tree.nodes().next_back().is_some_and(|last| last.ancestors().count() > DEEPEST) {
            return Err(too_deep());
        }
        if processor_time().saturating_sub(start) > limit {
            return Err("it takes too long to parse".into());
        }
    }
    let mut page = parser.finish();
    if depth(&page) > DEEPEST {
        return Err(too_deep());
    }
    empty_templates(&mut page);
    Ok(page)
}

/// What stands in a `template` is no part of the page: `querySelector` does not find it either.
fn empty_templates(page: &mut Html) {
    let is_template = |node: &NodeRef<'_, Node>| {
        node.value().as_element().is_some_and(|element| element.name() == "template")
    };
    let templates = page.tree.nodes().filter(is_template);
    let inner: Vec<_> = templates.flat_map(|node| node.children()).map(|node| node.id()).collect();
    for id in inner {
        page.tree.get_mut(id).iter_mut().for_each(ego_tree::NodeMut::detach);
    }
}

fn too_deep() -> String {
    format!("elements nested more than {DEEPEST} deep")
}

fn processor_time() -> Duration {
    let used = sys::thread_cpu();
    used.user + used.system
}

fn depth(page: &Html) -> usize {
    let (mut depth, mut deepest) = (0, 0);
    for edge in page.tree.root().traverse() {
        match edge {
            Edge::Open(_) => depth += 1,
            Edge::Close(_) => depth -= 1,
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_bounds() {
        for (start, deep) in
            [("", "<div>"), ("", "<table><tr><td>"), ("<table>", "<div>"), ("", "<span>")]
        {
            let error = parse(&(start.to_owned() + &deep.repeat(20_000))).err().unwrap_or_default();
            assert!(error.contains("nested more than 2000 deep"), "{deep}: {error}");
        }
        let attributes =
            (0..60_000).map(|index| format!(" a{index}=1")).collect::<Vec<_>>().concat();
        let error = parse_within(&format!("<div{attributes}>"), Duration::from_millis(20));
        assert!(error.is_err_and(|error| error.contains("too long")));
        for (page, expected) in [("", 2), ("<p>", 4), (&"<div>".repeat(1_000)[..], 1_003)] {
            assert!(depth(&parse(page).unwrap()) >= expected, "{page:.20}");
        }
    }
}
