//! What is left out of that which patterns find.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::matcher::{Matcher, expanded, with_tops};
use super::pattern::split;
use super::settled;

/// A pattern of what is left out.
#[derive(Clone, Debug)]
pub(super) struct Except {
    /// What it matches of the paths as they are found; nothing if it is absolute.
    found: Option<Matcher>,
    /// The folder that it starts in, by one name, and what it matches there.
    root: PathBuf,
    rest: Matcher,
    /// Whether it finds folders, and not files.
    folders: bool,
}

impl Except {
    /// What `pattern` finds as seen from `folder`; or why it is not a pattern.
    pub fn new(pattern: &str, folder: &Path) -> Result<Self, String> {
        let broken = |error| format!("`{pattern}` is not a pattern: {error}");
        let named = pattern.trim_end_matches('/');
        let (prefix, rest) = split(named);
        let is_relative = !pattern.starts_with('/');
        let folders = named.len() < pattern.len();
        let matcher = |pattern: &str| {
            let all = expanded(pattern)?;
            Matcher::any(&if folders { with_tops(all) } else { all })
        };
        let found = is_relative.then(|| matcher(named)).transpose().map_err(broken)?;
        Ok(Self {
            found,
            root: settled(&folder.join(prefix)),
            rest: matcher(rest).map_err(broken)?,
            folders,
        })
    }

    /// Whether it finds the path that is written `path`, and is `rest` in the folder `place`.
    pub fn finds(&self, path: &[u8], place: &Path, rest: &[u8]) -> bool {
        let bare = |path: &[u8]| path.strip_suffix(b"/").map_or(path.len(), <[u8]>::len);
        if self.folders != path.ends_with(b"/") {
            return false;
        }
        if self.found.as_ref().is_some_and(|found| found.is_match(&path[..bare(path)])) {
            return true;
        }
        let whole = place.join(OsStr::from_bytes(&rest[..bare(rest)]));
        let inner = whole.strip_prefix(&self.root);
        inner.is_ok_and(|inner| self.rest.is_match(inner.as_os_str().as_bytes()))
    }
}

/// Folders of which a pattern leaves out all that is found in them.
#[derive(Clone, Debug)]
pub(super) struct Cover {
    folders: Except,
    /// Whether it leaves out what is in folders in them, too.
    is_deep: bool,
}

impl Cover {
    /// Those of `pattern`, as seen from `folder`.
    pub fn of(pattern: &str, folder: &Path) -> Vec<Self> {
        let cover = |folders: &str, is_deep| {
            Except::new(folders, folder).ok().map(|folders| Self { folders, is_deep })
        };
        let mut all = Vec::new();
        for one in expanded(pattern).unwrap_or_default() {
            let deep = one.strip_suffix("/**/*").or_else(|| one.strip_suffix("/**"));
            if one == "**" || one == "**/*" {
                all.extend(cover("**", true));
            } else if let Some(top) = deep.filter(|top| !top.is_empty()) {
                all.extend(cover(top, true));
                all.extend(cover(&format!("{top}/**"), true));
            } else if let Some(top) = one.strip_suffix("/*").filter(|top| !top.is_empty()) {
                all.extend(cover(top, false));
            }
        }
        all
    }

    /// Whether the folder that is written `path`, and is `rest` in the folder `root`, is one of them. `is_last`: nothing is
    /// looked for in folders in it.
    pub fn has(&self, path: &[u8], root: &Path, rest: &[u8], is_last: bool) -> bool {
        (self.is_deep || is_last) && self.folders.finds(path, &settled(root), rest)
    }
}
