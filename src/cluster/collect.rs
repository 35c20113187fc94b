//! From the folders of shards into the report: each task gets one row, whichever start made it, and no folder is removed
//! before its rows are on the disk.

use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::iter;
use std::path::{Path, PathBuf};

use crate::base::number::Sum;
use crate::cluster::folder::{self, END_NOTE, EndNote, RunFolder};
use crate::cluster::plan::Plan;
use crate::cluster::snapshot::{SnapshotReader, tasks_of};
use crate::config::Logs;
use crate::engine::made::parts::Gathered;
use crate::job::Job;
use crate::report::parts::{self, PartFiles, PartIntake};
use crate::report::{Report, ReportError, task_of_output};
use crate::task::{Record, Status, Tally, Task};

/// So much is kept of what an element has printed, in bytes.
const LOG: usize = 64 << 10;

/// Puts the rows of shards into the report.
pub struct Collector<'a> {
    job: &'a Job,
    folder: &'a RunFolder,
    plan: &'a Plan,
    report: &'a Report,
    intake: PartIntake,
    /// A bit for each task that runs, by its place: whether it has a row.
    has_row: Vec<u64>,
    rows: u64,
    /// How many of the rows were put by this driver.
    put: u64,
    /// How the tasks of this run ended.
    pub tally: Tally,
    /// What is known of the files that tasks make; opened when it is needed.
    made: Option<Gathered>,
    /// Folders whose rows are in the report.
    collected: Vec<PathBuf>,
    /// What shards say at their end.
    pub ends: Vec<EndNote>,
}

