//! `glob`: the files that patterns name, each once.

mod except;
mod matcher;
mod pattern;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::job::inputs::InputReader;
use crate::job::inputs::own::OwnFiles;
use crate::job::inputs::records::Stop;
use except::{Cover, Except};
pub(super) use pattern::{Glob, SPECIAL};

/// What the job file says of patterns, besides the patterns.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
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
    except: Vec<Except>,
    options: GlobOptions,
    /// The folder that they are seen from.
    folder: PathBuf,
    /// What they do not find.
    own: Option<Arc<OwnFiles>>,
}

impl Globs {
    /// The folders that the patterns start with.
    pub fn roots(&self) -> Vec<PathBuf> {
        self.patterns.iter().map(|glob| glob.root.clone()).collect()
    }

    /// What `patterns` find as seen from `folder`; or which of them is not a pattern, and why.
    pub fn new(patterns: &[&str], options: &GlobOptions, folder: &Path) -> Result<Self, String> {
        let except = |pattern: &String| Except::new(pattern, folder);
        let except = options.except.iter().map(except).collect::<Result<_, _>>()?;
        let covers = options.except.iter().flat_map(|pattern| Cover::of(pattern, folder));
        let covers: Arc<[Cover]> = covers.collect();
        let glob = |pattern: &&str| {
            let mut glob = Glob::new(pattern, folder)?;
            (glob.all, glob.follow) = (options.hidden, options.follow);
            glob.covers = Arc::clone(&covers);
            Ok(glob)
        };
        Ok(Self {
            patterns: patterns.iter().map(glob).collect::<Result<_, String>>()?,
            except,
            options: options.clone(),
            folder: folder.to_owned(),
            own: None,
        })
    }

    /// The same without what the runner itself writes.
    #[must_use]
    pub fn without(mut self, own: &Arc<OwnFiles>) -> Self {
        self.patterns = self.patterns.into_iter().map(|glob| glob.without(own)).collect();
        self.own = Some(Arc::clone(own));
        self
    }

    /// The patterns and what was said besides, as they were written, and the folder that they are seen from.
    pub fn written(&self) -> (Vec<&str>, &GlobOptions, &Path) {
        (self.patterns.iter().map(Glob::written).collect(), &self.options, &self.folder)
    }

    /// What they do not find, if there is something.
    pub fn own(&self) -> Option<&OwnFiles> {
        self.own.as_deref()
    }

    /// What they find.
    pub fn open(&self, stop: &Stop) -> InputReader {
        if let ([glob], []) = (&self.patterns[..], &self.except[..]) {
            return Box::new(glob.open(stop));
        }
        let (all, stop) = (self.clone(), stop.clone());
        let mut seen = HashSet::new();
        let found = self.patterns.clone().into_iter().flat_map(move |glob| {
            let place = settled(&glob.root);
            glob.open(&stop).map(move |path| (path, glob.prefix.len(), place.clone()))
        });
        Box::new(found.filter_map(move |(path, prefix, place)| {
            let is_wanted = match &path {
                Ok(path) if path.cause().is_none() => {
                    let path = path.get(0);
                    let rest = &path[prefix..];
                    !all.except.iter().any(|except| except.finds(path, &place, rest))
                        && all.is_new(&mut seen, &place, rest)
                }
                Ok(_) | Err(_) => true,
            };
            is_wanted.then_some(path)
        }))
    }

    /// Whether the file at `real`, a path without links, is one that they find.
    pub fn finds(&self, real: &Path) -> bool {
        self.patterns.iter().any(|glob| {
            let place = settled(&glob.root);
            let root = place.canonicalize();
            let root = root.as_ref().unwrap_or(&place);
            let Ok(rest) = real.strip_prefix(root) else { return false };
            let rest = rest.as_os_str().as_bytes();
            let path = [glob.prefix.as_bytes(), rest].concat();
            glob.names(rest) && !self.except.iter().any(|except| except.finds(&path, &place, rest))
        })
    }

    /// Whether no pattern has found the file at `rest` in the folder `place` before. A hash takes less than a path.
    fn is_new(&self, seen: &mut HashSet<u128>, place: &Path, rest: &[u8]) -> bool {
        self.patterns.len() == 1
            || seen.insert(xxh3_128(place.join(OsStr::from_bytes(rest)).as_os_str().as_bytes()))
    }

    /// Their names, and what came near: for whoever finds nothing.
    pub fn near(&self) -> String {
        let near: Vec<_> = self.patterns.iter().map(Glob::near).collect();
        near.join("; ")
    }
}

