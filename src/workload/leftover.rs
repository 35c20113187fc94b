//! Which files are what tasks have left that were not ok: only these give way to the next one of their name. The file itself
//! says so, in an extended attribute, so that any later call knows it, of whichever job and with whichever results; where
//! the file system has none, this call alone does.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{XattrFlags, fsetxattr, lgetxattr, lsetxattr};
use xxhash_rust::xxh3::xxh3_64;

use crate::workload::claims::{Claims, key_of};

/// What a leftover is marked with.
const MARK: &str = "user.runner.failed";

/// By what a leftover is known as long as nobody writes to it: its name, its size and when it was written.
fn mark_of(data: &Metadata, name: &Path) -> String {
    let name = xxh3_64(name.file_name().unwrap_or_default().as_bytes());
    format!("{name:016x}:{}:{}.{:09}", data.len(), data.mtime(), data.mtime_nsec())
}

/// Notes that what is at `path` is to be the leftover `name`: before it is that, so that a kill leaves none that is not known.
pub fn mark(path: &Path, name: &Path, claims: &Claims) {
    let set = |mark: &[u8]| lsetxattr(path, MARK, mark, XattrFlags::empty());
    note(fs::symlink_metadata(path), name, set, claims);
}

/// Notes that `file` is to be the leftover `name`.
pub fn mark_file(file: &File, name: &Path, claims: &Claims) {
    let set = |mark: &[u8]| fsetxattr(file, MARK, mark, XattrFlags::empty());
    note(file.metadata(), name, set, claims);
}

fn note(
    data: io::Result<Metadata>,
    name: &Path,
    set: impl Fn(&[u8]) -> rustix::io::Result<()>,
    claims: &Claims,
) {
    let Ok(data) = data else { return };
    let mark = mark_of(&data, name);
    if set(mark.as_bytes()).is_err() {
        claims.leave(key_of(name), mark);
    }
}

/// Whether what a task leaves may have the name `path`: there is nothing, or a leftover of the runner's own that is as it
/// was left.
pub fn may_replace(path: &Path, claims: &Claims) -> bool {
    let Ok(data) = fs::symlink_metadata(path) else { return true };
    let mark = mark_of(&data, path);
    let mut noted = [0; 128];
    match lgetxattr(path, MARK, &mut noted) {
        Ok(length) => noted[..length] == *mark.as_bytes(),
        Err(_) => claims.has_left(key_of(path), &mark),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_it_was_left_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let claims = Claims::default();
        let leave = || {
            fs::write(path("draft"), "half").unwrap();
            mark(&path("draft"), &path("x.failed"), &claims);
            fs::rename(path("draft"), path("x.failed")).unwrap();
        };
        assert!(may_replace(&path("x.failed"), &claims), "there is none");
        leave();
        assert!(may_replace(&path("x.failed"), &claims));
        fs::write(path("x.failed"), "notes").unwrap();
        assert!(!may_replace(&path("x.failed"), &claims), "somebody has written to it");
        leave();
        fs::rename(path("x.failed"), path("y.failed")).unwrap();
        assert!(!may_replace(&path("y.failed"), &claims), "somebody has given it another name");
        fs::write(path("z.failed"), "mine").unwrap();
        assert!(!may_replace(&path("z.failed"), &claims), "it is somebody's own");
    }
}