impl<'a> Collector<'a> {
    /// Collects into `report`.
    pub fn new(job: &'a Job, folder: &'a RunFolder, plan: &'a Plan, report: &'a Report) -> Self {
        let words = plan.shares.tasks().div_ceil(64) as usize;
        Self {
            job,
            folder,
            plan,
            report,
            intake: report.intake(),
            has_row: vec![0; words],
            rows: 0,
            put: 0,
            tally: Tally::default(),
            made: None,
            collected: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// How many of the tasks have a row.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many rows this driver has put into the report.
    pub fn put_rows(&self) -> u64 {
        self.put
    }

    /// What the rows that this driver has put say of the columns with a budget, in the order of the job.
    pub fn spent(&self) -> &[Sum] {
        self.intake.spent()
    }

    /// Whether every task has a row.
    pub fn is_complete(&self) -> bool {
        self.rows == self.plan.shares.tasks()
    }

    /// Notes that the task at this place has a row; returns false if it had one.
    pub fn note(&mut self, place: u64) -> bool {
        let is_new = !self.has(place);
        self.has_row[(place / 64) as usize] |= 1 << (place % 64);
        self.rows += u64::from(is_new);
        is_new
    }

    /// Notes that the tasks whose number `has_row` have rows.
    ///
    /// # Errors
    /// If the inputs of the run cannot be read.
    pub fn note_numbers(&mut self, has_row: impl Fn(u64) -> bool) -> io::Result<()> {
        let all = iter::once(0..self.plan.shares.tasks()).collect();
        for record in SnapshotReader::open(&self.folder.inputs(), &self.folder.inputs_at(), all)? {
            let record = record?;
            if has_row(record.number) {
                self.note(record.place);
            }
        }
        Ok(())
    }

    /// The places of the tasks of a shard, by their numbers.
    fn places(&self, shard: u32) -> io::Result<HashMap<u64, u64>> {
        let blocks = self.plan.shares.of(shard);
        SnapshotReader::open(&self.folder.inputs(), &self.folder.inputs_at(), blocks)?
            .map(|record| record.map(|record| (record.number, record.place)))
            .collect()
    }

    /// Collects all rows of a shard that is done from `folder`. Returns why not, if these are not just the rows of the
    /// shard.
    ///
    /// # Errors
    /// If the inputs of the run cannot be read.
    pub fn collect(&mut self, shard: u32, folder: &Path) -> io::Result<Result<(), String>> {
        let torn = || Err("its result is not whole".to_owned());
        let places = self.places(shard)?;
        if !folder.exists() {
            // It was collected by a driver that has died since.
            let is_there = places.values().all(|place| self.has(*place));
            return Ok(if is_there { Ok(()) } else { torn() });
        }
        let files = PartFiles::new(folder, &self.job.name);
        let finished = match parts::finished(&files, self.job, self.plan.seed) {
            Ok(finished) => finished,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let tasks: HashSet<u64> = places.keys().copied().collect();
        if finished != tasks {
            return Ok(torn());
        }
        self.put(&files, &places).map_err(|error| io::Error::other(error.to_string()))?;
        self.ends.extend(folder::note::<EndNote>(folder, END_NOTE));
        Ok(Ok(()))
    }

    /// Collects what there is of the rows of a shard that will not be done, from the folder of one of its starts.
    ///
    /// # Errors
    /// If the inputs of the run cannot be read.
    pub fn collect_part(&mut self, shard: u32, folder: &Path) -> io::Result<()> {
        let places = self.places(shard)?;
        self.ends.extend(folder::note::<EndNote>(folder, END_NOTE));
        // A start that cannot be read any further gives what it has before that.
        drop(self.put(&PartFiles::new(folder, &self.job.name), &places));
        Ok(())
    }

    fn has(&self, place: u64) -> bool {
        has(&self.has_row, place)
    }

    fn put(&mut self, files: &PartFiles, places: &HashMap<u64, u64>) -> Result<(), ReportError> {
        let mut taken = Vec::new();
        let has_row = &self.has_row;
        let wanted = |number| places.get(&number).is_some_and(|&place| !has(has_row, place));
        let took = |number, status: Status| taken.push((number, status));
        let result = self.intake.put(files, self.plan.seed, wanted, took);
        for (number, status) in taken {
            if places.get(&number).is_some_and(|&place| self.note(place)) {
                self.tally.add(status);
                self.put += 1;
            }
        }
        result
    }

    /// Takes over what the starts in these folders of a shard, the oldest first, have noted of the files that tasks make;
    /// all of them but `counts` are cleared of what they have left.
    ///
    /// # Errors
    /// If that cannot be read or written.
    pub fn keep_made(
        &mut self,
        shard: u32,
        starts: &[PathBuf],
        counts: Option<&Path>,
    ) -> io::Result<()> {
        if self.job.creates.is_none() {
            return Ok(());
        }
        if self.made.is_none() {
            self.made = Gathered::open(self.job, &self.job.results)?;
        }
        let Some(made) = &self.made else { return Ok(()) };
        for start in starts {
            // The one that counts has carried on what those before it have noted.
            if counts.is_none_or(|counts| counts == start) {
                made.take(start)?;
            }
            if counts != Some(start.as_path()) {
                made.clear(start, tasks_of(self.folder, self.plan, shard)?);
            }
        }
        Ok(())
    }

    /// Marks all starts of a shard as not needed any more, once the rows are on the disk.
    pub fn discard(&mut self, starts: impl Iterator<Item = PathBuf>) {
        self.collected.extend(starts);
    }

    /// Removes the folders whose rows are on the disk.
    pub fn remove_collected(&mut self) {
        if self.collected.is_empty() || !self.report.is_on_disk(self.put).unwrap_or(false) {
            return;
        }
        for folder in self.collected.drain(..) {
            let _ = fs::remove_dir_all(folder); // it goes with the whole folder at last
        }
    }

    /// Gives every task that has no row one that says why it did not run: `why` knows by its shard.
    ///
    /// # Errors
    /// If the inputs of the run cannot be read.
    pub fn cancel_others(&mut self, why: impl Fn(u32) -> String) -> io::Result<()> {
        let mut buffer = self.report.buffer();
        for shard in 0..self.plan.shares.shards() {
            let blocks = self.plan.shares.of(shard);
            if blocks.iter().cloned().flatten().all(|place| self.has(place)) {
                continue;
            }
            let reason = why(shard);
            let records =
                SnapshotReader::open(&self.folder.inputs(), &self.folder.inputs_at(), blocks)?;
            for record in records {
                let record = record?;
                if !self.note(record.place) {
                    continue;
                }
                let columns = self.job.stages.first().map_or(0, |stage| stage.columns.len());
                let mut row = Record::unrun(Task::new(record.number, record.fields), columns);
                if row.outcome.status == Status::Cancelled {
                    row.outcome.error.clone_from(&reason);
                }
                if self.job.is_staged() {
                    row.in_all_stages(self.job.task_fields(), None);
                }
                row.mask_columns();
                self.tally.add(row.outcome.status);
                buffer.put(&row);
                buffer.wait_for_room();
            }
        }
        Ok(())
    }

    /// Moves the whole outputs that starts of a shard have kept to those of the job: the later ones, as these starts are
    /// sorted, count. An attempt that was cut has no row in its start, and leaves nothing beside the output of the next.
    ///
    /// # Errors
    /// If they cannot be moved.
    pub fn keep_outputs(&self, starts: &[PathBuf]) -> io::Result<()> {
        if self.job.report.logs == Logs::None {
            return Ok(());
        }
        let name = format!("{}.logs", self.job.name);
        let into = self.job.results.join(&name);
        fs::create_dir_all(&into)?;
        let mut moved = HashMap::<u64, (usize, Vec<PathBuf>)>::new();
        for (place, start) in starts.iter().enumerate() {
            let entries = match fs::read_dir(start.join(&name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            let mut tasks = HashSet::new();
            let files = PartFiles::new(start, &self.job.name);
            // A start that cannot be read any further has the rows before that.
            drop(parts::rows_since(&files, self.job, self.plan.seed, 0, |task, _| {
                tasks.insert(task);
            }));
            for entry in entries {
                let entry = entry?;
                let file_name = entry.file_name();
                let task = file_name.to_str().and_then(task_of_output);
                let Some(task) = task.filter(|task| tasks.contains(task)) else { continue };
                let (of, files) = moved.entry(task).or_insert((place, Vec::new()));
                if *of != place {
                    files.drain(..).try_for_each(fs::remove_file)?;
                    *of = place;
                }
                let to = into.join(&file_name);
                fs::rename(entry.path(), &to)?;
                files.push(to);
            }
        }
        Ok(())
    }

    /// Appends to the log of the job what workers and services of a start, and the start itself, have printed. Returns
    /// whether there was anything.
    pub fn keep_logs(&self, title: &str, folder: Option<&Path>, element: &Path) -> bool {
        let mut files = folder.map(logs_in).unwrap_or_default();
        files.push(element.to_owned());
        let text = files.iter().map(|file| tail(file)).collect::<Vec<_>>().concat();
        let _ = fs::remove_file(element); // so that it is kept once
        if text.is_empty() {
            return false;
        }
        let log = self.job.results.join(format!("{}.log", self.job.name));
        let appended =
            OpenOptions::new().create(true).append(true).open(log).and_then(|mut log| {
                log.write_all(&[format!("== {title}\n").as_bytes(), &text].concat())
            });
        appended.is_ok()
    }
}

/// What workers and services of the start in `folder` have printed.
fn logs_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut logs: Vec<_> = entries.map(|entry| entry.path()).collect();
    logs.retain(|path| path.extension().is_some_and(|ending| ending == "log"));
    logs.sort();
    logs
}

fn has(has_row: &[u64], place: u64) -> bool {
    has_row[(place / 64) as usize] >> (place % 64) & 1 == 1
}

/// The end of a file, with a line break at its end; empty if there is none.
pub fn tail(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap_or_default();
    if bytes.len() > LOG {
        bytes.drain(..bytes.len() - LOG);
    }
    if bytes.last().is_some_and(|last| *last != b'\n') {
        bytes.push(b'\n');
    }
    bytes
}
