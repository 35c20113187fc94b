//! One pattern: the files that it names, in the order of their paths' bytes.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::{DirEntry, WalkDir};

use super::except::Cover;
use super::matcher::{Matcher, ancestors, expanded, with_tops};
use crate::base::diagnostic::{nearest, reason};
use crate::job::inputs::InputError;
use crate::job::inputs::own::OwnFiles;
use crate::job::inputs::records::Stop;
use crate::task::Fields;

/// A pattern, relative to a folder.
#[derive(Clone, Debug)]
pub(in crate::job::inputs) struct Glob {
    /// As the job file has it.
    pattern: String,
    /// The folder that the walk starts in.
    pub(super) root: PathBuf,
    /// The root as the pattern has it, with its `/`; paths come out with it in front.
    pub(super) prefix: String,
    /// The rest of the pattern.
    matcher: Matcher,
    /// The folders below the root that it looks into; all of them if it is `None`.
    entered: Option<Matcher>,
    /// The folders of which nothing is found, whatever the pattern says.
    pub(super) covers: Arc<[Cover]>,
    /// The parts of the rest that name hidden files or folders.
    hidden: Vec<Matcher>,
    /// How deep the walk goes.
    depth: usize,
    /// Whether it finds folders, and not files.
    folders: bool,
    /// Whether hidden names are found, whatever the pattern says.
    pub(super) all: bool,
    /// Whether links to folders are entered.
    pub(super) follow: bool,
    /// What it does not find, and whether it starts in that.
    own: Option<(Arc<OwnFiles>, bool)>,
}

impl Glob {
    /// The files that `pattern` names as seen from `folder`; or why it is not a pattern.
    pub fn new(pattern: &str, folder: &Path) -> Result<Self, String> {
        if pattern.is_empty() {
            return Err("the pattern is empty".into());
        }
        let named = pattern.trim_end_matches('/');
        let named = if named.is_empty() { pattern } else { named };
        let (prefix, rest) = split(named);
        let broken = |error: String| format!("`{pattern}` is not a pattern: {error}");
        let mut all = expanded(rest).map_err(broken)?;
        if all.len() > 1 {
            all.retain(|rest| !rest.is_empty()); // a folder
            if all.iter().any(|rest| leaves(rest, prefix)) {
                return Err(broken(LEAVES.into()));
            }
        }
        let folders = named.len() < pattern.len();
        if folders {
            all = with_tops(all);
            if !prefix.is_empty() && all.iter().any(|rest| rest == "**") {
                all.push(String::new()); // the root: `d/**/` has `d/`
            }
        }
        let parts = || all.iter().flat_map(|rest| rest.split('/'));
        let hidden = parts().filter(|part| names_hidden(part));
        let is_endless = parts().any(|part| part == "**");
        let depth = all.iter().map(|rest| rest.split('/').count()).max().unwrap_or(0);
        Ok(Self {
            pattern: pattern.to_owned(),
            root: folder.join(prefix),
            prefix: prefix.to_owned(),
            matcher: Matcher::any(&all).map_err(broken)?,
            entered: Matcher::any(&ancestors(&all)).ok(),
            covers: Arc::from([]),
            hidden: hidden.filter_map(|part| Matcher::any(&[part.to_owned()]).ok()).collect(),
            depth: if is_endless { usize::MAX } else { depth },
            folders,
            all: false,
            follow: false,
            own: None,
        })
    }

    /// As the job file has it.
    pub fn written(&self) -> &str {
        &self.pattern
    }

    /// The same without what the runner itself writes. A name that is no pattern is that of a file that is meant.
    pub fn without(self, own: &Arc<OwnFiles>) -> Self {
        if !self.pattern.contains(SPECIAL) {
            return self;
        }
        let starts_in_it = own.has_folder(&self.root);
        Self { own: Some((Arc::clone(own), starts_in_it)), ..self }
    }

