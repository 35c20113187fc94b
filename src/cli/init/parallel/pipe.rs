//! `--pipe` and its kin: what the commands get on standard input.

use super::unescaped;
use crate::cli::init::draft::{Append, Draft, List, Source, quoted};
use crate::cli::init::options::Given;
use crate::cli::init::units::size;

/// Notes an option of these; whether it is one.
pub(super) fn option(given: &Given, draft: &mut Draft) -> bool {
    let text = given.text();
    match given.name.as_str() {
        "pipe" | "spreadstdin" | "pipepart" => draft.pipe.is_on = true,
        "block" | "blocksize" => draft.pipe.size = Some(text.into()),
        "recend" => draft.pipe.end = Some(unescaped(text)),
        "recstart" => draft.pipe.start = Some(unescaped(text)),
        "regexp" | "regex" => draft.pipe.is_regex = true,
        "cat" => draft.pipe.is_file = true,
        _ => return false,
    }
    true
}

/// What of the other options holds with `--pipe`.
pub(super) fn settle(draft: &mut Draft) {
    if !draft.pipe.is_on {
        if draft.pipe.is_file {
            draft.note("--cat", "it goes with `--pipe`");
        }
        return;
    }
    draft.append = Append::Never;
    if let Some(count) = draft.batch.take_if(|_| draft.counts_lines) {
        draft.note(&format!("-L {count}"), "a block is cut at any line");
    }
    let is_file = |source: &Source| matches!(source.list, List::Lines(_));
    if draft.sources.len() > 1 || !draft.sources.iter().all(is_file) {
        draft.left.push("what stands from `:::` on: with `--pipe` a task has a block alone".into());
        draft.sources.retain(is_file);
        draft.sources.truncate(1);
    }
    if let Some(pattern) = draft.pipe.end.clone().filter(|_| draft.pipe.is_regex) {
        draft.note(&format!("--recend {pattern}"), "`record_end` is a text");
        draft.pipe.end = None;
    }
}

impl Draft {
    /// The keys of `[inputs]` for `--pipe`.
    pub(in crate::cli::init) fn piped(&mut self) -> Vec<(&'static str, String)> {
        let file = match self.sources.pop() {
            Some(Source { list: List::Lines(file), .. }) => file,
            _ => "-".into(),
        };
        match self.batch {
            Some(count) => self.records(&file, count),
            None => vec![("blocks", self.blocks(&file))],
        }
    }

    /// So many lines for each command.
    fn records(&mut self, file: &str, count: u64) -> Vec<(&'static str, String)> {
        let is_line = self.pipe.end.as_deref().is_none_or(|end| end == "\n");
        if !is_line || self.pipe.start.is_some() || self.has_header {
            self.note(&format!("-N {count}"), "of blocks only a size can be told");
            return vec![("blocks", self.blocks(file))];
        }
        self.note(
            &format!("-N {count}"),
            "each record ends with LF, also one that ended with CR LF, or a last one that ended with nothing",
        );
        let mut keys =
            vec![("lines", format!("{{ file = {}, blank = \"keep\" }}", quoted(&self.path(file))))];
        if count > 1 {
            keys.push(("batch", count.to_string()));
        }
        self.command.push(("stdin", quoted("{input}\n")));
        keys
    }

    fn blocks(&mut self, file: &str) -> String {
        let mut keys = vec![("file", quoted(&self.path(file)))];
        match self.pipe.size.as_deref().map(|text| (text.to_owned(), size(text))) {
            Some((text, Some(size))) => {
                keys.push(("size", quoted(&size)));
                self.note(
                    &format!("--block {text}"),
                    "a block ends with the record in which it is reached, not with the one before",
                );
            }
            Some((text, None)) => self.note(&format!("--block {text}"), ""),
            None => {}
        }
        if self.has_header {
            keys.push(("header", "true".into()));
        }
        let start = self.pipe.start.as_deref();
        if let Some(start) = start {
            let pattern = if self.pipe.is_regex { start.to_owned() } else { regex::escape(start) };
            keys.push(("record_start", quoted(&pattern)));
        }
        match self.pipe.end.clone() {
            Some(end) if self.pipe.start.is_some() || end.is_empty() => {
                self.note(&format!("--recend {end}"), "beside `--recstart`, or empty");
            }
            Some(end) => keys.push(("record_end", quoted(&end))),
            None => {}
        }
        let keys: Vec<_> =
            keys.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
        format!("{{ {} }}", keys.join(", "))
    }
}
