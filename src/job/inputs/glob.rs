//! `glob`: the files that a pattern names, in the order of their paths' bytes.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::{DirEntry, WalkDir};

use crate::base::diagnostic::reason;
use crate::job::inputs::InputError;
use crate::task::Fields;

/// A pattern, relative to a folder.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    /// The folder that the walk starts in.
    root: PathBuf,
    /// The root as the pattern has it, with its `/`; paths come out with it in front.
    prefix: String,
    /// The rest of the pattern.
    matcher: GlobMatcher,
    /// The parts of the rest that name hidden files or folders.
    hidden: Vec<GlobMatcher>,
    /// How deep the walk goes.
    depth: usize,
}

impl Glob {
    /// The files that `pattern` names as seen from `folder`; or why it is no pattern.
    pub fn new(pattern: &str, folder: &Path) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("the pattern is empty".into());
        }
        let (prefix, rest) = split(pattern);
        let matcher =
            compile(rest).map_err(|error| format!("`{pattern}` is no pattern: {error}"))?;
        let hidden = rest.split('/').filter(|part| names_hidden(part));
        // Braces can hold a `/`, and then the parts do not count the folders.
        let endless = rest.contains("**") || rest.contains('{');
        Ok(Self {
            root: folder.join(prefix),
            prefix: prefix.to_owned(),
            matcher,
            hidden: hidden.filter_map(|part| compile(part).ok()).collect(),
            depth: if endless { usize::MAX } else { rest.split('/').count() },
        })
    }

    /// The files. A folder that cannot be read is an error; one that is not there has none.
    pub fn open(&self) -> impl Iterator<Item = Result<Fields, InputError>> + Send + use<> {
        let glob = self.clone();
        let entered = self.clone();
        WalkDir::new(&self.root)
            .min_depth(1)
            .max_depth(self.depth)
            .sort_by(by_path)
            .into_iter()
            .filter_entry(move |entry| entered.is_visible(entry))
            .filter_map(move |entry| match entry {
                Ok(entry) => glob.matches(&entry).map(Ok),
                Err(error) if error.io_error().is_some_and(is_missing) => None,
                Err(error) => Some(Err(glob.unreadable(&error))),
            })
    }

    /// Whether an entry may be looked at: hidden names only if the pattern names them.
    fn is_visible(&self, entry: &DirEntry) -> bool {
        let name = entry.file_name();
        entry.depth() == 0
            || !name.as_bytes().starts_with(b".")
            || self.hidden.iter().any(|hidden| hidden.is_match(name))
    }

    /// The path of an entry as the pattern has it, if it is a file of the pattern.
    fn matches(&self, entry: &DirEntry) -> Option<Fields> {
        let path = entry.path().strip_prefix(&self.root).ok()?;
        if !self.matcher.is_match(path) || !is_file(entry) {
            return None;
        }
        let mut shown = Vec::with_capacity(self.prefix.len() + path.as_os_str().len());
        shown.extend_from_slice(self.prefix.as_bytes());
        shown.extend_from_slice(path.as_os_str().as_bytes());
        Some(Fields::single(shown))
    }

    fn unreadable(&self, error: &walkdir::Error) -> InputError {
        let path = error.path().unwrap_or(&self.root).display();
        let why = error.io_error().map_or_else(|| error.to_string(), reason);
        InputError::new(format!("failed to read `{path}`: {why}"))
    }
}

/// The leading folders of a pattern that are no pattern, with their `/`, and the rest. The last part always belongs
/// to the rest: the walk is what finds it.
fn split(pattern: &str) -> (&str, &str) {
    let special = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    let start = pattern[..special].rfind('/').map_or(0, |slash| slash + 1);
    pattern.split_at(start)
}

fn compile(pattern: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.kind().to_string())
}

/// Whether a part of a pattern spells out a leading dot.
fn names_hidden(part: &str) -> bool {
    part.starts_with('.')
        || [r"\.", "[.]", "{."].iter().any(|dot| part.starts_with(dot))
        || part.contains(",.")
}

/// Siblings in the order that the bytes of all paths have: a folder's name goes on with a `/`.
fn by_path(left: &DirEntry, right: &DirEntry) -> Ordering {
    let key = |entry: &DirEntry| {
        let end = if entry.file_type().is_dir() { &b"/"[..] } else { b"" };
        [entry.file_name().as_bytes(), end].concat()
    };
    key(left).cmp(&key(right))
}

