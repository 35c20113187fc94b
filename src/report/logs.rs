//! `results/<job>.logs`: the folder of the whole outputs of tasks, each under the task's number.
//!
//! A resumed job numbers its tasks anew. So the files of rows that may be kept are named by the place of their row in the
//! partial while the job runs, which is the same however often it is resumed, and get the numbers of their tasks when
//! the report is there. Whenever it cannot be told which task a file is of, the file is removed.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::config::Logs;
use crate::report::resume::start::{Begun, Origin};
use crate::report::resume::verify;
use crate::report::store::row_order::Index;
use crate::report::{JobFacts, ReportError};

/// Before the place of a row.
const ROW: &str = "row-";

/// Has the place of the first row of the last run, whose files are named by the numbers of their tasks.
const FIRST_ROW: &str = ".first-row";

/// There while files get new names.
const RENAMING: &str = ".renaming";

/// The folder of the outputs of a job's tasks.
#[derive(Debug)]
pub(super) struct LogFolder {
    path: PathBuf,
    /// How many rows are of an earlier run.
    kept: u64,
}

impl LogFolder {
    /// The folder for a report that has `begun`, if the job keeps outputs: empty, or with those of an earlier run.
    pub(super) fn begin(job: &JobFacts, begun: &Begun) -> Result<Option<Self>, ReportError> {
        let path = job.logs();
        // Those of kept rows stay, also if there are no further ones.
        let are_left = begun.origin.has_rows() && path.is_dir();
        if job.settings.logs == Logs::None && !are_left {
            return Ok(None);
        }
        let path = std::path::absolute(&path).unwrap_or(path);
        let folder = Self { path, kept: begun.kept };
        let prepared = match begun.origin {
            Origin::Nothing | Origin::HeaderOnly => folder.empty(),
            Origin::Partial | Origin::Report => folder.resume(begun),
        };
        prepared.map_err(|error| ReportError::writing(&folder.path, &error))?;
        Ok(Some(folder))
    }

    /// Removes the files of an earlier run, whose report has been replaced by one without.
    pub(super) fn discard(job: &JobFacts) -> io::Result<()> {
        let folder = Self { path: job.logs(), kept: 0 };
        let files = match folder.files() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            files => files?,
        };
        for (_, name) in files {
            fs::remove_file(folder.path.join(name))?;
        }
        folder.remove_marks()?;
        let _ = fs::remove_dir(&folder.path); // what else is there stays
        Ok(())
    }

    /// Where it is, absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the files of an earlier run; what else is there stays.
    fn empty(&self) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        for (_, name) in self.files()? {
            fs::remove_file(self.path.join(name))?;
        }
        self.remove_marks()
    }

    /// Names the files of the last run by the places of their rows.
    fn resume(&self, begun: &Begun) -> io::Result<()> {
        if self.path.join(RENAMING).exists() {
            return self.empty(); // nobody knows any more which task which file is of
        }
        fs::create_dir_all(&self.path)?;
        let first = fs::read_to_string(self.path.join(FIRST_ROW)).ok();
        let first = first.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let files = self.files()?.into_iter().filter_map(|(key, name)| match key {
            Key::Task(number) => Some((number, name)),
            Key::Row(_) => None,
        });
        let files: Vec<_> = files.collect();
        let mut rows: HashMap<u64, Option<u64>> =
            files.iter().map(|(number, _)| (*number, None)).collect();
        if !files.is_empty() {
            find_rows(begun, first, &mut rows)?;
        }
        for (number, name) in files {
            let from = self.path.join(&name);
            match rows.get(&number).copied().flatten() {
                Some(row) => {
                    let to = renamed(&name, &format!("{ROW}{row}"));
                    fs::rename(from, self.path.join(to))?;
                }
                None => fs::remove_file(from)?, // its task did not come to a row
            }
        }
        fs::write(self.path.join(FIRST_ROW), self.kept.to_string())
    }

    /// To be called before the report is there: from here on until [`Self::settle`] rows have two places.
    pub(super) fn unsettle(&self) -> io::Result<()> {
        if self.kept == 0 { Ok(()) } else { fs::write(self.path.join(RENAMING), "") }
    }

    /// The report was not written after all.
    pub(super) fn stay(&self) {
        let _ = fs::remove_file(self.path.join(RENAMING));
    }

    /// Gives the files of kept rows the numbers that their tasks have now.
    pub(super) fn settle(&self, index: &Index) -> io::Result<()> {
        let mut files: HashMap<u64, Vec<String>> = HashMap::new();
        for (key, name) in self.files()? {
            if let Key::Row(row) = key {
                files.entry(row).or_default().push(name);
            }
        }
        if !files.is_empty() {
            for (task, row) in index.tasks() {
                for name in files.remove(&row).into_iter().flatten().filter(|_| row < self.kept) {
                    let to = self.path.join(renamed(&name, &task.to_string()));
                    fs::rename(self.path.join(name), to)?;
                }
            }
        }
        for name in files.into_values().flatten() {
            fs::remove_file(self.path.join(name))?; // its task has run again, or its input is gone
        }
        self.remove_marks()
    }

    fn remove_marks(&self) -> io::Result<()> {
        for mark in [FIRST_ROW, RENAMING] {
            match fs::remove_file(self.path.join(mark)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The files that are a task's output, and whose.
    fn files(&self) -> io::Result<Vec<(Key, String)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            files.extend(key(&name).map(|key| (key, name)));
        }
        Ok(files)
    }
}

