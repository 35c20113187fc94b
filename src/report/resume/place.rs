//! Where the folder of a job lies, seen from that of its results: two jobs of one name and the same words that lie in
//! different folders do different things, and a project that is moved as a whole is still the same.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

/// A hash of the way from `results` to `folder`, both of which exist; 0 if it cannot be told.
pub fn of(results: &Path, folder: &Path) -> u64 {
    let (Ok(results), Ok(folder)) = (results.canonicalize(), folder.canonicalize()) else {
        return 0;
    };
    xxh3_64(way(&results, &folder).as_os_str().as_bytes()).max(1)
}

/// The relative path that leads from one absolute folder to another.
fn way(from: &Path, to: &Path) -> PathBuf {
    let common =
        from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    let up = from.components().skip(common).map(|_| "..");
    up.collect::<PathBuf>().join(to.components().skip(common).collect::<PathBuf>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_between_folders_is_relative() {
        for (from, to, expected) in [
            ("/a/results", "/a/jobs", "../jobs"),
            ("/a/results", "/a", "../"),
            ("/a", "/a/b/c", "b/c"),
            ("/a/b", "/c", "../../c"),
            ("/a", "/a", ""),
        ] {
            assert_eq!(way(Path::new(from), Path::new(to)), Path::new(expected), "{from} {to}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_place() {
        assert_eq!(of(Path::new("/"), Path::new("/not/there")), 0);
        assert_ne!(of(Path::new("/"), Path::new("/")), 0);
    }
}
