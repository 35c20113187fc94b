//! The files of one task on the disk: under which names it writes them, whether it has, and what becomes of them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::base::diagnostic::reason;
use crate::task::{FileStamp, MadeFile, Making, temporary_start};
use crate::workload::claims::Claims;
use crate::workload::written::{Place, WrittenFiles};

/// The longest name of a file, in bytes.
const LONGEST_NAME: usize = 255;

pub(super) fn begin_again(making: &mut Making, claims: &Claims) {
    set_aside(making, claims);
    for file in &mut making.files {
        file.before = stamp(&file.path);
    }
}

/// What an earlier attempt has left in a comparison is not kept.
pub(super) fn forget(making: &Making) {
    for file in &making.files {
        let _ = fs::remove_file(&file.temporary);
    }
}

/// The temporary name beside `path`: of the same extension, the same in every run, so that the next one removes what a
/// killed one has left.
pub(super) fn temporary(tag: u64, path: &Path) -> OsString {
    let name = path.file_name().unwrap_or_default();
    let mut temporary = temporary_start(tag as u32);
    if temporary.len() + name.len() <= LONGEST_NAME {
        temporary.push(name);
        return temporary;
    }
    temporary.push(format!("{:016x}", xxh3_64(name.as_bytes())));
    if let Some(extension) = path.extension().filter(|extension| extension.len() < 200) {
        temporary.push(".");
        temporary.push(extension);
    }
    temporary
}

/// By what a change of the file at `path` shows; `None` if there is none.
pub(super) fn stamp(path: &Path) -> Option<FileStamp> {
    let data = fs::metadata(path).ok()?;
    let changed = i128::from(data.ctime()) * 1_000_000_000 + i128::from(data.ctime_nsec());
    Some(FileStamp { inode: (data.dev(), data.ino()), size: data.len(), changed })
}

/// Whether the task itself has written `file` under its own name.
fn is_written(file: &MadeFile) -> bool {
    let now = stamp(&file.path);
    now.is_some() && now != file.before
}

/// Whether all files of a task that is ok have been made, and where those are that have no name yet.
///
/// # Errors
/// In words, which has not.
pub(super) fn check_all(making: &Making) -> Result<(), String> {
    for file in &making.files {
        let shown = &file.shown;
        match fs::metadata(&file.temporary) {
            Ok(data) if data.is_file() => {}
            Ok(_) => return Err(format!("it made `{shown}`, but not as a file")),
            Err(_) if is_written(file) && file.path.is_file() => {}
            Err(_) if file.before.is_some() => {
                return Err(format!(
                    "it did not make `{shown}`, which is as it was before: it has to write it under the name \
                     `{{creates}}`, or anew"
                ));
            }
            Err(_) => {
                return Err(format!(
                    "it did not make `{shown}`: it has to write it under the name `{{creates}}`, or under its own"
                ));
            }
        }
    }
    Ok(())
}

/// Notes what all files of a task have in them, which is all that is wanted of them.
pub(super) fn note_all(task: u64, making: &Making, written: &WrittenFiles) -> Result<(), String> {
    check_all(making)?;
    for (index, file) in making.files.iter().enumerate() {
        let is_apart = file.temporary.exists();
        let path = if is_apart { &file.temporary } else { &file.path };
        let noted = File::open(path).and_then(|open| written.add(task, Place::Made(index), &open));
        noted.map_err(|error| format!("cannot read `{}`: {}", file.shown, reason(&error)))?;
        if is_apart {
            let _ = fs::remove_file(path); // the folder goes with all that is in it
        }
    }
    Ok(())
}

/// Gives all files of a task their names.
pub(super) fn name_all(making: &Making, claims: &Claims) -> Result<(), String> {
    check_all(making)?;
    for file in &making.files {
        if file.temporary.exists() {
            fs::rename(&file.temporary, &file.path)
                .map_err(|error| format!("cannot write `{}`: {}", file.shown, reason(&error)))?;
        }
        if let Some(failed) = left(file, claims) {
            let _ = fs::remove_file(failed); // of an earlier attempt, if there was one
        }
    }
    Ok(())
}

/// What a task has written that is not ok is kept under another name.
pub(super) fn set_aside(making: &Making, claims: &Claims) {
    for file in &making.files {
        let written = if fs::symlink_metadata(&file.temporary).is_ok() {
            &file.temporary
        } else if is_written(file) {
            &file.path
        } else {
            continue;
        };
        let is_kept = left(file, claims).is_some_and(|failed| fs::rename(written, failed).is_ok());
        if !is_kept {
            let _ = fs::remove_file(written).or_else(|_| fs::remove_dir_all(written));
        }
    }
}

/// Where what a task has written goes if it is not ok; `None` if another task writes that, or it is read.
fn left<'a>(file: &'a MadeFile, claims: &Claims) -> Option<&'a Path> {
    file.failed.as_deref().filter(|failed| !claims.has(failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_name_keeps_the_extension_and_fits() {
        let name = |path: &str| temporary(7, Path::new(path)).to_string_lossy().into_owned();
        assert_eq!(name("/out/a.tar.gz"), ".00000007.part.a.tar.gz");
        assert_ne!(name("/out/a.c"), name("/out/b.c"));
        let long = "x".repeat(250) + ".png";
        assert!(name(&long).len() <= LONGEST_NAME && name(&long).ends_with("png"));
        assert!(name(&format!("a.{}", "y".repeat(252))).len() <= LONGEST_NAME);
    }
}
