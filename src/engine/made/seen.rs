//! The files that tasks read, as they are: by size and time, else by content.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use xxhash_rust::xxh3::xxh3_64;

use crate::base::diagnostic::reason;
use crate::base::lock;
use crate::task::SeenFile;
use crate::workload::written;

/// A file that was written so shortly ago may be written again without a change of its time, of which file systems keep
/// no more than the kernel's tick.
const TICK: Duration = Duration::from_millis(20);

/// The content of a file from this length on is remembered: many tasks may read it.
const LONG: u64 = 256 << 10;

/// The contents of long files.
#[derive(Debug, Default)]
pub(super) struct Contents(Mutex<HashMap<(u64, u64, u64, i64), u64>>);

impl Contents {
    /// The file at `path` as it is.
    ///
    /// # Errors
    /// In words, if it cannot be read.
    pub(super) fn see(&self, path: &Path, shown: &str) -> Result<SeenFile, String> {
        let data = look(path, shown)?;
        let content = self.content(path, &data).map_err(|error| unreadable(shown, &error))?;
        let written = written_at(&data);
        Ok(SeenFile { name: name(path), size: data.len(), written, content })
    }

    /// The file at `path`, if it still is what it was; by its content only if its time is another one.
    ///
    /// # Errors
    /// In words, if it cannot be read.
    pub(super) fn same(
        &self,
        path: &Path,
        shown: &str,
        before: &SeenFile,
    ) -> Result<Option<SeenFile>, String> {
        let data = look(path, shown)?;
        if name(path) != before.name || data.len() != before.size {
            return Ok(None);
        }
        if before.written.is_some() && before.written == Some(nanoseconds(&data)) {
            return Ok(Some(*before));
        }
        let content = self.content(path, &data).map_err(|error| unreadable(shown, &error))?;
        let now = SeenFile { written: written_at(&data), ..*before };
        Ok((content == before.content).then_some(now))
    }

    fn content(&self, path: &Path, data: &Metadata) -> io::Result<u64> {
        if data.len() < LONG {
            return hash(path);
        }
        let key = (data.dev(), data.ino(), data.len(), nanoseconds(data));
        let all = || lock(&self.0);
        if let Some(&content) = all().get(&key) {
            return Ok(content);
        }
        let content = hash(path)?;
        if written_at(data).is_some() {
            all().insert(key, content);
        }
        Ok(content)
    }
}

/// Whether the file at `path` is so long that to read it takes a while.
pub(super) fn is_long(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.len() >= LONG)
}

/// Whether a task can read the file at `path`.
///
/// # Errors
/// Why not, in words.
pub(super) fn check(path: &Path, shown: &str) -> Result<(), String> {
    look(path, shown).map(|_| ())
}

fn look(path: &Path, shown: &str) -> Result<Metadata, String> {
    let data = fs::metadata(path).map_err(|error| unreadable(shown, &error))?;
    if data.is_file() {
        return Ok(data);
    }
    if data.is_dir() {
        return Err(format!(
            "`reads` names `{shown}`, which is a folder, not a file: name its files"
        ));
    }
    Err(format!("`reads` names `{shown}`, which is not a file"))
}

fn unreadable(shown: &str, error: &io::Error) -> String {
    format!("`reads` names `{shown}`: {}", reason(error))
}

fn name(path: &Path) -> u64 {
    xxh3_64(path.as_os_str().as_bytes())
}

fn nanoseconds(data: &Metadata) -> i64 {
    data.mtime().saturating_mul(1_000_000_000).saturating_add(data.mtime_nsec())
}

/// When it was written, if that is long enough ago.
fn written_at(data: &Metadata) -> Option<i64> {
    let age = data.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    age.is_some_and(|age| age > TICK).then(|| nanoseconds(data))
}

fn hash(path: &Path) -> io::Result<u64> {
    written::content(&File::open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_by_time_or_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let now = SystemTime::now();
        let write = |text: &str, age: u64| {
            fs::write(&path, text).unwrap();
            let time = now - Duration::from_secs(age);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        let contents = Contents::default();
        write("one", 100);
        let before = contents.see(&path, "a").unwrap();
        assert_eq!(contents.same(&path, "a", &before), Ok(Some(before)));
        write("one", 50);
        let again = contents.same(&path, "a", &before).unwrap().unwrap();
        assert_ne!(again.written, before.written);
        write("two", 50);
        assert_eq!(contents.same(&path, "a", &before), Ok(None), "another content");
        assert_eq!(contents.same(&path, "a", &again).unwrap(), Some(again), "the same time");
        write("three", 100);
        assert_eq!(contents.same(&path, "a", &before), Ok(None), "another size");
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(now + Duration::from_secs(1000)).unwrap();
        assert_eq!(contents.see(&path, "a").unwrap().written, None, "too young to tell");
        fs::remove_file(&path).unwrap();
        assert!(contents.see(&path, "a").unwrap_err().contains("no such file"));
        assert!(contents.see(folder.path(), "f").unwrap_err().contains("not a file"));
    }
}
