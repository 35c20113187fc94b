//! The documents, and the fenced blocks in them.

use std::path::Path;
use std::{fmt, fs};

use crate::support::root;

/// The documents that people read, relative to the repository.
pub fn documents() -> Vec<String> {
    let all = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benches/README.md"];
    let mut documents: Vec<String> = all.map(String::from).into();
    let entries = fs::read_dir(root().join("docs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    documents.extend(names.filter(|name| ends_in(name, "md")).map(|name| format!("docs/{name}")));
    documents.sort();
    documents
}

/// Whether a file's name has this extension.
pub fn ends_in(name: &str, wanted: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == wanted)
}

/// The text of a file of the repository.
#[track_caller]
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A fenced block.
pub struct Block {
    document: String,
    line: usize,
    /// What stands after the fence.
    pub language: String,
    /// Each line with its line break.
    pub text: String,
}

impl Block {
    /// The name that a first line `# jobs/words.toml` gives to what is shown.
    pub fn path(&self) -> Option<&str> {
        let name = self.text.lines().next()?.strip_prefix("# ")?;
        ends_in(name, "toml").then_some(name)
    }

    /// The commands of a `console` or `sh` block, without comments.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        let prompt = match self.language.as_str() {
            "console" => Some("$ "),
            "sh" => Some(""),
            _ => None,
        };
        let lines = self.text.lines();
        let commands = lines.filter_map(move |line| line.strip_prefix(prompt?));
        commands.map(|command| command.split(" #").next().unwrap_or_default().trim())
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ```{}\n{}```", self.document, self.line, self.language, self.text)
    }
}

/// The fenced blocks of a document.
pub fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut current: Option<Block> = None;
    for (index, line) in read(document).lines().enumerate() {
        match &mut current {
            Some(_) if line.starts_with("```") => blocks.extend(current.take()),
            Some(block) => block.text.extend([line, "\n"]),
            None => {
                current = line.strip_prefix("```").map(|language| Block {
                    document: document.to_owned(),
                    line: index + 1,
                    language: language.trim().to_owned(),
                    text: String::new(),
                });
            }
        }
    }
    assert!(current.is_none(), "{document}: a block is not closed");
    blocks
}

/// The lines of a document that are not in fenced blocks, with their numbers.
pub fn prose(document: &str) -> Vec<(usize, String)> {
    let mut in_block = false;
    let text = read(document);
    let lines = text.lines().enumerate().filter(|(_, line)| {
        let is_fence = line.starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence
    });
    lines.map(|(index, line)| (index + 1, line.to_owned())).collect()
}
