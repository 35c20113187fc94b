//! `results/.<job>.attempts`: which rows of the file of attempts are of which run, until the report is there. A resumed
//! job numbers its tasks anew, so the attempts of kept rows get new numbers then, as their rows do; those of tasks whose
//! rows are not kept are left out. Whenever it cannot be told which task an attempt is of, it is left out, too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::csv::cells;
use crate::csv::number::push_integer;
use crate::report::publish::replace;
use crate::report::resume::row_numbers::number_of;

/// Stands in the file from before the report is there until the attempts have their numbers.
const RENUMBERING: &str = "renumbering";

/// What is to become of the attempts of earlier runs.
#[derive(Debug)]
pub(in crate::report) struct AttemptNumbers {
    attempts: PathBuf,
    note: PathBuf,
    /// The length of the header of the file of attempts.
    header: u64,
    /// The earlier runs, in their order.
    runs: Vec<EarlierRun>,
}

/// What an earlier run has left.
#[derive(Debug)]
struct EarlierRun {
    /// Where its attempts end, in bytes.
    end: u64,
    /// How many rows the partial had then.
    rows: u64,
    /// The number of each of its tasks now, by the number that it had; 0 if its row is not kept.
    numbers: Vec<u32>,
}

impl AttemptNumbers {
    /// Removes what an earlier run has noted: the attempts are written anew.
    pub(in crate::report) fn forget(note: &Path) -> io::Result<()> {
        match fs::remove_file(note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether attempts that were to get new numbers may have them or not: then nobody knows whose they are.
    pub(in crate::report) fn is_torn(note: &Path) -> bool {
        fs::read_to_string(note).is_ok_and(|text| text.lines().any(|line| line == RENUMBERING))
    }

    /// Notes that the file at `attempts`, whose header has `header` bytes, has `end` bytes, and the partial `rows` rows,
    /// when a resumed run begins.
    pub(in crate::report) fn begin(
        attempts: &Path,
        note: &Path,
        (header, end): (u64, u64),
        rows: u64,
    ) -> io::Result<Self> {
        let earlier = match fs::read_to_string(note) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let mut runs: Vec<_> = earlier.lines().filter_map(EarlierRun::read).collect();
        runs.retain(|run| run.end <= end && run.rows <= rows);
        runs.push(EarlierRun { end, rows, numbers: Vec::new() });
        let mut file = OpenOptions::new().append(true).create(true).open(note)?;
        file.write_all(format!("{end} {rows}\n").as_bytes())?;
        Ok(Self { attempts: attempts.to_owned(), note: note.to_owned(), header, runs })
    }

    /// To be called before the report is there.
    pub(in crate::report) fn unsettle(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).create(true).open(&self.note)?;
        file.write_all(format!("{RENUMBERING}\n").as_bytes())
    }

    /// The report was not written after all.
    pub(in crate::report) fn stay(&self) {
        let runs = self.runs.iter().map(|run| format!("{} {}\n", run.end, run.rows));
        let _ = fs::write(&self.note, runs.collect::<String>()); // else the attempts are written anew
    }

    /// The kept row at this place in the partial, from 0, is that of `task` now.
    pub(in crate::report) fn keep(&mut self, place: u64, row: &[u8], task: u64) {
        let Some(run) = self.runs.iter_mut().find(|run| place < run.rows) else { return };
        let (Some(old), Ok(task)) = (number_of(row), u32::try_from(task)) else { return };
        let Ok(old) = usize::try_from(old) else { return };
        if old >= run.numbers.len() {
            run.numbers.resize(old + 1, 0);
        }
        run.numbers[old] = task;
    }

    /// Gives the attempts of kept rows the numbers that their tasks have now, now that the report is there.
    pub(in crate::report) fn settle(self, delimiter: u8) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(256 << 10, File::open(&self.attempts)?);
        replace(&self.attempts, |file| {
            let mut writer = io::BufWriter::with_capacity(256 << 10, file);
            io::copy(&mut (&mut reader).take(self.header), &mut writer)?;
            let (mut at, mut row, mut renumbered) = (self.header, Vec::new(), Vec::new());
            for run in &self.runs {
                while at < run.end && read_row(&mut reader, &mut row)? {
                    at += row.len() as u64;
                    renumbered.clear();
                    if run.renumber(&row, delimiter, &mut renumbered) {
                        writer.write_all(&renumbered)?;
                    }
                }
            }
            io::copy(&mut reader, &mut writer)?;
            writer.flush()
        })?;
        Self::forget(&self.note)
    }
}

impl EarlierRun {
    fn read(line: &str) -> Option<Self> {
        let (end, rows) = line.split_once(' ')?;
        Some(Self { end: end.parse().ok()?, rows: rows.parse().ok()?, numbers: Vec::new() })
    }

    /// Appends the row of an attempt with the number that its task has now; false if it is left out.
    fn renumber(&self, row: &[u8], delimiter: u8, out: &mut Vec<u8>) -> bool {
        let task = number_of(row).and_then(|old| self.numbers.get(usize::try_from(old).ok()?));
        let Some(&task) = task.filter(|task| **task > 0) else { return false };
        let first = cells(row, delimiter).next().map_or(0, <[u8]>::len);
        push_integer(out, u64::from(task));
        out.extend_from_slice(&row[first..]);
        true
    }
}

/// Reads a row with its line break, which may have others in quotes; false after the last one.
fn read_row(reader: &mut impl BufRead, row: &mut Vec<u8>) -> io::Result<bool> {
    row.clear();
    while reader.read_until(b'\n', row)? > 0 {
        // A quote within a cell is doubled, which cancels out.
        if memchr::memchr_iter(b'"', row).count().is_multiple_of(2) {
            return Ok(true);
        }
    }
    Ok(!row.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `change` on attempts of two earlier runs and this one, and returns what becomes of them.
    fn settled(change: impl FnOnce(&mut AttemptNumbers)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let (attempts, note) = (folder.path().join("a.csv"), folder.path().join("note"));
        let (header, first) = ("task,error\n", "1,\"x\n2,y\"\n2,\n");
        fs::write(&attempts, format!("{header}{first}")).unwrap();
        let start = header.len() as u64;
        let end = start + first.len() as u64;
        AttemptNumbers::begin(&attempts, &note, (start, end), 2).unwrap();
        let second = format!("{header}{first}2,z\n3,\n");
        fs::write(&attempts, &second).unwrap();
        let end = second.len() as u64;
        let mut numbers = AttemptNumbers::begin(&attempts, &note, (start, end), 4).unwrap();
        fs::write(&attempts, format!("{second}7,new\n")).unwrap();
        numbers.unsettle().unwrap();
        assert!(AttemptNumbers::is_torn(&note));
        change(&mut numbers);
        numbers.settle(b',').unwrap();
        assert!(!note.exists());
        fs::read_to_string(&attempts).unwrap()
    }

    #[test]
    fn attempts_of_kept_rows_get_the_numbers_of_their_tasks() {
        let text = settled(|numbers| {
            for (place, row, task) in [(0, "1,a", 12), (1, "2,b", 1), (2, "2,c", 3), (4, "7,x", 9)]
            {
                numbers.keep(place, row.as_bytes(), task);
            }
        });
        assert_eq!(text, "task,error\n12,\"x\n2,y\"\n1,\n3,z\n7,new\n");
        assert_eq!(settled(|_| ()), "task,error\n7,new\n");
    }
}