/// A folder by one name, however it was written: without `.` and `..`.
pub(super) fn settled(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let mut settled = PathBuf::new();
    for part in absolute.components() {
        if part != Component::ParentDir {
            settled.push(part);
            continue;
        }
        // After a link, `..` is another folder than the one that the link is in.
        if settled.is_symlink() {
            settled = settled.canonicalize().unwrap_or(settled);
        }
        settled.pop();
    }
    settled
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
    use crate::task::Fields;

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
            ("{,a/}?.txt", "a.txt a/b.txt z.txt"),
            ("{a/**,other}/*.txt", "a/b.txt a/c/d.txt other/e.txt"),
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
    fn a_folder_is_not_one_of_those_in_it() {
        let folder = folder();
        let root = folder.path().display().to_string();
        for (pattern, expected) in [
            ("*/", "a/ folder.txt/ linked/ other/"),
            ("./*/", "./a/ ./folder.txt/ ./linked/ ./other/"),
            ("**/", "a/ a/c/ folder.txt/ linked/ other/"),
            ("./**/", "./ ./a/ ./a/c/ ./folder.txt/ ./linked/ ./other/"),
            ("**/*/", "a/ a/c/ folder.txt/ linked/ other/"),
            ("***/", "a/ folder.txt/ linked/ other/"),
            ("{*,**}/", "a/ a/c/ folder.txt/ linked/ other/"),
            ("*/*/", "a/c/"),
            ("a/*/", "a/c/"),
            ("./a/*/", "./a/c/"),
            ("a//*/", "a//c/"),
            ("a/*//", "a/c/"),
            ("other/../a/*/", "other/../a/c/"),
            ("a/**/", "a/ a/c/"),
            ("a/**/*/", "a/c/"),
            ("a/*/**/", "a/c/"),
            ("{a,other}/*/", "a/c/"),
            ("other/*/", ""),
            ("other/**/*/", ""),
            ("ROOT/a/*/", "ROOT/a/c/"),
            ("ROOT/a/c/*/", ""),
            ("/", ""),
            ("//", ""),
        ] {
            let globs = |options: GlobOptions| {
                let pattern = pattern.replace("ROOT", &root);
                let globs = Globs::new(&[&pattern], &options, folder.path()).unwrap();
                let path =
                    |path: Fields| String::from_utf8_lossy(path.get(0)).replace(&root, "ROOT");
                globs.open(&Stop::default()).map(|found| path(found.unwrap())).collect::<Vec<_>>()
            };
            assert_eq!(globs(GlobOptions::default()).join(" "), expected, "{pattern}");
            let mut all = globs(GlobOptions { hidden: true, ..GlobOptions::default() });
            all.retain(|path| !path.ends_with(".h/"));
            assert_eq!(all.join(" "), expected, "{pattern}");
            let except = vec!["a/*/".to_owned()];
            let mut others = globs(GlobOptions { except, ..GlobOptions::default() });
            others.retain(|path| path.ends_with("a/"));
            let has_it = expected.split(' ').any(|path| path.ends_with("a/"));
            assert_eq!(!others.is_empty(), has_it, "{pattern} without what is in it");
        }
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
    fn what_several_patterns_find_is_found_once() {
        let folder = folder();
        let all = |patterns: &[&str]| {
            let globs = Globs::new(patterns, &GlobOptions::default(), folder.path()).unwrap();
            let paths = globs.open(&Stop::default()).map(Result::unwrap);
            let paths: Vec<_> =
                paths.map(|path| String::from_utf8_lossy(path.get(0)).into_owned()).collect();
            paths.join(" ")
        };
        let absolute = format!("{}/*.txt", folder.path().display());
        for (patterns, expected) in [
            (&["*.txt", "./*.txt", ".//z*", "a/../*.txt", &absolute][..], "a.txt link.txt z.txt"),
            (&["a/b*", "a/c/../*.txt", "./a/c/*"], "a/b.txt ./a/c/d.txt"),
            // What an earlier pattern matches and does not find is not lost.
            (&["*/*", ".h/*"], "a/b.txt a/n.png other/e.txt .h/x.txt"),
            (&["a*/", "a*", "./a/"], "a/ a.txt"),
            (&["**/*.png", "linked/*", "other/*"], "a/n.png linked/e.txt other/e.txt"),
            (&["linked/../z.txt", "z.txt"], "linked/../z.txt"),
        ] {
            assert_eq!(all(patterns), expected, "{patterns:?}");
        }
    }

    #[test]
    fn what_is_left_out_may_be_written_as_it_likes() {
        let folder = folder();
        let root = folder.path().display().to_string();
        let all = |pattern: &str, except: &str| {
            let except = vec![except.replace("ROOT", &root)];
            let options = GlobOptions { except, ..GlobOptions::default() };
            let pattern = pattern.replace("ROOT", &root);
            let globs = Globs::new(&[&pattern], &options, folder.path()).unwrap();
            let paths = globs.open(&Stop::default()).map(Result::unwrap);
            let path = |path: Fields| String::from_utf8_lossy(path.get(0)).replace(&root, "ROOT");
            paths.map(path).collect::<Vec<_>>().join(" ")
        };
        for except in ["a/b.txt", "./a/b.txt", "a//b.txt", "ROOT/a/b.txt", "other/../a/b.*"] {
            for (pattern, found) in [
                ("a/**", "a/c/d.txt a/n.png"),
                ("./a/**", "./a/c/d.txt ./a/n.png"),
                ("ROOT/a/**", "ROOT/a/c/d.txt ROOT/a/n.png"),
            ] {
                assert_eq!(all(pattern, except), found, "{except}");
            }
        }
        for (except, found) in [
            ("*.txt", "a/b.txt a/c/d.txt"),
            ("**/*.txt", ""),
            ("{,**/}[bdlz]*", "a.txt"),
            ("a", "a.txt a/b.txt a/c/d.txt link.txt z.txt"),
        ] {
            assert_eq!(all("{*,a/**/*}.txt", except), found, "{except}");
        }
        assert_eq!(all("a*/", "a/"), "");
    }

    #[test]
    fn a_pattern_that_finds_nothing_is_a_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["[br].txt", "d/[x]/a{b", "c", "[c]"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        for (pattern, expected) in [
            ("[br].txt", "[br].txt"),
            ("./[br].txt", "./[br].txt"),
            ("d/[x]/", "d/[x]/"),
            ("d/[x]", ""),
            ("[[]br].txt", "[br].txt"),
            ("[c]", "c"),
        ] {
            assert_eq!(found(pattern, folder.path()), expected, "{pattern}");
        }
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
        let leaves = Glob::new("{../a,b}/c", Path::new("/")).unwrap_err();
        assert!(leaves.ends_with("write an array of patterns"), "{leaves}");
        let error = Glob::new("a[", Path::new("/")).unwrap_err();
        assert!(error.starts_with("`a[` is not a pattern: "), "{error}");
        assert!(Glob::new("", Path::new("/")).is_err());
    }
}