fn is_file(entry: &DirEntry) -> bool {
    let kind = entry.file_type();
    kind.is_file()
        || kind.is_symlink() && std::fs::metadata(entry.path()).is_ok_and(|target| target.is_file())
}

/// Not there, or not a folder: nothing matches there. Files may also go while the walk is on.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Paths one after another in one buffer, since a walk cannot be started in the middle. Paths have no NUL.
#[derive(Default)]
pub(super) struct Paths(Vec<u8>);

impl Paths {
    /// Appends a path and says where it is.
    pub fn push(&mut self, path: &[u8]) -> u64 {
        let position = self.0.len() as u64;
        self.0.extend_from_slice(path);
        self.0.push(0);
        position
    }

    /// The path at `position`.
    pub fn at(&self, position: u64) -> &[u8] {
        let rest = &self.0[position as usize..];
        let end = memchr::memchr(0, rest).unwrap_or(rest.len());
        Path::new(OsStr::from_bytes(&rest[..end])).as_os_str().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in [
            "a/b.txt",
            "a/c/d.txt",
            "a.txt",
            "z.txt",
            ".h/x.txt",
            "a/.s.txt",
            "other/e.txt",
            "a/n.png",
        ] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        symlink("a.txt", root.join("link.txt")).unwrap();
        symlink("other", root.join("linked")).unwrap();
        symlink("nowhere", root.join("dangling.txt")).unwrap();
        fs::create_dir(root.join("folder.txt")).unwrap();
        folder
    }

    fn found(pattern: &str, folder: &Path) -> String {
        let files = Glob::new(pattern, folder).unwrap().open();
        let files: Vec<_> = files
            .map(|fields| String::from_utf8_lossy(fields.unwrap().get(0)).into_owned())
            .collect();
        files.join(" ")
    }

    #[test]
    fn patterns_find_files() {
        let folder = folder();
        for (pattern, expected) in [
            ("*.txt", "a.txt link.txt z.txt"),
            ("**/*.txt", "a.txt a/b.txt a/c/d.txt link.txt other/e.txt z.txt"),
            ("a/*", "a/b.txt a/n.png"),
            ("a/**", "a/b.txt a/c/d.txt a/n.png"),
            ("./a/*.txt", "./a/b.txt"),
            ("a/../a/*.txt", "a/../a/b.txt"),
            ("linked/*", "linked/e.txt"),
            ("z.txt", "z.txt"),
            ("a/c/d.txt", "a/c/d.txt"),
            (".h/*", ".h/x.txt"),
            ("*/.s.txt", "a/.s.txt"),
            ("**/.*", "a/.s.txt"),
            ("{.h,a}/*.txt", ".h/x.txt a/b.txt"),
            ("a/{c/d,b}.txt", "a/b.txt a/c/d.txt"),
            ("[az].txt", "a.txt z.txt"),
            ("nowhere/*", ""),
            ("a.txt/*", ""),
            ("*.nothing", ""),
        ] {
            assert_eq!(found(pattern, folder.path()), expected, "{pattern}");
        }
        let absolute = format!("{}/a/*.png", folder.path().display());
        assert_eq!(found(&absolute, Path::new("/nowhere")), absolute.replace('*', "n"));
    }

    #[test]
    fn the_order_is_that_of_the_paths_bytes() {
        let folder = folder();
        let files = found("**/*", folder.path());
        let mut sorted: Vec<_> = files.split(' ').collect();
        sorted.sort_unstable();
        assert_eq!(files, sorted.join(" "));
    }

    #[test]
    fn names_that_are_not_utf8_survive() {
        let folder = tempfile::tempdir().unwrap();
        let name = OsStr::from_bytes(b"\xff.txt");
        fs::write(folder.path().join(name), "").unwrap();
        let files: Vec<_> =
            Glob::new("*.txt", folder.path()).unwrap().open().map(Result::unwrap).collect();
        assert_eq!(files, [Fields::single(b"\xff.txt")]);
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        let error = Glob::new("a[", Path::new("/")).unwrap_err();
        assert!(error.starts_with("`a[` is no pattern: "), "{error}");
        assert!(Glob::new("", Path::new("/")).is_err());
    }
}
