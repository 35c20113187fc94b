//! `glob`: the files that a pattern names, in the order of their paths' bytes.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::{DirEntry, WalkDir};

use crate::base::diagnostic::reason;
use crate::job::inputs::records::Stop;
use crate::job::inputs::{InputError, InputReader};
use crate::task::Fields;

/// What the job file says of patterns, besides the patterns.
#[derive(Clone, Debug, Default)]
pub(super) struct GlobOptions {
    /// Patterns of what is left out.
    pub except: Vec<String>,
    /// Whether hidden names are found, too.
    pub hidden: bool,
    /// Whether links to folders are entered.
    pub follow: bool,
}

/// Patterns: what they find, one after another, and nothing twice.
#[derive(Clone, Debug)]
pub(super) struct Globs {
    patterns: Vec<Glob>,
    except: Vec<GlobMatcher>,
}

impl Globs {
    /// The folders that the patterns start with.
    pub fn roots(&self) -> Vec<PathBuf> {
        self.patterns.iter().map(|glob| glob.root.clone()).collect()
    }

    /// What `patterns` find as seen from `folder`; or which of them is not a pattern, and why.
    pub fn new(patterns: &[&str], options: &GlobOptions, folder: &Path) -> Result<Self, String> {
        let glob = |pattern: &&str| {
            let glob = Glob::new(pattern, folder)?;
            Ok(Glob { all: options.hidden, follow: options.follow, ..glob })
        };
        let except = |pattern: &String| {
            // A name alone is left out wherever it is, a path where it says.
            let anywhere =
                if pattern.contains('/') { pattern.clone() } else { format!("**/{pattern}") };
            compile(&anywhere).map_err(|error| format!("`{pattern}` is not a pattern: {error}"))
        };
        Ok(Self {
            patterns: patterns.iter().map(glob).collect::<Result<_, String>>()?,
            except: options.except.iter().map(except).collect::<Result<_, _>>()?,
        })
    }

    /// What they find.
    pub fn open(&self, stop: &Stop) -> InputReader {
        if let ([glob], []) = (&self.patterns[..], &self.except[..]) {
            return Box::new(glob.open(stop));
        }
        let (all, stop) = (self.clone(), stop.clone());
        let found = (0..self.patterns.len()).flat_map(move |place| {
            let all = all.clone();
            all.patterns[place].open(&stop).filter(move |path| match path {
                Ok(path) if path.cause().is_none() => !all.is_left_out(path.get(0), place),
                Ok(_) | Err(_) => true,
            })
        });
        Box::new(found)
    }

    /// Whether the path that the pattern at `place` has found is not wanted, or has been found before.
    fn is_left_out(&self, path: &[u8], place: usize) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        let before = self.patterns[..place].iter();
        self.except.iter().any(|except| except.is_match(path))
            || before.into_iter().any(|glob| glob.whole.is_match(path))
    }

    /// Their names, and what came near: for whoever finds nothing.
    pub fn near(&self) -> String {
        let near: Vec<_> = self.patterns.iter().map(Glob::near).collect();
        near.join("; ")
    }
}

/// A pattern, relative to a folder.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    /// As the job file has it.
    pattern: String,
    /// The folder that the walk starts in.
    root: PathBuf,
    /// The root as the pattern has it, with its `/`; paths come out with it in front.
    prefix: String,
    /// The rest of the pattern.
    matcher: GlobMatcher,
    /// All of it.
    whole: GlobMatcher,
    /// The parts of the rest that name hidden files or folders.
    hidden: Vec<GlobMatcher>,
    /// How deep the walk goes.
    depth: usize,
    /// Whether it finds folders, and not files.
    folders: bool,
    /// Whether hidden names are found, whatever the pattern says.
    all: bool,
    /// Whether links to folders are entered.
    follow: bool,
}