    /// Whether `path`, below the root, is what the runner itself writes.
    fn is_own(&self, path: &Path) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|(own, starts_in_it)| *starts_in_it || own.has(&self.root, path))
    }

    /// The files. A folder that cannot be read is a datum that cannot be used if something could be found there; one that
    /// is not there has none. The walk ends as soon as `stop` says so, also one that finds nothing.
    pub fn open(
        &self,
        stop: &Stop,
    ) -> impl Iterator<Item = Result<Fields, InputError>> + Send + use<> {
        let (glob, stop) = (self.clone(), stop.clone());
        let (entered, mut named) = (self.clone(), Some(self.clone()));
        let mut found = WalkDir::new(&self.root)
            .min_depth(usize::from(!self.finds_root()))
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
                Err(error) if !glob.may_find(&error) => None,
                Err(error) => Some(Ok(glob.unreadable(&error))),
            });
        std::iter::from_fn(move || {
            let next = found.next();
            let named = named.take();
            next.or_else(|| named?.named().map(Ok))
        })
    }

    /// The file whose name is the pattern, as shells take one that finds nothing.
    fn named(&self) -> Option<Fields> {
        let name = Path::new(self.pattern.strip_prefix(&self.prefix)?);
        let metadata = std::fs::metadata(self.root.join(name)).ok()?;
        let is_kind = if self.folders { metadata.is_dir() } else { metadata.is_file() };
        is_kind.then(|| Fields::single(&self.pattern))
    }

    /// Whether it finds a file that is `rest` below its root.
    pub(super) fn names(&self, rest: &[u8]) -> bool {
        !self.folders
            && self.matcher.is_match(rest)
            && rest.split(|byte| *byte == b'/').all(|name| self.may_be(name))
    }

    /// Whether it may find this name: a hidden one only if the pattern or the job file says so.
    fn may_be(&self, name: &[u8]) -> bool {
        self.all
            || !name.starts_with(b".")
            || self.hidden.iter().any(|hidden| hidden.is_match(name))
    }

    /// Whether an entry may be looked at.
    fn is_visible(&self, entry: &DirEntry) -> bool {
        entry.depth() == 0 || self.may_be(entry.file_name().as_bytes())
    }

    /// The path of an entry as the pattern has it, if it is a file of the pattern.
    fn matches(&self, entry: &DirEntry) -> Option<Fields> {
        let path = entry.path().strip_prefix(&self.root).ok()?;
        let is_kind = |entry| if self.folders { is_folder(entry) } else { is_file(entry) };
        let is_match = self.matcher.is_match(path.as_os_str().as_bytes());
        if !is_match || !is_kind(entry) || self.is_own(path) {
            return None;
        }
        let is_root = entry.depth() == 0;
        let end = usize::from(self.folders && !is_root);
        let mut shown = Vec::with_capacity(self.prefix.len() + path.as_os_str().len() + end);
        shown.extend_from_slice(self.prefix.as_bytes());
        shown.extend_from_slice(path.as_os_str().as_bytes());
        shown.resize(shown.len() + end, b'/');
        Some(Fields::single(shown))
    }

    /// Whether the folder that the walk starts in is one of those that it finds. The job's folder has no name here.
    fn finds_root(&self) -> bool {
        self.folders && !self.prefix.is_empty() && self.matcher.is_match(b"")
    }

    /// Whether it could have found something where the walk did not get through.
    fn may_find(&self, error: &walkdir::Error) -> bool {
        let Some(path) = error.path() else { return true };
        let Some(rest) = path.strip_prefix(&self.root).ok().map(|rest| rest.as_os_str().as_bytes())
        else {
            return true;
        };
        if rest.is_empty() {
            return true;
        }
        let is_entered = self.entered.as_ref().is_none_or(|folders| folders.is_match(rest));
        if !is_entered && (path.is_dir() || !self.matcher.is_match(rest)) {
            return false;
        }
        let shown = [self.prefix.as_bytes(), rest].concat();
        let is_last = rest.split(|byte| *byte == b'/').count() + 1 == self.depth;
        // Folders are left out by patterns of folders.
        self.folders
            || !self.covers.iter().any(|cover| cover.has(&shown, &self.root, rest, is_last))
    }

    fn unreadable(&self, error: &walkdir::Error) -> Fields {
        let path = error.path().unwrap_or(&self.root);
        let why = error.io_error().map_or_else(|| error.to_string(), reason);
        let cause = format!("failed to read `{}`: {why}", path.display());
        Fields::bad(cause, path.as_os_str().as_bytes())
    }

    /// Whether it finds something.
    fn finds_any(&self) -> bool {
        let mut found = self.open(&Stop::default());
        found.any(|found| found.is_ok_and(|found| found.cause().is_none()))
    }

    /// What the pattern is the name of, if it is that of another kind of thing.
    fn other_kind(&self) -> Option<String> {
        let named = self.root.join(self.pattern.strip_prefix(&self.prefix)?);
        let bare = named.as_os_str().as_bytes();
        let named = Path::new(OsStr::from_bytes(bare.strip_suffix(b"/").unwrap_or(bare)));
        std::fs::symlink_metadata(named).ok()?;
        Some(match std::fs::metadata(named) {
            Err(error) => format!("a link that leads nowhere ({})", reason(&error)),
            Ok(is) if is.is_dir() && self.folders => return None,
            Ok(is) if is.is_dir() => {
                format!("a folder, whose files are `{0}/*`, and itself `{0}/`", self.pattern)
            }
            Ok(is) if is.is_file() => "a file".into(),
            Ok(_) => "neither a file nor a folder".into(),
        })
    }

    /// Its name, and what is there instead of what it names.
    pub(super) fn near(&self) -> String {
        /// So many names are looked at.
        const LOOKED_AT: usize = 10_000;
        let what = if self.folders { "folder" } else { "file" };
        let nothing = format!("no {what} matches `{}`", self.pattern);
        if let Some(other) = self.other_kind() {
            return format!("{nothing}: that is {other}");
        }
        if self.own.is_some() && (Self { own: None, ..self.clone() }).finds_any() {
            return format!("{nothing} but what this call itself writes, which is left out");
        }
        if (Self { folders: !self.folders, ..self.clone() }).finds_any() {
            let bare = self.pattern.trim_end_matches('/');
            return if self.folders {
                format!("{nothing}, only files do: `{bare}` finds them")
            } else {
                format!("{nothing}, only folders do: `{bare}/` finds them")
            };
        }
        let shown = if self.prefix.is_empty() {
            "the job's folder"
        } else {
            self.prefix.trim_end_matches('/')
        };
        let Ok(entries) = std::fs::read_dir(&self.root) else {
            return format!("{nothing}: there is no folder `{shown}`");
        };
        let names = entries.take(LOOKED_AT).flatten().map(|entry| entry.file_name());
        let mut names: Vec<_> = names.collect();
        if names.is_empty() {
            return format!("{nothing}: `{shown}` is empty");
        }
        names.retain(|name| self.may_be(name.as_bytes()));
        if names.is_empty() {
            return format!(
                "{nothing}: `{shown}` has only hidden names, which `hidden = true` finds"
            );
        }
        names.sort();
        let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
        let last = self.pattern.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let near = nearest(last, names.iter().map(AsRef::as_ref));
        // The same name with other letters, or the other kind of thing, is what people mean most often.
        let lower = last.to_lowercase();
        let same = Matcher::of(&lower).ok().and_then(|any_case| {
            names
                .iter()
                .find(|name| any_case.is_match(name.to_lowercase().as_bytes()))
                .map(AsRef::as_ref)
        });
        match same.or(near) {
            Some(near) => format!("{nothing}, but there is `{}{near}`", self.prefix),
            None if self.prefix.is_empty() => nothing,
            None => format!("{nothing}: `{shown}` has `{}` and {} more", names[0], names.len() - 1),
        }
    }
}

/// What makes a name a pattern.
pub(in crate::job::inputs) const SPECIAL: [char; 5] = ['*', '?', '[', '{', '\\'];

/// The leading folders of a pattern that are no pattern, with their `/`, and the rest. The last part always belongs
/// to the rest: the walk is what finds it.
pub(super) fn split(pattern: &str) -> (&str, &str) {
    let special = pattern.find(SPECIAL).unwrap_or(pattern.len());
    let start = pattern[..special].rfind('/').map_or(0, |slash| slash + 1);
    pattern.split_at(start)
}

/// Why braces cannot be walked through as one pattern.
const LEAVES: &str = "one of its braces starts or ends with `/`, or has a part `.` or `..`: \
    write an array of patterns";

/// Whether one of the patterns that braces stand for is outside of the folder that is walked through, or finds folders.
fn leaves(rest: &str, prefix: &str) -> bool {
    (prefix.is_empty() && rest.starts_with('/'))
        || rest.ends_with('/')
        || rest.split('/').any(|part| matches!(part, "." | ".."))
}

/// Whether a part of a pattern spells out a leading dot.
fn names_hidden(part: &str) -> bool {
    [".", r"\.", "[.]"].iter().any(|dot| part.starts_with(dot))
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