/// What a file is named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// The number of a task.
    Task(u64),
    /// The place of a row in the partial, from 0.
    Row(u64),
}

/// The number of the task whose output the file of this name is, if it is one.
pub fn task_of_output(name: &str) -> Option<u64> {
    match key(name)? {
        Key::Task(number) => Some(number),
        Key::Row(_) => None,
    }
}

/// Whose output the file of this name is; `None` if it is something else.
fn key(name: &str) -> Option<Key> {
    let (key, rest) = name.split_once('.')?;
    let stream = rest.rsplit('.').next()?;
    if !["out", "err"].contains(&stream) || rest.split('.').count() > 2 {
        return None;
    }
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number)
    };
    match key.strip_prefix(ROW) {
        Some(row) => number(row).map(Key::Row),
        None => number(key).map(Key::Task),
    }
}

/// The name of the same output by another key.
fn renamed(name: &str, key: &str) -> String {
    let rest = name.split_once('.').map_or("", |(_, rest)| rest);
    format!("{key}.{rest}")
}

/// Finds the last of the rows, from the one at `first`, of each of these tasks.
fn find_rows(begun: &Begun, first: u64, rows: &mut HashMap<u64, Option<u64>>) -> io::Result<()> {
    let mut place = 0;
    let mut failed = None;
    verify::entries(begun.state.file(), begun.kept, |entry| {
        if place >= first {
            match number(begun.partial.file(), entry.offset, entry.length as usize) {
                Ok(number) => {
                    if let Some(row) = number.and_then(|number| rows.get_mut(&number)) {
                        *row = Some(place);
                    }
                }
                Err(error) => {
                    failed = Some(error);
                    return false;
                }
            }
        }
        place += 1;
        true
    })?;
    failed.map_or(Ok(()), Err)
}

/// The number of the task whose row is here.
fn number(partial: &File, offset: u64, length: usize) -> io::Result<Option<u64>> {
    let mut start = [0; 20];
    let start = &mut start[..length.min(20)];
    partial.read_exact_at(start, offset)?;
    let digits = start.iter().take_while(|byte| byte.is_ascii_digit()).count();
    Ok(str::from_utf8(&start[..digits]).ok().and_then(|digits| digits.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whose_they_are() {
        for (name, expected) in [
            ("1.out", Some(Key::Task(1))),
            ("20.fetch.err", Some(Key::Task(20))),
            ("row-0.out", Some(Key::Row(0))),
            ("row-3.a-b.err", Some(Key::Row(3))),
            ("notes.out", None),
            ("1.txt", None),
            ("+1.out", None),
            ("1.a.b.out", None),
            (FIRST_ROW, None),
        ] {
            assert_eq!(key(name), expected, "{name}");
        }
        assert_eq!(renamed("7.fetch.err", "row-2"), "row-2.fetch.err");
    }
}