impl Glob {
    /// The files that `pattern` names as seen from `folder`; or why it is not a pattern.
    pub fn new(pattern: &str, folder: &Path) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("the pattern is empty".into());
        }
        let named = pattern.strip_suffix('/').filter(|named| !named.is_empty());
        let named = named.map_or(pattern, |named| named.trim_end_matches('/'));
        let (prefix, rest) = split(named);
        let broken = |error| format!("`{pattern}` is not a pattern: {error}");
        let hidden = rest.split('/').filter(|part| names_hidden(part));
        // Braces can hold a `/`, and then the parts do not count the folders.
        let endless = rest.contains("**") || rest.contains('{');
        Ok(Self {
            pattern: pattern.to_owned(),
            root: folder.join(prefix),
            prefix: prefix.to_owned(),
            matcher: compile(rest).map_err(broken)?,
            whole: compile(named).map_err(broken)?,
            hidden: hidden.filter_map(|part| compile(part).ok()).collect(),
            depth: if endless { usize::MAX } else { rest.split('/').count() },
            folders: named.len() < pattern.len(),
            all: false,
            follow: false,
        })
    }

    /// The files. A folder that cannot be read is a datum that cannot be used; one that is not there has none. The walk ends
    /// as soon as `stop` says so, also one that finds nothing.
    pub fn open(
        &self,
        stop: &Stop,
    ) -> impl Iterator<Item = Result<Fields, InputError>> + Send + use<> {
        let (glob, stop) = (self.clone(), stop.clone());
        let entered = self.clone();
        WalkDir::new(&self.root)
            .min_depth(1)
            .max_depth(self.depth)
            .follow_links(self.follow)
            .sort_by(by_path)
            .into_iter()
            .filter_entry(move |entry| entered.is_visible(entry))
            .filter_map(move |entry| match entry {
                _ if stop.is_raised() => stop.check().err().map(Err),
                Ok(entry) => glob.matches(&entry).map(Ok),
                Err(error) if error.io_error().is_some_and(is_missing) => None,
                // A link to a folder that it is in leads nowhere new.
                Err(error) if error.loop_ancestor().is_some() => None,
                Err(error) => Some(Ok(glob.unreadable(&error))),
            })
    }

    /// Whether an entry may be looked at: hidden names only if the pattern names them.
    fn is_visible(&self, entry: &DirEntry) -> bool {
        let name = entry.file_name();
        entry.depth() == 0
            || self.all
            || !name.as_bytes().starts_with(b".")
            || self.hidden.iter().any(|hidden| hidden.is_match(name))
    }

    /// The path of an entry as the pattern has it, if it is a file of the pattern.
    fn matches(&self, entry: &DirEntry) -> Option<Fields> {
        let path = entry.path().strip_prefix(&self.root).ok()?;
        let is_kind = |entry| if self.folders { is_folder(entry) } else { is_file(entry) };
        if !self.matcher.is_match(path) || !is_kind(entry) {
            return None;
        }
        let end = usize::from(self.folders);
        let mut shown = Vec::with_capacity(self.prefix.len() + path.as_os_str().len() + end);
        shown.extend_from_slice(self.prefix.as_bytes());
        shown.extend_from_slice(path.as_os_str().as_bytes());
        shown.resize(shown.len() + end, b'/');
        Some(Fields::single(shown))
    }

    fn unreadable(&self, error: &walkdir::Error) -> Fields {
        let path = error.path().unwrap_or(&self.root);
        let why = error.io_error().map_or_else(|| error.to_string(), reason);
        let cause = format!("failed to read `{}`: {why}", path.display());
        Fields::bad(cause, path.as_os_str().as_bytes())
    }

    /// Its name, and what is there instead of what it names.
    fn near(&self) -> String {
        /// So many names are looked at.
        const LOOKED_AT: usize = 10_000;
        let what = if self.folders { "folder" } else { "file" };
        let nothing = format!("no {what} matches `{}`", self.pattern);
        let shown = if self.prefix.is_empty() {
            "the job's folder"
        } else {
            self.prefix.trim_end_matches('/')
        };
        let Ok(entries) = std::fs::read_dir(&self.root) else {
            return format!("{nothing}: there is no folder `{shown}`");
        };
        let mut names: Vec<_> =
            entries.take(LOOKED_AT).flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
        if names.is_empty() {
            return format!("{nothing}: `{shown}` is empty");
        }
        let last = self.pattern.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let near = crate::base::diagnostic::nearest(last, names.iter().map(AsRef::as_ref));
        // The same name with other letters, or the other kind of thing, is what people mean most often.
        let lower = last.to_lowercase();
        let same = compile(&lower).ok().and_then(|any_case| {
            names.iter().find(|name| any_case.is_match(name.to_lowercase())).map(AsRef::as_ref)
        });
        match same.or(near) {
            Some(near) => format!("{nothing}, but there is `{}{near}`", self.prefix),
            None if self.prefix.is_empty() => nothing,
            None => format!("{nothing}: `{shown}` has `{}` and {} more", names[0], names.len() - 1),
        }
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

/// Siblings in the order that the bytes of all paths have: a folder's name is followed by a `/`.
fn by_path(left: &DirEntry, right: &DirEntry) -> Ordering {
    let end = |entry: &DirEntry| entry.file_type().is_dir().then_some(&b'/');
    let (one, other) = (left.file_name().as_bytes(), right.file_name().as_bytes());
    one.iter().chain(end(left)).cmp(other.iter().chain(end(right)))
}

fn is_folder(entry: &DirEntry) -> bool {
    let kind = entry.file_type();
    kind.is_dir()
        || kind.is_symlink() && std::fs::metadata(entry.path()).is_ok_and(|target| target.is_dir())
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
        let files = Glob::new(pattern, folder).unwrap().open(&Stop::default());
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
        let files: Vec<_> = Glob::new("*.txt", folder.path())
            .unwrap()
            .open(&Stop::default())
            .map(Result::unwrap)
            .collect();
        assert_eq!(files, [Fields::single(b"\xff.txt")]);
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        let error = Glob::new("a[", Path::new("/")).unwrap_err();
        assert!(error.starts_with("`a[` is not a pattern: "), "{error}");
        assert!(Glob::new("", Path::new("/")).is_err());
    }
}
