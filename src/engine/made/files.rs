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
use crate::workload::leftover;
use crate::workload::written::{Place, WrittenFiles};

/// The longest name of a file, in bytes.
const LONGEST_NAME: usize = 255;

/// Whether what a task leaves that is not ok may have this name, which is noted then.
pub(super) type MayLeave<'a> = &'a dyn Fn(&Path) -> bool;

/// What sees to it that what a task leaves goes over nothing else.
#[derive(Clone, Copy)]
pub(super) struct Leaving<'a> {
    pub may_leave: MayLeave<'a>,
    pub claims: &'a Claims,
}

/// What an earlier attempt has left is in nobody's way.
pub(super) fn begin_again(making: &mut Making, leaving: Leaving<'_>) {
    set_aside(making, leaving);
    for file in &mut making.files {
        file.before = stamp(&file.path);
    }
}

/// Notes with what a task enters a later stage.
pub(super) fn enter(making: &mut Making, stage: usize) {
    making.stage = stage;
    for file in &mut making.files {
        file.at_entry = [stamp(&file.temporary), stamp(&file.path)];
    }
}

/// The next attempt in a later stage begins with what the task had when it entered that: what the last one has made is set
/// aside. In a comparison only the temporary names count.
///
/// # Errors
/// In words, if the last attempt has changed what an earlier stage has made.
pub(super) fn enter_again(
    making: &mut Making,
    is_apart: bool,
    leaving: Leaving<'_>,
) -> Result<(), String> {
    for MadeFile { temporary, path, shown, before, at_entry: [part, own], .. } in &making.files {
        let is_changed = |path: &Path, entry: &Option<FileStamp>| {
            entry.is_some() && is_other(stamp(path), *entry)
        };
        let was_written = !is_apart && is_other(*own, *before);
        if is_changed(temporary, part) || (was_written && is_changed(path, own)) {
            return Err(format!(
                "it cannot be attempted again: its last attempt has changed `{shown}`, which an earlier stage has made: \
                 make that in the same stage, or change it in one last step"
            ));
        }
    }
    for file in &mut making.files {
        let [part, own] = &mut file.at_entry;
        if part.is_none() && fs::symlink_metadata(&file.temporary).is_ok() {
            put_aside(&file.temporary, file.failed.as_deref(), leaving);
        }
        if !is_apart && !is_other(*own, file.before) && is_other(stamp(&file.path), file.before) {
            put_aside(&file.path, file.failed.as_deref(), leaving);
            *own = stamp(&file.path);
            file.before = *own;
        }
    }
    Ok(())
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
    let time = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    Some(FileStamp {
        inode: (data.dev(), data.ino()),
        size: data.len(),
        modified: time(data.mtime(), data.mtime_nsec()),
        changed: time(data.ctime(), data.ctime_nsec()),
        metadata: [data.nlink(), data.mode().into(), data.uid().into(), data.gid().into()],
    })
}

/// Whether what is there `now` is not what was there `before`.
fn is_other(now: Option<FileStamp>, before: Option<FileStamp>) -> bool {
    match (now, before) {
        (Some(now), Some(before)) => now.is_written_since(&before),
        (now, before) => now.is_some() != before.is_some(),
    }
}

/// Whether the task itself has written `file` under its own name.
fn is_written(file: &MadeFile) -> bool {
    let now = stamp(&file.path);
    now.is_some() && is_other(now, file.before)
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

/// Gives all files of a task their names, or none of them.
pub(super) fn name_all(making: &Making, may_remove: MayLeave<'_>) -> Result<(), String> {
    check_all(making)?;
    let apart = || making.files.iter().filter(|file| file.temporary.exists());
    let is_no_file = |path: &Path| fs::metadata(path).is_ok_and(|found| !found.is_file());
    if let Some(file) = apart().find(|file| is_no_file(&file.path)) {
        let shown = &file.shown;
        return Err(format!("cannot write `{shown}`: there is something now that is not a file"));
    }
    for file in apart() {
        fs::rename(&file.temporary, &file.path)
            .map_err(|error| format!("cannot write `{}`: {}", file.shown, reason(&error)))?;
    }
    for failed in making.files.iter().filter_map(|file| file.failed.as_deref()) {
        if may_remove(failed) {
            let _ = fs::remove_file(failed); // of an earlier attempt, if there was one
        }
    }
    Ok(())
}

/// What a task has written that is not ok is kept under another name. Says of which files it is not.
pub(super) fn set_aside(making: &Making, leaving: Leaving<'_>) -> Vec<String> {
    let mut lost = Vec::new();
    for file in &making.files {
        let written = if fs::symlink_metadata(&file.temporary).is_ok() {
            &file.temporary
        } else if is_written(file) {
            &file.path
        } else {
            continue;
        };
        if !put_aside(written, file.failed.as_deref(), leaving) {
            lost.push(file.shown.clone());
        }
    }
    lost
}

/// What has got the name of a failure since the task began.
pub(super) fn left(file: &MadeFile) -> Option<&Path> {
    file.failed.as_deref().filter(|failed| is_other(stamp(failed), file.left_before))
}

/// Gives what was `written` the name `failed`; it is removed if that is something which the task reads or another one makes,
/// or which nobody knows to be a leftover.
fn put_aside(written: &Path, failed: Option<&Path>, leaving: Leaving<'_>) -> bool {
    let is_free = |failed: &&Path| {
        leftover::may_replace(failed, leaving.claims) && (leaving.may_leave)(failed)
    };
    let is_kept = failed.filter(is_free).is_some_and(|failed| {
        leftover::mark(written, failed, leaving.claims);
        fs::rename(written, failed).is_ok()
    });
    if !is_kept {
        let _ = fs::remove_file(written).or_else(|_| fs::remove_dir_all(written));
    }
    is_kept
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
