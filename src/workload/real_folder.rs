//! By which path two files are told apart: the links in the folder that leads to them are followed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::base::lock;

/// The path of `folder` with all links followed, as far as there is something.
pub fn real_folder(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find_map(|there| Some((there, there.canonicalize().ok()?)));
    there
        .and_then(|(there, real)| {
            let missing = folder.strip_prefix(there).ok()?;
            Some(real.components().chain(missing.components()).collect())
        })
        .unwrap_or_else(|| folder.to_owned())
}

/// The same, with the last answer at hand: most tasks of a job write to one folder.
#[derive(Clone, Debug, Default)]
pub struct RealFolders(Arc<Mutex<Option<Known>>>);

#[derive(Debug)]
struct Known {
    folder: PathBuf,
    /// Device and number: another folder may have come to be in its place.
    inode: (u64, u64),
    real: PathBuf,
}

impl RealFolders {
    /// The path of `name` in `folder` with all links of the folder followed.
    pub fn join(&self, folder: &Path, name: &std::ffi::OsStr) -> PathBuf {
        let Ok(data) = fs::metadata(folder) else { return real_folder(folder).join(name) };
        let inode = (data.dev(), data.ino());
        let mut last = lock(&self.0);
        if let Some(known) = last.as_ref().filter(|known| known.inode == inode)
            && known.folder == folder
        {
            return known.real.join(name);
        }
        let real = real_folder(folder);
        let path = real.join(name);
        *last = Some(Known { folder: folder.to_owned(), inode, real });
        path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_as_far_as_there_is_something() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/in")).unwrap();
        fs::create_dir(root.join("other")).unwrap();
        symlink("real", root.join("alias")).unwrap();
        for (folder, real) in [
            ("real", "real"),
            ("alias", "real"),
            ("alias/in", "real/in"),
            ("alias/x/y", "real/x/y"),
        ] {
            assert_eq!(real_folder(&root.join(folder)), root.join(real));
        }
        let folders = RealFolders::default();
        let join = || folders.join(&root.join("alias"), "n".as_ref());
        assert_eq!((join(), join()), (root.join("real/n"), root.join("real/n")));
        fs::remove_file(root.join("alias")).unwrap();
        symlink("other", root.join("alias")).unwrap();
        assert_eq!(join(), root.join("other/n"));
    }
}
