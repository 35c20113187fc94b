//! `results/<job>.cluster.csv`: a row for every start of a shard, written when the driver is done with it.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::csv::utc;

/// The columns.
const COLUMNS: [&str; 11] = [
    "shard",
    "start",
    "engine_id",
    "node",
    "state",
    "exit",
    "tasks",
    "rows",
    "started_utc",
    "wall_s",
    "log",
];

/// What there is to say of a start. What is not known is empty.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// The shard's number, from 0.
    pub shard: u32,
    /// The number of the start, from 1.
    pub start: u32,
    /// The scheduler's name for its element.
    pub engine_id: String,
    /// Where it ran.
    pub node: String,
    /// How it ended.
    pub state: String,
    /// Its exit code.
    pub exit: Option<u8>,
    /// How many tasks the shard has.
    pub tasks: u64,
    /// How many of them had a row by then.
    pub rows: u64,
    /// When it started, in milliseconds since 1970.
    pub started_ms: Option<u64>,
    /// When it ended, likewise.
    pub ended_ms: Option<u64>,
    /// The file that has what it has printed.
    pub log: String,
}

/// The open file.
#[derive(Debug)]
pub struct Journal {
    writer: csv::Writer<File>,
    /// What drivers before this one have noted.
    earlier: HashSet<[String; 5]>,
}

/// What tells a row from all others: a driver that goes on with a run finds ends that the one before it has noted.
const KEY: [usize; 5] = [0, 1, 2, 4, 8];

impl Journal {
    /// Begins a new file at `path`, or goes on with the one that is there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(path: &Path, goes_on: bool) -> std::io::Result<Self> {
        let earlier = if goes_on { keys(path) } else { HashSet::new() };
        let mut options = OpenOptions::new();
        let file =
            options.create(true).append(goes_on).write(true).truncate(!goes_on).open(path)?;
        let is_new = file.metadata()?.len() == 0;
        let mut writer = csv::WriterBuilder::new().from_writer(file);
        if is_new {
            writer.write_record(COLUMNS)?;
            writer.flush()?;
        }
        Ok(Self { writer, earlier })
    }

    /// Adds a row, unless a driver before this one has.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, entry: &Entry) -> std::io::Result<()> {
        let time = |ms: u64| utc(UNIX_EPOCH + Duration::from_millis(ms));
        let wall = entry.started_ms.zip(entry.ended_ms);
        let wall = wall.map(|(from, to)| Duration::from_millis(to.saturating_sub(from)));
        let row = [
            entry.shard.to_string(),
            entry.start.to_string(),
            entry.engine_id.clone(),
            entry.node.clone(),
            entry.state.clone(),
            entry.exit.map(|code| code.to_string()).unwrap_or_default(),
            entry.tasks.to_string(),
            entry.rows.to_string(),
            entry.started_ms.map(time).unwrap_or_default(),
            wall.map(|wall| format!("{:.3}", wall.as_secs_f64())).unwrap_or_default(),
            entry.log.clone(),
        ];
        if self.earlier.contains(&KEY.map(|at| row[at].clone())) {
            return Ok(());
        }
        self.writer.write_record(row)?;
        self.writer.flush()
    }
}

/// The keys of the rows in the file; a row that cannot be read has none.
fn keys(path: &Path) -> HashSet<[String; 5]> {
    let Ok(reader) = csv::Reader::from_path(path) else { return HashSet::new() };
    let rows = reader.into_records().filter_map(Result::ok);
    rows.map(|row| KEY.map(|at| row.get(at).unwrap_or_default().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_an_earlier_driver_has_noted_is_not_noted_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cluster.csv");
        let entry = Entry { shard: 1, start: 1, state: "Failed".into(), ..Entry::default() };
        let other = Entry { start: 2, ..entry.clone() };
        let add = |goes_on, entries: &[&Entry]| {
            let mut journal = Journal::open(&path, goes_on).unwrap();
            for entry in entries {
                journal.add(entry).unwrap();
            }
            std::fs::read_to_string(&path).unwrap().lines().count() - 1
        };
        assert_eq!(add(false, &[&entry]), 1);
        assert_eq!(add(true, &[&entry, &other]), 2);
        assert_eq!(add(true, &[&other, &entry]), 2);
        assert_eq!(add(false, &[]), 0);
    }
}
